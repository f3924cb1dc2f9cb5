"""Which array of one model is which of the other: found by kind, shape, name and order, or said by the user."""

from __future__ import annotations

import difflib
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
from msgspec.structs import replace

from harness.foreign import Array, Inspected, Part, Shape, Step
from harness.parity.pairs.fused import Fused, belong_together, by_what_they_project, runs, share, shares
from harness.parity.pairs.names import holder_of, last_of, numbered, words_of

BY_NAME = "by name"
"""How layers are paired that have one name in both models."""


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

    @property
    def seen(self) -> bool:
        """Whether what the layer answers is seen in both models."""
        return bool(self.ours.output and self.theirs.output)


class Paired(msgspec.Struct, frozen=True):
    """How two models map: their layers in order, every array, what cannot be (`problems`), what is worth knowing
    (`remarks`), `held`: arrays of theirs that ours does not have and that stay at zero, or at their `constant`; and
    what is `fused`.
    """

    matched: tuple[Matched, ...]
    lines: tuple[Line, ...]
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    held: tuple[Array, ...] = ()
    fused: tuple[Fused, ...] = ()

    @property
    def seen(self) -> list[Matched]:
        """Those layers whose answers are seen in both models, in order."""
        return [each for each in self.matched if each.seen]


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


def signature(part: Part) -> tuple[object, ...]:
    """Equal for parts that may be the same layer. Single arrays of no known kind have names of their own."""
    arrays = {role: array.common() for role, array in part.arrays.items()}
    if part.kind == "own":
        return "own", _squeezed(part)
    if part.kind in ("lstm", "rnn"):
        arrays.pop("recurrent_bias", None)
    return part.kind, tuple(sorted(arrays.items()))


