import msgspec
import numpy as np
import pytest
import scipy.stats

from harness.judging.convergence import epochs, loss_of_one_answer
from harness.judging.records import Searched, Settings
from harness.model.variants import Configuration, Recipe, Search
from harness.protocol import History
from tests.harness.a_benchmark import SCRATCH
from tests.harness.examples import a_cell, a_record, of_classes


def trained(*series, backend="keras", **settings):
    """Records of seeds with these validation losses."""
    return [
        a_record(
            a_cell(seed=seed, backend=backend, settings=Settings(**settings)),
            history=(History(tuple(losses), tuple(losses), 1.0),),
        )
        for seed, losses in enumerate(series)
    ]


def falling(count, rate, lowest=0.05):
    """Comes to `lowest` at epoch `rate`, and stays."""
    return [max(lowest, lowest ** (epoch / rate)) for epoch in range(1, count + 1)]


def test_the_epoch_at_which_each_seed_comes_to_the_common_target():
    found = epochs(trained(falling(50, 10), falling(50, 20)), trained(falling(50, 20, 0.1), falling(50, 41, 0.1)))
    assert found.target == 0.1
    assert found.second == (20, 41)
    assert found.first == (8, 16)  # 0.05^(8/10) < 0.1
    assert found.ratio == pytest.approx(np.sqrt(8 / 20 * 16 / 41))
    assert found.verdict == "fewer"


@pytest.mark.parametrize("init", ["shared", "native"])
def test_no_interval_follows_from_seeds_without_spread(init):
    one, other = [falling(50, 10)] * 2, [falling(50, 20)] * 2
    found = epochs(trained(*one, init=init), trained(*other, init=init))
    assert found.ratio == pytest.approx(0.5)
    assert np.isnan([found.low, found.high]).all()
    assert found.verdict == "too few seeds"
    alike = epochs(trained(*one, init=init), trained(*one, init=init))
    assert (alike.ratio, alike.low, alike.high) == (1, 1, 1)


def test_equal_histories_are_the_same():
    series = falling(50, 10), falling(50, 20)
    found = epochs(trained(*series), trained(*series, backend="pytorch"))
    assert found.verdict == "the same at every seed"
    assert (found.ratio, found.low, found.high) == (1, 1, 1)


def test_what_never_learns_is_told_and_sets_no_target():
    found = epochs(trained(falling(50, 10), [1.0] * 50), trained(falling(50, 10), falling(50, 20)))
    assert found.first == (10, None)
    assert found.second == (10, 20)
    assert found.target == 0.05
    assert found.verdict == "not to be said: 1 of 4 never come to it"


def test_where_seeds_never_come_to_it_no_verdict_speaks_for_those_that_did():
    """The first is faster at three seeds of five, and fails at the two others."""
    first, second = [falling(200, n) for n in (10, 11, 12)], [falling(200, n) for n in (20, 21, 23, 20, 20)]
    never = [[1.0] * 30] * 2
    found = epochs(trained(*first, *never), trained(*second))
    assert found.first[3:] == (None, None)
    assert found.verdict == "not to be said: 2 of 10 never come to it"


def test_the_same_epochs_of_other_seeds_are_not_the_same_at_every_seed():
    losses = [falling(200, n) for n in (10, 40)]
    assert epochs(trained(*losses), trained(*losses)).verdict == "the same at every seed"
    native = epochs(trained(*losses, init="native"), trained(*losses, init="native"))
    assert native.verdict == "not told apart"


def test_nothing_to_compare():
    assert epochs(trained([1.0] * 5), trained([0.99] * 5)) is None
    assert epochs(trained([]), trained([0.5])) is None
    assert epochs(trained([0.91]), trained([0.95])) is None  # nearer to the mean's loss than to any other
    assert epochs(trained([0.89]), trained([0.95])).target == 0.89


@pytest.mark.parametrize("init", ["shared", "native"])
def test_of_what_one_side_never_comes_to_there_is_no_ratio(init):
    found = epochs(trained(falling(50, 10), falling(50, 20), init=init), trained([1.0], [1.0], init=init))
    assert np.isnan([found.ratio, found.low, found.high]).all()
    assert found.verdict == "not to be said: 2 of 4 never come to it"


