import sys

import msgspec
import pytest

from harness.judging.records import Examined, Searched, Settings, Trial, same_constants
from harness.judging.verify import contradicts, verify, verify_each, verify_together
from tests.harness.a_benchmark import GRID, searched
from tests.harness.examples import ENVIRONMENT, a_cell, a_failure, a_record, as_rows, with_held_out


def test_an_honest_record_verifies():
    assert verify(a_record()) == []
    assert verify(a_failure()) == []


def test_a_polished_score_does_not():
    record = a_record()
    polished = msgspec.structs.replace(record, test=msgspec.structs.replace(record.test, mse=record.test.mse / 2))
    (lie,) = verify(polished)
    assert "mse is" in lie
    assert record.key in lie


def test_a_polished_score_of_another_test_does_not_either():
    record = a_record()
    far = msgspec.structs.replace(record.held_out, test="far")
    honest = msgspec.structs.replace(record, others={"far": Examined(far, record.test, {})})
    assert verify(honest) == []
    polished = msgspec.structs.replace(record.test, skill=1.0)
    (lie,) = verify(msgspec.structs.replace(honest, others={"far": Examined(far, polished, {})}))
    assert "test 'far': skill is 1.0 but" in lie


@pytest.mark.parametrize(("called", "of"), [("test", "test"), ("far", "near")])
def test_a_test_that_stands_twice_or_under_another_name_does_not_either(called, of):
    record = a_record()
    held_out = msgspec.structs.replace(record.held_out, test=of)
    (lie,) = verify(msgspec.structs.replace(record, others={called: Examined(held_out, record.test, {})}))
    assert f"calls its tests test, {called}, and its predictions are of test, {of}" in lie
    assert record.key in lie


def smaller(record, factor):
    """The same of targets that are so much smaller, as permeabilities in m² are."""
    held_out = record.held_out
    return with_held_out(
        record,
        predictions=as_rows(factor * held_out.predicted),
        truth=as_rows(factor * held_out.true),
        train_mean=tuple(factor * value for value in held_out.train_mean),
    )


@pytest.mark.parametrize("score", ["mse", "rmse", "mae", "mse_of_mean"])
def test_a_polished_score_of_small_targets_does_not_either(score):
    record = smaller(a_record(), 1e-16)
    assert verify(record) == []
    (lie,) = verify(msgspec.structs.replace(record, test=msgspec.structs.replace(record.test, **{score: 0.0})))
    assert f"{score} is 0.0 but" in lie


def test_other_constants_of_small_targets_are_others():
    record = smaller(a_record(), 1e-16)
    other = msgspec.structs.replace(record.held_out, train_mean=tuple(v / 2 for v in record.held_out.train_mean))
    assert same_constants(record.held_out, record.held_out)
    assert not same_constants(record.held_out, other)


