import unicodedata

import numpy as np
import pytest

from suites.microstructure import dataset
from suites.microstructure.folder import read_folder, write_folder
from suites.microstructure.materials import phases_of
from tests.suites.microstructure.examples import TARGETS, shipped, table, told, write_shipped

COUNT = 60


@pytest.fixture
def names(tmp_path):
    return write_shipped(tmp_path, COUNT)


@pytest.fixture
def shuffled():
    return np.random.default_rng(0).permutation(COUNT).tolist()


def rows_of(order, *before):
    """Rows in `order`, each with what the functions `before` say of an image before its constants."""
    constants = shipped(COUNT).targets
    return [[*(say(index) for say in before), *map(repr, constants[index].tolist())] for index in order]


@pytest.mark.parametrize(
    "header", ["file", "Filename", "FILE NAME", "file_name", "image", "Image-Name", "path", "name"]
)
def test_a_column_of_names_pairs_rows_with_images(tmp_path, names, shuffled, header):
    """Planted: rows in another order than the ids, which were paired by their order."""
    expected = read_folder(tmp_path, None, None)
    table(tmp_path, [header, *TARGETS], rows_of(shuffled, names.__getitem__))
    read = read_folder(tmp_path, None, None)
    assert told(tmp_path) == ([], [])
    assert read.fingerprint() == expected.fingerprint()
    assert (read.ids, read.kinds) == (expected.ids, expected.kinds)


@pytest.mark.parametrize(
    "spelled",
    [
        lambda name: name.removesuffix(".png"),
        lambda name: f"renders/{name}",
        lambda name: f"C:\\renders\\{name}",
        str.upper,
    ],
    ids=["stem", "folder", "backslashes", "case"],
)
def test_names_may_be_spelled_in_many_ways_and_the_column_called_anything(tmp_path, names, shuffled, spelled):
    expected = read_folder(tmp_path, None, None)
    table(tmp_path, ["micrograph", *TARGETS], rows_of(shuffled, lambda index: spelled(names[index])))
    assert read_folder(tmp_path, None, None).fingerprint() == expected.fingerprint()
    assert told(tmp_path) == ([], [])


def test_names_go_before_row_numbers_whose_column_may_hold_them(tmp_path, names, shuffled):
    expected = read_folder(tmp_path, None, None).fingerprint()
    table(tmp_path, ["row", "sample", *TARGETS], rows_of(shuffled, lambda _: 7, names.__getitem__))
    assert read_folder(tmp_path, None, None).fingerprint() == expected
    table(tmp_path, ["id", *TARGETS], rows_of(shuffled, names.__getitem__))
    assert read_folder(tmp_path, None, None).fingerprint() == expected
    assert told(tmp_path) == ([], [])


def test_images_that_a_column_names_may_have_any_name(tmp_path, names, shuffled):
    expected = read_folder(tmp_path, None, None).fingerprint()
    for index, name in enumerate(names):
        (tmp_path / name).rename(tmp_path / f"Probe ä{index:02}.png")
    decomposed = [unicodedata.normalize("NFD", f"Probe ä{index:02}.png") for index in range(COUNT)]
    table(tmp_path, ["file", *TARGETS], rows_of(shuffled, decomposed.__getitem__))
    assert read_folder(tmp_path, None, None).fingerprint() == expected


def test_what_does_not_pair_is_told_all_at_once(tmp_path, names, shuffled):
    cells = {shuffled[2]: "nowhere.png", shuffled[4]: names[shuffled[5]], shuffled[8]: ""}
    table(tmp_path, ["file", *TARGETS], rows_of(shuffled, lambda index: cells.get(index, names[index])))
    errors, _ = told(tmp_path)
    assert any(
        "file that it names is not in the folder" in e and "2 rows: 3, 9 (row 3: 'nowhere.png')" in e for e in errors
    )
    assert any(e.startswith("labels.csv, row 6: names a file that another row names") for e in errors)
    assert any("no row of the CSV names it: add one or take it away; 3 images: " in e for e in errors)


def test_a_column_that_looks_like_names_of_other_files_is_not_passed_over(tmp_path, names, shuffled):
    table(tmp_path, ["micrograph", *TARGETS], rows_of(shuffled, lambda index: f"other{index}.png"))
    assert "60 rows: 1-60" in told(tmp_path)[0][0]


def test_two_columns_that_name_different_files_are_refused(tmp_path, names, shuffled):
    other = names[::-1]
    table(tmp_path, ["before", "after", *TARGETS], rows_of(shuffled, names.__getitem__, other.__getitem__))
    assert told(tmp_path)[0][0] == "labels.csv: columns 'before', 'after' name different files in a row: leave one"
    table(tmp_path, ["file", "path", *TARGETS], rows_of(shuffled, names.__getitem__, names.__getitem__))
    assert told(tmp_path) == ([], ["labels.csv: columns not used: path"])


