"""A pair climbs: look at both models, map their arrays, give both the same weights, compute, judge, explain."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from safetensors.numpy import load_file, save_file

from harness.foreign import Arrays, Source
from harness.parity.ladder import Verdict
from harness.parity.pairs import drawn, exports, judging, written
from harness.parity.pairs.judging import Judge
from harness.parity.pairs.mapping import pair
from harness.parity.pairs.orders import FIRST_SEED, Compute, Computed, Draw, Inspect, Looked, Own
from harness.parity.pairs.paired import Paired
from harness.parity.pairs.process import TwoSides
from harness.parity.pairs.structure import other_answers, structure
from harness.parity.pairs.trying import Better, tell_apart
from harness.running.guard import Limits

RUNGS = ("structure", "forward", "gradients", "state", "optimizer", exports.RUNG)

Weights = Literal["drawn", "ours", "theirs", "own"]


class PairRequest(msgspec.Struct, frozen=True):
    """What is asked of two models."""

    name: str
    ours: Source
    theirs: Source
    rungs: tuple[str, ...] = RUNGS
    seeds: tuple[int, ...] = (0,)
    weights: Weights = "drawn"
    limits: Limits = Limits()
    insists: bool = False
    """Whether a graph that cannot be made breaks the rung `export`, which was asked for by name; else it is skipped."""


class Pairs(TwoSides):
    """A pair of models that can be trained: both sides, and what they answered, so that nothing is computed twice."""

    def __init__(self, ours: Source, theirs: Source, limits: Limits) -> None:
        super().__init__(ours, theirs, limits)
        self._looked: list[tuple[Source, str, Looked] | None] = [None, None]
        self._given: dict[tuple[Source, int], str] = {}
        self._computed: dict[tuple[bool, str], tuple[Computed, Arrays]] = {}
        self.paired = Paired((), ())  # until both are looked at

    def table(self) -> str:
        """The mapping, for the terminal."""
        return written.table(self.paired, self._labels())

    def write(self, what: Literal["mapping", "converter"], path: Path) -> bool:
        """Write it as a table, or as a converter; of a mapping with holes in it neither, which is no success."""
        if self.paired.problems:
            return False
        if what == "mapping":
            written.write_csv(path, self.paired.lines, self._labels())
        else:
            written.write_converter(path, self.paired, self._labels())
        return True

    def _labels(self) -> list[str]:
        return [side.source.kind for side in self._sides]

    def climb(self, request: PairRequest) -> Iterator[list[Verdict]]:
        """The verdicts of each rung and seed. That of `structure` comes unasked where no other rung would tell what it
        does: with weights=own, and where the models are not built alike. Raises BenchError where a model cannot be
        built or run.
        """
        given = self._given.setdefault((request.ours, FIRST_SEED), self._file(f"given-{len(self._given)}"))
        looked = self._look(0, request.ours, given), self._look(1, request.theirs, given)
        inspected = looked[0].inspected, looked[1].inspected
        self.paired = pair(*inspected, looked[0].mapping)
        own = better = None
        if request.weights != "drawn" and not self.paired.problems:
            better = self._tell_apart(request, looked, load_file(given))
            own = self._own()
        alike = not self.paired.problems and not other_answers(inspected)
        if "structure" in request.rungs or request.weights == "own" or not alike:
            yield [structure(request.name, inspected, self.paired, own if request.weights == "own" else None)]
        rungs = [rung for rung in request.rungs if rung != "structure"]
        if not request.insists and "jax" in self._labels():  # which has no exporter
            rungs = [rung for rung in rungs if rung != exports.RUNG]
        if self.paired.problems:
            note = "the arrays of the two models do not map onto each other: see structure"
            yield from ([Verdict(request.name, rung, "skipped", note=note)] for rung in rungs)
            return
        for seed in request.seeds if rungs else ():
            if (request.ours, seed) not in self._given:
                self._given[request.ours, seed] = self._file(f"given-{len(self._given)}")
                self._sides[0].ask(Draw(self._given[request.ours, seed], seed), Computed)
            # Weights of their own tell what is what better than names do.
            yield from self._climb_seed(request, looked, rungs, seed, own, None if request.weights == "own" else better)

    def _file(self, name: str) -> str:
        return str(self._folder / f"{name}.safetensors")

    def _look(self, place: int, source: Source, given: str) -> Looked:
        known = self._looked[place]
        if known and known[:2] == (source, given):
            return known[2]
        draws = place == 0 and not Path(given).exists()
        looked = self._sides[place].ask(Inspect(source, given, draws), Looked)
        self._looked[place] = (source, given, looked)
        self._computed = {key: each for key, each in self._computed.items() if key[0] != (place == 0)}
        return looked

    def _tell_apart(self, request: PairRequest, looked: tuple[Looked, Looked], given: Arrays) -> Better | None:
        """By answers with drawn weights, for by their own two layers may be alike, or the wrong ones differ."""

        def answers(paired: Paired) -> Judge:
            start = drawn.weights(paired.lines, FIRST_SEED)
            return Judge(request.name, looked, paired, start, self._compute(paired, ("forward",), start, given))

        better = tell_apart(self.paired, looked, answers(self.paired), answers)
        if better:
            self.paired = better.paired
        return better

    def _own(self) -> tuple[Arrays, Arrays]:
        found = []
        for ours, side in zip((True, False), self._sides, strict=True):
            side.ask(Own(self._file("own")), Computed)
            held = [array.name for array in self.paired.held]
            found.append(judging.common(self.paired.lines, load_file(self._file("own")), ours, folded=held))
        return found[0], found[1]

    def _climb_seed(
        self,
        request: PairRequest,
        looked: tuple[Looked, Looked],
        rungs: Sequence[str],
        seed: int,
        own: tuple[Arrays, Arrays] | None,
        better: Better | None,
    ) -> Iterator[list[Verdict]]:
        given = load_file(self._given[request.ours, seed])

        def judge(paired: Paired, climbed: Sequence[str]) -> Judge:
            start = drawn.weights(paired.lines, seed)
            if own:
                start = own[1] if request.weights == "theirs" else own[0]
            return Judge(request.name, looked, paired, start, self._compute(paired, climbed, start, given))

        lacking = _lacking((request.ours, request.theirs), looked)
        climbed = [rung for rung in rungs if rung != "optimizer" or not lacking]
        # Answers are needed whatever is asked: to tell layers apart, and for what norms make of a batch.
        trained = [rung for rung in climbed if rung != exports.RUNG]
        needed = tuple(dict.fromkeys(["forward", *trained])) if climbed else ()
        judged = judge(self.paired, needed)
        if climbed and not own:
            better = tell_apart(self.paired, looked, judged, partial(judge, climbed=("forward",)))
            if better:
                self.paired = better.paired
                judged = judge(self.paired, needed)
        for rung in rungs:
            if rung not in climbed:
                note = f"the pair's file has no {' and no '.join(lacking)}"
                yield [Verdict(request.name, rung, "skipped", note=note, seed=seed)]
                continue
            if rung == exports.RUNG:
                computed = self._compute(self.paired, needed, judged.start, given)  # which is known
                verdicts = self._exported(request, looked, computed, judged.start, given)
            else:
                verdicts = judged.rung(rung)
            if verdicts:
                told = _noted(verdicts, better) if better else verdicts
                better = None  # which is said once
                yield [msgspec.structs.replace(verdict, seed=seed) for verdict in told]

    def _compute(
        self, paired: Paired, rungs: Sequence[str], start: Arrays, given: Arrays
    ) -> list[tuple[Computed, Arrays]]:
        def compute(ours: bool) -> tuple[Computed, Arrays]:
            side = self._sides[0 if ours else 1]
            file, out = self._start(paired, start, given, ours), self._file(f"out-{'ours' if ours else 'theirs'}")
            held = () if ours else tuple(array.name for array in paired.held if array.trained)
            key = ours, hashlib.sha256(repr((rungs, held)).encode() + Path(file).read_bytes()).hexdigest()
            if key not in self._computed:
                other = self._sides[int(ours)].source.kind
                computed = side.ask(Compute(tuple(rungs), file, out, held, other), Computed)
                self._computed[key] = computed, load_file(out)
            return self._computed[key]

        return list(self._pool.map(compute, (True, False)))

    def _start(self, paired: Paired, start: Arrays, given: Arrays, ours: bool) -> str:
        """A file with inputs, and with the weights as one side's framework has them."""
        natives = drawn.natives(paired.lines, start, ours)
        if not ours:
            natives |= {array.name: np.full(array.shape, array.constant or 0.0, np.float32) for array in paired.held}
        file = self._file(f"start-{'ours' if ours else 'theirs'}")
        save_file(given | {f"weights/{name}": array for name, array in natives.items()}, file)
        return file

    def _exported(
        self,
        request: PairRequest,
        looked: tuple[Looked, Looked],
        computed: list[tuple[Computed, Arrays]],
        start: Arrays,
        given: Arrays,
    ) -> list[Verdict]:
        save_file(given, self._file("given"))
        files = [self._start(self.paired, start, given, ours) for ours in (True, False)]
        inspected = [each.inspected for each in looked]
        verdicts = exports.exported(
            request.name, self._sides, files, self._file("given"), inspected, computed, request.limits
        )
        if not request.insists:
            return verdicts
        return [
            msgspec.structs.replace(verdict, outcome="breaks") if verdict.outcome == "skipped" else verdict
            for verdict in verdicts
        ]


def _lacking(sources: Sequence[Source], looked: Sequence[Looked]) -> list[str]:
    """Optimizers that the pair's file does not have."""
    named = [f"{source.kind}_optimizer" for source in sources]
    return [name for name, each in zip(named, looked, strict=True) if name not in each.says]


def _noted(verdicts: Sequence[Verdict], better: Better) -> list[Verdict]:
    """The verdicts of a rung with what was found by trying, which breaks it where names say otherwise."""
    if better.wrong:
        return [Verdict(verdicts[0].variant, verdicts[0].rung, "breaks", note=better.wrong), *verdicts]
    return [verdict.also(better.told) for verdict in verdicts]


def climb(request: PairRequest) -> Iterator[tuple[Pairs, list[Verdict]]]:
    """Climb with two processes of its own."""
    with Pairs(request.ours, request.theirs, request.limits) as pairs:
        for verdicts in pairs.climb(request):
            yield pairs, verdicts
