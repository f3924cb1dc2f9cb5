"""Has cells done by worker processes on this machine: one thread and one framework each, as many as there are cores.

Cells are independent, so one thread each keeps every core busy without any of them waiting for another. A worker serves
many cells, of one suite after the other, so that a framework is imported once per worker and not once per cell; it is
replaced when it dies or when only cells of another backend are left.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import subprocess
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

import msgspec

from harness import registry
from harness.environment import Environment, observe
from harness.isolation import command
from harness.model.architecture import Imported
from harness.running.child import Ready, heard, kill, see_out, tell
from harness.running.crew import Crew, Event, LostHand, without_worker
from harness.running.guard import Guard, Limits, last_lines, last_words
from harness.running.worker import WHERE, Done, Epoch, Job, Message, Orders
from harness.text import Device

RETIRES_AT_GIB = 4.0
"""A worker that has held more memory than this is replaced after its cell.

Frameworks do not give all of it back: Keras's export of ResNet50 to ONNX takes 8.6 GiB, and the next one as much again.
"""

WORKER = command("harness.running.worker")

# The malloc settings keep freed memory in the process: training steps on a CPU free and take the same large blocks
# again and again, and would otherwise pay for every page of them anew.
_WORKER_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_NUM_INTEROP_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}
_NO_GPU = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "KERAS_TORCH_DEVICE": "cpu"}
_GPU = {
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # workers share the GPU, and no one may take all of its memory
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "KERAS_TORCH_DEVICE": "cuda",
}
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")

# They change what is computed, and may hold paths, so that no record can tell of them.
_NOT_INHERITED = (
    "KERAS_MAX_EPOCHS",
    "KERAS_MAX_STEPS_PER_EPOCH",
    "KERAS_NNX_ENABLED",
    "PYTHONWARNINGS",  # of the frameworks' own, which would become errors
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)


def device_variables(device: Device) -> dict[str, str]:
    """What fixes the device of frameworks that are imported afterwards."""
    return dict(_NO_GPU if device == "cpu" else _GPU)


def worker_environment(device: Device) -> dict[str, str]:
    """The environment variables of a worker: this process's own, and what fixes its device, and one thread."""
    extra = _WORKER_ENVIRONMENT | dict.fromkeys(_THREAD_VARIABLES, "1") | device_variables(device)
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    return {**inherited, **extra}


class Post(msgspec.Struct, frozen=True):
    """What holds for all hands of a place: the results folder, the device, the `limits` of a cell, the `command` that
    starts a worker, with `variables` in its environment, whether it keeps its models, and what its logs' names begin
    with.
    """

    results: Path
    device: Device
    limits: Limits = Limits()
    command: Sequence[str] = WORKER
    exports: bool = True
    variables: Mapping[str, str] = {}
    logs: str = f"{os.getpid()}-{secrets.token_hex(3)}"  # in containers all processes may have one number


class Local:
    """The launcher of this machine. Its workers wait for the next launch; to close it ends them."""

    def __init__(self, post: Post, workers: int) -> None:
        self._hands = [ProcessHand(post) for _ in range(workers)]

    @property
    def environment(self) -> Environment:
        """What this process is in."""
        return observe()

    def told(self, jobs: int) -> str:
        """How many at a time."""
        return f"{min(len(self._hands), jobs)} at a time"

    def launch(self, jobs: list[Job]) -> Generator[Event]:
        """Run every job and yield what happens as it happens; each job ends in exactly one `Done`.

        A cell that takes more than its limits is stopped, or not counted where it ended before anyone saw it, and one
        whose worker dies is told from its last words; all become `failed` records and the others go on. Closing the
        iterator, or an exception in its consumer, kills the workers: nothing more is launched then.
        """
        crew, backends = Crew(jobs), {job.cell.backend for job in jobs}
        hands = sorted(self._hands, key=lambda hand: hand.backend not in backends)
        for hand in hands[: len(jobs)]:
            threading.Thread(target=crew.serve, args=(hand,), daemon=True).start()
        yield from crew.follow()

    def close(self) -> None:
        """Let the workers end; of one that was killed, whoever followed it sees to the end."""
        for hand in self._hands:
            if not hand.killed:
                hand.end()


