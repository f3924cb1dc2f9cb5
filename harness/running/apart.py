"""Has work done in a process of its own, with limits: work on files that may come from anywhere.

What such a file makes of time and memory cannot be told beforehand, and while it runs, Python hears no Ctrl-C.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from typing import IO, TypeVar

import msgspec

from harness.errors import BenchError
from harness.isolation import command
from harness.protocol import OnProgress
from harness.running import child
from harness.running.guard import Guard, Limits, ending

_Answered = TypeVar("_Answered", bound=msgspec.Struct)


class Stopped(BenchError):
    """The process took more than its limits, or died; the message says which."""


def ask(
    module: str,
    request: msgspec.Struct,
    kind: type[_Answered],
    limits: Limits,
    on_progress: OnProgress,
    threads: int = 1,
    about: str = "",
) -> _Answered:
    """What `module`, run in a fresh interpreter that calls `child.serve`, answers to a request.

    Raises BenchError with the child's reason where it refuses, and Stopped with the limit that it broke or with its
    last words where it died, behind what the work was `about`. Whatever is raised here, an interrupt among it, the
    child is dead afterwards.
    """
    with tempfile.TemporaryFile() as errors:
        process = _start(module, threads, errors)
        with process:
            try:
                with Guard(process, limits) as guard:
                    ended = follow(process, guard, request, on_progress)
                if ended:
                    child.kill(process)  # it has said all it has to say
            except BaseException:  # an interrupt, or the caller's own error: either way nobody waits for the child
                child.kill(process)
                raise
            finally:
                child.hang_up(process)
        if guard.broken:
            raise Stopped(f"{about}{guard.broken}")
        if ended is None:
            raise Stopped(f"{about}{how_it_died(process.returncode, errors)}")
    if isinstance(ended, child.Refused):
        raise BenchError(ended.reason)
    try:
        return msgspec.json.decode(ended.value, type=kind)
    except msgspec.ValidationError as error:  # of a number that is none, for one
        raise BenchError(f"what came of it is no answer: {error}") from None


def _start(module: str, threads: int, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(module),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads))},
        start_new_session=True,  # Ctrl-C reaches the parent alone, which kills the child
    )


_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def follow(
    process: subprocess.Popen[bytes], guard: Guard, request: msgspec.Struct, on_progress: OnProgress
) -> child.Answer | child.Refused | None:
    """How a child that is told a request ends its work, None where it dies before."""
    child.tell(process, request)
    message: child.Message
    for message in child.heard(process, child.Message):
        match message:
            case child.Ready():
                guard.begin()
            case child.Progress(done, total):
                on_progress(done, total)
            case child.Answer(_, peak_gib):
                guard.end(peak_gib)
                return message
            case child.Refused():
                return message
    process.wait()
    return None


def how_it_died(code: int, errors: IO[bytes]) -> str:
    """By its exit code, and by the end of what it said on standard error."""
    errors.seek(0)
    tail = errors.read().decode(errors="replace").strip().splitlines()[-10:]
    return "\n  ".join([f"its process {ending(code)}" + ":" * bool(tail), *tail])
