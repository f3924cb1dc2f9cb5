"""How sure a report's tables are: where uncertainty comes from, how soon frameworks learn, who ranks before whom."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.judging.blocks import Row
from harness.judging.convergence import LEARNED, Epochs, epochs
from harness.judging.ranks import Ranking, fewest_blocks, ranking, squared_errors
from harness.judging.stats import FEWEST_IMAGES
from harness.judging.variance import shares
from harness.showing.digits import last_decimal, rounded
from harness.showing.tables import markdown

# --- where uncertainty comes from ---------------------------------------------------------------------------------


def sources_of_variance(table: Sequence[Row]) -> str:
    """Of each model whose seeds differ, how much of its score's variance test images, seeds and the rest make."""
    lines = []
    for row in sorted(table, key=Row.skill, reverse=True):
        errors, of_mean = row.squared_errors(), row.squared_errors_of_mean()
        if len(errors) < 2 or errors.shape[1] < FEWEST_IMAGES or not np.ptp(errors, axis=0).any() or not of_mean.any():
            continue
        # A skill is one less a ratio of means over the same images, and varies as what is linear in both of them does.
        found = shares(errors - (1 - row.skill()) * of_mean)
        deviation = found.deviation / float(of_mean.mean())
        last = last_decimal(deviation)
        told = [f"{share:.0%}" for share in found.relative]
        lines.append([row.name, row.backend, rounded(row.skill(), last), rounded(deviation, last), *told])
    if not lines:
        return ""
    return (
        "## Where does the uncertainty come from?\n\nThe standard deviation of a skill, and which share of "
        "its variance comes from the choice of test images, from the seeds, and from seeds that differ from image "
        "to image (two-way random effects on squared errors less the training mean's on the same images, whose ratio "
        "a skill is). Where most comes from the images, more seeds would not make the score more certain. Models "
        "whose seeds do not differ are left out: all their variance comes from the images.\n\n"
        + markdown(["model", "backend", "skill", "± (1 sd)", "test images", "seeds", "rest"], lines)
    )


# --- how soon frameworks learn ------------------------------------------------------------------------------------


def epochs_to_a_loss(table: Sequence[Row]) -> str:
    """Of each model that several backends trained, in how many epochs they come to one loss."""
    lines = []
    for name in dict.fromkeys(row.name for row in table):
        same = sorted((row for row in table if row.name == name), key=lambda row: row.backend)
        for one, other in combinations(same, 2):
            if _trained_alike(one, other) and (found := epochs(one.records, other.records)):
                pair = f"{one.backend}, {other.backend}"
                told = _by_seed(found.first), _by_seed(found.second), _ratio(found), found.verdict
                lines.append([name, pair, f"{found.target:.3g}", *told])
    if not lines:
        return ""
    scale = "on the network's own scale; 1 is the mean"
    if table[0].of_classes:
        scale = f"cross-entropy as weighted in training; below {LEARNED:g} times the lowest of one answer to all images"
    heading = ["model", "backends", "target loss", "epochs of the first", "of the second", "ratio (95 %)"]
    return (
        "## Do the frameworks need as many epochs?\n\nFor each seed, the first epoch with a validation loss at "
        "or below the target, which is the highest of the lowest losses of all seeds that learned anything "
        f"({scale}). The ratio is the geometric mean over seeds, with a t-interval on logarithms, of ratios "
        "seed by seed where both frameworks start from the same weights. Searches that selected different models in "
        "the two frameworks are left out.\n\n" + markdown([*heading, "the first needs"], lines)
    )


def _trained_alike(one: Row, other: Row) -> bool:
    """Whether these are the same models, trained anew: not averaged over moves, nor selected otherwise by a search."""
    selected = [[r.searched.selected for r in row.records if r.searched] for row in (one, other)]
    return not one.first.cell.settings.averaged and selected[0] == selected[1]


def _by_seed(found: Sequence[int | None]) -> str:
    return " ".join("never" if epoch is None else str(epoch) for epoch in found)


def _ratio(found: Epochs) -> str:
    if np.isnan(found.ratio):
        return "–"
    return f"{found.ratio:.2f}" + ("" if np.isnan(found.low) else f" ({found.low:.2f} to {found.high:.2f})")


# --- who ranks before whom ----------------------------------------------------------------------------------------

MOST = 12
"""So many models are ranked, the best on the validation images: with all of them no pair would be told apart."""


def draw_ranks(table: Sequence[Row], picture: Path, note: str) -> Path | None:
    """Draw mean ranks over test images, and join models that are not told apart; None where there are too few of
    either to say anything.
    """
    rows = sorted(table, key=Row.validation_error)[:MOST]
    errors = [row.squared_errors() for row in rows]
    if len(rows) < 3 or len({e.shape[1] for e in errors}) > 1 or errors[0].shape[1] < fewest_blocks(len(rows)):
        return None
    found = ranking(squared_errors(errors))
    height = 1.1 + 0.28 * ((len(rows) + 1) // 2) + 0.13 * len(found.cliques)
    figure = Figure(figsize=(11, height), layout="constrained")
    axes = figure.subplots()
    _draw_scale(axes, found, [row.title for row in rows])
    figure.suptitle(
        f"mean rank over {rows[0].tested_on}, by squared error (1 is best); a bar joins models not told "
        f"apart (Wilcoxon, Holm, 5 %)\n{note}; the {len(rows)} best on the validation images; Friedman's p "
        + (f"= {found.friedman:.2g}" if found.friedman > 1e-16 else "< 1e-16"),
        x=0.01,
        ha="left",
        fontsize=10,
    )
    figure.savefig(picture, dpi=90)
    return picture


def _draw_scale(axes: Axes, found: Ranking, names: Sequence[str]) -> None:
    """The axis of ranks above, bars of those not told apart below it, and the names left and right of their stems."""
    count = len(found.order)
    low, high = 1.0, float(count)
    axes.plot([low, high], [0, 0], color="black", linewidth=1)
    for rank in range(1, count + 1):
        axes.plot([rank, rank], [0, 0.12], color="black", linewidth=1)
        axes.text(rank, 0.25, str(rank), ha="center", va="bottom", fontsize=9)
    for level, clique in enumerate(found.cliques, 1):
        ends = [found.ranks[found.order[clique[0]]] - 0.04, found.ranks[found.order[clique[-1]]] + 0.04]
        axes.plot(ends, [-0.32 * level] * 2, color="#D55E00", linewidth=3.5, solid_capstyle="butt")
    below = -0.32 * len(found.cliques) - 0.6
    half = (count + 1) // 2
    for place, number in enumerate(found.order):
        left = place < half
        depth = below - 0.75 * (place if left else count - 1 - place)
        edge = low - 0.15 if left else high + 0.15
        axes.plot([found.ranks[number]] * 2 + [edge], [0, depth, depth], color="#999999", linewidth=0.9)
        told = f"{names[number]}  {found.ranks[number]:.2f}" if left else f"{found.ranks[number]:.2f}  {names[number]}"
        axes.text(
            edge + (-0.08 if left else 0.08), depth, told, ha="right" if left else "left", va="center", fontsize=9
        )
    axes.set(xlim=(low - 4.2, high + 4.2), ylim=(below - 0.75 * half, 1.0))
    axes.axis("off")
