"""Answers between the bounds: against bounds by matrix inversion, Hill's relations, and the solver's own labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import Unavailable
from suites.microstructure.decodings import BetweenBounds
from suites.microstructure.homogenization import TARGETS, isotropic_stiffness
from suites.microstructure.materials import Phase, phases_of
from suites.microstructure.physics import hill_deviations, room
from suites.microstructure.symmetries import SYMMETRIES
from tests.suites.microstructure.examples import shipped
from tests.suites.microstructure.operators import run_alone

DATA = shipped(40)
PHASES = phases_of(DATA.facts)
FAR_APART = (Phase(1, 0.45), Phase(1000, 0.05))


def pictures(count=12):
    shares = np.linspace(0.05, 0.95, count)[:, None, None, None]
    return (np.random.default_rng(0).random((count, 16, 16, 1)) < shares).astype(np.float32)


@given(st.integers(0, 2**32), st.floats(0.01, 100), st.sampled_from([PHASES, FAR_APART, FAR_APART[::-1]]))
def test_whatever_is_answered_is_between_the_bounds_and_keeps_hills_relations(seed, scale, phases):
    images = pictures()
    answers = np.random.default_rng(seed).normal(0.5, scale, (len(images), 6))
    constants, fraction = BetweenBounds(phases).decode(answers, images), images.mean(axis=(1, 2, 3))
    between = room(constants, fraction.astype(float), phases)
    assert (between.least >= -1e-6 * between.largest).all()
    assert hill_deviations(constants, fraction.astype(float), phases).max() < 1e-6


def test_the_solvers_labels_come_back_as_they_were():
    decoder = BetweenBounds(PHASES)
    answers = decoder.encode(DATA.targets, DATA.images)
    assert ((answers[:, [0, 1, 3, 4, 5]] > 0) & (answers[:, [0, 1, 3, 4, 5]] < 1)).all()
    np.testing.assert_allclose(decoder.decode(answers, DATA.images), DATA.targets, rtol=1e-11)


def test_the_ends_of_the_scale_are_the_bounds_in_plane_strain():
    """By matrix inversion of the phases' stiffness of strains 11, 22 and 12, and of the shear moduli."""
    images = pictures()
    soft, stiff = (
        isotropic_stiffness(phase.young, phase.poisson)[np.ix_((0, 1, 5, 3), (0, 1, 5, 3))] for phase in PHASES
    )
    for share, expected in (
        (
            0.0,
            [np.linalg.inv(np.linalg.inv(soft) * (1 - f) + np.linalg.inv(stiff) * f) for f in images.mean((1, 2, 3))],
        ),
        (1.0, [soft * (1 - f) + stiff * f for f in images.mean((1, 2, 3))]),
    ):
        answers = np.full((len(images), 6), share) * [1, 1, 0, 1, 1, 1]
        found = dict(zip(TARGETS, BetweenBounds(PHASES).decode(answers, images).T, strict=True))
        for name, place in {"C11": (0, 0), "C22": (1, 1), "C12": (0, 1), "C66": (2, 2), "C44": (3, 3)}.items():
            np.testing.assert_allclose(found[name], np.array(expected)[:, place[0], place[1]], rtol=1e-6)


def test_an_image_of_one_phase_has_its_stiffness_whatever_is_answered():
    images = np.concatenate([np.zeros((1, 8, 8, 1)), np.ones((1, 8, 8, 1))]).astype(np.float32)
    decoder = BetweenBounds(PHASES)
    constants = decoder.decode(np.array([[3.0, -2, 9, 0.5, 0, 1]] * 2), images)
    for row, phase in zip(constants, PHASES, strict=True):
        stiffness = isotropic_stiffness(phase.young, phase.poisson)
        expected = [stiffness[int(name[1]) - 1, int(name[2]) - 1] for name in TARGETS]
        np.testing.assert_allclose(row, expected, rtol=1e-7)
    assert np.isfinite(decoder.encode(constants, images)).all()


@pytest.mark.parametrize("phases", [PHASES, FAR_APART])
def test_operators_decode_to_the_same(phases, tmp_path):
    images, decoder = pictures(), BetweenBounds(phases)
    answers = np.random.default_rng(1).normal(0.5, 1, (len(images), 6))
    expected = decoder.decode(answers, images)
    found = run_alone(decoder.operators(), images, (9,), tmp_path, answers)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6 * np.abs(expected).max())


def test_answers_move_with_the_image():
    """A turn by a quarter exchanges C44 and C55, turns the sign of c and leaves the rest."""
    decoder = BetweenBounds(PHASES)
    (rotation,) = (symmetry for symmetry in SYMMETRIES if symmetry.key == "rotation")
    images, targets = rotation.move(DATA.images, DATA.targets, np.ones(len(DATA.images), int))
    before, after = decoder.encode(DATA.targets, DATA.images), decoder.encode(targets, images)
    np.testing.assert_allclose(after, before[:, [0, 1, 2, 4, 3, 5]] * [1, 1, -1, 1, 1, 1], atol=1e-9)


def test_phases_that_do_not_bind_are_refused():
    with pytest.raises(Unavailable, match="phases=E,nu,E,nu"):
        BetweenBounds(None)
    with pytest.raises(Unavailable, match="one plane-strain bulk modulus"):
        BetweenBounds((Phase(5, 0.3), Phase(5, 0.3)))
