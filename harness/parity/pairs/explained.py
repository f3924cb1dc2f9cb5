"""Why two models differ where they do: what the numbers and the settings of both sides point at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.foreign import Arrays, Part, Setting
from harness.parity.ladder import Verdict
from harness.parity.pairs.orders import Computed, Looked
from harness.parity.pairs.paired import Matched, Paired
from harness.protocol import Precision

Left = Sequence[Mapping[str, Arrays]]
ENDS = ("/last", "/at")
"""What a recurrent layer makes at the end of a sequence, and at its last step that is not masked."""


def why(verdict: Verdict, looked: Sequence[Looked], paired: Paired, left: Left, told: Sequence[Computed]) -> str:
    """What is to be said of a rung that breaks, or nothing."""
    labels = [each.inspected.framework for each in looked]
    match verdict.rung:
        case "forward":
            return _forward(verdict, looked, paired, left, labels)
        case "gradients" if verdict.worst == "loss":
            return _loss(left, labels, verdict.precision or "float32", looked[0].says)
        case "state":
            return _norm(verdict, paired, labels)
        case "optimizer":
            norm = _norm(verdict, paired, labels) if "/moving_" in verdict.worst else ""
            return "; ".join(filter(None, [norm, _optimizers(told, labels)]))
        case _:
            return ""


def _norm(verdict: Verdict, paired: Paired, labels: Sequence[str]) -> str:
    layer = verdict.worst.rpartition("/")[0]
    return _settings([each for each in paired.matched if each.ours.name == layer], labels, "epsilon")


def alike(ours: Arrays, theirs: Arrays, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two arrays in one shape, where they differ by axes of one alone, or one is a sequence and the other its end, or
    has its steps one after the other in the batch, or one has the pixels of the other one after the other.
    """
    one, two = ours[name], theirs[name]
    if one.shape == two.shape:
        return one, two
    for mine, other, side in ((one, two, theirs), (two, one, ours)):
        ends = [side[f"{name}{end}"] for end in ENDS if f"{name}{end}" in side]
        ends = [end for end in ends if mine.ndim + 1 == other.ndim and end.shape == mine.shape]
        if ends:
            last = min(ends, key=partial(_apart, mine))
            return (one, last) if mine is one else (last, two)
    for mine, other in ((one, two), (two, one)):
        batch, *inner, channels = mine.shape or (1, 1)
        if mine.ndim == other.ndim + 1 and other.shape == (mine.shape[0] * mine.shape[1], *mine.shape[2:]):
            return one.reshape(other.shape), two.reshape(other.shape)
        if mine.ndim > other.ndim == 3 and other.shape == (batch, int(np.prod(inner)), channels):
            return one.reshape(other.shape), two.reshape(other.shape)
    if tuple(size for size in one.shape if size != 1) == tuple(size for size in two.shape if size != 1):
        return one, two.reshape(one.shape)
    return one, two


def _forward(verdict: Verdict, looked: Sequence[Looked], paired: Paired, left: Left, labels: Sequence[str]) -> str:
    precision = verdict.precision or "float32"
    shown = paired.seen
    place = next((place for place, each in enumerate(shown) if each.ours.output == verdict.worst), None)
    if place is None:
        last = shown[-1].ours.name if shown else "the door"
        return f"look behind {last}: " + _between([each.inspected.after for each in looked], labels)
    each = shown[place]
    inputs = [
        left[side][precision].get(f"forward/{part.output}/input") for side, part in enumerate((each.ours, each.theirs))
    ]
    if inputs[0] is None or inputs[1] is None:
        return _settings([each], labels)
    one, two = alike({"input": inputs[0]}, {"input": inputs[1]}, "input")
    if one.shape != two.shape:
        before = _between([each.ours.before, each.theirs.before], labels)
        return f"it is given {one.shape} in {labels[0]}, {two.shape} in {labels[1]}: {before}" + _also([each], labels)
    if _apart(one, two) > (verdict.allowed or 0):
        since = "the door" if place == 0 else shown[place - 1].ours.name + _shapes(shown[place - 1], left, labels)
        return f"it is given other numbers: look behind {since}: " + _between(
            [each.ours.before, each.theirs.before], labels
        )
    return "it is given the same: " + (_settings([each], labels) or "no setting that is known here differs")


def _shapes(each: Matched, left: Left, labels: Sequence[str]) -> str:
    """That a layer answers arrays of two shapes, where it does. It is not compared then, for one side may cut off what
    is too much; where the next pools over all that there is, a missing padding shows nowhere else.
    """
    parts = each.ours, each.theirs
    found = [side["float32"].get(f"forward/{part.output}") for side, part in zip(left, parts, strict=True)]
    if found[0] is None or found[1] is None:
        return ""
    one, two = alike({"output": found[0]}, {"output": found[1]}, "output")
    if one.shape == two.shape:
        return ""
    return f", which answers {one.shape} in {labels[0]}, {two.shape} in {labels[1]}" + _also([each], labels)


def _apart(one: NDArray[Any], two: NDArray[Any]) -> float:
    norm = float(np.linalg.norm(one.astype(np.float64)))
    return float(np.linalg.norm(one.astype(np.float64) - two)) / (norm or 1.0)


def _between(calls: Sequence[Sequence[str]], labels: Sequence[str]) -> str:
    told = [" > ".join(each) if each else "nothing that is seen" for each in calls]
    return f"{labels[0]} computes {told[0]}; {labels[1]} {told[1]}"


def _also(matched: Sequence[Matched], labels: Sequence[str]) -> str:
    settings = _settings(matched, labels)
    return f"; {settings}" if settings else ""


