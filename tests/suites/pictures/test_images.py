import re
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.errors import BenchError
from suites.pictures.images import LUMINANCE, MOST, find_images, read_images, reduced


def grey(height=24, width=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


def saved(folder, name, array, **how):
    path = folder / name
    Image.fromarray(array).save(path, **how)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff", "bmp", "PNG"])
def test_grey_pictures_are_read_to_the_bit(tmp_path, suffix):
    path = saved(tmp_path, f"a.{suffix}", grey())
    found = read_images([path])
    assert found.findings == []
    assert found.size == (24, 32)
    np.testing.assert_array_equal(found.images[0, :, :, 0], grey().astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_read_to_the_bit(tmp_path, suffix):
    values = np.random.default_rng(0).integers(0, 65536, (20, 20)).astype(np.uint16)
    found = read_images([saved(tmp_path, f"a.{suffix}", values)])
    np.testing.assert_allclose(found.images[0, :, :, 0], values / 65535, rtol=1e-6)


def test_colours_stay_and_grey_ones_beside_them_are_repeated(tmp_path):
    colours = np.stack([grey(seed=1), grey(seed=2), grey(seed=3)], axis=2)
    paths = [saved(tmp_path, "a.png", colours), saved(tmp_path, "b.png", grey())]
    found = read_images(paths)
    assert found.images.shape == (2, 24, 32, 3)
    np.testing.assert_allclose(found.images[0], colours / 255, rtol=1e-6)
    np.testing.assert_allclose(found.images[1], grey()[:, :, None].repeat(3, axis=2) / 255, rtol=1e-6)
    as_grey = read_images(paths, channels=1).images
    np.testing.assert_allclose(as_grey[0, :, :, 0], colours / 255 @ LUMINANCE, rtol=1e-5)


def test_a_bitmap_keeps_its_colours_and_says_where_it_is_damaged(tmp_path):
    colours = np.stack([grey(seed=1), grey(seed=2), grey(seed=3)], axis=2)
    path = saved(tmp_path, "a.bmp", colours)
    np.testing.assert_allclose(read_images([path]).images[0], colours / 255, rtol=1e-6)
    path.write_bytes(path.read_bytes()[:-9])
    (finding,) = read_images([path]).findings
    assert "truncated or damaged" in finding.what
    path.write_bytes(path.read_bytes()[:20])
    (finding,) = read_images([path]).findings
    assert "damaged, or of a kind of PNG, TIFF, JPEG or BMP" in finding.what


def test_a_grey_jpeg_of_three_channels_is_grey(tmp_path):
    flat = np.full((32, 32, 3), 128, np.uint8)
    assert read_images([saved(tmp_path, "a.jpg", flat)]).images.shape == (1, 32, 32, 1)


@given(st.integers(16, 8192), st.integers(16, 8192))
def test_reduced_pictures_have_at_most_so_many_pixels_and_their_shape(height, width):
    small = reduced((height, width))
    assert max(small) <= MOST
    assert max(height, width) > MOST or small == (height, width)
    factor = -(-max(height, width) // MOST)
    assert all(edge * factor <= whole < (edge + 1) * factor for edge, whole in zip(small, (height, width), strict=True))


def test_a_large_picture_is_reduced_to_the_means_of_blocks(tmp_path):
    values = grey(256, 300)
    found = read_images([saved(tmp_path, "a.png", values)])
    blocks = values[:255].reshape(85, 3, 100, 3).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(found.images[0, :, :, 0], blocks, atol=1e-6)


def test_unlike_sizes_are_told_once_with_what_to_do(tmp_path):
    paths = [saved(tmp_path, f"{number}.png", grey(24, 32 + (number > 2))) for number in range(5)]
    (finding,) = read_images(paths).findings
    assert "not 32x24 pixels as most" in finding.what
    assert "say resize=32x24, which is width x height" in finding.what
    assert "2 images: 3.png, 4.png" in finding.what


def test_unlike_sizes_of_one_shape_can_be_resized(tmp_path):
    paths = [saved(tmp_path, "a.png", grey(32, 64)), saved(tmp_path, "b.png", grey(64, 128))]
    found = read_images(paths, resize=(16, 32))
    assert found.findings == []
    assert found.images.shape == (2, 16, 32, 1)
    assert found.size is None
    expected = grey(64, 128).reshape(16, 4, 32, 4).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(found.images[1, :, :, 0], expected, atol=1e-6)
    (finding,) = read_images([saved(tmp_path, "c.png", grey(64, 64))], resize=(16, 32)).findings
    assert "nothing is stretched" in finding.what
    (finding,) = read_images([saved(tmp_path, "d.png", grey(16, 32))], resize=(5000, 10000)).findings
    assert "smaller than 10000x5000, which is asked for: nothing is enlarged" in finding.what.replace(" (32x16)", "")


@given(st.lists(st.tuples(st.integers(16, 60), st.integers(16, 60), st.integers(1, 4)), min_size=2, max_size=5))
def test_a_size_that_is_told_works_for_all(tmp_path_factory, edges):
    """And where all are of one shape there is one."""
    folder = tmp_path_factory.mktemp("sizes")
    sizes = [(height * factor, width * factor) for height, width, factor in edges]
    paths = [saved(folder, f"{number}.png", grey(*size)) for number, size in enumerate(sizes)]
    told = " ".join(finding.what for finding in read_images(paths).findings)
    if found := re.search(r"resize=([0-9]+)x([0-9]+)", told):
        assert read_images(paths, (int(found[2]), int(found[1]))).findings == []
    else:
        assert len(set(sizes)) == 1 or "their shapes differ: crop or pad all to one" in told
    alike = [saved(folder, f"{n}.png", grey(edges[0][0] * n, edges[0][1] * n)) for n in (3, 1, 2)]
    assert f"resize={edges[0][1]}x{edges[0][0]}" in read_images(alike).findings[0].what


def test_a_size_that_is_asked_for_and_fits_none_is_told_with_one_that_does(tmp_path):
    paths = [saved(tmp_path, f"{n}.png", grey(60 * n, 80 * n)) for n in (1, 2)]
    (finding,) = read_images(paths, resize=(40, 30)).findings
    assert "of another shape than 30x40" in finding.what
    assert "say resize=80x60, which is width x height" in finding.what
    for_a_model = read_images(paths, resize=(40, 30), channels=1).findings
    assert not any("resize=" in finding.what for finding in for_a_model)


BROKEN = {
    "zero bytes": (lambda path: path.write_bytes(b""), "zero bytes"),
    "text": (lambda path: path.write_text("no picture"), "not a PNG, TIFF, JPEG or BMP"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:200]), "truncated or damaged"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "not a file"),
    "tiny": (lambda path: Image.fromarray(grey(8, 32)).save(path), "32x8 pixels: each edge must have 16 to 8192"),
    "huge": (lambda path: Image.new("1", (9000, 16)).save(path), "9000x16 pixels"),
    "see-through": (
        lambda path: Image.fromarray(np.full((24, 32, 4), 99, np.uint8)).save(path),
        "partly transparent",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_picture_is_told_and_the_others_are_read(tmp_path, kind):
    good, bad = saved(tmp_path, "good.png", grey()), saved(tmp_path, "bad.png", grey())
    harm, told = BROKEN[kind]
    harm(bad)
    found = read_images([good, bad])
    assert found.places == [0]
    assert [finding.where for finding in found.findings] == ["bad.png"]
    assert told in found.findings[0].what


def test_a_long_picture_is_told_before_nothing_is_left_of_it(tmp_path):
    (finding,) = read_images([saved(tmp_path, "a.png", grey(16, 2200))]).findings
    assert "fewer than 16 pixels are left across where 128 are along it" in finding.what
    assert "2200x16" in finding.what
    assert read_images([saved(tmp_path, "a.png", grey(16, 2200))], resize=(16, 2200)).findings == []


def test_damaged_tiffs_are_told_whatever_is_damaged(tmp_path, recwarn):
    whole = saved(tmp_path, "a.tif", grey()).read_bytes()
    draw = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        for place in draw.integers(len(data) - 200, len(data), 3):  # where the tags are
            data[place] = draw.integers(256)
        (tmp_path / "b.tif").write_bytes(data)
        found = read_images([tmp_path / "b.tif"])
        assert len(found.images) + len(found.spots) >= 1
    assert not recwarn.list  # of Pillow's


def test_a_transparent_value_of_sixteen_bits_is_refused(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (20, 20)).astype(np.uint16)
    (finding,) = read_images([saved(tmp_path, "a.png", values, transparency=7)]).findings
    assert "16 bits with a transparent value: save it without transparency" in finding.what


def test_a_stack_and_unknown_scales_are_refused(tmp_path):
    stack = tmp_path / "stack.tif"
    Image.fromarray(grey()).save(stack, save_all=True, append_images=[Image.fromarray(grey(seed=1))])
    floating = saved(tmp_path, "floating.tif", grey().astype(np.float32))
    wide = saved(tmp_path, "wide.tif", grey().astype(np.int32) * 10**6)
    told = " ".join(finding.what for finding in read_images([stack, floating, wide]).findings)
    assert "a stack of pictures" in told
    assert "pixels of kind F" in told
    assert "beyond 16 bits" in told


def test_a_picture_to_be_shown_turned_is_refused(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (finding,) = read_images([saved(tmp_path, "a.jpg", grey(), exif=exif)]).findings
    assert "rotated or mirrored (EXIF)" in finding.what


def test_images_are_found_in_natural_order_and_hidden_ones_left_out(tmp_path):
    for name in ("10.png", "2.tif", "1.jpeg", "._3.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in find_images(tmp_path)] == ["1.jpeg", "2.tif", "10.png"]
    with pytest.raises(BenchError, match="no image in this folder"):
        find_images(tmp_path.parent / tmp_path.name / "..")
    (tmp_path / "of" / "ferrite").mkdir(parents=True)
    (tmp_path / "of" / "ferrite" / "1.png").write_bytes(b"")
    with pytest.raises(BenchError, match="no image in this folder, but in its folders ferrite: give one of these"):
        find_images(tmp_path / "of")
    (tmp_path / "of" / "a.GIF").write_bytes(b"")
    with pytest.raises(BenchError, match=r"in its folders ferrite: give one of these; convert a\.GIF; \.png"):
        find_images(tmp_path / "of")
    with pytest.raises(BenchError, match="cannot be listed"):
        find_images(tmp_path / "nothing")


def test_images_that_lie_deeper_or_are_of_other_kinds_are_told_where_there_are_no_others(tmp_path):
    for name in ("crack/images/1.jpg", "fray/images/2.jpg", "fray/images/2.png", "free/3.gif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    told = r"no image in this folder, but in crack/images, fray/images: move them up, .*; convert free/3\.gif; \.png"
    with pytest.raises(BenchError, match=told):
        find_images(tmp_path)


def tiff(path, pixels, bits, photometric=1, sample_format=1):
    """A little-endian TIFF of one strip, written by hand: Pillow writes no negatives."""
    height, width = pixels.shape
    data = pixels.tobytes()
    tags = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: photometric,
        273: 8,
        277: 1,
        278: height,
        279: len(data),
        339: sample_format,
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ({"bits": 16, "photometric": 0}, "16 bits that count from white to black"),
        ({"bits": 8, "sample_format": 2}, "signed numbers of 8 bits"),
    ],
)
def test_a_tiff_whose_black_and_white_are_elsewhere_is_refused(tmp_path, kind, told):
    values = (grey() // 2).astype(f"<u{kind['bits'] // 8}")
    tiff(tmp_path / "a.tif", values, kind["bits"])
    (pixels,) = read_images([tmp_path / "a.tif"]).images
    np.testing.assert_allclose(pixels[..., 0], values / (2.0 ** kind["bits"] - 1), atol=1e-7)
    tiff(tmp_path / "a.tif", values, **kind)
    (finding,) = read_images([tmp_path / "a.tif"]).findings
    assert told in finding.what


def test_a_tiff_of_numbers_of_64_bits_is_no_damaged_one(tmp_path):
    tiff(tmp_path / "a.tif", grey() / 255, 64, sample_format=3)
    (finding,) = read_images([tmp_path / "a.tif"]).findings
    assert (
        "of a kind of PNG, TIFF, JPEG or BMP that is not read, as with decimal numbers of 64 bits: save it"
        in finding.what
    )


def test_a_tiff_of_two_channels_is_refused_for_one_alone_would_be_read(tmp_path):
    Image.fromarray(np.stack([grey(), grey()], axis=2), "LA").save(tmp_path / "a.tif")
    opacity, nothing = (struct.pack("<HHIHH", 338, 3, 1, said, 0) for said in (2, 0))  # what the second channel is
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes().replace(opacity, nothing))
    (finding,) = read_images([tmp_path / "a.tif"]).findings
    assert "2 channels, of which one alone would be read" in finding.what


def test_a_negative_of_eight_bits_is_turned_as_viewers_do(tmp_path):
    tiff(tmp_path / "a.tif", grey(), 8, photometric=0)
    (pixels,) = read_images([tmp_path / "a.tif"]).images
    np.testing.assert_allclose(pixels[..., 0], 1 - grey() / 255, atol=1e-6)
