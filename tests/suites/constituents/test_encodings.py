import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from suites.constituents.encodings import Extremes, Smoothed, smoothed
from suites.micrographs.encodings import GrayStatistics

IMAGES = np.random.default_rng(0).random((8, 16, 16, 1)).astype(np.float32)


def test_smoothing_is_of_each_image_by_itself():
    np.testing.assert_allclose(
        smoothed(IMAGES, 1.5)[3, :, :, 0], gaussian_filter(IMAGES[3, :, :, 0], 1.5, mode="reflect"), rtol=1e-6
    )


def test_a_smoothed_encoding_is_that_of_smoothed_images():
    plain, around = GrayStatistics(), Smoothed(GrayStatistics(), 1.0)
    plain.fit(smoothed(IMAGES, 1.0))
    around.fit(IMAGES)
    np.testing.assert_array_equal(around.encode(IMAGES), plain.encode(smoothed(IMAGES, 1.0)))
    assert around.operators() is None


def test_extremes_hang_on_neither_gain_nor_level_nor_on_how_a_patch_is_turned():
    encoder = Extremes()
    encoder.fit(IMAGES)
    found = encoder.encode(IMAGES)
    assert found.shape == (8, 24)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-4)
    np.testing.assert_allclose(encoder.encode(0.5 * IMAGES + np.float32(0.2)), found, atol=2e-4)
    np.testing.assert_allclose(encoder.encode(np.ascontiguousarray(np.rot90(IMAGES, axes=(1, 2)))), found, atol=1e-4)
    assert encoder.encode(IMAGES[:0]).shape == (0, 24)
    assert encoder.operators() is None


@pytest.mark.parametrize(("level", "column"), [(-3.0, 0), (3.0, 11)])
def test_a_spot_shows_in_the_extreme_on_its_side(level, column):
    encoder = Extremes()
    encoder.fit(IMAGES)
    spotted = IMAGES.copy()
    spotted[:, 6:10, 6:10] += np.float32(level)
    change = (encoder.encode(spotted) - encoder.encode(IMAGES))[:, column]
    assert (np.sign(change) == np.sign(level)).all()
