import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from harness.errors import BenchError, Unavailable
from harness.model.variants import Encoding
from harness.protocol import Dataset
from suites import elasticity
from suites.microstructure import question
from suites.microstructure.homogenization import TARGETS
from suites.microstructure.variants import VARIANTS


def a_dataset(count):
    return Dataset(
        name="tiny",
        images=np.zeros((count, 2, 2, 1), np.float32),
        targets=np.zeros((count, 9)),
        target_names=TARGETS,
        units=("GPa",) * 9,
        ids=tuple(map(str, range(count))),
    )


@given(st.integers(4, 700))
def test_the_split_is_scikit_learns_index_for_index(count):
    split = question.split(a_dataset(count))
    train, rest = train_test_split(np.arange(count), test_size=0.30, random_state=42, shuffle=True)
    validation, test = train_test_split(rest, test_size=0.50, random_state=42, shuffle=True)
    np.testing.assert_array_equal(split.train, train)
    np.testing.assert_array_equal(split.validation, validation)
    np.testing.assert_array_equal(split.test, test)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_too_few_images_are_refused(count):
    with pytest.raises(BenchError, match="too few to split"):
        question.split(a_dataset(count))


def test_groups_are_split_in_the_images_place_and_stay_together():
    groups = tuple(f"specimen {index % 20}" for index in range(200))
    split = question.split(msgspec.structs.replace(a_dataset(200), groups=groups))
    sides = [{groups[row] for row in rows} for rows in split.parts.values()]
    assert [len(side) for side in sides] == [14, 3, 3]
    assert len(set.union(*sides)) == 20
    assert sorted(np.concatenate(list(split.parts.values()))) == list(range(200))
    # The first of them, which a learning curve takes, are of many groups.
    assert len({groups[row] for row in split.train[:14]}) > 7
    with pytest.raises(BenchError, match="3 groups are too few to split"):
        question.split(msgspec.structs.replace(a_dataset(30), groups=tuple(str(index % 3) for index in range(30))))


def test_images_without_a_group_stand_for_themselves_beside_grouped_ones():
    groups = tuple("specimen" * (index < 20) for index in range(120))
    split = question.split(msgspec.structs.replace(a_dataset(120), groups=groups))
    assert len({name for name, rows in split.parts.items() for row in rows if groups[row]}) == 1
    assert all(sum(not groups[row] for row in rows) >= 14 for rows in split.parts.values())


@pytest.fixture(scope="module")
def shipped():
    return elasticity.load(None, {})


def test_true_constants_keep_every_law(shipped):
    kept = question.measure(shipped.targets, shipped.targets, shipped.images, shipped.facts)
    assert kept.pop("hill_residual") < 1e-12
    assert kept == {"positive_definite": 1.0, "inside_bounds": 1.0}
    assert {*kept, "hill_residual"} == {metric.key for metric in question.METRICS}


def test_impossible_constants_break_them(shipped):
    wrong = shipped.targets.copy()
    wrong[::2] *= 10  # above Voigt
    kept = question.measure(wrong, shipped.targets, shipped.images, shipped.facts)
    assert kept.pop("hill_residual") > 1e-6
    assert kept == {"positive_definite": 1.0, "inside_bounds": 0.5}
    wrong[::2] *= -1
    kept = question.measure(wrong, shipped.targets, shipped.images, shipped.facts)
    assert (kept["positive_definite"], kept["inside_bounds"]) == (0.5, 0.5)
    wrong[:, 6] = -1  # a negative shear modulus
    assert question.measure(wrong, shipped.targets, shipped.images, shipped.facts)["positive_definite"] == 0.0


def test_bounds_need_the_phases(shipped):
    assert set(question.measure(shipped.targets, shipped.targets, shipped.images, {})) == {"positive_definite"}


def test_every_variant_names_an_encoding_that_there_is(shipped):
    for variant in VARIANTS:
        if variant.encoding:
            encoder = question.encoder(variant.encoding, shipped)
            encoder.fit(shipped.images[:50])
            assert encoder.operators().nodes
    with pytest.raises(BenchError, match="unknown encoding 'volume-fractoin': did you mean 'volume-fraction'"):
        question.encoder(Encoding("volume-fractoin"), shipped)


def test_hill_s_relations_are_kept_by_the_shipped_labels(shipped):
    """And told apart from labels that are a thousandth off in one constant."""
    kept = question.measure(shipped.targets, shipped.targets, shipped.images, shipped.facts)["hill_residual"]
    assert kept < 5e-13
    wrong = shipped.targets * np.where(np.array(TARGETS) == "C13", 1.001, 1.0)
    assert question.measure(wrong, shipped.targets, shipped.images, shipped.facts)["hill_residual"] > 1e-5


def test_a_decoding_that_there_is_not_and_one_without_its_phases(shipped):
    with pytest.raises(BenchError, match="unknown decoding 'betwen-bounds': did you mean 'between-bounds'"):
        question.decoder(Encoding("betwen-bounds"), shipped)
    with pytest.raises(Unavailable, match="phases=E,nu,E,nu"):
        question.decoder(Encoding("between-bounds"), msgspec.structs.replace(shipped, facts={}))
