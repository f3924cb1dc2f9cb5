"""What a score gains by patches of specimens that a model knows, and loses in another laboratory; and micrographs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from harness.protocol import Predicted
from suites.micrographs import specimens

Floats = NDArray[np.float64]

# By test: what it is called in the picture, and its colour (Okabe and Ito 2008).
_TESTS = {
    "new": ("new specimens", "#000000"),
    "seen": ("known specimens: a random split of patches", "#0072B2"),
    "overlapping": ("both halves known", "#E69F00"),
    "again": ("known patches, photographed again", "#D55E00"),
}
_RESAMPLED = 1000


def draw(predicted: Sequence[Predicted], folder: Path) -> list[Path]:
    """See `Suite.draw`: `inflation.png`, R² of each model on each test."""
    first, models = _shown(predicted)
    return [_draw_inflation(first, models, folder / "inflation.png")] if models else []


def _shown(predicted: Sequence[Predicted]) -> tuple[dict[tuple[str, str], Predicted], list[str]]:
    """What the first backend of each model predicted, by model and test, and the models but the mean."""
    models = [model for model in dict.fromkeys(found.model for found in predicted) if model != "mean"]
    return {(found.model, found.test): found for found in reversed(predicted)}, models


def inflation(new: Predicted, other: Predicted) -> tuple[float, float, float]:
    """How much higher R² is on the other test, and the ends of its 95 % bootstrap interval over specimens."""
    gained = _r2_resampled(other, 0) - _r2_resampled(new, 1)  # of other specimens, so drawn apart
    low, high = np.quantile(gained, (0.025, 0.975))
    return float(_r2(other) - _r2(new)), float(low), float(high)


def _r2(found: Predicted) -> float:
    """Mean over seeds."""
    return float(1 - np.mean((found.predictions - found.truth) ** 2) / found.truth.var())


def _r2_resampled(found: Predicted, seed: int = 0) -> Floats:
    """(resampled,) R² of specimens drawn anew; patches of one truth are of one specimen."""
    _, specimen = np.unique(found.truth[:, 0], return_inverse=True)
    count = np.bincount(specimen)
    truth = np.bincount(specimen, found.truth[:, 0])
    squared_truth = np.bincount(specimen, found.truth[:, 0] ** 2)
    errors = np.bincount(specimen, ((found.predictions - found.truth) ** 2).mean(axis=(0, 2)))
    drawn = np.random.default_rng(seed).integers(len(count), size=(_RESAMPLED, len(count)))
    patches, mean = count[drawn].sum(axis=1), truth[drawn].sum(axis=1)
    variance = squared_truth[drawn].sum(axis=1) / patches - (mean / patches) ** 2
    r2: Floats = 1 - errors[drawn].sum(axis=1) / patches / variance
    return r2


def _draw_inflation(first: dict[tuple[str, str], Predicted], models: Sequence[str], picture: Path) -> Path:
    """A line for each model, a point for each test."""
    figure = Figure(figsize=(9, 0.36 * len(models) + 1.9), layout="constrained")
    axes = figure.subplots()
    for test, (title, colour) in _TESTS.items():
        of = [(line, first[model, test]) for line, model in enumerate(models) if (model, test) in first]
        lines, middle = [line for line, _ in of], np.array([_r2(found) for _, found in of])
        ends = np.array([np.quantile(_r2_resampled(found), (0.025, 0.975)) for _, found in of]).T
        errors = np.abs(ends - middle)
        axes.errorbar(middle, lines, xerr=errors, fmt="o", color=colour, markersize=5, linewidth=1, label=title)
    for line, model in enumerate(models):
        if (model, "new") in first and (model, "seen") in first:
            gained, low, high = inflation(first[model, "new"], first[model, "seen"])
            told = f"{gained:+.2f} ({low:+.2f} to {high:+.2f})"
            axes.text(1.02, line, told, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.set_title("known less new (95 %)", loc="right", fontsize=8)
    axes.set_yticks(range(len(models)), models)
    axes.invert_yaxis()
    axes.set_xlabel("R², mean over seeds, with 95 % bootstrap interval over specimens")
    axes.set_xlim(right=1.01)
    axes.grid(axis="x", color="#dddddd")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=8)
    figure.savefig(picture, dpi=110)
    return picture


def draw_severity(predicted: Sequence[Predicted], steps: Mapping[str, int], folder: Path) -> list[Path]:
    """`severity.png`: R² of each model by what is changed, in so many `steps` of each; 0 is the test `same`."""
    first, models = _shown(predicted)
    if not models:
        return []
    figure = Figure(figsize=(10, 6.2), layout="constrained")
    panels = figure.subplots(2, -(-len(steps) // 2), sharey=True).ravel()
    for axes, (name, count) in zip(panels, steps.items(), strict=False):
        for number, model in enumerate(models):
            tests = ["same", *(f"{name}-{step}" for step in range(1, count + 1))]
            of = [_r2(first[model, test]) for test in tests if (model, test) in first]
            axes.plot(of, _MARKS[number % len(_MARKS)] + "-", color=_COLOURS[number % len(_COLOURS)], label=model)
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_xticks(range(count + 1), ["home", *map(str, range(1, count + 1))])
        axes.set_ylim(-1, 1)
        axes.axhline(0, color="#999999", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(steps) :]:
        axes.set_axis_off()
    figure.supylabel("R², mean over seeds (below -1 not shown)", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False, fontsize=8)
    picture = folder / "severity.png"
    figure.savefig(picture, dpi=110)
    return [picture]


_COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7", "#8a6d00")
_MARKS = "osv^D<>P"


def draw_micrographs(picture: Path) -> None:
    """Micrographs of three specimens, with what each session did to them."""
    stored = specimens.load()
    figure = Figure(figsize=(9.6, 3.6), layout="constrained")
    for axes, number in zip(figure.subplots(1, 3), (0, 3, 5), strict=True):
        axes.imshow(specimens.photographed(stored.masks[number], number)[0], "gray", vmin=0, vmax=255)
        measured, visible = stored.measured[number], stored.visible[number]
        axes.set_title(f"E {measured:.1f} GPa, {visible:.1f} at median porosity", fontsize=9)
        axes.set_xticks(range(64, 256, 64), [])
        axes.set_yticks(range(64, 256, 64), [])
        axes.grid(color="#D55E00", linewidth=0.7)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    draw_micrographs(Path(sys.argv[1]))
