"""A pair of which one model, or both, is an ONNX graph: it is run with the weights that it has, and not trained.

What is compared are the answers, and whose weights they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from safetensors.numpy import load_file, save_file

from harness.foreign import Arrays, Inspected, Source
from harness.parity.ladder import Verdict
from harness.parity.pairs import contents, written
from harness.parity.pairs.answers import answered
from harness.parity.pairs.climb import PairRequest
from harness.parity.pairs.contents import Found, How
from harness.parity.pairs.orders import FIRST_SEED, Compute, Computed, Draw, Inspect, Looked, Own
from harness.parity.pairs.process import TwoSides
from harness.parity.pairs.structure import other_answers, the_first
from harness.running.guard import Limits

RUNGS = ("structure", "forward")


class Graphs(TwoSides):
    """A pair with an ONNX file."""

    def __init__(self, ours: Source, theirs: Source, limits: Limits) -> None:
        super().__init__(ours, theirs, limits)
        self._found: list[Found] = []
        self._remarks: list[str] = []
        self._labels: list[str] = []

    def table(self) -> str:
        """Which array is which, and what is worth knowing, for the terminal."""
        return written.located(self._found, self._remarks, self._labels)

    def write(self, _: Literal["mapping"], path: Path) -> bool:
        """Write which array is which as a table."""
        written.write_located(path, self._found, self._labels)
        return True

    def climb(self, request: PairRequest) -> Iterator[list[Verdict]]:
        """The verdicts of each rung and seed. Raises BenchError where a model cannot be built or run."""
        given = str(self._folder / "given")
        (self._folder / "given").unlink(missing_ok=True)
        looked = self._look(request, given)
        own = self._own()
        order = [array.name for part in looked[0].parts for array in part.arrays.values()]
        found = contents.find({name: own[0][name] for name in dict.fromkeys([*order, *own[0]])}, own[1])
        self._found = contents.with_folded(found, looked[0].parts, *own)
        self._labels = [each.framework for each in looked]
        self._remarks = [f"{each.framework} {remark}" for each in looked for remark in each.remarks]
        self._remarks += _extra(contents.others(self._found, own[1]), own[1], self._labels[1])
        wrong = other_answers(looked)
        if "structure" in request.rungs or wrong:
            yield [_structure(request.name, self._found, wrong, self._labels)]
        for seed in request.seeds if "forward" in request.rungs and not wrong else ():
            if seed != FIRST_SEED:
                self._sides[0].ask(Draw(given, seed), Computed)
            computed = self._compute(load_file(given), own[0] if request.ours.kind != "onnx" else {})
            verdicts = answered(request.name, looked, computed)
            yield [msgspec.structs.replace(verdict, seed=seed) for verdict in verdicts]

    def _look(self, request: PairRequest, given: str) -> tuple[Inspected, Inspected]:
        looked = self._sides[0].ask(Inspect(request.ours, given, draws=True), Looked)
        ours, called = looked.inspected, looked.called
        theirs = self._sides[1].ask(Inspect(request.theirs, given, called=called), Looked).inspected
        if ours.framework == theirs.framework:
            theirs = msgspec.structs.replace(theirs, framework=f"{theirs.framework}2")
        return ours, theirs

    def _own(self) -> tuple[Arrays, Arrays]:
        ours, theirs = (str(self._folder / name) for name in ("ours", "theirs"))
        self._sides[0].ask(Own(ours), Computed)
        self._sides[1].ask(Own(theirs), Computed)
        return load_file(ours), load_file(theirs)

    def _compute(self, given: Arrays, weights: Arrays) -> list[tuple[Computed, Arrays]]:
        """Both sides' answers. Ours is told its own weights: built in another precision, it might draw others."""

        def compute(ours: bool) -> tuple[Computed, Arrays]:
            start, out = (str(self._folder / f"{name}-{ours}") for name in ("start", "out"))
            held = {f"weights/{name}": array for name, array in weights.items()} if ours else {}
            save_file(given | held, start)
            computed = self._sides[0 if ours else 1].ask(Compute(("forward",), start, out), Computed)
            return computed, load_file(out)

        return list(self._pool.map(compute, (True, False)))


def climb(request: PairRequest) -> Iterator[tuple[Graphs, list[Verdict]]]:
    """Climb with two processes of its own."""
    with Graphs(request.ours, request.theirs, request.limits) as graphs:
        for verdicts in graphs.climb(request):
            yield graphs, verdicts


# --- whose weights are these? -----------------------------------------------------------------------------------------


def _structure(name: str, found: Sequence[Found], wrong: Sequence[str], labels: Sequence[str]) -> Verdict:
    """Whether there are as many answers, and the kernels of one model are those of the other. Arrays that are not found
    break nothing, nor do vectors that are nearly found: exporters fold norms into what lies before them, and `forward`
    says what comes of that.
    """
    by_how: dict[How, list[Found]] = {how: [each for each in found if each.how == how] for how in _COUNTED}
    kernels = [each for each in by_how["apart"] if sum(size > 1 for size in each.shape) > 1]
    told = [f"{each.name} is {' and '.join(each.where)}, {each.told}" for each in kernels]
    telling = [each.how for each in found if each.how != "constant" and np.prod(each.shape) >= contents.MANY]
    if telling and set(telling) == {"absent"}:
        told = [f"none of the arrays of {labels[0]} is in {labels[1]}"]
    if problems := [*wrong, *told]:
        return Verdict(name, "structure", "breaks", note=the_first(problems))
    size = sum(int(np.prod(each.shape)) for each in found)
    counts = ", ".join(f"{len(each)} {_COUNTED[how]}" for how, each in by_how.items() if each)
    note = f"{len(found)} arrays of {labels[0]}, {size:,} numbers; in {labels[1]} are {counts}"
    return Verdict(name, "structure", "passes", note=note)


_COUNTED: dict[How, str] = {
    "equal": "equal",
    "transposed": "transposed",
    "elsewhere": "in another order or among others",
    "scaled": "scaled by channel",
    "folded": "folded",
    "constant": "of one number, which tells nothing",
    "apart": "apart",
    "absent": "not found",
}


def _extra(names: Sequence[str], arrays: Arrays, label: str) -> list[str]:
    if not names:
        return []
    told = [f"{name} {arrays[name].shape}" for name in names]
    return [f"of {label} alone: {the_first(told, ', ')}"]
