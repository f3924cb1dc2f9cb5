"""What a suite's records answer, in a sentence for the front page and as sections of its own page."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from harness.judging.blocks import Row
from harness.showing import questions
from harness.showing.answer import answer
from harness.showing.site.rows import Board
from harness.showing.site.shown import told


class Question(NamedTuple):
    """A question and its answer: paragraphs, and tables whose first line is the heading."""

    asked: str
    paragraphs: list[Markup]
    tables: list[list[list[Markup]]]


def headlines(board: Board, table: Sequence[Row]) -> tuple[Markup, Markup]:
    """What the report of these rows opens with: for the front page by skill alone, and for the suite's own by its
    metrics, too.
    """
    if not table:
        return (_inline("Nothing was trained on all images yet."),) * 2
    found = answer(table, board.suite.METRICS)
    return _inline(found.brief), _inline(found.whole)


def answered(board: Board, table: Sequence[Row]) -> list[Question]:
    """The questions that these rows can answer, as `bench report` asks them."""
    if not table:
        return []
    kept = {(record.key, record.computed_by) for row in table for record in row.records}
    of_block = [row for row in board.rows if (row.first.key, row.first.computed_by) in kept]
    latency = {(row.first.cell.row, row.first.cell.backend): told(row.values.get("p50_ms_b1")) for row in of_block}
    return [_read(section) for section in questions.answers(table, latency, board.suite.COMPARISONS)]


def _read(section: str) -> Question:
    """The Markdown that `questions` writes: a heading, paragraphs, tables."""
    heading, *parts = section.split("\n\n")
    found = Question(heading.removeprefix("## "), [], [])
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
