"""Grad-CAM in Keras, on each of its engines (Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks
via gradient-based localization", ICCV).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from harness.protocol import Images

Answers = Callable[[Any], Any]


def maps(model: Any, layer: str, images: Images) -> NDArray[Any]:
    """(n, h, w, t) of images (n, height, width, channel) the map of each of the t answers of the network, before any
    scaling or softmax, by what `layer` gives, (h, w, ...), in inference mode. `model` is a `KerasModel`.
    """
    layers = model.model.layers
    place = [one.name for one in layers].index(layer) + 1

    def through(some: list[keras.layers.Layer], values: Any) -> Any:
        for one in some:
            values = one(values, training=False)
        return values

    activations = through(layers[:place], images)
    gradients = _GRADIENTS[keras.backend.backend()]
    found = []
    for gradient in gradients(lambda values: through(layers[place:], values), activations, model.model.output_shape[1]):
        weights = keras.ops.mean(gradient, axis=(1, 2), keepdims=True)  # equation 1
        found.append(keras.ops.relu(keras.ops.sum(weights * activations, axis=-1)))  # equation 2
    return np.array(keras.ops.convert_to_numpy(keras.ops.stack(found, axis=-1)))


def _in_tensorflow(answers: Answers, activations: Any, count: int) -> list[Any]:
    """The gradient of each of so many answers, of each image by itself: in inference mode none depends on others."""
    tf = importlib.import_module("tensorflow")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(activations)
        each = tf.unstack(answers(activations), count, axis=1)
    return [tape.gradient(one, activations) for one in each]


def _in_torch(answers: Answers, activations: Any, count: int) -> list[Any]:
    torch = importlib.import_module("torch")
    values = activations.detach().requires_grad_()
    each = answers(values).unbind(dim=1)
    return [torch.autograd.grad(one.sum(), values, retain_graph=True)[0] for one in each]


def _in_jax(answers: Answers, activations: Any, count: int) -> list[Any]:
    jax = importlib.import_module("jax")
    one_answer = jax.grad(lambda values, number: answers(values)[:, number].sum())
    return [one_answer(activations, number) for number in range(count)]


_GRADIENTS: dict[str, Callable[[Answers, Any, int], list[Any]]] = {
    "tensorflow": _in_tensorflow,
    "torch": _in_torch,
    "jax": _in_jax,
}
