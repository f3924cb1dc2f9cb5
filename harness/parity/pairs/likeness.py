"""Which layers of two models may be the same, by what their arrays are like: kinds, roles, shapes and names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from harness.foreign import Array, Part, Shape, Step
from harness.parity.pairs.names import last_of, words_of

NORMS = ("layer_norm", "group_norm", "batch_norm")


def signature(part: Part) -> tuple[object, ...]:
    """Equal for parts that may be the same layer. Single arrays of no known kind have names of their own."""
    arrays = {role: array.common() for role, array in part.arrays.items()}
    if part.kind == "own":
        return "own", squeezed(part)
    if part.kind in ("lstm", "rnn"):
        arrays.pop("recurrent_bias", None)
    return part.kind, tuple(sorted(arrays.items()))


def likeness(part: Part) -> tuple[object, ...]:
    """Equal for parts of one kind whose kernels have one shape, or, of norms, whose arrays have."""
    if not part.arrays or part.kind not in ("dense", "conv", "conv_transpose", *NORMS):
        return signature(part)
    array = part.arrays.get("kernel") or next(iter(part.arrays.values()))
    return part.kind, array.common()


def squeezed(part: Part) -> Shape:
    """The sizes of the one array of a part, without axes of one."""
    (array,) = part.arrays.values()
    return sizes(array)


def sizes(array: Array) -> Shape:
    """The sizes of an array in the common layout, without axes of one."""
    return tuple(size for size in array.common() if size != 1)


def reshaped(array: Array, other: Array | None) -> Array:
    """An array in the shape of another, where that differs by axes of one alone."""
    if other is None or array.common() == other.common() or sizes(array) != sizes(other):
        return array
    return array.then(Step("reshape", other.common()))


def may_be(one: Part, two: Part) -> bool:
    """Whether two parts have arrays of the same shapes."""
    single = len(one.arrays) == len(two.arrays) == 1
    return signature(one) == signature(two) or (single and squeezed(one) == squeezed(two))


# --- single arrays ----------------------------------------------------------------------------------------------------


def is_constant(part: Part) -> bool:
    """Whether it is an array that no step changes, held by a layer of no known kind."""
    return part.kind == "own" and not any(array.trained for array in part.arrays.values())


def is_variance(part: Part) -> bool:
    """Whether it is a variance, by its name."""
    return "variance" in words_of(last_of(part.name))


def is_root(part: Part) -> bool:
    """Whether it is a standard deviation, by its name."""
    return bool(words_of(last_of(part.name)) & {"std", "stddev", "sigma", "sd", "deviation"})


def is_whole(array: Array) -> bool:
    """Whether it is all of the framework's array, as a query's share of an attention's is not."""
    return bool(np.prod(array.common()) == np.prod(array.shape))


def as_dense(part: Part) -> Part:
    """A convolution of single pixels as the dense layer of the last axis that it is; any other part as it is."""
    kernel = part.arrays.get("kernel")
    if part.kind != "conv" or kernel is None or part.settings.get("groups", 1) != 1:
        return part
    *size, given, made = kernel.common()
    if set(size) != {1}:
        return part
    arrays = {**part.arrays, "kernel": kernel.then(Step("reshape", (given, made)))}
    return replace(part, kind="dense", arrays=arrays)


def in_the_place_of(like: Part, group: Sequence[Part]) -> dict[str, Array]:
    """Single arrays by the roles of those of a layer that have their sizes, whose names tell, or else their order; none
    where some have no role, or have none left, and for a layer that nobody puts together from arrays.
    """
    if like.kind not in ("dense", *NORMS) or not {part.kind for part in group} <= {"own", "constant"}:
        return {}
    found: dict[str, Array] = {}
    free = list(group)
    for role, array in like.arrays.items():
        fitting = [(part, laid) for part in free for each in part.arrays.values() if (laid := _laid(each, array))]
        if not fitting:
            return {}
        told = [bool(words_of(last_of(part.name)) & _ROLES.get(role, frozenset())) for part, _ in fitting]
        part, found[role] = fitting[told.index(max(told))]
        free.remove(part)
    return {} if free else found


_ROLES = {
    "gamma": frozenset({"gamma", "weight", "scale"}),
    "beta": frozenset({"beta", "bias", "shift", "offset"}),
    "moving_mean": frozenset({"mean"}),
    "moving_variance": frozenset({"variance"}),
}


def _laid(array: Array, other: Array) -> Array | None:
    """An array in the shape of another; of a kernel also turned. None where it has other sizes."""
    rank = len(array.common())
    turned = array.then(Step("transpose", (*range(2, rank), 1, 0))) if rank > 1 else array
    fitting = [each for each in (array, turned) if sizes(each) == sizes(other)]
    return reshaped(fitting[0], other) if fitting else None
