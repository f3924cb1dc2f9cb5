"""Records -> tables. A leaderboard is a pure function of records, the same to the byte whenever it is recomputed.

One row per variant, backend and everything else that must be equal for scores to be comparable: data, split, profile,
settings and what computed them. Records that differ in any of these are never averaged; they get rows of their own.
Tables keep numbers as numbers until they are written.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from harness import registry
from harness.disk import is_file, write_whole
from harness.errors import BenchError
from harness.judging import dictionary
from harness.judging.blocks import Difference, Rivals
from harness.judging.columns import (
    IN_UNITS,
    ORIGIN,
    Column,
    Group,
    Timings,
    calibrated,
    columns,
    digest,
    mean,
    named,
    over,
)
from harness.judging.deployments import table as deployment_table
from harness.judging.metrics import Accuracy
from harness.judging.outlines import Outline, Shelf
from harness.judging.records import Cell, Examined, Record
from harness.judging.reproductions import Reproductions, by_this_code
from harness.judging.searches import top_tens_of
from harness.judging.standing import comparable, standing
from harness.judging.stats import score_intervals, spread
from harness.judging.store import Store
from harness.judging.verify import Tested, refuse, verify_each, verify_together
from harness.model.variants import Search
from harness.provenance import machine
from harness.text import harmless


class Board(NamedTuple):
    """The leaderboard of a suite: its lines, in no order, what records each is of, and the shelf that has them."""

    lines: list[dict[str, object]]
    of: list[list[Outline]]
    shelf: Shelf

    @property
    def table(self) -> pd.DataFrame:
        """All of them, best first, with None where there is nothing."""
        return _best_first(self.lines)

    def only(self, rows: Container[str]) -> pd.DataFrame:
        """The same of some rows, with the columns that they have."""
        return _best_first([line for line, of in zip(self.lines, self.of, strict=True) if of[0].row in rows])


def write(results: Path, suite: str) -> Board:
    """Compute the tables of `suite` from its records and write them below `results/leaderboards`.

    Returns the leaderboard, as `compute` does; its file is `leaderboard_file`, `<suite>.csv`. Beside it are
    `<suite>-tests.csv`, every score on every named test, `<suite>-<variant>-top-ten.csv` for a search,
    `<suite>-deployment.csv` where `bench deploy` was run, and `columns.csv`, which says what every column is.
    """
    board, texts = _tables(results, suite)
    for path, text in texts.items():
        write_whole(path, text)
    return board


def differs(results: Path, suite: str) -> str:
    """Why the tables on disk do not follow from the records; empty where they do."""
    texts = _tables(results, suite)[1]
    if why := next(filter(None, (_difference(path, text) for path, text in texts.items())), ""):
        return why
    left = [path for path in _tables_of_some_records(results, suite) if path not in texts]
    return f"{left[0]} follows from no records that are there: take it away" if left else ""


def _tables_of_some_records(results: Path, suite: str) -> list[Path]:
    """The files of those tables of a suite that are there where it has such records."""
    folder, deployed = results / "leaderboards", results / "leaderboards" / f"{suite}-deployment.csv"
    longer = tuple(f"{name}-" for name in registry.names("suites") if name.startswith(f"{suite}-"))
    found = [path for path in folder.glob(f"{suite}-*-top-ten.csv") if not path.name.startswith(longer)]
    return sorted([*found, *([deployed] if deployed.is_file() else [])])


def _difference(path: Path, text: str) -> str:
    if not is_file(path):
        return f"{path} does not exist: `bench leaderboard` writes it"
    if path.read_bytes() == text.encode():
        return ""
    expected = text.splitlines()
    found = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, (ours, theirs) in enumerate(zip(expected, found, strict=False), 1):
        if ours != theirs:
            return f"{path}:{number} does not follow from the records{_other_cells(expected[0], ours, theirs)}"
    if len(expected) != len(found):
        return f"{path} has {len(found)} lines, the records give {len(expected)}"
    return f"{path} has other line ends or characters than the records give"


def _other_cells(head: str, ours: str, theirs: str) -> str:
    """What differs of two lines of a table: which columns, where the lines have the same."""
    names, records, file = next(csv.reader([head])), next(csv.reader([ours])), next(csv.reader([theirs]), [])
    if not len(names) == len(records) == len(file):
        return f"\n  records: {ours}\n  file:    {theirs}"
    cells = zip(names, records, file, strict=True)
    told = [
        f"\n  {name}: {one or 'nothing'} by the records, {other or 'nothing'} in the file"
        for name, one, other in cells
        if one != other
    ]
    if (more := len(told) - _SHOWN_OF_A_LINE) > 0:
        told[_SHOWN_OF_A_LINE:] = [f"\n  and {more} columns more"]
    return f" ({', '.join(records[:2])})" + "".join(told)


_SHOWN_OF_A_LINE = 5


def _tables(results: Path, suite: str) -> tuple[Board, dict[Path, str]]:
    """The leaderboard of a suite, and every table that follows from its records as the CSV that it is written to."""
    store, folder, tests = Store(results, suite), results / "leaderboards", list[tuple[tuple[str, ...], str]]()
    shelf = Shelf(store)

    def told_of_tests(group: Group) -> None:
        tests.append((_place(group.records), _lines_of_csv([line.values() for line in _lines_of_tests(group)])))

    board = _of_shelf(shelf, told_of_tests)
    texts = {leaderboard_file(results, suite): as_csv(board.table)}
    heading = _lines_of_csv([[meaning.name for meaning in dictionary.OF_TESTS]])
    ordered = sorted(tests, key=itemgetter(0))
    texts[folder / f"{suite}-tests.csv"] = "".join([heading, *(lines for _, lines in ordered)]) if tests else "\n"
    if deployments := store.deployments():
        deployed = {deployment.key for deployment in deployments}
        records = shelf.whole([outline for outline in shelf.outlines if outline.key in deployed])
        texts[folder / f"{suite}-deployment.csv"] = as_csv(deployment_table(records, deployments))
    searches = [
        one for one in standing(shelf.outlines) if one.status == "ok" and isinstance(one.cell.architecture, Search)
    ]
    for variant, best in top_tens_of(map(shelf.whole, comparable(searches))).items():
        texts[folder / f"{suite}-{variant}-top-ten.csv"] = as_csv(best)
    return board, texts | {folder / "columns.csv": dictionary.written()}


def as_csv(table: pd.DataFrame) -> str:
    """A table as it is written."""
    return str(table.map(text).to_csv(index=False, lineterminator="\n"))


def _lines_of_csv(lines: Iterable[Iterable[object]]) -> str:
    """What `as_csv` makes of such lines, at a tenth of the time that pandas takes for a few."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(map(text, line) for line in lines)
    return written.getvalue()


