"""Every file of `tests/data`, through every command that reads its kind: one clear refusal, and nothing is changed."""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.command import cli
from harness.judging.store import Store
from suites.microstructure.folder import check_folder

DATA = Path(__file__).parents[1] / "data"
ACCEPTED = ""

IMAGES = {
    "gray.png": ACCEPTED,
    "one-bit.png": ACCEPTED,
    "palette.png": ACCEPTED,
    "opaque-alpha.png": ACCEPTED,
    "16-bit.png": ACCEPTED,
    "animated.png": ACCEPTED,  # by its first picture
    "empty.png": "zero bytes",
    "truncated.png": "truncated or damaged PNG",
    "wrong-checksum.png": "truncated or damaged PNG",
    "jpeg.png": "not a PNG, whatever its name says",
    "pickle.png": "not a PNG, whatever its name says",
    "signature-only.png": "not a PNG, whatever its name says",
    "transparent.png": "gray with alpha, partly transparent",
    "coloured-palette.png": "palette, with pixels that are not gray",
    "16-bit-rgb.png": "16-bit RGB",
    "gray-values.png": "two-valued, but not black 0 and white 255",
    "small.png": "32x32 pixels instead of 64x64",
    "header-bomb.png": "100000x100000 pixels instead of 64x64",
    "data-bomb.png": ACCEPTED,  # no more of it is inflated than the picture needs
    "text-bomb.png": "truncated or damaged PNG",
    "second-header-narrow.png": "a PNG with two headers",
    "second-header-wide.png": "a PNG with two headers",
    "no-data.png": "truncated or damaged PNG",
    "short-data.png": "truncated or damaged PNG",
    "wrong-depth.png": "truncated or damaged PNG",
    "shown-rotated.png": "says that it is to be shown rotated or mirrored (EXIF)",
    "shown-as-it-is.png": ACCEPTED,
    "damaged-exif.png": ACCEPTED,  # which viewers pass over, too
    "narrow.png": "32x64 pixels instead of 64x64: render a square cell anew; neither crop nor stretch it",
    "large.png": "128x128 pixels instead of 64x64: resample the whole image",
}

TABLES = {
    "bom.csv": ACCEPTED,
    "crlf.csv": ACCEPTED,
    "cr.csv": ACCEPTED,
    "quoted.csv": ACCEPTED,
    "blank-rows-at-the-end.csv": ACCEPTED,
    "header.csv": ACCEPTED,
    "header-with-units.csv": ACCEPTED,
    "spreadsheet.csv": ACCEPTED,
    "semicolons.csv": "separated by semicolons or tabs",
    "semicolons-and-decimal-commas.csv": "separated by semicolons or tabs",
    "decimal-commas.csv": "19 columns instead of 10: decimal commas, perhaps",
    "quoted-decimal-commas.csv": "perhaps: write points as decimal marks; 20 rows: 1-20 (row 1: ",
    "tabs.csv": "separated by semicolons or tabs",
    "utf-16.csv": "not UTF-8 text",
    "blank-row.csv": "row 6: 0 columns instead of 10",
    "underscores.csv": "row 7: C11 is not a number ('1_00.0')",
    "other-digits.csv": "row 7: C11 is not a number",
    "formula.csv": "row 7: C11 is not a number ('=HYPERLINK(",
    "markup.csv": "row 7: C11 is not a number ('<script>",
    "terminal.csv": "row 7: C11 is not a number (']0;owned')",
    "zero-byte.csv": "row 7: C11 is not a number",
    "open-quote.csv": "not a CSV: ",
    "short-row.csv": "row 6: 9 columns instead of 10",
    "long-row.csv": "row 6: 11 columns instead of 10",
    "too-few-rows.csv": "images 19: no row in the CSV",
    "too-many-rows.csv": "no image for CSV row 21",
    "file-names.csv": ACCEPTED,
    "file-names-unused-column.csv": ACCEPTED,  # with a warning
    "file-names-twice.csv": "row 7: names a file that another row names",
    "file-names-of-others.csv": "the file that it names is not in the folder",
    "groups.csv": ACCEPTED,
    "split.csv": "column 'split': this suite splits by itself, 70/15/15: take the column out",
    "other-header.csv": "the header names file, Young's modulus; it must name C11 ",
    "no-break-space.csv": "it holds an invisible character, U+00A0 (no-break space): take it out",
    "two-boms.csv": ACCEPTED,
    "three-rows.csv": "images 3-19: no row in the CSV",
    "tiny.csv": "C11 is larger or smaller than any unit makes a stiffness",
    "megapascal.csv": ACCEPTED,  # with a warning
    "shears-doubled.csv": ACCEPTED,  # where nobody knows the phases; and so the next
    "two-of-twenty-wrong.csv": ACCEPTED,
    "page.csv": "the header names <!DOCTYPE html><html; it must name C11 ",
}

