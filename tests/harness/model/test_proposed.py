import itertools
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import Unavailable
from harness.model import proposed
from harness.model.architecture import Dense, Estimator, Flatten, Network
from harness.model.variants import Configuration, Recipe, Search
from tests.harness.examples import needs_optuna

NETWORK = Network((Flatten(), Dense(2, "linear")))
AXES = {"filters": (8.0, 16.0, 32.0), "kernel": (3.0, 5.0), "dropout": (0.0, 0.2), "rate": (1e-3, 1e-4)}


def a_search(points, epochs=9, recipe_epochs=None, method="optuna", architecture=NETWORK):
    pairs = zip(points, recipe_epochs or [100] * len(points), strict=True)
    trained = isinstance(architecture, Network)
    members = (Configuration(one, architecture, Recipe(most) if trained else None) for one, most in pairs)
    return Search(tuple(members), epochs, method)


def combinations(axes):
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


GRID = a_search(combinations(AXES))


def searched(search, loss, seed=0):
    """All tries of a search where `loss` is what a configuration has after so many epochs, and these losses."""
    tries, losses = [], []
    for one in search.tries(losses, seed):
        tries.append(one)
        losses.append(loss(*one))
    return tries, losses


def additive(draw, axes=None):
    """Losses to which each choice adds its own, and which fall with epochs; the number of the best configuration."""
    axes = axes or AXES
    adds = {name: dict(zip(values, draw.normal(size=len(values)), strict=True)) for name, values in axes.items()}
    levels = [sum(adds[name][value] for name, value in point.items()) for point in combinations(axes)]
    return lambda number, epochs: levels[number] + 1 / epochs, int(np.argmin(levels))


@needs_optuna
@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 100), st.integers(0, 2**31), st.data())
def test_never_more_epochs_than_a_grid(count, epochs, seed, data):
    most = data.draw(st.lists(st.integers(1, 120), min_size=count, max_size=count))
    search = a_search([{"n": float(n)} for n in range(count)], epochs, most)
    draw = np.random.default_rng(seed)
    tries, losses = searched(search, lambda number, length: float(draw.random()), seed)
    taken = sum(min(most[number], length) for number, length in tries)
    assert 0 < taken <= sum(min(one, epochs) for one in most)
    assert search.budget == sum(min(one, epochs) for one in most)
    tried = [number for number, _ in tries]
    assert search.epochs_of(tried) == [length for _, length in tries]
    assert len([number for number, _ in itertools.groupby(tried)]) == len(set(tried))  # none is taken up twice
    longest = max(length for _, length in tries)
    last = {number: loss for (number, length), loss in zip(tries, losses, strict=True) if length == longest}
    assert last[search.selected(tried, losses)] == min(last.values())


@needs_optuna
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.data())
def test_what_is_tried_follows_from_the_losses_so_far_and_the_seed(seed, data):
    draw = np.random.default_rng(seed)
    tries, losses = searched(GRID, lambda number, length: float(draw.random()), seed)
    assert list(GRID.tries(losses, seed)) == tries
    known = data.draw(st.integers(0, len(losses) - 1))
    assert list(GRID.tries(losses[:known], seed)) == tries[: known + 1]


@needs_optuna
def test_seeds_search_otherwise():
    loss, _ = additive(np.random.default_rng(0))
    assert len({tuple(searched(GRID, loss, seed)[0]) for seed in range(5)}) == 5


@needs_optuna
def test_it_selects_what_a_grid_selects_in_half_the_epochs():
    """Mostly: not where choices do not act one by one, nor where few epochs say nothing of many."""
    ranks, taken = [], []
    for seed in range(10):
        loss, best = additive(np.random.default_rng(seed))
        tries, losses = searched(GRID, loss, seed)
        order = sorted(range(24), key=lambda number, loss=loss: loss(number, 9))
        assert order[0] == best
        ranks.append(order.index(GRID.selected([number for number, _ in tries], losses)))
        taken.append(sum(length for _, length in tries))
    assert ranks.count(0) >= 8  # another version of Optuna draws others
    assert max(ranks) <= 3
    assert np.mean(taken) < GRID.budget / 2


