"""Tells layers apart that kind, shape, name and order do not: where a layer's answer differs, its like are tried, and
whether what was flattened before it lies as it is.

With drawn weights no two arrays are alike, so that a layer's answer agrees in every digit only where it is the right
one: what is found so is no guess.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from harness.foreign import Inspected
from harness.parity.pairs.judging import Judge
from harness.parity.pairs.mapping import BY_NAME, Matched, Paired, pair, signature
from harness.parity.pairs.orders import Looked

_MOST = 60  # trials


class Better(NamedTuple):
    """A mapping by which more layers agree, what was exchanged in it, and what is wrong with that, by the names."""

    paired: Paired
    told: str
    wrong: str = ""


def tell_apart(
    paired: Paired, looked: tuple[Looked, Looked], judged: Judge, judge: Callable[[Paired], Judge]
) -> Better | None:
    """What is found by trying; None where nothing is."""
    first = paired
    found: dict[str, str] = {}
    theirs, said = looked[1].inspected, looked[0].mapping
    broken = judged.first_broken()
    trials = iter(range(_MOST))
    while broken is not None:
        for exchanged, tried in _tries(paired, theirs, broken, said):
            if next(trials, None) is None:
                return _told(first, paired, found)
            other = pair(looked[0].inspected, tried, said, found | exchanged)
            trial = None if other.problems else judge(other)
            if trial is None or not trial.compared() >= judged.compared():
                continue
            later = trial.first_broken()
            if later is None or later > broken:
                paired, found, theirs, broken = other, found | exchanged, tried, later
                break
        else:
            break
    return _told(first, paired, found)


def _tries(
    paired: Paired, theirs: Inspected, broken: int, said: Mapping[str, str]
) -> Iterator[tuple[dict[str, str], Inspected]]:
    """Whether the broken layer is behind a flattening of channels first in ours, too; and other partners."""
    if broken < len(paired.matched) and paired.matched[broken].theirs.flattened:
        name = paired.matched[broken].theirs.name
        parts = tuple(replace(part, flattened=()) if part.name == name else part for part in theirs.parts)
        yield {}, replace(theirs, parts=parts)
    for exchanged in _exchanges(paired, broken, said):
        yield exchanged, theirs


def _told(first: Paired, paired: Paired, found: Mapping[str, str]) -> Better | None:
    """What was found. Layers that have one name in both models and do what another does are exchanged, or are called
    so on purpose, which nobody but the user knows. Numbers alone are no names.
    """
    if paired is first:
        return None
    before = {each.theirs.name for each in first.matched if each.theirs.flattened}
    flat = [each.ours.name for each in paired.matched if not each.theirs.flattened and each.theirs.name in before]
    tried = [f"{name} is behind a flattening of channels first in both" for name in flat]
    tried += [f"{mine} is {other}" for mine, other in found.items()]
    named = {each.ours.name: each.theirs.name for each in first.matched if each.how == BY_NAME}
    crossed = {
        mine: other
        for mine, other in found.items()
        if named.get(mine, other) != other and any(letter.isalpha() for letter in named[mine])
    }
    told = f"told apart by trying: {', '.join(tried)}"
    if not crossed:
        return Better(paired, told)
    does = ", ".join(f"{other} does what {mine} does" for mine, other in crossed.items())
    said = ", ".join(f'"{mine}": "{other}"' for mine, other in crossed.items())
    wrong = f"exchanged, by their names: {does}; if that is meant, say so by mapping = {{{said}}}"
    return Better(paired, told, wrong)


def _exchanges(paired: Paired, broken: int, said: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Other partners for layers that are alike: for the broken one, of those behind it; and for those before it that
    stand side by side, the nearest first, for what differs may be what is made of several.
    """
    free = [each for each in paired.matched if each.ours.name not in said and each.how in _NOT_SURE]
    places = {each.ours.name: place for place, each in enumerate(paired.matched)}
    for one in [each for each in free if places[each.ours.name] == broken]:
        for two in [each for each in free if places[each.ours.name] > broken]:
            if signature(one.ours) == signature(two.ours):
                yield {one.ours.name: two.theirs.name, two.ours.name: one.theirs.name}
    beside: dict[object, list[Matched]] = {}
    for each in reversed([each for each in free if places[each.ours.name] <= broken]):
        beside.setdefault((signature(each.ours), each.ours.behind), []).append(each)
    for group in beside.values():
        for order in itertools.islice(itertools.permutations(group[:_BESIDE]), 1, None):
            yield {one.ours.name: two.theirs.name for one, two in zip(group, order, strict=False)}


_BESIDE = 4  # layers side by side that are told apart, in 24 orders
_NOT_SURE = ("in the order of computation", BY_NAME, "found by trying")
