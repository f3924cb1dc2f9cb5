"""Cells and records for tests of what is done with them."""

import msgspec
import numpy as np
import pytest

from harness.environment import Environment
from harness.judging.records import SCHEMA, Cell, HeldOut, LatencyRecord, OnnxFile, Record, Settings
from harness.judging.timing import Latency, Timing
from harness.model import proposed
from harness.model.architecture import Estimator
from harness.protocol import Counts, History
from harness.running.rounds import LatencySettings

needs_optuna = pytest.mark.skipif(not proposed.installed(), reason="optuna is not installed: it is an extra")

ENVIRONMENT = Environment(
    python="3.11.7",
    platform="Linux",
    machine="x86_64",
    processor="Abacus",
    cores=2,
    memory_gib=4.0,
    versions={"numpy": "2.0"},
    cijbench="0.1.0",
    commit="0123456789abcdef0123456789abcdef01234567",
    flags={},
)


def a_cell(**changes):
    cell = Cell(
        suite="elasticity",
        variant="ridge",
        architecture=Estimator("ridge"),
        recipes=(),
        weights="",
        backend="classical",
        seed=0,
        profile="standard",
        data="elasticity",
        data_hash="d" * 64,
        split_hash="5" * 64,
        settings=Settings(),
    )
    return msgspec.structs.replace(cell, **changes)


def a_record(cell=None, error=1.0, environment=ENVIRONMENT, **changes):
    """An `ok` record whose predictions miss the truth by about `error` GPa."""
    cell = cell or a_cell()
    rng = np.random.default_rng(7)
    truth = rng.normal(100, 10, (20, 2))
    predictions = truth + error * np.random.default_rng(cell.seed).normal(size=truth.shape)
    held_out = HeldOut(
        ids=tuple(map(str, range(20))),
        targets=("C11", "C22"),
        units=("GPa", "GPa"),
        predictions=as_rows(predictions),
        truth=as_rows(truth),
        train_mean=(100.0, 100.0),
    )
    record = Record(
        schema=SCHEMA,
        key=cell.key,
        cell=cell,
        status="ok",
        started="2026-01-01T00:00:00+00:00",
        seconds=1.5,
        environment=environment,
        counts=Counts(4, 0, {"ridge": 4}),
        history=(History((), (), 0.25),),
        test=held_out.accuracy(),
        validation=held_out.accuracy(),
        metrics={"positive_definite": 1.0, "inside_bounds": 0.5},
        held_out=held_out,
        onnx=OnnxFile(file=f"{cell.file_stem}.onnx", bytes=1234, opset=18, sha256="a" * 64, difference=1e-7),
    )
    return msgspec.structs.replace(record, **changes)


def as_rows(table):
    """An array as records have it."""
    return tuple(map(tuple, np.asarray(table).tolist()))


def held_out_of(dataset, split, predictions):
    """These predictions of the test images of a data set."""
    return HeldOut(
        ids=tuple(dataset.ids[row] for row in split.test),
        targets=dataset.target_names,
        units=dataset.units,
        predictions=as_rows(predictions),
        truth=as_rows(dataset.targets[split.test]),
        train_mean=tuple(dataset.targets[split.train].mean(axis=0).tolist()),
    )


def with_held_out(record, **changes):
    """The record with these changes of what it was tested on and predicted, and the scores that follow."""
    held_out = msgspec.structs.replace(record.held_out, **changes)
    return msgspec.structs.replace(record, held_out=held_out, test=held_out.accuracy())


def moved(record, by, **changes):
    """The record with its predictions moved by so many GPa."""
    return msgspec.structs.replace(
        with_held_out(record, predictions=as_rows(record.held_out.predicted + by)), **changes
    )


def in_unlike_units(record):
    """The same, its second target a thousand times as large and in another unit."""
    held_out, factor = record.held_out, np.array([1.0, 1000.0])
    record = with_held_out(
        record,
        predictions=as_rows(held_out.predicted * factor),
        truth=as_rows(held_out.true * factor),
        train_mean=tuple((np.array(held_out.train_mean) * factor).tolist()),
        units=("GPa", "kg/m3"),
    )
    return msgspec.structs.replace(record, validation=record.test)


def of_classes(record, shares=(0.5, 0.5)):
    """The same, of classes that have these shares of the training images, which it answers to each test image."""
    count = len(shares)
    record = with_held_out(
        record,
        targets=tuple("abcdefgh"[:count]),
        units=("",) * count,
        predictions=(shares,) * 20,
        truth=as_rows(np.eye(count)[np.arange(20) % count]),
        train_mean=shares,
    )
    return msgspec.structs.replace(record, validation=record.test)


def with_images(record, count):
    """The record as if the test set had its first `count` images alone."""
    return with_held_out(
        record, **{name: getattr(record.held_out, name)[:count] for name in ("ids", "predictions", "truth")}
    )


def a_failure(cell=None, status="failed", reason="RuntimeError: the moon was full"):
    record = a_record(cell)
    return Record(
        schema=SCHEMA,
        key=record.key,
        cell=record.cell,
        status=status,
        started=record.started,
        seconds=0.1,
        environment=ENVIRONMENT,
        reason=reason,
    )


def a_timing(batch=1, p50_ms=0.5, ratio_spread=0.02, **others):
    p50_ms *= batch
    return Timing(batch, 1, 1000, p50_ms, p50_ms, p50_ms, 1e3 * batch / p50_ms, 2.0, ratio_spread, **others)


def a_latency(record, p50_ms=0.5, started="2026-01-01T01:00:00+00:00", **others):
    timings = tuple(a_timing(batch, p50_ms, **others) for batch in (1, 32))
    return LatencyRecord(
        schema=SCHEMA,
        key=record.key,
        sha256=record.onnx.sha256,
        started=started,
        environment=record.environment,
        latency=Latency(timings),
    )


GLANCE = LatencySettings(batches=(1,), warm_up=1, runs=2, seconds=0.001, rounds=2, most_rounds=2)
"""Of a model that is timed, but not to learn how long it takes."""
