"""A folder of images and a table, or of a folder of images for each class, as a data set, with everything that is wrong
with it, or that would mislead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from harness.errors import BenchError, DataError, Finding
from harness.protocol import Dataset
from harness.text import label
from suites.microstructure.findings import Spot, Unusable, gather, of_rows
from suites.microstructure.images import text
from suites.microstructure.names import Names
from suites.microstructure.pairing import Pairing, by_name
from suites.pictures.checks import Labelled, check, equal_images
from suites.pictures.images import (
    SUFFIXES,
    Read,
    Size,
    class_folders,
    find_images,
    left_out,
    other_images,
    read_images,
)
from suites.pictures.table import FOLDERS, Asked, Table, find_table, of_folders, read_table

CLASSES = {"answers": "classes"}
"""The facts of a data set whose targets are classes."""


def read_folder(folder: Path, asked: Asked, resize: Size | None) -> Dataset:
    """The data set in `folder`; its warnings hold what would mislead. Raises DataError with all that is wrong."""
    dataset, findings = _examine(folder, asked, resize)
    if dataset is None:
        raise DataError(str(folder), findings)
    return dataset


def check_folder(folder: Path, asked: Asked, resize: Size | None) -> list[Finding]:
    """Everything wrong or misleading about the data set in `folder`, errors first. Nothing is written."""
    return sorted(_examine(folder, asked, resize)[1], key=lambda finding: finding.severity)


def _examine(folder: Path, asked: Asked, resize: Size | None) -> tuple[Dataset | None, list[Finding]]:
    """The data set, None where there is an error, and all findings."""
    if not folder.is_dir():
        what = "is no folder: give the one that it is in" if folder.exists() else "there is no such folder"
        return None, [Finding("error", str(folder), what)]
    try:
        classes = class_folders(folder)
        paths = [path for images in classes.values() for path in images] or find_images(folder)
        passed_over = left_out(folder, classes)
    except BenchError as error:
        return None, [Finding("error", str(folder), str(error).partition(": ")[2])]
    try:
        where, table, pairing = _of_classes(paths, asked) if classes else _of_table(folder, paths, asked)
    except Unusable as problem:
        unread = _read(folder, paths, resize)[0].findings
        return None, [Finding("error", str(folder), str(problem)), *unread, *passed_over]
    read, names = _read(folder, pairing.paths, resize)
    rows = [pairing.rows[place] for place in read.places]
    labelled = Labelled(read.images, names, rows, _of(table, rows), equal_images(read.images))
    lost = max(len(paths), len(table.targets)) - len(rows)
    findings = passed_over + table.findings + pairing.findings + read.findings + check(labelled, where, lost)
    if any(finding.severity == "error" for finding in findings):
        return None, findings
    return msgspec.structs.replace(
        labelled.dataset(label(folder.resolve().name) or "own"),
        facts=(CLASSES if table.classes else {}) | _sizes(read.size),
        warnings=tuple(f"{finding.where}: {finding.what}" for finding in findings),
    ), findings


def _read(folder: Path, paths: Sequence[Path], resize: Size | None) -> tuple[Read, list[str]]:
    """Images of a folder, and the names of those that could be read, with the folder that each is in, if any."""
    names = [text(path.relative_to(folder).as_posix()) for path in paths]
    read = read_images(paths, resize, names=names)
    return read, [names[place] for place in read.places]


def _of_table(folder: Path, paths: list[Path], asked: Asked) -> tuple[str, Table, Pairing]:
    path = find_table(folder)
    try:
        table = read_table(path, Names(paths), asked)
    except Unusable as problem:
        raise Unusable(f"{text(path.name)}: {problem}") from None
    unread = _unread(folder, paths, table.files)
    pairing = by_name(paths, [None if row in unread else cell for row, cell in enumerate(table.files)], path.name)
    what, remedy = "the image that it names is of a kind that is not read", f"save it as {', '.join(SUFFIXES)}"
    spots = [Spot(row, what, f"{remedy}, and write its new name", f"'{table.files[row][-40:]}'") for row in unread]
    return path.name, table, pairing._replace(findings=gather(spots, of_rows(path.name)) + pairing.findings)


def _unread(folder: Path, paths: Sequence[Path], files: Sequence[str]) -> list[int]:
    """The rows whose cell in `files` names none of the images `paths`, but one of another kind."""
    images, others = Names(paths), Names(other_images(folder))
    return [row for row, cell in enumerate(files) if others.is_name(cell) and images.find(cell) is None]


def _of_classes(paths: list[Path], asked: Asked) -> tuple[str, Table, Pairing]:
    table = of_folders([path.parent.name for path in paths], asked)
    return FOLDERS, table, Pairing(tuple(paths), tuple(range(len(paths))), [])


def _of(table: Table, rows: list[int]) -> Table:
    """Its rows in this order."""
    return table._replace(
        targets=table.targets[rows] if rows else np.empty((0, len(table.names))),
        groups=tuple(table.groups[row] for row in rows) if table.groups else (),
        parts=tuple(table.parts[row] for row in rows) if table.parts else (),
    )


def _sizes(size: Size | None) -> dict[str, str]:
    """What images had along their edges before they were reduced, so that new ones can be held to it."""
    return {"pixels": f"{size[1]}x{size[0]}"} if size else {}
