"""Which records stand for a cell, and which make up a row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from harness.judging.outlines import Outline
from harness.judging.records import Record

Placed = Record | Outline
"""What says which cell and which row it is of."""

_P = TypeVar("_P", bound=Placed)


def standing(records: Iterable[_P]) -> list[_P]:
    """The record that stands for each cell and what computed it: its newest `ok` one, otherwise its newest. A row
    that newer code made again, to the bit, is left out: the newer one stands for both.

    Cells are the same where their contents are, whatever the key in the file: a line may leave out a default that
    another one writes, and has another key then.
    """
    stands: dict[tuple[str, int], _P] = {}
    for record in records:
        place = (record.row, record.seed)
        if record.status == "ok" or place not in stands or stands[place].status != "ok":
            stands[place] = record
    again = _made_again(stands.values())
    return [record for record in stands.values() if record.row not in again]


def _made_again(records: Iterable[_P]) -> set[str]:
    """The rows of which a newer one has every record, with the same answers, by the same versions and machine."""
    rows: dict[str, dict[str, list[_P]]] = {}
    for record in records:
        rows.setdefault(record.of_cell, {}).setdefault(record.row, []).append(record)
    found = set()
    for of_cell in rows.values():
        if len(of_cell) > 1:
            by_age = sorted(of_cell.items(), key=lambda item: max(record.started for record in item[1]))
            told = [(row, {(r.computed_on, r.seed, r.status, r.answers) for r in of_row}) for row, of_row in by_age]
            found |= {row for place, (row, old) in enumerate(told) if any(old <= new for _, new in told[place + 1 :])}
    return found


def comparable(records: Iterable[_P]) -> list[list[_P]]:
    """Records that differ in nothing but their seed, together, by ascending seed."""
    groups: dict[str, list[_P]] = {}
    for record in sorted(records, key=lambda item: item.seed):
        groups.setdefault(record.row, []).append(record)
    return list(groups.values())
