"""More mistakes that porters make, planted as those of `faults` are, by one who had not read the ladder.

Many are small, or show on rare occasions alone: late in training, in a second stage, with a short last batch, on images
of certain sizes. Which rung breaks is not foretold.
"""

import copy
import math
from typing import NamedTuple

import msgspec
import numpy as np

from tests.parity.faults import change_adam, change_epochs, change_layer, change_module, change_preprocessing


class Stranger(NamedTuple):
    """What plants it, and the variant that shows it."""

    plant: object
    variant: str


STRANGERS = {}


def stranger(name, variant):
    def keep(function):
        assert name not in STRANGERS
        STRANGERS[name] = Stranger(function, variant)
        return function

    return keep


def change_loading(at, change):
    """Have `change(name, array)` loaded; where it is None, the model's own is kept."""
    set_weights = at.pytorch.TorchModel.set_weights

    def changed(self, weights):
        own = self.weights()
        given = {name: change(name, array) for name, array in weights.items()}
        set_weights(self, {name: own[name] if array is None else array for name, array in given.items()})

    at.pytorch.TorchModel.set_weights = changed


def change_names(at, *exchanged):
    """Have two names stand for each other's arrays."""
    tensor_of, other = at.pytorch.TorchModel._tensor, dict(zip(exchanged, exchanged[::-1], strict=True))
    at.pytorch.TorchModel._tensor = lambda self, name: tensor_of(self, other.get(name, name))


def change_train(at, change):
    """Have `change(train, model, data, recipe, schedule, on_epoch)` in the place of training by one recipe."""
    train = at.pytorch.TorchModel.train

    def changed(self, data, recipe, schedule, on_epoch):
        return change(lambda *given: train(self, *given), self, data, recipe, schedule, on_epoch)

    at.pytorch.TorchModel.train = changed


def change_step(at, change):
    """Have `change(step, adam)` in the place of an update."""
    step = at.pytorch.KerasAdam.step
    at.pytorch.KerasAdam.step = lambda self, closure=None: change(lambda: step(self), self)


def change_rate(at, factor):
    """Multiply the learning rate by `factor(adam)`, of which `_steps` are done, before every update."""

    def changed(step, adam):
        adam.first = getattr(adam, "first", adam._recipe)
        adam._recipe = msgspec.structs.replace(adam.first, learning_rate=adam.first.learning_rate * factor(adam))
        return step()

    change_step(at, changed)


def change_reach(at, factor):
    """Multiply by `factor(parameter)` how far every update takes a parameter."""

    def changed(step, adam):
        changing = [p for group in adam.param_groups for p in group["params"] if factor(p) != 1]
        before = [parameter.detach().clone() for parameter in changing]
        step()
        with at.torch.no_grad():
            for parameter, start in zip(changing, before, strict=True):
                parameter.copy_(start + factor(parameter) * (parameter - start))

    change_step(at, changed)


def change_gradients(at, change):
    """Have `change(parameters)` before every update."""

    def changed(step, adam):
        change([p for group in adam.param_groups for p in group["params"] if p.grad is not None])
        return step()

    change_step(at, changed)


def change_update(at, update):
    """Have Adam, its moments as they should be, subtract `update(parameter, m, v, recipe, step)`."""

    def step(self, closure=None):
        self._steps += 1
        recipe = self._recipe
        with at.torch.no_grad():
            for parameter in [p for group in self.param_groups for p in group["params"] if p.grad is not None]:
                kept, gradient = self.state[parameter], parameter.grad
                kept["m"] = recipe.beta_1 * kept.get("m", 0) + (1 - recipe.beta_1) * gradient
                kept["v"] = recipe.beta_2 * kept.get("v", 0) + (1 - recipe.beta_2) * gradient**2
                parameter.sub_(update(parameter, kept["m"], kept["v"], recipe, self._steps))

    at.pytorch.KerasAdam.step = step


def corrected(recipe, step):
    """The learning rate with both of Keras's corrections."""
    return recipe.learning_rate * math.sqrt(1 - recipe.beta_2**step) / (1 - recipe.beta_1**step)


def forget(at, forgotten):
    """Have the optimizer not know some of the parameters in `forgotten(all of them)`."""
    init = at.pytorch.KerasAdam.__init__

    def changed(self, parameters, recipe):
        parameters = list(parameters)
        left_out = {id(parameter) for parameter in forgotten(parameters)}
        init(self, [parameter for parameter in parameters if id(parameter) not in left_out], recipe)

    at.pytorch.KerasAdam.__init__ = changed


