"""Data sets that `bench data make` makes."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.protocol import Dataset
from harness.text import label


def named_after(folder: Path, dataset: Dataset) -> Dataset:
    """The data set by its folder's name, as every other folder's is: the shipped one of these settings is another."""
    return msgspec.structs.replace(dataset, name=label(folder.resolve().name))
