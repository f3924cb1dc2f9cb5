"""What exported models become in cheaper runtimes, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import msgspec
import numpy as np
import pandas as pd

from harness.errors import BenchError
from harness.judging.records import Deployment, Record, Runtime
from harness.judging.timing import Timing
from harness.provenance import machine


def table(records: Iterable[Record], deployments: Iterable[Deployment]) -> pd.DataFrame:
    """One line for each model, runtime and machine, the newest; models best first, their runtimes in the order of
    `Runtime`. Scores are of the recorded predictions, on the test that models are ranked by. Raises BenchError where
    these give none.
    """
    made = {(record.key, record.onnx.sha256): record for record in records if record.status == "ok" and record.onnx}
    newest = {(d.key, d.sha256, machine(d.environment), d.runtime): d for d in deployments}
    lines = []
    for (key, sha256, here, _), deployment in newest.items():
        if (record := made.get((key, sha256))) is not None:
            lines.append(_line(record, deployment, newest.get((key, sha256, here, "float32"))))
    order = get_args(Runtime)

    def place(line: dict[str, Any]) -> tuple[Any, ...]:
        skill = line["skill_float32"]
        parts = (line[part] for part in ("variant", "backend", "seed", "processor"))
        return (skill is None, -(skill or 0.0), *parts, order.index(line["runtime"]))

    lines.sort(key=place)
    return pd.DataFrame(lines, dtype=object)


def _line(record: Record, deployment: Deployment, float32: Deployment | None) -> dict[str, Any]:
    cell, held_out, environment = record.cell, record.held_out, deployment.environment
    assert record.test is not None
    assert held_out is not None
    score, change = None, None
    if deployment.predictions:
        native = np.array(held_out.predictions)
        try:
            score = msgspec.structs.replace(held_out, predictions=deployment.predictions).accuracy()
        except ValueError as error:
            raise BenchError(f"{cell.title} ({record.key}) in {deployment.runtime}: no scores: {error}") from None
        change = float(np.abs(np.array(deployment.predictions) - native).max() / np.abs(native).max())
    return {
        "variant": cell.row,
        "backend": cell.backend,
        "seed": cell.seed,
        "weights": cell.weights,
        "runtime": deployment.runtime,
        "file_kB": deployment.bytes / 1000 if deployment.bytes else None,
        "skill": score.skill if score else None,
        "skill_float32": record.test.skill,
        "change": change,
        **_times(deployment, float32, 1),
        **_times(deployment, float32, 32),
        "note": _note(deployment),
        "runtime_version": environment.versions.get("openvino" if deployment.runtime == "openvino" else "onnxruntime"),
        "processor": environment.processor,
        "vnni": "vnni" in environment.features,
        "features": environment.features,
        "data": cell.data,
        "profile": cell.profile,
    }


def _times(deployment: Deployment, float32: Deployment | None, batch: int) -> dict[str, float | None]:
    own, usual = _timing(deployment, batch), _timing(float32, batch)
    told = {name: getattr(own, name, None) for name in ("p50_ms", "ratio", "ratio_low", "ratio_high")}
    told["faster"] = usual.ratio / own.ratio if own and usual else None
    return {f"{name}_b{batch}": value for name, value in told.items()}


def _timing(deployment: Deployment | None, batch: int) -> Timing | None:
    return deployment.latency.of(batch) if deployment and deployment.latency else None


def _note(deployment: Deployment) -> str:
    """Why something is lacking, or may not be quoted."""
    latency = deployment.latency
    unsteady = [
        f"batch {timing.batch}: {timing.unsteady}" for timing in (latency.timings if latency else ()) if timing.unsteady
    ]
    return deployment.reason or (latency.reason if latency else "") or "; ".join(unsteady)
