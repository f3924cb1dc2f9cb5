import numpy as np
import pytest
import scipy.stats

from harness.judging.ranks import Ranking, fewest_blocks, ranking, squared_errors


def test_ranks_and_friedman_are_those_of_a_worked_example():
    """Demšar 2006, table 6: four classifiers on fourteen data sets; of "voting" the third is told to be the better of
    two that print alike.
    """
    accuracy = np.array(
        [
            [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
            [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
            [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
            [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
            [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
        ]
    )  # fmt: skip
    found = ranking(-accuracy)
    assert found.ranks == pytest.approx((3.143, 2.000, 2.893, 1.964), abs=1e-3)
    assert found.order == (3, 1, 2, 0)
    # the paper's chi squared does not correct for ties; scipy's does, so its p-value is smaller
    assert found.friedman < scipy.stats.chi2.sf(9.28, 3)


def test_those_are_told_apart_that_differ():
    rng = np.random.default_rng(0)
    truth = rng.gamma(2.0, 1.0, (80, 1))
    errors = truth * np.array([1.0, 1.0, 3.0, 9.0]) * rng.gamma(20.0, 0.05, (80, 4))
    found = ranking(errors)
    assert not found.apart[0, 1]
    assert found.apart[0, 2]
    assert found.apart[2, 3]
    assert found.cliques == [(0, 1)]
    assert found.friedman < 1e-10


def test_of_equals_few_are_told_apart_by_chance():
    """The family's error rate is that of Holm: at most one in twenty, over many draws."""
    rng = np.random.default_rng(1)
    wrong = [ranking(rng.gamma(1.0, 1.0, (60, 4))).apart.any() for _ in range(200)]
    assert np.mean(wrong) < 0.09


def test_models_that_err_alike_are_one_clique():
    errors = np.repeat(np.random.default_rng(2).random((40, 1)), 5, axis=1)
    found = ranking(errors)
    assert found.cliques == [(0, 1, 2, 3, 4)]
    assert found.ranks == (3.0,) * 5
    assert found.friedman == 1


def test_cliques_may_overlap_and_are_as_long_as_can_be():
    """By place: 0-1 and 1-2 are not told apart, 0-2 are; 3 stands alone, 4-5-6 are together."""
    order = (2, 0, 1, 3, 6, 5, 4)
    apart = ~np.eye(7, dtype=bool)
    for one, other in ((0, 1), (1, 2), (4, 5), (5, 6), (4, 6)):
        apart[order[one], order[other]] = apart[order[other], order[one]] = False
    assert Ranking(order, (0.0,) * 7, 0.0, apart).cliques == [(0, 1), (1, 2), (4, 5, 6)]


def test_fewer_blocks_than_could_tell_anything_are_refused():
    """Of n blocks on which one model is always the better, Wilcoxon's p-value is 2 / 2^n, the smallest there is."""
    for models in (3, 4, 10):
        pairs, blocks = models * (models - 1) / 2, fewest_blocks(models)
        assert scipy.stats.wilcoxon(np.arange(1.0, blocks + 1)).pvalue * pairs <= 0.05
        assert scipy.stats.wilcoxon(np.arange(1.0, blocks)).pvalue * pairs > 0.05
        with pytest.raises(ValueError, match="cannot tell"):
            ranking(np.random.default_rng(0).random((blocks - 1, models)))
        assert ranking(np.arange(models) + np.arange(blocks)[:, None]).apart[0, 1]  # which ranks alike everywhere


def test_a_model_errs_on_an_image_as_its_seeds_do_on_average():
    found = squared_errors([np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 5.0]]), np.array([[7.0, 8.0, 9.0]])])
    np.testing.assert_array_equal(found, [[2.0, 7.0], [2.0, 8.0], [4.0, 9.0]])


@pytest.mark.parametrize("errors", [np.ones((50, 2)), np.ones(50), np.full((50, 3), np.inf)])
def test_what_cannot_be_ranked_is_refused(errors):
    with pytest.raises(ValueError, match="finite errors"):
        ranking(errors)
