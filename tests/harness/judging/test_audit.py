"""Records are held to the suite's own data set, which they were made from."""

import contextlib

import msgspec
import numpy as np
import pytest

from harness.command import cli
from harness.judging.audit import _same, audit, untrue
from harness.judging.records import Examined
from harness.judging.store import Store
from harness.running import plan as plans
from suites import elasticity
from tests.harness.examples import a_cell, a_failure, a_record, as_rows, held_out_of

PLAN = plans.plan("elasticity", plans.Request(("elasticity",), profile="smoke", variant="mean"))
DATA, SPLIT = PLAN.dataset, PLAN.split


def an_honest_record():
    """Of the mean of the training labels."""
    truth = DATA.targets[SPLIT.test]
    predictions = np.tile(DATA.targets[SPLIT.train].mean(axis=0), (len(truth), 1))
    held_out = held_out_of(DATA, SPLIT, predictions)
    return a_record(
        PLAN.cells[0],
        held_out=held_out,
        test=held_out.accuracy(),
        metrics=elasticity.measure(predictions, truth, DATA.images[SPLIT.test], DATA.facts),
    )


def evidence():
    record = an_honest_record()
    return {"held_out": record.held_out, "test": record.test, "metrics": record.metrics}


def other_facts():
    cell = PLAN.cells[0]
    return msgspec.structs.replace(cell, settings=msgspec.structs.replace(cell.settings, facts={}))


def edited(**fields):
    """The honest record with other evidence, and the scores that follow from it."""
    record = an_honest_record()
    held_out = msgspec.structs.replace(record.held_out, **fields)
    with contextlib.suppress(ValueError):  # a score that cannot be made up is told elsewhere
        record = msgspec.structs.replace(record, test=held_out.accuracy())
    return msgspec.structs.replace(record, held_out=held_out)


def met_another_test():
    """One that the suite does not have, with all that follows from it."""
    record = an_honest_record()
    far = msgspec.structs.replace(record.held_out, test="far")
    return msgspec.structs.replace(record, others={"far": Examined(far, record.test, record.metrics)})


@pytest.fixture
def audited(tmp_path):
    def audited(record):
        Store(tmp_path, "elasticity").append(record)
        return audit(tmp_path, "elasticity")[0]

    return audited


def test_an_honest_record_passes(audited):
    assert audited(an_honest_record()) == []


def test_what_predicted_nothing_says_nothing_of_the_data_unless_it_ought_to_have(audited):
    """Failures stand among the published records."""
    assert audited(a_failure(PLAN.cells[0])) == []
    lacking = msgspec.structs.replace(an_honest_record(), held_out=None)
    assert untrue(lacking, elasticity, DATA, SPLIT) == ["its predictions are missing, which is"]


def test_a_data_set_of_ones_own_is_not_at_hand(audited, tmp_path):
    assert audited(a_record(a_cell())) == []
    assert audited(a_failure(a_cell(seed=1))) == []
    assert audit(tmp_path, "elasticity") == ([], 1)
    Store(tmp_path, "own").append(a_record(a_cell(suite="own")))
    assert audit(tmp_path, "own") == ([], 1)  # a suite that has none


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (edited(truth=an_honest_record().held_out.predictions), "its test constants are"),
        (edited(train_mean=(0.0,) * 9), "its mean of the training labels is"),
        (a_record(msgspec.structs.replace(PLAN.cells[0], split_hash="0" * 64)), "its split is"),
        (a_record(PLAN.cells[0]), "its test constants are"),  # of 20 images and two constants
        (msgspec.structs.replace(an_honest_record(), metrics={"positive_definite": 0.5}), "its positive_definite is"),
        (msgspec.structs.replace(an_honest_record(), metrics={}), "its inside_bounds is"),
        (a_record(other_facts(), **evidence()), "what it was told of the data set is"),
        (edited(targets=tuple(f"A{i}" for i in range(9))), "its targets are"),
        (edited(ids=("x",) * 78), "its test images are"),
        (edited(clusters=(0,) * 78), "what it says of images that show the same thing is"),
        (edited(predictions=an_honest_record().held_out.predictions[:5]), "the number of its predictions is"),
        (
            msgspec.structs.replace(an_honest_record(), metrics=an_honest_record().metrics | {"won_the_prize": 1.0}),
            "its won_the_prize is",
        ),
        (met_another_test(), "its list of tests is"),
    ],
)
def test_what_does_not_follow_from_the_data_is_told(audited, record, said):
    lies = audited(record)
    assert any(said in lie and record.key in lie for lie in lies), lies


