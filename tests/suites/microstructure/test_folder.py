import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.errors import BenchError, DataError, Finding
from suites.microstructure import dataset
from suites.microstructure.folder import check_folder, read_folder, read_image_folder, write_folder
from suites.microstructure.materials import Phase, phases_of
from tests.suites.microstructure.examples import TARGETS, constants, masks, rewrite, write


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "data")
    return tmp_path / "data"


def errors(folder, unit=None):
    return [f"{finding.where}: {finding.what}" for finding in check_folder(folder, unit) if finding.severity == "error"]


def warnings(folder, unit=None):
    return [
        f"{finding.where}: {finding.what}" for finding in check_folder(folder, unit) if finding.severity == "warning"
    ]


def replace_cell(folder, row, column, text):
    lines = (folder / "labels.csv").read_text().splitlines()
    cells = lines[row - 1].split(",")
    cells[column] = text
    lines[row - 1] = ",".join(cells)
    rewrite(folder, lines)


# --- what is right ---------------------------------------------------------------------------------------------------


def test_a_folder_in_the_reports_layout_is_read(folder):
    read = read_folder(folder, None, None)
    pictures = masks(60)
    np.testing.assert_array_equal(read.images[..., 0], pictures)
    np.testing.assert_array_equal(read.targets, constants(pictures))
    assert read.target_names == TARGETS
    assert read.ids[:2] == ("0_image.png", "1_image.png")
    assert read.name == "data"
    assert read.facts == {}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [20, 60, 300])
def test_clean_data_raise_no_alarm(tmp_path, seed, count):
    write(tmp_path, count, seed)
    assert errors(tmp_path) == []


def test_constants_are_converted_to_gpa(folder):
    in_gpa, in_mpa = read_folder(folder, "GPa", None), read_folder(folder, "MPa", None)
    np.testing.assert_allclose(in_mpa.targets, in_gpa.targets / 1000)


@pytest.mark.parametrize(
    "header",
    [
        "row," + ",".join(TARGETS),
        "," + ",".join(TARGETS).lower(),
        "id," + ",".join(f"{name} [GPa]" for name in TARGETS),
        "#," + ",".join(f"{name} (GPa)" for name in TARGETS),
    ],
)
def test_a_header_may_name_the_columns(folder, header):
    expected = read_folder(folder, None, None)
    write(folder, header=header)
    assert read_folder(folder, None, None).fingerprint() == expected.fingerprint()


def test_columns_that_are_named_may_come_in_any_order_and_others_are_passed_over(folder):
    expected = read_folder(folder, None, None)
    names = ["comment", *TARGETS[::-1]]
    lines = [",".join(["x", *map(repr, row)]) for row in expected.targets[:, ::-1].tolist()]
    rewrite(folder, [",".join(names), *lines])
    assert read_folder(folder, None, None).fingerprint() == expected.fingerprint()


