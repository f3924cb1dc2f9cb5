"""Moves of a film, against the homogenization of the film that is moved."""

import numpy as np
import pytest

from suites.films.apparent import engineering, periodic
from suites.films.crystal import COPPER, plane_stress
from suites.films.rendering import LEVELS, as_levels
from suites.films.symmetries import MIRROR, PICTURE, SHIFT, TURN
from tests.suites.films.test_encodings import films

IMAGE = films(1, 16)


def modulus(image):
    """Young's moduli along x1 and x2 of the film that an image shows, of copper, in which its grains matter more."""
    levels = as_levels(image)[0].astype(int)
    constants = engineering(periodic(levels, plane_stress(COPPER, np.arange(LEVELS) * 90 / (LEVELS - 1))))
    return constants[:2]


def moved(symmetry, element):
    return symmetry.move(IMAGE, np.array([[7.0]]), np.array([element]))


@pytest.mark.parametrize(("symmetry", "element"), [(SHIFT, 37), (TURN, 1), (TURN, 2), (TURN, 3), (MIRROR, 1)])
def test_a_symmetry_leaves_the_modulus_as_it_is(symmetry, element):
    image, targets = moved(symmetry, element)
    assert targets.tolist() == [[7.0]]
    assert not np.array_equal(image, IMAGE)
    np.testing.assert_allclose(modulus(image), modulus(IMAGE), rtol=1e-5)


@pytest.mark.parametrize("symmetry", [SHIFT, TURN, MIRROR, PICTURE])
def test_element_0_moves_nothing(symmetry):
    np.testing.assert_array_equal(moved(symmetry, 0)[0], IMAGE)


def test_the_modulus_along_x2_is_that_along_x1():
    """Of any film of cubic grains with one axis along x3, for they all have the same Q11 + Q12."""
    along, across = modulus(IMAGE)
    assert across == pytest.approx(along, rel=1e-9)
    stiffness = plane_stress(COPPER, np.linspace(0, 90, 7))
    np.testing.assert_allclose(np.ptp(stiffness[:, 0, 0] + stiffness[:, 0, 1]), 0, atol=1e-9)


def test_of_the_lectures_eight_moves_those_that_mirror_copy_a_label_that_is_not_the_moved_films():
    off = [abs(modulus(moved(PICTURE, element)[0])[0] / modulus(IMAGE)[0] - 1) for element in range(8)]
    assert max(off[:4]) < 1e-5
    assert min(off[4:]) > 1e-4


def test_the_eight_moves_of_a_picture_are_eight():
    assert len({moved(PICTURE, element)[0].tobytes() for element in range(8)}) == 8
    assert not PICTURE.exact
