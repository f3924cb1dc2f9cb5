import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging import dictionary
from harness.showing.site.packed import packed
from harness.showing.site.shown import FORMULAS, decimals_of, digits, told


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.9978, 0.9991, 4),  # half of it is 0.00065: one digit
        (0.83, 1.08, 2),  # 0.125: two digits
        (-0.17, 0.63, 1),  # 0.4: one
        (100.0, 300.0, 0),
        (0.5, 0.5, None),
        (None, 1.0, None),
        (-1e-9, 1e-9, 3),
    ],
)
def test_as_many_digits_as_the_interval_allows(low, high, expected):
    assert digits(low, high) == expected


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [
        (0.99855, 4, "0.9986"),
        (-1e-9, 3, "0.000"),
        (1101321, None, "1,101,321"),
        (192.134, None, "192"),
        (0.331381, None, "0.331"),
        (9.2e-08, None, "9.2e-8"),
        (None, None, ""),
        (float("nan"), None, ""),
        ("ok", None, "ok"),
    ],
)
def test_values_as_they_are_told(value, decimals, expected):
    assert told(value, decimals) == expected


def test_decimals_go_to_the_columns_of_a_score():
    found = decimals_of({"rmse": (0.83, 1.08), "nmae": (0.0053, 0.0072), "skill": (None, None)}, "GPa")
    assert found == {"rmse_GPa": 2, "nmae_percent": 2}
    assert decimals_of({"rmse": (0.83, 1.08)}, "") == {"rmse": 2}


def test_formulas_are_of_columns_that_there_are():
    assert set(FORMULAS) <= {meaning.name for meaning in dictionary.of_leaderboard("elasticity")}


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=50))
def test_packed_values_are_what_they_were_to_a_part_of_their_range(values):
    low, high, text = packed(values)
    letters = base64.b64decode(b"".join(b"AA" + text[i : i + 2].encode() for i in range(0, len(text), 2)))
    steps = np.array([int.from_bytes(letters[i : i + 3], "big") for i in range(0, len(letters), 3)])
    assert len(steps) == len(values)
    back = np.where(steps == 4095, np.nan, low + steps / 4094 * (high - low))
    span = np.nanmax(values) - np.nanmin(values) if np.isfinite(values).any() else 0
    np.testing.assert_allclose(back, values, atol=span / 8000 + 1e-5 * max(abs(low), abs(high)))
