from typing import get_args

import msgspec
import pytest

from harness.judging.records import LatencyRecord, Record, Settings, Trial
from harness.model.architecture import (
    PER_TARGET,
    Backbone,
    Conv2D,
    Dense,
    Dropout,
    Estimator,
    Flatten,
    GlobalAveragePool2D,
    Imported,
    MaxPool2D,
    Network,
)
from harness.model.variants import Configuration, Encoding, Recipe, Search
from tests.harness.examples import a_cell


@pytest.mark.parametrize(
    "change",
    [
        {"suite": "polysilicon"},
        {"variant": "ridge-2"},
        {"architecture": Estimator("ridge", alpha=2.0)},
        {"recipes": (Recipe(epochs=3),)},
        {"weights": "imagenet"},
        {"backend": "keras"},
        {"seed": 1},
        {"profile": "paper"},
        {"data_hash": "e" * 64},
        {"split_hash": "6" * 64},
        {"settings": Settings(init="native")},
        {"settings": Settings(facts={"phases": "1,0.3,2,0.3"})},
        {"encoding": Encoding("volume-fraction")},
    ],
)
def test_a_key_hangs_on_everything_that_makes_a_cell(change):
    assert a_cell(**change).key != a_cell().key


def test_a_key_is_the_same_wherever_it_is_computed():
    """A literal on purpose: a change of the hash would orphan every published record."""
    assert a_cell().key == a_cell().key == "2f4336ea3c41e9db"


A_NETWORK = Network(
    (Backbone("vgg16"), Conv2D(8, 3), MaxPool2D(), GlobalAveragePool2D(), Flatten(), Dropout(0.2), Dense(PER_TARGET))
)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"architecture": A_NETWORK, "recipes": (Recipe(),)}, "949e315c1ee76941"),
        ({"architecture": Search((Configuration({"units": 4}, A_NETWORK, Recipe()),))}, "52316b14d3079ffe"),
        ({"encoding": Encoding("volume-fraction"), "decoding": Encoding("bounds", {"power": 2.0})}, "ebb59023bf0b090b"),
        ({"architecture": Imported("models.py:Net", "torch", "f" * 64)}, "fb7006c23436e0d2"),
    ],
)
def test_a_field_that_comes_later_changes_no_key(change, key):
    """It is `UNSET` where it is not said, and so left out: every layer, and all else that a cell may hold, is here."""
    assert a_cell(**change).key == key


def test_a_file_name_cannot_leave_its_folder():
    stem = a_cell(variant="../../etc/pass wd").file_stem
    assert "/" not in stem
    assert " " not in stem


def test_a_trial_has_no_place_for_a_test_score():
    """What proves that 23 of 24 configurations never met the test images is that nothing could have been kept."""
    assert not [field for field in Trial.__struct_fields__ if "test" in field or "held" in field]


@pytest.mark.parametrize(
    ("weights", "row"),
    [
        ("", "vgg16-head-only"),
        ("imagenet", "vgg16-head-only (ImageNet)"),
        ("random", "vgg16-head-only (random weights)"),
        ("mine.h5 0123456789ab", "vgg16-head-only (mine.h5 0123456789ab)"),
    ],
)
def test_a_row_says_what_its_backbone_started_from(weights, row):
    cell = a_cell(variant="vgg16-head-only", weights=weights)
    assert cell.row == row
    assert row in cell.title


def _structs(kind, seen):
    """Every struct that a type may hold, itself among them."""
    for part in (kind, *get_args(kind)):
        for argument in get_args(part) if part is not kind else ():
            _structs(argument, seen)
        if isinstance(part, type) and issubclass(part, msgspec.Struct) and part not in seen:
            seen.add(part)
            for field in msgspec.structs.fields(part):
                _structs(field.type, seen)
    return seen


@pytest.mark.parametrize("kind", [Record, LatencyRecord])
def test_nothing_in_a_record_goes_unread_however_deep(kind):
    structs = _structs(kind, set())
    assert len(structs) >= 4
    assert [item.__name__ for item in structs if not item.__struct_config__.forbid_unknown_fields] == []
