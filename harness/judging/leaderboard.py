"""Records -> tables. A leaderboard is a pure function of records, the same to the byte whenever it is recomputed.

One row per variant, backend and everything else that must be equal for scores to be comparable: data, split, profile,
settings and what computed them. Records that differ in any of these are never averaged; they get rows of their own.
Tables keep numbers as numbers until they are written.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Container, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from harness import registry
from harness.disk import is_file, write_whole
from harness.errors import BenchError
from harness.judging import by_test, deployments, dictionary
from harness.judging.blocks import Difference
from harness.judging.cells import InUnits, as_csv, lines_of_csv
from harness.judging.columns import Column, Group, Timings, columns, named, over
from harness.judging.outlines import Outline, Shelf
from harness.judging.records import Record
from harness.judging.reproductions import Reproductions, by_this_code
from harness.judging.rivals import Rivals
from harness.judging.searches import top_tens
from harness.judging.standing import comparable, standing
from harness.judging.store import Store
from harness.judging.verify import Tested, refuse, verify_each, verify_together
from harness.model.variants import Search
from harness.provenance import machine


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
    folder, deployed = leaderboard_file(results, suite).parent, deployment_file(results, suite)
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
    store, folder = Store(results, suite), leaderboard_file(results, suite).parent
    tests = list[tuple[tuple[str, ...], str]]()
    shelf = Shelf(store)

    def told_of_tests(group: Group) -> None:
        tests.append((by_test.place(group.records), lines_of_csv([line.values() for line in by_test.lines(group)])))

    board = _of_shelf(shelf, told_of_tests)
    texts = {leaderboard_file(results, suite): as_csv(board.table)}
    heading = lines_of_csv([[meaning.name for meaning in dictionary.OF_TESTS]])
    ordered = sorted(tests, key=itemgetter(0))
    texts[folder / f"{suite}-tests.csv"] = "".join([heading, *(lines for _, lines in ordered)]) if tests else "\n"
    if deployed := store.deployments():
        of_them = {deployment.key for deployment in deployed}
        records = shelf.whole([outline for outline in shelf.outlines if outline.key in of_them])
        texts[deployment_file(results, suite)] = as_csv(deployments.table(records, deployed))
    searches = [
        one for one in standing(shelf.outlines) if one.status == "ok" and isinstance(one.cell.architecture, Search)
    ]
    for variant, best in top_tens(map(shelf.whole, comparable(searches))).items():
        texts[folder / f"{suite}-{variant}-top-ten.csv"] = as_csv(best)
    return board, texts | {folder / "columns.csv": dictionary.written()}


def leaderboard_file(results: Path, suite: str) -> Path:
    """Where the leaderboard of a suite is kept."""
    return results / "leaderboards" / f"{suite}.csv"


def deployment_file(results: Path, suite: str) -> Path:
    """Where the table of its exported models in cheaper runtimes is."""
    return results / "leaderboards" / f"{suite}-deployment.csv"


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
            row[name] = InUnits(value)
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


def of_some_seeds(row: pd.Series[Any]) -> str:
    """Whose parameters and milliseconds a row states where a search selected models of several sizes; else empty."""
    if row["seeds"] == row["size_of_seeds"]:
        return ""
    return f"parameters and ms/image are of seed {row['size_of_seeds']}, other seeds selected models of other sizes"
