"""Tables to be read: a leaderboard with the digits that its spread allows, as Markdown, LaTeX, HTML or CSV."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from harness import registry
from harness.errors import BenchError
from harness.judging import dictionary, leaderboard
from harness.judging.blocks import Row, newest, of_fewer_seeds, rows
from harness.judging.cells import InUnits, as_csv
from harness.judging.columns import named
from harness.judging.outlines import Outline
from harness.judging.standing import comparable
from harness.showing.digits import last_decimal, power_of_ten, rounded
from harness.text import escaped, nearest, one_line

Format = Literal["text", "markdown", "latex", "html", "csv"]

USUAL = ("variant", "backend", "skill", "skill_low", "skill_high", "r2", "rmse_{unit}", "parameters", "p50_ms_b1")
"""The columns of a table where none are asked for; `text` has verdicts, too."""


class Table(NamedTuple):
    """Texts that stand under headings; `right` says which columns are numbers."""

    caption: str
    headings: Sequence[str]
    lines: Sequence[Sequence[str]]
    right: Sequence[bool]


def of_leaderboard(board: leaderboard.Board, form: Format, asked: Sequence[str] = ()) -> str:
    """The newest comparable rows of a leaderboard as text: the `asked` columns, by their names in the CSV, or the usual
    ones. `csv` has all columns where none are asked for. Raises BenchError for a column that there is not, and where
    there are no rows.
    """
    store, block = board.shelf.store, newest(board.shelf.outlines)
    if not block:
        raise BenchError(f"{store.results}: no finished records of {store.suite}: `bench run` makes them")
    suite, (first,) = store.suite, rows(board.shelf.whole(comparable(block)[0]))
    scores, unit = board.only({outline.row for outline in block}), first.unit
    known = list(scores.columns)
    usual = {"csv": known, "text": (*USUAL, "verdict")}.get(form, USUAL)
    names = list(dict.fromkeys(_known(suite, name, known, unit) for name in asked or usual))
    if form == "csv":
        return as_csv(scores[names])
    headings = dictionary.titles(suite, names, unit)
    lines = [[cell(row, name) for name in names] for _, row in scores.iterrows()]
    right = [any(isinstance(value, int | float) for value in scores[name]) for name in names]
    return _FORMS[form](Table(_caption(first, block), headings, lines, right))


def _known(suite: str, name: str, known: Sequence[str], unit: str) -> str:
    for found in (name, named(name, unit)):  # as in the CSV, or as in the dictionary of columns
        if found in known:
            return found
    raise BenchError(f"columns={name}: the leaderboard of {suite} has no such column{nearest(name, known)}")


def _caption(first: Row, block: Sequence[Outline]) -> str:
    cell, tested = first.first.cell, first.tested_on if first.first.held_out else "no test images"
    summary = registry.suite(cell.suite).SUMMARY
    seeds = " ".join(str(seed) for seed in sorted({outline.seed for outline in block}))
    commits = " ".join(sorted({outline.environment.short_commit for outline in block}))
    told = (
        f"{summary[0].upper()}{summary[1:]}. Suite {cell.suite}, profile {cell.profile}, data set {cell.data}, "
        f"{tested}.",
        f"Mean over seeds ({seeds}) ± standard deviation, where seeds differ.",
        of_fewer_seeds(block),
        f"Made by cijbench at commit {commits}.",
    )
    return " ".join(filter(None, told))


# --- digits -------------------------------------------------------------------------------------------------------


def cell(row: pd.Series[Any], name: str) -> str:
    """A value of a leaderboard's row with the digits that are known of it, and ± its standard deviation over seeds.

    Digits end where the standard deviation over seeds ends, or half the 95 % interval where seeds do not differ; where
    neither is known there are three. A whole number has all of its digits.
    """
    value = row[name]
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, str | int):
        return f"{value:,}" if isinstance(value, int) else value
    if name == "skill" and abs(value) < _ROUNDING:
        return "0"
    sd, half = row.get(f"{name}_sd"), _half_interval(row, name)
    if sd and sd > _ROUNDING * abs(value):
        last = last_decimal(sd)
        return f"{rounded(value, last)} ± {rounded(sd, last)}"
    known = value if name.endswith("_sd") else half
    if not value or (known and max(abs(value), known) < _ROUNDING and not isinstance(value, InUnits)):
        return "0"
    return rounded(value, last_decimal(known) if known else 2 - power_of_ten(value))


_ROUNDING = 1e-6  # a spread that is relatively less is rounding's, not that of seeds; so is a skill of the mean


def _half_interval(row: pd.Series[Any], name: str) -> float | None:
    """Half the 95 % interval of a column, or of the column whose end it is."""
    base, batch = re.fullmatch(r"(.*?)(?:_low|_high)?(_b\d+)?", name).groups("")  # type: ignore[union-attr]
    low, high = row.get(f"{base}_low{batch}"), row.get(f"{base}_high{batch}")
    return (high - low) / 2 if low is not None and high is not None else None


# --- forms --------------------------------------------------------------------------------------------------------


def markdown(headings: Sequence[str], lines: Iterable[Sequence[str]], right: Sequence[bool] = ()) -> str:
    """A Markdown table of texts that are Markdown."""
    rule = ["---:" if of_numbers else "---" for of_numbers in right] or ["---"] * len(headings)
    return "\n".join("| " + " | ".join(line) + " |" for line in [headings, rule, *lines])


def _as_text(table: Table) -> str:
    """In columns, for a terminal."""
    lines = [list(map(one_line, line)) for line in (table.headings, *table.lines)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    justified = [
        [text.rjust(width) if of_numbers else text.ljust(width) for text, width, of_numbers in each]
        for each in (zip(line, widths, table.right, strict=True) for line in lines)
    ]
    return "\n".join("  ".join(line).rstrip() for line in justified) + f"\n\n{textwrap.fill(table.caption, 100)}\n"


def _as_markdown(table: Table) -> str:
    lines = [[escaped(text) for text in line] for line in table.lines]
    headings = [escaped(text) for text in table.headings]
    return f"{markdown(headings, lines, table.right)}\n\n*{escaped(table.caption)}*\n"


def _as_latex(table: Table) -> str:
    """For the package booktabs; the caption as a comment, for where it stands is the paper's to say."""
    lines = [" & ".join(map(in_latex, line)) + r" \\" for line in (table.headings, *table.lines)]
    return "\n".join(
        [
            f"% {one_line(table.caption)}",
            r"\begin{tabular}{" + "".join("r" if of_numbers else "l" for of_numbers in table.right) + "}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "²": r"\textsuperscript{2}",
    "³": r"\textsuperscript{3}",
    "°": r"\textdegree{}",
    "µ": r"\textmu{}",
    "–": "--",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedbl{}",
} | {mark: f"\\{mark}" for mark in "&%$#_{}"}


def in_latex(text: str) -> str:
    """Text that LaTeX sets as it stands; a leading minus as one."""
    text = one_line(text)
    sign = "$-$" if re.match(r"-[\d.]", text) else ""
    return sign + "".join(_LATEX.get(letter, letter) for letter in (text[1:] if sign else text))


def _as_html(table: Table) -> str:
    classes = [' class="number"' if of_numbers else "" for of_numbers in table.right]

    def line(tag: str, texts: Sequence[str]) -> str:
        cells = (f"<{tag}{kind}>{html.escape(one_line(t))}</{tag}>" for t, kind in zip(texts, classes, strict=True))
        return f"<tr>{''.join(cells)}</tr>"

    body = "\n".join(line("td", texts) for texts in table.lines)
    return (
        f"<table>\n<caption>{html.escape(one_line(table.caption))}</caption>\n"
        f"<thead>\n{line('th', table.headings)}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
    )


_FORMS: dict[str, Callable[[Table], str]] = {
    "text": _as_text,
    "markdown": _as_markdown,
    "latex": _as_latex,
    "html": _as_html,
}
