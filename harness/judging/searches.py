"""What searches found: the ten best configurations of each, by the validation images alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from harness.judging.columns import ORIGIN, Group
from harness.judging.records import Record, Trial
from harness.judging.stats import spread
from harness.model.variants import Search


def top_tens(groups: Iterable[Sequence[Record]]) -> dict[str, pd.DataFrame]:
    """For each variant that is a search, the ten configurations that it tried longest, with the lowest validation loss,
    by the `ok` records of each row of it.

    One ranking for each backend and whatever else must be equal. Losses are means over the seeds that tried it, of the
    lowest of any epoch, on the network's scale; nothing in a search comes from the test images.
    """
    rows: dict[str, list[dict[str, object]]] = {}
    for group in groups:
        rows.setdefault(group[0].cell.variant, []).extend(_ranked(group)[:10])
    order = ["data", "profile", "settings", "computed_by", "definition", "backend", "rank"]
    return {name: pd.DataFrame(ranked, dtype=object).sort_values(order) for name, ranked in rows.items()}


def _ranked(records: Sequence[Record]) -> list[dict[str, object]]:
    """Every configuration of one search, best first."""
    cell = records[0].cell
    assert isinstance(cell.architecture, Search)
    last = last_trials(records)
    losses = {number: losses_of(of_one) for number, of_one in last.items()}
    trials = {number: [trial for _, trial in of_one if trial] for number, of_one in last.items()}
    group = Group(records, {})
    origin = {column.name: column.of(group) for column in ORIGIN}
    return [
        {"variant": cell.row, "backend": cell.backend, "rank": rank, "configuration": number}
        | dict(cell.architecture.configurations[number].choices)
        | {
            "parameters": trials[number][0].parameters,
            "validation_mse": float(np.mean(losses[number])),
            "validation_mse_sd": spread(losses[number]) if np.isfinite(losses[number]).all() else None,
            "epochs": _told([epochs for epochs, _ in last[number]]) if cell.architecture.of_networks else None,
            "best_epochs": " ".join(str(trial.epoch if trial else 0) for _, trial in last[number]),
            "seconds": float(np.mean([trial.seconds for trial in trials[number]])),
            "seeds": group.seeds,
            "selected_by": " ".join(
                str(record.cell.seed) for record in records if record.searched and record.searched.selected == number
            ),
            "target_scaling": cell.settings.target_scaling,
        }
        | origin
        for rank, number in enumerate(last, 1)
    ]


def last_trials(records: Sequence[Record]) -> dict[int, list[tuple[int, Trial | None]]]:
    """Of each configuration that was tried by one search, by number, the last trial in each record, and for how many
    epochs it was: 0 and None where that record's search did not try it. Those tried longest come first, and of these
    those with the lowest mean loss.
    """
    search = records[0].cell.architecture
    assert isinstance(search, Search)
    found: list[dict[int, tuple[int, Trial]]] = []
    for searched in [record.searched for record in records if record.searched]:
        tried = [trial.configuration for trial in searched.trials]
        found.append(dict(zip(tried, zip(search.epochs_of(tried), searched.trials, strict=True), strict=True)))
    last: dict[int, list[tuple[int, Trial | None]]] = {
        number: [of_one.get(number, (0, None)) for of_one in found]
        for number in range(len(search.configurations))
        if any(number in of_one for of_one in found)
    }

    def place(number: int) -> tuple[int, float]:
        return -sum(epochs for epochs, _ in last[number]), float(np.mean(losses_of(last[number])))

    return {number: last[number] for number in sorted(last, key=place)}


def losses_of(trials: Iterable[tuple[int, Trial | None]]) -> list[float]:
    """The lowest validation loss of any epoch, of each trial that there was; infinite of one that diverged."""
    return [trial.loss for _, trial in trials if trial]


def _told(epochs: Sequence[int]) -> int | str:
    """One number where all are equal."""
    return epochs[0] if len(set(epochs)) == 1 else " ".join(map(str, epochs))
