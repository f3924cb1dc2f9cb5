"""What every backend must do: run in an interpreter of its own as `python -m tests.backends.conformance MODULE`, or as
`... MODULE CHECK` for one check alone. With `device=cuda` before MODULE the backend computes there.

Prints one JSON object: the name of each check, and "ok", "not for this backend", "unavailable" or the traceback.
`test_conformance.py` makes a test of each, and plants faults that the checks must find.
"""

import contextlib
import importlib
import io
import json
import sys
import tempfile
import traceback
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness import registry
from harness.errors import Unavailable, WeightsError
from harness.model.architecture import (
    Backbone,
    Conv2D,
    Dense,
    Dropout,
    Estimator,
    Flatten,
    GlobalAveragePool2D,
    MaxPool2D,
    Network,
    initial_weights,
    named_layers,
    parameter_shapes,
)
from harness.model.backbones import CHANNELS, shapes
from harness.model.variants import Recipe, Schedule, Variant
from harness.model.weights import load_weights, save_weights
from harness.protocol import Classes, Scaling, Task, TrainingData
from tests.forks import fork_for_each_line

TARGETS = ("C11", "C22", "C33", "C12", "C23", "C13", "C44", "C55", "C66")
SMALL = Network((Conv2D(4, 3), MaxPool2D(), Conv2D(6, 5, "same"), MaxPool2D(), Flatten(), Dense(7), Dense(9, "linear")))
PERIODIC = Network((Conv2D(4, 5, "periodic"), MaxPool2D(), Conv2D(3, 1, "periodic"), Flatten(), Dense(9, "linear")))
BASELINE = Network((Conv2D(8, 3), MaxPool2D(), Conv2D(16, 3), MaxPool2D(), Flatten(), Dense(16), Dense(9, "linear")))
TUNED = Network(
    (
        Conv2D(32, 5, "same"),
        MaxPool2D(),
        Conv2D(64, 5, "same"),
        MaxPool2D(),
        Flatten(),
        Dropout(0.2),
        Dense(64),
        Dense(9, "linear"),
    )
)


def a_task(size=16, scaling=None):
    scaling = scaling or Scaling(tuple(np.linspace(50, 250, 9)), tuple(np.linspace(5, 40, 9)))
    return Task((size, size, 1), TARGETS, ("GPa",) * 9, scaling)


def images(count, size=16, seed=0):
    return (np.random.default_rng(seed).random((count, size, size, 1)) < 0.4).astype(np.float32)


def data(task, count=50):
    """Targets that grow with the share of white."""
    size = task.input_shape[0]
    train, validation = images(count, size, seed=1), images(10, size, seed=2)

    def truth(pictures):
        fraction = pictures.mean(axis=(1, 2, 3), dtype=np.float64)[:, None]
        return np.array(task.scaling.offset) + np.array(task.scaling.scale) * 10 * (fraction - 0.4)

    return TrainingData(train, truth(train), validation, truth(validation))


def a_variant(architecture=SMALL, epochs=8, batch_size=16):
    recipes = (Recipe(epochs=epochs, batch_size=batch_size),) if isinstance(architecture, Network) else ()
    return Variant("conformance", "", architecture, recipes)


class Backend:
    """A backend module and the architectures that the checks try it with."""

    def __init__(self, module, device):
        self.module, self.device = module, device
        self.name = module.__name__.rpartition(".")[2]
        estimators = [Estimator("mean"), Estimator("ridge")]
        estimators += [Estimator("gaussian-process", nu=1.5), Estimator("boosted-trees", trees=20)]
        self.trains = tuple(module.TRAINS)
        # The onnx backend trains nothing, and yet builds networks.
        self.networks = "network" in self.trains or not self.trains
        self.architectures = [SMALL, PERIODIC] if self.networks else estimators

    def configure(self, precision="float32"):
        return self.module.configure(1, self.device, precision)

    def models(self, task=None):
        """One model of each architecture, trained where the backend trains."""
        task = task or a_task()
        for architecture in self.architectures:
            variant = a_variant(architecture)
            model = self.module.build(variant, task, 0)
            if self.trains:
                train(model, variant, data(task))
            yield model, task


def train(model, variant, training, seed=0, on_epoch=lambda *told: None):
    recipe = variant.recipes[0] if variant.recipes else None
    schedule = Schedule.drawn(recipe, len(training.images), seed) if recipe else None
    return model.train(training, recipe, schedule, on_epoch)


CHECKS = {}


def check(function):
    CHECKS[function.__name__.replace("_", " ")] = function
    return function