def change_body(at, family, change):
    """Change the body of a backbone as it is built."""
    build = getattr(at.parts, f"_{family}")

    def changed():
        body, names = build()
        change(body)
        return body, names

    setattr(at.parts, f"_{family}", changed)


def straight(values, rounded):
    """Rounded values, through which gradients pass as if they were not."""
    return values + (rounded - values).detach()


# --- weights and their loading ----------------------------------------------------------------------------------------


@stranger("kernels turned by 180 degrees, as in a true convolution", "baseline")
def _(at):
    weights = at.pytorch.TorchModel.weights

    def turned(array):
        return array[::-1, ::-1].copy() if array.ndim == 4 else array

    change_loading(at, lambda name, array: turned(np.asarray(array)))
    at.pytorch.TorchModel.weights = lambda self: {name: turned(array) for name, array in weights(self).items()}


@stranger("a square dense kernel not transposed", "physics-net")  # dense_1 is 64 by 64; it reads and writes alike
def _(at):
    tensor_of = at.pytorch.TorchModel._tensor

    def as_it_is(self, name):
        tensor, axes = tensor_of(self, name)
        return tensor, (0, 1) if tensor.ndim == 2 and tensor.shape[0] == tensor.shape[1] else axes

    at.pytorch.TorchModel._tensor = as_it_is


@stranger("weights that went through half precision", "tuned")
def _(at):
    change_loading(at, lambda name, array: np.asarray(array, np.float16).astype(array.dtype))


@stranger("biases not loaded but zeroed", "baseline")  # shows where those loaded are not zero, as after training
def _(at):
    change_loading(at, lambda name, array: array * 0 if name.endswith("/bias") else array)


@stranger("two layers' biases exchanged", "augmented")  # both are 64; equal, as at the start, their gradients differ
def _(at):
    change_names(at, "conv2d_3/bias", "conv2d_4/bias")


@stranger("gamma and beta of one batch norm exchanged", "resnet50-head-only")
def _(at):
    change_names(at, "backbone_1/conv5_block3_2_bn/gamma", "backbone_1/conv5_block3_2_bn/beta")


@stranger("two blocks' kernels exchanged", "resnet50-head-only")
def _(at):
    change_names(at, "backbone_1/conv4_block3_2_conv/kernel", "backbone_1/conv4_block4_2_conv/kernel")


@stranger("moving statistics not loaded", "densenet121-head-only")  # shows where they are not zeros and ones
def _(at):
    change_loading(at, lambda name, array: None if "moving_" in name else array)


@stranger("weights handed out as views", "baseline")  # what was taken before training changes with it
def _(at):
    def views(self):
        tensors = {name: self._tensor(name) for name in self._shapes}
        return {name: tensor.detach().cpu().numpy().transpose(axes) for name, (tensor, axes) in tensors.items()}

    at.pytorch.TorchModel.weights = views


# --- layers -----------------------------------------------------------------------------------------------------------


@stranger("padding one pixel off", "tuned")
def _(at):
    def shifted(layer, x):
        edge = layer.kernel_size[0] // 2
        around = (edge - 1, edge + 1, edge - 1, edge + 1)
        return at.nn.functional.conv2d(at.nn.functional.pad(x, around), layer.weight, layer.bias)

    change_layer(at, "conv2d_2", shifted)


@stranger("pooling that drops the first row of an odd image, not the last", "baseline")
def _(at):
    forward = at.nn.MaxPool2d.forward
    at.nn.MaxPool2d.forward = lambda self, x: forward(self, x[:, :, x.shape[2] % 2 :, x.shape[3] % 2 :])


@stranger("pooling with ceil_mode", "physics-net")  # shows on images whose edge is no multiple of eight
def _(at):
    pool = at.nn.MaxPool2d
    at.nn.MaxPool2d = lambda size: pool(size, ceil_mode=True)


@stranger("leaky ReLU in the hidden layer", "baseline")
def _(at):
    change_layer(at, "dense_1_relu", lambda layer, x: at.nn.functional.leaky_relu(x, 0.01))


@stranger("softplus of sharpness 20 for ReLU", "physics-net")
def _(at):
    change_layer(at, "conv2d_4_relu", lambda layer, x: at.nn.functional.softplus(x, 20))


@stranger("a hidden layer without its ReLU", "tuned")
def _(at):
    change_layer(at, "dense_1_relu", lambda layer, x: x)


