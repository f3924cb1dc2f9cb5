import msgspec
import numpy as np
import pytest

from harness.judging.blocks import newest, rows
from harness.judging.records import Settings
from tests.harness.examples import ENVIRONMENT, a_cell, a_failure, a_record

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


def test_another_machine_is_another_block():
    other = msgspec.structs.replace(ENVIRONMENT, processor="Slide rule")
    old, new = a_record(), a_record(environment=other, started=LATER)
    assert newest([old, new]) == [new]


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
    assert row.validation_mse() == pytest.approx(np.mean([record.validation.mse for record in records]))


def test_weights_of_the_backbone_make_rows_of_their_own():
    records = [a_record(a_cell(variant="vgg16-head-only", weights=weights)) for weights in ("random", "imagenet")]
    names = [row.name for row in rows(records)]
    assert names == ["vgg16-head-only (ImageNet)", "vgg16-head-only (random weights)"]
