"""Whether constants keep the laws of two isotropic phases at the image's volume fraction, and if not, why perhaps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import Finding
from suites.microstructure.findings import Spot, gather, of_rows
from suites.microstructure.homogenization import TARGETS, isotropic_stiffness, stiffness_matrices, voigt_reuss
from suites.microstructure.materials import Phase, Phases
from suites.microstructure.units import GPA_PER_UNIT, gpa_per

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

PLAUSIBLE = (0.01, 2000.0)
"""C11 or Young's modulus in GPa, from soft foams to diamond."""

_SLACK = 0.01  # discretisation error of a label, as a share of the largest
_FRACTION = 0.005  # by which the volume fraction of a finer image, from which the label may be, may be another
_FITS = 0.95  # share of the rows that an explanation must explain
_SHEARS = [TARGETS.index(name) for name in ("C44", "C55", "C66")]


class Room(NamedTuple):
    """Smallest eigenvalues (n,), in GPa, of what lies between constants and Voigt's bound, and Reuss's; `largest` (n,)
    is the largest entry of Voigt's.
    """

    below_voigt: Floats
    above_reuss: Floats
    largest: Floats

    @property
    def least(self) -> Floats:
        """Room to the nearer bound (n,), negative outside."""
        return np.minimum(self.below_voigt, self.above_reuss)


def room(constants: Floats, fraction: Floats, phases: Phases) -> Room:
    """How far constants (n, 9) in GPa are inside C_Reuss <= C <= C_Voigt, at volume fractions (n,) of the second phase.

    The inequalities are between matrices: the difference is positive semidefinite.
    """
    soft, stiff = (isotropic_stiffness(phase.young, phase.poisson) for phase in phases)
    voigt, reuss = voigt_reuss(np.stack([1 - fraction, fraction], axis=-1), np.stack([soft, stiff]))
    stiffness = stiffness_matrices(constants)
    below, above = np.linalg.eigvalsh(np.stack([voigt - stiffness, stiffness - reuss]))[:, :, 0]
    return Room(below, above, np.abs(voigt).max(axis=(1, 2)))


class Hill(NamedTuple):
    """The constants of Hill's exact relations between the elastic constants of two isotropic phases in columns along
    x3: C13 = s - e (C11 + C12), C23 = s - e (C12 + C22), C33 = mean - e (C13 + C23), with `mean` the average over the
    area of `own`, which each phase has.

    Source: Hill (1964), J. Mech. Phys. Solids 12, 199.
    """

    e: float
    s: float
    own: tuple[float, float]


def hill(phases: Phases) -> Hill | None:
    """Those of these phases; None where both have one plane-strain bulk modulus, for then they do not bind."""
    (lame_1, shear_1), (lame_2, shear_2) = (lame(phase) for phase in phases)
    bulk_1, bulk_2 = lame_1 + shear_1, lame_2 + shear_2
    if abs(bulk_1 - bulk_2) < 1e-6 * (abs(bulk_1) + abs(bulk_2)):
        return None
    e = -(lame_1 - lame_2) / (2 * (bulk_1 - bulk_2))
    return Hill(
        e, 2 * bulk_1 * e + lame_1, (2 * lame_1 * e + lame_1 + 2 * shear_1, 2 * lame_2 * e + lame_2 + 2 * shear_2)
    )


def hill_deviations(constants: Floats, fraction: Floats, phases: Phases, slack: float = 0.0) -> Floats:
    """Relative deviation (n, 3) of C13, C23 and C33 from Hill's exact relations, which they keep in any two-phase
    medium that does not vary along x3; NaN where both phases have one plane-strain bulk modulus.

    A deviation is relative to the terms of its relation; `slack` is by how much the volume fractions (n,) may be off.
    """
    relations = hill(phases)
    if relations is None:
        return np.full((len(constants), 3), np.nan)
    e, s, (own_1, own_2) = relations
    c11, c22, c33, c12, c23, c13 = constants.T[:6]
    mean, slack = (1 - fraction) * own_1 + fraction * own_2, slack * abs(own_1 - own_2)
    of_c33 = np.maximum(np.abs(c33 - mean + e * (c13 + c23)) - slack, 0) / np.abs(mean)
    in_plane = [
        np.abs(coupling - s + e * (along + c12)) / (abs(s) + abs(e) * (np.abs(along) + np.abs(c12)))
        for coupling, along in ((c13, c11), (c23, c22))
    ]
    return np.stack([*in_plane, of_c33], axis=-1)


