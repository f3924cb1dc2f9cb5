import numpy as np
import pytest

from harness.judging.timing import FEWEST_ROUNDS, median_interval
from tests.harness.examples import a_timing


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(6, 1, 6), (8, 1, 8), (9, 2, 8), (10, 2, 9), (15, 4, 12), (20, 6, 15), (40, 14, 27)],  # tables of the sign test
)
def test_order_statistics_around_the_median(count, low, high):
    shuffled = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    assert median_interval(shuffled) == (low, high)


def test_fewer_than_six_have_no_interval():
    assert FEWEST_ROUNDS == 6
    assert [median_interval(range(1, count + 1)) for count in range(6)] == [None] * 6


@pytest.mark.parametrize("count", [6, 10, 25])
def test_the_interval_holds_the_median_as_often_as_it_says(count):
    draw = np.random.default_rng(count)
    found = [median_interval(np.exp(draw.normal(size=count))) for _ in range(2000)]  # the median of exp(normal) is 1
    held = np.mean([low <= 1 <= high for low, high in found])
    assert 0.94 < held < 0.99


@pytest.mark.parametrize(
    ("fields", "steady"),
    [
        ({"ratio_spread": 0.1}, True),
        ({"ratio_spread": 0.11}, False),
        ({"ratio_spread": 0.5, "ratio_low": 1.96, "ratio_high": 2.04, "rounds": 6}, True),
        ({"ratio_low": 1.94, "ratio_high": 2.04, "rounds": 6}, False),
        ({"ratio_low": 1.96, "ratio_high": 2.06, "rounds": 6}, False),
        ({"ratio_low": 2.0, "ratio_high": 2.0, "rounds": 6, "unsteady": "the machine was busy"}, False),
    ],
)
def test_what_may_be_quoted_without_a_warning(fields, steady):
    assert a_timing(**fields).steady is steady
