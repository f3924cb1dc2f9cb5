"""Which classes are taken for which, and what is found at the price of how many false alarms."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from harness.protocol import Predicted
from suites.constituents import flaws
from suites.constituents import specimens as shipped
from suites.constituents.families import FAMILIES
from suites.pictures.scores import average_precision, precision_and_recall

Floats = NDArray[np.float64]

_COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7", "#8a6d00")
_RESAMPLED = 1000
_AREA = "area under the curve, mean over seeds (95 %)"


def _first_backend(predicted: Sequence[Predicted]) -> dict[tuple[str, str], Predicted]:
    """What the first backend of each model predicted, by model and test; of who always answers the same nothing."""
    first = {(found.model, found.test): found for found in reversed(predicted)}
    order = dict.fromkeys((found.model, found.test) for found in predicted)
    return {place: first[place] for place in order if np.ptp(first[place].predictions, axis=1).any()}


# --- confusion ------------------------------------------------------------------------------------------------------


def confusion(found: Predicted) -> Floats:
    """(t, t) of the images of each class, by rows, the share that is taken for each, by columns; mean over seeds. Rows
    of classes that no image has are NaN.
    """
    classes = found.truth.shape[1]
    right = np.tile(found.truth.argmax(axis=1), len(found.predictions))
    answered = found.predictions.argmax(axis=2).ravel()
    counts = np.bincount(classes * right + answered, minlength=classes**2).reshape(classes, classes).astype(np.float64)
    with np.errstate(invalid="ignore"):
        shares: Floats = counts / counts.sum(axis=1, keepdims=True)
    return shares


def draw_confusion(predicted: Sequence[Predicted], classes: Sequence[str], folder: Path) -> list[Path]:
    """`confusion.png`: the matrix of each model on the first test."""
    shown = [found for (_, test), found in _first_backend(predicted).items() if test == predicted[0].test]
    if not shown:
        return []
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(1.2 + 2.9 * columns, 1.0 + 2.9 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, found in zip(panels, shown, strict=False):
        _draw_matrix(axes, confusion(found), classes)
        axes.set_title(f"{found.model}\n{found.backend}", loc="left", fontsize=8)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    figure.supxlabel("taken for (% of each class, mean over seeds)", fontsize=9)
    figure.supylabel("is", fontsize=9)
    picture = folder / "confusion.png"
    figure.savefig(picture, dpi=110)
    return [picture]


def _draw_matrix(axes: Axes, shares: Floats, classes: Sequence[str]) -> None:
    axes.imshow(shares, "Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*shares.shape):
        if np.isfinite(share := shares[row, column]):
            told = f"{100 * share:.0f}"
            axes.text(
                column, row, told, ha="center", va="center", fontsize=8, color="white" if share > 0.6 else "black"
            )
    axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=8)
    axes.set_yticks(range(len(classes)), classes, fontsize=8)


# --- precision and recall -------------------------------------------------------------------------------------------


def draw_precision_and_recall(
    predicted: Sequence[Predicted], of: int, ceilings: Mapping[str, Mapping[str, float]], folder: Path
) -> list[Path]:
    """`precision-recall.png`: on each test the curve of each model's first seed, and what the `precision` and `recall`
    of labels of another version are, where `ceilings` has them.
    """
    first = _first_backend(predicted)
    if not first:
        return []
    tests = list(dict.fromkeys(test for _, test in first))
    models = list(dict.fromkeys(model for model, _ in first))
    figure = Figure(figsize=(1 + 5.2 * len(tests), 6.2), layout="constrained")
    for axes, test in zip(figure.subplots(1, len(tests), sharey=True, squeeze=False)[0], tests, strict=True):
        for model in [model for model in models if (model, test) in first]:
            found, colour = first[model, test], _COLOURS[models.index(model) % len(_COLOURS)]
            precision, recall = precision_and_recall(found.predictions[0], found.truth, of)
            told = "{:.2f} ({:.2f} to {:.2f})".format(*interval(found, of))
            axes.step(recall, precision, color=colour, where="pre", label=f"{model} · {found.backend}  {told}")
        share = found.truth[:, of].mean()
        axes.axhline(share, color="#999999", linestyle=":", label=f"at random  {share:.2f}")
        if test in ceilings:
            at = ceilings[test]
            axes.plot(at["recall"], at["precision"], "k*", markersize=9, label="labels of the other version")
        axes.set(title=test, xlabel="recall", xlim=(0, 1.02), ylim=(0, 1.02))
        axes.legend(fontsize=7, title=_AREA, title_fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel("precision", fontsize=9)
    picture = folder / "precision-recall.png"
    figure.savefig(picture, dpi=110)
    return [picture]


def interval(found: Predicted, of: int) -> tuple[float, float, float]:
    """The area under the curve of precision over recall, mean over seeds, and the ends of its 95 % bootstrap interval
    over images. Draws without an image of the class are left out.
    """
    draw, count = np.random.default_rng(0), len(found.truth)
    drawn = np.array(
        [np.bincount(draw.integers(count, size=count), minlength=count) for _ in range(_RESAMPLED)], np.int32
    )
    drawn = drawn[drawn @ found.truth[:, of] > 0]
    areas = np.mean([_areas(one[:, of], found.truth[:, of], drawn) for one in found.predictions], axis=0)
    low, high = np.quantile(areas, (0.025, 0.975))
    return (
        float(np.mean([average_precision(one, found.truth, of) for one in found.predictions])),
        float(low),
        float(high),
    )


def _areas(probabilities: Floats, is_of: Floats, drawn: NDArray[np.int32]) -> Floats:
    """(r,) `average_precision` of images (n,), each drawn so often, (r, n), at the cost of sorting them once."""
    order = np.argsort(-probabilities, kind="stable")
    last = np.append(np.flatnonzero(np.diff(probabilities[order])), len(order) - 1)
    last = last[np.diff(np.cumsum(is_of[order])[last], prepend=0) > 0]  # at the others nothing is gained
    in_order = drawn[:, order]
    called = np.cumsum(in_order, axis=1, dtype=np.int32)[:, last]
    found = np.cumsum(in_order * is_of[order].astype(np.int32), axis=1, dtype=np.int32)[:, last]
    gained = np.diff(found, prepend=0, axis=1) / found[:, -1:]
    areas: Floats = (found / np.maximum(called, 1) * gained).sum(axis=1)
    return areas


# --- what they are of -----------------------------------------------------------------------------------------------


def draw_families(picture: Path) -> None:
    """Micrographs of four specimens of each family of suite phases, cut into patches."""
    stored = shipped.load()
    figure = Figure(figsize=(8.4, 10.2), layout="constrained")
    for axes, number in zip(figure.subplots(len(FAMILIES), 4).T.ravel(), range(4 * len(FAMILIES)), strict=True):
        axes.imshow(shipped.photographed(stored.masks[number], number), "gray", vmin=0, vmax=255)
        axes.set_title(list(FAMILIES)[stored.family[number]], loc="left", fontsize=9)
        axes.set_xticks([64], [])
        axes.set_yticks([64], [])
        axes.grid(color="#D55E00", linewidth=0.7)
    figure.savefig(picture, dpi=90)


def draw_flaws(picture: Path) -> None:
    """Patches of suite defects: those that are defects by the first version, and marks that are none."""
    made = flaws.make(0, 10)
    bad, marked = made.defects[:, 0], np.array(made.marks) != "nothing"
    rows = np.concatenate([np.flatnonzero(bad)[:8], np.flatnonzero(marked & ~bad)[:16]])
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    for axes, row in zip(figure.subplots(3, 8).ravel(), rows, strict=True):
        axes.imshow(made.images[row], "gray", vmin=0, vmax=255)
        axes.set_title(f"{made.marks[row]}: {'defect' if bad[row] else 'good'}", fontsize=8)
        axes.set_axis_off()
    figure.savefig(picture, dpi=90)


if __name__ == "__main__":  # python -m suites.constituents.pictures FOLDER
    draw_families(Path(sys.argv[1]) / "families.png")
    draw_flaws(Path(sys.argv[1]) / "flaws.png")
