import base64
import csv
import io
import math
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging import dictionary
from harness.showing.site.packed import by_columns, packed, to_three_digits
from harness.showing.site.shown import FORMULAS, decimals_of, decimals_of_form, digits, told


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


def test_errors_of_targets_that_are_small_numbers_have_significant_digits():
    known = decimals_of({"rmse": (1.2e-16, 2.9e-16), "skill": (0.83, 1.08)}, "m2")
    assert known == {"skill": 2, "skill_low": 2, "skill_high": 2}
    assert told(1.43e-16, known.get("rmse_m2")) == "1.4e-16"


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


@pytest.mark.parametrize(("form", "expected"), [(".3f", 3), (".1%", 3), (".3g", None)])
def test_decimals_that_the_form_of_a_metric_asks_for(form, expected):
    assert decimals_of_form(form) == expected


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


@given(st.lists(st.floats(-1e60, 1e60) | st.just(float("nan")), min_size=1, max_size=50))
def test_three_digits_of_numbers_of_any_size(values):
    text = to_three_digits(values)
    letters = base64.b64decode("".join("A" + text[i : i + 3] for i in range(0, len(text), 3)))
    steps = [int.from_bytes(letters[i : i + 3], "big") for i in range(0, len(letters), 3)]
    back = [math.nan if step == 64**3 - 1 else float(f"{step % 2000 - 1000}e{step // 2000 - 65}") for step in steps]
    expected = [value if math.isnan(value) or abs(value) >= 1e-63 else 0.0 for value in values]
    np.testing.assert_allclose(back, [float(f"{value:.2e}") for value in expected], rtol=0)
    assert to_three_digits([1e70, -1e70]) == to_three_digits([9.99e67, -9.99e67])


def test_a_csv_by_columns_is_what_it_was():
    lines = [[f"row {number}", "all", "a,b" if number % 3 else 'say "no"', str(number % 70)] for number in range(200)]
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([["own", "one", "some", "many"], *lines])
    found = by_columns(written.getvalue())
    assert [(name, len(places)) for name, _, places in found] == [("own", 0), ("one", 0), ("some", 200), ("many", 400)]
    assert decoded(found, len(lines)) == lines


def decoded(columns, rows):
    """As the page's script reads them."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    lines = [[] for _ in range(rows)]
    for _, texts, places in columns:
        known, each = texts.split("\n"), len(places) // rows
        for number, line in enumerate(lines):
            place = 0
            for letter in places[each * number : each * (number + 1)]:
                place = 64 * place + alphabet.index(letter)
            line.append(known[place if places else number % len(known)])
    return lines


def test_a_csv_of_no_rows_has_columns_yet():
    assert by_columns("a,b\n") == [("a", "", ""), ("b", "", "")]


def test_a_column_of_more_texts_than_two_digits_tell_apart_is_what_it_was():
    lines = [[f"text {number % 4097}"] for number in range(4098)]
    assert decoded(by_columns("".join(f"{cell}\n" for (cell,) in [["a"], *lines])), len(lines)) == lines
