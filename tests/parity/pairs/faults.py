"""Mistakes that porters make, each planted alone into the torch side of a pair, and where the ladder must break.

A fault is a function of `at`: `at.model` is the module, which it changes; `at.loss` and `at.optimizer`, where it sets
them, take the place of the file's; `at.torch`, `at.nn` and `at.F` are torch. It runs in torch's process.
"""

import types
from pathlib import Path
from typing import NamedTuple


class Fault(NamedTuple):
    """The pair that shows it, the first rung that breaks, and what that rung names."""

    plant: object
    pair: str
    rung: str
    where: str


FAULTS = {}


def fault(pair, name, rung, where):
    def keep(function):
        assert f"{pair}: {name}" not in FAULTS
        FAULTS[f"{pair}: {name}"] = Fault(function, pair, rung, where)
        return function

    return keep


def pair_file(name):
    """A pair's file, with the fault of this name in it; a side's process does not know where these tests are."""
    pair, house = FAULTS[name].pair, str(Path(__file__).parents[3])
    finds = f"import sys\n\nsys.path.insert(0, {house!r})\n"
    return f"{finds}from tests.parity.pairs import planted\n\nplanted.plant({name!r}, globals(), {pair!r})\n"


def instead(module, forward):
    """Have a module compute `forward(module, ...)`."""
    module.forward = types.MethodType(forward, module)


def modules(at, kind):
    return [module for module in at.model.modules() if isinstance(module, kind)]


# --- ResNet-18 ----------------------------------------------------------------------------------------------------


@fault("resnet18", "stride in a block's second convolution", "forward", "stage2_block0_1_conv")
def _(at):
    at.model.layer2[0].conv1.stride, at.model.layer2[0].conv2.stride = (1, 1), (2, 2)


@fault("resnet18", "batch norm's epsilon as Keras has it", "forward", "epsilon is 1e-05 in keras, 0.001 in torch")
def _(at):
    for norm in modules(at, at.nn.BatchNorm2d):
        norm.eps = 1e-3


@fault("resnet18", "epsilon of one batch norm a thousandth off", "forward", "stage3_block0_1_bn")
def _(at):
    at.model.layer3[0].bn1.eps = 1.001e-5


@fault("resnet18", "momentum the other way round", "state", "momentum is 0.9 in keras, 0.1 in torch")
def _(at):
    for norm in modules(at, at.nn.BatchNorm2d):
        norm.momentum = 0.9


@fault("resnet18", "a convolution with a bias", "structure", "layer1.0.conv1 has a bias")
def _(at):
    at.model.layer1[0].conv1 = at.nn.Conv2d(4, 4, 3, 1, 1)


@fault("resnet18", "max pooling without padding", "forward", "stage1_block0_1_conv")
def _(at):
    at.model.maxpool.padding = 0


@fault("resnet18", "no ReLU behind a sum", "forward", "stage1_block1_1_conv")
def _(at):
    def forward(self, x):
        return x + self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))

    instead(at.model.layer1[0], forward)


@fault("resnet18", "a block without its shortcut", "forward", "stage2_block0_1_conv")
def _(at):
    def forward(self, x):
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))

    instead(at.model.layer1[1], forward)


@fault("resnet18", "batch norms that stay in inference mode", "gradients", "loss")
def _(at):
    for norm in modules(at, at.nn.BatchNorm2d):
        norm.train = lambda mode=True, norm=norm: norm
        norm.eval()
        norm.training = False


@fault("resnet18", "a batch norm that takes the batch's statistics always", "forward", "stem_bn")
def _(at):
    def forward(self, x):
        return at.F.batch_norm(x, None, None, self.weight, self.bias, True, 0.1, self.eps)

    instead(at.model.bn1, forward)


@fault("resnet18", "a batch norm without scale and shift", "structure", "stem_bn has a gamma")
def _(at):
    at.model.bn1 = at.nn.BatchNorm2d(4, affine=False)


@fault("resnet18", "a head that is frozen", "structure", "head/kernel (fc.weight) is trained in keras, not in torch")
def _(at):
    at.model.fc.weight.requires_grad_(False)


@fault("resnet18", "a loss that is summed", "gradients", "8 times that")
def _(at):
    at.loss = lambda: at.nn.CrossEntropyLoss(reduction="sum")


