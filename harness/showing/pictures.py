"""Records and leaderboards as pictures: who is how good, at what cost, and how training went.

All of a suite's are drawn from one block of comparable records, in the suite's order of variants. Colours are those of
Okabe and Ito (2008), told apart by colour-blind readers too; what they mean is written beside the lines.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.scale import FuncScale

from harness import registry
from harness.errors import BenchError
from harness.judging import leaderboard
from harness.judging.blocks import Row, newest, rows
from harness.judging.metrics import unlike
from harness.showing.certainty import draw_ranks
from harness.showing.digits import decimals, last_decimal, rounded

_COLOURS = {"keras": "#D55E00", "pytorch": "#0072B2", "classical": "#555555"}
_OTHER = "#009E73"
_DASHES = ("-", "--", ":")
_SERIES = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#999999")


def draw_all(results: Path, suite: str, folder: Path, profile: str = "", device: str = "") -> list[Path]:
    """Draw every picture of the newest block of records into `folder`, and return the files in order.

    `leaderboard.png`, `loss-<model>.png` for each model that was trained by gradient, `loss-all.png`,
    `parity-<model>.png`, `latency.png` and `parameters.png` where they are known, `ranks.png` where there are enough
    test images, and what the suite itself draws.
    Raises BenchError where there is nothing to draw.
    """
    block = newest(leaderboard.believed(results, suite), profile, device=device)
    if not block:
        raise BenchError(f"{results}: no finished records of {suite}" + (f" of profile {profile}" if profile else ""))
    module = registry.suite(suite)
    table = rows(block, [variant.name for variant in module.VARIANTS])
    scores = leaderboard.of_block(results, suite, block)
    first = block[0].cell
    title = f"{suite}: {module.SUMMARY}"
    note = f"profile {first.profile}, data set '{first.data}'"
    folder.mkdir(parents=True, exist_ok=True)
    files = [draw(scores, folder / "leaderboard.png", title)]
    for name, stem in _stems(row.name for row in table).items():
        same = [row for row in table if row.name == name]
        if any(record.by_gradient for row in same for record in row.records):
            files.append(_draw_losses(same, folder / f"loss-{stem}.png", note))
        files.append(_draw_parity(same, folder / f"parity-{stem}.png", note))
    if any(file.stem.startswith("loss-") for file in files):
        files.append(_draw_all_losses(table, folder / "loss-all.png", note))
    for column, label, name in (
        (
            "p50_ms_b1",
            "one image, one thread (ms): ONNX Runtime's, and Python's encoding where there is any",
            "latency.png",
        ),
        ("parameters", "parameters", "parameters.png"),
    ):
        if scores[column].notna().any():  # a run that was stopped has timed nothing yet
            files.append(_draw_cost(scores, column, label, folder / name, note))
    if ranks := draw_ranks(table, folder / "ranks.png", note):
        files.append(ranks)
    return files + module.draw([found for row in table for found in row.predicted()], folder)


def _short(names: Iterable[str]) -> dict[str, str]:
    """Each name without what stands in brackets, such as the weights, where that still tells it from the others."""
    found = {name: name.partition(" (")[0] for name in names}
    said = Counter(found.values())
    return {name: short if said[short] == 1 or short == name else name for name, short in found.items()}


def _stems(names: Iterable[str]) -> dict[str, str]:
    """What the files of each name are called, no two alike: `all` is of all models."""
    found: dict[str, str] = {}
    for name, short in _short(names).items():
        stem = re.sub("[^A-Za-z0-9_-]+", "-", short).strip("-")
        taken = {"all", *(other.casefold() for other in found.values())}
        numbered = (f"{stem}-{number}" for number in itertools.count(2))
        found[name] = next(one for one in itertools.chain([stem], numbered) if one.casefold() not in taken)
    return found


# --- losses -------------------------------------------------------------------------------------------------------


def _losses(row: Row, which: str) -> np.ndarray:
    """(seeds, epochs) of all recipes one after the other, on the network's scale; cut to the shortest seed."""
    series = [record.losses(which) for record in row.records]
    shortest = min(map(len, series))
    return np.array([values[:shortest] for values in series])


