import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging.stats import FEWEST_IMAGES
from suites.pictures.checks import FEWEST_TESTED, Labelled, check, equal_images, of_one_thing
from suites.pictures.table import Table

GIVEN = ["train"] * 40 + ["validation"] * 10 + ["test"] * 20


def images(count=70, seed=0):
    return np.random.default_rng(seed).random((count, 20, 24, 1)).astype(np.float32)


def labelled(pictures=None, targets=None, names=("E",), classes=False, groups=(), parts=()):
    pictures = images() if pictures is None else pictures
    targets = np.random.default_rng(1).normal(size=(len(pictures), len(names))) if targets is None else targets
    table = Table((), targets, names, ("",) * len(names), classes, tuple(groups), tuple(parts), [])
    files = [f"{row}.png" for row in range(len(pictures))]
    return Labelled(pictures, files, list(range(len(pictures))), table, equal_images(pictures))


def told(data):
    return [(finding.severity, finding.what) for finding in check(data, "table.csv")]


def test_sound_data_are_told_nothing():
    assert told(labelled()) == []
    which = np.eye(3)[np.arange(72) % 3]
    assert told(labelled(images(72), which, ("a", "b", "c"), classes=True)) == []


def only(data, severity, *words):
    ((found, what),) = told(data)
    assert found == severity, what
    assert all(word in what for word in words), what


def test_targets_that_others_of_their_unit_outweigh_are_told():
    targets = np.random.default_rng(1).normal(size=(72, 3)) * [20, 1, 9]
    only(
        labelled(images(72), targets, ("E", "nu", "G")),
        "warning",
        "skill hardly counts nu beside E, because squared errors",
    )
    data = labelled(images(72), targets, ("E", "nu", "G"))
    assert told(data._replace(table=data.table._replace(units=("GPa", "", "GPa")))) == []
    assert told(labelled(images(72), targets[:, ::2], ("E", "G"))) == []
    nothing = np.full((72, 1), np.nan)
    assert not any("skill" in what for _, what in told(labelled(images(72), nothing)))


def test_too_few_images():
    only(labelled(images(9)), "error", "9 images are too few to split; 10 is the least")
    only(labelled(images(60)), "warning", "only 9 of 60 images are in the test set", "which takes 10; some 70 images")
    assert told(labelled(images(61))) == []


def test_too_few_images_that_are_no_copies():
    assert "1 unlike image is too few to split" in told(labelled(np.zeros((20, 16, 16, 1), np.float32)))[0][1]


def test_too_few_groups_of_many_images():
    few = labelled(groups=[f"g{row % 4}" for row in range(70)])
    only(few, "error", "4 groups are too few to split; 10 is the least, unless a column `split` says")
    more = labelled(groups=[f"g{row % 60}" for row in range(70)])
    only(more, "warning", "only 9 of 60 groups are in the test set", "some 70 groups in all")
    split = few._replace(
        table=few.table._replace(parts=tuple(("train", "train", "validation", "test")[row % 4] for row in range(70)))
    )
    only(split, "warning", "only 1 of 4 groups are in the test set", "name more in its column `split`")
    assert "split" not in told(labelled(images(9)))[0][1].partition(";")[2]


def test_a_test_set_of_classes_is_counted_as_it_is_split():
    """Of three classes of 22, three images each are tested."""
    which = np.eye(3)[np.arange(66) % 3]
    only(labelled(images(66), which, "abc", True), "warning", "only 9 of 66 images are in the test set")


def test_what_cannot_be_split_is_told_before_a_run_is_refused():
    parts = ["train"] + ["test"] * 69
    assert ("error", "its split leaves 0 images to train and 1 to validate") in told(labelled(parts=parts))
    which, groups = np.eye(6)[np.arange(72) % 6], [f"g{row % 12}" for row in range(72)]
    assert ("error", "no class has three groups, one each to train, validate and test") in told(
        labelled(images(72), which, "abcdef", True, groups)
    )


def test_fewer_are_tested_than_the_harness_gives_an_interval_of():
    assert FEWEST_TESTED == FEWEST_IMAGES


def test_too_few_images_for_the_number_of_targets():
    only(labelled(names=tuple("abcdefgh")), "warning", "only 70 for 8 targets")


def test_a_target_that_is_constant():
    only(labelled(targets=np.full((70, 1), 3.0)), "error", "column E is the same in every row, 3")