def _settings(matched: Sequence[Matched], labels: Sequence[str], beside: str = "momentum") -> str:
    """The settings in which layers differ, but the one that changes nothing here."""
    found = []
    for each in matched:
        ours, theirs = each.ours.settings, each.theirs.settings
        found += [
            f"{name} is {_said(ours[name])} in {labels[0]}, {_said(theirs[name])} in {labels[1]}"
            + _in_torchs_words(name, theirs[name], labels[1])
            for name in ours
            if name in theirs and name != beside and not _same(ours[name], theirs[name])
            if name != "padding" or not _pads_alike(each)
        ]
        for name in _ALONE:
            if theirs.get(name) not in (None, "zeros", 1, True) or theirs.get(name) is False:
                found.append(f"{labels[1]} has {name} {_said(theirs[name])}")
            if ours.get(name) and name not in theirs and name in ("mask_zero", "go_backwards"):
                found.append(f"{labels[0]} has {name} {_said(ours[name])}")
    return "; ".join(found)


def _in_torchs_words(name: str, value: Setting, label: str) -> str:
    """The momentum of a batch norm as torch calls it, by what is new, and not by what is kept."""
    if name != "momentum" or label != "torch" or not isinstance(value, float):
        return ""
    return f", which calls it {_said(1 - value)}"


def _pads_alike(each: Matched) -> bool:
    """Whether two paddings are the same in other words, or one side pads before the layer: then that tells."""
    if any("pad" in call.lower() for part in (each.ours, each.theirs) for call in part.before):
        return True
    if each.ours.kind != "conv" or "kernel" not in each.ours.arrays:
        return False
    return bool(_padding(each.ours) == _padding(each.theirs))


def _padding(part: Part) -> Any:
    """How much a convolution pads each axis on either side, where that is said by number or can be."""
    *size, _, _ = part.arrays["kernel"].common()

    def wide(name: str, otherwise: int) -> list[int]:
        value = part.settings.get(name, otherwise)
        return list(value) if isinstance(value, tuple | list) else [value] * len(size)  # type: ignore[list-item]

    said = part.settings.get("padding")
    if said == "valid":
        return [0] * len(size)
    if said == "same":
        around = [dilation * (length - 1) for length, dilation in zip(size, wide("dilation", 1), strict=True)]
        unlike = any(total % 2 for total in around) or set(wide("strides", 1)) != {1}
        return "same" if unlike else [total // 2 for total in around]
    return said if isinstance(said, str) else wide("padding", 0)


_ALONE = ("padding_mode", "batch_first", "padding_idx", "mask_zero", "go_backwards")


def _same(one: Setting, two: Setting) -> bool:
    if isinstance(one, float) or isinstance(two, float):
        return isinstance(one, float | int) and isinstance(two, float | int) and abs(one - two) <= 1e-9 * abs(one)
    if isinstance(one, tuple) or isinstance(two, tuple):
        ours, theirs = (tuple(each) if isinstance(each, tuple | list) else (each,) for each in (one, two))
        return ours * (len(theirs) if len(ours) == 1 else 1) == theirs * (len(ours) if len(theirs) == 1 else 1)
    return one == two


def _said(value: Setting) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _loss(left: Left, labels: Sequence[str], precision: Precision, says: Sequence[str]) -> str:
    losses = [float(side[precision]["gradients/loss"].item()) for side in left]
    told = f"{labels[0]}'s loss is {losses[0]:.6g}, {labels[1]}'s {losses[1]:.6g}"
    if np.isfinite(losses).all() and losses[0]:
        told += f", {losses[1] / losses[0]:.6g} times that"
    told += _penalties(left, labels, precision)
    lacking = [label for label in labels if f"{label}_loss" not in says]
    if len(lacking) == 1:
        told += f"; the file has no {lacking[0]}_loss: there it is the mean squared error"
    return told


def _penalties(left: Left, labels: Sequence[str], precision: Precision) -> str:
    """What a side adds to its loss by itself; torch's weight decay is in its optimizer, and in no loss."""
    sizes = [float(side[precision].get("gradients/penalties", np.zeros(())).item()) for side in left]
    return "".join(
        f"; {label} adds penalties of {size:.6g} to its loss (regularizers or add_loss)"
        for label, size in zip(labels, sizes, strict=True)
        if size
    )


def _optimizers(told: Sequence[Computed], labels: Sequence[str]) -> str:
    found = []
    ours, theirs = (each.optimizer for each in told)
    for step, rates in enumerate(zip(*(each.rates for each in told), strict=False), 1):
        one, two = (np.inf if rate is None else rate for rate in rates)
        if not np.isclose(two, one, rtol=1e-6, atol=0):
            found.append(f"the rate of step {step} is {one:.6g} in {labels[0]}, {two:.6g} in {labels[1]}")
            break
    for name in dict.fromkeys([*ours, *theirs]) if ours and theirs else ():  # optax's transformations tell nothing
        one, two = ours.get(name), theirs.get(name)
        if not _same(one, two) and not (name == "name" and {one, two} <= {"adam", "adamw"}):
            found.append(f"{name} is {_said(one)} in {labels[0]}, {_said(two)} in {labels[1]}")
    names = {str(ours.get("name")), str(theirs.get("name"))}
    added = names <= {"adam", "adamw"} and theirs.get("name") == "adam" and theirs.get("weight_decay")
    if added and labels == ["keras", "torch"]:
        found.append("torch's Adam adds weight decay to the gradient; Keras's, and AdamW, take it off the weights")
    return "; ".join(found)