def leaderboard_file(results: Path, suite: str) -> Path:
    """Where the leaderboard of a suite is kept."""
    return results / "leaderboards" / f"{suite}.csv"


def compute(results: Path, suite: str) -> Board:
    """The leaderboard of the records of a suite. Raises BenchError where one contradicts itself."""
    return _of_shelf(Shelf(Store(results, suite)), lambda _: None)


def refuse_unbelievable(shelf: Shelf) -> None:
    """Raise BenchError where a record contradicts itself or another, or names a figure as a column is called, without
    a table's being made.
    """
    tested, lies = Tested(), list[str]()
    for outlines in comparable(shelf.outlines):
        records = shelf.whole(outlines)
        found = _lies(records, tested)
        if not found:
            _named_columns(Group(records, {}))
        lies += found
    refuse(shelf.store.trainings_file, lies)


def _of_shelf(shelf: Shelf, tell: Callable[[Group], None]) -> Board:
    """The leaderboard of all records of a shelf, of which those of one row at a time are in memory; `tell` is told of
    each row while they are. Raises BenchError where a record contradicts itself.
    """
    store = shelf.store
    every: dict[str, list[Outline]] = {}  # those that others stand in for must be believed, too
    for outline in shelf.outlines:
        every.setdefault(outline.row, []).append(outline)
    found, timings, tested, lies = comparable(standing(shelf.outlines)), _timings(store), Tested(), list[str]()

    def believed_rival(outlines: Sequence[Outline]) -> list[Record]:
        records = shelf.whole(outlines)
        refuse(store.trainings_file, _lies(records, {}))
        return records

    rivals, reproductions = Rivals(found, believed_rival), Reproductions(store.results, store.suite)
    rows, held = list[dict[str, object]](), dict[int, tuple[str, Difference]]()
    for number, outlines in enumerate(found):
        records = shelf.whole(every.pop(outlines[0].row))
        if more := _lies(records, tested):
            lies += more
            continue
        (row,) = comparable(standing(records))
        rivals.compare(number, row)
        group = Group(row, timings, rivals.of(row[0]), reproduced=reproductions.of(row))
        if (rival := group.rival) and (by := group.over_rival) and group.verdict == over(rival.name, by):
            held[number] = rival.name, by
        rows.append(_row(group))
        tell(group)
    for made_again in every.values():
        lies += _lies(shelf.whole(made_again), tested)
    refuse(store.trainings_file, lies)
    for number, p_value in rivals.p_values().items():
        rows[number]["over_rival_p_holm"] = p_value
        if number in held:
            name, by = held[number]
            rows[number]["verdict"] = over(name, by._replace(p_value=p_value))
    return Board(rows, found, shelf)


