"""Where the uncertainty of a score comes from: test images, seeds, or the two together.

Every seed meets every image, so a squared error is mean + image + seed + rest, each drawn by itself: two-way random
effects without replication (Searle, Casella and McCulloch 1992, "Variance Components", chapter 4). Components are those
of Henderson's first method, which needs no distribution; one that comes out below zero is zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Shares(NamedTuple):
    """Variance of a mean squared error over n images and s seeds by where it comes from: `images` (their component /
    n), `seeds` (theirs / s) and `rest` (how seeds differ from image to image, / n s); the square of the error's unit.
    """

    images: float
    seeds: float
    rest: float

    @property
    def total(self) -> float:
        """The variance of the mean squared error."""
        return self.images + self.seeds + self.rest

    @property
    def deviation(self) -> float:
        """Its square root, in the errors' unit."""
        return float(np.sqrt(self.total))

    @property
    def relative(self) -> tuple[float, float, float]:
        """Shares of images, seeds and rest in the total, which sum to 1; NaN where nothing varies."""
        if not self.total:
            return (np.nan,) * 3
        return self.images / self.total, self.seeds / self.total, self.rest / self.total


def components(squared_errors: ArrayLike) -> tuple[float, float, float]:
    """Variance components of images, seeds and rest, from squared errors (seeds, n) of at least two of each.

    Raises ValueError for fewer, and for values that are not finite.
    """
    errors = np.asarray(squared_errors, np.float64)
    if errors.ndim != 2 or min(errors.shape) < 2 or not np.isfinite(errors).all():
        raise ValueError(f"components need finite errors of two seeds and two images at least, not {errors.shape}")
    seeds, images = errors.shape
    mean, by_image, by_seed = errors.mean(), errors.mean(axis=0), errors.mean(axis=1)
    rest = errors - by_image - by_seed[:, None] + mean
    square_of_rest = float((rest**2).sum() / ((seeds - 1) * (images - 1)))
    of_images = float(by_image.var(ddof=1)) - square_of_rest / seeds
    of_seeds = float(by_seed.var(ddof=1)) - square_of_rest / images
    return max(0.0, of_images), max(0.0, of_seeds), square_of_rest


def shares(squared_errors: ArrayLike) -> Shares:
    """By where it comes from, the variance of the mean of squared errors (seeds, n); see `components`."""
    of_images, of_seeds, rest = components(squared_errors)
    seeds, images = np.shape(squared_errors)
    return Shares(of_images / images, of_seeds / seeds, rest / (images * seeds))
