"""Which image belongs to which row of the CSV: by the name that the row gives, else by the id of the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.errors import Finding
from suites.microstructure.findings import Places, Spot, few, gather, of_images, of_rows, runs
from suites.microstructure.names import Names, image_id
from suites.microstructure.table import Table


class Pairing(NamedTuple):
    """`paths` and the `rows` that belong to them, counting from 0, as far as there are both; and what is wrong."""

    paths: tuple[Path, ...]
    rows: tuple[int, ...]
    findings: list[Finding]


def pair(paths: Sequence[Path], table: Table, name: str) -> Pairing:
    """Pair images, in natural order, with the rows of the table called `name`."""
    if table.files is None:
        return by_number(paths, len(table.values))
    return by_name(paths, table.files, name)


def by_name(paths: Sequence[Path], files: Sequence[str | None], table: str) -> Pairing:
    """Pair as the cells `files` say; pairs come in the order of `paths`, so that the order of the rows is all one."""
    names = Names(paths)
    row_of: dict[Path, int] = {}
    spots = []
    for row, cell in enumerate(files):
        path = names.find(cell) if cell is not None else None
        if path is None and cell is not None:
            remedy = "mend the name or add the file; a column that names no files must be called otherwise"
            spots.append(Spot(row, "the file that it names is not in the folder", remedy, f"'{cell[-40:]}'"))
        elif path is not None and path in row_of:
            spots.append(Spot(row, "names a file that another row names", "leave one", path.name))
        elif path is not None:
            row_of[path] = row
    unnamed = [path.name for path in paths if path not in row_of]
    told = [Spot(place, "no row of the CSV names it", "add one or take it away") for place in range(len(unnamed))]
    findings = gather(spots, of_rows(table)) + gather(told, of_images(unnamed))
    chosen = [path for path in paths if path in row_of]
    return Pairing(tuple(chosen), tuple(row_of[path] for path in chosen), findings)


def by_number(paths: Sequence[Path], count: int) -> Pairing:
    """Pair row k of `count`, counting from 1, with the image whose id is k - 1."""
    by_id: dict[int, list[Path]] = {}
    nameless = []
    for path in paths:
        if (identity := image_id(path)) is None:
            nameless.append(path.name)
        else:
            by_id.setdefault(identity, []).append(path)
    what, remedy = "no id", "name images <id>_*.png, as in 0_disks.png, or let a column `file` of the CSV name them"
    findings = gather([Spot(place, what, remedy) for place in range(len(nameless))], of_images(nameless))
    findings += _missing_and_surplus(by_id, count) + _ambiguous(by_id)
    rows = [row for row in range(count) if row in by_id]
    return Pairing(tuple(by_id[row][0] for row in rows), tuple(rows), findings)


def _missing_and_surplus(by_id: dict[int, list[Path]], count: int) -> list[Finding]:
    findings = []
    if missing := [identity for identity in range(count) if identity not in by_id]:
        several = f"{len(missing)} CSV rows" if len(missing) > 1 else "CSV row"
        text = f"no image for {several} {runs(identity + 1 for identity in missing)}"
        text += "; ids count from 0, not 1" * (missing == [0] and count in by_id)
        findings.append(Finding("error", f"images {runs(missing)}", text))
    if surplus := [identity for identity in by_id if identity >= count]:
        text = "no row in the CSV: add one or take them away" + f"; {len(surplus)} images" * (len(surplus) > 1)
        findings.append(Finding("error", f"images {runs(surplus)}", text))
    return findings


def _ambiguous(by_id: dict[int, list[Path]]) -> list[Finding]:
    spots = [
        Spot(identity, "ambiguous", "keep one image of each id", few([path.name for path in same]), len(same))
        for identity, same in by_id.items()
        if len(same) > 1
    ]
    return gather(spots, Places("", "ids", lambda identity: f"image {identity}", runs))
