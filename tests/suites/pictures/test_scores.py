"""Scores of classes against scikit-learn's, and what it has not against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)

from suites.pictures import scores

SEEDS = st.integers(0, 10_000)


def drawn(seed, classes=3, count=60, levels=0):
    """Probabilities (count, classes), of so many levels where they are to be tied, and truth with rare classes."""
    draw = np.random.default_rng(seed)
    probabilities = draw.dirichlet(np.ones(classes), count)
    if levels:
        probabilities = np.ceil(probabilities * levels)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    truth = np.eye(classes)[draw.choice(classes, count, p=np.arange(1, classes + 1) / sum(range(classes + 1)))]
    return probabilities, truth, truth.argmax(axis=1), probabilities.argmax(axis=1)


@given(SEEDS)
def test_answers_are_scored_as_scikit_learn_scores_them(seed):
    probabilities, truth, right, answered = drawn(seed)
    assert scores.accuracy(probabilities, truth) == pytest.approx(accuracy_score(right, answered))
    assert scores.balanced_accuracy(probabilities, truth) == pytest.approx(balanced_accuracy_score(right, answered))
    assert scores.log_loss(probabilities, truth) == pytest.approx(log_loss(right, probabilities, labels=range(3)))
    theirs = f1_score(right, answered, average="macro", labels=range(3), zero_division=0)
    assert scores.macro_f1(probabilities, truth) == pytest.approx(theirs)
    for of in range(3):
        theirs = precision_recall_fscore_support(right, answered, labels=[of], zero_division=0)[:3]
        np.testing.assert_allclose(scores.precision_recall_f1(probabilities, truth, of), np.ravel(theirs))


@given(SEEDS, st.sampled_from([0, 2, 5]))
def test_average_precision_is_scikit_learns_whatever_is_tied(seed, levels):
    probabilities, truth, *_ = drawn(seed, levels=levels)
    for of in np.flatnonzero(truth.any(axis=0)):
        theirs = average_precision_score(truth[:, of], probabilities[:, of])
        assert scores.average_precision(probabilities, truth, of) == pytest.approx(theirs)


def test_who_always_answers_the_same_has_the_share_of_the_rare_class_and_finds_nothing():
    truth = np.eye(2)[[1] * 2 + [0] * 98]
    always = np.tile([0.98, 0.02], (100, 1))
    assert scores.accuracy(always, truth) == pytest.approx(0.98)
    assert scores.precision_recall_f1(always, truth, 1) == (0.0, 0.0, 0.0)
    assert scores.average_precision(always, truth, 1) == pytest.approx(0.02)
    assert scores.calibration_error(always, truth) == pytest.approx(0)
    assert np.isnan(scores.average_precision(always[2:], truth[2:], 1))


@given(SEEDS)
def test_the_calibration_error_is_what_counting_bin_by_bin_gives(seed):
    probabilities, truth, right, answered = drawn(seed)
    expected, sure = 0.0, probabilities.max(axis=1)
    for number in range(10):
        inside = [i for i in range(60) if number / 10 <= sure[i] < (number + 1) / 10 or (number == 9 and sure[i] == 1)]
        if inside:
            accuracy = np.mean([right[i] == answered[i] for i in inside])
            expected += len(inside) / 60 * abs(accuracy - np.mean(sure[inside]))
    assert scores.calibration_error(probabilities, truth) == pytest.approx(expected, abs=1e-12)
