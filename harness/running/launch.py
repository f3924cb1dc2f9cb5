"""Gives cells to workers on this machine: one thread and one framework each, as many as there are cores.

Cells are independent, so one thread each keeps every core busy without any of them waiting for another. A worker serves
many cells, so that a framework is imported once per worker and not once per cell; it is replaced when it dies or when
only cells of another backend are left.
"""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from harness import provenance, registry
from harness.environment import observe
from harness.isolation import command
from harness.judging.records import SCHEMA, Record
from harness.running.child import Ready, hang_up, tell
from harness.running.guard import Guard, Limits, last_lines, last_words
from harness.running.training import work
from harness.running.worker import WHERE, Done, Epoch, Job, Message, Orders, now
from harness.text import Device

RETIRES_AT_GIB = 4.0
"""A worker that has held more memory than this is replaced after its cell.

Frameworks do not give all of it back: Keras's export of ResNet50 to ONNX takes 8.6 GiB, and the next one as much again.
"""


class Started(msgspec.Struct, frozen=True):
    """A worker was given a cell; it may have to import its framework first."""


Event = tuple[Job, Started | Epoch | Done]

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


def worker_environment(threads: int, device: Device) -> dict[str, str]:
    """The environment variables of a worker: this process's own, and what fixes its threads and device."""
    extra = _WORKER_ENVIRONMENT | dict.fromkeys(_THREAD_VARIABLES, str(threads)) | device_variables(device)
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    return {**inherited, **extra}


def launch(
    jobs: list[Job],
    results: Path,
    workers: int,
    device: Device,
    limits: Limits | None = None,
    command: Sequence[str] = WORKER,
    exports: bool = True,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Event]:
    """Run every job and yield what happens as it happens; each job ends in exactly one `Done`.

    A cell that takes more than its `limits` is stopped, or not counted where it ended before anyone saw it, and one
    whose worker dies is told from its last words; all become `failed` records and the others go on. Closing the
    iterator, or an exception in its consumer, kills the workers. `command` starts a worker, with `variables` in its
    environment; `exports` is whether it keeps its models.
    """
    crew = _Crew(jobs, results, device, limits or Limits(), command, exports, variables or {})
    threads = [threading.Thread(target=crew.serve, daemon=True) for _ in range(min(workers, len(jobs)))]
    try:
        for thread in threads:
            thread.start()
        ended = 0
        while ended < len(jobs):
            event = crew.events.get()
            if isinstance(event, Exception):
                raise event
            ended += isinstance(event[1], Done)
            yield event
    finally:
        crew.stop()


