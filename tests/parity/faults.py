"""Mistakes that porters make, each planted alone into the PyTorch side, and where the ladder must break.

A fault is a function of `at`, which holds what it may change: torch, nn, the backend `pytorch`, its `parts` for
backbones, its `gradcam`, and the harness's `backbones`. It runs in the faulty side's own interpreter, before anything
is built.
"""

import inspect
from types import SimpleNamespace
from typing import NamedTuple

import msgspec


class Fault(NamedTuple):
    """The variant that shows it, the first rung that breaks, and what that rung names."""

    plant: object
    variant: str
    rung: str
    where: str


FAULTS = {}
OF_CLASSES = {}
"""Those that variants of suite defects show; the others are shown by suite elasticity's."""


def fault(name, variant, rung, where, among=FAULTS):
    def keep(function):
        among[name] = Fault(function, variant, rung, where)
        return function

    return keep


def plant(fault):
    """Plant a fault, or a stranger's, into this interpreter."""
    import torch

    from backends import _pytorch_gradcam, _torch_backbones, pytorch
    from harness.model import backbones

    ours = {"pytorch": pytorch, "parts": _torch_backbones, "gradcam": _pytorch_gradcam, "backbones": backbones}
    fault.plant(SimpleNamespace(torch=torch, nn=torch.nn, **ours))


def change_layer(at, name, forward):
    """Have the layer of this name compute `forward(layer, inputs)`."""

    def change(module):
        if hasattr(module, name):
            layer = module.get_submodule(name)
            layer.forward = lambda inputs: forward(layer, inputs)

    change_module(at, change)


def change_module(at, change):
    """Change every network after it is built."""
    as_module = at.pytorch.as_module

    def changed(network, input_shape):
        module = as_module(network, input_shape)
        change(module)
        return module

    at.pytorch.as_module = changed


def change_epochs(at, change):
    """Have `change(one_epoch, arguments)` in the place of training one epoch; arguments are those by name."""
    one_epoch = at.pytorch._train_epoch
    signature = inspect.signature(one_epoch)
    at.pytorch._train_epoch = lambda *given: change(one_epoch, signature.bind(*given).arguments)


def change_adam(at, change):
    """Give Adam another recipe, or change it after it is made."""
    init = at.pytorch.KerasAdam.__init__

    def changed(self, parameters, recipe):
        init(self, parameters, change(self, recipe) or recipe)

    at.pytorch.KerasAdam.__init__ = changed


def change_preprocessing(at, change):
    right = at.backbones.preprocessing
    at.backbones.preprocessing = lambda family: change(*right(family))


def change_freezing(at, change):
    let_train = at.pytorch.TorchModel._let_train

    def changed(self, what):
        trained = let_train(self, what)
        change(self.module)
        return trained

    at.pytorch.TorchModel._let_train = changed


# --- layers and their weights -----------------------------------------------------------------------------------------


@fault("a layer without its bias", "baseline", "structure", "bias")
def _(at):
    change_module(at, lambda module: setattr(module.conv2d_2, "bias", None))


@fault("a bias too many", "baseline", "structure", "conv2d_2")
def _(at):
    change_module(at, lambda module: module.conv2d_2.register_parameter("more", at.nn.Parameter(at.torch.zeros(16))))


@fault("a bias that is never added", "baseline", "forward", "conv2d_2")
def _(at):
    change_layer(at, "conv2d_2", lambda layer, x: at.nn.functional.conv2d(x, layer.weight))


@fault("padding that repeats the edge", "tuned", "forward", "conv2d_1")
def _(at):
    conv = at.nn.Conv2d
    at.nn.Conv2d = lambda *sizes, padding: conv(*sizes, padding=padding, padding_mode="replicate")


@fault("flattened channels first", "baseline", "forward", "flatten_1")
def _(at):
    at.pytorch.FlattenChannelsLast.forward = at.nn.Flatten.forward


@fault("kernels with height and width exchanged", "baseline", "forward", "conv2d_1")
def _(at):
    tensor_of = at.pytorch.TorchModel._tensor

    def exchanged(self, name):
        tensor, axes = tensor_of(self, name)
        return tensor, (3, 2, 1, 0) if tensor.ndim == 4 else axes

    at.pytorch.TorchModel._tensor = exchanged


