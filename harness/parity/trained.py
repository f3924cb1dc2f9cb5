"""The rungs that train: whole recipes from shared initial weights, and from each framework's own."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness import registry
from harness.judging import stats
from harness.judging.metrics import NOTHING_LEARNED, unlike
from harness.judging.outlines import Shelf
from harness.judging.records import Cell, Record, Settings
from harness.judging.shortened import at_most
from harness.judging.store import Store
from harness.model.architecture import Dropout, Network
from harness.model.variants import Recipe, Search, Variant
from harness.parity.ladder import Outcome, Verdict
from harness.parity.subjects import FROZEN_NORMS, ClimbRequest, Framework, deep, has_norms, largest
from harness.protocol import Suite
from harness.running.chosen import by_owner
from harness.running.data import DataSource
from harness.running.launch import Post, launch
from harness.running.plan import Request, plan
from harness.running.run import good_here, recorded
from harness.running.worker import Job

EPOCHS = 30
"""With the hundred of profile=standard, these rungs took nearly all of a climb's time, and saw no more."""
TUNING_EPOCHS = 2
"""Of a recipe that trains a backbone: an epoch of VGG16 takes a minute of a core."""
MARGIN = 0.02
"""Mean R² that differ by less are taken for equal."""


class Trainings(NamedTuple):
    """What a rung trains every variant with; a variant's recipes share `EPOCHS`."""

    seeds: tuple[int, ...]
    init: Literal["shared", "native"]


def training(request: ClimbRequest, suite: Suite, chosen: Sequence[Variant]) -> Iterator[list[Verdict]]:
    """Whether every recipe begins alike and has as many epochs, and whether test predictions of the frameworks, at the
    same seed, differ less than those of two seeds of one of them: root mean squares over images, targets and seeds,
    weighed as in a skill where targets have unlike units.

    The seeds that differ more count, for those of one framework may be alike by chance; a mistake that makes them
    differ is seen in how recipes begin. Where dropout hides that, the seeds that differ less count, `BY_MASKS` times.
    """
    two = Trainings(suite.PROFILES[request.profile].seeds[:2], "shared")
    for variant, records in _trained("training", request, chosen, two):
        if isinstance(records, Verdict):
            yield [records]
            continue
        predictions = np.array([[_predictions(record) for record in side] for side in records])  # framework, seed, ...
        between = _rms(predictions[0] - predictions[1])
        drops = isinstance(variant.architecture, Network) and any(
            isinstance(layer, Dropout) for layer in variant.architecture.layers
        )
        apart = [_rms(side[0] - side[1]) for side in predictions]
        allowed = BY_MASKS * min(apart) if drops else max(apart)
        much = f"{BY_MASKS:g} times " * drops
        told = f"root mean square of test predictions{_measure(records[0][0])}; "
        told += f"allowed is {much}what two seeds of one framework differ by; "
        told += _skills([record for side in records for record in side])
        outcome: Outcome = "passes" if between < allowed else "breaks"
        whole = Verdict(variant.name, "training", outcome, "float32", "test predictions", between, allowed, told)
        yield [whole] if drops else [_beginnings(variant, *records), whole]


BY_MASKS = 1.5
"""Masks of dropout are each framework's own, and do as much as other initial weights: trainings of the tuned CNN are
1.04 times as far apart between frameworks as two seeds are in one, and two seeds in the other 1.3 times.
"""


FIRST, LATER, WITH_NORMS = 1e-5, 0.02, 0.1
"""By how much, relative, the loss of the first epoch of the first recipe may differ, and of one after heads alone were
trained, whose many steps have been rounded apart: most where batch norms train. Measured are 5e-7, 6e-5 and, of
DenseNet121, 2e-3 to 0.023.
"""