@pytest.mark.parametrize(
    "convert", [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n") + "\r\n\r\n"]
)
def test_byte_order_marks_and_windows_line_ends_do_not_matter(folder, convert):
    expected = read_folder(folder, None, None)
    path = folder / "labels.csv"
    path.write_bytes(convert(path.read_text()).encode())
    assert read_folder(folder, None, None).fingerprint() == expected.fingerprint()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_images_may_be_stored_in_any_way_that_loses_nothing(folder, mode):
    expected = read_folder(folder, None, None)
    with Image.open(folder / "7_image.png") as image:
        pixels = np.asarray(image)
        stored = Image.fromarray(pixels.astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
        stored.save(folder / "7_image.png")
    assert read_folder(folder, None, None).fingerprint() == expected.fingerprint()


def test_what_is_written_is_read_back_exactly(tmp_path):
    made = dataset.make(dataset.Parameters(count=25))
    write_folder(made, tmp_path / "out", "GPa", {"seed": 0})
    read = read_folder(tmp_path / "out", None, None)
    assert read.fingerprint() == made.fingerprint()
    assert (read.name, read.kinds, read.facts) == (made.name, made.kinds, made.facts)
    assert len(list((tmp_path / "out").glob("*.png"))) == 25


def test_written_in_another_unit_it_says_so(tmp_path):
    made = dataset.make(dataset.Parameters(count=20))
    write_folder(made, tmp_path / "out", "N/nm^2", {})
    np.testing.assert_allclose(read_folder(tmp_path / "out", None, None).targets, made.targets, rtol=1e-14)
    assert "which is it?" in errors(tmp_path / "out", "GPa")[0]


def test_phases_given_go_before_those_written(tmp_path):
    write_folder(dataset.make(dataset.Parameters(count=20)), tmp_path / "out", "GPa", {})
    given_phases = (Phase(70.1, 0.33), Phase(411, 0.19))
    assert phases_of(read_folder(tmp_path / "out", None, given_phases).facts) == given_phases


def test_nothing_is_overwritten(folder):
    made = dataset.make(dataset.Parameters(count=5, size=16))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(BenchError, match="not an empty folder"):
        write_folder(made, folder, "GPa", {})
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_write_that_fails_leaves_nothing(tmp_path):
    made = dataset.make(dataset.Parameters(count=5, size=16))
    with pytest.raises(TypeError):
        write_folder(made, tmp_path / "out", "GPa", {"what": object()})
    assert list(tmp_path.iterdir()) == []


def test_images_alone_are_read_in_natural_order(folder):
    images, names, unread = read_image_folder(folder, (64, 64))
    assert unread == {}
    assert names[:3] == ("0_image.png", "1_image.png", "2_image.png")
    assert names[10] == "10_image.png"
    np.testing.assert_array_equal(images[..., 0], masks(60))


# --- what is wrong ---------------------------------------------------------------------------------------------------


def break_image(change):
    def fault(folder):
        path = folder / "3_image.png"
        with Image.open(path) as image:
            changed = change(np.array(image))
        Image.fromarray(changed).save(path)

    return fault


def gray_corner(pixels):
    pixels[:16, :16] = 128
    return pixels


def drop_last_cell(folder):
    lines = (folder / "labels.csv").read_text().splitlines()
    rewrite(folder, [*lines[:4], lines[4].rpartition(",")[0], *lines[5:]])


def swap_columns(folder):
    """Row 9 with C12 in place of C11: no material is like that."""
    replace_cell(folder, 9, 4, "1e4")


def constant_column(folder):
    for row in range(1, 61):
        replace_cell(folder, row, 3, "200.0")


def shift(step):
    def fault(folder):
        labels = constants(masks(60))
        write(folder, labels=np.roll(labels, step, axis=0))

    return fault


def copy(source, target):
    return lambda folder: (folder / target).write_bytes((folder / source).read_bytes())


def text(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def make_directory(folder):
    (folder / "3_image.png").unlink()
    (folder / "3_image.png").mkdir()


def decompression_bomb(folder):
    Image.new("1", (20000, 20000)).save(folder / "3_image.png")


def truncate(folder):
    path = folder / "3_image.png"
    path.write_bytes(path.read_bytes()[:-30])


def each_line(change):
    def fault(folder):
        rewrite(folder, [change(line) for line in (folder / "labels.csv").read_text().splitlines()])

    return fault


FAULTS = {
    "no image": (lambda folder: (folder / "3_image.png").unlink(), "images 3: no image for CSV row 4"),
    "two images": (copy("4_image.png", "3_again.png"), "image 3: ambiguous (3_again.png, 3_image.png): keep one"),
    "surplus image": (copy("4_image.png", "60_more.png"), "images 60: no row in the CSV"),
    "image without id": (copy("4_image.png", "picture.png"), "picture.png: no id"),
    "ids from 1": (lambda folder: (folder / "0_image.png").rename(folder / "60_image.png"), "ids count from 0, not 1"),
    "truncated image": (truncate, "3_image.png: truncated or damaged PNG"),
    "empty image": (text("3_image.png", b""), "3_image.png: zero bytes"),
    "no PNG at all": (text("3_image.png", b"GIF89a, or so it says, and more bytes"), "3_image.png: not a PNG"),
    "directory": (make_directory, "3_image.png: a directory"),
    "wrong size": (break_image(lambda pixels: pixels[:32]), "3_image.png: 64x32 pixels instead of 64x64"),
    "decompression bomb": (decompression_bomb, "3_image.png: 20000x20000 pixels"),
    "not two-valued": (break_image(gray_corner), "6.2% of the pixels are neither black nor white"),
    "two other values": (break_image(lambda pixels: pixels // 255 * 100 + 50), "values 50 and 150 of 255"),
    "coloured": (
        break_image(lambda pixels: np.stack([pixels, pixels, 0 * pixels], axis=2)),
        "3_image.png: RGB, with pixels that are not gray",
    ),
    "same image twice": (copy("8_image.png", "3_image.png"), "keep one of each; 3_image.png = 8_image.png"),
    "no CSV": (lambda folder: (folder / "labels.csv").unlink(), "no CSV file"),
    "two CSVs": (copy("labels.csv", "other.csv"), "leave one CSV file; there are 2: labels.csv, other.csv"),
    "empty CSV": (text("labels.csv", b""), "labels.csv: empty"),
    "only a header": (text("labels.csv", ("row," + ",".join(TARGETS)).encode()), "labels.csv: a header and no rows"),
    "no text": (text("labels.csv", b"\xff\xfe\x00\x01"), "labels.csv: not UTF-8"),
    "missing cell": (drop_last_cell, "row 5: 9 columns instead of 10"),
    "text": (lambda folder: replace_cell(folder, 7, 2, "stiff"), "row 7: C22 is not a number ('stiff')"),
    "empty cell": (lambda folder: replace_cell(folder, 7, 2, ""), "row 7: C22 is empty"),
    "NaN": (lambda folder: replace_cell(folder, 7, 9, "nan"), "row 7: C66 is nan"),
    "infinity": (lambda folder: replace_cell(folder, 7, 1, "-inf"), "row 7: C11 is -inf"),
    "absurd": (
        lambda folder: replace_cell(folder, 7, 1, "1e300"),
        "row 7: C11 is larger or smaller than any unit makes a stiffness (1e300)",
    ),
    "row numbers": (lambda folder: replace_cell(folder, 7, 0, "8"), "row 7 has '8'"),
    "rows from 0": (
        each_line(lambda line: f"{int(line.split(',')[0]) - 1},{line.partition(',')[2]}"),
        "file,C11,C22,C33,C12,C23,C13,C44,C55,C66; 60 rows: 1-60 (row 1 has '0')",
    ),
    "semicolons": (
        each_line(lambda line: line.replace(".", "COMMA").replace(",", ";").replace("COMMA", ",")),
        "semicolons",
    ),
    "a million columns": (text("labels.csv", b"1," * 10**6 + b"1\n"), "1000001 columns instead of 10"),
    "header lacks a column": (
        lambda folder: write(folder, header="row," + ",".join(TARGETS).replace("C66", "C67")),
        "the header names row, C11, C22 and 7 more; it must name C11 C22 C33 C12 C23 C13 C44 C55 C66 (lacking C66)",
    ),
    "header repeats a column": (
        lambda folder: write(folder, header="row," + ",".join(TARGETS).replace("C66", "C11")),
        "names C11 twice",
    ),
    "header with units in places": (
        lambda folder: write(folder, header="row," + ",".join(TARGETS).replace("C44", "C44 [MPa]")),
        "some of its headers name a unit, and some constants have none",
    ),
    "header in another unit": (
        lambda folder: write(folder, header="row," + ",".join(f"{name} [Pa]" for name in TARGETS)),
        "says Pa, but unit=GPa",
    ),
    "constant column": (constant_column, "labels.csv, column C33: the same in every row: nothing to predict (200 GPa)"),
    "no stiffness": (swap_columns, "row 9: not a positive definite stiffness"),
    "labels a row up": (shift(-1), "labels look shifted"),
    "labels a row down": (shift(1), "labels look shifted"),
    "broken dataset.json": (text("dataset.json", b"{"), "dataset.json: "),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_data_set_is_told_where_and_left_as_it_is(folder, name):
    fault, said = FAULTS[name]
    fault(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    unit = "GPa" if "unit" in name else None
    assert any(said in error for error in errors(folder, unit)), check_folder(folder, unit)
    with pytest.raises(DataError):
        read_folder(folder, unit, None)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_everything_is_told_at_once(folder):
    for name in ("no image", "surplus image", "not two-valued", "text", "constant column"):
        if name != "not two-valued":
            FAULTS[name][0](folder)
    (folder / "5_image.png").write_bytes(b"")
    assert len(errors(folder)) == 5


def test_the_same_fault_in_many_rows_is_one_line(folder):
    for row in (3, 4, 5, 6, 20):
        replace_cell(folder, row, 1, "?")
    (error,) = errors(folder)
    assert "5 rows: 3-6, 20 (row 3: '?')" in error


def test_a_folder_that_is_not_there(tmp_path):
    assert "there is no such folder" in errors(tmp_path / "nowhere")[0]


def test_a_folder_without_images(folder):
    for path in folder.glob("*.png"):
        path.unlink()
    assert any("no *.png images" in error for error in errors(folder))


def test_images_alone_must_be_usable_too(folder):
    (folder / "3_image.png").write_bytes(b"")
    images, names, unread = read_image_folder(folder, (64, 64))
    assert len(images) == len(names) == 59
    assert list(unread) == ["3_image.png"]
    assert "zero bytes" in unread["3_image.png"]
    unread = read_image_folder(folder, (32, 32)).unread
    assert len(unread) == 60
    assert "64x64 pixels instead of 32x32" in unread["4_image.png"]


# --- what is suspicious ----------------------------------------------------------------------------------------------


def test_few_images_are_a_warning(tmp_path):
    write(tmp_path, count=25)
    assert any("only 25 images" in warning for warning in warnings(tmp_path))
    assert any("only 25 images" in warning for warning in read_folder(tmp_path, None, None).warnings)


def test_a_single_phase_is_a_warning(folder):
    Image.new("L", (64, 64), 255).save(folder / "3_image.png")
    assert "3_image.png: shows one phase only" in warnings(folder)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_images_that_cannot_be_split_are_an_error(tmp_path, count):
    """Planted: `data check` passed what `run` refused."""
    write(tmp_path, count=count)
    words = f"{count} image{'s are' if count > 1 else ' is'} too few to split 70/15/15; 4 is the least"
    assert f"images: {words}" in errors(tmp_path)
    assert warnings(tmp_path) == []


def test_four_images_are_enough_to_split(tmp_path):
    write(tmp_path, count=4)
    assert errors(tmp_path) == []


@pytest.mark.parametrize("unit", ["N/m²", "N/\u00b5m^2", "pa"])
def test_the_unit_that_a_magnitude_suggests_does_not_hang_on_spelling(tmp_path, unit):
    """Planted: labels in GPa and unit=N/m² were answered with unit=N/nm^2."""
    write(tmp_path)
    assert any("unit=GPa would make it 2" in warning for warning in warnings(tmp_path, unit))


def test_a_header_of_an_unknown_unit_is_told(tmp_path):
    write(tmp_path, header="row," + ",".join(f"{name} [furlong]" for name in TARGETS))
    assert any("labels.csv: unknown unit 'furlong'" in error for error in errors(tmp_path))


def test_a_hundred_faulty_files_are_no_long_line(folder):
    for index in range(60, 160):
        (folder / f"{index}_{'surplus' * 20}.png").write_bytes((folder / "3_image.png").read_bytes())
        (folder / f"{'nameless' * 20}{index}.png").write_bytes(b"")
        (folder / f"7_{'again' * 20}{index}.png").write_bytes(b"")
        (folder / f"{'table' * 20}{index}.csv").write_bytes(b"")
    assert max(map(len, errors(folder))) < 800
    for path in folder.glob("table*.csv"):
        path.unlink()
    assert max(map(len, errors(folder))) < 800
    with pytest.raises(DataError) as caught:
        read_folder(folder, None, None)
    assert len(str(caught.value)) < 4000


def test_white_that_is_softer_is_a_warning(tmp_path):
    pictures = masks(60)
    write(tmp_path, pictures=pictures, labels=constants(1 - pictures))
    assert any("white looks like the softer phase" in warning for warning in warnings(tmp_path))
    assert errors(tmp_path) == []


def test_an_unlikely_unit_is_a_warning_that_names_a_likely_one(folder):
    assert any("unit=GPa would make it" in warning for warning in warnings(folder, "MPa")) or any(
        "which no common solid has" in warning for warning in warnings(folder, "Pa")
    )
    assert warnings(folder, "GPa") == []


# --- whatever is in the table ----------------------------------------------------------------------------------------


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=300), st.text(alphabet="C123456,;.\n\r\"'-einfa \t", max_size=300).map(str.encode)
    )
)
def test_no_table_can_do_worse_than_be_refused(folder, content):
    (folder / "labels.csv").write_bytes(content)
    assert errors(folder)
    with pytest.raises(DataError):
        read_folder(folder, None, None)


def test_a_refusal_tells_ten_problems_and_where_to_find_the_others():
    findings = [Finding("error", f"row {number}", "is bad") for number in range(25)]
    lines = str(DataError("mine", findings)).splitlines()
    assert lines[0] == "mine: 25 problems in this data set"
    assert lines[-1] == "  and 15 more; `bench data check`, with the same options, lists all"
    assert len(lines) == 12
