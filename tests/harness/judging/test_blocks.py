import msgspec
import numpy as np
import pytest

from harness.judging.blocks import curves, difference, newest, rows
from harness.judging.records import Settings
from harness.model.architecture import Estimator, Imported
from tests.harness.a_benchmark import GRID
from tests.harness.examples import ENVIRONMENT, a_cell, a_failure, a_record, in_unlike_units

LATER = "2026-02-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "changes",
    [
        {"data_hash": "e" * 64},
        {"split_hash": "6" * 64},
        {"profile": "paper"},
        {"settings": Settings(init="native")},
    ],
)
def test_only_what_is_comparable_stands_side_by_side(changes):
    old, new = a_record(), a_record(a_cell(**changes), started=LATER)
    assert newest([old, new]) == [new]
    assert newest([old, new], profile="standard") == [new if new.cell.profile == "standard" else old]


def test_somebodys_own_code_stands_beside_shared_weights_which_it_cannot_be_given():
    own = a_cell(variant="net", architecture=Imported("models.py:net", "torch", "f" * 64))
    records = [a_record(), a_record(msgspec.structs.replace(own, settings=Settings(init="native")), started=LATER)]
    assert newest(records) == records


def test_of_two_definitions_of_one_name_the_newest_stands_and_they_are_not_averaged():
    old = [a_record(a_cell(seed=seed)) for seed in (0, 1)]
    new = a_record(a_cell(architecture=Estimator("ridge", alpha=2.0)), started=LATER)
    assert newest([*old, new]) == [new]
    (row,) = rows(newest([*old, new]))
    assert row.records == (new,)


def test_another_machine_is_another_block():
    other = msgspec.structs.replace(ENVIRONMENT, processor="Slide rule")
    old, new = a_record(), a_record(environment=other, started=LATER)
    assert newest([old, new]) == [new]


def test_what_a_gpu_trained_later_does_not_take_the_processors_place_and_is_there_when_asked_for():
    here, there = a_record(), a_record(a_cell(settings=Settings(device="cuda")), started=LATER)
    assert newest([here, there]) == newest([here, there], device="cpu") == [here]
    assert newest([here, there], device="cuda") == newest([there]) == [there]
    assert newest([here], device="cuda") == []


def test_raw_labels_and_failures_stand_apart():
    raw = a_record(a_cell(settings=Settings(target_scaling="none", unit="N/nm^2")), started=LATER)
    records = [a_record(), raw, a_failure(a_cell(variant="fails"))]
    assert newest(records) == [records[0]]
    assert newest(records, target_scaling="none") == [raw]
    assert newest([]) == []


def test_rows_are_in_the_suites_order_and_hold_every_seed():
    records = [a_record(a_cell(variant=name, seed=seed)) for name in ("tuned", "mean") for seed in (2, 0)]
    found = rows(records, ["mean", "tuned"])
    assert [row.name for row in found] == ["mean", "tuned"]
    assert [record.cell.seed for record in found[0].records] == [0, 2]


def test_a_rows_skill_is_that_of_its_records():
    records = [a_record(a_cell(seed=seed), error=3.0) for seed in (0, 1, 2)]
    (row,) = rows(records)
    assert row.squared_errors().shape == (3, 20)
    assert row.skill() == pytest.approx(np.mean([record.test.skill for record in records]))
    assert row.validation_error() == pytest.approx(np.mean([record.validation.mse for record in records]))


def test_targets_of_unlike_units_count_alike_in_errors_and_in_what_is_chosen_by():
    records = [in_unlike_units(a_record(a_cell(seed=seed), error=3.0)) for seed in (0, 1, 2)]
    (row,) = rows(records)
    assert row.skill() == pytest.approx(np.mean([record.test.skill for record in records]))
    held_out = records[0].held_out
    predictions, truth, mean = map(np.array, (held_out.predictions, held_out.truth, held_out.train_mean))
    shares = (predictions - truth) ** 2 / np.mean((truth - mean) ** 2, axis=0)
    np.testing.assert_allclose(row.squared_errors()[0], shares.sum(axis=1))
    assert row.validation_error() == pytest.approx(np.mean([1 - record.validation.r2_mean for record in records]))


def test_where_the_trivial_predictor_is_right_no_skills_are_compared():
    held_out = a_record().held_out
    mean = held_out.train_mean
    record = a_record(held_out=msgspec.structs.replace(held_out, truth=(mean,) * len(held_out.truth)))
    (row,) = rows([record])
    found = difference(row, row)
    assert np.isnan(found).all()
    assert found.verdict == "no skill to compare"


def test_weights_of_the_backbone_make_rows_of_their_own():
    records = [a_record(a_cell(variant="vgg16-head-only", weights=weights)) for weights in ("random", "imagenet")]
    names = [row.name for row in rows(records)]
    assert names == ["vgg16-head-only (ImageNet)", "vgg16-head-only (random weights)"]


def few(originals, started=LATER, **changes):
    return a_record(a_cell(settings=Settings(originals=originals), **changes), started=started)


def test_what_was_trained_on_fewer_images_is_in_no_block():
    """A learning curve that is newer than a run does not take its place in reports."""
    record = a_record()
    assert newest([record, few(25)]) == [record]
    assert newest([few(25)]) == []


def test_a_curve_has_a_row_for_each_number_of_images():
    block = [a_record(), a_record(a_cell(variant="mean"))]
    others = [few(50), few(25, seed=1), few(25), few(25, data_hash="e" * 64), few(25, profile="paper")]
    found = curves([*block, *others], block)
    assert list(found) == [("ridge", "classical")]
    assert {size: len(row.records) for size, row in found["ridge", "classical"].items()} == {25: 2, 50: 1}
    assert list(found["ridge", "classical"]) == [25, 50]
    assert curves(block, block) == {}


def test_the_ways_of_searching_are_rows_of_their_own():
    """Records of a grid were averaged with those of the halving that stood beside them."""
    halving, grid = (
        a_cell(variant="tuned", backend="keras", architecture=msgspec.structs.replace(GRID, method=method))
        for method in ("halving", "grid")
    )
    table = rows(newest([a_record(halving), a_record(grid, started=LATER)]))
    assert [(row.name, len(row.records)) for row in table] == [("tuned", 1), ("tuned (by grid)", 1)]
    elsewhere = msgspec.structs.replace(grid, suite="nobodys")  # whose profiles nobody here knows
    assert elsewhere.row == "tuned"
    assert msgspec.structs.replace(halving, suite="nobodys").row == "tuned (by halving)"