class NotForThisBackend(Exception):
    pass


def only(condition):
    if not condition:
        raise NotForThisBackend


@check
def configure_tells_versions_as_text(backend):
    told = backend.configure()
    assert told
    assert all(type(key) is str and type(value) is str for key, value in told.items())


@check
def threads_are_those_asked_for(backend):
    only(backend.networks)
    told = backend.configure()
    assert told["intra_op_threads"] == ("unknown" if "on jax" in told.get("keras", "") else "1")  # JAX does not tell


@check
def parameter_counts_are_the_reports(backend):
    only(backend.networks)
    for network, total in ((BASELINE, 51_593), (TUNED, 1_101_321)):
        counts = backend.module.build(a_variant(network), a_task(64), 0).counts()
        assert (counts.total, counts.trainable, counts.non_trainable) == (total, total, 0)
        assert sum(counts.layers.values()) == total
        assert set(counts.layers) == {"conv2d_1", "conv2d_2", "dense_1", "dense_2"}


BACKBONES = {
    "vgg16": (14_723_049, 0, 8_361),
    "resnet50": (23_620_649, 53_120, 32_937),
    "densenet121": (7_054_057, 83_648, 16_553),
}
HEAD_ONLY, FINE_TUNING = (
    Recipe(epochs=3, batch_size=8, trains="head"),
    Recipe(epochs=1, batch_size=8, learning_rate=1e-4),
)


def transfer(family, *recipes):
    return Variant(
        "conformance", "", Network((Backbone(family), GlobalAveragePool2D(), Dense(16), Dense(9, "linear"))), recipes
    )


@check
def backbones_have_the_reports_parameters(backend):
    """And only the moving statistics of their batch norms are none that fine-tuning trains."""
    only("network" in backend.trains)
    for family, (total, statistics, head) in BACKBONES.items():
        for recipes, trainable in (((HEAD_ONLY,), head), ((HEAD_ONLY, FINE_TUNING), total - statistics)):
            counts = backend.module.build(transfer(family, *recipes), a_task(32), 0).counts()
            assert (counts.total, counts.trainable) == (total, trainable), family
            assert sum(counts.layers.values()) == total
            assert set(counts.layers) == {"backbone_1", "dense_1", "dense_2"}


@check
def backbones_have_the_common_names_and_shapes(backend):
    only("network" in backend.trains)
    for family in BACKBONES:
        variant = transfer(family, FINE_TUNING)
        model = backend.module.build(variant, a_task(32), 0)
        given = initial_weights(variant.architecture, (32, 32, 1), seed=3)
        model.set_weights(given)
        found = model.weights()
        assert list(found) == list(parameter_shapes(variant.architecture, (32, 32, 1)))
        for name, array in given.items():
            np.testing.assert_array_equal(found[name], array)


@check
def training_the_head_leaves_the_backbone_alone(backend):
    """Weights and moving statistics to the bit, and what it makes of images, too; fine-tuning moves them all."""
    only("network" in backend.trains)
    task = a_task(32)
    model = backend.module.build(transfer("densenet121", HEAD_ONLY, FINE_TUNING), task, 0)
    before, training = model.weights(), data(task, 24)
    features = model.features(training.images)
    assert features.shape == (24, 1024)
    on_features = msgspec.structs.replace(
        training, images=features, validation_images=model.features(training.validation_images)
    )
    model.train(on_features, HEAD_ONLY, Schedule.drawn(HEAD_ONLY, 24, 0), lambda *told: None)
    after = model.weights()
    np.testing.assert_array_equal(model.features(training.images), features)
    assert all(np.array_equal(after[name], before[name]) == name.startswith("backbone_1/") for name in before)
    model.train(training, FINE_TUNING, Schedule.drawn(FINE_TUNING, 24, 0, 1), lambda *told: None)
    tuned = model.weights()
    same = [name for name in after if np.array_equal(tuned[name], after[name])]
    assert same == [], same


@check
def layers_show_what_they_make_of_an_image(backend):
    """By the common names, channels last, in the order of computation, activation functions included."""
    only("network" in backend.trains)
    model = backend.module.build(a_variant(), a_task(), 0)
    pictures = images(5)
    found = model.activations(pictures)
    assert {name: array.shape for name, array in found.items()} == {
        "conv2d_1": (5, 14, 14, 4),
        "maxpool2d_1": (5, 7, 7, 4),
        "conv2d_2": (5, 7, 7, 6),
        "maxpool2d_2": (5, 3, 3, 6),
        "flatten_1": (5, 54),
        "dense_1": (5, 7),
        "dense_2": (5, 9),
    }
    assert list(found) == [name for name, _ in named_layers(SMALL)]
    assert min(found[name].min() for name in ("conv2d_1", "conv2d_2", "dense_1")) == 0
    np.testing.assert_array_equal(found["flatten_1"], found["maxpool2d_2"].reshape(5, -1))
    np.testing.assert_allclose(a_task().scaling.to_physical(found["dense_2"]), model.predict(pictures), rtol=1e-6)


