"""The classical predictors against closed forms. What every backend must do is in `conformance.py`."""

import msgspec
import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_sample_weight

from backends import classical, onnx
from harness.errors import Unavailable
from harness.model.architecture import Estimator
from harness.protocol import Classes, Task, TrainingData
from tests.backends.conformance import a_task, a_variant, data, images, train


def fitted(estimator, training, task):
    model = classical.build(a_variant(estimator), task, 0)
    train(model, a_variant(estimator), training)
    return model


def test_identity_answers_what_it_sees():
    task = msgspec.structs.replace(a_task(), input_shape=(9,))
    model = classical.build(a_variant(Estimator("identity")), task, 0)
    seen = np.random.default_rng(0).random((4, 9)).astype(np.float32)
    np.testing.assert_array_equal(model.predict(seen), seen)
    assert model.counts().total == 0
    assert model.weights() == {}


def test_identity_needs_one_number_for_each_target():
    with pytest.raises(Unavailable, match="not one for each of"):
        classical.build(a_variant(Estimator("identity")), a_task(), 0)


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 100.0])
def test_ridge_is_the_closed_form(alpha):
    """slope = sum (x - mean x)(y - mean y) / (sum (x - mean x)^2 + alpha), on the targets as a network sees them."""
    task = msgspec.structs.replace(a_task(), input_shape=(1,))
    seen = data(a_task())

    def fractions(pictures):
        return pictures.mean(axis=(1, 2, 3), dtype=np.float64)[:, None].astype(np.float32)

    training = msgspec.structs.replace(
        seen, images=fractions(seen.images), validation_images=fractions(seen.validation_images)
    )
    model = fitted(Estimator("ridge", alpha), training, task)
    x = training.images.astype(np.float64)
    y = (training.targets - task.scaling.offset) / np.array(task.scaling.scale)
    from_mean = x - x.mean()
    slope = from_mean.T @ (y - y.mean(axis=0)) / (np.sum(from_mean**2) + alpha)
    expected = task.scaling.to_physical(y.mean(axis=0) + (fractions(images(9)) - x.mean()) @ slope)
    np.testing.assert_allclose(model.predict(fractions(images(9))), expected, rtol=1e-6)
    assert model.counts().total == 18


def test_mean_is_the_training_mean():
    training = data(a_task())
    model = fitted(Estimator("mean"), training, a_task())
    np.testing.assert_allclose(model.predict(images(3)), np.tile(training.targets.mean(axis=0), (3, 1)), rtol=1e-6)
    assert model.counts().total == 9


def descriptors(count=60, seed=0):
    """A task on five numbers, and what is smooth in them."""
    task = msgspec.structs.replace(a_task(), input_shape=(5,))
    draw = np.random.default_rng(seed)
    seen = draw.normal(size=(count, 5)).astype(np.float32)
    smooth = np.sin(seen @ draw.normal(size=(5, 9)) / 2) + 0.01 * draw.normal(size=(count, 9))
    training = msgspec.structs.replace(data(a_task()), images=seen, targets=task.scaling.to_physical(smooth))
    return task, training, draw.normal(size=(20, 5)).astype(np.float32)


@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5])
def test_a_process_is_scikit_learns(nu):
    task, training, others = descriptors()
    model = fitted(Estimator("gaussian-process", nu=nu), training, task)
    kernel = ConstantKernel(10.0, (1e-2, 1e5)) * Matern(4.0, (1e-1, 1e4), nu=nu) + WhiteKernel(1e-2, (1e-8, 1))
    theirs = GaussianProcessRegressor(kernel).fit(
        training.images.astype(float), task.scaling.to_network(training.targets).astype(float)
    )
    expected = task.scaling.to_physical(theirs.predict(others.astype(float)))
    np.testing.assert_allclose(model.predict(others), expected, rtol=1e-4)
    assert model.counts().total == 60 * (5 + 9) + 1


@pytest.mark.parametrize("depth", [1, 3])
def test_trees_are_scikit_learns(depth):
    task, training, others = descriptors()
    model = fitted(Estimator("boosted-trees", depth=depth, rate=0.05, trees=40), training, task)
    wanted = task.scaling.to_network(training.targets).astype(float)
    theirs = [
        GradientBoostingRegressor(learning_rate=0.05, n_estimators=40, max_depth=depth, random_state=0)
        .fit(training.images, column)
        .predict(others)
        for column in wanted.T
    ]
    np.testing.assert_allclose(model.predict(others), task.scaling.to_physical(np.stack(theirs, axis=1)), rtol=1e-5)
    # Also where a feature lies on a threshold: thresholds are rounded down to float32, as features are.
    np.testing.assert_allclose(model.predict(training.images), [model.predict(row[None])[0] for row in training.images])