def _likeness(part: Part) -> tuple[object, ...]:
    """Equal for parts of one kind whose kernels have one shape, or, of norms, whose arrays have."""
    if not part.arrays or part.kind not in ("dense", "conv", "conv_transpose", *_NORMS):
        return signature(part)
    array = part.arrays.get("kernel") or next(iter(part.arrays.values()))
    return part.kind, array.common()


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
            free = [*self._theirs, *(self._constants if any(map(_is_constant, ours)) else ())]
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
        norms = [[part for part in parts if part.kind in _NORMS and part.name not in names] for parts, names in sides]
        self._pair_groups([*groups, *_groups(_likeness, *norms)])

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
            parts[:] = [dense if signature(dense := _as_dense(part)) in wanted else part for part in parts]

    def by_likeness(self) -> None:
        """Pair what is alike but for a bias or a scale, and then the rest of each kind in order, where there are as
        many: what does not fit is then named.
        """
        self._pair_groups(_groups(_likeness, self._ours, self._theirs))
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
            held = {array.name for part in paired for array in part.arrays.values() if _is_whole(array)}
            for part in list(parts):
                tied = [array.name for array in part.arrays.values() if array.name in held and _is_whole(array)]
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
        wanted = {_squeezed(part) for part in self._ours if part.kind == "own"}
        for part in [part for part in self._theirs if part.holder is not None]:
            if name and name not in {array.name for array in part.arrays.values()}:
                continue
            self._theirs.remove(part)
            for role, array in part.arrays.items():
                bare = replace(array, steps=())
                held = {role: bare if _sizes(bare) in wanted else array}
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
        kinds = {part.kind for part in group}
        arrays = _in_the_place_of(like.arrays, group) if like.kind in _PUT_TOGETHER and kinds <= _SINGLE else {}
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
        for one in [part for part in self._ours if _is_constant(part)]:
            word = words_of(last_of(one.name))
            alike = [
                two
                for two in self._constants
                if _squeezed(one) == _squeezed(two) and word == words_of(last_of(two.name))
            ]
            if alike:
                nearest = max(alike, key=lambda two: len(words_of(one.name) & words_of(two.name)))
                self._match(one, nearest, BY_NAME)

    def as_arrays(self) -> None:
        """Single arrays by their sizes, whatever holds them: positions, say, kept as an embedding by one side; of
        constants those that may be the same by their names.
        """
        for one in [part for part in self._ours if _is_constant(part)]:
            for two in self._constants:
                squares = _is_variance(two) or _is_root(two)
                if _squeezed(one) == _squeezed(two) and _is_variance(one) == squares:
                    self._match(one, two, "by its size")
                    break
        for one in [part for part in self._ours if len(part.arrays) == 1]:
            for two in [part for part in self._theirs if len(part.arrays) == 1]:
                if _squeezed(one) == _squeezed(two) and {one.kind, two.kind} <= {"own", "embedding", "prelu"}:
                    self._match(one, two, "by its size")
                    break

    def result(self) -> Paired:
        """What was found, and what was not."""
        self._matched.sort(key=lambda each: self._order[each.ours.name])
        lines = [line for each in self._matched for line in self._lines(each)] + self._shares
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
        free = [*self._theirs, *(self._constants if _is_constant(one) else ())] if one in self._ours else []
        fitting = [two for two in free if _may_be(one, two)]
        if not fitting:
            return ""
        told = f"; {self._frameworks[1]}'s {fitting[0].name} has its shape: if it is the same layer, say so by "
        return told + f'mapping = {{"{one.name}": "{fitting[0].name}"}}'

    def _lines(self, each: Matched) -> list[Line]:
        ours, theirs = each.ours, each.theirs
        arrays = dict(theirs.arrays)
        if ours.kind != theirs.kind or len(ours.arrays) == len(arrays) == 1:
            arrays = {role: _as(array, ours.arrays.get(role)) for role, array in _renamed(ours, theirs).items()}
        how = each.how
        if theirs.kind == "constant" and _is_variance(ours) and _is_root(theirs):
            arrays, how = {role: replace(array, root=True) for role, array in arrays.items()}, f"{how}; its root"
        if ours.kind in ("lstm", "rnn") and "recurrent_bias" in arrays and "recurrent_bias" not in ours.arrays:
            self._held.append(arrays.pop("recurrent_bias"))
        found = []
        for role in dict.fromkeys([*ours.arrays, *arrays]):
            name = f"{ours.name}/{role}"
            if role not in ours.arrays and _neutral(role, arrays[role]):
                self._held.append(arrays[role])
                continue
            if role not in ours.arrays or role not in arrays:
                has, lacks = (0, 1) if role in ours.arrays else (1, 0)
                names = (ours.name, theirs.name)
                told = f"{self._frameworks[has]}'s {names[has]} has a {role}, "
                told += f"{self._frameworks[lacks]}'s {names[lacks]} has none"
                self._problems.append(told + _about(ours, theirs, role))
                continue
            other = _flattened(arrays[role], role, theirs)
            one = _flattened(ours.arrays[role], role, ours)
            if one.common() != other.common():
                told = f"{name} is {one.common()} in {self._frameworks[0]}"
                self._problems.append(f"{told}, {other.common()} in {self._frameworks[1]} ({other.name})")
                continue
            found.append(Line(name, role, ours.kind, one, other, how + behind_flattening(theirs)))
        return found


def _about(ours: Part, theirs: Part, role: str) -> str:
    if ours.kind == "gru":
        return ": torch's GRU is Keras's with reset_after=True, and no other"
    if role in _NEUTRAL and role not in ours.arrays:
        value = "one" if _NEUTRAL[role] else "zero"
        return f": for it to be the same, freeze {theirs.arrays[role].name} at {value}, as it is by default"
    if theirs.settings.get("affine") is False and role in _NEUTRAL:
        return ": affine is False in torch, as it is by default"
    if theirs.settings.get("track_running_stats") and role.startswith("moving_"):
        return ": torch's has track_running_stats=True, and normalises by these in inference mode"
    return ""


_NEUTRAL = {"gamma": 1.0, "beta": 0.0}
"""By what a norm without such an array scales, and what it adds."""


def _neutral(role: str, array: Array) -> bool:
    """Whether a frozen array of a norm does nothing."""
    return role in _NEUTRAL and array.constant == _NEUTRAL[role]


def behind_flattening(part: Part) -> str:
    """What is to be said of a layer whose arrays are in the order of channels first."""
    told = f"; behind a flattening of {part.flattened}, channels first" if part.flattened else ""
    return told + (f"; before a reshape to {part.unflattened}, channels first" if part.unflattened else "")


def _is_constant(part: Part) -> bool:
    """Whether it is an array that no step changes, held by a layer of no known kind."""
    return part.kind == "own" and not any(array.trained for array in part.arrays.values())


def _is_variance(part: Part) -> bool:
    return "variance" in words_of(last_of(part.name))


