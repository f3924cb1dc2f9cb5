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

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from harness.judging.metrics import varies

Floats = NDArray[np.float64]

FEWEST_IMAGES = 10
"""With fewer test images there is no interval: a bootstrap of three images draws the same ones again and again."""


SIGNIFICANT = 0.05
"""A p-value below says that two differ."""

_ENDS = (50 * (1 - 0.95), 50 * (1 + 0.95))  # percentiles, which written as 2.5 would be others in the last bit
_RESAMPLES = (20_000, 200_000, 2_000_000)
_AT_ONCE = 256  # seeds, of all models together
_MOST_WORK = _AT_ONCE * _RESAMPLES[-1]  # seeds, of all models together, times resamples: seconds


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
    mean = math.fsum(known) / len(known)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1))


def skill_interval(
    squared_errors: ArrayLike,
    squared_errors_of_mean: ArrayLike,
    resamples: int = 2000,
) -> tuple[float, float]:
    """95 % interval of the skill, 1 - mean squared error / mean squared error of the trivial predictor.

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
    counts, of_seeds = _drawn(resamples, errors.shape[1], len(errors))
    baseline = (counts @ of_mean.T).squeeze(axis=1)
    model = _weighed(errors, counts, of_seeds) * errors.shape[1]
    possible = baseline > 0
    return _percentiles(1 - model[possible] / baseline[possible])


def score_intervals(
    predictions: ArrayLike,
    truth: ArrayLike,
    train_mean: ArrayLike,
    resamples: int = 2000,
    clusters: Sequence[int] = (),
    weights: ArrayLike = 1.0,
) -> dict[str, tuple[float, float]]:
    """95 % interval of the mean over seeds of every score of `metrics.Accuracy` but the trivial predictor's own.

    `predictions` (seeds, n, t), `truth` (n, t) and `train_mean` (t,); `r2_<index>` are of single targets. Images and
    seeds are resampled as for `skill_interval`, things with all of their images where `clusters` says which each shows.
    `weights` (t,) are those of the targets in the skill (`metrics.target_weights`).
    Empty for fewer of them than `FEWEST_IMAGES`; a score that no resample has is left out, as R² of a target that does
    not vary is, which `r2_mean` does not count either.
    """
    predicted, true, weights = (np.asarray(part, np.float64) for part in (predictions, truth, weights))
    seeds, images, _ = predicted.shape
    which = tuple(clusters) or tuple(range(images))
    if len(set(which)) < FEWEST_IMAGES:
        return {}
    shares, of_seeds = _shares(resamples, which, seeds)
    with np.errstate(all="ignore"):
        errors, centred = predicted - true, true - true.mean(axis=0)
        relative = np.abs(errors / true).mean(axis=2, keepdims=True)
        # What is linear in a seed's errors may be averaged over seeds first; the root of its mean square may not.
        squared, root = _resampled(errors**2, shares, of_seeds)
        absolute, _ = _resampled(np.abs(errors), shares, of_seeds)
        square = (centred**2).T @ shares
        variance = square - (centred.T @ shares) ** 2
        of_mean = (weights * (true - np.asarray(train_mean)) ** 2).mean(axis=1) @ shares
        # A resample may draw equal truths alone, whose difference of squares is what rounding leaves.
        r2 = 1 - squared / np.where(variance > 1e-12 * square, variance, np.nan)
        known = varies(true)
        scores = {
            "mse": squared.mean(axis=0),
            "rmse": root,
            "mae": absolute.mean(axis=0),
            "mape": 100 * _resampled(relative, shares, of_seeds)[0][0],
            "nmae": (absolute / (np.abs(true).T @ shares)).mean(axis=0),
            "r2_mean": r2[known].mean(axis=0),
            "skill": 1 - (np.atleast_1d(weights)[:, None] * squared).mean(axis=0) / of_mean,
        }
    return _ends(scores | {f"r2_{index}": r2[index] for index in np.flatnonzero(known)})


def _resampled(values: Floats, shares: Floats, of_seeds: Floats) -> tuple[Floats, Floats]:
    """Of what each seed has on each image (seeds, n, t), in each resample: the mean (t, resamples), and the mean over
    seeds of the root of a seed's mean over images and targets (resamples,).
    """
    seeds, images, targets = values.shape
    means, roots = np.zeros((targets, shares.shape[1])), np.zeros(shares.shape[1])
    for start in range(0, seeds, 64):  # of a thousand at once it would take gigabytes
        some, their = values[start : start + 64], of_seeds[start : start + 64]
        of_each = (some.transpose(2, 0, 1).reshape(-1, images) @ shares).reshape(targets, len(some), -1)
        means += np.einsum("tsr,sr->tr", of_each, their)
        roots += (np.sqrt(of_each.mean(axis=0)) * their).sum(axis=0)
    return means, roots


def paired_difference(
    errors_a: ArrayLike,
    errors_b: ArrayLike,
    resamples: int = 2000,
    of_mean: ArrayLike | None = None,
) -> tuple[float, float, float]:
    """How much larger the mean error of a is than that of b: the difference and its 95 % interval. With the
    trivial predictor's errors `of_mean` (n,), by how much the skill of b is higher: over their mean, in each resample
    that of the images drawn.

    `errors_a` (seeds, n) and `errors_b` (seeds, n) are on the same n test images, which are resampled together. Seeds
    are resampled apart, so their numbers may differ; where equal seeds err alike the interval is wider than it need
    be, never narrower. The interval is (nan, nan) for fewer images than `FEWEST_IMAGES`, and all of it where the
    trivial predictor is perfect. Raises ValueError for shapes that do not fit.
    """
    a, b = _seeds_by_images(errors_a), _seeds_by_images(errors_b)
    of_mean = np.ones((1, a.shape[1])) if of_mean is None else _seeds_by_images(of_mean)
    _check_images(a, b)
    _check_images(a, of_mean)
    if not of_mean.any():
        return np.nan, np.nan, np.nan
    difference = float((a.mean() - b.mean()) / of_mean.mean())
    if a.shape[1] < FEWEST_IMAGES:
        return difference, np.nan, np.nan
    counts, of_a, of_b = _drawn(resamples, a.shape[1], len(a), len(b))
    possible, baseline = _baseline(counts, of_mean)
    differences = (_weighed(a, counts, of_a) - _weighed(b, counts, of_b))[possible] / baseline
    return (difference, *_percentiles(differences))


def _baseline(counts: Floats, of_mean: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Which resamples the trivial predictor, whose errors are (1, n), is not perfect in; its mean error in these."""
    means = _weighed(of_mean, counts, np.ones((len(counts), 1)))
    possible: NDArray[np.bool_] = means > 0
    return possible, means[possible]


