"""Runs one cell after another in a fresh interpreter that holds one framework: `python -m harness.running.worker`.

The first line on standard input is an `Orders`, each further one a `Job`; the end of the input ends the worker. On
standard output come a `Ready` line when it takes a job up, `Epoch` lines while its cell trains and one `Done` line
when it ends. Whatever the framework prints goes to standard error. The input ends when the parent closes it or dies;
either way nobody waits for an answer any more, so the worker ends at once, amid a cell if need be.
"""

from __future__ import annotations

import errno
import faulthandler
import functools
import hashlib
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness import disk, provenance, registry
from harness.environment import observe
from harness.errors import BenchError, NotExported, Unavailable
from harness.judging.metrics import accuracy
from harness.judging.records import SCHEMA, Calibrated, Cell, Examined, HeldOut, OnnxFile, Record
from harness.model.architecture import Imported
from harness.model.weights import save_weights
from harness.protocol import (
    Backend,
    Dataset,
    Images,
    Model,
    OnEpoch,
    Split,
    Suite,
    Targets,
)
from harness.running import calibration, data, training
from harness.running.calibration import Calibration, calibrated
from harness.running.child import HEADLINE, Ready, brief, end_with_input, peak_gib, take_over_stdout
from harness.running.training import Fitting, fit
from harness.running.view import View, changes, deviation, view
from harness.text import Device, without_patterns


class Orders(msgspec.Struct, frozen=True):
    """What holds for every cell of a worker; `results` is the results folder and `log` the worker's own log. With
    `exports` it writes the weights and ONNX file of each model.
    """

    backend: str
    threads: int
    device: Device
    results: str
    log: str
    exports: bool = True


class Job(msgspec.Struct, frozen=True):
    """A cell, where its data are, the file that its backbone starts from where that is the user's own, and the folder
    of its code where it is a file of somebody's code.
    """

    cell: Cell
    source: data.DataSource
    weights_file: str | None = None
    code: str = ""

    def public(self, reason: str, results: str) -> str:
        """A reason without the folders of whoever ran this: records are published."""
        weights = str(Path(self.weights_file).parent) if self.weights_file else None
        named = [(results, "RESULTS"), (self.source.folder, "DATA"), (weights, "WEIGHTS"), (self.code, "CODE")]
        named += [(sys.prefix, "PYTHON"), (sys.base_prefix, "PYTHON"), (_HOUSE, "CIJBENCH")]
        named += [(str(Path.cwd()), "."), (os.path.expanduser("~"), "~")]
        for private, name in named:
            if private and len(private) > 1:  # an OSError has Windows's backslashes doubled
                reason = reason.replace(private, name).replace(private.replace("\\", "\\\\"), name)
        return reason


class Epoch(msgspec.Struct, frozen=True, tag=True):
    """Progress of the cell under way; `share` of its training is done."""

    epoch: int
    epochs: int
    share: float
    loss: float
    validation_loss: float


class Done(msgspec.Struct, frozen=True, tag=True):
    """The end of a cell, and the most memory that the worker has held so far, in GiB.

    `no_disk` says why the other cells would fail, too: there is no room for their models.
    """

    record: Record
    peak_gib: float = 0.0
    no_disk: str = ""


Message = Ready | Epoch | Done

WHERE: signal.Signals | None = getattr(signal, "SIGUSR1", None)
"""Sent to a worker, it writes into its log where its threads are. Not every system has it."""

_HOUSE = str(Path(__file__).resolve().parents[2])


def main() -> None:
    """Serve cells until standard input ends."""
    send = take_over_stdout()
    faulthandler.enable()  # a crash in a framework's own code leaves a stack in the log
    if WHERE:
        faulthandler.register(WHERE, all_threads=True)
    # Before the framework, whose import takes long: should the parent be gone by then, nobody waits for it.
    lines = end_with_input()
    orders = msgspec.json.decode(lines.get(), type=Orders)
    backend = registry.backend(orders.backend)
    framework: dict[str, str] | Unavailable
    try:
        framework = backend.configure(orders.threads, orders.device)
    except Unavailable as unavailable:
        framework = unavailable
    while True:
        job = msgspec.json.decode(lines.get(), type=Job)
        send(Ready())
        record = run(job, orders, backend, framework, send)
        send(Done(record, peak_gib(), _no_disk(record)))


