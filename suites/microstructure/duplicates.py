"""Images that are one and the same periodic cell: equal, shifted, turned or mirrored.

One in the training set would answer for its twin in the test set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

from harness.errors import Finding
from harness.protocol import Images
from suites.microstructure.findings import Severity, few
from suites.microstructure.symmetries import AXES_EXCHANGED

Floats = NDArray[np.float64]
Cells = NDArray[np.float32]

_AT_A_TIME = 256
_EQUAL = 1e-3  # of the largest constant: two computations of the same cell


class Twins(NamedTuple):
    """Image `second` is `first`: `equal` to the pixel, or shifted and, where `turned`, with x1 and x2 exchanged."""

    first: int
    second: int
    equal: bool
    turned: bool = False


def find_twins(images: Images) -> list[Twins]:
    """Each image (n, s, s, 1) of zeros and ones that is an earlier one, up to shifts and symmetries of the square.

    Candidates share all that shifts and symmetries leave: the autocorrelation, whole numbers, summed over the
    symmetries. A cross-correlation that reaches the number of white pixels then proves it.
    """
    groups: dict[bytes, list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image.tobytes(), []).append(index)
    twins = [Twins(same[0], other, equal=True) for same in groups.values() for other in same[1:]]
    single = [same[0] for same in groups.values()]
    candidates: dict[bytes, list[int]] = {}
    for index, key in zip(single, _invariants(images, single), strict=True):
        candidates.setdefault(key, []).append(index)
    for members in candidates.values():
        firsts: list[tuple[int, NDArray[np.complex64]]] = []
        for index in members:
            cell = images[index, :, :, 0]
            for first, transforms in firsts:
                if (turned := _turned(transforms, cell)) is not None:
                    twins.append(Twins(first, index, equal=False, turned=turned))
                    break
            else:
                firsts.append((index, rfft2(np.stack(list(_symmetric(cell))))))
    return twins


def _invariants(images: Images, which: Sequence[int]) -> Iterator[bytes]:
    """Autocorrelations summed over the symmetries; of the half that points do not mirror."""
    for start in range(0, len(which), _AT_A_TIME):
        cells = images[which[start : start + _AT_A_TIME], :, :, 0]
        spectrum = np.abs(rfft2(cells)) ** 2
        counts = np.rint(irfft2(spectrum, s=cells.shape[1:])).astype(np.int32)
        # A mirror about pixel 0 of an axis; the half turn leaves any autocorrelation.
        total = counts + np.roll(counts[:, :, ::-1], 1, axis=2)
        total = total + total.transpose(0, 2, 1)
        for cell in total[:, : cells.shape[1] // 2 + 1]:
            yield cell.tobytes()


def _symmetric(cell: Cells) -> Iterator[Cells]:
    """The eight symmetries of the square; in the last four x1 and x2 are exchanged."""
    for turned in (cell, cell.T):
        yield from (turned, turned[::-1], turned[:, ::-1], turned[::-1, ::-1])


def _turned(transforms: NDArray[np.complex64], cell: Cells) -> bool | None:
    """Whether x1 and x2 are exchanged in the symmetry that makes `cell`, up to a shift; None where none does."""
    overlaps = irfft2(transforms * np.conj(rfft2(cell)), s=cell.shape)
    reached = np.rint(overlaps.max(axis=(1, 2))) >= np.rint(cell.sum())
    return None if not reached.any() else bool(np.argmax(reached) >= 4)


def check_twins(images: Images, constants: Floats, names: Sequence[str]) -> list[Finding]:
    """What is told of twins among images (n, s, s, 1) with constants (n, 9), NaN where unknown, and file names."""
    equal: list[str] = []
    following: list[str] = []
    others: list[str] = []
    for twins in find_twins(images):
        expected = constants[twins.first][AXES_EXCHANGED] if twins.turned else constants[twins.first]
        differs = np.abs(constants[twins.second] - expected).max() > _EQUAL * np.abs(expected).max()
        kind = equal if twins.equal else others if differs else following
        kind.append(f"{names[twins.first]} = {names[twins.second]}")
    leak = "it would leak from the training set into the test set; keep one of each"
    cell = "the same periodic cell, shifted, turned or mirrored"
    unlike = "but with other constants: keep one of each, or, if edges do not meet, all; else mend the constants"
    return (
        _finding("error", f"the same image: {leak}", equal)
        + _finding("error", f"{cell}: {leak}", following)
        + _finding("warning", f"{cell}, {unlike}", others)
    )


def _finding(severity: Severity, text: str, pairs: Sequence[str]) -> list[Finding]:
    count = f"{len(pairs)} pairs: " if len(pairs) > 1 else ""
    return [Finding(severity, "images", f"{text}; {count}{few(pairs)}")] if pairs else []
