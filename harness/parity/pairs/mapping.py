"""Which array of one model is which of the other: found by kind, shape, name and order, or said by the user."""

from __future__ import annotations

import difflib
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from harness.foreign import Array, Inspected, Part
from harness.parity.pairs.fused import Fused, belong_together, by_what_they_project, runs, share, shares
from harness.parity.pairs.likeness import (
    NORMS,
    as_dense,
    in_the_place_of,
    is_constant,
    is_root,
    is_variance,
    is_whole,
    likeness,
    may_be,
    signature,
    sizes,
    squeezed,
)
from harness.parity.pairs.names import holder_of, last_of, numbered, words_of
from harness.parity.pairs.paired import Line, Matched, Paired, joined

BY_NAME = "by name"
"""How layers are paired that have one name in both models."""


def pair(
    ours: Inspected, theirs: Inspected, said: Mapping[str, str], swapped: Mapping[str, str] | None = None
) -> Paired:
    """The mapping. `said` is the user's, ours to theirs by layer; `swapped` is what a trial has found."""
    search = _Search(ours, theirs)
    search.by_names(said, "as the mapping says")
    search.by_names(swapped or {}, "found by trying")
    search.constants_by_names()
    search.by_signature()
    for step in (
        search.pointwise,
        search.put_together,
        search.by_likeness,
        search.split_and_fused,
        search.unshared,
        search.loosened,
    ):
        step()
        search.by_signature()  # for what is left may be told apart now
    search.as_arrays()
    return search.result()


Group = tuple[list[Part], list[Part]]
"""Parts of ours and of theirs that are alike."""


def _groups(by: Callable[[Part], tuple[object, ...]], ours: Sequence[Part], theirs: Sequence[Part]) -> list[Group]:
    """What is alike `by` something, where both have as many of it; batch norms last."""
    groups: dict[tuple[object, ...], Group] = defaultdict(lambda: ([], []))
    for side, parts in enumerate((ours, theirs)):
        for part in parts:
            groups[by(part)][side].append(part)
    even = [group for group in groups.values() if len(group[0]) == len(group[1])]
    return sorted(even, key=lambda group: any(part.kind == "batch_norm" for part in group[0]))


def _unsure(group: Group) -> tuple[bool, int, int]:
    """How little the order of computation tells in a group: nothing of layers side by side, which come in any order."""
    ours = group[0]
    return ours[0].kind == "batch_norm", len(ours) - len({one.behind for one in ours}), len(ours)


