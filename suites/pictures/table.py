"""Read the table beside the images: which column names files, which are targets, which say group and split.

A CSV, or Parquet where pyarrow is installed, with a header (`cells.py`). Columns of numbers are targets; where there is
none, one of words is, and the question is which of its classes an image is of. `targets=` says otherwise.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import BenchError, Finding
from harness.protocol import TEST
from harness.text import Label, fits, label, nearest, number
from suites.microstructure.findings import Spot, Unusable, few, gather, of_rows
from suites.microstructure.header import GROUP, ROW_NUMBER, file_columns, is_number, is_split, plain, unused
from suites.microstructure.names import Names
from suites.pictures.cells import LAYOUT, decimal_commas, mostly_numbers, read_cells, refuse_thousands
from suites.pictures.images import TABLES
from suites.pictures.spelling import renamed, spelled_apart

MOST_CLASSES = 50
_SHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers", ".tsv", ".tab", ".txt", ".dat")  # that may be the table meant
FOLDERS = "folders of classes"
_FEWEST_GROUPS = 10  # that could be split

_GROUP = GROUP | {"specimen id", "group id", "sample", "sample id"}
_ROW_NUMBER = ROW_NUMBER | {"idx"}
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
    if not found and (sheets := [path.name for path in sorted(folder.iterdir()) if path.suffix.lower() in _SHEETS]):
        raise Unusable(f"no table, {' or '.join(TABLES)}, but {few(sheets)}: save it as CSV (UTF-8)")
    if len(found) != 1:
        told = f"leave one; there are {len(found)}: {few([path.name for path in found])}" if found else LAYOUT
        raise Unusable(f"no table{' of its own' if found else ''}, {' or '.join(TABLES)}: {told}")
    return found[0]


def read_table(path: Path, images: Names, asked: Asked) -> Table:
    """Read the table of these images. Raises Unusable for what is none, and BenchError for targets that it lacks."""
    rows, told = read_cells(path)
    if image := next((cell.strip() for cell in rows[0] if "." in cell and images.is_name(cell.strip())), ""):
        raise Unusable(
            f"the first row is not a header, because it names image '{image[:40]}': write one above it: {LAYOUT}"
        )
    cells = _columns(rows)
    asked = asked._replace(targets=_with_commas(asked.targets, cells))
    roles = _roles(cells, images, asked)
    if not asked.classes:
        names = [name for name in cells if (name in asked.targets if asked.targets else name not in roles)]
        cells |= {name: [_MINUS.sub("-", cell) for cell in cells[name]] for name in names}
        cells, commas = decimal_commas(cells, names)
        refuse_thousands(cells, [name for name in names if name not in commas], bool(commas))
        told += [f"columns with decimal commas, read as points: {few(commas)}"] * bool(commas)
    chosen = _targets(cells, roles, asked)
    numbers = not asked.classes and all(mostly_numbers(cells[name]) for name in chosen)
    if numbers:
        _refuse_units(cells, roles.file, chosen, images)
    named = {name: cells[name] for name in chosen}
    found = _numbers(named) if numbers else _classes(named, asked)
    others = {name: cells[name] for name in cells if name not in (*roles, *chosen)}
    told += _blank_groups(cells.get(roles.group, []), roles.group) + ([] if asked.targets else _passed_over(others))
    warnings = [Finding("warning", path.name, text) for text in told + found.told]
    return Table(
        files=tuple(cells[roles.file]),
        targets=found.values,
        names=found.names,
        units=_units(chosen, asked, numbers) or ("",) * len(found.names),
        classes=not numbers,
        groups=tuple(label(cell) for cell in cells[roles.group]) if roles.group else (),
        parts=tuple(map(_part, cells[roles.part])) if roles.part else (),
        findings=_unused(others, named if numbers else {}, roles, path.name)
        + warnings
        + gather(found.spots, of_rows(path.name)),
    )


def of_folders(classes: Sequence[str], asked: Asked) -> Table:
    """The table of images whose class is the folder that they are in: `classes` (n,) of these. Raises Unusable for too
    few or too many, and BenchError for targets or units, of which there are none.
    """
    if asked.targets or asked.units:
        raise BenchError("targets=, units=: folders of images and no table, so that each folder's name is a class")
    found = _classes({"folder": list(classes)}, asked._replace(classes=True))
    warnings = [Finding("warning", FOLDERS, text) for text in found.told]
    return Table((), found.values, found.names, ("",) * len(found.names), True, (), (), warnings)


_SEPARATE = "separate cells by semicolons where commas are decimal marks"


def _columns(rows: list[list[str]]) -> dict[str, list[str]]:
    """The cells of each column by its header. Raises Unusable where these do not fit."""
    head, body = [cell.strip() for cell in rows[0]], rows[1:]
    if not body:
        raise Unusable(f"a header and no rows: {LAYOUT}")
    if twice := [name for name in dict.fromkeys(head) if name and head.count(name) > 1]:
        raise Unusable(f"names a column twice: {few(twice)}")
    spots = [
        Spot(row, f"not {len(head)} cells, as the header has", _SEPARATE)
        for row, cells in enumerate(body)
        if len(cells) != len(head)
    ]
    _refuse_title(rows)
    if spots:
        raise Unusable("; ".join(f"{finding.where}: {finding.what}" for finding in gather(spots, of_rows(""))))
    columns = {name: [row[column].strip() for row in body] for column, name in enumerate(head)}
    return {name: cells for name, cells in columns.items() if name or any(cells)}


def _refuse_title(rows: list[list[str]]) -> None:
    """Raise Unusable where what stands first is not the header, but a title or something else above it."""
    first, *body = ([cell.strip() for cell in row] for row in rows)
    alone = not any(first[1:]) and any(any(row[1:]) for row in body)
    if alone or all(len(row) != len(first) for row in body):
        told = ", ".join(filter(None, first))[:40]
        what = f"the first row{f', {told!r},' if told else ' is blank and'} is no header of the rows below"
        raise Unusable(f"{what}: take out what stands above the header, name each column in it, and {_SEPARATE}")


def _refuse_units(cells: dict[str, list[str]], file: str, targets: Sequence[str], images: Names) -> None:
    """Raise Unusable where what stands below the header is more of it: it has words above numbers, and no image."""
    told = [cells[name][0] for name in targets if cells[name][0]]
    if told and not any(map(is_number, told)) and images.find(cells[file][0]) is None:
        what = f"row 1 names no image and has '{told[0][:20]}' where others have a number: if it is of the header"
        raise Unusable(f"{what}, put its units there, in brackets, as in 'E [GPa]', and take the row out")


def _blank_groups(cells: Sequence[str], name: str) -> list[str]:
    if not name or not (blank := cells.count("")):
        return []
    what = f"column {name} is empty in {blank} of {len(cells)} rows, each of which is a group of its own"
    return [f"{what}: if cells of a spreadsheet were merged, fill all of them in, or scores are too good"]


def _passed_over(others: dict[str, list[str]]) -> list[str]:
    """Of columns that are no targets, those that may have been measured."""
    remedy = f"and it is not predicted: if it was measured, {_ALONE}"
    return [f"{_no_numbers(name, cells)}, {remedy}" for name, cells in others.items() if _measured(name, cells)]


def _may_tell_groups(cells: Sequence[str]) -> bool:
    return _FEWEST_GROUPS <= len(set(cells)) <= len(cells) / 2


def _unused(others: dict[str, list[str]], named: dict[str, list[str]], roles: _Roles, table: str) -> list[Finding]:
    """Warnings of the columns that nothing is made of, of those of which something could be, and of targets, which are
    `named`, that may be no such.
    """
    same = [name for name, cells in others.items() if len(set(cells)) == 1]
    told = [f"columns left out, because they are the same in every row: {few(same)}"] * bool(same)
    for name, cells in others.items():
        if not roles.group and name and "" not in cells and _may_tell_groups(cells):
            what = f"column {name} has {len(set(cells))} values in {len(cells)} rows: if it names what they show, as a"
            told.append(f"{what} specimen, call it `group`, or scores are too good")
    for name, cells in () if roles.group else named.items():
        if all(cell.isdecimal() for cell in cells) and _may_tell_groups(cells):
            what = f"target {name} has {len(set(cells))} whole numbers in {len(cells)} rows: if it numbers what they"
            told.append(f"{what} show, as specimens, call it `group`; if it is none, name the others with targets=")
    warnings = [Finding("warning", table, text) for text in told]
    return unused([name for name in others if name not in same], table) + warnings


def _with_commas(parts: Sequence[str], columns: Iterable[str]) -> tuple[str, ...]:
    """What was asked for between commas, put together again where a column's own header has some, as Rp0,2 has."""
    headers = {tuple(part.strip() for part in header.split(",")): header for header in columns if "," in header}
    found, left = list[str](), list(parts)
    while left:
        fitting = [key for key in headers if key == tuple(left[: len(key)])]
        key = max(fitting, key=len, default=(left[0],))
        found.append(headers.get(key, left[0]))
        del left[: len(key)]
    return tuple(found)


