import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.microstructure import homogenization
from suites.microstructure.dataset import ALUMINIUM, SILICON_CARBIDE
from suites.microstructure.homogenization import (
    TARGETS,
    NotConverged,
    elastic_constants,
    homogenize,
    isotropic_stiffness,
    stiffness_matrices,
    voigt_reuss,
)
from tests.suites.microstructure import finite_elements

TWO = np.stack([isotropic_stiffness(phase.young, phase.poisson) for phase in (ALUMINIUM, SILICON_CARBIDE)])


def anisotropic(seed, count=2):
    """Random symmetric positive definite stiffnesses with all 21 components, contrast growing with the index."""
    root = np.random.default_rng(seed).normal(size=(count, 6, 6))
    return (root @ root.transpose(0, 2, 1) + 6 * np.eye(6)) * (1 + 4 * np.arange(count))[:, None, None]


def blocks(seed, size=32, block=4, count=1):
    """Random images of square blocks, so that a refined grid resolves the same geometry."""
    coarse = np.random.default_rng(seed).integers(2, size=(count, size // block, size // block))
    return coarse.repeat(block, 1).repeat(block, 2)


def laminate(stiffnesses, fractions, normal):
    """Exact stiffness of layers with normal x1 (0) or x2 (1), any anisotropy (Milton 2002, section 9.5).

    Across the layers the tractions are equal, along them the strains; the one is averaged where the other is given.
    """
    across = [[0, 5, 4], [1, 5, 3]][normal]
    along = [index for index in range(6) if index not in across]
    sub = lambda c, rows, columns: c[np.ix_(rows, columns)]  # noqa: E731
    average = lambda parts: sum(f * part for f, part in zip(fractions, parts, strict=True))  # noqa: E731
    inverse = [np.linalg.inv(sub(c, across, across)) for c in stiffnesses]
    nn = np.linalg.inv(average(inverse))
    nt = nn @ average([i @ sub(c, across, along) for i, c in zip(inverse, stiffnesses, strict=True)])
    tt = average(
        [
            sub(c, along, along) - sub(c, along, across) @ i @ sub(c, across, along)
            for i, c in zip(inverse, stiffnesses, strict=True)
        ]
    )
    effective = np.zeros((6, 6))
    effective[np.ix_(across, across)] = nn
    effective[np.ix_(across, along)] = nt
    effective[np.ix_(along, across)] = nt.T
    effective[np.ix_(along, along)] = tt + nt.T @ np.linalg.inv(nn) @ nt
    return effective


def relative_error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("stiffnesses", [TWO, anisotropic(1)])
@pytest.mark.parametrize("phase", [0, 1])
def test_a_homogeneous_medium_is_itself(stiffnesses, phase):
    images = np.full((2, 16, 16), phase)
    assert relative_error(homogenize(images, stiffnesses), stiffnesses[phase]) < 1e-14


@pytest.mark.parametrize("normal", [0, 1])
@pytest.mark.parametrize("shape", [(32, 32), (31, 33), (16, 40)])
def test_laminates_are_exact_in_all_21_components(normal, shape):
    stiffnesses = anisotropic(2, count=3)
    image = np.zeros((1, *shape), int)
    layers = np.moveaxis(image, 2 - normal, 1)
    layers[:, 3:9] = 1
    layers[:, 9:14] = 2
    fractions = np.bincount(image.ravel()) / image.size
    assert relative_error(homogenize(image, stiffnesses, 1e-8)[0], laminate(stiffnesses, fractions, normal)) < 1e-12


def test_x1_runs_along_columns():
    """Layers whose normal is x1 are soft along x1 and, at best, the mean of the phases along x2."""
    image = np.zeros((1, 16, 16), int)
    image[:, :, :8] = 1
    stiffness = homogenize(image, TWO)[0]
    assert stiffness[0, 0] < stiffness[1, 1]


@pytest.mark.parametrize("stiffnesses", [TWO, anisotropic(3)])
def test_symmetric_and_between_the_bounds_of_voigt_and_reuss(stiffnesses):
    images = blocks(3, count=5)
    effective = homogenize(images, stiffnesses)
    np.testing.assert_array_equal(effective, effective.transpose(0, 2, 1))
    fraction = images.mean(axis=(1, 2))
    voigt, reuss = voigt_reuss(np.stack([1 - fraction, fraction], axis=1), stiffnesses)
    scale = np.abs(voigt).max()
    assert np.linalg.eigvalsh(voigt - effective).min() > -1e-9 * scale
    assert np.linalg.eigvalsh(effective - reuss).min() > -1e-9 * scale


@settings(max_examples=15)
@given(rows=st.integers(0, 31), columns=st.integers(0, 31), seed=st.integers(0, 99))
def test_shifting_a_periodic_image_changes_nothing(rows, columns, seed):
    image = blocks(seed)
    shifted = np.roll(image, (rows, columns), axis=(1, 2))
    stiffnesses = anisotropic(seed)
    assert relative_error(homogenize(shifted, stiffnesses, 1e-8), homogenize(image, stiffnesses, 1e-8)) < 1e-12


def test_a_quarter_turn_swaps_x1_and_x2():
    images = blocks(5, count=3)
    before = elastic_constants(homogenize(images, TWO))
    after = elastic_constants(homogenize(np.rot90(images, axes=(1, 2)).copy(), TWO))
    turned = ["C22", "C11", "C33", "C12", "C13", "C23", "C55", "C44", "C66"]
    np.testing.assert_allclose(after, before[:, [TARGETS.index(name) for name in turned]], rtol=1e-9)


def test_the_coupled_and_the_uncoupled_solution_agree():
    """A coupling far below rounding makes all six strains one problem; the answer must not notice."""
    images = blocks(6, count=2)
    coupled = TWO.copy()
    coupled[:, 0, 3] = coupled[:, 3, 0] = 1e-13
    assert relative_error(homogenize(images, coupled), homogenize(images, TWO)) < 1e-9


THREE = np.stack([*TWO, isotropic_stiffness(70.0, 0.45)])
AUXETIC = np.stack([isotropic_stiffness(1.0, 0.3), isotropic_stiffness(1.05, -0.4)])  # of shares larger than one


@pytest.mark.parametrize(
    ("stiffnesses", "spared"), [(TWO, 1), (TWO[:1], 1), (THREE, 0), (AUXETIC, 0), (anisotropic(8), 1)]
)
def test_a_strain_that_drives_the_medium_as_others_do_is_spared_and_no_less_exact(monkeypatch, stiffnesses, spared):
    images = np.random.default_rng(2).integers(len(stiffnesses), size=(2, 16, 16))
    shares, share = [], homogenization._share_of_driven
    monkeypatch.setattr(homogenization, "_share_of_driven", lambda *a: shares.append(share(*a)) or shares[-1])
    found = homogenize(images, stiffnesses, 1e-7)
    assert sum(one is not None for one in shares) == spared
    monkeypatch.setattr(homogenization, "_share_of_driven", lambda *_: None)
    assert relative_error(found, homogenize(images, stiffnesses, 1e-7)) < 1e-12


@pytest.mark.parametrize("unit", [1e9, 1e-9, 1e30])
def test_the_unit_of_the_stiffnesses_does_not_matter(unit):
    images = np.concatenate([blocks(11), np.zeros((1, 32, 32), int)])
    assert relative_error(homogenize(images, unit * TWO) / unit, homogenize(images, TWO)) < 1e-12


def test_refinement_converges():
    image = blocks(7)
    finest = homogenize(image.repeat(8, 1).repeat(8, 2), TWO)
    errors = [relative_error(homogenize(image.repeat(k, 1).repeat(k, 2), TWO), finest) for k in (1, 2, 4)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[0] < 2e-3


def test_a_tighter_tolerance_changes_little():
    images = blocks(8, count=3)
    assert relative_error(homogenize(images, TWO), homogenize(images, TWO, 1e-11)) < 1e-10


@pytest.mark.parametrize("stiffnesses", [TWO, anisotropic(9)])
def test_finite_elements_agree_within_their_own_error(stiffnesses):
    image = blocks(9, size=32, block=8)[0]
    coarse = finite_elements.homogenize(image, stiffnesses)
    fine = finite_elements.homogenize(image.repeat(2, 0).repeat(2, 1), stiffnesses)
    found = homogenize(image.repeat(2, 0).repeat(2, 1)[None], stiffnesses)[0]
    assert relative_error(found, fine) < relative_error(coarse, fine) < 0.05


def test_images_that_do_not_converge_are_named():
    images = np.concatenate([np.zeros((1, 16, 16), int), blocks(10, size=16, count=5), np.ones((1, 16, 16), int)])
    with pytest.raises(NotConverged, match="images 1, 2, 3, 4, 5") as refusal:
        homogenize(images, TWO, max_iterations=2)
    assert refusal.value.images == (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("phases", "stiffnesses", "said"),
    [
        (np.zeros((4, 4), int), TWO, "must be"),
        (np.full((1, 4, 4), 2), TWO, "index 2 stiffnesses, but reach 2..2"),
        (np.full((1, 4, 4), -1), TWO, "reach -1..-1"),
        (np.zeros((1, 4, 4), int), -TWO, "positive definite"),
        (np.zeros((1, 4, 4), int), TWO + np.triu(np.ones((6, 6)), 1), "symmetric"),
        (np.zeros((1, 4, 4), int), 1e-9 * (TWO + np.triu(np.ones((6, 6)), 1)), "symmetric"),
        (np.zeros((1, 4, 4), int), TWO[:, :3, :3], "must be"),
    ],
)
def test_what_cannot_be_homogenized_is_refused(phases, stiffnesses, said):
    with pytest.raises(ValueError, match=said):
        homogenize(phases, stiffnesses)


def test_no_images():
    assert homogenize(np.zeros((0, 8, 8), int), TWO).shape == (0, 6, 6)


def test_isotropic_stiffness_from_textbook_moduli():
    stiffness = isotropic_stiffness(200.0, 0.25)
    assert stiffness[3, 3] == pytest.approx(80.0)  # G = E / 2(1 + nu)
    assert stiffness[0, 1] == pytest.approx(80.0)  # lambda = E nu / (1 + nu)(1 - 2 nu)
    assert stiffness[0, 0] == pytest.approx(240.0)
    compliance = np.linalg.inv(stiffness)
    assert compliance[0, 0] == pytest.approx(1 / 200)
    assert compliance[0, 1] == pytest.approx(-0.25 / 200)


def test_nine_constants_and_their_matrix():
    constants = np.arange(1.0, 10.0)
    matrix = stiffness_matrices(constants)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(elastic_constants(matrix), constants)
    assert matrix[0, 1] == constants[TARGETS.index("C12")]
    assert matrix[1, 2] == constants[TARGETS.index("C23")]
    assert matrix[5, 5] == constants[TARGETS.index("C66")]
