"""Timing in rounds beside a reference, until each ratio is known: knows neither files nor ONNX.

What a shared machine does to a run is not the same for a short and a long one: a run shorter than the scheduler's time
slice mostly keeps its core, a longer one is interrupted, so a ratio of the two does not cancel it, however often it is
measured. So the ratio is of runs that kept their core, which is seen by the thread's own clock standing still while it
waits, and of a model and a reference timed right before it, for the machine is another one seconds later.

An interval takes rounds that do not depend on each other, and who stops where it is narrow stops at lucky ones, too: of
models whose rounds differ much it holds the ratio less often than it says. Hence the fewest rounds.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import BenchError
from harness.judging.timing import FEWEST_ROUNDS, Timing, is_narrow, median_interval
from harness.protocol import OnProgress
from harness.running.load import Load, Shares, observe

Run = Callable[[], object]
Clock = Callable[[], int]
Nanoseconds = NDArray[np.int64]
Ratios = NDArray[np.float64]

DISTURBED = 0.02
"""A run that waited for a core for a larger share of its time than this says nothing of its model."""

BUSY = "the machine was busy"
"""How the reason begins then where other work is to blame: another time it may be known."""

NEVER_KEPT = "; too few runs kept one, so the ratio is of those that waited, too"
"""What is added to the reason then: the interval of such a ratio may be narrow, and is of the wrong thing."""

_LARGEST_BATCH = 2**16


class LatencySettings(msgspec.Struct, frozen=True):
    """How to time one model at one batch size.

    In at least `rounds` rounds, then until the ratio's interval is narrow, `most_rounds` are done or `most_seconds`
    spent. In a round, the reference is run for a third of `seconds` and the model for `seconds`, each at least
    `least_runs` times and at most `runs` times, after one run untimed. `threads` are within an operator of ONNX
    Runtime; `warm_up` runs are untimed before the first round; `seed` shuffles rounds and draws images. With fewer
    `rounds` than an interval takes, there is none. Raises BenchError for a number that makes no measurement.
    """

    threads: int = 1
    batches: tuple[int, ...] = (1, 32)
    warm_up: int = 10
    runs: int = 100
    seconds: float = 0.15
    least_runs: int = 2
    rounds: int = 10
    most_rounds: int = 40
    most_seconds: float = 20.0
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.threads, self.warm_up, self.runs, self.least_runs, *self.batches)
        if min(counts) < 1 or min(self.seconds, self.most_seconds) <= 0:
            raise BenchError("threads, batches, warm-up, runs and seconds must be positive")
        if max(self.batches, default=1) > _LARGEST_BATCH:
            raise BenchError(f"batches of at most {_LARGEST_BATCH} images are timed")
        if not self.batches:
            raise BenchError("batches must be one size or more")
        if not 2 <= self.rounds <= self.most_rounds:
            raise BenchError(
                "rounds must be at least 2, for the ratio has a spread over rounds, and at most most_rounds"
            )


SMOKE = LatencySettings(warm_up=1, runs=10, seconds=0.07, least_runs=1, rounds=2, most_rounds=2)
"""Shows that timing works; its figures are not worth quoting, and have no interval."""


class Machine(NamedTuple):
    """What time is told by: a clock, one that stands still while this thread has no core, and the load until now."""

    clock: Clock = time.perf_counter_ns
    on_core: Clock = time.thread_time_ns
    load: Callable[[], Load | None] = observe


class Share(NamedTuple):
    """One round's runs of a model, back to back: (n,) nanoseconds that each took, and that it waited for a core."""

    took: Nanoseconds
    waited: Nanoseconds

    @property
    def undisturbed(self) -> Nanoseconds:
        """What the runs took that kept their core."""
        kept: Nanoseconds = self.took[self.waited <= DISTURBED * self.took]
        return kept


class Rounds:
    """A model's shares and the reference's right before them, round by round; `load` is that of all its rounds."""

    def __init__(self) -> None:
        self.own: list[Share] = []
        self.reference: list[Share] = []
        self.load: Shares | None = None

    def __len__(self) -> int:
        return len(self.own)

    @property
    def took(self) -> Nanoseconds:
        """Every run of the model."""
        return np.concatenate([share.took for share in self.own])

    @property
    def seconds(self) -> float:
        """What all timed runs took, the reference's too."""
        return sum(float(share.took.sum()) for share in self.own + self.reference) / 1e9

    @property
    def waited(self) -> float:
        """The share of that time, 0 to 1, in which they waited for a core."""
        return sum(float(share.waited.sum()) for share in self.own + self.reference) / 1e9 / self.seconds

    def undisturbed(self) -> Ratios:
        """The ratio in each round in which model and reference both have runs that kept their core."""
        pairs = [(a.undisturbed, b.undisturbed) for a, b in zip(self.own, self.reference, strict=True)]
        return np.array([np.median(a) / np.median(b) for a, b in pairs if a.size and b.size])

    def all(self) -> Ratios:
        """The ratio in each round, of all its runs."""
        return np.array([np.median(a.took) / np.median(b.took) for a, b in zip(self.own, self.reference, strict=True)])

    def known(self) -> bool:
        """Whether the ratio's interval is narrow."""
        interval = median_interval(ratios := self.undisturbed())
        return interval is not None and is_narrow(float(np.median(ratios)), *interval)


