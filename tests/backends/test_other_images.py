"""Backbones on images of other sizes, channels and heads than the suites' own: both frameworks' are one."""

import numpy as np
import pytest
import torch

from backends import keras, onnx, pytorch
from backends._torch_backbones import KerasBatchNorm2d
from harness.model.architecture import (
    Backbone,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool2D,
    Network,
    initial_weights,
    parameter_shapes,
)
from harness.model.backbones import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM, FAMILIES, left_of
from harness.model.variants import Recipe, Schedule, Variant
from harness.protocol import Scaling, Task, TrainingData

HEAD = Recipe(epochs=2, batch_size=4, trains="head")


def task(*shape):
    return Task(shape, ("a", "b"), ("", ""), Scaling((0.0, 0.0), (1.0, 1.0)))


def images(shape, count=8):
    return np.random.default_rng(0).random((count, *shape)).astype(np.float32)


def models(layers, shape, *recipes):
    """The same network in both frameworks, from the same weights."""
    network = Network(tuple(layers))
    made = [backend.build(Variant("flat", "", network, recipes), task(*shape), 0) for backend in (keras, pytorch)]
    for model in made:
        model.set_weights(initial_weights(network, shape, 0))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_backbone_leaves_as_much_as_is_said(family):
    shape = (32, 81, 1)  # 81: 41, 21, 11, 6, 3 rounded up, and 40, 20, 10, 5, 2 rounded down
    layers = Backbone(family), Flatten(), Dense(2, "linear")
    assert (left_of(family, 32), left_of(family, 81)) == (1, 3 if family == "resnet50" else 2)
    assert (
        parameter_shapes(Network(layers), shape)["dense_1/kernel"][0]
        == left_of(family, 81) * ({"vgg16": 512, "resnet50": 2048, "densenet121": 1024}[family])
    )
    ours, theirs = (model.predict(images(shape, 2)) for model in models(layers, shape))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(ours).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    "head",
    [(Flatten(),), (Conv2D(3, 1), Flatten()), (GlobalAveragePool2D(), Flatten()), (Flatten(), Flatten())],
    ids=["flattened", "convolved", "pooled and flattened", "flattened twice"],
)
def test_a_head_of_any_kind_is_trained_alike_on_what_the_backbone_makes_of_images(head):
    shape, truth = (64, 64, 1), np.random.default_rng(1).random((8, 2))
    trained = []
    for model in models((Backbone("vgg16"), *head, Dense(2, "linear")), shape, HEAD):
        features = model.features(images(shape))
        data = TrainingData(features, truth, features, truth)
        model.train(data, HEAD, Schedule.drawn(HEAD, 8, 0), lambda *told: None)
        trained.append(model.predict(images(shape)))
    np.testing.assert_allclose(*trained, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("layers", [(Flatten(), Dense(2, "linear")), (Dense(3), Flatten(), Dense(2, "linear"))])
def test_a_vector_is_flat_already_in_every_backend(layers):
    shape = (5,)
    network = Network(layers)
    predicted = []
    for backend in (keras, pytorch, onnx):
        model = backend.build(Variant("flat", "", network, ()), task(*shape), 0)
        model.set_weights(initial_weights(network, shape, 0))
        predicted.append(model.predict(images(shape)))
    np.testing.assert_allclose(predicted[1:], [predicted[0]] * 2, rtol=1e-5)


def test_what_is_too_small_for_a_backbone_is_refused():
    with pytest.raises(ValueError, match="backbone_1 takes 32 pixels at least each way"):
        parameter_shapes(Network((Backbone("resnet50"), GlobalAveragePool2D())), (31, 64, 1))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_colours_come_to_a_backbone_as_its_own_preprocessing_gives_them(family):
    shape = (32, 32, 3)
    coloured = images(shape, 2)
    module = {"vgg16": "vgg16", "resnet50": "resnet", "densenet121": "densenet"}[family]
    application = getattr(keras.keras.applications, module)
    expected = application.preprocess_input(255 * coloured.astype(np.float64))
    for model in models((Backbone(family), GlobalAveragePool2D(), Dense(2, "linear")), shape):
        found = model.activations(coloured)["backbone_1/preprocessing"]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_batch_norm_of_one_pixel_is_keras_s():
    """One image of which one pixel is left varies by nothing; torch's own batch norm refuses it."""
    values = np.random.default_rng(0).normal(3, 2, (1, 1, 1, 5)).astype(np.float32)
    theirs = keras.keras.layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON)
    ours = KerasBatchNorm2d(5, BATCH_NORM_EPSILON, 1 - BATCH_NORM_MOMENTUM)
    given = torch.from_numpy(values.transpose(0, 3, 1, 2).copy()).requires_grad_()
    for _ in range(2):
        expected = np.asarray(theirs(values, training=True))
        found = ours.train()(given)
        np.testing.assert_allclose(found.detach().numpy().ravel(), expected.ravel(), atol=1e-3)
    (3 * found).sum().backward()
    assert given.grad is not None
    np.testing.assert_allclose(given.grad.numpy(), 0, atol=1e-2)
    np.testing.assert_allclose(ours.running_mean, np.asarray(theirs.moving_mean), rtol=1e-5)
    np.testing.assert_allclose(ours.running_var, np.asarray(theirs.moving_variance), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["resnet50", "densenet121"])
def test_a_batch_of_one_image_of_which_one_pixel_is_left_is_trained_on_alike(family):
    shape, recipe = (32, 32, 1), Recipe()
    layers = Backbone(family), GlobalAveragePool2D(), Dense(2, "linear")
    losses = [model.loss_and_gradients(images(shape, 1), np.ones((1, 2)), recipe)[0] for model in models(layers, shape)]
    np.testing.assert_allclose(*losses, rtol=1e-3)
