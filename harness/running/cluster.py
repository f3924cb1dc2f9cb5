"""Has cells done on a Dask cluster. This process decides which cell goes where, and alone writes records.

Each cell at a time that a Dask worker takes is a seat here, a hand of the same `crew` that serves this machine; what
the worker does with it is in `host`. Dask brings bytes to a named worker and back, tells who is there, and encrypts.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import itertools
import os
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import msgspec
from distributed import Client
from distributed.scheduler import KilledWorker

from harness import __version__, disk, provenance
from harness.environment import Environment, observe
from harness.errors import KEPT, BenchError
from harness.running import host
from harness.running.crew import Crew, Event, LostHand
from harness.running.host import Delivery, Errand, Introduction
from harness.running.parcels import Parcel
from harness.running.worker import Done, Epoch, Job
from harness.streams import tell as tell_user
from harness.text import counted, one_line

LOOKS_EVERY = 1.0
"""Seconds between two looks at which workers are there."""

PATIENCE = 60.0
"""Seconds that a run under way waits for another worker where all that are there get no cells."""

FAREWELL = 10.0
"""Seconds that a run which is over waits for its workers to keep nothing of it."""

_NO_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Cluster:
    """The launcher of a Dask cluster, as long as its `client` is connected.

    Workers come and go. One that computes with other versions, other code or another kind of machine than the others
    is told of and refused: what it made would be rows of its own.
    """

    def __init__(self, client: Client, results: Path, errand: Errand) -> None:
        self._client, self._results, self._errand = client, results, errand
        self._seats_of: dict[str, int] = {}  # of each worker that may work: cells at a time
        self._refused: dict[str, str] = {}
        self._standard: Environment | None = None
        self._lock = threading.Lock()
        self._parcels: dict[str, Parcel] = {}
        self._sent: defaultdict[tuple[str, str], _Sent] = defaultdict(_Sent)
        self._listeners: dict[str, Callable[[Epoch], None]] = {}
        client.subscribe_topic(errand.run, self._hear)

    @property
    def environment(self) -> Environment:
        """That of the workers, which are alike; waits for a first one. Raises BenchError where all are refused."""
        waited = False
        while self._standard is None:
            self._look()
            if self._standard is None and self._refused:
                raise self._all_refused()
            if self._standard is None:
                if not waited:
                    print(f"waiting for a first worker of {self._address}", flush=True)
                waited = True
                time.sleep(LOOKS_EVERY)
        return self._standard

    def told(self, jobs: int) -> str:
        """How many at a time, as of now."""
        places, hosts = min(sum(self._seats_of.values()), jobs), len(self._seats_of)
        return f"{places} at a time on {counted(hosts, 'worker')} of {self._address}"

    def launch(self, jobs: list[Job]) -> Generator[Event]:
        """Run every job. A job whose worker is gone is done by another; BenchError where the scheduler is gone."""
        crew = Crew(jobs)
        threading.Thread(target=self._attend, args=(crew,), daemon=True).start()
        yield from crew.follow()

    def leave(self) -> None:
        """Have nothing kept on the workers that are there."""
        if self._client.status == "running" and self._seats_of:
            there = list(self._seats_of)
            with contextlib.suppress(OSError, TimeoutError):  # a scheduler that hangs would hold up an interrupt
                self._client.run(
                    host.dismiss, self._errand.run, workers=there, on_error="ignore", callback_timeout=FAREWELL
                )

    @property
    def _address(self) -> str:
        return str(self._client.scheduler.address if self._client.scheduler else "the scheduler")

    # --- who is there -------------------------------------------------------------------------------------------

    def _attend(self, crew: Crew) -> None:
        """Give every worker its seats as long as jobs wait, and take them from one that is gone."""
        seats: defaultdict[str, list[_Seat]] = defaultdict(list)
        useful = time.monotonic()
        try:
            while not crew.over.is_set():
                if not self._look():  # to start a seat now would but lose it
                    crew.over.wait(LOOKS_EVERY)
                    continue
                if self._seats_of or not self._refused:
                    useful = time.monotonic()
                elif time.monotonic() - useful > PATIENCE:
                    raise self._all_refused()
                for address in [name for name in seats if name not in self._seats_of]:
                    for seat in seats.pop(address):
                        seat.kill()
                for address, alive in list(seats.items()):
                    seats[address] = [seat for seat in alive if seat.thread.is_alive()]
                there = list(self._seats_of.items())  # a seat may refuse its worker meanwhile
                places = sorted((n, a) for a, count in there for n in range(len(seats[a]), count))
                for _, address in places[: crew.waiting]:
                    seats[address].append(_Seat(self, address, crew))
                crew.over.wait(LOOKS_EVERY)
        except Exception as error:
            crew.fail(error)

    def _look(self) -> bool:
        """Introduce who is new, and forget who is gone; False where the scheduler cannot be asked, and may come back.
        Raises BenchError where it is gone.
        """
        if self._client.status in ("closing", "closed"):
            raise BenchError(f"the scheduler is gone; {KEPT}, once there is a scheduler")
        if self._client.status != "running" or not self._client.scheduler:
            return False
        try:
            # The client's own copy (`scheduler_info`) is written over meanwhile, without workers, or lists five.
            present: dict[str, dict[str, Any]] = self._client.sync(self._client.scheduler.identity)["workers"]
            new = [address for address in present if address not in self._seats_of and address not in self._refused]
            encoded = msgspec.json.encode(self._errand)
            answers = self._client.run(host.introduce, encoded, workers=new, on_error="return") if new else {}
        except (OSError, TimeoutError):
            return False
        for address in (self._seats_of.keys() | self._refused.keys()) - present.keys():
            self._forget(address)
        introduced = {address: _introduction(answer) for address, answer in answers.items()}
        for address, why in self._judged(introduced).items():
            if why:
                self.refuse(address, why)
            elif seats := _seats(present[address], self._errand.device):
                self._seats_of[address] = seats
            else:
                self.refuse(address, "it has no resource GPU: start it with --resources GPU=1")
        return True

    def _all_refused(self) -> BenchError:
        told = "".join(f"\n  {address}: {why}" for address, why in list(self._refused.items()))
        return BenchError(f"{self._address}: none of its workers can be used; {KEPT}{told}")

    def _forget(self, address: str) -> None:
        """A worker is gone; another one may come to its address, with nothing of what was sent there."""
        if self._seats_of.pop(address, None):
            tell_user(f"worker {address} is gone: it ended, or was cut off; one that is started there again takes part")
        self._refused.pop(address, None)
        with self._lock:
            for sent in [one for one in self._sent if one[0] == address]:
                del self._sent[sent]

    def _judged(self, introduced: dict[str, Introduction | str]) -> dict[str, str]:
        """Why each of these may not work here, "" where it may. The first that come say what kind of machine it is."""
        why = {
            address: told if isinstance(told, str) else self._unlike(told, told.environment)
            for address, told in introduced.items()
        }
        good = {
            address: told for address, told in introduced.items() if isinstance(told, Introduction) and not why[address]
        }
        if good and self._standard is None:
            kinds = Counter(_kind(told.environment) for told in good.values())
            most = kinds.most_common(1)[0][0]
            self._standard = next(told.environment for told in good.values() if _kind(told.environment) == most)
        if self._standard is not None:
            why |= {address: self._unlike(told, self._standard) for address, told in good.items()}
        return why

    def _unlike(self, told: Introduction, machine: Environment) -> str:
        """By what a worker differs from this process in what it computes with, and from a `machine`; "" where in
        nothing.
        """
        if told.version != __version__:
            return f"cijbench {told.version}, and this is {__version__}"
        here, theirs = observe(), told.environment
        expected = msgspec.structs.replace(machine, versions=here.versions)
        found: dict[str, None] = {}
        for (backend, suite), source in zip(self._errand.pairs, told.sources, strict=True):
            ours = provenance.source(backend, suite)
            packages = self._errand.packages
            found |= dict.fromkeys(provenance.differences(backend, theirs, source, expected, ours, packages))
        if theirs.flags.get("KERAS_BACKEND") != here.flags.get("KERAS_BACKEND"):
            found[f"KERAS_BACKEND={theirs.flags.get('KERAS_BACKEND', '')}"] = None
        if self._errand.device != "cpu" and theirs.gpu != machine.gpu:
            found[f"another GPU, {theirs.gpu or 'none'}"] = None
        return ", ".join(found)

    def refuse(self, address: str, why: str) -> None:
        """Give a worker no cell any more, and say so."""
        self._refused[address] = why
        self._seats_of.pop(address, None)
        tell_user(one_line(f"worker {address} gets no cells: {why}"))

    # --- what goes to a worker and comes back -------------------------------------------------------------------

    def do(self, job: Job, seat: _Seat, tell: Callable[[Epoch], None]) -> Done:
        """Have a job done in a seat. Raises LostHand where nothing came of it."""
        folder, weights = (self._packed(path) for path in (job.source.folder, job.weights_file))
        self._listeners[job.cell.key] = tell
        try:
            encoded, contents = self._answer(job, folder, weights, seat)
            return self._received(job, msgspec.json.decode(encoded, type=Delivery), contents, seat.address)
        except (CancelledError, asyncio.CancelledError, KilledWorker):
            raise LostHand(f"worker {seat.address} is gone") from None
        except OSError as error:
            if error.filename and str(error.filename).startswith(str(self._results)):
                raise  # of this machine's disk
            if error.errno in _NO_DISK:  # and of that one's: it would lose the next cell, too
                self.refuse(seat.address, os.strerror(error.errno))
            raise LostHand(f"worker {seat.address} cannot be reached: {error}") from None
        except LostHand:
            raise
        except Exception as error:  # whatever it was, it was there: a cell's own failure is a record
            self.refuse(seat.address, f"{type(error).__name__}: {error}")
            raise LostHand(f"worker {seat.address} failed: {error}") from None
        finally:
            self._listeners.pop(job.cell.key, None)

    def _answer(
        self, job: Job, folder: Parcel | None, weights: Parcel | None, seat: _Seat
    ) -> tuple[bytes, list[bytes]]:
        source = msgspec.structs.replace(job.source, folder=self._supply(folder, seat.address))
        there = msgspec.structs.replace(job, source=source, weights_file=self._supply(weights, seat.address))
        future = self._client.submit(
            host.work,
            self._errand.run,
            msgspec.json.encode(there),
            key=f"{job.cell.file_stem}-{uuid.uuid4().hex}",
            workers=[seat.address],
            allow_other_workers=False,
            pure=False,
            resources=None if self._errand.device == "cpu" else {"GPU": 1},
        )
        with seat.waiting_for(future):
            answer: tuple[bytes, list[bytes]] = future.result()
            return answer

    def _packed(self, path: str | None) -> Parcel | None:
        if path is None:
            return None
        with self._lock:
            if path not in self._parcels:
                self._parcels[path] = Parcel(Path(path))
            return self._parcels[path]

    def _supply(self, parcel: Parcel | None, address: str) -> str | None:
        """Bring a parcel to a worker unless it is there; its place there."""
        if parcel is None:
            return None
        with self._lock:
            sent = self._sent[address, parcel.place]
        with sent.lock:
            for number in itertools.count() if not sent.whole else ():
                part = parcel.part(number)
                run, place = self._errand.run, parcel.place
                self._client.run(host.receive, run, place, number, part, workers=[address])
                sent.whole = not part
                if sent.whole:
                    break
        return parcel.place

    def _received(self, job: Job, delivery: Delivery, contents: list[bytes], address: str) -> Done:
        """The end of a job, whose artifacts lie below the results now. Raises LostHand where they are not whole, or
        the worker has no room for more.
        """
        done, cell = delivery.done, job.cell
        if done.no_disk:
            self.refuse(address, done.no_disk)
            raise LostHand(f"worker {address}: {done.no_disk}")
        if done.record.key != cell.key:
            raise ValueError(f"answered with another cell, {done.record.key}")
        allowed = {f"models/{cell.suite}/{cell.file_stem}{end}" for end in (".onnx", ".safetensors")}
        allowed |= {f"logs/{Path(done.record.log).name}"}
        for artifact, content in zip(delivery.artifacts, contents, strict=True):
            if artifact.file not in allowed:
                raise ValueError(f"sent a file that is none of its cell: {artifact.file}")
            if hashlib.sha256(content).hexdigest() != artifact.sha256:
                raise LostHand(f"{Path(artifact.file).name} came from {address} with another content than was sent")
        for artifact, content in zip(delivery.artifacts, contents, strict=True):
            with disk.replacing(self._results / artifact.file) as fresh:
                fresh.write_bytes(content)
        return done

    def _hear(self, event: tuple[float, Any]) -> None:
        key, epoch = event[1]
        if listener := self._listeners.get(key):
            listener(msgspec.json.decode(epoch, type=Epoch))


class _Sent:
    """Whether a parcel is with a worker; one thread brings it, and others wait."""

    def __init__(self) -> None:
        self.lock, self.whole = threading.Lock(), False


class _Seat:
    """A cell at a time on a Dask worker: a hand, served by a thread from the start. Worker processes there wait for
    further cells until the run is over, and the cell's own picks one.
    """

    backend = ""

    def __init__(self, cluster: Cluster, address: str, crew: Crew) -> None:
        self._cluster, self.address = cluster, address
        self._future: Any = None
        self._lock, self._killed = threading.Lock(), False
        self.thread = threading.Thread(target=crew.serve, args=(self,), daemon=True)
        self.thread.start()

    def do(self, job: Job, tell: Callable[[Epoch], None]) -> Done:
        """Have a job done there. Raises LostHand where nothing came of it."""
        return self._cluster.do(job, self, tell)

    def kill(self) -> None:
        """Wait no longer for the cell under way; the worker is told, and kills it."""
        with self._lock:
            self._killed = True
            if self._future is not None:
                self._future.cancel()

    @contextlib.contextmanager
    def waiting_for(self, future: Any) -> Iterator[None]:
        """Meanwhile `kill` cancels the future."""
        with self._lock:
            self._future = future
            if self._killed:
                future.cancel()
        try:
            yield
        finally:
            with self._lock:
                self._future = None


def _introduction(answer: object) -> Introduction | str:
    """What a worker said of itself, or why it could not."""
    try:
        if isinstance(answer, bytes):
            return msgspec.json.decode(answer, type=Introduction)
        return f"cijbench there cannot be asked: {type(answer).__name__}: {answer}"
    except msgspec.DecodeError as error:
        return f"another version of cijbench: {error}"


def _kind(environment: Environment) -> tuple[str, str]:
    """What machines have in common whose records stand side by side."""
    return provenance.machine(environment), environment.gpu


def _seats(told: dict[str, Any], device: str) -> int:
    """How many cells at a time a worker takes, by what the scheduler says of it."""
    return int(told["nthreads"] if device == "cpu" else told["resources"].get("GPU", 0))
