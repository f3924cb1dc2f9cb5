"""A model that is not ours, as one framework tells of it: somebody's Keras model, torch module or function of JAX.

Its arrays stay in the framework's own layout. The steps from there to the common one, Keras's, are data, so that
arrays, gradients and a converter that stands alone are all made from the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import BenchError

Shape = tuple[int, ...]
Arrays = dict[str, NDArray[Any]]


Kind = Literal["keras", "torch", "jax", "onnx"]
Layout = Literal["", "first", "last"]


class Source(msgspec.Struct, frozen=True):
    """Where a model comes from: a function in a Python file, or a file that a framework wrote (`function` is "").

    `said` is the Python file with losses, optimizers and so on, "" for none. `layout` says whether an ONNX file takes
    channels first or last, where shapes do not tell; "" where nobody has said.
    """

    kind: Kind
    path: str
    function: str = ""
    said: str = ""
    trusted: bool = False
    layout: Layout = ""


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One step of an array on its way to another layout: `reshape` to a shape, `transpose` to an order of axes, `take`
    indices along an axis.
    """

    op: Literal["reshape", "transpose", "take"]
    values: tuple[int, ...]
    axis: int = 0


def relaid(array: NDArray[Any], steps: tuple[Step, ...]) -> NDArray[Any]:
    """The array after the steps."""
    for step in steps:
        match step.op:
            case "reshape":
                array = array.reshape(step.values)
            case "transpose":
                array = array.transpose(step.values)
            case "take":
                array = array.take(step.values, step.axis)
    return array


def places(shape: Shape, steps: tuple[Step, ...]) -> NDArray[np.intp]:
    """Where in the flat array of this shape each number of the array after the steps comes from."""
    return relaid(np.arange(int(np.prod(shape)), dtype=np.intp).reshape(shape), steps)


def moves(shape: Shape, wanted: Sequence[int | None], anywhere: bool = False) -> list[Shape]:
    """Orders of axes by which an array of a shape has the wanted one, where None is any length: as it is, with its
    channels moved from last to first, and from first to last; where none of these fits, from last to `anywhere`. The
    first axis is the batch's.
    """
    rank = len(shape)
    orders = [tuple(range(rank))]
    if rank > 2:
        orders += [_with_channels_at(1, rank), (0, *range(2, rank), 1)]
    found = [order for order in dict.fromkeys(orders) if _fits(shape, order, wanted)]
    elsewhere = [_with_channels_at(place, rank) for place in range(2, rank - 1)] if anywhere and not found else []
    return found or [order for order in elsewhere if _fits(shape, order, wanted)]


def _with_channels_at(place: int, rank: int) -> Shape:
    """The order of axes that moves the last to a place."""
    return (*range(place), rank - 1, *range(place, rank - 1))


def _fits(shape: Shape, order: Shape, wanted: Sequence[int | None]) -> bool:
    lengths = [shape[axis] for axis in order]
    return len(lengths) == len(wanted) and all(want in (None, has) for has, want in zip(lengths, wanted, strict=True))


def shapes_of(said: Any, inputs: Sequence[str]) -> dict[str, Shape]:
    """Shapes that somebody has said of some inputs, by name, in order, or of one that is alone."""
    if isinstance(said, Mapping):
        return dict(said)
    alone = isinstance(said, list | tuple) and all(isinstance(size, int) for size in said)
    return dict(zip(inputs, [said] if said and alone else said or [], strict=False))


def doors(array: NDArray[Any], shape: Shape | None, said: str) -> list[Shape]:
    """Orders of axes in which an input, channels last, may be meant: as it is (none), or channels first; of images one
    after the other also channels before the image. Whole numbers are as they are, for they may be tokens, which are
    taken in any order; only those that are not taken so may be images. With a `shape`, without the batch, the order
    that it is, of several that which moves the channels alone. Raises BenchError for a shape that is none; `said` names
    where it is said.
    """
    rank = array.ndim
    if rank < 3:
        return [()]
    moved = [_with_channels_at(place, rank) for place in range(1, rank - 1)]
    if shape is None and array.dtype.kind != "f":
        return [(), moved[0]] if rank > 3 else [()]
    if shape is None:
        return [moved[0], (), *moved[1 : rank - 3]] if rank > 3 else [(), moved[0]]
    if tuple(shape) == array.shape[1:]:
        return [()]
    others = ((0, *order) for order in itertools.permutations(range(1, rank)))
    for order in itertools.chain(moved, others):
        if _fits(array.shape, order, (None, *shape)):
            return [order]
    raise BenchError(f"{said}: {tuple(shape)} is no order of the axes of {array.shape[1:]}")