def told_apart(shares, *series):
    """Of the same models of classes in two backends."""
    one, other = (
        [of_classes(record, shares) for record in trained(*series, backend=backend)] for backend in ("keras", "pytorch")
    )
    return epochs(one, other)


def test_classes_are_learned_below_the_cross_entropy_of_their_shares():
    assert told_apart((0.98, 0.02), [0.09, 0.0981]) is None  # whose shares have 0.098
    found = told_apart((0.98, 0.02), [0.09, 0.06], [0.3, 0.095])
    assert (found.target, found.first) == (0.06, (2, None))
    found = told_apart((0.2,) * 5, [1.6, 1.2, 1.1], [1.61, 1.55])  # and these ln 5, 1.61
    assert (found.target, found.first) == (1.1, (3, None))


def test_one_answer_to_all_images_is_the_best_there_is():
    """As losses are trained: weighted by class, where the last recipe or what was searched for says so."""
    weights, shares = (1.0, 49.0), (0.98, 0.02)
    alike, weighted = Recipe(4), Recipe(4, class_weights=weights)
    search = Search((Configuration({}, SCRATCH, alike), Configuration({}, SCRATCH, weighted)), epochs=1)

    def loss(recipes=(), **changes):
        cell = a_cell(recipes=recipes, architecture=changes.pop("architecture", SCRATCH))
        return loss_of_one_answer(of_classes(a_record(cell, **changes), shares))

    answers = np.linspace(0.001, 0.999, 999)
    lowest = {
        some: min(-some[0] * shares[0] * np.log(1 - answers) - some[1] * shares[1] * np.log(answers))
        for some in ((1.0, 1.0), weights)
    }
    assert loss() == loss((weighted, alike)) == pytest.approx(lowest[1.0, 1.0])
    assert loss((alike, alike, weighted)) == loss((alike, weighted)) == pytest.approx(lowest[weights])
    for selected, expected in ((0, (1.0, 1.0)), (1, weights)):
        found = loss(architecture=search, searched=Searched((), selected))
        assert found == pytest.approx(lowest[expected])
    assert loss_of_one_answer(of_classes(a_record(), (1.0, 0.0))) == 0
    assert loss_of_one_answer(a_record()) == loss_of_one_answer(a_record(held_out=None)) == 1


def test_seeds_are_paired_only_where_they_begin_alike():
    one, other = [falling(200, n) for n in (10, 40, 160)], [falling(200, n) for n in (11, 44, 170)]
    shared = epochs(trained(*one), trained(*other))
    native = epochs(trained(*one, init="native"), trained(*other, init="native"))
    assert shared.paired
    assert not native.paired
    assert shared.ratio == pytest.approx(native.ratio)
    assert shared.high - shared.low < 0.05 * (native.high - native.low)
    assert shared.verdict == "fewer"
    assert native.verdict == "not told apart"
    moved = [
        msgspec.structs.replace(r, cell=msgspec.structs.replace(r.cell, seed=9 + r.cell.seed)) for r in trained(*other)
    ]
    assert not epochs(trained(*one), moved).paired
    assert not epochs(trained(*one), trained(*other, init="native")).paired


def test_the_interval_is_that_of_scipy():
    one, other = [falling(300, n) for n in (30, 45, 61, 70)], [falling(300, n) for n in (52, 80, 66, 91)]
    native = epochs(trained(*one, init="native"), trained(*other, init="native"))
    logs = np.log(native.first), np.log(native.second)
    interval = scipy.stats.ttest_ind(*logs, equal_var=False).confidence_interval()
    assert (native.low, native.high) == pytest.approx(np.exp((interval.low, interval.high)))
    shared = epochs(trained(*one), trained(*other))
    interval = scipy.stats.ttest_rel(*logs).confidence_interval()
    assert (shared.low, shared.high) == pytest.approx(np.exp((interval.low, interval.high)))


def test_equal_distributions_are_rarely_told_apart():
    rng = np.random.default_rng(0)

    def drawn():
        return trained(*(falling(200, n) for n in rng.integers(20, 100, 4)), init="native")

    verdicts = [epochs(drawn(), drawn()).verdict for _ in range(60)]
    assert sum(verdict != "not told apart" for verdict in verdicts) <= 7
