"""What is wrong with a data set, gathered so that a person can read it: one line a kind of problem, not one a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from harness.errors import Finding

Severity = Literal["error", "warning"]
_EXAMPLES = 3  # names of files; they are long
_SPANS = 12  # of numbers, by which people find rows


class Unusable(Exception):
    """A file of which nothing can be used; the message says why and what to do."""


class Spot(NamedTuple):
    """Something wrong in one place (a row or an image).

    `what` and `remedy` are the same wherever the same thing is wrong; `detail` is this place's own, and of several the
    one with the greatest `weight` is shown.
    """

    place: int
    what: str
    remedy: str = ""
    detail: str = ""
    weight: float = 0.0


class Places(NamedTuple):
    """How places are told: `one` of them, and a few of `many`; `source` is the file that they are in, if they are."""

    source: str
    many: str
    one: Callable[[int], str]
    listed: Callable[[Sequence[int]], str]


def of_rows(table: str, numbers: Sequence[int] | None = None) -> Places:
    """Rows of a table; `numbers` are theirs, counting from 0, where places are not rows already."""

    def number(place: int) -> int:
        return (place if numbers is None else numbers[place]) + 1

    return Places(table, "rows", lambda place: f"row {number(place)}", lambda places: runs(map(number, places)))


def of_images(names: Sequence[str]) -> Places:
    """Image files, by their names."""
    return Places("", "images", lambda place: names[place], lambda places: few([names[place] for place in places]))


def gather(spots: Iterable[Spot], places: Places, severity: Severity = "error") -> list[Finding]:
    """One finding for all places where the same thing is wrong: what, the remedy, then how many and a few of them."""
    kinds: dict[tuple[str, str], list[Spot]] = {}
    for spot in spots:
        kinds.setdefault((spot.what, spot.remedy), []).append(spot)
    return [_finding(what, remedy, members, places, severity) for (what, remedy), members in kinds.items()]


def _finding(what: str, remedy: str, members: Sequence[Spot], places: Places, severity: Severity) -> Finding:
    if len(members) == 1:
        (only,) = members
        where = ", ".join(filter(None, (places.source, places.one(only.place))))
        return Finding(severity, where, what + f" ({only.detail})" * bool(only.detail) + f": {remedy}" * bool(remedy))
    worst = max(members, key=lambda spot: spot.weight)
    detail = f" ({places.one(worst.place)}: {worst.detail})" * bool(worst.detail)
    told = f"{len(members)} {places.many}: {places.listed([spot.place for spot in members])}"
    return Finding(severity, places.source or places.many, what + f": {remedy}" * bool(remedy) + f"; {told}{detail}")


def few(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    rest = len(names) - _EXAMPLES
    return ", ".join(names[:_EXAMPLES]) + f" and {rest} more" * (rest > 0)


def runs(numbers: Iterable[int]) -> str:
    """Numbers in words, consecutive ones joined, and not too many of them: "3-5, 9, 11 and 97 more"."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    told = [str(first) if first == last else f"{first}-{last}" for first, last in spans[:_SPANS]]
    rest = sum(last - first + 1 for first, last in spans[_SPANS:])
    return ", ".join(told) + f" and {rest} more" * (rest > 0)
