"""Moves against the solver: what is moved has the constants that are promised."""

import numpy as np
import pytest

from suites.microstructure.homogenization import TARGETS, elastic_constants, homogenize, isotropic_stiffness
from suites.microstructure.symmetries import SYMMETRIES
from tests.suites.microstructure.operators import run_alone

NAMED = {symmetry.key: symmetry for symmetry in SYMMETRIES}
STIFFNESSES = np.stack([isotropic_stiffness(70, 0.33), isotropic_stiffness(410, 0.19)])


def pictures(count=4, height=16, width=16):
    return (np.random.default_rng(0).random((count, height, width, 1)) < 0.4).astype(np.float32)


def constants(images):
    return elastic_constants(homogenize(images[..., 0].astype(int), STIFFNESSES))


@pytest.mark.parametrize("key", NAMED)
def test_the_solver_gives_the_constants_that_are_promised(key):
    symmetry, images = NAMED[key], pictures()
    elements = 1 + np.arange(len(images)) % (symmetry.elements((16, 16, 1)) - 1)
    moved, expected = symmetry.move(images, constants(images), elements)
    assert all(not np.array_equal(one, other) for one, other in zip(moved, images, strict=True))
    np.testing.assert_allclose(constants(moved), expected, rtol=1e-6)


@pytest.mark.parametrize("key", NAMED)
def test_element_zero_moves_nothing_and_what_is_given_stays_as_it_was(key):
    images, targets = pictures(), np.arange(4.0 * 9).reshape(4, 9)
    before = images.copy(), targets.copy()
    found = NAMED[key].move(images, targets, np.zeros(4, int))
    NAMED[key].move(images, targets, np.ones(4, int))
    for one, other, start in zip(found, (images, targets), before, strict=True):
        np.testing.assert_array_equal(one, start)
        np.testing.assert_array_equal(other, start)


def test_a_quarter_turn_exchanges_the_axes_and_a_half_turn_does_not():
    targets = np.arange(9.0)[None]
    quarter, half = (NAMED["rotation"].move(pictures(1), targets, np.array([turns]))[1][0] for turns in (1, 2))
    assert dict(zip(TARGETS, quarter, strict=True)) == {
        "C11": 1, "C22": 0, "C33": 2, "C12": 3, "C23": 5, "C13": 4, "C44": 7, "C55": 6, "C66": 8,
    }  # fmt: skip
    np.testing.assert_array_equal(half, targets[0])


def test_what_is_not_square_is_turned_by_half_alone():
    images = pictures(2, 8, 12)
    assert NAMED["rotation"].elements((8, 12, 1)) == 2
    moved, targets = NAMED["rotation"].move(images, np.arange(18.0).reshape(2, 9), np.array([0, 1]))
    np.testing.assert_array_equal(moved[1], images[1, ::-1, ::-1])
    np.testing.assert_array_equal(targets, np.arange(18.0).reshape(2, 9))


@pytest.mark.parametrize("element", [0, 1, 12, 37, 8 * 12 - 1])
def test_a_shift_as_operators_is_the_same_shift(element, tmp_path):
    images = pictures(3, 8, 12)
    expected, _ = NAMED["shift"].move(images, np.empty((3, 0)), np.full(3, element))
    operators = NAMED["shift"].operators((8, 12, 1), element)
    np.testing.assert_array_equal(run_alone(operators, images, expected.shape[1:], tmp_path), expected)
