"""Tells layers apart that kind, shape, name and order do not: where a layer's answer differs, its like are tried.

With drawn weights no two arrays are alike, so that a layer's answer agrees in every digit only where it is the right
one: what is found so is no guess.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping

from harness.parity.pairs.judging import Judge
from harness.parity.pairs.mapping import Matched, Paired, pair, signature
from harness.parity.pairs.orders import Looked

_MOST = 60  # trials


def tell_apart(
    paired: Paired,
    said: Mapping[str, str],
    looked: tuple[Looked, Looked],
    judged: Judge,
    judge: Callable[[Paired], Judge],
) -> tuple[Paired, str] | None:
    """A mapping by which more layers agree, and what was exchanged in it; None where there is none."""
    found: dict[str, str] = {}
    broken = judged.first_broken()
    trials = iter(range(_MOST))
    while broken is not None:
        for exchanged in _exchanges(paired, broken, said):
            if next(trials, None) is None:
                return _told(paired, found)
            other = pair(looked[0].inspected, looked[1].inspected, said, found | exchanged)
            trial = None if other.problems else judge(other)
            if trial is None or not trial.compared() >= judged.compared():
                continue
            later = trial.first_broken()
            if later is None or later > broken:
                paired, found, broken = other, found | exchanged, later
                break
        else:
            break
    return _told(paired, found)


def _told(paired: Paired, found: Mapping[str, str]) -> tuple[Paired, str] | None:
    told = ", ".join(f"{mine} is {other}" for mine, other in found.items())
    return (paired, f"told apart by trying: {told}") if found else None


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
_NOT_SURE = ("in the order of computation", "by name", "found by trying")
