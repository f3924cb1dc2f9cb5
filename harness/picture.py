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
    axes = figure.subplots()
    for height, (_, row) in enumerate(table[::-1].iterrows()):
        _draw_row(axes, height, row)
    _label(axes, table, title)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=150)
    return picture


def _draw_row(axes: Axes, height: int, row: pd.Series[str]) -> None:
    colour = _COLOURS.get(row["backend"], _OTHER)
    low, skill, high = (float(row[name]) for name in ("skill_low", "skill", "skill_high"))
    # Far below zero every score says the same, and an outlier there would squeeze the others together.
    axes.plot([max(low, -0.1), max(high, -0.1)], [height, height], color=colour, linewidth=2.5, solid_capstyle="butt")
    axes.plot(max(skill, -0.1), height, "o" if skill > -0.1 else "<", color=colour, markersize=8)
    cost = [f"{skill:.3f}", f"{float(row['r2']):.3f}" if row["r2"] else "", f"{float(row['nmae_percent']):.2f} %"]
    cost += [f"{int(row['parameters']):,}", f"{float(row['p50_ms_b1']):.3f} ms" if row["p50_ms_b1"] else ""]
    for column, text in enumerate(cost):
        axes.text(
            1.09 + 0.14 * column,
            height,
            text,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=9.5,
        )


def _label(axes: Axes, table: pd.DataFrame, title: str) -> None:
    headings = ("skill", "R²", "NMAE", "parameters", "one image")
    for column, heading in enumerate(headings):
        axes.text(
            1.09 + 0.14 * column,
            len(table) - 0.35,
            heading,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="bottom",
            fontsize=9.5,
            color="#555555",
        )
    axes.set_yticks(range(len(table)), [f"{row.variant}  ·  {row.backend}" for row in table[::-1].itertuples()])
    for label, backend in zip(axes.get_yticklabels(), table["backend"][::-1], strict=True):
        label.set_color(_COLOURS.get(backend, _OTHER))
    axes.set_xlim(-0.12, 1.01)
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.axvline(0, color="#999999", linewidth=1, zorder=0)
    axes.set_xlabel("skill on the test set: 0 = the mean of the training labels, 1 = perfect; line: 95 % interval")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#EEEEEE", zorder=0)
    axes.set_title(title, loc="left", fontsize=12)
