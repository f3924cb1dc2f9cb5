import numpy as np
import pytest

from harness.errors import BenchError
from suites.films.tessellation import STEPS, Film, draw_film, film, grain_count, grains, parse_ratio, pieces
from tests.suites.films.examples import drawn, mirrored, mirrored_image, shifted, shipped, turned, turned_image


def nearest(film, size):
    """By the definition: every pixel against every image of every seed."""
    middle = (np.arange(size) + 0.5) / size
    x1, x2 = np.meshgrid(middle, middle)
    away = np.abs(np.stack([x1, x2], axis=-1)[:, :, None] - film.seeds / STEPS)
    away = np.minimum(away, 1 - away)
    return (away**2).sum(axis=-1).argmin(axis=-1)


@pytest.mark.parametrize("size", [1, 7, 33, 64, 100, 128])
@pytest.mark.parametrize("ratio", [1.5, 4, 10])
def test_each_pixel_belongs_to_the_nearest_seed(ratio, size):
    made = drawn(ratio)
    np.testing.assert_array_equal(grains(made, size), nearest(made, size))


def test_of_seeds_that_are_equally_near_it_is_the_first():
    four = film([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]], [1, 2, 3, 4])
    np.testing.assert_array_equal(grains(four, 1), [[0]])
    np.testing.assert_array_equal(grains(Film(four.seeds[::-1], four.angles), 1), [[0]])


def test_x1_runs_along_the_columns():
    found = grains(film([[0.1, 0.5], [0.6, 0.5]], [0, 0]), 16)
    assert (found == found[0]).all()
    np.testing.assert_array_equal(found[0], [0] * 6 + [1] * 8 + [0] * 2)


@pytest.mark.parametrize("index", range(3))
def test_grains_move_with_their_seeds(index):
    made = drawn(6, index)
    before = grains(made, 128)
    np.testing.assert_array_equal(grains(turned(made), 128), turned_image(before))
    np.testing.assert_array_equal(grains(mirrored(made), 128), mirrored_image(before))
    np.testing.assert_array_equal(grains(shifted(made, 512 * 5, 512 * 100), 128), np.roll(before, (100, 5), (0, 1)))


@pytest.mark.parametrize("ratio", [1.5, 4, 6, 10, 20])
def test_drawn_films_are_whole(ratio):
    for index in range(5):
        made = draw_film(ratio, 3, index)
        found = grains(made, 128)
        assert len(made.seeds) == round(ratio**2)
        assert len(np.unique(found)) == pieces(found) == len(made.seeds)
        apart = np.abs(made.seeds[:, None].astype(int) - made.seeds)
        distance = np.hypot(*np.minimum(apart, STEPS - apart).transpose(2, 0, 1)) / STEPS
        assert distance[~np.eye(len(distance), dtype=bool)].min() > 0.499 / ratio


def test_pieces_are_counted_across_the_edges():
    image = np.zeros((6, 6), int)
    image[[0, 0, -1, -1], [0, -1, 0, -1]] = 1  # the four corners are one piece
    assert pieces(image) == 2
    image[2, 2] = 1
    assert pieces(image) == 3
    image[3, 3] = 1  # touches (2, 2) with its corner alone
    assert pieces(image) == 4


def test_a_film_hangs_on_seed_number_and_size_alone():
    again = draw_film(4, 0, 5)
    for one, other in ((draw_film(4, 0, 5), True), (draw_film(4, 1, 5), False), (draw_film(4, 0, 6), False)):
        assert np.array_equal(one.seeds, again.seeds) is other
        assert np.array_equal(one.angles, again.angles) is other


def test_angles_fill_the_quarter_evenly():
    angles = np.concatenate([made.degrees for made in shipped().films])
    assert 0 <= angles.min() < 0.01
    assert 89.99 < angles.max() < 90
    shares = np.histogram(angles, 9, (0, 90))[0] / len(angles)
    assert np.abs(shares - 1 / 9).max() < 0.005


def test_films_are_given_in_whole_steps():
    made = film([[0, 0.5], [0.999999, 0.25]], [0, 89.9999999])
    np.testing.assert_array_equal(made.seeds, [[0, 32768], [65535, 16384]])
    np.testing.assert_array_equal(made.angles, [0, 65535])
    assert (made.degrees < 90).all()


@pytest.mark.parametrize(
    ("seeds", "angles", "told"),
    [
        ([[0.5, 0.5]], [10], "two grains at least"),
        (np.empty((0, 2)), [], "two grains at least"),
        ([[0.5, 0.5], [0.1, 0.1]], [10, 90], "90 left out"),
        ([[0.5, 0.5], [0.1, 0.1]], [-1, 10], "from 0 to 90"),
        ([[0.5, 0.5], [0.1, 0.1]], [np.nan, 10], "from 0 to 90"),
        ([[0.5, 0.5], [1, 0.1]], [0, 10], "in the window"),
        ([[0.5, 0.5], [np.nan, 0.1]], [0, 10], "in the window"),
        ([[0.5, 0.5], [0.5, 0.5]], [0, 10], "two seeds in one place"),
        ([[0.5, 0.5], [0.1, 0.5]], [0, 10, 20], "angles"),
        ([0.5, 0.5], [0, 10], "seeds"),
    ],
)
def test_what_is_no_film_is_refused(seeds, angles, told):
    with pytest.raises(BenchError, match=told):
        film(seeds, angles)


@pytest.mark.parametrize("ratio", [0, 0.99, -4, 25.1, float("nan"), float("inf")])
def test_a_ratio_out_of_range_is_refused(ratio):
    with pytest.raises(BenchError, match=r"ratio=.*from 1 to 25"):
        grain_count(ratio)


def test_a_ratio_is_read():
    assert parse_ratio("4") == 4
    for text, told in (
        ("four", "must be a number"),
        ("1_0", "must be a number"),
        ("0.5", "from 1 to 25"),
        ("1", "one"),
    ):
        with pytest.raises(BenchError, match=told):
            parse_ratio(text)


def test_a_window_of_one_grain_is_refused():
    with pytest.raises(BenchError, match="one grain"):
        draw_film(1.2, 0, 0)
    assert grain_count(1.3) == 2