class _Search:
    """Parts that have no partner yet, and those that have."""

    def __init__(self, ours: Inspected, theirs: Inspected) -> None:
        self._frameworks = ours.framework, theirs.framework
        self._all = ours.parts, theirs.parts
        self._ours = list(ours.parts)
        self._theirs = [part for part in theirs.parts if part.kind != "constant"]
        self._constants = [part for part in theirs.parts if part.kind == "constant"]  # which need no partner
        self._order = {part.name: place for place, part in enumerate(ours.parts)}
        self._matched: list[Matched] = []
        self._shares: list[Line] = []
        self._fused: list[Fused] = []
        self._problems: list[str] = []
        self._remarks: list[str] = []
        self._held: list[Array] = []

    def _match(self, ours: Part, theirs: Part, how: str) -> None:
        self._ours.remove(ours)
        (self._constants if theirs.kind == "constant" else self._theirs).remove(theirs)
        self._matched.append(Matched(ours, theirs, how))

    def by_names(self, said: Mapping[str, str], how: str) -> None:
        """Pair what somebody named; a name may be a layer's whose parts have names below it."""
        for mine, other in said.items():
            ours = [part for part in self._ours if part.name == mine or part.name.startswith(f"{mine}/")]
            if any(part.kind == "own" for part in ours):
                self._loosen(other)
            free = [*self._theirs, *(self._constants if any(map(is_constant, ours)) else ())]
            theirs = [part for part in free if part.name == other or part.name.startswith((f"{other}/", f"{other}."))]
            if not ours:
                self._unknown(mine, self._frameworks[0], [part.name for part in self._ours])
            if not theirs:
                self._unknown(other, self._frameworks[1], [part.name for part in free])
            if len(ours) == 1 and (whole := self._put_together(1, ours[0], theirs)):
                theirs = [whole]
            elif len(theirs) == 1 and (whole := self._put_together(0, theirs[0], ours)):
                ours = [whole]
            for one, two in zip(ours, _called_alike(ours, theirs), strict=False):
                self._match(one, two, how)

    def _unknown(self, name: str, framework: str, known: Sequence[str]) -> None:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
        hint = f": did you mean {near[0]}?" if near else ""
        self._problems.append(f"mapping names {name}, which is no layer of {framework} that is still free{hint}")

    def by_signature(self) -> None:
        """Pair what has the same kind, roles and shapes; with these, so that they tell what is beside them, norms that
        are alike but for a scale.
        """
        groups = _groups(signature, self._ours, self._theirs)
        known = [{part.name for group in groups for part in group[side]} for side in (0, 1)]
        sides = zip((self._ours, self._theirs), known, strict=True)
        norms = [[part for part in parts if part.kind in NORMS and part.name not in names] for parts, names in sides]
        self._pair_groups([*groups, *_groups(likeness, *norms)])

    def _pair_groups(self, groups: Sequence[Group]) -> None:
        """Pair what is in one group: alone of its kind; by names, where these tell; beside layers that are paired
        already; or else in order.
        """
        for group in groups:
            self._match_all(group, _told_apart(*group))
        while free := [group for group in groups if group[0]]:
            if not any(self._match_all(group, self._beside_the_same(*group)) for group in free):
                group = min(free, key=_unsure)
                in_order = zip(*group, strict=True)
                self._match_all(group, [(one, two, "in the order of computation") for one, two in in_order])

    def _match_all(self, group: Group, found: Sequence[tuple[Part, Part, str]]) -> bool:
        """Pair what was found in a group, which has the rest then; whether that was anything."""
        for one, two, how in found:
            self._match(one, two, how)
            group[0].remove(one)
            group[1].remove(two)
        return bool(found)

    def _beside_the_same(self, ours: list[Part], theirs: list[Part]) -> list[tuple[Part, Part, str]]:
        """Parts that are behind layers which are paired already; where there are none, parts that are before such."""
        partner = {each.ours.output: each.theirs.output for each in self._matched if each.ours.output}
        behind = [(one, partner.get(one.behind, ""), one.behind) for one in ours]
        found = [
            (one, two, f"behind {told}")
            for one, wanted, told in behind
            if (two := _alone([two for two in theirs if wanted and two.behind == wanted]))
            and len([other for other in ours if other.behind == one.behind]) == 1
        ]
        return found or self._before_the_same(ours, theirs)

    def _before_the_same(self, ours: list[Part], theirs: list[Part]) -> list[tuple[Part, Part, str]]:
        answers: dict[str, set[str]] = defaultdict(set)
        told: dict[str, str] = {}
        for each in self._matched:
            if each.ours.behind and each.theirs.behind:
                answers[each.ours.behind].add(each.theirs.behind)
                told.setdefault(each.ours.behind, each.ours.name)
        wanted = [answers.get(one.output, set()) for one in ours]
        fitting = [_alone([two for two in theirs if {two.output} == names]) for names in wanted]
        return [
            (one, two, f"before {told[one.output]}")
            for one, two in zip(ours, fitting, strict=True)
            if two and fitting.count(two) == 1
        ]

    def pointwise(self) -> None:
        """A convolution of single pixels is the dense layer that the other model has, as in MobileNetV3's head."""
        for parts, others in ((self._ours, self._theirs), (self._theirs, self._ours)):
            wanted = {signature(part) for part in others if part.kind == "dense"}
            parts[:] = [dense if signature(dense := as_dense(part)) in wanted else part for part in parts]

    def by_likeness(self) -> None:
        """Pair what is alike but for a bias or a scale, and then the rest of each kind in order, where there are as
        many: what does not fit is then named.
        """
        self._pair_groups(_groups(likeness, self._ours, self._theirs))
        for kind in dict.fromkeys(part.kind for part in self._ours):
            ours = [part for part in self._ours if part.kind == kind]
            theirs = [part for part in self._theirs if part.kind == kind]
            if len(ours) == len(theirs):
                for one, two in zip(ours, theirs, strict=True):
                    self._match(one, two, "the only one left")

    def split_and_fused(self) -> None:
        """A kernel of one model that stands for several of the other, side by side."""
        self._fuse(self._ours, self._theirs, theirs_fused=True)
        self._fuse(self._theirs, self._ours, theirs_fused=False)

    def _fuse(self, many: list[Part], single: list[Part], theirs_fused: bool) -> None:
        for whole in [part for part in single if part.kind == "dense"]:
            alike = [part for part in many if part.kind == "dense" and part.arrays.keys() == whole.arrays.keys()]
            run = max(runs(alike, whole), key=belong_together, default=[])
            if run:
                self._take_apart(run, whole, theirs_fused)
                single.remove(whole)
                for each in run:
                    many.remove(each)

    def _take_apart(self, run: list[Part], whole: Part, theirs_fused: bool) -> None:
        named = by_what_they_project(run)
        heads, *order = shares(whole) or (1, *range(len(run)))
        run, begin = named or [run[place] for place in order], 0
        widths = [part.arrays["kernel"].common()[1] for part in run]
        for part, width in zip(run, widths, strict=True):
            for role, array in part.arrays.items():
                from_whole = share(whole.arrays[role], begin, width, heads)
                ours, theirs = (array, from_whole) if theirs_fused else (from_whole, array)
                line = Line(f"{part.name}/{role}", role, "dense", ours, theirs, f"a share of {whole.name}")
                self._shares.append(line)
            begin += width
        told = f"{whole.name} is {', '.join(part.name for part in run)} side by side, in that order"
        told += f", for each of {heads} heads" if heads > 1 else ""
        self._fused.append(Fused(whole, not theirs_fused, tuple(widths), bool(named), told))
        self._remarks.append(told)

    def unshared(self) -> None:
        """Of a layer that is tied to one with a partner, as a decoder to its embedding, only the rest needs one."""
        for side, parts in enumerate((self._ours, self._theirs)):
            paired = [(each.ours, each.theirs)[side] for each in self._matched]
            held = {array.name for part in paired for array in part.arrays.values() if is_whole(array)}
            for part in list(parts):
                tied = [array.name for array in part.arrays.values() if array.name in held and is_whole(array)]
                if not tied:
                    continue
                rest = _apart({role: array for role, array in part.arrays.items() if array.name not in held}, part)
                parts[:] = [*(each for each in parts if each is not part), *rest]
                self._order |= {each.name: self._order[part.name] for each in rest if not side}
                self._remarks.append(f"{part.name} of {self._frameworks[side]} is tied to {', '.join(tied)}")

    def loosened(self) -> None:
        """Arrays that torch gives to a function may be those of a layer of the user's own, which has no such function:
        as they are, or else as the function takes them.
        """
        if any(part.kind == "own" for part in self._ours):
            self._loosen()

    def _loosen(self, name: str = "") -> None:
        """Take apart those with an array of this name, or all."""
        wanted = {squeezed(part) for part in self._ours if part.kind == "own"}
        for part in [part for part in self._theirs if part.holder is not None]:
            if name and name not in {array.name for array in part.arrays.values()}:
                continue
            self._theirs.remove(part)
            for role, array in part.arrays.items():
                bare = replace(array, steps=())
                held = {role: bare if sizes(bare) in wanted else array}
                self._theirs.append(Part(array.name, "own", held, output=part.holder or ""))

    def put_together(self) -> None:
        """Arrays that a layer of the user's own holds may be all that one of a known kind has, as a norm whose channels
        come first, or a product with a kernel: that layer they are then.
        """
        for side, (known, loose) in enumerate(((self._theirs, self._ours), (self._ours, self._theirs))):
            for one in [part for part in known if part.holder is None]:
                groups: dict[str, list[Part]] = defaultdict(list)
                for part in [*loose, *(self._constants if side else ())]:
                    groups[holder_of(part.name)].append(part)
                found = (whole for group in groups.values() if (whole := self._put_together(side, one, group)))
                for whole in itertools.islice(found, 1):
                    self._match(*((one, whole) if side else (whole, one)), "the arrays of one layer")

    def _put_together(self, side: int, like: Part, group: list[Part]) -> Part | None:
        """Single arrays of a side as the layer that the other has, in their place; None where they are not those of
        one. What it answers is seen where nothing else is in what holds them.
        """
        arrays = in_the_place_of(like, group)
        if not arrays:
            return None
        names, name = {part.name for part in group}, holder_of(group[0].name)
        beside = [part.name for part in self._all[side] if part.name not in names]
        seen = name if name and not any(other.startswith((f"{name}.", f"{name}/")) for other in beside) else ""
        whole = replace(group[0], name=name, kind=like.kind, arrays=arrays, output=seen)
        self._order[name] = min(self._order.get(part.name, 0) for part in group)
        for part in group:
            (self._constants if part.kind == "constant" else (self._ours, self._theirs)[side]).remove(part)
        (self._ours, self._theirs)[side].append(whole)
        return whole

    def constants_by_names(self) -> None:
        """Pair arrays that nobody trains, as the mean that a layer of ours was given, with constants of theirs."""
        for one in [part for part in self._ours if is_constant(part)]:
            word = words_of(last_of(one.name))
            alike = [
                two for two in self._constants if squeezed(one) == squeezed(two) and word == words_of(last_of(two.name))
            ]
            if alike:
                nearest = max(alike, key=lambda two: len(words_of(one.name) & words_of(two.name)))
                self._match(one, nearest, BY_NAME)

    def as_arrays(self) -> None:
        """Single arrays by their sizes, whatever holds them: positions, say, kept as an embedding by one side; of
        constants those that may be the same by their names.
        """
        for one in [part for part in self._ours if is_constant(part)]:
            for two in self._constants:
                squares = is_variance(two) or is_root(two)
                if squeezed(one) == squeezed(two) and is_variance(one) == squares:
                    self._match(one, two, "by its size")
                    break
        for one in [part for part in self._ours if len(part.arrays) == 1]:
            for two in [part for part in self._theirs if len(part.arrays) == 1]:
                if squeezed(one) == squeezed(two) and {one.kind, two.kind} <= {"own", "embedding", "prelu"}:
                    self._match(one, two, "by its size")
                    break

    def result(self) -> Paired:
        """What was found, and what was not."""
        self._matched.sort(key=lambda each: self._order[each.ours.name])
        lines: list[Line] = []
        for each in self._matched:
            found = joined(each, self._frameworks)
            lines += found.lines
            self._held += found.held
            self._problems += found.problems
        lines += self._shares
        for framework, parts in zip(self._frameworks, (self._ours, self._theirs), strict=True):
            for part in [part for part in parts if part.arrays]:  # a norm may have none
                told = ", ".join(f"{role} {array.common()}" for role, array in part.arrays.items())
                self._problems.append(
                    f"{framework}'s {part.name} ({part.kind}: {told}) has no partner" + self._remedy(part)
                )
        return Paired(
            tuple(self._matched),
            tuple(lines),
            tuple(self._problems),
            tuple(self._remarks),
            tuple(self._held),
            tuple(self._fused),
        )

    def _remedy(self, one: Part) -> str:
        """What a user is to say where a part of ours may be one of theirs that is left, too."""
        free = [*self._theirs, *(self._constants if is_constant(one) else ())] if one in self._ours else []
        fitting = [two for two in free if may_be(one, two)]
        if not fitting:
            return ""
        told = f"; {self._frameworks[1]}'s {fitting[0].name} has its shape: if it is the same layer, say so by "
        return told + f'mapping = {{"{one.name}": "{fitting[0].name}"}}'


