"""Read the table beside the images: which column names files, which are targets, which say group and split.

A CSV, or Parquet where pyarrow is installed, with a header. Columns of numbers are targets; where there is none, one of
words is, and the question is which of its classes an image is of. `targets=` says otherwise.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import BenchError, Finding
from harness.text import Label, Name, label, nearest, number
from suites.microstructure.findings import Spot, Unusable, few, gather, of_rows
from suites.microstructure.header import GROUP, ROW_NUMBER, SPLIT, file_columns, is_number, plain, unused
from suites.microstructure.names import Names
from suites.microstructure.table import read_rows
from suites.pictures.images import TABLES

LAYOUT = "needed are a header, a column that names each image's file, and columns of what is to be predicted"
MOST_CLASSES = 50

_GROUP = GROUP | {"specimen id", "group id", "sample", "sample id"}
_UNIT = re.compile(r"\s*(?P<name>.*?)\s*[\[(](?P<unit>[^\])]*)[\])]\s*")


class Table(NamedTuple):
    """What was read: `files` (n,) as the rows name them, `targets` (n, t) with NaN where a cell is unusable, of these
    `names` and `units`; with `classes` they are ones and zeros. `groups` and `parts` are as long, or empty.
    """

    files: tuple[str, ...]
    targets: NDArray[np.float64]
    names: tuple[str, ...]
    units: tuple[str, ...]
    classes: bool
    groups: tuple[str, ...]
    parts: tuple[str, ...]
    findings: list[Finding]


class Asked(NamedTuple):
    """What the user says of the table: names of target columns, a unit for each or one for all, and whether what looks
    like numbers are names of classes.
    """

    targets: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    classes: bool = False


def find_table(folder: Path) -> Path:
    """The one table of a folder. Raises Unusable where there is none, or more."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in TABLES and path.name[0] != ".")
    if len(found) != 1:
        told = f"leave one; there are {len(found)}: {few([path.name for path in found])}" if found else LAYOUT
        raise Unusable(f"no table{' of its own' if found else ''}, {' or '.join(TABLES)}: {told}")
    return found[0]


def read_table(path: Path, images: Names, asked: Asked) -> Table:
    """Read the table of these images. Raises Unusable for what is none, and BenchError for targets that it lacks."""
    rows = _parquet(path) if path.suffix.lower() == ".parquet" else read_rows(path, "images", LAYOUT)
    cells = _columns(rows, path.name)
    roles = _roles(cells, images, asked)
    chosen = _targets(cells, roles, asked)
    numbers = not asked.classes and all(_mostly_numbers(cells[name]) for name in chosen)
    named = {name: cells[name] for name in chosen}
    values, names, spots = _numbers(named) if numbers else _classes(named)
    wrong = [name for name in names if names.count(name) > 1 or not _is(name, Name)]
    if wrong:
        what = "columns" if numbers else "classes"
        raise Unusable(f"{what} {few(wrong)}: name each in its own way, with letters, digits, _ . and - alone")
    others = [name for name in cells if name not in (*roles, *chosen)]
    return Table(
        files=tuple(cells[roles.file]),
        targets=values,
        names=names,
        units=_units(chosen, asked, numbers) or ("",) * len(names),
        classes=not numbers,
        groups=tuple(label(cell) for cell in cells[roles.group]) if roles.group else (),
        parts=tuple(map(_part, cells[roles.part])) if roles.part else (),
        findings=unused(others, path.name) + gather(spots, of_rows(path.name)),
    )


def of_folders(classes: Sequence[str], asked: Asked) -> Table:
    """The table of images whose class is the folder that they are in: `classes` (n,) of these. Raises Unusable for too
    few or too many, and BenchError for targets or units, of which there are none.
    """
    if asked.targets or asked.units:
        raise BenchError("targets=, units=: folders of images and no table, so that each folder's name is a class")
    values, names, _ = _classes({"folder": list(classes)})
    return Table((), values, names, ("",) * len(names), True, (), (), [])


def _columns(rows: list[list[str]], table: str) -> dict[str, list[str]]:
    """The cells of each column by its header. Raises Unusable where these do not fit."""
    head, body = [cell.strip() for cell in rows[0]], rows[1:]
    if not body:
        raise Unusable(f"a header and no rows: {LAYOUT}")
    if twice := [name for name in dict.fromkeys(head) if name and head.count(name) > 1]:
        raise Unusable(f"names a column twice: {few(twice)}")
    spots = [
        Spot(row, f"not {len(head)} cells, as the header has")
        for row, cells in enumerate(body)
        if len(cells) != len(head)
    ]
    if spots:
        raise Unusable("; ".join(f"{finding.where}: {finding.what}" for finding in gather(spots, of_rows(table))))
    columns = {name: [row[column].strip() for row in body] for column, name in enumerate(head)}
    return {name: cells for name, cells in columns.items() if name or any(cells)}


def _is(text: str, kind: object) -> bool:
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return True


def _parquet(path: Path) -> list[list[str]]:
    if importlib.util.find_spec("pyarrow") is None:
        raise Unusable("reading Parquet needs pyarrow: pip install 'cijbench[parquet]', or save it as CSV")
    import pandas  # noqa: PLC0415  a second that nobody waits for who has a CSV

    try:
        frame = pandas.read_parquet(path, engine="pyarrow")
    except Exception as error:  # what a damaged file raises depends on which of its bytes are damaged
        raise Unusable(f"not a Parquet file: {str(error)[:100]}") from None
    frame = frame if frame.index.name is None else frame.reset_index()
    lacking = frame.map(lambda cell: cell is None or (pandas.api.types.is_scalar(cell) and pandas.isna(cell)))
    cells = frame.astype(str).where(~lacking, "")
    return [[str(name) for name in frame.columns], *cells.to_numpy().tolist()]


