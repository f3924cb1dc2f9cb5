"""The shipped moduli of a stiffer alloy are what is said of them."""

import numpy as np

from suites.micrographs import specimens, stiffer
from suites.microstructure.homogenization import isotropic_stiffness, voigt_reuss

SHIPPED, MASKS = stiffer.load(), specimens.load().masks


def test_the_first_made_again_is_the_shipped_one():
    told = []
    assert stiffer.moduli(MASKS[:1], lambda done, of: told.append((done, of)))[0] == SHIPPED[0]
    assert told == [(1, 1)]


def test_they_lie_between_the_bounds_of_voigt_and_reuss_and_above_those_of_the_softer_alloy():
    stiffnesses = np.stack([isotropic_stiffness(*stiffer.SOFT), isotropic_stiffness(*stiffer.STIFF)])
    fraction = MASKS.mean(axis=(1, 2))
    voigt, reuss = voigt_reuss(np.column_stack([1 - fraction, fraction]), stiffnesses)
    upper, lower = (1 / np.linalg.inv(bound)[:, 0, 0] for bound in (voigt, reuss))
    assert len(SHIPPED) == specimens.COUNT
    assert (lower < SHIPPED).all()
    assert (upper > SHIPPED).all()
    assert (specimens.load().visible < SHIPPED).all()
