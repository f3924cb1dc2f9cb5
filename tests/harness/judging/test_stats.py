import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from harness.judging.metrics import accuracy
from harness.judging.stats import (
    FEWEST_IMAGES,
    equivalence,
    holm,
    of_clusters,
    paired_difference,
    paired_differences,
    paired_p_values,
    score_intervals,
    settled_p_values,
    skill_interval,
    spread,
)


def test_spread_is_the_sample_standard_deviation() -> None:
    assert spread([1.0, 2.0, 4.0]) == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert spread([3.0, 3.0]) == 0


@pytest.mark.parametrize("values", [[], [1.0], [1.0, None, 2.0], [None, None]])
def test_spread_needs_two_values_and_all_of_them(values: list[float | None]) -> None:
    assert spread(values) is None


def _errors(draw: np.random.Generator, seeds: int, n: int, level: float) -> np.ndarray:
    """Squared errors (seeds, n) whose expectation is `level`² plus 0.1² between images and 0.05² between seeds."""
    image, seed = draw.normal(0, 0.1, n), draw.normal(0, 0.05, (seeds, 1))
    return (draw.normal(0, level, (seeds, n)) + image + seed) ** 2


def test_same_input_same_interval() -> None:
    draw = np.random.default_rng(0)
    errors, of_mean = _errors(draw, 3, 78, 0.3), _errors(draw, 1, 78, 1.0)[0]
    assert skill_interval(errors, of_mean) == skill_interval(errors.tolist(), of_mean.tolist())
    assert paired_difference(errors, errors[:1]) == paired_difference(errors, errors[:1])


def test_a_model_that_equals_the_mean_has_an_interval_around_zero() -> None:
    of_mean = np.random.default_rng(1).normal(0, 1, 78) ** 2
    assert skill_interval([of_mean] * 3, of_mean) == pytest.approx((0, 0), abs=1e-12)
    draw = np.random.default_rng(2)
    low, high = skill_interval([of_mean * draw.uniform(0.8, 1.2, 78) for _ in range(3)], of_mean)
    assert low < 0 < high


def test_a_clearly_better_model_excludes_zero() -> None:
    draw = np.random.default_rng(3)
    of_mean = draw.normal(0, 1, 78) ** 2
    low, high = skill_interval(draw.normal(0, 0.3, (3, 78)) ** 2, of_mean)
    assert 0 < low < 1 - 0.3**2 < high < 1


def test_one_seed_is_enough() -> None:
    draw = np.random.default_rng(4)
    of_mean, errors = draw.normal(0, 1, 78) ** 2, draw.normal(0, 0.3, 78) ** 2
    assert skill_interval(errors, of_mean) == skill_interval([errors], of_mean)
    mean, low, high = paired_difference(errors, of_mean)
    assert low < mean < high < 0


def test_resampled_images_are_the_same_for_model_and_mean() -> None:
    # A tenth of the trivial predictor's error on every image: however images are drawn, the skill is 0.9.
    of_mean = np.random.default_rng(5).exponential(size=50)
    assert skill_interval(0.1 * of_mean, of_mean) == pytest.approx((0.9, 0.9))


def test_a_difference_of_skills_meets_the_same_images_as_they_do() -> None:
    # Skills of 0.9 and 0.5, and so a difference of 0.4, however images are drawn.
    of_mean = np.random.default_rng(5).exponential(size=50)
    assert paired_difference(0.5 * of_mean, 0.1 * of_mean, of_mean=of_mean) == pytest.approx((0.4, 0.4, 0.4))
    of_mean[1:] = 0  # one resample in three leaves out the only image that has a skill, and does not count
    assert skill_interval(0.1 * of_mean, of_mean) == pytest.approx((0.9, 0.9))
    assert paired_difference(0.5 * of_mean, 0.1 * of_mean, of_mean=of_mean) == pytest.approx((0.4, 0.4, 0.4))
    assert np.isnan(paired_difference(of_mean, of_mean, of_mean=0 * of_mean)).all()


