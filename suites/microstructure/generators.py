"""Seeded generators of periodic two-phase microstructures: five families of square images, 1 being the stiff phase.

An image depends on the seed, its family and its number in the family alone, so a larger set begins with the smaller.
Phases are told apart by rank, not by value: the volume fraction drawn is met to the pixel, but of `voronoi`, whose
whole cells come next to it from below, and rounding makes the choice the same on every machine. Features are small
beside the image, as in a representative volume, so that what matters is their statistics and not where the few largest
happen to lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.errors import BenchError
from harness.text import nearest

Floats = NDArray[np.float64]
Mask = NDArray[np.uint8]

FRACTIONS = (0.15, 0.65)
"""Range from which the volume fraction of the stiff phase is drawn uniformly; whole cells may fall short of it."""


def generate(families: Sequence[str], count: int, size: int, seed: int) -> tuple[Mask, tuple[str, ...]]:
    """`count` images (count, size, size) of 0 and 1, and the family of each; the families take turns.

    Raises BenchError for an unknown family, none at all, and a size under 8 pixels.
    """
    for name in families:
        if name not in FAMILIES:
            raise BenchError(f"unknown family '{name}'{nearest(name, FAMILIES)}")
    if not families or size < 8:
        raise BenchError("microstructures need at least one family and 8 pixels along an edge")
    turns = tuple(families[index % len(families)] for index in range(count))
    order = list(FAMILIES)
    images = np.empty((count, size, size), np.uint8)
    for index, name in enumerate(turns):
        draw = np.random.default_rng([seed, order.index(name), index // len(families)])
        images[index] = FAMILIES[name](draw, size)
    return images, turns


def disks(draw: np.random.Generator, size: int) -> Mask:
    """Overlapping disks of unequal radii, grown together until they fill the fraction drawn."""
    fraction = draw.uniform(*FRACTIONS)
    radii = draw.uniform(0.6, 1.4, draw.integers(20, 61))
    return lowest(np.min([np.hypot(*_from(draw, size)) / radius for radius in radii], axis=0), fraction)


def ellipses(draw: np.random.Generator, size: int) -> Mask:
    """Overlapping ellipses of unequal size, aspect ratio 2 to 4 and any orientation, grown together."""
    fraction = draw.uniform(*FRACTIONS)
    distances = []
    for _ in range(draw.integers(20, 61)):
        x, y = _from(draw, size)
        angle, aspect, length = draw.uniform(0, np.pi), draw.uniform(2, 4), draw.uniform(0.6, 1.4)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        distances.append(np.hypot(along / np.sqrt(aspect), across * np.sqrt(aspect)) / length)
    return lowest(np.min(distances, axis=0), fraction)


def gaussian_field(draw: np.random.Generator, size: int) -> Mask:
    """Thresholded Gaussian random field with a Gaussian correlation of 2.5 to 5 % of the edge."""
    fraction = draw.uniform(*FRACTIONS)
    length = draw.uniform(0.025, 0.05)
    frequencies = 2 * np.pi * np.fft.fftfreq(size, 1 / size)
    square = frequencies[:, None] ** 2 + frequencies[None, : size // 2 + 1] ** 2
    noise = np.fft.rfft2(draw.standard_normal((size, size)))
    return lowest(np.fft.irfft2(noise * np.exp(-square * length**2 / 4), s=(size, size)), fraction)


def voronoi(draw: np.random.Generator, size: int) -> Mask:
    """Voronoi cells about random points, made stiff one after another while the fraction drawn is not exceeded."""
    fraction = draw.uniform(FRACTIONS[0] + 0.02, FRACTIONS[1])
    cell = np.argmin([np.round(np.hypot(*_from(draw, size)), 9) for _ in range(draw.integers(80, 201))], axis=0)
    areas = np.bincount(cell.ravel(), minlength=int(cell.max()) + 1) / cell.size
    stiff = np.zeros(len(areas), bool)
    for candidate in draw.permutation(len(areas)):
        stiff[candidate] = areas[stiff].sum() + areas[candidate] <= fraction
    mask: Mask = stiff[cell].astype(np.uint8)
    return mask


def lamellae(draw: np.random.Generator, size: int) -> Mask:
    """Wavy layers of random orientation: a plane wave of whole periods, bent by another one."""
    fraction = draw.uniform(*FRACTIONS)
    x, y = _coordinates(size)
    wave = _wave_vector(draw, 5.0, 8.0)
    bend = _wave_vector(draw, 1.0, 2.0)
    shift, amplitude = draw.uniform(0, 2 * np.pi, 2), draw.uniform(0.3, 1.0)
    bending = amplitude * np.sin(2 * np.pi * (bend[0] * x + bend[1] * y) + shift[0])
    return lowest(-np.cos(2 * np.pi * (wave[0] * x + wave[1] * y) + shift[1] + bending), fraction)


FAMILIES: dict[str, Callable[[np.random.Generator, int], Mask]] = {
    "disks": disks,
    "ellipses": ellipses,
    "gaussian_field": gaussian_field,
    "voronoi": voronoi,
    "lamellae": lamellae,
}


def _coordinates(size: int) -> tuple[Floats, Floats]:
    """Middle of each pixel, in units of the edge: x along columns, y along rows."""
    middle = (np.arange(size) + 0.5) / size
    return np.meshgrid(middle, middle)


def _from(draw: np.random.Generator, size: int) -> tuple[Floats, Floats]:
    """Vector from a random point to each pixel, to the nearest of the point's periodic images."""
    x, y = _coordinates(size)
    dx, dy = x - draw.uniform(), y - draw.uniform()
    return dx - np.round(dx), dy - np.round(dy)


def _wave_vector(draw: np.random.Generator, shortest: float, longest: float) -> NDArray[np.int64]:
    """A vector of two integers, so that the wave is periodic, of about random direction and length; not zero."""
    angle, length = draw.uniform(0, np.pi), draw.uniform(shortest, longest)
    vector: NDArray[np.int64] = np.round(length * np.array([np.cos(angle), np.sin(angle)])).astype(np.int64)
    return vector if vector.any() else np.array([1, 0])


def lowest(field: Floats, fraction: float) -> Mask:
    """1 on the `fraction` of all pixels where `field` is lowest; equals to nine decimals are taken in pixel order."""
    order = np.argsort(np.round(field, 9), axis=None, kind="stable")
    mask = np.zeros(field.size, np.uint8)
    mask[order[: round(fraction * field.size)]] = 1
    return mask.reshape(field.shape)
