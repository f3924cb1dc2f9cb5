import re

import pytest

from harness.errors import BenchError
from suites.microstructure.units import gpa_per


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("GPa", 1),
        ("MPa", 1e-3),
        ("Pa", 1e-9),
        ("N/nm^2", 1e9),
        ("N/nm²", 1e9),
        ("n/NM**2", 1e9),
        ("N/µm^2", 1e3),
        ("N/mm2", 1e-3),
        ("N/m²", 1e-9),
        ("N/\u03bcm²", 1e3),
        ("N/㎡", 1e-9),
        ("N·m-2", 1e-9),
        ("N m⁻²", 1e-9),
        ("N nm^-2", 1e9),
        ("N·mm\u22122", 1e-3),
        ("N/m^(2)", 1e-9),
        ("MN/m^2", 1e-3),
        ("MN m^-2", 1e-3),
        ("kN/mm²", 1),
        ("kN/m^2", 1e-6),
        ("dyn/cm²", 1e-10),
        ("dyne cm-2", 1e-10),
        ("㎬", 1),
        ("kbar", 0.1),
        ("psi", 6.894757293168361e-6),
        ("ksi", 6.894757293168361e-3),
    ],
)
def test_factors(unit, factor):
    assert gpa_per(unit) == pytest.approx(factor, rel=1e-15)


@pytest.mark.parametrize(("slip", "meant"), [("GPaa", "GPa"), ("MPaa", "MPa"), ("MaP", "MPa"), ("N/mn^2", "N/nm^2")])
def test_a_slip_of_the_pen_is_answered_with_what_was_meant(slip, meant):
    with pytest.raises(BenchError, match=re.escape(f"unknown unit '{slip}': did you mean '{meant}'")):
        gpa_per(slip)


@pytest.mark.parametrize("unit", ["furlong", "hPa", "N/km^2", "kN/nm^2", "mN/m", ""])
def test_no_unit_of_another_magnitude_is_suggested(unit):
    """Planted: the nearest spelling of "N/m" to some power differs from it by powers of ten."""
    with pytest.raises(BenchError, match=r"unknown unit '.*' \(known: GPa, MPa, kPa, Pa, N/nm\^2, "):
        gpa_per(unit)


def test_what_is_unknown_is_cut_short():
    with pytest.raises(BenchError) as caught:
        gpa_per("x" * 1000)
    assert len(str(caught.value)) < 300