def test_the_interval_of_a_difference_of_skills_is_that_of_resampled_skills() -> None:
    """Of one seed each, whose resamples are those of the images alone: drawn here one by one."""
    draw = np.random.default_rng(12)
    a, b, of_mean = (draw.exponential(level, 40) for level in (0.5, 0.3, 1.0))
    drawn = np.random.default_rng(0).integers(40, size=(2000, 40))
    skills = [1 - errors[drawn].mean(axis=1) / of_mean[drawn].mean(axis=1) for errors in (a, b)]
    expected = np.percentile(skills[1] - skills[0], (2.5, 97.5))
    assert paired_difference(a, b, of_mean=of_mean)[1:] == pytest.approx(tuple(expected), rel=1e-9)


def test_the_unit_of_the_errors_does_not_matter() -> None:
    draw = np.random.default_rng(6)
    errors, of_mean = _errors(draw, 3, 40, 0.3), _errors(draw, 1, 40, 1.0)[0]
    assert skill_interval(1e-18 * errors, 1e-18 * of_mean) == pytest.approx(skill_interval(errors, of_mean))


def test_seeds_that_disagree_widen_the_interval() -> None:
    draw = np.random.default_rng(7)
    of_mean, errors = draw.normal(0, 1, 78) ** 2, draw.normal(0, 0.3, 78) ** 2
    alike = skill_interval([errors] * 3, of_mean)
    apart = skill_interval([errors, 2 * errors, 4 * errors], of_mean)
    assert apart[1] - apart[0] > 1.5 * (alike[1] - alike[0])


def test_skill_interval_covers_the_true_skill() -> None:
    draw = np.random.default_rng(8)
    true_skill = 1 - (0.3**2 + 0.1**2 + 0.05**2) / (1 + 0.1**2 + 0.05**2)
    covered = 0
    for _ in range(200):
        low, high = skill_interval(_errors(draw, 5, 80, 0.3), _errors(draw, 1, 80, 1.0)[0], resamples=400)
        covered += low <= true_skill <= high
    assert 0.88 <= covered / 200 <= 1


def test_paired_difference_covers_the_true_difference() -> None:
    draw = np.random.default_rng(9)
    covered = 0
    for _ in range(200):
        a, b = _errors(draw, 5, 80, 0.4), _errors(draw, 4, 80, 0.3)
        mean, low, high = paired_difference(a, b, resamples=400)
        assert mean == pytest.approx(a.mean() - b.mean())
        covered += low <= 0.4**2 - 0.3**2 <= high
    assert 0.88 <= covered / 200 <= 1


def test_pairing_removes_what_images_have_in_common() -> None:
    draw = np.random.default_rng(10)
    hard_images = draw.exponential(10, 78)
    a, b = hard_images + draw.normal(1, 0.1, (1, 78)), hard_images + draw.normal(0, 0.1, (1, 78))
    _, low, high = paired_difference(a, b)
    assert 0.9 < low < 1 < high < 1.1


def test_no_skill_where_the_mean_is_perfect() -> None:
    assert all(math.isnan(bound) for bound in skill_interval([1.0, 2.0], [0.0, 0.0]))


