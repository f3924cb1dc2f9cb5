from pathlib import Path

import numpy as np
import pytest

from harness.errors import BenchError
from suites.microstructure.findings import Unusable
from suites.microstructure.names import Names
from suites.pictures.table import Asked, find_table, read_table

FILES = ("a.png", "b.tif", "c.jpg", "d.png")


@pytest.fixture
def read(tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes(b"")

    def reading(text, asked=Asked()):  # noqa: B008  it is a tuple
        path = tmp_path / "table.csv"
        path.write_text(text)
        return read_table(path, Names([tmp_path / name for name in FILES]), asked)

    return reading


def rows(*cells, by=","):
    return "\n".join(by.join((name, *map(str, rest))) for name, *rest in zip(FILES, *cells, strict=True))


def quoted(cell):
    return f'"{cell}"'


NUMBERS, SIZES = (1.5, 2, 3e-2, -4), (1, 2, 3, 5)


def test_columns_of_numbers_are_targets_with_their_units(read):
    table = read(f"image,strength [MPa],grain size (um),note\n{rows(NUMBERS, SIZES, 'wxyz')}")
    assert table.files == FILES
    assert (table.names, table.units, table.classes) == (("strength", "grain_size"), ("MPa", "um"), False)
    np.testing.assert_array_equal(table.targets, np.array([NUMBERS, SIZES]).T)
    assert [finding.what for finding in table.findings] == ["columns not used: note"]


def test_targets_and_units_can_be_named(read):
    text = f"image,strength,size\n{rows(NUMBERS, SIZES)}"
    table = read(text, Asked(("size",), ("mm",)))
    assert (table.names, table.units) == (("size",), ("mm",))
    assert read(text, Asked((), ("mm",))).units == ("mm", "mm")
    with pytest.raises(BenchError, match=r"targets=sise: the table has no such column: did you mean 'size'"):
        read(text, Asked(("sise",)))
    with pytest.raises(BenchError, match="give one unit, or one for each of strength, size"):
        read(text, Asked((), ("mm", "m", "km")))


def test_a_dash_for_a_unit_is_none(read):
    table = read(f"image,porosity (-),tortuosity [\N{EN DASH}]\n{rows(NUMBERS, SIZES)}")
    assert (table.names, table.units) == (("porosity", "tortuosity"), ("", ""))
    assert read(f"image,porosity,K\n{rows(NUMBERS, SIZES)}", Asked((), ("-", "mD"))).units == ("", "mD")


def test_a_column_whose_header_has_a_comma_can_be_named(read):
    table = read(f'image,"Rp0,2 [MPa]",Rm [MPa]\n{rows(NUMBERS, SIZES)}', Asked(("Rm [MPa]", "Rp0", "2 [MPa]")))
    assert (table.names, table.units) == (("Rm", "Rp0_2"), ("MPa", "MPa"))


def test_a_column_of_words_has_classes(read):
    table = read(f"file,phase\n{rows(['ferrite', 'pearlite', 'ferrite', 'lower bainite'])}")
    assert table.classes
    assert table.names == ("ferrite", "lower_bainite", "pearlite")
    np.testing.assert_array_equal(table.targets, [[1, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]])


def test_numbers_can_name_classes(read):
    table = read(f"file,defect\n{rows([0, 1, 1, 0])}", Asked(("defect",), classes=True))
    assert (table.names, table.classes) == (("0", "1"), True)
    assert not read(f"file,defect\n{rows([0, 1, 1, 0])}").classes


def test_numbers_with_units_can_name_classes_where_that_is_said_and_dates_are_nothing(read):
    sizes = ["5 µm", "10 µm", "5 µm", "10 µm"]
    table = read(f"file,size\n{rows(sizes)}", Asked(("size",), classes=True))
    assert table.names == ("10_um", "5_um")
    with pytest.raises(Unusable, match=r"as '5 µm' in row 1: write the numbers alone.* say classes=true where these"):
        read(f"file,size\n{rows(sizes)}", Asked(("size",)))
    assert read(f"file,size\n{rows(['<5 µm', '>5 µm', '<5 µm', 'none'])}").names == ("above_5_um", "below_5_um", "none")
    dated = read(f"file,on,phase\n{rows(['2021-05-03', '2021-05-04'] * 2, 'uvuv')}", Asked(("phase",)))
    assert dated.names == ("u", "v")


@pytest.mark.parametrize("by", [";", "\t"])
def test_decimal_commas_are_read_as_points_and_told(read, by):
    """As spreadsheets write tables where the comma is the decimal mark."""
    cells = ["-1,5", "2", "3,25", "4,125"], ["0,608", "0,421", "0,554", "0,545"], "wxyz"
    table = read("\ufeff" + by.join(["Datei", "Härte [HV]", "Rm [GPa]", "Bemerkung"]) + "\n" + rows(*cells, by=by))
    np.testing.assert_array_equal(table.targets, [[-1.5, 0.608], [2, 0.421], [3.25, 0.554], [4.125, 0.545]])
    assert (table.names, table.units) == (("Haerte", "Rm"), ("HV", "GPa"))
    assert [finding.what for finding in table.findings] == [
        "columns not used: Bemerkung",
        "columns with decimal commas, read as points: Härte [HV], Rm [GPa]",
        "in tables and files 'Härte [HV]' is Haerte",
    ]


def test_commas_in_a_column_that_is_not_asked_for_may_mean_anything(read):
    text = f"file,dose,E\n{rows([quoted('1,700'), quoted('1,200'), '3', '4'], NUMBERS)}"
    assert read(text, Asked(("E",))).names == ("E",)
    with pytest.raises(Unusable, match="column 'dose'"):
        read(text)
    assert read(text, Asked(("dose",), classes=True)).names == ("1_200", "1_700", "3", "4")


def test_classes_are_called_by_the_letters_that_there_are_and_that_is_told(read):
    table = read(f"file,phase\n{rows(['α Fe', 'γ Fe', 'lower bainite', 'α Fe'])}")
    assert table.names == ("alpha_Fe", "gamma_Fe", "lower_bainite")
    assert [finding.what for finding in table.findings] == [
        "in tables and files 'α Fe' is alpha_Fe, 'γ Fe' is gamma_Fe"
    ]


def test_classes_that_differ_in_case_alone_are_told(read):
    table = read(f"file,phase\n{rows(['Ferrite', 'ferrite', 'pearlite', 'pearlite'])}")
    assert [finding.what for finding in table.findings] == [
        "classes that differ in case alone, are they one? Ferrite, ferrite"
    ]


def test_groups_and_a_split_are_no_targets(read):
    table = read(f"name,specimen,split,E\n{rows('ppqq', ['Train', 'test', 'val', 'train'], NUMBERS)}")
    assert table.names == ("E",)
    assert table.groups == tuple("ppqq")
    assert table.parts == ("train", "test", "validation", "train")


def test_tests_may_have_any_name_and_are_called_as_files_may_be(read):
    table = read(f"name,split,E\n{rows(['train', 'Lab B / 2', 'TEST', 'fold 1'], NUMBERS)}")
    assert table.parts == ("train", "lab-b-2", "test", "fold-1")


@pytest.mark.parametrize(
    ("cells", "part"),
    [
        (("train", "Training", "train-set", "training_set", "Train Set", "trainset"), "train"),
        (("val", "valid", "validate", "validation set", "val-set", "Validation_Set", "dev"), "validation"),
        (("test", "testing", "test-set", "Test Set"), "test"),
        (("set", "lab-set", "onset"), None),
    ],
)
def test_a_side_of_the_split_may_be_called_as_people_call_it(read, cells, part):
    for cell in cells:
        table = read(f"name,split,E\n{rows([cell] * 4, NUMBERS)}")
        assert table.parts == (part or cell,) * 4


IDS = ["3", "1", "2", "4"]


@pytest.mark.parametrize("head", ["sample_id", "Sample", "specimen", "id", "#", ""])
@pytest.mark.parametrize("cells", [("a.png", "b.tif", "c.jpg", "d.png"), ("c", "a", "d", "b"), IDS])
def test_a_column_that_names_each_image_names_the_files_whatever_it_is_called(tmp_path, head, cells):
    stems = [Path(cell).stem for cell in cells]
    names = Names(
        [tmp_path / f"{stem}.png" for stem in stems] if "." not in cells[0] else map(tmp_path.joinpath, cells)
    )
    path = tmp_path / "t.csv"
    path.write_text(f"{head},Probe,E\n" + "\n".join(f"{c},p,{n}" for c, n in zip(cells, NUMBERS, strict=True)))
    table = read_table(path, names, Asked())
    assert (table.files, table.groups, table.names) == (tuple(cells), (), ("E",))


@pytest.mark.parametrize("head", ["index", "IDX", "sample"])
def test_a_column_that_numbers_more_rows_than_there_are_images_names_files(tmp_path, head):
    """As in a published table of a thousand images, of which some were taken."""
    (tmp_path / "t.csv").write_text(f"{head},E\n" + "\n".join(f"{row},{row / 8}" for row in range(1, 9)))
    table = read_table(tmp_path / "t.csv", Names(tmp_path / f"{row}.png" for row in range(1, 6)), Asked())
    assert (table.files, table.names) == (tuple("12345678"), ("E",))


def test_what_names_files_is_no_group_and_another_column_may_be(read):
    table = read(f"sample,specimen,E\n{rows('ppqq', NUMBERS)}")
    assert (table.files, table.groups) == (FILES, tuple("ppqq"))


@pytest.mark.parametrize(
    "cells", [("a.png", "b.tif", "c.jpg", "c.jpg"), ("a.png", "b.tif", "c.jpg", "e.png"), ("a.png", "b.tif", "c", "")]
)
def test_a_group_that_names_not_each_image_is_none_of_files(read, cells):
    text = "sample_id,E\n" + "\n".join(f"{cell},{number}" for cell, number in zip(cells, NUMBERS, strict=True))
    with pytest.raises(Unusable, match="no column names the files of the images; if one does, call it `file`: needed"):
        read(text)


def test_columns_without_a_head_and_cells_are_none(read):
    assert read(
        "file,E,,\n" + "\n".join(f"{name},{number},," for name, number in zip(FILES, NUMBERS, strict=True))
    ).names == ("E",)


@pytest.mark.parametrize("head", ["specimen id", "Sample_ID", "group"])
def test_an_id_of_specimens_is_a_group(read, head):
    table = read(f"image,{head},E\n{rows([7, 7, 8, 8], NUMBERS)}")
    assert (table.names, table.groups) == (("E",), ("7", "7", "8", "8"))


def test_what_is_the_same_in_every_row_is_no_target_while_anything_else_is(read):
    same = [500] * 4
    table = read(f"file,E,magnification,by\n{rows(NUMBERS, same, ['jo'] * 4)}")
    assert table.names == ("E",)
    (finding,) = table.findings
    assert finding.what == "columns left out, because they are the same in every row: magnification, by"
    assert read(f"file,phase,T\n{rows('uvuv', same)}").names == ("u", "v")
    assert read(f"file,T\n{rows(same)}").names == ("T",)  # which the check refuses


def test_a_column_that_may_tell_groups_is_asked_about(tmp_path):
    names = [tmp_path / f"{number}.png" for number in range(40)]
    lines = [f"{number}.png,{number**0.5},P{number // 4},x{number % 3}" for number in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["file,E,Probe,note", *lines]))
    told = [finding.what for finding in read_table(tmp_path / "t.csv", Names(names), Asked()).findings]
    assert told[0] == "columns not used: Probe, note"
    assert told[1:] == [
        "column Probe has 10 values in 40 rows: if it names what they show, as a specimen, call it `group`, or scores "
        "are too good"
    ]