def paired_p_values(pairs: Sequence[tuple[ArrayLike, ArrayLike]], resamples: int = 20_000) -> list[float]:
    """Two-sided p-value of equal mean errors of each pair, (seeds, n) and (seeds, n) on the same n test images: of
    resamples as `paired_difference` draws them, twice the share on the other side of zero, which is below 0.05 where
    their 95 % interval leaves out zero (Efron and Tibshirani 1993, chapter 15). They are drawn for it alone, once for
    all pairs of as many images, and are more, for a p-value needs more than an interval: at the edge, it may be below
    0.05 where the interval of `paired_difference` holds zero, and the other way round.

    No p-value is below 2 / (resamples + 1). NaN for fewer images than `FEWEST_IMAGES`. Raises ValueError for shapes
    that do not fit.
    """
    found = np.full(len(pairs), np.nan)
    for images, batches in _batches(pairs).items():
        if images < FEWEST_IMAGES:
            continue
        above, below = np.zeros((2, len(pairs)), int)
        for start, drawn in zip(range(0, resamples, _AT_A_TIME), _image_counts(resamples, images), strict=True):
            counts, part = drawn.T.astype(np.float64), slice(start, start + _AT_A_TIME)
            for batch in batches:
                of_seeds = _seed_counts(resamples, batch.errors.shape[1], len(batch.other))
                own, of_other = batch.sides(counts, of_seeds, part)
                # Row by row, for numpy counts along an axis at a tenth of the speed.
                above[batch.numbers] += [np.count_nonzero(row) for row in own >= of_other]
                below[batch.numbers] += [np.count_nonzero(row) for row in own <= of_other]
        of_these = [number for batch in batches for number in batch.numbers]
        found[of_these] = np.minimum(1.0, 2 * (1 + np.minimum(above, below)) / (1 + resamples))[of_these]
    return found.tolist()


class _Batch(NamedTuple):
    """The errors (models, seeds, n) of pairs of these `numbers`, all of as many seeds and with the same `other`."""

    numbers: list[int]
    errors: Floats
    other: Floats

    def sides(self, counts: Floats, of_seeds: Sequence[NDArray[np.uint8]], part: slice) -> tuple[Floats, Floats]:
        """(models, r) resampled errors, and (r,) those of the other, by how often images (n, r) and seeds are drawn."""
        models, seeds, images = self.errors.shape
        together = np.concatenate([self.errors.transpose(1, 0, 2).reshape(-1, images), self.other])
        sums = together @ counts
        shares, shares_of_other = (drawn[part].T / (drawn.shape[1] * images) for drawn in of_seeds)
        return (
            _added(sums[: models * seeds].reshape(seeds, models, -1), shares),
            _added(sums[models * seeds :], shares_of_other),
        )


