import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from harness.protocol import Predicted
from suites.constituents import pictures
from suites.pictures.scores import average_precision


def predicted(seeds=2, classes=3, count=40, test="test", model="a model", seed=0):
    draw = np.random.default_rng(seed)
    truth = np.eye(classes)[draw.integers(classes, size=count)]
    return Predicted(model, "classical", test, truth, draw.dirichlet(np.ones(classes), (seeds, count)))


def always(found):
    return Predicted("frequencies", "classical", found.test, found.truth, np.full((1, *found.truth.shape), 1 / 3))


def test_the_confusion_matrix_is_scikit_learns():
    found = predicted()
    right = found.truth.argmax(axis=1)
    theirs = [confusion_matrix(right, one.argmax(axis=1), normalize="true") for one in found.predictions]
    np.testing.assert_allclose(pictures.confusion(found), np.mean(theirs, axis=0))
    np.testing.assert_allclose(pictures.confusion(found).sum(axis=1), 1)


def test_a_class_that_no_image_has_is_taken_for_nothing():
    found = predicted()
    truth = np.eye(3)[np.zeros(40, int)]
    shares = pictures.confusion(Predicted("m", "b", "test", truth, found.predictions))
    assert np.isfinite(shares[0]).all()
    assert np.isnan(shares[1:]).all()


def test_who_always_answers_the_same_has_no_matrix(tmp_path):
    found = predicted()
    assert pictures.draw_confusion([always(found)], ("a", "b", "c"), tmp_path) == []
    assert pictures.draw_confusion([], ("a", "b", "c"), tmp_path) == []
    drawn = pictures.draw_confusion([always(found), found], ("a", "b", "c"), tmp_path)
    assert [path.name for path in drawn] == ["confusion.png"]
    assert drawn[0].read_bytes().startswith(b"\x89PNG")


def test_the_area_has_an_interval_over_images():
    found = predicted(classes=2, count=200)
    area, low, high = pictures.interval(found, 1)
    assert area == pytest.approx(np.mean([average_precision(one, found.truth, 1) for one in found.predictions]))
    assert low < area < high
    assert high - low < 0.3


@pytest.mark.parametrize("decimals", [1, 9], ids=["images share probabilities", "none do"])
def test_areas_of_draws_are_those_of_the_images_drawn(decimals):
    draw, count = np.random.default_rng(0), 60
    probabilities, truth = np.round(draw.uniform(size=(count, 1)), decimals), draw.integers(2, size=(count, 1))
    rows = [draw.integers(count, size=count) for _ in range(20)]
    found = pictures._areas(probabilities[:, 0], truth[:, 0], np.array([np.bincount(r, minlength=count) for r in rows]))
    np.testing.assert_allclose(found, [average_precision(probabilities[r], truth[r], 0) for r in rows], rtol=1e-12)


def test_curves_of_every_test_are_drawn_beside_labels_of_another_version(tmp_path):
    both = [predicted(classes=2, test=test) for test in ("test", "relabelled")]
    ceiling = {"relabelled": {"precision": 0.8, "recall": 0.7}}
    drawn = pictures.draw_precision_and_recall(both, 1, ceiling, tmp_path)
    assert [path.name for path in drawn] == ["precision-recall.png"]
    assert pictures.draw_precision_and_recall([], 1, {}, tmp_path) == []