@stranger("the last ReLU behind the average", "augmented")
def _(at):
    change_layer(at, "conv2d_4_relu", lambda layer, x: x)
    change_layer(at, "globalaveragepool2d_1", lambda layer, x: x.mean((2, 3)).relu())


@stranger("outputs clamped to three deviations", "baseline")  # shows where an output is beyond them
def _(at):
    change_layer(at, "dense_2", lambda layer, x: type(layer).forward(layer, x).clamp(-3, 3))


@stranger("periodic edges on the wrong sides", "augmented")
def _(at):
    def around(self, x):
        edge = self.kernel_size[0] // 2
        x = at.torch.cat([x[:, :, :edge], x, x[:, :, -edge:]], dim=2)
        return at.nn.Conv2d.forward(self, at.torch.cat([x[..., :edge], x, x[..., -edge:]], dim=3))

    at.pytorch.PeriodicConv2d.forward = around


@stranger("zeros in the corners of a periodic image", "physics-net")
def _(at):
    def around(self, x):
        edge, pad = self.kernel_size[0] // 2, at.nn.functional.pad
        rows = at.torch.cat([x[:, :, -edge:], x, x[:, :, :edge]], dim=2)
        left, right = (pad(columns, (0, 0, edge, edge)) for columns in (x[..., -edge:], x[..., :edge]))
        return at.nn.Conv2d.forward(self, at.torch.cat([left, rows, right], dim=3))

    at.pytorch.PeriodicConv2d.forward = around


@stranger("dropout behind the hidden layer", "tuned")  # where there is any, as in the next four
def _(at):
    def change(module):
        if hasattr(module, "dropout_1") and hasattr(module, "dense_1_relu"):
            dropout, hidden = module.dropout_1, module.dense_1_relu
            dropout.forward = lambda x: x
            hidden.forward = lambda x: at.nn.functional.dropout(x.relu(), dropout.p, dropout.training)

    change_module(at, change)


@stranger("dropout of whole images", "tuned")  # torch takes (images, values) for (channels, length) of one image
def _(at):
    at.nn.Dropout = at.nn.Dropout1d


@stranger("dropout of whole channels", "tuned")
def _(at):
    def change(module):
        if hasattr(module, "dropout_1"):
            dropout, flatten = module.dropout_1, module.flatten_1
            dropout.forward = lambda x: x
            flat = flatten.forward
            flatten.forward = lambda x: flat(at.nn.functional.dropout2d(x, dropout.p, dropout.training))

    change_module(at, change)


@stranger("dropout masks that come again every epoch", "tuned")
def _(at):
    change_epochs(at, lambda one_epoch, given: [at.torch.manual_seed(1), one_epoch(**given)][1])


@stranger("dropout that gradients do not know of", "tuned")
def _(at):
    def changed(self, x):
        return straight(x, at.nn.functional.dropout(x, self.p, self.training)) if self.training else x

    at.nn.Dropout.forward = changed


# --- numbers ----------------------------------------------------------------------------------------------------------


@stranger("a convolution in TF32", "tuned")
def _(at):
    def cut(values):
        bits = values.detach().float().contiguous().view(at.torch.int32) & ~0x1FFF
        return straight(values, bits.view(at.torch.float32).to(values.dtype))

    change_layer(at, "conv2d_2", lambda layer, x: layer._conv_forward(cut(x), cut(layer.weight), layer.bias))


@stranger("bfloat16 while training, by autocast", "augmented")  # which leaves double precision alone
def _(at):
    right = at.pytorch._batch_loss

    def lower(module, images, targets, criterion):
        with at.torch.autocast(images.device.type, at.torch.bfloat16):
            return right(module, images, targets, criterion)

    at.pytorch._batch_loss = lower


@stranger("an average taken in half precision", "physics-net")
def _(at):
    change_layer(at, "globalaveragepool2d_1", lambda layer, x: x.half().mean((2, 3)).to(x.dtype))


@stranger("targets scaled in single precision", "baseline")
def _(at):
    def scaled(self, targets):
        return (targets.astype("f4") - np.array(self.offset, "f4")) / np.array(self.scale, "f4")

    at.pytorch.Scaling.to_network = scaled


@stranger("chunks of predictions put together in reverse", "baseline")  # shows with more than 128 images
def _(at):
    def backwards(module, images):
        with at.torch.inference_mode():
            return at.torch.cat([module.eval()(part) for part in images.split(128)[::-1]])

    at.pytorch._outputs = backwards


