"""Which records may stand side by side in a picture or a report: those of one question, asked in one place.

Records are comparable where data, split, profile, settings and processor are the same. Everything else is what is
being compared: variants, the weights they start from, backends, seeds. Of a model that was trained by several versions
of its framework or of this code, the newest are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.judging.metrics import unlike
from harness.judging.records import HeldOut, Record
from harness.judging.standing import Placed, standing
from harness.judging.stats import (
    SIGNIFICANT,
    of_clusters,
    paired_difference,
    settled_p_values,
    skill_interval,
)
from harness.protocol import Predicted
from harness.provenance import machine

Errors = NDArray[np.float64]
_P = TypeVar("_P", bound=Placed)


class Row(NamedTuple):
    """All seeds of one model in one backend, by ascending seed."""

    name: str
    backend: str
    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """The record of its first seed."""
        return self.records[0]

    @property
    def title(self) -> str:
        """Model and backend."""
        return f"{self.name} · {self.backend}"

    @property
    def unit(self) -> str:
        """The unit of its targets."""
        return self.first.held_out.unit if self.first.held_out else ""

    @property
    def targets(self) -> int:
        """How many they are."""
        return len(self.first.held_out.targets) if self.first.held_out else 1

    @property
    def of_classes(self) -> bool:
        """Whether these are classes."""
        return any(held_out.of_classes for held_out in self._held_out)

    def on(self, test: str) -> Row:
        """The same models on another of the tests, by name. Raises KeyError where they have not met it."""
        if all(record.held_out and record.held_out.test == test for record in self.records):
            return self
        met = [record.others[test] for record in self.records]
        return self._replace(
            records=tuple(
                msgspec.structs.replace(record, held_out=found.held_out, test=found.accuracy, metrics=found.metrics)
                for record, found in zip(self.records, met, strict=True)
            )
        )

    @property
    def tests(self) -> tuple[str, ...]:
        """Names of the tests, the one that models are ranked by first."""
        return (*([self.first.held_out.test] if self.first.held_out else []), *self.first.others)

    @property
    def ranked_by(self) -> str:
        """Where there are several tests, which one its scores are of, as it stands after one in a sentence."""
        return f" on `{self.tests[0]}`" if len(self.tests) > 1 else ""

    @property
    def of_unlike_units(self) -> bool:
        """Whether its targets' errors cannot be added before they are shares of the trivial predictor's."""
        return any(unlike(held_out.units) for held_out in self._held_out)

    def image_errors(self) -> Errors:
        """(seeds, n) squared error of each test image, summed over targets, in the unit of the targets squared; where
        these are of unlike units, each as a share of the trivial predictor's (`metrics.target_weights`).
        """
        weights, truth = self._held_out[0].target_weights(), np.array([held_out.true for held_out in self._held_out])
        errors: Errors = (weights * (self._predictions - truth) ** 2).sum(axis=2)
        return errors

    def squared_errors(self) -> Errors:
        """(seeds, c) the same of each thing that the test images show, which were drawn: see `stats.of_clusters`."""
        return of_clusters(self.image_errors(), self._clusters)

    def predicted(self) -> list[Predicted]:
        """What its models answered on each test."""
        met = [self.on(test) for test in self.tests]
        return [
            Predicted(self.name, self.backend, test, row._held_out[0].true, row._predictions)
            for test, row in zip(self.tests, met, strict=True)
        ]

    def image_errors_of_mean(self) -> Errors:
        """(n,) the trivial predictor's of each test image, which answers the mean of the training labels."""
        first = self._held_out[0]
        squared = (first.true - np.array(first.train_mean)) ** 2
        errors: Errors = (first.target_weights() * squared).sum(axis=1)
        return errors

    def squared_errors_of_mean(self) -> Errors:
        """(c,) the same of each thing that the test images show."""
        return of_clusters(self.image_errors_of_mean(), self._clusters)

    @property
    def tested_on(self) -> str:
        """How many test images, and in how many groups where several show the same thing."""
        images, things = len(self.image_errors_of_mean()), len(self.squared_errors_of_mean())
        return f"{images} test images" + f" in {things} groups" * (things < images)

    @property
    def _held_out(self) -> list[HeldOut]:
        """Of its records, all of which have predictions."""
        return [record.held_out for record in self.records if record.held_out]

    @property
    def _predictions(self) -> Errors:
        """(seeds, n, t)."""
        return np.array([held_out.predicted for held_out in self._held_out])

    @property
    def _clusters(self) -> tuple[int, ...]:
        return self.first.held_out.clusters if self.first.held_out else ()

    def skill(self) -> float:
        """1 - mean squared error / the trivial predictor's, over all seeds."""
        return float(1 - self.squared_errors().mean() / self.squared_errors_of_mean().mean())

    def skill_interval(self) -> tuple[float, float]:
        """Its 95 % interval; (nan, nan) for too few images."""
        return skill_interval(self.squared_errors(), self.squared_errors_of_mean())

    def validation_error(self) -> float:
        """Mean over seeds of what a model is chosen by; see `Record`."""
        return float(np.mean([record.validation_error for record in self.records]))