def test_a_value_that_is_far_outside_of_the_others():
    values = np.random.default_rng(1).normal(75, 5, (70, 1))
    values[7] = 1e9
    only(labelled(targets=values), "warning", "E is far outside of the others, half of which lie from 7", "(1e+09)")
    assert told(labelled(targets=np.exp(np.random.default_rng(1).normal(size=(70, 1))))) == []
    mostly_none = np.where(np.arange(70) % 5, 0, values[:, 0])[:, None]
    assert not any("far outside" in what for _, what in told(labelled(targets=mostly_none)))


def test_positive_values_over_decades_are_told():
    draw = np.random.default_rng(1)
    values = 1000 * 10 ** draw.normal(0, 0.7, (200, 1))
    only(labelled(images(200), values), "warning", "column E reaches from", "predict its logarithm", "targets= names")
    assert told(labelled(images(200), np.log10(values))) == []
    assert told(labelled(images(200), values - values.min())) == []
    assert told(labelled(images(200), draw.uniform(0.001, 100, (200, 1)))) == []
    assert told(labelled(images(200), 1000 - 999 * draw.beta(0.5, 2, (200, 1)))) == []


def test_few_whole_numbers_and_grades_may_be_names_of_classes():
    draw = np.random.default_rng(1)
    only(labelled(targets=draw.integers(0, 2, (70, 1)) * 1.0), "warning", "column E holds 0, 1 alone", "classes=true")
    assert told(labelled(targets=draw.integers(0, 20, (70, 1)) * 1.0)) == []
    thirds = labelled(targets=draw.integers(0, 4, (70, 1)) / 3)
    only(thirds, "warning", "column E holds 0, 0.333333, 0.666667 and 1 more alone", "classes=true")
    assert told(labelled(targets=draw.choice([0.5, 1.5], (70, 1)))) == []
    assert told(labelled(targets=draw.choice([0.2, 0.8], (70, 1)))) == []


def test_a_target_that_follows_the_order_of_the_rows():
    drifting = np.linspace(1, 2, 70)[:, None] ** 3 + 0.01 * np.random.default_rng(0).normal(size=(70, 1))
    only(labelled(targets=drifting), "warning", "column E follows the order of the rows (rank correlation 1.00)")
    only(labelled(targets=-drifting), "warning", "(rank correlation -1.00)")


def test_classes_that_are_rare():
    few = labelled(targets=np.eye(3)[[0] * 50 + [1] * 18 + [2] * 2], names=("a", "b", "c"), classes=True)
    assert [severity for severity, _ in told(few)] == ["error", "warning"]
    rare = np.eye(2)[[0] * 63 + [1] * 7]
    only(labelled(targets=rare, names=("a", "b"), classes=True), "warning", "classes with few images", "b (7)")


def test_a_class_of_few_groups():
    which = np.eye(2)[[0] * 140 + [1] * 20]
    groups = [f"g{row // 2}" if row < 140 else f"h{row % 2}" for row in range(160)]
    data = labelled(images(160), which, ("a", "b"), classes=True, groups=groups)
    only(data, "warning", "classes in fewer than three groups", "b (2)")
    parts = ["test" if row % 140 < 10 else "train" for row in range(160)]
    assert not any(
        "fewer than three groups" in what for _, what in told(labelled(images(160), which, "ab", True, groups, parts))
    )


def test_a_class_that_a_part_of_the_split_lacks():
    which = np.eye(2)[[0] * 20 + [0, 1] * 25]
    data = labelled(targets=which, names=("a", "b"), classes=True, parts=GIVEN[::-1])
    only(data, "warning", "no image of its split's part 'test' is of b")


def test_classes_that_are_out_of_balance():
    unlike = np.eye(2)[[0] * 190 + [1] * 10]
    data = labelled(images(200), unlike, ("good", "bad"), classes=True)
    only(data, "warning", "always answering good is right in 95%", "balanced_accuracy")


def test_copies_of_images_are_told_and_kept_together():
    pictures = images()
    pictures[7], pictures[9] = pictures[3], pictures[4]
    data = labelled(pictures)
    only(data, "warning", "2 copies of images", "2 have other targets", "3.png = 7.png")
    groups = of_one_thing(equal_images(pictures), ())
    assert groups[3] == groups[7] != groups[4] == groups[9]
    assert len(set(groups)) == 68
    assert of_one_thing(equal_images(images()), ()) == ()


@given(st.lists(st.integers(0, 5), min_size=2, max_size=20), st.lists(st.integers(0, 3), min_size=20, max_size=20))
def test_what_is_one_thing_is_in_one_group(which, named):
    pictures = images(6)[which]
    groups = tuple(f"g{named[row]}" for row in range(len(which)))
    found = of_one_thing(equal_images(pictures), groups)
    for one in range(len(which)):
        for other in range(one):
            if groups[one] == groups[other] or which[one] == which[other]:
                assert found[one] == found[other]


