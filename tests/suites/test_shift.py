"""Who meets which laboratory, and that remedies remedy what they are said to."""

import itertools

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from harness import registry
from harness.model.variants import Encoding
from harness.protocol import Predicted
from suites import shift
from suites.micrographs import specimens, stiffer
from suites.micrographs.variants import NUMBERS

SUITE = registry.suite("shift")
DATA = SUITE.load(None, {})
SPLIT = SUITE.split(DATA)
SPECIMEN, PART, CONDITION, PLACE = np.array([name.split("/") for name in DATA.ids]).T


def of(rows):
    return set(SPECIMEN[rows])


def test_training_and_validation_are_at_home_and_no_specimen_is_on_two_sides():
    """But for what is said to show the validation specimens elsewhere."""
    assert set(CONDITION[SPLIT.train]) == set(CONDITION[SPLIT.validation]) == {"same"}
    assert set(CONDITION[SPLIT.tests["validation-elsewhere"]]) == {"elsewhere"}
    assert of(SPLIT.tests["validation-elsewhere"]) == of(SPLIT.validation)
    assert len(SPLIT.tests["validation-elsewhere"]) == len(SPLIT.validation)
    sides = [of(SPLIT.train), of(SPLIT.validation), of(SPLIT.test), of(SPLIT.tests["richer"])]
    assert [len(side) for side in sides] == [90, 20, 36, 54]
    assert sum(map(len, sides)) == len(set.union(*sides)) == specimens.COUNT
    assert SPLIT.leaks(DATA) == []


def test_every_condition_is_met_by_the_same_new_specimens():
    assert list(SPLIT.tests) == [*shift.CONDITIONS, "richer", "validation-elsewhere"]
    for name in shift.CONDITIONS:
        assert of(SPLIT.tests[name]) == of(SPLIT.test)
        assert set(CONDITION[SPLIT.tests[name]]) == {name}


def test_patches_of_one_specimen_are_drawn_together():
    assert {len(set(DATA.clustered(SPLIT.tests[name]))) for name in shift.CONDITIONS} == {36}
    assert len(set(DATA.clustered(SPLIT.tests["richer"]))) == 54


def test_richer_specimens_have_more_of_the_stiff_phase_than_any_other():
    fractions = specimens.load().masks.mean(axis=(1, 2))
    richer = sorted(map(int, of(SPLIT.tests["richer"])))
    assert fractions[richer].min() > shift._RICH >= np.delete(fractions, richer).max()


def test_the_modulus_is_what_the_image_shows():
    shown = CONDITION != "stiffer"
    np.testing.assert_array_equal(DATA.targets[shown, 0], specimens.load().visible[SPECIMEN.astype(int)][shown])


def test_no_image_shows_that_the_stiff_phase_is_stiffer():
    rows = SPLIT.tests["stiffer"]
    np.testing.assert_array_equal(DATA.targets[rows, 0], stiffer.load()[SPECIMEN.astype(int)][rows])
    same = DATA.targets[SPLIT.test]
    assert (DATA.targets[rows] > 1.05 * same).all()
    assert gray("stiffer").mean() == pytest.approx(gray("same").mean(), abs=1)
    assert gray("stiffer").std() == pytest.approx(gray("same").std(), abs=1)


def test_a_lower_threshold_takes_more_for_stiff_and_leaves_the_gray_levels_of_phases():
    mask = specimens.load().masks[0]
    seen = [shift.CONDITIONS[name].seen(mask) for name in ("same", "threshold-1", "threshold-2", "threshold-3")]
    np.testing.assert_array_equal(seen[0], mask)
    for less, more in itertools.pairwise(seen):
        assert set(np.unique(more)) == {0, 1}
        assert more.mean() > less.mean() + 0.01
    half = shift.Condition(shift.CONDITIONS["same"].session, threshold=0.5).seen(mask)
    assert half.mean() == pytest.approx(mask.mean(), abs=0.01)
    levels = [np.quantile(gray(name), (0.05, 0.95)) for name in ("same", "threshold-3")]
    np.testing.assert_allclose(*levels, atol=8)


