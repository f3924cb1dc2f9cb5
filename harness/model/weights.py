"""Named float32 arrays in the common layout of `architecture`, and safetensors files of them. Never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from harness.errors import WeightsError
from harness.model.architecture import Shape, Weights


def check_fit(weights: Mapping[str, NDArray[Any]], shapes: Mapping[str, Shape]) -> None:
    """Raise WeightsError, naming the missing, surplus and misshapen arrays, unless `weights` have these shapes."""
    wrong = [f"{name} is missing" for name in shapes if name not in weights]
    wrong += [f"{name} is not an array of this model" for name in weights if name not in shapes]
    wrong += [
        f"{name} has shape {np.shape(weights[name])}, not {shape}"
        for name, shape in shapes.items()
        if name in weights and np.shape(weights[name]) != shape
    ]
    if wrong:
        more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise WeightsError("these weights do not fit the model: " + "; ".join(wrong[:_NAMED]) + more)


_NAMED = 12  # a backbone has hundreds of arrays; the first few tell what is wrong


def save_weights(path: Path, weights: Weights, metadata: dict[str, str] | None = None) -> None:
    """Write `weights` to `path`; `metadata` is kept in the file's header, as JSON under "cijbench".

    Equal weights and metadata make equal files: `weights=FILE` is known by its hash.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # safetensors writes several entries in an order drawn by chance,
    header = {"cijbench": json.dumps(metadata)} if metadata else None
    # and the memory as it lies, so a transposed view must be laid out first.
    save_file({name: np.asarray(array, np.float32, order="C") for name, array in weights.items()}, path, header)


def load_weights(path: Path) -> Weights:
    """Every array in the file. Raises WeightsError where it is missing, is no safetensors file or has whole numbers."""
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file")
    try:
        arrays = load_file(path)
    except (SafetensorError, TypeError, AttributeError, KeyError) as error:  # of numbers that NumPy does not have
        raise WeightsError(f"{path}: not a safetensors file: {error}") from None
    if whole := [name for name, array in arrays.items() if array.dtype.kind != "f"]:
        raise WeightsError(f"{path}: {whole[0]} is of {arrays[whole[0]].dtype}, and weights are floating-point numbers")
    return {name: array.astype(np.float32) for name, array in arrays.items()}
