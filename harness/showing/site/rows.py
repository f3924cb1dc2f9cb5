"""What the web leaderboard needs of records: rows with badges, ranks, and the paired difference of each two of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness import registry
from harness.judging import by_test, leaderboard
from harness.judging.blocks import Row
from harness.judging.cells import as_csv
from harness.judging.columns import Group, digest, status
from harness.judging.records import Record
from harness.judging.reproductions import by_this_code
from harness.judging.standing import standing
from harness.judging.stats import paired_differences
from harness.model.architecture import Estimator
from harness.protocol import Suite
from harness.provenance import machine
from harness.showing.site.shown import Shown, decimals_of, decimals_of_form, table_columns


class Badge(NamedTuple):
    """Something to know of a row before its numbers are believed: a key, two words, a sentence."""

    key: str
    words: str
    sentence: str

    @property
    def warns(self) -> bool:
        """Whether it stands in the row, and not below the table alone: neither what most rows have, nor what their
        names say.
        """
        return self.key not in ("random", "reproduced")


class BoardRow(NamedTuple):
    """A row: `id` names its page, `values` are those of the CSV by column, `tests` its lines of the CSV of tests,
    `rank` is 1 + how many rows are better by more than the interval of the difference; None where it is not ranked.
    `before` are the rows that it took the place of, newest first, each with its values.
    """

    id: str
    group: Group
    values: dict[str, Any]
    tests: list[dict[str, Any]]
    badges: tuple[Badge, ...]
    rank: int | None
    decimals: dict[str, int]
    before: tuple[tuple[Group, dict[str, Any]], ...]

    @property
    def first(self) -> Record:
        """The record of its first seed."""
        return self.group.first

    @property
    def trivial(self) -> bool:
        """Whether it always answers the training mean."""
        return self.first.cell.architecture == Estimator("mean")

    @property
    def facets(self) -> dict[str, str]:
        """What rows can be filtered by."""
        cell = self.first.cell
        return {
            "backend": cell.backend,
            "kind": "networks" if cell.has_network else "without a network",
            "images": "all images" if cell.settings.originals is msgspec.UNSET else f"{cell.settings.originals} images",
            "weights": cell.weights or "no backbone",
            "labels": "raw labels" if cell.settings.target_scaling == "none" else "standardised labels",
            "device": cell.settings.device,
            "profile": cell.profile,
            "data": f"{cell.data} {cell.data_hash[:6]}",
        }


class Board(NamedTuple):
    """The rows of a suite, best first, but for those that newer ones took the place of; `low` and `high` (rows, rows)
    are the 95 % interval of how much higher the skill of the row is than that of the column, nan where they did not
    meet the same images.
    """

    name: str
    suite: Suite
    rows: list[BoardRow]
    columns: list[Shown]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    csv: str
    tests_csv: str
    records: list[Record]


def read(results: Path, name: str) -> Board:
    """The board of a suite. Raises BenchError where a record contradicts itself."""
    suite, believed = registry.suite(name), leaderboard.believed(results, name)
    groups = leaderboard.groups(results, name, standing(believed))
    table = leaderboard.of_groups(groups)
    values = {
        place: {str(key): value for key, value in line.items()}
        for place, line in zip(table.index, table.to_dict("records"), strict=True)
    }
    before = _newest_with_older(groups)
    places = [place for place in table.index if place in before]
    table, shown = table.loc[places], [groups[place] for place in places]
    low, high = _differences(shown)
    asked = {m.key: known for m in suite.METRICS if (known := decimals_of_form(m.form)) is not None}
    rows = []
    for place, group, rank in zip(places, shown, _ranks(shown, high), strict=True):
        lines = _lines(by_test.table(group.records))
        gave_way = tuple((groups[old], values[old]) for old in before[place])
        badges, decimals = _badges(group), _decimals(group, lines, asked)
        rows.append(BoardRow(_id(group), group, values[place], lines, badges, rank, decimals, gave_way))
    tests_csv = as_csv(pd.DataFrame(_joined(rows), dtype=object))
    said = {key for row in rows for key, value in row.values.items() if value not in (None, "")}
    listed = [
        column._replace(at_first=column.at_first and column.key in said) for column in table_columns(shown, suite)
    ]
    return Board(name, suite, rows, listed, low, high, as_csv(table), tests_csv, believed)


def _lines(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Each line of a table by its columns; a quarter of the time that pandas takes for it."""
    names = [str(name) for name in table.columns]
    return [dict(zip(names, line, strict=True)) for line in zip(*(table[name].tolist() for name in names), strict=True)]


def _joined(rows: Iterable[BoardRow]) -> list[dict[str, Any]]:
    """A line for each test of each row, with the number of the row's line in the leaderboard's CSV, counting from 1
    below its heading, in the place of what it depends on; of each metric its value, and what is known of its `sd`,
    `low` and `high`.
    """
    joined: dict[tuple[int, str], dict[str, Any]] = {}
    for number, row in enumerate(rows, 1):
        for line in row.tests:
            wide = joined.setdefault((number, line["test"]), {"row": number, "test": line["test"]})
            wide[line["metric"]] = line["value"]
            known = {name: line[name] for name in ("sd", "low", "high")}
            wide.update({f"{line['metric']}_{name}": value for name, value in known.items() if not pd.isna(value)})
    return list(joined.values())