def test_a_row_number_is_no_target(read):
    assert read(f"file,id,E\n{rows([0, 1, 2, 3], NUMBERS)}").names == ("E",)


def test_a_cell_that_is_no_number_is_told_with_its_row(read):
    table = read(f"file,E\n{rows([1, 'n/a', 'soft', 'inf'])}", Asked(("E",)))
    assert table.classes  # numbers in half of the cells: words
    table = read(f"file,E\n{rows([1, 2, 'n/a', 3])}")
    assert np.isnan(table.targets[2, 0])
    (finding,) = table.findings
    assert finding.where == "table.csv, row 3"
    assert "E is no finite number ('n/a')" in finding.what
    assert "where these are names of classes, say classes=true" in finding.what


@pytest.mark.parametrize("asked", [Asked(), Asked(("E",))])
def test_numbers_with_more_blanks_than_numbers_are_numbers(read, asked):
    for cells in ([1, "", "", ""], [quoted("1,5"), "", "", ""]):
        table = read(f"file,E\n{rows(cells)}", asked)
        assert not table.classes
        assert table.findings[-1].what.startswith("E is empty: fill it in")
        assert table.findings[-1].what.endswith("; 3 rows: 2-4")
    assert read(f"file,E,F\n{rows([1, '', '', ''], NUMBERS)}").names == ("F",)


