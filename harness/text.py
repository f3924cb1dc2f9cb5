"""Text from outside (names of files and data sets, errors of others) where somebody else will read it."""

from __future__ import annotations

import difflib
import html
import re
import unicodedata
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

# Names become files below the results folder and columns of tables, so a name cannot be a path or a formula.
Name = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", max_length=200)]
Hash = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]

Device = Literal["cpu", "cuda", "cuda-tf32"]
"""Where networks are trained. `cuda` is in single precision; `cuda-tf32` rounds what it multiplies to ten bits."""

# A label is shown in tables, pages and pictures: a line of text without what is markup in HTML, Markdown or TeX, and
# without what nobody sees: characters of no width, by which two labels look like one, and those that turn text around.
_UNSEEN = r"\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
_MARKUP = rf"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_UNSEEN}<>&`|$*\[\]\\"
Label = Annotated[str, msgspec.Meta(pattern=rf"\A[^{_MARKUP}]*\Z", max_length=200)]


def fits(value: object, kind: Any) -> bool:
    """Whether a value is one of a kind, as a `Name` or a `Label`."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def label(text: str) -> str:
    """The nearest `Label`."""
    return re.sub(f"[{_MARKUP}]", "_", text)[:200]


def shown(text: str) -> str:
    """For a terminal: without control characters, which could move its cursor or change its title; lines are kept."""
    if text.isprintable():
        return text
    return "".join(c for c in text if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs")


def one_line(text: str) -> str:
    """Also without line breaks."""
    return shown(" ".join(text.split()))


def harmless(text: str) -> str:
    """A cell of a CSV: on one line, and no formula to a spreadsheet, of which a leading apostrophe makes text."""
    text = one_line(text)
    return "'" + text if text.startswith(("=", "+", "-", "@")) else text


def escaped(text: str) -> str:
    """In Markdown and the HTML made of it: on one line, and nothing but the text itself."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", html.escape(one_line(text), quote=False))


def without_patterns(error: str) -> str:
    """What msgspec says of a `Name` or a `Label` that is none, as a person would say it."""
    return re.sub("`str` matching regex '.*'", "a name or a label, without paths and markup", error)


def counted(number: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def number(text: str) -> float:
    """A number as people write it. Raises ValueError also for what Python alone reads as one: 1_000, digits like ١."""
    if "_" in text or not text.isascii():
        raise ValueError(text)
    return float(text)


def nearest(word: str, known: Iterable[str]) -> str:
    """What to add to the refusal of `word`: the nearest known word, or all of them; nothing where none is known."""
    known = list(known)
    if not known:
        return ""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f": did you mean '{near[0]}'?" if near else f" (known: {', '.join(known)})"
