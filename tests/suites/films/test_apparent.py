import sys

import numpy as np
import pytest

from harness.errors import BenchError
from suites.films import apparent as module
from suites.films.apparent import apparent, bounds, engineering, invariants, periodic
from suites.films.crystal import COPPER, SILICON, Crystal, estimates, plane_stress, young
from suites.films.tessellation import Film
from tests.suites.films.examples import drawn, mirrored, pixels_and_stiffnesses, shifted, turned
from tests.suites.microstructure import finite_elements

_SLACK = 2e-5  # GPa, of eigenvalues that are zero; the error of what is iterated


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def solve(boundary, pixels, stiffnesses):
    """Under one of the three kinds of boundary condition."""
    return periodic(pixels, stiffnesses) if boundary == "periodic" else getattr(bounds(pixels, stiffnesses), boundary)


def embedded(stiffnesses):
    """Plane-stress stiffness as finite elements with three displacements want it."""
    whole = np.tile(np.eye(6) * 50, (len(stiffnesses), 1, 1))
    whole[np.ix_(range(len(stiffnesses)), [0, 1, 5], [0, 1, 5])] = stiffnesses
    return whole


@pytest.mark.parametrize("boundary", ["periodic", "lower", "upper"])
@pytest.mark.parametrize("angle", [0.0, 20.0, 45.0])
def test_one_crystal_is_itself(angle, boundary):
    stiffness = plane_stress(SILICON, [angle])
    found = solve(boundary, np.zeros((16, 20), int), stiffness)
    assert relative(found, stiffness[0]) < 1e-12
    assert engineering(found)[0] == pytest.approx(young(SILICON, angle), rel=1e-11)


@pytest.mark.parametrize("normal", [0, 1])
def test_layers_are_exact(normal):
    """Milton (2002), section 9.5: across the layers stresses are equal, along them strains."""
    stiffnesses = plane_stress(SILICON, [5.0, 35.0, 60.0])
    widths = [10, 6, 16]
    row = np.repeat([0, 1, 2], widths)
    pixels = np.tile(row, (24, 1)) if normal == 0 else np.tile(row[:, None], (1, 24))
    across, along = ([0, 2], [1]) if normal == 0 else ([1, 2], [0])
    shares = np.array(widths) / 32
    inverse = np.linalg.inv(stiffnesses[np.ix_(range(3), across, across)])
    mixed = inverse @ stiffnesses[np.ix_(range(3), across, along)]
    nn = np.linalg.inv(np.tensordot(shares, inverse, 1))
    nt = nn @ np.tensordot(shares, mixed, 1)
    rest = (
        stiffnesses[np.ix_(range(3), along, along)]
        - mixed.transpose(0, 2, 1) @ (stiffnesses[np.ix_(range(3), across, along)])
    )
    expected = np.zeros((3, 3))
    expected[np.ix_(across, across)] = nn
    expected[np.ix_(across, along)] = nt
    expected[np.ix_(along, across)] = nt.T
    expected[np.ix_(along, along)] = np.tensordot(shares, rest, 1) + nt.T @ np.linalg.inv(nn) @ nt
    assert relative(periodic(pixels, stiffnesses, 1e-8), expected) < 1e-12


@pytest.mark.parametrize("boundary", ["periodic", "lower", "upper"])
def test_isotropic_grains_make_an_isotropic_film(boundary):
    isotropic = Crystal(200, 80, 60)
    found = engineering(solve(boundary, *pixels_and_stiffnesses(drawn(), isotropic, 32)))
    modulus = young(isotropic, 0)
    np.testing.assert_allclose(found, [modulus, modulus, 60, modulus / 120 - 1], rtol=1e-10)


def test_engineering_constants_are_those_of_an_orthotropic_sheet():
    """Jones, Mechanics of Composite Materials, section 2.4."""
    e1, e2, g12, nu12 = 140.0, 10.0, 5.0, 0.3
    compliance = np.array([[1 / e1, -nu12 / e1, 0], [-nu12 / e1, 1 / e2, 0], [0, 0, 1 / g12]])
    found = engineering(np.stack([np.linalg.inv(compliance)] * 2))
    np.testing.assert_allclose(found, [[e1, e2, g12, nu12]] * 2)


@pytest.mark.parametrize("index", range(3))
def test_what_moves_with_its_crystals_keeps_its_moduli(index):
    film = drawn(index=index)
    e1, e2, g12, nu12 = engineering(apparent(film, SILICON, 64))
    np.testing.assert_allclose(
        engineering(apparent(turned(film), SILICON, 64)), [e2, e1, g12, nu12 * e2 / e1], rtol=1e-7
    )
    for moved in (mirrored(film), shifted(film, 1024 * 9, 1024 * 50)):
        np.testing.assert_allclose(engineering(apparent(moved, SILICON, 64)), [e1, e2, g12, nu12], rtol=1e-7)


