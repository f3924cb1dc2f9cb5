"""Numbers in a page: two letters each, a quarter of what they take as text, and finer than any screen."""

from __future__ import annotations

import string
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

_DIGITS = np.frombuffer((string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/").encode(), np.uint8)
_NOTHING = 64 * 64 - 1


class Packed(TypedDict):
    """Values as `text`, two digits to the base 64 each: 0 at `low`, 4094 at `high`, 4095 where there is no number."""

    low: float
    high: float
    text: str


def packed(values: ArrayLike) -> Packed:
    """Values of any shape, row by row, each to a 4094th of their range; what is not finite is no number."""
    flat = np.asarray(values, np.float64).ravel()
    known = np.isfinite(flat)
    low, high = (float(flat[known].min()), float(flat[known].max())) if known.any() else (0.0, 0.0)
    steps = np.full(flat.shape, _NOTHING)
    steps[known] = np.rint((_NOTHING - 1) * (flat[known] - low) / ((high - low) or 1.0)).astype(int)
    text = _DIGITS[np.stack([steps // 64, steps % 64], axis=1)].tobytes().decode("ascii")
    return {"low": float(f"{low:.6g}"), "high": float(f"{high:.6g}"), "text": text}
