import numpy as np
import pytest
from scipy import ndimage

from harness.errors import BenchError
from suites.microstructure.generators import FAMILIES, FRACTIONS, generate

ALL = tuple(FAMILIES)


@pytest.fixture(scope="module")
def images():
    return generate(ALL, 100, 64, seed=3)


def test_families_take_turns(images):
    masks, families = images
    assert masks.shape == (100, 64, 64)
    assert set(np.unique(masks)) == {0, 1}
    assert families[:6] == (*ALL, ALL[0])


def test_volume_fractions_fill_their_range(images):
    fractions = images[0].mean(axis=(1, 2))
    assert FRACTIONS[0] - 1e-3 <= fractions.min() < 0.22
    assert 0.58 < fractions.max() <= FRACTIONS[1] + 1e-3


def test_the_same_seed_gives_the_same_images(images):
    np.testing.assert_array_equal(generate(ALL, 100, 64, seed=3)[0], images[0])
    assert not np.array_equal(generate(ALL, 100, 64, seed=4)[0], images[0])


def test_a_larger_set_begins_with_the_smaller(images):
    np.testing.assert_array_equal(generate(ALL, 23, 64, seed=3)[0], images[0][:23])


def test_a_family_alone_gives_the_same_images(images):
    masks, families = images
    alone, _ = generate(("voronoi",), 5, 64, seed=3)
    np.testing.assert_array_equal(alone, masks[[family == "voronoi" for family in families]][:5])


def test_no_image_comes_twice(images):
    assert len(np.unique(images[0].reshape(100, -1), axis=0)) == 100


@pytest.mark.parametrize("family", ALL)
def test_images_are_periodic(family):
    """Edges that meet differ no more than neighbouring rows inside do."""
    masks, _ = generate((family,), 40, 64, seed=0)
    inside = (masks[:, :-1] != masks[:, 1:]).mean()
    seam = (masks[:, 0] != masks[:, -1]).mean()
    assert seam < 1.3 * inside
    assert (masks[:, :, 0] != masks[:, :, -1]).mean() < 1.3 * (masks[:, :, :-1] != masks[:, :, 1:]).mean()


def test_lamellae_are_oriented_and_disks_are_not():
    def anisotropy(masks):
        fields = masks - masks.mean(axis=(1, 2), keepdims=True)
        gy, gx = ndimage.sobel(fields, axis=1, mode="wrap"), ndimage.sobel(fields, axis=2, mode="wrap")
        tensor = np.array(
            [[(gx * gx).sum((1, 2)), (gx * gy).sum((1, 2))], [(gx * gy).sum((1, 2)), (gy * gy).sum((1, 2))]]
        )
        low, high = np.linalg.eigvalsh(tensor.transpose(2, 0, 1)).T
        return np.median((high - low) / (high + low))

    assert anisotropy(generate(("lamellae",), 20, 64, 0)[0].astype(float)) > 0.5
    assert anisotropy(generate(("disks",), 20, 64, 0)[0].astype(float)) < 0.3


@pytest.mark.parametrize(
    ("families", "size", "said"),
    [(("diskss",), 64, "did you mean 'disks'"), ((), 64, "at least one family"), (ALL, 4, "8 pixels")],
)
def test_what_makes_no_image_is_refused(families, size, said):
    with pytest.raises(BenchError, match=said):
        generate(families, 5, size, 0)
