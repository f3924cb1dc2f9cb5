"""What the columns of a CSV are: constants, row numbers, names of image files, groups, families; what is not used."""

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
ROW_NUMBER = {"", "#", "id", "index", "no", "nr", "number", "row", "row number", "unnamed: 0"}
FILE = {"file", "image", "picture", "png", "path", "name", "filename", "filepath", "files", "images"} | {
    f"{of} {what}" for of in ("file", "image", "picture") for what in ("name", "path", "file")
}
GROUP = {"group", "groups", "specimen"}
FAMILY = {"family", "families"}
SPLIT = {"split", "subset"}
_PARTS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}


class Columns(NamedTuple):
    """Where things are: `targets` in the order of TARGETS, the others None where there are none."""

    targets: tuple[int, ...]
    number: int | None
    file: int | None = None
    group: int | None = None
    family: int | None = None
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
    if not any(matches) and (any(map(is_number, first)) or not any(map(str.strip, first))):
        return HEADERLESS, [], []
    targets = _targets(first, [match[1].upper() if match else "" for match in matches])
    shown = [cell.strip()[:40] for cell in first]
    heads = [plain(cell) for cell in first]
    cells = {
        column: [row[column].strip() for row in body if len(row) == len(first)]
        for column in range(len(first))
        if column not in targets
    }
    splits = [column for column, held in cells.items() if is_split(heads[column], held)]
    groups = [column for column in cells if heads[column] in GROUP]
    families = [column for column in cells if heads[column] in FAMILY]
    labels = {*groups, *families}
    files = file_columns(heads, {column: held for column, held in cells.items() if column not in labels}, images)
    numbers = [column for column in cells if heads[column] in ROW_NUMBER and column not in files]
    wrong = [f"column '{shown[c]}': this suite splits by itself, 70/15/15: take the column out" for c in splits]
    if len(files) > 1:
        told = few([f"'{shown[column]}'" for column in files])
        wrong.append(f"columns {told} name different files in a row: leave one")
    units = frozenset(match["unit"].strip() for match in matches if match and match["unit"])
    if units and any(match and match[1] and not match["unit"] for match in matches):
        wrong.append("some of its headers name a unit, and some constants have none: say it of all, or of none")
    if not files and not numbers:
        wrong += [f"column '{shown[c]}' {_MAYBE_IDS}" for c, held in cells.items() if _could_be_ids(held, images)]
    number, file, group, family = (next(iter(found), None) for found in (numbers, files, groups, families))
    used = {number, group, family, *files, *splits}
    columns = Columns(tuple(targets), number, file, group, family, units)
    return columns, [shown[c] for c in cells if c not in used], wrong


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


def is_split(head: str, cells: Sequence[str]) -> bool:
    """Whether a column says which images are for what, by its header or by what it holds."""
    return head in SPLIT or (bool(cells) and {cell.casefold() for cell in cells} <= _PARTS)


def file_columns(heads: Sequence[str], cells: dict[int, list[str]], images: Names) -> list[int]:
    """The column that names the files; several where they name different ones, none where none does."""
    likely = {
        column: [images.find(cell) for cell in held]
        for column, held in cells.items()
        if heads[column] in FILE or 2 * sum(_is_name(cell, images) for cell in held) >= max(1, len(held))
    }
    whole = {column: tuple(found) for column, found in likely.items() if None not in found}
    if len(set(whole.values())) > 1:
        return list(whole)
    best = sorted(likely, key=lambda column: likely[column].count(None))
    return best[:1]


def _is_name(cell: str, images: Names) -> bool:
    """Not of digits alone, which may count anything."""
    return not cell.isdecimal() and (images.is_name(cell) or cell.casefold().endswith(".png"))


_MAYBE_IDS = "holds the id of each image once, in another order: call it image if it names them, else take it out"


def _could_be_ids(cells: Sequence[str], images: Names) -> bool:
    found = [images.find(cell) for cell in cells]
    in_order = [str(index) for index in range(len(cells))]
    return None not in found and len(set(found)) == len(found) == len(images) > 0 and list(cells) != in_order


def plain(head: str) -> str:
    """A column's header without what people write in many ways: case, underscores, hyphens, spaces."""
    return " ".join(unicodedata.normalize("NFKC", head).casefold().replace("_", " ").replace("-", " ").split())


def is_number(cell: str) -> bool:
    """Whether `cell` is a number, as `harness.text.number` has it."""
    try:
        number(cell)
    except ValueError:
        return False
    return True
