import importlib.util

import numpy as np
import pytest

from backends import classical
from backends.onnx import open_model
from harness.errors import NotExported, Unavailable
from harness.model.architecture import Imported
from harness.model.variants import Variant
from harness.protocol import Classes, Scaling, Task, TrainingData

ESTIMATORS = """
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

def Line(): return Ridge(alpha=1e-3)
def Forest(): return RandomForestRegressor(n_estimators=5)
def Boosted(): return make_pipeline(StandardScaler(), GradientBoostingRegressor(n_estimators=5))
def Told(): return make_pipeline(StandardScaler(), LogisticRegression())

class Unknown(Ridge):
    def predict(self, seen):
        return super().predict(seen) ** 3
"""
SHAPE = (4, 5, 1)


@pytest.fixture
def make(tmp_path):
    (tmp_path / "estimators.py").write_text(ESTIMATORS)

    def make(name, task, seed=0):
        architecture = Imported(f"{tmp_path / 'estimators.py'}:{name}", "scikit-learn", "f" * 64)
        return classical.build(Variant(name, "", architecture), task, seed)

    return make


def numbers(count):
    return Task(
        SHAPE, tuple("abc"[:count]), ("GPa",) * count, Scaling((5.0, 6.0, 7.0)[:count], (2.0, 3.0, 4.0)[:count])
    )


def classes(count):
    return Task(SHAPE, tuple("abc"[:count]), ("",) * count, Classes())


def data(task, seed=0):
    draw = np.random.default_rng(seed)
    images = draw.random((60, *SHAPE), np.float32)
    seen = images.reshape(60, -1)
    answers = (seen - 0.5) @ draw.normal(size=(seen.shape[1], len(task.targets)))
    targets = np.eye(len(task.targets))[answers.argmax(axis=1)] if isinstance(task.scaling, Classes) else answers
    return TrainingData(images, targets, images[:0], targets[:0])


def trained(make, name, task, seed=0, training=None):
    model, training = make(name, task, seed), training or data(task)
    model.train(training, None, None, lambda *_: None)
    return model, training.images, training.targets


def test_a_line_is_found_whatever_the_scaling(make):
    model, images, targets = trained(make, "Line", numbers(3))
    np.testing.assert_allclose(model.predict(images), targets, atol=0.02)
    assert model.counts() is None
    assert model.weights() == {}


@pytest.mark.parametrize(("name", "count"), [("Line", 1), ("Line", 3), ("Forest", 2), ("Boosted", 1), ("Boosted", 3)])
def test_the_exported_file_answers_as_the_estimator(make, tmp_path, name, count):
    """One that answers a single target is one for each of them."""
    model, images, _ = trained(make, name, numbers(count))
    model.export(tmp_path / "model.onnx")
    expected = model.predict(images)
    assert expected.shape == (60, count)
    np.testing.assert_allclose(open_model(tmp_path / "model.onnx").predict(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [2, 3])
def test_classes_are_told_with_probabilities(make, tmp_path, count):
    model, images, targets = trained(make, "Told", classes(count))
    predicted = model.predict(images)
    np.testing.assert_allclose(predicted.sum(axis=1), 1)
    assert np.mean(predicted.argmax(axis=1) == targets.argmax(axis=1)) > 0.9
    model.export(tmp_path / "model.onnx")
    np.testing.assert_allclose(open_model(tmp_path / "model.onnx").predict(images), predicted, atol=1e-5)


def test_a_class_that_no_training_image_has_is_as_good_as_impossible(make, tmp_path):
    task = classes(3)
    whole = data(task)
    seen = whole.targets[:, 1] == 0
    model, images, _ = trained(
        make,
        "Told",
        task,
        training=TrainingData(whole.images[seen], whole.targets[seen], whole.images[:0], whole.targets),
    )
    assert (model.predict(images)[:, 1] < 1e-8).all()
    model.export(tmp_path / "model.onnx")
    np.testing.assert_allclose(open_model(tmp_path / "model.onnx").predict(images), model.predict(images), atol=1e-5)


def test_the_seed_is_what_is_random(make):
    first, again, other = (trained(make, "Forest", numbers(1), seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0].predict(first[1]), again[0].predict(first[1]))
    assert not np.array_equal(first[0].predict(first[1]), other[0].predict(first[1]))


def test_of_no_image_there_is_no_answer(make):
    model, images, _ = trained(make, "Line", numbers(2))
    assert model.predict(images[:0]).shape == (0, 2)


def test_numbers_need_a_regressor_and_classes_a_classifier(make):
    with pytest.raises(Unavailable, match="numbers are to be predicted, and it is no regressor"):
        make("Told", numbers(1))
    with pytest.raises(Unavailable, match="classes are to be told apart, and it is no classifier"):
        make("Line", classes(2))


def test_what_cannot_be_exported_says_why(make, tmp_path, monkeypatch):
    model, *_ = trained(make, "Unknown", numbers(1))
    with pytest.raises(NotExported, match="skl2onnx: "):
        model.export(tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotExported, match=r"pip install 'cijbench\[sklearn\]'"):
        model.export(tmp_path / "model.onnx")