@fault("average for max pooling", "baseline", "forward", "maxpool2d_1")
def _(at):
    at.nn.MaxPool2d = at.nn.AvgPool2d


@fault("ReLU6 for ReLU", "baseline", "forward", "conv2d_1")
def _(at):
    at.nn.ReLU = at.nn.ReLU6


@fault("a layer in half precision", "baseline", "forward", "dense_1")
def _(at):
    change_layer(at, "dense_1", lambda layer, x: type(layer).forward(layer.half(), x.half()).to(x.dtype))


@fault("weights of one layer not loaded", "baseline", "forward", "dense_1")
def _(at):
    set_weights = at.pytorch.TorchModel.set_weights

    def all_but_one(self, weights):
        own = {name: array for name, array in self.weights().items() if name.startswith("dense_1/")}
        set_weights(self, {**weights, **own})

    at.pytorch.TorchModel.set_weights = all_but_one


@fault("predictions never scaled back", "baseline", "forward", "prediction")
def _(at):
    at.pytorch.Scaling.to_physical = lambda self, outputs: outputs.astype("float64")


@fault("dropout while predicting", "tuned", "forward", "dropout_1")
def _(at):
    def in_training(module, images):
        with at.torch.inference_mode():
            return module.train()(images)

    at.pytorch._outputs = in_training


# --- loss, gradients and statistics -----------------------------------------------------------------------------------


@fault("targets never scaled", "baseline", "gradients", "loss")
def _(at):
    at.pytorch.Scaling.to_network = lambda self, targets: targets.astype("float32")


@fault("sum for mean in the loss", "baseline", "gradients", "loss")
def _(at):
    at.nn.functional.mse_loss = lambda a, b: ((a - b) ** 2).sum()


@fault("mean absolute error", "baseline", "gradients", "loss")
def _(at):
    at.nn.functional.mse_loss = at.nn.functional.l1_loss


@fault("dropout that does not scale", "tuned", "gradients", "dropout 0.2/factor")
def _(at):
    at.nn.Dropout.forward = lambda self, x: x * (at.torch.rand_like(x) >= self.p) if self.training else x


@fault("dropout at half its rate", "tuned", "gradients", "/kept")
def _(at):
    at.nn.Dropout.forward = lambda self, x: at.nn.functional.dropout(x, self.p / 2, self.training)


@fault("training mode switched on before the first epoch alone", "tuned", "gradients", "dropout 0.2 in a second epoch")
def _(at):
    def changed(one_epoch, arguments):
        module = arguments["module"]
        if hasattr(module, "was_trained"):
            module.train = lambda mode=True: module
        module.was_trained = True
        return one_epoch(**arguments)

    change_epochs(at, changed)


@fault("a validation loss that is summed", "baseline", "optimizer", "validation_loss after 1 step")
def _(at):
    right = at.pytorch._loss
    at.pytorch._loss = lambda module, images, *rest: right(module, images, *rest) * len(images)


@fault("a layer frozen by mistake", "baseline", "structure", "trainable")
def _(at):
    change_freezing(at, lambda module: module.conv2d_1.requires_grad_(False))


@fault("a threshold at the door", "baseline", "forward", "conv2d_1")
def _(at):
    change_layer(at, "conv2d_1", lambda layer, x: layer._conv_forward((x > 0.5).to(x.dtype), layer.weight, layer.bias))


