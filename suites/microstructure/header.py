"""What the columns of a CSV are: the constants, row numbers, names of image files, groups, and what is not used."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from harness.errors import Finding
from harness.text import number
from suites.microstructure.findings import Unusable, few
from suites.microstructure.homogenization import TARGETS
from suites.microstructure.names import Names

LAYOUT = "needed are a row number and " + " ".join(TARGETS) + ", separated by commas"

_TARGET = re.compile(r"\s*(C[1-6]{2})\s*(?:[\[(](?P<unit>[^\])]*)[\])])?\s*", re.IGNORECASE)
_ROW_NUMBER = {"", "#", "id", "index", "no", "nr", "number", "row", "row number", "unnamed: 0"}
_FILE = {"file", "image", "picture", "png", "path", "name"} | {
    f"{of} {what}" for of in ("file", "image", "picture") for what in ("name", "path", "file")
}
_FILE |= {"filename", "filepath", "files", "images"}
_GROUP = {"group", "groups", "family", "families"}
_SPLIT = {"split", "subset"}
_PARTS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}


class Columns(NamedTuple):
    """Where things are: `targets` in the order of TARGETS, the others None where there are none."""

    targets: tuple[int, ...]
    number: int | None
    file: int | None = None
    group: int | None = None
    units: frozenset[str] = frozenset()
    headed: bool = True


HEADERLESS = Columns(tuple(range(1, 1 + len(TARGETS))), 0, headed=False)


def read_columns(rows: Sequence[Sequence[str]], images: Names) -> tuple[Columns, list[str], list[str]]:
    """What the columns of a table are, by its first row and by what they hold.

    A column names the files where its header says so or half of its cells name one of `images` or some PNG. Returns
    the columns, the header of each that nothing is made of, and what is wrong with the others. Raises Unusable for a
    header that does not name the constants.
    """
    first, body = rows[0], rows[1:]
    matches = [_TARGET.fullmatch(cell) for cell in first]
    if not any(matches) and (any(map(_is_number, first)) or not any(map(str.strip, first))):
        return HEADERLESS, [], []
    targets = _targets(first, [match[1].upper() if match else "" for match in matches])
    heads = [_plain(cell) for cell in first]
    free = [column for column in range(len(first)) if column not in targets]
    cells = {column: [row[column].strip() for row in body if len(row) == len(first)] for column in free}
    splits = [
        column
        for column in free
        if heads[column] in _SPLIT or (cells[column] and {cell.casefold() for cell in cells[column]} <= _PARTS)
    ]
    wrong = [
        f"column '{first[column].strip()[:40]}': this suite splits by itself, 70/15/15: take the column out"
        for column in splits
    ]
    groups = [column for column in free if heads[column] in _GROUP]
    file, disagree = _file_column(heads, {column: cells[column] for column in free if column not in groups}, images)
    if disagree:
        told = few([f"'{first[column].strip()[:40]}'" for column in disagree])
        wrong.append(f"columns {told} name different files in a row: leave one")
    numbers = [column for column in free if heads[column] in _ROW_NUMBER and column != file]
    columns = Columns(
        tuple(targets),
        next(iter(numbers), None),
        file,
        next(iter(groups), None),
        frozenset(match["unit"].strip() for match in matches if match and match["unit"]),
    )
    unused = [first[c].strip()[:40] for c in free if c not in (columns.number, file, columns.group, *splits)]
    return columns, unused, wrong


def unused(names: Sequence[str], table: str) -> list[Finding]:
    """A warning that names the columns of which nothing is made."""
    told = few([name or "one without a name" for name in names])
    return [Finding("warning", table, f"columns not used: {told}")] if names else []


def _targets(first: Sequence[str], names: Sequence[str]) -> list[int]:
    if twice := [name for name, count in Counter(names).items() if name and count > 1]:
        raise Unusable(f"the header names {few(twice)} twice")
    if lacking := [target for target in TARGETS if target not in names]:
        told = few([cell.strip()[:20] or "''" for cell in first])
        lack = "all of them" if len(lacking) == len(TARGETS) else ", ".join(lacking)
        raise Unusable(f"the header names {told}; it must name {' '.join(TARGETS)} (lacking {lack}), or be left out")
    return [names.index(target) for target in TARGETS]


def _file_column(heads: Sequence[str], cells: dict[int, list[str]], images: Names) -> tuple[int | None, list[int]]:
    """The column that names the files, None where there is none; and columns that name others, where two do."""
    found = {column: [images.find(cell) for cell in held] for column, held in cells.items()}
    whole = [
        c for c, files in found.items() if files and None not in files and _names_files(heads[c], cells[c], images)
    ]
    if len({tuple(found[column]) for column in whole}) > 1:
        return whole[0], whole
    likely = [column for column in cells if _names_files(heads[column], cells[column], images)]
    likely.sort(key=lambda column: -sum(file is not None for file in found[column]))
    return next(iter(whole or likely), None), []


def _names_files(head: str, cells: Sequence[str], images: Names) -> bool:
    """Whether a column means files: by its head, by its cells, or, if no row numbers, by holding each id once."""
    naming = sum(images.is_name(cell) or cell.casefold().endswith(".png") for cell in cells)
    if head in _FILE or (cells and 2 * naming >= len(cells)):
        return True
    found = {images.find(cell) for cell in cells} if head not in _ROW_NUMBER else {None}
    return None not in found and len(found) == len(cells) == len(images) > 0


def _plain(head: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", head).casefold().replace("_", " ").replace("-", " ").split())


def _is_number(cell: str) -> bool:
    try:
        number(cell)
    except ValueError:
        return False
    return True