@check
def a_backbones_layers_are_shown_too(backend):
    only("network" in backend.trains)
    for family in BACKBONES:
        found = backend.module.build(transfer(family), a_task(32), 0).activations(images(2, 32))
        layers = {name.rpartition("/")[0] for name in shapes(family)}
        assert {name for name in found if "/" in name} == {f"backbone_1/{name}" for name in (*layers, "preprocessing")}
        assert found["backbone_1/preprocessing"].shape == (2, 32, 32, 3)
        assert found["backbone_1"].shape == (2, 1, 1, CHANNELS[family])


def classes(count=60, size=16, seed=1):
    """Three classes of images, by their share of white."""
    task = Task((size, size, 1), ("few", "some", "many"), ("",) * 3, Classes())
    pictures = images(count, size, seed)
    which = np.digitize(pictures.mean(axis=(1, 2, 3)), [0.38, 0.42])
    return task, TrainingData(pictures[10:], np.eye(3)[which[10:]], pictures[:10], np.eye(3)[which[:10]])


OF_CLASSES = Network((Conv2D(4, 3), MaxPool2D(), Flatten(), Dense(7), Dense(3, "linear")))


@check
def classes_are_trained_by_cross_entropy_of_their_logits(backend):
    """The loss is NumPy's, and what the last bias feels is probability less target (Bishop 2006, equation 4.109)."""
    only("network" in backend.trains)
    task, training = classes()
    model = backend.module.build(a_variant(OF_CLASSES), task, 0)
    probabilities = model.predict(training.images)
    recipe = Recipe()
    loss, gradients = model.loss_and_gradients(training.images, training.targets, recipe)
    np.testing.assert_allclose(loss, -(training.targets * np.log(probabilities)).sum(axis=1).mean(), rtol=1e-5)
    expected = (probabilities - training.targets).mean(axis=0)
    np.testing.assert_allclose(gradients["dense_2/bias"], expected, rtol=1e-4, atol=1e-6)
    history = train(model, a_variant(OF_CLASSES, epochs=12), training)
    assert history.loss[-1] < history.loss[0]
    assert history.validation_loss[-1] > 0


@check
def class_weights_multiply_the_cross_entropy_of_each_image(backend):
    """And the mean is over images: not over weights, as torch's is of indices. The validation loss is weighted, too."""
    only("network" in backend.trains)
    task, training = classes()
    model = backend.module.build(a_variant(OF_CLASSES), task, 0)
    recipe = Recipe(epochs=1, batch_size=len(training.images), learning_rate=1e-30, class_weights=(0.5, 1.0, 8.0))

    def weighted(images, targets):
        entropies = -(targets * np.log(model.predict(images))).sum(axis=1)
        return (targets @ np.array(recipe.class_weights) * entropies).mean()

    expected = weighted(training.images, training.targets)
    loss, gradients = model.loss_and_gradients(training.images, training.targets, recipe)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    weights = training.targets @ np.array(recipe.class_weights)
    felt = (weights[:, None] * (model.predict(training.images) - training.targets)).mean(axis=0)
    np.testing.assert_allclose(gradients["dense_2/bias"], felt, rtol=1e-4, atol=1e-6)
    history = train(model, Variant("conformance", "", OF_CLASSES, (recipe,)), training)
    np.testing.assert_allclose(history.loss[0], expected, rtol=1e-5)
    expected = weighted(training.validation_images, training.validation_targets)
    np.testing.assert_allclose(history.validation_loss[0], expected, rtol=1e-5)


@check
def an_image_that_is_drawn_twice_counts_twice(backend):
    """As in the order of a recipe that is resampled."""
    only("network" in backend.trains)
    task, training = classes()
    model = backend.module.build(a_variant(OF_CLASSES), task, 0)
    recipe, order = Recipe(epochs=1, batch_size=8, learning_rate=1e-30), np.array([0] * 30 + [7] * 20)
    entropies = -(training.targets * np.log(model.predict(training.images))).sum(axis=1)
    history = model.train(training, recipe, Schedule(order[None], 8), lambda *told: None)
    np.testing.assert_allclose(history.loss[0], entropies[order].mean(), rtol=1e-5)


