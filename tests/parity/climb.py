"""One framework's side of the comparison: `python -m tests.parity.climb MODULE OUT.npz NAMES`.

Every array that the sides are compared by goes into one file: predictions with the shared weights, losses of the first
steps, and weights after them; of networks with a backbone, after one step in which everything is trained.
"""

import importlib
import sys
from pathlib import Path

import numpy as np

from harness.architecture import backbone_of, initial_weights
from harness.protocol import Recipe, Schedule, Variant
from tests.backends.conformance import BACKBONES, BASELINE, TUNED, a_task, data, images, transfer

NETWORKS = {"baseline": BASELINE, "tuned": TUNED}
TRANSFER = {family: transfer(family).architecture for family in BACKBONES}
STEPS = 10


def without_dropout(network):
    """Masks are each framework's own."""
    return type(network)(tuple(layer for layer in network.layers if type(layer).__name__ != "Dropout"))


def climb(module, name, network):
    deep = backbone_of(network)
    # One batch an epoch, so that an epoch's loss is a step's.
    recipe = Recipe(epochs=1 if deep else STEPS, batch_size=32, learning_rate=1e-4 if deep else 1e-3)
    network, task = without_dropout(network), a_task(64)
    model = module.build(Variant(name, "", network, (recipe,)), task, 0)
    model.set_weights(initial_weights(network, task.input_shape, seed=0))
    found = {"forward": model.predict(images(16, 64))}
    found |= {f"before/{key}": array for key, array in model.weights().items() if not deep}
    counts = model.counts()
    found["counts"] = np.array([counts.total, counts.trainable, counts.non_trainable])
    if deep:
        found["features"] = model.features(images(16, 64))
    if module.TRAINS:
        history = model.train(data(task, 32), recipe, Schedule.drawn(recipe, 32, 0), lambda *told: None)
        found["loss" if deep else "losses"] = np.array(history.loss)
        kept = [key for key in model.weights() if not deep or "moving" in key]
        found |= {f"{'statistics' if deep else 'after'}/{key}": model.weights()[key] for key in kept}
    return {f"{name}/{key}": array for key, array in found.items()}


if __name__ == "__main__":
    chosen = importlib.import_module(sys.argv[1])
    chosen.configure(1, "cpu")
    wanted = [name for name in sys.argv[3].split(",") if name]
    arrays = {}
    for name in wanted:
        arrays |= climb(chosen, name, (NETWORKS | TRANSFER)[name])
    np.savez(Path(sys.argv[2]), **arrays)