def _no_disk(record: Record) -> str:
    """Why nobody can write where this cell could not; by what the system said, for not all raise OSError."""
    reasons = map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EROFS))
    return next((reason for reason in reasons if record.status == "failed" and reason in record.reason), "")


def run(
    job: Job,
    orders: Orders,
    backend: Backend,
    framework: dict[str, str] | Unavailable,
    send: Callable[[Message], None],
) -> Record:
    """Train and test one cell. Whatever goes wrong becomes the record's status and reason; nothing is raised."""
    begin, started = time.perf_counter(), now()
    record = Record(
        schema=SCHEMA,
        key=job.cell.key,
        cell=job.cell,
        status="failed",
        started=started,
        seconds=0.0,
        environment=observe(),
        framework={} if isinstance(framework, Unavailable) else framework,
        log=orders.log,
        source=provenance.source(job.cell.backend, job.cell.suite),
    )
    try:
        if isinstance(framework, Unavailable):
            raise framework
        print(f"{HEADLINE}{started} {job.cell.title} ({job.cell.key})", file=sys.stderr, flush=True)
        record = _readable(_train_and_test(record, job, orders, backend, send))
    except Unavailable as unavailable:
        record = msgspec.structs.replace(
            record, status="unavailable", reason=job.public(str(unavailable), orders.results)
        )
    except Exception as error:  # whatever a framework raises, the other cells go on
        traceback.print_exc()
        record = msgspec.structs.replace(
            record,
            reason=job.public(f"{type(error).__name__}: {error}", orders.results),
            traceback=job.public(brief(traceback.format_exc()), orders.results),
        )
    return msgspec.structs.replace(record, seconds=round(time.perf_counter() - begin, 3))


def _readable(record: Record) -> Record:
    """The record, if it can be read again: what is no number is written as none."""
    try:
        msgspec.json.decode(msgspec.json.encode(record), type=Record)
    except msgspec.ValidationError as error:
        told = without_patterns(str(error))
        raise FloatingPointError(f"something in its record is no number, or cannot be written: {told}") from None
    return record


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _train_and_test(
    record: Record, job: Job, orders: Orders, backend: Backend, send: Callable[[Message], None]
) -> Record:
    cell, source, suite = job.cell, msgspec.json.encode(job.source), registry.suite(job.cell.suite)
    dataset, whole = _load(cell.suite, source, cell.data_hash)
    split = whole.first(cell.originals).first(cell.settings.originals)
    met = view(suite, dataset, split, cell.encoding, cell.decoding, cell.settings.averaged)
    fitting = Fitting(
        cell,
        backend,
        data.task(suite, met.met, split, cell.settings),
        met,
        split,
        Path(orders.results),
        _progress(cell, send),
        Path(job.weights_file) if job.weights_file else None,
        len(whole.first(cell.originals).train),
        job.code,
    )
    model, history, searched = fit(fitting)
    record = msgspec.structs.replace(
        record,
        status="ok",
        data_warnings=dataset.warnings,
        counts=model.counts(),
        history=history,
        searched=searched,
        dimension=math.prod(met.met.images.shape[1:]),
    )
    record, known = _examined(record, model, fitting, whole, _described(cell.suite, source, cell.data_hash))
    if not orders.exports:
        return record
    try:
        return msgspec.structs.replace(record, onnx=_export(model, record, fitting, known))
    except NotExported as error:
        return msgspec.structs.replace(record, unexported=job.public(str(error), orders.results))


