"""Islands are what they were drawn as."""

import numpy as np
import pytest

from suites.microstructure.shapes import Shapes, measure_islands


def disk(size, row, column, radius):
    rows, columns = np.ogrid[:size, :size]
    return np.hypot(rows - row, columns - column) <= radius


def test_two_disks():
    mask = disk(64, 16, 16, 8) | disk(64, 40, 48, 8)
    count, euler, mean, deviation, largest, _, eccentricity, _, _, apart, spread = measure_islands(mask)
    assert (count, euler, deviation, spread) == (2, 2, 0, 0)
    assert mean == pytest.approx(np.pi * 64, rel=0.03)
    assert largest == 0.5
    assert eccentricity == pytest.approx(0, abs=0.05)
    assert apart == pytest.approx(40)


def test_a_ring_has_a_hole():
    ring = disk(64, 32, 32, 16) & ~disk(64, 32, 32, 8)
    assert measure_islands(ring)[:2].tolist() == [1, 0]


@pytest.mark.parametrize(("turns", "cosine"), [(0, -1), (1, 1)])
def test_a_bar_lies_along_its_axis(turns, cosine):
    bar = np.zeros((64, 64), bool)
    bar[30:34, 10:50] = True
    found = measure_islands(np.rot90(bar, turns))
    assert found[7] == pytest.approx(cosine)
    assert found[8] == pytest.approx(0, abs=1e-9)
    assert found[6] > 0.99


@pytest.mark.parametrize("where", [(16, 16), (20, 37)])
def test_a_disc_and_a_square_have_no_direction_and_add_none_to_a_bar(where):
    round_ones = disk(64, *where, 8)
    round_ones[50:56, 50:56] = True
    assert measure_islands(round_ones)[7:9].tolist() == [0, 0]
    bar = np.zeros((64, 64), bool)
    bar[60:62, 2:40] = True
    both = measure_islands(round_ones | bar)
    assert both[7] == pytest.approx(-bar.sum() / (round_ones | bar).sum())
    assert both[8] == pytest.approx(0, abs=1e-9)


def test_what_touches_at_a_corner_hangs_together():
    mask = np.zeros((8, 8), bool)
    mask[2, 2] = mask[3, 3] = True
    assert measure_islands(mask)[0] == 1


def test_nothing_white_and_all_white():
    assert not measure_islands(np.zeros((8, 8), bool)).any()
    assert measure_islands(np.ones((8, 8), bool))[[0, 2, 4]].tolist() == [1, 64, 1]


def test_shapes_are_standardised_over_the_training_images():
    images = np.stack([disk(32, 16, 16, radius) for radius in (4, 6, 8)])[..., None].astype(np.float32)
    encoder = Shapes()
    encoder.fit(images)
    encoded = encoder.encode(images)
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-6)
    assert encoded[:, 2].std() == pytest.approx(1, abs=1e-6)
    assert (encoded[:, 0] == 0).all()
    assert encoder.operators() is None
    assert encoder.encode(images[:0]).shape == (0, 11)
