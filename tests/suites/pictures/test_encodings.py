import numpy as np
import pytest

from suites.micrographs.encodings import Both, GrayStatistics
from suites.microstructure.statistics import STEREOLOGY, Descriptors, plain
from suites.pictures.encodings import OfLuminance
from suites.pictures.images import LUMINANCE
from tests.suites.microstructure.operators import run_alone


def images(channels, count=30):
    return np.random.default_rng(0).random((count, 18, 20, channels)).astype(np.float32)


def test_of_colours_it_is_what_the_inner_one_makes_of_luminance():
    coloured = images(3)
    encoder, inner = OfLuminance(Descriptors(STEREOLOGY)), Descriptors(STEREOLOGY)
    encoder.fit(coloured)
    grey = (coloured @ LUMINANCE)[..., None]
    inner.fit(grey)
    np.testing.assert_allclose(encoder.encode(coloured), inner.encode(grey), atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("beside", [False, True])
def test_operators_are_the_same_encoding(channels, beside, tmp_path):
    pictures = images(channels)
    encoder = OfLuminance(Descriptors(plain(5), 5, 4))
    encoder = Both(GrayStatistics(), encoder) if beside else encoder
    encoder.fit(pictures[:20])
    encoded = encoder.encode(pictures)
    found = run_alone(encoder.operators(), pictures, encoded.shape[1:], tmp_path)
    np.testing.assert_allclose(found, encoded, atol=2e-3)


def test_black_counts_for_nothing():
    pictures = images(3)
    encoder = OfLuminance(Descriptors(STEREOLOGY))
    encoder.fit(pictures)
    assert np.isfinite(encoder.encode(np.zeros_like(pictures))).all()