ABOUT = {
    "plain.json": ACCEPTED,
    "formula.json": ACCEPTED,  # a leaderboard makes text of it
    "not-json.json": "dataset.json: JSON is malformed",
    "not-text.json": "dataset.json: ",
    "nested.json": "dataset.json: ",
    "path.json": "a name or a label, without paths and markup",
    "markup.json": "a name or a label, without paths and markup",
    "tex.json": "a name or a label, without paths and markup",
    "long-name.json": "length <= 200",
    "other-unit.json": "unknown unit 'furlong'",
    "few-families.json": "names the families of 1 images, but the CSV has 20 rows",
    "phases-that-are-none.json": "Young's moduli must be positive",
    "infinite.json": "dataset.json: Number out of range",
}

RECORDS = {
    "good.jsonl": ACCEPTED,
    "another-machine.jsonl": ACCEPTED,  # in a row of its own
    "other-data.jsonl": ACCEPTED,  # in a row of its own
    "schema-before.jsonl": ACCEPTED,
    "torn.jsonl": ACCEPTED,  # but for its end
    "older.jsonl": "trainings.jsonl:1: schema 0, and this version reads 1, 2, 3, 4: move the file aside",
    "newer.jsonl": "trainings.jsonl:1: schema 5, and this version reads 1, 2, 3, 4: update cijbench",
    "unknown-field.jsonl": "trainings.jsonl:1: not a record of schema 4: Object contains unknown field `stars`",
    "edited-cell.jsonl": "trainings.jsonl:1: the key c293303809416256 is not the hash of its cell",
    "edited-score.jsonl": "skill is 0.999 but its predictions give",
    "duplicated.jsonl": "trainings.jsonl:3: the same record as in line 1",
    "not-json.jsonl": "trainings.jsonl:2: not a record of schema 4",
    "pickle.jsonl": "trainings.jsonl:1: not a record of schema 4",
    "nested.jsonl": "trainings.jsonl:1: not a record of schema 4",
    "blank-line.jsonl": "trainings.jsonl:2: not a record of schema 4",
    "markup.jsonl": "a name or a label, without paths and markup - at `$.cell.data`",
    "path.jsonl": "a name or a label, without paths and markup - at `$.onnx.file`",
    "other-suite.jsonl": "trainings.jsonl:1: a record of suite polysilicon, not of elasticity",
    "superseded-lie.jsonl": "skill is 0.999 but its predictions give",
    "duplicated-with-spaces.jsonl": "trainings.jsonl:2: the same record as in line 1",
    "empty-search.jsonl": "a search is among networks, or among estimators: one configuration at least",
    "column.jsonl": "a record names something 'skill', which is another column",
}

CORPUS = {"images": IMAGES, "tables": TABLES, "about": ABOUT, "records": RECORDS}


@pytest.mark.parametrize("kind", CORPUS)
def test_no_file_is_forgotten(kind):
    assert {path.name for path in (DATA / kind).iterdir()} == set(CORPUS[kind])


