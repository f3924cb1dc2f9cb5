"""Ctrl-C where it would do harm. Imports nothing but the standard library, for it comes before everything else.

Interrupted while it first reads the annotations of a struct, msgspec 0.22 loses the interrupt or crashes the
interpreter; other compiled packages do not like it while they are imported either. Where a signal cannot be held
back, as on Windows, it comes when it comes.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


def _known(*names: str) -> tuple[signal.Signals, ...]:
    """Those of these signals that this system has."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


ENDS = _known("SIGTERM", "SIGHUP")  # from `timeout`, a batch system, a terminal that was closed
PRESSED = *_known("SIGINT"), *ENDS, *_known("SIGALRM")  # the last stands for one of the others that waited
_HOLDS = hasattr(signal, "pthread_sigmask")

_asked: int = signal.SIGINT


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the end, or longer where it waited before."""
    if not _HOLDS:
        yield
        return
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
        if number not in _known("SIGHUP") or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    let_interrupts_through()


def hold_interrupts() -> None:
    """Ctrl-C waits from now on."""
    if _HOLDS:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def let_interrupts_through() -> None:
    """Ctrl-C waits no longer; one that waited comes now."""
    if _HOLDS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def ignore_interrupts() -> None:
    """From now on, Ctrl-C does nothing: the process is ending. Python would die of one that comes amid its exit."""
    for number in PRESSED:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _asked  # noqa: PLW0603  what waits is remembered by the process
    if number not in _known("SIGALRM"):
        _asked = number
    while frame and _HOLDS:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            signal.setitimer(signal.ITIMER_REAL, 0.02)  # asked again
            return
        frame = frame.f_back
    if _asked in ENDS:
        raise SystemExit(128 + _asked)
    raise KeyboardInterrupt
