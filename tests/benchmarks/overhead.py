"""Training through the harness and by hand, in turns, in one interpreter: `python -m tests.benchmarks.overhead NAME`.

Prints the seconds of each round as JSON. By hand means the fastest that we could write for the same recipe, each time
from a fresh model: Keras's `fit` on tf.data without autotuning (on arrays it takes up to three times as long), and in
torch a plain loop over tensors whose channels come last (first takes 40% longer).
"""

import contextlib
import importlib
import json
import sys
import time

import msgspec

from harness import registry
from harness.judging.records import Settings
from harness.model.architecture import initial_weights
from harness.model.variants import Schedule
from harness.protocol import TrainingData
from harness.running.data import task as task_of

EPOCHS, ROUNDS = 20, 6


def keras_by_hand(network, recipe, data, scaling):
    import keras
    import tensorflow as tf

    def dataset(images, targets):
        options = tf.data.Options()
        options.autotune.enabled = False
        return tf.data.Dataset.from_tensor_slices((images, scaling.to_network(targets))).with_options(options)

    def train():
        model = keras.Sequential(
            [
                keras.Input((64, 64, 1)),
                keras.layers.Conv2D(8, 3, activation="relu"),
                keras.layers.MaxPooling2D(2),
                keras.layers.Conv2D(16, 3, activation="relu"),
                keras.layers.MaxPooling2D(2),
                keras.layers.Flatten(),
                keras.layers.Dense(16, activation="relu"),
                keras.layers.Dense(9),
            ]
        )
        model.compile(optimizer=keras.optimizers.Adam(recipe.learning_rate), loss="mse")
        training = dataset(data.images, data.targets).shuffle(len(data.images)).batch(32)
        validation = dataset(data.validation_images, data.validation_targets).batch(32)
        model.fit(training, epochs=EPOCHS, validation_data=validation, verbose=0)

    return train


def pytorch_by_hand(network, recipe, data, scaling):
    import torch
    from torch import nn

    def tensors(images, targets):
        return torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(scaling.to_network(targets))

    images, targets = tensors(data.images, data.targets)
    validation_images, validation_targets = tensors(data.validation_images, data.validation_targets)

    def train():
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(3136, 16),
            nn.ReLU(),
            nn.Linear(16, 9),
        ).to(memory_format=torch.channels_last)
        adam = torch.optim.Adam(model.parameters(), recipe.learning_rate, fused=True)
        for _ in range(EPOCHS):
            model.train()
            for batch in torch.randperm(len(images)).split(32):
                adam.zero_grad()
                loss = nn.functional.mse_loss(model(images[batch]), targets[batch])
                loss.backward()
                adam.step()
            model.eval()
            with torch.inference_mode():
                nn.functional.mse_loss(model(validation_images), validation_targets).item()

    return train


def main(name):
    backend, suite = importlib.import_module(f"backends.{name}"), registry.suite("elasticity")
    backend.configure(1, "cpu")
    dataset = suite.load(None, {})
    split = suite.split(dataset)
    task = task_of(suite, dataset, split, Settings())
    variant = next(variant for variant in suite.VARIANTS if variant.name == "baseline")
    recipe = msgspec.structs.replace(variant.recipes[0], epochs=EPOCHS)
    parts = [(dataset.images[part], dataset.targets[part]) for part in (split.train, split.validation)]
    data = TrainingData(*parts[0], *parts[1])

    by_hand = globals()[f"{name}_by_hand"](variant.architecture, recipe, data, task.scaling)
    schedule = Schedule.drawn(recipe, len(split.train), 0)

    def harness():
        model = backend.build(variant, task, 0)
        model.set_weights(initial_weights(variant.architecture, task.input_shape, 0))
        model.train(data, recipe, schedule, lambda *told: None)

    ways = [("by hand", by_hand), ("harness", harness)]
    seconds = {way: [] for way, _ in ways}
    for round_number in range(ROUNDS + 1):
        for way, train in ways if round_number % 2 else reversed(ways):  # who goes first changes
            begin = time.perf_counter()
            train()
            if round_number:  # the first round traces graphs and warms caches
                seconds[way].append(time.perf_counter() - begin)
    return seconds


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        measured = main(sys.argv[1])
    print(json.dumps(measured))
