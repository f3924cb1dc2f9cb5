"""Cubic crystals in a thin film: one axis of each grain along x3, the other two turned about it.

Stiffness is reduced to plane stress, in Voigt order 11, 22, 12 with engineering shear strain. An angle is that from x1
to the crystal's axis, in degrees, counted towards x2; it has a period of 90.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.errors import BenchError
from harness.protocol import Facts
from harness.text import nearest, number

Floats = NDArray[np.float64]

PERIOD = 90.0
"""Degrees after which a cubic crystal is itself again."""


class Crystal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The three elastic constants of a cubic crystal, in GPa."""

    c11: float
    c12: float
    c44: float

    def wrong(self) -> str:
        """Why no crystal is like that, "" where one could be (Born's criteria of stability)."""
        if not all(abs(value) <= 1e9 for value in (self.c11, self.c12, self.c44)):
            return "elastic constants are numbers of GPa, under 1e9"
        if not self.c44 >= 1e-6:
            return "c44 must be positive"
        if not self.c11 - abs(self.c12) >= 1e-6:
            return "c11 must be larger than c12 and than -c12, else the crystal is unstable"
        return "" if self.c11 + 2 * self.c12 >= 1e-6 else "c11 + 2 c12 must be positive, else the crystal is unstable"


SILICON = Crystal(165.64, 63.94, 79.51)
"""The lecture's, within 0.2 % of McSkimin and Andreatch (1964), J. Appl. Phys. 35, 2161. Zener's ratio is 1.56."""

COPPER = Crystal(168.4, 121.4, 75.4)
"""At room temperature: Overton and Gaffney (1955), Phys. Rev. 98, 969. Zener's ratio is 3.2."""

CRYSTALS = {"silicon": SILICON, "copper": COPPER}


def parse_crystal(text: str) -> Crystal:
    """`silicon`, `copper`, or `c11,c12,c44` in GPa. Raises BenchError for another name, and for what no crystal has."""
    name = text.strip().casefold()
    if name in CRYSTALS:
        return CRYSTALS[name]
    if "," not in name and not any(c.isdigit() for c in name):
        told = f"unknown{nearest(name, CRYSTALS)}; others as c11,c12,c44 in GPa, as in crystal=165.64,63.94,79.51"
        raise BenchError(f"crystal={text[:40]}: {told}")
    try:
        c11, c12, c44 = (number(part) for part in name.split(","))
    except ValueError:
        told = "must be a name or three numbers c11,c12,c44 in GPa, as in crystal=165.64,63.94,79.51"
        raise BenchError(f"crystal={text[:40]}: {told}") from None
    crystal = Crystal(c11, c12, c44)
    if wrong := crystal.wrong():
        raise BenchError(f"crystal={text[:40]}: {wrong}")
    return crystal


def written(crystal: Crystal) -> str:
    """A crystal as `parse_crystal` reads it: by its name where it has one, else to the last digit."""
    names = [name for name, known in CRYSTALS.items() if known == crystal]
    return names[0] if names else ",".join(repr(value) for value in (crystal.c11, crystal.c12, crystal.c44))


def as_facts(crystal: Crystal | None) -> Facts:
    """What a data set tells of its crystal."""
    return {"crystal": written(crystal)} if crystal else {}


def crystal_of(facts: Facts) -> Crystal | None:
    """The crystal that a data set tells of, None where it does not."""
    return parse_crystal(facts["crystal"]) if facts.get("crystal") else None


def plane_stress(crystal: Crystal, angles: ArrayLike) -> Floats:
    """(..., 3, 3) reduced stiffness in GPa of a crystal turned by `angles` (...), in degrees.

    The fourth-rank tensor turned, written out: every component is the crystal's own and a multiple of
    Q11 - Q12 - 2 Q66, which is zero for an isotropic one. Q11 + Q12 is the same at every angle.
    """
    theta = np.radians(np.asarray(angles, float))
    q11 = crystal.c11 - crystal.c12**2 / crystal.c11
    q12 = crystal.c12 - crystal.c12**2 / crystal.c11
    anisotropy = q11 - q12 - 2 * crystal.c44
    even, odd = anisotropy / 2 * np.sin(2 * theta) ** 2, anisotropy / 4 * np.sin(4 * theta)
    stiffness = np.empty((*theta.shape, 3, 3))
    stiffness[..., 0, 0] = stiffness[..., 1, 1] = q11 - even
    stiffness[..., 0, 1] = stiffness[..., 1, 0] = q12 + even
    stiffness[..., 2, 2] = crystal.c44 + even
    stiffness[..., 0, 2] = stiffness[..., 2, 0] = odd
    stiffness[..., 1, 2] = stiffness[..., 2, 1] = -odd
    return stiffness


def young(crystal: Crystal, angles: ArrayLike) -> Floats:
    """(...) Young's modulus in GPa along x1 of a crystal turned by `angles` (...), in degrees.

    1/E = s11 - 2 (s11 - s12 - s44 / 2) l² m², with cosines l and m of x1 (Nye, Physical Properties of Crystals, VIII).
    """
    c11, c12 = crystal.c11, crystal.c12
    determinant = (c11 - c12) * (c11 + 2 * c12)
    s11, s12, s44 = (c11 + c12) / determinant, -c12 / determinant, 1 / crystal.c44
    product = np.sin(2 * np.radians(np.asarray(angles, float))) ** 2 / 4
    moduli: Floats = 1 / (s11 - 2 * (s11 - s12 - s44 / 2) * product)
    return moduli


class Estimates(NamedTuple):
    """Young's moduli along x1 (...) in GPa, of area fractions alone.

    `voigt` is that of the mean stiffness and an upper bound, `reuss` that of the mean compliance and a lower one, which
    is 1 / <1/E>; `hill` is their mean. `mean` is the plain <E>, which lies between the two and is no bound.
    """

    voigt: Floats
    reuss: Floats
    hill: Floats
    mean: Floats


def estimates(crystal: Crystal, angles: Floats, fractions: Floats) -> Estimates:
    """Voigt's, Reuss's and Hill's estimates of Young's modulus along x1 for area `fractions` (..., k) at `angles` (k,).

    Fractions of each film sum to one; angles may also be (..., k), each film's own, in degrees.
    """
    moduli = young(crystal, angles)
    average = np.einsum("...k,...kij->...ij", fractions, plane_stress(crystal, angles))
    voigt = 1 / np.linalg.inv(average)[..., 0, 0]
    reuss = 1 / (fractions / moduli).sum(axis=-1)
    return Estimates(voigt, reuss, (voigt + reuss) / 2, (fractions * moduli).sum(axis=-1))
