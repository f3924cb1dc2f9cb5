"""`assert_same_model`, for the tests of those who port."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import registry
from harness.errors import BenchError
from harness.foreign import Kind, Layout, Source
from harness.parity import verdicts
from harness.parity.ladder import Verdict
from harness.parity.pairs import climb, exports, graphs
from harness.parity.pairs.climb import PairRequest, Weights
from harness.parity.pairs.sources import KINDS, sources
from harness.running.guard import Limits
from harness.text import shown


def assert_same_model(
    first: str | Path | Callable[[], object] = "",
    second: Callable[[], object] | None = None,
    *,
    keras: str | Path = "",
    onnx: str | Path = "",
    onnx2: str | Path = "",
    layout: Layout = "",
    between: str = "",
    rungs: str = "all",
    seeds: Sequence[int] = (0,),
    weights: Weights = "drawn",
    strict: bool = False,
    timeout: float | None = None,
) -> list[Verdict]:
    """Have a pair climb, and return its verdicts: that of the files that `bench parity` takes as pair=, keras=, onnx=
    and onnx2=, with its between=, or of two functions, named by their frameworks as `my_jax_model`, in any order; of
    those that are not the first makes the Keras model and the second the torch module.

    The functions are not called here: they must be those of a Python file, which each side's process runs.

    Raises AssertionError with what every rung came to where one breaks, or with `strict` is skipped; BenchError where a
    model cannot be built or run; TypeError for one function without the other.
    """
    if callable(first):
        if second is None:
            raise TypeError(
                f"assert_same_model({getattr(first, '__name__', first)}): and the other model? Give the functions of "
                "both, or the file that has them"
            )
        both = _source("keras", first), _source("torch", second)
        ours, theirs = sorted(both, key=lambda side: KINDS.index(side.kind))
    else:
        ours, theirs = sources(str(first), str(keras), str(onnx), str(onnx2), layout, between=between)
    kind = graphs if theirs.kind == "onnx" else climb
    request = PairRequest(
        name=Path(ours.said or ours.path).stem,
        ours=ours,
        theirs=theirs,
        rungs=registry.choose(rungs, kind.RUNGS, "rung of a pair"),
        seeds=tuple(seeds),
        weights=weights,
        limits=Limits(timeout),
        insists=exports.RUNG in rungs,
    )
    climbed_rungs = [climbed for _, climbed in kind.climb(request)]
    found = list(itertools.chain.from_iterable(climbed_rungs))
    if verdicts.is_bad(found, strict):
        raise AssertionError("\n" + shown("\n".join(map(verdicts.line, climbed_rungs))))
    return found


def _source(kind: Kind, function: Callable[[], object]) -> Source:
    path, name = inspect.getsourcefile(function), getattr(function, "__qualname__", "")
    kind = next((word for word in KINDS if word in name.split("_")), kind)
    if path is None or not name.isidentifier():
        raise BenchError(f"{name or function!r}: must be a function of a Python file, for it runs in another process")
    return Source(kind, path, name, path)
