"""Kernels in the equations of a jaxpr, and the layouts that these tell, in the words of `harness.foreign.Part`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.foreign import Array, Setting, Shape, Step


@dataclass(eq=False)
class Layer:
    """A layer as it is found: its arrays by role, and what it is given and answers where that is seen.

    `width` is how many numbers it answers, `recurs` whether it is fed what has gone round a loop.
    """

    kind: str
    arrays: dict[str, Array]
    settings: dict[str, Setting] = field(default_factory=dict)
    flattened: Shape = ()
    before: tuple[str, ...] = ()
    behind: Layer | None = None
    given: NDArray[Any] | None = None
    answer: NDArray[Any] | None = None
    width: int = 0
    recurs: bool = False


@dataclass(frozen=True, eq=False)  # numbers are not compared
class Value:
    """What an equation takes or makes, `array` where its numbers are known.

    Of arrays of the tree (`leaves`) alone: the one that it is, in whatever layout (`view`), and what is known of those
    that it is made of (`roles`). Of `data`: the layer whose answer it is (`made`), or is computed from (`source`); the
    `order` of its axes that puts channels last; the shape, channels first, that was flattened to it (`flat`); the axes
    over which it has been `reduced`, numbered by time; whether it has gone round a `loop`. `small` is a number
    that was added to it, `epsilon` one that was below a root.
    """

    array: NDArray[Any] | None
    shape: Shape
    data: bool = False
    leaves: frozenset[str] = frozenset()
    view: Array | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    made: Layer | None = None
    source: Layer | None = None
    order: Shape = ()
    flat: Shape = ()
    reduced: frozenset[tuple[int, Shape]] = frozenset()
    loop: bool = False
    small: float | None = None
    epsilon: float | None = None


def as_seen(array: Any, order: Shape) -> Any:
    """Numbers with their channels last; None where there are none."""
    return None if array is None else np.asarray(array).transpose(order) if order else np.asarray(array)


class Kernel(NamedTuple):
    """A kernel, and what is told with it: what its layer is fed, and answers, and the order of the answer's axes."""

    kind: str
    array: Array
    settings: dict[str, Setting]
    given: NDArray[Any] | None
    answer: NDArray[Any] | None
    order: Shape
    fed: Value

    @property
    def width(self) -> int:
        """How many numbers are answered, of which a bias has as many."""
        return self.array.common()[-2 if self.kind == "conv_transpose" else -1]


def kernel_of(name: str, params: Any, given: Sequence[Value], made: NDArray[Any] | None) -> Kernel | None:
    """The kernel that an equation takes; None where it takes none, or one that is made of several arrays."""
    held = [value for value in given if value.leaves]
    if len(held) != 1 or held[0].view is None or held[0].view.common() != held[0].shape:
        return None
    match name:
        case "conv_general_dilated" if given[1] is held[0]:
            return _convolution(params, given[0], given[1], made)
        case "dot_general" if not params["dimension_numbers"][1][given.index(held[0])]:
            return _product(params, given, held[0], made)
        case "gather" if given[0] is held[0] and tuple(params["slice_sizes"]) == (1, *held[0].shape[1:]):
            return Kernel("embedding", held[0].view, {}, given[1].array, made, (), given[1])
        case _:
            return None


def _convolution(params: Any, images: Value, kernel: Value, made: NDArray[Any] | None) -> Kernel:
    numbers = params["dimension_numbers"]
    outputs, inputs, *spatial = numbers.rhs_spec
    stretched = max(params["lhs_dilation"], default=1) > 1
    axes = (*spatial, outputs, inputs) if stretched else (*spatial, inputs, outputs)
    steps = [Step("transpose", axes)]
    if stretched:  # Keras and torch name the convolution whose gradient it is, which goes the other way round
        steps += [Step("take", tuple(reversed(range(kernel.shape[axis]))), place) for place, axis in enumerate(spatial)]
    settings: dict[str, Setting] = {
        "strides": tuple(params["lhs_dilation" if stretched else "window_strides"]),
        "dilation": tuple(params["rhs_dilation"]),
        "groups": params["feature_group_count"],
    }
    if not stretched:
        settings["padding"] = _padding(params["padding"])
    assert kernel.view is not None
    given, answer = (_channels_last(spec) for spec in (numbers.lhs_spec, numbers.out_spec))
    return Kernel(
        "conv_transpose" if stretched else "conv",
        followed(kernel.view, *steps),
        settings,
        as_seen(images.array, given),
        as_seen(made, answer),
        answer,
        images,
    )


def _channels_last(spec: Sequence[int]) -> Shape:
    rows, channels, *spatial = spec
    return (rows, *spatial, channels)


def _padding(pairs: Sequence[tuple[int, int]]) -> Setting:
    """As torch says it where both sides of an axis have as much, else before and behind each."""
    if all(before == behind for before, behind in pairs):
        return tuple(before for before, _ in pairs)
    return tuple(size for pair in pairs for size in pair)


