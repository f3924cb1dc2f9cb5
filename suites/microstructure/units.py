"""Units of stress and stiffness, and what they are in GPa."""

from __future__ import annotations

from harness.errors import BenchError
from harness.options import nearest

# 1 nm^2 = 1e-18 m^2, so 1 N/nm^2 = 1e18 Pa = 1e9 GPa.
GPA_PER_UNIT = {
    "GPa": 1.0,
    "MPa": 1e-3,
    "kPa": 1e-6,
    "Pa": 1e-9,
    "N/nm^2": 1e9,
    "N/um^2": 1e3,
    "N/mm^2": 1e-3,
    "N/m^2": 1e-9,
}


def gpa_per(unit: str) -> float:
    """How many GPa one `unit` is. Case, `^`, `**`, superscripts and the Greek mu may be written any way.

    Raises
    ------
    BenchError
        If there is no such unit; the message names the nearest one.
    """
    factors = {_plain(name): factor for name, factor in GPA_PER_UNIT.items()}
    if _plain(unit) in factors:
        return factors[_plain(unit)]
    raise BenchError(f"unknown unit '{unit}'{nearest(unit, GPA_PER_UNIT)}")


def _plain(unit: str) -> str:
    """One spelling for all ways to write a unit; casefold makes the micro sign a Greek mu."""
    plain = "".join(unit.casefold().split())
    for written, meant in (("μ", "u"), ("²", "2"), ("*", ""), ("^", "")):
        plain = plain.replace(written, meant)
    return plain
