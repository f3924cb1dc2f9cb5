"""Two-point statistics and eigen-microstructures, against brute force, exact values and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.decomposition import PCA

from suites.microstructure.maps import EigenImages, RadialTwoPoint, TwoPointMap, two_point
from tests.suites.microstructure.operators import run_alone

IMAGES = (np.random.default_rng(0).random((8, 16, 16, 1)) < np.linspace(0.2, 0.7, 8)[:, None, None, None]).astype("f4")


def counted(image):
    """S2 by going to every pixel and every vector."""
    height, width = image.shape
    found = np.zeros(image.shape)
    for down in range(height):
        for right in range(width):
            for row in range(height):
                for column in range(width):
                    found[down, right] += image[row, column] * image[(row + down) % height, (column + right) % width]
    return found / image.size


@given(arrays(np.float32, (5, 6), elements=st.sampled_from([0.0, 0.25, 1.0])))
def test_two_point_statistics_are_what_counting_gives(image):
    np.testing.assert_allclose(two_point(image[None, :, :, None])[0], counted(image.astype(float)), atol=1e-9)


def test_two_point_statistics_of_layers_and_of_no_length_and_far_away():
    layers = np.zeros((1, 8, 8, 1), np.float32)
    layers[:, :, ::2] = 1
    found = two_point(layers)[0]
    np.testing.assert_allclose(found[:, ::2], 0.5, atol=1e-12)
    np.testing.assert_allclose(found[:, 1::2], 0.0, atol=1e-12)
    np.testing.assert_allclose(two_point(IMAGES)[:, 0, 0], IMAGES.mean(axis=(1, 2, 3)), atol=1e-6)
    # Over all vectors S2 is the square of the fraction on average.
    np.testing.assert_allclose(two_point(IMAGES).mean(axis=(1, 2)), IMAGES.mean(axis=(1, 2, 3)) ** 2, atol=1e-6)


def test_the_other_pair_of_phases_follows():
    fraction, s2 = IMAGES.mean(axis=(1, 2, 3))[:, None, None], two_point(IMAGES)
    np.testing.assert_allclose(two_point(1 - IMAGES), 1 - 2 * fraction + s2, atol=1e-6)


def raw(encoder, images):
    """Before it was standardised."""
    encoded = encoder.encode(images).reshape(len(images), -1)
    return encoded * encoder._spread + encoder._middle


@pytest.mark.parametrize("size", [(16, 16), (15, 13)])
def test_the_map_is_s2_with_no_length_in_its_middle(size):
    images = IMAGES[:, : size[0], : size[1]]
    encoder = TwoPointMap(4)
    encoder.fit(images)
    assert encoder.encode(images).shape == (8, 9, 9, 1)
    found = raw(encoder, images).reshape(8, 9, 9)
    np.testing.assert_allclose(found, np.roll(two_point(images), (4, 4), axis=(1, 2))[:, :9, :9], atol=1e-5)


def test_rings_are_averages_over_directions():
    encoder = RadialTwoPoint(6)
    encoder.fit(IMAGES)
    found, s2 = raw(encoder, IMAGES), two_point(IMAGES)
    for ring in range(7):
        vectors = [
            (down, right) for down in range(-7, 9) for right in range(-7, 9) if round(np.hypot(down, right)) == ring
        ]
        expected = np.mean([s2[:, down % 16, right % 16] for down, right in vectors], axis=0)
        np.testing.assert_allclose(found[:, ring], expected, atol=1e-5)


@pytest.mark.parametrize("encoder", [TwoPointMap(4), RadialTwoPoint(6)])
def test_statistics_are_standardised_and_hang_on_no_shift(encoder):
    encoder.fit(IMAGES)
    encoded = encoder.encode(IMAGES).reshape(8, -1)
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(encoded.std(axis=0), 1, atol=1e-4)
    moved = encoder.encode(np.roll(IMAGES, (3, 5), axis=(1, 2)))
    np.testing.assert_allclose(moved.reshape(8, -1), encoded, atol=1e-4)
    assert encoder.encode(IMAGES[:0]).shape == (0, *encoder.shape())


def test_eigen_microstructures_are_scikit_learns_principal_components():
    encoder = EigenImages(3)
    encoder.fit(IMAGES)
    flat = IMAGES.reshape(8, -1).astype(float)
    spread = flat.std(axis=0)
    standard = np.where(spread > 0, (flat - flat.mean(axis=0)) / np.where(spread > 0, spread, 1), 0)
    reference = PCA(3).fit(standard)
    shares = reference.transform(standard)
    found = encoder.encode(IMAGES)
    np.testing.assert_allclose(np.abs(found), np.abs(shares) / shares[:, 0].std(), atol=1e-4)
    np.testing.assert_allclose(found[:, 0].std(), 1, atol=1e-4)


@pytest.mark.parametrize("encoder", [TwoPointMap(4), RadialTwoPoint(6), EigenImages(3)])
def test_in_onnx(encoder, tmp_path):
    encoder.fit(IMAGES)
    expected = encoder.encode(IMAGES)
    found = run_alone(encoder.operators(), IMAGES, expected.shape[1:], tmp_path)
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("encoder", [TwoPointMap(4), RadialTwoPoint(6), EigenImages(3)])
def test_images_all_alike_give_zeros(encoder):
    encoder.fit(np.ones((4, 16, 16, 1), np.float32))
    np.testing.assert_array_equal(encoder.encode(np.ones((4, 16, 16, 1), np.float32)), 0)
