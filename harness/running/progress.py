"""What a long run shows of itself: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from harness.judging.records import Record
from harness.running.crew import Event, Started
from harness.running.training import work
from harness.running.worker import Done, Epoch, Job
from harness.text import one_line


class Progress:
    """Follows the events of a launch and prints cells done, what each worker is at, and the time left."""

    def __init__(
        self, jobs: list[Job], stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._clock = stream or sys.stdout, clock
        self._live = self._stream.isatty()
        self._work = {job.cell.key: work(job.cell) for job in jobs}
        self._total = sum(self._work.values())
        self._jobs, self._done, self._done_work = len(jobs), 0, 0.0
        self._now: dict[str, tuple[Job, Epoch | None]] = {}
        self._begin = self._last = clock()

    def show(self, event: Event) -> None:
        """Take in one event, and print what changed."""
        job, message = event
        key = job.cell.key
        if isinstance(message, Started):
            self._now[key] = (job, None)
        elif isinstance(message, Epoch):
            self._now[key] = (job, message)
        else:
            self._now.pop(key, None)
        if isinstance(message, Done):
            self._done += 1
            self._done_work += self._work[key]
            self._line(f"[{self._done}/{self._jobs}] {_outcome(message.record)}{self._left()}")
        if self._live:
            _redraw(self._stream, f"{self._done}/{self._jobs} cells{self._left()} | {self._status()}")
        elif self._clock() - self._last > 30 and self._now:
            self._line(f"      {self._status()}")

    def close(self) -> None:
        """Wipe the live line."""
        if self._live:
            _redraw(self._stream)

    def _line(self, text: str) -> None:
        self._stream.write(("\r\033[K" if self._live else "") + text + "\n")
        self._stream.flush()
        self._last = self._clock()

    def _status(self) -> str:
        return " | ".join(_at(job, epoch) for job, epoch in self._now.values())

    def _left(self) -> str:
        done = self._done_work + sum(epoch.share * self._work[key] for key, (_, epoch) in self._now.items() if epoch)
        elapsed = self._clock() - self._begin
        if elapsed < 5 or done < 0.01 * self._total or done >= self._total:
            return ""
        seconds = elapsed * (self._total - done) / done
        return f", {seconds / 60:.0f} min left" if seconds > 90 else f", {seconds:.0f} s left"


def _at(job: Job, epoch: Epoch | None) -> str:
    if epoch is None:
        return f"{job.cell.title}: starting"
    return f"{job.cell.title}: epoch {epoch.epoch}/{epoch.epochs} loss {epoch.loss:.3g} val {epoch.validation_loss:.3g}"


def _outcome(record: Record) -> str:
    title = f"{record.cell.title:<52}"
    if record.status != "ok" or record.test is None:
        log = f" (log: {record.log})" if record.status == "failed" and record.log else ""
        return f"{title} {record.status}: {one_line(record.reason)}{log}"
    scores = {"R²": record.test.r2_mean, "skill": record.test.skill}
    told = ", ".join(f"{name} {round(value, 3) + 0.0:6.3f}" for name, value in scores.items() if value is not None)
    return f"{title} ok in {record.seconds:5.1f} s, {told}"


class Line:
    """What long work is at: one live line on a terminal, elsewhere a line at most every half minute."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream or sys.stdout, clock
        self._live, self._last = self._stream.isatty(), -math.inf

    def show(self, text: str) -> None:
        """In the place of what was shown before."""
        if self._live:
            _redraw(self._stream, text)
        elif self._clock() - self._last >= 30:
            self._stream.write(f"{text}\n")
            self._stream.flush()
            self._last = self._clock()

    def clear(self) -> None:
        """Make room for what is to stay."""
        if self._live:
            _redraw(self._stream)


def _redraw(stream: TextIO, text: str = "") -> None:
    """Put a text in the place of what a terminal's last line shows."""
    stream.write("\r\033[K" + text[: shutil.get_terminal_size().columns - 1])
    stream.flush()


def show_count(done: int, total: int) -> None:
    """One live line on a terminal for work of a known length; nothing elsewhere."""
    if sys.stdout.isatty():
        _redraw(sys.stdout, f"{done}/{total}" if done < total else "")
