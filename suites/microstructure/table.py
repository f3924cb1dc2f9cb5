"""Read the CSV of elastic constants: the report's ten headerless columns, or columns that a header names."""

from __future__ import annotations

import csv
import io
import itertools
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import Finding
from harness.text import label, number
from suites.microstructure.findings import Spot, Unusable, gather, of_rows, runs
from suites.microstructure.header import HEADERLESS, LAYOUT, Columns, is_number, read_columns, unused
from suites.microstructure.homogenization import TARGETS
from suites.microstructure.names import Names

MOST_ROWS = 100_000
_LARGEST = 2**26  # bytes
_ABSURD = 1e-30, 1e20  # no unit makes a stiffness of less or more
_DECIMAL_POINTS = "decimal commas, perhaps: write points as decimal marks"


class Table(NamedTuple):
    """What was read: `values` (n, 9) with NaN where a cell is unusable, `units` named in the header, and findings.

    `files` are the cells that name each row's image, `groups` and `families` those that name these: None without such
    a column, and for a row that lacks it.
    """

    values: NDArray[np.float64]
    units: frozenset[str]
    findings: list[Finding]
    files: tuple[str | None, ...] | None = None
    groups: tuple[str | None, ...] | None = None
    families: tuple[str | None, ...] | None = None


def read_table(path: Path, images: Names) -> Table:
    """Read the constants, in the unit they are written in. Never raises for what a file holds: it is in `findings`.

    `images` are the files that a column of it may name.
    """
    try:
        rows = read_rows(path)
        columns, not_used, wrong = read_columns(rows, images)
    except Unusable as problem:
        return Table(np.empty((0, len(TARGETS))), frozenset(), [Finding("error", path.name, str(problem))])
    body, width = (rows[1:], len(rows[0])) if columns.headed else (rows, 1 + len(TARGETS))
    values, spots = _values(body, width, columns)
    findings = [Finding("error", path.name, text) for text in wrong]
    if not body:
        findings.append(Finding("error", path.name, "a header and no rows: " + LAYOUT))
    files, groups, families = (_texts(body, width, of) for of in (columns.file, columns.group, columns.family))
    spots += [
        Spot(index, f"the name of its {what} holds markup or is too long", "take it out", f"'{label(str(cell)[:20])}'")
        for what, cells in (("group", groups), ("family", families))
        for index, cell in enumerate(cells or ())
        if cell and label(cell) != cell
    ]
    findings += gather(spots, of_rows(path.name)) + unused(not_used, path.name)
    if files is None and columns.number is not None and all(len(row) == width for row in body):
        findings += _check_numbers([row[columns.number] for row in body], path.name, columns == HEADERLESS)
    return Table(values, columns.units, findings, files, groups, families)


def _values(body: Sequence[Sequence[str]], width: int, columns: Columns) -> tuple[NDArray[np.float64], list[Spot]]:
    values = np.full((len(body), len(TARGETS)), np.nan)
    spots: list[Spot] = []
    for index, row in enumerate(body):
        if len(row) != width:
            remedy = _DECIMAL_POINTS if len(row) == 2 * width - 1 else LAYOUT
            spots.append(Spot(index, f"{len(row)} columns instead of {width}", remedy))
            continue
        for target, column in enumerate(columns.targets):
            values[index, target] = read_value(row[column], index, TARGETS[target], spots)
    return values, spots


def _texts(body: Sequence[Sequence[str]], width: int, column: int | None) -> tuple[str | None, ...] | None:
    """The cells of a column, None where a row lacks it."""
    return None if column is None else tuple(row[column].strip() if len(row) == width else None for row in body)


def read_rows(path: Path) -> list[list[str]]:
    """Rows of cells, without blank ones at the end. Raises Unusable for what is no table separated by commas."""
    try:
        if not path.is_file():
            raise Unusable("not a file")
        if path.stat().st_size > _LARGEST:
            raise Unusable(f"larger than {_LARGEST // 2**20} MiB: this is no table of elastic constants")
        text = path.read_bytes().decode().lstrip("\ufeff")  # byte order marks: joining files leaves several
        rows = list(itertools.islice(csv.reader(io.StringIO(text, newline=""), strict=True), MOST_ROWS + 1))
    except OSError as error:
        raise Unusable(f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise Unusable("not UTF-8 text: save it as CSV (UTF-8)") from None
    except csv.Error as error:
        raise Unusable(f"not a CSV: {error}") from None
    if len(rows) > MOST_ROWS:
        raise Unusable(f"more than {MOST_ROWS} rows: this is no table of elastic constants")
    while rows and not any(map(str.strip, rows[-1])):
        rows.pop()
    if not rows:
        raise Unusable("empty: " + LAYOUT)
    if ";" in "".join(rows[0]) or (len(rows[0]) == 1 and "\t" in rows[0][0]):
        raise Unusable("cells are separated by semicolons or tabs: save it with commas, and points as decimal marks")
    return rows


def read_value(cell: str, index: int, target: str, spots: list[Spot]) -> float:
    """The number in a cell of row `index`; NaN, and one of `spots` more, where it is none or an absurd one."""
    try:
        value = number(cell)
    except ValueError:
        shown = cell.strip()[:20]
        what = f"{target} is not a number" if shown else f"{target} is empty"
        remedy = _invisible(cell) or _DECIMAL_POINTS * ("," in shown)
        spots.append(Spot(index, what, remedy, f"'{shown}'" if shown else ""))
        return np.nan
    if value and not _ABSURD[0] < abs(value) < _ABSURD[1]:
        absurd = "larger or smaller than any unit makes a stiffness" if np.isfinite(value) else str(value)
        spots.append(Spot(index, f"{target} is {absurd}", detail=cell.strip()[:20] * bool(np.isfinite(value))))
        return np.nan
    return value


def _invisible(cell: str) -> str:
    """The remedy for a cell that only a character that nobody sees keeps from being a number."""
    strange = [c for c in cell if not c.isprintable() and c not in "\t\r\n"]
    if not strange or not is_number("".join(c for c in cell if c not in strange)):
        return ""
    code, name = f"U+{ord(strange[0]):04X}", unicodedata.name(strange[0], "a control character")
    return f"it holds an invisible character, {code} ({name.lower()}): take it out"


def _check_numbers(numbers: Sequence[str], name: str, headerless: bool) -> list[Finding]:
    """Row numbers must count from 1, for it is their order that pairs rows with images."""
    wrong = [index for index, cell in enumerate(numbers) if not is_number(cell) or number(cell) != index + 1]
    if not wrong:
        return []
    text = "row numbers must count 1, 2, 3, ..., for they pair rows with images"
    text += "; to pair them by name, write a header: " + ",".join(["file", *TARGETS]) if headerless else ""
    first = f"row {wrong[0] + 1} has '{numbers[wrong[0]].strip()[:20]}'"
    return [Finding("error", name, f"{text}; {len(wrong)} rows: {runs(index + 1 for index in wrong)} ({first})")]
