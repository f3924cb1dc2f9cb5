"""Whether two models are built alike, before anything is computed: arrays, dropouts, precisions, number of answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.foreign import Arrays, Inspected
from harness.parity.ladder import Verdict
from harness.parity.pairs.paired import Paired
from harness.text import counted


def structure(
    name: str, inspected: Sequence[Inspected], paired: Paired, own: tuple[Arrays, Arrays] | None = None
) -> Verdict:
    """Whether every array has a partner of its shape, is trained in both or in neither, the dropouts are the same, and
    there are as many answers; with `own`, whether the weights that the models have by themselves are the same, too.
    """
    labels = [each.framework for each in inspected]
    wrong = [*paired.problems, *other_answers(inspected)]
    for line in paired.lines:
        if line.ours.trained != line.theirs.trained and not line.role.startswith("moving_"):
            trained, still = labels if line.ours.trained else labels[::-1]
            wrong.append(f"{line.name} ({line.theirs.name}) is trained in {trained}, not in {still}")
    wrong += _other_dropouts(inspected, paired)
    wrong += _other_halves(inspected, paired)
    if own and not wrong:
        wrong = _own_weights(paired, own)
    if wrong:
        return Verdict(name, "structure", "breaks", note=the_first(wrong))
    size = sum(int(np.prod(line.ours.common())) for line in paired.lines)
    told = f"{len(paired.matched)} layers, {len(paired.lines)} arrays, {size:,} numbers"
    held = "".join(
        f"; held at {value}: {names}"
        for value, names in (
            ("zero", the_first([array.name for array in paired.held if not array.constant], ", ")),
            ("one", the_first([array.name for array in paired.held if array.constant], ", ")),
        )
        if names
    )
    notes = [told + held, in_order(inspected)]
    return Verdict(name, "structure", "passes", note="; ".join(filter(None, notes)))


def the_first(told: Sequence[str], between: str = "; ") -> str:
    """The first four of what is told, and how many more there are."""
    return between.join(told[:4]) + (f"; and {len(told) - 4} more" if len(told) > 4 else "")


def other_answers(inspected: Sequence[Inspected]) -> list[str]:
    """What is wrong where one model answers more arrays than the other; nothing where it does not."""
    ours, theirs = inspected
    if ours.answers == theirs.answers:
        return []
    arrays = counted(ours.answers, "array")
    return [f"{ours.framework} answers {arrays}, {theirs.framework} {theirs.answers}"]


def in_order(inspected: Sequence[Inspected]) -> str:
    """How several answers are paired, where no names that both sides have say it."""
    ours, theirs = inspected
    if ours.answers < 2 or ours.keys == theirs.keys:
        return ""
    told = "; ".join(f"{each.framework} {', '.join(each.keys) or 'without keys'}" for each in inspected)
    return f"answers are paired in order, those of a dictionary by its sorted keys: {told}"


def _other_halves(inspected: Sequence[Inspected], paired: Paired) -> list[str]:
    """What is wrong where one side alone keeps arrays in half precision: every rung computes in single or double."""
    ours, theirs = inspected
    kept = [(ours.halves.get(line.ours.name), theirs.halves.get(line.theirs.name)) for line in paired.lines]
    unlike = [(line, each) for line, each in zip(paired.lines, kept, strict=True) if each[0] != each[1]]
    if not unlike:
        return []
    line, (one, two) = unlike[0]
    told = f"is {one or _FULL} in {ours.framework}, {two or _FULL} in {theirs.framework}"
    more = f", as are {len(unlike) - 1} more" if len(unlike) > 1 else ""
    remedy = "to compare them in single precision, return a model that is kept in it"
    return [f"{line.name} ({line.theirs.name}) {told}{more}: {remedy}"]


_FULL = "in full precision"


def _other_dropouts(inspected: Sequence[Inspected], paired: Paired) -> list[str]:
    """What is wrong where dropouts are of other kinds, or behind other layers as far as it is known which."""
    ours, theirs = (side.dropouts for side in inspected)
    if ours is None or theirs is None:
        return []
    kinds = [[(each.rate, each.wide) for each in dropouts] for dropouts in (ours, theirs)]
    known = (
        {"": "", **{each.ours.output: each.ours.output for each in paired.seen}},
        {"": "", **{each.theirs.output: each.ours.output for each in paired.seen}},
    )
    places = [
        Counter(((each.rate, each.wide), None if each.behind is None else of.get(each.behind)) for each in dropouts)
        for dropouts, of in zip((ours, theirs), known, strict=True)
    ]
    all_known = not any(place is None for counted in places for _, place in counted)
    if sorted(kinds[0]) != sorted(kinds[1]) or (kinds[0] != kinds[1] and not all_known):
        return ["dropouts: " + "; ".join(map(_dropouts, inspected))]
    labels = [side.framework for side in inspected]
    found = []
    for kind in sorted(set(kinds[0])):
        alone = [places[side] - places[1 - side] for side in (0, 1)]
        behind = [[place for of, place in each.elements() if of == kind and place is not None] for each in alone]
        nowhere = [each[kind, None] for each in places]  # any of which may be the other's
        if len(behind[0]) > nowhere[1] or len(behind[1]) > nowhere[0]:
            told = [f"{label} has {_placed(each)}" for label, each in zip(labels, behind, strict=True)]
            rate, wide = kind
            found.append(f"dropout {rate:g}{' of whole channels' * wide}: {', '.join(told)}")
    return found


def _placed(places: Sequence[str]) -> str:
    told = [f"one behind {place}" if place else "one before all layers" for place in places]
    return " and ".join(told) or "one elsewhere"


def _dropouts(side: Inspected) -> str:
    told = ", ".join(f"{each.name} {each.rate:g}" + " of whole channels" * each.wide for each in side.dropouts or ())
    return f"{side.framework} has {told or 'none'}"


def _own_weights(paired: Paired, own: tuple[Arrays, Arrays]) -> list[str]:
    wrong = []
    for line in paired.lines:
        ours, theirs = (arrays[line.name].astype(np.float64) for arrays in own)
        apart = float(np.linalg.norm(ours - theirs) / (np.linalg.norm(ours) or 1))
        if apart > 1e-6:
            wrong.append(
                f"{line.name} ({line.theirs.name}): the weights are apart by {apart:.2g}{_transposed(ours, theirs)}"
            )
    return wrong


def _transposed(ours: NDArray[Any], theirs: NDArray[Any]) -> str:
    if ours.ndim == 2 and ours.shape[0] == ours.shape[1] and np.allclose(ours, theirs.T, rtol=1e-5):
        return ", and one is the other's transpose"
    if ours.shape == theirs.shape and np.allclose(np.sort(ours, axis=None), np.sort(theirs, axis=None), rtol=1e-5):
        return ", and the same numbers stand in another order"
    return ""