def _batches(pairs: Sequence[tuple[ArrayLike, ArrayLike]]) -> dict[int, list[_Batch]]:
    """Pairs by how many images they are of, in batches. Raises ValueError for shapes that do not fit."""
    alike: dict[tuple[int, int], list[tuple[int, Floats, Floats]]] = {}
    for number, (one, other) in enumerate(pairs):
        table, against = _seeds_by_images(one), _seeds_by_images(other)
        _check_images(table, against)
        alike.setdefault((id(other), len(table)), []).append((number, table, against))
    found: dict[int, list[_Batch]] = {}
    for (_, seeds), of in alike.items():
        at_once = max(1, _AT_ONCE // seeds)
        for start in range(0, len(of), at_once):
            numbers, tables, others = zip(*of[start : start + at_once], strict=True)
            found.setdefault(others[0].shape[1], []).append(_Batch(list(numbers), np.stack(tables), others[0]))
    return found


def _added(sums: Floats, shares: Floats) -> Floats:
    """(..., resamples) of what each seed has (seeds, ..., resamples), its share in each (seeds, resamples): one after
    the other, so that models that err alike are equal.
    """
    added: Floats = sums[0] * shares[0]
    for one, share in zip(sums[1:], shares[1:], strict=True):
        added += one * share
    return added


_AT_A_TIME = 2000  # resamples whose counts are held at once


def _image_counts(resamples: int, images: int) -> Iterable[NDArray[np.uint8]]:
    """How often each image is in each resample, some at a time: the same for all pairs that are compared on as many
    images. The usual number of resamples is drawn once.
    """
    if resamples == _RESAMPLES[0]:
        return _drawn_once(resamples, images)
    return _draws(np.random.default_rng((0, 0)), resamples, images)


@lru_cache(maxsize=2)
def _drawn_once(resamples: int, images: int) -> tuple[NDArray[np.uint8], ...]:
    return tuple(_draws(np.random.default_rng((0, 0)), resamples, images))


def _draws(draw: np.random.Generator, resamples: int, size: int) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, resamples, _AT_A_TIME):  # one more than 255 times in one resample is not to be met
        yield _resample(draw, min(_AT_A_TIME, resamples - start), size).astype(np.uint8)


@lru_cache(maxsize=4)
def _seed_counts(resamples: int, seeds: int, of_other: int) -> tuple[NDArray[np.uint8], ...]:
    """The same of the seeds of both of a pair."""
    draw = np.random.default_rng((0, 1))
    return tuple(np.concatenate(list(_draws(draw, resamples, size))) for size in (seeds, of_other))


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


def settled_p_values(
    pairs: Sequence[tuple[ArrayLike, ArrayLike]], adjust: Callable[[list[float]], list[float]] = holm
) -> list[float]:
    """The p-values of equal mean errors of each pair, (seeds, n) and (seeds, n), adjusted as a family.

    An adjusted p-value within three of its own standard errors of `SIGNIFICANT`, for resamples were too few to say on
    which side it is, is computed again of ten times as many, and once more; unless so many are, of so many seeds, that
    it would take minutes (`_MOST_WORK`). In a family of some 5,000 or more it may stay too large for that reason, and
    never too small. Raises ValueError for shapes that do not fit.
    """
    found = [np.nan] * len(pairs)
    unsettled = list(range(len(pairs)))
    for resamples, more in zip(_RESAMPLES, (*_RESAMPLES[1:], np.inf), strict=True):
        again = paired_p_values([pairs[number] for number in unsettled], resamples)
        for number, p_value in zip(unsettled, again, strict=True):
            found[number] = p_value
        adjusted = adjust(found)
        unsettled = [number for number in unsettled if _unsettled(found[number], adjusted[number], resamples)]
        seeds = sum(len(np.atleast_2d(pairs[number][0])) for number in unsettled)
        if not unsettled or seeds * more > _MOST_WORK:
            break
    return adjusted


def _unsettled(p_value: float, adjusted: float, resamples: int) -> bool:
    """Of a two-sided p-value so many resamples are counted on one side: half of it."""
    if np.isnan(p_value):
        return False
    return abs(adjusted - SIGNIFICANT) < 3 * adjusted / math.sqrt(p_value * resamples / 2)