@needs_optuna
@pytest.mark.parametrize("seed", range(2))
def test_of_many_it_selects_one_of_the_best_for_a_third_of_a_grids_epochs(seed):
    axes = {name: tuple(map(float, range(size))) for name, size in (("a", 8), ("b", 5), ("c", 5))}
    search = a_search(combinations(axes))
    loss, _ = additive(np.random.default_rng(seed), axes)
    tries, losses = searched(search, loss, seed)
    selected = search.selected([number for number, _ in tries], losses)
    assert sorted(range(200), key=lambda number: loss(number, 9)).index(selected) < 5
    assert sum(length for _, length in tries) < search.budget / 3


@needs_optuna
def test_the_better_third_of_those_that_came_as_far_goes_on():
    """Against the rule as it is published (Li et al. 2020), for trials that come one after the other."""
    for seed in range(10):
        draw = np.random.default_rng(seed)
        tries, losses = searched(GRID, lambda number, length, draw=draw: float(draw.random()), seed)
        reached = {1: [], 3: [], 9: []}
        runs = [list(run) for _, run in itertools.groupby(zip(tries, losses, strict=True), lambda one: one[0][0])]
        for run in runs:
            assert [length for (_, length), _ in run] == [1, 3, 9][: len(run)]
            for (_, length), loss in run:
                reached[length].append(loss)
                best = sorted(reached[length])[: max(1, len(reached[length]) // 3)]
                goes_on = length < run[-1][0][1]
                assert goes_on == (loss in best and length < 9)


@needs_optuna
@pytest.mark.parametrize(
    "points",
    [
        [{"a": float(n), "b": float(n)} for n in range(9)],  # not all combinations
        [{"a": float(n % 3)} for n in range(9)],  # some twice
        [{"a": float(n)} if n < 8 else {"b": 0.0} for n in range(9)],  # of different choices
        [{} for _ in range(9)],
    ],
)
def test_configurations_that_are_no_grid_are_a_list(points):
    tries, losses = searched(a_search(points), lambda number, length: abs(number - 4) + 1 / length)
    assert a_search(points).selected([number for number, _ in tries], losses) == 4
    assert proposed._space(points) == ({"configuration": 9}, {(number,): number for number in range(9)})


def test_places_on_an_axis_are_in_the_order_of_its_values():
    sizes, numbers = proposed._space([{"rate": rate, "a": a} for rate in (1e-3, 1e-4) for a in (16.0, 8.0, 32.0)])
    assert sizes == {"a": 3, "rate": 2}
    assert numbers[1, 1] == 0  # a = 16 and the higher rate
    assert numbers[0, 0] == 4  # a = 8 and the lower rate
    assert math.prod(sizes.values()) == len(numbers) == 6


@pytest.mark.parametrize(
    "search", [a_search(combinations(AXES), epochs=1), a_search(combinations(AXES), architecture=Estimator("ridge"))]
)
def test_with_one_round_it_is_a_grid(search):
    assert list(search.tries([0.0] * 24)) == [(number, search.epochs) for number in range(24)]


def test_without_optuna_it_says_what_to_install_and_nothing_else_needs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)  # which an import then does not find
    with pytest.raises(Unavailable, match=r"optuna is not installed: pip install 'cijbench\[optuna\]'"):
        next(GRID.tries([]))
    for method in ("grid", "halving"):
        other = a_search(combinations(AXES), method=method)
        tries, losses = searched(other, lambda number, length: abs(number - 4.0))
        assert other.selected([number for number, _ in tries], losses) == 4


@needs_optuna
def test_it_says_nothing_and_leaves_nothing_behind(tmp_path):
    """Standard output is the worker's; its log is of what goes wrong."""
    code = (
        "from tests.harness.model.test_proposed import GRID, additive, searched\n"
        "import numpy, sys\n"
        "assert 'optuna' not in sys.modules\n"
        "searched(GRID, additive(numpy.random.default_rng(0))[0])\n"
        "assert 'optuna' in sys.modules\n"
    )
    root = Path(proposed.__file__).parents[2]
    environment = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
