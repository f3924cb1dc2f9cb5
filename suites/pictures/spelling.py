"""What columns and classes are called in tables, files and pictures: the `Name` nearest to what people write."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from suites.microstructure.findings import Unusable

_SIGNS = {
    "<": " below ",
    ">": " above ",
    "≤": " at most ",
    "≥": " at least ",
    "=": " equals ",
    "+": " plus ",
    "±": " plus minus ",
    "%": " percent ",
    "°": " deg ",
    "&": " and ",
    "µ": "u",
} | dict(zip("äöüÄÖÜßæøÆØ", ("ae", "oe", "ue", "Ae", "Oe", "Ue", "ss", "ae", "o", "Ae", "O"), strict=True))
_LONGEST = 200  # as `harness.text.Name` has it
_ENDS = ("sd", "low", "high")  # of a score, in tables
_TAKEN = ("mean", *_ENDS)
_LETTER = re.compile(r"(?:GREEK|CYRILLIC) (SMALL|CAPITAL) LETTER (\w+).*")


def spelled(text: str) -> str:
    """A `Name` that says the same: letters as ASCII has them, Greek ones by their names, some signs in words, and an
    underscore for all else. Of an empty text an empty one.
    """
    composed = re.sub(r"μ(?=m\b)", "µ", unicodedata.normalize("NFC", text))  # a Greek letter in a unit is the sign
    if re.match(r"-([\d.]|$)", composed):
        composed = f"minus {composed[1:]}"
    ascii_only = "".join(map(_spelled, composed))
    return re.sub(r"[^A-Za-z0-9.-]+", "_", ascii_only).strip("_").lstrip(".-_") or "_" * bool(text)


def _spelled(character: str) -> str:
    if character.isascii() and character not in _SIGNS:
        return character
    if character in _SIGNS:
        return _SIGNS[character]
    plain = "".join(one for one in unicodedata.normalize("NFKD", character) if one.isascii())
    if plain or not character.isalnum():
        return plain
    if letter := _LETTER.fullmatch(unicodedata.name(character, "")):
        return letter[2].lower() if letter[1] == "SMALL" else letter[2].capitalize()
    return f"u{ord(character):04x}"


def spelled_apart(texts: Mapping[str, str], what: str) -> dict[str, str]:
    """The name of each of these `what`s: of the text that says what it is, by what it is written as (a column's header,
    say, with its unit). Raises Unusable where two have one name, one is too long for any or of nothing but signs, or
    tables would call something else so: of the target `E` they have `r2_E`, and its deviation is `r2_E_sd`.
    """
    names = {written: spelled(text) for written, text in texts.items()}
    for written, name in names.items():
        if name == "_":
            raise Unusable(f"{what} '{written[:40]}' has no letter or digit that could be a name: give it one")
        if len(same := [f"'{other[:40]}'" for other in names if names[other] == name]) > 1:
            told = f"{' and '.join(same)} would all be called {name}"
            raise Unusable(f"{what} {told}: name each in its own way, so that letters or digits tell them apart")
        if len(name) > _LONGEST:
            raise Unusable(f"{what} '{name[:40]}...': a name of {len(name)} letters; {_LONGEST} are the most")
        if name in _TAKEN or any(name == f"{other}_{end}" for other in names.values() for end in _ENDS):
            raise Unusable(f"{what} '{name[:40]}': tables call something else r2_{name[:40]}; give it another name")
    return names


def renamed(texts: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Those whose names (`spelled_apart`) differ from the text in more than blanks; empty where there are none."""
    told = [f"'{written}' is {names[written]}" for written, text in texts.items() if _differs(text, names[written])]
    return "in tables and files " * bool(told) + ", ".join(told)


def _differs(text: str, name: str) -> bool:
    return "_".join(text.split()) != name
