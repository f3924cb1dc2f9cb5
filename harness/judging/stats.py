"""Spread over seeds, and bootstrap intervals over test images and seeds.

A score hangs on which images happened to be in the test set and on which seeds were drawn, and every seed meets every
image. So images and seeds are both resampled, independently of each other (the pigeonhole bootstrap, Owen 2007, "The
pigeonhole bootstrap", Annals of Applied Statistics 1(2)), and intervals are percentiles of the resampled scores (Efron
and Tibshirani 1993, chapter 13). With few seeds their part of the interval is too narrow, by sqrt(1 - 1/seeds); with a
single seed the interval speaks of the images alone.

Images of one thing, as patches of one specimen, were not drawn independently of each other: the things are resampled
then, each with all of its images (the cluster bootstrap, Davison and Hinkley 1997, "Bootstrap Methods and their
Application", section 3.8). `of_clusters` makes one number of each, and "images" below are things wherever there are
such.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

FEWEST_IMAGES = 10
"""With fewer test images there is no interval: a bootstrap of three images draws the same ones again and again."""


def of_clusters(errors: ArrayLike, clusters: Sequence[int]) -> Floats:
    """Errors (..., c) of c things from those (..., n) of n images, each of which shows the thing that `clusters` says:
    sums over the images of a thing, in such a unit that the mean is the same. Without `clusters` each shows its own.
    """
    table = np.asarray(errors, np.float64)
    if not len(clusters):
        return table
    order = np.argsort(clusters, kind="stable")
    _, first = np.unique(np.asarray(clusters)[order], return_index=True)
    sums = np.add.reduceat(table[..., order], first, axis=-1)  # no matrix product: equal rows stay equal
    errors_of_things: Floats = sums * (len(first) / table.shape[-1])
    return errors_of_things


def spread(values: Sequence[float | None]) -> float | None:
    """Sample standard deviation (ddof = 1); None for fewer than two values or where one is missing."""
    known = [value for value in values if value is not None]
    if len(known) < max(2, len(values)):
        return None
    return float(np.std(known, ddof=1))


def skill_interval(
    squared_errors: ArrayLike,
    squared_errors_of_mean: ArrayLike,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Confidence interval of the skill, 1 - mean squared error / mean squared error of the trivial predictor.

    `squared_errors` (seeds, n), or (n,) for one seed, are a model's on the test images, and `squared_errors_of_mean`
    (n,) the trivial predictor's on the same images: both meet the same resampled images. Any unit, so long as it is
    the same. (nan, nan) where the trivial predictor is perfect, for there is no skill then, and for fewer images than
    `FEWEST_IMAGES`. Raises ValueError for shapes that do not fit.
    """
    errors = _seeds_by_images(squared_errors)
    of_mean = _seeds_by_images(squared_errors_of_mean)
    _check_images(errors, of_mean)
    if not of_mean.any() or errors.shape[1] < FEWEST_IMAGES:
        return (np.nan, np.nan)
    draw = np.random.default_rng(seed)
    counts = _resample(draw, resamples, errors.shape[1])
    baseline = (counts @ of_mean.T).squeeze(axis=1)
    model = _resampled_mean(draw, errors, counts) * errors.shape[1]
    possible = baseline > 0
    return _percentiles(1 - model[possible] / baseline[possible], confidence)


