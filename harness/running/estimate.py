"""`bench run ... dry=true`: what a run would take, from the seconds that records tell, and on how many workers.

Nothing is trained. The wall time is a simulation of the scheduling itself: `Crew` gives the cells out, only time is
made up.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Literal, NamedTuple

from harness import provenance
from harness.environment import observe
from harness.judging.outlines import Outline, Shelf
from harness.judging.records import Cell
from harness.judging.standing import standing
from harness.judging.store import Store
from harness.model import pretrained
from harness.model.backbones import Family
from harness.model.pretrained import RANDOM, Origin, Origins
from harness.running import launchers
from harness.running.crew import Crew
from harness.running.data import DataSource
from harness.running.plan import Plan, Request, plan
from harness.running.run import good_here, to_do
from harness.running.training import work
from harness.running.worker import Job
from harness.text import counted, one_line

STARTS_IN = 3.0
"""Seconds until a worker that is given another backend has imported it: scikit-learn 1, torch 2, TensorFlow 4."""

LADDER = (1, 2, 8, 64, 1024)
"""For how many workers the wall time is told, besides those asked for."""

LINEAR = 0.9
"""What share of a worker's time must be spent on cells for many of them to count as so many times one."""

_PUBLISHED = Path(__file__).resolve().parents[2] / "results"

How = Literal["its own", "its variant's", "arithmetic"]
_TOLD: Mapping[How, str] = {
    "its own": "from seconds recorded of the same variant, backend and profile",
    "its variant's": "from those of other profiles or weights, by the amount of work",
    "arithmetic": "by the amount of arithmetic alone",
}


class Known(NamedTuple):
    """What a record tells: `work` is `training.work` of its cell, `machine` as `provenance.machine`."""

    row: str
    variant: str
    backend: str
    profile: str
    work: float
    machine: str = ""
    seconds: float = 0.0


class Spent(NamedTuple):
    """Seconds of one core that a cell is expected to take, and how that is known."""

    seconds: float
    how: How


class Estimates:
    """Expected seconds of cells on a `machine`, from what is known. Records of that machine count alone where there are
    some of the kind.
    """

    def __init__(self, known: Iterable[Known], machine: str) -> None:
        self._machine = machine
        self._rows: defaultdict[object, list[Known]] = defaultdict(list)
        self._variants: defaultdict[object, list[Known]] = defaultdict(list)
        self._backends: defaultdict[object, list[Known]] = defaultdict(list)
        for one in known:
            self._rows[one.row, one.backend, one.profile].append(one)
            self._variants[one.variant, one.backend].append(one)
            self._backends[one.backend].append(one)

    def of(self, asked: Known, without: Callable[[Known], bool] = lambda _: False) -> Spent:
        """The seconds of what is `asked`, whose own are not looked at; nor are those of records left out by `without`.

        Without a record of its variant a cell takes what others of its backend took for as much work, at the median,
        and without any of these a millisecond for a unit of work.
        """
        ways: tuple[tuple[How, Sequence[Known]], ...] = (
            ("its own", self._rows[asked.row, asked.backend, asked.profile]),
            ("its variant's", self._variants[asked.variant, asked.backend]),
            ("arithmetic", self._backends[asked.backend]),
        )
        for how, found in ways:
            alike = [one for one in found if not without(one)]
            alike = [one for one in alike if one.machine == self._machine] or alike
            if alike:
                rates = [one.seconds / one.work for one in alike]
                return Spent(asked.work * (median(rates) if how == "arithmetic" else fmean(rates)), how)
        return Spent(asked.work / 1000, "arithmetic")


class Deviation(NamedTuple):
    """By how much estimates of so many recorded `cells` are off: half of them by no more than the share `half`, their
    sum by the share `total`, above (positive) or below what was recorded.
    """

    cells: int
    half: float
    total: float


