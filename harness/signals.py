"""Ctrl-C where it would do harm. Imports nothing but the standard library, for it comes before everything else.

Interrupted while it first reads the annotations of a struct, msgspec 0.22 loses the interrupt or crashes the
interpreter; other compiled packages do not like it while they are imported either. Where a signal cannot be held
back, as on Windows, it comes when it comes.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
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
    if _HOLDS and _imports(frame):
        signal.setitimer(signal.ITIMER_REAL, 0.02)  # asked again
        return
    if _asked in ENDS:
        raise SystemExit(128 + _asked)
    raise KeyboardInterrupt


def _imports(frame: FrameType | None) -> bool:
    """Whether what runs there is an import, or called by one."""
    while frame and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


@contextlib.contextmanager
def imports_uninterrupted() -> Iterator[None]:
    """Meanwhile KeyboardInterrupt waits for the end of an import, in a process that is somebody else's, as a notebook.

    Python 3.11, interrupted amid an import, may keep the lock of all imports: every other thread that imports something
    would wait forever. Nothing is changed where the process answers these signals in its own way, in threads that hear
    no signal, and amid an import.
    """
    if (
        not _HOLDS
        or threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL
        or _imports(sys._getframe())
    ):
        yield
        return
    for number in (signal.SIGINT, signal.SIGALRM):
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        try:
            waits, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if waits:
            raise KeyboardInterrupt
