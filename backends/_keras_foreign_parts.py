"""Kinds of Keras's layers, in the words of `harness.foreign.Part`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from msgspec.structs import replace

from backends._keras_foreign_layers import (
    called,
    cells_of,
    direct,
    has_activation,
    is_leaf,
    own_variables,
    product_of,
    projections_of,
)
from harness.foreign import Array, Part, Setting, Step


def parts_of(name: str, layer: Any, trained: set[int]) -> list[Part]:
    """A layer in the words of `Part`."""
    if isinstance(layer, keras.layers.TimeDistributed):
        each_step = parts_of(name, layer.layer, trained)
        # Its answer is seen behind the activation alone, where the other side's is before it.
        active = has_activation(layer.layer) and called(layer.layer.activation) != "linear"
        return [replace(part, output="") for part in each_step] if active else each_step
    if isinstance(layer, keras.layers.Bidirectional):
        directions = layer.forward_layer, layer.backward_layer
        forward, backward = (parts_of(f"{name}/{each.name}", each, trained) for each in directions)
        backward = [replace(two, settings=one.settings) for one, two in zip(forward, backward, strict=True)]
        return _seen_at_the_last(name, [*forward, *backward])
    held = {variable.name: (full, variable) for full, variable in own_variables(name, layer)}

    def array(full: str, variable: Any, *steps: Step) -> Array:
        return Array(full, tuple(variable.shape), steps, id(variable) in trained)

    def arrays(**roles: str) -> dict[str, Array]:
        return {role: array(*held[theirs]) for role, theirs in roles.items() if theirs in held}

    for types, kind, roles in _PLAIN:
        if isinstance(layer, types) and not isinstance(layer, _SPLIT):
            return [Part(name, kind, arrays(**roles), _settings(layer), name)]
    if cells := cells_of(name, layer):
        recurrent = [_recurrent(inside, cell, array, _settings(layer)) for inside, cell in cells]
        return _seen_at_the_last(name, recurrent)
    match layer:
        case keras.layers.EinsumDense() if product_of(layer):
            return [Part(name, "dense", _product(name, layer, trained), _settings(layer), name)]
        case keras.layers.MultiHeadAttention():
            return _attention(name, layer, trained)
        case keras.layers.PReLU():
            full, variable = held["alpha"]
            flat = Step("reshape", (int(np.prod(variable.shape)),))
            return [Part(name, "prelu", {"alpha": array(full, variable, flat)}, {}, name)]
        case keras.layers.Layer() if isinstance(layer, _SPLIT):
            full, variable = held.get("depthwise_kernel") or held["kernel"]
            kernel = {"kernel": array(full, variable, _grouped(variable))}
            settings = _settings(layer) | {"groups": int(variable.shape[-2])}
            if "pointwise_kernel" not in held:
                return [Part(name, "conv", kernel | arrays(bias="bias"), settings, name)]
            pointwise = arrays(kernel="pointwise_kernel", bias="bias")
            return [
                Part(f"{name}/depthwise", "conv", kernel, settings),
                Part(f"{name}/pointwise", "conv", pointwise, {}, name),
            ]
        case _:
            seen = name if is_leaf(layer) else ""
            found = {full.rpartition("/")[2]: array(full, variable) for full, variable in own_variables(name, layer)}
            epsilon = getattr(layer, "epsilon", None)
            settings = {"epsilon": epsilon} if isinstance(epsilon, float) else {}
            return [Part(f"{name}/{role}", "own", {role: each}, settings, seen) for role, each in found.items()]


_L = keras.layers
_SPLIT = _L.SeparableConv1D, _L.SeparableConv2D, _L.DepthwiseConv1D, _L.DepthwiseConv2D
_WEIGHED = {"kernel": "kernel", "bias": "bias"}
_SCALED = {"gamma": "gamma", "beta": "beta"}
_PLAIN: tuple[tuple[Any, str, dict[str, str]], ...] = (
    (_L.Dense, "dense", _WEIGHED),
    ((_L.Conv1DTranspose, _L.Conv2DTranspose, _L.Conv3DTranspose), "conv_transpose", _WEIGHED),
    ((_L.Conv1D, _L.Conv2D, _L.Conv3D), "conv", _WEIGHED),
    (_L.BatchNormalization, "batch_norm", {role: role for role in (*_SCALED, "moving_mean", "moving_variance")}),
    (_L.LayerNormalization, "layer_norm", _SCALED),
    (_L.GroupNormalization, "group_norm", _SCALED),
    (_L.Embedding, "embedding", {"kernel": "embeddings"}),
)


def _grouped(variable: Any) -> Step:
    *size, channels, multiplier = variable.shape
    return Step("reshape", (*size, 1, channels * multiplier))


def _seen_at_the_last(name: str, parts: list[Part]) -> list[Part]:
    """The parts of one layer, whose answer is that of the last."""
    return [*(replace(part, output="") for part in parts[:-1]), replace(parts[-1], output=name)]


def _recurrent(name: str, cell: Any, array: Callable[..., Array], settings: dict[str, Setting]) -> Part:
    held = {variable.name: (f"{name}/{variable.name}", variable) for variable in direct(cell)}
    kind = {"LSTMCell": "lstm", "GRUCell": "gru"}.get(type(cell).__name__, "rnn")
    roles = {"kernel": "kernel", "recurrent": "recurrent_kernel", "bias": "bias"}
    found = {role: array(*held[theirs]) for role, theirs in roles.items() if theirs in held}
    if "bias" in found and len(found["bias"].shape) == 2:  # GRU, as cuDNN has it: two biases
        full, variable = held["bias"]
        size = int(variable.shape[1])
        found["bias"] = array(full, variable, Step("take", (0,), 0), Step("reshape", (size,)))
        found["recurrent_bias"] = array(full, variable, Step("take", (1,), 0), Step("reshape", (size,)))
    return Part(name, kind, found, settings | _settings(cell), name)


def _attention(name: str, layer: Any, trained: set[int]) -> list[Part]:
    """Four projections, whose heads stand side by side."""
    found = []
    for part, projection in projections_of(layer):
        settings = {"heads": layer.num_heads, "head_size": layer.key_dim} if part == "output" else {}
        output = name if part == "output" else f"{name}/{part}"
        arrays = _product(f"{name}/{part}", projection, trained)
        found.append(Part(f"{name}/{part}", "dense", arrays, settings, output))
    return found


def _product(name: str, layer: Any, trained: set[int]) -> dict[str, Array]:
    """The arrays of an EinsumDense as those of the dense layer that it is."""
    product, found = product_of(layer), {}
    assert product is not None
    order = tuple(product.kernel.index(axis) for axis in product.given + product.made)
    for variable in direct(layer):
        shape = tuple(variable.shape)
        steps: tuple[Step, ...] = (Step("reshape", (int(np.prod(shape)),)),)
        if variable.name == "kernel":
            given = int(np.prod([shape[axis] for axis in order[: len(product.given)]]))
            flat = Step("reshape", (given, int(np.prod(shape)) // given))
            steps = (flat,) if list(order) == sorted(order) else (Step("transpose", order), flat)
        found[variable.name] = Array(f"{name}/{variable.name}", shape, steps, id(variable) in trained)
    return found


_TOLD = ("strides", "padding", "dilation_rate", "groups", "epsilon", "momentum", "mask_zero", "return_sequences",
         "go_backwards", "reset_after", "use_bias", "axis", "recurrent_activation", "data_format")  # fmt: skip
_CALLED = {"dilation_rate": "dilation"}


def _settings(layer: Any) -> dict[str, Setting]:
    """What of a layer explains a difference, in words that are the same in all frameworks."""
    found: dict[str, Setting] = {}
    for name in _TOLD:
        value = getattr(layer, name, None)
        if value is None or callable(value):
            continue
        found[_CALLED.get(name, name)] = tuple(value) if isinstance(value, list | tuple) else value
    for name in ("activation", "recurrent_activation"):
        function = getattr(layer, name, None)
        if callable(function):
            found[name] = called(function)
    return found
