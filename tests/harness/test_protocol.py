import hashlib

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.errors import DataError, Finding
from harness.model.variants import Recipe, Schedule
from harness.protocol import Classes, Dataset, Scaling, Split


def a_dataset(**changes):
    dataset = Dataset(
        name="tiny",
        images=np.eye(4, dtype=np.float32)[None, :, :, None].repeat(3, 0),
        targets=np.arange(6.0).reshape(3, 2),
        target_names=("C11", "C22"),
        units=("GPa", "GPa"),
        ids=("0", "1", "2"),
    )
    return msgspec.structs.replace(dataset, **changes)


@given(arrays(np.float64, (7, 3), elements=st.floats(-1e6, 1e6)))
def test_scaling_there_and_back(targets):
    scaling = Scaling.standardising(targets)
    back = scaling.to_physical(scaling.to_network(targets))
    np.testing.assert_allclose(back, targets, atol=1e-5 * (1 + np.abs(targets).max()))


def test_standardised_targets_have_zero_mean_and_unit_deviation():
    targets = np.random.default_rng(0).normal(100, 20, (500, 9))
    network = Scaling.standardising(targets).to_network(targets)
    assert network.dtype == np.float32
    np.testing.assert_allclose(network.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(network.std(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("size", [1e-7, 1.0, 1e9])
def test_a_target_constant_to_rounding_is_not_blown_up(size):
    targets = np.full((5, 1), size) * (1 + 1e-15 * np.arange(5)[:, None])
    assert Scaling.standardising(targets).scale == (1.0,)


def test_small_units_are_no_reason_not_to_scale():
    targets = 1e-7 * np.array([[1.0], [2.0], [3.0]])
    np.testing.assert_allclose(Scaling.standardising(targets).to_network(targets).std(), 1, rtol=1e-6)


def test_every_epoch_shows_every_image_once():
    schedule = Schedule.drawn(Recipe(epochs=4, batch_size=8), 21, seed=5)
    assert schedule.batch_size == 8
    assert [sorted(epoch) for epoch in schedule.order.tolist()] == [list(range(21))] * 4
    assert not np.array_equal(schedule.order[0], schedule.order[1])


def test_a_longer_schedule_begins_with_the_shorter_one():
    short, long = (Schedule.drawn(Recipe(epochs=epochs), 30, seed=1).order for epochs in (2, 5))
    np.testing.assert_array_equal(long[:2], short)
    assert not np.array_equal(Schedule.drawn(Recipe(epochs=2), 30, seed=2).order, short)


def test_a_resampled_recipe_draws_rare_classes_as_often_as_it_says():
    classes = np.array([0] * 98 + [1] * 2)
    recipe = Recipe(epochs=200, resampled=(1.0, 49.0))
    order = Schedule.drawn(recipe, 100, 3, classes=classes).order
    assert order.shape == (200, 100)
    assert np.mean(classes[order] == 1) == pytest.approx(0.5, abs=0.02)  # three standard deviations of 20,000 draws
    assert set(np.unique(order)) == set(range(100))
    np.testing.assert_array_equal(order, Schedule.drawn(recipe, 100, 3, classes=classes).order)
    alike = Schedule.drawn(Recipe(epochs=200, resampled=(1.0, 1.0)), 100, 3, classes=classes).order
    assert np.mean(classes[alike] == 1) == pytest.approx(0.02, abs=0.005)


@pytest.mark.parametrize(
    "change",
    [
        {"images": np.zeros((3, 4, 4, 1), np.float32)},
        {"targets": np.arange(6.0).reshape(3, 2) + 1e-12},
        {"target_names": ("C22", "C11")},
        {"units": ("MPa", "MPa")},
        {"units": ("GPa", "MPa")},
    ],
)
def test_a_fingerprint_hangs_on_images_and_labels(change):
    assert a_dataset(**change).fingerprint() != a_dataset().fingerprint()


def test_a_fingerprint_hangs_on_every_bit_of_images_of_16_bits():
    grey = np.array([30_000, 30_001, 30_002], np.float32).reshape(3, 1, 1, 1) / 65_535
    fine = [a_dataset(images=np.broadcast_to(part, (3, 4, 4, 1)).copy()) for part in (grey, grey[::-1])]
    assert fine[0].fingerprint() != fine[1].fingerprint()
    assert fine[0].fingerprint() == a_dataset(images=fine[0].images.copy()).fingerprint()


def test_the_fingerprint_of_images_of_8_bits_is_what_it_was():
    """Published records depend on it."""
    images = (np.arange(48).reshape(3, 4, 4, 1) * 5 % 256).astype(np.uint8)
    dataset = a_dataset(images=images / np.float32(255))
    digest = hashlib.sha256(repr((images.shape, dataset.target_names, dataset.unit or dataset.units)).encode())
    digest.update(images.tobytes() + dataset.targets.astype("<f8").tobytes())
    assert dataset.fingerprint() == digest.hexdigest()


def test_a_fingerprint_does_not_hang_on_names_of_files():
    assert a_dataset(ids=("a", "b", "c"), name="other").fingerprint() == a_dataset().fingerprint()


def a_split(train, validation, **tests):
    return Split(np.array(train), np.array(validation), {name: np.array(rows) for name, rows in tests.items()})


def test_a_split_is_told_by_which_images_are_where():
    split = a_split([0, 1], [2], test=[3])
    assert split.fingerprint() != a_split([0, 1], [3], test=[2]).fingerprint()
    assert split.fingerprint() != a_split([0, 1], [2], other=[3]).fingerprint()
    narrow = Split(split.train.astype(np.int32), split.validation.astype(np.int32), {"test": np.array([3], np.int32)})
    assert split.fingerprint() == narrow.fingerprint()


def test_of_a_split_the_first_training_rows_may_be_taken_alone():
    split = Split(np.array([5, 3, 8, 1]), np.array([2]), {"test": np.array([7])})
    assert split.first(msgspec.UNSET) is split
    few = split.first(2)
    assert (few.train.tolist(), few.validation.tolist(), few.test.tolist()) == ([5, 3], [2], [7])


def test_models_are_ranked_by_the_first_of_several_tests():
    split = a_split([0], [1], near=[2], far=[3])
    assert split.test.tolist() == [2]
    assert list(split.parts) == ["train", "validation", "near", "far"]
    assert split.fingerprint() != a_split([0], [1], far=[2], near=[3]).fingerprint()


def distinct(**changes):
    return a_dataset(images=np.arange(48, dtype=np.float32).reshape(3, 4, 4, 1) / 48, **changes)


def test_a_split_that_keeps_apart_what_belongs_together_leaks_nothing():
    assert a_split([0], [1], test=[2]).leaks(distinct()) == []
    assert a_split([0, 1], [2], test=[]).leaks(distinct(groups=("a", "a", "b"))) == []


def test_images_of_one_group_or_cluster_show_one_thing():
    rows = np.array([2, 0, 1])
    assert distinct(groups=("a", "b", "a")).clustered(rows) == (0, 0, 1)
    assert distinct(clusters=("a", "b", "a")).clustered(rows) == (0, 0, 1)
    assert distinct(clusters=("a", "b", "a"), groups=("a", "a", "a")).clustered(rows) == (0, 0, 1)
    assert distinct(groups=("", "b", "")).clustered(rows) == ()  # unknown is no group
    assert distinct(groups=("a", "b", "c")).clustered(rows) == distinct().clustered(rows) == ()


def test_what_stands_on_two_sides_is_told():
    """Planted leaks: a row, a copy and a specimen on two sides."""
    assert a_split([0, 1], [1], test=[2]).leaks(distinct()) == ["some rows are in two of its parts"]
    assert a_split([0], [1], test=[2]).leaks(a_dataset()) == ["1 image on two sides of the split"]
    (told,) = a_split([0], [1], test=[2]).leaks(distinct(groups=("a", "b", "a")))
    assert told == "1 groups are on two sides of the split: a"
    assert a_split([0], [1], test=[2]).leaks(distinct(groups=("", "b", ""))) == []  # unknown is no group


def test_a_data_error_lists_every_error_and_keeps_the_warnings():
    findings = [Finding("error", "row 3", "is bad"), Finding("warning", "row 4", "is odd")]
    error = DataError("folder", findings)
    assert str(error) == "folder: 1 problem in this data set\n  row 3: is bad"
    assert error.findings == findings


@given(arrays(np.float64, (4, 3), elements=st.floats(-1e3, 1e3)), st.floats(-1e6, 1e6))
def test_probabilities_of_classes_add_up_and_do_not_hang_on_the_level_of_the_logits(logits, level):
    probabilities = Classes().to_physical(logits)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert probabilities.min() >= 0
    np.testing.assert_allclose(Classes().to_physical(logits + level), probabilities, atol=1e-6)
    np.testing.assert_array_equal(Classes().to_network(probabilities), probabilities.astype(np.float32))


def test_two_logits_are_the_logistic_function():
    found = Classes().to_physical(np.array([[0.0, 1.0], [0.0, -700.0]]))
    np.testing.assert_allclose(found[:, 1], [1 / (1 + np.exp(-1)), np.exp(-700)])
    assert Classes().to_physical(np.empty((0, 2))).shape == (0, 2)
