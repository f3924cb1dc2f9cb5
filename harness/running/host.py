"""A Dask worker's side of `cluster`: has cells done by worker processes of its machine, as `launch` does.

Dask carries bytes and calls the functions here by name; what the bytes say is JSON, packed files and the exported
models, never pickled ones. All that is written lies below the Dask worker's own folder, which goes with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from distributed import Worker, WorkerPlugin, get_worker

from harness import __version__, provenance
from harness.environment import Environment, observe, usable_memory_gib
from harness.judging.records import Cell
from harness.running.child import brief
from harness.running.guard import Limits
from harness.running.launch import WORKER, Post, ProcessHand
from harness.running.parcels import unpack
from harness.running.worker import Done, Epoch, Job
from harness.text import Device

EVERY_SECONDS = 2.0
"""How often a cell's progress is told, at most: all of it goes through the scheduler."""


class Errand(msgspec.Struct, frozen=True):
    """What holds for all cells of a run. `pairs` are the backends and suites of its cells, `packages` what these hang
    on besides, `seconds` and `memory_gib` the limits of each, None for as long as it likes and as much as the machine
    has.
    """

    run: str
    device: Device
    pairs: tuple[tuple[str, str], ...]
    seconds: float | None = None
    memory_gib: float | None = None
    command: tuple[str, ...] = WORKER
    packages: tuple[str, ...] = ()


class Introduction(msgspec.Struct, frozen=True):
    """What a host computes with, and the hash of its source for each of the errand's pairs."""

    version: str
    environment: Environment
    sources: tuple[str, ...]


class Artifact(msgspec.Struct, frozen=True):
    """A file that a cell left, by its name below the results folder, and the SHA-256 (hex) of its content."""

    file: str
    sha256: str


class Delivery(msgspec.Struct, frozen=True):
    """The end of a cell; the contents of its artifacts come beside it, in this order."""

    done: Done
    artifacts: tuple[Artifact, ...]


async def introduce(encoded: bytes, dask_worker: Worker) -> bytes:
    """Take an errand (JSON) on, and answer with an `Introduction` (JSON). Who was taken for gone is asked again, and
    keeps what it has.
    """
    errand = msgspec.json.decode(encoded, type=Errand)
    if errand.run not in dask_worker.plugins:
        await dask_worker.plugin_add(Host(errand, dask_worker), name=errand.run, catch_errors=False)
    introduction = await asyncio.to_thread(_introduction, errand)
    return msgspec.json.encode(introduction)


def _introduction(errand: Errand) -> Introduction:
    sources = tuple(provenance.source(backend, suite) for backend, suite in errand.pairs)
    return Introduction(__version__, observe(), sources)


async def receive(run: str, place: str, number: int, part: bytes, dask_worker: Worker) -> None:
    """Take a part of a parcel, an empty one after the last; see `parcels`."""
    await asyncio.to_thread(_host(dask_worker, run).receive, place, number, part)


async def dismiss(run: str, dask_worker: Worker) -> None:
    """The run is over: nothing of it is kept."""
    await dask_worker.plugin_remove(name=run)


def work(run: str, encoded: bytes) -> tuple[bytes, list[bytes]]:
    """Do a job (JSON), as a task; a `Delivery` (JSON) and the contents of its artifacts."""
    dask_worker = get_worker()
    key = str(dask_worker.get_current_task())
    return _host(dask_worker, run).work(key, msgspec.json.decode(encoded, type=Job))


def _host(dask_worker: Worker, run: str) -> Host:
    host: Host = dask_worker.plugins[run]
    return host


