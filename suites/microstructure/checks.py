"""Do images and constants make sense, each by itself and together? What is wrong is an error, what is odd a warning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.errors import Finding
from harness.protocol import Images
from suites.microstructure.findings import Spot, gather, runs
from suites.microstructure.homogenization import TARGETS, stiffness_matrices
from suites.microstructure.units import GPA_PER_UNIT

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_PLAUSIBLE = (0.01, 2000.0)  # C11 in GPa, from soft foams to diamond
_FEW = 50


def check(images: Images, constants: Floats, unit: str) -> list[Finding]:
    """Everything wrong or suspicious about images (n, h, w, 1) and constants (n, 9) in GPa.

    NaN marks an image or a constant that could not be read and was told of already; it is passed over. `unit` is the
    one that the constants were given in.
    """
    read: Flags = np.asarray(np.isfinite(images).all(axis=(1, 2, 3)))
    known: Flags = np.asarray(np.isfinite(constants).all(axis=1))
    findings = _duplicates(images, read) + _constant_columns(constants, known) + _not_stiffness(constants, known)
    both = read & known
    fraction = images.mean(axis=(1, 2, 3), dtype=np.float64)
    findings += _shifted(fraction, constants[:, 0], read, known)
    findings += _single_phase(fraction, read)
    findings += _softer_when_white(fraction[both], constants[both, 0])
    findings += _magnitude(constants[known, 0], unit)
    if len(images) < _FEW:
        text = f"only {len(images)} images: scores on the 15 % of them in the test set will say little"
        findings.append(Finding("warning", "images", text))
    return findings


def _duplicates(images: Images, read: Flags) -> list[Finding]:
    """Equal images; one in the training set would answer for its twin in the test set."""
    groups: dict[bytes, list[int]] = {}
    for index in np.flatnonzero(read).tolist():
        groups.setdefault(images[index].tobytes(), []).append(index)
    text = "the same image: it would leak from the training set into the test set; keep one of them"
    return [
        Finding("error", f"images {', '.join(map(str, group))}", text) for group in groups.values() if len(group) > 1
    ]


def _constant_columns(constants: Floats, known: Flags) -> list[Finding]:
    column = constants[known]
    if len(column) < 2:
        return []
    flat = np.ptp(column, axis=0) <= 1e-12 * np.abs(column).max(axis=0)
    return [
        Finding("error", f"column {TARGETS[target]}", f"is {column[0, target]:g} GPa in every row: nothing to predict")
        for target in np.flatnonzero(flat)
    ]


def _not_stiffness(constants: Floats, known: Flags) -> list[Finding]:
    smallest = np.full(len(constants), np.nan)
    smallest[known] = np.linalg.eigvalsh(stiffness_matrices(constants[known]))[:, 0]
    what, remedy = "not a positive definite stiffness", "check the order of the columns, which is " + " ".join(TARGETS)
    spots = [
        Spot(index, what, remedy, f"smallest eigenvalue {smallest[index]:.3g} GPa", -float(smallest[index]))
        for index in np.flatnonzero(smallest <= 0).tolist()
    ]
    return gather(spots, _rows)


def _shifted(fraction: Floats, stiffness: Floats, read: Flags, known: Flags) -> list[Finding]:
    """Labels one row off: then the volume fraction explains C11 far better one row up or down."""
    explained = {}
    for shift in (-1, 0, 1):
        moved, there = np.roll(stiffness, shift), read & np.roll(known, shift)
        if shift:
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
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def _single_phase(fraction: Floats, read: Flags) -> list[Finding]:
    spots = [Spot(index, "shows one phase only") for index in np.flatnonzero(read & np.isin(fraction, (0, 1))).tolist()]
    return gather(spots, lambda places: f"images {runs(places)}", "warning")


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
    if _PLAUSIBLE[0] <= typical <= _PLAUSIBLE[1] or typical == 0:
        return []
    written = typical / GPA_PER_UNIT[unit] if unit in GPA_PER_UNIT else typical
    fitting = [name for name, factor in GPA_PER_UNIT.items() if 1 <= written * factor <= _PLAUSIBLE[1]]
    hint = f"; unit={fitting[0]} would make it {written * GPA_PER_UNIT[fitting[0]]:.3g} GPa" if fitting else ""
    text = f"C11 is typically {typical:.3g} GPa if the CSV is in {unit}, which no common solid has{hint}"
    return [Finding("warning", "constants", text)]


def _rows(places: Sequence[int]) -> str:
    return f"rows {runs(place + 1 for place in places)}"
