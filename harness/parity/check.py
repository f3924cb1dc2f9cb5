"""`assert_same_model`, for the tests of those who port."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import registry
from harness.errors import BenchError
from harness.parity import verdicts
from harness.parity.ladder import Verdict
from harness.parity.pairs.climb import RUNGS, PairRequest, Weights, climb
from harness.parity.pairs.orders import Source
from harness.parity.pairs.sources import sources
from harness.running.guard import Limits
from harness.text import shown


def assert_same_model(
    first: str | Path | Callable[[], object],
    second: Callable[[], object] | None = None,
    *,
    rungs: str = "all",
    seeds: Sequence[int] = (0,),
    weights: Weights = "drawn",
    strict: bool = False,
    timeout: float | None = None,
) -> list[Verdict]:
    """Have a pair climb, and return its verdicts: that of a file, as `bench parity pair=` takes it, or of two
    functions, of which the first makes the Keras model and the second the torch module.

    The functions are not called here: they must be those of a Python file, which each side's process runs.

    Raises AssertionError with what every rung came to where one breaks, or with `strict` is skipped; BenchError where a
    model cannot be built or run.
    """
    if second is None:
        assert isinstance(first, str | Path)
        ours, theirs = sources(str(first))
    else:
        assert callable(first)
        ours, theirs = _source("keras", first), _source("torch", second)
    request = PairRequest(
        name=Path(ours.said).stem,
        ours=ours,
        theirs=theirs,
        rungs=registry.choose(rungs, RUNGS, "rung of a pair"),
        seeds=tuple(seeds),
        weights=weights,
        limits=Limits(timeout),
    )
    found = [found for _, found in climb(request)]
    bad = ("breaks", "skipped") if strict else ("breaks",)
    if any(verdict.outcome in bad for climbed in found for verdict in climbed):
        raise AssertionError("\n" + shown("\n".join(map(verdicts.line, found))))
    return [verdict for climbed in found for verdict in climbed]


def _source(kind: str, function: Callable[[], object]) -> Source:
    path, name = inspect.getsourcefile(function), getattr(function, "__qualname__", "")
    if path is None or not name.isidentifier():
        raise BenchError(f"{name or function!r}: must be a function of a Python file, for it runs in another process")
    return Source("keras" if kind == "keras" else "torch", path, name, path)
