"""Accuracy against truth and against the trivial predictor, which always answers the mean of the training labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.protocol import Targets

NO_SKILL = 1e-6
"""A skill below this is float32 rounding, not skill."""

NOTHING_LEARNED = 0.01
"""A skill that is no higher is taken for that of the mean."""


class Accuracy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How well n predictions y' of t targets meet the truth y. None where the formula would divide by zero.

    Attributes
    ----------
    mse
        mean of (y' - y)² over images and targets, in the unit of the targets squared.
    rmse
        square root of `mse`, in the unit of the targets.
    mae
        mean of |y' - y| over images and targets, in the unit of the targets.
    mape
        100 × mean of |y' - y| / |y| over images and targets, in percent; None where any truth is 0.
    nmae
        mean of |y' - y| over the mean of |y|, of each target and then averaged over targets; 1 is 100 %. None where
        all truth of a target is 0.
    r2
        1 - sum of (y' - y)² / sum of (y - mean of y)² of each target, by its name. The mean is that of the *test*
        truth. None where the truth does not vary, by the rule of `Scaling.standardising`.
    r2_mean
        mean of `r2` over the targets that have one; None where none has.
    mse_of_mean
        `mse` of the trivial predictor, in the unit of the targets squared.
    skill
        1 - mse / mse_of_mean (Murphy 1988): 1 is perfect, 0 no better than the trivial predictor, below 0 worse. None
        where the trivial predictor is perfect. Of targets of unlike units, whose squares cannot be added, the mean of
        what each of them has: see `target_weights`.
    """

    mse: float
    rmse: float
    mae: float
    mape: float | None
    nmae: float | None
    r2: dict[str, float | None]
    r2_mean: float | None
    mse_of_mean: float
    skill: float | None


def unlike(units: Sequence[str]) -> bool:
    """Whether errors of targets in these units cannot be added as they are."""
    return len(set(units)) > 1


def target_weights(truth: Targets, train_mean: NDArray[np.floating], units: Sequence[str]) -> NDArray[np.float64]:
    """(t,) what the squared errors of each target are multiplied by before a skill adds them up: ones where the targets
    share a unit. Of unlike units the trivial predictor then errs by as much in each, and one that it predicts without
    error does not count.
    """
    if not unlike(units):
        return np.ones(len(train_mean))
    of_mean = np.mean((truth - train_mean) ** 2, axis=0)
    return np.divide(1.0, of_mean, out=np.zeros(len(of_mean)), where=of_mean > 0)


def error_to_choose_by(mse: float, r2_mean: float | None, units: Sequence[str]) -> float:
    """By which models are chosen: the squared error on the validation images; where targets have unlike units, whose
    squares cannot be added, what their R² lack to one on average.
    """
    return mse if not unlike(units) or r2_mean is None else 1 - r2_mean


def accuracy(
    predictions: NDArray[np.floating],
    truth: Targets,
    train_mean: NDArray[np.floating],
    names: Sequence[str],
    units: Sequence[str] = (),
) -> Accuracy:
    """Every score of `predictions` (n, t) against `truth` (n, t), given the mean training label of each target (t,) and
    the unit of each; without `units` they share one.

    Computed in float64. Raises ValueError for shapes that do not fit, for no images, and for values that are not
    finite.
    """
    return accuracies(np.asarray(predictions)[None], truth, train_mean, names, units)[0]


def accuracies(
    predictions: NDArray[np.floating],
    truth: Targets,
    train_mean: NDArray[np.floating],
    names: Sequence[str],
    units: Sequence[str] = (),
) -> list[Accuracy]:
    """The `accuracy` of each of several predictions (s, n, t) of the same truth (n, t), in a fraction of the time."""
    predictions, truth, train_mean = (np.asarray(part, np.float64) for part in (predictions, truth, train_mean))
    _check(predictions, truth, train_mean, names)
    with np.errstate(all="ignore"):  # what is too large or too small for a score has none
        return _scores(predictions, truth, train_mean, names, units)


def _scores(
    predictions: Targets, truth: Targets, train_mean: Targets, names: Sequence[str], units: Sequence[str]
) -> list[Accuracy]:
    errors, of_mean = predictions - truth, (truth - train_mean) ** 2
    squared, absolute, weights = errors**2, np.abs(errors), target_weights(truth, train_mean, units)
    mse, mae, relative = (_over_all(part) for part in (squared, absolute, absolute / np.abs(truth)))
    skill = 1 - _over_all(weights * squared) / np.mean(weights * of_mean)
    nmae = (absolute.mean(axis=1) / np.abs(truth).mean(axis=0)).mean(axis=1)
    found = []
    for place, r2 in enumerate(_r2(squared, truth)):
        defined = [value for value in r2 if value is not None]
        found.append(
            Accuracy(
                mse=float(mse[place]),
                rmse=float(np.sqrt(mse[place])),
                mae=float(mae[place]),
                mape=_finite(100 * relative[place]),
                nmae=_finite(nmae[place]),
                r2=dict(zip(names, r2, strict=True)),
                r2_mean=float(np.mean(defined)) if defined else None,
                mse_of_mean=float(np.mean(of_mean)),
                skill=_finite(skill[place]),
            )
        )
    return found


def _over_all(values: Targets) -> Targets:
    """(s,) mean over images and targets of (s, n, t)."""
    means: Targets = values.reshape(len(values), -1).mean(axis=1)
    return means


def _finite(score: np.floating) -> float | None:
    """None for a score that would divide by zero, or that no float holds."""
    return float(score) if math.isfinite(score) else None


def _r2(squared: Targets, truth: Targets) -> list[list[float | None]]:
    """Coefficient of determination of each target by each model; None where the truth does not vary beyond rounding."""
    r2 = 1 - squared.mean(axis=1) / np.where(varies(truth), truth.var(axis=0), np.nan)
    return [[value if math.isfinite(value) else None for value in of_model] for of_model in r2.tolist()]


def varies(truth: Targets) -> NDArray[np.bool_]:
    """(t,) whether each target of `truth` (n, t) varies beyond rounding; one that does not has no R²."""
    found: NDArray[np.bool_] = truth.std(axis=0) > 1e-12 * np.abs(truth.mean(axis=0))
    return found


def _check(predictions: Targets, truth: Targets, train_mean: Targets, names: Sequence[str]) -> None:
    if predictions.shape[1:] != truth.shape or truth.shape[1:] != (len(names),) or train_mean.shape != (len(names),):
        raise ValueError(
            f"predictions {predictions.shape[1:]}, truth {truth.shape} and training mean {train_mean.shape} "
            f"must be (n, t), (n, t) and (t,) with t = {len(names)} targets"
        )
    if not len(truth):
        raise ValueError("there are no images to be accurate about")
    for what, values in (("predictions", predictions), ("true values", truth), ("training means", train_mean)):
        if bad := int(np.count_nonzero(~np.isfinite(values))):
            raise ValueError(f"{bad} of {values.size} {what} are not finite")
