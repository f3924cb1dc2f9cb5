"""What models of torchvision need to be those of keras.applications; the pairs beside this file use it."""

import importlib

importlib.import_module("backends.pytorch")  # torchvision's compiled part may be lacking, which is dealt with there

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812
from torchvision import models  # noqa: E402, F401


def with_norms(model, epsilon, momentum):
    """`momentum` as torch has it: the share of what is new."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = epsilon, momentum
    return model


def with_convolutions(model, same=False, bias=False):
    """The strided ones padded as TensorFlow pads (`same`), or all with a bias."""
    for name, old in list(model.named_modules()):
        strided = isinstance(old, nn.Conv2d) and old.stride[0] > 1
        if isinstance(old, nn.Conv2d) and (bias or (same and strided)):
            new = (SameConv2d if same and strided else nn.Conv2d)(
                old.in_channels,
                old.out_channels,
                old.kernel_size,
                old.stride,
                0 if same and strided else old.padding,
                old.dilation,
                old.groups,
                bias or old.bias is not None,
            )
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, new)
    return model


class SameConv2d(nn.Conv2d):
    """Pads at the end what cannot be halved, and as much as the size of the image takes."""

    def forward(self, x):
        padding = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, padding), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class Normalized(nn.Module):
    """What `Rescaling` and `Normalization` do at the start of a model of Keras, and then the model."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("variance", torch.ones(3))

    def forward(self, x):
        return self.model((x / 255 - self.mean[:, None, None]) / self.variance.sqrt()[:, None, None])
