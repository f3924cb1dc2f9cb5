"""Which array of one model is which of the other: found by kind, shape, name and order, or said by the user."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from harness.foreign import Array, Inspected, Part, Shape, Step


class Line(msgspec.Struct, frozen=True):
    """One array of both models, each with its steps to what is common, and how that was found; `name` is ours."""

    name: str
    role: str
    kind: str
    ours: Array
    theirs: Array
    how: str = ""


class Matched(msgspec.Struct, frozen=True):
    """Two parts that are the same layer."""

    ours: Part
    theirs: Part
    how: str


class Paired(msgspec.Struct, frozen=True):
    """How two models map: their layers in order, every array, what cannot be (`problems`), what is worth knowing
    (`remarks`), and `held`: arrays of theirs that ours does not have and that stay at zero.
    """

    matched: tuple[Matched, ...]
    lines: tuple[Line, ...]
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    held: tuple[Array, ...] = ()


def pair(
    ours: Inspected, theirs: Inspected, said: Mapping[str, str], swapped: Mapping[str, str] | None = None
) -> Paired:
    """The mapping. `said` is the user's, ours to theirs by layer; `swapped` is what a trial has found."""
    search = _Search(ours, theirs)
    search.by_names(said, "as the mapping says")
    search.by_names(swapped or {}, "found by trying")
    search.bysignature()
    search.by_likeness()
    search.split_and_fused()
    search.as_arrays()
    return search.result()


def signature(part: Part) -> tuple[object, ...]:
    """Equal for parts that may be the same layer. Single arrays of no known kind have names of their own."""
    arrays = {role: array.common() for role, array in part.arrays.items()}
    if part.kind == "own":
        return "own", _squeezed(part)
    if part.kind in ("lstm", "rnn"):
        arrays.pop("recurrent_bias", None)
    return part.kind, tuple(sorted(arrays.items()))


def _words(name: str) -> frozenset[str]:
    """What a name says, in the words of any framework."""
    found = re.split(r"[^a-z0-9]+|(?<=[a-z])(?=[0-9])", name.lower())
    return frozenset(_MEANS.get(word, word) for word in found if word)


_MEANS = {
    "q": "query",
    "k": "key",
    "v": "value",
    "batchnorm": "bn",
    "fc": "dense",
    "linear": "dense",
    "emb": "embedding",
}