def content(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def bench(capsys, tmp_path, monkeypatch):
    """Exit code and both outputs of a command run beside `mine` and `results`."""
    monkeypatch.chdir(tmp_path)

    def bench(*words):
        before = content(tmp_path)
        code = cli.main(list(words))
        captured = capsys.readouterr()
        if code == 2:
            assert content(tmp_path) == before
            assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return bench


@pytest.fixture
def mine(tmp_path):
    """A good data set of one's own."""
    shutil.copytree(DATA / "good", tmp_path / "mine")
    return tmp_path / "mine"


RUN = ("run", "data=mine", "suite=elasticity", "backend=classical", "variant=mean", "profile=smoke", "seeds=0")


def judge(bench, said):
    """What `data check` and `run` say of `mine`."""
    code, out, _ = bench("data", "check", "data=mine", "suite=elasticity")
    assert code == (2 if said else 0), out
    assert said in out
    if said:
        code, _, err = bench(*RUN)
        assert code == 2
        assert err.startswith("bench: ")
        assert said in err


@pytest.mark.parametrize("name", IMAGES)
def test_images(bench, mine, name, recwarn):
    (third,) = mine.glob("3_*.png")
    shutil.copyfile(DATA / "images" / name, third)
    judge(bench, IMAGES[name])
    assert not recwarn.list  # of Pillow's


@pytest.mark.parametrize("name", TABLES)
def test_tables(bench, mine, name):
    (table,) = mine.glob("*.csv")
    shutil.copyfile(DATA / "tables" / name, table)
    (mine / "dataset.json").unlink()
    judge(bench, TABLES[name])


@pytest.mark.parametrize("name", ABOUT)
def test_about(bench, mine, name):
    shutil.copyfile(DATA / "about" / name, mine / "dataset.json")
    judge(bench, ABOUT[name])


@pytest.mark.parametrize("name", RECORDS)
def test_records(bench, mine, tmp_path, name):
    records = tmp_path / "results" / "records" / "elasticity"
    records.mkdir(parents=True)
    shutil.copyfile(DATA / "records" / name, records / "trainings.jsonl")
    said = RECORDS[name]
    for words in (("leaderboard",), ("leaderboard", "check=true"), ("report", "suite=elasticity", "raw=false")):
        code, _, err = bench(*words)
        assert code == (2 if said else 0), err
        assert said in err
    code, out, err = bench(*RUN)
    assert code == (2 if said else 0), err
    assert said in err
    assert ("its last line was torn" in out) == (name == "torn.jsonl")


WITH_PHASES = {
    "header.csv": ACCEPTED,
    "shears-doubled.csv": "C44 C55 C66 look doubled in all rows: halve them",
    "two-of-twenty-wrong.csv": "2 rows: 6, 14 (row ",
    "megapascal.csv": "unit=MPa would fit",
}


@pytest.mark.parametrize("name", WITH_PHASES)
def test_tables_with_phases(bench, mine, name):
    (table,) = mine.glob("*.csv")
    shutil.copyfile(DATA / "tables" / name, table)
    (mine / "dataset.json").unlink()
    code, out, _ = bench("data", "check", "data=mine", "phases=70,0.33,410,0.19")
    assert code == (2 if WITH_PHASES[name] else 0), out
    assert WITH_PHASES[name] in out
    code, _, err = bench(*RUN, "phases=70,0.33,410,0.19")
    assert code == (2 if WITH_PHASES[name] else 0), err
    assert WITH_PHASES[name] in err


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ("410,0.19,70,0.33", "name the soft one first, phases=70,0.33,410,0.19"),
        ("70000,0.33,410000,0.19", "phases=70,0.33,410,0.19 would fit"),
        ("70,0.33", "must be four numbers"),
    ],
)
def test_phases_given_go_before_those_of_the_data_and_are_held_to_the_constants(bench, mine, phases, said):
    code, out, err = bench("data", "check", "data=mine", f"phases={phases}")
    assert code == 2
    assert said in out + err
    code, _, err = bench(*RUN, f"phases={phases}")
    assert code == 2
    assert said in err


def test_copies_that_are_shifted_and_turned_are_told(bench, mine):
    (third,), (eighth,) = mine.glob("3_*.png"), mine.glob("8_*.png")
    pixels = np.asarray(Image.open(third).convert("L"))
    Image.fromarray(np.roll(np.rot90(pixels), 9, 1)).save(eighth)
    _, out, _ = bench("data", "check", "data=mine", "suite=elasticity")
    assert f"{third.name} = {eighth.name}" in out


def test_no_warning_of_numpys_reaches_the_terminal(bench, mine, recwarn):
    (table,) = mine.glob("*.csv")
    shutil.copyfile(DATA / "tables" / "tiny.csv", table)
    for words in ((), ("phases=70,0.33,410,0.19",)):
        _, _, err = bench("data", "check", "data=mine", *words)
        assert err == ""
    assert not recwarn.list


def test_a_table_of_a_million_empty_rows_is_not_read_to_its_end(bench, mine):
    (table,) = mine.glob("*.csv")
    table.write_bytes(table.read_bytes() + b"\n" * 10**6)
    judge(bench, "more than 100000 rows")


def test_a_path_that_is_no_utf8_is_told(bench, mine, tmp_path):
    strange = os.fsencode(tmp_path) + b"/bad\xff"
    os.rename(mine, strange)
    os.symlink(strange, tmp_path / "mine")
    code, _, err = bench(*RUN)
    assert code == 2
    assert "bad\\udcff': this path is not UTF-8" in err