def error(known: Sequence[Known], rows: bool) -> Deviation | None:
    """How good estimates of these are, each without its own record, with `rows` without any of its row; None where
    nothing is known.
    """
    if not known:
        return None
    by_machine = {machine: Estimates(known, machine) for machine in {one.machine for one in known}}

    def estimated(asked: Known) -> float:
        def without(one: Known) -> bool:
            same_row = (one.row, one.backend) == (asked.row, asked.backend)
            return same_row if rows else one is asked

        return by_machine[asked.machine].of(asked, without).seconds

    pairs = [(estimated(one), one.seconds) for one in known]
    shares = [abs(ours - theirs) / max(theirs, 1e-3) for ours, theirs in pairs]
    return Deviation(
        len(pairs), median(shares), sum(ours for ours, _ in pairs) / sum(theirs for _, theirs in pairs) - 1
    )


def makespan(jobs: list[Job], seconds: Mapping[str, float], workers: int) -> float:
    """Seconds until so many workers have done all jobs, given out by `Crew`, each taking the seconds of its cell's key.

    A worker that is given another backend than before needs `STARTS_IN` more.
    """
    crew, end = Crew(jobs), 0.0
    free: list[tuple[float, int, str]] = [(0.0, number, "") for number in range(min(workers, len(jobs)))]
    while free:
        at, number, backend = heapq.heappop(free)
        end = max(end, at)
        if job := crew.take(backend):
            at += seconds[job.cell.key] + STARTS_IN * (job.cell.backend != backend)
            heapq.heappush(free, (at, number, job.cell.backend))
    return end


def _at_hand(request: Request) -> Origins:
    """What backbones would start from, as far as it is here: nothing is fetched for an estimate."""
    if request.weights not in ("auto", "imagenet"):
        return pretrained.chosen(request.weights, request.results, print)

    @cache
    def of(family: Family) -> Origin:
        if pretrained.state(family) == "ready" or request.weights == "imagenet":
            return Origin("imagenet")
        print(f"{family}: no ImageNet weights here; the run would download them; estimated as for random weights")
        return RANDOM

    return of


def dry_run(request: Request) -> Iterator[str]:
    """What a run of the request would take, in lines. Raises BenchError for what the run would refuse."""
    weights = _at_hand(request)
    spent: list[list[tuple[Job, float]]] = []
    for name in request.suites:
        suite_plan, records = plan(name, request, weights), recorded(request, name)
        launchers.refuse_code(request, suite_plan.cells)
        known = [_known(record) for record in records]
        good = good_here(suite_plan.cells, Shelf(Store(request.results, name)))
        jobs = [Job(cell, DataSource()) for cell in to_do(suite_plan.cells, good, request.results)]
        estimates = Estimates(known, provenance.machine(observe()))
        expected = {job.cell.key: estimates.of(_asked(job.cell)) for job in jobs}
        spent.append([(job, expected[job.cell.key].seconds) for job in jobs])
        yield from _cells(suite_plan, jobs, expected)
        yield from _disk(jobs, records)
        yield from _errors([one for one in known if one.profile == request.profile])
    elsewhere = request.scheduler or request.settings_file
    yield from _ladder([suite for suite in spent if suite], None if elsewhere else request.workers)


def recorded(request: Request, suite: str) -> list[Outline]:
    """The `ok` records of a suite on the device of the request, in its results folder and among those published; of one
    cell and what computed it that of its results folder.
    """
    found: dict[tuple[str, str], Outline] = {}
    for results in dict.fromkeys((_PUBLISHED, request.results.resolve())):
        for record in standing(Shelf(Store(results, suite)).outlines):
            if record.status == "ok" and record.cell.settings.device == request.settings.device:
                found[record.key, record.computed_by] = record
    return list(found.values())


def _known(record: Outline) -> Known:
    asked = _asked(record.cell)
    return asked._replace(machine=provenance.machine(record.environment), seconds=record.seconds)


def _asked(cell: Cell) -> Known:
    return Known(cell.row, cell.variant, cell.backend, cell.profile, work(cell))


