"""A network that is somebody's own code, in the backend that is its own: what it freezes, draws and names."""

import numpy as np
import pytest

from backends import classical, keras, pytorch
from harness.errors import BenchError
from harness.model.architecture import Imported
from harness.model.variants import Recipe, Schedule, Variant
from harness.protocol import Scaling, Task, TrainingData

CODE = """
import random
import numpy as np

def Frozen(outputs):
    from torch import nn
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, outputs))
    net[1].requires_grad_(False)
    return net

def AllFrozen(outputs):
    from torch import nn
    return nn.Sequential(nn.Flatten(), nn.Linear(16, outputs)).requires_grad_(False)

def Drawn(outputs):
    import torch
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, outputs))
    with torch.no_grad():
        net[1].weight.copy_(torch.from_numpy(np.random.random((outputs, 16)) + random.random()))
    return net

def Projected():
    from sklearn.linear_model import Ridge
    return Ridge(alpha=np.random.random() + random.random())

def Keras(outputs):
    from keras import Sequential, layers
    return Sequential([layers.Flatten(), layers.Dense(5, activation="relu"), layers.Dense(outputs)])
"""
RECIPE = Recipe(epochs=2, batch_size=4)
TASK = Task((4, 4, 1), ("a", "b"), ("", ""), Scaling((0.0, 0.0), (1.0, 1.0)))
IMAGES = np.random.default_rng(0).random((8, 4, 4, 1)).astype(np.float32)
TRUTH = np.random.default_rng(1).random((8, 2))


@pytest.fixture
def built(tmp_path):
    (tmp_path / "mine.py").write_text(CODE)

    def build(backend, name, seed=0):
        recipes = () if backend is classical else (RECIPE,)
        return backend.build(Variant(name.lower(), "", Imported(f"{tmp_path}/mine.py:{name}"), recipes), TASK, seed)

    return build


def trained(model):
    data = TrainingData(IMAGES, TRUTH, IMAGES, TRUTH)
    model.train(data, RECIPE, Schedule.drawn(RECIPE, 8, 0), lambda *told: None)
    return model.weights()


def test_what_a_torch_module_has_frozen_is_not_trained(built):
    model = built(pytorch, "Frozen")
    before = model.weights()
    assert (model.counts().trainable, model.counts().total) == (5 * 2 + 2, 16 * 5 + 5 + 5 * 2 + 2)
    after = trained(model)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {"model.3.weight", "model.3.bias"}
    _, gradients = model.loss_and_gradients(IMAGES, TRUTH, RECIPE)
    assert set(gradients) == moved


def test_a_torch_module_that_has_frozen_everything_is_refused(built):
    with pytest.raises(BenchError, match=r"mine.py:AllFrozen: has no parameter to train"):
        built(pytorch, "AllFrozen")


def test_what_is_drawn_from_pythons_and_numpys_numbers_hangs_on_the_seed_alone(built):
    first, np_before = built(pytorch, "Drawn", seed=3).weights(), np.random.random(5)
    np.testing.assert_array_equal(built(pytorch, "Drawn", seed=3).weights()["model.1.weight"], first["model.1.weight"])
    np.testing.assert_array_equal(np.random.random(5), np_before)
    assert not np.array_equal(built(pytorch, "Drawn", seed=4).weights()["model.1.weight"], first["model.1.weight"])


def test_so_is_what_an_estimator_draws_when_it_is_made(built):
    first, again, other = (built(classical, "Projected", seed)._estimator.alpha for seed in (3, 3, 4))
    assert first == again != other


def test_names_in_a_keras_model_do_not_hang_on_how_many_were_made_before(built):
    first = list(built(keras, "Keras").weights())
    assert first == list(built(keras, "Keras").weights())
    assert any(name.endswith("dense/kernel") for name in first)
    assert any(name.endswith("dense_1/kernel") for name in first)
