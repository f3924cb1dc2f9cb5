"""Tells layers apart that kind, shape, name and order do not: where a layer's answer differs, its like are tried,
whether what was flattened before it lies as it is, and how the shares lie of what is fused before it.

With drawn weights no two arrays are alike, so that a layer's answer agrees in every digit only where it is the right
one: what is found so is no guess.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from harness.foreign import Inspected, Part, Step
from harness.parity.pairs.fused import SHARES, Fused, shares
from harness.parity.pairs.judging import Judge
from harness.parity.pairs.likeness import signature
from harness.parity.pairs.mapping import BY_NAME, pair
from harness.parity.pairs.orders import Looked
from harness.parity.pairs.paired import Matched, Paired

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
    sides, said = (looked[0].inspected, looked[1].inspected), looked[0].mapping
    broken = judged.first_broken()
    trials = iter(range(_MOST))
    while broken is not None:
        for exchanged, tried in _tries(paired, sides, broken, said, judged):
            if next(trials, None) is None:
                return _told(first, paired, found)
            other = pair(*tried, said, found | exchanged)
            trial = None if other.problems else judge(other)
            if trial is None or not trial.compared() >= judged.compared():
                continue
            later = trial.first_broken()
            if later is None or later > broken:
                paired, found, sides, broken, judged = other, found | exchanged, tried, later, trial
                break
        else:
            break
    return _told(first, paired, found)


Sides = tuple[Inspected, Inspected]


def _tries(
    paired: Paired, sides: Sides, broken: int, said: Mapping[str, str], judged: Judge
) -> Iterator[tuple[dict[str, str], Sides]]:
    """Whether the broken layer is behind a flattening of channels first in ours, too, or behind one whose shares lie
    otherwise; and other partners.
    """
    if broken < len(paired.matched) and paired.matched[broken].theirs.flattened:
        yield {}, _tried(sides, 1, replace(paired.matched[broken].theirs, flattened=()))
    for tried in itertools.chain(_turned(paired, sides, broken), _fused(paired, sides, broken)):
        yield {}, tried
    for exchanged in _exchanges(paired, broken, said, judged):
        yield exchanged, sides


def _turned(paired: Paired, sides: Sides, broken: int) -> Iterator[Sides]:
    """The broken layer with its kernel turned, where that is square and no layer of a known kind holds it."""
    for each in paired.matched[broken : broken + 1]:
        for place, (part, side) in enumerate(zip((each.ours, each.theirs), sides, strict=True)):
            kernels = [array for role, array in part.arrays.items() if role == "kernel"]
            for one in [one for one in side.parts if one.kind == "own" and kernels == list(one.arrays.values())]:
                turned = kernels[0].then(Step("transpose", (1, 0)))
                yield _tried(sides, place, replace(one, arrays=dict.fromkeys(one.arrays, turned)))


def _tried(sides: Sides, place: int, part: Part) -> Sides:
    """Both models, in one of which a part is this one."""
    parts = tuple(part if each.name == part.name else each for each in sides[place].parts)
    tried = replace(sides[place], parts=parts)
    return (tried, sides[1]) if place == 0 else (sides[0], tried)


def _fused(paired: Paired, sides: Sides, broken: int) -> Iterator[Sides]:
    """The last fused layer before the broken one with its shares laid otherwise."""
    wrong = [(each.ours.name, each.theirs.name) for each in paired.matched[broken : broken + 1]]
    for place, side in enumerate(sides):
        names = [part.name for part in side.parts]
        end = next((names.index(each[place]) for each in wrong if each[place] in names), len(names))
        before = {names.index(fused.whole.name): fused for fused in paired.fused if fused.ours == (place == 0)}
        for last in [at for at in sorted(before) if at < end][-1:]:
            for laid in _laid(before[last], paired.fused):
                whole = replace(before[last].whole, settings={**before[last].whole.settings, SHARES: laid})
                yield _tried(sides, place, whole)


def _laid(fused: Fused, others: Sequence[Fused]) -> Iterator[tuple[int, ...]]:
    """In how many heads, which each have their shares together, first as others have them; and in which order."""
    known = [shares(each.whole)[:1] for each in others]
    common = math.gcd(*fused.widths)
    for heads in sorted(range(1, common + 1), key=lambda heads: (heads,) not in known):
        orders = itertools.permutations(range(len(fused.widths)))
        for order in itertools.islice(orders, 1 if fused.named else None) if common % heads == 0 else ():
            yield heads, *order


def _told(first: Paired, paired: Paired, found: Mapping[str, str]) -> Better | None:
    """What was found. Layers that have one name in both models and do what another does are exchanged, or are called
    so on purpose, which nobody but the user knows. Numbers alone are no names.
    """
    if paired is first:
        return None
    before = {each.theirs.name for each in first.matched if each.theirs.flattened}
    flat = [each.ours.name for each in paired.matched if not each.theirs.flattened and each.theirs.name in before]
    tried = [f"{name} is behind a flattening of channels first in both" for name in flat]
    arrays = {(each.ours.name, each.theirs.name): (each.ours.arrays, each.theirs.arrays) for each in first.matched}
    for each in paired.matched:
        now = each.ours.arrays, each.theirs.arrays
        if arrays.get((each.ours.name, each.theirs.name), now) != now:
            tried.append(f"the kernel of {each.ours.name} is turned")
    tried += [fused.told for fused in paired.fused if shares(fused.whole)]
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


def _exchanges(paired: Paired, broken: int, said: Mapping[str, str], judged: Judge) -> Iterator[dict[str, str]]:
    """Other partners for layers that are alike: for the broken one, of those behind it, what is given the same as it;
    and for those before it that stand side by side, the nearest first, for what differs may be what is made of several.
    """
    free = [each for each in paired.matched if each.ours.name not in said and each.how in _NOT_SURE]
    places = {each.ours.name: place for place, each in enumerate(paired.matched)}
    for one in [each for each in free if places[each.ours.name] == broken]:
        for two in [each for each in free if places[each.ours.name] > broken]:
            if signature(one.ours) == signature(two.ours) and judged.may_stand_for(one.ours, two.theirs):
                yield {one.ours.name: two.theirs.name, two.ours.name: one.theirs.name}
    beside: dict[object, list[Matched]] = {}
    near = [each for each in reversed(free) if places[each.ours.name] <= broken]
    for each in (*near, *(each for each in free if places[each.ours.name] > broken and judged.given(each.ours))):
        key = signature(each.ours), each.ours.behind, judged.given(each.ours)
        if places[each.ours.name] <= broken or key in beside:
            beside.setdefault(key, []).append(each)
    for group in beside.values():
        for order in itertools.islice(itertools.permutations(group[:_BESIDE]), 1, None):
            yield {one.ours.name: two.theirs.name for one, two in zip(group, order, strict=False)}


_BESIDE = 4  # layers side by side that are told apart, in 24 orders
_NOT_SURE = ("in the order of computation", BY_NAME, "found by trying")
