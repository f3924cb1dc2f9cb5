import numpy as np
import pytest

from harness.judging.maps import brightest, deletion, without

EDGE, HERE = 20, np.s_[:, 3:9, 4:10]  # which is a tenth of the pixels, and a bit less


def images(count=40):
    return np.random.default_rng(0).uniform(size=(count, EDGE, EDGE, 1))


def predict(shown):
    """The second answer comes from one place alone, the first from everywhere."""
    return np.column_stack([shown.mean(axis=(1, 2, 3)), shown[HERE].std(axis=(1, 2, 3))])


def maps_at(place, count=40):
    maps = np.zeros((count, EDGE, EDGE))
    maps[place] = 1 + np.arange(6)[:, None]
    return maps


SECOND = np.ones(40, int)


def test_the_brightest_are_a_tenth_or_what_is_not_zero():
    ramp = np.arange(400.0).reshape(1, 20, 20)
    assert brightest(ramp).sum() == 40
    assert brightest(ramp)[0, 18:].all()
    few = np.zeros((1, 20, 20))
    few[0, 2, 3] = 1e-9
    assert np.argwhere(brightest(few)).tolist() == [[0, 2, 3]]
    assert not brightest(np.zeros((1, 20, 20))).any()


def test_what_is_taken_away_is_the_mean_of_its_image_and_channel():
    shown = np.random.default_rng(0).uniform(size=(2, 4, 5, 3))
    masks = np.zeros((2, 4, 5), bool)
    masks[1, 2:, 3] = True
    left = without(shown, masks)
    np.testing.assert_array_equal(left[~masks], shown[~masks])
    np.testing.assert_allclose(left[masks], np.tile(shown[1].mean(axis=(0, 1)), (2, 1)))


def test_a_map_of_where_an_answer_comes_from_tells():
    found = deletion(predict, images(), maps_at(HERE), SECOND)
    assert found.images == 40
    assert found.brightest > 3 * found.elsewhere
    assert found.tells


def test_a_map_of_another_place_does_not():
    found = deletion(predict, images(), maps_at(np.s_[:, 12:18, 12:18]), SECOND)
    assert found.brightest == 0  # nothing that counts was taken away
    assert not found.tells


def test_a_map_of_an_answer_that_comes_from_everywhere_does_not():
    found = deletion(predict, images(), maps_at(HERE), 0 * SECOND)
    assert found.interval[0] < 0 < found.interval[1]
    assert not found.tells


def test_images_whose_map_is_zero_are_left_out():
    maps = maps_at(HERE)
    maps[5:] = 0
    found = deletion(predict, images(), maps, SECOND)
    assert found.images == 5
    assert found.interval is None  # of so few
    assert not found.tells
    assert deletion(predict, images(), 0 * maps, SECOND) is None


def test_images_of_one_specimen_are_not_counted_as_many():
    apart = deletion(predict, images(), maps_at(HERE), SECOND)
    specimens = np.repeat(np.arange(5), 4)
    twenty = deletion(predict, images(20), maps_at(HERE, 20), SECOND[:20], specimens)
    assert twenty.interval is None  # of five specimens
    pairs = deletion(predict, images(), maps_at(HERE), SECOND, np.repeat(np.arange(20), 2))
    assert pairs.brightest == pytest.approx(apart.brightest)
    assert pairs.interval is not None
