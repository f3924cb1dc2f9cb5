"""Is a difference between two sides rounding, or is it another model? The rungs that compare arrays.

Nothing is compared at a tolerance picked by hand. Each side is computed in float32 and in float64, which tells how far
rounding alone moves every array in either framework; the two frameworks may be apart by a small multiple of that.

For an array with float32 values a, b and float64 values A, B of the two sides, in Euclidean norms relative to A's:

    rounding       r = min(|a - A|, |b - B|), at least 4 ulps, and at least that of nine tenths of its rung's arrays
    in float32     |a - b| <= 8 r
    in float64     |A - B| <= 64 r 2^-29,    2^-29 being how much finer float64 is

The smaller of the two distances counts, so that a side with a fault cannot excuse itself by being inexact; the rung's
arrays together, because single ones come out exact by luck. float64 has the larger multiple, because the frameworks sum
float64 in other orders and lengths than float32.

Gradients, and what an optimizer makes of them, jump where one rounding takes a ReLU across zero in one framework alone.
In float32 the larger distance counts for them, so that float64 judges, where such a jump is 2^29 times rarer; and where
rounding moves half of the gradients by more than 1e-3, as it does when a deep network trains through its batch norms,
the verdict says that float32 could not tell a mistake of 1 % from rounding (Higham 2002, "Accuracy and Stability of
Numerical Algorithms", section 1.6: an ill-conditioned problem magnifies rounding, and higher precision is the cure).
There float64 may differ by 512 r 2^-29: r stops growing at the arrays' own size, the error of float64 goes on.

Where one framework never computes in float64, float32 judges, and a jump of its own would be taken for a mistake. So
small networks make the `optimizer`'s steps a few times more in the other framework, from weights of which each is moved
to a neighbouring float32 number, and r is what moves an array furthest: of several runs one jumps, too.

A foreign model may keep something in float32 whatever it is asked for. Where float64 then differs, it is held to 8 r,
with r at least half an ulp, and the verdict says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.parity.side import Told
from harness.parity.subjects import MOST_STEPS
from harness.protocol import Arrays, Precision

RUNGS = {
    "structure": "the same named parameters, shapes and counts",
    "forward": "the same outputs of every layer, from the same weights and images",
    "gradients": "the same loss and gradient of every parameter",
    "gradcam": "the same Grad-CAM map of every answer, by the last convolution",
    "state": "the same batch-norm statistics after a training step, unmoved where they are frozen",
    "optimizer": "the same losses and weights after 1, 10 and 100 steps on the same batches",
    "training": "predictions after the whole recipe differ less between frameworks than between seeds",
    "export": "ONNX graphs agree with their frameworks and with each other, at every optimisation level",
    "statistics": "with each framework's own initial weights, R² over ten seeds is equivalent",
}

MULTIPLE: dict[Precision, float] = {"float32": 8.0, "float64": 64.0}
ILL_CONDITIONED_MULTIPLE = 512.0  # in float64
ULPS = 4.0
ILL_CONDITIONED = 1e-3
LOST = 1.0
"""Rounding leaves no digit of such an array, as of the gradient of a bias before a batch norm, which is zero."""
_JUMPS = ("gradients", "gradcam", "optimizer")
_OF_NETWORKS = ("forward", "gradcam")
_EPSILON = 2.0**-23  # of float32
FINER = 2.0**-29
"""How much finer float64 is."""

Outcome = Literal["passes", "breaks", "differs", "skipped"]
"""What `differs` is no mistake in either side, but what two frameworks are like: it decides no exit code."""


class Verdict(msgspec.Struct, frozen=True):
    """What a rung says of a variant in one precision.

    `difference` is that of `worst`, the array that came nearest to what is `allowed` or went furthest beyond: both are
    relative to the array, but absolute in the rungs that say so in `note`. `precision` is "" where there is none.
    """

    variant: str
    rung: str
    outcome: Outcome
    precision: Precision | Literal[""] = ""
    worst: str = ""
    difference: float | None = None
    allowed: float | None = None
    note: str = ""
    seed: int = 0

    def also(self, *notes: str) -> Verdict:
        """The same with what else there is to say of it, which may be nothing."""
        return msgspec.structs.replace(self, note="; ".join(filter(None, [self.note, *notes])))


class Side(msgspec.Struct, frozen=True):
    """What one backend left behind, in words and in arrays, in float32 and, where it offers that, in float64."""

    label: str
    told: Told
    single: Callable[[str], Arrays]
    double: Callable[[str], Arrays] | None


class Pair(msgspec.Struct, frozen=True):
    """Two sides of one network, and the weights that both started from.

    `unlike` where nobody has made them alike, operation by operation: then the larger distance counts in float64, too,
    for what may jump. `single` says what of a side stays in float32 where it should compute in float64, "" for nothing.
    """

    ours: Side
    theirs: Side
    start: Arrays
    unlike: bool = False
    single: str = ""


def judge(rung: str, variant: str, keeps_statistics: bool, pair: Pair, seed: int) -> list[Verdict]:
    """The verdicts of a rung that compares arrays; `keeps_statistics` where the variant's recipe freezes batch norms,
    whose moving statistics must then stay where they are.
    """
    for side in (pair.ours, pair.theirs):
        if rung in side.told.broken:
            return [Verdict(variant, rung, "breaks", note=f"{side.label}: {side.told.broken[rung]}", seed=seed)]
        if rung in side.told.lacks:
            return [Verdict(variant, rung, "skipped", note=f"{side.label}: {side.told.lacks[rung]}", seed=seed)]
    match rung:
        case "structure":
            verdicts = [_structure(variant, pair)]
        case "export":
            verdicts = [_export(variant, pair)]
        case _:
            verdicts = _compared(rung, variant, keeps_statistics, pair)
    return [msgspec.structs.replace(verdict, seed=seed) for verdict in verdicts]


def _structure(variant: str, pair: Pair) -> Verdict:
    ours, theirs = pair.ours.told, pair.theirs.told
    assert ours.counts is not None
    assert theirs.counts is not None
    wrong = _unequal("shape of", ours.shapes, theirs.shapes)
    wrong += _unequal("parameters of", ours.counts.layers, theirs.counts.layers)
    trained = ours.trainable[variant], theirs.trainable[variant]
    wrong += _unequal("trainable parameters of", {variant: trained[0]}, {variant: trained[1]})
    told = f"{len(ours.shapes)} arrays, {ours.counts.total:,} parameters, {trained[0]:,} trained"
    return Verdict(variant, "structure", "breaks" if wrong else "passes", note="; ".join(wrong[:4]) or told)


def _unequal(what: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    return [
        f"{what} {name}: {ours.get(name, 'none')} and {theirs.get(name, 'none')}"
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name) != theirs.get(name)
    ]


# --- arrays -------------------------------------------------------------------------------------------------------


class Distance(msgspec.Struct, frozen=True):
    """How far the two sides are apart in an array, and what they may be, relative to the array's norm."""

    name: str
    difference: float
    allowed: float

    @property
    def excess(self) -> float:
        """Above 1 where the difference is more than rounding."""
        return self.difference / self.allowed if np.isfinite(self.difference) else np.inf


