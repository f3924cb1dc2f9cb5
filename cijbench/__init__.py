"""cijbench in Python: commands of `bench` as functions, whose options have the names and values of the command line.

The rest of it are the packages `harness`, `backends` and `suites`, at the top of a clone. A wheel has them inside of
this one, and they are found by whoever imports it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

_INSIDE = Path(__file__).parent / "_house"
if _INSIDE.is_dir() and str(_INSIDE) not in sys.path:
    sys.path.insert(0, str(_INSIDE))

if TYPE_CHECKING:
    import pandas as pd

    from harness.running.predict import Predicted

__all__ = ["leaderboard", "predict", "run"]


def run(**options: Any) -> bool:
    """`bench run`: train and test what has no result yet; True where every cell of it has one now. With `dry=True`
    nothing is trained, what it would take is printed, and it is True. An option that is None is not given.

    Raises harness.errors.BenchError for what cannot be used, before anything runs.
    """
    from harness.command import models
    from harness.command.commands import RunOptions
    from harness.isolation import isolated

    with isolated():
        return models.run(_parsed("run", RunOptions, options)) == 0


def predict(**options: Any) -> Predicted:
    """`bench predict`: the rows that it writes to `out`, with what is known of them. An option that is None is not
    given.

    Raises harness.errors.BenchError where there is no such model, or no image that can be read.
    """
    from harness.command import models
    from harness.command.commands import PredictOptions
    from harness.isolation import isolated

    with isolated():
        return models.predicted(_parsed("predict", PredictOptions, options))


def leaderboard(suite: str, results: str | Path | None = None) -> pd.DataFrame:
    """The leaderboard of a suite, best first, computed from the records of a results folder. An option that is None is
    not given.

    Raises harness.errors.BenchError where there are no records, and where one contradicts itself.
    """
    from harness import registry
    from harness.command.commands import LeaderboardOptions
    from harness.errors import BenchError
    from harness.judging.leaderboard import compute
    from harness.judging.store import Store

    asked = _parsed("leaderboard", LeaderboardOptions, {"suite": suite, "results": results})
    registry.suite(asked.suite)
    if not Store(asked.results, asked.suite).trainings_file.exists():
        raise BenchError(f"{asked.results}: no records of {asked.suite}: `cijbench.run` makes them")
    return compute(asked.results, asked.suite).table


def _parsed(command: str, kind: type[Any], options: dict[str, Any]) -> Any:
    """Options as the command line would take them, and refuse them."""
    from harness.command.options import parse

    return parse(command, kind, [f"{key}={_word(key, value)}" for key, value in options.items() if value is not None])


def _word(key: str, value: Any) -> str:
    """One value as it would be typed, or several with commas between them. Raises BenchError for a table of values."""
    from harness.errors import BenchError

    shape = getattr(value, "shape", None)
    if shape is not None and len(shape) > 1:
        raise BenchError(f"{key}=: is given an array of shape {tuple(shape)}, and takes a word, a number or several")
    if shape == ():  # a scalar of NumPy's or a framework's, which may say that it can be iterated over
        value = value.item()
    if isinstance(value, bytes):
        value = os.fsdecode(value)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ",".join(_word(key, one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
