import itertools

import numpy as np
import pytest

from suites.microstructure.duplicates import Twins, find_twins
from suites.microstructure.folder import read_folder
from suites.microstructure.homogenization import elastic_constants, homogenize, isotropic_stiffness
from suites.microstructure.materials import phases_of
from tests.suites.microstructure.examples import masks, shipped, told, write_shipped

TURNED = [1, 0, 2, 3, 5, 4, 7, 6, 8]  # C11 and C22, C23 and C13, C44 and C55 change places

SYMMETRIES = {
    "nothing": (lambda cell: cell, False),
    "half turn": (lambda cell: np.rot90(cell, 2), False),
    "mirror of rows": (lambda cell: cell[::-1], False),
    "mirror of columns": (lambda cell: cell[:, ::-1], False),
    "quarter turn": (np.rot90, True),
    "three quarters": (lambda cell: np.rot90(cell, 3), True),
    "diagonal": (lambda cell: cell.T, True),
    "other diagonal": (lambda cell: cell[::-1, ::-1].T, True),
}


def images(count=30):
    return masks(count)[..., None].astype(np.float32)


@pytest.mark.parametrize("name", SYMMETRIES)
def test_each_symmetry_and_shift_is_recognised(name):
    change, turned = SYMMETRIES[name]
    pictures = images()
    pictures[21, :, :, 0] = np.roll(change(pictures[4, :, :, 0]), (5, 40), (0, 1))
    assert find_twins(pictures) == [Twins(4, 21, equal=False, turned=turned)]


def test_what_is_equal_to_the_pixel_is_told_apart():
    pictures = images()
    pictures[9] = pictures[2]
    pictures[11] = np.roll(pictures[2], 1, 0)
    assert find_twins(pictures) == [Twins(2, 9, equal=True), Twins(2, 11, equal=False)]


def test_one_pixel_makes_another_image():
    pictures = images()
    pictures[21] = np.roll(pictures[4], 7, 1)
    white, black = np.argwhere(pictures[21, :, :, 0] == 1)[0], np.argwhere(pictures[21, :, :, 0] == 0)[0]
    pictures[21, *white], pictures[21, *black] = 0, 1
    assert find_twins(pictures) == []


def test_an_autocorrelation_in_common_is_no_proof():
    """The sums and the differences of two sets of numbers have the same distances (Patterson 1944)."""
    first, others = [0, 4, 10], [0, 1, 3]
    pictures = np.zeros((2, 32, 32, 1), np.float32)
    for x, y in itertools.product(first, others):
        pictures[0, 0, (x + y) % 32] = 1
        pictures[1, 0, (x - y) % 32] = 1
    spectra = np.abs(np.fft.fft2(pictures[..., 0]))
    np.testing.assert_allclose(spectra[0], spectra[1], atol=1e-5)
    assert find_twins(pictures) == []


def test_the_shipped_images_are_all_different():
    assert find_twins(shipped(520).images) == []


def with_twins(follow):
    made = shipped(60)
    pictures, constants = made.images.copy(), made.targets.copy()
    pictures[20, :, :, 0] = np.roll(np.rot90(pictures[3, :, :, 0]), (3, 9), (0, 1))
    constants[20] = constants[3][TURNED] * (1 + 1e-4) if follow else constants[3]
    return {"images": pictures, "targets": constants}


def test_twins_whose_constants_follow_are_a_leak(tmp_path):
    names = write_shipped(tmp_path, **with_twins(follow=True))
    assert told(tmp_path)[0] == [
        "images: the same periodic cell, shifted, turned or mirrored: it would leak from the training set into the "
        f"test set; keep one of each; {names[3]} = {names[20]}"
    ]


def test_twins_of_other_constants_are_suspicious(tmp_path):
    """Planted: the constants were not turned with the image."""
    names = write_shipped(tmp_path, **with_twins(follow=False))
    errors, (warning,) = told(tmp_path)
    assert errors == []
    assert "but with other constants" in warning
    assert warning.endswith(f"{names[3]} = {names[20]}")
    assert read_folder(tmp_path, None, None).warnings == (warning,)


def test_many_twins_are_one_line(tmp_path):
    made = shipped(60)
    pictures = made.images.copy()
    pictures[30:] = np.roll(pictures[:30], 1, axis=1)
    constants = np.concatenate([made.targets[:30]] * 2)
    write_shipped(tmp_path, images=pictures, targets=constants)
    (error,) = told(tmp_path)[0]
    assert "30 pairs: 0_disks.png = 30_disks.png, " in error
    assert error.endswith(" and 27 more")


def test_the_constants_of_a_turned_image_are_turned():
    """What is expected of twins is what the homogenization gives."""
    made = shipped(1)
    turned = np.rot90(made.images[:, :, :, 0].astype(int), axes=(1, 2))
    stiffnesses = np.stack([isotropic_stiffness(phase.young, phase.poisson) for phase in phases_of(made.facts)])
    np.testing.assert_allclose(
        elastic_constants(homogenize(turned, stiffnesses))[0], made.targets[0][TURNED], rtol=1e-6
    )