class Unsound(NamedTuple):
    """What is wrong with an array that has numbers which are not finite, on one side `alone` or on both."""

    precision: Precision
    told: str
    alone: bool = False


class Compared:
    """Arrays of both sides by name, in float32 and, of sides that have it, in float64; `names` are those in all."""

    def __init__(self, pair: Pair, key: str, layers: Sequence[str] = ()) -> None:
        sides = (pair.ours, pair.theirs)
        self.labels = [side.label for side in sides]
        self.single = [dict(side.single(key)) for side in sides]
        self.double = [dict(side.double(key)) if side.double else None for side in sides]
        everywhere = [arrays for arrays in (*self.single, *self.double) if arrays is not None]
        places = {name: place for place, name in enumerate(layers)}
        ordered = sorted(self.single[0], key=lambda name: places.get(name, len(places)))
        self.masks = [name for name in ordered if name.endswith("/kept")]
        named = [name for name in ordered if name not in self.masks and all(name in arrays for arrays in everywhere)]
        self.unsound = {name: wrong for name in named if (wrong := self._unsound(name, everywhere))}
        self.names = [name for name in named if name not in self.unsound]

    def _unsound(self, name: str, everywhere: Sequence[Arrays]) -> Unsound | None:
        """What is wrong with the numbers of an array that are not finite. Infinities that all have in the same places,
        as what is masked, are none: they are zero from now on.
        """
        arrays = [each[name] for each in everywhere]
        if all(np.isfinite(each).all() for each in arrays) or len({each.shape for each in arrays}) > 1:
            return None
        sides: tuple[tuple[Precision, Sequence[Arrays | None]], ...] = (
            ("float32", self.single),
            ("float64", self.double),
        )
        for precision, (ours, theirs) in sides:
            if ours is None or theirs is None:
                continue
            lost = ~np.isfinite(ours[name]), ~np.isfinite(theirs[name])
            if not np.array_equal(*lost):
                worse = int(lost[1].sum() > lost[0].sum())
                told = (
                    f"{self.labels[worse]} has numbers that are not finite, where {self.labels[1 - worse]} has others"
                )
                return Unsound(precision, told, alone=True)
        masked = np.isinf(arrays[0]) & np.all([each == arrays[0] for each in arrays], axis=0)
        if masked.all() or not all(np.isfinite(each[~masked]).all() for each in arrays):
            return Unsound("float32", "both have numbers that are not finite: give inputs(rng, n) for which they are")
        for each in everywhere:
            each[name] = np.where(masked, 0, each[name])
        return None

    @cached_property
    def exact(self) -> Arrays | None:
        """One side's float64; None where neither has it."""
        return next((arrays for arrays in self.double if arrays is not None), None)

    @cached_property
    def distances(self) -> dict[str, list[float]]:
        """How far each side's float32 is from its own float64, where it has that, of each array."""
        assert self.exact is not None
        return {
            name: [
                _relative(single[name], double[name], self.exact[name])
                for single, double in zip(self.single, self.double, strict=True)
                if double is not None
            ]
            for name in self.names
        }

    def rounding(self, which: Callable[[Iterable[float]], float] = min, ulps: float = ULPS) -> dict[str, float]:
        """How far rounding to float32 moves each array: the smaller (`which`) of the sides' distances, but at least
        what it does to nine tenths of those compared with it, and a few ulps. Arrays that are nothing but rounding
        excuse no others.
        """
        own = {name: which(distances) for name, distances in self.distances.items()}
        pool = {name: (_pool(name), rounding > LOST) for name, rounding in own.items()}
        with np.errstate(invalid="ignore"):  # between infinite ones, of arrays that are zero on one side, lies nothing
            usual = {
                each: float(np.quantile([rounding for name, rounding in own.items() if pool[name] == each], 0.9))
                for each in set(pool.values())
            }
        return {name: max(rounding, usual[pool[name]], ulps * _EPSILON) for name, rounding in own.items()}

    def conditioning(self) -> float:
        """How far rounding moves half of the arrays that are more than rounding, where it moves them less."""
        nearer = [min(distances) for distances in self.distances.values()]
        return float(np.median([distance for distance in nearer if distance <= LOST] or [0.0]))


