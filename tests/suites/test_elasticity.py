import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from harness.errors import BenchError
from harness.judging.records import Settings
from harness.model.architecture import parameter_shapes
from harness.protocol import Dataset
from harness.running.plan import task
from suites import elasticity


def a_dataset(count):
    return Dataset(
        name="tiny",
        images=np.zeros((count, 2, 2, 1), np.float32),
        targets=np.zeros((count, 9)),
        target_names=elasticity.TARGETS,
        unit="GPa",
        groups=("",) * count,
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
    split = elasticity.split(elasticity.load(None, None, None))
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
    assert set(elasticity.REPORTED) <= {variant.name for variant in elasticity.VARIANTS}


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_too_few_images_are_refused(count):
    with pytest.raises(BenchError, match="too few to split"):
        elasticity.split(a_dataset(count))


@pytest.mark.parametrize("size", [32, 63, 128])
def test_no_data_are_made_that_would_not_be_read(tmp_path, size):
    """Planted: `data make size=32` wrote a folder that `data check` refused."""
    options = {"count": 5, "seed": 0, "families": "all", "phases": None, "contrast": None, "unit": "GPa"}
    with pytest.raises(BenchError, match=f"size={size}: .* 64x64"):
        elasticity.make_data(tmp_path / "out", size=size, on_progress=print, **options)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def shipped():
    dataset = elasticity.load(None, None, None)
    return dataset, task(elasticity, dataset, elasticity.split(dataset), Settings())


def test_true_constants_keep_every_law(shipped):
    dataset, asked = shipped
    assert elasticity.physics(dataset.targets, dataset.images, asked) == {
        "positive_definite": 1.0,
        "inside_bounds": 1.0,
    }


def test_impossible_constants_break_them(shipped):
    dataset, asked = shipped
    wrong = dataset.targets.copy()
    wrong[::2] *= 10  # above Voigt
    assert elasticity.physics(wrong, dataset.images, asked) == {"positive_definite": 1.0, "inside_bounds": 0.5}
    wrong[::2] *= -1
    assert elasticity.physics(wrong, dataset.images, asked) == {"positive_definite": 0.5, "inside_bounds": 0.5}
    wrong[:, 6] = -1  # a negative shear modulus
    assert elasticity.physics(wrong, dataset.images, asked)["positive_definite"] == 0.0


def test_bounds_need_the_phases(shipped):
    dataset, asked = shipped
    unknown = msgspec.structs.replace(asked, phases=None)
    assert set(elasticity.physics(dataset.targets, dataset.images, unknown)) == {"positive_definite"}
