"""Moves of a periodic film that leave Young's modulus along x1 as it is.

A quarter turn exchanges x1 and x2 and leaves the gray levels, for a cubic crystal turned by 90 degrees is itself again.
The modulus along x2 is that along x1, exactly: all angles have the same Q11 + Q12, so a film under equal stress both
ways strains alike everywhere; therefore its C11 + C12 and C22 + C12 are that sum, too, and C16 is -C26 (Hill 1964, J.
Mech. Phys. Solids 12, 199, for phases of one bulk modulus). A mirror turns every angle into its negative: a level g
becomes 1 - g, and black and white are one crystal.
"""

from __future__ import annotations

import numpy as np

from harness.protocol import Images, Symmetry, Targets
from suites.microstructure.symmetries import SYMMETRIES as OF_TWO_PHASES
from suites.microstructure.symmetries import Elements, mirrored, turned


def _turned(images: Images, targets: Targets, elements: Elements) -> tuple[Images, Targets]:
    return turned(images, elements), targets


def _mirrored(images: Images, targets: Targets, elements: Elements) -> tuple[Images, Targets]:
    moved: Images = np.where(elements[:, None, None, None] == 1, 1 - images[:, :, ::-1], images)
    return moved, targets


def _as_a_picture(images: Images, targets: Targets, elements: Elements) -> tuple[Images, Targets]:
    return mirrored(turned(images, elements % 4), targets, elements // 4)


(SHIFT,) = (symmetry for symmetry in OF_TWO_PHASES if symmetry.key == "shift")
TURN = Symmetry("turn", "when the film is turned by quarters", lambda _: 4, _turned)
MIRROR = Symmetry("mirror", "when the film is mirrored, and its angles with it", lambda _: 2, _mirrored)
PICTURE = Symmetry(
    "picture",
    "when the picture is turned and mirrored in eight ways, gray levels and labels left as they are",
    lambda _: 8,
    _as_a_picture,
    exact=False,
)
"""The lecture's augmentation: of its eight moves the four that mirror make a film whose angles are not mirrored."""

SYMMETRIES = (SHIFT, TURN, MIRROR, PICTURE)
