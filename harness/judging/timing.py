"""How long an exported model takes in ONNX Runtime: what a latency record holds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated

import msgspec

NARROW = 0.025
"""How far from the ratio the ends of its interval may be, relative to it, for it to be quoted without a warning."""

STEADY = 0.10
"""Largest `ratio_spread` of a timing without an interval that may be quoted without a warning."""

FEWEST_ROUNDS = 6
"""With fewer there is no 95 % interval: the median lies outside all five of five in one case of 16."""

Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Time of one run of one model on `batch` images at once.

    `runs` were timed, in `rounds` rounds. Percentiles are over all of them, in milliseconds; `throughput` is batch /
    p50, in images per second. `ratio` is the median over rounds of the model's p50 over the reference model's p50 right
    before it, of runs that kept their core. `ratio_low` to `ratio_high` is that median's 95 % interval: what is known
    of the ratio. `ratio_spread` is the distance between the 10th and 90th percentile of single rounds, relative to
    `ratio`, which more rounds do not make smaller. `unsteady` says why the interval is not narrow, where it is not.
    `threads` is read back from ONNX Runtime.

    Timings published before there was an interval have none, nor has a glance; their `ratio` is of all runs, beside a
    reference timed once a round.
    """

    batch: Count
    threads: Count
    runs: Count
    p50_ms: Positive
    p90_ms: Positive
    p99_ms: Positive
    throughput: Positive
    ratio: Positive
    ratio_spread: Annotated[float, msgspec.Meta(ge=0)]
    ratio_low: Positive | None = None
    ratio_high: Positive | None = None
    rounds: Count | None = None
    unsteady: str = ""

    def __post_init__(self) -> None:
        if not self.p50_ms <= self.p90_ms <= self.p99_ms:
            raise ValueError("percentiles must rise from p50 to p99")
        if (self.ratio_low is None) != (self.ratio_high is None):
            raise ValueError("an interval has two ends")
        if self.ratio_low is not None and self.ratio_high is not None:
            if not self.ratio_low <= self.ratio <= self.ratio_high:
                raise ValueError("the interval must hold the ratio")
            if self.rounds is None or self.rounds < FEWEST_ROUNDS:
                raise ValueError(f"an interval takes {FEWEST_ROUNDS} rounds")

    @property
    def steady(self) -> bool:
        """Whether the ratio is known well enough to be quoted."""
        if self.ratio_low is None or self.ratio_high is None:
            return self.ratio_spread <= STEADY and not self.unsteady
        return is_narrow(self.ratio, self.ratio_low, self.ratio_high) and not self.unsteady


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `Timing` for each batch size, or none and the `reason` why the model could not be timed."""

    timings: tuple[Timing, ...] = ()
    reason: str = ""

    def of(self, batch: int) -> Timing | None:
        """That of a batch of this size, None where it was not timed."""
        return next((timing for timing in self.timings if timing.batch == batch), None)


def median_interval(values: Iterable[float]) -> tuple[float, float] | None:
    """The 95 % confidence interval of the median of what `values` are drawn from, independently; None for fewer than
    `FEWEST_ROUNDS`.

    It lies between two order statistics, whatever the distribution: the median is below the k-th smallest of n only
    where fewer than k of n tosses of a coin are heads (David and Nagaraja 2003, "Order Statistics", section 7.1). Of
    ten values the smallest and the largest are left out.
    """
    ordered = sorted(values)
    count, left_out, below = len(ordered), 0, 1.0
    while below <= 0.025 * 2.0**count:
        left_out += 1
        below += math.comb(count, left_out)
    if not left_out:
        return None
    return float(ordered[left_out - 1]), float(ordered[count - left_out])


def is_narrow(ratio: float, low: float, high: float) -> bool:
    """Whether an interval's ends are both within `NARROW` of the ratio."""
    return max(high - ratio, ratio - low) <= NARROW * ratio
