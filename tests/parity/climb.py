"""One framework's side of the comparison, in an interpreter of its own: `python -m tests.parity.climb MODULE OUT.npz`.

Every array that the sides are compared by goes into one file: predictions with the shared weights, losses of the first
steps, and weights after them.
"""

import importlib
import sys
from pathlib import Path

import numpy as np

from harness.architecture import initial_weights
from harness.protocol import Recipe, Schedule, Variant
from tests.backends.conformance import BASELINE, TUNED, a_task, data, images

NETWORKS = {"baseline": BASELINE, "tuned": TUNED}
STEPS = 10


def without_dropout(network):
    """Masks are each framework's own."""
    return type(network)(tuple(layer for layer in network.layers if type(layer).__name__ != "Dropout"))


def climb(module, name):
    network, task = without_dropout(NETWORKS[name]), a_task(64)
    variant = Variant(name, "", network, Recipe(epochs=STEPS, batch_size=32))
    model = module.build(variant, task, 0)
    model.set_weights(initial_weights(network, task.input_shape, seed=0))
    found = {"forward": model.predict(images(16, 64))}
    found |= {f"before/{key}": array for key, array in model.weights().items()}
    counts = model.counts()
    found["counts"] = np.array([counts.total, counts.trainable, counts.non_trainable])
    if module.TRAINS:
        # One batch an epoch, so that an epoch's loss is a step's.
        history = model.train(data(task, 32), Schedule.drawn(variant.recipe, 32, 0), lambda *told: None)
        found["losses"] = np.array(history.loss)
        found |= {f"after/{key}": array for key, array in model.weights().items()}
    return {f"{name}/{key}": array for key, array in found.items()}


if __name__ == "__main__":
    chosen = importlib.import_module(sys.argv[1])
    chosen.configure(1, "cpu")
    np.savez(Path(sys.argv[2]), **{k: a for name in NETWORKS for k, a in climb(chosen, name).items()})