def test_a_number_for_each_image_or_none():
    record = a_record()
    held_out = msgspec.structs.replace(record.held_out, clusters=(0, 1, 1))
    (lie,) = verify(msgspec.structs.replace(record, held_out=held_out))
    assert "it numbers what 3 images show, and has 20" in lie
    whole = msgspec.structs.replace(record.held_out, clusters=tuple(number // 2 for number in range(20)))
    assert verify(msgspec.structs.replace(record, held_out=whole)) == []


def test_other_constants_for_the_same_data_do_not():
    record, other = a_record(), a_record(a_cell(seed=1))
    assert verify_together([record, other]) == []
    mean = tuple(value * (1 + 1e-15) for value in other.held_out.train_mean)  # as another machine sums it
    elsewhere = msgspec.structs.replace(other, held_out=msgspec.structs.replace(other.held_out, train_mean=mean))
    assert verify_together([record, elsewhere]) == []
    worse = msgspec.structs.replace(other.held_out, train_mean=(90.0, 110.0))
    (lie,) = verify_together([record, msgspec.structs.replace(other, held_out=worse)])
    assert other.key in lie
    assert record.key in lie


def test_an_ok_record_without_its_evidence_does_not():
    record = a_record()
    for lacking in ({"test": None}, {"held_out": None}, {"test": None, "held_out": None}):
        (lie,) = verify(msgspec.structs.replace(record, **lacking))
        assert "is ok, but has no scores or no predictions" in lie
    assert verify_together([a_failure(), msgspec.structs.replace(record, held_out=None), record]) == []
    shorter = msgspec.structs.replace(record.held_out, truth=record.held_out.truth[1:])
    assert verify(msgspec.structs.replace(record, held_out=shorter))


def test_of_records_of_one_truth_the_one_that_gives_no_scores_is_named():
    record, other = a_record(), a_record(a_cell(seed=1))
    lost = msgspec.structs.replace(record.held_out, predictions=((float("nan"),) * 2,) * 20)
    (lie,) = verify_each([record, msgspec.structs.replace(other, held_out=lost)])
    assert lie.startswith(f"{other.cell.title} ({other.key}): its predictions give no scores: 40 of 40")


def a_search_record(**changes):
    return a_record(a_cell(variant="tuned", architecture=GRID), searched=searched(0), **changes)


def test_a_search_that_selected_by_validation_verifies():
    assert verify(a_search_record()) == []


def a_halving(losses, selected):
    """12 configurations for an epoch, and the best 4 for three."""
    halving = msgspec.structs.replace(GRID, method="halving")
    tries = list(halving.tries(losses))
    trials = [Trial(number, loss, 1, loss, 100, 1.0) for (number, _), loss in zip(tries, losses, strict=True)]
    return a_record(a_cell(variant="tuned", architecture=halving), searched=Searched(tuple(trials), selected))


FIRST = [5.0, 1.0, 6.0, 2.0, 7.0, 3.0, 8.0, 4.0, 9.0, 10.0, 11.0, 12.0]


def test_of_a_halving_the_best_of_the_last_round_is_selected():
    assert verify(a_halving([*FIRST, 3.0, 2.5, 2.0, 2.75], 5)) == []
    (lie,) = verify(a_halving([*FIRST, 3.0, 2.5, 2.0, 2.75], 1))  # which has the lowest loss of all, from the first
    assert "selected configuration 1, but 5 has the lowest" in lie


def test_a_halving_that_went_on_with_others_than_the_best_does_not():
    record = a_halving([*FIRST, 3.0, 2.5, 2.0, 2.75], 5)
    *trials, last = record.searched.trials
    another = msgspec.structs.replace(last, configuration=11)
    (lie,) = verify(msgspec.structs.replace(record, searched=Searched((*trials, another), 5)))
    assert "halving among 12 configurations tries" in lie
    (lie,) = verify(msgspec.structs.replace(record, searched=Searched(tuple(trials), 5)))
    assert "halving among 12 configurations tries" in lie


def by_optuna(*tried, selected):
    """12 configurations, rounds of one and three epochs, for 36 at most; each loss is lower than the one before."""
    search = msgspec.structs.replace(GRID, method="optuna")
    assert [epochs for _, epochs in search.rounds()] == [1, 3]
    trials = [Trial(number, 9.0 - 0.1 * place, 1, 9.0, 100, 1.0) for place, number in enumerate(tried)]
    return a_record(a_cell(variant="tuned", architecture=search), searched=Searched(tuple(trials), selected))


@pytest.mark.parametrize("present", [True, False])
def test_what_optuna_proposed_verifies_with_and_without_it(monkeypatch, present):
    if not present:
        monkeypatch.setitem(sys.modules, "optuna", None)
    assert verify(by_optuna(4, 4, 2, 7, 7, 1, selected=7)) == []
    (lie,) = verify(by_optuna(4, 4, 2, 7, 7, 1, selected=1))  # which has the lowest loss, after one epoch
    assert "selected configuration 1, but 7 has the lowest loss" in lie


@pytest.mark.parametrize("tried", [range(12), [number for number in range(9) for _ in range(2)]])
def test_all_configurations_and_all_that_may_be_spent_are_not_too_many(tried):
    lies = [verify(by_optuna(*tried, selected=selected)) for selected in range(12)]
    assert lies.count([]) == 1
    assert not any("optuna among" in lie for of_one in lies for lie in of_one)


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        ((4, 4, 2, 7, 7, 2), "one round after the other"),
        ((4, 4, 4), "tries each in up to 2 rounds"),
        ((4, 12), "has none but 0 to 11"),
        ((4, -1), "has none but 0 to 11"),
        ((), "at most 36 in all, not 0"),
        ([number for number in range(10) for _ in range(2)], "at most 36 in all, not 40"),
    ],
)
def test_what_it_cannot_have_tried_does_not(tried, said):
    (lie,) = verify(by_optuna(*tried, selected=4))
    assert "optuna among 12 configurations" in lie
    assert said in lie


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda found: msgspec.structs.replace(found, selected=3),
            "selected configuration 3, but 5 has the lowest",
        ),
        (
            lambda found: msgspec.structs.replace(found, trials=found.trials[:-1]),
            "grid among 12 configurations tries [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], not",
        ),
        (lambda found: None, "is a search without trials"),
    ],
)
def test_a_search_that_did_not_does_not(change, said):
    record = a_search_record()
    (lie,) = verify(msgspec.structs.replace(record, searched=change(record.searched)))
    assert said in lie


def test_a_search_where_none_was_asked_for_does_not_verify():
    assert verify(msgspec.structs.replace(a_record(), searched=searched(0)))


def test_polished_predictions_do_not_either():
    record = a_record()
    truth = record.held_out.truth
    polished = msgspec.structs.replace(record, held_out=msgspec.structs.replace(record.held_out, predictions=truth))
    assert verify(polished)


def test_the_same_cell_in_the_same_environment_predicts_the_same():
    """The seed gives the bits: a second record that predicts otherwise is no better result, but a contradiction."""
    honest, edited = a_record(error=3.0), a_record(error=0.001, started="2026-01-02T00:00:00+00:00")
    assert verify_together([honest, msgspec.structs.replace(honest, started="2026-01-02T00:00:00+00:00")]) == []
    (lie,) = verify_together([honest, edited])
    assert "was run twice in one environment" in lie
    assert "at 2026-01-01T00:00:00+00:00 by commit 0123456789ab and at 2026-01-02T00:00:00+00:00" in lie
    other = msgspec.structs.replace(ENVIRONMENT, processor="Slide rule")
    assert verify_together([honest, a_record(error=0.001, environment=other)]) == []


@pytest.mark.parametrize(
    ("settings", "framework"), [(Settings(device="cuda"), {}), (Settings(), {"deterministic": "unknown"})]
)
def test_where_no_bits_are_promised_none_are_asked_for(settings, framework):
    """By one of the two is enough."""
    cell = a_cell(settings=settings)
    for one, other in ((framework, framework), (framework, {}), ({}, framework)):
        assert not contradicts(a_record(cell, 3.0, framework=one), a_record(cell, 0.001, framework=other))
