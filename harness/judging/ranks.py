"""Ranks of models over many test images, and which of them are told apart: a critical-difference analysis.

Blocks are the test images of one suite, or the specimens that several of them show, which are drawn independently of
each other: models are ranked on each by their squared error, mean over seeds. Suites would be blocks, too, as in Demšar
(2006, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7), but there are few, and two of them
share their images: with eight blocks the smallest p-value of Wilcoxon's test is 1/128, which no family of seven
comparisons survives (`fewest_blocks`).

Whether ranks differ at all is Friedman's question; which pairs do, that of Wilcoxon's signed-rank test after Holm,
which unlike tests of mean ranks does not depend on the other models (Benavoli, Corani and Mangili 2016, "Should We
Really Use Post-Hoc Tests Based on Mean-Ranks?", JMLR 17(5)).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from harness.judging.stats import SIGNIFICANT, holm


class Ranking(NamedTuple):
    """`order` has the numbers of the models by `ranks`, their mean ranks over blocks, 1 the best; `friedman` is the
    p-value of all ranks being equal, `apart` (k, k) which pairs are told apart at 5 % after Holm, by models' numbers.
    """

    order: tuple[int, ...]
    ranks: tuple[float, ...]
    friedman: float
    apart: NDArray[np.bool_]

    @property
    def cliques(self) -> list[tuple[int, ...]]:
        """Runs of models, by place in `order`, none of which is told apart from another in it; the longest alone."""
        count, found = len(self.order), list[tuple[int, ...]]()
        for start in range(count):
            end = start
            while end + 1 < count and not any(
                self.apart[self.order[place], self.order[end + 1]] for place in range(start, end + 1)
            ):
                end += 1
            if end > start and not (found and found[-1][-1] >= end):
                found.append(tuple(range(start, end + 1)))
        return found


def ranking(errors: ArrayLike) -> Ranking:
    """Of errors (blocks, k) of at least three models, each block by itself. Raises ValueError for fewer models or
    blocks than `fewest_blocks`, and for values that are not finite.
    """
    table = np.asarray(errors, np.float64)
    if table.ndim != 2 or table.shape[1] < 3 or not np.isfinite(table).all():
        raise ValueError(f"a ranking needs finite errors (blocks, models) of three models, not {table.shape}")
    blocks, models = table.shape
    if blocks < fewest_blocks(models):
        raise ValueError(f"{blocks} blocks cannot tell {models} models apart: {fewest_blocks(models)} can")
    ranks = scipy.stats.rankdata(table, axis=1).mean(axis=0)
    pairs = list(combinations(range(models), 2))
    apart = np.zeros((models, models), bool)
    for (a, b), p_value in zip(pairs, holm([_wilcoxon(table[:, a] - table[:, b]) for a, b in pairs]), strict=True):
        apart[a, b] = apart[b, a] = p_value < SIGNIFICANT
    order = tuple(int(number) for number in np.argsort(ranks, kind="stable"))
    return Ranking(order, tuple(map(float, ranks)), _friedman(table), apart)


def fewest_blocks(models: int) -> int:
    """With fewer no pair of so many models could be told apart after Holm, whatever their errors: Wilcoxon's smallest
    p-value of n blocks is 2 / 2^n.
    """
    pairs = models * (models - 1) // 2
    return int(np.ceil(np.log2(2 * pairs / SIGNIFICANT)))


def _wilcoxon(differences: NDArray[np.float64]) -> float:
    return float(scipy.stats.wilcoxon(differences).pvalue) if differences.any() else 1.0


def _friedman(table: NDArray[np.float64]) -> float:
    return float(scipy.stats.friedmanchisquare(*table.T).pvalue) if np.ptp(table, axis=1).any() else 1.0


def squared_errors(of_models: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(n, k) mean over seeds of the squared errors (seeds, n) of k models."""
    return np.stack([errors.mean(axis=0) for errors in of_models], axis=1)
