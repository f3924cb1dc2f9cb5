"""Head-only training two ways, in an interpreter of its own: on features computed once, and as the report does it,
through the frozen network in every epoch.

`python -m tests.backends.frozen BACKEND FAMILY SIZE COUNT EPOCHS SLOW_EPOCHS` prints one JSON object: the largest
difference of the head's weights after SLOW_EPOCHS, and the seconds of both ways.
"""

import contextlib
import importlib
import json
import sys
import time

import msgspec
import numpy as np

from harness.model.architecture import initial_weights
from harness.model.variants import Recipe, Schedule
from tests.backends.conformance import a_task, data, transfer


def keras_through_the_network(model, recipe, training, order, scaling):
    import keras

    whole = model.model
    whole.get_layer("backbone_1").trainable = False
    whole.compile(keras.optimizers.Adam(recipe.learning_rate, epsilon=recipe.epsilon), "mse")
    targets = scaling.to_network(training.targets)
    seconds = []
    for epoch in order:
        begin = time.perf_counter()
        whole.fit(
            training.images[epoch],
            targets[epoch],
            batch_size=recipe.batch_size,
            shuffle=False,
            verbose=0,
            validation_data=(training.validation_images, scaling.to_network(training.validation_targets)),
        )
        seconds.append(time.perf_counter() - begin)
    return seconds


def pytorch_through_the_network(model, recipe, training, order, scaling):
    import torch

    from backends.pytorch import KerasAdam

    module = model.module
    images, targets = torch.from_numpy(training.images), torch.from_numpy(scaling.to_network(training.targets))
    module.requires_grad_(False)
    head = [module.get_submodule(name) for name in ("dense_1", "dense_2")]
    for layer in head:
        layer.requires_grad_(True)
    adam = KerasAdam([parameter for layer in head for parameter in layer.parameters()], recipe)
    seconds = []
    for epoch in order:
        begin = time.perf_counter()
        module.train()
        module.backbone_1.eval()
        for batch in torch.from_numpy(epoch).split(recipe.batch_size):
            adam.zero_grad()
            torch.nn.functional.mse_loss(module(images[batch]), targets[batch]).backward()
            adam.step()
        module.eval()
        with torch.inference_mode():
            module(torch.from_numpy(training.validation_images))
        seconds.append(time.perf_counter() - begin)
    return seconds


def main(name, family, size, count, epochs, slow_epochs):
    backend, task = importlib.import_module(f"backends.{name}"), a_task(size)
    backend.configure(1, "cpu")
    recipe = Recipe(epochs=epochs, trains="head")
    variant, training = transfer(family, recipe), data(task, count)
    schedule = Schedule.drawn(recipe, count, 0)
    weights = initial_weights(variant.architecture, task.input_shape, seed=0)

    def through_the_network():
        model = backend.build(variant, task, 0)
        model.set_weights(weights)
        order = schedule.order[:slow_epochs]
        seconds = globals()[f"{name}_through_the_network"](model, recipe, training, order, task.scaling)
        return model.weights(), seconds

    def on_features(order):
        model = backend.build(variant, task, 0)
        model.set_weights(weights)
        begin = time.perf_counter()
        features = msgspec.structs.replace(
            training,
            images=model.features(training.images),
            validation_images=model.features(training.validation_images),
        )
        model.train(features, recipe, Schedule(order, schedule.batch_size), lambda *told: None)
        return model.weights(), time.perf_counter() - begin

    slow, slow_seconds = through_the_network()
    fast, _ = on_features(schedule.order[:slow_epochs])
    _, seconds = on_features(schedule.order)
    moved = max(float(np.abs(slow[key] - weights[key]).max()) for key in weights if key.startswith("dense"))
    return {
        "difference": max(float(np.abs(slow[key] - fast[key]).max()) for key in weights),
        "moved": moved,
        "seconds": seconds,
        "seconds through the network": slow_seconds,
    }


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        told = main(*sys.argv[1:3], *map(int, sys.argv[3:]))
    print(json.dumps(told))
