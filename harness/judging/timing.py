"""How long an exported model takes in ONNX Runtime: what a latency record holds."""

from __future__ import annotations

from typing import Annotated

import msgspec

STEADY = 0.10
"""Largest `ratio_spread` of a timing that may be quoted without a warning."""

Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Time of one run of one model on `batch` images at once.

    `runs` were timed. Percentiles are over all of them, in milliseconds; `throughput` is batch / p50, in images per
    second. `ratio` is the median over rounds of the model's p50 over the reference model's p50 in the same round, and
    `ratio_spread` the distance between the 10th and 90th percentile of that over rounds, relative to `ratio`: one bad
    round in ten moves it little, two do. `threads` is read back from ONNX Runtime.
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

    def __post_init__(self) -> None:
        if not self.p50_ms <= self.p90_ms <= self.p99_ms:
            raise ValueError("percentiles must rise from p50 to p99")

    @property
    def steady(self) -> bool:
        """Whether the ratio held still enough to be quoted."""
        return self.ratio_spread <= STEADY


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `Timing` for each batch size, or none and the `reason` why the model could not be timed."""

    timings: tuple[Timing, ...] = ()
    reason: str = ""
