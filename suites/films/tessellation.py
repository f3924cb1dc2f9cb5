"""Polycrystalline films: periodic Voronoi tessellations of a square window, and the angle of each grain's crystal.

A film is whole numbers: seeds in 65536ths of the window's edge and angles in 65536ths of 90 degrees. Whatever is
computed of a film is computed of these, so what is stored is what was computed, to the bit.

The grain size s_g is the root of the mean area of a grain: a window of edge L has (L/s_g)² grains. Seeds are drawn one
after another and uniformly, and drawn again where they come nearer to an earlier one than half of s_g (simple
sequential inhibition): the nuclei of a film do not sit inside each other, and no grain is too small to be seen.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from harness.errors import BenchError
from harness.text import number
from suites.films.crystal import PERIOD

STEPS = 65536
"""Into how many parts the window's edge and the period of the angle are divided."""

LARGEST_RATIO = 25
"""Of L/s_g: there a grain is five pixels of 128 wide."""

SIZE = 128
"""Pixels along an edge on which a film is homogenized, and of its image."""

Grains = NDArray[np.intp]
Quanta = NDArray[np.uint16]


class Film(NamedTuple):
    """`seeds` (k, 2), along x1 (columns) and x2 (rows), and `angles` (k,), both in `STEPS`."""

    seeds: Quanta
    angles: Quanta

    @property
    def degrees(self) -> NDArray[np.float64]:
        """(k,) angle of each grain, from x1 towards x2."""
        return self.angles.astype(np.float64) * (PERIOD / STEPS)


def film(seeds: ArrayLike, degrees: ArrayLike) -> Film:
    """The film with seeds (k, 2) in 0..1 (1 left out) of the window's edge and grains turned by `degrees` (k,).

    Both are rounded down to whole steps. Raises BenchError for fewer than two grains, seeds outside the window, two
    in one place, and angles outside 0..90, 90 being 0.
    """
    places, turned = np.asarray(seeds, float), np.asarray(degrees, float)
    if places.ndim != 2 or places.shape[1] != 2 or turned.shape != places.shape[:1]:
        raise BenchError(f"a film needs seeds (k, 2) and angles (k,), not {places.shape} and {turned.shape}")
    if len(places) < 2:
        raise BenchError("a film needs two grains at least: one alone is a crystal, whose modulus is known")
    if not ((places >= 0) & (places < 1)).all():
        raise BenchError("seeds must lie in the window, from 0 to 1 and 1 left out, for it is periodic: 1 is 0 again")
    if not ((turned >= 0) & (turned < PERIOD)).all():
        raise BenchError(
            "angles must lie from 0 to 90 degrees, 90 left out: a cubic crystal turned by 90 is at 0 again"
        )
    quantised = Film(
        np.floor(places * STEPS).astype(np.uint16),
        np.floor(turned * (STEPS / PERIOD)).clip(max=STEPS - 1).astype(np.uint16),
    )
    if len(np.unique(quantised.seeds, axis=0)) < len(places):
        raise BenchError(f"two seeds in one place, to 1/{STEPS} of the window: take one away")
    return quantised


def grain_count(ratio: float) -> int:
    """The number of grains at L/s_g = `ratio`. Raises BenchError where that makes no film, or none that can be seen."""
    if not 1 <= ratio <= LARGEST_RATIO:
        why = f"the edge of the window over the grain size is a number from 1 to {LARGEST_RATIO}, as in ratio=4"
        raise BenchError(f"ratio={ratio:g}: {why}")
    count = round(ratio**2)
    if count < 2:
        raise BenchError(f"ratio={ratio:g}: makes a window of one grain, a crystal; two grains need 1.3 at least")
    return count


def parse_ratio(text: str) -> float:
    """L/s_g as a user writes it. Raises BenchError for what is no number, and as `grain_count` does."""
    try:
        ratio = number(text)
    except ValueError:
        raise BenchError(f"ratio={text[:40]}: must be a number, as in ratio=4") from None
    grain_count(ratio)
    return ratio


