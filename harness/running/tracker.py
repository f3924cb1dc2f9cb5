"""`bench run tracker=mlflow`: the records of a results folder in MLflow's SQLite store, for whoever looks there.

The records stay what counts: a store is filled from them, never read, and may be deleted. MLflow is no dependency.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import BenchError
from harness.judging.metrics import Accuracy
from harness.judging.records import Record
from harness.judging.store import Store
from harness.text import one_line

_KEY = "cijbench.record"
_AT_ONCE = 500  # metrics in one call; MLflow takes 1,000


def store_of(results: Path) -> Path:
    """Where MLflow's store of a results folder is."""
    return results / "mlflow.db"


def refuse_missing() -> None:
    """Raise BenchError where MLflow is not installed."""
    if importlib.util.find_spec("mlflow") is None:
        raise BenchError("tracker=mlflow: mlflow is not installed: pip install mlflow")


def track(results: Path, suite: str) -> int:
    """Write every training record of a suite that is not there yet to MLflow; how many these were.

    An experiment `cijbench/<suite>`, a run for each record: what a cell is as parameters, every score as a metric, and
    the losses of each epoch as steps. Raises BenchError where MLflow is not installed, and where it
    cannot write.
    """
    refuse_missing()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # which it asks for when it is imported
    records = Store(results, suite).trainings()
    try:
        return _written(importlib.import_module("mlflow"), results.resolve(), suite, records)
    except Exception as error:  # of its store, of the database's driver, of the disk: they share no parent
        raise BenchError(
            f"{store_of(results)}: MLflow could not write it: {type(error).__name__}: {one_line(str(error))[:500]}. "
            "The records are complete; that file may be deleted, and the same command fills it anew"
        ) from None


def _written(mlflow: Any, results: Path, suite: str, records: Sequence[Record]) -> int:
    client = mlflow.MlflowClient(f"sqlite:///{store_of(results)}")
    name = f"cijbench/{suite}"
    known = client.get_experiment_by_name(name)
    place = (results / "mlflow").as_uri()  # else artifacts would be looked for where the command was typed
    experiment = known.experiment_id if known else client.create_experiment(name, artifact_location=place)
    there = set(_there(client, experiment))
    fresh = [record for record in records if _name(record) not in there]
    for record in fresh:
        _add(client, experiment, record)
    return len(fresh)


def _name(record: Record) -> str:
    return f"{record.key} {record.started} {record.computed_by[:12]}"


def _there(client: Any, experiment: str) -> Iterator[str]:
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        yield from (run.data.tags[_KEY] for run in page if run.info.status != "RUNNING" and _KEY in run.data.tags)
        if not (token := page.token):
            return


def _add(client: Any, experiment: str, record: Record) -> None:
    entities = importlib.import_module("mlflow.entities")
    started = int(datetime.fromisoformat(record.started).timestamp() * 1000)
    tags = {"mlflow.runName": record.cell.title, _KEY: _name(record), **_tags(record)}
    run = client.create_run(experiment, start_time=started, tags=tags).info.run_id
    steps = [entities.Metric(name, value, started, step) for name, value, step in _metrics(record)]
    client.log_batch(run, params=[entities.Param(name, value) for name, value in _parameters(record).items()])
    for first in range(0, len(steps), _AT_ONCE):
        client.log_batch(run, metrics=steps[first : first + _AT_ONCE])
    status = "FINISHED" if record.status == "ok" else "FAILED"
    client.set_terminated(run, status, end_time=started + int(record.seconds * 1000))


def _tags(record: Record) -> dict[str, str]:
    told = {
        "key": record.key,
        "status": record.status,
        "reason": record.reason[:1000],
        "commit": record.environment.commit,
        "source": record.source,
        "processor": record.environment.processor,
        "data_hash": record.cell.data_hash,
        "split_hash": record.cell.split_hash,
    }
    return {f"cijbench.{name}": value for name, value in told.items() if value}


def _parameters(record: Record) -> dict[str, str]:
    cell = record.cell
    told = {name: getattr(cell, name) for name in ("variant", "backend", "seed", "profile", "data", "weights")}
    settings = msgspec.to_builtins(cell.settings)
    told |= {name: value for name, value in settings.items() if name != "facts"}
    return {name: str(value) for name, value in told.items() if value != ""}


def _metrics(record: Record) -> Iterator[tuple[str, float, int]]:
    """Name, value and step: scores of the test that models are ranked by as they are called, of others behind the
    test's name, losses by epoch of all recipes.
    """
    if record.test:
        yield from _scores("", record.test, record.metrics)
    if record.validation:
        yield from _scores("validation.", record.validation, {})
    for name, tested in record.others.items():
        yield from _scores(f"{name}.", tested.accuracy, tested.metrics)
    if record.counts:
        yield "parameters", float(record.counts.total), 0
    epoch = 0
    for history in record.history:
        for loss, validation_loss in zip(history.loss, history.validation_loss, strict=False):
            epoch += 1
            yield "loss", loss, epoch
            yield "validation_loss", validation_loss, epoch


def _scores(before: str, accuracy: Accuracy, metrics: dict[str, float]) -> Iterator[tuple[str, float, int]]:
    scores = msgspec.to_builtins(accuracy)
    scores |= {f"r2_{target}": value for target, value in scores.pop("r2").items()} | metrics
    for name, value in scores.items():
        if value is not None:
            yield f"{before}{name}", float(value), 0
