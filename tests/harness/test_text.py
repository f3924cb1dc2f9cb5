import csv
import io
import re
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.text import Label, Name, escaped, harmless, label, nearest, one_line, shown


@given(st.text())
def test_whatever_it_was_a_label_is_one(text):
    assert msgspec.convert(label(text), Label) == label(text)


@given(st.text())
def test_a_label_holds_no_markup(text):
    assert not set(label(text)) & set("<>&`|$*[]\\\n\r\x1b")


@pytest.mark.parametrize(
    "text", ["elasticity", "AMD EPYC 7B13 (64 cores) @ 2.6GHz", "mine.h5 0123456789ab", "größe µm², 5 %"]
)
def test_what_is_harmless_stays_as_it_is(text):
    assert label(text) == harmless(text) == one_line(text) == text


@pytest.mark.parametrize("unseen", ["\u200b", "\u202e", "\u2066", "\u00ad", "\ufeff", "\u061c"])
def test_a_label_has_nothing_that_nobody_sees(unseen):
    """Two processors would look like one, or a name be read backwards."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(f"AMD EPYC{unseen}", Label)
    assert label(f"AMD{unseen} EPYC") == "AMD_ EPYC"


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "=1", "-x", ".hidden", "", "a b", "a\n", "x" * 201, "<b>"])
def test_a_name_is_no_path_no_formula_and_no_markup(name):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(name, Name)


@given(st.text())
def test_a_cell_of_a_csv_comes_back_and_is_no_formula(text):
    written = io.StringIO()
    csv.writer(written).writerow([harmless(text), "next"])
    (row,) = csv.reader(io.StringIO(written.getvalue()))
    assert row == [harmless(text), "next"]
    assert not row[0].startswith(("=", "+", "-", "@"))


@given(st.text())
def test_a_terminal_is_told_nothing_but_text(text):
    assert not {unicodedata.category(c) for c in shown(text) if c not in "\n\t"} & {"Cc", "Cf", "Cs"}
    assert not set(one_line(text)) & set("\n\t\r\x1b\x00\x9b\u202e\udcff")
    assert shown("a\tb\nfolder of Zoë\u3000and\xa0Ωμέγα") == "a\tb\nfolder of Zoë\u3000and\xa0Ωμέγα"


@given(st.text(alphabet="<>&`|*[]\\ ab\n\x1b"))
def test_markdown_shows_what_was_written(text):
    """Unescaped by the rules of CommonMark (2.4, 2.5), it is the text again."""
    shown_text = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escaped(text))
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        shown_text = shown_text.replace(entity, character)
    assert shown_text == one_line(text)
    assert not re.search(r"(?<!\\)(\\\\)*[`*\[\]|]", escaped(text))
    assert "<" not in escaped(text)


def test_nearest_falls_back_to_all_that_is_known():
    assert nearest("xyz", ["mean", "ridge"]) == " (known: mean, ridge)"
    assert nearest("xyz", []) == ""
