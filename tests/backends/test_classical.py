"""The classical predictors against closed forms. What every backend must do is in `conformance.py`."""

import numpy as np
import pytest

from backends import classical
from harness.errors import Unavailable
from harness.model.architecture import Estimator
from harness.protocol import Phase
from tests.backends.conformance import PHASES, TARGETS, a_task, a_variant, data, images, train


def fitted(estimator, training, task):
    model = classical.build(a_variant(estimator), task, 0)
    train(model, a_variant(estimator), training)
    return model


def stiffness(phase):
    """6x6 stiffness in Voigt notation, from Lamé's constants."""
    first = phase.young * phase.poisson / ((1 + phase.poisson) * (1 - 2 * phase.poisson))
    shear = phase.young / (2 * (1 + phase.poisson))
    matrix = np.diag([2 * shear] * 3 + [shear] * 3)
    matrix[:3, :3] += first
    return matrix


def voigt_reuss_hill(fraction, phases):
    soft, stiff = map(stiffness, phases)
    voigt = (1 - fraction) * soft + fraction * stiff
    reuss = np.linalg.inv((1 - fraction) * np.linalg.inv(soft) + fraction * np.linalg.inv(stiff))
    mean = (voigt + reuss) / 2
    return [mean[int(name[1]) - 1, int(name[2]) - 1] for name in TARGETS]


@pytest.mark.parametrize("phases", [PHASES, (Phase(1, 0.0), Phase(1000, 0.45)), (Phase(5, 0.3), Phase(5, 0.3))])
def test_voigt_reuss_hill_is_the_mean_of_the_bounds_by_matrix_inversion(phases):
    pictures = np.concatenate([images(6), np.zeros((1, 16, 16, 1), np.float32), np.ones((1, 16, 16, 1), np.float32)])
    model = classical.build(a_variant(Estimator("voigt_reuss_hill")), a_task(phases=phases), 0)
    expected = [voigt_reuss_hill(picture.mean(dtype=np.float64), phases) for picture in pictures]
    np.testing.assert_allclose(model.predict(pictures), expected, rtol=1e-12, atol=1e-12)


def test_voigt_reuss_hill_needs_to_know_the_phases():
    with pytest.raises(Unavailable, match="phases="):
        classical.build(a_variant(Estimator("voigt_reuss_hill")), a_task(phases=None), 0)


def test_voigt_reuss_hill_gives_elastic_constants_only():
    task = a_task()
    task = type(task)(task.input_shape, ("C11", "conductivity"), "1", task.scaling, PHASES)
    with pytest.raises(Unavailable, match="not conductivity"):
        classical.build(a_variant(Estimator("voigt_reuss_hill")), task, 0)


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 100.0])
def test_ridge_is_the_closed_form(alpha):
    """slope = sum (x - mean x)(y - mean y) / (sum (x - mean x)^2 + alpha), on the targets as a network sees them."""
    task = a_task()
    training = data(task)
    model = fitted(Estimator("ridge", alpha), training, task)

    def fractions(pictures):
        return pictures.mean(axis=(1, 2, 3), dtype=np.float64)[:, None]

    x, y = fractions(training.images), (training.targets - task.scaling.offset) / np.array(task.scaling.scale)
    from_mean = x - x.mean()
    slope = from_mean.T @ (y - y.mean(axis=0)) / (np.sum(from_mean**2) + alpha)
    expected = task.scaling.to_physical(y.mean(axis=0) + (fractions(images(9)) - x.mean()) @ slope)
    np.testing.assert_allclose(model.predict(images(9)), expected, rtol=1e-6)
    assert model.counts().total == 18


def test_mean_is_the_training_mean():
    training = data(a_task())
    model = fitted(Estimator("mean"), training, a_task())
    np.testing.assert_allclose(model.predict(images(3)), np.tile(training.targets.mean(axis=0), (3, 1)), rtol=1e-6)
    assert model.counts().total == 9


def test_nothing_is_fitted_for_voigt_reuss_hill():
    model = classical.build(a_variant(Estimator("voigt_reuss_hill")), a_task(), 0)
    assert model.counts().total == 0
    assert model.weights() == {}
