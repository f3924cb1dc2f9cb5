"""Weights that hide nothing: no array is constant, values beyond 6 occur, statistics are not those of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.foreign import Arrays, places
from harness.parity.pairs.paired import Line

_FIRST_GAIN = 3.0


def weights(lines: Sequence[Line], seed: int) -> Arrays:
    """An array for each line of a mapping, in the common layout, in single precision."""
    draw = np.random.default_rng([seed, 0])
    found: Arrays = {}
    strong = True
    for line in lines:
        shape = line.ours.common()
        noise = draw.normal(size=shape)
        gain = _FIRST_GAIN if strong and line.role == "kernel" and line.kind in ("conv", "dense") else 1.0
        strong = strong and gain == 1.0
        found[line.name] = _array(line, noise, gain).astype(np.float32)
    return found


def _array(line: Line, noise: NDArray[Any], gain: float) -> NDArray[Any]:
    shape = line.ours.common()
    scale, centre = _SPREAD.get(line.role, (0.5, 0.0))
    if _is_variance(line):
        scale, centre = 0.3, 0.5
    elif line.kind == "embedding":
        scale = 1.0
    elif line.kind == "conv_transpose" and line.role == "kernel":
        scale = float(np.sqrt(1 / shape[-1]))
    elif line.role in ("kernel", "recurrent"):
        scale = gain * float(np.sqrt(1.5 / max(int(np.prod(shape[:-1])), 1)))
    return np.asarray(centre + scale * (np.abs(noise) if _is_variance(line) else noise))


def _is_variance(line: Line) -> bool:
    return line.role.endswith(("variance", "var"))


_SPREAD = {
    "gamma": (0.2, 1.0),
    "alpha": (0.1, 0.25),
    **dict.fromkeys(("beta", "bias", "recurrent_bias", "moving_mean"), (0.2, 0.0)),
}


def natives(lines: Sequence[Line], common: Arrays, ours: bool) -> Arrays:
    """The arrays of one side as its framework has them."""
    found: Arrays = {}
    for line in lines:
        array = line.ours if ours else line.theirs
        numbers = np.sqrt(common[line.name].astype(np.float64)) if array.root else common[line.name]
        native = found.setdefault(array.name, np.zeros(array.shape, numbers.dtype))
        native.reshape(-1)[places(array.shape, array.steps).reshape(-1)] = numbers.reshape(-1)
    return found