def _head(name: str) -> str:
    """A header as it is compared: `No.` is `no`."""
    return plain(name).rstrip(".")


class _Roles(NamedTuple):
    file: str
    group: str = ""
    part: str = ""


def _roles(cells: dict[str, list[str]], images: Names, asked: Asked) -> _Roles:
    """The columns that are no targets; none of those asked for is. Raises Unusable where none names the files."""
    heads = {name: _head(name) for name in cells if name not in asked.targets}
    part = next((name for name in heads if is_split(heads[name], cells[name])), "")
    groups = [name for name in heads if heads[name] in _GROUP]
    others = {name: cells[name] for name in heads if name not in (part, *groups[:1])}
    names = list(others)
    found = file_columns([heads[name] for name in names], dict(enumerate(others.values())), images)
    if len(found) > 1:
        raise Unusable(f"columns {few([names[column] for column in found])} name different files in a row: leave one")
    numbers = [name for name in heads if heads[name] in _ROW_NUMBER]
    file = names[found[0]] if found else next((n for n in groups + numbers if _names_each(cells[n], images)), None)
    if file is None:
        raise Unusable(f"no column names the files of the images; if one does, call it `file`: {LAYOUT}")
    groups = [name for name in groups if name != file]
    if len(groups) > 1:
        what = "name groups: images of one group are kept on one side of the split, so leave the one that it goes by"
        raise Unusable(f"columns {few(groups)} {what}")
    return _Roles(file, next(iter(groups), ""), part)


