"""The picture beside a skill: its interval and its seeds, on a scale of what is left of the error."""

from __future__ import annotations

import math
from collections.abc import Iterable

from markupsafe import Markup

from harness.showing.site.rows import BoardRow

_WIDTH, _HEIGHT, _WORST = 110.0, 10, 1.6  # a skill below -0.6 stands at the left end
_DIGIT = 5.2  # units that a digit of a tick is wide: `.axis text` of site.css has 9 px


class Scale:
    """From far below the mean, at 0, to the best skill of a board: 0.99 is as far from 0.9 as 0.9 from 0."""

    def __init__(self, rows: Iterable[BoardRow]) -> None:
        left = [1 - high for row in rows if (high := row.values.get("skill_high")) is not None and high < 1]
        self._best = max(1e-6, min([*left, 0.5]))

    def place(self, skill: float) -> float:
        """Units from the left."""
        left = min(_WORST, max(self._best, 1 - skill))
        return round(4 + (_WIDTH - 8) * math.log(_WORST / left) / math.log(_WORST / self._best), 1)

    def axis(self) -> Markup:
        """Its ticks, for the heading: those that neither touch the one before nor leave the picture."""
        levels = [0.0]
        for level in (0.9, 0.99, 0.999, 0.9999):
            wide = _DIGIT * (len(f"{levels[-1]:g}") + len(f"{level:g}")) / 2
            if self.place(levels[-1]) + wide + 3 < self.place(level) < _WIDTH - 12:
                levels.append(level)
        texts = "".join(f'<text x="{self.place(x)}" y="9" text-anchor="middle">{x:g}</text>' for x in levels)
        return _svg(f'<g class="axis">{texts}</g>')

    def bar(self, row: BoardRow) -> Markup:
        """Interval and seeds of a row; empty where it has no skill."""
        seeds = [test.skill for test in row.group.tests if test.skill is not None]
        if not seeds:
            return Markup("")
        low, high = row.values.get("skill_low"), row.values.get("skill_high")
        parts = [f'<path class="bar-0" d="M{self.place(0)} 0V{_HEIGHT}"/>']
        if low is not None and high is not None:
            parts.append(f'<path class="bar-i" d="M{self.place(low)} 5H{self.place(high)}"/>')
        parts.append(f'<path class="bar-s" d="{"".join(f"M{self.place(skill)} 5h0" for skill in seeds)}"/>')
        return _svg("".join(parts), f"b-{row.first.cell.backend}")


def _svg(content: str, kind: str = "") -> Markup:
    """Numbers and the names of backends alone: nothing of it is a stranger's text."""
    kind = f' class="{kind}"' if kind else ""
    return Markup(f'<svg{kind} aria-hidden="true">{content}</svg>')