class _Search:
    """Parts that have no partner yet, and those that have."""

    def __init__(self, ours: Inspected, theirs: Inspected) -> None:
        self._frameworks = ours.framework, theirs.framework
        self._ours = list(ours.parts)
        self._theirs = [part for part in theirs.parts if part.kind != "constant"]
        self._all_theirs = list(self._theirs)
        self._order = {part.name: place for place, part in enumerate(ours.parts)}
        self._matched: list[Matched] = []
        self._fused: list[Line] = []
        self._problems: list[str] = []
        self._remarks: list[str] = []
        self._held: list[Array] = []

    def _match(self, ours: Part, theirs: Part, how: str) -> None:
        self._ours.remove(ours)
        self._theirs.remove(theirs)
        self._matched.append(Matched(ours, theirs, how))

    def by_names(self, said: Mapping[str, str], how: str) -> None:
        """Pair what somebody named; a name may be a layer's whose parts have names below it."""
        for mine, other in said.items():
            ours = [part for part in self._ours if part.name == mine or part.name.startswith(f"{mine}/")]
            theirs = [
                part for part in self._theirs if part.name == other or part.name.startswith((f"{other}/", f"{other}."))
            ]
            if not ours:
                self._unknown(mine, self._frameworks[0], [part.name for part in self._ours])
            if not theirs:
                self._unknown(other, self._frameworks[1], [part.name for part in self._theirs])
            for one, two in zip(ours, theirs, strict=False):
                self._match(one, two, how)

    def _unknown(self, name: str, framework: str, known: Sequence[str]) -> None:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
        hint = f": did you mean {near[0]}?" if near else ""
        self._problems.append(f"mapping names {name}, which is no layer of {framework} that is still free{hint}")

    def bysignature(self) -> None:
        """Pair what has the same kind, roles and shapes: alone of its kind; by names, where these tell; behind layers
        that are paired already; or else in order.
        """
        groups = [group for group in self._groups() if len(group[0]) == len(group[1])]
        for ours, theirs in groups:
            for one, two, how in _told_apart(ours, theirs):
                self._match(one, two, how)
        for ours, theirs in groups:
            free = [part for part in ours if part in self._ours], [part for part in theirs if part in self._theirs]
            for one, two in self._behind_the_same(*free):
                self._match(one, two, f"behind {one.behind}")
            free = [part for part in ours if part in self._ours], [part for part in theirs if part in self._theirs]
            for one, two in zip(*free, strict=True):
                self._match(one, two, "in the order of computation")

    def _groups(self) -> list[tuple[list[Part], list[Part]]]:
        groups: dict[tuple[object, ...], tuple[list[Part], list[Part]]] = defaultdict(lambda: ([], []))
        for side, parts in enumerate((self._ours, self._theirs)):
            for part in parts:
                groups[signature(part)][side].append(part)
        return sorted(groups.values(), key=lambda group: any(part.kind == "batch_norm" for part in group[0]))

    def _behind_the_same(self, ours: list[Part], theirs: list[Part]) -> list[tuple[Part, Part]]:
        partner = {each.ours.output: each.theirs.output for each in self._matched if each.ours.output}
        found = []
        for one in ours:
            wanted = partner.get(one.behind)
            fitting = [two for two in theirs if wanted and two.behind == wanted]
            alike = [other for other in ours if other.behind == one.behind]
            if len(fitting) == len(alike) == 1:
                found.append((one, fitting[0]))
        return found

    def by_likeness(self) -> None:
        """Pair the rest of each kind in order, where there are as many: what does not fit is then named."""
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
            shape = whole.arrays["kernel"].common()
            run: list[Part] = []
            for part in [part for part in many if part.kind == "dense" and part.arrays.keys() == whole.arrays.keys()]:
                own = part.arrays["kernel"].common()
                run = [*run, part] if own[0] == shape[0] else []
                if len(run) > 1 and sum(each.arrays["kernel"].common()[1] for each in run) == shape[1]:
                    self._take_apart(run, whole, theirs_fused)
                    single.remove(whole)
                    for each in run:
                        many.remove(each)
                    break

    def _take_apart(self, run: list[Part], whole: Part, theirs_fused: bool) -> None:
        begin = 0
        for part in run:
            size = part.arrays["kernel"].common()[1]
            columns = tuple(range(begin, begin + size))
            for role, array in part.arrays.items():
                from_whole = _more(whole.arrays[role], Step("take", columns, len(whole.arrays[role].common()) - 1))
                ours, theirs = (array, from_whole) if theirs_fused else (from_whole, array)
                self._fused.append(Line(f"{part.name}/{role}", role, "dense", ours, theirs, f"a share of {whole.name}"))
            begin += size
        self._remarks.append(f"{whole.name} is {', '.join(part.name for part in run)} side by side, in that order")

    def as_arrays(self) -> None:
        """Single arrays by their sizes, whatever holds them: positions, say, kept as an embedding by one side."""
        for one in [part for part in self._ours if len(part.arrays) == 1]:
            for two in [part for part in self._theirs if len(part.arrays) == 1]:
                if _squeezed(one) == _squeezed(two) and {one.kind, two.kind} <= {"own", "embedding", "prelu"}:
                    self._match(one, two, "by its size")
                    break

    def result(self) -> Paired:
        """What was found, and what was not."""
        self._matched.sort(key=lambda each: self._order[each.ours.name])
        lines = [line for each in self._matched for line in self._lines(each)] + self._fused
        for framework, parts in zip(self._frameworks, (self._ours, self._theirs), strict=True):
            for part in parts:
                told = ", ".join(f"{role} {array.common()}" for role, array in part.arrays.items())
                self._problems.append(f"{framework}'s {part.name} ({part.kind}: {told}) has no partner")
        return Paired(
            tuple(self._matched), tuple(lines), tuple(self._problems), tuple(self._remarks), tuple(self._held)
        )

    def _lines(self, each: Matched) -> list[Line]:
        ours, theirs = each.ours, each.theirs
        arrays = dict(theirs.arrays)
        if ours.kind != theirs.kind or (len(ours.arrays) == len(arrays) == 1 and _squeezed(ours) == _squeezed(theirs)):
            arrays = {role: _as(array, ours.arrays[role].common()) for role, array in _renamed(ours, theirs).items()}
        if ours.kind in ("lstm", "rnn") and "recurrent_bias" in arrays and "recurrent_bias" not in ours.arrays:
            self._held.append(arrays.pop("recurrent_bias"))
        found = []
        for role in dict.fromkeys([*ours.arrays, *arrays]):
            name = f"{ours.name}/{role}"
            if role not in ours.arrays or role not in arrays:
                has, lacks = (0, 1) if role in ours.arrays else (1, 0)
                names = (ours.name, theirs.name)
                told = f"{self._frameworks[has]}'s {names[has]} has a {role}, "
                told += f"{self._frameworks[lacks]}'s {names[lacks]} has none"
                self._problems.append(told + _about(ours))
                continue
            other = _flattened(arrays[role], role, theirs)
            one = _flattened(ours.arrays[role], role, ours)
            if one.common() != other.common():
                told = f"{name} is {one.common()} in {self._frameworks[0]}"
                self._problems.append(f"{told}, {other.common()} in {self._frameworks[1]} ({other.name})")
                continue
            found.append(Line(name, role, ours.kind, one, other, each.how + behind_flattening(theirs)))
        return found


