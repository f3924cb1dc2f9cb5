"""Jobs in, events out: shares cells out among hands, wherever these work.

A hand does one cell after another: `launch` has hands that keep a worker process on this machine, `cluster` hands that
have it kept by a Dask worker elsewhere. Which cell a hand is given is decided here, for all of them.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import queue
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Generator
from typing import Literal, Protocol

import msgspec

from harness import provenance
from harness.environment import Environment, observe
from harness.judging.records import SCHEMA, Record
from harness.running.training import work
from harness.running.worker import Done, Epoch, Job, now

MOST_LOSSES = 3
"""A cell over which so many hands were lost is given to no other: it may be what ends them."""


class Started(msgspec.Struct, frozen=True):
    """A worker was given a cell; it may have to import its framework first."""


class Lost(msgspec.Struct, frozen=True):
    """A worker is gone, and the cell that it was given waits for another one."""


Event = tuple[Job, Started | Epoch | Lost | Done]


class Launcher(Protocol):
    """Jobs in, events out. Each job ends in exactly one `Done`; a consumer that stops early ends the work."""

    @property
    def environment(self) -> Environment:
        """Where cells are computed: what their records are held to, to be done."""

    def told(self, jobs: int) -> str:
        """How many of these jobs are run at a time, and where."""

    def launch(self, jobs: list[Job]) -> Generator[Event]:
        """Run every job, and yield what happens as it happens."""


class LostHand(Exception):
    """A hand can do no more, and nothing is known of its cell: another one does that again."""


class Hand(Protocol):
    """Does one job after another."""

    @property
    def backend(self) -> str:
        """Of which cells it had better do next, "" where it is all one."""

    def do(self, job: Job, tell: Callable[[Epoch], None]) -> Done:
        """Do a job, and tell its progress meanwhile. Raises LostHand where only another hand can do it."""

    def kill(self) -> None:
        """End whatever is under way; called by another thread than that of `do`."""


class Crew:
    """What the hands share: the jobs still to do, and the events so far."""

    def __init__(self, jobs: list[Job]) -> None:
        self.over = threading.Event()
        """Nobody waits for anything any more."""
        self._jobs = len(jobs)
        self._events: queue.SimpleQueue[Event | Exception] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._hands: set[Hand] = set()
        self._serving: Counter[str] = Counter()
        self._losses: Counter[str] = Counter()
        # Of each backend by ascending work; of equal work, the first job last.
        self._waiting: dict[str, list[tuple[float, int, Job]]] = {}
        self._load: defaultdict[str, float] = defaultdict(float)
        self._numbers = itertools.count(0, -1)
        for job in jobs:
            self._put(job)

    @property
    def waiting(self) -> int:
        """How many jobs no hand has taken."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def follow(self) -> Generator[Event]:
        """What happens, until every job has ended. To close it before, or an exception in its consumer, kills the
        hands.
        """
        ended = 0
        try:
            while ended < self._jobs:
                event = self._events.get()
                if isinstance(event, Exception):
                    raise event
                ended += isinstance(event[1], Done)
                yield event
        finally:
            self._stop(kill=ended < self._jobs)

    def serve(self, hand: Hand) -> None:
        """Have a hand do jobs until none is left, or it is lost."""
        backend = hand.backend
        with self._lock:
            self._hands.add(hand)
            self._serving[backend] += 1
        try:
            while job := self.take(backend):
                backend = job.cell.backend
                self._events.put((job, Started()))
                try:
                    done = hand.do(job, functools.partial(self._tell, job))
                except LostHand as lost:
                    self._give_back(job, str(lost))
                    break
                self._events.put((job, done))
        except Exception as error:
            self.fail(error)
        finally:
            with self._lock:
                self._hands.discard(hand)

    def fail(self, error: Exception) -> None:
        """What goes wrong here, not in a worker, is raised by `follow`."""
        self._events.put(error)

    def take(self, backend: str) -> Job | None:
        """The longest job: of the same backend if there is one, else of the one with the most work per hand.

        Short ones come last, so that the hands end together.
        """
        with self._lock:
            self._serving[backend] -= 1
            if not self._waiting:
                return None
            if backend not in self._waiting:
                backend = max(self._waiting, key=lambda name: self._load[name] / (1 + self._serving[name]))
            self._serving[backend] += 1
            amount, _, job = self._waiting[backend].pop()
            self._load[backend] -= amount
            if not self._waiting[backend]:
                del self._waiting[backend], self._load[backend]
            return job

    def _put(self, job: Job) -> None:
        backend, amount = job.cell.backend, work(job.cell)
        bisect.insort(self._waiting.setdefault(backend, []), (amount, next(self._numbers), job))
        self._load[backend] += amount

    def _give_back(self, job: Job, why: str) -> None:
        """Have another hand do it, unless too many were lost over it."""
        with self._lock:
            if self.over.is_set():
                return
            self._serving[job.cell.backend] -= 1
            self._losses[job.cell.key] += 1
            if self._losses[job.cell.key] < MOST_LOSSES:
                self._events.put((job, Lost()))  # before another hand takes it
                self._put(job)
                return
        reason = f"{MOST_LOSSES} workers were lost over it, the last one because {why}"
        self._events.put((job, Done(without_worker(job, "failed", reason))))

    def _tell(self, job: Job, epoch: Epoch) -> None:
        self._events.put((job, epoch))

    def _stop(self, *, kill: bool) -> None:
        """Give out no further job, and kill every hand where jobs are under way."""
        with self._lock:
            self.over.set()
            self._waiting.clear()
            for hand in self._hands if kill else ():
                hand.kill()


def without_worker(job: Job, status: Literal["failed", "unavailable"], reason: str, log: str = "") -> Record:
    """The record of a cell of which no worker made one."""
    return Record(
        schema=SCHEMA,
        key=job.cell.key,
        cell=job.cell,
        status=status,
        started=now(),
        seconds=0.0,
        environment=observe(),
        source=provenance.source(job.cell.backend, job.cell.suite),
        reason=reason,
        log=log,
    )