@check
def the_exported_model_of_classes_gives_the_same_probabilities(backend):
    task, training = classes()
    architectures = [OF_CLASSES] if backend.networks else [Estimator("mean"), Estimator("ridge", alpha=1.0)]
    architectures += [] if backend.networks else [Estimator("boosted-trees", trees=20)]
    for architecture in architectures:
        variant = a_variant(architecture)
        model = backend.module.build(variant, task, 0)
        if backend.trains:
            train(model, variant, training)
        predictions = model.predict(training.validation_images)
        np.testing.assert_allclose(predictions.sum(axis=1), 1, rtol=1e-12)
        assert predictions.min() >= 0
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            with contextlib.redirect_stdout(io.StringIO()):
                model.export(path)
            exported = registry.onnx().open_model(path).predict(training.validation_images)
        np.testing.assert_allclose(exported, predictions, atol=2e-6)


@check
def backbones_take_colours(backend):
    """Three channels of grey are what one channel is repeated to; red, green and blue are not exchanged."""
    only("network" in backend.trains)
    variant, grey = transfer("vgg16"), images(2, 32)
    of_grey = backend.module.build(variant, a_task(32), 0)
    task = msgspec.structs.replace(a_task(32), input_shape=(32, 32, 3))
    coloured = backend.module.build(variant, task, 0)
    coloured.set_weights(of_grey.weights())
    np.testing.assert_allclose(coloured.predict(grey.repeat(3, axis=3)), of_grey.predict(grey), rtol=1e-5)
    red = np.concatenate([grey, 0 * grey, 0 * grey], axis=3)
    of_red, of_blue = (
        coloured.activations(picture)["backbone_1/block1_conv1"] for picture in (red, red[..., ::-1].copy())
    )
    assert np.abs(of_red - of_blue).max() > 0.1 * np.abs(of_red).max()


@check
def gradients_are_the_slopes_of_the_loss(backend):
    """In float64, against central differences along random directions; weights stay as they were."""
    only("network" in backend.trains)
    try:
        told = backend.configure("float64")
    except Unavailable:  # Keras has it on TensorFlow alone
        raise NotForThisBackend from None
    try:
        assert told["precision"] == "float64"
        task, recipe = a_task(), Recipe()
        model, training = backend.module.build(a_variant(), task, 0), data(task, 12)
        rng = np.random.default_rng(1)  # biases of zero would put white-less patches on the edge of the ReLU
        start = {name: array + 0.1 * rng.normal(size=array.shape) for name, array in model.weights().items()}
        model.set_weights(start)
        loss, gradients = model.loss_and_gradients(training.images, training.targets, recipe)
        assert all(array.dtype == np.float64 for array in (*start.values(), *gradients.values()))
        assert list(gradients) == list(start)
        errors = (model.predict(training.images) - training.targets) / np.array(task.scaling.scale)
        np.testing.assert_allclose(loss, np.mean(errors**2), rtol=1e-6)  # the targets are rounded to float32
        for name, array in start.items():
            direction = np.random.default_rng(0).normal(size=array.shape)
            around = []
            for sign in (-1, 1):
                model.set_weights({**start, name: array + sign * 1e-6 * direction})
                around.append(model.loss_and_gradients(training.images, training.targets, recipe)[0])
            slope = (around[1] - around[0]) / 2e-6
            np.testing.assert_allclose(np.sum(gradients[name] * direction), slope, rtol=1e-5, atol=1e-8, err_msg=name)
            np.testing.assert_array_equal(model.weights()[name], array + 1e-6 * direction)
            model.set_weights(start)
    finally:
        backend.configure()


@check
def only_what_a_recipe_trains_has_gradients(backend):
    only("network" in backend.trains)
    task = a_task(32)
    training = data(task, 4)
    model = backend.module.build(transfer("densenet121", HEAD_ONLY), task, 0)
    head = [name for name in model.weights() if name.startswith("dense")]
    before = model.weights()
    _, gradients = model.loss_and_gradients(model.features(training.images), training.targets, HEAD_ONLY)
    assert list(gradients) == head
    for trains in ("all-but-norms", "all"):
        _, gradients = model.loss_and_gradients(training.images, training.targets, Recipe(trains=trains))
        norms = [name for name in before if "_bn/" in name or "/bn/" in name]
        learned = [name for name in norms if not name.rpartition("/")[2].startswith("moving_")]
        expected = set(before) - set(norms) if trains == "all-but-norms" else set(before) - set(norms) | set(learned)
        assert set(gradients) == expected
        moved = {name for name, array in model.weights().items() if not np.array_equal(array, before[name])}
        assert moved == (set() if trains == "all-but-norms" else set(norms) - set(learned))