def _about(ours: Part) -> str:
    if ours.kind == "gru":
        return ": torch's GRU is Keras's with reset_after=True, and no other"
    return ""


def behind_flattening(part: Part) -> str:
    """What is to be said of a layer whose arrays are in the order of channels first."""
    told = f"; behind a flattening of {part.flattened}, channels first" if part.flattened else ""
    return told + (f"; before a reshape to {part.unflattened}, channels first" if part.unflattened else "")


def _squeezed(part: Part) -> Shape:
    (array,) = part.arrays.values()
    return tuple(size for size in array.common() if size != 1)


def _renamed(ours: Part, theirs: Part) -> dict[str, Array]:
    if len(ours.arrays) == len(theirs.arrays) == 1:
        return dict(zip(ours.arrays, theirs.arrays.values(), strict=True))
    return dict(theirs.arrays)


def _as(array: Array, shape: Shape) -> Array:
    return array if array.common() == shape else _more(array, Step("reshape", shape))


def _more(array: Array, *steps: Step) -> Array:
    return Array(array.name, array.shape, (*array.steps, *steps), array.trained)


def _flattened(array: Array, role: str, part: Part) -> Array:
    """An array of a layer behind (or before) a flattening of channels first, in the order of channels last."""
    for shape, axis in ((part.flattened, 0), (part.unflattened, -1)):
        applies = shape and (role == "kernel" or part.kind != "dense" or (axis == -1 and role == "bias"))
        common = array.common()
        if applies and common[axis] == int(np.prod(shape)):
            whole = (*shape, *common[1:]) if axis == 0 else (*common[:-1], *shape)
            rank, first = len(whole), 0 if axis == 0 else len(common) - 1
            inner = range(first, first + len(shape))
            axes = [*range(first), *inner[1:], inner[0], *range(first + len(shape), rank)]
            array = _more(array, Step("reshape", whole), Step("transpose", tuple(axes)), Step("reshape", common))
    return array


def _told_apart(ours: list[Part], theirs: list[Part]) -> list[tuple[Part, Part, str]]:
    """Pairs among parts of one signature: alone, or by names that one of each side has."""
    if len(ours) == 1:
        return [(ours[0], theirs[0], "the only one of its kind and shape")]
    return _by_names(ours, theirs, lambda part: _words(part.name)) or _by_names(
        ours, theirs, lambda part: _words(part.name.replace("/", ".").rpartition(".")[2])
    )


def _by_names(
    ours: list[Part], theirs: list[Part], words: Callable[[Part], frozenset[str]]
) -> list[tuple[Part, Part, str]]:
    mine, others = ({words(part): part for part in parts} for parts in (ours, theirs))
    if len(mine) != len(ours) or mine.keys() != others.keys():
        return []
    return [(part, others[word], "by name") for word, part in mine.items()]