def _compared(rung: str, variant: str, keeps_statistics: bool, pair: Pair) -> list[Verdict]:
    """Verdicts in float32 and in float64 on everything that the sides left of this rung."""
    layers = pair.ours.told.layers if rung == "forward" else ()
    arrays = Compared(pair, f"{rung}/{'' if rung in _OF_NETWORKS else variant}/", layers)
    if wrong := _surplus(rung, pair, *arrays.single):
        return [Verdict(variant, rung, "breaks", "float32", note=wrong)]
    if not arrays.single[0]:
        return []  # a network without batch norms has no state, one without a convolution no map
    if keeps_statistics and rung == "state" and (moved := _moved(pair, arrays.single)):
        return [Verdict(variant, rung, "breaks", "float32", worst=moved[0], note=moved[1])]
    if arrays.exact is None:
        return [Verdict(variant, rung, "skipped", note=_UNCALIBRATED)]
    if wrong := _masks(arrays.masks, arrays.single):
        return [Verdict(variant, rung, "breaks", "float32", worst=wrong)]
    conditioning = 0.0
    if rung in _JUMPS:
        gradients = Compared(pair, f"gradients/{variant}/") if rung == "optimizer" else arrays
        conditioning = gradients.conditioning()
    untrained = pair.ours.told.recipes.get(variant, 1) == 1
    judged = _judged(rung, variant, arrays, conditioning, pair, untrained) if arrays.names else []
    sound = any(verdict.outcome == "breaks" for verdict in judged) or not arrays.unsound
    return judged if sound else [_not_finite(rung, variant, arrays)]


