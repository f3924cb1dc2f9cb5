"""Values of options that are more than a number or a word, and what they are checked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import BenchError

if TYPE_CHECKING:
    from harness.command.commands import LatencyOptions, ParityOptions, PredictOptions, ReproduceOptions, RunOptions
    from harness.running.guard import Limits


def numbers(key: str, text: str) -> tuple[int, ...]:
    """Whole numbers from 0 to 2^32 - 1 between commas, each once. Raises BenchError for anything else."""
    try:
        numbers = tuple(dict.fromkeys(_whole(part) for part in text.split(",") if part.strip()))
    except ValueError:
        raise BenchError(f"{key}={text}: must be whole numbers separated by commas") from None
    if any(not 0 <= number < 2**32 for number in numbers):
        raise BenchError(f"{key}={text}: must lie between 0 and 2^32 - 1")
    return numbers


def _whole(text: str) -> int:
    if not text.strip().lstrip("-").isdecimal() or not text.isascii():  # `int` would also take 1_000
        raise ValueError(text)
    return int(text)


def file(key: str, text: str) -> Path:
    """A file that is there. Raises BenchError for anything else."""
    path = Path(text)
    if not os.path.lexists(path):
        raise BenchError(f"{key}={text}: there is no such file")
    if not path.is_file():
        raise BenchError(f"{key}={text}: not a file, but a folder, a pipe or a broken link")
    return path


def limits(options: RunOptions | LatencyOptions | PredictOptions | ParityOptions | ReproduceOptions) -> Limits:
    """The time and memory that each process of a command may take."""
    from harness.environment import usable_memory_gib
    from harness.running.guard import Limits

    return Limits(options.timeout or None, options.memory or usable_memory_gib())


def limits_elsewhere(options: RunOptions) -> Limits:
    """The same where the processes are other machines', whose memory is not known here."""
    from harness.running.guard import Limits

    return Limits(options.timeout or None, options.memory or float("inf"))