def _timings(store: Store) -> Timings:
    return {(item.key, item.sha256, machine(item.environment)): item for item in store.latencies()}


def of_block(results: Path, suite: str, records: Sequence[Record]) -> pd.DataFrame:
    """The leaderboard of some records of a suite alone, all of them `believed`; see `compute`."""
    return of_groups(groups(results, suite, records))


def groups(results: Path, suite: str, records: Sequence[Record]) -> list[Group]:
    """What each row of the leaderboard of some `believed` records is made of, with their timings and rivals."""
    timings, found = _timings(Store(results, suite)), comparable(records)
    rivals, again = Rivals(found, tuple), Reproductions(results, suite)
    for number, group in enumerate(found):
        rivals.compare(number, group)
    p_values = rivals.p_values()
    return [
        Group(group, timings, rivals.of(group[0]), p_values.get(number), again.of(group))
        for number, group in enumerate(found)
    ]


def of_groups(of: Sequence[Group]) -> pd.DataFrame:
    """The leaderboard of these rows, best first; its index says which of them a line is of."""
    return _best_first([_row(group) for group in of])


def _best_first(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame()
    # As objects: pandas would make floats of whole numbers where one is lacking.
    table = pd.DataFrame(rows, dtype=object)
    table = table.where(table.notna(), None)
    order = ["data", "profile", "skill", "variant", "backend", "computed_by", "settings"]
    return table.sort_values(order, ascending=[name != "skill" for name in order], na_position="last", kind="stable")


def _row(group: Group) -> dict[str, object]:
    row: dict[str, object] = {}
    for name, column in _named_columns(group).items():
        value = column.of(group)
        row[name] = None if isinstance(value, float) and np.isnan(value) else value
        if isinstance(value, float) and "{unit}" in column.name:
            row[name] = _InUnits(value)
    return row


def _named_columns(group: Group) -> dict[str, Column]:
    """The columns of a row by their names in the table. Raises BenchError where two have one."""
    found: dict[str, Column] = {}
    for column in columns(group):
        name = named(column.name, group.unit)
        if name in found:  # targets and a suite's own figures have names of their own
            raise BenchError(f"a record names something {name!r}, which is another column of the leaderboard")
        found[name] = column
    return found


class _InUnits(float):
    """A number in the unit of the targets, which may be as small as they are: no rounding of something else."""


def of_tests(records: Sequence[Record]) -> pd.DataFrame:
    """One line for each row of the leaderboard, named test and figure: mean over seeds, their spread, and of scores the
    95 % interval. The suite's own figures have none: what they are made of is the suite's business.
    """
    groups = [Group(found, {}) for found in sorted(comparable(records), key=_place)]
    lines = [line for group in groups for line in _lines_of_tests(group)]
    return pd.DataFrame(lines, dtype=object)


def _lines_of_tests(group: Group) -> list[dict[str, object]]:
    lines, cell = [], group.first.cell
    origin = {column.name: column.of(group) for column in ORIGIN if column.name in _TOLD_OF_TESTS}
    for name, examined in group.examined.items():
        figures = {score: [getattr(one.accuracy, score) for one in examined] for score in _SCORES if group.has(score)}
        figures |= {f"r2_{target}": [one.accuracy.r2[target] for one in examined] for target in examined[0].accuracy.r2}
        own = [name for name in examined[0].metrics if name not in figures]  # nor may one have a score's interval
        figures |= {name: [one.metrics.get(name) for one in examined] for name in own}
        figures |= calibrated(group.good, name)
        intervals = _intervals(examined)
        for figure, values in figures.items():
            low, high = intervals.get(figure, (None, None))
            lines.append(
                {"variant": cell.row, "backend": cell.backend, "test": name, "metric": figure}
                | _in_units(figure, {"value": mean(values), "sd": spread(values), "low": low, "high": high})
                | {"unit": _unit_of(figure, group.unit, cell.suite), "seeds": group.seeds}
                | origin
            )
    return lines


def _in_units(figure: str, numbers: dict[str, float | None]) -> dict[str, float | None]:
    """The same numbers, told as such where they are in the unit of the targets."""
    if figure not in IN_UNITS:
        return numbers
    return {name: None if number is None else _InUnits(number) for name, number in numbers.items()}


def _place(group: Sequence[Record]) -> tuple[str, ...]:
    """Where rows stand that are not ranked, whatever the order of their records."""
    cell = group[0].cell
    return cell.data_hash, cell.profile, cell.row, cell.backend, group[0].computed_by, cell.key


def _intervals(examined: Sequence[Examined]) -> dict[str, tuple[float, float]]:
    first = examined[0].held_out
    predictions, weights = [one.held_out.predicted for one in examined], first.target_weights()
    found = score_intervals(predictions, first.true, first.train_mean, clusters=first.clusters, weights=weights)
    return {
        f"r2_{first.targets[int(name[3:])]}" if name[3:].isdecimal() else name: ends for name, ends in found.items()
    }


_SCORES = tuple(name for name in Accuracy.__struct_fields__ if name != "r2")
_TOLD_OF_TESTS = ("profile", "data", "settings", "definition", "computed_by")


def _unit_of(figure: str, unit: str, suite: str) -> str:
    """The unit of a score of targets in `unit`, or of a figure of the suite's own."""
    squared = f"{unit}²" if unit else ""
    of_scores = {"rmse": unit, "mae": unit, "mse": squared, "mse_of_mean": squared, "mape": "%"}
    of_own = {metric.key: metric.unit for metric in registry.suite(suite).METRICS}
    return of_scores.get(figure, of_own.get(figure, ""))


def believed(results: Path, suite: str) -> list[Record]:
    """Every training record, those that others stand in for too.

    Raises BenchError where one contradicts itself or another.
    """
    store = Store(results, suite)
    records = store.trainings()
    refuse(store.trainings_file, _lies(records, {}))
    return records


def _lies(records: Sequence[Record], tested: Tested) -> list[str]:
    return verify_each(records) + verify_together(records, tested)


def lagging(shelf: Shelf) -> list[str]:
    """Notes on rows that other code than today's computed: how many, and by which commits. Those that today's code made
    again, to the bit, are counted by themselves. Empty where today's code computed all.
    """
    again = Reproductions(shelf.store.results, shelf.store.suite)
    groups = comparable(standing(shelf.outlines))
    counts: Counter[str] = Counter()
    for group in groups:
        if by_this_code(group):
            continue
        if (made_again := again.of(shelf.whole(group))) and made_again.current:
            counts["made by other code, and made again by this code to the bit"] += 1
            continue
        commits = sorted({one.environment.short_commit for one in group})
        what = "other code, which can change their numbers" if group[0].source else "code that is not known to be this"
        counts[f"made by {what}: commit {' and '.join(commits)}"] += 1
    return [f"{count} of {len(groups)} rows were {told}" for told, count in counts.items()]


def text(value: object) -> str:
    """Six significant digits for a float, and no more than nine decimals where it has no unit of the targets: enough to
    rank by, and stable to recompute.
    """
    if isinstance(value, float):
        rounded = value if isinstance(value, _InUnits) else round(value, 9)
        return "" if math.isnan(value) else f"{rounded + 0.0:.6g}"
    return "" if value is None else _harmless(str(value))


_harmless = lru_cache(maxsize=4096)(harmless)  # the same few words stand in a million cells


# --- on a terminal ------------------------------------------------------------------------------------------------

# Heading and format; a suite's own figures come after these, where they have a heading.
_SHOWN = {
    "variant": ("variant", ""),
    "backend": ("backend", ""),
    "skill": ("skill", ".3f"),
    "skill_low": ("95 % from", ".3f"),
    "skill_high": ("to", ".3f"),
    "r2": ("R²", ".3f"),
    "r2_sd": ("± seeds", ".3f"),
    "nmae_percent": ("NMAE %", ".2f"),
    "rmse_{unit}": ("RMSE {unit}", ".2f"),
}
_SMALL = 0.1  # errors below are told by their digits, not by decimals
_LAST = {
    "parameters": ("parameters", ",.0f"),
    "train_seconds": ("train s", ".1f"),
    "p50_ms_b1": ("ms/image", ".3f"),
    "switches": ("switches", ""),
    "verdict": ("verdict", ""),
}


def terminal_table(table: pd.DataFrame, suite: str, cells: Sequence[Cell], unit: str) -> str:
    """The rows of a suite's leaderboard of data, split, profile and settings like those of cells, with the columns that
    fit a terminal and say something.
    """
    alike = {
        "data_hash": {cell.data_hash[:12] for cell in cells},
        "split_hash": {cell.split_hash[:12] for cell in cells},
        "profile": {cell.profile for cell in cells},
        "settings": {digest(cell.settings) for cell in cells},
    }
    for column, asked in alike.items():
        table = table[table[column].isin(asked)]
    # Why a cell has no result was told when it ended.
    table["verdict"] = table["verdict"].where(table["status"] == "ok", table["status"].str.split(":").str[0])
    shown = {}
    own = {metric.key: (metric.heading, metric.form) for metric in registry.suite(suite).METRICS if metric.heading}
    for name, (heading, form) in {**_SHOWN, **own, **_LAST}.items():
        values = table.get(named(name, unit))
        if values is not None and any(value not in (None, "") for value in values):
            small = "{unit}" in name and max(filter(None, values), default=1.0) < _SMALL
            shown[named(heading, unit).strip()] = _in_form(values, ".3g" if small else form)
    lines = str(pd.DataFrame(shown).to_string(index=False))
    for _, row in table.iterrows():
        if told := of_some_seeds(row):
            lines += f"\n{row['variant']} on {row['backend']}: {told}"
    return lines


_OF_DEPLOYMENTS = {
    "variant": ("variant", ""),
    "backend": ("backend", ""),
    "runtime": ("runtime", ""),
    "file_kB": ("kB", ".0f"),
    "skill": ("skill", ".3f"),
    "p50_ms_b1": ("ms/image", ".3f"),
    "faster_b1": ("faster", ".2f"),
    "faster_b32": ("by 32", ".2f"),
}


def terminal_table_of_deployments(results: Path, suite: str) -> str:
    """Every model in every runtime, with the columns that fit a terminal."""
    table = deployment_table(believed(results, suite), Store(results, suite).deployments())
    shown = {heading: _in_form(table[name], form, "–") for name, (heading, form) in _OF_DEPLOYMENTS.items()}
    return str(pd.DataFrame(shown).to_string(index=False))


def _in_form(values: Iterable[Any], form: str, absent: str = "") -> list[str]:
    """As a terminal shows them, never a negative zero."""
    told = [absent if value is None else format(value, form) for value in values]
    return [text.removeprefix("-") if form and not re.search("[1-9]", text) else text for text in told]


def of_some_seeds(row: pd.Series[Any]) -> str:
    """Whose parameters and milliseconds a row states where a search selected models of several sizes; else empty."""
    if row["seeds"] == row["size_of_seeds"]:
        return ""
    return f"parameters and ms/image are of seed {row['size_of_seeds']}, other seeds selected models of other sizes"
