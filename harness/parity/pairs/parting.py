"""Where a model and a graph part: the graph is searched for what each layer of the model answers.

By the numbers, for a graph has neither the layers' names nor their layouts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.foreign import Arrays, Inspected, Part, Setting


def where(looked: Sequence[Inspected], left: Sequence[Mapping[str, Arrays]], allowed: float) -> str:
    """The first layer of ours whose answer the graph does not have, and what the graph computes instead."""
    ours, theirs = looked
    shown = [(part, array) for part in ours.parts if (array := _shown(left[0], part)) is not None]
    graph = _Tensors([(part, array) for part in theirs.parts if (array := _shown(left[1], part)) is not None])
    there = {part.output: graph.find(array, _SLACK * allowed) for part, array in shown}
    right = _leading_to({part.output: part for part, _ in shown}, [name for name, tensor in there.items() if tensor])
    lost = next((place for place, (part, _) in enumerate(shown) if part.output not in right), None)
    if lost is None:
        last = f"{theirs.framework} has what every layer answers: " if shown else ""
        return f"{last}look behind the last, where {ours.framework} computes {_chain(ours.after)}"
    part = shown[lost][0]
    before = next((each for each, _ in reversed(shown[:lost]) if there[each.output]), None)
    begin = there[before.output] if before else ""
    told = f"{theirs.framework} has nowhere what {part.name} answers"
    told += f", but what {before.name} before it does, as {begin}" if before else ", which is the first"
    computes = [*part.before, _described(part)]
    return f"{told}; {ours.framework} computes {_chain(computes)}; {theirs.framework} {_chain(graph.following(begin))}"


_SLACK = 4.0  # rounding moves some layers more than it does the answers


def _shown(left: Mapping[str, Arrays], part: Part) -> NDArray[Any] | None:
    return left["float32"].get(f"forward/{part.output}") if part.output else None


class _Tensors:
    """All that a graph computes, by size."""

    def __init__(self, shown: Sequence[tuple[Part, NDArray[Any]]]) -> None:
        self._parts = [part for part, _ in shown]
        self._by_size: dict[int, list[tuple[str, NDArray[Any]]]] = defaultdict(list)
        for part, array in shown:
            self._by_size[array.size].append((part.output, np.sort(array, axis=None)))

    def find(self, array: NDArray[Any], allowed: float) -> str:
        """The tensor with these numbers, in whatever order; "" for none."""
        numbers = np.sort(array, axis=None).astype(np.float64)
        limit = allowed * float(np.linalg.norm(numbers))
        fitting = self._by_size[array.size]
        return next((name for name, theirs in fitting if np.linalg.norm(theirs - numbers) <= limit), "")

    def following(self, name: str) -> list[str]:
        """What is computed of a tensor, or of the input, and of that, for a few nodes."""
        told: list[str] = []
        while len(told) < _FEW and (part := next((each for each in self._parts if each.behind == name), None)):
            told.append(_described(part))
            name = part.output
        return told


_FEW = 3


def _leading_to(parts: Mapping[str, Part], found: Sequence[str]) -> set[str]:
    """The layers that are found, and all of which these are made: what an exporter has folded into the next."""
    right = set(found)
    for name in found:
        while (name := parts[name].behind if name in parts else "") and name not in right:
            right.add(name)
    return right


def _described(part: Part) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in part.settings.items() if not _usual(name, value))
    return f"{part.kind} ({settings})" if settings else part.kind


def _usual(name: str, value: Setting) -> bool:
    """Whether a setting says nothing, or no more than the shapes do."""
    plain = value in (0, "", "NOTSET") or name == "kernel_shape" or value == _USUAL.get(name)
    return plain or (name.startswith("dilation") and isinstance(value, tuple) and set(value) == {1})


_USUAL: dict[str, Setting] = {
    "group": 1,
    "groups": 1,
    "use_bias": True,
    "data_format": "channels_last",
    "activation": "linear",
    "padding_mode": "zeros",
}


def _chain(calls: Sequence[str]) -> str:
    return " > ".join(calls) if calls else "nothing that is seen"
