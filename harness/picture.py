"""A leaderboard as a picture: who is how good, with what certainty, at what cost."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.errors import BenchError

# Okabe and Ito's colours (2008), told apart by colour-blind readers too.
_COLOURS = {"keras": "#D55E00", "pytorch": "#0072B2", "classical": "#555555"}
_OTHER = "#009E73"


def draw(leaderboard: Path, picture: Path, title: str) -> Path:
    """Draw the rows of a leaderboard CSV that have a score, best at the top, to the PNG file `picture`; returns it.

    A dot is the mean skill over seeds, its line the 95 % bootstrap interval. Raises BenchError where no row has a
    score.
    """
    table = pd.read_csv(leaderboard, keep_default_na=False, dtype=str)
    table = table[table["skill"] != ""] if "skill" in table else table[:0]
    if table.empty:
        raise BenchError(f"{leaderboard}: no row has a score to draw")
    figure = Figure(figsize=(11, 1.6 + 0.42 * len(table)), layout="constrained")
    chart, columns = figure.subplots(1, 2, sharey=True, width_ratios=(5, 4))
    for height, (_, row) in enumerate(table[::-1].iterrows()):
        _draw_skill(chart, height, row)
        _write(columns, height, _cost(row), "black")
    _write(columns, len(table) - 0.4, ["skill", "R²", "NMAE", "parameters", "one image"], "#555555")
    columns.axis("off")
    _label(chart, table)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=150)
    return picture


def _draw_skill(axes: Axes, height: int, row: pd.Series[str]) -> None:
    colour = _COLOURS.get(row["backend"], _OTHER)
    low, skill, high = (float(row[name]) for name in ("skill_low", "skill", "skill_high"))
    # Far below zero every score says the same, and an outlier there would squeeze the others together.
    axes.plot([max(low, -0.1), max(high, -0.1)], [height, height], color=colour, linewidth=2.5, solid_capstyle="butt")
    axes.plot(max(skill, -0.1), height, "o" if skill > -0.1 else "<", color=colour, markersize=8)


def _cost(row: pd.Series[str]) -> list[str]:
    formats = {"skill": "{:.3f}", "r2": "{:.3f}", "nmae_percent": "{:.2f} %", "parameters": "{:,.0f}"}
    formats["p50_ms_b1"] = "{:.3f} ms"
    return [form.format(float(row[name])) if row[name] else "" for name, form in formats.items()]


def _write(axes: Axes, height: float, texts: list[str], colour: str) -> None:
    """One line of right-aligned columns."""
    for right, text in zip((0.11, 0.27, 0.47, 0.74, 1.0), texts, strict=True):
        axes.text(right, height, text, ha="right", va="center", fontsize=9.5, color=colour)


def _label(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_yticks(range(len(table)), [f"{row.variant}  ·  {row.backend}" for row in table[::-1].itertuples()])
    for label, backend in zip(axes.get_yticklabels(), table["backend"][::-1], strict=True):
        label.set_color(_COLOURS.get(backend, _OTHER))
    axes.set_xlim(-0.12, 1.01)
    axes.set_ylim(-0.6, len(table) - 0.2)
    axes.axvline(0, color="#999999", linewidth=1, zorder=0)
    axes.set_xlabel("skill on the test set: 0 = the mean of the training labels, 1 = perfect; line: 95 % interval")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#EEEEEE", zorder=0)
