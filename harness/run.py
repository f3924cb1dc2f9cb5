"""`bench run`: plan -> cells -> records -> latencies -> leaderboards."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from harness import leaderboard, registry
from harness.environment import observe
from harness.latency import SMOKE, LatencySettings, measure_apart
from harness.launch import launch
from harness.plan import DataSource, Plan, plan
from harness.progress import Progress, show_count
from harness.records import SCHEMA, LatencyRecord, Record, Settings, Store, latest
from harness.worker import Done, Job, now


class Request(msgspec.Struct, frozen=True):
    """What `bench run` was asked for."""

    suites: tuple[str, ...]
    source: DataSource
    profile: str
    variant: str
    backend: str
    seeds: tuple[int, ...]
    settings: Settings
    results: Path
    workers: int
    timeout: float | None


def run(request: Request) -> bool:
    """Run every cell that has no `ok` record yet, time what was exported, write the leaderboards and show them.

    True where every cell of the request has an `ok` record now. Raises BenchError before anything runs where the
    request or its data cannot be used.
    """
    plans = [
        plan(
            name,
            request.source,
            request.profile,
            request.variant,
            request.backend,
            request.seeds,
            request.settings,
        )
        for name in request.suites
    ]
    well = True
    for suite_plan in plans:
        store = Store(request.results, suite_plan.suite)
        _announce(suite_plan)
        _train(suite_plan, store, request)
        _time(suite_plan, store, request)
        path = leaderboard.write(request.results, suite_plan.suite)
        standing = latest(store.trainings())
        missing = [cell for cell in suite_plan.cells if standing[cell.key].status != "ok"]
        print(leaderboard.terminal_table(path, {cell.data_hash for cell in suite_plan.cells}))
        print(f"\nleaderboard: {path}\nrecords:     {store.trainings_file}\nmodels:      {request.results / 'models'}")
        if missing:
            print(f"{len(missing)} of {len(suite_plan.cells)} cells have no result; the same command tries them again")
        well = well and not missing
    return well


def _announce(suite_plan: Plan) -> None:
    data, split = suite_plan.dataset, suite_plan.split
    parts = f"{len(split.train)} to train, {len(split.validation)} to validate, {len(split.test)} to test"
    print(f"suite {suite_plan.suite}: {len(data.images)} images of data set '{data.name}', {parts}")
    for warning in data.warnings:
        print(f"warning: {warning}")


def _train(suite_plan: Plan, store: Store, request: Request) -> None:
    done = {key for key, record in latest(store.trainings()).items() if record.status == "ok"}
    jobs = [Job(cell, suite_plan.source) for cell in suite_plan.cells if cell.key not in done]
    total = len(suite_plan.cells)
    print(f"{total} cells, {total - len(jobs)} done before" + (f", {request.workers} workers" if jobs else ""))
    progress = Progress(jobs)
    try:
        for event in launch(jobs, request.results, request.workers, request.settings.device, request.timeout):
            if isinstance(event[1], Done):
                store.append(event[1].record)
            progress.show(event)
    finally:
        progress.close()


def _time(suite_plan: Plan, store: Store, request: Request) -> None:
    """Time one model per variant and backend, its first seed's, when nothing else of this run uses the machine."""
    standing = latest(store.trainings())
    timed = {(record.key, record.sha256) for record in store.latencies() if not record.latency.reason}
    first: dict[tuple[str, str], Record] = {}
    for cell in suite_plan.cells:
        record = standing[cell.key]
        if record.status == "ok" and record.onnx is not None:
            first.setdefault((cell.variant, cell.backend), record)
    folder = request.results / "models" / suite_plan.suite
    models: dict[str, tuple[Record, Path]] = {}
    for record in first.values():
        assert record.onnx is not None
        if (record.key, record.onnx.sha256) in timed:
            continue
        path = folder / record.onnx.file
        if path.exists():
            models[record.cell.file_stem] = (record, path)
        else:
            print(f"no latency for {record.cell.title}: {path} is gone", file=sys.stderr)
    if not models:
        return
    profile = registry.suite(suite_plan.suite).PROFILES[request.profile]
    settings = SMOKE if profile.quick_latency else LatencySettings()
    print(f"timing {len(models)} exported models in ONNX Runtime, one thread")
    started = now()
    latencies = measure_apart({name: path for name, (_, path) in models.items()}, settings, show_count)
    for name, latency in latencies.items():
        record, _ = models[name]
        assert record.onnx is not None
        if latency.reason:
            print(f"no latency for {record.cell.title}: {latency.reason}", file=sys.stderr)
        store.append(
            LatencyRecord(
                schema=SCHEMA,
                key=record.key,
                sha256=record.onnx.sha256,
                started=started,
                environment=observe(),
                latency=latency,
            )
        )
