"""Moves of a periodic microstructure that leave it the same medium, and what becomes of its elastic constants.

Of two phases in columns along x3: a shift, or a mirror image, changes none of the nine constants; a rotation by 90
degrees exchanges x1 and x2. x1 runs along the columns of an image (its last axis but the channel), x2 along its rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.model.architecture import Shape
from harness.protocol import Images, Node, Operators, Symmetry, Targets
from suites.microstructure.homogenization import TARGETS

Elements = NDArray[np.intp]


def _shifted(images: Images, targets: Targets, elements: Elements) -> tuple[Images, Targets]:
    height, width = images.shape[1:3]
    down, right = np.divmod(elements, width)
    rows = (np.arange(height) - down[:, None]) % height
    columns = (np.arange(width) - right[:, None]) % width
    return images[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]], targets


def _shift(shape: Shape, element: int) -> Operators:
    """A shift as ONNX operators: what leaves at one edge comes in at the other."""
    nodes, arrays, value = (
        list[Node](),
        {"end": np.array([2**31], np.int64), "start": np.array([0], np.int64)},
        "images",
    )
    for axis, by in enumerate(divmod(element, shape[1]), 1):
        arrays |= {f"axis{axis}": np.array([axis], np.int64), f"cut{axis}": np.array([shape[axis - 1] - by], np.int64)}
        nodes += [
            ("Slice", (value, f"cut{axis}", "end", f"axis{axis}"), f"leaving{axis}", {}),
            ("Slice", (value, "start", f"cut{axis}", f"axis{axis}"), f"staying{axis}", {}),
            ("Concat", (f"leaving{axis}", f"staying{axis}"), f"moved{axis}", {"axis": axis}),
        ]
        value = f"moved{axis}"
    return Operators((*nodes, ("Identity", (value,), "encoded", {})), arrays)


def mirrored(images: Images, targets: Targets, elements: Elements) -> tuple[Images, Targets]:
    """Images (n, h, w, c) left to right where `elements` (n,) are 1; see `Symmetry.move`."""
    flips: Images = np.where(elements[:, None, None, None] == 1, images[:, :, ::-1], images)
    return flips, targets


def turned(images: Images, quarters: Elements) -> Images:
    """Images (n, h, w, c), each by so many quarters (n,); images that are not square by none or two."""
    moved = images.copy()
    for number in np.unique(quarters).tolist():
        moved[quarters == number] = np.rot90(images[quarters == number], number, axes=(1, 2))
    return moved


def _turned(images: Images, targets: Targets, elements: Elements) -> tuple[Images, Targets]:
    quarters = elements * (4 // _turns(images.shape[1:]))
    exchanged = (quarters % 2 == 1)[:, None]
    return turned(images, quarters), np.where(exchanged, targets[:, AXES_EXCHANGED], targets)


# Of constants in the order of TARGETS (C11 C22 C33 C12 C23 C13 C44 C55 C66), those that stand there after a quarter.
AXES_EXCHANGED = [TARGETS.index(name) for name in ("C22", "C11", "C33", "C12", "C13", "C23", "C55", "C44", "C66")]


def _turns(shape: Shape) -> int:
    """Quarters, or halves of what is not square."""
    return 4 if shape[0] == shape[1] else 2


SYMMETRIES = (
    Symmetry("shift", "when the periodic image is shifted", lambda shape: shape[0] * shape[1], _shifted, _shift),
    Symmetry("mirror", "when the image is mirrored", lambda _: 2, mirrored),
    Symmetry("rotation", "when the image is turned, and x1 and x2 with it", _turns, _turned),
)
