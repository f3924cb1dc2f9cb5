"""Ctrl-C where it would do harm. Imports nothing but the standard library, for it comes before everything else.

Interrupted while it first reads the annotations of a struct, msgspec 0.22 loses the interrupt or crashes the
interpreter; other compiled packages do not like it while they are imported either.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

PRESSED = signal.SIGINT, signal.SIGALRM  # the second stands for a Ctrl-C that waited


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the end, or longer where it waited before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def interrupt_between_imports() -> None:
    """From now on, Ctrl-C raises KeyboardInterrupt, and waits for the end of an import; one that waited comes now."""
    for number in PRESSED:
        signal.signal(number, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def ignore_interrupts() -> None:
    """From now on, Ctrl-C does nothing: the process is ending. Python would die of one that comes amid its exit."""
    for number in PRESSED:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(_: int, frame: FrameType | None) -> None:
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            signal.setitimer(signal.ITIMER_REAL, 0.02)  # asked again
            return
        frame = frame.f_back
    raise KeyboardInterrupt
