"""Which columns the web leaderboard shows: their headings, groups, formulas, and how many of their digits are real."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.judging.columns import (
    AGAIN,
    CALIBRATION,
    COSTS,
    IN_UNITS,
    ORIGIN,
    RUN,
    SCORES,
    Group,
    change_under,
    columns,
    named,
    titled,
)
from harness.protocol import Suite
from harness.showing.digits import last_decimal


class Shown(NamedTuple):
    """A column of the table: its `key` in the CSV, the `name` by which it is explained, what stands above it, and in
    which group of columns it is.
    """

    key: str
    name: str
    heading: str
    group: str
    better: str
    at_first: bool


_AT_FIRST = {"variant", "backend", "skill", "verdict", "r2", "nmae_percent", "rmse_{unit}"}
_AT_FIRST |= {"parameters", "train_seconds", "p50_ms_b1"}

FORMULAS = {
    "skill": "1 − MSE / MSE of the mean; both over the same test images. Mean over seeds",
    "skill_low": "2.5th percentile of the skill over 2000 resamples of test images and seeds",
    "skill_high": "97.5th percentile of the same",
    "skill_sd": "√( Σ (sₖ − s̄)² / (K − 1) ) over the skills sₖ of K seeds",
    "over_rival": "( Σ e² of the rival − Σ e² of this model ) / Σ e² of the mean",
    "over_rival_low": "2.5th percentile of it; each resample takes the same test images for both",
    "over_rival_high": "97.5th percentile of the same",
    "r2": "1 − Σ (ŷ − y)² / Σ (y − ȳ)² of each target, averaged; ȳ is the mean of the test images",
    "r2_<target>": "the same of one target",
    "nmae_percent": "100 · mean |ŷ − y| / mean |y| of each target, averaged",
    "mape_percent": "100 · mean of |ŷ − y| / |y|",
    "rmse_{unit}": "√ mean of (ŷ − y)², over test images and targets. Mean over seeds",
    "mae_{unit}": "mean of |ŷ − y|",
    "mse_{unit}2": "mean of (ŷ − y)²",
    "mse_of_mean_{unit}2": "mean of (m − y)², m the mean of the training labels",
    "train_seconds": "Wall time of fitting all recipes, including validation after each epoch and, for a frozen "
    "backbone, computing its features once. Excludes reading data, building and exporting the model, testing, and a "
    "search beforehand (search_seconds)",
    "search_seconds": "Σ of the wall time of all trials of the search",
    "images_per_s_b1": "1000 / p50_ms_b1",
    "images_per_s_b32": "32000 / p50_ms_b32",
    "ratio_b1": "median over rounds of p50 / p50 of the reference model right before it",
    "ratio_b32": "the same with 32 images",
    "ratio_spread_b1": "(90th − 10th percentile of single rounds) / ratio",
    "ratio_spread_b32": "the same with 32 images",
    "onnx_difference": "max |ŷ of ONNX Runtime − ŷ of the framework| / max |ŷ|",
    "coverage_90": "mean over test images of 1 where |ŷ − y| ≤ w, else 0; w is the ⌈0.9 (n + 1)⌉-th smallest |ŷ − y| "
    "of n validation images. Of classes 1 where 1 − ŷ of the right one is at most such a w",
    "trainable": "parameters − non_trainable",
    "parameters": "trainable + non_trainable",
}
"""By the name of a column: how it is computed, where a sentence does not say it. ŷ predictions, y truth."""

GROUPS = ("accuracy", "each target", "the suite's own", "training", "export", "latency", "run", "origin")


def table_columns(groups: Sequence[Group], suite: Suite) -> list[Shown]:
    """The columns of all rows, in the order of the CSV."""
    found: dict[str, Shown] = {}
    headings = {metric.key: metric.heading for metric in suite.METRICS}
    moved = {change_under(symmetry.key) for symmetry in suite.SYMMETRIES}
    for group in groups:
        unit = group.unit
        for column in columns(group):
            key = named(column.name, unit)
            if key in found:
                continue
            title = titled(named(column.title, unit).replace("_", " "), column.unit, unit)
            found[key] = Shown(
                key,
                column.name,
                headings.get(column.name) or title,
                _group_of(column.name, headings.keys() | moved),
                column.better or next((m.better for m in suite.METRICS if m.key == column.name), ""),
                column.name in _AT_FIRST or bool(headings.get(column.name)),
            )
    return list(found.values())


def _group_of(name: str, of_suite: set[str]) -> str:
    if name in of_suite:
        return "the suite's own"
    for group, part in (("accuracy", SCORES + CALIBRATION), ("run", RUN), ("origin", ORIGIN + AGAIN)):
        if any(column.name == name for column in part):
            return group
    if not any(column.name == name for column in COSTS):
        return "each target"
    if name.endswith(("_b1", "_b32")) or name.startswith(("latency", "encoding")):
        return "latency"
    return "export" if "onnx" in name or name == "opset" else "training"


def digits(low: float | None, high: float | None) -> int | None:
    """Decimals of a number that is known to lie between two others, as half their distance allows (`last_decimal`): six
    at most, and three of what never varies. None where they are no interval.
    """
    if low is None or high is None or not high > low:
        return None
    half = (high - low) / 2
    if half < 1e-6:  # nothing but rounding
        return 3
    return min(6, max(0, last_decimal(half)))


def told(value: object, decimals: int | None = None) -> str:
    """A value with so many decimals, or with three significant digits where nothing is known of its error; counts
    whole. Never a negative zero.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        if decimals is None:
            decimals = 2 if value == 0 else min(9, max(0, 2 - math.floor(math.log10(abs(value)))))
            if abs(value) < 1e-4 and value:
                return f"{value:.1e}".replace("e-0", "e-")
        return f"{round(value, decimals) + 0.0:,.{decimals}f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def decimals_of_form(form: str) -> int | None:
    """Those that a metric's form (`Metric.form`) asks for; None where it counts significant digits."""
    found = re.fullmatch(r"\.(\d)([f%])", form)
    return int(found[1]) + 2 * (found[2] == "%") if found else None


def decimals_of(intervals: Mapping[str, tuple[float | None, float | None]], unit: str) -> dict[str, int]:
    """Decimals of the columns whose error is known, by key, of the 95 % intervals of scores on the ranking test."""
    end = f"_{unit}" if unit else ""
    keys = {
        "skill": ("skill", "skill_low", "skill_high"),
        "r2_mean": ("r2",),
        "rmse": (f"rmse{end}",),
        "mae": (f"mae{end}",),
        "mse": (f"mse{end}2", f"mse_of_mean{end}2"),
        "mape": ("mape_percent",),
    }
    found: dict[str, int] = {}
    for score, (low, high) in intervals.items():
        if score in IN_UNITS and high is not None and high < 1e-4:
            continue  # of targets that are small numbers: significant digits, and no decimals
        if (known := digits(low, high)) is not None:
            named_so = keys.get(score) or ((score,) if score.startswith("r2_") else ())
            found |= dict.fromkeys(named_so, known)
            if score == "nmae":  # a share there, percent here
                found["nmae_percent"] = max(0, known - 2)
    return found
