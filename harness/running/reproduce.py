"""`bench reproduce`: a published row, run again here, and how far that is from what was published, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from harness import registry
from harness.errors import BenchError
from harness.judging import leaderboard
from harness.judging.blocks import newest, rows
from harness.judging.records import Record, Settings
from harness.judging.standing import standing
from harness.judging.store import Store
from harness.model.variants import Search
from harness.provenance import differences
from harness.running.data import DataSource, split_of
from harness.running.guard import Limits
from harness.running.plan import Request
from harness.running.run import place, run
from harness.text import nearest

Agreement = Literal["to the bit", "to rounding", "within the spread of seeds", "no"]

ROUNDING = 1e-3
"""Predictions that differ by less than this share of their root mean squared error make no other score of it."""


class Again(NamedTuple):
    """A record and what came of running it again. `distance` is the root mean square by which predictions differ,
    `spread` that of published seeds from each other (None of one seed), both in the targets' `unit`; `why` says what
    is not as it was. `again` is None where nothing came of it, and `why` then says that.
    """

    published: Record
    again: Record | None
    agrees: Agreement
    distance: float
    spread: float | None
    why: list[str]


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
    known = {f"{one.records[0].cell.variant}/{one.backend}": one for one in found_rows}
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
            f"{first.row} is no variant of {first.suite}, but somebody's own, or of another version: not run again"
        )
    dataset = DataSource().load(suite)
    if (dataset.fingerprint(), split_of(suite, dataset).fingerprint()) != (first.data_hash, first.split_hash):
        raise BenchError(
            f"{first.row} was trained on data '{first.data}', which are not the suite's own: not run again"
        )
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


def spread_of_seeds(records: Sequence[Record]) -> float | None:
    """How far, root mean square, predictions of seeds are from each other: the median over pairs; None of one seed."""
    distances = [_distance(one, other) for one, other in combinations(records, 2)]
    return float(np.median(distances)) if distances else None


def compare(record: Record, again: Record | None, spread: float | None) -> Again:
    """Whether a record and what came of running it again agree, within what, and why not to the bit."""
    if again is None:
        return Again(record, None, "no", np.nan, spread, ["it is no cell of the suite any more"])
    if again.status != "ok":
        return Again(record, None, "no", np.nan, spread, [f"it is {again.status} here: {again.reason}"])
    then, now = (record.environment, record.source), (again.environment, again.source)
    why = differences(record.cell.backend, *then, *now, record.cell.packages)
    why = [f"it was made with {told}" for told in why]
    if again.key != record.key:
        why.append("it is another cell: the variant was defined otherwise, or the profile")
    distance = _distance(record, again)
    error = record.test.rmse if record.test else 0.0
    agrees: Agreement = "no"
    if distance == 0:
        agrees = "to the bit"
    elif distance <= ROUNDING * error:
        agrees = "to rounding"
    elif spread is not None and distance <= spread:
        agrees = "within the spread of seeds"
    if distance and not why:
        why.append("nothing that it is known to hang on differs: it was edited, or is not deterministic")
    return Again(record, again, agrees, distance, spread, why)


def _distance(one: Record, other: Record) -> float:
    """Root mean square of differences of predictions, in the targets' unit; NaN where they are of other tests."""
    assert one.held_out is not None
    assert other.held_out is not None
    a, b = np.array(one.held_out.predictions), np.array(other.held_out.predictions)
    return float(np.sqrt(np.mean((a - b) ** 2))) if a.shape == b.shape else np.nan
