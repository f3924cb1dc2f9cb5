import numpy as np
import pytest
from PIL import Image

from harness.errors import BenchError, DataError
from suites.films import dataset
from suites.films.crystal import COPPER, SILICON, crystal_of
from suites.films.dataset import Parameters
from suites.films.folder import check_folder, read_folder, read_image_folder, write_folder
from tests.suites.films.examples import a_few, rewrite, write


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "data")
    return tmp_path / "data"


def told(folder, severity, **options):
    return [f"{f.where}: {f.what}" for f in check_folder(folder, **options) if f.severity == severity]


def one_error(folder, **options):
    (error,) = told(folder, "error", **options)
    with pytest.raises(DataError, match="problem"):
        read_folder(folder, **options)
    return error


def picture(folder, index=0):
    return np.asarray(Image.open(folder / f"{index}.png"))


def save(folder, pixels, index=0, **options):
    Image.fromarray(pixels).save(folder / f"{index}.png", **options)


# --- what is right ---------------------------------------------------------------------------------------------------


def test_a_folder_of_films_is_read(folder):
    read = read_folder(folder, crystal=SILICON)
    _, pictures, moduli = a_few()
    np.testing.assert_array_equal(read.images[..., 0] * np.float32(255), pictures)
    np.testing.assert_array_equal(read.targets[:, 0], moduli)
    assert (read.target_names, read.units) == (("E1",), ("GPa",))
    assert read.ids[:3] == ("0.png", "1.png", "2.png")
    assert read.name == "data"
    assert crystal_of(read.facts) == SILICON
    assert read.warnings == ("images: only 24 images: scores on the 15 % of them in the test set will say little",)


def test_without_a_crystal_none_is_told(folder):
    assert read_folder(folder).facts == {}


@pytest.mark.parametrize("header", ["file,E1 (MPa)", "image,E1 [MPa]", "Filename,e_1 (MPa)", "png,E (N/mm^2)"])
def test_the_header_may_name_a_unit(tmp_path, header):
    write(tmp_path, header=header, factor=1e-3)
    np.testing.assert_allclose(read_folder(tmp_path).targets[:, 0], a_few()[2])


def test_rows_may_come_in_any_order_and_with_other_columns(tmp_path):
    header, *rows = write(tmp_path)
    rewrite(tmp_path, [header + ",note", *(row + ",x" for row in reversed(rows))])
    np.testing.assert_array_equal(read_folder(tmp_path).targets[:, 0], a_few()[2])
    assert "labels.csv: columns not used: note" in told(tmp_path, "warning")


@pytest.mark.parametrize("size", [16, 64, 256])
def test_any_square_will_do(tmp_path, size):
    write(tmp_path)
    for index in range(24):
        with Image.open(tmp_path / f"{index}.png") as image:
            image.resize((size, size), Image.Resampling.NEAREST).save(tmp_path / f"{index}.png")
    assert read_folder(tmp_path).images.shape == (24, size, size, 1)


def test_made_films_are_written_and_read_back(tmp_path):
    made = dataset.make(Parameters(count=6, seed=1, ratio=2, crystal=COPPER))
    write_folder(made, tmp_path / "out", {"seed": 1}, "MPa")
    read = read_folder(tmp_path / "out")
    np.testing.assert_array_equal(read.images, made.images)
    np.testing.assert_allclose(read.targets, made.targets, rtol=1e-14)
    assert read.facts == {"crystal": "copper"}
    assert read.name == "polysilicon"
    assert told(tmp_path / "out", "error") == []
    with pytest.raises(BenchError, match="not an empty folder"):
        write_folder(made, tmp_path / "out", {})
    with pytest.raises(BenchError, match="unknown unit"):
        write_folder(made, tmp_path / "other", {}, "furlongs")
    assert not (tmp_path / "other").exists()


def test_images_alone_are_read(folder):
    images, names, _ = read_image_folder(folder, (128, 128))
    np.testing.assert_array_equal(images, read_folder(folder).images)
    assert names[:2] == ("0.png", "1.png")
    images, _, unread = read_image_folder(folder, (64, 64))
    assert len(images) == 0
    assert all("64x64 are needed" in why for why in unread.values())


# --- what is wrong ---------------------------------------------------------------------------------------------------


def test_there_must_be_a_folder_with_images_and_one_csv(tmp_path):
    assert "no such folder" in one_error(tmp_path / "none")
    assert "no *.png" in told(tmp_path, "error")[0]
    write(tmp_path)
    (tmp_path / "second.csv").write_text("file,E1\n")
    assert "leave one CSV" in one_error(tmp_path)


