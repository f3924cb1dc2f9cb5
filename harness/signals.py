"""Ctrl-C where it would do harm. Imports nothing but the standard library, for it comes before everything else.

Interrupted while it first reads the annotations of a struct, msgspec 0.22 loses the interrupt or crashes the
interpreter; other compiled packages do not like it while they are imported either.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

ENDS = signal.SIGTERM, signal.SIGHUP  # from `timeout`, a batch system, a terminal that was closed
PRESSED = signal.SIGINT, *ENDS, signal.SIGALRM  # the last stands for one of the others that waited

_asked: int = signal.SIGINT


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the end, or longer where it waited before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def interrupt_between_imports() -> None:
    """From now on, Ctrl-C raises KeyboardInterrupt, and what asks to end SystemExit, so that everything is cleaned up.

    Both wait for the end of an import; a Ctrl-C that waited comes now. After `nohup` SIGHUP stays ignored.
    """
    for number in PRESSED:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def ignore_interrupts() -> None:
    """From now on, Ctrl-C does nothing: the process is ending. Python would die of one that comes amid its exit."""
    for number in PRESSED:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _asked  # noqa: PLW0603  what waits is remembered by the process
    if number != signal.SIGALRM:
        _asked = number
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            signal.setitimer(signal.ITIMER_REAL, 0.02)  # asked again
            return
        frame = frame.f_back
    if _asked in ENDS:
        raise SystemExit(128 + _asked)
    raise KeyboardInterrupt
