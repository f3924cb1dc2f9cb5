"""Watches a process that was started: that its work takes no more than it may, and what it left where it died."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from harness.running.child import HEADLINE, brief, kill


class Limits(msgspec.Struct, frozen=True):
    """What a piece of work may take: seconds, None for as many as it likes, and GiB of memory of its process."""

    seconds: float | None = None
    memory_gib: float = float("inf")


SECONDS_TO_START = 600.0
"""How long a process may take to import a framework, which does not count as its work's time."""


class Guard:
    """Kills a process whose work takes more than its limits, with what it started; `broken` says which it was, and is
    empty before.

    It looks ten times a second; `end` also holds to the limits what ended between two looks. `where` is a signal that
    the process answers by writing into its log where its threads are; None where it does not know one.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        limits: Limits,
        where: signal.Signals | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._process, self._limits, self._where, self._clock = process, limits, where, clock
        self._ends = clock() + SECONDS_TO_START
        self._late = f"the worker took longer than {SECONDS_TO_START:g} seconds to start"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.broken = ""

    def __enter__(self) -> Guard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def begin(self) -> None:
        """The framework is there: the work's own time begins."""
        self._ends = self._clock() + (self._limits.seconds or float("inf"))
        self._late = f"it took longer than timeout={self._limits.seconds:g} seconds" if self._limits.seconds else ""

    def end(self, peak_gib: float) -> None:
        """The work is done, and its process has held `peak_gib` at most: watch no longer."""
        excess = self._excess(peak_gib)
        self._stop()
        self.broken = self.broken or excess

    def _stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            worker = psutil.Process(self._process.pid)
            while not self._over.wait(0.1) and not self.broken:
                self.broken = self._excess(worker.memory_info().rss / 2**30)
            if self.broken:
                if self._where:
                    self._process.send_signal(self._where)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(1)  # it writes and stays
                kill(self._process)

    def _excess(self, memory_gib: float) -> str:
        if self._clock() > self._ends:
            return f"stopped: {self._late}"
        if memory_gib > self._limits.memory_gib:
            return f"stopped: it took {memory_gib:.2f} GiB of memory, more than memory={self._limits.memory_gib:.3g}"
        return ""


def ending(code: int) -> str:
    """How a process ended."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def last_words(code: int, log: Path) -> str:
    """How a worker ended, and the last line that it left in its log, or how Python called its crash."""
    if code == -9:  # SIGKILL
        return f"the worker {ending(code)}: perhaps the system ran out of memory; fewer workers= need less"
    lines = last_lines(log).splitlines()
    told = next((line for line in lines if line.startswith("Fatal Python error")), lines[-1] if lines else "")
    return f"the worker {ending(code)}" + (f": {told}" if told else "")


def last_lines(log: Path) -> str:
    """The end of what the last cell in a worker's log left there."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return brief(text.rpartition(HEADLINE)[2].strip())
