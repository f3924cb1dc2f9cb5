"""Judges what two sides computed: brings arrays into one layout and under one name, and has the ladder compare them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.foreign import Array, Arrays, Part, places
from harness.parity import ladder
from harness.parity.ladder import Pair, Side, Verdict
from harness.parity.pairs import explained, steps
from harness.parity.pairs.orders import STEPS, Computed, Looked, below
from harness.parity.pairs.paired import Line, Matched, Paired
from harness.parity.pairs.structure import in_order, other_answers
from harness.parity.side import Told
from harness.protocol import Precision


def common(
    lines: Sequence[Line], natives: Mapping[str, NDArray[Any]], ours: bool, folded: Sequence[str] = ()
) -> Arrays:
    """Arrays of one side in the common layout, by line; those in `folded` are added to the array that they are beside,
    as the second bias of an LSTM to its first.
    """
    found = {}
    for line in lines:
        array = line.ours if ours else line.theirs
        if array.name in natives:
            native = natives[array.name]
            second = array.name.replace("bias_ih", "bias_hh")
            if second in folded and second in natives and not ours:
                native = native + natives[second]
            found[line.name] = _common(array, native)
    return found


def _common(array: Array, native: NDArray[Any]) -> NDArray[Any]:
    common = np.asarray(native.reshape(-1)[places(array.shape, array.steps)])
    return common**2 if array.root else common


class Judge:
    """The rungs that compare arrays, of one seed."""

    def __init__(
        self,
        name: str,
        looked: tuple[Looked, Looked],
        paired: Paired,
        start: Arrays,
        computed: Sequence[tuple[Computed, Arrays]],
    ) -> None:
        self._name, self._looked, self._paired, self.start = name, looked, paired, start
        self._told = [told for told, _ in computed]
        self._left = [by_precision(arrays) for _, arrays in computed]
        self._leave_out_loops()
        self._leave_out_masked()
        self._labels = [each.inspected.framework for each in looked]
        self._end = steps.overflown(paired.lines, self._left)

    def _leave_out_loops(self) -> None:
        """A layer that one side calls once and the other in a loop, step by step, is seen by the layer behind it."""
        for each in self._paired.matched:
            outputs = [f"forward/{part.output}" for part in (each.ours, each.theirs)]
            sides = list(zip(self._left, outputs, strict=True))
            found = [left["float32"].get(f"{output}/calls") for left, output in sides]
            calls = {count.item() for count in found if count is not None}
            for left, output in sides if len(calls) > 1 else ():
                for arrays in left.values():
                    for what in ("", "/input", *explained.ENDS):
                        arrays.pop(f"{output}{what}", None)

    def _leave_out_masked(self) -> None:
        """What a layer makes of steps that ours masks is not compared: a port may compute it, or not. `/at` is what it
        makes of the last step before these.
        """
        for each in self._paired.matched:
            mask = self._left[0]["float32"].get(f"forward/{each.ours.output}/mask")
            if mask is None:
                continue
            for part, left in zip((each.ours, each.theirs), self._left, strict=True):
                for arrays in left.values():
                    _mask(arrays, f"forward/{part.output}", mask)

    def rung(self, rung: str) -> list[Verdict]:
        """The verdicts of one rung; none where there is nothing to compare.

        A difference that goes away once what is known of the frameworks is corrected (`_corrections`) is one that
        `differs` and does not break; where some of it stays, that is judged.
        """
        verdicts = self._judged(rung)
        return (
            steps.noted(self._name, verdicts, self._end, self._told, self._labels) if rung == "optimizer" else verdicts
        )

    def _judged(self, rung: str) -> list[Verdict]:
        if rung == "forward" and (wrong := other_answers([each.inspected for each in self._looked])):
            return [Verdict(self._name, rung, "breaks", note=wrong[0])]
        verdicts = [*self._noises(rung), *self._judge(rung, ())]
        if not any(verdict.outcome == "breaks" and verdict.difference is not None for verdict in verdicts):
            return verdicts
        rest, known = verdicts, ""
        for corrections in self._corrections(rung):
            rest, known = self._judge(rung, corrections), "; ".join(corrections)
            if all(verdict.outcome == "passes" for verdict in rest):
                return [self._differing(verdict, known) for verdict in verdicts]
        return [self._explained(verdict, known) if verdict.outcome == "breaks" else verdict for verdict in rest]

    def _mended(self) -> set[str]:
        """Layers that are given one shape, as is the next: what one side has cut off, or padded, since."""
        shown = self._paired.seen
        alike = [self._given_one_shape(each) for each in shown]
        return {each.ours.output for each, (own, following) in zip(shown, itertools.pairwise(alike), strict=False)
                if own and following}  # fmt: skip

    def _given_one_shape(self, each: Matched) -> bool:
        one, two = self._inputs(each.ours, each.theirs)
        return one is not None and two is not None and one.shape == two.shape

    def _inputs(self, ours: Part, theirs: Part) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        """What a layer of each side is given; None where that is not seen."""
        parts = zip(self._left, (ours, theirs), strict=True)
        one, two = (side["float32"].get(f"forward/{part.output}/input") for side, part in parts)
        return one, two

    def compared(self) -> set[str]:
        """The layers whose answers are compared."""
        return {each.ours.output for each in self._paired.seen}

    def given(self, ours: Part) -> bytes:
        """What a layer of ours is given, to tell whether another is given the same; b"" where that is not seen."""
        given = self._left[0]["float32"].get(f"forward/{ours.output}/input")
        return b"" if given is None else hashlib.sha256(given.tobytes()).digest()

    def may_stand_for(self, ours: Part, theirs: Part) -> bool:
        """Whether both are given the same numbers, in whatever order, as partners are wherever all before them agrees;
        or it is not seen.
        """
        one, two = self._inputs(ours, theirs)
        if one is None or two is None:
            return True
        if one.size != two.size:
            return False
        one, two = (np.sort(each, axis=None).astype(np.float64) for each in (one, two))
        return bool(np.linalg.norm(one - two) <= _NEAR * np.linalg.norm(one))

    def first_broken(self) -> int | None:
        """The place of the first layer whose answer differs; None where none does."""
        broken = [verdict.worst for verdict in self.rung("forward") if verdict.outcome == "breaks"]
        names = [each.ours.output for each in self._paired.matched]
        ours = [worst.partition(" (")[0] for worst in broken]  # without their name, which `_spoken` has added
        places = [names.index(worst) if worst in names else len(names) for worst in ours]
        return min(places, default=None)

    def _differing(self, verdict: Verdict, note: str) -> Verdict:
        if verdict.outcome != "breaks":
            return msgspec.structs.replace(verdict, note=note)
        return msgspec.structs.replace(verdict, outcome="differs", note=note, worst=self._spoken(verdict.worst))

    def _judge(self, rung: str, corrections: Sequence[str]) -> list[Verdict]:
        arrays = [self._in_both_precisions(rung, ours, corrections) for ours in _SIDES]
        if rung == "forward":
            _alike(arrays, self._mended())
        sides = []
        for label, told, own, ours in zip(self._labels, self._told, arrays, _SIDES, strict=True):
            broken, lacks = (
                {name: error for name, error in errors.items() if name in (rung, "gradients")}
                for errors in (told.broken, told.lacks)
            )
            for errors in (broken, lacks):
                if rung == "state" and "gradients" in errors:
                    errors["state"] = errors["gradients"]
            kept = {rung: own}
            if rung == "optimizer":  # whose tolerance hangs on how well the gradients are conditioned
                kept["gradients"] = self._in_both_precisions("gradients", ours, ())
            order = tuple(own["float32"])
            sides.append(
                Side(
                    label,
                    Told(layers=order, lacks=lacks, broken=broken),
                    _reader(kept, "float32"),
                    _reader(kept, "float64") if own["float64"] or not own["float32"] else None,
                )
            )
        labelled = zip(self._labels, self._told, strict=True)
        single = ", ".join(f"{label} {each.single}" for label, each in labelled if each.single)
        pair = Pair(sides[0], sides[1], self.start, unlike=True, single=single)
        return ladder.judge(rung, self._name, False, pair, 0)

    def _in_both_precisions(self, rung: str, ours: bool, corrections: Sequence[str]) -> dict[Precision, Arrays]:
        return {precision: self._arrays(rung, ours, precision, corrections) for precision in get_args(Precision)}

    def _arrays(self, rung: str, ours: bool, precision: Precision, corrections: Sequence[str]) -> Arrays:
        left = self._left[0 if ours else 1][precision]
        match rung:
            case "forward":
                return self._forward(left, ours)
            case "gradients":
                found = {"loss": left["gradients/loss"]} if "gradients/loss" in left else {}
                noised = {f"{name} with noise": array for name, array in below("noised/", left).items()}
                noised = noised if all(below("noised/", side["float32"]) for side in self._left) else {}
                return found | noised | self._lines(left, "gradients/array/", ours) | self._dropped(left, ours)
            case "state":
                after, moving = self._lines(left, "state/", ours), self._moving()
                arrays = {name: array for name, array in after.items() if name in moving}
                return self._unbiased(arrays, 1) if _UNBIASED in corrections and not ours else arrays
            case _:
                corrected = self._formula() in corrections and any(name.startswith("corrected/") for name in left)
                taken = "corrected" if corrected else "optimizer"
                return self._optimizer(left, taken, ours, _UNBIASED in corrections)

    def _forward(self, left: Arrays, ours: bool) -> Arrays:
        found = {}
        for each in self._paired.seen:
            part = each.ours if ours else each.theirs
            if f"forward/{part.output}" in left:
                found[each.ours.output] = _output(left, part)
                for end in explained.ENDS:
                    if f"forward/{part.output}{end}" in left:
                        found[f"{each.ours.output}{end}"] = left[f"forward/{part.output}{end}"]
        return found | {f"answer {name}": array for name, array in below("forward/answer ", left).items()}

    def _lines(self, left: Arrays, prefix: str, ours: bool) -> Arrays:
        return common(self._paired.lines, below(prefix, left), ours)

    def _moving(self) -> set[str]:
        """The arrays that training moves and no optimizer does: statistics of norms, and what a layer of the user's own
        keeps of the kind, which is told by its being moved in either.
        """
        after = [self._lines(left["float32"], "state/", ours) for left, ours in zip(self._left, _SIDES, strict=True)]
        still = [line.name for line in self._paired.lines if not (line.ours.trained and line.theirs.trained)]
        return {
            name
            for name in still
            if "/moving_" in name
            or any(name in side and not np.allclose(side[name], self.start[name], rtol=1e-6, atol=0) for side in after)
        }

    def _dropped(self, left: Arrays, ours: bool) -> Arrays:
        """What dropouts keep and by what they multiply it, under the names and rates that ours have."""
        found: Arrays = {}
        # By their kinds, for branches may be computed in another order; where they stand is told by `structure`.
        mine, others = (sorted(side.inspected.dropouts or (), key=attrgetter("rate", "wide")) for side in self._looked)
        for one, two in zip(mine, others, strict=False):
            measured = [
                side["float32"].get(f"dropped/{each.name}") for side, each in zip(self._left, (one, two), strict=True)
            ]
            drawn = left.get(f"dropped/{(one if ours else two).name}")  # none in a precision that a side does not have
            if drawn is not None and all(each is not None for each in measured):
                kept, factor, count = drawn
                found[f"dropout {one.rate:g} {one.name.replace('/', '.')}/factor"] = np.array(factor)
                found[f"dropout {one.rate:g} {one.name.replace('/', '.')}/kept"] = np.array([kept, count])
        return found

    def _optimizer(self, left: Arrays, taken: str, ours: bool, unbiased: bool) -> Arrays:
        found: Arrays = {}
        for step in STEPS:
            if f"{taken}/{step}/loss" not in left or (self._end is not None and step >= self._end):
                continue
            found[f"{step}/loss"] = left[f"{taken}/{step}/loss"]
            arrays = self._lines(left, f"{taken}/{step}/array/", ours)
            arrays = self._unbiased(arrays, step) if unbiased and not ours else arrays
            found |= {f"{step}/{name}": array for name, array in arrays.items()}
        return found

    def _noises(self, rung: str) -> list[Verdict]:
        """What the sides draw at random, which breaks the rung where one alone does; nothing where one cannot tell."""
        ours, theirs = self._told
        if rung == "forward" and {ours.draws, theirs.draws} == {False, True}:
            one, other = self._labels if ours.draws else self._labels[::-1]
            return [Verdict(self._name, rung, "breaks", note=f"{one} draws at random in inference, {other} does not")]
        if rung != "gradients" or ours.noises is None or theirs.noises is None or not (ours.noises or theirs.noises):
            return []
        words = (", ".join(each.noises or ()) or "nothing" for each in self._told)
        told = "; ".join(f"in {label} {drawn}" for label, drawn in zip(self._labels, words, strict=True))
        outcome: ladder.Outcome = "passes" if ours.noises and theirs.noises else "breaks"
        return [Verdict(self._name, rung, outcome, note=f"drawn at random in training: {told}")]

    # --- what frameworks are like -------------------------------------------------------------------------------------

    def _formula(self) -> str:
        told = [each.formula for each in self._told if each.formula]
        if trained := [array.name for array in self._paired.held if array.trained]:
            told.append(f"torch trains a second bias, {trained[0]}, by which the sum moves twice: freeze it at zero")
        return "; ".join(told) or "-"

    def _corrections(self, rung: str) -> list[tuple[str, ...]]:
        norms = any(line.role == "moving_variance" for line in self._paired.lines)
        match rung:
            case "state" if norms:
                return [(_UNBIASED,)]
            case "optimizer":
                own = [(_UNBIASED,)] if norms else []
                corrected = any(name.startswith("corrected/") for side in self._left for name in side["float32"])
                formula = [(self._formula(),), *([(_UNBIASED, self._formula())] if norms else [])] if corrected else []
                return own + formula
            case _:
                return []

    def _unbiased(self, arrays: Arrays, done: int) -> Arrays:
        """Moving variances of torch as they would be of the biased variance, as Keras has it."""
        found = dict(arrays)
        for each in self._paired.matched:
            name = f"{each.ours.name}/moving_variance"
            given = self._left[1]["float32"].get(f"forward/{each.theirs.output}/input")
            kept = each.theirs.settings.get("momentum")
            if name in arrays and given is not None and isinstance(kept, float):
                count = given.size / given.shape[-1]
                calls = self._left[1]["float32"].get(f"forward/{each.theirs.output}/calls", np.ones(1)).item()
                old = kept ** (calls * done) * self.start[name].astype(np.float64)
                found[name] = old + (arrays[name] - old) * (count - 1) / count
        return found

    # --- words ----------------------------------------------------------------------------------------------------

    def _explained(self, verdict: Verdict, known: str) -> Verdict:
        note = explained.why(verdict, self._looked, self._paired, self._left, self._told)
        besides = f"not counting that {known}" if known else ""
        order = in_order([each.inspected for each in self._looked]) if verdict.worst.startswith("answer ") else ""
        at_random = [label for label, each in zip(self._labels, self._told, strict=True) if each.random]
        again = f"{' and '.join(at_random)} answers at random: other numbers when it is run again" if at_random else ""
        told = verdict.also(note, order, again, besides)
        return msgspec.structs.replace(told, worst=self._spoken(verdict.worst))

    def _spoken(self, worst: str) -> str:
        """An array or a layer by both its names."""
        name, _, rest = worst.partition(" after ")
        for line in self._paired.lines:
            if line.name == name and line.theirs.name.replace(".", "/") != name:
                return f"{name} ({line.theirs.name})" + (f" after {rest}" if rest else "")
        for each in self._paired.matched:
            if each.ours.output == worst and each.theirs.output != worst:
                return f"{worst} ({each.theirs.output})"
        return worst


_SIDES = (True, False)  # whether it is ours
_NEAR = 1e-3  # more than rounding moves what a layer is given, and less than two layers differ by
_UNBIASED = "torch's moving variance is that of the unbiased variance, Keras's of the biased"


def by_precision(arrays: Arrays) -> dict[str, Arrays]:
    """What a side left, by its precision, under names without it."""
    found: dict[str, Arrays] = {"float32": {}, "float64": {}}
    for name, array in arrays.items():
        precision, _, rest = name.partition("/")
        found[precision][rest] = array
    return found


def _reader(kept: Mapping[str, Mapping[Precision, Arrays]], precision: Precision) -> Any:
    return lambda key: kept.get(key.partition("/")[0], {}).get(precision, {})


def _output(left: Arrays, part: Part) -> NDArray[Any]:
    array = left[f"forward/{part.output}"]
    if part.unflattened and array.ndim == 2:
        array = np.moveaxis(array.reshape(len(array), *part.unflattened), 1, -1).reshape(array.shape)
    return array


def _mask(arrays: Arrays, output: str, mask: NDArray[Any]) -> None:
    """Have zeros for the steps that are masked, of samples by steps, in what a layer is given and makes."""
    for name in (output, f"{output}/input"):
        if name in arrays and arrays[name].ndim > 2 and arrays[name].shape[:2] == mask.shape:
            last = mask.shape[1] - 1 - mask[:, ::-1].argmax(1)
            if name == output:
                arrays[f"{output}/at"] = arrays[name][np.arange(len(mask)), last]
            arrays[name] = np.where(mask.reshape(*mask.shape, *[1] * (arrays[name].ndim - 2)), arrays[name], 0)


def _alike(arrays: list[dict[Precision, Arrays]], mended: set[str]) -> None:
    """Have both sides' outputs in one shape, where they differ by axes of one alone, or by a sequence's last step;
    those that are still not, and `mended` behind the layer, are left out.
    """
    for precision, ours in arrays[0].items():
        theirs = arrays[1][precision]
        for name in list(ours):
            if name in theirs:
                ours[name], theirs[name] = explained.alike(ours, theirs, name)
                if name in mended and ours[name].shape != theirs[name].shape:
                    del ours[name], theirs[name]
        for side in (ours, theirs):
            for name in [name for name in side if name.endswith(explained.ENDS)]:
                del side[name]
