"""Standard streams that are closed, that nobody reads any more, that lie on a full disk, or that lack a character."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys

from harness.text import shown


def prepare() -> None:
    """Give a process the standard streams that it lacks, as after `bench run >&-`: else files take their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  as long as the process
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def show_any_character() -> None:
    """A terminal that cannot show a character is told its number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_about_output(error: OSError) -> bool:
    """Whether an error is of standard output, which has no name; every file of ours is written with its name."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def tell(text: str) -> None:
    """Say something on standard error, where anybody hears it."""
    with contextlib.suppress(OSError):
        print(shown(text), file=sys.stderr)


def give_up_output() -> None:
    """Say no more: what waits to be written would fail again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
