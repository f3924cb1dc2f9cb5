"""What layers of somebody's Keras model draw at random, but for dropouts, and its normal numbers made known ones."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import keras

from backends._keras_foreign_layers import ATTENTIONS, DROPOUTS, every

_random: Any = importlib.import_module("tensorflow").random
_RATES = ("dropout", "recurrent_dropout")


def noises(model: Any) -> list[str]:
    """Layers that draw in training mode and are no dropouts, in words."""
    found = []
    for name, layer in every(model, ""):
        own = vars(layer)
        if isinstance(layer, (*DROPOUTS, *ATTENTIONS)):
            continue
        if any(attribute in own for attribute in _RATES):
            holder = name.rpartition("/")[0] or name
            found += [f"{holder}.{each} {own[each]:g}" for each in _RATES if own.get(each)]
        elif isinstance(layer, keras.layers.GaussianNoise | keras.layers.GaussianDropout):
            size = own.get("stddev", own.get("rate"))
            found += [f"{name} {size:g}"] * bool(size)
        elif layer._seed_generators:
            found.append(f"{type(layer).__name__} {name}")
    return found


@contextlib.contextmanager
def normal_at(deviations: float) -> Iterator[list[str]]:
    """Meanwhile every normal number that is drawn is the mean and so many standard deviations; gives what was drawn."""
    drew: list[str] = []

    def standing(*names: str) -> Callable[..., Any]:
        def drawn(shape: Any, *args: Any, **kwargs: Any) -> Any:
            drew.append("normal")
            said = {"mean": 0.0, "stddev": 1.0, "dtype": "float32"} | dict(zip(names, args, strict=False)) | kwargs
            mean, spread = (keras.ops.cast(said[each], said["dtype"]) for each in ("mean", "stddev"))
            return keras.ops.broadcast_to(mean + deviations * spread, tuple(map(int, shape)))

        return drawn

    own = _random.stateless_normal, _random.normal
    _random.stateless_normal = standing("seed", "mean", "stddev", "dtype")
    _random.normal = standing("mean", "stddev", "dtype")
    try:
        yield drew
    finally:
        _random.stateless_normal, _random.normal = own
