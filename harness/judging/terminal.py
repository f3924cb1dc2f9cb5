"""Leaderboards on a terminal: the columns that fit one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from harness import registry
from harness.judging import deployments
from harness.judging.columns import named
from harness.judging.leaderboard import Board, believed, of_some_seeds
from harness.judging.records import Cell
from harness.judging.store import Store

# Heading and format; a suite's own figures come after these, where they have a heading.
_SHOWN = {
    "variant": ("variant", ""),
    "backend": ("backend", ""),
    "skill": ("skill", ".3f"),
    "skill_low": ("95 % from", ".3f"),
    "skill_high": ("to", ".3f"),
    "r2": ("R²", ".3f"),
    "r2_sd": ("± seeds", ".3f"),
    "nmae_percent": ("NMAE %", ".2f"),
    "rmse_{unit}": ("RMSE {unit}", ".2f"),
}
_SMALL = 0.1  # errors below are told by their digits, not by decimals
_LAST = {
    "parameters": ("parameters", ",.0f"),
    "train_seconds": ("train s", ".1f"),
    "p50_ms_b1": ("ms/image", ".3f"),
    "switches": ("switches", ""),
    "verdict": ("verdict", ""),
}


def of_cells(board: Board, suite: str, cells: Sequence[Cell], unit: str) -> str:
    """The rows of a suite's leaderboard of data, split, profile and settings like those of cells, with the columns that
    fit a terminal and say something.
    """
    asked, table = set(map(_beside, cells)), board.table
    table = table[[_beside(board.of[number][0].cell) in asked for number in table.index]].copy()
    # Why a cell has no result was told when it ended.
    table["verdict"] = table["verdict"].where(table["status"] == "ok", table["status"].str.split(":").str[0])
    shown = {}
    own = {metric.key: (metric.heading, metric.form) for metric in registry.suite(suite).METRICS if metric.heading}
    for name, (heading, form) in {**_SHOWN, **own, **_LAST}.items():
        values = table.get(named(name, unit))
        if values is not None and any(value not in (None, "") for value in values):
            small = "{unit}" in name and max(filter(None, values), default=1.0) < _SMALL
            shown[named(heading, unit).strip()] = _in_form(values, ".3g" if small else form)
    lines = str(pd.DataFrame(shown).to_string(index=False))
    for _, row in table.iterrows():
        if told := of_some_seeds(row):
            lines += f"\n{row['variant']} on {row['backend']}: {told}"
    return lines


def _beside(cell: Cell) -> tuple[str, ...]:
    """Equal for cells whose rows may stand side by side."""
    return *cell.question, cell.profile, repr(cell.beside)


_OF_DEPLOYMENTS = {
    "variant": ("variant", ""),
    "backend": ("backend", ""),
    "runtime": ("runtime", ""),
    "file_kB": ("kB", ".0f"),
    "skill": ("skill", ".3f"),
    "p50_ms_b1": ("ms/image", ".3f"),
    "faster_b1": ("times as fast", ".2f"),
    "faster_b32": ("32 images at once", ".2f"),
}


def of_deployments(results: Path, suite: str) -> str:
    """Every model in every runtime, with the columns that fit a terminal."""
    table = deployments.table(believed(results, suite), Store(results, suite).deployments())
    shown = {heading: _in_form(table[name], form, "–") for name, (heading, form) in _OF_DEPLOYMENTS.items()}
    return str(pd.DataFrame(shown).to_string(index=False))


def _in_form(values: Iterable[Any], form: str, absent: str = "") -> list[str]:
    """As a terminal shows them, never a negative zero."""
    told = [absent if value is None else format(value, form) for value in values]
    return [text.removeprefix("-") if form and not re.search("[1-9]", text) else text for text in told]