def _draw_losses(same: Sequence[Row], picture: Path, note: str) -> Path:
    """Training and validation loss of one model: a thin line for each seed, a thick one for their median."""
    figure = Figure(figsize=(5.2 * len(same) + 0.8, 4.2), layout="constrained")
    panels = figure.subplots(1, len(same), sharey=True, squeeze=False)[0]
    ends: list[list[End]] = []
    for axes, row in zip(panels, same, strict=True):
        ends.append([])
        for which, label in (("loss", "training"), ("validation_loss", "validation")):
            colour = "#999999" if which == "loss" else _COLOURS.get(row.backend, _OTHER)
            losses = _losses(row, which)
            epochs = np.arange(1, losses.shape[1] + 1)
            axes.plot(epochs, losses.T, color=colour, linewidth=0.7, alpha=0.5)
            axes.plot(epochs, np.median(losses, axis=0), color=colour, linewidth=2)
            ends[-1].append(End(len(epochs), float(np.median(losses[:, -1])), label, colour))
        _mark_recipes(axes, row)
        axes.set_title(row.backend, loc="left", fontsize=10)
        _as_loss(axes)
    for axes, named in zip(panels, ends, strict=True):
        _label_ends(axes, named)
    panels[0].set_ylabel(_loss(same))
    return _saved(figure, picture, f"{same[0].name}: thin lines are seeds, thick ones their median ({note})")


def _draw_all_losses(table: Sequence[Row], picture: Path, note: str) -> Path:
    """Validation and training losses of every model, medians over seeds, backends beside each other.

    Of a model whose head was trained first what follows is drawn, from where that ended: the rest is its head's own.
    """
    trained = [row for row in table if row.first.by_gradient]
    short = _short(row.name for row in trained)
    looks = dict(zip(short, itertools.cycle(itertools.product(_DASHES, _SERIES)), strict=False))
    backends = list(dict.fromkeys(row.backend for row in trained))
    figure = Figure(figsize=(6.4 * len(backends), 9.6), layout="constrained")
    panels = figure.subplots(2, len(backends), sharey="row", squeeze=False)
    ends: dict[Axes, list[End]] = {}
    for line, (which, label) in enumerate((("validation_loss", "validation"), ("loss", "training"))):
        for axes, backend in zip(panels[line], backends, strict=True):
            ends[axes] = []
            for row in (row for row in trained if row.backend == backend):
                median = np.median(_losses(row, which), axis=0)
                start, (dashes, colour) = _after_head(row), looks[row.name]
                axes.plot(np.arange(start + 1, len(median) + 1), median[start:], dashes, color=colour, linewidth=1.6)
                ends[axes].append(End(len(median), float(median[-1]), short[row.name], colour, dashes))
            axes.set_title(f"{label} loss, {backend}", loc="left", fontsize=10)
            _as_loss(axes)
    for axes, named in ends.items():
        _label_ends(axes, named)
    for line in panels:
        line[0].set_ylabel(_loss(trained))
    return _saved(figure, picture, f"median over seeds ({note})")


def _after_head(row: Row) -> int:
    """The last epoch, from 0, in which its head alone was trained before anything else; 0 where it never was so."""
    first = row.first
    before = zip(first.history[:-1], first.cell.recipes, strict=False)
    heads = sum(len(history.loss) for history, recipe in before if recipe.trains == "head")
    return max(0, heads - 1)


def _loss(table: Sequence[Row]) -> str:
    """What the models of a block were trained on. What answers something that is decoded has a scale of its own."""
    if table[0].of_classes:
        weighted = any(r.class_weights is not msgspec.UNSET for row in table for r in row.first.cell.recipes)
        return "mean cross-entropy" + ", weighted as in training" * weighted
    return "mean squared error, on each network's own scale\n(1 = always answering the mean of its targets)"