def test_rejects_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="3 images cannot be paired with errors on 2"):
        skill_interval([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="3 images cannot be paired with errors on 2"):
        paired_p_values([([1.0, 2.0, 3.0], [1.0, 2.0])])
    with pytest.raises(ValueError, match="shape"):
        paired_difference([[]], [[]])
    with pytest.raises(ValueError, match="finite"):
        skill_interval([1.0, np.nan], [1.0, 2.0])


# --- equivalence ------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.floats(0.8, 1.0), min_size=3, max_size=12, unique=True),
    st.lists(st.floats(0.8, 1.0), min_size=3, max_size=12, unique=True),
    st.floats(0.001, 0.2),
)
def test_equivalence_is_two_one_sided_welch_tests(a, b, margin):
    """Against scipy's one-sided tests of samples moved by the margin."""
    if np.std(a) < 1e-6 or np.std(b) < 1e-6:
        return
    found = equivalence(a, b, margin)
    below = scipy.stats.ttest_ind(np.add(a, margin), b, equal_var=False, alternative="greater").pvalue
    above = scipy.stats.ttest_ind(np.subtract(a, margin), b, equal_var=False, alternative="less").pvalue
    assert found.p_value == pytest.approx(max(below, above), rel=1e-6, abs=1e-12)
    assert found.difference == pytest.approx(np.mean(a) - np.mean(b))
    inside = -margin < found.low and found.high < margin
    assert (found.p_value < 0.05) == inside


def test_samples_without_spread_are_equivalent_where_their_means_are_close():
    assert equivalence([0.9, 0.9], [0.91, 0.91], 0.02).p_value == 0
    assert equivalence([0.9, 0.9], [0.93, 0.93], 0.02).p_value == 1


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([1.0, np.nan], [1.0, 2.0]), ([], [])])
def test_samples_that_say_nothing_are_refused(a, b):
    with pytest.raises(ValueError, match="at least two"):
        equivalence(a, b, 0.1)


def test_too_few_images_give_no_interval():
    """A bootstrap of four images would call 0.999 to 0.999 an interval."""
    enough, few = np.ones((2, FEWEST_IMAGES)), np.ones((2, FEWEST_IMAGES - 1))
    assert np.isfinite(skill_interval(enough, 2 * enough[0])).all()
    assert np.isnan(skill_interval(few, 2 * few[0])).all()
    assert np.isfinite(paired_difference(enough, 2 * enough)).all()
    assert np.isfinite(paired_differences([enough] * 2, enough[0])).all()
    assert paired_p_values([(enough, 2 * enough)]) == [2 / 20_001]
    predictions, truth, mean = a_sample(images=FEWEST_IMAGES)
    assert score_intervals(predictions, truth, mean)
    assert not score_intervals(predictions[:, 1:], truth[1:], mean)
    value, low, high = paired_difference(few, 2 * few)
    assert value == -1
    assert np.isnan([low, high]).all()


def a_sample(images=60, seeds=3, targets=2):
    draw = np.random.default_rng(4)
    truth = draw.normal(100, 10, (images, targets))
    return truth + draw.normal(0, 3, (seeds, images, targets)), truth, truth.mean(axis=0) + 0.5


@pytest.mark.parametrize(("weights", "seeds"), [((1.0, 1.0), 3), ((1.0, 25.0), 3), ((1.0, 1.0), 130)])
def test_the_interval_of_the_skill_is_the_same_either_way(weights, seeds):
    predictions, truth, mean = a_sample(seeds=seeds)
    squared = (weights * (predictions - truth) ** 2).sum(axis=2)
    expected = skill_interval(squared, (weights * (truth - mean) ** 2).sum(axis=1))
    found = score_intervals(predictions, truth, mean, weights=weights)
    np.testing.assert_allclose(found["skill"], expected, rtol=1e-12)


# --- images of one thing ------------------------------------------------------------------------------------------