@fault("zeros around a periodic image", "augmented", "forward", "conv2d_1")
def _(at):
    def around(self, images):
        return at.nn.functional.conv2d(images, self.weight, self.bias, padding=self.kernel_size[0] // 2)

    at.pytorch.PeriodicConv2d.forward = around


@fault("dropout while validating", "tuned", "gradients", "dropout 0.2/validation_loss")
def _(at):
    def dropping(module, images, targets, criterion):
        return at.nn.functional.mse_loss(module.train()(images), targets).item()

    at.pytorch._loss = dropping


@fault("one dropout mask for a batch", "tuned", "gradients", "dropout 0.04 of two images at once/kept")
def _(at):
    def sharing(self, x):
        return x * at.nn.functional.dropout(at.torch.ones_like(x[:1]), self.p, self.training)

    at.nn.Dropout.forward = sharing


# --- optimizer and batches --------------------------------------------------------------------------------------


@fault("Adam's epsilon as torch has it", "baseline", "optimizer", "after")
def _(at):
    at.pytorch.KerasAdam.step = at.torch.optim.Adam.step


@fault("Adam's corrections in double precision", "baseline", "optimizer", "")  # seen with other constants only
def _(at):
    def step(self):
        self._steps += 1
        self.param_groups[0]["eps"] = self._recipe.epsilon / (1 - self._recipe.beta_2**self._steps) ** 0.5
        return at.torch.optim.Adam.step(self)

    at.pytorch.KerasAdam.step = step


@fault("AdamW", "baseline", "optimizer", "after")
def _(at):
    init = at.pytorch.KerasAdam.__init__

    def decaying(self, parameters, recipe):
        init(self, parameters, recipe)
        for group in self.param_groups:
            group.update(weight_decay=0.01, decoupled_weight_decay=True)

    at.pytorch.KerasAdam.__init__ = decaying


@fault("learning rate off by 5 %", "baseline", "optimizer", "after 1 step")
def _(at):
    change_adam(at, lambda _, recipe: msgspec.structs.replace(recipe, learning_rate=1.05 * recipe.learning_rate))


@fault("beta_2 off by a thousandth", "baseline", "optimizer", "after")
def _(at):
    change_adam(at, lambda _, recipe: msgspec.structs.replace(recipe, beta_2=0.999 * recipe.beta_2))


@fault("gradients that add up", "baseline", "optimizer", "after")
def _(at):
    at.pytorch.KerasAdam.zero_grad = lambda self: None


@fault("a last batch that is dropped", "baseline", "optimizer", "after an epoch with a batch of one image")
def _(at):
    def dropping(one_epoch, given):
        whole = len(given["order"]) // given["batch_size"] * given["batch_size"]
        return one_epoch(**{**given, "order": given["order"][:whole]})

    change_epochs(at, dropping)


@fault("an epoch's loss that is its batches' mean", "baseline", "optimizer", "loss after an epoch with a batch of one")
def _(at):
    def unweighted(one_epoch, given):
        order, size = given["order"], given["batch_size"]
        losses = [one_epoch(**{**given, "order": order[i : i + size]}) for i in range(0, len(order), size)]
        return sum(losses) / len(losses)

    change_epochs(at, unweighted)


@fault("another shuffle", "baseline", "optimizer", "after 1 step")
def _(at):
    def shuffled(one_epoch, given):
        other = at.torch.randperm(len(given["images"]), generator=at.torch.Generator().manual_seed(0)).numpy()
        return one_epoch(**{**given, "order": other[: len(given["order"])]})

    change_epochs(at, shuffled)


@fault("validated on the first training images", "baseline", "optimizer", "validation_loss after 1 step")
def _(at):
    train = at.pytorch.TorchModel.train

    def wrong(self, data, *others):
        count = len(data.validation_images)
        first = {"validation_images": data.images[:count], "validation_targets": data.targets[:count]}
        return train(self, msgspec.structs.replace(data, **first), *others)

    at.pytorch.TorchModel.train = wrong


@fault("the best weights restored in the end", "baseline", "optimizer", "after three steps, each worse")
def _(at):
    train = at.pytorch.TorchModel.train

    def restoring(self, data, recipe, schedule, on_epoch):
        best = [float("inf"), None]

        def watch(epoch, loss, validation_loss):
            if validation_loss < best[0]:
                best[:] = validation_loss, self.weights()
            return on_epoch(epoch, loss, validation_loss)

        history = train(self, data, recipe, schedule, watch)
        self.set_weights(best[1])
        return history

    at.pytorch.TorchModel.train = restoring


@fault("Adam's moments in bfloat16, in float32 alone", "baseline", "optimizer", "pytorch in float32 is not")
def _(at):
    step = at.pytorch.KerasAdam.step

    def rounding(self):
        step(self)
        for state in self.state.values():
            for name in ("exp_avg", "exp_avg_sq"):
                if state[name].dtype == at.torch.float32:
                    state[name].copy_(state[name].bfloat16())

    at.pytorch.KerasAdam.step = rounding


@fault("label columns exchanged while training", "baseline", "optimizer", "loss after 1 step")
def _(at):
    def exchanging(one_epoch, given):
        return one_epoch(**{**given, "targets": given["targets"].flip(1)})

    change_epochs(at, exchanging)


@fault(
    "a validation that is its chunks' mean",
    "baseline",
    "optimizer",
    "validation_loss after an epoch with a batch of one",
)
def _(at):
    right = at.pytorch._loss

    def by_chunks(module, images, targets, criterion):
        chunks = zip(images.split(128), targets.split(128), strict=True)
        losses = [right(module, *chunk, criterion) for chunk in chunks]
        return sum(losses) / len(losses)

    at.pytorch._loss = by_chunks


def change_optimizer(at, change):
    """Have `change(adam, epochs done)` before each epoch."""
    adam = None

    def changed(one_epoch, given):
        nonlocal adam
        if given["adam"] is not adam:
            adam = given["adam"]
            adam.epochs = 0
        change(adam, adam.epochs)
        adam.epochs += 1
        return one_epoch(**given)

    change_epochs(at, changed)


@fault("a rate that falls after a hundred epochs", "baseline", "optimizer", "of a linear model after 128 epochs")
def _(at):
    def falling(adam, epochs):
        if epochs == 100:
            adam._recipe = msgspec.structs.replace(adam._recipe, learning_rate=adam._recipe.learning_rate / 2)

    change_optimizer(at, falling)


@fault(
    "a training that does not end when it is told to", "baseline", "optimizer", "after 128 epochs, each worse shapes"
)
def _(at):
    train = at.pytorch.TorchModel.train

    def going_on(self, data, recipe, schedule, on_epoch):
        return train(self, data, recipe, schedule, lambda *told: bool(on_epoch(*told) and False))

    at.pytorch.TorchModel.train = going_on


@fault("early stopping", "baseline", "optimizer", "of a linear model after 128 epochs")
def _(at):
    train = at.pytorch.TorchModel.train

    def stopping(self, data, recipe, schedule, on_epoch):
        best, worse = [float("inf")], [0]

        def watch(epoch, loss, validation_loss):
            worse[0] = 0 if validation_loss < best[0] else worse[0] + 1
            best[0] = min(best[0], validation_loss)
            return on_epoch(epoch, loss, validation_loss) or worse[0] == 20

        return train(self, data, recipe, schedule, watch)

    at.pytorch.TorchModel.train = stopping


# --- stages ---------------------------------------------------------------------------------------------------------


@fault("the first recipe's rate kept", "augmented", "optimizer", "after 1 step")
def _(at):
    train = at.pytorch.TorchModel.train

    def keeping(self, data, recipe, *others):
        self.first = getattr(self, "first", recipe.learning_rate)
        return train(self, data, msgspec.structs.replace(recipe, learning_rate=self.first), *others)

    at.pytorch.TorchModel.train = keeping


@fault("Adam's moments kept from recipe to recipe", "augmented", "optimizer", "after 1 step")
def _(at):
    made = []
    adam = at.pytorch.KerasAdam

    def keeping(parameters, recipe):
        parameters = list(parameters)
        made.append(made[0] if made and len(made[0].param_groups[0]["params"]) == len(parameters) else None)
        made[-1] = made[-1] or adam(parameters, recipe)
        return made[-1]

    at.pytorch.KerasAdam = keeping


@fault("a backbone that stays frozen after its head's stage", "vgg16-fine-tuned", "optimizer", "backbone_1")
def _(at):
    let_train = at.pytorch.TorchModel._let_train

    def staying(self, what):
        trained = let_train(self, what)
        self.was_head = getattr(self, "was_head", False) or what == "head"
        if self.was_head:
            self._frozen.requires_grad_(False)
        return trained

    at.pytorch.TorchModel._let_train = staying


# --- exported graphs ------------------------------------------------------------------------------------------------


@fault("an exported graph without the targets' mean", "baseline", "export", "pytorch against its graph")
def _(at):
    at.pytorch.Physical.forward = lambda self, images: self.network(images) * self.scale


@fault("an exported graph of another layer", "baseline", "export", "pytorch against its graph")
def _(at):
    class Other(at.pytorch.Physical):
        def __init__(self, network, scaling):
            super().__init__(at.nn.Sequential(*list(network.children())[:-1], at.nn.Linear(16, 9)), scaling)

    at.pytorch.Physical = Other


@fault("global max for average pooling", "vgg16-head-only", "forward", "globalaveragepool2d_1")
def _(at):
    at.nn.AdaptiveAvgPool2d = at.nn.AdaptiveMaxPool2d


# --- backbones ------------------------------------------------------------------------------------------------------


@fault(
    "strides in the second convolution, as torchvision",
    "resnet50-head-only",
    "forward",
    "backbone_1/conv3_block1_1_conv",
)
def _(at):
    at.parts.Bottleneck = type("NoBlock", (), {})


@fault("red, green, blue for blue, green, red", "resnet50-head-only", "forward", "backbone_1/preprocessing")
def _(at):
    change_preprocessing(at, lambda scale, offset: (scale, offset[::-1]))


@fault("no preprocessing", "resnet50-head-only", "forward", "backbone_1/preprocessing")
def _(at):
    change_preprocessing(at, lambda scale, offset: ((1.0,) * 3, (0.0,) * 3))


@fault("preprocessing twice", "resnet50-head-only", "forward", "backbone_1/preprocessing")
def _(at):
    once = at.parts.Preprocessing.forward
    at.parts.Preprocessing.forward = lambda self, images: once(self, once(self, images))


@fault("batch norm's epsilon as Keras's layer has it, 1e-3", "resnet50-head-only", "forward", "backbone_1/conv1_bn")
def _(at):
    at.backbones.BATCH_NORM_EPSILON = 1e-3


@fault("batch norm's epsilon as torch has it, 1e-5", "resnet50-head-only", "forward", "backbone_1/conv1_bn")
def _(at):
    at.backbones.BATCH_NORM_EPSILON = 1e-5


@fault("no ReLU after DenseNet121's last batch norm", "densenet121-head-only", "forward", "backbone_1")
def _(at):
    build = at.parts._densenet121

    def without():
        body, names = build()
        body.relu5 = at.nn.Identity()
        return body, names

    at.parts._densenet121 = without


@fault("batch norm's momentum as torch has it", "resnet50-fine-tuned", "state", "moving_")
def _(at):
    at.backbones.BATCH_NORM_MOMENTUM = 0.9


@fault("unbiased moving variance", "resnet50-fine-tuned", "state", "moving_variance")
def _(at):
    at.parts.KerasBatchNorm2d.forward = at.nn.BatchNorm2d.forward


@fault("shortcuts that gradients do not pass", "resnet50-fine-tuned", "gradients", "conv")
def _(at):
    def changed(self, values):
        shortcut = self.downsample(values) if self.downsample else values.detach()
        for convolution, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2)):
            values = norm(convolution(values)).relu()
        return (self.bn3(self.conv3(values)) + shortcut).relu()

    at.parts.Bottleneck.forward = changed


