"""A side's process: asked one thing after the other, held to limits while it works, dead when it is left."""

from __future__ import annotations

import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from harness.errors import BenchError
from harness.foreign import Source
from harness.isolation import command
from harness.parity.pairs.orders import Request
from harness.parity.side import without_colours
from harness.running import child
from harness.running.apart import Stopped, follow, how_it_died
from harness.running.guard import Guard, Limits
from harness.running.launch import worker_environment

_Answered = TypeVar("_Answered", bound=msgspec.Struct)


class TwoSides:
    """Two processes, which are asked about one pair after the other, and a folder for what they leave."""

    def __init__(self, ours: Source, theirs: Source, limits: Limits) -> None:
        self._sides = SideProcess(ours, limits), SideProcess(theirs, limits)
        self._temporary = tempfile.TemporaryDirectory()
        self._folder = Path(self._temporary.name)
        self._pool = ThreadPoolExecutor(2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for side in self._sides:
            side.__exit__()
        self._pool.shutdown()
        self._temporary.cleanup()


class SideProcess:
    """One interpreter with one framework, that a user's code runs in."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source, self._limits, self._ready = source, limits, False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        self._process = subprocess.Popen(
            command("harness.parity.pairs.side", source.kind),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=worker_environment("cpu") | _variables(source),
            start_new_session=True,  # Ctrl-C reaches the parent alone, which kills the side
        )

    def __enter__(self) -> SideProcess:
        return self

    def __exit__(self, *_: object) -> None:
        child.kill(self._process)
        child.see_out(self._process)
        self._errors.close()

    def ask(self, request: Request, kind: type[_Answered]) -> _Answered:
        """What the side answers. Raises BenchError with its reason where it refuses, and Stopped where it takes more
        than its limits or dies.
        """
        with Guard(self._process, self._limits) as guard:
            if self._ready:
                guard.begin()
            ended = follow(self._process, guard, request, lambda *_: None)
            self._ready = True  # whoever has ended its work once has imported what it needs
        if guard.broken:
            raise Stopped(f"{self.source.kind}: {guard.broken}")
        if ended is None:
            told = without_colours(how_it_died(self._process.returncode, self._errors))
            raise Stopped(f"{self.source.kind}: {told}")
        if isinstance(ended, child.Refused):
            raise BenchError(ended.reason)
        return msgspec.json.decode(ended.value, type=kind)


def _variables(source: Source) -> dict[str, str]:
    """Of its environment: Keras on TensorFlow, without settings from the user's home; torch unpickles weights alone."""
    found = {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": os.devnull, "TF_CPP_MIN_LOG_LEVEL": "2"}
    if not source.trusted:
        found["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    return found