def score_intervals(
    predictions: ArrayLike,
    truth: ArrayLike,
    train_mean: ArrayLike,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    clusters: Sequence[int] = (),
    weights: ArrayLike = 1.0,
) -> dict[str, tuple[float, float]]:
    """Confidence interval of the mean over seeds of every score of `metrics.Accuracy` but the trivial predictor's own.

    `predictions` (seeds, n, t), `truth` (n, t) and `train_mean` (t,); `r2_<index>` are of single targets. Images and
    seeds are resampled as for `skill_interval`, things with all of their images where `clusters` says which each shows.
    `weights` (t,) are those of the targets in the skill (`metrics.target_weights`).
    Empty for fewer of them than `FEWEST_IMAGES`; a score that no resample has is left out.
    """
    predicted, true, weights = (np.asarray(part, np.float64) for part in (predictions, truth, weights))
    seeds, images, _ = predicted.shape
    things, which = np.unique(clusters or range(images), return_inverse=True)
    if len(things) < FEWEST_IMAGES:
        return {}
    draw = np.random.default_rng(seed)
    counts = _resample(draw, resamples, len(things))[:, which]
    counts /= counts.sum(axis=1, keepdims=True)
    seed_shares = _resample(draw, resamples, seeds) / seeds

    def over_images(values: Floats) -> Floats:  # (seeds, n, t) to (resamples, seeds, t)
        means: Floats = np.einsum("rn,snt->rst", counts, values, optimize=True)
        return means

    with np.errstate(all="ignore"):
        errors, centred = predicted - true, true - true.mean(axis=0)
        squared, absolute = over_images(errors**2), over_images(np.abs(errors))
        variance = counts @ centred**2 - (counts @ centred) ** 2
        of_mean = (counts @ (weights * (true - np.asarray(train_mean)) ** 2)).mean(axis=1)
        r2 = 1 - squared / np.where(variance > 0, variance, np.nan)[:, None]
        scores = {
            "mse": squared.mean(axis=2),
            "rmse": np.sqrt(squared.mean(axis=2)),
            "mae": absolute.mean(axis=2),
            "mape": 100 * over_images(np.abs(errors / true)).mean(axis=2),
            "nmae": (absolute / (counts @ np.abs(true))[:, None]).mean(axis=2),
            "r2_mean": r2.mean(axis=2),
            "skill": 1 - (weights * squared).mean(axis=2) / of_mean[:, None],
        } | {f"r2_{index}": r2[:, :, index] for index in range(r2.shape[2])}
        means = {name: (values * seed_shares).sum(axis=1) for name, values in scores.items()}
    known = {name: values[np.isfinite(values)] for name, values in means.items()}
    return {name: _percentiles(values, confidence) for name, values in known.items() if len(values)}