@fault("batch norms that train in a frozen backbone", "resnet50-fine-tuned-frozen-norms", "gradients", "")
def _(at):
    at.parts.KerasBatchNorm2d.train = at.nn.BatchNorm2d.train


@fault("batch norms frozen by eval() alone", "resnet50-fine-tuned-frozen-norms", "structure", "trainable")
def _(at):
    change_freezing(at, lambda module: module.requires_grad_(True))


@fault("a frozen backbone that predicts in training mode", "resnet50-head-only", "forward", "backbone_1/conv1_bn")
def _(at):
    at.parts.KerasBatchNorm2d.eval = lambda self: self.train(True)
    at.parts.KerasBatchNorm2d.train = lambda self, mode=True: at.nn.BatchNorm2d.train(self, True)


# --- Grad-CAM ---------------------------------------------------------------------------------------------------------


def change_cut(at, change):
    """Cut the network elsewhere: `change(names, place)` is where, of the names of its modules and the right place."""
    cut = at.gradcam._cut

    def changed(module, layer):
        names = [name for name, _ in module.named_children()]
        place = change(names, len(cut(module, layer)[0]))
        return module[:place], module[place:]

    at.gradcam._cut = changed


def change_maps(at, change):
    maps = at.gradcam.maps
    at.gradcam.maps = lambda *given: change(maps(*given))


