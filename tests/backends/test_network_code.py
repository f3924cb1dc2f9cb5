"""A network that is somebody's own code, in the backend that is its own: what it freezes, draws and names."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from backends import classical, keras, onnx, pytorch
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

AT_IMPORT = np.random.random()

def AtImport():
    from sklearn.linear_model import Ridge
    return Ridge(alpha=AT_IMPORT)

def Replaced(outputs):
    import torch
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = torch.nn.Linear(16, outputs)
            self.register_buffer("mean", torch.zeros(()))
        def forward(self, images):
            if self.training:
                self.mean = 0.9 * self.mean + 0.1 * images.mean().detach()
            return self.line(images.flatten(1)) + self.mean
    return Net()

def line(outputs, answer):
    import torch
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = torch.nn.Linear(16, outputs)
        def forward(self, images):
            return answer(self.line(images.flatten(1)), images)
    return Net()

def Squeezed(outputs):
    return line(outputs, lambda found, images: found.squeeze())

def Several(outputs):
    return line(outputs, lambda found, images: (found, images))

def Complex(outputs):
    import torch
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.waves = torch.nn.Parameter(torch.zeros(16, outputs, dtype=torch.complex64))
        def forward(self, images):
            return (images.flatten(1).to(torch.complex64) @ self.waves).real
    return Net()

def Half(outputs):
    import torch
    return line(outputs, lambda found, images: found.to(torch.bfloat16))

def KerasFrozen(outputs):
    from keras import Sequential, layers
    return Sequential([layers.Flatten(), layers.Dense(outputs, trainable=False)])

def KerasSeveral(outputs):
    import keras
    given = keras.Input((4, 4, 1))
    flat = keras.layers.Flatten()(given)
    return keras.Model(given, [keras.layers.Dense(outputs)(flat), flat])

def KerasLoop(outputs):
    from keras import Sequential, layers
    return Sequential([layers.Reshape((4, 4)), layers.GRU(3), layers.Dense(outputs)])

def Keras(outputs):
    from keras import Sequential, layers
    return Sequential([layers.Flatten(), layers.Dense(5, activation="relu"), layers.Dense(outputs)])
"""
HALVES = """
import keras
keras.config.set_dtype_policy("mixed_float16")

def Keras(outputs):
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(outputs)])
"""
RECIPE = Recipe(epochs=2, batch_size=4)
TASK = Task((4, 4, 1), ("a", "b"), ("", ""), Scaling((0.0, 0.0), (1.0, 1.0)))
IMAGES = np.random.default_rng(0).random((8, 4, 4, 1)).astype(np.float32)
TRUTH = np.random.default_rng(1).random((8, 2))


@pytest.fixture
def built(tmp_path):
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / "halves.py").write_text(HALVES)

    def build(backend, name, seed=0):
        recipes = () if backend is classical else (RECIPE,)
        return backend.build(
            Variant("mine", "", Imported(f"{tmp_path}/{name if '.py' in name else f'mine.py:{name}'}"), recipes),
            TASK,
            seed,
        )

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


@pytest.mark.parametrize("seed", [3, 4])
def test_what_a_module_draws_when_it_is_imported_hangs_on_no_seed(built, seed):
    """It is imported once in a process, for whichever seed comes first."""
    found = built(classical, "AtImport", seed)._estimator.alpha
    np.random.seed(0)
    assert found == np.random.random()


def test_a_buffer_that_is_replaced_is_known_as_it_is(built):
    model = built(pytorch, "Replaced")
    after = trained(model)
    assert 0 < after["model.mean"] == model.module.model.mean
    other = built(pytorch, "Replaced")
    trained(other)
    other.set_weights(after)
    np.testing.assert_array_equal(other.predict(IMAGES), model.predict(IMAGES))


@pytest.mark.parametrize(
    ("backend", "name", "told"),
    [
        (pytorch, "Squeezed", r"answers \(2,\) for one image, and not \(1, 2\)"),
        (pytorch, "Several", "answers a tuple, and not one array"),
        (pytorch, "Complex", "has complex parameters"),
        (keras, "KerasFrozen", "has no variable to train"),
        (keras, "KerasSeveral", "answers a list, and not one array"),
    ],
)
def test_code_that_cannot_be_trained_is_refused_by_its_path(built, backend, name, told):
    with pytest.raises(BenchError, match=f"mine.py:{name}: {told}"):
        built(backend, name)


def test_code_may_answer_in_half_precision(built):
    model = built(pytorch, "Half")
    trained(model)
    assert np.isfinite(model.predict(IMAGES)).all()


def test_a_precision_that_code_chose_is_not_that_of_the_targets_of_what_is_exported(built, tmp_path):
    policy = keras.keras.config.dtype_policy()
    task = msgspec.structs.replace(TASK, scaling=Scaling((2e5, 2e5), (1e5, 1e5)))  # beyond half precision
    try:
        built(keras, "halves.py:Keras")
        model = keras.build(Variant("mine", "", Imported(f"{tmp_path}/halves.py:Keras"), (RECIPE,)), task, 0)
        assert model.model.layers[-1].compute_dtype == "float16"
        model.export(tmp_path / "halves.onnx")
        found = onnx.open_model(tmp_path / "halves.onnx").predict(IMAGES)
        np.testing.assert_allclose(found, model.predict(IMAGES), rtol=0.01)
    finally:
        keras.keras.config.set_dtype_policy(policy)


def test_a_full_disk_is_not_what_an_exporter_cannot_write(built):
    for backend, name in ((pytorch, "Frozen"), (keras, "Keras")):
        with pytest.raises(OSError, match="No space left"):
            built(backend, name).export(Path("/dev/full"))


MAKES = """
import sys
from pathlib import Path
from backends import keras
from tests.backends.test_network_code import RECIPE, TASK, Imported, Variant

for name in sys.argv[3:]:
    built = keras.build(Variant("mine", "", Imported(f"{sys.argv[1]}/mine.py:{name}"), (RECIPE,)), TASK, 0)
    built.export(Path(sys.argv[2]))
    print(*built.weights())
"""


@pytest.mark.slow
def test_a_keras_model_with_a_loop_answers_alike_when_its_names_are_counted_anew(built, tmp_path):
    built(keras, "Keras").export(tmp_path / "before.onnx")  # so that the next does not count from one
    model = built(keras, "KerasLoop")
    model.export(tmp_path / "loop.onnx")
    np.testing.assert_allclose(
        onnx.open_model(tmp_path / "loop.onnx").predict(IMAGES), model.predict(IMAGES), atol=1e-5
    )


@pytest.mark.slow
def test_equal_keras_models_make_equal_files_each_in_a_process_of_its_own(built, tmp_path):
    files, told = (tmp_path / "one.onnx", tmp_path / "other.onnx"), []
    for file in files:
        command = [sys.executable, "-c", MAKES, str(tmp_path), str(file), "Keras"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        told.append(done.stdout)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert told[0] == told[1]
