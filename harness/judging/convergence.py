"""Epochs to a target loss, of two implementations of one variant: as MLPerf's reference convergence points are, from
records of runs (Mattson et al. 2020, "MLPerf Training Benchmark", MLSys).

The target is the highest of the lowest validation losses of all seeds that learned anything: each of them reaches it.
What never became better than one answer to all images, the mean, whose loss is 1 on standardised targets, or the
shares of classes, never does, and is told. Epochs are compared by the ratio of their geometric means, for what slows a
training multiplies them; seed by seed where equal seeds mean equal initial weights and batches (`init=shared`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import scipy.special
import scipy.stats

from harness.judging.records import Record
from harness.model.variants import Recipe, Search

LEARNED = 0.9
"""A validation loss below this share of `loss_of_one_answer` is of a model that learned something."""


class Epochs(NamedTuple):
    """For each seed of two implementations the first epoch with a validation loss at or below `target`; None where it
    never was. `ratio` is the geometric mean of the first over that of the second, `low` to `high` its 95 % interval by
    Student's t on logarithms where seeds are `paired`, else by Welch's; NaN where fewer than two came to it, or these
    do not spread, from which no t follows, unless both need the same at every seed.
    """

    target: float
    first: tuple[int | None, ...]
    second: tuple[int | None, ...]
    ratio: float
    low: float
    high: float
    paired: bool

    @property
    def verdict(self) -> str:
        """What the interval allows to say."""
        if self.paired and self.first == self.second:
            return "the same at every seed"
        if lacking := [*self.first, *self.second].count(None):  # to leave them out would speak for who fails more often
            return f"not to be said: {lacking} of {len(self.first) + len(self.second)} never come to it"
        if np.isnan(self.low):
            return "too few seeds"
        return "fewer" if self.high < 1 else "more" if self.low > 1 else "not told apart"


def loss_of_one_answer(record: Record) -> float:
    """The lowest loss that the same answer to all images has: 1 of standardised targets, for it is their mean; of
    classes, in their shares of the training images, the cross-entropy of these, weighted as its last recipe does.
    """
    held_out, recipe = record.held_out, _last_recipe(record)
    if not held_out or not held_out.of_classes:
        return 1.0
    shares = np.array(held_out.train_mean)
    if recipe and recipe.class_weights is not msgspec.UNSET:
        shares = shares * np.array(recipe.class_weights)
    return float(shares.sum() * scipy.special.entr(shares / shares.sum()).sum())


def _last_recipe(record: Record) -> Recipe | None:
    architecture, searched = record.cell.architecture, record.searched
    if isinstance(architecture, Search) and searched:
        return architecture.configurations[searched.selected].recipe
    return record.cell.recipes[-1] if record.cell.recipes else None


def epochs(first: Sequence[Record], second: Sequence[Record]) -> Epochs | None:
    """How many epochs each seed of two implementations takes to the common target; None where no seed of either has
    losses or learned anything.
    """
    series = [[record.losses("validation_loss") for record in of] for of in (first, second)]
    if not all(len(one) for of in series for one in of):
        return None
    lowest = [min(one) for of in series for one in of]
    learned = [loss for loss in lowest if loss < LEARNED * loss_of_one_answer(first[0])]
    if not learned:
        return None
    target = max(learned)
    one, other = (tuple(_reached(losses, target) for losses in of) for of in series)
    seeds = [[record.cell.seed for record in of] for of in (first, second)]
    paired = seeds[0] == seeds[1] and all(record.cell.settings.init == "shared" for record in (*first, *second))
    if paired:
        both = [(a, b) for a, b in zip(one, other, strict=True) if a and b]
        return Epochs(target, one, other, *_paired_ratio(both), paired)
    return Epochs(target, one, other, *_ratio([n for n in one if n], [n for n in other if n]), paired)


def _reached(losses: Sequence[float], target: float) -> int | None:
    return next((epoch for epoch, loss in enumerate(losses, 1) if loss <= target), None)


def _paired_ratio(pairs: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    if not pairs:
        return np.nan, np.nan, np.nan
    ratios = np.log([a / b for a, b in pairs])
    half = np.nan
    if ratios.size > 1 and (np.ptp(ratios) or not ratios.any()):
        half = float(scipy.stats.t.ppf(0.975, ratios.size - 1) * ratios.std(ddof=1) / np.sqrt(ratios.size))
    mean = float(ratios.mean())
    return float(np.exp(mean)), float(np.exp(mean - half)), float(np.exp(mean + half))


def _ratio(one: Sequence[int], other: Sequence[int]) -> tuple[float, float, float]:
    if not one or not other:
        return np.nan, np.nan, np.nan
    a, b = np.log(one), np.log(other)
    ratio = float(np.exp(a.mean() - b.mean()))
    if min(a.size, b.size) < 2:
        return ratio, np.nan, np.nan
    if np.ptp(a) == np.ptp(b) == 0:
        return (1.0, 1.0, 1.0) if a[0] == b[0] else (ratio, np.nan, np.nan)
    interval = scipy.stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    return ratio, float(np.exp(interval.low)), float(np.exp(interval.high))
