"""Every score of every row on every named test, as a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness import registry
from harness.judging.cells import InUnits
from harness.judging.columns import IN_UNITS, ORIGIN, Group, calibrated, mean
from harness.judging.metrics import Accuracy
from harness.judging.records import Examined, Record
from harness.judging.standing import comparable
from harness.judging.stats import score_intervals, spread


def table(records: Sequence[Record]) -> pd.DataFrame:
    """One line for each row of the leaderboard, named test and figure: mean over seeds, their spread, and of scores the
    95 % interval. The suite's own figures have none: what they are made of is the suite's business.
    """
    groups = [Group(found, {}) for found in sorted(comparable(records), key=place)]
    found = [line for group in groups for line in lines(group)]
    return pd.DataFrame(found, dtype=object)


def place(group: Sequence[Record]) -> tuple[str, ...]:
    """Where rows stand that are not ranked, whatever the order of their records."""
    cell = group[0].cell
    return cell.data_hash, cell.profile, cell.row, cell.backend, group[0].computed_by, cell.key


def lines(group: Group) -> list[dict[str, object]]:
    """Those of one row."""
    found, cell = [], group.first.cell
    origin = {column.name: column.of(group) for column in ORIGIN if column.name in _TOLD_OF_TESTS}
    for name, examined in group.examined.items():
        figures = {score: [getattr(one.accuracy, score) for one in examined] for score in _SCORES if group.has(score)}
        figures |= {f"r2_{target}": [one.accuracy.r2[target] for one in examined] for target in examined[0].accuracy.r2}
        own = [name for name in examined[0].metrics if name not in figures]  # nor may one have a score's interval
        figures |= {name: [one.metrics.get(name) for one in examined] for name in own}
        figures |= calibrated(group.good, name)
        intervals = _intervals(examined)
        for figure, values in figures.items():
            low, high = intervals.get(figure, (None, None))
            found.append(
                {"variant": cell.row, "backend": cell.backend, "test": name, "metric": figure}
                | _in_units(figure, {"value": mean(values), "sd": spread(values), "low": low, "high": high})
                | {"unit": _unit_of(figure, group.unit, cell.suite), "seeds": group.seeds}
                | origin
            )
    return found


_SCORES = tuple(name for name in Accuracy.__struct_fields__ if name != "r2")
_TOLD_OF_TESTS = ("profile", "data", "settings", "definition", "computed_by")


def _in_units(figure: str, numbers: dict[str, float | None]) -> dict[str, float | None]:
    """The same numbers, told as such where they are in the unit of the targets."""
    if figure not in IN_UNITS:
        return numbers
    return {name: None if number is None else InUnits(number) for name, number in numbers.items()}


def _intervals(examined: Sequence[Examined]) -> dict[str, tuple[float, float]]:
    first = examined[0].held_out
    predictions, weights = [one.held_out.predicted for one in examined], first.target_weights()
    found = score_intervals(predictions, first.true, first.train_mean, clusters=first.clusters, weights=weights)
    return {
        f"r2_{first.targets[int(name[3:])]}" if name[3:].isdecimal() else name: ends for name, ends in found.items()
    }


def _unit_of(figure: str, unit: str, suite: str) -> str:
    """The unit of a score of targets in `unit`, or of a figure of the suite's own."""
    squared = f"{unit}²" if unit else ""
    of_scores = {"rmse": unit, "mae": unit, "mse": squared, "mse_of_mean": squared, "mape": "%"}
    of_own = {metric.key: metric.unit for metric in registry.suite(suite).METRICS}
    return of_scores.get(figure, of_own.get(figure, ""))