def paired_differences(errors: Sequence[ArrayLike], of_mean: ArrayLike, resamples: int = 2000) -> Floats:
    """(k, k, 2) the interval of `paired_difference(errors[i], errors[j], of_mean=of_mean)` for each two of k models, to
    the bit, at the cost of a few resamples for each model and not for each pair. All (seeds, n) are on the same n test
    images, as `of_mean` (n,) is.
    """
    tables = [_seeds_by_images(one) for one in errors]
    for table in tables[1:]:
        _check_images(tables[0], table)
    found = np.full((len(tables), len(tables), 2), np.nan)
    if not tables or tables[0].shape[1] < FEWEST_IMAGES or not np.any(of_mean):
        return found
    # The first of a pair has its seeds drawn first, and how far that takes the generator hangs on how many they are.
    second: dict[int, Floats] = {}
    images = tables[0].shape[1]
    for i, table in enumerate(tables):
        if len(table) not in second:
            drawn = [_drawn(resamples, images, len(table), len(other)) for other in tables]
            means = [
                _weighed(other, counts, of_other) for other, (counts, _, of_other) in zip(tables, drawn, strict=True)
            ]
            second[len(table)] = np.array(means)
        counts, of_seeds = _drawn(resamples, images, len(table))
        possible, baseline = _baseline(counts, _seeds_by_images(of_mean))
        differences = (_weighed(table, counts, of_seeds) - second[len(table)])[:, possible] / baseline
        found[i] = _percentiles_of(differences).T
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
    p_value = float(stdtr(freedom, (abs(difference) - margin) / error))
    half = float(stdtrit(freedom, 0.95)) * error
    return Equivalence(difference, difference - half, difference + half, p_value)


def _resample(draw: np.random.Generator, resamples: int, size: int) -> Floats:
    """How often each of `size` things is drawn in each resample with replacement: (resamples, size), rows sum to it."""
    drawn = draw.integers(size, size=(resamples, size))
    drawn += size * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size).astype(np.float64)


@lru_cache(maxsize=4)
def _drawn(resamples: int, images: int, *seeds: int) -> tuple[Floats, ...]:
    """How often each image is in each resample, then each seed of each model that has so many of them."""
    counts, after = _drawn_images(resamples, images)
    draw = np.random.default_rng()
    draw.bit_generator.state = after
    return (counts, *(_fixed(_resample(draw, resamples, size)) for size in seeds))


@lru_cache(maxsize=4)
def _drawn_images(resamples: int, images: int) -> tuple[Floats, Mapping[str, Any]]:
    """How often each image is in each resample, and the generator's state after it."""
    draw = np.random.default_rng(0)
    return _fixed(_resample(draw, resamples, images)), draw.bit_generator.state


@lru_cache(maxsize=4)
def _shares(resamples: int, which: tuple[int, ...], seeds: int) -> tuple[Floats, Floats]:
    """Of each image, which shows the thing that `which` says, its share in each resample of things (n, resamples), and
    of each seed (seeds, resamples).
    """
    things, number = np.unique(which, return_inverse=True)
    counts, of_seeds = _drawn(resamples, len(things), seeds)
    counts = counts[:, number]
    shares = counts / counts.sum(axis=1, keepdims=True)
    return _fixed(np.ascontiguousarray(shares.T)), _fixed(np.ascontiguousarray(of_seeds.T) / seeds)


def _fixed(drawn: Floats) -> Floats:
    """What is drawn once for all models, which nobody may change."""
    drawn.flags.writeable = False
    return drawn


def _weighed(errors: Floats, image_counts: Floats, seed_counts: Floats) -> Floats:
    """Mean of `errors` (seeds, n) in each resample, of images and seeds drawn so often."""
    means: Floats = ((image_counts @ errors.T) * seed_counts).sum(axis=1) / errors.size
    return means


def _ends(resampled: Mapping[str, Floats]) -> dict[str, tuple[float, float]]:
    """The interval of each score, of those resamples that have it; without those that none has."""
    whole = {name: bool(np.isfinite(values).all()) for name, values in resampled.items()}
    found = {
        name: _percentiles(known)
        for name, values in resampled.items()
        if not whole[name] and (known := values[np.isfinite(values)]).size
    }
    if together := [name for name in resampled if whole[name]]:
        low, high = _percentiles_of(np.stack([resampled[name] for name in together]))
        found |= dict(zip(together, zip(low.tolist(), high.tolist(), strict=True), strict=True))
    return found


def _percentiles(scores: Floats) -> tuple[float, float]:
    low, high = _percentiles_of(scores)
    return float(low), float(high)


def _percentiles_of(scores: Floats) -> Floats:
    """(2, ...) both ends of the 95 % interval of each of `scores` (..., resamples)."""
    ends: Floats = np.percentile(scores, _ENDS, axis=-1)
    return ends


def _seeds_by_images(errors: ArrayLike) -> Floats:
    table = np.atleast_2d(np.asarray(errors, np.float64))
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise ValueError(f"errors must be finite numbers of shape (seeds, images), not {table.shape}")
    return table


def _check_images(a: Floats, b: Floats) -> None:
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"errors on {a.shape[1]} images cannot be paired with errors on {b.shape[1]}")
