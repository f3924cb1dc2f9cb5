"""What may be done to a patch that leaves the modulus of its specimen, the mean of both directions in the plane."""

from __future__ import annotations

import numpy as np

from harness.protocol import Images, Symmetry, Targets
from suites.microstructure.symmetries import Elements, mirrored, turned


def _turned(images: Images, targets: Targets, elements: Elements) -> tuple[Images, Targets]:
    return turned(images, elements), targets


def _taken_otherwise(images: Images, targets: Targets, elements: Elements) -> tuple[Images, Targets]:
    """Element 0 is the image as it is; another draws gain, level, tilts and noise for its images."""
    taken = images.copy()
    place = np.linspace(-0.5, 0.5, images.shape[1])
    for number in np.flatnonzero(elements).tolist():
        draw = np.random.default_rng(int(elements[number]))
        gain, level, noise = draw.uniform((0.4, -0.2, 0.0), (1.4, 0.2, 0.08))
        along, across = draw.uniform(-0.15, 0.15, 2)
        middle = images[number].mean()
        light = (along * place + across * place[:, None])[..., None]
        changed = middle + level + gain * (images[number] - middle) + light + noise * draw.normal(size=light.shape)
        taken[number] = np.clip(changed, 0, 1)
    return taken, targets


SESSION = Symmetry("session", "when the patch is photographed otherwise", lambda _: 2**16, _taken_otherwise)
"""Domain randomisation: any session will do, those that a test shows among them."""

SYMMETRIES: tuple[Symmetry, ...] = (
    Symmetry("mirror", "when the patch is mirrored", lambda _: 2, mirrored),
    Symmetry("rotation", "when the patch is turned", lambda _: 4, _turned),
)
