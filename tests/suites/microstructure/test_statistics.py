"""Statistics against brute force, and their ONNX operators against themselves."""

import itertools

import numpy as np
import pytest
from sklearn.decomposition import PCA

from suites.microstructure.maps import TwoPointMap
from suites.microstructure.statistics import CUBIC, STEREOLOGY, Descriptors, autocovariance, interacting, plain
from suites.microstructure.symmetries import SYMMETRIES
from tests.suites.microstructure.operators import run_alone


def pictures(count=30, height=12, width=10, grey=False):
    """Of unlike shares and textures."""
    draw = np.random.default_rng(0)
    rough = draw.random((count, height, width, 1))
    smooth = (rough + np.roll(rough, 1, 1) + np.roll(rough, 1, 2) * np.linspace(0, 3, count)[:, None, None, None]) / 4
    return (smooth if grey else smooth < draw.uniform(0.2, 0.8, (count, 1, 1, 1))).astype(np.float32)


@pytest.mark.parametrize("grey", [False, True])
def test_the_autocovariance_is_that_of_all_pairs_of_pixels(grey):
    images = pictures(3, 5, 6, grey)
    for image, found in zip(images[..., 0].astype(float), autocovariance(images), strict=True):
        for down, right in itertools.product(range(5), range(6)):
            pairs = [
                (image[y, x] - image.mean()) * (image[(y + down) % 5, (x + right) % 6] - image.mean())
                for y, x in itertools.product(range(5), range(6))
            ]
            assert found[down, right] == pytest.approx(np.mean(pairs), abs=1e-9)


def standardised(table, training=slice(None)):
    return (table - table[training].mean(axis=0)) / table[training].std(axis=0)


def counted(images):
    """Volume fraction, and changes from pixel to pixel along x1 and x2, by counting."""
    grey = images[..., 0].astype(float)
    steps = [((grey - np.roll(grey, 1, axis)) ** 2).mean(axis=(1, 2)) for axis in (2, 1)]
    return np.stack([grey.mean(axis=(1, 2)), *steps], axis=1)


def test_stereology_is_what_counting_gives():
    images, encoder = pictures(), Descriptors(STEREOLOGY)
    encoder.fit(images[:20])
    np.testing.assert_allclose(encoder.encode(images), standardised(counted(images), slice(20)), rtol=1e-4, atol=1e-5)


def test_a_cubic_has_every_monomial_of_degree_three_or_less():
    images, encoder = pictures(), Descriptors(CUBIC)
    encoder.fit(images)
    x, y, z = standardised(counted(images)).T
    monomials = [x, y, z, x * x, x * y, x * z, y * y, y * z, z * z]
    monomials += [x**3, x * x * y, x * x * z, x * y * y, x * y * z, x * z * z, y**3, y * y * z, y * z * z, z**3]
    np.testing.assert_allclose(encoder.encode(images), standardised(np.stack(monomials, axis=1)), rtol=1e-3, atol=1e-4)


def test_components_are_scikit_learns_of_the_near_autocovariance_of_images_and_their_mirror_images():
    images, reach = pictures(40, 12, 12), 3
    encoder = Descriptors(plain(4), components=4, reach=reach)
    encoder.fit(images)
    near = np.arange(-reach, reach + 1)
    window = autocovariance(images)[:, near[:, None], near]
    expected = PCA(4).fit_transform(((window + window[:, ::-1]) / 2).reshape(40, -1))
    found = encoder.encode(images)[:, 5:]
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found, expected / expected[:, 0].std() * signs, rtol=1e-3, atol=1e-4)


def test_interactions_are_products_with_the_volume_fraction():
    images = pictures()
    encoder, by_themselves = Descriptors(interacting(2), 2, 3), Descriptors(plain(2), 2, 3)
    encoder.fit(images)
    by_themselves.fit(images)
    fraction, interface, _, _, _, first, _ = by_themselves.encode(images).T
    found = encoder.encode(images)
    assert found.shape == (30, 7 + 2 + 4)
    np.testing.assert_allclose(found[:, 7], standardised(fraction * interface), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[:, 9], standardised(fraction * first), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[:, 11], standardised(fraction**2 * first), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("key", ["shift", "mirror"])
def test_what_is_shifted_or_mirrored_is_described_alike(key):
    images, encoder = pictures(20, 12, 12), Descriptors(plain(6), 6, 4)
    encoder.fit(images)
    (symmetry,) = (symmetry for symmetry in SYMMETRIES if symmetry.key == key)
    moved, _ = symmetry.move(images, np.empty((20, 0)), np.ones(20, int))
    np.testing.assert_allclose(encoder.encode(moved), encoder.encode(images), rtol=1e-4, atol=1e-5)


ENCODERS = {
    "stereology": lambda: Descriptors(STEREOLOGY),
    "cubic": lambda: Descriptors(CUBIC),
    "two-point": lambda: Descriptors(plain(5), 5, 3),
    "two-point products": lambda: Descriptors(interacting(5), 5, 3),
}


@pytest.mark.parametrize("shape", [(12, 10), (9, 9), (16, 7)], ids=str)
@pytest.mark.parametrize("name", ENCODERS)
def test_operators_describe_alike(name, shape, tmp_path):
    images, encoder = pictures(30, *shape, grey=shape == (9, 9)), ENCODERS[name]()
    encoder.fit(images[:20])
    expected = encoder.encode(images)
    found = run_alone(encoder.operators(), images, expected.shape[1:], tmp_path)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("encoder", [Descriptors(plain(5), 5, 3), TwoPointMap(3)], ids=["two-point", "map"])
def test_operators_describe_bright_images_of_little_contrast_alike(encoder, tmp_path):
    """Whose mean is 300 times what they show: in single precision it would drown that."""
    noise = np.random.default_rng(0).normal(size=(40, 64, 64, 1))
    images = (0.9 + 0.003 * noise).astype(np.float32)
    encoder.fit(images[:30])
    expected = encoder.encode(images)
    found = run_alone(encoder.operators(), images, expected.shape[1:], tmp_path)
    np.testing.assert_allclose(found, expected, atol=0.02)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_training_images_have_few_components(count):
    """And what does not vary is not divided by."""
    images, encoder = pictures(), Descriptors(plain(10), 10, 3)
    encoder.fit(images[:count])
    encoded = encoder.encode(images)
    assert encoded.shape == (30, 5 + count - 1)
    assert np.isfinite(encoded).all()
