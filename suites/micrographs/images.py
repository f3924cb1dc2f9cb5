"""Read gray micrographs from PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.model.architecture import Shape
from harness.protocol import Facts, Pictures
from suites.microstructure import images as png
from suites.microstructure.findings import Spot, Unusable, gather, of_images
from suites.microstructure.folder import of_one_channel, read_image_folder
from suites.microstructure.images import Read, text

_SAVE_AS = "save it as 8-bit gray"


def read_images(folder: Path, input_shape: Shape, facts: Facts) -> Pictures:
    """See `Suite.read_images`."""
    return read_image_folder(folder, of_one_channel(input_shape), read_micrographs)


def read_micrographs(paths: Sequence[Path], size: tuple[int, int]) -> Read:
    """Read gray PNG files of (height, width) `size`, black being 0 and white 1. Never raises for what they hold."""
    found, places, spots = [], [], []
    for place, path in enumerate(paths):
        try:
            found.append(png.pixels(path, size))
            places.append(place)
        except Unusable as problem:
            spots.append(Spot(place, str(problem).replace(png.SAVE_AS, _SAVE_AS)))
    images = np.stack(found)[..., None] if found else np.empty((0, *size, 1), np.float32)
    return Read(images, places, gather(spots, of_images([text(path.name) for path in paths])), spots)