def test_a_number_of_rows_is_no_column_of_classes(read):
    assert read(f"Nr.,file,phase\n{numbered('uvuv')}").names == ("u", "v")


def test_what_was_measured_beside_numbers_and_is_not_predicted_is_told(read):
    text = f"file,E,F\n{rows(['70 HV', '65', '70 HV', '12 HV'], NUMBERS)}"
    table = read(text)
    assert table.names == ("F",)
    assert any(
        finding.what.startswith("column 'E' has cells that begin with a number and are none, as '70 HV' in row 1")
        for finding in table.findings
    )
    assert [finding.what for finding in read(text, Asked(("F",))).findings] == ["columns not used: E"]


def test_blank_cells_of_groups_as_merged_ones_leave_are_told(read):
    table = read(f"file,specimen,E\n{rows(['p', '', 'q', ''], NUMBERS)}")
    (finding,) = table.findings
    assert finding.what.startswith("column specimen is empty in 2 of 4 rows, each of which is a group of its own: if")


def numbered(words):
    return "\n".join(f"{n},{name},{word}" for n, (name, word) in enumerate(zip(FILES, words, strict=True), 1))


_BODY = rows(NUMBERS, SIZES)
UNUSABLE = {
    "title": (f"Series 7,,\nfile,E,F\n{_BODY}", "the first row, 'Series 7', is no header of the rows below: take out"),
    "title alone": (f"Series 7\nfile,E,F\n{_BODY}", "the first row, 'Series 7', is no header"),
    "longer title": (f"Series, 7\nfile,E,F\n{_BODY}", "the first row, 'Series, 7', is no header"),
    "blank row": (f",,\nfile,E,F\n{_BODY}", "the first row is blank and is no header"),
    "blank line": (f"\nfile,E,F\n{_BODY}", "the first row is blank and is no header"),
    "decimal commas": (
        "file,E\na.png,1,5\nb.tif,2\n",
        "row 1: not 2 cells.*: separate cells by semicolons where commas",
    ),
    "units below": (f"file,E,F\n,GPa,\n{_BODY}", "row 1 names no image and has 'GPa' where others have a number: if"),
    "no files": ("E,F\n1.5,2\n3.5,4", "no column names the files"),
    "several of words": (f"file,a,b\n{rows('uvuv', 'wxwx')}", "which of a, b\\? Say targets="),
    "a header alone": ("file,E\n", "a header and no rows"),
    "twice": (f"file,E,E\n{rows(NUMBERS, NUMBERS)}", "names a column twice: E"),
    "ragged": (f"file,E\n{rows(NUMBERS)}\na.png", "row 5: not 2 cells, as the header has"),
    "two of files": (f"file,image,E\n{rows(FILES[::-1], NUMBERS)}", "name different files"),
    "one name": (f"file,E 1,E-1,E_1\n{rows(NUMBERS, NUMBERS, NUMBERS)}", "name each in its own way"),
    "classes alike": (
        f"file,kind\n{rows(['a b', 'a-b', 'a_b', 'c'])}",
        "'a b' and 'a_b' would all be called a_b: name each in its own way",
    ),
    "one class": (f"file,kind\n{rows('uuuu')}", "no column of numbers"),
    "a unit in cells": (f"file,hv\n{rows(['70.0 HV', '71 HV', '72.5 HV', '71 HV'])}", "'70.0 HV' in row 1: write the"),
    "errors in cells": (f"file,by,hv\n{rows('jkjk', ['70 ± 2', '-', '75 ± 1', '80'])}", "as '70 ± 2' in row 1: write"),
    "a unit in few": (f"file,hv [HV]\n{rows(['soft', 'hard', '80 ± 2', 'soft'])}", "as '80 ± 2' in row 3: write the"),
    "thousands": (
        f"file,E\n{rows(['12', quoted('1,700'), '4', quoted('2,100')])}",
        "'1,700' in row 2 may be 1700",
    ),
    "both marks": (f"file,E\n{rows(['1.5', quoted('1,5'), '4', '5'])}", "'1,5' in row 2, and points or several commas"),
    "points of thousands": (
        f"file;E\n{rows(['1.234,5', '1,5', '4', '5'], by=';')}",
        "as '1.234,5' in row 1, and",
    ),
    "empty": ("", "empty: needed are a header"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_table_that_is_of_no_use_says_why(read, kind):
    text, told = UNUSABLE[kind]
    with pytest.raises(Unusable, match=told):
        read(text)


def test_a_table_is_found_where_there_is_one(tmp_path):
    with pytest.raises(Unusable, match="no table"):
        find_table(tmp_path)
    (tmp_path / "data.XLSX").write_text("x")
    with pytest.raises(Unusable, match=r"no table, \.csv or \.parquet, but data\.XLSX: save it as CSV"):
        find_table(tmp_path)
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / ".hidden.csv").write_text("x")
    assert find_table(tmp_path).name == "a.csv"
    (tmp_path / "b.parquet").write_text("x")
    with pytest.raises(Unusable, match=r"leave one; there are 2: a\.csv, b\.parquet"):
        find_table(tmp_path)


def test_parquet_is_a_csv_in_another_form(tmp_path, read):
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"file": FILES, "E": NUMBERS, "part": ["train", "train", "test", "val"]})
    frame = frame.rename(columns={"part": "split"})
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet", Names([tmp_path / name for name in FILES]), Asked())
    np.testing.assert_allclose(table.targets[:, 0], NUMBERS)
    assert table.parts == ("train", "train", "test", "validation")
    frame.assign(E=[[1, 2], [3], [5], None]).set_index("file").to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet", Names([tmp_path / name for name in FILES]), Asked())
    assert table.files == FILES  # which were the index
    assert table.classes  # lists are no numbers
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(Unusable, match="not a Parquet file"):
        read_table(tmp_path / "t.parquet", Names([]), Asked())


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unusable, match=r"pip install 'cijbench\[parquet\]'"):
        read_table(tmp_path / "t.parquet", Names([]), Asked())