def _as_loss(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.set_xlabel("epoch")
    _plain(axes)


def _mark_recipes(axes: Axes, row: Row) -> None:
    """A line where one recipe ends and the next begins, and what that does that the one before did not."""
    end, recipes = 0, row.first.cell.recipes
    for history, (before, after) in zip(row.first.history, itertools.pairwise(recipes), strict=False):
        end += len(history.loss)
        axes.axvline(end + 0.5, color="#CCCCCC", linewidth=1)
        told = "fine-tuning" if before.trains == "head" else f"rate {after.learning_rate:g}"
        place = axes.get_xaxis_transform()
        axes.text(end + 0.5, 1.0, f"{told} \N{RIGHTWARDS ARROW} ", transform=place, ha="right", va="top", fontsize=8)


class End(NamedTuple):
    """Where a line ends, its name and its look."""

    epoch: int
    value: float
    label: str
    colour: str
    dashes: str = "-"


def _label_ends(axes: Axes, ends: list[End]) -> None:
    """Names to the right of their lines, moved apart where they would overlap, and each led to its line's end; once all
    on the axis is drawn.
    """
    last = max(2.0, *(float(np.max(line.get_xdata())) for line in axes.lines))
    axes.set_xlim(1, last * 1.35)
    low, high = np.log10(axes.get_ylim())
    gap, floor = 0.04 * (high - low), -np.inf
    for end in sorted(ends, key=lambda end: end.value):
        floor = max(np.log10(end.value), floor + gap)
        way = (end.epoch, last * 1.07), (end.value, 10**floor)
        axes.plot(*way, end.dashes, color=end.colour, linewidth=0.6, clip_on=False)
        axes.text(last * 1.08, 10**floor, end.label, color=end.colour, fontsize=8.5, va="center")


# --- predictions --------------------------------------------------------------------------------------------------


def _draw_target(axes: Axes, same: Sequence[Row], index: int) -> None:
    """One target's predictions against the truth, with its R²."""
    for number, row in enumerate(same):
        test, held_out = row.first.test, row.first.held_out
        assert test is not None
        assert held_out is not None
        truth, target = np.array(held_out.truth)[:, index], held_out.targets[index]
        if not number:
            ends = [truth.min(), truth.max()]
            axes.plot(ends, ends, color="#999999", linewidth=1)
            unit = f" ({held_out.units[index]})" if unlike(held_out.units) and held_out.units[index] else ""
            axes.set_title(target + unit, loc="left", fontsize=10)
        colour, r2 = _COLOURS.get(row.backend, _OTHER), test.r2[target]
        axes.plot(truth, np.array(held_out.predictions)[:, index], "o", color=colour, markersize=3, alpha=0.6)
        told = f"{row.backend} R² " + ("–" if r2 is None else f"{r2:.3f}")
        place: dict[str, Any] = {"transform": axes.transAxes, "va": "top", "zorder": 4, "bbox": _PAPER}  # over points
        axes.text(0.04, 0.96 - 0.09 * number, told, color=colour, fontsize=8, **place)
    _plain(axes)


def _draw_parity(same: Sequence[Row], picture: Path, note: str) -> Path:
    """Predicted against true, a panel for each test and target: images of each backend's first seed."""
    wanted = [(test, number) for test in same[0].tests for number in range(same[0].targets)]
    across = min(3, len(wanted))
    down = -(-len(wanted) // across)
    figure = Figure(figsize=(2.9 * across, 2.9 * down + 0.5), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes, (test, number) in zip(panels, wanted, strict=False):
        _draw_target(axes, [row.on(test) for row in same if test in row.tests], number)
        if len(same[0].tests) > 1:
            axes.set_title(f"{test}: {axes.get_title('left')}", loc="left", fontsize=10)
    for axes in panels[len(wanted) :]:
        axes.axis("off")
    unit = f" ({same[0].unit})" if same[0].unit else ""
    figure.supxlabel(f"true{unit}", fontsize=10)
    figure.supylabel(f"predicted{unit}", fontsize=10)
    seeds = sorted({row.first.cell.seed for row in same})
    told = f"seed {' and '.join(map(str, seeds))}"
    return _saved(figure, picture, f"{same[0].name}: test images, {told} ({note})")


# --- cost against accuracy ----------------------------------------------------------------------------------------


def _draw_cost(scores: pd.DataFrame, column: str, label: str, picture: Path, note: str) -> Path:
    """Skill against a cost; models that no other beats in both are joined by a line, the Pareto front."""
    table = scores[scores[column].notna() & scores["skill"].notna()]
    least = 1.0 if column == "parameters" else 1e-3
    cost, skill = table[column].astype(float).clip(lower=least), table["skill"].astype(float)
    scale = _Scale(skill.max())
    height = skill.clip(lower=scale.floor)
    figure = Figure(figsize=(9.5, 6.6), layout="constrained")
    axes = figure.subplots()
    front = pareto_front(cost.to_numpy(), skill.to_numpy())
    axes.step(cost.iloc[front], height.iloc[front], where="post", color="#BBBBBB", linewidth=1.5, zorder=1)
    axes.set(xscale="log", xlim=(cost.min() / 1.6, cost.max() ** 1.25 / cost.min() ** 0.25 * 3))
    scale.put_on(axes, "y")
    axes.set(xlabel=label, ylabel="skill on the test images, logarithmic in 1 - skill (0 = the mean)")
    for place, backend in enumerate(table["backend"]):
        marker = "o" if skill.iloc[place] > scale.floor else "v"
        size = 7 if place in front else 5
        colour = _COLOURS.get(backend, _OTHER)
        axes.plot(cost.iloc[place], height.iloc[place], marker, color=colour, markersize=size, zorder=4)  # over names
    short = _short(table["variant"])
    _label_points(axes, list(zip(cost, height, (short[name] for name in table["variant"]), strict=True)))
    for number, backend in enumerate(dict.fromkeys(table["backend"])):
        colour = _COLOURS.get(backend, _OTHER)
        axes.text(0.995, 0.02 + 0.05 * number, backend, color=colour, transform=axes.transAxes, ha="right", va="bottom")
    _plain(axes)
    axes.set_title(f"line: no other model is both better and cheaper ({note})", loc="left", fontsize=10)
    return _saved(figure, picture)


def pareto_front(cost: np.ndarray, skill: np.ndarray) -> list[int]:
    """Indices of those that nothing beats in both cost (n,) and skill (n,), by rising cost."""
    front: list[int] = []
    for index in np.lexsort((-skill, cost)):
        if not front or skill[index] > skill[front[-1]]:
            front.append(int(index))
    return front


def _label_points(axes: Axes, points: list[tuple[float, float, str]]) -> None:
    """Names right of their points; where names would overlap they are written under each other, with a line to the
    point, each once for points that all but cover each other.
    """
    of_axes = axes.transScale + axes.transLimits
    taken: list[tuple[float, float]] = []
    named: list[tuple[float, float, str]] = []
    for x, y, name in sorted(points, key=lambda point: -point[1]):
        across, up = of_axes.transform((x, y))
        if any(name == other and abs(across - there) < 0.05 and abs(up - at) < 0.05 for there, at, other in named):
            continue
        named.append((across, up, name))
        height = _free_height(across, up, taken, -0.005)
        if height < _LOWEST:  # below are the ticks: there is room above
            height = _free_height(across, up, taken, 0.005)
        taken.append((across, height))
        if up - height > 0.02:
            axes.plot(
                (across, across + 0.011), (up, height), transform=axes.transAxes, color="#CCCCCC", lw=0.6, zorder=1
            )
        axes.text(across + 0.012, height, name, transform=axes.transAxes, fontsize=8.5, va="center", bbox=_PAPER)


def _free_height(across: float, height: float, taken: Sequence[tuple[float, float]], step: float) -> float:
    """The first height from this one on, step by step, at which a name covers none of those that are `taken`."""
    while any(abs(across - there) < 0.22 and abs(height - at) < 0.03 for there, at in taken):
        height += step
    return height


_LOWEST = 0.02  # of the axis

_PAPER: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.8}


class _Scale:
    """Skills by what is left of the mean's squared error, as beside the rows of `bench site`: 0.99 is as far from 0.9
    as 0.9 from 0. Far below zero every score says the same: what is lower than `floor` stands there.
    """

    def __init__(self, best: float) -> None:
        self._end = 1.05 * float(_place(max(best, 0.1)))
        self.floor = float(_skill(-0.06 * self._end))

    def put_on(self, axes: Axes, which: Literal["x", "y"]) -> None:
        """Scale, limits and ticks of one axis."""
        levels = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999) if self._end > 1 else (0.0, 0.2, 0.4, 0.6, 0.8)
        ticks = [level for level in levels if _place(level) <= self._end]
        ends = tuple(float(_skill(share * self._end)) for share in (-0.1, 1.0))
        scale = FuncScale(axes.xaxis if which == "x" else axes.yaxis, (_place, _skill))
        axes.set(**{f"{which}scale": scale, f"{which}lim": ends, f"{which}ticks": ticks})
        axes.set(**{f"{which}ticklabels": [f"{tick:g}" for tick in ticks]})


def _place(skill: Any) -> Any:
    return -np.log10(np.maximum(1e-6, 1 - np.asarray(skill, float)))


def _skill(place: Any) -> Any:
    return 1 - 10 ** -np.asarray(place, float)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#EEEEEE", zorder=0)
    axes.set_axisbelow(True)


def _saved(figure: Figure, picture: Path, title: str = "") -> Path:
    """The file that a picture is written to, with a title above all of its panels where it has one."""
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, wrap=True)  # it was cut over a single panel
    figure.savefig(picture, dpi=90)
    return picture