def paired_difference(
    errors_a: ArrayLike, errors_b: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """How much larger the mean error of a is than that of b: the difference and its confidence interval.

    `errors_a` (seeds, n) and `errors_b` (seeds, n) are on the same n test images, which are resampled together. Seeds
    are resampled apart, so their numbers may differ; where equal seeds err alike the interval is wider than it need
    be, never narrower. The interval is (nan, nan) for fewer images than `FEWEST_IMAGES`. Raises ValueError for shapes
    that do not fit.
    """
    a, b = _seeds_by_images(errors_a), _seeds_by_images(errors_b)
    _check_images(a, b)
    if a.shape[1] < FEWEST_IMAGES:
        return float(a.mean() - b.mean()), np.nan, np.nan
    draw = np.random.default_rng(seed)
    counts = _resample(draw, resamples, a.shape[1])
    differences = _resampled_mean(draw, a, counts) - _resampled_mean(draw, b, counts)
    return (float(a.mean() - b.mean()), *_percentiles(differences, confidence))


def paired_p_value(errors_a: ArrayLike, errors_b: ArrayLike, resamples: int = 20_000, seed: int = 0) -> float:
    """Two-sided p-value of equal mean errors: of resamples as `paired_difference` draws them, twice the share on the
    other side of zero, which is below 0.05 where their 95 % interval leaves out zero (Efron and Tibshirani 1993,
    chapter 15). They are drawn for it alone, and are more, for a p-value needs more than an interval: at the edge, it
    may be below 0.05 where the interval of `paired_difference` holds zero, and the other way round.

    No p-value is below 2 / (resamples + 1). NaN for fewer images than `FEWEST_IMAGES`. Raises ValueError for shapes
    that do not fit.
    """
    a, b = _seeds_by_images(errors_a), _seeds_by_images(errors_b)
    _check_images(a, b)
    if a.shape[1] < FEWEST_IMAGES:
        return np.nan
    counts = _image_counts(resamples, a.shape[1], seed)
    draw = np.random.default_rng((seed, 1))
    of_seeds = [_resample(draw, resamples, len(errors)) / errors.size for errors in (a, b)]
    together = np.concatenate([a, b]).T
    above = below = 0
    for start in range(0, resamples, _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        sums = counts[part].astype(np.float64) @ together
        one, other = (
            (each * seeds[part]).sum(axis=1)
            for each, seeds in zip(np.split(sums, [len(a)], axis=1), of_seeds, strict=True)
        )
        above += int(np.count_nonzero(one >= other))
        below += int(np.count_nonzero(one <= other))
    return min(1.0, 2 * (1 + min(above, below)) / (1 + resamples))


_AT_A_TIME = 2000  # resamples whose counts are held as floats


@lru_cache(maxsize=2)
def _image_counts(resamples: int, images: int, seed: int) -> NDArray[np.uint8]:
    """How often each image is in each resample: the same for all pairs that are compared on as many images."""
    draw = np.random.default_rng((seed, 0))
    counts = np.empty((resamples, images), np.uint8)  # an image more than 255 times in one resample is not to be met
    for start in range(0, resamples, _AT_A_TIME):
        counts[start : start + _AT_A_TIME] = _resample(draw, min(_AT_A_TIME, resamples - start), images)
    return counts


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of a family of comparisons, adjusted so that the chance of any false one among those below a level is
    at most this level (Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6(2)). In their order; NaN stays, and does not count.
    """
    known = [number for number, p_value in enumerate(p_values) if not np.isnan(p_value)]
    adjusted, floor = list(p_values), 0.0
    for place, number in enumerate(sorted(known, key=lambda number: p_values[number])):
        floor = max(floor, min(1.0, (len(known) - place) * p_values[number]))
        adjusted[number] = floor
    return adjusted


def paired_differences(
    errors: Sequence[ArrayLike], confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Floats:
    """(k, k, 2) the interval of `paired_difference(errors[i], errors[j])` for each two of k models, to the bit, at
    the cost of a few resamples for each model and not for each pair. All (seeds, n) are on the same n test images.
    """
    tables = [_seeds_by_images(one) for one in errors]
    for table in tables[1:]:
        _check_images(tables[0], table)
    found = np.full((len(tables), len(tables), 2), np.nan)
    ends = (50 * (1 - confidence), 50 * (1 + confidence))
    if not tables or tables[0].shape[1] < FEWEST_IMAGES:
        return found
    # The first of a pair has its seeds drawn first, and how far that takes the generator hangs on how many they are.
    second: dict[int, Floats] = {}
    for i, table in enumerate(tables):
        draw = np.random.default_rng(seed)
        counts = _resample(draw, resamples, table.shape[1])
        first = _resampled_mean(draw, table, counts)
        if len(table) not in second:
            after = draw.bit_generator.state
            means = []
            for other in tables:
                draw.bit_generator.state = after
                means.append(_resampled_mean(draw, other, counts))
            second[len(table)] = np.array(means)
        found[i] = np.percentile(first - second[len(table)], ends, axis=1).T
    return found


class Equivalence(NamedTuple):
    """Mean of a less mean of b, its 90 % interval, and the p-value of their being further apart than the margin."""

    difference: float
    low: float
    high: float
    p_value: float


def equivalence(a: ArrayLike, b: ArrayLike, margin: float) -> Equivalence:
    """Whether two means are within `margin` of each other: two one-sided t-tests (Schuirmann 1987, "A comparison of the
    two one-sided tests procedure and the power approach", J. Pharmacokinetics and Biopharmaceutics 15(6)), with Welch's
    degrees of freedom, for variances may differ.

    `a` and `b` are samples of at least two. They are equivalent at 5 % where `p_value` is below 0.05, which is where
    the 90 % interval lies within ±margin. Raises ValueError for fewer or for values that are not finite.
    """
    one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(one.size, other.size) < 2 or not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError("equivalence needs two samples of at least two finite values")
    difference = float(one.mean() - other.mean())
    shares = np.array([one.var(ddof=1) / one.size, other.var(ddof=1) / other.size])
    error = float(np.sqrt(shares.sum()))
    if error == 0:
        return Equivalence(difference, difference, difference, float(abs(difference) >= margin))
    freedom = shares.sum() ** 2 / (shares**2 / np.array([one.size - 1, other.size - 1])).sum()
    p_value = float(scipy.stats.t.sf((margin - abs(difference)) / error, freedom))
    half = float(scipy.stats.t.ppf(0.95, freedom)) * error
    return Equivalence(difference, difference - half, difference + half, p_value)


def _resample(draw: np.random.Generator, resamples: int, size: int) -> Floats:
    """How often each of `size` things is drawn in each resample with replacement: (resamples, size), rows sum to it."""
    drawn = draw.integers(size, size=(resamples, size))
    drawn += size * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size).astype(np.float64)


def _resampled_mean(draw: np.random.Generator, errors: Floats, image_counts: Floats) -> Floats:
    """Mean of `errors` (seeds, n) in each resample: images drawn as `image_counts` says, seeds drawn here."""
    seed_counts = _resample(draw, len(image_counts), len(errors))
    means: Floats = ((image_counts @ errors.T) * seed_counts).sum(axis=1) / errors.size
    return means


def _percentiles(scores: Floats, confidence: float) -> tuple[float, float]:
    low, high = np.percentile(scores, (50 * (1 - confidence), 50 * (1 + confidence)))
    return float(low), float(high)


def _seeds_by_images(errors: ArrayLike) -> Floats:
    table = np.atleast_2d(np.asarray(errors, np.float64))
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise ValueError(f"errors must be finite numbers of shape (seeds, images), not {table.shape}")
    return table


def _check_images(a: Floats, b: Floats) -> None:
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"errors on {a.shape[1]} images cannot be paired with errors on {b.shape[1]}")
