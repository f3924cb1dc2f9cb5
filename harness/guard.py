"""Watches a worker: that its cell takes no more than it may, and what it left behind where it died."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from pathlib import Path

import msgspec
import psutil

from harness.worker import HEADLINE, WHERE, brief


class Limits(msgspec.Struct, frozen=True):
    """What a cell may take: seconds, None for as many as it likes, and GiB of memory of its worker."""

    seconds: float | None = None
    memory_gib: float = float("inf")


SECONDS_TO_START = 600.0
"""How long a worker may take to import its framework, which does not count as a cell's time."""


class Guard:
    """Kills a worker whose cell takes more than its limits; `broken` says which it was, and is empty before."""

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits) -> None:
        self._process, self._limits = process, limits
        self._ends = time.monotonic() + SECONDS_TO_START
        self._late = f"the worker took longer than {SECONDS_TO_START:g} seconds to start"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.broken = ""

    def __enter__(self) -> Guard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def begin(self) -> None:
        """The framework is there: the cell's own time begins."""
        self._ends = time.monotonic() + (self._limits.seconds or float("inf"))
        self._late = f"it took longer than timeout={self._limits.seconds:g} seconds" if self._limits.seconds else ""

    def stop(self) -> None:
        """Watch no longer."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            worker = psutil.Process(self._process.pid)
            while not self._over.wait(0.1) and not self.broken:
                self.broken = self._excess(worker.memory_info().rss / 2**30)
            if self.broken:
                self._process.send_signal(WHERE)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(1)  # it writes and stays
                self._process.kill()

    def _excess(self, memory_gib: float) -> str:
        if time.monotonic() > self._ends:
            return f"stopped: {self._late}"
        if memory_gib > self._limits.memory_gib:
            return f"stopped: it took {memory_gib:.2f} GiB of memory, more than memory={self._limits.memory_gib:.3g}"
        return ""


def last_words(code: int, log: Path) -> str:
    """How a process ended, and the last line that it left in its log, or how Python called its crash."""
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    if code == -signal.SIGKILL:
        return f"the worker {how}: the system was out of memory, perhaps; fewer workers= need less"
    lines = last_lines(log).splitlines()
    told = next((line for line in lines if line.startswith("Fatal Python error")), lines[-1] if lines else "")
    return f"the worker {how}" + (f": {told}" if told else "")


def last_lines(log: Path) -> str:
    """The end of what the last cell in a worker's log left there."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return brief(text.rpartition(HEADLINE)[2].strip())