@stranger("predictions of a copy made at the first", "baseline")  # shows once weights have changed since
def _(at):
    predict = at.pytorch.TorchModel.predict

    def stale(self, images):
        if not hasattr(self, "traced"):
            self.traced = copy.copy(self)
            self.traced.module = copy.deepcopy(self.module)
        return predict(self.traced, images)

    at.pytorch.TorchModel.predict = stale


# --- images and targets -----------------------------------------------------------------------------------------------


@stranger("images cut to 8 bits", "augmented")  # shows on images that are not of 256 levels, black and white among them
def _(at):
    right = at.pytorch._on_device
    at.pytorch._on_device = lambda array: right(np.floor(array * 255) / 255 if array.ndim == 4 else array)


@stranger("height and width of images exchanged", "physics-net")
def _(at):
    change_layer(at, "channels_first", lambda layer, x: x.permute(0, 3, 2, 1))


@stranger("training images upside down", "baseline")  # and not those to predict for
def _(at):
    def changed(train, model, data, *others):
        return train(msgspec.structs.replace(data, images=data.images[:, ::-1]), *others)

    change_train(at, changed)


@stranger("noise left on the training images", "augmented")
def _(at):
    def noisy(one_epoch, given):
        return one_epoch(**{**given, "images": given["images"] + 1e-3 * at.torch.randn_like(given["images"])})

    change_epochs(at, noisy)


@stranger("two label columns exchanged", "baseline")
def _(at):
    right = at.pytorch.Scaling.to_network
    at.pytorch.Scaling.to_network = lambda self, targets: right(self, targets)[:, [1, 0, *range(2, targets.shape[1])]]


@stranger("two answers exchanged as they are scaled back", "physics-net")
def _(at):
    right = at.pytorch.Scaling.to_physical

    def exchanged(self, outputs):
        return right(self, outputs[:, [*range(outputs.shape[1] - 2), -1, -2]])

    at.pytorch.Scaling.to_physical = exchanged


@stranger("targets standardised by the sample's deviation", "augmented")  # one more or less of n: ddof=1
def _(at):
    def changed(train, model, data, *others):
        scaling = model.right = getattr(model, "right", model._task.scaling)
        factor = math.sqrt(len(data.targets) / (len(data.targets) - 1))
        wider = msgspec.structs.replace(scaling, scale=tuple(factor * scale for scale in scaling.scale))
        model._task = msgspec.structs.replace(model._task, scaling=wider)
        return train(data, *others)

    change_train(at, changed)


@stranger("images moved, their targets not", "augmented")
def _(at):
    def changed(train, model, data, *others):
        def moved(epoch):
            return data.moved(epoch)[0], data.targets

        return train(msgspec.structs.replace(data, moved=data.moved and moved), *others)

    change_train(at, changed)


@stranger("moves drawn once for all epochs", "physics-net")  # shows from the second epoch on
def _(at):
    def changed(train, model, data, *others):
        return train(msgspec.structs.replace(data, moved=data.moved and (lambda _: data.moved(0))), *others)

    change_train(at, changed)


@stranger("nothing moved after the first stage", "augmented")
def _(at):
    def changed(train, model, data, *others):
        data = msgspec.structs.replace(data, moved=None) if hasattr(model, "was_trained") else data
        model.was_trained = True
        return train(data, *others)

    change_train(at, changed)


# --- loss -------------------------------------------------------------------------------------------------------------


@stranger("Huber's loss, square up to three deviations", "baseline")  # shows where an error is larger
def _(at):
    huber = at.nn.functional.huber_loss
    at.nn.functional.mse_loss = lambda a, b: 2 * huber(a, b, delta=3.0)


@stranger("one target that counts twice in training", "physics-net")
def _(at):
    right = at.pytorch._batch_loss

    def weighted(module, images, targets, criterion):
        loss, first = right(module, images, targets, criterion), (module(images)[:, 0] - targets[:, 0]).square().mean()
        return (loss * targets.shape[1] + first) / (targets.shape[1] + 1)

    at.pytorch._batch_loss = weighted


@stranger("targets of exactly zero taken for missing", "baseline")  # a constant column is zero once it is scaled
def _(at):
    def masked(a, b):
        return ((a - b).square() * (b != 0)).sum() / (b != 0).sum()

    at.nn.functional.mse_loss = masked