# --- measuring ------------------------------------------------------------------------------------------------------


def time_in_rounds(
    runs: Mapping[str, Run],
    reference: Run,
    settings: LatencySettings,
    on_progress: OnProgress,
    machine: Machine | None = None,
) -> dict[str, Rounds]:
    """Time every run beside the reference. Each round takes those that are not over in an order shuffled anew.

    `on_progress` is told after each round how many rounds of models are done, or saved, of the most there can be.
    """
    machine = machine or Machine()
    if settings.threads > 1:  # the calling thread waits for the others whatever the machine does
        machine = machine._replace(on_core=machine.clock)
    draw = np.random.default_rng(settings.seed)
    done = {name: Rounds() for name in runs}
    going, begin = list(runs), machine.load()
    while going:
        for index in draw.permutation(len(going)):
            rounds, run = done[going[index]], runs[going[index]]
            with _without_garbage_collection():
                rounds.reference.append(_share(reference, settings.seconds / 3, settings, machine))
                rounds.own.append(_share(run, settings.seconds, settings, machine))
        over = [name for name in going if _is_over(done[name], settings)]
        now = machine.load() if over else None
        for name in over:
            done[name].load = now.since(begin) if now and begin else None
        going = [name for name in going if name not in over]
        left = sum(settings.most_rounds - len(done[name]) for name in going)
        on_progress(len(runs) * settings.most_rounds - left, len(runs) * settings.most_rounds)
    return done


def _is_over(rounds: Rounds, settings: LatencySettings) -> bool:
    if len(rounds) < settings.rounds:
        return False
    spent = len(rounds) >= settings.most_rounds or rounds.seconds >= settings.most_seconds
    return spent or rounds.known()


def _share(run: Run, seconds: float, settings: LatencySettings, machine: Machine) -> Share:
    took: list[int] = []
    waited: list[int] = []
    run()  # the other models had the caches meanwhile
    begin = now = machine.clock()
    while len(took) < settings.least_runs or (len(took) < settings.runs and now - begin < seconds * 1e9):
        on_core = machine.on_core()
        before = machine.clock()
        run()
        now = machine.clock()
        took.append(now - before)
        waited.append(max(0, now - before - (machine.on_core() - on_core)))
    return Share(np.array(took, np.int64), np.array(waited, np.int64))


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# --- what is said of it ---------------------------------------------------------------------------------------------


def summarise(rounds: Rounds, batch: int, threads: int) -> Timing:
    """The `Timing` of a model. Where too few rounds have runs that kept their core, the ratio is of all runs."""
    milliseconds = rounds.took / 1e6
    p50, p90, p99 = np.percentile(milliseconds, (50, 90, 99)).tolist()
    ratios = rounds.undisturbed()
    if never := len(ratios) < min(FEWEST_ROUNDS, len(rounds)):
        ratios = rounds.all()
    tenth, ratio, ninetieth = np.percentile(ratios, (10, 50, 90)).tolist()
    low, high = median_interval(ratios) or (None, None)
    return Timing(
        batch=batch,
        threads=threads,
        runs=len(milliseconds),
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        throughput=1e3 * batch / p50,
        ratio=ratio,
        ratio_spread=(ninetieth - tenth) / ratio,
        ratio_low=low,
        ratio_high=high,
        rounds=len(rounds),
        unsteady="" if low is None or rounds.known() else _why(rounds) + NEVER_KEPT * never,
    )


def _why(rounds: Rounds) -> str:
    """The likeliest reason why a ratio is not known better, in words."""
    others, stolen = rounds.load or Shares(0.0, 0.0)
    had = [f"other processes took {others:.0%} of the cores"] if others >= 0.05 else []
    had += [f"the hypervisor took {stolen:.0%} of the cores for others (steal)"] if stolen >= 0.01 else []
    if rounds.waited > DISTURBED:
        waited = f"it waited for a core in {rounds.waited:.0%} of the time"
        return f"{BUSY}: {', '.join([waited, *had])}"
    if had:
        return f"it kept its core, but {' and '.join(had)}, which share caches and memory"
    return "it varies by itself: it kept its core, and nothing else ran"