@fault("resnet18", "labels that are smoothed", "gradients", "loss")
def _(at):
    at.loss = lambda: at.nn.CrossEntropyLoss(label_smoothing=0.1)


@fault("resnet18", "a rate that is half", "optimizer", "the rate of step 1 is 0.05 in keras, 0.025 in torch")
def _(at):
    at.optimizer = lambda model: at.torch.optim.SGD(model.parameters(), 0.025, momentum=0.9)


@fault("resnet18", "Nesterov's momentum", "optimizer", "nesterov is None in keras, True in torch")
def _(at):
    at.optimizer = lambda model: at.torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, nesterov=True)


@fault("resnet18", "dampening", "optimizer", "dampening is None in keras, 0.9 in torch")
def _(at):
    at.optimizer = lambda model: at.torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, dampening=0.9)


@fault("resnet18", "weight decay in one framework", "optimizer", "weight_decay is None in keras, 0.0001 in torch")
def _(at):
    at.optimizer = lambda model: at.torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)


@fault("resnet18", "an optimizer that was not given the head", "optimizer", "head/")
def _(at):
    at.optimizer = lambda model: at.torch.optim.SGD(
        [parameter for name, parameter in model.named_parameters() if "fc" not in name], 0.05, momentum=0.9
    )


# --- U-Net --------------------------------------------------------------------------------------------------------


@fault("unet", "skips the other way round", "forward", "level2_conv1")
def _(at):
    at.model.skip = lambda before, x: at.torch.cat([x, before], dim=1)


@fault("unet", "cut on the other side", "forward", "level1_conv1 (level1.0); it is given other numbers")
def _(at):
    up1 = at.model.up1.forward
    at.model.up1.forward = lambda x: at.F.pad(up1(x)[:, :, 1:, 1:], (0, 1, 0, 1))


@fault("unet", "a transposed convolution with a flipped kernel", "forward", "up2")
def _(at):
    def forward(self, x):
        return at.F.conv_transpose2d(x, self.weight.flip(2, 3), self.bias, self.stride)

    instead(at.model.up2, forward)


@fault("unet", "output padding for what Keras cuts", "forward", "level1_conv1 (level1.0); it is given other numbers")
def _(at):
    def forward(self, x):
        whole = at.F.conv_transpose2d(x, self.weight, self.bias, 2, padding=1, output_padding=1)
        return at.F.pad(whole, (0, 1, 0, 1))

    instead(at.model.up1, forward)


@fault("unet", "average for max pooling", "forward", "down2_conv1")
def _(at):
    def forward(self, x):
        one = self.down1(x)
        two = self.down2(at.F.avg_pool2d(one, 2))
        x = self.up2(self.bottom(at.F.max_pool2d(two, 2)))
        x = self.up1(self.level2(self.skip(two, x)))[:, :, :-1, :-1]
        return at.torch.sigmoid(self.mask(self.level1(self.skip(one, x))))

    instead(at.model, forward)


@fault("unet", "no sigmoid", "forward", "answer 0")
def _(at):
    sigmoid = at.model.forward
    at.model.forward = lambda x: at.torch.logit(sigmoid(x))


@fault("unet", "a sigmoid too many, in the loss", "gradients", "loss")
def _(at):
    at.loss = at.nn.BCEWithLogitsLoss


@fault("unet", "padding that reflects", "forward", "padding_mode reflect")
def _(at):
    before = at.model.down1[0]
    at.model.down1[0] = at.nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect")
    at.model.down1[0].load_state_dict(before.state_dict())


@fault("unet", "leaky ReLU for ReLU", "forward", "down1_conv2")
def _(at):
    at.model.down1[1] = at.nn.LeakyReLU(0.01)


@fault("unet", "a skip that gradients do not pass", "gradients", "level2_conv1|up2|bottom|down")
def _(at):
    at.model.skip = lambda before, x: at.torch.cat([before.detach(), x], dim=1)


@fault("unet", "Adam's first beta", "optimizer", "beta_1 is 0.9 in keras, 0.95 in torch")
def _(at):
    at.optimizer = lambda model: at.torch.optim.Adam(model.parameters(), 2e-3, betas=(0.95, 0.999))


@fault("unet", "Adam's second beta, a thousandth off", "optimizer", "beta_2 is 0.999 in keras, 0.998 in torch")
def _(at):
    at.optimizer = lambda model: at.torch.optim.Adam(model.parameters(), 2e-3, betas=(0.9, 0.998))


