"""What a model is, as pure data: layers in order, the arrays they own, and how those are drawn.

Every backend builds its own model from these structs, and every backend names and lays out its arrays as
`parameter_shapes` says. That common layout is Keras's own: convolution kernels are (height, width, in, out), dense
kernels are (in, out), images are (batch, height, width, channel) and are flattened in that order. A backend whose
framework thinks otherwise transposes at its own door.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.model import backbones
from harness.text import Label

Activation = Literal["linear", "relu"]
Padding = Literal["valid", "same", "periodic"]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Conv2D(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Square convolution of stride 1 with bias, then `activation`.

    With padding `periodic` the image goes on beyond each edge as it begins at the opposite one; it keeps its size, and
    the kernel must be odd.
    """

    filters: Count
    kernel: Count
    padding: Padding = "valid"
    activation: Activation = "relu"


class MaxPool2D(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Largest value of each `size` x `size` block; a remainder at the far edges is dropped."""

    size: Count = 2


class Flatten(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """(height, width, channel) to one vector, channel fastest; of a vector itself."""


class Dropout(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """While training, zero each value with probability `rate` and divide the rest by 1 - rate."""

    rate: Annotated[float, msgspec.Meta(ge=0, lt=1)]


class Dense(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Fully connected layer with bias, then `activation`. In a variant that is for any data set its `units` may be
    `PER_TARGET`.
    """

    units: Annotated[int, msgspec.Meta(ge=0)]
    activation: Activation = "relu"


PER_TARGET = 0
"""As many units as there are targets: filled in when cells are planned (`answering`)."""


class Backbone(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """A convolutional network of `backbones` without its classifier, on three channels; a grey image is repeated.

    The family's own preprocessing is part of it. Gives (height / 32, width / 32, channels), rounded as
    `backbones.left_of` says.
    """

    family: backbones.Family


class GlobalAveragePool2D(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """The mean of each channel over the image: (height, width, channel) to (channel,)."""


Layer = Conv2D | MaxPool2D | Flatten | Dropout | Dense | Backbone | GlobalAveragePool2D


class Network(msgspec.Struct, frozen=True, tag="network", forbid_unknown_fields=True):
    """A feed-forward network; the last layer must give one number per target."""

    layers: tuple[Layer, ...]


Factors = tuple[Annotated[float, msgspec.Meta(gt=0)], ...]
"""One for each class, in their order."""


class Estimator(msgspec.Struct, frozen=True, tag="estimator", forbid_unknown_fields=True):
    """A predictor that needs no network.

    `mean` answers the training mean; `identity` what it sees, which its encoding has made of the image; `ridge` is
    linear in that, with penalty `alpha`. `gaussian-process` has Matérn's covariance of smoothness `nu` (0.5, 1.5 or
    2.5; Rasmussen and Williams 2006, equation 4.14), `boosted-trees` adds up `trees` of `depth`, shrunk by `rate`.
    All may be shown, beside each training image, what the first element of a symmetry of the suite, `moved_by`, makes
    of it. Of classes, `ridge` and `boosted-trees` may count each training image as often as `class_weights` says of its
    class, in their order.
    """

    method: Literal["mean", "ridge", "identity", "gaussian-process", "boosted-trees"]
    alpha: Annotated[float, msgspec.Meta(ge=0)] = 1e-3
    nu: float = 2.5
    depth: Count = 3
    rate: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    trees: Count = 300
    moved_by: str = ""
    class_weights: Factors | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.nu not in (0.5, 1.5, 2.5):
            raise ValueError(f"nu = {self.nu}: the covariance is known for 0.5, 1.5 and 2.5")
        if self.class_weights is not msgspec.UNSET and self.method not in ("ridge", "boosted-trees"):
            raise ValueError(f"{self.method} counts all images alike: it takes no class_weights")


Framework = Literal["scikit-learn", "torch", "keras"]


class Imported(msgspec.Struct, frozen=True, tag="imported", forbid_unknown_fields=True):
    """A model that is somebody's own code (`harness.model.code`): `path` is `package.module:name` or `file.py:name`.

    Whose it is, of which `framework` and of which `source` (SHA-256 of the code, so that another code is another
    model), is found out when cells are planned.
    """

    path: Label
    framework: Framework | Literal[""] = ""
    source: Label = ""


Architecture = Network | Estimator
Shape = tuple[int, ...]
Weights = dict[str, NDArray[np.float32]]


def answering(network: Network, targets: int) -> Network:
    """The network with so many units where it has `PER_TARGET`."""

    def filled(layer: Layer) -> Layer:
        per_target = isinstance(layer, Dense) and layer.units == PER_TARGET
        return msgspec.structs.replace(layer, units=targets) if per_target else layer

    return Network(tuple(map(filled, network.layers)))


def named_layers(network: Network) -> list[tuple[str, Layer]]:
    """Each layer with its name: its kind and its place among its kind (`conv2d_1`, `conv2d_2`, `dense_1`, ...)."""
    seen: dict[str, int] = {}
    named = []
    for layer in network.layers:
        kind = type(layer).__name__.lower()
        seen[kind] = seen.get(kind, 0) + 1
        named.append((f"{kind}_{seen[kind]}", layer))
    return named


_OF_IMAGES = (Conv2D, MaxPool2D, Backbone, GlobalAveragePool2D)


def _shapes(network: Network, input_shape: Shape) -> Iterator[tuple[str, Layer, Shape, Shape]]:
    """Each layer with its name and the shapes that go in and out. Raises ValueError where it does not fit."""
    shape = input_shape
    for name, layer in named_layers(network):
        before = shape
        _refuse_given(name, layer, before)
        match layer:
            case Conv2D(filters, kernel, padding):
                lost = kernel - 1 if padding == "valid" else 0
                shape = (shape[0] - lost, shape[1] - lost, filters)
            case MaxPool2D(size):
                shape = (shape[0] // size, shape[1] // size, shape[2])
            case Flatten():
                shape = (math.prod(shape),)
            case Dense(units):
                shape = (units,)
            case Backbone(family):
                left = (backbones.left_of(family, edge) for edge in shape[:2])
                shape = (*left, backbones.CHANNELS[family])
            case GlobalAveragePool2D():
                shape = (shape[2],)
            case Dropout():
                pass
        if min(shape) < 1:
            raise ValueError(f"nothing is left of a {input_shape} image after {name}")
        yield name, layer, before, shape


def _refuse_given(name: str, layer: Layer, shape: Shape) -> None:
    """Raise ValueError where a layer does not take what has this shape."""
    if isinstance(layer, _OF_IMAGES) and len(shape) != 3:
        raise ValueError(f"{name} takes an image, and is given a vector")
    match layer:
        case Conv2D(_, kernel, "periodic") if kernel % 2 == 0 or kernel // 2 > min(shape[:2]):
            raise ValueError(f"{name} of kernel {kernel} cannot go around a {shape} image")
        case Dense() if len(shape) != 1:
            raise ValueError(f"{name} needs a vector but is given {shape}: put a Flatten before it")
        case Backbone() if shape[2] not in (1, 3):
            raise ValueError(f"{name} takes one grey channel or three, but is given {shape[2]}")
        case Backbone() if min(shape[:2]) < backbones.SMALLEST:
            raise ValueError(f"{name} takes {backbones.SMALLEST} pixels at least each way, but is given {shape}")
        case _:
            pass


def parameter_shapes(network: Network, input_shape: Shape) -> dict[str, Shape]:
    """Name and shape of every array of `network` on images of `input_shape` (height, width, channel), in layer order.

    Names are `<layer>/kernel` and `<layer>/bias`, and `<layer>/<backbone's own>` for those of a backbone, whose moving
    statistics (`moving_mean`, `moving_variance`) are among them. Raises ValueError where a layer does not fit what it
    is given.
    """
    shapes: dict[str, Shape] = {}
    for name, layer, before, _ in _shapes(network, input_shape):
        match layer:
            case Conv2D(filters, kernel):
                shapes |= {f"{name}/kernel": (kernel, kernel, before[2], filters), f"{name}/bias": (filters,)}
            case Dense(units):
                shapes |= {f"{name}/kernel": (before[0], units), f"{name}/bias": (units,)}
            case Backbone(family):
                shapes |= {f"{name}/{part}": array for part, array in backbones.shapes(family).items()}
            case _:  # the others own nothing
                pass
    return shapes


def refuse_unfit(network: Network, input_shape: Shape, targets: int) -> None:
    """Raise ValueError where a layer does not fit what it is given, where the last does not give one number per target,
    and where there is none.
    """
    if not network.layers:
        raise ValueError("it has no layers")
    *_, (name, _, _, shape) = _shapes(network, input_shape)
    if shape != (targets,):
        raise ValueError(f"{name}, the last layer, gives {shape} numbers for an image, and {targets} are asked for")


def multiplications(network: Network, input_shape: Shape) -> float:
    """How many multiplications one image takes: enough to tell long work from short."""
    total = 0.0
    for _, layer, before, after in _shapes(network, input_shape):
        match layer:
            case Conv2D(kernel=kernel):
                total += kernel**2 * before[2] * math.prod(after)
            case Dense():
                total += before[0] * after[0]
            case Backbone(family):
                total += 1e6 * backbones.MILLION_MULTIPLICATIONS[family] * before[0] * before[1] / 64**2
            case _:
                pass
    return total


def backbone_of(network: Network) -> tuple[str, backbones.Family] | None:
    """Name and family of the network's backbone; None where it has none."""
    found = [(name, layer.family) for name, layer in named_layers(network) if isinstance(layer, Backbone)]
    return found[0] if found else None


def frozen_layers(network: Network) -> int:
    """How many layers head-only training keeps as they are: the backbone, and what follows it without parameters.

    What they make of an image does not depend on the head, so it is computed once. 0 for a network without a backbone.
    """
    kinds = [type(layer) for layer in network.layers]
    if Backbone not in kinds:
        return 0
    count = kinds.index(Backbone) + 1
    while count < len(kinds) and kinds[count] in (GlobalAveragePool2D, Flatten):
        count += 1
    return count


def initial_weights(network: Network, input_shape: Shape, seed: int) -> Weights:
    """The weights that `init=shared` starts every framework from: Glorot uniform kernels, zero biases, and batch norms
    that change nothing.

    Kernels are uniform in ±sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 16), with the receptive
    field counted in both fans, as Keras does. Drawn in layer order from one NumPy generator seeded with `seed`.
    """
    draw = np.random.default_rng([seed, _INITIAL_WEIGHTS])
    weights = {}
    for name, shape in parameter_shapes(network, input_shape).items():
        part = name.rpartition("/")[2]
        if part != "kernel":
            weights[name] = np.full(shape, part in ("gamma", "moving_variance"), np.float32)
            continue
        receptive = math.prod(shape[:-2])
        limit = math.sqrt(6 / (receptive * (shape[-2] + shape[-1])))
        weights[name] = draw.uniform(-limit, limit, shape).astype(np.float32)
    return weights


# Keeps the streams of random numbers drawn from one seed apart: weights here, batch order in `protocol.Schedule`.
_INITIAL_WEIGHTS = 1
