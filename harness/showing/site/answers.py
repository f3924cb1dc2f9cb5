"""What a suite's records answer, in a sentence for the front page and as sections of its own page."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from harness.judging.blocks import Row, differences, newest, rows
from harness.judging.records import Record
from harness.judging.stats import skill_interval
from harness.showing import questions
from harness.showing.site.rows import Board
from harness.showing.site.shown import digits, told

_NAMED = 3  # rows that are not told apart, before they are only counted


class Question(NamedTuple):
    """A question and its answer: paragraphs, and tables whose first line is the heading."""

    asked: str
    paragraphs: list[Markup]
    tables: list[list[list[Markup]]]


def block_of(board: Board) -> list[Record]:
    """The newest records that may stand side by side."""
    return newest(board.records)


def headline(board: Board, block: Sequence[Record]) -> str:
    """Which model is best, by the validation images, who is not told apart from it, and what a network gains."""
    table = rows(block, [variant.name for variant in board.suite.VARIANTS])
    if not table:
        return "Nothing was trained on all images yet."
    best = min(table, key=Row.validation_mse)
    low, high = skill_interval(best.squared_errors(), best.squared_errors_of_mean())
    places = digits(low, high)
    apart = f" ({told(low, places)} to {told(high, places)})" if places is not None else ""
    text = f"Best by the validation images: {best.title}, skill {told(best.skill(), places)}{apart}."
    others = [row for row in table if row is not best]
    behind = list(zip(others, differences([(best, row) for row in others]), strict=True))
    equal = [row.title for row, found in behind if found.verdict == "not told apart"]
    if equal:
        named = ", ".join(equal) if len(equal) <= _NAMED else f"{len(equal)} others"
        text += f" Not told apart from it: {named}."
    has_network = best.records[0].cell.has_network
    rivals = [pair for pair in behind if pair[0].records[0].cell.has_network != has_network]
    if rivals:
        rival, found = min(rivals, key=lambda pair: pair[0].validation_mse())
        what = "The best without a network" if has_network else "It has no network; the best that has one"
        places = digits(found.low, found.high)
        value, start, end = (told(part, places) for part in (found.value, found.low, found.high))
        by = f"behind by {value} ({start} to {end})" if found.verdict == "better" else "not told apart from it"
        text += f" {what}, {rival.title}, is {'ahead' if found.verdict == 'worse' else by}."
    return text


def answered(board: Board, block: Sequence[Record]) -> list[Question]:
    """The questions that these rows can answer, as `bench report` asks them."""
    table = rows(block, [variant.name for variant in board.suite.VARIANTS])
    if not table:
        return []
    kept = {(record.key, record.computed_by) for record in block}
    of_block = [row for row in board.rows if (row.first.key, row.first.computed_by) in kept]
    latency = {(row.first.cell.row, row.first.cell.backend): told(row.values.get("p50_ms_b1")) for row in of_block}
    return [_read(section) for section in questions.answers(table, latency, board.suite.COMPARISONS)]


def _read(section: str) -> Question:
    """The Markdown that `questions` writes: a heading, paragraphs, tables."""
    heading, *parts = section.split("\n\n")
    asked = heading.partition(": ")[2]
    found = Question(asked[:1].upper() + asked[1:], [], [])
    for part in parts:
        if part.startswith("| "):
            lines = [line[2:-2].split(" | ") for line in part.splitlines()]
            found.tables.append([[_inline(cell) for cell in line] for line in [lines[0], *lines[2:]]])
        elif part:
            found.paragraphs.append(_inline(part))
    return found


def _inline(text: str) -> Markup:
    """Bold and code of Markdown; all else is the text itself."""
    escaped = html.escape(text)
    bold = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escaped)
    return Markup(re.sub(r"`(.+?)`", r"<code>\1</code>", bold))
