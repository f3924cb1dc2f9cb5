"""What is wrong with a data set, gathered so that a person can read it: one line a kind of problem, not one a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from harness.errors import Finding


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


def gather(
    spots: Iterable[Spot], where: Callable[[Sequence[int]], str], severity: Literal["error", "warning"] = "error"
) -> list[Finding]:
    """One finding for all places where the same thing is wrong; `where` puts places into words."""
    kinds: dict[tuple[str, str], list[Spot]] = {}
    for spot in spots:
        kinds.setdefault((spot.what, spot.remedy), []).append(spot)
    findings = []
    for (what, remedy), members in kinds.items():
        worst = max(members, key=lambda spot: spot.weight)
        detail = worst.detail if len(members) == 1 else f"{where([worst.place])}: {worst.detail}"
        text = what + f" ({detail})" * bool(worst.detail) + f": {remedy}" * bool(remedy)
        findings.append(Finding(severity, where([spot.place for spot in members]), text))
    return findings


def runs(numbers: Iterable[int]) -> str:
    """Numbers in words, consecutive ones joined: 3, 4, 5, 9 gives "3-5, 9"."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
