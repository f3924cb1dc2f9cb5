"""Read the CSV of a folder of films: a header, the file of each row, and Young's modulus along x1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import Finding
from suites.microstructure import header, table
from suites.microstructure.findings import Spot, Unusable, gather, of_rows

LAYOUT = "needed are a header `file,E1` and a row for each image: its file name and Young's modulus along x1"

_MODULUS = re.compile(r"\s*E(?:_?1)?\s*(?:[\[(](?P<unit>[^\])]*)[\])])?\s*", re.IGNORECASE)


class Table(NamedTuple):
    """`files` (n,) and `values` (n,), NaN where a cell is none, in the `unit` that the header names, "" if none."""

    files: tuple[str | None, ...]
    values: NDArray[np.float64]
    unit: str
    findings: list[Finding]


def read_table(path: Path) -> Table:
    """Read files and moduli, in the unit they are written in. Never raises for what a file holds."""
    try:
        if path.is_file() and not path.read_bytes()[: 2**16].strip():
            raise Unusable(f"empty: {LAYOUT}")
        rows = table.read_rows(path)  # what can be wrong with a CSV is the same whatever it holds
        file, modulus, unit, unused = _columns(rows[0])
    except (Unusable, OSError) as problem:
        return Table((), np.empty(0), "", [Finding("error", path.name, str(problem))])
    findings = header.unused(unused, path.name)
    if len(rows) == 1:
        findings.append(Finding("error", path.name, f"a header and no rows: {LAYOUT}"))
    files: list[str | None] = []
    values = np.full(len(rows) - 1, np.nan)
    spots: list[Spot] = []
    for index, row in enumerate(rows[1:]):
        whole = len(row) == len(rows[0])
        files.append(row[file].strip() if whole else None)
        if whole:
            values[index] = table.read_value(row[modulus], index, "E1", spots)
        else:
            spots.append(Spot(index, f"{len(row)} columns instead of {len(rows[0])}", LAYOUT))
    findings += gather(spots, of_rows(path.name))
    return Table(tuple(files), values, unit, findings)


def _columns(first: Sequence[str]) -> tuple[int, int, str, list[str]]:
    """Which columns hold the files and the moduli, the unit that the header names, and what else there is."""
    heads = [header.plain(cell) for cell in first]
    files = [column for column, head in enumerate(heads) if head in header.FILE]
    matches = {column: match for column, cell in enumerate(first) if (match := _MODULUS.fullmatch(cell))}
    if len(files) != 1 or len(matches) != 1:
        shown = ", ".join(cell.strip()[:20] or "''" for cell in first[:6])
        raise Unusable(f"the first row is {shown}: {LAYOUT}")
    ((modulus, match),) = matches.items()
    rest = [first[column].strip()[:40] for column in range(len(first)) if column not in (files[0], modulus)]
    return files[0], modulus, (match["unit"] or "").strip(), rest