def _cells(suite_plan: Plan, jobs: Sequence[Job], expected: Mapping[str, Spent]) -> Iterator[str]:
    """Every row with its number of cells and seconds, and how these are known."""
    total = sum(one.seconds for one in expected.values())
    cells = len(suite_plan.cells)
    yield (
        f"suite {suite_plan.suite}: {counted(cells, 'cell')}, {cells - len(jobs)} already done, {len(jobs)} to run: "
        f"{total / 3600:.2f} core-hours"
    )
    for (row, backend), same in itertools.groupby(jobs, lambda job: (job.cell.row, job.cell.backend)):
        seconds = [expected[job.cell.key].seconds for job in same]
        yield f"  {one_line(f'{row} on {backend}'):<60} {len(seconds):>3} x {fmean(seconds):>9.1f} s"
    for how, count in Counter(one.how for one in expected.values()).items():
        yield f"estimated {_TOLD[how]}: {counted(count, 'cell')}"


def _disk(jobs: Sequence[Job], records: Sequence[Outline]) -> Iterator[str]:
    """An exported file and its weights, which are as large, as other seeds of the row or the variant left."""
    sizes: defaultdict[object, list[int]] = defaultdict(list)
    for record in records:
        if record.onnx:
            sizes[record.cell.variant, record.cell.backend].append(2 * record.onnx.bytes)
    known = [found for job in jobs if (found := sizes.get((job.cell.variant, job.cell.backend)))]
    told = [f"{sum(map(fmean, known)) / 1e9:.2f} GB"] * bool(known)
    if len(known) < len(jobs):
        told.append(f"not known of {counted(len(jobs) - len(known), 'cell')}")
    yield f"disk for models: {', '.join(told)}"


def _errors(known: Sequence[Known]) -> Iterator[str]:
    """How good the estimates are, by the records themselves."""
    for rows, what in ((False, "its own record"), (True, "any of its row")):
        if found := error(known, rows):
            yield (
                f"error, each of {found.cells} recorded cells estimated without {what}: half within "
                f"{found.half:.0%}, the sum off by {found.total:+.1%}"
            )


def _ladder(suites: Sequence[Sequence[tuple[Job, float]]], asked: int | None) -> Iterator[str]:
    """The wall time by workers, one suite after the other as they are run, and where it stops being linear and why;
    `asked` are this machine's, None where others do the work.
    """
    if not suites:
        return
    alone = _wall(suites, 1)
    yield "workers     wall time  times one  busy"
    for workers in sorted({*LADDER, asked or 1}):
        wall = _wall(suites, workers)
        here = "  as many as this run would use here" * (workers == asked)
        yield f"{workers:>7} {_time(wall):>13} {alone / wall:>10.1f} {alone / wall / workers:>5.0%}{here}"
    yield _limit(suites, alone)


def _limit(suites: Sequence[Sequence[tuple[Job, float]]], alone: float) -> str:
    """Up to how many workers each is busy, and what keeps more from being so."""
    linear = 1
    while (more := linear + max(1, linear // 8)) <= LADDER[-1] and alone / _wall(suites, more) / more >= LINEAR:
        linear = more
    longest = [max(suite, key=lambda pair: pair[1]) for suite in suites]
    bound = sum(seconds for _, seconds in longest)
    named = max(longest, key=lambda pair: pair[1])[0].cell
    of_each = "the longest cell of each suite" if len(suites) > 1 else "the longest cell"
    return one_line(
        f"linear (each {LINEAR:.0%} busy) up to {counted(linear, 'worker')}; however many there are, it takes "
        f"{_time(bound)}, as long as {of_each}: {named.row} on {named.backend}"
    )


def _wall(suites: Sequence[Sequence[tuple[Job, float]]], workers: int) -> float:
    return sum(
        makespan([job for job, _ in suite], {job.cell.key: seconds for job, seconds in suite}, workers)
        for suite in suites
    )


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{seconds / 60:.1f} min"
