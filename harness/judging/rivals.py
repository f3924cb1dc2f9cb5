"""What networks have to beat: of each data set, split and profile the best row without one; and whether they do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from harness.judging.blocks import Errors, Row
from harness.judging.records import Cell, Record
from harness.judging.standing import Placed
from harness.judging.stats import holm, settled_p_values
from harness.model.architecture import Estimator

_P = TypeVar("_P", bound=Placed)


class Rivals:
    """Of each data set, split and profile the best row without a network, by the validation images, wherever it was
    trained: what a network has to beat. Who always answers the mean is none, for skill is held against that already.
    Rows of a learning curve have one of as many training images.
    """

    def __init__(self, groups: Iterable[Sequence[_P]], whole: Callable[[Sequence[_P]], Sequence[Record]]) -> None:
        """`groups` are of records, or of their outlines, of which `whole` makes records."""
        best: dict[object, tuple[float, list[_P]]] = {}
        for group in groups:
            good = [one for one in group if one.status == "ok" and math.isfinite(one.validation_error)]
            if good and not good[0].cell.has_network and good[0].cell.architecture != Estimator("mean"):
                place, error = _place(good[0].cell), float(np.mean([one.validation_error for one in good]))
                if place not in best or error < best[place][0]:
                    best[place] = (error, good)
        self._best = {
            place: Row(good[0].cell.row, good[0].cell.backend, tuple(whole(good))) for place, (_, good) in best.items()
        }
        self._compared: dict[object, list[_Compared]] = {place: [] for place in best}

    def of(self, record: Record) -> Row | None:
        """The rival of a network's record; None for other models, and where nothing without a network was trained."""
        return self._best.get(_place(record.cell)) if record.cell.has_network else None

    def compare(self, number: int, group: Sequence[Record]) -> None:
        """Take the comparison of row `number` with its rival, where it has one, into the rival's family of them."""
        good = tuple(record for record in group if record.status == "ok" and record.held_out)
        if good and self.of(group[0]):
            started = max(record.started for record in group)
            compared = _Compared(number, Row("", "", good).squared_errors(), group[0].of_cell, started)
            self._compared[_place(group[0].cell)].append(compared)

    def p_values(self) -> dict[int, float]:
        """Of each row's having the skill of its rival, by the row's number, without those that have too few test
        images. Those that have the same rival, on the same test, are one family of comparisons, with p-values Holm's.

        What was trained again, by other versions or code or on another machine, is no further comparison: the newest
        of rows of the same cells is in the family, and an older one has the p-value that it would have in its place.
        """
        found: dict[int, float] = {}
        for place, family in self._compared.items():
            newest_of: dict[str, int] = {}
            for number in sorted(range(len(family)), key=lambda number: family[number].started):
                newest_of[family[number].of_cell] = number
            stands = [newest_of[compared.of_cell] for compared in family]
            rival = self._best[place].squared_errors()
            p_values = settled_p_values([(c.errors, rival) for c in family], partial(_holm_of_newest, stands))
            found |= {c.number: p for c, p in zip(family, p_values, strict=True) if not np.isnan(p)}
        return found


def _place(cell: Cell) -> object:
    """Equal for rows that have one rival."""
    return cell.profile, cell.data_hash, cell.split_hash, cell.settings.originals


class _Compared(NamedTuple):
    """The errors of row `number` of a table, what cells it is of, and when the last of it was begun."""

    number: int
    errors: Errors
    of_cell: str
    started: str


def _holm_of_newest(stands: Sequence[int], p_values: Sequence[float]) -> list[float]:
    """P-values after Holm, of which those count that stand for themselves; each of the others takes the place of the
    one that `stands` for it, by its number.
    """
    family = sorted(set(stands))
    base = [p_values[number] for number in family]
    adjusted = dict(zip(family, holm(base), strict=True))
    for number, newest_one in enumerate(stands):
        if number not in adjusted:
            place = family.index(newest_one)
            adjusted[number] = holm([*base[:place], p_values[number], *base[place + 1 :]])[place]
    return [adjusted[number] for number in range(len(stands))]