class Difference(NamedTuple):
    """How much higher one row's skill is than another's, with its 95 % interval; that is (nan, nan) for too few
    images. `p_value` is Holm's where it is one of a family of comparisons (`differences`), and NaN alone.
    """

    value: float
    low: float
    high: float
    p_value: float = np.nan

    @property
    def verdict(self) -> str:
        """What the interval allows to say, and in a family the p-value, too."""
        if np.isnan(self.value):
            return "no skill to compare"
        if np.isnan(self.low):
            return "too few test images"
        if self.p_value >= SIGNIFICANT:
            return "not told apart"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "not told apart"


def difference(row: Row, other: Row) -> Difference:
    """How much higher the skill of `row` is than that of `other`, on the same test images; NaN where there is no skill,
    for the trivial predictor is perfect.
    """
    return Difference(
        *paired_difference(other.squared_errors(), row.squared_errors(), of_mean=row.squared_errors_of_mean())
    )


def differences(pairs: Iterable[tuple[Row, Row]]) -> list[Difference]:
    """The `difference` of each pair, as one family of comparisons: with p-values after Holm."""
    pairs = list(pairs)
    return [
        difference(row, other)._replace(p_value=p_value)
        for (row, other), p_value in zip(pairs, p_values(pairs), strict=True)
    ]


def p_values(pairs: Iterable[tuple[Row, Row]]) -> list[float]:
    """Of equal skills of each pair, after Holm; NaN for too few test images."""
    return settled_p_values([(row.squared_errors(), other.squared_errors()) for row, other in pairs])


def newest(records: Iterable[_P], profile: str = "", target_scaling: str = "standard", device: str = "") -> list[_P]:
    """The `ok` records that may stand beside the newest one of this profile and device, oldest first.

    An empty `profile` is any; without a `device` records of the processor go first, for a suite is often trained on a
    GPU in part only. What was trained on fewer images than there are is in no block: see `curves`.
    """
    blocks: dict[tuple[object, ...], list[_P]] = {}
    for record in standing(records):
        settings = record.cell.settings
        if (
            record.status == "ok"
            and settings.target_scaling == target_scaling
            and profile in ("", record.cell.profile)
            and device in ("", settings.device)
            and settings.originals is msgspec.UNSET
        ):
            blocks.setdefault(_block(record), []).append(record)

    def how_new(block: Sequence[_P]) -> tuple[bool, str]:
        return block[0].cell.settings.device == "cpu", max(record.started for record in block)

    return _current(max(blocks.values(), key=how_new, default=[]))


def _block(record: Placed) -> tuple[object, ...]:
    """Equal for records that may stand side by side; averaged predictions make another model of one."""
    cell = record.cell
    settings = msgspec.structs.replace(cell.beside, averaged=0, originals=msgspec.UNSET)
    return cell.profile, cell.data_hash, cell.split_hash, repr(settings), machine(record.environment)


def of_fewer_seeds(records: Iterable[Placed]) -> str:
    """Which models of a block lack seeds that others have, and what they are of; empty where none does."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for record in records:
        seeds.setdefault((record.cell.row, record.cell.backend), []).append(record.seed)
    most = max(map(len, seeds.values()), default=0)
    told = [
        f"{name} · {backend} (only {' '.join(map(str, sorted(of)))})"
        for (name, backend), of in sorted(seeds.items())
        if len(of) < most
    ]
    return f"Fewer seeds, because others failed or were not run: {', '.join(told)}." if told else ""


def curves(records: Iterable[Record], block: Sequence[Record]) -> dict[tuple[str, str], dict[int, Row]]:
    """Of each model and backend that was also trained on fewer images than those of a block: a row for each number of
    images, by model and backend, in rising order.
    """
    places = {_block(record) for record in block}
    found: dict[int, list[Record]] = {}
    for record in standing(records):
        originals = record.cell.settings.originals
        if record.status == "ok" and originals is not msgspec.UNSET and _block(record) in places:
            found.setdefault(originals, []).append(record)
    grouped: dict[tuple[str, str], dict[int, Row]] = {}
    for originals, of in sorted(found.items()):
        for row in rows(_current(of)):
            whole = msgspec.structs.replace(row.first.cell.settings, originals=msgspec.UNSET)
            name = msgspec.structs.replace(row.first.cell, settings=whole).row
            grouped.setdefault((name, row.backend), {})[originals] = row
    return grouped


def _current(block: Sequence[_P]) -> list[_P]:
    """Of each model and backend those of the newest one's row: as it is defined now, by what computed it."""
    newest_by: dict[tuple[str, str], _P] = {}
    for record in block:
        place = (record.cell.row, record.cell.backend)
        if place not in newest_by or record.started >= newest_by[place].started:
            newest_by[place] = record
    kept = {record.row for record in newest_by.values()}
    return [record for record in block if record.row in kept]


def rows(records: Iterable[Record], order: Iterable[str] = ()) -> list[Row]:
    """Records by model and backend, in the suite's `order` of variants, then by name and backend."""
    place = {variant: number for number, variant in enumerate(order)}
    groups: dict[tuple[int, str, str], list[Record]] = {}
    for record in sorted(records, key=lambda item: item.cell.seed):
        cell = record.cell
        groups.setdefault((place.get(cell.variant, len(place)), cell.row, cell.backend), []).append(record)
    return [Row(name, backend, tuple(groups[key])) for key in sorted(groups) for _, name, backend in [key]]