def test_two_columns_of_groups_are_refused_for_one_would_leak(read):
    groups = (1, 1, 2, 2)
    for other in ("sample", "specimen", "group"):
        text = f"image,batch,specimen_no,{other},strength\n{rows(SIZES, SIZES, groups, NUMBERS)}"
        assert "group" not in read(text).names  # of one alone the images are kept together
    with pytest.raises(Unusable, match="columns sample, specimen name groups"):
        read(f"image,sample,specimen,strength\n{rows(SIZES, groups, NUMBERS)}")


def test_a_split_is_known_by_its_cells(read):
    parts = ("train", "train", "val", "test")
    assert read(f"image,set,strength\n{rows(parts, NUMBERS)}").parts == ("train", "train", "validation", "test")


def test_a_table_without_a_header_is_told_before_its_first_image_is_taken_for_one(read):
    with pytest.raises(Unusable, match=r"the first row is not a header, because it names image 'a.png'"):
        read(rows(NUMBERS))


def test_points_between_thousands_beside_decimal_commas_are_refused(read):
    commas = ("0,1", "0,2", "0,3", "1,25")
    text = f"image;T;E\n{rows((950, '1.017', 952, 953), commas, by=';')}"
    with pytest.raises(Unusable, match=r"column 'T': '1.017' in row 2 may be 1017, for other columns have decimal com"):
        read(text)
    assert read(text, Asked(("E",))).names == ("E",)