def test_an_image_whose_group_is_blank_is_alone():
    pictures = images(6)
    pictures[5] = pictures[0]
    found = of_one_thing(equal_images(pictures), ("A", "A", "B", "", "", ""))
    assert found[0] == found[1] == found[5]
    assert len({found[0], found[2], found[3], found[4]}) == 4
    assert told(labelled(groups=["A", "B"] + [""] * 68)) == []


def test_what_all_images_share_is_told_in_one_sentence():
    pictures = np.float32(0.001) * images()
    pictures[:, 5:15, 5:15] += 0.9
    only(labelled(pictures), "warning", "more than half of all pairs", "a round aperture", "and 2412 more")


def test_a_copy_on_the_other_side_of_a_given_split_is_an_error():
    pictures = images()
    pictures[60] = pictures[3]
    data = labelled(pictures, parts=GIVEN)
    only(data, "error", "the same image on two sides of the split", "3.png = 60.png")


def test_images_that_are_nearly_the_same():
    pictures = images()
    pictures[5] = pictures[2] + np.float32(0.004) * np.random.default_rng(2).random(pictures[2].shape).astype(
        np.float32
    )
    only(labelled(pictures), "warning", "1 pairs of images are nearly the same", "2.png and 5.png")
    assert told(labelled(pictures, groups=["g"] * 6 + [f"h{row}" for row in range(64)])) == []
    only(labelled(pictures, groups=["g", "g"] + [""] * 68), "warning", "1 pairs of images are nearly the same")


def test_a_group_on_two_sides_of_a_given_split():
    groups = [f"g{row}" for row in range(69)] + ["g0"]
    only(labelled(parts=GIVEN, groups=groups), "error", "1 groups on two sides of its split", "g0")


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        (["test"] * 70, "no row 'train'"),
        (["train"] * 70, "no row 'test'"),
        (["train"] * 30 + [""] * 3 + ["test"] * 37, "empty in 3 rows"),
    ],
)
def test_a_split_that_is_none(parts, word):
    only(labelled(parts=parts), "error", word)


def test_grey_levels_that_tell_the_laboratory():
    pictures = images() * 0.5
    pictures[::2] += 0.4
    groups = [f"specimen {row % 22}" for row in range(70)]  # of two laboratories
    parts = ["test" if row % 2 == 0 else "validation" if row % 22 == 1 else "train" for row in range(70)]
    only(labelled(pictures, groups=groups, parts=parts), "warning", "the mean grey level tells the group")


def test_images_without_a_group_are_no_laboratory():
    """Of dark images most have no group; the others have either of two brightnesses, whatever group they are of."""
    pictures = images() * 0.1
    pictures[:8] += 0.5
    assert told(labelled(pictures, groups=[f"A{row % 2}" for row in range(8)] + [""] * 62)) == []


def test_groups_of_a_class_are_counted_without_blanks():
    which = np.eye(2)[[0] * 100 + [1] * 80]
    named = [f"h{row % 2}" for row in range(10)]
    of_two = labelled(images(180), which, "ab", True, named * 10 + [""] * 80)
    only(of_two, "warning", "classes in fewer than three groups", ": a (2)")
    assert told(labelled(images(180), which, "ab", True, [f"g{row}" for row in range(100)] + [""] * 80)) == []


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (["train"] * 40 + ["validation"] * 10 + ["test"] * 20, []),
        (
            ["train"] * 40 + ["validation"] * 10 + ["lab-b"] * 5 + ["holdout-a"] * 5 + ["test"] * 10,
            ["its split's tests are test, lab-b, holdout-a; models are ranked by test"],
        ),
        (["train"] * 40 + ["validation"] * 10 + ["holdout"] * 20, ["its split's test is called holdout"]),
        (
            ["train"] * 40 + ["check"] * 12 + ["holdout"] * 18,
            [
                "its split's tests are check, holdout; models are ranked by check",
                "its split has no row 'val': a sixth of what is to train, drawn, is the validation",
            ],
        ),
    ],
)
def test_what_a_side_of_a_split_is_taken_for_is_told(parts, said):
    assert told(labelled(parts=parts)) == [("warning", what) for what in said]


def test_pictures_that_are_nearly_black():
    only(labelled(images() * np.float32(0.06)), "warning", "the brightest pixel of all is at 6.0% of white")
