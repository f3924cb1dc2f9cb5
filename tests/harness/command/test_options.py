import contextlib
import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import registry
from harness.command import commands
from harness.command.options import IS_PATH, describe, parse
from harness.errors import BenchError


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """Bake a cake."""

    flour: Annotated[str, msgspec.Meta(description="which flour")]
    minutes: Annotated[int, msgspec.Meta(ge=1, description="how long")] = 40
    heat: Literal["low", "high"] = "low"
    degrees: float = 180.0
    fan: bool = False
    rack: Literal["low", "middle"] | Literal[""] = ""
    tin: Annotated[Path, msgspec.Meta(description="which tin", extra=IS_PATH)] = Path("tin")
    book: Annotated[str, msgspec.Meta(description="which book", extra=IS_PATH)] = ""


def test_values_take_the_types_of_their_fields():
    assert parse("bake", Options, ["flour=rye", "minutes=5", "fan=true", "degrees=1e2", "heat=high"]) == Options(
        "rye", 5, "high", 100.0, True
    )


def test_a_value_may_hold_equals_signs():
    assert parse("bake", Options, ["flour=a=b"]).flour == "a=b"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["flour"], "'flour' is not of the form key=value"),
        (["flower=rye"], "no option 'flower': did you mean 'flour'?"),
        (["zzz=1"], "no option 'zzz' (known: flour, minutes, heat, degrees, fan, rack, tin, book)"),
        (["flour=rye", "flour=oat"], "flour= is given twice"),
        ([], "bake needs flour="),
        (["flour="], "flour=: is empty"),
        (["flour=rye", "heat=hihg"], "heat=hihg: must be one of low, high: did you mean 'high'?"),
        (["flour=rye", "rack=top"], "rack=top: must be one of low, middle"),
        (["flour=rye", "minutes=ten"], "minutes=ten: must be a whole number"),
        (["flour=rye", "minutes=0"], "minutes=0: must be a whole number of at least 1"),
        (["flour=rye", "degrees=hot"], "degrees=hot: must be a number"),
        (["flour=rye", "fan=maybe"], "fan=maybe: must be true or false"),
    ],
)
def test_wrong_words_are_refused_with_the_remedy(words, said):
    with pytest.raises(BenchError) as refusal:
        parse("bake", Options, words)
    assert said in str(refusal.value)


def test_a_home_is_expanded_in_paths_and_nowhere_else(monkeypatch):
    """No shell does it behind `key=` but for some settings of some."""
    monkeypatch.setenv("HOME", "/home/baker")
    options = parse("bake", Options, ["flour=~/rye", "tin=~/tin", "book=~"])
    assert (options.flour, options.tin, options.book) == ("~/rye", Path("/home/baker/tin"), "/home/baker")
    assert parse("bake", Options, ["flour=rye", "tin=./~", "book=a~b"]).tin == Path("~")


def test_every_option_that_is_a_path_is_said_to_be_one():
    """By their help texts: whoever adds one will say that it is a file or a folder."""
    for options in vars(commands).values():
        for field in msgspec.structs.fields(options) if isinstance(options, type(Options)) else ():
            meta = getattr(field.type, "__metadata__", (msgspec.Meta(),))[0]
            names_one = bool(re.search(r"\b(file|folder)\b", meta.description or ""))
            assert (meta.extra == IS_PATH) == names_one, (options, field.name)


def test_the_folder_that_one_is_in_is_not_meant_by_nothing():
    """As by a variable of the shell that is not set."""
    for word in ("images=", "out="):
        words = {"images": "images=new", "out": "out=new.csv", word[:-1]: word}.values()
        with pytest.raises(BenchError, match=f"^{word}: is empty"):
            parse("predict", commands.PredictOptions, ["suite=own", *words])


def test_paths_that_lead_nowhere_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for word in (f"tin={tmp_path / 'a'}", f"book={tmp_path / 'b' / 'c'}"):
        with pytest.raises(BenchError, match="a loop of links"):
            parse("bake", Options, ["flour=rye", word])
    with pytest.raises(
        BenchError, match=r"there is no home ~nosuchuser here; for a folder of that name, write \./~nosuchuser"
    ):
        parse("bake", Options, ["flour=rye", "tin=~nosuchuser/tin"])


@given(st.lists(st.text()))
def test_whatever_is_typed_gives_options_or_one_clear_refusal(words):
    with contextlib.suppress(BenchError):
        assert isinstance(parse("bake", Options, words), Options)


def test_help_shows_meaning_choices_and_default():
    text = describe("bake", Options)
    assert "Bake a cake." in text
    assert "which flour [required]" in text
    assert "how long [default: 40]" in text
    assert "(low or high) [default: low]" in text
    assert "(low or middle)" in text
    assert "(true or false) [default: false]" in text  # False is how Python writes it


def test_options_of_the_suites_are_told_apart_from_those_of_the_command():
    options = parse("run", commands.RunOptions, ["unit=MPa", "profile=smoke", "phases=1,0.3,2,0.3"])
    assert (options.profile, options.own) == ("smoke", {"unit": "MPa", "phases": "1,0.3,2,0.3"})
    assert parse("data make", commands.DataMakeOptions, ["out=x", "contrast=6"]).own == {"contrast": "6"}
    with pytest.raises(BenchError, match="bench run has no option 'contrast'"):
        parse("run", commands.RunOptions, ["contrast=6"])
    with pytest.raises(BenchError, match="no option 'fases': did you mean 'phases'"):
        parse("run", commands.RunOptions, ["fases=1"])
    with pytest.raises(BenchError, match="unit= is given twice"):
        parse("run", commands.RunOptions, ["unit=MPa", "unit=GPa"])
    text = describe("run", commands.RunOptions)
    assert "options of suite elasticity:" in text
    assert "of suite shift" not in text, "it has none, so there is nothing to say of it"
    assert "own=" not in text


def test_an_option_of_a_suite_does_not_take_the_place_of_the_commands(monkeypatch):
    """An installed package's `data` would keep the data from every other suite."""
    known = registry.options
    monkeypatch.setattr(registry, "options", lambda *asked: known(*asked) | {"data": "theirs", "glaze": "how shiny"})
    asked = parse("run", commands.RunOptions, ["data=mine", "glaze=much"])
    assert (asked.data, asked.own) == ("mine", {"glaze": "much"})
    assert "theirs" not in describe("run", commands.RunOptions)


def test_no_suite_has_an_option_that_is_called_as_one_of_a_command():
    for kind, what in ((commands.RunOptions, "OPTIONS"), (commands.DataMakeOptions, "MAKE_OPTIONS")):
        taken = {field.name for field in msgspec.structs.fields(kind)}
        assert not [name for name in registry.names("suites") if taken & registry.options(name, what).keys()]
