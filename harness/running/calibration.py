"""What an exported model knows of its own errors, and of the images that it was trained on: so that each prediction
comes with an interval, and a flag where its image is unlike those.

Intervals are split conformal (Vovk, Gammerman and Shafer 2005; Lei et al. 2018, section 2.2), calibrated on the
validation images: of new images like these, so many in a hundred have their truth inside. Of classes there are sets
instead (Sadinle, Lei and Wasserman 2019). Validation images also chose the model, where it was chosen: how many test
images are covered is measured, and stands in the record.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import BenchError
from harness.protocol import Images, Targets

LEVELS = (0.8, 0.9, 0.95)
KEY = "calibration"
"""Under which an exported model has it among its metadata, as JSON."""

FLAGGED = 0.05
"""Share of the images like those of the training set that are flagged."""

_TIES = 1 + 1e-6  # what is as far off as an interval is wide is inside, however float32 rounds it
_MOST_POINTS = 256
_NEIGHBOURS = 3
_AT_A_TIME = 64  # images whose spectra are held
_LEAST_POWER = 1e-8  # of a frequency band, as a share of the square of white


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`widths`, by level: half the width of the interval of each target, or of classes one number, by how much a
    probability may fall short of one; lacking where there were too few validation images for it. `center` and `spread`
    standardise the descriptors of an image; `points` are those of training images, (m, k) float16; an image that is
    farther apart from them than `threshold` is flagged.
    """

    classes: bool
    widths: dict[str, list[float]]
    center: list[float]
    spread: list[float]
    points: bytes
    threshold: float

    def covers(self, level: float, predictions: Targets, truth: Targets) -> float:
        """Share of the truths (n, t) inside, over targets, or over images where targets are classes; NaN for a level
        that there is not.
        """
        if (widths := self.widths.get(f"{level:g}")) is None:
            return math.nan
        if self.classes:
            return float(np.mean(self.members(level, predictions)[np.arange(len(truth)), truth.argmax(axis=1)]))
        return float(np.mean(np.abs(predictions - truth) <= np.array(widths) * _TIES))

    def members(self, level: float, predictions: Targets) -> NDArray[np.bool_]:
        """(n, t) which classes are in the set of each image, the most probable one in any case."""
        inside: NDArray[np.bool_] = 1 - predictions <= self.widths[f"{level:g}"][0] * _TIES
        inside[np.arange(len(predictions)), predictions.argmax(axis=1)] = True
        return inside

    def distances(self, images: Images) -> NDArray[np.float64]:
        """(n,) how far apart each image is from those of the training set, over `threshold`: flagged above one."""
        return self.distances_of(descriptors(images))

    def distances_of(self, described: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same of images whose `descriptors` (n, k) are known."""
        points = np.frombuffer(self.points, np.float16).astype(np.float64).reshape(-1, len(self.center))
        standard = (described - np.array(self.center)) / np.array(self.spread)
        return _apart(standard, points) / self.threshold


def calibrated(
    predictions: Targets, truth: Targets, validated: NDArray[np.float64], known: NDArray[np.float64], classes: bool
) -> Calibration:
    """From predictions and truth (n, t) of the validation images, and the `descriptors` of these, `validated` (n, k),
    and of the training images, `known` (m, k).
    """
    center, deviation = known.mean(axis=0), known.std(axis=0)
    spread = np.where(deviation > 1e-6, deviation, 1.0)
    every = -(-len(known) // _MOST_POINTS)
    points = ((known - center) / spread)[::every].astype(np.float16)
    standard = (validated - center) / spread
    far = np.sort(_apart(standard, points.astype(np.float64)))
    rank = min(math.ceil((1 - FLAGGED) * (len(far) + 1)), len(far))
    short = np.sort(_short(predictions, truth, classes), axis=0)
    ranks = {f"{level:g}": math.ceil(level * (len(short) + 1)) for level in LEVELS}
    return Calibration(
        classes=classes,
        widths={level: short[rank - 1].tolist() for level, rank in ranks.items() if rank <= len(short)},
        center=center.tolist(),
        spread=spread.tolist(),
        points=points.tobytes(),
        threshold=max(float(far[rank - 1]), 1e-6),
    )


def of_file(metadata: Mapping[str, str], images: int, targets: int) -> Calibration | None:
    """What a model's metadata say, None where they say nothing. Raises BenchError for what cannot be meant: a file may
    come from anywhere.
    """
    if KEY not in metadata:
        return None
    try:
        found = msgspec.json.decode(metadata[KEY].encode(), type=Calibration)
        numbers = len(found.center)
        sound = numbers == len(found.spread) == images and not len(found.points) % (2 * max(numbers, 1))
        sound &= len(found.points) >= 2 * numbers and found.threshold > 0 and min(found.spread, default=0) > 0
        sound &= all(len(widths) == (1 if found.classes else targets) for widths in found.widths.values())
        sound = sound and bool(np.isfinite(np.frombuffer(found.points, np.float16)).all())
    except msgspec.MsgspecError:
        sound = False
    if not sound:
        raise BenchError(f"its metadata '{KEY}' make no sense")
    return found


def _short(predictions: Targets, truth: Targets, classes: bool) -> Targets:
    """By how much predictions (n, t) miss the truth; of classes, (n, 1) what the right one's probability lacks."""
    if classes:
        right: Targets = 1 - np.take_along_axis(predictions, truth.argmax(axis=1)[:, None], axis=1)
        return right
    return np.abs(predictions - truth)


def _apart(standard: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) mean distance to the nearest few points, over what these have to theirs: kinds of images are spread unlike
    (Breunig et al. 2000, whose local outlier factor takes more of the neighbourhood).
    """
    among = _distances(points, points)
    np.fill_diagonal(among, np.inf)
    of_points = _mean_of_least(among, min(_NEIGHBOURS, len(points) - 1))[0] if len(points) > 1 else np.ones(1)
    distance, nearest = _mean_of_least(_distances(standard, points), _NEIGHBOURS)
    apart: NDArray[np.float64] = distance / np.maximum(of_points[nearest].mean(axis=1), 1e-9)
    return apart


def _distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    distances: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0))
    return distances


def _mean_of_least(distances: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """(n,) the mean of the least few of each row, and (n, count) where these are."""
    count = min(count, distances.shape[1])
    least = np.argpartition(distances, count - 1, axis=1)[:, :count]
    return np.take_along_axis(distances, least, axis=1).mean(axis=1), least


def descriptors(images: Images) -> NDArray[np.float64]:
    """(n, k) what an image is like, whatever it shows: mean and deviation of its grey levels; the logarithm of its
    spectrum's power, in octaves from the finest to the coarsest, of waves along either axis; and skewness and kurtosis
    of what each octave shows, which know more of shapes than any spectrum.
    """
    parts = [_descriptors(images[start : start + _AT_A_TIME]) for start in range(0, len(images), _AT_A_TIME)]
    return np.concatenate(parts) if parts else np.empty((0, number_of_descriptors(*images.shape[1:3])))


def _descriptors(images: Images) -> NDArray[np.float64]:
    grey = images.mean(axis=3, dtype=np.float64)
    levels = [grey.mean(axis=(1, 2)), grey.std(axis=(1, 2))]
    height, width = images.shape[1:3]
    waves = np.fft.rfft2(grey)
    power = np.abs(waves / (height * width)) ** 2
    down, right = np.abs(np.fft.fftfreq(height))[:, None], np.fft.rfftfreq(width)[None]
    frequency, steep = np.hypot(down, right), down > right
    for octave in range(_octaves(height, width)):
        upper, lower = (1.0 if not octave else 2.0 ** (-octave - 1)), 2.0 ** (-octave - 2)
        band = (frequency > lower) & (frequency <= upper)
        levels += [np.log10(power[:, band & along].sum(axis=1) + _LEAST_POWER) for along in (steep, ~steep)]
        shown = np.fft.irfft2(waves * band, s=(height, width))
        deviation = shown.std(axis=(1, 2)) + math.sqrt(_LEAST_POWER)
        square = shown * shown
        levels.append((square * shown).mean(axis=(1, 2)) / deviation**3)
        levels.append(np.log((square * square).mean(axis=(1, 2)) / deviation**4 + 1e-3))
    return np.stack(levels, axis=1)


def _octaves(height: int, width: int) -> int:
    return max(1, round(math.log2(min(height, width))) - 1)


def number_of_descriptors(height: int, width: int) -> int:
    """How many there are of an image of this size."""
    return 2 + 4 * _octaves(height, width)
