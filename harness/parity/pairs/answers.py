"""Whether an ONNX graph answers what a model does, within what rounding may do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.foreign import Arrays, Inspected, moves
from harness.parity import ladder
from harness.parity.ladder import Pair, Side, Verdict
from harness.parity.pairs import judging
from harness.parity.pairs.orders import FIRST_SEED, Computed, below
from harness.parity.pairs.parting import where
from harness.parity.side import Told


def answered(name: str, looked: Sequence[Inspected], computed: Sequence[tuple[Computed, Arrays]]) -> list[Verdict]:
    """The verdicts on what a model and a graph answer, in single precision; of one that breaks, where they part. Two
    graphs are calibrated by what moving every number by its last digit does to the first.
    """
    left = [judging.by_precision(arrays) for _, arrays in computed]
    answers = [_answers(side["float32"]) for side in left]
    exact = [_answers(side["float64"]) or None for side in left]
    if not any(exact):  # two graphs, or a model that does not run so: by how much rounding moves a graph calibrates
        place = 0 if (moved := _answers(left[0]["float32"], "moved answer ")) else 1
        exact[place] = moved or _answers(left[1]["float32"], "moved answer ")
    for side in (answers[1], exact[1] or {}):
        side |= {each: _like(array, answers[0].get(each, array)) for each, array in side.items()}
    sides = [
        Side(each.framework, Told(broken=told.broken), _reader(single), _reader(double) if double else None)
        for each, (told, _), single, double in zip(looked, computed, answers, exact, strict=True)
    ]
    verdicts = ladder.judge("forward", name, False, Pair(sides[0], sides[1], {}), FIRST_SEED)
    return [
        verdict.also(where(looked, left, verdict.allowed or 0))
        if verdict.outcome == "breaks" and verdict.difference is not None
        else verdict
        for verdict in verdicts
    ]


def _answers(arrays: Arrays, prefix: str = "answer ") -> Arrays:
    return {f"answer {name}": array for name, array in below(f"forward/{prefix}", arrays).items()}


def _reader(arrays: Arrays) -> Callable[[str], Arrays]:
    return lambda _: arrays


def _like(array: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """An answer with its channels where the other's are: of several ways that its shape allows, by the one by which the
    two are nearest, for by chance no two agree.
    """
    turned = [array.transpose(order) for order in moves(array.shape, other.shape)]
    return min(turned, key=lambda each: float(np.linalg.norm(each - other)), default=array)