def lame(phase: Phase) -> tuple[float, float]:
    """Lamé's first constant and the shear modulus, in GPa."""
    stiffness = isotropic_stiffness(phase.young, phase.poisson)
    return float(stiffness[0, 1]), float(stiffness[3, 3])


class Judged(NamedTuple):
    """What was found, and whether one cause explains all of it, so that other checks need not tell it again."""

    findings: list[Finding]
    explained: bool


def check_physics(
    constants: Floats, fraction: Floats, phases: Phases, rows: Sequence[int], table: str, unit: str
) -> Judged:
    """Errors where constants (n, 9) leave the bounds at volume fractions (n,), warnings where they break Hill's laws.

    A label of a finer image has a slightly other volume fraction, and a medium need not be extruded: Hill's relations
    are no reason to refuse it. `rows` of the CSV, counting from 0, are where the constants are from.
    """
    if not len(constants):
        return Judged([], False)
    between = room(constants, fraction, phases)
    wrong = np.flatnonzero(_outside(constants, fraction, phases))
    cause = None
    if len(wrong):
        cause = _exchanged(constants, fraction, phases, wrong) or _in_rows(constants, fraction, phases, wrong)
        if cause is None and 2 * len(wrong) >= len(constants):
            cause = _in_all(constants, fraction, phases, unit)
        cause = cause or _resampled(constants[wrong], fraction[wrong], phases) or _UNEXPLAINED
    spots = [Spot(int(i), f"{_OUTSIDE}{cause.what}", cause.remedy, *_how_far(between, i)) for i in wrong if cause]
    findings = gather(spots, of_rows(table, rows))
    if cause and cause.of_all:
        return Judged(findings, True)
    others = np.setdiff1d(np.arange(len(constants)), wrong)
    return Judged(findings + _check_hill(constants, fraction, phases, others, rows, table), False)


class _Cause(NamedTuple):
    """One mistake that explains labels outside the bounds; `of_all` where it says nothing good of the other labels."""

    what: str
    remedy: str
    of_all: bool = False


_OUTSIDE = "outside the bounds of Voigt and Reuss"
_UNEXPLAINED = _Cause("", "no composite of these phases is so at the image's volume fraction; check rows and phases=")


def _how_far(between: Room, index: np.intp) -> tuple[str, float]:
    """A spot's detail and its weight."""
    least = between.least[index]
    which = "above Voigt's" if between.below_voigt[index] == least else "below Reuss's"
    return f"{-least:.3g} GPa {which}", float(-least / between.largest[index])


def _outside(constants: Floats, fraction: Floats, phases: Phases) -> Flags:
    between = room(constants, fraction, phases)
    soft, stiff = (isotropic_stiffness(phase.young, phase.poisson) for phase in phases)
    outside: Flags = between.least < -_SLACK * between.largest - _FRACTION * np.abs(stiff - soft).max()
    return outside


def _in_rows(constants: Floats, fraction: Floats, phases: Phases, wrong: NDArray[np.intp]) -> _Cause | None:
    """The mistake in the rows `wrong`, None where none of those tried explains them."""
    for (factor, look, remedy), shears in itertools.product(_SHEAR_FACTORS, ([s] for s in _SHEARS)):
        if _fit(_times(constants, shears, factor)[wrong], fraction[wrong], phases):
            return _Cause(f", where {TARGETS[shears[0]]} looks {look}", remedy)
    for factor, look, remedy in _SHEAR_FACTORS:
        mended = _times(constants, _SHEARS, factor)
        if _fit(mended[wrong], fraction[wrong], phases):
            # Of the rows inside, wide bounds say little either way.
            where = " in all rows" if 2 * len(wrong) >= len(constants) and _fit(mended, fraction, phases) else ""
            return _Cause(f", where C44 C55 C66 look {look}{where}", remedy)
    return None


def _times(constants: Floats, columns: list[int], factor: float) -> Floats:
    mended = constants.copy()
    mended[:, columns] *= factor
    return mended


_SHEAR_FACTORS = (
    (0.5, "doubled", "halve them: they must be stress over engineering shear strain, not over half of it"),
    (2.0, "halved", "double them: they must be stress over engineering shear strain, not over twice of it"),
)


def _in_all(constants: Floats, fraction: Floats, phases: Phases, unit: str) -> _Cause | None:
    """The mistake in units or in the order of rows, None where none of those tried explains the labels."""
    ranked = np.empty_like(fraction)
    ranked[np.argsort(constants[:, TARGETS.index("C33")])] = np.sort(fraction)  # C33 hardly depends on anything else
    if _fit(constants, ranked, phases):
        remedy = "let a column `file` of the CSV name the image of each row"
        return _Cause(", where the constants would fit the images in another order", remedy, of_all=True)
    for other, factor in _other_units(phases, unit):
        if _fit(constants, fraction, other):
            return _Cause(
                ", where phases and constants look like of two units", _in_unit(constants, other, factor, unit), True
            )
    return None


