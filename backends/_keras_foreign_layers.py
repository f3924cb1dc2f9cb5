"""The layers of somebody's Keras model: which hold arrays, what these are called, and what a call is given."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

Told = Callable[[Any, Any], None]
"""Hears what a layer is given, and what it makes of it."""

DROPOUTS = (keras.layers.Dropout, keras.layers.AlphaDropout)
_CELLS = (keras.layers.LSTMCell, keras.layers.GRUCell, keras.layers.SimpleRNNCell)
ATTENTIONS = (keras.layers.MultiHeadAttention,)
_WHOLE = (*ATTENTIONS, keras.layers.RNN, keras.layers.Bidirectional, keras.layers.TimeDistributed)


_SPATIAL = (keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D, keras.layers.SpatialDropout3D)


def is_wide(dropout: Any) -> bool:
    """Whether a dropout draws one number for a whole channel."""
    return isinstance(dropout, _SPATIAL) or bool(getattr(dropout, "noise_shape", None))


def wide_axes(dropout: Any, rank: int) -> tuple[int, ...]:
    """The axes along which it draws one number for all."""
    if isinstance(dropout, _SPATIAL):
        first = getattr(dropout, "data_format", "") == "channels_first"
        return tuple(range(2, rank) if first else range(1, rank - 1))
    shape = getattr(dropout, "noise_shape", None) or ()
    return tuple(axis for axis, size in enumerate(shape) if size == 1)


@contextlib.contextmanager
def watched_call(layer: Any, attribute: str, told: Told) -> Iterator[None]:
    """Meanwhile `told` hears what this function of the layer is given and answers."""
    function, own = getattr(layer, attribute), attribute in vars(layer)

    def watched(*args: Any, **kwargs: Any) -> Any:
        made = function(*args, **kwargs)
        told(args if len(args) > 1 else args[0] if args else next(iter(kwargs.values()), None), made)
        return made

    object.__setattr__(layer, attribute, watched)
    try:
        yield
    finally:
        if own:
            object.__setattr__(layer, attribute, function)
        else:
            object.__delattr__(layer, attribute)


def every(layer: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every layer below this one, with its name."""
    for child in layer._flatten_layers(include_self=False, recursive=False):
        name = f"{prefix}{child.name}"
        yield name, child
        yield from every(child, f"{name}/")


def is_leaf(layer: Any) -> bool:
    """Whether it is looked at as a whole, and not layer by layer."""
    if isinstance(layer, keras.Model):
        return False
    return isinstance(layer, _WHOLE) or not any(
        True for _ in layer._flatten_layers(include_self=False, recursive=False)
    )


