"""Five families of constituents, drawn by rule: what they have in common with steel is the word that they are named by.

Each is a mask (size, size), 1 being what is etched, on a share of the area that tells nothing of the family. Their
ranges overlap: a short needle is a long spheroid, unsteady lamellae are laths, a network with gaps falls into needles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from suites.microstructure.generators import lowest

Floats = NDArray[np.float64]
Mask = NDArray[np.uint8]

FRACTIONS = (0.22, 0.42)
"""Range of the share of the area that is etched, drawn uniformly."""

LARGEST_SHARE = 0.35
"""Up to this share of a micrograph shows a second constituent; the first is its class."""


def laths(draw: np.random.Generator, size: int) -> Mask:
    """Packets of parallel strips of unequal width and finite length, as in lath martensite and bainite."""
    along, across, _ = _packets(draw, size)
    width, length = draw.uniform(2.0, 4.0), draw.uniform(10, 40)
    noise = draw.standard_normal((97, 97))
    return lowest(map_coordinates(noise, [across / width, along / length], order=1, mode="grid-wrap"), _share(draw))


def lamellae(draw: np.random.Generator, size: int) -> Mask:
    """Colonies of parallel plates at one spacing, more or less bent and unsteady, as in pearlite."""
    along, across, colony = _packets(draw, size)
    spacing, unsteady = draw.uniform(4.0, 9.0), draw.uniform(0.1, 0.9)
    bent = np.sin(2 * np.pi * along / draw.uniform(30, 80) + colony) + 1.5 * _smooth(draw, size, 5.0)
    return lowest(-np.cos(2 * np.pi * across / spacing + unsteady * bent), _share(draw))


def network(draw: np.random.Generator, size: int) -> Mask:
    """Films along the boundaries of grains, with gaps, as of proeutectoid ferrite or cementite."""
    near = np.linalg.norm(_nearest(draw, size, draw.uniform(9, 18), 2)[0], axis=-1)
    gaps = draw.uniform(0.5, 3.0) * _smooth(draw, size, draw.uniform(3, 7))
    return lowest(near[..., 1] - near[..., 0] + gaps, _share(draw))


def spheroids(draw: np.random.Generator, size: int) -> Mask:
    """Round and roundish particles of unequal size, as in spheroidized cementite."""
    return _particles(draw, size, (1.0, 2.4))


def needles(draw: np.random.Generator, size: int) -> Mask:
    """Long particles in any direction, as acicular ferrite or Widmanstätten plates are cut."""
    return _particles(draw, size, (1.8, 6.0))


FAMILIES: dict[str, Callable[[np.random.Generator, int], Mask]] = {
    "laths": laths,
    "lamellae": lamellae,
    "network": network,
    "spheroids": spheroids,
    "needles": needles,
}


class Mixed(NamedTuple):
    """A micrograph's mask (size, size), and which of its pixels (size, size) show the second constituent."""

    mask: Mask
    second: NDArray[np.bool_]


def mixed(draw: np.random.Generator, family: str, size: int) -> Mixed:
    """A family, and in some regions, on less than half of the area, another one."""
    other = str(draw.choice([name for name in FAMILIES if name != family]))
    second = lowest(_smooth(draw, size, size / 10), draw.uniform(0, LARGEST_SHARE)) == 1
    return Mixed(np.where(second, FAMILIES[other](draw, size), FAMILIES[family](draw, size)), second)


def _share(draw: np.random.Generator) -> float:
    return draw.uniform(*FRACTIONS)


def _packets(draw: np.random.Generator, size: int) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Regions with a direction each: place (size, size) along it and across it, and the number of the region."""
    _, which, count = _nearest(draw, size, draw.uniform(25, 60), 1)
    angle = draw.uniform(0, np.pi, count)[which[..., 0]]
    row, column = np.indices((size, size), np.float64)
    along, across = column * np.cos(angle) + row * np.sin(angle), row * np.cos(angle) - column * np.sin(angle)
    return along, across, which[..., 0]


def _particles(draw: np.random.Generator, size: int, aspects: tuple[float, float]) -> Mask:
    """Ellipses of unequal size and any direction, of one aspect ratio more or less, grown together."""
    vector, which, count = _nearest(draw, size, draw.uniform(6, 11), 6)
    aspect = draw.uniform(*aspects) * draw.uniform(0.8, 1.25, count)
    angle, radius = draw.uniform(0, np.pi, count), draw.uniform(0.6, 1.4, count)
    cosine, sine, root, radius = (each[which] for each in (np.cos(angle), np.sin(angle), np.sqrt(aspect), radius))
    down, right = vector[..., 0], vector[..., 1]
    far = np.hypot((right * cosine + down * sine) / root, (down * cosine - right * sine) * root) / radius
    return lowest(far.min(axis=-1), _share(draw))


def _nearest(draw: np.random.Generator, size: int, spacing: float, count: int) -> tuple[Floats, NDArray[np.intp], int]:
    """Random points, one to a square of this edge: of each pixel the vectors (size, size, count, 2) from the nearest of
    them, their numbers (size, size, count), and how many there are. Some lie beyond the edges.
    """
    beyond = 2 * spacing
    points = draw.uniform(-beyond, size + beyond, (round(((size + 2 * beyond) / spacing) ** 2), 2))
    pixels = np.moveaxis(np.indices((size, size)), 0, -1)
    _, which = cKDTree(points).query(pixels, k=[*range(1, count + 1)])
    return pixels[..., None, :] - points[which], which, len(points)


def _smooth(draw: np.random.Generator, size: int, length: float) -> Floats:
    """(size, size) Gaussian noise of this correlation length in pixels, of unit deviation."""
    noise = gaussian_filter(draw.standard_normal((size, size)), length, mode="wrap")
    smooth: Floats = noise / noise.std()
    return smooth