@fault("unet", "Adam's epsilon", "optimizer", "epsilon is 1e-08 in keras, 1e-07 in torch")
def _(at):
    at.optimizer = lambda model: at.torch.optim.Adam(model.parameters(), 2e-3, eps=1e-7)


@fault("unet", "AMSGrad", "optimizer", "amsgrad is None in keras, True in torch")
def _(at):
    at.optimizer = lambda model: at.torch.optim.Adam(model.parameters(), 2e-3, amsgrad=True)


# --- MobileNet ----------------------------------------------------------------------------------------------------


def symmetric(at, layers, place):
    """What porters write for `same`: a padding of one on every side, which TensorFlow has not at stride 2."""
    layers[place] = at.nn.Identity()
    layers[place + 1].padding = (1, 1)


@fault("mobilenet", "strided `same` padded on both sides", "forward", "stem (features.0.1)")
def _(at):
    symmetric(at, at.model.features[0], 0)


@fault("mobilenet", "strided `same` padded on both sides, in the middle", "forward", "block1_depthwise")
def _(at):
    symmetric(at, at.model.features[2].body, 3)


@fault("mobilenet", "ReLU for ReLU6", "forward", "block0_depthwise (features.1.body.0)")
def _(at):
    at.model.features[0][3] = at.nn.ReLU()


@fault("mobilenet", "a whole convolution for a depthwise one", "structure", "block1_depthwise/kernel is (3, 3, 1, 18)")
def _(at):
    at.model.features[2].body[4] = at.nn.Conv2d(18, 18, 3, 2, bias=False)


@fault("mobilenet", "another dropout rate", "structure", "keras has dropout 0.2; torch has dropout 0.5")
def _(at):
    at.model.dropout.p = 0.5


@fault("mobilenet", "dropout while predicting", "forward", "head (classifier); it is given other numbers")
def _(at):
    at.model.dropout.forward = lambda x: at.F.dropout(x, 0.2)


@fault("mobilenet", "a sum where a block has none", "forward", "block1_expand")
def _(at):
    at.model.features[1].adds = False


@fault("mobilenet", "batch norm's momentum as torch has it", "state", "momentum is 0.99 in keras, 0.9 in torch")
def _(at):
    for norm in modules(at, at.nn.BatchNorm2d):
        norm.momentum = 0.1


@fault(
    "mobilenet", "a schedule that is a step ahead", "optimizer", "the rate of step 1 is 0.05 in keras, 0.045 in torch"
)
def _(at):
    def optimizer(model):
        made = at.torch.optim.SGD(model.parameters(), 0.05)
        schedule = at.torch.optim.lr_scheduler.ExponentialLR(made, 0.9)
        made.step()
        schedule.step()
        return made, schedule

    at.optimizer = optimizer


@fault("mobilenet", "a schedule in steps", "optimizer", "the rate of step 2 is 0.045 in keras, 0.05 in torch")
def _(at):
    def optimizer(model):
        made = at.torch.optim.SGD(model.parameters(), 0.05)
        return made, at.torch.optim.lr_scheduler.StepLR(made, 2, 0.81)

    at.optimizer = optimizer


# --- LSTM tagger --------------------------------------------------------------------------------------------------


@fault("lstm_tagger", "batch_first forgotten", "forward", "lstm has batch_first False|torch has batch_first False")
def _(at):
    at.model.lstm.batch_first = False


@fault("lstm_tagger", "directions the other way round", "forward", "lstm; it is given other numbers")
def _(at):
    def forward(self, x):
        x, _ = self.both(self.words(x))
        x, _ = self.lstm(at.torch.cat([x[..., 5:], x[..., :5]], dim=-1))
        return self.tags(self.dropout(x))

    instead(at.model, forward)


@fault("lstm_tagger", "no dropout", "structure", "torch has none")
def _(at):
    at.model.dropout = at.nn.Identity()


@fault("lstm_tagger", "padding that is never trained", "gradients", "words/kernel")
def _(at):
    at.model.words.padding_idx = 0


@fault("lstm_tagger", "a state that does not start at zero", "forward", "lstm; it is given the same")
def _(at):
    lstm = at.model.lstm.forward
    at.model.lstm.forward = lambda x: lstm(x, (at.torch.ones(1, len(x), 7), at.torch.zeros(1, len(x), 7)))