# --- the leaderboard ----------------------------------------------------------------------------------------------


def draw(table: pd.DataFrame, picture: Path, title: str) -> Path:
    """Draw the rows of a leaderboard that have a score, best at the top, to the PNG file `picture`; returns it.

    A dot is the mean skill over seeds, its line the 95 % bootstrap interval. Raises BenchError where no row has a
    score.
    """
    table = table[table["skill"].notna()] if "skill" in table else table[:0]
    if table.empty:
        raise BenchError("no row of the leaderboard has a score to draw")
    longest = max(map(len, table["variant"]))
    figure = Figure(figsize=(10.5 + 0.08 * longest, 1.6 + 0.36 * len(table)), layout="constrained")
    chart, columns = figure.subplots(1, 2, sharey=True, width_ratios=(5, 4))
    scale = _Scale(table[["skill", "skill_high"]].astype(float).max().max())
    scale.put_on(chart, "x")
    for height, (_, row) in enumerate(table[::-1].iterrows()):
        _draw_skill(chart, height, row, scale.floor)
        _write(columns, height, _cost(row), "black")
    _write(columns, len(table) - 0.4, ["skill", "R²", "NMAE", "parameters", "one image"], "#555555")
    columns.axis("off")
    if any(leaderboard.of_some_seeds(row) for _, row in table.iterrows()):
        note = "* seeds selected models of several sizes: that of the first"
        columns.text(1.0, -0.6, note, ha="right", va="top", fontsize=8.5, color="#555555")
    _label(chart, table)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    return picture