@pytest.mark.parametrize("spelled", [str, "{:04}".format], ids=["plain", "padded"])
def test_ids_are_names_in_a_column_that_is_called_so(tmp_path, names, shuffled, spelled):
    expected = read_folder(tmp_path, None, None).fingerprint()
    table(tmp_path, ["image", *TARGETS], rows_of(shuffled, spelled))
    assert read_folder(tmp_path, None, None).fingerprint() == expected


def test_what_may_be_ids_is_not_guessed(tmp_path, names, shuffled):
    """A rank holds each number once, too."""
    table(tmp_path, ["rank", *TARGETS], rows_of(shuffled, str))
    assert told(tmp_path)[0][0].startswith(
        "labels.csv: column 'rank' holds the id of each image once, in another order"
    )
    table(tmp_path, ["row", "rank", *TARGETS], rows_of(range(COUNT), lambda index: index + 1, shuffled.__getitem__))
    assert told(tmp_path) == ([], ["labels.csv: columns not used: rank"])


def test_numbers_alone_are_no_names(tmp_path, names):
    """A column that merely counts must not pair anything."""
    table(tmp_path, ["row", "seed", *TARGETS], rows_of(range(COUNT), lambda index: index + 1, lambda index: index % 7))
    assert told(tmp_path) == ([], ["labels.csv: columns not used: seed"])


# --- groups and splits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("header", "what"), [("group", "groups"), ("Family", "kinds"), ("specimen", "groups")])
def test_a_column_of_groups_or_families_is_the_data_sets(tmp_path, names, shuffled, header, what):
    labels = shipped(COUNT).kinds
    table(tmp_path, ["file", header, *TARGETS], rows_of(shuffled, names.__getitem__, labels.__getitem__))
    read = read_folder(tmp_path, None, None)
    assert getattr(read, what) == labels
    assert getattr(read, "kinds" if what == "groups" else "groups") == ()
    assert told(tmp_path) == ([], [])


def test_families_must_agree_with_those_of_dataset_json(tmp_path):
    made, folder = shipped(COUNT), tmp_path / "mine"
    write_folder(made, folder, "GPa", {})
    (folder / f"1-{COUNT}_Cij.csv").rename(folder / "labels.csv")
    families, order = list(made.kinds), list(range(COUNT))[::-1]
    table(folder, ["image", "family", *TARGETS], rows_of(order, str, families.__getitem__))
    assert read_folder(folder, None, None).kinds == made.kinds
    families[59] = "foam"
    table(folder, ["image", "family", *TARGETS], rows_of(order, str, families.__getitem__))
    assert told(folder)[0] == [
        "labels.csv, row 1: another family than dataset.json says (foam, not lamellae): take the column out, or mend "
        "one of the two"
    ]


def test_families_belong_to_the_images_whatever_the_order_of_the_rows(tmp_path, shuffled):
    made, folder = shipped(COUNT), tmp_path / "mine"
    write_folder(made, folder, "GPa", {})
    (folder / f"1-{COUNT}_Cij.csv").rename(folder / "labels.csv")
    table(folder, ["image", *TARGETS], rows_of(shuffled, str))
    read = read_folder(folder, None, None)
    assert (read.fingerprint(), read.kinds) == (made.fingerprint(), made.kinds)


@pytest.mark.parametrize("group", ["<b>", "x" * 201])
def test_a_group_is_a_label(tmp_path, names, group):
    table(tmp_path, ["group", *TARGETS], rows_of(range(COUNT), lambda _: group))
    assert "the name of its group holds markup or is too long: take it out; 60 rows" in told(tmp_path)[0][0]


@pytest.mark.parametrize("header", ["split", "which"])
def test_a_split_is_refused_aloud(tmp_path, names, header):
    part = ["train", "Val", "test"]
    table(tmp_path, ["file", header, *TARGETS], rows_of(range(COUNT), names.__getitem__, lambda index: part[index % 3]))
    errors, warnings = told(tmp_path)
    assert errors == [f"labels.csv: column '{header}': this suite splits by itself, 70/15/15: take the column out"]
    assert warnings == []


def test_columns_of_which_nothing_is_made_are_named(tmp_path, names):
    table(tmp_path, ["row", *"abcde", *TARGETS], rows_of(range(COUNT), lambda index: index + 1, *[lambda _: "x"] * 5))
    assert told(tmp_path) == ([], ["labels.csv: columns not used: a, b, c and 2 more"])


def test_the_shipped_data_are_read_back_by_name(tmp_path):
    whole = dataset.load("elasticity")
    names = write_shipped(tmp_path, len(whole.ids))
    lines = [[name, *map(repr, row)] for name, row in zip(names, whole.targets.tolist(), strict=True)]
    table(tmp_path, ["file", *TARGETS], lines[::-1])
    assert read_folder(tmp_path, None, phases_of(whole.facts)).fingerprint() == whole.fingerprint()
