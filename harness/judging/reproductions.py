"""Published rows that were run again, in a folder of their own beside the records: whether what came of it agrees.

Whoever runs a row again, by other code or elsewhere, leaves records as any run does (`bench reproduce`). They make no
rows: of a published row they say whether it can be had again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from harness.judging.outlines import Outline, Shelf
from harness.judging.records import Record
from harness.judging.store import Store
from harness.judging.verify import refuse, verify_each
from harness.provenance import differences, source

Agreement = Literal["to the bit", "to rounding", "within the spread of seeds", "no"]

_FROM_BEST = get_args(Agreement)

ROUNDING = 1e-2
"""Predictions that differ by less than this share of their root mean squared error have the same scores, to the digits
that intervals leave. Another processor's linear algebra moves those of a Gaussian process by half of it.
"""


class Again(NamedTuple):
    """A record and what came of running it again, on the test that agrees least. `distance` is the root mean square by
    which predictions differ, `spread` that of published seeds from each other (None of one seed), both in the targets'
    unit; `why` says what is not as it was. `again` is None where nothing came of it, and `why` then says that.
    """

    published: Record
    again: Record | None
    agrees: Agreement
    distance: float
    spread: float | None
    why: list[str]
    test: str = ""


Spread = Mapping[str, float | None]
"""By test, how far predictions of seeds are from each other."""


def spread_of_seeds(records: Sequence[Record]) -> Spread:
    """How far, root mean square, predictions of seeds are from each other on each test: the median over pairs; None of
    one seed.
    """
    found: dict[str, float | None] = {}
    for test in records[0].examined:
        distances = [distance_of(one, other, test) for one, other in combinations(records, 2)]
        found[test] = float(np.median(distances)) if distances else None
    return found


def compare(record: Record, again: Record | None, spread: Spread) -> Again:
    """Whether a record and what came of running it again agree on every test, within what, and why not to the bit."""
    if again is None:
        return Again(record, None, "no", np.nan, None, ["it is no cell of the suite any more"])
    if again.status != "ok":
        return Again(record, None, "no", np.nan, None, [f"it is {again.status} here: {again.reason}"])
    then, now = (record.environment, record.source), (again.environment, again.source)
    why = differences(record.cell.backend, *then, *now, record.cell.packages)
    why = [f"it was made with {told}" for told in why]
    if again.key != record.key:
        why.append("it is another cell: the variant was defined otherwise, or the profile")
    test, agrees, distance = max(
        ((test, *_agreement(record, again, test, spread.get(test))) for test in record.examined),
        key=lambda found: _FROM_BEST.index(found[1]),
    )
    if agrees != "to the bit" and not why:
        why.append("nothing that it is known to hang on differs: it was edited, or is not deterministic")
    return Again(record, again, agrees, distance, spread.get(test), why, test)


def _agreement(record: Record, again: Record, test: str, spread: float | None) -> tuple[Agreement, float]:
    distance, error = distance_of(record, again, test), record.examined[test].accuracy.rmse
    if distance == 0:
        return "to the bit", distance
    if distance <= ROUNDING * error:
        return "to rounding", distance
    if spread is not None and distance <= spread:
        return "within the spread of seeds", distance
    return "no", distance


def distance_of(one: Record, other: Record, test: str) -> float:
    """Root mean square of differences of predictions, in the targets' unit; NaN where one has not met the test, or as
    another one.
    """
    met = [record.examined.get(test) for record in (one, other)]
    predicted = [tested.held_out.predicted for tested in met if tested]
    if len(predicted) < 2 or predicted[0].shape != predicted[1].shape:
        return np.nan
    return float(np.sqrt(np.mean((predicted[0] - predicted[1]) ** 2)))


class Reproduced(NamedTuple):
    """A row that was run again, every seed of it: how that seed agrees which agrees least, and what came of each."""

    agrees: Agreement
    by: list[Record]

    @property
    def commits(self) -> str:
        """Of the checkouts that ran it again."""
        return " ".join(sorted({record.environment.short_commit for record in self.by}))

    @property
    def current(self) -> bool:
        """Whether it is the code that is here that made all of it again, to the bit."""
        return self.agrees == "to the bit" and by_this_code(self.by)

    @property
    def told(self) -> str:
        """In words: by what code, where, and how it agrees."""
        on = " and ".join(sorted({record.environment.processor for record in self.by}))
        agrees = "does not agree" if self.agrees == "no" else f"agrees {self.agrees}"
        return f"run again by commit {self.commits} on {on}, and {agrees}"


def by_this_code(records: Iterable[Record | Outline], again: Reproduced | None = None) -> bool:
    """Whether the code that is here made all of these records, or made all of them again, to the bit."""
    made = all(record.source == source(record.cell.backend, record.cell.suite) for record in records)
    return made or (again is not None and again.current)


class Reproductions:
    """What was run again of a suite's published records: the records below `results/reproduced`, where there are any.
    Of several of one cell the newest counts. Raises BenchError for those that cannot be believed.
    """

    def __init__(self, results: Path, suite: str) -> None:
        self._store = Store(results / "reproduced", suite)
        self._shelf = Shelf(self._store)
        finished = [outline for outline in self._shelf.outlines if outline.status == "ok"]
        self._newest: dict[str, Outline] = {
            outline.key: outline for outline in sorted(finished, key=lambda item: item.started)
        }

    def of(self, records: Sequence[Record]) -> Reproduced | None:
        """What came of the records of a row; None where not every finished seed was run again."""
        good = [record for record in records if record.status == "ok" and record.held_out]
        if not good or any(record.key not in self._newest for record in good):
            return None
        again = self._shelf.whole([self._newest[record.key] for record in good])
        refuse(self._store.trainings_file, verify_each(again))
        if any(one.started == record.started for one, record in zip(again, good, strict=True)):
            return None  # a copy is no second run
        spread = self._spread(good)
        found = [compare(record, one, spread).agrees for record, one in zip(good, again, strict=True)]
        return Reproduced(max(found, key=_FROM_BEST.index), again)

    def _spread(self, good: Sequence[Record]) -> Spread:
        """How far seeds are from each other; of a row of one seed, all those of it that were run again."""
        if len(good) > 1:
            return spread_of_seeds(good)
        alike = [outline for outline in self._newest.values() if outline.of_cell == good[0].of_cell]
        return spread_of_seeds(self._shelf.whole(alike))