class Array(msgspec.Struct, frozen=True):
    """An array of a model: its name there, its shape there, the steps to the common layout, whether it is trained; of
    one that is not, the number that all of it has at first, if it is one (`constant`, where the framework tells), and
    whether it holds the `root` of what the common one is: a standard deviation beside a variance.
    """

    name: str
    shape: Shape
    steps: tuple[Step, ...] = ()
    trained: bool = True
    constant: float | None = None
    root: bool = False

    def common(self) -> Shape:
        """Its shape in the common layout."""
        return places(self.shape, self.steps).shape

    def then(self, *steps: Step) -> Array:
        """The same, with these steps after its own."""
        return msgspec.structs.replace(self, steps=(*self.steps, *steps))


Setting = str | float | int | bool | tuple[int, ...] | None


class Part(msgspec.Struct, frozen=True):
    """A layer, or the part of one that other frameworks have as a layer of its own, as a projection of an attention.

    `arrays` are by their role (kernel, bias, gamma, ...), `output` names what `forward` has of it, "" where nothing is
    seen. `flattened` is the shape, channels first, that was flattened before it, and `unflattened` the one that its
    answer is given: its arrays are in that order. `before` says what is computed between the part before and this one,
    `behind` is the `output` of the part whose answer it is given, "" where that is not one alone. `holder` is, of
    arrays that a function was given and no layer has, the module that holds them, None of all others.
    """

    name: str
    kind: str
    arrays: dict[str, Array]
    settings: dict[str, Setting] = {}
    output: str = ""
    flattened: Shape = ()
    unflattened: Shape = ()
    before: tuple[str, ...] = ()
    behind: str = ""
    holder: str | None = None


class Random(msgspec.Struct, frozen=True):
    """A dropout, its rate, whether it is `wide`: one number is drawn for a whole channel, and the `output` of the part
    whose answer it is given: "" where it is given an input, None where nobody knows.
    """

    name: str
    rate: float
    wide: bool = False
    behind: str | None = None


UNTRAINED = "it has nothing that is trained"
UNREAL = "it answers no real numbers, of which a loss could be made: give one"
AT_RANDOM = "it draws at random in inference, so its graph answers other numbers than it does"

Measured = tuple[float, float, int]


def measured(given: NDArray[Any], made: NDArray[Any], wide: tuple[int, ...] = (), alpha: bool = False) -> Measured:
    """What a dropout made of what it was given: the share that it kept, what it multiplied that by, and of how many it
    was drawn; one number for all along the axes in `wide`. An `alpha` dropout puts another number in the place of zero.
    """
    there = given != 0
    gone = 0.0
    if alpha and there.any():
        values, counts = np.unique(made[there], return_counts=True)
        gone = values[counts.argmax()]
    kept = there & (made != gone)
    factor = 0.0
    if kept.any():
        slope = np.polyfit(given[kept].astype(np.float64), made[kept].astype(np.float64), 1)[0] if alpha else None
        factor = float(np.median(made[kept] / given[kept]) if slope is None else slope)
    drawn = there.any(wide)
    return float(kept.any(wide).sum() / max(drawn.sum(), 1)), factor, int(drawn.sum())


class Inputs(msgspec.Struct, frozen=True):
    """What one input takes: its shape without the batch, where 0 is any length; whole numbers below a limit where it
    takes tokens; the number that a step of it consists of which is to be `masked`, None where it knows no such; and
    what the model has `called` it, where the name is only its place.
    """

    name: str
    shape: Shape
    below: int = 0
    masked: float | None = None
    called: str = ""


HALVES = ("float16", "bfloat16")


class Inspected(msgspec.Struct, frozen=True):
    """A model as its framework tells of it.

    `parts` are in the order in which they are computed, `after` is what comes after the last; `dropouts` are None where
    it cannot tell, `unused` are layers that were not called. `answers` says how many arrays it answers, and `keys` by
    which they are sorted, where they are a dictionary's. `halves` are the arrays that its author keeps in half
    precision, and in which; `remarks` what else is worth knowing.
    """

    framework: str
    parts: tuple[Part, ...]
    after: tuple[str, ...] = ()
    dropouts: tuple[Random, ...] | None = ()
    unused: tuple[str, ...] = ()
    answers: int = 1
    remarks: tuple[str, ...] = ()
    halves: dict[str, str] = {}
    keys: tuple[str, ...] = ()


