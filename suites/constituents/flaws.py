"""Patches of specimens that are inspected for defects, which are rare, and two versions of what calls one a defect.

Made by rule: on a textured ground some patches have a mark: a pore, a crack, an inclusion, or what nobody minds, a
scratch or a stain. Marks are faint and plain, small and large. A patch is a defect where an upstream segmentation finds
enough of a mark, whatever that mark is; the one in use has two versions, which differ as an update differs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float64]
Gray = NDArray[np.uint8]

SIZE, OF_EACH = 32, 40
"""Pixels along an edge of a patch, and patches of each specimen."""

PREVALENCE = 0.02
"""Share of the patches that are a defect by the first version: of each part exactly."""

_MARKED = 0.15  # of the patches that are none
_SEED = 43


class Patches(NamedTuple):
    """Gray patches (n, size, size), the `mark` on each ("nothing" where there is none), the specimen (n,) that each is
    of, and whether each is a defect by the two versions of the segmentation, (n, 2).
    """

    images: Gray
    marks: tuple[str, ...]
    specimen: NDArray[np.intp]
    defects: NDArray[np.bool_]


def make(first: int, count: int) -> Patches:
    """Patches of `count` specimens from number `first` on, of which exactly `PREVALENCE` are defects by the first
    version: any of them, whatever their specimen. They depend on these two numbers alone.
    """
    number = count * OF_EACH
    draw = np.random.default_rng([_SEED, first])
    planned = np.zeros(number, bool)
    planned[draw.permutation(number)[: round(PREVALENCE * number)]] = True
    drawn = [_mark(np.random.default_rng([_SEED, first, 1, place]), bad) for place, bad in enumerate(planned.tolist())]
    names, depths = [name for name, _ in drawn], np.stack([depth for _, depth in drawn])
    specimen = first + np.repeat(np.arange(count), OF_EACH)
    images = [_photographed(depths[specimen == one], one) for one in range(first, first + count)]
    versions = np.column_stack([version_1(np.abs(depths)), version_2(np.abs(depths))])
    return Patches(np.concatenate(images), tuple(names), specimen, versions)


def version_1(depths: Floats) -> NDArray[np.bool_]:
    """(n,) whether at least 9 pixels of a mark (n, size, size) have half of a full one's depth."""
    enough: NDArray[np.bool_] = (depths > 0.5).sum(axis=(1, 2)) >= 9
    return enough


def version_2(depths: Floats) -> NDArray[np.bool_]:
    """The same after the update: smoothed first, which thin marks lose by, and with thresholds set anew for that."""
    smooth = gaussian_filter(depths, (0, 0.6, 0.6))
    enough: NDArray[np.bool_] = (smooth > 0.46).sum(axis=(1, 2)) >= 10
    return enough


def _mark(draw: np.random.Generator, bad: bool) -> tuple[str, Floats]:
    """What is on a patch, and its depth (size, size) from -1 to 1, negative where it is bright."""
    if not bad and draw.random() > _MARKED:
        return "nothing", np.zeros((SIZE, SIZE))
    while True:
        name = str(draw.choice(list(_MARKS)))
        depth = draw.uniform(0.2, 1.0) * _MARKS[name](draw)
        if version_1(np.abs(depth)[None])[0] == bad:
            return name, depth


def _pore(draw: np.random.Generator) -> Floats:
    down, right = _from_a_point(draw)
    return _edge(np.hypot(down, right) - draw.uniform(1.0, 4.0))


def _inclusion(draw: np.random.Generator) -> Floats:
    """An ellipse, dark or bright."""
    along, across = _turned(draw)
    radius, aspect = draw.uniform(1.5, 4.0), draw.uniform(1.0, 2.5)
    return float(draw.choice((-1, 1))) * _edge(np.hypot(along / aspect, across) - radius / np.sqrt(aspect))


def _crack(draw: np.random.Generator) -> Floats:
    """A thin bent line of finite length."""
    along, across = _turned(draw)
    bent = across - draw.uniform(0.5, 2.0) * np.sin(along / draw.uniform(2.0, 5.0))
    return _edge(np.maximum(np.abs(bent) - draw.uniform(0.4, 1.0), np.abs(along) - draw.uniform(3, 12)))


def _scratch(draw: np.random.Generator) -> Floats:
    """A straight line through all of the patch, shallow."""
    _, across = _turned(draw)
    return 0.55 * _edge(np.abs(across) - draw.uniform(0.4, 1.2))


def _stain(draw: np.random.Generator) -> Floats:
    """Broad, without an edge, and shallow."""
    along, across = _turned(draw)
    stain: Floats = 0.55 * np.exp(-(along**2 + 2 * across**2) / draw.uniform(6, 12) ** 2)
    return stain


_MARKS: dict[str, Callable[[np.random.Generator], Floats]] = {
    "pore": _pore,
    "crack": _crack,
    "inclusion": _inclusion,
    "scratch": _scratch,
    "stain": _stain,
}


def _from_a_point(draw: np.random.Generator) -> tuple[Floats, Floats]:
    """Of each pixel how far down and to the right of a random point it is."""
    down, right = draw.uniform(5, SIZE - 6, 2)
    rows, columns = np.indices((SIZE, SIZE))
    return rows - down, columns - right


def _turned(draw: np.random.Generator) -> tuple[Floats, Floats]:
    """The same along a random direction and across it."""
    (down, right), angle = _from_a_point(draw), draw.uniform(0, np.pi)
    return right * np.cos(angle) + down * np.sin(angle), down * np.cos(angle) - right * np.sin(angle)


def _edge(outside: Floats) -> Floats:
    """1 inside, 0 outside, a pixel and a half from one to the other."""
    return np.clip(0.5 - outside / 1.5, 0, 1)


def _photographed(depths: Floats, specimen: int) -> Gray:
    """Gray levels of a specimen's patches (n, size, size), in a session of its own."""
    draw = np.random.default_rng([_SEED, specimen, 2])
    level, contrast, texture, noise, blur = draw.uniform((0.4, 0.25, 0.02, 0.02, 0.4), (0.7, 0.4, 0.05, 0.05, 0.8))
    ground = gaussian_filter(draw.standard_normal(depths.shape), (0, 2.0, 2.0))
    light = level + texture * ground / ground.std() - contrast * gaussian_filter(depths, (0, blur, blur))
    seen = light + noise * draw.standard_normal(depths.shape)
    gray: Gray = np.rint(np.clip(seen, 0, 1) * 255).astype(np.uint8)
    return gray
