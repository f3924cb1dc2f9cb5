import tracemalloc

import numpy as np
import pytest
from PIL import Image

from suites.microstructure.folder import read_image_folder
from suites.microstructure.images import read_images
from tests.suites.microstructure.examples import masks


@pytest.fixture
def paths(tmp_path):
    found = [tmp_path / f"{index}_x.png" for index in range(20)]
    for path, mask in zip(found, masks(20), strict=True):
        Image.fromarray(mask * 255).save(path)
    return found


def test_images_that_cannot_be_read_are_left_out(paths):
    paths[3].write_bytes(b"")
    paths[7].write_bytes(paths[7].read_bytes()[:-30])
    read = read_images(paths)
    assert read.places == [place for place in range(20) if place not in (3, 7)]
    np.testing.assert_array_equal(read.images[..., 0], masks(20)[read.places])
    assert [finding.where for finding in read.findings] == ["3_x.png", "7_x.png"]


def test_a_file_that_vanished_is_called_so(paths):
    """And what is there but no file is called that."""
    paths[0].unlink()
    paths[1].unlink()
    paths[1].mkdir()
    first, second = read_images(paths).spots
    assert (first.place, first.what) == (0, "is not there any more")
    assert (second.place, second.what[:11]) == (1, "a directory")


def test_no_memory_is_taken_for_images_that_do_not_fit(paths, tmp_path):
    """Planted: a model that claims 5000x5000 had 95 MiB for each image set aside before a header was looked at."""
    tracemalloc.start()
    unread = read_image_folder(tmp_path, (5000, 5000)).unread
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**20
    assert all("64x64 pixels instead of 5000x5000" in why for why in unread.values())
    assert len(unread) == len(paths)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_an_image_to_be_shown_turned_is_refused(paths, orientation):
    """Planted: turning exchanges C11 and C22, and the orientation was passed over."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(paths[0]).save(paths[0], exif=exif)
    read = read_images(paths)
    (finding,) = read.findings
    assert finding.where == "0_x.png"
    assert "to be shown rotated or mirrored" in finding.what
    assert read.places == list(range(1, 20))


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_an_image_to_be_shown_as_it_is_is_read(paths, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(paths[0]).save(paths[0], exif=exif)
    assert read_images(paths).findings == []


@pytest.mark.parametrize(
    ("size", "remedy"),
    [((128, 128), "resample the whole image to nearest neighbours, or render it anew; do not crop it"),
     ((128, 64), "render a square cell anew; neither crop nor stretch it")],
)  # fmt: skip
def test_nobody_is_told_to_crop(paths, size, remedy):
    """Planted: a part of a cell has other constants than the whole."""
    Image.new("L", size).save(paths[0])
    (finding,) = read_images(paths).findings
    assert f": {remedy}, for constants are those of the whole cell" in finding.what


def test_many_files_are_one_line(tmp_path):
    found = [tmp_path / f"{index}_{'x' * 100}.png" for index in range(100)]
    for path in found:
        path.write_bytes(b"")
    (finding,) = read_images(found).findings
    assert finding.what.startswith("zero bytes: write it anew; 100 images: 0_")
    assert finding.what.endswith(" and 97 more")
    assert len(finding.what) < 500