class _Roles(NamedTuple):
    file: str
    group: str = ""
    part: str = ""


def _roles(cells: dict[str, list[str]], images: Names, asked: Asked) -> _Roles:
    """The columns that are no targets; none of those asked for is. Raises Unusable where none names the files."""
    heads = {name: plain(name) for name in cells if name not in asked.targets}
    part = next((name for name in heads if heads[name] in SPLIT), "")
    group = next((name for name in heads if heads[name] in _GROUP), "")
    others = {name: cells[name] for name in heads if name not in (part, group)}
    names = list(others)
    found = file_columns([heads[name] for name in names], dict(enumerate(others.values())), images)
    if not found:
        raise Unusable(f"no column names the files of the images: {LAYOUT}")
    if len(found) > 1:
        raise Unusable(f"columns {few([names[column] for column in found])} name different files in a row: leave one")
    return _Roles(names[found[0]], group, part)


def _targets(cells: dict[str, list[str]], roles: _Roles, asked: Asked) -> tuple[str, ...]:
    """The columns that are to be predicted. Raises BenchError for one that is not there, Unusable for want of any."""
    if asked.targets:
        for name in asked.targets:
            if name not in cells:
                raise BenchError(f"targets={name}: the table has no such column{nearest(name, cells)}")
        return asked.targets
    left = [name for name in cells if name not in roles]
    numbers = [
        name
        for name in left
        if plain(name) not in ROW_NUMBER and any(map(is_number, cells[name])) and _mostly_numbers(cells[name])
    ]
    if numbers:
        return tuple(numbers)
    words = [name for name in left if 1 < len(set(cells[name])) <= MOST_CLASSES]
    if len(words) == 1:
        return tuple(words)
    told = f"; which of {few(words)}? Say targets=" if words else ""
    raise Unusable(f"no column of numbers, and {'several' if words else 'none'} of classes, to predict{told}")


def _mostly_numbers(column: Sequence[str]) -> bool:
    """A few that are none are mistakes to be told, not another kind of column."""
    return 2 * sum(map(is_number, column)) > len(column)


Values = tuple[NDArray[np.float64], tuple[str, ...], list[Spot]]
"""(n, t) numbers, NaN where a cell is unusable, the names of the t, and what is wrong with cells."""

_MEND = "fill it in, or take the row and its image out"


def _numbers(columns: dict[str, list[str]]) -> Values:
    spots: list[Spot] = []

    def value(row: int, name: str, cell: str) -> float:
        with contextlib.suppress(ValueError):
            if np.isfinite(found := number(cell)):
                return found
        what = f"{name[:40]} is no finite number" if cell else f"{name[:40]} is empty"
        spots.append(Spot(row, what, _MEND, f"'{cell[:20]}'" * bool(cell)))
        return np.nan

    values = [[value(row, name, cell) for row, cell in enumerate(cells)] for name, cells in columns.items()]
    return np.array(values).T, tuple(map(_bare, columns)), spots


def _classes(columns: dict[str, list[str]]) -> Values:
    """Ones and zeros, in a column for each class. Raises Unusable where there are more columns, or too many classes."""
    if len(columns) > 1:
        raise Unusable(f"targets {few(list(columns))} are not all numbers, and classes are of one column: say targets=")
    ((name, cells),) = columns.items()
    told = [re.sub(r"[^A-Za-z0-9_.-]+", "_", cell).lstrip(".-") or "_" * bool(cell) for cell in cells]
    names = tuple(sorted(set(told) - {""}))
    if not 2 <= len(names) <= MOST_CLASSES:
        raise Unusable(f"column '{name[:40]}' has {len(names)} classes: 2 to {MOST_CLASSES} can be told apart")
    if len(set(filter(None, cells))) > len(names):
        raise Unusable(f"column '{name[:40]}': classes that differ in blanks or signs alone cannot be told apart")
    values = np.array([[float(cell == one) if cell else np.nan for one in names] for cell in told])
    return values, names, [Spot(row, f"{name[:40]} is empty", _MEND) for row, cell in enumerate(told) if not cell]


TRAIN, VALIDATION = "train", "validation"
_PARTS = {"training": TRAIN, "val": VALIDATION, "valid": VALIDATION, "dev": VALIDATION, "testing": "test"}


def _part(cell: str) -> str:
    """A side of the split, by one name, as a test may be called."""
    part = re.sub(r"[^a-z0-9_.]+", "-", cell.casefold()).strip("-.")
    return _PARTS.get(part, part)


def _bare(name: str) -> str:
    """A column's name without its unit, as the head of a column of ours."""
    match = _UNIT.fullmatch(name)
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", match["name"] if match else name).strip("_") or name


def _units(targets: Sequence[str], asked: Asked, numbers: bool) -> tuple[str, ...]:
    """The unit of each target: what was asked for, else what its header has in brackets; none of classes. Raises
    BenchError.
    """
    if not numbers:
        if asked.units:
            raise BenchError(f"units={','.join(asked.units)}: classes have none")
        return ()
    told = asked.units * (len(targets) if len(asked.units) == 1 else 1)
    if told and len(told) != len(targets):
        raise BenchError(f"units={','.join(asked.units)}: give one unit, or one for each of {', '.join(targets)}")
    if wrong := [unit for unit in told if not _is(unit, Label)]:
        raise BenchError(f"units={','.join(wrong)}: must be text without markup")
    matches = [_UNIT.fullmatch(name) for name in targets]
    return told or tuple(label(match["unit"]).replace(",", " ") if match else "" for match in matches)
