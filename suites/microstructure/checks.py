"""Do images and constants make sense, each by itself and together? What is wrong is an error, what is odd a warning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import Finding
from harness.protocol import Images
from suites.microstructure.duplicates import check_twins
from suites.microstructure.findings import Places, Spot, few, gather, of_images, of_rows
from suites.microstructure.homogenization import TARGETS, stiffness_matrices
from suites.microstructure.materials import Phases
from suites.microstructure.physics import PLAUSIBLE, check_physics
from suites.microstructure.units import GPA_PER_UNIT, gpa_per

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

FEWEST = 4
_FEW = 50


class Pairs(NamedTuple):
    """Images (n, h, w, 1), their file `names`, the `rows` of the CSV (from 0) and the constants (n, 9) in GPa that
    belong to them, NaN where a cell could not be read and was told of already.
    """

    images: Images
    names: Sequence[str]
    rows: Sequence[int]
    constants: Floats


def check(pairs: Pairs, table: str, unit: str, phases: Phases | None) -> list[Finding]:
    """Everything wrong or suspicious about images and constants that belong together.

    `unit` is the one that the constants were given in, `table` the CSV's name. Bounds and Hill's relations need phases.
    """
    with np.errstate(all="ignore"):  # constants may be as large or small as float64 allows
        findings = check_twins(pairs.images, pairs.constants, pairs.names)
        findings += gather(_single_phase(pairs.images), of_images(pairs.names), "warning")
        possible = _positive_definite(pairs.constants)
        fraction = pairs.images.mean(axis=(1, 2, 3), dtype=np.float64)
        if shifted := _shifted(fraction, pairs.constants[:, 0]):
            return findings + shifted
        explained = False
        if phases is not None:
            rows = [row for row, is_one in zip(pairs.rows, possible, strict=True) if is_one]
            judged = check_physics(pairs.constants[possible], fraction[possible], phases, rows, table, unit)
            findings, explained = findings + judged.findings, judged.explained
        known = np.isfinite(pairs.constants[:, 0])
        if phases is None:  # the bounds know better: a soft phase of high Poisson's ratio may have the higher C11
            findings += _softer_when_white(fraction[known], pairs.constants[known, 0])
        if not explained:
            findings += _magnitude(pairs.constants[known, 0], unit)
    return findings


def check_table(constants: Floats, table: str) -> list[Finding]:
    """What is wrong with the constants (n, 9) of a table by themselves; NaN where a cell could not be read."""
    with np.errstate(all="ignore"):
        return _constant_columns(constants, table) + _not_stiffness(constants, table)


def check_count(count: int) -> list[Finding]:
    """Whether there are enough images to split and to believe the scores."""
    if count < FEWEST:
        return [Finding("error", "images", too_few(count))]
    text = f"only {count} images: scores on the 15 % of them in the test set will say little"
    return [Finding("warning", "images", text)] if count < _FEW else []


def too_few(count: int) -> str:
    """Why so few images are refused."""
    return f"{count} image{'s are' if count != 1 else ' is'} too few to split 70/15/15; {FEWEST} is the least"


def _constant_columns(constants: Floats, table: str) -> list[Finding]:
    column = constants[np.isfinite(constants).all(axis=1)]
    if len(column) < 2:
        return []
    flat = np.flatnonzero(np.ptp(column, axis=0) <= 1e-12 * np.abs(column).max(axis=0)).tolist()
    what = "the same in every row: nothing to predict"
    spots = [Spot(target, what, detail=f"{column[0, target]:g} GPa") for target in flat]
    return gather(
        spots,
        Places(
            table,
            "columns",
            lambda target: f"column {TARGETS[target]}",
            lambda places: few([TARGETS[p] for p in places]),
        ),
    )


def _positive_definite(constants: Floats) -> Flags:
    known: Flags = np.asarray(np.isfinite(constants).all(axis=1))
    known[known] = np.linalg.eigvalsh(stiffness_matrices(constants[known]))[:, 0] > 0
    return known


def _not_stiffness(constants: Floats, table: str) -> list[Finding]:
    smallest = np.full(len(constants), np.nan)
    known = np.isfinite(constants).all(axis=1)
    smallest[known] = np.linalg.eigvalsh(stiffness_matrices(constants[known]))[:, 0]
    what, remedy = "not a positive definite stiffness", "check the order of the columns, which is " + " ".join(TARGETS)
    spots = [
        Spot(index, what, remedy, f"smallest eigenvalue {smallest[index]:.3g} GPa", -float(smallest[index]))
        for index in np.flatnonzero(smallest <= 0).tolist()
    ]
    return gather(spots, of_rows(table))


def _shifted(fraction: Floats, stiffness: Floats) -> list[Finding]:
    """Labels one row off: then the volume fraction explains C11 far better one row up or down."""
    explained = {}
    for shift in (-1, 0, 1):
        moved = np.roll(stiffness, shift)
        there = np.isfinite(moved)
        if shift and len(there):
            there[0 if shift > 0 else -1] = False
        explained[shift] = _explained(fraction[there], moved[there])
    best = max((-1, 1), key=lambda shift: explained[shift])
    if explained[best] < 0.5 or explained[0] > explained[best] / 2:
        return []
    way = "one row further down" if best == -1 else "one row further up"
    text = (
        f"labels look shifted: the volume fraction explains {explained[0]:.0%} of C11, but {explained[best]:.0%} if "
        f"each image's constants are those {way}; CSV rows count from 1 and image ids from 0"
    )
    return [Finding("error", "constants", text)]


def _explained(x: Floats, y: Floats) -> float:
    """Squared correlation; 0 where it is undefined or so few points would correlate by chance."""
    if len(x) < 20 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    squared = float(np.corrcoef(x, y)[0, 1] ** 2)
    return squared if np.isfinite(squared) else 0.0  # y may vary by less than can be squared


def _single_phase(images: Images) -> list[Spot]:
    flat = (images == images[:, :1, :1]).all(axis=(1, 2, 3))
    return [Spot(index, "shows one phase only") for index in np.flatnonzero(flat).tolist()]


def _softer_when_white(fraction: Floats, stiffness: Floats) -> list[Finding]:
    if _explained(fraction, stiffness) < 0.3 or np.corrcoef(fraction, stiffness)[0, 1] > 0:
        return []
    text = (
        "C11 falls as the white share grows, so white looks like the softer phase; Voigt-Reuss-Hill and the check of "
        "bounds take white for the stiff one: invert the images if you need them"
    )
    return [Finding("warning", "images", text)]


def _magnitude(stiffness: Floats, unit: str) -> list[Finding]:
    if not len(stiffness):
        return []
    typical = float(np.median(np.abs(stiffness)))
    if PLAUSIBLE[0] <= typical <= PLAUSIBLE[1] or typical == 0:
        return []
    written = typical / gpa_per(unit)
    names = {factor: name for name, factor in reversed(GPA_PER_UNIT.items())}  # the first of those that mean the same
    fitting = {name: written * factor for factor, name in names.items() if 1 <= written * factor <= PLAUSIBLE[1]}
    told = ", ".join(
        f"unit={name} would make it {gpa:.3g}" for name, gpa in sorted(fitting.items(), key=lambda x: x[1])
    )
    hint = f"; {told}: find out which it is" if fitting else ""
    text = f"C11 is typically {typical:.3g} GPa if the CSV is in {unit}, which no common solid has{hint}"
    return [Finding("warning", "constants", text)]
