import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import median_filter

from suites.films import rendering
from suites.films.rendering import (
    angles_of,
    as_images,
    as_levels,
    cache_folder,
    gray_levels,
    median,
    render,
    render_all,
    rendered,
)
from suites.films.tessellation import grains, pieces
from tests.suites.films.examples import drawn, mirrored, mirrored_image, shifted, shipped, turned, turned_image


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "cijbench"


@pytest.fixture
def counted(monkeypatch):
    """How often anything was rendered."""
    calls = []
    original = rendering.render_all
    monkeypatch.setattr(rendering, "render_all", lambda *arguments: calls.append(1) or original(*arguments))
    return calls


FILMS = [drawn(index=index) for index in range(3)]


# --- images ----------------------------------------------------------------------------------------------------------


def test_gray_runs_from_0_to_90_degrees():
    np.testing.assert_array_equal(gray_levels([0, 45.1, 89.99]), [0, 128, 255])
    levels = np.arange(256)
    np.testing.assert_array_equal(gray_levels(angles_of(levels)), levels)
    assert np.abs(angles_of(gray_levels(np.linspace(0, 89.99, 1000))) - np.linspace(0, 89.99, 1000)).max() < 0.18


@pytest.mark.parametrize("shape", [(3, 3), (16, 17), (64, 50)])
def test_the_median_is_scipys(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.testing.assert_array_equal(median(image), median_filter(image, 3, mode="wrap"))


@pytest.mark.parametrize("ratio", [1.5, 4, 10])
def test_an_image_shows_each_grain_and_no_other_level(ratio):
    film = drawn(ratio)
    image, levels = render(film), gray_levels(film.degrees)
    assert image.shape == (128, 128)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(np.unique(image), np.unique(levels))
    exact = levels[grains(film, 128)]
    assert (image != exact).mean() < 0.015
    assert abs(pieces(image) - pieces(exact)) <= 4  # single pixels where three grains meet


def test_images_move_with_their_films():
    """Where two grains have halves of a pixel, the median takes the darker one, whatever way the film is turned."""
    film = drawn(6)
    image = render(film)
    np.testing.assert_array_equal(render(turned(film)), turned_image(image))
    np.testing.assert_array_equal(render(shifted(film, 512 * 7, 512 * 30)), np.roll(image, (30, 7), (0, 1)))
    differs = render(mirrored(film)) != 255 - mirrored_image(image)  # the angle turns around: 90 degrees less it
    assert differs.mean() < 0.02


def test_images_are_whole_levels_in_0_to_1():
    levels = render_all(FILMS)
    images = as_images(levels)
    assert images.shape == (3, 128, 128, 1)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images[..., 0] * np.float32(255), levels)
    np.testing.assert_array_equal(as_levels(images), levels)


def test_what_is_rendered_is_what_this_version_rendered():
    """Another value here means other images: raise VERSION with it, so that kept ones are made anew."""
    levels = render_all(shipped().films[::600])
    assert (rendering.VERSION, _sha256(levels)) == (1, "cdb7d072249050c3")


def _sha256(levels):
    import hashlib

    return hashlib.sha256(levels.tobytes()).hexdigest()[:16]


# --- the cache -------------------------------------------------------------------------------------------------------


def test_films_are_rendered_once(cache, counted):
    first = rendered(FILMS)
    np.testing.assert_array_equal(first, render_all(FILMS))
    np.testing.assert_array_equal(rendered(FILMS), first)
    assert len(counted) == 1
    assert len(list(cache.iterdir())) == 1
    rendered(FILMS)[0] = 0  # a copy of what is kept, to do with as one likes
    np.testing.assert_array_equal(rendered(FILMS), first)


def test_other_films_and_versions_are_kept_apart(cache, counted, monkeypatch):
    rendered(FILMS)
    rendered(FILMS[::-1])
    rendered(FILMS[:2])
    monkeypatch.setattr(rendering, "VERSION", 2)
    rendered(FILMS)
    assert len(counted) == 4
    assert len(list(cache.iterdir())) == 4


def _cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _of_others(path):
    rendered(FILMS[::-1])
    (other,) = [each for each in path.parent.iterdir() if each != path]
    path.write_bytes(other.read_bytes())


def _folder(path):
    path.unlink()
    path.mkdir()


def _bomb(path):
    import zlib

    path.write_bytes(bytes(32) + zlib.compress(bytes(10**8)))


@pytest.mark.parametrize(
    "harm", [_cut, _flip, _of_others, _bomb, _folder, lambda p: p.write_bytes(b""), lambda p: p.write_bytes(b"x" * 999)]
)
def test_a_damaged_or_foreign_file_is_never_believed(cache, harm):
    first = rendered(FILMS)
    (path,) = cache.iterdir()
    harm(path)
    with pytest.warns(UserWarning, match="rendered anew"):
        np.testing.assert_array_equal(rendered(FILMS), first)
    if not path.is_dir():  # mended, and quiet from now on
        with warnings.catch_warnings(action="error"):
            np.testing.assert_array_equal(rendered(FILMS), first)


def test_a_home_that_cannot_be_written_still_works(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with warnings.catch_warnings(action="error"):
        np.testing.assert_array_equal(rendered(FILMS), render_all(FILMS))


def test_tests_keep_nothing_where_the_user_does():
    assert cache_folder() != Path("~/.cache/cijbench").expanduser()


def test_the_cache_is_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "cijbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / ".cache" / "cijbench"


def test_without_a_home_nothing_is_kept(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(rendering.os.path, "expanduser", lambda path: path)
    assert cache_folder() is None
    np.testing.assert_array_equal(rendered(FILMS), render_all(FILMS))
    assert not list(tmp_path.iterdir())


def test_progress_is_told(cache):
    told = []
    rendered([drawn(1.5)] * 45, lambda done, of: told.append((done, of)))
    assert told == [(20, 45), (40, 45), (45, 45)]
