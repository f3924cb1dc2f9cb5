import numpy as np
import pytest

from suites.microstructure import dataset
from suites.microstructure.dataset import Parameters
from suites.microstructure.materials import Phase, phases_of


@pytest.mark.parametrize("count", [25, pytest.param(520, marks=pytest.mark.slow)])
def test_the_shipped_data_are_remade_bit_for_bit(count):
    shipped, remade = dataset.load("elasticity"), dataset.make(Parameters(count=count))
    np.testing.assert_array_equal(shipped.images[:count], remade.images)
    np.testing.assert_allclose(shipped.targets[:count], remade.targets, rtol=1e-6)
    assert shipped.kinds[:count] == remade.kinds
    assert phases_of(shipped.facts) == phases_of(remade.facts) == (Phase(70, 0.33), Phase(410, 0.19))


def test_the_shipped_data_are_what_is_promised():
    shipped = dataset.load("elasticity")
    assert shipped.images.shape == (520, 64, 64, 1)
    assert shipped.targets.shape == (520, 9)
    fractions = shipped.images.mean(axis=(1, 2, 3))
    assert 0.15 <= fractions.min() < 0.16
    assert 0.64 < fractions.max() <= 0.65
    assert {family: shipped.kinds.count(family) for family in set(shipped.kinds)} == dict.fromkeys(
        ("disks", "ellipses", "gaussian_field", "voronoi", "lamellae"), 104
    )
    assert dataset._file("elasticity").stat().st_size < 400_000


def test_a_saved_data_set_is_not_a_pickle(tmp_path):
    parameters = Parameters(count=5, size=16)
    dataset.save(tmp_path / "tiny.npz", dataset.make(parameters), parameters)
    with np.load(tmp_path / "tiny.npz", allow_pickle=False) as stored:
        assert set(stored) == {"images", "targets", "families", "parameters"}


@pytest.mark.parametrize(
    "other",
    [
        Parameters(count=10, size=16, seed=1),
        Parameters(count=10, size=16, families=("disks",)),
        Parameters(count=10, size=16, phases=(Phase(70, 0.33), Phase(700, 0.19))),
    ],
)
def test_parameters_change_the_data(other):
    assert dataset.make(other).fingerprint() != dataset.make(Parameters(count=10, size=16)).fingerprint()


def test_progress_is_told():
    told = []
    dataset.make(Parameters(count=45, size=16), lambda done, total: told.append((done, total)))
    assert told == [(20, 45), (40, 45), (45, 45)]