def _not_finite(rung: str, variant: str, arrays: Compared) -> Verdict:
    """The verdict on the first array whose numbers are not finite, where all others are alike."""
    places = list(arrays.single[0])
    name = min(arrays.unsound, key=lambda name: _stage(rung, places.index(name), name))
    precision, told, alone = arrays.unsound[name]
    if not alone:
        return Verdict(variant, rung, "breaks", precision, note=f"{_spoken(name)}: {told}")
    allowed = MULTIPLE["float32"] * ULPS * _EPSILON
    return Verdict(variant, rung, "breaks", precision, _spoken(name), np.inf, allowed, told)


_UNCALIBRATED = "neither side computes in float64, which calibrates the rung"


def _judged(
    rung: str, variant: str, arrays: Compared, conditioning: float, pair: Pair, untrained: bool
) -> list[Verdict]:
    """The verdict in float32, and where both sides have it the one in float64; `untrained` where no recipe has trained
    the model before the steps that are compared.
    """
    strictly = arrays.rounding()
    loosely = strictly
    if rung in _JUMPS:
        loosely = arrays.rounding(max) | {name: strictly[name] for name in strictly if _without_jumps(name, untrained)}
    double = [side for side in arrays.double if side is not None]
    if len(double) < 2:  # of nothing but rounding the other side may have several times as much
        loosely = {name: r * MULTIPLE["float32"] if r > LOST else r for name, r in loosely.items()}
        jumped = _jumped(variant, arrays, pair) if rung == "optimizer" else {}
        loosely |= {name: max(loosely[name], r) for name, r in jumped.items() if not _without_jumps(name, untrained)}
    single = _verdict(rung, variant, "float32", arrays, arrays.single, loosely, MULTIPLE["float32"])
    multiple = MULTIPLE["float64"]
    if conditioning > ILL_CONDITIONED:
        told = f"ill-conditioned: rounding alone moves gradients by {conditioning:.1g}"
        if len(double) < 2:
            return [Verdict(variant, rung, "skipped", note=f"{told}, and only one side computes in float64")]
        if single.difference is not None and np.isfinite(single.difference):
            single = msgspec.structs.replace(single, outcome="passes", note=f"{told}, so float64 judges")
        multiple = ILL_CONDITIONED_MULTIPLE
    if len(double) < 2:
        return [_by_single(single, pair)]
    rounding = arrays.rounding(max) if pair.unlike and rung in _JUMPS else strictly
    exact = _verdict(rung, variant, "float64", arrays, double, rounding, multiple * FINER)
    if exact.outcome == "passes" or not pair.single:
        return [single, exact]
    if conditioning > ILL_CONDITIONED:
        return [Verdict(variant, rung, "skipped", note=f"{told}, and {pair.single}")]
    coarse = _verdict(rung, variant, "float64", arrays, double, arrays.rounding(max, 0.5), MULTIPLE["float32"])
    return [_by_single(each, pair) for each in (single, coarse)]


