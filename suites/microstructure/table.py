"""Read the CSV of elastic constants: the report's ten headerless columns, or columns that a header names."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import Finding
from harness.text import number
from suites.microstructure.findings import Spot, Unusable, gather, runs
from suites.microstructure.homogenization import TARGETS

MOST_ROWS = 100_000
_LARGEST = 2**26  # bytes
_ABSURD = 1e20  # no unit makes a stiffness of it
_NAME = re.compile(r"\s*(C[1-6]{2})\s*(?:[\[(](?P<unit>[^\])]*)[\])])?\s*", re.IGNORECASE)
_ROW_NUMBER = {"", "#", "id", "index", "no", "nr", "number", "row", "row number", "unnamed: 0"}
_LAYOUT = "needed are a row number and " + " ".join(TARGETS) + ", separated by commas"
_DECIMAL_POINTS = "decimal commas, perhaps: write points as decimal marks"


class Table:
    """What was read: `values` (n, 9) with NaN where a cell is unusable, `units` named in the header, and findings."""

    def __init__(self, values: NDArray[np.float64], units: frozenset[str], findings: list[Finding]) -> None:
        self.values, self.units, self.findings = values, units, findings


def read_table(path: Path) -> Table:
    """Read the constants, in the unit they are written in. Never raises for what a file holds: it is in `findings`."""
    try:
        rows = _rows(path)
        columns, number_column, units = _columns(rows[0])
    except Unusable as problem:
        return Table(np.empty((0, len(TARGETS))), frozenset(), [Finding("error", path.name, str(problem))])
    headed = units is not None
    body, width = (rows[1:], len(rows[0])) if headed else (rows, 1 + len(TARGETS))
    values = np.full((len(body), len(TARGETS)), np.nan)
    spots: list[Spot] = []
    numbers: list[str] = []
    for index, row in enumerate(body):
        if len(row) != width:
            remedy = _DECIMAL_POINTS if len(row) == 2 * width - 1 else _LAYOUT
            spots.append(Spot(index, f"{len(row)} columns instead of {width}", remedy))
            continue
        numbers.append(row[number_column] if number_column is not None else str(index + 1))
        for target, column in enumerate(columns):
            values[index, target] = _value(row[column], index, TARGETS[target], spots)
    findings = gather(spots, lambda places: f"{path.name}, rows {runs(place + 1 for place in places)}")
    if not body:
        findings.append(Finding("error", path.name, "a header and no rows: " + _LAYOUT))
    if len(numbers) == len(body):
        findings += _check_numbers(numbers, path.name)
    return Table(values, frozenset(units or ()), findings)


def _rows(path: Path) -> list[list[str]]:
    """Rows of cells, without blank ones at the end. Raises Unusable for what is no table separated by commas."""
    try:
        if not path.is_file():
            raise Unusable("not a file")
        if path.stat().st_size > _LARGEST:
            raise Unusable(f"larger than {_LARGEST // 2**20} MiB: this is no table of elastic constants")
        text = path.read_bytes().decode("utf-8-sig")
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
        raise Unusable("empty: " + _LAYOUT)
    if ";" in "".join(rows[0]) or (len(rows[0]) == 1 and "\t" in rows[0][0]):
        raise Unusable("cells are separated by semicolons or tabs: save it with commas, and points as decimal marks")
    return rows


def _columns(first: list[str]) -> tuple[list[int], int | None, set[str] | None]:
    """Where each target is, where the row number is, and the units named; None where the first row is no header."""
    names = [_NAME.fullmatch(cell) for cell in first]
    if not any(names):
        return list(range(1, 1 + len(TARGETS))), 0, None
    found = {name[1].upper(): column for column, name in enumerate(names) if name}
    if twice := [name for name, count in Counter(n[1].upper() for n in names if n).items() if count > 1]:
        raise Unusable(f"the header names {', '.join(twice)} twice")
    if lacking := [target for target in TARGETS if target not in found]:
        raise Unusable(f"the header does not name {', '.join(lacking)}: " + _LAYOUT)
    number = [column for column, cell in enumerate(first) if cell.strip().casefold() in _ROW_NUMBER]
    units = {name["unit"].strip() for name in names if name and name["unit"]}
    return [found[target] for target in TARGETS], number[0] if number else None, units


def _value(cell: str, index: int, target: str, spots: list[Spot]) -> float:
    try:
        value = number(cell)
    except ValueError:
        shown = cell.strip()[:20]
        what = f"{target} is not a number" if shown else f"{target} is empty"
        spots.append(Spot(index, what, _DECIMAL_POINTS * ("," in shown), f"'{shown}'" if shown else ""))
        return np.nan
    if not abs(value) < _ABSURD:
        spots.append(Spot(index, f"{target} is {value}"))
        return np.nan
    return value


def _check_numbers(numbers: list[str], name: str) -> list[Finding]:
    """Row numbers must count from 1, for it is their order that pairs rows with images."""
    wrong = [index for index, cell in enumerate(numbers) if not _is_number(cell) or number(cell) != index + 1]
    if not wrong:
        return []
    first = wrong[0]
    text = f"row numbers must count 1, 2, 3, ...; row {first + 1} has '{numbers[first].strip()[:20]}'"
    return [Finding("error", f"{name}, rows {runs(index + 1 for index in wrong)}", text)]


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(number(cell)))
    except ValueError:
        return False
