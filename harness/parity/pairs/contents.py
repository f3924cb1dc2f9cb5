"""Where a model's arrays are in a file that has no layers: found by their numbers, whatever they are called there."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from harness.foreign import Arrays, Part, Shape, relaid

How = Literal["equal", "transposed", "elsewhere", "scaled", "folded", "constant", "apart", "absent"]


class Found(msgspec.Struct, frozen=True):
    """An array of one model, and the arrays of the other that have its numbers (`where`, none for nowhere): `how` they
    stand there, `told` in words, and how far they are `apart`, relative to its norm.
    """

    name: str
    shape: Shape
    where: tuple[str, ...]
    how: How
    told: str
    apart: float = 0.0


def find(ours: Arrays, theirs: Arrays) -> list[Found]:
    """Where each of our arrays is among theirs."""
    search = _Search(theirs)
    return [search.find(name, array.astype(np.float32)) for name, array in ours.items()]


def others(found: Sequence[Found], theirs: Arrays) -> list[str]:
    """Those of theirs that are none of ours, and more than one number."""
    known = {name for each in found for name in each.where}
    return [name for name, array in theirs.items() if name not in known and not _constant(array)]


def with_folded(found: Sequence[Found], parts: Sequence[Part], ours: Arrays, theirs: Arrays) -> list[Found]:
    """What was found, and where batch norms are whose arrays are not all there: exporters make of a norm one factor and
    one summand for each channel, or multiply the kernel before it.
    """
    search = _Search(theirs)
    before = {part.output: part for part in parts}
    lost = {each.name for each in found if each.how in ("apart", "absent")}
    places: dict[str, tuple[str, ...]] = {}
    for norm in [part for part in parts if part.kind == "batch_norm" and "moving_variance" in part.arrays]:
        names = {array.name for array in norm.arrays.values()}
        for folded in _foldings(norm, before.get(norm.behind), ours) if names & lost else ():
            there = [search.find("", array.astype(np.float32)) for array in folded.values()]
            if all(each.where and each.apart <= _SAME_FACTOR for each in there):
                where = tuple(dict.fromkeys(name for each in there for name in each.where))
                places |= dict.fromkeys([*names, *folded], where)
                break
    return [
        replace(each, where=places[each.name], how="folded", told="folded with its norm", apart=0.0)
        if each.name in places and each.name in lost
        else each
        for each in found
    ]


def _foldings(norm: Part, before: Part | None, ours: Arrays) -> Iterator[Arrays]:
    """What may have become of a norm, by the array that it is in the place of: its factors and summands, or the kernel
    and the bias before it.
    """
    held = {role: ours[array.name].astype(np.float64) for role, array in norm.arrays.items()}
    epsilon = norm.settings.get("epsilon")
    if not isinstance(epsilon, float | int):  # which a function of JAX may compute
        return
    factor = held.get("gamma", 1.0) / np.sqrt(held["moving_variance"] + epsilon)
    summand = held.get("beta", 0.0) - held["moving_mean"] * factor
    yield {"factor": factor, "summand": summand}
    kernel, bias = (before.arrays.get(role) if before else None for role in ("kernel", "bias"))
    if kernel and kernel.common()[-1:] == factor.shape:
        scaled = relaid(ours[kernel.name], kernel.steps) * factor
        yield {kernel.name: scaled, bias.name if bias else "": summand + (ours[bias.name] * factor if bias else 0.0)}


class _Search:
    """Arrays by their size, and the numbers of each in order."""

    def __init__(self, arrays: Arrays) -> None:
        self._half = {name for name, array in arrays.items() if array.dtype == np.float16}
        self._arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
        self._numbers = {name: np.unique(array) for name, array in self._arrays.items()}
        self._by_size: dict[int, list[str]] = defaultdict(list)
        for name, array in arrays.items():
            self._by_size[array.size].append(name)

    def find(self, name: str, array: NDArray[Any]) -> Found:
        """The nearest of what there is."""
        if _constant(array):
            told = f"all its numbers are {array.flat[0]:g}" if array.size else "it has no numbers"
            return Found(name, array.shape, (), "constant", told)
        fitting = [(other, *turned) for other in self._by_size[array.size]
                   for turned in _turned(array, self._arrays[other].shape)]  # fmt: skip
        for other, axes, turned in fitting:
            if np.array_equal(turned, self._arrays[other], equal_nan=True):
                return Found(name, array.shape, (other,), "transposed" if axes else "equal", _told(axes))
        if within := self._within(array):
            return Found(name, array.shape, within, "elsewhere", "in another order, or among others")
        for other, axes, turned in fitting:
            if _scaled(turned, self._arrays[other]):
                return Found(name, array.shape, (other,), "scaled", _told(axes, "times a number for each channel"))
        return self._nearest(name, array, fitting) or Found(name, array.shape, (), "absent", "not found")

    def _within(self, array: NDArray[Any]) -> tuple[str, ...]:
        """Arrays that have all its numbers between them; none where there are no such. A few numbers tell which are
        worth looking through.
        """
        missing, within = np.unique(array), []
        for name, numbers in self._numbers.items():
            few = missing[:: max(len(missing) // _SAMPLE, 1)]
            if np.isin(few, numbers).mean() >= 1 / _PIECES:
                within.append(name)
                missing = missing[~np.isin(missing, numbers, assume_unique=True)]
            if not len(missing):
                return tuple(within)
        return ()

    def _nearest(
        self, name: str, array: NDArray[Any], fitting: Sequence[tuple[str, Shape, NDArray[Any]]]
    ) -> Found | None:
        """The array that is so near that it is no chance: this one, changed."""
        spread = float(np.linalg.norm(array - array.mean()))
        limit = (_NEAR if array.size >= MANY else _VERY_NEAR) * spread
        near = [(float(np.linalg.norm(turned - self._arrays[other])), other, axes) for other, axes, turned in fitting]
        apart, other, axes = min(near, default=(np.inf, "", ()))
        if apart > limit:
            return None
        half = "rounded to half precision: " if other in self._half else ""
        apart /= float(np.linalg.norm(array))
        return Found(name, array.shape, (other,), "apart", _told(axes, f"{half}apart by {apart:.2g}"), apart)


_SAMPLE = 64
_PIECES = 8
"""A fused array has at least an eighth of its numbers from each of what it is made of: gates are four, heads in one."""
MANY, _NEAR, _VERY_NEAR = 16, 0.3, 0.01
"""Of what an array's numbers spread. Those of two arrays that have nothing to do with each other are apart by 1.4 of
it; of sixteen numbers by less than 0.3 in one case of 10^10, of four by less than 0.01 in one of 10^8.
"""
_SAME_FACTOR = 1e-5  # relative; what rounding leaves of a multiplication
_RANK = 5


def _constant(array: NDArray[Any]) -> bool:
    return array.size < 2 or bool((array == array.flat[0]).all())


def _turned(array: NDArray[Any], shape: Shape) -> Iterator[tuple[Shape, NDArray[Any]]]:
    """An array of as many numbers in this shape: by every order of its axes that gives it, or as its numbers follow
    each other; with the order, () for as it is.
    """
    squeezed = array.squeeze()
    wanted = tuple(size for size in shape if size != 1)
    orders = itertools.permutations(range(squeezed.ndim)) if squeezed.ndim <= _RANK else ()
    fitting = [axes for axes in orders if tuple(squeezed.shape[axis] for axis in axes) == wanted]
    for axes in fitting:
        moved = axes if axes != tuple(range(squeezed.ndim)) else ()
        yield moved, squeezed.transpose(axes).reshape(shape)
    if not fitting:
        yield (), array.reshape(shape)


def _told(axes: Shape, change: str = "") -> str:
    turned = f"transposed ({', '.join(map(str, axes))})" if axes else ""
    return ", ".join(filter(None, [turned, change])) or "equal"


def _scaled(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    """Whether theirs is ours times one number for each index of some axis, as where a norm is folded into a kernel."""
    for axis in range(ours.ndim):
        if ours.size < _ENOUGH * ours.shape[axis]:
            continue
        rest = tuple(other for other in range(ours.ndim) if other != axis)
        factor = (ours * theirs).sum(rest, keepdims=True) / np.maximum((ours**2).sum(rest, keepdims=True), _TINY)
        if np.linalg.norm(theirs - factor * ours) <= _SAME_FACTOR * np.linalg.norm(theirs):
            return True
    return False


_ENOUGH = 4  # numbers to a channel: of fewer any is nearly the other times a number
_TINY = float(np.finfo(np.float32).tiny)
