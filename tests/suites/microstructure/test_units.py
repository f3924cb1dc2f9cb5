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
    ],
)
def test_factors(unit, factor):
    assert gpa_per(unit) == pytest.approx(factor, rel=1e-15)


def test_an_unknown_unit_is_answered_with_the_nearest():
    with pytest.raises(BenchError, match="unknown unit 'GPaa': did you mean 'GPa'"):
        gpa_per("GPaa")
