"""The classical predictors against closed forms. What every backend must do is in `conformance.py`."""

import msgspec
import numpy as np
import pytest

from backends import classical
from harness.errors import Unavailable
from harness.model.architecture import Estimator
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