@fault("gradients clipped at zero before their mean", "baseline", "gradcam", "maps")
def _(at):
    right = at.gradcam._map
    at.gradcam._map = lambda activations, gradients: right(activations, gradients.relu())


@fault("weights that are the mean over rows and channels", "baseline", "gradcam", "maps")
def _(at):
    at.gradcam._map = lambda a, gradients: at.torch.relu((gradients.mean(dim=(1, 2), keepdim=True) * a).sum(dim=1))


@fault("gradients times activations, pixel by pixel", "baseline", "gradcam", "maps")
def _(at):
    """HiResCAM (Draelos and Carin 2020), which is the same behind a global average alone."""
    at.gradcam._map = lambda activations, gradients: at.torch.relu((gradients * activations).sum(dim=1))


@fault("weights that are the sum over pixels", "tuned", "gradcam", "maps")
def _(at):
    right = at.gradcam._map
    at.gradcam._map = lambda activations, gradients: right(activations, gradients * gradients[0, 0].numel())


@fault("a map that may be negative", "tuned", "gradcam", "maps")
def _(at):
    at.gradcam._map = lambda a, gradients: (gradients.mean(dim=(2, 3), keepdim=True) * a).sum(dim=1)


@fault("a map by absolute values", "baseline", "gradcam", "maps")
def _(at):
    at.gradcam._map = lambda a, gradients: (gradients.mean(dim=(2, 3), keepdim=True) * a).sum(dim=1).abs()