def gray(name):
    return DATA.images[SPLIT.tests[name]].astype(float) * 255


def test_each_shift_changes_what_it_is_called_by():
    def edges(name):
        return np.abs(np.diff(gray(name), axis=2)).mean()

    for less, more in ((1, 2), (2, 3)):
        assert gray(f"contrast-{more}").std() < gray(f"contrast-{less}").std() < gray("same").std()
        assert gray(f"level-{more}").mean() > gray(f"level-{less}").mean() > gray("same").mean()
        assert gray(f"vignetting-{more}").mean() < gray(f"vignetting-{less}").mean() < gray("same").mean()
        assert edges(f"noise-{more}") > edges(f"noise-{less}") > edges("same")
        assert edges(f"blur-{more}") < edges(f"blur-{less}") < edges("same")
        assert edges(f"pixel-{more}") > edges(f"pixel-{less}") > edges("same") * 0.95


def test_pixels_twice_as_large_show_twice_as_much():
    mask = specimens.load().masks[0]
    coarse = shift.coarsened(mask, 2, 1)
    np.testing.assert_array_equal(coarse, mask.reshape(128, 2, 128, 2).mean(axis=(1, 3)))
    assert shift.coarsened(mask, 3, 2).shape == (170, 170)
    assert shift.coarsened(mask, 5, 4).mean() == pytest.approx(mask.mean(), abs=0.005)
    np.testing.assert_array_equal(shift.coarsened(mask, 1, 1), mask)


def r2(encoding, *tests):
    encoder = SUITE.encoder(Encoding(encoding, NUMBERS), DATA)
    encoder.fit(DATA.images[SPLIT.train])
    model = Ridge().fit(encoder.encode(DATA.images[SPLIT.train]), DATA.targets[SPLIT.train, 0])
    return [
        model.score(encoder.encode(DATA.images[rows]), DATA.targets[rows, 0]) for rows in map(SPLIT.tests.get, tests)
    ]


def test_segmented_patches_hang_on_neither_level_nor_contrast_and_gray_ones_do():
    same, level, contrast = r2("segmented-volume-fraction", "same", "level-3", "contrast-2")
    assert same > 0.7
    assert level == pytest.approx(same, abs=0.01)
    assert contrast == pytest.approx(same, abs=0.05)
    same, level = r2("two-point", "same", "level-3")
    assert same > 0.7
    assert level < 0


def test_normalised_patches_hang_on_neither_gain_nor_level():
    encoder = SUITE.encoder(Encoding("normalised"), DATA)
    images = DATA.images[:4]
    np.testing.assert_allclose(encoder.encode(images), encoder.encode(0.5 * images + np.float32(0.2)), atol=2e-4)
    np.testing.assert_allclose(encoder.encode(images).std(axis=(1, 2, 3)), 1, atol=1e-4)
    assert np.isfinite(encoder.encode(np.full((1, 8, 8, 1), 0.5, np.float32))).all()


def test_sessions_are_drawn_by_number_and_keep_the_modulus():
    session = next(each for each in SUITE.SYMMETRIES if each.key == "session")
    images, targets = DATA.images[:3], DATA.targets[:3]
    taken, same = session.move(images, targets, np.array([0, 1, 7]))
    np.testing.assert_array_equal(taken[0], images[0])
    np.testing.assert_array_equal(same, targets)
    assert np.abs(taken[1:] - images[1:]).mean(axis=(1, 2, 3)).min() > 0.01
    assert taken.min() >= 0
    assert taken.max() <= 1
    np.testing.assert_array_equal(session.move(images, targets, np.array([0, 1, 7]))[0], taken)


def test_the_picture_of_severity(tmp_path):
    truth = np.linspace(90, 150, 20)[:, None]
    found = [Predicted("a model", "classical", name, truth, truth[None] + 1) for name in SPLIT.tests]
    assert [picture.name for picture in SUITE.draw(found, tmp_path)] == ["severity.png"]
    assert SUITE.draw([], tmp_path) == []
