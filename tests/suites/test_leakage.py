"""Whose patches stand where, and that the trap is one: who knows the session knows the specimen."""

import msgspec
import numpy as np
import pytest
from PIL import Image
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from harness import registry
from harness.model.variants import Encoding
from harness.protocol import Predicted
from suites.micrographs import pictures, specimens

SUITE = registry.suite("leakage")
DATA = SUITE.load(None, {})
SPLIT = SUITE.split(DATA)
SPECIMEN, KIND, PLACE = np.array([name.split("-") for name in DATA.ids]).T


def of(rows):
    return set(SPECIMEN[rows])


def test_models_are_ranked_and_chosen_by_specimens_that_they_were_not_trained_on():
    assert list(SPLIT.tests) == ["new", "seen", "overlapping", "again"]
    trained, validated, new = of(SPLIT.train), of(SPLIT.validation), of(SPLIT.test)
    assert (len(trained), len(validated), len(new)) == (100, 30, 70)
    assert not trained & validated | trained & new | validated & new
    assert SPLIT.leaks(DATA) == []


def test_the_other_tests_are_of_specimens_that_they_were_trained_on():
    for name in ("seen", "overlapping", "again"):
        assert of(SPLIT.tests[name]) == of(SPLIT.train)
        assert len(SPLIT.tests[name]) == 400
    assert len(SPLIT.train) == 1200


def test_patches_of_one_specimen_are_drawn_together():
    assert [len(set(DATA.clustered(rows))) for rows in SPLIT.tests.values()] == [70, 100, 100, 100]


def test_overlapping_patches_are_halves_of_two_that_were_trained_on_and_again_is_one_of_them():
    row = {name: number for number, name in enumerate(DATA.ids)}
    trained = set(SPLIT.train.tolist())
    for index in SPLIT.tests["overlapping"][:40]:
        r, c = map(int, PLACE[index])
        left, right = (row[f"{SPECIMEN[index]}-patch-{r}{column}"] for column in (c, c + 1))
        assert {left, right} <= trained
        halves = np.concatenate([DATA.images[left][:, 32:], DATA.images[right][:, :32]], axis=1)
        np.testing.assert_array_equal(DATA.images[index], halves)
        again = DATA.images[row[f"{SPECIMEN[index]}-again-{r}{c}"]]
        assert 0 < np.abs(again - DATA.images[left]).mean() < 0.15


def test_patches_have_the_modulus_of_their_specimen():
    shipped = specimens.load()
    np.testing.assert_array_equal(DATA.targets[:, 0], shipped.measured[SPECIMEN.astype(int)])


def r2(model, encoding, test):
    encoder = SUITE.encoder(Encoding(encoding), DATA)
    encoder.fit(DATA.images[SPLIT.train])
    model.fit(encoder.encode(DATA.images[SPLIT.train]), DATA.targets[SPLIT.train, 0])
    return [
        model.score(encoder.encode(DATA.images[rows]), DATA.targets[rows, 0]) for rows in map(SPLIT.tests.get, test)
    ]


def test_session_alone_tells_known_specimens_and_not_new_ones():
    new, seen, again = r2(RandomForestRegressor(50, random_state=0), "gray-statistics", ("new", "seen", "again"))
    assert new < 0.55
    assert seen > new + 0.25
    assert again > seen


def test_what_a_patch_shows_is_worth_as_much_on_new_specimens_up_to_what_pores_hide():
    new, seen = r2(Ridge(), "segmented-cubic", ("new", "seen"))
    assert new > 0.5
    assert seen < new + 0.15


def test_identical_patches_on_two_sides_are_found():
    images = DATA.images.copy()
    images[SPLIT.test[0]] = images[SPLIT.train[0]]
    assert SPLIT.leaks(msgspec.structs.replace(DATA, images=images)) == ["1 image on two sides of the split"]


@pytest.mark.parametrize("key", ["mirror", "rotation"])
def test_symmetries_keep_modulus_and_gray_levels(key):
    symmetry = next(each for each in SUITE.SYMMETRIES if each.key == key)
    count = symmetry.elements(DATA.images.shape[1:])
    images, targets = DATA.images[:count], DATA.targets[:count]
    moved, same = symmetry.move(images, targets, np.arange(count))
    np.testing.assert_array_equal(moved[0], images[0])
    np.testing.assert_array_equal(same, targets)
    for before, after in zip(images[1:], moved[1:], strict=True):
        assert not np.array_equal(before, after)
        np.testing.assert_array_equal(np.sort(before, axis=None), np.sort(after, axis=None))


# --- pictures -------------------------------------------------------------------------------------------------------


def predicted(test, error, specimens_of=20, patches=4):
    draw = np.random.default_rng(0)
    truth = np.repeat(draw.normal(100, 10, specimens_of), patches)[:, None]
    return Predicted("a model", "classical", test, truth, truth[None] + draw.normal(0, error, (2, len(truth), 1)))


def test_inflation_is_the_difference_of_r2_within_its_interval():
    middle, low, high = pictures.inflation(predicted("new", 9.0), predicted("seen", 3.0))
    assert low < middle < high
    assert low > 0
    none, low, high = pictures.inflation(predicted("new", 9.0), predicted("seen", 9.0))
    assert none == 0
    assert low < 0 < high


def test_pictures_of_what_there_is(tmp_path):
    found = [predicted("new", 9.0), predicted("seen", 3.0)]
    assert [picture.name for picture in SUITE.draw(found, tmp_path)] == ["inflation.png"]
    assert SUITE.draw([], tmp_path) == []


def test_gray_micrographs_are_read_and_colour_is_refused(tmp_path):
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(tmp_path / "gray.png")
    images, names, _ = SUITE.read_images(tmp_path, (64, 64, 1), {})
    assert names == ("gray.png",)
    np.testing.assert_array_equal(np.rint(images[0, :, :, 0] * 255), np.arange(64 * 64).reshape(64, 64) % 256)
    Image.new("RGB", (64, 64), (255, 0, 0)).save(tmp_path / "red.png")
    _, names, unread = SUITE.read_images(tmp_path, (64, 64, 1), {})
    assert names == ("gray.png",)
    assert "not gray: save it as 8-bit gray" in unread["red.png"]
    assert "soft phase" not in unread["red.png"]