def _id(group: Group) -> str:
    """Name of the row's page: the same whenever the site is built."""
    cell = group.first.cell
    name = re.sub(r"[^A-Za-z0-9-]+", "-", cell.row).strip("-")[:60]
    return f"{name}-{cell.backend}-{hashlib.sha256(group.first.row.encode()).hexdigest()[:8]}"


def _newest_with_older(groups: Sequence[Group]) -> dict[int, list[int]]:
    """The places of those groups that count, each with those that it took the place of, newest first.

    Of a model and a question the group that was made last takes the place of all that other code made, here or
    elsewhere. Of what its own code made the newest of each machine counts, whatever its versions and data.
    """
    newest: dict[tuple[object, ...], int] = {}
    at = sorted(range(len(groups)), key=lambda place: _started(groups[place]))
    for place in at:
        newest[_place(groups[place])] = newest[_on_its_machine(groups[place])] = place

    def counting(place: int) -> int:
        group, last = groups[place], newest[_place(groups[place])]
        by_other_code = group.first.source != groups[last].first.source
        later = last if by_other_code else newest[_on_its_machine(group)]
        return place if _started(groups[later]) <= _started(group) else counting(later)

    found: dict[int, list[int]] = {}
    for place in reversed(at):
        newer = counting(place)
        older = found.setdefault(newer, [])
        if newer != place:
            older.append(place)
    return found


def _started(group: Group) -> str:
    return max(record.started for record in group.records)


def _place(group: Group) -> tuple[object, ...]:
    """Equal for rows of the same model, of the same question. A suite's own data set, which has its name, counts as it
    is now; of anybody else's two may have one name.
    """
    cell = group.first.cell
    question = cell.suite if cell.data == cell.suite else cell.question
    return cell.row, cell.backend, cell.profile, question, digest(cell.settings)


def _on_its_machine(group: Group) -> tuple[object, ...]:
    return *_place(group), machine(group.first.environment)


def _differences(groups: Sequence[Group]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """See `Board`."""
    found = np.full((len(groups), len(groups), 2), np.nan)
    scored: dict[tuple[str, str], dict[int, Row]] = {}
    for place, group in enumerate(groups):
        if group.scored:
            scored.setdefault(group.first.cell.question, {})[place] = group.scored
    for of_question in scored.values():
        some, rows = list(of_question), list(of_question.values())
        # Row i is better by the errors of j less those of i, and `paired_differences` gives the first's less.
        ends = paired_differences([row.squared_errors() for row in rows], rows[0].squared_errors_of_mean())
        found[np.ix_(some, some)] = ends.transpose(1, 0, 2)
    return found[..., 0], found[..., 1]


def _ranks(groups: Sequence[Group], high: NDArray[np.float64]) -> list[int | None]:
    """Among rows of one question and profile, of models that saw all images and no raw labels."""

    def field(place: int) -> tuple[object, ...] | None:
        cell = groups[place].first.cell
        whole = cell.settings.originals is msgspec.UNSET and cell.settings.target_scaling == "standard"
        return (cell.profile, *cell.question) if whole else None

    fields = [field(place) for place in range(len(groups))]
    ranks: list[int | None] = []
    for place, of in enumerate(fields):
        if of is None or np.isnan(high[place, place]):
            ranks.append(None)
            continue
        rivals = [other for other, theirs in enumerate(fields) if theirs == of]
        ranks.append(1 + int(np.sum(high[place, rivals] < 0)))
    return ranks


def _decimals(group: Group, lines: Iterable[Mapping[str, Any]], asked: Mapping[str, int]) -> dict[str, int]:
    """As the suite's metrics have `asked`; of scores with an interval on the test that models are ranked by, as that
    allows.
    """
    first = next(iter(group.examined), "")
    of = {line["metric"]: (line["low"], line["high"]) for line in lines if line["test"] == first}
    return {**asked, **decimals_of(of, group.unit)}


def _badges(group: Group) -> tuple[Badge, ...]:
    first, commits = group.first, {record.environment.commit for record in group.records}
    told = first.framework.get("deterministic", "")
    found = []
    if len(group.good) < len(group.records):
        found.append(Badge("failed", "seeds missing", status(group.records)))
    if first.cell.profile == "smoke":
        found.append(Badge("smoke", "smoke", "its profile shows that everything works, not how good a model is"))
    if first.cell.weights == "random":
        found.append(Badge("random", "random weights", "its backbone started from random weights, not pretrained ones"))
    if group.timed and any(not timing.steady for timing in group.timed.latency.timings):
        found.append(Badge("unsteady", "unsteady latency", "its latency varied too much to be quoted"))
    if again := group.reproduced:
        words = "not reproduced" if again.agrees == "no" else "reproduced"
        found.append(Badge(words.replace(" ", "-"), words, f"every seed was {again.told}"))
    if not by_this_code(group.records, again):
        what = "has changed since" if first.source else "is not known"
        found.append(Badge("stale", "stale code", f"the code that can change its numbers {what}"))
    if any(commit.endswith("+dirty") for commit in commits):
        found.append(Badge("dirty", "dirty commit", "the checkout that ran it had changes that are not in the commit"))
    elif "" in commits:
        found.append(Badge("dirty", "unknown commit", "it was not run from a checkout"))
    if first.cell.has_network and group.good and told != "True":
        words = "not deterministic" if told else "unknown determinism"
        found.append(Badge("determinism", words, "the same numbers are not guaranteed in another run"))
    return tuple(found)
