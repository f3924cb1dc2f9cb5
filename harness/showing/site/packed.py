"""Numbers in a page: two letters each, a quarter of what they take as text, and finer than any screen; or three letters
each, which keep three digits of numbers of any size. And a CSV by its columns, in which many cells are alike.
"""

from __future__ import annotations

import csv
import io
import itertools
import string

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    return float(f"{low:.6g}"), float(f"{high:.6g}"), _letters(steps, 2)


def _letters(steps: NDArray[np.int_], each: int) -> str:
    """Whole numbers, so many digits to the base 64 each."""
    powers = 64 ** np.arange(each)[::-1]
    return bytes(_DIGITS[steps[:, None] // powers % 64]).decode("ascii")


def to_three_digits(values: ArrayLike) -> str:
    """Values of any shape, row by row, each to three digits m times a power p of ten, as three digits to the base 64 of
    m + 1000 + 2000 (p + 65); what is not finite is no number, and what no such power reaches is 0 or the farthest.
    """
    flat = np.asarray(values, np.float64).ravel()
    steps = np.full(flat.shape, 64**3 - 1)
    for place in np.flatnonzero(np.isfinite(flat)).tolist():
        digits, _, power = f"{flat[place]:.2e}".partition("e")
        steps[place] = _three_digits(int(digits.replace(".", "")), int(power) - 2)
    return _letters(steps, 3)


def _three_digits(whole: int, power: int) -> int:
    if power > 65:
        whole, power = (999 if whole > 0 else -999), 65
    if power < -65:
        whole, power = 0, 0
    return whole + 1000 + 2000 * (power + 65)


def by_columns(table: str) -> list[tuple[str, str, str]]:
    """A CSV whose cells have no line breaks: of each column its heading, the texts in it, one a line, and which of them
    each row has, by as many digits to the base 64 as that takes; it is empty where each has its own, or all have one.
    """
    names, *lines = csv.reader(io.StringIO(table))
    found = []
    for name, *cells in zip(names, *lines, strict=True):
        number = {text: place for place, text in enumerate(dict.fromkeys(cells))}
        places = np.array([number[cell] for cell in cells], int)
        each = 0 if len(number) in (1, len(cells)) else next(n for n in itertools.count(1) if len(number) <= 64**n)
        found.append((name, "\n".join(number), _letters(places, each) if each else ""))
    return found
