"""Three convolutional backbones as data: names and shapes of their arrays, and the preprocessing they came with.

Names and shapes are those of keras.applications (`include_top=False`), whose ImageNet files the harness reads; a
backend builds the backbone from its framework's own parts and maps these names to its own.

VGG16: Simonyan and Zisserman 2015, table 1, column D. ResNet50: He et al. 2016, table 1, in its first version, whose
bottlenecks stride in their first convolution. DenseNet121: Huang et al. 2017, table 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Literal, get_args

import numpy as np

Family = Literal["vgg16", "resnet50", "densenet121"]
FAMILIES: tuple[Family, ...] = get_args(Family)
Shape = tuple[int, ...]

CHANNELS: dict[Family, int] = {"vgg16": 512, "resnet50": 2048, "densenet121": 1024}
SHRINKS = 32  # an image's edge is divided by about this: `left_of`
SMALLEST = 32  # edge of an image, in pixels: keras.applications takes no smaller ones

# Multiplications of one 64x64 image, in millions, to tell long work from short; counted by torch's FlopCounterMode.
MILLION_MULTIPLICATIONS: dict[Family, int] = {"vgg16": 1254, "resnet50": 308, "densenet121": 232}

RESNET50_BLOCKS = ((2, 64, 3), (3, 128, 4), (4, 256, 6), (5, 512, 3))  # stage, filters, blocks
DENSENET121_BLOCKS = ((2, 6), (3, 12), (4, 24), (5, 16))  # stage, layers
VGG16_BLOCKS = ((1, 64, 2), (2, 128, 2), (3, 256, 3), (4, 512, 3), (5, 512, 3))  # block, filters, convolutions

BATCH_NORM_EPSILON = 1.001e-5
BATCH_NORM_MOMENTUM = 0.99  # the share of a moving statistic that is kept in a step


def left_of(family: Family, edge: int) -> int:
    """How many pixels a backbone leaves of so many along an edge: a pooling of two rounds down, and what strides with
    its own padding, as all of ResNet50 and the first two of DenseNet121 do, rounds up.
    """
    up = {"vgg16": 0, "densenet121": 2, "resnet50": 5}[family]
    for halving in range(5):
        edge = -(-edge // 2) if halving < up else edge // 2
    return edge


def order_of_colours(family: Family) -> tuple[int, int, int]:
    """Which of red, green and blue comes first, second and third in what the backbone was trained on."""
    return (0, 1, 2) if family == "densenet121" else (2, 1, 0)


def preprocessing(family: Family) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scale and offset of each of three channels: what the backbone was trained on is grey (0..1) * scale + offset.

    VGG16 and ResNet50 take blue, green, red in 0..255 less the mean of ImageNet; DenseNet121 takes red, green, blue in
    0..1, standardised (keras.applications.imagenet_utils, modes `caffe` and `torch`). A grey image has three equal
    channels, so their order matters to the offsets alone; a coloured one's are put in `order_of_colours` first.
    """
    if family == "densenet121":
        mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        scale = tuple(1 / d for d in deviation)
        offset = tuple(-m / d for m, d in zip(mean, deviation, strict=True))
    else:
        scale, offset = (255.0,) * 3, (-103.939, -116.779, -123.68)
    return _single(scale), _single(offset)


def _single(numbers: tuple[float, ...]) -> tuple[float, ...]:
    """Rounded to single precision, which some frameworks do on their own account even where they compute in double."""
    return tuple(np.array(numbers, np.float32).tolist())


@cache
def shapes(family: Family) -> dict[str, Shape]:
    """Name and shape of every array of a backbone on three channels, moving statistics included."""
    layers = {"vgg16": _vgg16, "resnet50": _resnet50, "densenet121": _densenet121}[family]()
    return {f"{layer}/{part}": shape for layer, parts in layers for part, shape in parts.items()}


Layer = tuple[str, dict[str, Shape]]


def _convolution(name: str, kernel: int, channels: int, filters: int, bias: bool = True) -> Layer:
    parts: dict[str, Shape] = {"kernel": (kernel, kernel, channels, filters)}
    return name, parts | ({"bias": (filters,)} if bias else {})


def _batch_norm(name: str, channels: int) -> Layer:
    return name, dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (channels,))


def _vgg16() -> Iterator[Layer]:
    channels = 3
    for block, filters, convolutions in VGG16_BLOCKS:
        for number in range(1, convolutions + 1):
            yield _convolution(f"block{block}_conv{number}", 3, channels, filters)
            channels = filters


def _resnet50() -> Iterator[Layer]:
    yield _convolution("conv1_conv", 7, 3, 64)
    yield _batch_norm("conv1_bn", 64)
    channels = 64
    for stage, filters, blocks in RESNET50_BLOCKS:
        for block in range(1, blocks + 1):
            name = f"conv{stage}_block{block}"
            if block == 1:
                yield _convolution(f"{name}_0_conv", 1, channels, 4 * filters)
                yield _batch_norm(f"{name}_0_bn", 4 * filters)
            widths = ((1, channels, filters), (3, filters, filters), (1, filters, 4 * filters))
            for number, (kernel, before, after) in enumerate(widths, 1):
                yield _convolution(f"{name}_{number}_conv", kernel, before, after)
                yield _batch_norm(f"{name}_{number}_bn", after)
            channels = 4 * filters


def _densenet121() -> Iterator[Layer]:
    growth = 32
    yield _convolution("conv1_conv", 7, 3, 64, bias=False)
    yield _batch_norm("conv1_bn", 64)
    channels = 64
    for stage, layers in DENSENET121_BLOCKS:
        for number in range(1, layers + 1):
            name = f"conv{stage}_block{number}"
            yield _batch_norm(f"{name}_0_bn", channels)
            yield _convolution(f"{name}_1_conv", 1, channels, 4 * growth, bias=False)
            yield _batch_norm(f"{name}_1_bn", 4 * growth)
            yield _convolution(f"{name}_2_conv", 3, 4 * growth, growth, bias=False)
            channels += growth
        if stage < 5:
            yield _batch_norm(f"pool{stage}_bn", channels)
            yield _convolution(f"pool{stage}_conv", 1, channels, channels // 2, bias=False)
            channels //= 2
    yield _batch_norm("bn", channels)