@stranger("gradients that stay scaled up", "baseline")  # by 1024, against underflow: epsilon alone tells
def _(at):
    change_gradients(at, lambda parameters: [parameter.grad.mul_(1024) for parameter in parameters])


@stranger("a short batch's gradients divided by a whole one's images", "baseline")  # its loss is right
def _(at):
    right, size = at.pytorch._batch_loss, []

    def changed(one_epoch, given):
        size[:] = [given["batch_size"]]
        return one_epoch(**given)

    def smaller(module, images, targets, criterion):
        loss = right(module, images, targets, criterion)
        return straight(loss * len(images) / size[0], loss) if size and module.training else loss

    change_epochs(at, changed)
    at.pytorch._batch_loss = smaller


# --- optimizer --------------------------------------------------------------------------------------------------------


@stranger("Adam without corrections", "physics-net")
def _(at):
    change_update(at, lambda p, m, v, recipe, step: recipe.learning_rate * m / (v.sqrt() + recipe.epsilon))


@stranger("epsilon under the root", "baseline")
def _(at):
    change_update(at, lambda p, m, v, recipe, step: corrected(recipe, step) * m / (v + recipe.epsilon).sqrt())


@stranger("Adam's corrections a step ahead", "baseline")
def _(at):
    change_update(at, lambda p, m, v, recipe, step: corrected(recipe, step + 1) * m / (v.sqrt() + recipe.epsilon))


@stranger("Adam's count of steps kept while its moments start anew", "augmented")  # shows in the second stage
def _(at):
    def update(parameter, m, v, recipe, step):
        parameter.seen = getattr(parameter, "seen", 0) + 1
        return corrected(recipe, parameter.seen) * m / (v.sqrt() + recipe.epsilon)

    change_update(at, update)


@stranger("NAdam", "tuned")
def _(at):
    def update(parameter, m, v, recipe, step):
        ahead = recipe.beta_1 * m + (1 - recipe.beta_1) * parameter.grad
        return corrected(recipe, step) * ahead / (v.sqrt() + recipe.epsilon)

    change_update(at, update)


@stranger("AMSGrad", "baseline")  # shows once a second moment falls
def _(at):
    init = at.pytorch.KerasAdam.__init__

    def changed(self, parameters, recipe):
        init(self, parameters, recipe)
        self.param_groups[0]["amsgrad"] = True

    at.pytorch.KerasAdam.__init__ = changed


@stranger("an epsilon of 1e-8", "augmented")
def _(at):
    change_adam(at, lambda _, recipe: msgspec.structs.replace(recipe, epsilon=1e-8))


@stranger("a penalty on squared weights in Adam's gradients", "baseline")
def _(at):
    def decay(parameters):
        for parameter in parameters:
            parameter.grad.add_(parameter.detach(), alpha=1e-5)

    change_gradients(at, decay)


@stranger("gradients clipped to a norm of one", "baseline")  # shows where it is larger
def _(at):
    change_gradients(at, lambda parameters: at.nn.utils.clip_grad_norm_(parameters, 1.0))


@stranger("gradients clipped at a tenth", "physics-net")  # shows where one is larger
def _(at):
    change_gradients(at, lambda parameters: at.nn.utils.clip_grad_value_(parameters, 0.1))


@stranger("a rate that falls by a ten thousandth in every step", "baseline")  # the first is right
def _(at):
    change_rate(at, lambda adam: 0.9999**adam._steps)


@stranger("a rate that falls after two hundred updates", "baseline")
def _(at):
    change_rate(at, lambda adam: 0.1 if adam._steps >= 200 else 1)


@stranger("a rate halved when five epochs bring nothing", "tuned")
def _(at):
    factor = [1.0]

    def changed(train, model, data, recipe, schedule, on_epoch):
        best = [math.inf, 0]

        def watch(epoch, loss, validation_loss):
            best[:] = [validation_loss, 0] if validation_loss < best[0] else [best[0], best[1] + 1]
            if best[1] == 5:
                factor[0], best[1] = factor[0] / 2, 0
            return on_epoch(epoch, loss, validation_loss)

        factor[0] = 1.0
        return train(data, recipe, schedule, watch)

    change_train(at, changed)
    change_rate(at, lambda adam: factor[0])