def _called_alike(ours: Sequence[Part], theirs: Sequence[Part]) -> list[Part]:
    """Theirs, in the order of ours by their names where they are constants, which are computed in none."""
    places = {words_of(last_of(part.name)): place for place, part in enumerate(ours)}
    still = all(part.kind == "constant" for part in theirs)
    return sorted(theirs, key=lambda part: places.get(words_of(last_of(part.name)), len(ours)) if still else 0)


def _alone(parts: Sequence[Part]) -> Part | None:
    return parts[0] if len(parts) == 1 else None


def _apart(arrays: Mapping[str, Array], part: Part) -> list[Part]:
    """Arrays of a part, each as one of its own."""
    return [Part(f"{part.name}/{role}", "own", {role: array}) for role, array in arrays.items()]


def _told_apart(ours: list[Part], theirs: list[Part]) -> list[tuple[Part, Part, str]]:
    """Pairs among parts of one signature: alone, or by names that one of each side has."""
    if len(ours) == 1:
        return [(ours[0], theirs[0], "the only one of its kind and shape")]
    for spoken in (str, numbered, last_of):
        found = _by_names(ours, theirs, spoken)
        if found:
            return found
    return []


def _by_names(ours: list[Part], theirs: list[Part], spoken: Callable[[str], str]) -> list[tuple[Part, Part, str]]:
    mine, others = ({words_of(spoken(part.name)): part for part in parts} for parts in (ours, theirs))
    if len(mine) != len(ours) or mine.keys() != others.keys():
        return []
    return [(part, others[word], BY_NAME) for word, part in mine.items()]
