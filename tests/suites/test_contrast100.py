import json

import numpy as np
import pytest

from harness.errors import BenchError
from suites import contrast100, elasticity
from suites.microstructure import dataset
from suites.microstructure.homogenization import elastic_constants, homogenize, isotropic_stiffness
from suites.microstructure.materials import Phase, phases_of
from suites.microstructure.physics import hill_deviations


@pytest.fixture(scope="module")
def shipped():
    return contrast100.load(None, {})


def test_its_images_and_split_are_those_of_elasticity(shipped):
    other = elasticity.load(None, {})
    np.testing.assert_array_equal(shipped.images, other.images)
    np.testing.assert_array_equal(contrast100.split(shipped).test, elasticity.split(other).test)
    assert phases_of(shipped.facts) == (Phase(70, 0.33), Phase(7000, 0.19))
    assert shipped.fingerprint() != other.fingerprint()
    assert dataset._file("contrast100").stat().st_size < 400_000


def test_its_labels_keep_every_law(shipped):
    kept = contrast100.measure(shipped.targets, shipped.targets, shipped.images, shipped.facts)
    assert (kept["positive_definite"], kept["inside_bounds"]) == (1.0, 1.0)
    fraction = shipped.images.mean(axis=(1, 2, 3), dtype=np.float64)
    assert hill_deviations(shipped.targets, fraction, phases_of(shipped.facts)).max() < 1e-9


def finer(images, samples):
    """Labels with `samples` of the solver for each pixel, each way."""
    fine = images[..., 0].astype(int).repeat(samples, axis=1).repeat(samples, axis=2)
    stiffnesses = np.stack([isotropic_stiffness(70, 0.33), isotropic_stiffness(7000, 0.19)])
    return elastic_constants(homogenize(fine, stiffnesses))


@pytest.mark.slow
def test_its_labels_are_those_of_four_samples_a_pixel(shipped):
    np.testing.assert_allclose(finer(shipped.images[:3], 4), shipped.targets[:3], rtol=1e-5)


@pytest.mark.slow
def test_its_labels_are_converged_to_one_per_cent(shipped):
    """Of the two families that converge last, in twice as many samples again; one sample a pixel would not do."""
    assert shipped.kinds[3:5] == ("voronoi", "lamellae")
    of_eight = finer(shipped.images[3:5], 8)
    assert np.abs(shipped.targets[3:5] / of_eight - 1).max() < 0.01
    assert np.abs(finer(shipped.images[3:5], 1) / of_eight - 1).max() > 0.01


def test_it_has_its_own_data_alone(tmp_path):
    with pytest.raises(BenchError, match="give yours with suite=elasticity"):
        contrast100.load(tmp_path, {})
    with pytest.raises(BenchError, match="give yours with suite=elasticity"):
        contrast100.check_data(tmp_path, {})


def test_more_of_it_can_be_made(tmp_path):
    assert contrast100.make_data(tmp_path / "out", 2, 0, {}, lambda *_: None) == "2 images and their constants in GPa"
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == ["0_disks.png", "1-2_Cij.csv", "1_ellipses.png", "dataset.json"]
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["name"] == "out"  # not that of shipped data