class _Crew:
    """What the threads share: the jobs still to do, the processes alive and the events so far."""

    def __init__(
        self,
        jobs: list[Job],
        results: Path,
        device: Device,
        limits: Limits,
        command: Sequence[str],
        exports: bool,
        variables: Mapping[str, str],
    ) -> None:
        self.events: queue.SimpleQueue[Event | Exception] = queue.SimpleQueue()
        self._waiting = list(jobs)
        self._results, self._device, self._limits, self._command = results, device, limits, command
        self._exports, self._variables = exports, variables
        self._lock = threading.Lock()
        self._alive: set[subprocess.Popen[bytes]] = set()
        self._serving: Counter[str] = Counter()
        self._started = 0

    def serve(self) -> None:
        """Take jobs until none is left; what goes wrong here, not in a worker, is the launcher's to raise."""
        try:
            self._serve()
        except Exception as error:
            self.events.put(error)

    def _serve(self) -> None:
        """Keep one worker process at a time."""
        process, backend, log = None, "", ""
        while job := self._take(backend):
            if process is None or backend != job.cell.backend:
                self._end(process)
                process, backend = None, job.cell.backend
                if lacking := registry.missing(backend):
                    why = f"{backend} needs {' and '.join(lacking)}, which is not installed"
                    self.events.put((job, Done(_without_worker(job, "unavailable", why))))
                    continue
                process, log = self._start(backend)
            if not self._run(process, job, log):
                process = None
        self._end(process)

    def stop(self) -> None:
        """Take no further job and kill every worker."""
        with self._lock:
            self._waiting.clear()
            for process in self._alive:
                process.kill()

    def _take(self, backend: str) -> Job | None:
        """The longest job: of the same backend if there is one, else of the one with the most work per worker.

        Short ones come last, so that the workers end together.
        """
        with self._lock:
            self._serving[backend] -= 1
            if not self._waiting:
                return None
            load: defaultdict[str, float] = defaultdict(float)
            for job in self._waiting:
                load[job.cell.backend] += work(job.cell)
            if backend not in load:
                backend = max(load, key=lambda name: load[name] / (1 + self._serving[name]))
            self._serving[backend] += 1
            job = max((job for job in self._waiting if job.cell.backend == backend), key=lambda job: work(job.cell))
            self._waiting.remove(job)
            return job

    def _start(self, backend: str) -> tuple[subprocess.Popen[bytes], str]:
        with self._lock:
            self._started += 1
            log = self._results / "logs" / f"{os.getpid()}-{self._started}-{backend}.log"
            log.parent.mkdir(exist_ok=True)
            with log.open("wb") as stderr:
                process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env={**worker_environment(1, self._device), **self._variables},
                    start_new_session=True,  # Ctrl-C reaches the parent alone, which ends the workers in good order
                )
            self._alive.add(process)
        name = str(log.relative_to(self._results))
        orders = Orders(backend, 1, self._device, str(self._results.resolve()), name, self._exports)
        tell(process, orders)
        return process, name

    def _run(self, process: subprocess.Popen[bytes], job: Job, log: str) -> bool:
        """Pass on what the worker says of this job; False where it died over it, or is to be replaced."""
        self.events.put((job, Started()))
        with Guard(process, self._limits, WHERE) as guard:
            tell(process, job)
            done = self._follow(process, job, guard)
        if done and (done.record.status != "ok" or not guard.broken):
            self.events.put((job, done))
            if done.peak_gib <= RETIRES_AT_GIB and not guard.broken:
                return True
        else:
            if done:  # too late, or with more memory than it might take
                process.kill()
            self.events.put((job, self._failed(job, log, guard.broken or process.wait())))
        self._end(process)
        return False

    def _follow(self, process: subprocess.Popen[bytes], job: Job, guard: Guard) -> Done | None:
        """The end of the cell, None where the worker dies before."""
        assert process.stdout is not None
        for line in process.stdout:
            try:
                message: Message = msgspec.json.decode(line, type=Message)
            except msgspec.DecodeError:  # it died amid a message, or does not know what it says any more
                process.kill()
                break
            if isinstance(message, Ready):
                guard.begin()
            elif isinstance(message, Done):
                guard.end(message.peak_gib)
                return message
            else:
                self.events.put((job, message))
        return None

    def _failed(self, job: Job, log: str, how: str | int) -> Done:
        """The end of a cell that was stopped, told by the limit that it broke, or whose worker ended with a code."""
        path, home = self._results / log, str(self._results.resolve())
        why = how if isinstance(how, str) else last_words(how, path)
        record = _without_worker(job, "failed", job.public(why, home), log)
        return Done(msgspec.structs.replace(record, traceback=job.public(last_lines(path), home)))

    def _end(self, process: subprocess.Popen[bytes] | None) -> None:
        if process is None:
            return
        with self._lock:
            self._alive.discard(process)
        hang_up(process)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _without_worker(job: Job, status: Literal["failed", "unavailable"], reason: str, log: str = "") -> Record:
    return Record(
        schema=SCHEMA,
        key=job.cell.key,
        cell=job.cell,
        status=status,
        started=now(),
        seconds=0.0,
        environment=observe(),
        source=provenance.source(job.cell.backend, job.cell.suite),
        reason=reason,
        log=log,
    )