def _jumped(variant: str, arrays: Compared, pair: Pair) -> dict[str, float]:
    """How far each array was from float64 at most after steps from nudged weights."""
    assert arrays.exact is not None
    found: dict[str, float] = {}
    for side in (pair.ours, pair.theirs):
        for name, array in side.single(f"nudged/{variant}/").items():
            own = name.partition("/")[2]  # behind the number of the nudge
            if own in arrays.names:
                exact = arrays.exact[own]
                found[own] = max(found.get(own, 0.0), _relative(array, exact, exact))
    return found


def _by_single(verdict: Verdict, pair: Pair) -> Verdict:
    """The verdict, which says why float64 does not judge, where something is in its way."""
    return verdict.also(f"{pair.single}, so float32 judges" if pair.single else "")


def _without_jumps(name: str, untrained: bool) -> bool:
    """Whether no gradient of a ReLU has entered an array: the loss of the first batch that a model is trained on, and
    all of a linear model.
    """
    return name == "loss" or (name == "1/loss" and untrained) or _pool(name) == "long"


def _surplus(rung: str, pair: Pair, ours: Arrays, theirs: Arrays) -> str:
    """Gradients or outputs that only one side has. Where one side cannot look inside, only what both have counts."""
    if rung == "forward" and len(ours) != len(theirs) and 1 in (len(ours), len(theirs)):
        return ""
    for label, one, other in ((pair.ours.label, ours, theirs), (pair.theirs.label, theirs, ours)):
        if only := [name for name in one if name not in other]:
            return f"only {label} has {', '.join(only[:4])}" + f" and {len(only) - 4} more" * (len(only) > 4)
    return ""


def _moved(pair: Pair, single: list[Arrays]) -> tuple[str, str] | None:
    for side, arrays in zip((pair.ours, pair.theirs), single, strict=True):
        for name, array in arrays.items():
            if not np.array_equal(array, pair.start[name]):
                return name, f"{side.label} moves the statistics of a frozen batch norm"
    return None


_WHOLE = {
    "epoch": "after an epoch with a batch of one image",
    "end": "after three steps, each worse",
    "long": "of a linear model after 128 epochs, each worse",
}


def _pool(name: str) -> str:
    """The arrays after one number of steps are rounded alike, and otherwise than those after another."""
    first = name.partition("/")[0]
    return first if first.isdigit() or first in _WHOLE else ""


def _relative(one: NDArray[Any], other: NDArray[Any], reference: NDArray[Any]) -> float:
    if np.shape(one) != np.shape(other):
        return np.inf
    with np.errstate(invalid="ignore"):  # inf - inf is a difference, too
        difference = float(np.linalg.norm(np.asarray(one, np.float64) - np.asarray(other, np.float64)))
    norm = float(np.linalg.norm(np.asarray(reference, np.float64)))
    if difference == 0:
        return 0.0
    return difference / norm if norm else np.inf


def _verdict(
    rung: str,
    variant: str,
    precision: Precision,
    arrays: Compared,
    sides: list[Arrays],
    rounding: dict[str, float],
    multiple: float,
) -> Verdict:
    assert arrays.exact is not None
    distances = [
        Distance(
            name,
            _relative(sides[0][name], sides[1][name], arrays.exact[name]),
            multiple * rounding[name],
        )
        for name in arrays.names
    ]
    beyond = [distance for distance in distances if distance.excess > 1]
    stage = {distance.name: _stage(rung, place, distance.name) for place, distance in enumerate(distances)}
    earliest = min((stage[distance.name] for distance in beyond), default=0)
    telling = [distance for distance in distances if rounding[distance.name] <= LOST] or distances
    told = [distance for distance in beyond if stage[distance.name] == earliest] or telling
    worst = max(told, key=lambda distance: distance.excess)
    outcome: Outcome = "breaks" if beyond else "passes"
    note = _blamed(arrays, worst, sides) if beyond else ""
    return Verdict(variant, rung, outcome, precision, _spoken(worst.name), worst.difference, worst.allowed, note)