_THOUSANDS = tuple(10.0**power for power in (-9, -6, -3, 3, 6, 9))


def _other_units(phases: Phases, unit: str) -> Iterator[tuple[Phases, float]]:
    """The phases as they would be if they were in another unit, or the labels in another than `unit`."""
    factors = {*_THOUSANDS, *(gpa_per(unit) / gpa for gpa in GPA_PER_UNIT.values())}
    for factor in sorted(factors, key=lambda factor: abs(math.log(factor))):
        soft, stiff = (msgspec.structs.replace(phase, young=phase.young * factor) for phase in phases)
        yield (soft, stiff), factor


def _exchanged(constants: Floats, fraction: Floats, phases: Phases, wrong: NDArray[np.intp]) -> _Cause | None:
    """Where few rows leave the bounds Hill's relations must say it, too: wide bounds fit either way."""
    if not _fit(constants, 1 - fraction, phases):
        return None
    if 2 * len(wrong) < len(constants) and not (
        _keep_hill(constants, 1 - fraction, phases) >= _FITS and _keep_hill(constants, fraction, phases) < 0.5
    ):
        return None
    stiff_first = phases[0].young > phases[1].young
    name, invert = f"name the soft one first, phases={_told(phases[::-1])}", "invert the images: white is stiff"
    return _Cause(", where the phases look exchanged", name if stiff_first else invert, of_all=True)


def _keep_hill(constants: Floats, fraction: Floats, phases: Phases) -> float:
    """Share of rows that keep Hill's relations; those of which they say nothing count among them."""
    return float(np.mean(~(hill_deviations(constants, fraction, phases, _FRACTION).max(axis=1) > _SLACK)))


def _resampled(constants: Floats, fraction: Floats, phases: Phases) -> _Cause | None:
    """Whether the constants would be inside at volume fractions a little away, as those of finer images are."""
    for away in (0.01, 0.02, 0.05):
        near = [np.clip(fraction + shift, 0, 1) for shift in (-away, away)]
        inside = [~_outside(constants, moved, phases) for moved in near]
        if np.any(inside, axis=0).all():
            return _Cause(
                f", where a volume fraction {away:g} away would fit",
                "resample finer images to nearest neighbours, which keep it, or check rows and phases=",
            )
    return None


def _in_unit(constants: Floats, other: Phases, factor: float, unit: str) -> str:
    """The remedy where `other`, the phases times `factor`, fit; whichever of the two is like no solid is to blame."""
    names = [name for name, gpa in GPA_PER_UNIT.items() if np.isclose(gpa * factor, gpa_per(unit), rtol=1e-6, atol=0)]
    of_labels = f"unit={names[0]} would fit" if names else ""
    if not np.isclose(factor, _THOUSANDS, rtol=1e-6, atol=0).any():  # nobody gives Young's moduli in bar
        return of_labels
    of_phases = f"phases={_told(other)} would fit, Young's moduli in GPa"
    typical = [float(np.median(np.abs(constants[:, 0]))), *(phase.young / factor for phase in other)]
    labels, *given = [PLAUSIBLE[0] <= modulus <= PLAUSIBLE[1] for modulus in typical]
    if not all(given) or not of_labels:
        return of_phases
    return of_labels if not labels else f"{of_phases}; or {of_labels}"


def _fit(constants: Floats, fraction: Floats, phases: Phases) -> bool:
    return float(np.mean(~_outside(constants, fraction, phases))) >= _FITS


def _told(phases: Sequence[Phase]) -> str:
    return ",".join(f"{phase.young:g},{phase.poisson:g}" for phase in phases)


def _check_hill(
    constants: Floats, fraction: Floats, phases: Phases, inside: NDArray[np.intp], rows: Sequence[int], table: str
) -> list[Finding]:
    deviations = hill_deviations(constants[inside], fraction[inside], phases, _FRACTION)
    what = "Hill's relations are broken, which hold for columns of these phases along x3"
    remedy = "check rows and phases= if the medium is of this kind; else this is no fault"
    spots = []
    for place, deviation in zip(inside.tolist(), deviations, strict=True):
        if (worst := float(deviation.max())) > _SLACK:  # never for NaN
            name = ("C13", "C23", "C33")[int(deviation.argmax())]
            spots.append(Spot(place, what, remedy, f"{name} by {worst:.1%}", worst))
    return gather(spots, of_rows(table, rows), "warning")