@stranger("a rate that follows a cosine", "augmented")  # to zero at the recipe's end; the first update is right
def _(at):
    updates = [1]

    def changed(train, model, data, recipe, schedule, on_epoch):
        epochs, images = schedule.order.shape
        updates[0] = epochs * -(-images // schedule.batch_size)
        return train(data, recipe, schedule, on_epoch)

    change_train(at, changed)
    change_rate(at, lambda adam: (1 + math.cos(math.pi * adam._steps / updates[0])) / 2)


@stranger("a warm-up of the second stage", "physics-net")
def _(at):
    def factor(adam):
        parameter = adam.param_groups[0]["params"][0]
        parameter.trained_by = getattr(parameter, "trained_by", adam)
        return 1 if parameter.trained_by is adam else min(1, (adam._steps + 1) / 5)

    change_rate(at, factor)


@stranger("moments that start anew in every epoch", "baseline")
def _(at):
    def changed(one_epoch, given):
        given["adam"].state.clear()
        given["adam"]._steps = 0
        return one_epoch(**given)

    change_epochs(at, changed)


@stranger("moments kept in bfloat16", "augmented")  # not in double precision; shows from the second update on
def _(at):
    def changed(step, adam):
        step()
        for kept in adam.state.values():
            if kept["exp_avg"].dtype is at.torch.float32:
                kept["exp_avg"].copy_(kept["exp_avg"].bfloat16())

    change_step(at, changed)


@stranger("twice the rate for biases, as in Caffe", "baseline")
def _(at):
    change_reach(at, lambda parameter: 2 if parameter.ndim == 1 else 1)


@stranger("the last bias forgotten by the optimizer", "augmented")
def _(at):
    forget(at, lambda parameters: parameters[-1:])


# --- epochs and batches -----------------------------------------------------------------------------------------------


@stranger("validated before the epoch's training", "baseline")
def _(at):
    right, before = at.pytorch._loss, []

    def changed(one_epoch, given):
        before[:] = [copy.deepcopy(given["module"])]
        return one_epoch(**given)

    change_epochs(at, changed)
    at.pytorch._loss = lambda module, *validation: right(before.pop() if before else module, *validation)


@stranger("a validation loss that is its batches' mean", "baseline")  # shows where the last of them is short
def _(at):
    right, size = at.pytorch._loss, []

    def changed(one_epoch, given):
        size[:] = [given["batch_size"]]
        return one_epoch(**given)

    def unweighted(module, images, targets, criterion):
        if not size or not len(images):
            return right(module, images, targets, criterion)
        parts = zip(images.split(size[0]), targets.split(size[0]), strict=True)
        return float(np.mean([right(module, *part, criterion) for part in parts]))

    change_epochs(at, changed)
    at.pytorch._loss = unweighted


@stranger("the first epoch's order in every epoch", "baseline")  # shows from the second on
def _(at):
    def changed(train, model, data, recipe, schedule, on_epoch):
        order = np.repeat(schedule.order[:1], len(schedule.order), axis=0)
        return train(data, recipe, msgspec.structs.replace(schedule, order=order), on_epoch)

    change_train(at, changed)


@stranger("a training loss measured when the epoch is over", "baseline")
def _(at):
    def changed(one_epoch, given):
        one_epoch(**given)
        return at.pytorch._loss(given["module"], given["images"], given["targets"], given["criterion"])

    change_epochs(at, changed)


@stranger("the last batch's loss for the epoch's", "tuned")  # shows where there are several
def _(at):
    right, last = at.pytorch._batch_loss, []

    def noted(module, images, targets, criterion):
        last[:] = [right(module, images, targets, criterion)]
        return last[0]

    at.pytorch._batch_loss = noted
    change_epochs(at, lambda one_epoch, given: [one_epoch(**given), last[0].item()][1])


@stranger("a short last batch filled up with the first images", "baseline")
def _(at):
    def filled(one_epoch, given):
        order, size = given["order"], given["batch_size"]
        return one_epoch(**{**given, "order": np.resize(order, -(-len(order) // size) * size)})

    change_epochs(at, filled)


@stranger("a short last batch that is shown but not learned from", "physics-net")  # losses count it
def _(at):
    right, whole, shown = at.pytorch._batch_loss, [], []

    def changed(one_epoch, given):
        whole[:] = [given["batch_size"]]
        return one_epoch(**given)

    def noted(module, images, targets, criterion):
        shown[:] = [len(images)]
        return right(module, images, targets, criterion)

    change_epochs(at, changed)
    at.pytorch._batch_loss = noted
    change_step(at, lambda step, adam: step() if not whole or shown == whole else None)


@stranger("a last batch of one image left out", "baseline")  # which torch's batch norm would refuse: rare
def _(at):
    def changed(one_epoch, given):
        alone = len(given["order"]) > 1 and len(given["order"]) % given["batch_size"] == 1
        return one_epoch(**{**given, "order": given["order"][:-1] if alone else given["order"]})

    change_epochs(at, changed)


@stranger("stopped when five epochs bring nothing", "baseline")
def _(at):
    class Stop(Exception):
        pass

    def changed(train, model, data, recipe, schedule, on_epoch):
        losses = []

        def watch(epoch, loss, validation_loss):
            losses.append((loss, validation_loss))
            if epoch - min(range(epoch), key=lambda earlier: losses[earlier][1]) > 5:
                raise Stop
            return on_epoch(epoch, loss, validation_loss)

        try:
            return train(data, recipe, schedule, watch)
        except Stop:
            return at.pytorch.History(*zip(*losses, strict=True), seconds=0.0)

    change_train(at, changed)


@stranger("the weights of the last two epochs averaged", "tuned")  # shows where there are two
def _(at):
    def changed(train, model, data, recipe, schedule, on_epoch):
        kept = []

        def watch(epoch, loss, validation_loss):
            kept[:] = [*kept[-1:], model.weights()]
            return on_epoch(epoch, loss, validation_loss)

        history = train(data, recipe, schedule, watch)
        model.set_weights({name: sum(weights[name] for weights in kept) / len(kept) for name in kept[0]})
        return history

    change_train(at, changed)


# --- stages -----------------------------------------------------------------------------------------------------------


@stranger("a head that is new when fine-tuning begins", "vgg16-fine-tuned")
def _(at):
    def changed(train, model, data, recipe, *others):
        if recipe.trains == "head":
            model.new = {name: array for name, array in model.weights().items() if not name.startswith("backbone_")}
        elif hasattr(model, "new"):
            model.set_weights(model.weights() | model.new)
        return train(data, recipe, *others)

    change_train(at, changed)


@stranger("the first block forgotten by the optimizer", "vgg16-fine-tuned")  # trainable all the same, and has gradients
def _(at):
    forget(at, lambda parameters: parameters[:4] if len(parameters) > 4 else [])


@stranger("a tenth of the rate for the backbone", "resnet50-fine-tuned")
def _(at):
    def change(module):
        for layer in module:
            if isinstance(layer, at.parts.TorchBackbone):
                for parameter in layer.parameters():
                    parameter.slower = 0.1

    change_module(at, change)
    change_reach(at, lambda parameter: getattr(parameter, "slower", 1))


@stranger("features kept in half precision", "vgg16-head-only")
def _(at):
    right = at.pytorch.TorchModel.features
    at.pytorch.TorchModel.features = lambda self, images: right(self, images).astype("f2").astype("f4")


@stranger("features of the first images of this number", "vgg16-head-only")  # shows when others follow them
def _(at):
    right, kept = at.pytorch.TorchModel.features, {}

    def stale(self, images):
        if images.shape not in kept:
            kept[images.shape] = right(self, images)
        return kept[images.shape]

    at.pytorch.TorchModel.features = stale


@stranger("features taken in training mode", "resnet50-head-only")  # predictions are not
def _(at):
    def training(self, images):
        with at.torch.no_grad():
            return self._frozen.train()(at.pytorch._on_device(images)).cpu().numpy()

    at.pytorch.TorchModel.features = training


@stranger("norms that thaw after the first epoch", "resnet50-fine-tuned-frozen-norms")
def _(at):
    def changed(one_epoch, given):
        for norm in given["module"].modules():
            if isinstance(norm, at.parts.KerasBatchNorm2d):
                norm.still = norm.still and not hasattr(norm, "was_trained")
                norm.was_trained = True
        return one_epoch(**given)

    change_epochs(at, changed)


# --- backbones --------------------------------------------------------------------------------------------------------


@stranger("Caffe's rounded mean of ImageNet", "vgg16-head-only")
def _(at):
    change_preprocessing(at, lambda scale, offset: (scale, (-104.0, -117.0, -123.0)))


@stranger("DenseNet's images in -1..1", "densenet121-head-only")
def _(at):
    change_preprocessing(at, lambda scale, offset: ((2.0,) * 3, (-1.0,) * 3))


@stranger("black around the image, not its mean", "vgg16-head-only")  # padded before the mean is subtracted
def _(at):
    def change(module):
        backbone = module.backbone_1
        door, offset = backbone.body[0], backbone.preprocessing.offset

        def around(x):
            padded = at.nn.functional.pad(x - offset, (1,) * 4) + offset
            return at.nn.functional.conv2d(padded, door.weight, door.bias)

        door.forward = around

    change_module(at, change)


@stranger("TensorFlow's `same` in the stem", "resnet50-head-only")  # two pixels before and three after, not three each
def _(at):
    def change(body):
        stem = body.conv1
        stem.forward = lambda x: at.nn.functional.conv2d(
            at.nn.functional.pad(x, (2, 3, 2, 3)), stem.weight, stem.bias, stride=2
        )

    change_body(at, "resnet50", change)


@stranger("TensorFlow's `same` in the stem's pool", "densenet121-head-only")
def _(at):
    def change(body):
        body.pool0.forward = lambda x: at.nn.functional.max_pool2d(at.nn.functional.pad(x, (0, 1, 0, 1)), 3, 2)

    change_body(at, "densenet121", change)


@stranger("the last transition with max for average pooling", "densenet121-head-only")
def _(at):
    change_body(at, "densenet121", lambda body: setattr(body.transition3, "pool", at.nn.MaxPool2d(2, 2)))


@stranger("a block's last two layers concatenated the other way", "densenet121-head-only")
def _(at):
    def change(body):
        def other_way(init):
            features = [init]
            for layer in block.children():
                features.append(layer(features))
            return at.torch.cat([*features[:-2], features[-1], features[-2]], 1)

        block = body.denseblock2
        block.forward = other_way

    change_body(at, "densenet121", change)


@stranger("ReLU before the sum in the last block", "resnet50-head-only")
def _(at):
    def change(body):
        block = body.layer4[2]

        def early(x):
            values = block.bn1(block.conv1(x)).relu()
            return block.bn3(block.conv3(block.bn2(block.conv2(values)).relu())).relu() + x

        block.forward = early

    change_body(at, "resnet50", change)


@stranger("batch statistics that gradients do not pass", "resnet50-fine-tuned")  # the values are right
def _(at):
    forward = at.parts.KerasBatchNorm2d.forward

    def constant(self, values):
        if not self.training:
            return forward(self, values)
        with at.torch.no_grad():
            forward(self, values)
            variance, mean = at.torch.var_mean(values, (0, 2, 3), correction=0)
        return at.nn.functional.batch_norm(values, mean, variance, self.weight, self.bias, False, 0.0, self.eps)

    at.parts.KerasBatchNorm2d.forward = constant


@stranger("DenseNet that computes again, and counts twice", "densenet121-fine-tuned")  # moving statistics of its norms
def _(at):
    change_body(
        at,
        "densenet121",
        lambda body: [setattr(layer, "memory_efficient", True) for layer in body.modules() if hasattr(layer, "norm2")],
    )


@stranger("DenseNet with a dropout of its own", "densenet121-fine-tuned")
def _(at):
    change_body(
        at,
        "densenet121",
        lambda body: [setattr(layer, "drop_rate", 0.05) for layer in body.modules() if hasattr(layer, "norm2")],
    )


# --- exported graphs --------------------------------------------------------------------------------------------------


@stranger("a graph of a fixed batch", "baseline")
def _(at):
    export = at.torch.onnx.export
    at.torch.onnx.export = lambda *given, **named: export(*given, **{**named, "dynamic_shapes": None})


@stranger("a graph of weights in half precision", "tuned")
def _(at):
    physical = at.pytorch.Physical
    at.pytorch.Physical = lambda network, scaling: physical(copy.deepcopy(network).half().float(), scaling)


@stranger("a graph without negative answers", "baseline")  # shows where there would be one
def _(at):
    forward = at.pytorch.Physical.forward
    at.pytorch.Physical.forward = lambda self, images: forward(self, images).clamp(min=0)


@stranger("a graph of scales in half precision", "augmented")
def _(at):
    def rounded(self, images):
        return self.network(images) * self.scale.half().float() + self.offset.half().float()

    at.pytorch.Physical.forward = rounded


@stranger("a graph of the weights before training", "physics-net")
def _(at):
    physical = at.pytorch.Physical

    def changed(train, model, *given):
        model.module.before = getattr(model.module, "before", None) or [copy.deepcopy(model.module)]
        return train(*given)

    change_train(at, changed)
    at.pytorch.Physical = lambda network, scaling: physical(getattr(network, "before", [network])[0], scaling)
