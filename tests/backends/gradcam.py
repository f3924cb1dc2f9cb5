"""Grad-CAM maps of networks of a backend, in an interpreter of its own: `python -m tests.backends.gradcam BACKEND
PRECISION FILE.npz`.
"""

import sys

import numpy as np

from harness import registry
from harness.model.architecture import (
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    MaxPool2D,
    Network,
    initial_weights,
)
from harness.model.variants import Variant
from harness.protocol import Scaling, Task
from harness.running.fields import last_convolution

SHAPE, TARGETS = (12, 10, 2), ("a", "b", "c")  # higher than wide, so that exchanged edges show
NETWORKS = {
    "dense": Network(
        (Conv2D(4, 3), MaxPool2D(), Conv2D(5, 2), MaxPool2D(), Flatten(), Dropout(0.5), Dense(6), Dense(3, "linear"))
    ),
    "average": Network((Conv2D(4, 3), MaxPool2D(), Conv2D(5, 2), GlobalAveragePool2D(), Dense(3, "linear"))),
}


def images():
    return np.random.default_rng(0).uniform(size=(3, *SHAPE)).astype(np.float32)


def weights(network):
    """None of which is zero; of a seed with which every answer has pixels that push it up, and some that do not."""
    draw = np.random.default_rng(15)
    return {
        name: 2 * array if array.any() else draw.uniform(0.02, 0.1, array.shape).astype(np.float32)
        for name, array in initial_weights(network, SHAPE, 15).items()
    }


def made(name, network):
    task = Task(SHAPE, TARGETS, ("",) * 3, Scaling((100.0,) * 3, (7.0,) * 3))
    model = backend.build(Variant(name, "", network), task, 0)
    model.set_weights(weights(network))
    maps = registry.gradcam(sys.argv[1]).maps
    layer = last_convolution(network)
    yield name, maps(model, layer, images())
    yield f"{name} alone", np.concatenate([maps(model, layer, image[None]) for image in images()])


if __name__ == "__main__":
    backend = registry.backend(sys.argv[1])
    backend.configure(1, "cpu", sys.argv[2])
    np.savez(sys.argv[3], **{key: array for name, network in NETWORKS.items() for key, array in made(name, network)})
