"""Patches with defects: how many, of what, and what two versions of the segmentation say of them."""

import numpy as np

from suites.constituents import flaws

MADE = flaws.make(0, 25)
FIRST, SECOND = MADE.defects.T


def test_exactly_two_in_a_hundred_are_defects_by_the_first_version():
    assert MADE.images.shape == (1000, flaws.SIZE, flaws.SIZE)
    assert FIRST.sum() == 20
    np.testing.assert_array_equal(np.bincount(MADE.specimen), [flaws.OF_EACH] * 25)


def test_patches_hang_on_the_numbers_of_their_specimens_alone():
    again, other = flaws.make(0, 25), flaws.make(25, 2)
    np.testing.assert_array_equal(again.images, MADE.images)
    assert again.marks == MADE.marks
    assert set(other.specimen) == {25, 26}
    assert not np.array_equal(other.images[: flaws.OF_EACH], MADE.images[: flaws.OF_EACH])


def test_a_defect_is_a_mark_and_most_marks_are_none():
    marks = np.array(MADE.marks)
    assert set(marks) == {"nothing", *flaws._MARKS}
    assert "nothing" not in set(marks[FIRST])
    assert 0.1 < np.mean(marks[~FIRST] != "nothing") < 0.2


def test_the_versions_agree_on_most_and_not_on_all():
    """And neither calls what the other does and more: an update gains some and loses some."""
    assert 0.5 < np.mean(SECOND[FIRST]) < 1
    assert (SECOND & ~FIRST).any()
    assert np.mean(FIRST == SECOND) > 0.98


def test_versions_count_pixels_of_enough_depth():
    depths = np.zeros((4, flaws.SIZE, flaws.SIZE))
    depths[0, 10:13, 10:13] = 0.6  # nine pixels
    depths[1, 10:13, 10:12] = 0.9  # six
    depths[2, 10:20, 10:20] = 0.48  # many, too shallow for the first version
    depths[3, 5:25, 10] = 0.6  # a line, which smoothing makes shallow
    assert flaws.version_1(depths).tolist() == [True, False, False, True]
    assert flaws.version_2(depths).tolist() == [False, False, True, False]


def test_specimens_are_taken_in_sessions_of_their_own():
    clean = np.array(MADE.marks) == "nothing"
    levels = [MADE.images[clean & (MADE.specimen == one)].mean() for one in range(25)]
    assert np.ptp(levels) > 40
