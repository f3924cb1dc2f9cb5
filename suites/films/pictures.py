"""Pictures of films: what models make of their scatter, and, by `python -m suites.films.pictures FILE.png`, films."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from harness.protocol import Predicted
from suites.films.apparent import stress_field
from suites.films.crystal import plane_stress
from suites.films.dataset import load_films
from suites.films.rendering import render
from suites.films.tessellation import SIZE, grains

_SHOWN = {"hill-net": "#0072B2", "many-originals": "#D55E00", "few-copied": "#CC79A7", "line": "#555555"}
"""Models in the pictures of scatter, and their colours, which are those of Okabe and Ito (2008)."""


def draw(predicted: Sequence[Predicted], folder: Path) -> list[Path]:
    """See `Suite.draw`: `scatter.png` and `size-effect.png`, of one backend of each model that is shown."""
    first = {(found.model, found.test): found for found in reversed(predicted) if found.model in _SHOWN}
    models = [model for model in _SHOWN if any(name == model for name, _ in first)]
    tests = [test for test in dict.fromkeys(found.test for found in predicted) if test.startswith("ratio-")]
    if not models or not tests:
        return []
    shown = [[first[model, test] for test in tests if (model, test) in first] for model in models]
    return [_draw_scatter(shown, folder / "scatter.png"), _draw_size_effect(shown, folder / "size-effect.png")]


def _draw_scatter(shown: Sequence[Sequence[Predicted]], picture: Path) -> Path:
    """Histograms of the modulus, predicted on true: a row for each model, a column for each test."""
    figure = Figure(figsize=(9, 1.9 * len(shown) + 0.8), layout="constrained")
    panels = figure.subplots(len(shown), max(map(len, shown)), sharex="col", squeeze=False)
    for row, line in zip(panels, shown, strict=True):
        for axes, found in zip(row, line, strict=False):
            predictions = found.predictions[0, :, 0]
            edges = np.linspace(found.truth.min() - 0.5, found.truth.max() + 0.5, 26)
            axes.hist(found.truth[:, 0], edges, color="#cccccc")
            axes.hist(predictions, edges, histtype="step", color=_SHOWN[found.model], linewidth=1.5)
            error = 100 * abs(predictions.std() / found.truth.std() - 1)
            axes.set_title(f"{found.model}, {found.test}: SD {error:.1f} % off", loc="left", fontsize=8)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_yticks([])
    figure.supxlabel("E1 (GPa); gray: true, line: predicted, first seed", fontsize=9)
    figure.savefig(picture, dpi=110)
    return picture


def _draw_size_effect(shown: Sequence[Sequence[Predicted]], picture: Path) -> Path:
    """Scatter against the size of the window: true, as each model predicts it, and by the law of large numbers."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    ratios = np.array([float(found.test.removeprefix("ratio-")) for found in shown[0]])
    true = np.array([100 * found.truth.std() / found.truth.mean() for found in shown[0]])
    curve = np.linspace(ratios.min(), ratios.max(), 50)
    axes.plot(curve, true[0] * ratios[0] / curve, color="#999999", linewidth=1, label="s_g/L, through the first")
    axes.plot(ratios, true, "o", color="black", markersize=9, fillstyle="none", label="true")
    for number, line in enumerate(shown):
        spread = [100 * np.mean([seed.std() / seed.mean() for seed in found.predictions]) for found in line]
        place = ratios[: len(spread)] * (1 + 0.012 * (number - len(shown) / 2))
        axes.plot(place, spread, "s", color=_SHOWN[line[0].model], markersize=4, label=line[0].model)
    axes.set_xlabel("edge of the window over grain size, L/s_g")
    axes.set_ylabel("standard deviation of E1 (% of its mean)")
    axes.set_ylim(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(picture, dpi=110)
    return picture


def draw_films(picture: Path) -> None:
    """A film of each size: gray levels as models see them, angles, and the stress along x1 where it is 1 on average."""
    stored = load_films()
    chosen = [int(np.flatnonzero(stored.ratios == ratio)[0]) for ratio in dict.fromkeys(stored.ratios.tolist())]
    figure = Figure(figsize=(3.1 * len(chosen), 8.4), layout="constrained")
    panels = figure.subplots(3, len(chosen))
    for (gray, angles, stress), index in zip(panels.T, chosen, strict=True):
        film, pixels = stored.films[index], grains(stored.films[index], SIZE)
        gray.imshow(render(film), cmap="gray", vmin=0, vmax=255)
        gray.set_title(f"L/s_g {stored.ratios[index]:g}, E1 {stored.constants[index, 0]:.1f} GPa", fontsize=9)
        shown = angles.imshow(film.degrees[pixels], cmap="twilight", vmin=0, vmax=90)
        field = stress_field(pixels, plane_stress(stored.crystal, film.degrees))
        strained = stress.imshow(field, cmap="RdBu_r", vmin=0.8, vmax=1.2)
    figure.colorbar(shown, ax=panels[1].tolist(), label="angle (degrees)", shrink=0.8)
    figure.colorbar(strained, ax=panels[2].tolist(), label="stress along x1 / its mean", shrink=0.8)
    for axes in panels.ravel():
        axes.set_axis_off()
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    draw_films(Path(sys.argv[1]))