@fault("a map by the convolution before its ReLU", "baseline", "gradcam", "maps")
def _(at):
    change_cut(at, lambda names, place: place - 1)


@fault("a map by the layer behind the convolution", "tuned", "gradcam", "shapes")
def _(at):
    change_cut(at, lambda names, place: place + 1)


@fault("a map by the first convolution", "tuned", "gradcam", "shapes")
def _(at):
    change_cut(at, lambda names, place: names.index("conv2d_1_relu") + 1)


@fault("a map of another answer", "tuned", "gradcam", "maps")
def _(at):
    change_maps(at, lambda found: at.torch.from_numpy(found).roll(1, dims=-1).numpy())


@fault("a map of the sum of all answers", "tuned", "gradcam", "maps")
def _(at):
    unbind = at.torch.Tensor.unbind
    at.torch.Tensor.unbind = lambda self, dim=0: [self.sum(dim=1)] * len(unbind(self, dim))


@fault("maps of a batch by its mean gradients", "tuned", "gradcam", "maps")
def _(at):
    right = at.gradcam._map
    at.gradcam._map = lambda a, gradients: right(a, gradients.mean(dim=0, keepdim=True).expand_as(gradients))


@fault("a map that is scaled to its brightest pixel", "tuned", "gradcam", "maps")
def _(at):
    change_maps(at, lambda found: found / found.max(axis=(1, 2), keepdims=True).clip(1e-12))


@fault("dropout while maps are made", "tuned", "gradcam", "maps")
def _(at):
    maps = at.gradcam.maps

    def trained(model, *given):
        model.module.eval = model.module.train
        found = maps(model, *given)
        del model.module.eval
        return found

    at.gradcam.maps = trained


@fault("weights in half precision", "baseline", "gradcam", "maps")
def _(at):
    right = at.gradcam._map
    at.gradcam._map = lambda a, gradients: right(a, gradients.bfloat16().to(gradients.dtype))


# --- classes ----------------------------------------------------------------------------------------------------------


@fault("the mean of weighted entropies over their weights", "cnn-weighted", "gradients", "loss", OF_CLASSES)
def _(at):
    """As torch has it where it is given classes by number."""

    def criterion(scaling, recipe):
        loss = at.nn.CrossEntropyLoss(at.torch.tensor(recipe.class_weights, dtype=at.torch.get_default_dtype()))
        return lambda answers, targets: loss(answers, targets.argmax(dim=1))

    at.pytorch._criterion = criterion


@fault("classes without their weights", "cnn-weighted", "gradients", "loss", OF_CLASSES)
def _(at):
    at.pytorch._criterion = lambda scaling, recipe: at.nn.functional.cross_entropy


@fault("a map of the probability in the place of its logit", "cnn-weighted", "gradcam", "maps", OF_CLASSES)
def _(at):
    cut = at.gradcam._cut

    def softened(module, layer):
        before, after = cut(module, layer)
        return before, at.nn.Sequential(after, at.nn.Softmax(dim=1))

    at.gradcam._cut = softened


@fault("weights of the classes in the other order", "cnn-weighted", "gradients", "loss", OF_CLASSES)
def _(at):
    def turned(scaling, recipe):
        weights = at.torch.tensor(recipe.class_weights[::-1], dtype=at.torch.get_default_dtype())
        return lambda answers, targets: at.nn.functional.cross_entropy(answers, targets, weight=weights)

    at.pytorch._criterion = turned
