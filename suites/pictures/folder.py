"""A folder of images and a table as a data set, with everything that is wrong with it, or that would mislead."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.errors import BenchError, DataError, Finding
from harness.protocol import Dataset
from harness.text import label
from suites.microstructure.findings import Unusable
from suites.microstructure.images import text
from suites.microstructure.names import Names
from suites.microstructure.pairing import by_name
from suites.pictures.checks import Labelled, check, equal_images, of_one_thing
from suites.pictures.images import Size, find_images, read_images
from suites.pictures.table import Asked, Table, find_table, read_table

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
        return None, [Finding("error", str(folder), "there is no such folder")]
    try:
        paths = find_images(folder)
    except BenchError as error:
        return None, [Finding("error", str(folder), str(error).partition(": ")[2])]
    try:
        path = find_table(folder)
        table = read_table(path, Names(paths), asked)
    except Unusable as problem:
        return None, [Finding("error", str(folder), str(problem)), *read_images(paths, resize).findings]
    pairing = by_name(paths, table.files, path.name)
    read = read_images(pairing.paths, resize)
    rows = [pairing.rows[place] for place in read.places]
    names = [text(pairing.paths[place].name) for place in read.places]
    labelled = Labelled(read.images, names, rows, _of(table, rows), equal_images(read.images))
    findings = table.findings + pairing.findings + read.findings + check(labelled, path.name)
    if any(finding.severity == "error" for finding in findings):
        return None, findings
    table = labelled.table
    return Dataset(
        name=label(folder.resolve().name) or "own",
        images=read.images,
        targets=table.targets,
        target_names=table.names,
        units=table.units,
        ids=tuple(names),
        groups=of_one_thing(labelled.which, table.groups),
        parts=table.parts,
        classes=table.classes,
        facts=(CLASSES if table.classes else {}) | _sizes(read.size),
        warnings=tuple(f"{finding.where}: {finding.what}" for finding in findings),
    ), findings


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
