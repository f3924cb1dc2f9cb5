"""The data of a cell: where they come from, their split, and what a model is asked to make of them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.errors import BenchError
from harness.judging.records import Settings
from harness.protocol import Classes, Dataset, Scaling, Split, Suite, Targets, Task


class DataSource(msgspec.Struct, frozen=True):
    """Where a suite's data come from: its own shipped set where `folder` is None; `options` are the suite's own."""

    folder: str | None = None
    options: dict[str, str] = {}

    def load(self, suite: Suite) -> Dataset:
        """The data set. Raises DataError with everything that is wrong with it."""
        return suite.load(Path(self.folder) if self.folder else None, self.options)


def split_of(suite: Suite, dataset: Dataset) -> Split:
    """The suite's split. Raises BenchError where an image or a group stands on two sides of it."""
    split = suite.split(dataset)
    if leaks := split.leaks(dataset):
        raise BenchError(f"{dataset.name}: {'; '.join(leaks)}: scores on such a test say nothing")
    return split


def task(suite: Suite, dataset: Dataset, split: Split, settings: Settings) -> Task:
    """What every model is asked for that meets `dataset`; the scaling is learned from the training set alone."""
    train: Targets = dataset.targets[split.train]
    scaling: Scaling | Classes = Classes() if dataset.classes else Scaling.standardising(train)
    if settings.target_scaling == "none" and not dataset.classes:
        count = len(dataset.target_names)
        factor = suite.unit_factor(settings.unit) if any(dataset.units) else 1.0
        scaling = Scaling((0.0,) * count, (factor,) * count)
    return Task(dataset.images.shape[1:], dataset.target_names, dataset.units, scaling)
