"""Steps of training: from which on both sides' numbers overflow, and which settings of optimizers no step shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from harness.foreign import Arrays
from harness.parity.ladder import Outcome, Verdict
from harness.parity.pairs.orders import STEPS, Computed
from harness.parity.pairs.paired import Line


def overflown(lines: Sequence[Line], left: Sequence[Mapping[str, Arrays]]) -> int | None:
    """The first of the steps with a number that neither side has finite, in one precision; None for none.

    At a rate that suits trained weights those that are drawn may run away, and are then no more alike in two right
    ports than in two wrong ones. A number that one side alone does not have finite is a difference like any other.
    """
    names = [("loss", "loss"), *((f"array/{line.ours.name}", f"array/{line.theirs.name}") for line in lines)]
    for step in STEPS:
        for precision in ("float32", "float64"):
            pairs = [
                [side[precision].get(f"optimizer/{step}/{name}") for side, name in zip(left, each, strict=True)]
                for each in names
            ]
            if any(all(array is not None and not np.isfinite(array).all() for array in pair) for pair in pairs):
                return step
    return None


def noted(
    name: str, verdicts: Sequence[Verdict], end: int | None, told: Sequence[Computed], labels: Sequence[str]
) -> list[Verdict]:
    """The verdicts on the steps before `end`, where nothing breaks with what they do not tell."""
    if any(verdict.outcome == "breaks" for verdict in verdicts):
        return list(verdicts)
    notes = [] if end is None else [f"nothing of step {end} or later, {_OVERFLOWN}"]
    alone = {each: said for each in _UNSEEN if (said := _on_one_side(each, told, labels))}
    if alone:
        notes.append(f"steps need not show that {', '.join(alone.values())}")
    outcome: Outcome | None = "skipped" if end in STEPS[:2] else None  # one step tells no momentum
    found = [
        replace(each.also(*notes), outcome=outcome or each.outcome)
        for each in verdicts or [Verdict(name, "optimizer", "skipped")]
    ]
    if "use_ema" in alone and all(each.optimizer for each in told):
        found.insert(0, Verdict(name, "optimizer", "breaks", note=f"{alone['use_ema']}{_AVERAGED}"))
    return found


def _on_one_side(setting: str, told: Sequence[Computed], labels: Sequence[str]) -> str:
    ours, theirs = (each.optimizer.get(setting) for each in told)
    return f"{setting} is {ours} in {labels[0]}, {theirs} in {labels[1]}" if bool(ours) != bool(theirs) else ""


_OVERFLOWN = "where both sides have numbers that are not finite: a lower rate, or weights=ours, may tell more"
_AVERAGED = ": at the end of a training the averages take the place of the weights"
_UNSEEN = ("clipnorm", "clipvalue", "global_clipnorm", "amsgrad", "use_ema")
"""Settings that five steps may leave without effect."""
