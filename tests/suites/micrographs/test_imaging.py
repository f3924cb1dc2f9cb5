"""A photograph is what its session says."""

import msgspec
import numpy as np
import pytest

from suites.micrographs.imaging import Session, draw_session, photograph

PLAIN = Session(soft=0.2, contrast=0.5, tilts=(0.0, 0.0), noise=0.0, blur=0.0)
MASK = (np.random.default_rng(0).random((64, 64)) < 0.4).astype(np.uint8)


def taken(**changed):
    return photograph(MASK, msgspec.structs.replace(PLAIN, **changed), np.random.default_rng(1)).astype(float)


def test_a_plain_session_shows_two_levels():
    np.testing.assert_array_equal(taken(), np.where(MASK, round(0.7 * 255), 51))


def test_noise_has_the_deviation_that_is_said():
    assert (taken(noise=0.05) - taken()).std() == pytest.approx(0.05 * 255, rel=0.03)


def test_blur_keeps_the_mean_and_lowers_the_contrast():
    assert taken(blur=1.0).mean() == pytest.approx(taken().mean(), abs=0.5)
    assert taken(blur=1.0).std() < 0.6 * taken().std()


def test_a_tilt_goes_along_its_axis():
    along, across = (taken(tilts=tilts) - taken() for tilts in ((0.2, 0.0), (0.0, 0.2)))
    assert along[0, -1] - along[0, 0] == pytest.approx(0.2 * 255, abs=1)
    assert along[-1, 0] - along[0, 0] == 0
    np.testing.assert_array_equal(along.T[0], across[0] * 0 + along[0, 0])


def test_what_leaves_the_gray_scale_is_cut_off():
    assert taken(soft=0.8).max() == 255
    assert taken(soft=-0.1).min() == 0


def test_sessions_differ():
    sessions = [draw_session(np.random.default_rng(seed)) for seed in range(3)]
    assert len(set(sessions)) == 3
    assert draw_session(np.random.default_rng(0)) == sessions[0]


def test_vignetting_darkens_the_corners_by_its_share_and_not_the_middle():
    dark, light = taken(vignetting=0.4), taken()
    assert dark[0, 0] == pytest.approx(0.6 * light[0, 0], abs=1)
    assert dark[32, 32] == pytest.approx(light[32, 32], abs=1)
