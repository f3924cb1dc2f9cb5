"""Isotropic elastic phases, as a user names them: Young's modulus in GPa and Poisson's ratio, the soft one first."""

from __future__ import annotations

import msgspec

from harness.errors import BenchError
from harness.protocol import Facts
from harness.text import number


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An isotropic elastic material: Young's modulus in GPa and Poisson's ratio."""

    young: float
    poisson: float

    def wrong(self) -> str:
        """Why no material is like that, "" where one could be: from aerogels to far beyond diamond."""
        if not 1e-6 <= self.young <= 1e9:
            return "Young's moduli must be positive, between 1e-6 and 1e9 GPa"
        return "" if -1 < self.poisson < 0.5 else "Poisson's ratios must lie between -1 and 0.5"


Phases = tuple[Phase, Phase]


def parse_phases(text: str) -> Phases | None:
    """`70,0.33,410,0.19` as two phases, None for an empty text. Raises BenchError for what are none."""
    if not text:
        return None
    try:
        young, poisson, young_stiff, poisson_stiff = (number(part) for part in text.split(","))
    except ValueError:
        raise BenchError(f"phases={text}: must be four numbers, as in phases=70,0.33,410,0.19") from None
    phases = Phase(young, poisson), Phase(young_stiff, poisson_stiff)
    if wrong := phases[0].wrong() or phases[1].wrong():
        raise BenchError(f"phases={text}: {wrong}")
    return phases


def written(phases: Phases) -> str:
    """Two phases as `parse_phases` reads them, to the last digit."""
    numbers = [value for phase in phases for value in (phase.young, phase.poisson)]
    return ",".join(repr(value).removesuffix(".0") for value in numbers)


def as_facts(phases: Phases | None) -> Facts:
    """What a data set tells of its phases."""
    return {"phases": written(phases)} if phases else {}


def phases_of(facts: Facts) -> Phases | None:
    """The phases that a data set tells of, None where it does not."""
    return parse_phases(facts.get("phases", ""))
