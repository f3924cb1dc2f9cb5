import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.text import Name
from suites.microstructure.findings import Unusable
from suites.pictures.spelling import renamed, spelled, spelled_apart


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("α", "alpha"),
        ("γ-Fe", "gamma-Fe"),
        ("Δσ", "Deltasigma"),
        ("Härte", "Haerte"),
        ("O\u0308lgeha\u0308rtet", "Oelgehaertet"),  # as macOS spells names of files
        ("<5 µm", "below_5_um"),
        (">5 μm", "above_5_um"),
        ("ASTM 3+", "ASTM_3_plus"),
        ("martensite (lath)", "martensite_lath"),
        ("-1", "minus_1"),
        ("-", "minus"),
        ("Fe₃C", "Fe3C"),
        ("é", "e"),
        ("Ж", "Zhe"),
        ("鉄", "u9244"),
        ("../x", "x"),
        ("?", "_"),
        ("", ""),
    ],
)
def test_names_say_what_was_written(text, name):
    assert spelled(text) == name


@given(st.text(max_size=20))
def test_whatever_is_written_has_a_name(text):
    if name := spelled(text):
        assert msgspec.convert(name, Name) == name
        assert spelled(name) == name
        assert name == name.rstrip("_") or name == "_"  # or the column of a class were called otherwise than its cells
    else:
        assert not text


@pytest.mark.parametrize("names", [("mean [MPa]",), ("sd",), ("E", "E_sd"), ("steel low", "steel"), ("low", "high")])
def test_what_tables_call_otherwise_is_refused(names):
    """Of `E` they have `r2_E`: that of `E_sd` would stand as its deviation, and that of `mean` for all targets'."""
    with pytest.raises(Unusable, match=r"tables call something else r2_.*; give it another name"):
        spelled_apart({name: name.partition(" [")[0] for name in names}, "columns")


def test_what_has_one_name_is_told_with_both_texts():
    with pytest.raises(Unusable, match=r"columns 'E .GPa.' and 'E .MPa.' would all be called E: name each"):
        spelled_apart({"E [GPa]": "E", "E [MPa]": "E"}, "columns")
    with pytest.raises(Unusable, match=r"columns '\? .%.' has no letter or digit that could be a name"):
        spelled_apart({"? [%]": "?", "E": "E"}, "columns")  # an epsilon, where a spreadsheet had no letter for it
    with pytest.raises(Unusable, match="a name of 201 letters; 200 are the most"):
        spelled_apart({"e" * 201: "e" * 201}, "columns")


def test_names_are_told_where_they_differ_in_more_than_blanks():
    texts = {"α": "α", "lower  bainite": "lower  bainite", "hv [HV]": "hv"}
    assert renamed(texts, spelled_apart(texts, "classes")) == "in tables and files 'α' is alpha"
    assert renamed({"a": "a"}, {"a": "a"}) == ""