def _names_each(cells: Sequence[str], images: Names) -> bool:
    """Whether each cell names an image of its own, or each image is named by one, so that a column is of files whatever
    it is called.
    """
    found = [path for cell in cells if (path := images.find(cell))]
    return bool(found) and len(set(found)) == len(found) and len(found) in (len(cells), len(images))


def _targets(cells: dict[str, list[str]], roles: _Roles, asked: Asked) -> tuple[str, ...]:
    """The columns that are to be predicted. Raises BenchError for one that is not there, Unusable for want of any."""
    if asked.targets:
        for name in asked.targets:
            if name not in cells:
                raise BenchError(f"targets={name}: the table has no such column{nearest(name, cells)}")
        return asked.targets
    counts = [name for name in cells if _head(name) in _ROW_NUMBER and mostly_numbers(cells[name])]
    left = [name for name in cells if name not in (*roles, *counts)]
    numbers = [name for name in left if mostly_numbers(cells[name])]
    if varying := [name for name in numbers if len(set(cells[name])) > 1]:
        filled = [name for name in varying if 2 * cells[name].count("") < len(cells[name])]
        return tuple(filled or varying)
    for name in [name for name in left if name not in numbers]:
        if _measured(name, cells[name]):
            raise Unusable(_not_classes(name, cells[name]))
    words = [name for name in left if 1 < len(set(cells[name])) <= MOST_CLASSES]
    if len(words) == 1 or (numbers and not words):
        return tuple(words or numbers)
    told = f"; which of {few(words)}? Say targets=" if words else ""
    raise Unusable(
        f"no column of numbers that differ, and {'several' if words else 'none'} of classes, to predict{told}"
    )


_MINUS = re.compile("^\N{MINUS SIGN}(?=[.,]?\\d)")  # as journals print it
_BEGINS = re.compile(r"[+-]?[.,]?\d")
_DATE = re.compile(r"\d+([-./]\d+){2}.*|\d+:\d+.*")


def _measured(name: str, cells: Sequence[str]) -> bool:
    """Whether cells are no numbers, but begin with one as what was measured does, and most classes do not."""
    filled = [cell for cell in cells if cell]
    begin = [cell for cell in filled if _BEGINS.match(cell) and not _DATE.fullmatch(cell)]
    many = 2 * len(begin) > len(filled) or _UNIT.fullmatch(name) is not None
    return many and not all(map(is_number, begin))


_ALONE = (
    "write the numbers alone, nothing between thousands, a unit into brackets in the header, and errors into a column "
    "of their own"
)


def _no_numbers(name: str, cells: Sequence[str]) -> str:
    row, cell = next((row, c) for row, c in enumerate(cells, 1) if _BEGINS.match(c) and not is_number(c))
    return f"column '{name[:40]}' has cells that begin with a number and are none, as '{cell[:20]}' in row {row}"


