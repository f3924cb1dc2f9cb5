"""Weights on disk: safetensors files of named float32 arrays in the common layout of `architecture`. Never pickle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from harness.architecture import Weights
from harness.errors import WeightsError


def save_weights(path: Path, weights: Weights, metadata: dict[str, str] | None = None) -> None:
    """Write `weights` to `path`; `metadata` is kept in the file's header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # safetensors writes the memory as it lies, so a transposed view must be laid out first.
    save_file({name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}, path, metadata)


def load_weights(path: Path) -> Weights:
    """Every array in the file. Raises WeightsError where it is missing or is no safetensors file."""
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file")
    try:
        return {name: array.astype(np.float32) for name, array in load_file(path).items()}
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a safetensors file: {error}") from None