@check
def a_precision_that_is_not_offered_is_unavailable(backend):
    only("network" not in backend.trains)
    with pytest.raises(Unavailable, match="float32"):
        backend.configure("float64")
    for model, _ in backend.models():
        with pytest.raises(NotImplementedError):
            model.activations(images(2))
        with pytest.raises(NotImplementedError):
            model.loss_and_gradients(images(2), np.zeros((2, 9)), Recipe())


@check
def a_model_without_frozen_layers_has_no_features(backend):
    for model, _ in backend.models():
        with pytest.raises(NotImplementedError):
            model.features(images(2))


@check
def weights_have_the_common_names_and_shapes(backend):
    only(backend.networks)
    model = backend.module.build(a_variant(), a_task(), 0)
    found = model.weights()
    assert {name: array.shape for name, array in found.items()} == parameter_shapes(SMALL, (16, 16, 1))
    assert list(found) == list(parameter_shapes(SMALL, (16, 16, 1)))
    assert all(array.dtype == np.float32 for array in found.values())


@check
def weights_come_back_as_they_were_set(backend):
    for model, _ in backend.models():
        rng = np.random.default_rng(3)
        given = {name: rng.normal(size=array.shape).astype(np.float32) for name, array in model.weights().items()}
        model.set_weights(given)
        for name, array in model.weights().items():
            np.testing.assert_array_equal(array, given[name])


@check
def weights_survive_a_file(backend):
    for model, _ in backend.models():
        with tempfile.TemporaryDirectory() as folder:
            save_weights(Path(folder) / "w.safetensors", model.weights())
            before = model.predict(images(5))
            model.set_weights({name: 0 * array for name, array in model.weights().items()})
            model.set_weights(load_weights(Path(folder) / "w.safetensors"))
            np.testing.assert_array_equal(model.predict(images(5)), before)


@check
def weights_are_a_copy(backend):
    for model, _ in backend.models():
        before = model.predict(images(3))
        copies = model.weights()
        for name in copies:
            copies[name] += 1
        np.testing.assert_array_equal(model.predict(images(3)), before)


@check
def weights_that_do_not_fit_are_refused_and_change_nothing(backend):
    for model, _ in backend.models():
        good = model.weights()
        changed = {name: array + 1 for name, array in good.items()}
        bad = [{**changed, "extra/kernel": np.zeros(2, np.float32)}]
        if good:
            last = list(good)[-1]
            bad.append({name: array for name, array in changed.items() if name != last})
            bad.append({**changed, last: np.zeros((2, 3, 5), np.float32)})
        for weights in bad:
            with pytest.raises(WeightsError):
                model.set_weights(weights)
            for name, array in model.weights().items():
                np.testing.assert_array_equal(array, good[name])


@check
def forward_is_the_arithmetic_of_the_layers(backend):
    """Against plain NumPy, in float64, in the common layout: kernels, flattening, padding and pooling in one go."""
    only(backend.networks)
    task = a_task(scaling=Scaling((0.0,) * 9, (1.0,) * 9))
    model = backend.module.build(a_variant(), task, 0)
    weights = initial_weights(SMALL, (16, 16, 1), seed=5)
    rng = np.random.default_rng(5)
    weights = {name: array + 0.1 * rng.normal(size=array.shape).astype(np.float32) for name, array in weights.items()}
    model.set_weights(weights)
    expected = by_hand(images(6), weights)
    np.testing.assert_allclose(model.predict(images(6)), expected, atol=2e-6 * np.abs(expected).max())


def by_hand(pictures, weights):
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    values = pictures.astype(np.float64)
    values = pooled(np.maximum(convolved(values, w["conv2d_1/kernel"]) + w["conv2d_1/bias"], 0))
    values = np.pad(values, ((0, 0), (2, 2), (2, 2), (0, 0)))
    values = pooled(np.maximum(convolved(values, w["conv2d_2/kernel"]) + w["conv2d_2/bias"], 0))
    values = np.maximum(values.reshape(len(values), -1) @ w["dense_1/kernel"] + w["dense_1/bias"], 0)
    return values @ w["dense_2/kernel"] + w["dense_2/bias"]


