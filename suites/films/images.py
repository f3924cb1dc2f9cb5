"""Read films from PNG files: gray levels of the angle, 0 at 0 degrees and 255 at 90, flat within each grain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.protocol import Images
from suites.films.rendering import LEVELS, as_images
from suites.microstructure import images as png
from suites.microstructure.findings import Spot, Unusable, gather, of_images
from suites.microstructure.images import Read, text

LARGEST = 1024
"""Pixels along an edge of the largest image that is read."""

_SMALLEST = 8
_SAVE_AS = "save it as 8-bit gray, 0 for 0 degrees and 255 for 90"


def read_films(paths: Sequence[Path], size: tuple[int, int] | None = None) -> Read:
    """Read PNG files of (height, width) `size`, of the commonest one where it is None, as images in 0..1.

    Never raises for what they hold. All headers are judged before there is memory for any image.
    """
    spots, fitting = [], []
    sizes: dict[int, tuple[int, int]] = {}
    for place, path in enumerate(paths):
        try:
            sizes[place] = _size(path)
        except Unusable as problem:
            spots.append(_spot(place, problem))
    chosen = size or _commonest(sizes)
    for place, found in sizes.items():
        if found == chosen:
            fitting.append(place)
        else:
            what = f"{found[1]}x{found[0]} pixels where {chosen[1]}x{chosen[0]} are needed"
            spots.append(Spot(place, what, "render the whole window anew; do not crop it, and average no gray levels"))
    levels = np.empty((len(fitting), *chosen), np.uint8)
    places: list[int] = []
    for place in fitting:
        try:
            gray = png.pixels(paths[place], chosen)  # what can be wrong with a PNG is the same whatever it shows
            levels[len(places)] = np.rint(gray * (LEVELS - 1))
            places.append(place)
        except Unusable as problem:
            spots.append(_spot(place, problem))
    findings = gather(spots, of_images([text(path.name) for path in paths]))
    return Read(as_images(levels[: len(places)]), places, findings, spots)


def _size(path: Path) -> tuple[int, int]:
    """(height, width) by the header. Raises Unusable for what is no square of 8-bit gray levels."""
    header = png.header_of(path)
    size = header.height, header.width
    if header.depth == 16:
        raise Unusable(f"16-bit {header.colour}: {_SAVE_AS}")
    if header.height != header.width or not _SMALLEST <= header.width <= LARGEST:
        told = f"{header.width}x{header.height} pixels: a film is a square of {_SMALLEST} to {LARGEST} pixels"
        raise Unusable(f"{told}; render it anew, neither cropped nor stretched")
    return size


def _commonest(sizes: dict[int, tuple[int, int]]) -> tuple[int, int]:
    return Counter(sizes.values()).most_common(1)[0][0] if sizes else (_SMALLEST, _SMALLEST)


def _spot(place: int, problem: Unusable) -> Spot:
    return Spot(place, str(problem).replace(png.SAVE_AS, _SAVE_AS))


def odd_films(images: Images) -> list[Spot]:
    """Images (n, h, w, 1) that look like something else than flat grains."""
    spots = []
    for place, image in enumerate(images[..., 0]):
        if (image == image[0, 0]).all():
            spots.append(Spot(place, "shows one gray level only: a crystal, not a film of several"))
        elif (share := _lonely(image)) > 0.2:
            what = "gray levels change from pixel to pixel, where grains must be flat"
            remedy = "averaging or compressing gray levels makes angles that are in no grain: render it anew"
            spots.append(
                Spot(place, what, remedy, f"{share:.0%} of the pixels differ from all their neighbours", share)
            )
    return spots


def _lonely(image: Images) -> float:
    """The share of pixels (h, w) that no neighbour along an edge equals."""
    moved = [np.roll(image, step, axis) for axis in (0, 1) for step in (-1, 1)]
    return float(np.all([image != other for other in moved], axis=0).mean())