def test_minus_signs_as_journals_print_them_are_read(read):
    table = read(f"image,stress\n{rows(('-268.5', '-.5', 3, 4))}".replace("-", "\N{MINUS SIGN}"))
    assert table.targets[:, 0].tolist() == [-268.5, -0.5, 3, 4]


def test_a_target_that_may_number_specimens_is_asked_about(tmp_path):
    names = [tmp_path / f"{number}.png" for number in range(40)]
    lines = [f"{number}.png,{number**0.5},{number // 4},{number}" for number in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["file,E,Probe,load", *lines]))

    def told(asked):
        return [finding.what for finding in read_table(tmp_path / "t.csv", Names(names), asked).findings]

    (what,) = told(Asked())
    assert what == (
        "target Probe has 10 whole numbers in 40 rows: if it numbers what they show, as specimens, call it `group`; if "
        "it is none, name the others with targets="
    )
    assert "call it `group`, or scores are too good" in told(Asked(("E",)))[1]


def test_a_column_with_gaps_is_not_taken_for_one_of_specimens(tmp_path):
    names = [tmp_path / f"{number}.png" for number in range(60)]
    lines = [f"{number}.png,{number**0.5},{number if number % 3 == 0 else ''}" for number in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["file,E,hardness", *lines]))
    told = [finding.what for finding in read_table(tmp_path / "t.csv", Names(names), Asked(("E",))).findings]
    assert told == ["columns not used: hardness"]


def test_a_counter_of_rows_is_no_target_with_a_point_behind_it_either(read):
    assert read("No.,image,T\n" + "\n".join(f"{n},{name},{n * n}" for n, name in enumerate(FILES))).names == ("T",)


def test_points_between_thousands_beside_hundreds_are_refused_and_others_are_read(read):
    with pytest.raises(
        Unusable, match=r"'1\.017' in row 2 may be 1017, for others have three digits and no point: .*0170"
    ):
        read(f"image,T,E\n{rows((950, '1.017', 952, 953), NUMBERS)}")
    for written in ("1.0170", "1.02"):
        assert read(f"image,T,E\n{rows((950, written, 952, 953), NUMBERS)}").targets[1, 0] == float(written)
    assert read(f"image,T,E\n{rows(('1.125', 2, '1.375', '4.5'), NUMBERS)}").targets[0, 0] == 1.125