def test_errors_of_things_are_sums_over_their_images_whose_mean_is_the_same():
    errors = np.array([[1.0, 2.0, 4.0, 8.0, 16.0]])
    found = of_clusters(errors, (7, 3, 7, 3, 3))
    np.testing.assert_allclose(found, np.array([[26.0, 5.0]]) * 2 / 5)  # things 3 and 7
    assert found.mean() == pytest.approx(errors.mean())
    assert of_clusters(errors[0], ()).tolist() == errors[0].tolist()
    many = np.tile(np.random.default_rng(0).exponential(size=1120), (3, 1))
    assert not np.ptp(of_clusters(many, np.arange(1120) // 16), axis=0).any()  # seeds that err alike still do


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_the_mean_over_things_is_that_over_images(clusters):
    errors = np.random.default_rng(len(clusters)).exponential(size=(2, len(clusters)))
    np.testing.assert_allclose(of_clusters(errors, clusters).mean(axis=1), errors.mean(axis=1))


def _hit(clusters, resamples=400):
    """Shares of 200 intervals, of the mean and of the RMSE, that hold the truth: 30 specimens of 12 patches each, whose
    errors have a standard deviation of 3 from specimen to specimen and 1 from patch to patch.
    """
    draw, which = np.random.default_rng(5), np.repeat(np.arange(30), 12)
    true, hits = 3**2 + 1**2, np.zeros(2)
    for _ in range(200):
        errors = draw.normal(0, 3, 30)[which] + draw.normal(0, 1, len(which))
        truth = draw.normal(100, 10, (len(which), 1))
        _, low, high = paired_difference(
            of_clusters(errors**2, clusters), np.zeros(len(set(clusters)) or len(which)), resamples=resamples
        )
        ends = score_intervals(
            (truth[:, 0] + errors)[None, :, None], truth, [100.0], resamples=resamples, clusters=clusters
        )
        hits += low <= true <= high, ends["rmse"][0] <= np.sqrt(true) <= ends["rmse"][1]
    return hits / 200


def test_intervals_of_patches_hold_the_truth_where_specimens_are_resampled_and_not_where_patches_are():
    assert (_hit(np.repeat(np.arange(30), 12).tolist()) > 0.85).all()
    assert (_hit([]) < 0.6).all()  # what they would say of patches as if each were a specimen


def test_the_interval_of_the_skill_of_things_of_several_images_is_the_same_either_way():
    predictions, truth, mean = a_sample()
    clusters = np.repeat(np.arange(20), 3).tolist()
    squared = of_clusters(((predictions - truth) ** 2).sum(axis=2), clusters)
    expected = skill_interval(squared, of_clusters(((truth - mean) ** 2).sum(axis=1), clusters))
    np.testing.assert_allclose(score_intervals(predictions, truth, mean, clusters=clusters)["skill"], expected)
    assert score_intervals(predictions, truth, mean, clusters=[number // 10 for number in range(60)]) == {}


def test_every_score_lies_in_its_interval():
    predictions, truth, mean = a_sample()
    found = score_intervals(predictions, truth, mean)
    scores = [accuracy(one, truth, mean, ("a", "b")) for one in predictions]
    for name in ("mse", "rmse", "mae", "mape", "nmae", "r2_mean", "skill"):
        low, high = found[name]
        assert low < np.mean([getattr(score, name) for score in scores]) < high, name
    assert found["r2_1"][0] < np.mean([score.r2["b"] for score in scores]) < found["r2_1"][1]


def test_the_interval_of_each_score_is_that_of_the_scores_of_resamples():
    """Of one seed, whose resamples are those of the images alone: drawn and scored here one by one."""
    predictions, truth, mean = a_sample(images=40, seeds=1)
    drawn = np.random.default_rng(0).integers(40, size=(400, 40))
    scores = [accuracy(predictions[0][rows], truth[rows], mean, ("a", "b")) for rows in drawn]
    names = ("mse", "rmse", "mae", "mape", "nmae", "r2_mean", "skill")
    resampled = {name: [getattr(score, name) for score in scores] for name in names}
    resampled |= {f"r2_{index}": [score.r2[name] for score in scores] for index, name in enumerate("ab")}
    found = score_intervals(predictions, truth, mean, resamples=400)
    assert found.keys() == resampled.keys()
    for name, values in resampled.items():
        assert found[name] == pytest.approx(tuple(np.percentile(values, (2.5, 97.5))), rel=1e-9), name


def test_intervals_of_scores_hold_the_truth_as_often_as_they_say():
    """Errors of standard deviation 3: the expected RMSE lies in 95 % of 200 intervals, give or take chance."""
    draw = np.random.default_rng(0)
    truth = draw.normal(100, 10, (80, 1))
    hits = 0
    for _ in range(200):
        predictions = truth + draw.normal(0, 3, (1, 80, 1))
        low, high = score_intervals(predictions, truth, [100.0], resamples=400)["rmse"]
        hits += low < 3 < high
    assert 0.88 < hits / 200 < 0.99


def test_scores_that_are_undefined_have_no_interval():
    predictions, truth, mean = a_sample()
    truth[:, 1] = 0.0
    found = score_intervals(predictions, truth, mean)
    assert {"mse", "rmse", "mae", "skill"} <= found.keys()
    assert not {"mape", "nmae", "r2_1"} & found.keys()
    assert score_intervals(predictions[:, :5], truth[:5], mean) == {}


@pytest.mark.parametrize("constant", [0.0, 0.1, 210.7])
def test_a_target_that_does_not_vary_has_no_interval_of_r2_and_changes_no_others(constant):
    predictions, truth, mean = a_sample()
    alone = score_intervals(predictions[..., :1], truth[:, :1], mean[:1])
    truth[:, 1] = constant
    found = score_intervals(predictions, truth, mean)
    assert "r2_1" not in found
    np.testing.assert_allclose([found["r2_0"], found["r2_mean"]], [alone["r2_0"]] * 2)


def test_r2_of_a_class_that_resamples_lack_is_of_those_that_have_it():
    """Two of forty images are of the class: one resample in eight has none, and no R² of it."""
    truth = np.zeros((40, 2))
    truth[:2, 1], truth[:, 0] = 1.0, np.arange(40)
    predictions = truth[None] + np.random.default_rng(0).normal(0, 0.1, (2, 40, 2))
    found = score_intervals(predictions, truth, truth.mean(axis=0))
    assert 0 < found["r2_1"][0] < found["r2_1"][1] < 1
    assert 0 < found["r2_mean"][0] < found["r2_mean"][1] < 1


def test_a_p_value_is_below_a_level_where_the_interval_leaves_out_zero() -> None:
    draw = np.random.default_rng(0)
    agree = []
    for shift in np.linspace(0, 0.3, 40):
        a, b = draw.normal(1 + shift, 0.5, (3, 60)), draw.normal(1, 0.5, (3, 60))
        _, low, high = paired_difference(a, b)
        agree.append((paired_p_values([(a, b)])[0] < 0.05) == (low > 0 or high < 0))
    assert np.mean(agree) > 0.9  # but for what resampling leaves to chance


def test_a_p_value_of_one_seed_is_near_that_of_a_t_test() -> None:
    draw = np.random.default_rng(1)
    for shift in (0.0, 0.05, 0.1, 0.15):
        a = draw.normal(1 + shift, 0.5, 200)
        b = a - shift + draw.normal(0, 0.4, 200)
        assert paired_p_values([(a, b)])[0] == pytest.approx(scipy.stats.ttest_rel(a, b).pvalue, abs=0.03)


def test_the_smallest_p_value_survives_a_family_of_two_hundred() -> None:
    a, b = np.ones((3, 50)), np.zeros((3, 50))
    assert paired_p_values([(a, b)])[0] == 2 / 20_001
    assert holm([paired_p_values([(a, b)])[0]] * 200)[0] < 0.05


@pytest.mark.slow
def test_a_large_family_has_more_resamples_and_so_can_be_told_apart() -> None:
    """Of 600 models none had an adjusted p-value below 600 times the least of 20,000 resamples, 0.06."""
    draw = np.random.default_rng(0)
    errors = [draw.uniform(0, 0.1, (1, 12)) for _ in range(600)]
    found = settled_p_values([(one, np.ones((1, 12))) for one in errors])
    assert max(found) == pytest.approx(600 * 2 / 200_001)


def test_what_errs_alike_has_a_p_value_of_one() -> None:
    a = np.random.default_rng(2).random((1, 50))
    assert paired_p_values([(a, a)])[0] == 1
    assert np.isnan(paired_p_values([(a[:, :5], a[:, :5])])[0])


def test_a_p_value_too_near_to_the_level_is_of_more_resamples() -> None:
    draw = np.random.default_rng(5)
    noise = draw.normal(0, 1, (1, 30))
    near, far = noise - noise.mean() + 0.36 * noise.std(), noise - noise.mean() + 1.0 * noise.std()
    nothing = np.zeros((1, 30))
    few, many = (paired_p_values([(near, nothing), (far, nothing)], resamples) for resamples in (20_000, 200_000))
    assert 0.04 < few[0] < 0.06
    found = settled_p_values([(near, nothing), (far, nothing)], adjust=list)
    assert found[0] != few[0]
    assert found[0] == pytest.approx(many[0], rel=0.03)
    assert found[1] == few[1]
    assert settled_p_values([(near, nothing)] * 3) == pytest.approx([min(1, 3 * few[0])] * 3, rel=1e-9)  # no edge


def test_each_pair_of_a_family_has_the_p_value_that_it_has_alone() -> None:
    draw = np.random.default_rng(6)
    a, b, x, y = (draw.normal(level, 0.5, (seeds, 30)) for level, seeds in ((1.3, 1), (1, 2), (0.9, 3), (1.1, 1)))
    pairs = [(a, x), (a, y), (b, x), (b, y)]
    alone = [paired_p_values([(one, other)])[0] for one, other in pairs]
    assert len(set(alone)) == 4
    many = draw.normal(1.3, 0.5, (300, 12))  # more seeds than are held at once
    less = many - 1
    assert paired_p_values([(many, less), (many + 1, less)]) == paired_p_values([(many, less)]) * 2 == [2 / 20_001] * 2
    assert settled_p_values(pairs, adjust=list) == alone


def test_holm_on_a_worked_example() -> None:
    """Four p-values whose adjusted ones are known, in whatever order (Wright 1992, Biometrics 48, by hand)."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.005, 0.01, 0.03, 0.04]) == pytest.approx([0.02, 0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    with_nan = holm([0.04, np.nan])
    assert with_nan[0] == 0.04
    assert np.isnan(with_nan[1])


def test_holm_keeps_the_familys_error_rate() -> None:
    draw = np.random.default_rng(3)
    wrong = [min(holm(draw.random(20).tolist())) < 0.05 for _ in range(4000)]
    assert np.mean(wrong) == pytest.approx(0.05, abs=0.012)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_lies_between_the_p_value_and_bonferronis(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p_value, found in zip(p_values, adjusted, strict=True):
        assert p_value <= found <= min(1.0, len(p_values) * p_value) + 1e-12
    ordered = [found for _, found in sorted(zip(p_values, adjusted, strict=True))]
    assert ordered == sorted(ordered)


def test_all_paired_differences_are_those_of_each_pair():
    rng = np.random.default_rng(3)
    errors = [rng.random((seeds, 30)) for seeds in (1, 3, 2, 3)]
    of_mean = rng.random(errors[0].shape[1]) * (rng.random(errors[0].shape[1]) > 0.5)
    found = paired_differences(errors, of_mean)
    for i, one in enumerate(errors):
        for j, other in enumerate(errors):
            assert tuple(found[i, j]) == paired_difference(one, other, of_mean=of_mean)[1:]
    assert paired_differences([], []).shape == (0, 0, 2)
    assert np.isnan(paired_differences([rng.random((2, 5))] * 2, np.ones(5))).all()
    assert np.isnan(paired_differences(errors, 0 * of_mean)).all()
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_differences([errors[0], errors[0][:, 1:]], of_mean)
