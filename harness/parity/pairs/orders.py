"""What a side of somebody's pair is asked, and what it answers; arrays travel in safetensors files."""

from __future__ import annotations

import msgspec

from harness.foreign import Arrays, Inspected, Kind, Layout, Setting, Source

BATCH = 8
DRAWN = 32  # samples
STEPS = (1, 2, 5)
ROW_SEED = 7
FIRST_SEED = 0


def below(prefix: str, arrays: Arrays) -> Arrays:
    """Those arrays of a file whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


class Inspect(msgspec.Struct, frozen=True, tag=True):
    """Build the model in single precision, and look at it as it is run on the inputs in `given`; one that `draws` first
    puts them there. `called` are the names that the other side has for inputs without any.
    """

    source: Source
    given: str
    draws: bool = False
    called: dict[str, str] = {}


class Draw(msgspec.Struct, frozen=True, tag=True):
    """Draw inputs and targets by a seed into `given`."""

    given: str
    seed: int


class Compute(msgspec.Struct, frozen=True, tag=True):
    """Compute the rungs in both precisions: from the arrays in `given`, as the framework names them, into `out`.

    `held` are arrays that the `other` side's framework does not have, of which the corrected steps train none.
    """

    rungs: tuple[str, ...]
    given: str
    out: str
    held: tuple[str, ...] = ()
    other: Kind = "keras"


class Own(msgspec.Struct, frozen=True, tag=True):
    """Write the arrays that the model has by itself to `out`."""

    out: str


class Export(msgspec.Struct, frozen=True, tag=True):
    """Write the model as its framework's own exporter does, with the weights in `given`, as ONNX to `out`."""

    given: str
    out: str


Request = Inspect | Draw | Compute | Own | Export


class Looked(msgspec.Struct, frozen=True):
    """The answer to `Inspect`: what the model is, which of the optional functions its file has, its mapping, and what
    it has `called` the inputs that are named by their places.
    """

    inspected: Inspected
    says: tuple[str, ...] = ()
    mapping: dict[str, str] = {}
    called: dict[str, str] = {}


class Exported(msgspec.Struct, frozen=True):
    """The answer to `Export`: whether the graph takes images with channels first or last, or why there is none."""

    layout: Layout = "last"
    reason: str = ""


class Computed(msgspec.Struct):
    """The answer to the others.

    `broken` are rungs that failed, `lacks` those that this side cannot climb, each with why; `optimizer` has the
    optimizer's settings, `rates` the rate of each step, None where that is not finite, which no JSON holds, and
    `formula` is what the corrected steps did without. `single` says why what was computed in double precision is not in
    it. `noises` is what is drawn at random in training besides dropouts, and `draws` whether anything is in inference,
    both None where the side cannot tell; `random` says whether answers differ from run to run, with all normal numbers
    at their mean.
    """

    broken: dict[str, str] = {}
    lacks: dict[str, str] = {}
    optimizer: dict[str, Setting] = {}
    rates: tuple[float | None, ...] = ()
    formula: str = ""
    single: str = ""
    noises: tuple[str, ...] | None = None
    draws: bool | None = None
    random: bool = False