@fault("lstm_tagger", "padding left out of the loss", "gradients", "loss")
def _(at):
    at.loss = lambda: lambda answered, expected: at.F.cross_entropy(answered.transpose(1, 2), expected, ignore_index=0)


@fault("lstm_tagger", "gradients that are clipped", "optimizer", "after")
def _(at):
    def optimizer(model):
        made = at.torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 3e-3, eps=1e-7)
        made.register_step_pre_hook(lambda *_: at.nn.utils.clip_grad_value_(model.parameters(), 1e-4) and None)
        return made

    at.optimizer = optimizer


@fault("lstm_tagger", "tags of the word before", "forward", "answer 0|tags")
def _(at):
    tags = at.model.tags.forward
    at.model.tags.forward = lambda x: tags(x.roll(1, 1))


# --- GRU classifier -----------------------------------------------------------------------------------------------


@fault("gru_classifier", "the first state for the last", "forward", "hidden; it is given other numbers")
def _(at):
    def forward(self, x):
        x, _ = self.gru1(self.embedding(x))
        x, _ = self.gru2(x)
        return self.out(at.torch.tanh(self.hidden(x[:, 0])))

    instead(at.model, forward)


@fault("gru_classifier", "time that runs backwards", "forward", "first (gru1); it is given other numbers")
def _(at):
    gru = at.model.gru1
    gru.register_forward_pre_hook(lambda _, given: (given[0].flip(1),), prepend=True)


@fault("gru_classifier", "sigmoid for tanh", "forward", "classes (out); it is given other numbers")
def _(at):
    def forward(self, x):
        x, _ = self.gru1(self.embedding(x))
        _, last = self.gru2(x)
        return self.out(at.torch.sigmoid(self.hidden(last[-1])))

    instead(at.model, forward)


@fault(
    "gru_classifier", "an embedding that is frozen", "structure", "words/kernel (embedding.weight) is trained in keras"
)
def _(at):
    at.model.embedding.weight.requires_grad_(False)


@fault("gru_classifier", "another size", "structure", "hidden/kernel is (8, 6) in keras, (8, 7) in torch")
def _(at):
    at.model.hidden, at.model.out = at.nn.Linear(8, 7), at.nn.Linear(7, 3)


@fault("gru_classifier", "no biases", "structure", "first has a bias")
def _(at):
    at.model.gru1 = at.nn.GRU(6, 5, batch_first=True, bias=False)


@fault("gru_classifier", "a layer too many", "structure", "has no partner")
def _(at):
    at.model.gru2 = at.nn.GRU(5, 8, 2, batch_first=True)


@fault("gru_classifier", "another momentum", "optimizer", "momentum is 0.9 in keras, 0.8 in torch")
def _(at):
    at.optimizer = lambda model: at.torch.optim.SGD(model.parameters(), 0.1, momentum=0.8, nesterov=True)


# --- vision transformer -------------------------------------------------------------------------------------------


@fault("vit", "layer norm's epsilon as torch has it", "forward", "epsilon is 1e-06 in keras, 1e-05 in torch")
def _(at):
    for norm in modules(at, at.nn.LayerNorm):
        norm.eps = 1e-5


@fault("vit", "GELU by tanh", "forward", "mlp0_2 (blocks.0.fc2); it is given other numbers")
def _(at):
    for gelu in modules(at, at.nn.GELU):
        gelu.approximate = "tanh"


@fault("vit", "another number of heads", "forward", "heads is 3 in keras, 4 in torch")
def _(at):
    for attention in modules(at, at.nn.MultiheadAttention):
        attention.num_heads, attention.head_dim = 4, 3


@fault("vit", "the class token behind the patches", "forward", "norm0_1 (blocks.0.norm1); it is given other numbers")
def _(at):
    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = at.torch.cat([x, self.cls_token.expand(len(x), -1, -1)], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, -1])

    instead(at.model, forward)


@fault("vit", "patches column by column", "forward", "patches (patch_embed); it is given the same")
def _(at):
    at.model.patch_embed.register_forward_hook(lambda _, __, made: made.transpose(2, 3))


@fault("vit", "norms behind the attention", "forward", "norm0_1")
def _(at):
    def forward(self, x):
        x = self.norm1(x + self.attn(x, x, x, need_weights=False)[0])
        return self.norm2(x + self.fc2(self.gelu(self.fc1(x))))

    instead(at.model.blocks[0], forward)