@pytest.mark.parametrize("factor", [1.0, 1e-16], ids=["GPa", "much smaller, as permeabilities in m² are"])
def test_constants_and_means_that_are_off_in_their_last_digits_alone_pass(factor):
    """As another machine sums them."""
    data = msgspec.structs.replace(DATA, targets=factor * DATA.targets)
    honest = held_out_of(data, SPLIT, data.targets[SPLIT.test])
    told = {"truth": "its test constants are", "train_mean": "its mean of the training labels is"}
    for off, lies in ((1e-12, False), (1e-6, True)):
        moved = {
            "truth": as_rows(honest.true * (1 + off)),
            "train_mean": tuple(v * (1 + off) for v in honest.train_mean),
        }
        for name, said in told.items():
            held_out = msgspec.structs.replace(honest, **{name: moved[name]})
            record = msgspec.structs.replace(an_honest_record(), held_out=held_out)
            assert (said in untrue(record, elasticity, data, SPLIT)) == lies, name


def test_a_record_of_before_a_figure_lacks_it(audited):
    """What it does say of itself must be true all the same."""
    record = an_honest_record()
    metrics = {name: value for name, value in record.metrics.items() if name != "hill_residual"}
    lacking = msgspec.structs.replace(record, metrics=metrics)
    assert any("its hill_residual is" in lie for lie in audited(lacking))
    older = msgspec.structs.replace(lacking, schema=3)
    assert untrue(older, elasticity, DATA, SPLIT) == []
    lying = msgspec.structs.replace(older, metrics=metrics | {"inside_bounds": 0.123})
    assert untrue(lying, elasticity, DATA, SPLIT) == ["its inside_bounds is"]
    one_more = record.metrics["inside_bounds"] + 1 / len(SPLIT.test)  # of predictions of more digits than are recorded
    assert untrue(msgspec.structs.replace(older, metrics={"inside_bounds": one_more}), elasticity, DATA, SPLIT) == []
    counted = msgspec.structs.replace(record, metrics=record.metrics | {"inside_bounds": one_more})
    assert untrue(counted, elasticity, DATA, SPLIT) == ["its inside_bounds is"]


@pytest.mark.parametrize(
    ("real", "whole", "images", "off", "too_far"),
    [
        (2.0, 1.0, 1, 2.0e-6, 2.2e-6),  # the last digits of a figure
        (-2.0, 1.0, 1, 2.0e-6, 2.2e-6),
        (0.0, 1.0, 1, 0.9e-7, 1.1e-7),  # of one that ought to be nothing
        (0.0, 100.0, 1, 0.9e-5, 1.1e-5),  # in percent
        (0.5, 1.0, 20, 0.05, 0.1),  # one image of twenty, of an older record
        (0.123, 1.0, 20, 1e-7, 0.01),  # which is no share of images
        (1.0, 1.0, 1, 1e-7, 0.5),
    ],
)
def test_a_figure_is_the_same_but_for_its_last_digits_or_in_older_records_one_image(real, whole, images, off, too_far):
    for sign in (-1, 1):
        assert _same(real + sign * off, real, whole, images)
        assert not _same(real + sign * too_far, real, whole, images)
    assert not _same(np.nan, real, whole, images)
    assert not _same(real, np.nan, whole, images)


def test_the_check_of_the_leaderboard_asks(tmp_path, capsys):
    Store(tmp_path, "elasticity").append(edited(train_mean=(0.0,) * 9))
    assert cli.main(["leaderboard", f"results={tmp_path}"]) == 0
    assert cli.main(["leaderboard", "check=true", f"results={tmp_path}"]) == 1
    assert "its mean of the training labels is not what its data set gives" in capsys.readouterr().err


def test_ragged_predictions_are_refused_in_words(tmp_path, capsys):
    record = an_honest_record()
    ragged = ((1.0,), *record.held_out.predictions[1:])
    held_out = msgspec.structs.replace(record.held_out, predictions=ragged)
    Store(tmp_path, "elasticity").append(msgspec.structs.replace(record, held_out=held_out))
    assert cli.main(["leaderboard", "check=true", f"results={tmp_path}"]) == 2
    assert "its predictions give no scores" in capsys.readouterr().err
