import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  makes the next importable
from sklearn.model_selection import HalvingGridSearchCV

from harness.model.architecture import Dense, Estimator, Flatten, Network
from harness.model.variants import Configuration, Recipe, Search

NETWORK = Network((Flatten(), Dense(2, "linear")))


def a_search(count, epochs, method="halving", architecture=NETWORK):
    recipe = Recipe() if isinstance(architecture, Network) else None
    return Search(tuple(Configuration({"n": float(n)}, architecture, recipe) for n in range(count)), epochs, method)


class Scored(BaseEstimator):
    """One that is the worse the larger its number, whatever it is fitted to."""

    def __init__(self, number=0, epochs=1):
        self.number, self.epochs = number, epochs

    def fit(self, X, y):
        return self

    def score(self, X, y):
        return -float(self.number)


@pytest.mark.parametrize(
    ("count", "epochs"), [(24, 10), (24, 300), (24, 30), (24, 9), (24, 8), (24, 1), (9, 27), (2, 5)]
)
def test_rounds_are_scikit_learns(count, epochs):
    reference = HalvingGridSearchCV(
        Scored(), {"number": list(range(count))}, factor=3, resource="epochs", max_resources=epochs, cv=2, refit=False
    ).fit([[0.0]] * 4, [0.0] * 4)
    expected = list(zip(reference.n_candidates_, reference.n_resources_, strict=True))
    assert a_search(count, epochs).rounds() == expected


@given(st.integers(1, 30), st.integers(1, 300), st.data())
def test_a_halving_tries_the_better_third_of_a_round_longer(count, epochs, data):
    search = a_search(count, epochs)
    tries, losses = [], []
    for one in search.tries(losses):
        tries.append(one)
        losses.append(data.draw(st.floats(0, 10)))
    rounds = [list(of_round) for _, of_round in itertools.groupby(tries, lambda one: one[1])]
    assert [(len(one), one[0][1]) for one in rounds] == search.rounds()
    begin = 0
    for earlier, later in itertools.pairwise(rounds):
        loss = {number: losses[begin + place] for place, (number, _) in enumerate(earlier)}
        kept, left = {number for number, _ in later}, loss.keys() - {number for number, _ in later}
        assert kept <= loss.keys()
        assert max(loss[number] for number in kept) <= min((loss[number] for number in left), default=11)
        begin += len(earlier)
    last = {number: losses[begin + place] for place, (number, _) in enumerate(rounds[-1])}
    tried = [number for number, _ in tries]
    assert last[search.selected(tried, losses)] == min(last.values())
    assert search.epochs_of(tried) == [length for _, length in tries]
    assert rounds[-1][0][1] <= epochs
    assert search.epochs_of([number for number, _ in tries]) == [length for _, length in tries]


def test_tries_are_known_as_far_as_losses_are():
    search = a_search(9, 9)
    assert list(search.tries([])) == [(0, 1)]
    assert list(search.tries([9.0 - number for number in range(8)])) == [(number, 1) for number in range(9)]
    assert list(search.tries([9.0 - number for number in range(9)]))[9:] == [(6, 3)]
    losses = [9.0 - number for number in range(9)] + [1.0, 3.0, 2.0]
    assert list(search.tries(losses))[9:] == [(6, 3), (7, 3), (8, 3), (6, 9)]
    assert list(search.tries([*losses, 0.5])) == list(search.tries(losses))


@pytest.mark.parametrize("search", [a_search(9, 9, "grid"), a_search(9, 9, architecture=Estimator("ridge"))])
def test_a_grid_tries_all_once_and_what_has_no_epochs_has_a_grid(search):
    losses = [float(abs(number - 4)) for number in range(9)]
    assert list(search.tries(losses)) == [(number, 9) for number in range(9)]
    assert search.selected(list(range(9)), losses) == 4


A_NETWORK, AN_ESTIMATOR = {"type": "network", "layers": [{"type": "Flatten"}]}, {"type": "estimator", "method": "ridge"}


@pytest.mark.parametrize(
    ("configurations", "told"),
    [
        ([], "a search is among networks, or among estimators: one configuration at least"),
        ([(A_NETWORK, {}), (AN_ESTIMATOR, None)], "a search is among networks, or among estimators"),
        ([(A_NETWORK, None)], "a network is trained by a recipe"),
        ([(AN_ESTIMATOR, {})], "an estimator has none"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused_when_it_is_read(configurations, told):
    members = [{"choices": {}, "architecture": one, "recipe": recipe} for one, recipe in configurations]
    with pytest.raises(msgspec.ValidationError, match=told):
        msgspec.convert({"type": "search", "configurations": members}, Search)


@pytest.mark.parametrize(("key", "value"), [("nu", 3.5), ("alpha", -1.0), ("trees", 0), ("depth", 0), ("rate", 0.0)])
def test_an_estimator_that_cannot_be_fitted_is_refused_when_it_is_read(key, value):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": "estimator", "method": "boosted-trees", key: value}, Estimator)