def _product(params: Any, given: Sequence[Value], kernel: Value, made: NDArray[Any] | None) -> Kernel:
    """A product over some axes, of which Keras and torch know that of one axis: the others stand side by side."""
    place = given.index(kernel)
    fed = given[1 - place]
    summed, also = (params["dimension_numbers"][0][side] for side in (place, 1 - place))
    free = [axis for axis in range(len(kernel.shape)) if axis not in summed]
    height, width = (math.prod(kernel.shape[axis] for axis in axes) for axes in (summed, free))
    assert kernel.view is not None
    array = followed(kernel.view, Step("transpose", (*summed, *free)), Step("reshape", (height, width)))
    others = [axis for axis in range(len(fed.shape)) if axis not in also]
    rows = tuple(fed.shape[axis] for axis in others)
    rank = len(rows) + len(free)
    order = tuple(range(rank)) if place else (*range(len(free), rank), *range(len(free)))
    sees = fed.array is not None and made is not None
    return Kernel(
        "dense",
        array,
        {},
        np.asarray(fed.array).transpose((*others, *also)).reshape(*rows, height) if sees else None,
        np.asarray(made).transpose(order).reshape(*rows, width) if sees else None,
        order,
        fed,
    )


def followed(view: Array, *steps: Step) -> Array:
    """An array after more steps, but those that change nothing."""
    for step in steps:
        shape = view.common()
        idle = step.values == (shape if step.op == "reshape" else tuple(range(len(shape))) if step.op == "transpose"
                               else tuple(range(shape[step.axis])))  # fmt: skip
        view = view if idle else view.then(step)
    return view


LAYOUTS = ("reshape", "squeeze", "expand_dims", "transpose", "broadcast_in_dim", "convert_element_type", "copy", "rev",
           "stop_gradient")  # fmt: skip


def relaid_view(name: str, params: Any, view: Array | None, shape: Shape) -> Array | None:
    """What an array is after an equation that only lays it out anew; None where it does more."""
    if view is None or math.prod(shape) != math.prod(view.common()):
        return view if name == "broadcast_in_dim" else None
    match name:
        case "transpose":
            return followed(view, Step("transpose", tuple(map(int, params["permutation"]))))
        case "rev":
            lengths = view.common()
            return followed(view, *(Step("take", tuple(reversed(range(lengths[axis]))), axis)
                                    for axis in params["dimensions"]))  # fmt: skip
        case _ if name in LAYOUTS:
            return followed(view, Step("reshape", shape))
        case _:
            return None


def relaid_order(name: str, params: Any, value: Value, shape: Shape) -> tuple[Shape, Shape]:
    """`order` and `flat` of data after an equation that only lays it out anew; () for what is not known."""
    order, flat = value.order, value.flat
    if name == "transpose":
        turned = tuple(map(int, params["permutation"]))
        return (tuple(turned.index(axis) for axis in order) if order else ()), ()
    if shape == value.shape:
        return order, flat
    first = len(order) > 2 and order == (0, *range(2, len(order)), 1)
    if first and len(shape) == 2 and shape[0] == value.shape[0] and math.prod(value.shape[2:]) > 1:
        return (), value.shape[1:]
    if order and _without_ones(shape) == _without_ones(value.shape):
        kept = [axis for axis in order if value.shape[axis] != 1]
        places = [axis for axis, size in enumerate(shape) if size != 1]
        ranks = sorted(kept)
        long = [places[ranks.index(axis)] for axis in kept]
        # An axis of one goes where it changes nothing: before the channels, which stay last.
        ones = [axis for axis, size in enumerate(shape) if size == 1]
        return (*long[:-1], *ones, *long[-1:]), ()
    return (), ()


def _without_ones(shape: Shape) -> list[int]:
    return [size for size in shape if size != 1]


def described(name: str, given: Sequence[Value]) -> str:
    """An equation in words, with the number that it takes, where that is one: `max 0`."""
    numbers = [float(value.array) for value in given if value.array is not None and not value.shape and not value.data]
    return " ".join([name, *(f"{number:.3g}" for number in numbers[:1])])


def kind_of_norm(reduced: Sequence[Shape], rank: int, roles: Sequence[str]) -> str:
    """What it is whose arrays meet data that was reduced over these axes: `own` where no mean was taken off before."""
    if any(role.startswith("moving_") for role in roles):
        return "batch_norm"
    axes = {axis for each in reduced for axis in each}
    if len(reduced) < 2:
        return "own"
    if 0 in axes:
        return "batch_norm"
    return "layer_norm" if axes == {rank - 1} else "group_norm"


def number(value: Value) -> float | None:
    """A single number that stands in the code, as it was written: 0.001 and not what single precision makes of it."""
    if value.array is None or value.shape or value.data or value.leaves:
        return None
    return float(str(np.asarray(value.array).astype(np.float32)))
