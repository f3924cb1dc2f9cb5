import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from harness.parity.ladder import Verdict
from harness.parity.verdicts import COLUMNS, line, markdown, outcome, summary, write_csv, write_junit, write_markdown

PASSING = Verdict("baseline", "forward", "passes", "float32", "dense_1", 1e-7, 4e-6)
SHARP = Verdict("baseline", "forward", "passes", "float64", "dense_1", 1e-16, 4e-14)
BREAKING = Verdict("baseline", "gradients", "breaks", "float32", "dense_1/kernel", 0.5, 4e-6)
SKIPPED = Verdict("vgg16-head-only", "forward", "skipped", note="jax not installed")
ALL = [PASSING, SHARP, BREAKING, SKIPPED]


def test_what_several_verdicts_come_to():
    assert outcome([PASSING, SHARP]) == "passes"
    assert outcome([PASSING, SKIPPED]) == "skipped"
    assert outcome([SKIPPED, BREAKING, PASSING]) == "breaks"


def test_a_line_on_the_terminal_tells_measured_allowed_and_worst():
    assert line([PASSING, SHARP]).split() == (
        [
            "baseline",
            "forward",
            "passes",
            "float32",
            "1e-07",
            "of",
            "4e-06",
            "(dense_1);",
            "float64",
            "1e-16",
            "of",
            "4e-14",
        ]
    )
    assert line([SKIPPED]).endswith("skipped  jax not installed")
    assert line([BREAKING]).endswith("breaks   float32 0.5 of 4e-06 (dense_1/kernel)")


def test_a_break_seen_in_float64_alone_is_named_too():
    broken = Verdict("baseline", "forward", "breaks", "float64", "conv1_bn", 4.7e-9, 1e-13)
    assert "(conv1_bn)" in line([PASSING, broken])


def test_the_summary_counts_rungs_not_precisions():
    assert summary(ALL) == "3 rungs: 1 pass, 1 break, 1 skipped"
    assert summary([PASSING]) == "1 rung: 1 pass, 0 break, 0 skipped"


def test_the_csv_has_a_row_per_verdict_and_what_it_was_found_with(tmp_path):
    path = tmp_path / "new" / "parity.csv"
    write_csv(path, ALL, "keras,pytorch")
    table = pd.read_csv(path)
    assert tuple(table.columns) == COLUMNS
    assert table.outcome.tolist() == ["passes", "passes", "breaks", "skipped"]
    assert table.difference.iloc[2] == 0.5
    assert set(table.between) == {"keras,pytorch"}
    assert table.versions.str.contains("numpy=").all()
    assert [entry.name for entry in path.parent.iterdir()] == ["parity.csv"]


def test_the_csv_holds_no_formula_and_no_line_break(tmp_path):
    write_csv(tmp_path / "p.csv", [Verdict("v", "forward", "breaks", note="=HYPERLINK(1)\nmore")], "a,b")
    assert pd.read_csv(tmp_path / "p.csv").note.tolist() == ["'=HYPERLINK(1) more"]


def test_junit_has_a_case_per_variant_and_rung(tmp_path):
    write_junit(tmp_path / "j.xml", [*ALL, Verdict("baseline", "forward", "passes", seed=3)])
    suite = ET.parse(tmp_path / "j.xml").getroot()
    assert suite.attrib == {"name": "bench parity", "tests": "4", "failures": "1", "skipped": "1"}
    cases = {(case.get("classname"), case.get("name")): [child.tag for child in case] for case in suite}
    assert cases == {
        ("parity.baseline", "forward"): ["system-out"],
        ("parity.baseline", "gradients"): ["failure"],
        ("parity.vgg16-head-only", "forward"): ["skipped"],
        ("parity.baseline", "forward, seed 3"): ["system-out"],
    }
    assert "0.5 of 4e-06 (dense_1/kernel)" in suite.find(".//failure").get("message")


def test_junit_survives_a_crashs_last_words(tmp_path):
    words = "\x1b[31mError\x1b[0m: <tensor> & \x00 \ud800"
    write_junit(tmp_path / "j.xml", [Verdict("v", "structure", "breaks", note=words)])
    assert "Error" in ET.parse(tmp_path / "j.xml").find(".//failure").get("message")


def test_markdown_shows_variants_by_rungs_and_what_breaks(tmp_path):
    text = markdown(ALL, "keras,pytorch")
    lines = text.splitlines()
    assert lines[0] == "### Parity of keras,pytorch"
    assert "| variant | forward | gradients |" in lines
    assert "| baseline | ✓ | **✗** |" in lines
    assert "| vgg16-head-only | – |  |" in lines
    assert "- `baseline`, gradients: float32 0.5 of 4e-06 (dense_1/kernel)" in lines
    assert lines[lines.index("| --- | --- | --- | --: | --: | --- |") + 1 :] == [
        "| baseline | forward | float32 | 1e-07 | 4e-06 | dense_1 |",
        "| baseline | forward | float64 | 1e-16 | 4e-14 | dense_1 |",
        "| baseline | gradients | float32 | 0.5 | 4e-06 | dense_1/kernel |",
        "",
        "</details>",
    ]
    write_markdown(tmp_path / "p.md", ALL, "keras,pytorch")
    assert (tmp_path / "p.md").read_text() == text


@pytest.mark.parametrize("text", ["a|b", "<script>", "two\nlines"])
def test_markdown_is_not_broken_by_what_a_side_says(text):
    (told,) = [
        row for row in markdown([Verdict("v", "forward", "breaks", note=text)], "a,b").splitlines() if "- `v`" in row
    ]
    assert "<script>" not in told
    assert "|" not in told.replace("\\|", "")


def test_what_differs_is_told_and_is_no_failure(tmp_path):
    """Frameworks draw initial weights of their own: clean code is not red for that."""
    differs = Verdict("baseline", "statistics", "differs", "float32", "mean test R²", 0.06, 0.02, "0.97 and 0.91")
    assert outcome([differs, PASSING]) == "differs"
    assert summary([differs]).endswith("1 differ as the frameworks do, which does not affect the exit code")
    assert "0.97 and 0.91" in line([differs])
    write_junit(tmp_path / "j.xml", [differs])
    assert 'failures="0"' in (tmp_path / "j.xml").read_text()
    assert "**Differs**" in markdown([differs], "a,b")
