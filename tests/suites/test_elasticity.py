import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from harness.errors import BenchError
from harness.model.architecture import parameter_shapes
from harness.protocol import Dataset, Encoding
from suites import elasticity


def a_dataset(count):
    return Dataset(
        name="tiny",
        images=np.zeros((count, 2, 2, 1), np.float32),
        targets=np.zeros((count, 9)),
        target_names=elasticity.TARGETS,
        units=("GPa",) * 9,
        ids=tuple(map(str, range(count))),
    )


@given(st.integers(4, 700))
def test_the_split_is_scikit_learns_index_for_index(count):
    split = elasticity.split(a_dataset(count))
    train, rest = train_test_split(np.arange(count), test_size=0.30, random_state=42, shuffle=True)
    validation, test = train_test_split(rest, test_size=0.50, random_state=42, shuffle=True)
    np.testing.assert_array_equal(split.train, train)
    np.testing.assert_array_equal(split.validation, validation)
    np.testing.assert_array_equal(split.test, test)


def test_the_split_of_the_shipped_data_is_the_reports():
    split = elasticity.split(elasticity.load(None, {}))
    assert (len(split.train), len(split.validation), len(split.test)) == (364, 78, 78)
    assert len(np.unique(np.concatenate([split.train, split.validation, split.test]))) == 520


def test_the_grid_is_numbered_as_in_the_report():
    """Table 1 of the report: filters outermost, learning rate innermost, from 0."""
    (search,) = (variant.architecture for variant in elasticity.VARIANTS if variant.name == "tuned")
    reported = {22: (32, 5, 0.2, 1e-3), 18: (32, 3, 0.2, 1e-3), 16: (32, 3, 0.0, 1e-3), 23: (32, 5, 0.2, 1e-4)}
    reported |= {11: (16, 3, 0.2, 1e-4), 14: (16, 5, 0.2, 1e-3), 7: (8, 5, 0.2, 1e-4), 3: (8, 3, 0.2, 1e-4)}
    assert len(search.configurations) == 24
    for number, choices in reported.items():
        assert tuple(search.configurations[number].choices.values()) == choices
        assert search.configurations[number].recipe.learning_rate == choices[-1]


@pytest.mark.parametrize(
    ("number", "parameters"),
    [(0, 264_041), (4, 266_217), (8, 529_737), (12, 538_185), (16, 1_068_041), (22, 1_101_321)],
)
def test_the_tuned_networks_have_the_reports_parameters(number, parameters):
    (search,) = (variant.architecture for variant in elasticity.VARIANTS if variant.name == "tuned")
    shapes = parameter_shapes(search.configurations[number].network, (64, 64, 1))
    assert sum(map(math.prod, shapes.values())) == parameters


def test_what_the_source_reports_is_of_variants_that_exist():
    assert set(elasticity.SOURCE.reported) <= {variant.name for variant in elasticity.VARIANTS}


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_too_few_images_are_refused(count):
    with pytest.raises(BenchError, match="too few to split"):
        elasticity.split(a_dataset(count))


@pytest.mark.parametrize("size", [32, 63, 128])
def test_no_data_are_made_that_would_not_be_read(tmp_path, size):
    """Planted: `data make size=32` wrote a folder that `data check` refused."""
    with pytest.raises(BenchError, match=f"size={size}: .* 64x64"):
        elasticity.make_data(tmp_path / "out", 5, 0, {"size": str(size)}, print)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def shipped():
    return elasticity.load(None, {})


def test_true_constants_keep_every_law(shipped):
    kept = elasticity.measure(shipped.targets, shipped.targets, shipped.images, shipped.facts)
    assert kept == {"positive_definite": 1.0, "inside_bounds": 1.0}
    assert set(kept) == {metric.key for metric in elasticity.METRICS}


def test_impossible_constants_break_them(shipped):
    wrong = shipped.targets.copy()
    wrong[::2] *= 10  # above Voigt
    kept = elasticity.measure(wrong, shipped.targets, shipped.images, shipped.facts)
    assert kept == {"positive_definite": 1.0, "inside_bounds": 0.5}
    wrong[::2] *= -1
    kept = elasticity.measure(wrong, shipped.targets, shipped.images, shipped.facts)
    assert kept == {"positive_definite": 0.5, "inside_bounds": 0.5}
    wrong[:, 6] = -1  # a negative shear modulus
    assert elasticity.measure(wrong, shipped.targets, shipped.images, shipped.facts)["positive_definite"] == 0.0


def test_bounds_need_the_phases(shipped):
    assert set(elasticity.measure(shipped.targets, shipped.targets, shipped.images, {})) == {"positive_definite"}


def test_groups_are_split_in_the_images_place_and_stay_together():
    groups = tuple(f"specimen {index % 20}" for index in range(200))
    split = elasticity.split(msgspec.structs.replace(a_dataset(200), groups=groups))
    sides = [{groups[row] for row in rows} for rows in split.parts.values()]
    assert [len(side) for side in sides] == [14, 3, 3]
    assert len(set.union(*sides)) == 20
    assert sorted(np.concatenate(list(split.parts.values()))) == list(range(200))
    with pytest.raises(BenchError, match="3 groups are too few to split"):
        elasticity.split(msgspec.structs.replace(a_dataset(30), groups=tuple(str(index % 3) for index in range(30))))


def test_every_variant_names_an_encoding_that_there_is(shipped):
    for variant in elasticity.VARIANTS:
        if variant.encoding:
            assert elasticity.encoder(variant.encoding, shipped).operators().nodes
    with pytest.raises(BenchError, match="unknown encoding 'volume-fractoin': did you mean 'volume-fraction'"):
        elasticity.encoder(Encoding("volume-fractoin"), shipped)


@pytest.mark.parametrize("contrast", ["0.5", "1e9", "nan", "x", "1_0"])
def test_a_contrast_that_is_none_is_refused(tmp_path, contrast):
    with pytest.raises(BenchError, match="a number from 1 to 1e6"):
        elasticity.make_data(tmp_path / "out", 5, 0, {"contrast": contrast}, print)