class Trained(msgspec.Struct, frozen=True):
    """What steps of training left: loss and rate of each, the arrays after some of them, and the optimizer's settings.

    `corrected` has losses and arrays of the same steps by the other framework's formula, and `formula` says which that
    is, where an optimizer has one of its own.
    """

    losses: tuple[float, ...]
    rates: tuple[float, ...]
    arrays: dict[int, Arrays]
    optimizer: dict[str, Setting]
    corrected: tuple[tuple[float, ...], dict[int, Arrays]] | None = None
    formula: str = ""


def leaves(value: Any) -> list[Any]:
    """What a model answered, in order: of a list, a tuple, a dictionary (by its keys), or a single tensor."""
    if isinstance(value, Mapping):
        return [leaf for key in sorted(value) for leaf in leaves(value[key])]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in leaves(item)]
    return [] if value is None else [value]


def keys_of(value: Any) -> tuple[str, ...]:
    """The keys of the `leaves` of a dictionary of tensors; none of anything else."""
    plain = isinstance(value, Mapping) and all(len(leaves(each)) == 1 for each in value.values())
    return tuple(map(str, sorted(value))) if plain else ()


def alone(values: list[Any]) -> list[Any]:
    """The arguments that a function of the user's takes for these: one that is alone as it is, several as a list."""
    return values if len(values) == 1 else [values]


def refuse_other_targets(framework: str, answers: int, targets: int, own_loss: bool) -> None:
    """Raise BenchError where a loss cannot be made of so many answers and targets. One of the user's own may have no
    target for some answers, as that of a variational autoencoder.
    """
    if targets > answers or (targets < answers and not own_loss):
        raise BenchError(f"number of arrays that {framework} answers: {answers}; of targets: {targets}")


class Pairing(Protocol):
    """What a user's file says, besides the models: anything may be missing.

    `loss(expected, answered)` in either framework's order of arguments, and so on; see docs/parity.md.
    """

    def get(self, name: str) -> Any:
        """The function or value of this name, None where the file has none."""
        ...


class Foreign(Protocol):
    """A model of somebody's, in one framework and precision. Arrays are in the framework's layout; inputs and answers
    in the common one, channels last.
    """

    def inputs(self) -> tuple[Inputs, ...]:
        """What the model says that it takes; none where it does not say."""
        ...

    def inspect(self, inputs: Arrays) -> Inspected:
        """Look at it, running it once on the inputs."""
        ...

    def arrays(self) -> Arrays:
        """All arrays by name, moving statistics too."""
        ...

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Set those that are named."""
        ...

    def forward(self, inputs: Arrays) -> Arrays:
        """What each part is given (`<output>/input`) and makes of it (`<output>`) at its first call, how often it is
        called (`<output>/calls`, where that is known), which of its steps are not masked (`<output>/mask`, where some
        may be), and the answers (`answer 0`, ...), in inference mode.
        """
        ...

    def export(self, inputs: Arrays, path: str) -> Layout:
        """Write it as its framework's own exporter does, as an ONNX file for any number of rows, and say whether that
        takes images with their channels first or last. Raises NotExported where it cannot be written, or draws in
        inference.
        """
        ...

    def gradients(self, inputs: Arrays, targets: Arrays) -> tuple[float, Arrays]:
        """The loss in training mode, and its gradients. Dropout is off. Moving statistics move. Raises Unavailable
        where no answer makes a loss.
        """
        ...

    def penalties(self) -> float:
        """What the last `gradients` added to the user's loss of its own accord, as regularizers do; 0 for nothing."""
        ...

    def dropped(self, inputs: Arrays) -> dict[str, Measured]:
        """Of each dropout in training mode what is `measured`."""
        ...

    def noised(self, inputs: Arrays) -> Arrays:
        """The answers in training mode, without dropout, where every normal number that is drawn is one standard
        deviation above its mean, which is the same in both frameworks; everywhere else it is the mean. Empty where none
        is drawn.
        """
        ...

    def draws(self) -> bool | None:
        """Whether it drew at random in the last `forward`; None where it cannot tell."""
        ...

    def noises(self) -> list[str] | None:
        """What it draws at random in training mode besides dropouts, in words, after `dropped`; None where it cannot
        tell.
        """
        ...

    def train(
        self,
        inputs: Arrays,
        targets: Arrays,
        order: NDArray[np.intp],
        steps: tuple[int, ...],
        held: tuple[str, ...] = (),
        other: Kind = "keras",
    ) -> Trained:
        """Steps with the user's optimizer, on rows of the inputs as `order` says. Dropout is off. The corrected steps
        are by the formula of the `other` side's framework, and leave the arrays in `held` where they are.
        """
        ...

    def in_single(self) -> list[str]:
        """What it has computed in less than double precision so far, in words, where it was made to compute in that."""
        ...
