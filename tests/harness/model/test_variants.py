import itertools

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
    return Search(tuple(Configuration({"n": float(n)}, architecture, Recipe()) for n in range(count)), epochs, method)


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
    losses, rounds = [], []
    while len(tries := search.tries(losses)) > len(losses):
        rounds.append(tries[len(losses) :])
        losses += data.draw(st.lists(st.floats(0, 10), min_size=len(rounds[-1]), max_size=len(rounds[-1])))
    assert [(len(one), one[0][1]) for one in rounds] == search.rounds()
    begin = 0
    for earlier, later in itertools.pairwise(rounds):
        loss = {number: losses[begin + place] for place, (number, _) in enumerate(earlier)}
        kept, left = {number for number, _ in later}, loss.keys() - {number for number, _ in later}
        assert kept <= loss.keys()
        assert max(loss[number] for number in kept) <= min((loss[number] for number in left), default=11)
        begin += len(earlier)
    last = {number: losses[begin + place] for place, (number, _) in enumerate(rounds[-1])}
    assert last[search.selected(losses)] == min(last.values())
    assert rounds[-1][0][1] <= epochs


def test_tries_are_known_as_far_as_losses_are():
    search = a_search(9, 9)
    assert search.tries([]) == [(number, 1) for number in range(9)]
    assert search.tries([9.0 - number for number in range(8)]) == search.tries([])  # the ninth may be among the best
    assert search.tries([9.0 - number for number in range(9)])[9:] == [(6, 3), (7, 3), (8, 3)]


@pytest.mark.parametrize("search", [a_search(9, 9, "grid"), a_search(9, 9, architecture=Estimator("ridge"))])
def test_a_grid_tries_all_once_and_what_has_no_epochs_has_a_grid(search):
    losses = [float(abs(number - 4)) for number in range(9)]
    assert search.tries(losses) == [(number, 9) for number in range(9)]
    assert search.selected(losses) == 4