@fault("vit", "the mean for the class token", "forward", "head; it is given other numbers")
def _(at):
    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = at.torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))

    instead(at.model, forward)


@fault(
    "vit", "positions that the class token has not", "forward", "norm0_1 (blocks.0.norm1); it is given other numbers"
)
def _(at):
    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]
        x = at.torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])

    instead(at.model, forward)


@fault("vit", "no dropout in the attention", "structure", "dropouts: keras has attention0")
def _(at):
    for attention in modules(at, at.nn.MultiheadAttention):
        attention.dropout = 0.0


@fault("vit", "weight decay in the gradient", "optimizer", "torch's Adam adds weight decay to the gradient")
def _(at):
    at.optimizer = lambda model: at.torch.optim.Adam(model.parameters(), 1e-3, weight_decay=0.01)


@fault("vit", "ten times the decay", "optimizer", "weight_decay is 0.01 in keras, 0.1 in torch")
def _(at):
    at.optimizer = lambda model: at.torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.1)


# --- 1-D network --------------------------------------------------------------------------------------------------


@fault("cnn1d", "strided `same` padded on both sides", "forward", "conv1 (1)")
def _(at):
    at.model[0] = at.nn.ConstantPad1d((2, 1), 0.0)


@fault("cnn1d", "another slope", "forward", "conv2 (4); it is given other numbers")
def _(at):
    at.model[3] = at.nn.LeakyReLU(0.2)


@fault("cnn1d", "max for average pooling", "forward", "dense (9); it is given other numbers")
def _(at):
    at.model[6] = at.nn.MaxPool1d(2)


@fault("cnn1d", "the norm behind the activation", "forward", "norm1 (2)|norm1 (3)")
def _(at):
    at.model[2], at.model[3] = at.model[3], at.model[2]


@fault("cnn1d", "one slope for all channels", "structure", "prelu")
def _(at):
    at.model[5] = at.nn.PReLU()


@fault("cnn1d", "a flattening of channels in another order", "forward", "dense (9); it is given other numbers")
def _(at):
    at.model[7] = at.nn.Sequential(at.nn.ChannelShuffle(2), at.nn.Flatten())
    at.model[7][0].forward = lambda x: x.flip(1)


@fault("cnn1d", "RMSprop's decay as torch has it", "optimizer", "rho is 0.9 in keras, 0.99 in torch")
def _(at):
    at.optimizer = lambda model: at.torch.optim.RMSprop(model.parameters(), 1e-3, alpha=0.99, eps=1e-7)


@fault("cnn1d", "RMSprop that is centred", "optimizer", "centered is None in keras, True in torch")
def _(at):
    at.optimizer = lambda model: at.torch.optim.RMSprop(model.parameters(), 1e-3, 0.9, 1e-7, centered=True)


# --- tabular ------------------------------------------------------------------------------------------------------


@fault("mlp_embeddings", "columns in another order", "forward", "hidden1 (fc1); it is given other numbers")
def _(at):
    def forward(self, shop, day, numbers):
        x = at.torch.cat([self.bn(numbers), self.shop_emb(shop), self.day_emb(day)], dim=-1)
        return self.fc3(self.drop(at.torch.relu(self.fc2(at.torch.relu(self.fc1(x))))))

    instead(at.model, forward)


@fault("mlp_embeddings", "embeddings that are shortened", "forward", "shop (shop_emb)")
def _(at):
    at.model.shop_emb.max_norm = 1.0


@fault("mlp_embeddings", "another delta in the loss", "gradients", "loss")
def _(at):
    at.loss = lambda: at.nn.HuberLoss(delta=0.5)


@fault("mlp_embeddings", "numbers that are not normalised", "forward", "norm")
def _(at):
    def forward(self, shop, day, numbers):
        x = at.torch.cat([self.shop_emb(shop), self.day_emb(day), numbers], dim=-1)
        return self.fc3(self.drop(at.torch.relu(self.fc2(at.torch.relu(self.fc1(x))))))

    instead(at.model, forward)


@fault("mlp_embeddings", "no ReLU", "forward", "hidden2 (fc2); it is given other numbers")
def _(at):
    def forward(self, shop, day, numbers):
        x = at.torch.cat([self.shop_emb(shop), self.day_emb(day), self.bn(numbers)], dim=-1)
        return self.fc3(self.drop(at.torch.relu(self.fc2(self.fc1(x)))))

    instead(at.model, forward)


