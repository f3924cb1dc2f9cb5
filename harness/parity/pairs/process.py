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
from harness.running.apart import Stopped
from harness.running.guard import Guard, Limits, ending
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
            env=worker_environment(1, "cpu") | _variables(source),
            start_new_session=True,  # Ctrl-C reaches the parent alone, which kills the side
        )

    def __enter__(self) -> SideProcess:
        return self

    def __exit__(self, *_: object) -> None:
        child.kill(self._process)
        child.hang_up(self._process)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()

    def ask(self, request: Request, kind: type[_Answered]) -> _Answered:
        """What the side answers. Raises BenchError with its reason where it refuses, and Stopped where it takes more
        than its limits or dies.
        """
        with Guard(self._process, self._limits) as guard:
            if self._ready:
                guard.begin()
            ended = self._hear(guard, request)
        if guard.broken:
            raise Stopped(f"{self.source.kind}: {guard.broken}")
        if ended is None:
            raise Stopped(f"{self.source.kind}: {self._last_words()}")
        if isinstance(ended, child.Refused):
            raise BenchError(ended.reason)
        return msgspec.json.decode(ended.value, type=kind)

    def _hear(self, guard: Guard, request: Request) -> child.Answer | child.Refused | None:
        child.tell(self._process, request)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message: child.Message = msgspec.json.decode(line, type=child.Message)
            match message:
                case child.Ready():
                    self._ready = True
                    guard.begin()
                case child.Answer(_, peak_gib):
                    guard.end(peak_gib)
                    return message
                case child.Refused():
                    return message
        self._process.wait()
        return None

    def _last_words(self) -> str:
        self._errors.seek(0)
        tail = without_colours(self._errors.read().decode(errors="replace")).strip().splitlines()[-10:]
        return "\n  ".join([f"its process {ending(self._process.returncode)}" + ":" * bool(tail), *tail])


def _variables(source: Source) -> dict[str, str]:
    """Of its environment: Keras on TensorFlow, without settings from the user's home; torch unpickles weights alone."""
    found = {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": os.devnull, "TF_CPP_MIN_LOG_LEVEL": "2"}
    if not source.trusted:
        found["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    return found