def _draw_skill(axes: Axes, height: int, row: pd.Series[Any], floor: float) -> None:
    colour = _COLOURS.get(row["backend"], _OTHER)
    skill = row["skill"]
    if row["skill_low"] is not None:  # too few test images give no interval
        ends = [max(row[name], floor) for name in ("skill_low", "skill_high")]
        axes.plot(ends, [height, height], color=colour, linewidth=2.5, solid_capstyle="butt")
    axes.plot(max(skill, floor), height, "o" if skill > floor else "<", color=colour, markersize=8)


def _cost(row: pd.Series[Any]) -> list[str]:
    formats: dict[str, Callable[[Any], str]] = {
        "r2": _score,
        "nmae_percent": "{:.2f} %".format,
        "parameters": "{:,.0f}".format,
        "p50_ms_b1": "{:.3f} ms".format,
    }
    told = {"skill": _known(row)}
    told |= {name: "" if row[name] is None else form(row[name]) for name, form in formats.items()}
    if leaderboard.of_some_seeds(row):
        told["parameters"] += "*"
    return list(told.values())


def _known(row: pd.Series[Any]) -> str:
    """A skill with three decimals, or near one with as many as its interval tells it by."""
    skill, low, high = row["skill"], row["skill_low"], row["skill_high"]
    if skill < 0.9 or low is None or high - low < 1e-6:
        return _score(skill)
    return rounded(skill, min(6, max(3, last_decimal((high - low) / 2))))


def _score(value: float) -> str:
    """Three decimals, as far as there is room for them."""
    return decimals(value, digits=3 if abs(value) < 100 else 0)


def _write(axes: Axes, height: float, texts: list[str], colour: str) -> None:
    """One line of right-aligned columns."""
    for right, text in zip((0.10, 0.25, 0.44, 0.73, 1.0), texts, strict=True):
        axes.text(right, height, text, ha="right", va="center", fontsize=9.5, color=colour)


def _label(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_yticks(range(len(table)), [f"{row.variant}  ·  {row.backend}" for row in table[::-1].itertuples()])
    for label, backend in zip(axes.get_yticklabels(), table["backend"][::-1], strict=True):
        label.set_color(_COLOURS.get(backend, _OTHER))
    axes.set_ylim(-0.6, len(table) - 0.2)
    axes.axvline(0, color="#999999", linewidth=1, zorder=0)
    axes.set_xlabel("skill on the test images, logarithmic in 1 - skill; 0 = the training mean; line: 95 % interval")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#EEEEEE", zorder=0)
