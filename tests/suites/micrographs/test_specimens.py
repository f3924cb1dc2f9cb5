"""The shipped specimens are what is said of them."""

import numpy as np
import pytest

from suites.micrographs import specimens
from suites.microstructure.homogenization import isotropic_stiffness, voigt_reuss

SHIPPED = specimens.load()


def test_the_first_specimen_made_again_is_the_shipped_one():
    told = []
    made = specimens.make(1, lambda done, of: told.append((done, of)))
    np.testing.assert_array_equal(made.masks, SHIPPED.masks[:1])
    assert (made.visible[0], made.measured[0]) == (SHIPPED.visible[0], SHIPPED.measured[0])
    assert told == [(1, 1)]


def test_what_is_saved_is_read(tmp_path):
    few = specimens.Specimens(*(part[:2] for part in SHIPPED))
    specimens.save(tmp_path / "specimens.npz", few)
    with np.load(tmp_path / "specimens.npz", allow_pickle=False) as stored:
        np.testing.assert_array_equal(np.unpackbits(stored["masks"], axis=2), few.masks)
        np.testing.assert_array_equal(stored["measured"], few.measured)


def test_what_the_image_shows_lies_between_the_bounds_of_voigt_and_reuss():
    stiffnesses = np.stack([isotropic_stiffness(70.0, 0.33), isotropic_stiffness(410.0, 0.19)])
    fraction = SHIPPED.masks.mean(axis=(1, 2))
    voigt, reuss = voigt_reuss(np.column_stack([1 - fraction, fraction]), stiffnesses)
    upper, lower = (1 / np.linalg.inv(bound)[:, 0, 0] for bound in (voigt, reuss))
    assert (lower < SHIPPED.visible).all()
    assert (SHIPPED.visible < upper).all()


def test_pores_are_in_no_image_and_vary_as_said():
    pores = np.log(SHIPPED.measured / SHIPPED.visible)
    assert pores.std() == pytest.approx(specimens.HIDDEN, rel=0.15)
    fraction = SHIPPED.masks.mean(axis=(1, 2))
    assert abs(np.corrcoef(pores, fraction)[0, 1]) < 0.2
    # Which is the most that a model of new specimens can explain.
    assert 1 - np.mean((SHIPPED.measured - SHIPPED.visible) ** 2) / SHIPPED.measured.var() == pytest.approx(
        0.73, abs=0.01
    )


def test_two_micrographs_of_one_session_differ_by_their_noise_alone():
    once, again = (picture.astype(float) for picture in specimens.photographed(SHIPPED.masks[0], 0))
    difference = once - again
    assert abs(difference.mean()) < 0.1
    assert difference.std() > 1
    neighbours = np.corrcoef(difference[:, 1:].ravel(), difference[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.02
