"""`bench reproduce`: a published row, run again here, and how far that is from what was published, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness import registry
from harness.errors import BenchError
from harness.judging import leaderboard
from harness.judging.blocks import newest, rows
from harness.judging.records import Record, Settings
from harness.judging.reproductions import Again, compare, spread_of_seeds
from harness.judging.standing import standing
from harness.judging.store import Store
from harness.model.variants import Search
from harness.running.data import DataSource, split_of
from harness.running.guard import Limits
from harness.running.plan import Request
from harness.running.run import place, run
from harness.text import nearest


def published(results: Path, suite: str, row: str, profile: str) -> list[Record]:
    """The records of a row, by ascending seed: `row` is variant/backend, of the newest comparable records, or the key
    of a cell. Raises BenchError for one that there is not, naming the nearest.
    """
    records = leaderboard.believed(results, suite)
    if re.fullmatch("[0-9a-f]{16}", row):
        found = [record for record in standing(records) if record.key == row and record.status == "ok"]
        if not found:
            raise BenchError(f"row={row}: {results} has no finished record of {suite} with this key")
        return found[-1:]
    found_rows = rows(newest(records, profile))
    known = {f"{one.first.cell.variant}/{one.backend}": one for one in found_rows}
    known |= {f"{one.name}/{one.backend}": one for one in found_rows}  # a variant's name may be that of several rows
    if row not in known:
        raise BenchError(f"row={row}: no row of {suite}, profile {profile}, in {results}{nearest(row, known)}")
    return list(known[row].records)


def reproduce(records: Sequence[Record], results: Path, out: Path, workers: int, limits: Limits) -> list[Again]:
    """Run the records of one row again, in the results folder `out`, and compare.

    What an earlier call finished there is not run again. Raises BenchError for records of other data than the suite's
    own, of a variant that the suite has not, and for weights that are not here.
    """
    first = records[0].cell
    suite = registry.suite(first.suite)
    if first.variant not in {variant.name for variant in suite.VARIANTS}:
        raise BenchError(
            f"{first.row} is not a variant of {first.suite}, but a user's own or from another version: cannot be rerun"
        )
    dataset = DataSource().load(suite)
    if (dataset.fingerprint(), split_of(suite, dataset).fingerprint()) != first.question:
        raise BenchError(f"{first.row} was trained on data '{first.data}', not the suite's own: cannot be rerun")
    run(_request(records, results, out, workers, limits))
    made = standing(Store(out, first.suite).trainings())
    spread = spread_of_seeds(records)
    return [compare(record, _again(record, made), spread) for record in records]


def _request(records: Sequence[Record], results: Path, out: Path, workers: int, limits: Limits) -> Request:
    """What `bench run` would have to be asked for to make these."""
    cell = records[0].cell
    name, _, of_file = cell.weights.partition(" ")
    settings = cell.settings
    return Request(
        (cell.suite,),
        out,
        profile=cell.profile,
        variant=cell.variant,
        backend=cell.backend,
        seeds=tuple(record.cell.seed for record in records),
        settings=Settings(settings.init, settings.target_scaling, settings.unit, settings.device, settings.averaged),
        originals=() if settings.originals is msgspec.UNSET else (settings.originals,),
        weights=str(results / "weights" / name) if of_file else name or "random",
        search=cell.architecture.method if isinstance(cell.architecture, Search) else None,
        workers=workers,
        limits=limits,
    )


def _again(record: Record, made: Sequence[Record]) -> Record | None:
    """The newest record of the same place among those made: of the same cell, where there is one."""
    found = [other for other in made if place(other.cell) == place(record.cell)]
    return max(found, key=lambda other: (other.key == record.key, other.started), default=None)
