"""How images are split to train, validate and test: as the table says, else drawn, by groups and by classes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from harness.errors import BenchError
from harness.protocol import TEST, Dataset, Split
from suites.microstructure import question
from suites.pictures.table import TRAIN, VALIDATION


def split(dataset: Dataset) -> Split:
    """As the table says, where it does; else 70 % to train, 15 % to validate, 15 % to test, by a fixed seed. Groups
    stay together, and each class is shared out alike. Where the table names no validation, every sixth of the training
    images, or groups, is for that. Raises BenchError for too few images or groups.
    """
    if dataset.parts:
        return _given(dataset)
    return _by_class(dataset) if dataset.classes else question.split(dataset)


def _by_class(dataset: Dataset) -> Split:
    """A group, or an image that is of none, is taken for what most of its images are; of each class as many are held
    back for validation as for the test, none where there are fewer than three.
    """
    _, thing = np.unique(dataset.groups or np.arange(len(dataset.images)), return_inverse=True)
    images_of = np.zeros((thing.max() + 1, len(dataset.target_names)))
    np.add.at(images_of, thing, dataset.targets)
    shares: list[list[NDArray[np.intp]]] = [[], [], []]
    for number in range(len(dataset.target_names)):
        members = np.random.RandomState(42).permutation(np.flatnonzero(images_of.argmax(axis=1) == number))
        held = min(max(1, round(0.15 * len(members))), max(0, len(members) - 1) // 2)
        for share, some in zip(shares, np.split(members, [len(members) - 2 * held, len(members) - held]), strict=True):
            share.append(some)
    train, validation, test = (
        question.mixed(np.flatnonzero(np.isin(thing, np.concatenate(share)))) for share in shares
    )
    if not len(validation):
        raise BenchError(f"{dataset.name}: no class has three groups, one each to train, validate and test")
    return Split(train, validation, {TEST: test})


def tests_of(parts: Iterable[str]) -> list[str]:
    """Names of the tests among the parts of a split, the one that models are ranked by first."""
    names = [name for name in dict.fromkeys(parts) if name not in (TRAIN, VALIDATION)]
    return sorted(names, key=lambda name: name != TEST)


def _given(dataset: Dataset) -> Split:
    parts = np.array(dataset.parts)
    train, validation = (np.flatnonzero(parts == part) for part in (TRAIN, VALIDATION))
    tests = {name: np.flatnonzero(parts == name) for name in tests_of(dataset.parts)}
    if not len(validation):
        things = np.array(dataset.groups or [str(row) for row in range(len(parts))])
        drawn = np.random.RandomState(42).permutation(np.unique(things[train]))
        held = np.isin(things, drawn[: max(1, len(drawn) // 6)])
        train, validation = train[~held[train]], train[held[train]]
    if not len(train) or not len(validation):
        left = f"{len(train)} images to train and {len(validation)} to validate"
        raise BenchError(f"{dataset.name}: its split leaves {left}")
    return Split(question.mixed(train), validation, tests)