@pytest.mark.parametrize("estimator", [Estimator("gaussian-process"), Estimator("boosted-trees", trees=30)])
def test_what_is_exported_predicts_alike(estimator, tmp_path):
    """A process with next to no noise has large coefficients, which nearly cancel: single precision would not do."""
    task, training, others = descriptors(count=200)
    model = fitted(estimator, training, task)
    model.export(tmp_path / "model.onnx")
    exported = onnx.open_model(tmp_path / "model.onnx").predict(others)
    np.testing.assert_allclose(exported, model.predict(others), rtol=2e-6)


def test_a_process_of_too_many_images_says_so(monkeypatch):
    monkeypatch.setattr(classical, "LARGEST_PROCESS", 50)
    task, training, _ = descriptors()
    with pytest.raises(Unavailable, match="60 training images: its work grows with their number cubed, and 50"):
        fitted(Estimator("gaussian-process"), training, task)


def of_classes(count, known=None, seed=0):
    """A task on five numbers, of so many classes, of which those `known` alone are in the training data."""
    draw = np.random.default_rng(seed)
    seen = draw.normal(size=(120, 5)).astype(np.float32)
    which = (seen @ draw.normal(size=(5, count)) + draw.normal(size=(120, count))).argmax(axis=1)
    which = which if known is None else np.array(known)[which % len(known)]
    wanted = np.eye(count)[which]
    task = Task((5,), tuple(f"class_{number}" for number in range(count)), ("",) * count, Classes())
    return task, TrainingData(seen, wanted, seen, wanted), which, draw.normal(size=(20, 5)).astype(np.float32)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_line_of_classes_is_scikit_learns_logistic_regression(count):
    task, training, which, others = of_classes(count)
    model = fitted(Estimator("ridge", alpha=0.5), training, task)
    theirs = LogisticRegression(C=2.0, max_iter=1000).fit(training.images.astype(np.float64), which)
    np.testing.assert_allclose(model.predict(others), theirs.predict_proba(others.astype(np.float64)), atol=1e-5)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_trees_of_classes_are_scikit_learns(count):
    task, training, which, others = of_classes(count)
    model = fitted(Estimator("boosted-trees", trees=30, depth=2), training, task)
    theirs = GradientBoostingClassifier(n_estimators=30, max_depth=2, learning_rate=0.1, random_state=0)
    theirs.fit(training.images.astype(np.float64), which)
    np.testing.assert_allclose(model.predict(others), theirs.predict_proba(others), atol=1e-5)


@pytest.mark.parametrize("count", [2, 3])
def test_class_weights_are_scikit_learns(count):
    task, training, which, others = of_classes(count)
    factors = (1.0, 8.0, 0.5)[:count]
    weights = dict(enumerate(factors))
    seen = training.images.astype(np.float64)
    model = fitted(Estimator("ridge", alpha=0.5, class_weights=factors), training, task)
    theirs = LogisticRegression(C=2.0, max_iter=1000, class_weight=weights).fit(seen, which)
    np.testing.assert_allclose(model.predict(others), theirs.predict_proba(others.astype(np.float64)), atol=1e-5)
    model = fitted(Estimator("boosted-trees", trees=30, depth=2, class_weights=factors), training, task)
    trees = GradientBoostingClassifier(n_estimators=30, max_depth=2, learning_rate=0.1, random_state=0)
    trees.fit(seen, which, sample_weight=compute_sample_weight(weights, which))
    np.testing.assert_allclose(model.predict(others), trees.predict_proba(others), atol=1e-5)


@pytest.mark.parametrize("method", ["mean", "identity", "gaussian-process"])
def test_what_counts_all_images_alike_takes_no_class_weights(method):
    with pytest.raises(ValueError, match="takes no class_weights"):
        Estimator(method, class_weights=(1.0, 2.0))


def test_the_mean_of_classes_is_their_frequencies():
    task, training, which, others = of_classes(3)
    model = fitted(Estimator("mean"), training, task)
    np.testing.assert_allclose(model.predict(others), np.tile(np.bincount(which) / len(which), (20, 1)), rtol=1e-6)


@pytest.mark.parametrize("known", [[0, 2], [1, 2, 3]])
@pytest.mark.parametrize("method", ["mean", "ridge", "boosted-trees"])
def test_a_class_that_no_training_image_has_is_hardly_expected(method, known):
    task, training, _, others = of_classes(4, known)
    predictions = fitted(Estimator(method, trees=10), training, task).predict(others)
    unknown = [number for number in range(4) if number not in known]
    assert predictions[:, unknown].max() < 1e-6
    assert predictions[:, known].min() > 1e-6
    np.testing.assert_allclose(predictions.sum(axis=1), 1)


@pytest.mark.parametrize("method", ["ridge", "boosted-trees"])
def test_one_class_alone_is_nothing_to_tell_apart(method):
    task, training, _, _ = of_classes(3, known=[1])
    with pytest.raises(Unavailable, match="all of one class"):
        fitted(Estimator(method), training, task)


def test_a_process_is_of_numbers():
    task, *_ = of_classes(2)
    with pytest.raises(Unavailable, match="numbers, not classes"):
        classical.build(a_variant(Estimator("gaussian-process")), task, 0)