def _blamed(arrays: Compared, worst: Distance, sides: list[Arrays]) -> str:
    """What is to be said of the array that broke: its shapes, where these differ; else which side's float32 is not what
    both have in float64, where these agree.
    """
    shapes = [np.shape(side[worst.name]) for side in sides]
    if shapes[0] != shapes[1]:
        return f"shapes {shapes[0]} and {shapes[1]}"
    both = [side[worst.name] for side in arrays.double if side is not None]
    if sides is not arrays.single or len(both) < 2 or _relative(both[0], both[1], both[0]) > worst.allowed:
        return ""
    far = [
        label
        for label, distance in zip(arrays.labels, arrays.distances[worst.name], strict=True)
        if not distance <= worst.allowed / 2
    ]
    return f"{far[0]} in float32 is not what both are in float64" if len(far) == 1 else ""


def _stage(rung: str, place: int, name: str) -> int:
    """What breaks first explains the rest: the first layer, the loss before its gradients, the fewest steps; of these
    the loss, which was computed before the last of them, then the weights, then what is validated with them.
    """
    match rung:
        case "forward":
            return place
        case "gradients":
            return int(name != "loss")
        case "optimizer":
            pool = _pool(name)
            steps = int(pool) if pool.isdigit() else MOST_STEPS + 1 + list(_WHOLE).index(pool)
            part = name.rpartition("/")[2]
            return 3 * steps + {"loss": 0, "validation_loss": 2}.get(part, 1)
        case _:
            return 0


def _spoken(name: str) -> str:
    """An array as a reader would call it: `10/dense_1/kernel` is `dense_1/kernel after 10 steps`."""
    pool, _, rest = name.partition("/")
    if _pool(name) in _WHOLE:
        return f"{rest} {_WHOLE[pool]}"
    return f"{rest} after {pool} step{'s' * (pool != '1')}" if _pool(name) else name


def _masks(names: list[str], single: list[Arrays]) -> str:
    """A dropout whose share of kept values is not what its rate says, beyond five standard deviations of chance."""
    for name in names:
        expected = 1 - float(name.split("/")[0].split()[1])
        for arrays in single:
            share, count = arrays[name]
            # Also where nothing was dropped that could be kept later: of none there is no share.
            if not (count and abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / count)):
                return f"{name}: {share:.3f}, not {expected:.3f}"
    return ""


# --- exported graphs ----------------------------------------------------------------------------------------------


def _export(variant: str, pair: Pair) -> Verdict:
    """Each graph against its framework and against the other, at every level and batch, by the frameworks' rounding."""
    predictions = Compared(pair, "prediction//")
    if predictions.exact is None:
        return Verdict(variant, "export", "skipped", note=_UNCALIBRATED)
    allowed = MULTIPLE["float32"] * predictions.rounding()["images"]
    graphs = [side.single("export//") for side in (pair.ours, pair.theirs)]
    distances = []
    for name in graphs[0]:
        count = len(graphs[0][name])
        reference = predictions.exact["images"][:count]
        compared = [
            (f"{side.label} against its graph, {name}", single["images"][:count], graph[name])
            for side, single, graph in zip((pair.ours, pair.theirs), predictions.single, graphs, strict=True)
        ]
        compared.append((f"graph against graph, {name}", graphs[0][name], graphs[1][name]))
        distances += [Distance(what, _relative(a, b, reference), allowed) for what, a, b in compared]
    # What differs between the graphs is told as what differs from a framework, where it does.
    own = [distance for distance in distances if distance.excess > 1 and "its graph" in distance.name]
    worst = max(own or distances, key=lambda distance: distance.excess)
    outcome: Outcome = "breaks" if worst.excess > 1 else "passes"
    return Verdict(variant, "export", outcome, "float32", worst.name, worst.difference, worst.allowed)