def holders(layer: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Layers that hold arrays of their own, with their names; the model itself, too, where it does."""
    if not prefix and _holds(layer):
        yield layer.name, layer
    for child in layer._flatten_layers(include_self=False, recursive=False):
        name = f"{prefix}{child.name}"
        if is_leaf(child):
            if child.variables and any(own_variables(name, child)):
                yield name, child
            continue
        if _holds(child):
            yield name, child
        yield from holders(child, f"{name}/")


def without_arrays(layer: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Layers that hold no arrays, as activations and poolings, with their names."""
    for name, child in every(layer, prefix):
        inside = isinstance(child, keras.layers.InputLayer) or not is_leaf(child)
        if not inside and next(own_variables(name, child), None) is None:
            yield name, child


def direct(layer: Any) -> Iterator[Any]:
    """Variables of a layer, not of those below."""
    yield from filter(_is_array, [*layer._trainable_variables, *layer._non_trainable_variables])


def _is_array(variable: Any) -> bool:
    """Whether it is what a model has learned, and not where a generator of random numbers is."""
    return "seed_generator" not in variable.path and "float" in str(variable.dtype)


def _holds(layer: Any) -> bool:
    return next(direct(layer), None) is not None


def own_variables(name: str, layer: Any) -> Iterator[tuple[str, Any]]:
    """The variables that a layer of this name is looked at for, each by its own name, `<layer>/<variable>`."""
    if isinstance(layer, keras.layers.Bidirectional):
        for direction in (layer.forward_layer, layer.backward_layer):
            yield from own_variables(f"{name}/{direction.name}", direction)
        return
    if isinstance(layer, keras.layers.TimeDistributed):
        yield from own_variables(name, layer.layer)
        return
    if cells := cells_of(name, layer):
        for inside, cell in cells:
            yield from ((f"{inside}/{variable.name}", variable) for variable in direct(cell))
    elif isinstance(layer, ATTENTIONS):
        for part, projection in projections_of(layer):
            yield from ((f"{name}/{part}/{variable.name}", variable) for variable in direct(projection))
    elif is_leaf(layer) and not _holds(layer):
        for place, variable in enumerate(layer.variables):
            if _is_array(variable):
                yield f"{name}/{variable.name}_{place}", variable
    else:
        yield from ((f"{name}/{variable.name}", variable) for variable in direct(layer))


def cells_of(name: str, layer: Any) -> list[tuple[str, Any]]:
    """The cells of a recurrent layer, one on the other, with their names; none where one is of no known kind."""
    cell: Any = layer.cell if isinstance(layer, keras.layers.RNN) else None
    stacked = isinstance(cell, keras.layers.StackedRNNCells)
    cells = [(f"{name}/{each.name}", each) for each in cell.cells] if stacked else [(name, cell)]
    return cells if all(type(each) in _CELLS for _, each in cells) else []


def projections_of(layer: Any) -> list[tuple[str, Any]]:
    """The four dense layers of an attention, by what they make."""
    return [(part, getattr(layer, f"_{part}_dense")) for part in ("query", "key", "value", "output")]


def projections(model: Any) -> Iterator[tuple[str, Any]]:
    """Those of every attention in a model, with their names."""
    for name, layer in every(model, ""):
        if isinstance(layer, ATTENTIONS):
            yield from ((f"{name}/{part}", projection) for part, projection in projections_of(layer))


class Product(NamedTuple):
    """The axes of an EinsumDense that is a dense layer of the last axes, by their letters: those of its kernel, those
    that it sums over, and those that it makes.
    """

    kernel: str
    given: str
    made: str


def product_of(layer: Any) -> Product | None:
    """The axes of an EinsumDense; None of any other layer, and of one that is no dense layer."""
    if not isinstance(layer, keras.layers.EinsumDense):
        return None
    given, kernel, answer = re.split(",|->", re.sub(r"[ .]", "", layer.equation))
    summed = "".join(axis for axis in given if axis in kernel and axis not in answer)
    made = "".join(axis for axis in answer if axis in kernel and axis not in given)
    plain = given.endswith(summed) and answer.endswith(made) and sorted(summed + made) == sorted(kernel)
    kept = given.removesuffix(summed) == answer.removesuffix(made)
    return Product(kernel, summed, made) if plain and kept and layer.bias_axes in (None, made) else None


def common(array: NDArray[Any], layer: Any, made: bool) -> NDArray[Any]:
    """What a layer is given or has made in the common layout, in which the heads of a product are side by side."""
    if product := product_of(layer):
        many = len(product.made if made else product.given)
        return array.reshape(*array.shape[: array.ndim - many], -1)
    return channels_last(array, layer)


def channels_last(array: NDArray[Any], layer: Any) -> NDArray[Any]:
    """What a layer is given or makes in the common layout; of a norm of one axis alone that comes last."""
    norm = isinstance(layer, keras.layers.BatchNormalization | keras.layers.GroupNormalization) and layer.axis == 1
    first = norm or getattr(layer, "data_format", "") == "channels_first"
    if isinstance(layer, keras.layers.LayerNormalization) and len(axes := _listed(layer.axis)) == 1:
        return np.moveaxis(array, axes[0], -1)
    return np.moveaxis(array, 1, -1) if first and array.ndim > 2 else array


def _listed(axis: int | Sequence[int]) -> list[int]:
    return [axis] if isinstance(axis, int) else list(axis)


def has_activation(layer: Any) -> bool:
    """Whether a layer has an activation that can be watched apart from what comes before it."""
    return callable(getattr(layer, "activation", None)) and not isinstance(layer, (*_WHOLE, keras.layers.Activation))


def called(function: Any) -> str:
    """What an activation is called: the name of a function, or of the class of an object."""
    return getattr(function, "__name__", type(function).__name__)