@check
def global_pooling_is_the_mean_of_all_pixels(backend):
    """A backbone's last map may be of one pixel, where any pooling is as good."""
    only(backend.networks)
    network = Network((Conv2D(4, 3), GlobalAveragePool2D(), Dense(9, "linear")))
    model = backend.module.build(a_variant(network), a_task(scaling=Scaling((0.0,) * 9, (1.0,) * 9)), 0)
    weights = initial_weights(network, (16, 16, 1), seed=5)
    model.set_weights(weights)
    values = convolved(images(6).astype(np.float64), weights["conv2d_1/kernel"]) + weights["conv2d_1/bias"]
    expected = np.maximum(values, 0).mean(axis=(1, 2)) @ weights["dense_1/kernel"] + weights["dense_1/bias"]
    np.testing.assert_allclose(model.predict(images(6)), expected, atol=2e-6 * np.abs(expected).max())


@check
def periodic_convolutions_go_around_the_image(backend):
    """And so does what is exported."""
    only(backend.networks)
    task = a_task(scaling=Scaling((0.0,) * 9, (1.0,) * 9))
    model = backend.module.build(a_variant(PERIODIC), task, 0)
    weights = initial_weights(PERIODIC, (16, 16, 1), seed=5)
    model.set_weights(weights)
    values = np.pad(images(6).astype(np.float64), ((0, 0), (2, 2), (2, 2), (0, 0)), mode="wrap")
    values = pooled(np.maximum(convolved(values, weights["conv2d_1/kernel"]) + weights["conv2d_1/bias"], 0))
    values = np.maximum(values @ weights["conv2d_2/kernel"][0, 0] + weights["conv2d_2/bias"], 0)
    expected = values.reshape(6, -1) @ weights["dense_1/kernel"] + weights["dense_1/bias"]
    np.testing.assert_allclose(model.predict(images(6)), expected, atol=2e-6 * np.abs(expected).max())
    with tempfile.TemporaryDirectory() as folder:
        model.export(Path(folder) / "model.onnx")
        exported = registry.onnx().open_model(Path(folder) / "model.onnx").predict(images(6))
    np.testing.assert_allclose(exported, expected, atol=2e-6 * np.abs(expected).max())


