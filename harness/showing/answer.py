"""What a suite's records answer, in a sentence: the first of its report and of its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.judging.blocks import Row
from harness.model.architecture import Estimator
from harness.protocol import Metric
from harness.showing.digits import skill_in_words
from harness.showing.questions import Family, better, family, few, worth


class Answer(NamedTuple):
    """What the validation images choose and its skill; `figures` of the suite's own, of it and of who learns nothing;
    who is not told apart from it, and whether it takes a network. In Markdown.
    """

    chosen: str
    figures: str
    rest: str

    @property
    def whole(self) -> str:
        """All of it."""
        return f"**{self.chosen}{self.figures}.** {self.rest}".rstrip()

    @property
    def brief(self) -> str:
        """Without the suite's own figures."""
        return self._replace(figures="").whole


def answer(table: Sequence[Row], metrics: Sequence[Metric]) -> Answer:
    """By skill and by those of `metrics` that are shown and need the truth; who is told apart by `family`."""
    among = family(table)
    chosen = among.chosen
    shown = [metric for metric in metrics if metric.heading and metric.needs_truth]
    told = (
        f"{chosen.title}, the best on the validation images, has a skill of {skill_in_words(chosen)}{chosen.ranked_by}"
    )
    own = "".join(f", {figure}" for figure in _figures(chosen, shown))
    trivial = next((row for row in table if row.first.cell.architecture == Estimator("mean")), None)
    if trivial and trivial is not chosen and (figures := _figures(trivial, shown)):
        own += f"; {trivial.title}, which learns nothing, has {', '.join(figures)}"
    network = worth(table)
    asked = f"Is a network worth it? {network}" if network else ""
    return Answer(told, own, " ".join(filter(None, (_equals(among), asked))))


def _figures(row: Row, metrics: Sequence[Metric]) -> list[str]:
    """Means over seeds."""
    told = []
    for metric in metrics:
        if all(metric.key in record.metrics for record in row.records):
            value = format(np.mean([record.metrics[metric.key] for record in row.records]), metric.form)
            percent = " %" * metric.heading.endswith(" %")
            told.append(f"{metric.heading.removesuffix(' %')} {value}{percent}")
    return told


def _equals(among: Family) -> str:
    """Who is better on the test images than what was chosen, and who is not told apart from it."""
    ahead, equal = (
        [row.title for row, found in among.others if found.verdict == verdict]
        for verdict in ("better", "not told apart")
    )
    told = [better(few(ahead))] if ahead else []
    told += [f"Cannot be told apart from it: {', '.join(few(equal))}."] if equal else []
    return " ".join(told)