def launch(jobs: list[Job], workers: int, post: Post) -> Generator[Event]:
    """Run every job by workers that end with the last one; see `Local.launch`."""
    with contextlib.closing(Local(post, workers)) as local:
        yield from local.launch(jobs)


_NUMBERS = itertools.count(1)
"""Of the worker processes that this one started."""


class ProcessHand:
    """A hand that keeps one worker process at a time, of the backend that its cell needs. Somebody's code, which may
    change what a framework does from then on, hide modules of other code, and keep something from one seed to the next,
    has a fresh one for each cell.
    """

    def __init__(self, post: Post) -> None:
        self._post = post
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._log, self.killed = "", False
        self.backend = ""
        """Of the worker that is there, "" where none is."""
        self._of_code = False

    def do(self, job: Job, tell: Callable[[Epoch], None]) -> Done:
        """Do a job in a worker that is there, or a fresh one. Raises LostHand once the hand was killed."""
        backend = job.cell.backend
        if lacking := registry.missing(backend):
            why = f"{backend} needs {' and '.join(lacking)}, which is not installed"
            return Done(without_worker(job, "unavailable", why))
        of_code = isinstance(job.cell.architecture, Imported)
        died_idle = self._process is not None and self._process.poll() is not None
        if of_code or self._of_code or self.backend != backend or died_idle:
            self.end()
        self._of_code = of_code
        return self._run(self._process or self._start(backend), job, tell)

    def end(self) -> None:
        """Let the worker end."""
        process, self._process, self.backend = self._process, None, ""
        if process:
            see_out(process)

    def kill(self) -> None:
        """Kill the worker, and start none any more."""
        with self._lock:
            self.killed = True
            if process := self._process:  # which the thread of `do` may let end meanwhile
                kill(process)

    def _start(self, backend: str) -> subprocess.Popen[bytes]:
        post = self._post
        self._log = f"logs/{post.logs}-{next(_NUMBERS)}-{backend}.log"
        path = post.results / self._log
        path.parent.mkdir(exist_ok=True)
        with self._lock, path.open("wb") as stderr:
            if self.killed:
                raise LostHand("it was killed")
            process = subprocess.Popen(
                post.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**worker_environment(post.device), **post.variables},
                start_new_session=True,  # Ctrl-C reaches the parent alone, which ends the workers in good order
            )
            self._process, self.backend = process, backend
        tell(process, Orders(backend, 1, post.device, str(post.results.resolve()), self._log, post.exports))
        return process

    def _run(self, process: subprocess.Popen[bytes], job: Job, on_epoch: Callable[[Epoch], None]) -> Done:
        """The end of the job; a worker that died over it, or is to be replaced, is gone afterwards."""
        with Guard(process, self._post.limits, WHERE) as guard:
            tell(process, job)
            done = self._follow(process, guard, on_epoch)
        if done and (done.record.status != "ok" or not guard.broken):
            if done.peak_gib > RETIRES_AT_GIB or guard.broken:
                self.end()
            return done
        if done:  # too late, or with more memory than it might take
            kill(process)
        failed = self._failed(job, guard.broken or process.wait())
        self.end()
        return failed

    def _follow(self, process: subprocess.Popen[bytes], guard: Guard, on_epoch: Callable[[Epoch], None]) -> Done | None:
        """The end of the cell, None where the worker dies before."""
        message: Message
        for message in heard(process, Message):
            if isinstance(message, Ready):
                guard.begin()
            elif isinstance(message, Done):
                guard.end(message.peak_gib)
                return message
            else:
                on_epoch(message)
        return None

    def _failed(self, job: Job, how: str | int) -> Done:
        """The end of a cell that was stopped, told by the limit that it broke, or whose worker ended with a code."""
        path, home = self._post.results / self._log, str(self._post.results.resolve())
        why = how if isinstance(how, str) else last_words(how, path)
        record = without_worker(job, "failed", job.public(why, home), self._log)
        return Done(msgspec.structs.replace(record, traceback=job.public(last_lines(path), home)))
