"""What every column of the published tables is: a dictionary, made from the columns' own entries.

Names are stable. `{unit}` stands for the unit of the suite's targets, `<target>` for each target's name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from harness import registry
from harness.judging.columns import COSTS, ORIGIN, RUN, SCORES, Column, change_under, named


class Meaning(NamedTuple):
    """A column: its name, its unit, which way is better ("" where neither is), what it says, and what stands over it
    where people read.
    """

    name: str
    unit: str
    better: str
    sentence: str
    title: str


def of_leaderboard(suite: str) -> list[Meaning]:
    """Every column of a suite's leaderboard, in order."""
    before, after = (_meanings(part) for part in (SCORES, COSTS + RUN + ORIGIN))
    return [*before, Meaning("r2_<target>", "", "higher", "R² of each target", "R²"), *of_suite(suite), *after]


def of_suite(suite: str) -> list[Meaning]:
    """The columns that a suite's leaderboard has besides those that all have: its own figures and symmetries."""
    asked = registry.suite(suite)
    own = [Meaning(m.key, m.unit, m.better, m.sentence, m.heading or m.key) for m in asked.METRICS]
    return own + [
        Meaning(name, "{unit}", "lower", f"by how much predictions change {symmetry.sentence}", name)
        for symmetry in asked.SYMMETRIES
        if symmetry.exact
        for name in [change_under(symmetry.key)]
    ]


def _meanings(columns: Iterable[Column]) -> list[Meaning]:
    return [Meaning(c.name, c.unit, c.better, c.sentence, c.title) for c in columns]


def titles(suite: str, names: Iterable[str], unit: str) -> list[str]:
    """What stands over columns of a suite's leaderboard whose targets are in `unit`, with the columns' units."""
    known = {named(meaning.name, unit): meaning for meaning in of_leaderboard(suite)}
    told = []
    for name in names:
        found = known.get(name) or Meaning(name, "", "", "", f"R² of {name.removeprefix('r2_')}")  # of one target
        told.append(f"{found.title} ({named(found.unit, unit)})" if named(found.unit, unit) else found.title)
    return told
