"""Moves of a patch that leave its specimen's modulus: it is the mean of both directions in the plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.protocol import Images, Symmetry, Targets


def _mirrored(images: Images, targets: Targets, elements: NDArray[np.intp]) -> tuple[Images, Targets]:
    flips: Images = np.where(elements[:, None, None, None] == 1, images[:, :, ::-1], images)
    return flips, targets


def _turned(images: Images, targets: Targets, elements: NDArray[np.intp]) -> tuple[Images, Targets]:
    turned = images.copy()
    for turns in (1, 2, 3):
        turned[elements == turns] = np.rot90(images[elements == turns], turns, axes=(1, 2))
    return turned, targets


SYMMETRIES = (
    Symmetry("mirror", "when the patch is mirrored", lambda _: 2, _mirrored),
    Symmetry("rotation", "when the patch is turned", lambda _: 4, _turned),
)