def _beginnings(variant: Variant, ours: Sequence[Record], theirs: Sequence[Record]) -> Verdict:
    """The first epoch of each recipe, in which nothing has been rounded far apart; and how many epochs each has. Once a
    recipe has trained a whole network nothing is alike any more: the rung `optimizer` sees what later ones do.
    """
    norms = has_norms(variant)
    found = []
    for one, other in zip(ours, theirs, strict=True):
        epochs = [[len(history.loss) for history in record.history] for record in (one, other)]
        if epochs[0] != epochs[1]:
            note = f"seed {one.cell.seed}: {epochs[0]} epochs of each recipe, and {epochs[1]}"
            return Verdict(variant.name, "training", "breaks", note=note)
        heads = list(itertools.takewhile(lambda recipe: recipe.trains == "head", one.cell.recipes))
        begun = list(zip(one.cell.recipes, one.history, other.history, strict=True))[: len(heads) + 1]
        for number, (recipe, ours_was, theirs_was) in enumerate(begun):
            later = WITH_NORMS if recipe.trains == "all" and norms else LATER
            off, allowed = abs(ours_was.loss[0] / theirs_was.loss[0] - 1), later if number else FIRST
            found.append((f"loss of the first epoch of recipe {number + 1}, seed {one.cell.seed}", off, allowed))
    worst = max(found, key=lambda item: np.nan_to_num(item[1] / item[2], nan=np.inf))
    return Verdict(variant.name, "training", "passes" if worst[1] <= worst[2] else "breaks", "float32", *worst)


def statistics(request: ClimbRequest, chosen: Sequence[Variant]) -> Iterator[list[Verdict]]:
    """Whether mean test R² are equivalent where each framework draws its own initial weights: it passes where the 90 %
    interval of their difference lies within the margin, differs where it lies outside, and between the two nothing was
    shown. Asked of one of the variants whose layers are of the same kinds, which begin alike, and of no backbone.
    """
    ten = Trainings(tuple(range(10)), "native")
    for variant, records in _trained("statistics", request, first_of_each_kind(chosen), ten):
        if isinstance(records, Verdict):
            yield [records]
            continue
        ours, theirs = (_scores(side) for side in records)
        found = stats.equivalence(ours, theirs, MARGIN)
        told = ", ".join(
            f"{framework.label} {np.mean(side):.4f} ± {np.std(side, ddof=1):.4f}"
            for framework, side in zip(request.between, (ours, theirs), strict=True)
        )
        told += f"; 90 % interval of the difference {found.low:+.4f} to {found.high:+.4f}, p = {found.p_value:.2g}"
        outcome: Outcome = "passes" if found.p_value < 0.05 else "differs"
        if outcome == "differs" and max(found.low, -found.high) < MARGIN:
            outcome, told = "skipped", f"not decided, for trainings of one framework differ too much: {told}"
        difference = abs(found.difference)
        yield [Verdict(variant.name, "statistics", outcome, "float32", "mean test R²", difference, MARGIN, told)]


def first_of_each_kind(chosen: Sequence[Variant]) -> list[Variant]:
    """Those without a backbone, but none whose layers are of the kinds that an earlier one's are of; dropout, which has
    no weights to draw, is no kind.
    """
    firsts: dict[frozenset[str], Variant] = {}
    for variant in chosen:
        if isinstance(variant.architecture, Network) and not deep(variant):
            kinds = {type(layer).__name__ for layer in variant.architecture.layers if not isinstance(layer, Dropout)}
            firsts.setdefault(frozenset(kinds), variant)
    return list(firsts.values())


def _trained(
    rung: str, request: ClimbRequest, chosen: Sequence[Variant], trainings: Trainings
) -> Iterator[tuple[Variant, tuple[list[Record], list[Record]] | Verdict]]:
    """Each variant with its `ok` records of both frameworks, in the order of seeds, or with why there are none."""
    unfit = [framework.label for framework in request.between if "network" not in registry.trains(framework.backend)]
    if unfit:
        for variant in chosen:
            yield variant, Verdict(variant.name, rung, "skipped", note=f"{' and '.join(unfit)} does not train")
        return
    ours, theirs = (_records(request, framework, chosen, trainings) for framework in request.between)
    for variant in chosen:
        pair = [ours[variant.name, n] for n in trainings.seeds], [theirs[variant.name, n] for n in trainings.seeds]
        bad = [record for record in (*pair[0], *pair[1]) if record.status != "ok"]
        if bad:
            outcome: Outcome = "breaks" if any(record.status == "failed" for record in bad) else "skipped"
            yield variant, Verdict(variant.name, rung, outcome, note=f"{bad[0].cell.title}: {bad[0].reason}")
        else:
            yield variant, pair