def test_a_mirror_changes_the_sign_of_what_couples_shear():
    found, moved = (apparent(film, SILICON, 64) for film in (drawn(), mirrored(drawn())))
    assert abs(found[0, 2]) > 0.1
    np.testing.assert_allclose(moved, found * [[1, 1, -1], [1, 1, -1], [-1, -1, 1]], rtol=1e-6)


def test_a_picture_turned_without_its_crystals_is_another_film():
    film = drawn()
    other = Film(film.seeds, (film.angles + 65536 // 4).astype(np.uint16))
    assert abs(apparent(film, SILICON, 64)[0, 0] - apparent(other, SILICON, 64)[0, 0]) > 1


@pytest.mark.parametrize("crystal", [SILICON, COPPER])
@pytest.mark.parametrize("ratio", [1.5, 4, 10])
def test_what_a_film_shares_with_its_crystal_is_exact(ratio, crystal):
    """C11 + C12 to round-off, in all three cases; the determinant as far as pixels resolve the fields."""
    pixels, stiffnesses = pixels_and_stiffnesses(drawn(ratio), crystal, 64)
    bulk, _, determinant = invariants(stiffnesses[0])
    np.testing.assert_allclose(invariants(stiffnesses), np.tile([bulk, bulk, determinant], (len(stiffnesses), 1)))
    found = periodic(pixels, stiffnesses)
    np.testing.assert_allclose(invariants(found), [bulk, bulk, determinant], rtol=1e-4)
    for stiffness in (found, *bounds(pixels, stiffnesses)):
        np.testing.assert_allclose(invariants(stiffness)[:2], bulk, rtol=1e-7)
        assert abs(stiffness[0, 2] + stiffness[1, 2]) < 1e-9 * bulk
        assert engineering(stiffness)[0] == pytest.approx(engineering(stiffness)[1], rel=1e-8)


@pytest.mark.parametrize("index", range(2))
def test_periodic_films_agree_with_independent_finite_elements(index):
    pixels, stiffnesses = pixels_and_stiffnesses(drawn(index=index), SILICON, 48)
    fine = pixels.repeat(2, axis=0).repeat(2, axis=1)
    plane = np.ix_([0, 1, 5], [0, 1, 5])
    coarse, refined = (finite_elements.homogenize(image, embedded(stiffnesses))[plane] for image in (pixels, fine))
    found = engineering(periodic(pixels, stiffnesses))[0]
    assert engineering(coarse)[0] == pytest.approx(found, rel=1e-3)
    limit = (4 * engineering(refined)[0] - engineering(coarse)[0]) / 3
    assert limit == pytest.approx(engineering(periodic(fine, stiffnesses))[0], rel=2e-4)


@pytest.mark.parametrize("ratio", [1.5, 4, 10])
def test_uniform_strain_and_stress_bound_what_is_periodic(ratio):
    pixels, stiffnesses = pixels_and_stiffnesses(drawn(ratio), SILICON, 64)
    found, outer = periodic(pixels, stiffnesses), bounds(pixels, stiffnesses)
    shares = np.bincount(pixels.ravel()) / pixels.size
    voigt = np.tensordot(shares, stiffnesses, 1)
    reuss = np.linalg.inv(np.tensordot(shares, np.linalg.inv(stiffnesses), 1))
    for softer, stiffer in ((reuss, outer.lower), (outer.lower, found), (found, outer.upper), (outer.upper, voigt)):
        assert np.linalg.eigvalsh(stiffer - softer)[0] > -_SLACK
        assert engineering(stiffer)[0] > engineering(softer)[0]


def test_bounds_by_a_direct_solver_are_the_same():
    """The preconditioned conjugate gradients against a plain factorization of the same elements."""
    import scipy.sparse.linalg

    pixels, stiffnesses = pixels_and_stiffnesses(drawn(), COPPER, 32)
    elements = module._elements((32, 32))
    each = stiffnesses[pixels.ravel()[elements.pixels]]
    matrix, strained = elements.matrix(each).tocsc(), elements.loads(each)
    inner = elements.inner.dofs
    relaxed = strained[inner].T @ scipy.sparse.linalg.spsolve(matrix[inner][:, inner], strained[inner]) / 32**2
    assert relative(bounds(pixels, stiffnesses).upper, each.mean(axis=0) - relaxed) < 1e-7


def test_a_film_that_is_not_square_has_bounds_too():
    stiffnesses = plane_stress(SILICON, [10.0, 50.0])
    pixels = np.zeros((12, 30), int)
    pixels[:, 15:] = 1
    lower, upper = bounds(pixels, stiffnesses)
    assert np.linalg.eigvalsh(upper - lower)[0] > -_SLACK
    estimated = estimates(SILICON, np.array([10.0, 50.0]), np.array([0.5, 0.5]))
    assert estimated.reuss <= engineering(lower)[0] * (1 + 1e-12)
    assert engineering(upper)[0] <= estimated.voigt


def test_bounds_say_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "skfem", None)
    module._elements.cache_clear()
    with pytest.raises(BenchError, match="pip install 'scikit-fem"):
        bounds(np.zeros((4, 4), int), plane_stress(SILICON, [0.0]))
