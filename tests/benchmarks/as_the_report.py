"""The report's models as its listings train them: `python -m tests.benchmarks.as_the_report`, which prints seconds.

One Keras process on all cores: `fit` on arrays, pictures through the frozen backbone in every epoch, all 24
configurations of the grid one after the other. Epochs are those of `profile=standard`. A head's epochs are alike, so
that `TIMED` of them are run and stand for all.
"""

import contextlib
import itertools
import json
import sys
import time

import keras
from keras import layers, optimizers

from harness import registry

HEADS, TUNING, SEARCH = 100, 4, 10
TIMED = 6
FAMILIES = {
    "vgg16": (keras.applications.VGG16, keras.applications.vgg16.preprocess_input),
    "resnet50": (keras.applications.ResNet50, keras.applications.resnet50.preprocess_input),
    "densenet121": (keras.applications.DenseNet121, keras.applications.densenet.preprocess_input),
}


def main():
    suite = registry.suite("elasticity")
    dataset = suite.load(None, {})
    split = suite.split(dataset)
    scale = dataset.targets[split.train].std(axis=0)
    parts = [
        (dataset.images[rows], (dataset.targets[rows] / scale).astype("float32"))
        for rows in (split.train, split.validation, split.test)
    ]
    begin = time.perf_counter()
    fit(baseline(), parts, HEADS)
    seconds = {"baseline": time.perf_counter() - begin}
    begin = time.perf_counter()
    grid = list(itertools.product((8, 16, 32), (3, 5), (0.0, 0.2), (1e-3, 1e-4)))
    losses = [min(fit(custom(*configuration), parts, SEARCH).history["val_loss"]) for configuration in grid]
    fit(custom(*grid[losses.index(min(losses))]), parts, HEADS)
    seconds["tuned"] = time.perf_counter() - begin
    for name, (base, preprocess) in FAMILIES.items():
        seconds[name] = transfer(base, preprocess, parts)
    return seconds


def baseline():
    """Listing of section 3."""
    return compiled(
        [
            layers.Input((64, 64, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(9),
        ],
        1e-3,
    )


def custom(filters, kernel, dropout, rate):
    """Listing of section 4."""
    return compiled(
        [
            layers.Input((64, 64, 1)),
            layers.Conv2D(filters, kernel, activation="relu", padding="same"),
            layers.MaxPooling2D(2),
            layers.Conv2D(2 * filters, kernel, activation="relu", padding="same"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(dropout),
            layers.Dense(64, activation="relu"),
            layers.Dense(9),
        ],
        rate,
    )


def compiled(of, rate):
    model = keras.Sequential(of)
    model.compile(optimizer=optimizers.Adam(learning_rate=rate), loss="mse")
    return model


def fit(model, parts, epochs):
    """Train, and at the end ask the test images once."""
    (images, targets), validation, test = parts
    history = model.fit(images, targets, epochs=epochs, batch_size=32, validation_data=validation, verbose=0)
    model.evaluate(*test, verbose=0)
    return history


def transfer(base_class, preprocess, parts):
    """Listing of section 5: seconds of the head alone, of `HEADS` epochs, and of fine-tuning."""
    begin = time.perf_counter()
    base = base_class(weights=None, include_top=False, input_shape=(64, 64, 3))
    base.trainable = False
    inputs = keras.Input((64, 64, 1))
    three = layers.Concatenate()([inputs] * 3)
    pooled = layers.GlobalAveragePooling2D()(base(preprocess(255 * three), training=False))
    model = keras.Model(inputs, layers.Dense(9)(layers.Dense(16, activation="relu")(pooled)))
    model.compile(optimizer=optimizers.Adam(learning_rate=1e-3), loss="mse")
    fit(model, parts, 1)  # which traces
    started = time.perf_counter()
    fit(model, parts, TIMED - 1)
    an_epoch = (time.perf_counter() - started) / (TIMED - 1)
    base.trainable = True
    model.compile(optimizer=optimizers.Adam(learning_rate=1e-4), loss="mse")
    fit(model, parts, TUNING)
    return time.perf_counter() - begin + (HEADS - TIMED) * an_epoch


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        measured = main()
    print(json.dumps(measured))
