"""Numbers in a page: two letters each, a quarter of what they take as text, and finer than any screen."""

from __future__ import annotations

import string

import numpy as np
from numpy.typing import ArrayLike

_DIGITS = np.frombuffer((string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/").encode(), np.uint8)
_NOTHING = 64 * 64 - 1


Packed = tuple[float, float, str]
"""Least and largest value, and all as text, two digits to the base 64 each: 0 is the least, 4094 the largest, 4095 no
number.
"""


def packed(values: ArrayLike) -> Packed:
    """Values of any shape, row by row, each to a 4094th of their range; what is not finite is no number."""
    flat = np.asarray(values, np.float64).ravel()
    known = np.isfinite(flat)
    low, high = (float(flat[known].min()), float(flat[known].max())) if known.any() else (0.0, 0.0)
    steps = np.full(flat.shape, _NOTHING)
    steps[known] = np.rint((_NOTHING - 1) * (flat[known] - low) / ((high - low) or 1.0)).astype(int)
    text = _DIGITS[np.stack([steps // 64, steps % 64], axis=1)].tobytes().decode("ascii")
    return float(f"{low:.6g}"), float(f"{high:.6g}"), text