def _not_classes(name: str, cells: Sequence[str]) -> str:
    remedy = f"{_ALONE}; say classes=true where these are names of classes, or targets= for other columns"
    return f"{_no_numbers(name, cells)}: {remedy}"


class _Values(NamedTuple):
    """(n, t) numbers, NaN where a cell is unusable, the names of the t, what misleads, and what is wrong with cells."""

    values: NDArray[np.float64]
    names: tuple[str, ...]
    told: list[str]
    spots: list[Spot]


_MEND = "fill it in, or take the row and its image out, or name other columns with targets="
_MEND_WORD = "write a number, or take the row and its image out; where these are names of classes, say classes=true"


def _numbers(columns: dict[str, list[str]]) -> _Values:
    spots: list[Spot] = []

    def value(row: int, name: str, cell: str) -> float:
        with contextlib.suppress(ValueError):
            if np.isfinite(found := number(cell)):
                return found
        if cell:
            spots.append(Spot(row, f"{name[:40]} is no finite number", _MEND_WORD, f"'{cell[:20]}'"))
        else:
            spots.append(Spot(row, f"{name[:40]} is empty", _MEND))
        return np.nan

    values = [[value(row, name, cell) for row, cell in enumerate(cells)] for name, cells in columns.items()]
    texts = {name: _bare(name) for name in columns}
    names = spelled_apart(texts, "columns")
    return _Values(np.array(values).T, tuple(names.values()), _told(texts, names), spots)


def _told(texts: dict[str, str], names: dict[str, str]) -> list[str]:
    return [told] if (told := renamed(texts, names)) else []


def _classes(columns: dict[str, list[str]], asked: Asked) -> _Values:
    """Ones and zeros, in a column for each class. Raises Unusable where there are more columns, or too many classes, or
    none but numbers with something to them.
    """
    if len(columns) > 1:
        raise Unusable(f"targets {few(list(columns))} are not all numbers, and classes are of one column: say targets=")
    ((name, cells),) = columns.items()
    if not asked.classes and _measured(name, cells):
        raise Unusable(_not_classes(name, cells))
    texts = {cell: cell for cell in sorted(set(cells) - {""})}
    if not 2 <= len(texts) <= MOST_CLASSES:
        what = f"{len(texts)} class{'es' * (len(texts) != 1)}"
        raise Unusable(f"column '{name[:40]}' has {what}: 2 to {MOST_CLASSES} can be told apart")
    named = spelled_apart(texts, f"classes of column '{name[:40]}':")
    names = tuple(sorted(named.values()))
    values = np.array([[float(named[cell] == one) if cell else np.nan for one in names] for cell in cells])
    spots = [Spot(row, f"{name[:40]} is empty", _MEND) for row, cell in enumerate(cells) if not cell]
    return _Values(values, names, _told(texts, named) + _in_case_alone(names), spots)


def _in_case_alone(names: Sequence[str]) -> list[str]:
    """Classes that may be one, written in two ways."""
    like: dict[str, list[str]] = {}
    for name in names:
        like.setdefault(name.casefold(), []).append(name)
    return [f"classes that differ in case alone, are they one? {few(s)}" for s in like.values() if len(s) > 1]


TRAIN, VALIDATION = "train", "validation"
_PARTS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("validation", "validate", "val", "valid", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
_OF_A_SET = re.compile(r"[-_.]?set$")  # a validation set is the validation's


def _part(cell: str) -> str:
    """A side of the split, by one name, as a test may be called."""
    part = re.sub(r"[^a-z0-9_.]+", "-", cell.casefold()).strip("-.")
    return _PARTS.get(_OF_A_SET.sub("", part), part)


def _bare(name: str) -> str:
    """A column's header without its unit."""
    match = _UNIT.fullmatch(name)
    return match["name"] if match and match["name"] else name


_NO_UNIT = "-", "\N{EN DASH}", "\N{EM DASH}", "\N{MINUS SIGN}"  # what people write for the unit of pure numbers


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
    if wrong := [unit for unit in told if not fits(unit, Label)]:
        raise BenchError(f"units={','.join(wrong)}: must be text without markup")
    matches = [_UNIT.fullmatch(name) for name in targets]
    found = told or tuple(label(match["unit"]).replace(",", " ") if match else "" for match in matches)
    return tuple("" if unit.strip() in _NO_UNIT else unit for unit in found)
