import itertools

import numpy as np
import pytest

from harness.errors import BenchError
from suites.films.crystal import (
    COPPER,
    SILICON,
    Crystal,
    as_facts,
    crystal_of,
    estimates,
    parse_crystal,
    plane_stress,
    written,
    young,
)

ANGLES = np.linspace(-30, 120, 61)


def turned_tensor(crystal, angle):
    """Plane-stress stiffness by turning the fourth-rank tensor of the crystal, then condensing the strain along x3."""
    cubic = np.zeros((3, 3, 3, 3))
    for i, j in itertools.product(range(3), repeat=2):
        cubic[i, i, j, j] = crystal.c11 if i == j else crystal.c12
        if i != j:
            cubic[i, j, i, j] = cubic[i, j, j, i] = crystal.c44
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    axes = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])  # columns: the crystal's axes
    tensor = np.einsum("ia,jb,kc,ld,abcd->ijkl", axes, axes, axes, axes, cubic)
    pairs = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    voigt = np.array([[tensor[*first, *second] for second in pairs] for first in pairs])
    kept, condensed = [0, 1, 5], [2, 3, 4]
    across = voigt[np.ix_(kept, condensed)]
    return voigt[np.ix_(kept, kept)] - across @ np.linalg.inv(voigt[np.ix_(condensed, condensed)]) @ across.T


@pytest.mark.parametrize("crystal", [SILICON, COPPER, Crystal(100, -20, 30)])
def test_the_reduced_stiffness_is_the_turned_tensors(crystal):
    expected = [turned_tensor(crystal, angle) for angle in ANGLES]
    np.testing.assert_allclose(plane_stress(crystal, ANGLES), expected, atol=1e-11)


@pytest.mark.parametrize("crystal", [SILICON, COPPER])
def test_youngs_modulus_is_that_of_the_reduced_stiffness(crystal):
    by_stiffness = 1 / np.linalg.inv(plane_stress(crystal, ANGLES))[:, 0, 0]
    np.testing.assert_allclose(young(crystal, ANGLES), by_stiffness, rtol=1e-12)
    np.testing.assert_allclose(young(crystal, ANGLES + 90), young(crystal, ANGLES), rtol=1e-12)


def test_silicon_is_as_stiff_as_the_literature_says():
    np.testing.assert_allclose(young(SILICON, [0, 45, 90]), [130.0, 169.0, 130.0], atol=0.1)  # Hopcroft et al. 2010


def test_an_isotropic_crystal_has_no_angle():
    isotropic = Crystal(200, 80, 60)
    assert np.ptp(young(isotropic, ANGLES)) < 1e-11
    assert np.ptp(plane_stress(isotropic, ANGLES), axis=0).max() < 1e-11


def test_estimates_are_in_order_and_meet_where_all_grains_are_one():
    rng = np.random.default_rng(0)
    angles, fractions = rng.uniform(0, 90, 8), rng.dirichlet(np.ones(8), 50)
    found = estimates(SILICON, angles, fractions)
    assert (found.reuss < found.hill).all()
    assert (found.hill < found.voigt).all()
    assert ((found.reuss < found.mean) & (found.mean < found.voigt)).all()
    np.testing.assert_allclose(found.reuss, 1 / (fractions @ (1 / young(SILICON, angles))))
    single = estimates(SILICON, np.full(8, 20.0), fractions)
    np.testing.assert_allclose(single, np.full((4, 50), young(SILICON, 20.0)), rtol=1e-12)


def test_estimates_take_each_films_own_angles():
    rng = np.random.default_rng(1)
    angles, fractions = rng.uniform(0, 90, (5, 8)), rng.dirichlet(np.ones(8), 5)
    together = np.stack(estimates(COPPER, angles, fractions))
    alone = [np.stack(estimates(COPPER, a, f)) for a, f in zip(angles, fractions, strict=True)]
    np.testing.assert_allclose(together, np.stack(alone, axis=1))


@pytest.mark.parametrize(
    ("text", "crystal"),
    [
        ("silicon", SILICON),
        (" Copper ", COPPER),
        ("100,50,40", Crystal(100, 50, 40)),
        ("1e2,-5,4", Crystal(100, -5, 4)),
    ],
)
def test_crystals_are_read_and_written(text, crystal):
    assert parse_crystal(text) == crystal
    assert parse_crystal(written(crystal)) == crystal
    assert crystal_of(as_facts(crystal)) == crystal


def test_a_data_set_may_not_know_its_crystal():
    assert crystal_of(as_facts(None)) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("silicium", "did you mean 'silicon'"),
        ("unobtainium", "known: silicon, copper"),
        ("", "silicon, copper"),
        ("165,63", "three numbers"),
        ("165,63,79,1", "three numbers"),
        ("165,63,x9", "three numbers"),
        ("1_0,2,3", "three numbers"),
        ("165,63,0", "c44 must be positive"),
        ("165,63,-79", "c44 must be positive"),
        ("63,165,79", "larger than c12"),
        ("63,-64,79", "larger than c12"),
        ("100,-60,79", "c11 + 2 c12"),
        ("nan,63,79", "numbers of GPa"),
        ("inf,63,79", "numbers of GPa"),
    ],
)
def test_what_is_no_crystal_is_refused(text, told):
    with pytest.raises(BenchError, match=told.replace("+", r"\+")):
        parse_crystal(text)
