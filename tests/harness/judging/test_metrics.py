import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from harness.judging.metrics import Accuracy, accuracies, accuracy, error_to_choose_by

NAMES = ("C11", "C12", "C33")


def _case(seed: int, n: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions (n, 3), truth (n, 3) well away from zero, and a training mean (3,)."""
    draw = np.random.default_rng(seed)
    truth = draw.uniform((20, 2, 5), (60, 9, 25), (n, 3))
    return truth + draw.normal(0, 2, truth.shape), truth, truth.mean(axis=0) + draw.normal(0, 1, 3)


def test_agrees_with_scikit_learn() -> None:
    predictions, truth, train_mean = _case(0)
    ours = accuracy(predictions, truth, train_mean, NAMES)
    assert ours.mse == pytest.approx(sklearn_metrics.mean_squared_error(truth, predictions))
    assert ours.rmse == pytest.approx(np.sqrt(ours.mse))
    assert ours.mae == pytest.approx(sklearn_metrics.mean_absolute_error(truth, predictions))
    assert ours.mape == pytest.approx(100 * sklearn_metrics.mean_absolute_percentage_error(truth, predictions))
    per_target = sklearn_metrics.r2_score(truth, predictions, multioutput="raw_values")
    assert ours.r2 == pytest.approx(dict(zip(NAMES, per_target, strict=True)))
    assert ours.r2_mean == pytest.approx(per_target.mean())
    constant = np.broadcast_to(train_mean, truth.shape)
    assert ours.mse_of_mean == pytest.approx(sklearn_metrics.mean_squared_error(truth, constant))
    assert ours.skill == pytest.approx(1 - ours.mse / ours.mse_of_mean)
    assert ours == accuracy(predictions, truth, train_mean, NAMES, ("GPa",) * 3)  # one unit is as none


def test_scores_of_several_models_are_those_of_each() -> None:
    predictions, truth, train_mean = _case(5)
    several = np.stack([predictions, truth, 1.1 * predictions, predictions - 3])
    assert accuracies(several, truth, train_mean, NAMES) == [accuracy(p, truth, train_mean, NAMES) for p in several]


def test_by_hand() -> None:
    scores = accuracy(np.array([[1.0], [4.0]]), np.array([[2.0], [4.0]]), np.array([2.5]), ("E",))
    assert scores == Accuracy(
        mse=0.5,
        rmse=np.sqrt(0.5),
        mae=0.5,
        mape=25.0,
        nmae=0.5 / 3,
        r2={"E": 0.5},
        r2_mean=0.5,
        mse_of_mean=1.25,
        skill=0.6,
    )


def test_nmae_weighs_targets_alike() -> None:
    truth = np.array([[1000.0, 1.0], [3000.0, 3.0]])
    scores = accuracy(truth * (1.1, 1.3), truth, truth.mean(axis=0), ("big", "small"))
    assert scores.nmae == pytest.approx(0.2)


@given(st.integers(0, 10_000), st.floats(1e-6, 1e6))
def test_the_skill_of_unlike_units_is_the_mean_of_each_targets_own(seed: int, factor: float) -> None:
    predictions, truth, train_mean = _case(seed)
    own = [accuracy(predictions[:, [i]], truth[:, [i]], train_mean[[i]], NAMES[i : i + 1]).skill for i in range(3)]
    in_one = np.array([1, factor, 1])  # a target in another unit says nothing else
    scores = accuracy(predictions * in_one, truth * in_one, train_mean * in_one, NAMES, ("GPa", "m", "%"))
    assert scores.skill == pytest.approx(np.mean(own), rel=1e-9, abs=1e-9)


def test_of_unlike_units_a_target_that_the_mean_predicts_does_not_count() -> None:
    predictions, truth, train_mean = _case(1)
    truth[:, 1] = train_mean[1]
    scores = accuracy(predictions, truth, train_mean, NAMES, ("GPa", "m", "%"))
    own = [accuracy(predictions[:, [i]], truth[:, [i]], train_mean[[i]], NAMES[i : i + 1]).skill for i in (0, 2)]
    assert scores.skill == pytest.approx(np.mean(own))
    constant = np.tile(train_mean, (len(truth), 1))
    assert accuracy(predictions, constant, train_mean, NAMES, ("GPa", "m", "%")).skill is None


def test_models_are_chosen_by_the_squared_error_or_where_units_are_unlike_by_what_r2_lacks_to_one() -> None:
    assert error_to_choose_by(4.0, 0.75, ("GPa", "GPa")) == error_to_choose_by(4.0, None, ("GPa", "m")) == 4.0
    assert error_to_choose_by(4.0, 0.75, ("GPa", "m")) == 0.25


@given(st.integers(0, 10_000))
def test_perfect_predictions(seed: int) -> None:
    _, truth, train_mean = _case(seed)
    scores = accuracy(truth, truth, train_mean, NAMES)
    assert (scores.mse, scores.rmse, scores.mae, scores.mape, scores.nmae) == (0, 0, 0, 0, 0)
    assert scores.skill == scores.r2_mean == 1


@given(st.integers(0, 10_000))
def test_the_training_mean_has_no_skill(seed: int) -> None:
    _, truth, train_mean = _case(seed)
    scores = accuracy(np.broadcast_to(train_mean, truth.shape), truth, train_mean, NAMES)
    assert scores.skill == 0
    assert scores.r2_mean is not None
    assert scores.r2_mean <= 0  # the mean of the test truth, which R² holds it against, can only be nearer


@given(st.integers(0, 10_000))
def test_the_order_of_images_does_not_matter(seed: int) -> None:
    predictions, truth, train_mean = _case(seed)
    order = np.random.default_rng(seed).permutation(len(truth))
    _assert_close(
        accuracy(predictions[order], truth[order], train_mean, NAMES), accuracy(predictions, truth, train_mean, NAMES)
    )


@given(st.integers(0, 10_000), st.sampled_from([1e-9, 1e-3, 7.0, 1e9]))
def test_a_change_of_unit(seed: int, factor: float) -> None:
    predictions, truth, train_mean = _case(seed)
    before = accuracy(predictions, truth, train_mean, NAMES)
    after = accuracy(factor * predictions, factor * truth, factor * train_mean, NAMES)
    expected = msgspec.structs.replace(
        before,
        mse=before.mse * factor**2,
        rmse=before.rmse * factor,
        mae=before.mae * factor,
        mse_of_mean=before.mse_of_mean * factor**2,
    )
    _assert_close(after, expected)


def _assert_close(ours: Accuracy, expected: Accuracy) -> None:
    ours_fields, expected_fields = msgspec.structs.asdict(ours), msgspec.structs.asdict(expected)
    assert ours_fields.pop("r2") == pytest.approx(expected_fields.pop("r2"), rel=1e-9)
    assert ours_fields == pytest.approx(expected_fields, rel=1e-9)


def test_float32_predictions_are_scored_in_float64() -> None:
    truth = np.array([[1e8], [1e8 + 2]])
    scores = accuracy(np.array([[1e8], [1e8]], np.float32), truth, np.array([1e8]), ("E",))
    assert scores.mse == 2


@pytest.mark.parametrize("level", [0.0, 5.0, 0.1])
def test_truth_that_does_not_vary_has_no_r2(level: float) -> None:
    predictions, truth, train_mean = _case(1, n=7)
    truth[:, 1] = level  # 0.1 has rounding in its mean
    scores = accuracy(predictions, truth, train_mean, NAMES)
    assert scores.r2["C12"] is None
    assert scores.r2_mean == pytest.approx(np.mean([scores.r2["C11"], scores.r2["C33"]]))


def test_undefined_scores_are_null_and_come_back_as_none() -> None:
    truth = np.zeros((3, 1))
    scores = accuracy(truth + 1, truth, np.zeros(1), ("E",))
    assert (scores.mape, scores.nmae, scores.r2_mean, scores.skill) == (None, None, None, None)
    assert msgspec.json.decode(msgspec.json.encode(scores), type=Accuracy) == scores


def test_one_zero_among_the_truth_leaves_mape_undefined_only() -> None:
    predictions, truth, train_mean = _case(2)
    truth[3, 1] = 0
    scores = accuracy(predictions, truth, train_mean, NAMES)
    assert scores.mape is None
    assert scores.nmae is not None


def test_says_how_many_predictions_are_not_finite() -> None:
    predictions, truth, train_mean = _case(3, n=10)
    predictions[0, 0], predictions[4, 2] = np.nan, np.inf
    with pytest.raises(ValueError, match="2 of 30 predictions are not finite"):
        accuracy(predictions, truth, train_mean, NAMES)


def test_rejects_what_does_not_fit() -> None:
    predictions, truth, train_mean = _case(4)
    with pytest.raises(ValueError, match=r"must be \(n, t\)"):
        accuracy(predictions[:5], truth, train_mean, NAMES)
    with pytest.raises(ValueError, match="t = 2 targets"):
        accuracy(predictions, truth, train_mean, NAMES[:2])
    with pytest.raises(ValueError, match="t = 2 targets"):
        accuracy(predictions, truth, train_mean[:2], NAMES[:2])
    with pytest.raises(ValueError, match="no images"):
        accuracy(predictions[:0], truth[:0], train_mean, NAMES)