def _examined(
    record: Record, model: Model, fitting: Fitting, whole: Split, described: NDArray[np.float64]
) -> tuple[Record, Calibration]:
    """The record with what the model makes of validation and tests, and what it then knows of its errors. Whatever a
    variant is trained on, it is held against the mean of all training labels, as every other: `whole`.
    """
    met, dataset, split = fitting.view, fitting.view.dataset, fitting.split
    tests = [_tested(name, model, registry.suite(record.cell.suite), met, whole) for name in whole.tests]
    ranking, *others = tests
    validation = _finite(met.predict(model, dataset.images[split.validation]), "validation")
    truth = dataset.targets[split.validation]
    known = calibrated(validation, truth, described[split.validation], described[split.train], dataset.classes)
    mean = np.array(ranking.held_out.train_mean)
    examined = msgspec.structs.replace(
        record,
        validation=accuracy(validation, truth, mean, dataset.target_names, dataset.units),
        test=ranking.accuracy,
        metrics=ranking.metrics,
        moved=changes(met, model, split.test),
        held_out=ranking.held_out,
        others={tested.held_out.test: tested for tested in others},
        encoding_ms=_milliseconds(met, dataset.images[split.test]) if met.encoded_before else None,
        calibrated={
            tested.held_out.test: _held_to(known, tested.held_out, described[rows])
            for tested, rows in zip(tests, whole.tests.values(), strict=True)
        },
    )
    return examined, known


def _held_to(known: Calibration, held_out: HeldOut, described: NDArray[np.float64]) -> Calibrated:
    covered = known.covers(0.9, np.array(held_out.predictions), np.array(held_out.truth))
    return Calibrated(None if np.isnan(covered) else covered, float(np.mean(known.distances_of(described) > 1)))


def _milliseconds(met: View, images: Images) -> float:
    """The median time of encoding one image, in a process that is already warm."""
    taken = []
    for image in images[:_TIMED]:
        begin = time.perf_counter()
        met.meets(image[None])
        taken.append(1e3 * (time.perf_counter() - begin))
    return float(np.median(taken))


_TIMED = 20


def _tested(name: str, model: Model, suite: Suite, met: View, split: Split) -> Examined:
    dataset, rows = met.dataset, split.tests[name]
    predictions = _finite(met.predict(model, dataset.images[rows]), f"'{name}'")
    held_out = HeldOut(
        predictions=_rows(predictions),
        test=name,
        ids=tuple(dataset.ids[index] for index in rows),
        targets=dataset.target_names,
        units=dataset.units,
        truth=_rows(dataset.targets[rows]),
        train_mean=tuple(dataset.targets[split.train].mean(axis=0).tolist()),
        clusters=dataset.clustered(rows),
    )
    recorded = np.array(held_out.predictions)  # so that whoever reads the record finds the same
    metrics = suite.measure(recorded, dataset.targets[rows], dataset.images[rows], dataset.facts)
    return Examined(held_out, held_out.accuracy(), metrics)


@functools.lru_cache(maxsize=2)
def _load(suite_name: str, encoded_source: bytes, data_hash: str) -> tuple[Dataset, Split]:
    suite, source = registry.suite(suite_name), msgspec.json.decode(encoded_source, type=data.DataSource)
    dataset = source.load(suite)
    if dataset.fingerprint() != data_hash:
        where = f"the data in {source.folder}" if source.folder else f"suite {suite_name}'s own data"
        raise BenchError(f"{where} changed after the run was planned: start it again")
    return dataset, data.split_of(suite, dataset)


@functools.lru_cache(maxsize=2)
def _described(suite_name: str, encoded_source: bytes, data_hash: str) -> NDArray[np.float64]:
    """What all images of a data set are like; they are the same for every cell."""
    return calibration.descriptors(_load(suite_name, encoded_source, data_hash)[0].images)


