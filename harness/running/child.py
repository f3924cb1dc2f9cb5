"""A process that another one started: it hears that one on standard input, and answers on standard output.

Each message is a line of JSON. Standard input stays open as long as the parent lives: whoever waits for it to end
knows that nobody waits for an answer any more, however the parent ended.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil

from harness.errors import BenchError, Unavailable
from harness.protocol import OnProgress

_Asked = TypeVar("_Asked", bound=msgspec.Struct)


class Ready(msgspec.Struct, frozen=True, tag=True):
    """What the child needs is imported, and the time of its work begins."""


class Progress(msgspec.Struct, frozen=True, tag=True):
    """Steps done, of how many."""

    done: int
    total: int


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The end of the work: it cannot be done, and why."""

    reason: str


class Answer(msgspec.Struct, frozen=True, tag=True):
    """The end of the work: what came of it, as JSON, and the most memory that the child has held, in GiB."""

    value: msgspec.Raw
    peak_gib: float


Message = Ready | Progress | Refused | Answer


HEADLINE = "\n--- "
"""What stands in a worker's log before the title of each cell."""


def brief(text: str) -> str:
    """The last 40 lines of a text, of no more than 4000 characters: what of a traceback or log goes into a record."""
    return "\n".join(text.strip().splitlines()[-40:])[-4000:]


def serve(
    kind: type[_Asked], answer: Callable[[_Asked, OnProgress], msgspec.Struct], prepare: Callable[[], object]
) -> None:
    """Answer the one request of a `kind` on standard input. `prepare` imports what takes long, before the time counts.

    A BenchError, what this machine lacks, a file that cannot be read and a lack of memory are told; anything else is a
    fault, with a traceback.
    """
    send = take_over_stdout()
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=kind)
    end_with_input()
    prepare()
    send(Ready())
    try:
        value = answer(request, lambda done, total: send(Progress(done, total)))
        send(Answer(msgspec.Raw(msgspec.json.encode(value)), peak_gib()))
    except (BenchError, Unavailable) as error:
        send(Refused(_text(error)))
    except OSError as error:
        send(Refused(_text(f"{error.filename or 'input or output'}: {error.strerror or error}")))
    except MemoryError as error:
        send(Refused(_text(f"not enough memory: {error}")))


def end_with_input() -> queue.SimpleQueue[bytes]:
    """Have this process end when its standard input does, for then the parent is gone, however it ended; the lines
    that come on it until then.
    """
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        rest = b""
        while chunk := os.read(0, 1 << 16):  # not `sys.stdin`, whose lock would be held when this process ends
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _text(reason: object) -> str:
    """Names of files may be no UTF-8, which messages are."""
    return str(reason).encode(errors="backslashreplace").decode()


def tell(process: subprocess.Popen[bytes], message: msgspec.Struct) -> None:
    """Write a message to the standard input of a child; a dead one is noticed when it is read from."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(msgspec.json.encode(message) + b"\n")
        process.stdin.flush()


def heard(process: subprocess.Popen[bytes], kind: Any) -> Iterator[Any]:
    """The messages of a `kind` that a child writes, until it ends; one that writes anything else is killed."""
    assert process.stdout is not None
    for line in process.stdout:
        try:
            yield msgspec.json.decode(line, type=kind)
        except msgspec.DecodeError:  # it died amid a message, or does not know what it says any more
            kill(process)
            return


def hang_up(process: subprocess.Popen[bytes]) -> None:
    """End the standard input of a child, also where what was told could no longer be written."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


def see_out(process: subprocess.Popen[bytes]) -> None:
    """Let a child end that waits for its standard input, or is dead, and leave nothing of it behind."""
    hang_up(process)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a child that was started with a session of its own, and what it started that is still in it: somebody's own
    code may leave processes behind.
    """
    if process.returncode is not None:  # waited for: its number may be another's by now
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError, PermissionError):  # on Windows, or of no session of its own
        process.kill()


def take_over_stdout() -> Callable[[msgspec.Struct], None]:
    """Keep the real standard output for messages, and send what anyone prints to standard error."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def send(message: msgspec.Struct) -> None:
        channel.write(msgspec.json.encode(message) + b"\n")
        channel.flush()

    return send


def peak_gib(status: Path = Path("/proc/self/status")) -> float:
    """The most memory that this process has held at once, in GiB.

    Linux's `ru_maxrss` is no answer: a process starts with what the one that started it held, 1 GiB for a parent that
    once had 1 GiB. It is taken where there is no such file, and where there is neither, what Windows says.
    """
    try:
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**20
    except (OSError, StopIteration):
        if importlib.util.find_spec("resource") is None:
            return float(psutil.Process().memory_info().peak_wset) / 2**30
        resource, unit = importlib.import_module("resource"), 1 if sys.platform == "darwin" else 1024
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit / 2**30
