"""The backbones of `harness.model.backbones` from torchvision's parts, changed where these differ from Keras's."""

from __future__ import annotations

import importlib

import torch
from torch import Tensor, nn

from harness.model import backbones
from harness.model.backbones import Family

# torchvision registers fake kernels for these two when it is imported. Its compiled part defines them, and does not
# load where it was built for CUDA and torch was not; elsewhere nobody may define them a second time. No detection
# operator is used here.
try:
    importlib.import_module("torchvision")
except RuntimeError as error:
    if "torchvision::nms does not exist" not in str(error):
        raise
    _schemas = torch.library.Library("torchvision", "DEF")
    _schemas.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _schemas.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from torchvision import models
from torchvision.models.resnet import Bottleneck
from torchvision.models.vgg import cfgs, make_layers


class Preprocessing(nn.Module):
    """Grey or coloured images (batch, 1 or 3, height, width) in 0..1 to the three channels that a family expects."""

    scale: Tensor
    offset: Tensor

    def __init__(self, family: Family) -> None:
        super().__init__()
        scale, offset = backbones.preprocessing(family)
        self.order = list(backbones.order_of_colours(family))
        self.register_buffer("scale", torch.tensor(scale).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("offset", torch.tensor(offset).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, height, width)."""
        images = images if images.shape[1] == 1 else images[:, self.order]
        channels: Tensor = images * self.scale + self.offset
        return channels


class TorchBackbone(nn.Module):
    """A backbone on images (batch, 1 or 3, height, width); `names` maps the common layer names to those in `body`."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(family)
        build = {"vgg16": _vgg16, "resnet50": _resnet50, "densenet121": _densenet121}[family]
        body, self.names = build()
        # Where a layer's output is found: torchvision's VGG16 has a layer's activation function behind it.
        self.outputs = {n: str(int(p) + 1) for n, p in self.names.items()} if family == "vgg16" else self.names
        self.body = _with_keras_batch_norms(body)
        self.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # which its stubs forget

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 1 or 3, height, width) in 0..1 to (batch, channels, height / 32, width / 32)."""
        features: Tensor = self.body(self.preprocessing(images).contiguous(memory_format=torch.channels_last))
        return features

    def norms(self) -> list[KerasBatchNorm2d]:
        """Its batch norms."""
        return [module for module in self.body.modules() if isinstance(module, KerasBatchNorm2d)]


class KerasBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose moving variance follows the batch's biased variance, as Keras's does; torch's own multiplies it
    by n / (n - 1) first. One that is `still` is in inference mode even while the network around it trains.
    """

    still = False

    def train(self, mode: bool = True) -> KerasBatchNorm2d:
        """See `torch.nn.Module.train`."""
        super().train(mode and not self.still)
        return self

    def forward(self, values: Tensor) -> Tensor:
        """`values` normalised; in training mode the moving statistics are updated."""
        if not self.training:
            return super().forward(values)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        count = values.numel() // values.shape[1]
        if count == 1:  # one image of one pixel, which torch refuses: it is its own mean, and varies by nothing
            self.running_mean += (values.detach().flatten() - self.running_mean) * self.momentum
            self.running_var *= 1 - self.momentum
            return torch.batch_norm(
                values, self.weight, self.bias, None, None, True, self.momentum, self.eps, cudnn_enabled=False
            )
        unbiased = self.running_var.clone()
        normalised = nn.functional.batch_norm(
            values, self.running_mean, unbiased, self.weight, self.bias, True, self.momentum, self.eps
        )
        kept = self.running_var * (1 - self.momentum)
        self.running_var.copy_(kept + (unbiased - kept) * ((count - 1) / count))
        return normalised


def _with_keras_batch_norms(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            # Keras's momentum is the share that is kept, torch's the share that is taken.
            momentum = 1 - backbones.BATCH_NORM_MOMENTUM
            setattr(module, name, KerasBatchNorm2d(child.num_features, backbones.BATCH_NORM_EPSILON, momentum))
        else:
            _with_keras_batch_norms(child)
    return module


def _vgg16() -> tuple[nn.Module, dict[str, str]]:
    body = make_layers(cfgs["D"])  # without the classifier, which is nine tenths of VGG16
    places = [name for name, layer in body.named_children() if isinstance(layer, nn.Conv2d)]
    layers = [
        f"block{block}_conv{number}"
        for block, _, convolutions in backbones.VGG16_BLOCKS
        for number in range(1, convolutions + 1)
    ]
    return body, dict(zip(layers, places, strict=True))


def _resnet50() -> tuple[nn.Module, dict[str, str]]:
    """Version 1: a bottleneck strides in its first convolution, torchvision's (1.5) in its second; and Keras's
    convolutions have biases.
    """
    whole = models.resnet50(weights=None)
    for block in [module for module in whole.modules() if isinstance(module, Bottleneck)]:
        block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    _give_biases(whole)
    kept = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    body = nn.Sequential()
    for name in kept:
        body.add_module(name, whole.get_submodule(name))
    names = {"conv1_conv": "conv1", "conv1_bn": "bn1"}
    for stage, _, blocks in backbones.RESNET50_BLOCKS:
        for block in range(blocks):
            theirs, ours = f"layer{stage - 1}.{block}", f"conv{stage}_block{block + 1}"
            if block == 0:
                names |= {f"{ours}_0_conv": f"{theirs}.downsample.0", f"{ours}_0_bn": f"{theirs}.downsample.1"}
            for number in (1, 2, 3):
                names |= {
                    f"{ours}_{number}_conv": f"{theirs}.conv{number}",
                    f"{ours}_{number}_bn": f"{theirs}.bn{number}",
                }
    return body, names


def _give_biases(module: nn.Module) -> None:
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            child.bias = nn.Parameter(torch.zeros(child.out_channels))


def _densenet121() -> tuple[nn.Module, dict[str, str]]:
    body = models.densenet121(weights=None).features
    body.add_module("relu5", nn.ReLU())  # torchvision applies it outside its `features`
    names = {"conv1_conv": "conv0", "conv1_bn": "norm0", "bn": "norm5"}
    for stage, layers in backbones.DENSENET121_BLOCKS:
        for layer in range(1, layers + 1):
            theirs, ours = f"denseblock{stage - 1}.denselayer{layer}", f"conv{stage}_block{layer}"
            names |= {f"{ours}_0_bn": f"{theirs}.norm1", f"{ours}_1_bn": f"{theirs}.norm2"}
            names |= {f"{ours}_{number}_conv": f"{theirs}.conv{number}" for number in (1, 2)}
        if stage < 5:
            names |= {
                f"pool{stage}_bn": f"transition{stage - 1}.norm",
                f"pool{stage}_conv": f"transition{stage - 1}.conv",
            }
    return body, names
