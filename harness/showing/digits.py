"""Numbers with the digits that are known of them, and intervals in words."""

from __future__ import annotations

import numpy as np

from harness.judging.blocks import Difference, Row


def last_decimal(uncertainty: float) -> int:
    """The last decimal that a number of this `uncertainty` is worth: of 0.012 the third, of 40 the one before the
    point, -1. Two digits of the uncertainty where they are below 35, else one (the rule of the Particle Data Group,
    "Review of Particle Physics", section 5.3). Raises ValueError unless it is positive and finite.
    """
    if not 0 < uncertainty < np.inf:
        raise ValueError(f"an uncertainty is positive and finite, not {uncertainty}")
    power = power_of_ten(uncertainty)
    return -power + (round(uncertainty / 10.0**power, 2) < 3.55)


def rounded(value: float, last: int) -> str:
    """A number up to its decimal `last`, and never a negative zero; very small ones by their power of ten."""
    if last > 7:
        return f"{value:.{max(0, last + power_of_ten(value))}e}" if value else "0"
    return f"{round(value, last) + 0.0:.{max(0, last)}f}"


def power_of_ten(value: float) -> int:
    """The largest that is not above its size, by its exponent: 2 of 340, -2 of 0.034."""
    return int(np.floor(np.log10(abs(value))))


def decimals(value: float, sign: str = "", digits: int = 3) -> str:
    """So many decimals, and never a negative zero; `sign` "+" writes it always. A dash for what is no number."""
    return "–" if np.isnan(value) else f"{round(value, digits) + 0.0:{sign}.{digits}f}"


def in_words(found: Difference, digits: int = 3) -> str:
    """Value and interval, with so many decimals; with as many more, up to six, as show that an interval without zero is
    one. A dash for that of too few images (`stats.FEWEST_IMAGES`).
    """
    while digits < 6 and found.low * found.high > 0 and not round(min(abs(found.low), abs(found.high)), digits):
        digits += 1
    value, low, high = (decimals(number, "+", digits) for number in (found.value, found.low, found.high))
    return f"{value} ({'–' if np.isnan(found.low) else f'{low} to {high}'})"


def known_skill(row: Row) -> tuple[str, str]:
    """Its skill and the 95 % interval of it, with the digits that this allows; "" for that of too few images."""
    skill, (low, high) = row.skill(), row.skill_interval()
    if np.isnan(low):
        return decimals(skill), ""
    last = 3 if high - low < 1e-6 else min(6, max(2, last_decimal((high - low) / 2)))
    return rounded(skill, last), f"{rounded(low, last)} to {rounded(high, last)}"


def skill_in_words(row: Row) -> str:
    """The same in one."""
    skill, ends = known_skill(row)
    return f"{skill} ({ends})" if ends else skill
