import pytest

from suites.microstructure.names import Names
from suites.microstructure.table import read_table
from tests.suites.microstructure.examples import TARGETS, constants, masks

ROWS = [[str(number), *map(repr, row)] for number, row in enumerate(constants(masks(20)).tolist(), 1)]


@pytest.fixture
def errors(tmp_path):
    """What is wrong with a table of these rows, or of this text."""

    def errors(rows, encoding="utf-8"):
        path = tmp_path / "labels.csv"
        path.write_text("\n".join(map(",".join, rows)) + "\n" if isinstance(rows, list) else rows, encoding)
        found = read_table(path, Names([])).findings
        return [f"{finding.where}: {finding.what}" for finding in found if finding.severity == "error"]

    return errors


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (
            "file,young",
            "the header names file, young; it must name C11 C22 C33 C12 C23 C13 C44 C55 C66 (lacking all of",
        ),
        ("row," + ",".join(TARGETS[:-2]), "the header names row, C11, C22 and 5 more; it must name "),
        (",".join(f"c_{number}" for number in range(100)), "the header names c_0, c_1, c_2 and 97 more; it must name"),
    ],
)
def test_a_header_that_is_not_understood_is_not_taken_for_data(errors, first, said):
    """Planted: it was told as "rows 1-61: 2 columns instead of 10"."""
    (error,) = errors([first.split(","), *ROWS])
    assert error.startswith(f"labels.csv: {said}")


def test_without_a_header_the_first_row_is_data(errors):
    assert errors(ROWS) == []
    assert "row 1: C11 is not a number ('x')" in errors([["1", "x", *ROWS[0][2:]], *ROWS[1:]])[0]


@pytest.mark.parametrize(
    ("cell", "character"),
    [
        ("120.5\u00a0", "U+00A0 (no-break space)"),
        ("\u202f120.5", "U+202F (narrow no-break space)"),
        ("12\u200b0.5", "U+200B (zero width space)"),
        ("\ufeff120.5", "U+FEFF (zero width no-break space)"),
    ],
)
def test_a_character_that_nobody_sees_is_named(errors, cell, character):
    (error,) = errors([*ROWS[:4], ["5", cell, *ROWS[4][2:]], *ROWS[5:]])
    assert error.startswith("labels.csv, row 5: C11 is not a number (")
    assert f"it holds an invisible character, {character}: take it out" in error


def test_byte_order_marks_may_be_several(errors):
    assert errors("\ufeff\ufeff" + "\n".join(map(",".join, ROWS))) == []


def test_what_is_wrong_in_every_row_is_one_line_that_ends(errors):
    broken = [[row[0], str(10**21 + index), *row[2:]] for index, row in enumerate(ROWS)]
    (error,) = errors(broken)
    assert error.startswith(
        "labels.csv: C11 is larger or smaller than any unit makes a stiffness; 20 rows: 1-20 (row 1: "
    )
