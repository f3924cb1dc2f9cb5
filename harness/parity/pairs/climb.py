"""A pair climbs: look at both models, map their arrays, give both the same weights, compute, judge, explain."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import msgspec
from safetensors.numpy import load_file, save_file

from harness.errors import BenchError
from harness.foreign import Arrays
from harness.parity.ladder import Verdict
from harness.parity.pairs import drawn, judging
from harness.parity.pairs.mapping import Paired, pair
from harness.parity.pairs.orders import Compute, Computed, Draw, Inspect, Looked, Own, Source
from harness.parity.pairs.process import SideProcess
from harness.running.guard import Limits

RUNGS = ("structure", "forward", "gradients", "state", "optimizer")

Weights = Literal["drawn", "ours", "theirs", "own"]


class PairRequest(msgspec.Struct, frozen=True):
    """What is asked of two models; `mapping` comes before what their file says."""

    name: str
    ours: Source
    theirs: Source
    rungs: tuple[str, ...] = RUNGS
    seeds: tuple[int, ...] = (0,)
    weights: Weights = "drawn"
    mapping: dict[str, str] = {}
    limits: Limits = Limits()


class Pairs:
    """Two processes, which are asked about one pair after the other."""

    def __init__(self, ours: Source, theirs: Source, limits: Limits) -> None:
        self._sides = SideProcess(ours, limits), SideProcess(theirs, limits)
        self._temporary = tempfile.TemporaryDirectory()
        self._folder = Path(self._temporary.name)
        self._pool = ThreadPoolExecutor(2)
        self.paired: Paired | None = None
        self.looked: tuple[Looked, Looked] | None = None

    def __enter__(self) -> Pairs:
        return self

    def __exit__(self, *_: object) -> None:
        for side in self._sides:
            side.__exit__()
        self._pool.shutdown()
        self._temporary.cleanup()

    def climb(self, request: PairRequest) -> Iterator[list[Verdict]]:
        """The verdicts of each rung and seed. Raises BenchError where a model cannot be built or run."""
        given = str(self._folder / "given.safetensors")
        ours, theirs = self._sides
        first = ours.ask(Inspect(request.ours, given, draws=True), Looked)
        second = theirs.ask(Inspect(request.theirs, given), Looked)
        self.looked = (first, second)
        self.paired = pair(first.inspected, second.inspected, first.mapping | request.mapping)
        own = self._own() if request.weights != "drawn" and not self.paired.problems else None
        if "structure" in request.rungs:
            yield [judging.structure(request.name, self.looked, self.paired, own if request.weights == "own" else None)]
        rungs = [rung for rung in request.rungs if rung != "structure"]
        if self.paired.problems:
            note = "the arrays of the two models do not map onto each other: see structure"
            yield from ([Verdict(request.name, rung, "skipped", note=note)] for rung in rungs)
            return
        for seed in request.seeds if rungs else ():
            if seed:
                ours.ask(Draw(given, seed), Computed)
            yield from self._climb_seed(request, rungs, seed, given, own)

    def _own(self) -> tuple[Arrays, Arrays]:
        assert self.paired is not None
        found = []
        for ours, side in zip((True, False), self._sides, strict=True):
            out = str(self._folder / "own.safetensors")
            side.ask(Own(out), Computed)
            found.append(
                judging.common(
                    self.paired.lines, load_file(out), ours, folded=[array.name for array in self.paired.held]
                )
            )
        return found[0], found[1]

    def _climb_seed(
        self, request: PairRequest, rungs: Sequence[str], seed: int, given: str, own: tuple[Arrays, Arrays] | None
    ) -> Iterator[list[Verdict]]:
        assert self.paired is not None
        assert self.looked is not None
        start = drawn.weights(self.paired.lines, seed)
        if own:
            start = own[1] if request.weights == "theirs" else own[0]
        climbed = [rung for rung in rungs if rung != "optimizer" or self._optimizers()]
        computed = self._compute(climbed, start, given)
        judge = judging.Judge(request.name, self.looked, self.paired, start, computed)
        for rung in rungs:
            if rung not in climbed:
                note = f"the pair's file has no {' and no '.join(self._lacking())}"
                yield [Verdict(request.name, rung, "skipped", note=note, seed=seed)]
            elif verdicts := judge.rung(rung):
                yield [msgspec.structs.replace(verdict, seed=seed) for verdict in verdicts]

    def _lacking(self) -> list[str]:
        assert self.looked is not None
        named = [f"{side.source.kind}_optimizer" for side in self._sides]
        return [name for name, looked in zip(named, self.looked, strict=True) if name not in looked.says]

    def _optimizers(self) -> bool:
        return not self._lacking()

    def _compute(self, rungs: Sequence[str], start: Arrays, given: str) -> list[tuple[Computed, Arrays]]:
        assert self.paired is not None
        paired, asked = self.paired, load_file(given)

        def compute(ours: bool) -> tuple[Computed, Arrays]:
            side = self._sides[0 if ours else 1]
            natives = drawn.natives(paired.lines, start, ours)
            file, out = (str(self._folder / f"{word}-{side.source.kind}-{ours}") for word in ("given", "out"))
            save_file(asked | {f"weights/{name}": array for name, array in natives.items()}, file)
            held = () if ours else tuple(array.name for array in paired.held if array.trained)
            return side.ask(Compute(tuple(rungs), file, out, held), Computed), load_file(out)

        return list(self._pool.map(compute, (True, False)))


def climb(request: PairRequest) -> Iterator[tuple[Pairs, list[Verdict]]]:
    """Climb with two processes of its own."""
    with Pairs(request.ours, request.theirs, request.limits) as pairs:
        for verdicts in pairs.climb(request):
            yield pairs, verdicts


def refuse_unknown(rungs: Sequence[str]) -> None:
    """Raises BenchError where a rung is none of a pair's."""
    for rung in rungs:
        if rung not in RUNGS:
            raise BenchError(f"rung={rung}: a pair has {', '.join(RUNGS)}")