def _progress(cell: Cell, send: Callable[[Message], None]) -> OnEpoch:
    """Reports a few epochs a second, and stops a training whose loss is no longer a number."""
    done = np.cumsum(training.epoch_work(cell))
    epochs, last = len(done), 0.0

    def on_epoch(epoch: int, loss: float, validation_loss: float) -> bool:
        nonlocal last
        for which, value in (("training", loss), ("validation", validation_loss)):
            if not np.isfinite(value):
                raise FloatingPointError(f"the {which} loss became {value} in epoch {epoch} of {epochs}")
        if time.monotonic() - last > 0.25 or epoch == epochs:
            last = time.monotonic()
            send(Epoch(epoch, epochs, float(done[min(epoch, epochs) - 1] / done[-1]), loss, validation_loss))
        return False

    return on_epoch


def _finite(predictions: Targets, which: str) -> Targets:
    bad = int((~np.isfinite(predictions)).any(axis=1).sum())
    if bad:
        raise FloatingPointError(f"{bad} of {len(predictions)} {which} predictions are not finite")
    return predictions


def _rows(values: Targets) -> tuple[tuple[float, ...], ...]:
    """Ten significant digits: more than a float32 network has, and half the size of a record."""
    return tuple(tuple(float(f"{value:.10g}") for value in row) for row in values)


def _export(model: Model, record: Record, fitting: Fitting, known: Calibration) -> OnnxFile:
    """Write weights and ONNX file below `results/models/<suite>/`, and hold the exported model against the native, on
    the images of the test, or on what they are encoded to where the encoding is not part of the graph.
    """
    cell, met, onnx = record.cell, fitting.view, registry.onnx()
    if met.encoded_before and (met.decoder or met.averaged_over):
        raise NotExported("its exported model would not see the image, by which it is decoded or averaged")
    metadata = _metadata(cell, met.dataset, known)
    path = fitting.results / "models" / cell.suite / f"{cell.file_stem}.onnx"
    with disk.replacing(path.with_suffix(".safetensors")) as fresh:
        save_weights(fresh, model.weights(), metadata)
    assert record.held_out
    takes, predictions = met.met if met.encoded_before else met.dataset, np.array(record.held_out.predictions)
    with disk.replacing(path) as fresh:
        model.export(fresh)
        try:
            _surround(fresh, met)
            onnx.annotate(fresh, metadata)
            answered = onnx.open_model(fresh).predict(takes.images[fitting.split.test])
        except Exception as error:
            if isinstance(error, OSError) or not isinstance(cell.architecture, Imported):
                raise
            raise NotExported(f"what its exporter wrote does not run: {error}") from error
    return OnnxFile(
        file=path.name,
        bytes=path.stat().st_size,
        opset=onnx.opset(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        difference=deviation(answered, predictions, met.dataset.units),
    )


def _metadata(cell: Cell, dataset: Dataset, known: Calibration) -> dict[str, str]:
    """What an exported model says of itself."""
    return {
        "targets": ",".join(dataset.target_names),
        "units": ",".join(dataset.units),
        "suite": cell.suite,
        "variant": cell.row,
        "backend": cell.backend,
        "seed": str(cell.seed),
        "cell": cell.key,
        "data": cell.data,
        "data_hash": cell.data_hash,
        "split_hash": cell.split_hash,
        "facts": msgspec.json.encode(dataset.facts).decode(),
        calibration.KEY: msgspec.json.encode(known).decode(),
    }


def _surround(path: Path, met: View) -> None:
    """Put into an exported graph what the view does before and after the model, as far as there are operators."""
    onnx, shape = registry.onnx(), met.dataset.images.shape[1:]
    if encoding := met.encoder.operators() if met.encoder else None:
        onnx.prepend(path, encoding, shape, "encoding")
    if averaging := met.averaging(len(met.met.target_names)):
        onnx.prepend(path, averaging[0], shape, "moves")
        onnx.append(path, averaging[1], len(met.met.target_names), "average")
    if met.decoder:
        onnx.append(path, met.decoder.operators(), len(met.dataset.target_names), "decoding")


if __name__ == "__main__":
    try:
        main()
    except BaseException:  # the thread that waits for input would hold up a normal end
        traceback.print_exc()
        os._exit(1)