class Host(WorkerPlugin):  # type: ignore[misc]  # Dask's is not typed
    """What a Dask worker keeps for a run: a folder, and worker processes as many as cells are done at a time."""

    def __init__(self, errand: Errand, dask_worker: Worker) -> None:
        self._errand, self._worker = errand, dask_worker
        self._folder = Path(dask_worker.local_directory).resolve() / errand.run
        self._results, self._parcels = self._folder / "results", self._folder / "parcels"
        for folder in (
            self._parcels,
            *(self._results / name for name in ("models", "cache", "logs")),
            self._folder / "tmp",
        ):
            folder.mkdir(parents=True, exist_ok=True)
        memory = min(errand.memory_gib or float("inf"), usable_memory_gib())
        self._post = Post(
            self._results,
            errand.device,
            Limits(errand.seconds, memory),
            errand.command,
            variables={"TMPDIR": str(self._folder / "tmp")},
            logs=f"{os.path.basename(dask_worker.local_directory)}-{os.getpid()}",
        )
        self._lock = threading.Lock()
        self._idle: list[ProcessHand] = []
        self._busy: dict[str, ProcessHand] = {}

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Dask tells that a task is under way no more: where nobody waits for its cell, its worker is killed."""
        if (start, finish) == ("executing", "released") and (hand := self._busy.get(str(key))):
            hand.kill()

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002  as Dask calls it
        """Nothing of the run is left: no process, no file."""
        with self._lock:
            for hand in (*self._idle, *self._busy.values()):
                hand.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def receive(self, place: str, number: int, part: bytes) -> None:
        """Keep a part of a parcel; after the last, unpack it. Raises BenchError for another content than was sent."""
        packed = self._parcels / f"{place.partition('/')[0]}.tar"
        if part:
            with packed.open("ab" if number else "wb") as file:
                file.write(part)
            return
        try:
            unpack(packed, place, self._parcels)
        finally:
            packed.unlink()

    def work(self, key: str, job: Job) -> tuple[bytes, list[bytes]]:
        """Do a job whose folder and weights are places of parcels."""
        job = msgspec.structs.replace(
            job,
            source=msgspec.structs.replace(job.source, folder=self._unpacked(job.source.folder)),
            weights_file=self._unpacked(job.weights_file),
        )
        hand = self._take(key, job.cell.backend)
        try:
            done = hand.do(job, self._teller(job.cell))
        finally:
            with self._lock:
                del self._busy[key]
        with self._lock:
            if not hand.killed:
                self._idle.append(hand)
        return _delivered(done, self._results, job.cell)

    def _unpacked(self, place: str | None) -> str | None:
        return str(self._parcels / place) if place else None

    def _take(self, key: str, backend: str) -> ProcessHand:
        """An idle hand that has the backend, else any, for a run has no more hands here than cells at a time."""
        with self._lock:
            self._idle.sort(key=lambda hand: hand.backend == backend)
            hand = self._busy[key] = self._idle.pop() if self._idle else ProcessHand(self._post)
            return hand

    def _teller(self, cell: Cell) -> Callable[[Epoch], None]:
        last = -EVERY_SECONDS

        def tell(epoch: Epoch) -> None:
            nonlocal last
            if time.monotonic() - last >= EVERY_SECONDS:
                last = time.monotonic()
                told = [cell.key, msgspec.json.encode(epoch).decode()]
                self._worker.loop.add_callback(self._worker.log_event, self._errand.run, told)

        return tell


def _delivered(done: Done, results: Path, cell: Cell) -> tuple[bytes, list[bytes]]:
    """The end of a cell as it travels; its models are here no longer, and a log only where the cell failed."""
    files, contents = list[str](), list[bytes]()
    for name in (f"models/{cell.suite}/{cell.file_stem}{suffix}" for suffix in (".onnx", ".safetensors")):
        with contextlib.suppress(FileNotFoundError):
            contents.append((results / name).read_bytes())
            files.append(name)
            (results / name).unlink()
    if done.record.status == "failed" and done.record.log:
        files.append(done.record.log)
        contents.append(brief((results / done.record.log).read_text(errors="replace")).encode())
    artifacts = map(Artifact, files, (hashlib.sha256(content).hexdigest() for content in contents))
    return msgspec.json.encode(Delivery(done, tuple(artifacts))), contents