def _is_root(part: Part) -> bool:
    """Whether it is a standard deviation, by its name."""
    return bool(words_of(last_of(part.name)) & {"std", "stddev", "sigma", "sd", "deviation"})


def _called_alike(ours: Sequence[Part], theirs: Sequence[Part]) -> list[Part]:
    """Theirs, in the order of ours by their names where they are constants, which are computed in none."""
    places = {words_of(last_of(part.name)): place for place, part in enumerate(ours)}
    still = all(part.kind == "constant" for part in theirs)
    return sorted(theirs, key=lambda part: places.get(words_of(last_of(part.name)), len(ours)) if still else 0)


def _alone(parts: Sequence[Part]) -> Part | None:
    return parts[0] if len(parts) == 1 else None


def _as_dense(part: Part) -> Part:
    """A convolution of single pixels as the dense layer of the last axis that it is; any other part as it is."""
    kernel = part.arrays.get("kernel")
    if part.kind != "conv" or kernel is None or part.settings.get("groups", 1) != 1:
        return part
    *size, given, made = kernel.common()
    if set(size) != {1}:
        return part
    arrays = {**part.arrays, "kernel": kernel.then(Step("reshape", (given, made)))}
    return replace(part, kind="dense", arrays=arrays)


def _squeezed(part: Part) -> Shape:
    (array,) = part.arrays.values()
    return _sizes(array)


def _sizes(array: Array) -> Shape:
    return tuple(size for size in array.common() if size != 1)


def _is_whole(array: Array) -> bool:
    """Whether it is all of the framework's array, as a query's share of an attention's is not."""
    return bool(np.prod(array.common()) == np.prod(array.shape))


def _in_the_place_of(arrays: Mapping[str, Array], group: Sequence[Part]) -> dict[str, Array]:
    """Single arrays by the roles of those that have their sizes, whose names tell, or else their order; none where some
    have no role, or have none left.
    """
    found: dict[str, Array] = {}
    free = list(group)
    for role, array in arrays.items():
        fitting = [(part, laid) for part in free for each in part.arrays.values() if (laid := _laid(each, array))]
        if not fitting:
            return {}
        told = [bool(words_of(last_of(part.name)) & _ROLES.get(role, frozenset())) for part, _ in fitting]
        part, found[role] = fitting[told.index(max(told))]
        free.remove(part)
    return {} if free else found


def _laid(array: Array, other: Array) -> Array | None:
    """An array in the shape of another; of a kernel also turned. None where it has other sizes."""
    rank = len(array.common())
    turned = array.then(Step("transpose", (*range(2, rank), 1, 0))) if rank > 1 else array
    fitting = [each for each in (array, turned) if _sizes(each) == _sizes(other)]
    return _as(fitting[0], other) if fitting else None


_SINGLE = {"own", "constant"}
_NORMS = ("layer_norm", "group_norm", "batch_norm")
_PUT_TOGETHER = ("dense", *_NORMS)
_ROLES = {
    "gamma": frozenset({"gamma", "weight", "scale"}),
    "beta": frozenset({"beta", "bias", "shift", "offset"}),
    "moving_mean": frozenset({"mean"}),
    "moving_variance": frozenset({"variance"}),
}


def _apart(arrays: Mapping[str, Array], part: Part) -> list[Part]:
    """Arrays of a part, each as one of its own."""
    return [Part(f"{part.name}/{role}", "own", {role: array}) for role, array in arrays.items()]


def _may_be(one: Part, two: Part) -> bool:
    """Whether two parts have arrays of the same shapes."""
    single = len(one.arrays) == len(two.arrays) == 1
    return signature(one) == signature(two) or (single and _squeezed(one) == _squeezed(two))


def _renamed(ours: Part, theirs: Part) -> dict[str, Array]:
    if len(ours.arrays) == len(theirs.arrays) == 1:
        return dict(zip(ours.arrays, theirs.arrays.values(), strict=True))
    return dict(theirs.arrays)


def _as(array: Array, other: Array | None) -> Array:
    """An array in the shape of another, where that differs by axes of one alone."""
    if other is None or array.common() == other.common() or _sizes(array) != _sizes(other):
        return array
    return array.then(Step("reshape", other.common()))


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
            array = array.then(Step("reshape", whole), Step("transpose", tuple(axes)), Step("reshape", common))
    return array


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
