import numpy as np
from PIL import Image

from harness.judging.maps import Mapped
from harness.showing.gradcam import _told, draw


def mapped(bright, true_class=""):
    image, place = np.full((8, 8), 0.5), np.zeros((8, 8))
    image[0, 0] = 1
    place[2:4, 5:7] = bright
    return Mapped("7", "C11", "GPa", 81.254, 80.0, true_class, image.tolist(), place.tolist())


def coloured(picture):
    """Whether anything has a colour, in each of the four quarters of a picture of two images."""
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    colours = np.ptp(pixels, axis=2) > 60
    down, across = colours.shape[0] // 2, colours.shape[1] // 2
    parts = colours[:down, :across], colours[:down, across:], colours[down:, :across], colours[down:, across:]
    return [bool(part.any()) for part in parts]


def test_an_image_stands_above_the_same_with_its_map(tmp_path):
    picture = draw([mapped(0.0), mapped(3.0)], "a model", tmp_path / "maps.png")
    assert coloured(picture) == [False, False, False, True]  # the first map is zero


def test_many_images_take_several_lines(tmp_path):
    one, twenty = (draw([mapped(1.0)] * n, "a model", tmp_path / f"{n}.png") for n in (1, 20))
    sizes = [Image.open(picture).size for picture in (one, twenty)]
    assert sizes[1][1] > 2.5 * sizes[0][1]


def test_what_is_true_and_what_is_answered():
    assert _told(mapped(1.0)) == "true 80 GPa\nanswer 81.25 GPa"
    lath = Mapped("7", "network", "", 0.5, 0.0, "laths", [], [])
    assert _told(lath) == "laths\nanswer: network 50%"