def convolved(values, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(values, kernel.shape[:2], axis=(1, 2))
    return np.einsum("nyxcij,ijco->nyxo", windows, kernel)


def pooled(values):
    height, width = values.shape[1] // 2, values.shape[2] // 2
    return values[:, : 2 * height, : 2 * width].reshape(len(values), height, 2, width, 2, -1).max(axis=(2, 4))


@check
def training_lowers_the_loss_and_tells_of_every_epoch(backend):
    only("network" in backend.trains)
    variant, told = a_variant(epochs=30), []
    model = backend.module.build(variant, a_task(), 0)
    history = train(model, variant, data(a_task()), on_epoch=lambda *epoch: told.append(epoch))
    assert len(history.loss) == len(history.validation_loss) == 30
    assert history.loss[-1] < 0.9 * history.loss[0]
    assert history.seconds > 0
    assert [epoch for epoch, _, _ in told] == list(range(1, 31))
    np.testing.assert_allclose([loss for _, loss, _ in told], history.loss)


@check
def training_ends_when_it_is_told_to_as_if_it_had_been_so_long(backend):
    only("network" in backend.trains)
    task, ends = a_task(), []
    for epochs, last in ((12, 5), (5, 5)):
        variant = a_variant(epochs=epochs)
        model = backend.module.build(variant, task, 0)
        schedule = Schedule(Schedule.drawn(a_variant(epochs=12).recipes[0], 50, 0).order[:epochs], 16)
        history = model.train(data(task), variant.recipes[0], schedule, lambda epoch, *_, last=last: epoch == last)
        assert len(history.loss) == len(history.validation_loss) == 5
        ends.append(model.weights())
    for name, array in ends[0].items():
        np.testing.assert_array_equal(array, ends[1][name])


@check
def without_validation_images_their_loss_is_no_number(backend):
    only("network" in backend.trains)
    variant, whole = a_variant(epochs=2), data(a_task())
    training = TrainingData(whole.images, whole.targets, whole.images[:0], whole.targets[:0])
    history = train(backend.module.build(variant, a_task(), 0), variant, training)
    assert np.isfinite(history.loss).all()
    assert len(history.validation_loss) == 2
    assert np.isnan(history.validation_loss).all()


@check
def losses_weigh_every_sample_alike(backend):
    """With a vanishing learning rate the epoch's loss is the plain mean over samples, short last batch or not."""
    only("network" in backend.trains)
    task = a_task()
    recipe = Recipe(epochs=1, batch_size=16, learning_rate=1e-30)
    variant = Variant("conformance", "", SMALL, (recipe,))
    model, training = backend.module.build(variant, task, 0), data(task, count=35)
    history = train(model, variant, training)
    for told, pictures, truth in (
        (history.loss[0], training.images, training.targets),
        (history.validation_loss[0], training.validation_images, training.validation_targets),
    ):
        errors = (model.predict(pictures) - truth) / np.array(task.scaling.scale)
        np.testing.assert_allclose(told, np.mean(errors**2), rtol=1e-4)


@check
def the_first_step_is_keras_adams_in_the_schedules_order(backend):
    """One step on one batch moves every weight with a clear gradient by the learning rate, against its sign."""
    only("network" in backend.trains)
    task = a_task()
    recipe = Recipe(epochs=1, batch_size=4, learning_rate=2.0**-10)
    variant = Variant("conformance", "", SMALL, (recipe,))
    training = data(task, count=12)
    start = initial_weights(SMALL, (16, 16, 1), seed=0)

    def after(order):
        model = backend.module.build(variant, task, 0)
        model.set_weights(start)
        model.train(training, recipe, Schedule(np.array([order]), 4), lambda *told: None)
        return model.weights()

    one = after([0, 1, 2, 3])
    step = np.abs(one["dense_2/bias"] - start["dense_2/bias"])
    # Epsilon, divided by sqrt(1 - beta_2) in the first step, slows weights with a small gradient a little.
    assert step.max() <= 2.0**-10 * (1 + 1e-4)
    assert np.median(step) > 0.99 * 2.0**-10
    # The order inside a batch does not matter beyond rounding, which samples are in it does.
    np.testing.assert_allclose(after([3, 2, 1, 0])["dense_1/kernel"], one["dense_1/kernel"], atol=2e-4)
    assert np.abs(after([4, 5, 6, 7])["dense_1/kernel"] - one["dense_1/kernel"]).max() > 5e-4


@check
def each_epoch_shows_what_was_moved_for_it(backend):
    """Two epochs of a batch each, of other images and targets: as if each had been trained on by itself."""
    only("network" in backend.trains)
    task, parts = a_task(), [data(a_task(), count=16) for _ in range(2)]
    parts[1] = msgspec.structs.replace(parts[1], images=images(16, seed=9), targets=parts[0].targets[::-1])
    recipe = Recipe(epochs=2, batch_size=16, learning_rate=1e-30)
    variant = Variant("conformance", "", SMALL, (recipe,))
    model, order = backend.module.build(variant, task, 0), np.stack([np.arange(16), np.arange(16)[::-1]])
    asked = []

    def moved(epoch):
        asked.append(epoch)
        return parts[epoch].images, parts[epoch].targets

    training = msgspec.structs.replace(parts[0], images=parts[0].images * np.nan, moved=moved)
    history = model.train(training, recipe, Schedule(order, 16), lambda *told: None)
    for told, part in zip(history.loss, parts, strict=True):
        errors = (model.predict(part.images) - part.targets) / np.array(task.scaling.scale)
        np.testing.assert_allclose(told, np.mean(errors**2), rtol=1e-4)
    assert asked == [0, 1]


@check
def the_same_seed_gives_the_same_predictions(backend):
    only(backend.trains)
    for architecture in [*backend.architectures, *([TUNED] if backend.networks else [])]:
        size = 16
        variant, found = a_variant(architecture, epochs=3), []
        for _ in range(2):
            model = backend.module.build(variant, a_task(size), 7)
            train(model, variant, data(a_task(size)))
            found.append(model.predict(images(9, size)))
        np.testing.assert_array_equal(found[0], found[1])


@check
def another_seed_gives_other_weights(backend):
    only(backend.networks)
    first, other = (backend.module.build(a_variant(), a_task(), seed).weights() for seed in (0, 1))
    assert not np.array_equal(first["dense_1/kernel"], other["dense_1/kernel"])


@check
def predictions_are_physical(backend):
    """Predictions follow the scaling: the same network outputs, other units."""
    only(backend.networks)
    plain, scaled = a_task(scaling=Scaling((0.0,) * 9, (1.0,) * 9)), a_task()
    outputs = []
    for task in (plain, scaled):
        model = backend.module.build(a_variant(), task, 0)
        model.set_weights(initial_weights(SMALL, (16, 16, 1), seed=0))
        outputs.append(model.predict(images(4)))
    np.testing.assert_allclose(outputs[1], scaled.scaling.to_physical(outputs[0]), rtol=1e-12)


@check
def predictions_have_one_row_an_image_and_hang_on_nothing_else(backend):
    for model, _ in backend.models():
        together = model.predict(images(300))
        assert together.shape == (300, 9)
        assert together.dtype == np.float64
        assert model.predict(images(0)).shape == (0, 9)
        alone = np.concatenate([model.predict(images(300)[i : i + 1]) for i in (0, 128, 299)])
        np.testing.assert_allclose(alone, together[[0, 128, 299]], rtol=1e-5)


@check
def images_are_left_as_they_were(backend):
    for model, _ in backend.models():
        pictures = images(4)
        model.predict(pictures)
        np.testing.assert_array_equal(pictures, images(4))


@check
def the_exported_model_is_the_same_model(backend):
    raw = a_task(scaling=Scaling((0.0,) * 9, (1e9,) * 9))  # labels in N/nm^2
    for task in (a_task(), raw):
        for model, _ in backend.models(task):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.onnx"
                model.export(path)
                registry.onnx().annotate(path, {"unit": "GPa"})
                assert [entry.name for entry in Path(folder).iterdir()] == ["model.onnx"]
                exported = registry.onnx().open_model(path)
            assert exported.input_shape == (None, 16, 16, 1)
            assert exported.output_shape[-1] == 9
            assert exported.metadata["unit"] == "GPa"
            for batch in (1, 7, 32):
                native = model.predict(images(batch))
                difference = np.abs(exported.run(images(batch)) - native).max()
                assert difference <= 1e-5 * np.abs(native).max(), f"batch {batch}: {difference}"


@check
def nothing_is_printed(backend):
    """Standard output is the caller's: results go down it, and tables."""
    with contextlib.redirect_stdout(io.StringIO()) as printed, tempfile.TemporaryDirectory() as folder:
        for model, _ in backend.models():
            model.predict(images(3))
            model.export(Path(folder) / "model.onnx")
    assert printed.getvalue() == ""


@check
def exporting_changes_nothing(backend):
    for model, _ in backend.models():
        before = model.predict(images(5))
        with tempfile.TemporaryDirectory() as folder:
            model.export(Path(folder) / "model.onnx")
        np.testing.assert_array_equal(model.predict(images(5)), before)


@check
def an_export_hangs_on_its_model_alone(backend):
    """And on nothing that the process did before: the same cell gives the same file wherever it is run again."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first", "second"):
            for number, (model, _) in enumerate(backend.models()):
                model.export(Path(folder) / f"{name}-{number}.onnx")
        files = sorted(Path(folder).iterdir())
        half = len(files) // 2
        for first, second in zip(files[:half], files[half:], strict=True):
            assert first.read_bytes() == second.read_bytes(), first.name


@check
def a_device_that_is_not_there_is_unavailable(backend):
    only("network" in backend.trains and backend.device == "cpu")
    with pytest.raises(Unavailable, match=r"device=cuda, but .* finds no (GPU|CUDA device) here"):
        backend.module.configure(1, "cuda")
    backend.configure()


@check
def inference_only_says_so(backend):
    only(not backend.trains)
    with pytest.raises(NotImplementedError, match="inference"):
        train(backend.module.build(a_variant(), a_task(), 0), a_variant(), data(a_task()))


def main(*words):
    devices = [word.removeprefix("device=") for word in words if word.startswith("device=")]
    module_name, *names = [word for word in words if not word.startswith("device=")]
    with contextlib.redirect_stdout(sys.stderr):
        backend = Backend(importlib.import_module(module_name), *devices or ["cpu"])
        backend.configure()
        outcome = {}
        for name in names or CHECKS:
            try:
                CHECKS[name](backend)
                outcome[name] = "ok"
            except NotForThisBackend:
                outcome[name] = "not for this backend"
            except Unavailable as unavailable:
                outcome[name] = f"unavailable: {unavailable}"
            except BaseException:  # pytest's own failures are no Exceptions
                outcome[name] = traceback.format_exc()
            print(f"{name}: {outcome[name].splitlines()[0]}", flush=True)  # it may take minutes
    print(json.dumps(outcome))


def in_a_folder(folder, *words):
    """Of a module that lies in a folder."""
    sys.path.insert(0, folder)
    main(*words)


if __name__ == "__main__":
    if sys.argv[1:] == ["forks"]:
        fork_for_each_line(in_a_folder)
    else:
        main(*sys.argv[1:])
