"""What models may be shown of a micrograph, against brute force, and in ONNX."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites.micrographs.encodings import Both, GrayStatistics, Normalised, Segmented, segmented
from suites.micrographs.imaging import Session, photograph
from suites.microstructure.encodings import VolumeFraction
from tests.suites.microstructure.operators import run_alone

MASKS = (np.random.default_rng(0).random((6, 16, 16)) < np.linspace(0.2, 0.7, 6)[:, None, None]).astype(np.uint8)


SESSION = Session(0.3, 0.4, (0.0, 0.0), 0.03, 0.0)


def images(session=SESSION):
    taken = [photograph(mask, session, np.random.default_rng(number)) for number, mask in enumerate(MASKS)]
    return np.stack(taken)[..., None].astype(np.float32) / np.float32(255)


def test_gray_statistics_are_shares_of_darker_pixels_and_steps():
    encoder = GrayStatistics()
    encoder.fit(images())
    numbers = encoder.encode(images()) * encoder._spread + encoder._middle
    plane = images()[2, :, :, 0].astype(float)
    np.testing.assert_allclose(numbers[2, :19], [(plane < shade / 20).mean() for shade in range(1, 20)], atol=1e-6)
    steps = [plane[1:] - plane[:-1], plane[:, 1:] - plane[:, :-1], plane[2:] - plane[:-2], plane[:, 2:] - plane[:, :-2]]
    np.testing.assert_allclose(numbers[2, 19:], [np.sqrt((step**2).mean()) for step in steps], atol=1e-6)


def test_gray_statistics_are_standardised_over_the_training_images():
    encoder = GrayStatistics()
    encoder.fit(images())
    encoded = encoder.encode(images())
    varies = encoded.std(axis=0) > 0
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(encoded.std(axis=0)[varies], 1, atol=1e-5)


def test_gray_statistics_in_onnx(tmp_path):
    encoder = GrayStatistics()
    encoder.fit(images())
    found = run_alone(encoder.operators(), images(), [23], tmp_path)
    np.testing.assert_allclose(found, encoder.encode(images()), atol=2e-4)


def otsu(image):
    """Every threshold of every fourth gray level, by the definition."""
    levels = np.rint(image * 255)
    best, chosen = -1.0, 0
    for level in range(1, 255, 4):
        dark = levels <= level
        if dark.any() and not dark.all():
            apart = dark.mean() * (~dark).mean() * (levels[dark].mean() - levels[~dark].mean()) ** 2
            if apart > best * (1 + 1e-12):
                best, chosen = apart, level
    return levels > chosen


@given(st.integers(0, 10**6))
def test_phases_are_otsus(seed):
    image = np.random.default_rng(seed).integers(0, 256, (1, 8, 8, 1)).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(segmented(image)[0, :, :, 0], otsu(image[0, :, :, 0]))


@pytest.mark.parametrize("session", [SESSION, Session(0.1, 0.8, (0.0, 0.0), 0.05, 0.0)])
def test_phases_do_not_hang_on_the_session(session):
    np.testing.assert_array_equal(segmented(images(session))[..., 0], MASKS)


def test_an_image_of_one_gray_level_has_one_phase():
    assert len(np.unique(segmented(np.full((1, 8, 8, 1), 0.5, np.float32)))) == 1
    assert segmented(np.empty((0, 8, 8, 1), np.float32)).shape == (0, 8, 8, 1)


def test_encodings_after_segmentation_and_side_by_side():
    inner, both = Segmented(VolumeFraction()), Both(GrayStatistics(), Segmented(VolumeFraction()))
    for encoder in (inner, both):
        encoder.fit(images())
        assert encoder.operators() is None
    np.testing.assert_allclose(inner.encode(images())[:, 0], MASKS.mean(axis=(1, 2)), atol=1e-6)
    assert both.encode(images()).shape == (6, 24)
    np.testing.assert_array_equal(both.encode(images())[:, 23:], inner.encode(images()))
    np.testing.assert_array_equal(Segmented().encode(images()), segmented(images()))


def test_normalised_gray_levels_in_onnx(tmp_path):
    found = run_alone(Normalised().operators(), images(), [16, 16, 1], tmp_path)
    np.testing.assert_allclose(found, Normalised().encode(images()), atol=1e-5)
    np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), 0, atol=1e-5)


def test_a_constant_image_shows_nothing_in_onnx_either(tmp_path):
    levels = np.array([0, 37, 200, 255], np.float32) / np.float32(255)
    constant = np.tile(levels[:, None, None, None], (1, 64, 64, 1))
    constant[3, 0, 0] = 254 / 255  # one pixel darker by a level
    found = run_alone(Normalised().operators(), constant, [64, 64, 1], tmp_path)
    np.testing.assert_allclose(found[:3], 0, atol=1e-3)
    np.testing.assert_allclose(found, Normalised().encode(constant), atol=1e-2, rtol=1e-3)