@pytest.mark.slow
def test_numbers_that_a_network_cannot_hold_fail_their_cell_alone(bench, mine, tmp_path):
    """Raw labels whose squares are beyond single precision; standardised ones it would hold."""
    (mine / "dataset.json").unlink()  # its phases would tell
    (table,) = mine.glob("*.csv")
    rows = [row.split(",") for row in table.read_text().splitlines()]
    table.write_text("".join(",".join([row[0], *(f"{float(cell):g}e17" for cell in row[1:])]) + "\n" for row in rows))
    raw = ("target_scaling=none", "unit=GPa")
    words = ("backend=classical,pytorch", "variant=mean,baseline", *raw, "profile=smoke", "seeds=0")
    code, out, err = bench("run", "data=mine", "suite=elasticity", *words)
    assert code == 1, out + err
    found = {record.cell.variant: record for record in Store(tmp_path / "results", "elasticity").trainings()}
    assert {name: record.status for name, record in found.items()} == {"mean": "ok", "baseline": "failed"}
    assert found["baseline"].reason.startswith("FloatingPointError: the training loss became inf in epoch 1 of ")


def test_a_forged_line_is_part_of_its_own(bench, mine):
    (third,) = mine.glob("3_*.png")
    third.rename(mine / "3_x\nmine: 0 errors, 0 warnings.png")
    (mine / "3_x\nmine: 0 errors, 0 warnings.png").write_bytes(b"")
    _, out, _ = bench("data", "check", "data=mine", "suite=elasticity")
    assert [line for line in out.splitlines() if line.startswith("mine")] == [
        "mine for suite elasticity: 1 error, 1 warning"
    ]


def test_a_formula_stays_text_all_the_way_to_the_leaderboard(bench, mine, tmp_path):
    shutil.copyfile(DATA / "about" / "formula.json", mine / "dataset.json")
    assert bench(*RUN)[0] == 0
    assert ",'=1+1," in (tmp_path / "results" / "leaderboards" / "elasticity.csv").read_text()


@pytest.mark.parametrize("name", ["a$b|<b>`a`", "Ωμέγα", "=1+1", "x\ny\x1b]0;owned\x07"])
def test_a_folder_may_have_any_name(bench, mine, tmp_path, name, capsys):
    (mine / "dataset.json").unlink()
    mine.rename(tmp_path / name)
    (tmp_path / "mine").symlink_to(tmp_path / name)
    assert bench(*RUN)[0] == 0
    code, out, err = bench("report", "suite=elasticity", "profile=smoke", "raw=false")
    assert (code, err) == (0, "")
    page = Path(out.strip()).read_text()
    assert "<b>" not in page
    assert "\x1b" not in page


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.symlink_to(path),
        lambda path: path.symlink_to("/etc/hostname"),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.mkdir(),
        os.mkfifo,
    ],
    ids=["loop", "elsewhere", "endless", "folder", "pipe"],
)
@pytest.mark.parametrize("which", ["3_*.png", "*.csv", "dataset.json"])
def test_what_is_no_file_is_not_waited_for(bench, mine, make, which):
    (path,) = mine.glob(which)
    path.unlink()
    make(path)
    code, out, _ = bench("data", "check", "data=mine", "suite=elasticity")
    unread = which == "dataset.json" and not path.is_file()  # a folder need not have it
    assert code == (0 if unread else 2), out


# --- anything at all ----------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
GOOD = {path.name: path.read_bytes() for path in (DATA / "good").iterdir()}
THIRD = next(name for name in GOOD if name.startswith("3_"))
NAMES = st.sampled_from(["name", "unit", "families", "phases", "parameters", "more"])


def told(tmp_path_factory, **changed):
    """The errors in a copy of the good data set of which files were changed; whatever they hold, it is not raised."""
    folder = tmp_path_factory.mktemp("mine")
    for name, data in (GOOD | changed).items():
        (folder / name).write_bytes(data)
    return [finding for finding in check_folder(folder, None) if finding.severity == "error"]


@given(st.binary(max_size=100), st.floats(0, 1), st.integers(0, 30))
def test_a_damaged_image_is_told_or_still_the_same(tmp_path_factory, junk, where, length):
    """Any cut of a real PNG, filled with anything: its checksums tell."""
    content = GOOD[THIRD]
    start = int(where * len(content))
    damaged = content[:start] + junk + content[start + length :]
    errors = told(tmp_path_factory, **{THIRD: damaged})
    assert [THIRD in error.where for error in errors] in ([], [True])
    if errors or damaged == content:
        return
    before, after = (np.array(Image.open(io.BytesIO(data))) for data in (content, damaged))
    np.testing.assert_array_equal(before, after)


@given(st.dictionaries(NAMES, JSON) | JSON)
def test_whatever_dataset_json_says_it_is_told_or_a_name_and_a_unit(tmp_path_factory, content):
    errors = told(tmp_path_factory, **{"dataset.json": json.dumps(content).encode()})
    assert errors or (
        isinstance(content, dict) and isinstance(content["name"], str) and isinstance(content["unit"], str)
    )