def _skills(records: Sequence[Record]) -> str:
    """What models are that are compared: two that learned nothing agree, too."""
    skills = [record.test.skill for record in records if record.test and record.test.skill is not None]
    told = f"skill {min(skills):.3f} to {max(skills):.3f}"
    return told + ", no better than the mean, so this says little" * (max(skills) <= NOTHING_LEARNED)


def _rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _predictions(record: Record) -> NDArray[np.float64]:
    """(n, t), in such units that squares of all targets may be added."""
    assert record.held_out is not None
    return record.held_out.predicted * np.sqrt(record.held_out.target_weights())


def _measure(record: Record) -> str:
    """What these are measured in, with what goes before it."""
    assert record.held_out is not None
    if unlike(record.held_out.units):
        return ", relative to the trivial predictor's errors"
    return f", {record.held_out.unit}" * bool(record.held_out.unit)


def _scores(records: Sequence[Record]) -> list[float]:
    """Mean test R² of each; the test targets of a suite vary, so that it has one."""
    return [record.test.r2_mean for record in records if record.test and record.test.r2_mean is not None]


def _records(
    request: ClimbRequest, framework: Framework, chosen: Sequence[Variant], trainings: Trainings
) -> dict[tuple[str, int], Record]:
    """A record for every variant and seed: those at hand that are current, and the others trained now.

    Kept in the results folder's cache, so that an interrupted climb goes on where it stopped.
    """
    root = request.results / "cache" / "parity" / framework.stem
    (root / "cache").mkdir(parents=True, exist_ok=True)
    store = Store(root, request.suite)
    cells = _cells(request, framework, chosen, trainings)
    shelf = Shelf(store)
    good = good_here(cells, shelf)
    records = dict(zip(good, shelf.whole(list(good.values())), strict=True))
    jobs = [Job(cell, DataSource()) for cell in cells if cell.key not in records]
    post = Post(root, framework.device, exports=False, variables=framework.variables())
    with contextlib.closing(recorded(jobs, launch(jobs, request.workers, post), store)) as made:
        records |= {record.key: record for record in made}
    return {(cell.variant, cell.seed): records[cell.key] for cell in cells}


def _cells(request: ClimbRequest, framework: Framework, chosen: Sequence[Variant], trainings: Trainings) -> list[Cell]:
    """The cells that `bench run` would have, of one network each, with the profile's shortened recipes."""
    known = {variant.name for variant in registry.suite(request.suite).VARIANTS}
    names = {variant.name.removesuffix(FROZEN_NORMS): None for variant in chosen}
    _, own = by_owner(request.variants)
    planned = plan(
        request.suite,
        Request(
            (request.suite,),
            profile=request.profile,
            variant=",".join([*(name for name in names if name in known), *own]),
            backend=framework.backend,
            seeds=trainings.seeds,
            settings=Settings(init=trainings.init, device=framework.device),
        ),
    )
    cells = []
    for cell, variant in itertools.product(planned.cells, chosen):
        if cell.variant != variant.name.removesuffix(FROZEN_NORMS):
            continue
        recipes = cell.recipes
        if isinstance(cell.architecture, Search):
            recipes = tuple(filter(None, [largest(cell.architecture).recipe]))
        pairs = zip(recipes, variant.recipes, strict=True)
        recipes = tuple(
            _shortened(msgspec.structs.replace(short, trains=full.trains), variant) for short, full in pairs
        )
        cells.append(
            msgspec.structs.replace(cell, variant=variant.name, architecture=variant.architecture, recipes=recipes)
        )
    return cells


def _shortened(recipe: Recipe, variant: Variant) -> Recipe:
    """Its share of the epochs of a variant."""
    most = TUNING_EPOCHS if deep(variant) and recipe.trains != "head" else EPOCHS // len(variant.recipes)
    return at_most(recipe, most)
