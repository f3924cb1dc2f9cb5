"""Times the exported models of a run and keeps what is known of each, but for what another timing tells no more of."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.environment import observe, usable_memory_gib
from harness.judging.records import SCHEMA, Cell, LatencyRecord
from harness.judging.store import Store
from harness.judging.timing import Latency
from harness.provenance import differences
from harness.running.guard import Limits
from harness.running.latency import LatencyError, measure_apart
from harness.running.progress import show_count
from harness.running.rounds import BUSY, LatencySettings
from harness.running.worker import now
from harness.text import counted


class Model(NamedTuple):
    """An exported model: the cell that it is of, its hash and its file."""

    cell: Cell
    sha256: str
    path: Path


def known(store: Store) -> set[tuple[str, str]]:
    """Keys and hashes of the models of which this machine's timings tell all that they can."""
    return {
        (record.key, record.sha256)
        for record in store.latencies()
        if _is_settled(record.latency) and not differences("onnx", record.environment, "", observe(), "")
    }


def _is_settled(latency: Latency) -> bool:
    """Whether to time it again would tell no more."""
    return not latency.reason and not any(timing.unsteady.startswith(BUSY) for timing in latency.timings)


def take(store: Store, models: Sequence[Model], settings: LatencySettings, still_there: Callable[[], None]) -> None:
    """Time models and record it, once nothing else of the run uses the machine; `still_there` is asked before."""
    print(f"timing {counted(len(models), 'exported model')} in ONNX Runtime, one thread")
    started = now()
    paths = {model.cell.file_stem: model.path for model in models}
    try:  # the limits of a cell are not those of all models at once
        latencies = measure_apart(paths, settings, Limits(memory_gib=usable_memory_gib()), show_count)
    except LatencyError as error:
        print(f"no latencies: {error}; the same command retries", file=sys.stderr)
        return
    still_there()
    for model in models:
        latency = latencies[model.cell.file_stem]
        _tell(model.cell, latency)
        store.append(
            LatencyRecord(
                schema=SCHEMA,
                key=model.cell.key,
                sha256=model.sha256,
                started=started,
                environment=observe(),
                latency=latency,
            )
        )


def _tell(cell: Cell, latency: Latency) -> None:
    """What of a latency cannot be quoted, and why."""
    if latency.reason:
        print(f"no latency for {cell.title}: {latency.reason}", file=sys.stderr)
    for timing in latency.timings:
        if timing.unsteady:
            print(f"unsteady latency of {cell.title} at batch {timing.batch}: {timing.unsteady}", file=sys.stderr)
