import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.judging.stats import paired_difference
from harness.judging.variance import components, shares


def drawn(rng, seeds, images, of_images, of_seeds, rest):
    """Errors whose components are known."""
    parts = rng.normal(0, of_images**0.5, images), rng.normal(0, of_seeds**0.5, (seeds, 1))
    return 10 + parts[0] + parts[1] + rng.normal(0, rest**0.5, (seeds, images))


@pytest.mark.parametrize("true", [(4.0, 1.0, 0.5), (0.2, 3.0, 1.0), (1.0, 0.5, 4.0)])
def test_components_of_simulated_errors_are_those_they_were_drawn_with(true):
    rng = np.random.default_rng(0)
    found = np.mean([components(drawn(rng, 6, 80, *true)) for _ in range(400)], axis=0)
    assert found == pytest.approx(true, rel=0.08)


def test_they_are_those_of_the_analysis_of_variance():
    """By the textbook's sums of squares, which share no line with what is tested."""
    errors = drawn(np.random.default_rng(1), 4, 30, 2.0, 1.0, 0.5)
    seeds, images = errors.shape
    grand, total = errors.mean(), ((errors - errors.mean()) ** 2).sum()
    between_images = seeds * sum((errors[:, i].mean() - grand) ** 2 for i in range(images))
    between_seeds = images * sum((errors[s].mean() - grand) ** 2 for s in range(seeds))
    residual = (total - between_images - between_seeds) / ((seeds - 1) * (images - 1))
    expected = (
        (between_images / (images - 1) - residual) / seeds,
        (between_seeds / (seeds - 1) - residual) / images,
        residual,
    )
    assert components(errors) == pytest.approx(expected)


def test_their_sum_is_the_variance_of_the_mean():
    """Of means that are simulated over and over, images and seeds drawn anew each time."""
    rng = np.random.default_rng(2)
    samples = [drawn(rng, 5, 40, 3.0, 0.4, 2.0) for _ in range(2000)]
    assert np.mean([shares(errors).total for errors in samples]) == pytest.approx(
        np.var([errors.mean() for errors in samples], ddof=1), rel=0.1
    )


def test_they_agree_with_the_bootstrap():
    """The pigeonhole bootstrap, which knows nothing of components, is a little conservative (Owen 2007)."""
    errors = drawn(np.random.default_rng(3), 8, 200, 3.0, 0.2, 1.0)
    _, low, high = paired_difference(errors, np.zeros((1, 200)))
    assert (high - low) / (2 * 1.96) == pytest.approx(shares(errors).deviation, rel=0.25)


def test_seeds_that_do_not_differ_have_no_share():
    errors = np.tile(np.random.default_rng(4).random(50), (3, 1))
    assert shares(errors).relative == pytest.approx((1, 0, 0))
    assert shares(errors).total == pytest.approx(errors[0].var(ddof=1) / 50)


def test_what_does_not_vary_has_no_shares():
    assert shares(np.ones((3, 20))).relative == pytest.approx((np.nan,) * 3, nan_ok=True)


@given(arrays(np.float64, (3, 12), elements=st.floats(0, 1e3)))
def test_shares_sum_to_one_and_none_is_negative(errors):
    found = shares(errors)
    assert min(found) >= 0
    if found.total:
        assert sum(found.relative) == pytest.approx(1)
        assert shares(errors.T.copy().T[::-1]).total == pytest.approx(found.total)


@pytest.mark.parametrize("errors", [np.ones((1, 20)), np.ones((3, 1)), np.ones(5), np.array([[1, 2], [3, np.nan]])])
def test_what_cannot_be_split_is_refused(errors):
    with pytest.raises(ValueError, match="two seeds and two images"):
        components(errors)
