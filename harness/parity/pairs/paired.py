"""How two models map: which layers are the same, and each of their arrays with its steps to what is common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from harness.foreign import Array, Part, Step
from harness.parity.pairs.fused import Fused
from harness.parity.pairs.likeness import is_root, is_variance, reshaped


class Line(msgspec.Struct, frozen=True):
    """One array of both models, each with its steps to what is common, and how that was found; `name` is ours."""

    name: str
    role: str
    kind: str
    ours: Array
    theirs: Array
    how: str = ""


class Matched(msgspec.Struct, frozen=True):
    """Two parts that are the same layer."""

    ours: Part
    theirs: Part
    how: str

    @property
    def seen(self) -> bool:
        """Whether what the layer answers is seen in both models."""
        return bool(self.ours.output and self.theirs.output)


class Paired(msgspec.Struct, frozen=True):
    """How two models map: their layers in order, every array, what cannot be (`problems`), what is worth knowing
    (`remarks`), `held`: arrays of theirs that ours does not have and that stay at zero, or at their `constant`; and
    what is `fused`.
    """

    matched: tuple[Matched, ...]
    lines: tuple[Line, ...]
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    held: tuple[Array, ...] = ()
    fused: tuple[Fused, ...] = ()

    @property
    def seen(self) -> list[Matched]:
        """Those layers whose answers are seen in both models, in order."""
        return [each for each in self.matched if each.seen]


class Joined(NamedTuple):
    """Of two parts that are the same layer: a line for each array, arrays of theirs that are `held`, and what does not
    fit (`problems`).
    """

    lines: list[Line]
    held: list[Array]
    problems: list[str]


def joined(each: Matched, frameworks: Sequence[str]) -> Joined:
    """Which array of one is which of the other, by their roles; `frameworks` name both sides in messages."""
    ours, theirs = each.ours, each.theirs
    arrays = dict(theirs.arrays)
    if ours.kind != theirs.kind or len(ours.arrays) == len(arrays) == 1:
        arrays = {role: reshaped(array, ours.arrays.get(role)) for role, array in _renamed(ours, theirs).items()}
    how = each.how
    if theirs.kind == "constant" and is_variance(ours) and is_root(theirs):
        arrays, how = {role: replace(array, root=True) for role, array in arrays.items()}, f"{how}; its root"
    found = Joined([], [], [])
    if ours.kind in ("lstm", "rnn") and "recurrent_bias" in arrays and "recurrent_bias" not in ours.arrays:
        found.held.append(arrays.pop("recurrent_bias"))
    for role in dict.fromkeys([*ours.arrays, *arrays]):
        if role not in ours.arrays and _is_neutral(role, arrays[role]):
            found.held.append(arrays[role])
        elif role not in ours.arrays or role not in arrays:
            called = [f"{framework}'s {part.name}" for framework, part in zip(frameworks, (ours, theirs), strict=True)]
            has, lacks = called if role in ours.arrays else called[::-1]
            told = f"{has} has a {role}, {lacks} has none"
            found.problems.append(told + _about(ours, theirs, role))
        else:
            one, other = _flattened(ours.arrays[role], role, ours), _flattened(arrays[role], role, theirs)
            line = Line(f"{ours.name}/{role}", role, ours.kind, one, other, how + behind_flattening(theirs))
            if one.common() == other.common():
                found.lines.append(line)
            else:
                told = f"{line.name} is {one.common()} in {frameworks[0]}, {other.common()} in {frameworks[1]}"
                found.problems.append(f"{told} ({other.name})")
    return found


def _about(ours: Part, theirs: Part, role: str) -> str:
    if ours.kind == "gru":
        return ": torch's GRU is Keras's with reset_after=True, and no other"
    if role in _NEUTRAL and role not in ours.arrays:
        value = "one" if _NEUTRAL[role] else "zero"
        return f": for it to be the same, freeze {theirs.arrays[role].name} at {value}, as it is by default"
    if theirs.settings.get("affine") is False and role in _NEUTRAL:
        return ": affine is False in torch, as it is by default"
    if theirs.settings.get("track_running_stats") and role.startswith("moving_"):
        return ": torch's has track_running_stats=True, and normalises by these in inference mode"
    return ""


_NEUTRAL = {"gamma": 1.0, "beta": 0.0}
"""By what a norm without such an array scales, and what it adds."""


def _is_neutral(role: str, array: Array) -> bool:
    """Whether a frozen array of a norm does nothing."""
    return role in _NEUTRAL and array.constant == _NEUTRAL[role]


def behind_flattening(part: Part) -> str:
    """What is to be said of a layer whose arrays are in the order of channels first."""
    told = f"; behind a flattening of {part.flattened}, channels first" if part.flattened else ""
    return told + (f"; before a reshape to {part.unflattened}, channels first" if part.unflattened else "")


def _renamed(ours: Part, theirs: Part) -> dict[str, Array]:
    if len(ours.arrays) == len(theirs.arrays) == 1:
        return dict(zip(ours.arrays, theirs.arrays.values(), strict=True))
    return dict(theirs.arrays)


def _flattened(array: Array, role: str, part: Part) -> Array:
    """An array of a layer behind (or before) a flattening of channels first, in the order of channels last."""
    for shape, axis in ((part.flattened, 0), (part.unflattened, -1)):
        applies = shape and (role == "kernel" or part.kind != "dense" or (axis == -1 and role == "bias"))
        common = array.common()
        if applies and common[axis] == int(np.prod(shape)):
            whole = (*shape, *common[1:]) if axis == 0 else (*common[:-1], *shape)
            rank, first = len(whole), 0 if axis == 0 else len(common) - 1
            inner = range(first, first + len(shape))
            axes = [*range(first), *inner[1:], inner[0], *range(first + len(shape), rank)]
            array = array.then(Step("reshape", whole), Step("transpose", tuple(axes)), Step("reshape", common))
    return array