def draw_film(ratio: float, seed: int, index: int) -> Film:
    """Film number `index` at L/s_g = `ratio`; it depends on these three alone, so a larger set begins with the smaller.

    A film is drawn anew where pixels tear a grain apart: the sharp corner of one may leave a pixel on its own. Raises
    BenchError as `grain_count` does.
    """
    count = grain_count(ratio)
    draw = np.random.default_rng([seed, count, index])
    while True:
        drawn = Film(_seeds(draw, count), draw.integers(STEPS, size=count).astype(np.uint16))
        if pieces(grains(drawn, SIZE)) == count:
            return drawn


def _seeds(draw: np.random.Generator, count: int) -> Quanta:
    nearest_allowed = STEPS**2 // (4 * count)  # the square of half of s_g
    seeds = np.empty((count, 2), np.int64)
    placed = 0
    while placed < count:
        candidate = draw.integers(STEPS, size=2)
        apart = np.abs(seeds[:placed] - candidate)
        apart = np.minimum(apart, STEPS - apart)
        if ((apart**2).sum(axis=1) >= nearest_allowed).all():
            seeds[placed] = candidate
            placed += 1
    return seeds.astype(np.uint16)


def grains(film: Film, size: int) -> Grains:
    """(size, size) index of the grain in the middle of each pixel: that of the nearest seed, or image of a seed.

    In whole numbers, so that the answer is the same everywhere; of grains that are equally near it is the first.
    """
    count, unit = len(film.seeds), 2 * size  # of a step: the middles of pixels are whole numbers of these, too
    shifts = np.array([(x, y) for x in (0, -1, 1) for y in (0, -1, 1)]) * STEPS
    images = ((film.seeds + shifts[:, None]) * unit).reshape(-1, 2)
    middles = (np.arange(size).reshape(-1, math.gcd(size, 16)) * 2 + 1) * STEPS  # (block, pixel)
    near = _near(images, middles, count)
    x = (middles[None, :, None, :] - images[near][..., 0, None]) ** 2  # (row and column of blocks, candidate, pixel)
    y = (middles[:, None, None, :] - images[near][..., 1, None]) ** 2
    shortest = y[:, :, 0, :, None] + x[:, :, 0, None, :]
    chosen = np.broadcast_to((near[:, :, 0] % count)[..., None, None], shortest.shape).copy()
    for candidate in range(1, near.shape[2]):
        distance = y[:, :, candidate, :, None] + x[:, :, candidate, None, :]
        nearer = distance < shortest
        np.copyto(chosen, (near[:, :, candidate] % count)[..., None, None], where=nearer)
        np.minimum(shortest, distance, out=shortest)
    return chosen.transpose(0, 2, 1, 3).reshape(size, size)


def _near(images: NDArray[np.int64], middles: NDArray[np.int64], count: int) -> Grains:
    """(row, column of blocks, m) the seeds' images of which one is nearest, for each pixel of a block of pixels.

    Such an image is no further from the block's middle than the nearest one there and the block's diagonal.
    """
    x, y = np.meshgrid(middles.mean(axis=1), middles.mean(axis=1))
    tree, points = cKDTree(images), np.stack([x, y], axis=-1)
    reach = tree.query(points)[0] + np.ptp(middles[0]) * math.sqrt(2) * 1.001
    many = int(tree.query_ball_point(points, reach, return_length=True).max())
    _, near = tree.query(points, k=range(1, many + 1))
    return np.take_along_axis(near, np.argsort(near % count, axis=-1), axis=-1)


def pieces(grains: Grains) -> int:
    """Into how many pieces the grains (n, n) of a periodic window fall, pixels being joined along their edges."""
    places = np.arange(grains.size).reshape(grains.shape)
    joined = []
    for axis in (0, 1):
        same = grains == np.roll(grains, -1, axis)
        joined.append(np.stack([places[same], np.roll(places, -1, axis)[same]]))
    a, b = np.concatenate(joined, axis=1)
    graph = coo_matrix((np.ones(len(a), bool), (a, b)), (grains.size, grains.size))
    return int(connected_components(graph, directed=False)[0])