@fault("mlp_embeddings", "categories that count from one", "forward", "day (day_emb)")
def _(at):
    at.model.day_emb.register_forward_pre_hook(lambda _, given: ((given[0] + 1) % 7,), prepend=True)


@fault("mlp_embeddings", "a batch norm that stands still", "state", "norm/moving_mean|norm/moving_variance")
def _(at):
    at.model.bn.momentum = 0.0


# --- two inputs ---------------------------------------------------------------------------------------------------


@fault("two_inputs", "another number of groups", "forward", "groups (gn)")
def _(at):
    at.model.gn.num_groups = 4


@fault("two_inputs", "exp for softplus", "forward", "answer 1")
def _(at):
    def forward(self, image, about):
        x = at.F.max_pool2d(self.gn(at.torch.relu(self.conv(image))), 2)
        z = at.torch.cat([at.torch.relu(self.seen(x.flatten(1))), at.torch.relu(self.told(about))], dim=1)
        return self.mean(z), self.spread(z).exp()

    instead(at.model, forward)


@fault("two_inputs", "a loss of the first answer alone", "gradients", "loss")
def _(at):
    at.loss = lambda: lambda answered, expected: at.F.mse_loss(answered[0], expected[0])


@fault("two_inputs", "answers the other way round", "forward", "answer 0")
def _(at):
    both = at.model.forward
    at.model.forward = lambda image, about: both(image, about)[::-1]


@fault("two_inputs", "an image that is flattened column by column", "forward", "seen; it is given other numbers")
def _(at):
    def forward(self, image, about):
        x = at.F.max_pool2d(self.gn(at.torch.relu(self.conv(image))), 2).transpose(2, 3)
        z = at.torch.cat([at.torch.relu(self.seen(x.flatten(1))), at.torch.relu(self.told(about))], dim=1)
        return self.mean(z), at.F.softplus(self.spread(z))

    instead(at.model, forward)


@fault("two_inputs", "group norm's epsilon", "forward", "epsilon is 1e-05 in keras, 0.001 in torch")
def _(at):
    at.model.gn.eps = 1e-3


# --- autoencoder --------------------------------------------------------------------------------------------------


@fault("autoencoder", "an image that is transposed on its way out", "forward", "conv (10); it is given other numbers")
def _(at):
    at.model[8].register_forward_hook(lambda _, __, made: made.transpose(2, 3))


@fault("autoencoder", "bilinear for nearest", "forward", "conv (10); it is given other numbers")
def _(at):
    at.model[9] = at.nn.Upsample(scale_factor=2, mode="bilinear")


@fault("autoencoder", "another alpha", "forward", "image (12); it is given other numbers")
def _(at):
    at.model[11].alpha = 0.5


@fault("autoencoder", "a dense layer that is not linear", "forward", "code (5); it is given the same")
def _(at):
    at.model[5].register_forward_hook(lambda _, __, made: made.tanh())


# --- ConvNeXt -----------------------------------------------------------------------------------------------------


@fault("convnext", "torch's own epsilon", "forward", "epsilon is 1e-06 in keras, 1e-05 in torch")
def _(at):
    for norm in modules(at, at.nn.LayerNorm):
        norm.eps = 1e-5


@fault("convnext", "an image that is transposed as its channels come back", "forward", "stem_norm")
def _(at):
    def forward(norm, x):
        return type(norm).__mro__[1].forward(norm, x.permute(0, 2, 3, 1)).permute(0, 3, 2, 1)

    instead(at.model.stem_norm, forward)


@fault("convnext", "a block without what goes around it", "forward", "block1_depthwise")
def _(at):
    def forward(block, x):
        y = block.norm(block.depthwise(x).movedim(1, -1))
        return block.narrow(at.F.silu(block.wide(y))).movedim(-1, 1)

    instead(at.model.blocks[0], forward)


@fault("convnext", "GELU for SiLU", "forward", "block0_narrow")
def _(at):
    def forward(block, x):
        y = block.norm(block.depthwise(x).movedim(1, -1))
        return x + block.narrow(at.F.gelu(block.wide(y))).movedim(-1, 1)

    for block in at.model.blocks:
        instead(block, forward)