@pytest.mark.parametrize("content", ["", "\n\n", "0.png,140\n1.png,141\n", "file,C11\n0,1\n", "E1,E1,file\n1,2,3\n"])
def test_a_csv_of_another_kind_is_told_what_is_needed(folder, content):
    (folder / "labels.csv").write_text(content)
    assert "file,E1" in one_error(folder)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("3.png,", "E1 is empty"),
        ("3.png,many", "not a number"),
        ("3.png,140,7", "3 columns instead of 2"),
        ("3.png,-140", "E1 is not positive"),
        ("3.png,inf", "E1 is inf"),
    ],
)
def test_a_row_that_is_wrong_is_named(folder, row, what):
    lines = write(folder)
    lines[4] = row
    rewrite(folder, lines)
    error = told(folder, "error")[0]
    assert "row 4" in error
    assert what in error


def test_rows_and_images_must_fit(folder):
    lines = write(folder)
    rewrite(folder, [*lines[:-1], "nobody.png,140"])
    errors = " ".join(told(folder, "error"))
    assert "not in the folder ('nobody.png')" in errors
    assert "23.png: no row of the CSV names it" in errors


def test_nothing_to_predict_is_an_error(folder):
    header, *rows = write(folder)
    rewrite(folder, [header, *(row.split(",")[0] + ",140.0" for row in rows)])
    assert "nothing to predict" in one_error(folder, crystal=None)


def test_units_must_not_contradict_each_other(tmp_path):
    write(tmp_path, header="file,E1 (MPa)", factor=1e-3)
    assert "says MPa, but unit=GPa" in one_error(tmp_path, unit="GPa")
    with pytest.raises(BenchError, match="unknown unit"):
        read_folder(tmp_path, unit="furlongs")
    write(tmp_path, header="file,E1 (furlongs)")
    assert "unknown unit" in one_error(tmp_path)


def test_pixels_must_be_gray_levels_of_a_square(folder):
    save(folder, picture(folder)[:, :100])
    assert "a film is a square" in one_error(folder)
    save(folder, np.zeros((64, 64), np.uint8))
    assert "64x64 pixels where 128x128 are needed" in one_error(folder)
    coloured = np.stack([np.zeros((128, 128), np.uint8), *[np.full((128, 128), 9, np.uint8)] * 2], axis=-1)
    save(folder, coloured)
    error = one_error(folder)
    assert "not gray" in error
    assert "0 for 0 degrees and 255 for 90" in error
    save(folder, picture(folder, 1).astype(np.uint16) * 257)
    assert "16-bit gray" in one_error(folder)
    (folder / "0.png").write_bytes((folder / "1.png").read_bytes()[:300])
    assert "damaged" in one_error(folder)
    (folder / "0.png").write_bytes(b"")
    assert "zero bytes" in one_error(folder)


def test_the_same_image_must_have_the_same_modulus(folder):
    lines = write(folder)
    save(folder, picture(folder, 0), 5)
    assert "5.png: the same image as another, with another E1" in one_error(folder)
    lines[6] = "5.png," + lines[1].split(",")[1]
    rewrite(folder, lines)
    assert told(folder, "error") == []
    assert any("one may end up in training" in line for line in told(folder, "warning"))


# --- what is odd -----------------------------------------------------------------------------------------------------


def test_clean_films_raise_no_alarm(folder):
    assert told(folder, "error", crystal=SILICON) == []
    assert len(told(folder, "warning", crystal=SILICON)) == 1  # so few


def test_moduli_are_held_to_the_bounds_of_the_crystal(folder):
    warnings = " ".join(told(folder, "warning", crystal=COPPER))
    assert "E1 outside Reuss's and Voigt's bounds of what the image shows" in warnings
    assert "crystal=copper" in warnings


def test_moduli_of_other_images_are_noticed(folder):
    header, *rows = write(folder)
    values = [row.split(",")[1] for row in rows]
    rewrite(folder, [header, *(f"{i}.png,{value}" for i, value in enumerate(values[5:] + values[:5]))])
    assert any("paired rightly" in line for line in told(folder, "warning", crystal=SILICON))


def test_a_wrong_unit_is_noticed(folder):
    assert any("is the unit right" in line for line in told(folder, "warning", unit="Pa"))


def test_averaged_gray_levels_are_noticed(folder):
    noisy = picture(folder).astype(int) + np.random.default_rng(0).integers(-3, 4, (128, 128))
    save(folder, noisy.clip(0, 255).astype(np.uint8))
    save(folder, np.full((128, 128), 77, np.uint8), 1)
    warnings = " ".join(told(folder, "warning"))
    assert "0.png: gray levels change from pixel to pixel" in warnings
    assert "1.png: shows one gray level only" in warnings


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"name": "a/<b>"}', b'{"name": "a", "crystal": "cheese"}', b"[" * 10**5, b"\xff"]
)
def test_a_broken_dataset_json_is_told(folder, content):
    (folder / "dataset.json").write_bytes(content)
    assert one_error(folder).startswith("dataset.json: ")


def test_a_crystal_that_is_given_goes_before_that_of_the_file(folder):
    (folder / "dataset.json").write_text('{"name": "mine", "crystal": "165.64,63.94,79.51"}')
    assert read_folder(folder).facts == {"crystal": "silicon"}
    assert read_folder(folder).name == "mine"
    assert read_folder(folder, crystal=COPPER).facts == {"crystal": "copper"}
