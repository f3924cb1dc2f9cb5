"""What searches found: the ten best configurations of each, by the validation images alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from harness.judging.columns import ORIGIN, Group
from harness.judging.records import Record, comparable, standing
from harness.judging.stats import spread
from harness.protocol import Search


def top_tens(records: Iterable[Record]) -> dict[str, pd.DataFrame]:
    """For each variant that is a search, the ten configurations with the lowest validation loss.

    One ranking for each backend and whatever else must be equal. Losses are means over seeds of the lowest of any
    epoch, on the network's scale; nothing in a search comes from the test images.
    """
    rows: dict[str, list[dict[str, object]]] = {}
    for group in comparable(record for record in standing(records) if record.status == "ok" and record.searched):
        rows.setdefault(group[0].cell.variant, []).extend(_ranked(group)[:10])
    order = ["data", "profile", "settings", "computed_by", "backend", "rank"]
    return {name: pd.DataFrame(ranked, dtype=object).sort_values(order) for name, ranked in rows.items()}


def _ranked(records: Sequence[Record]) -> list[dict[str, object]]:
    """Every configuration of one search, best first."""
    cell = records[0].cell
    assert isinstance(cell.architecture, Search)
    searches = [record.searched for record in records if record.searched]
    trials = [[item.trials[number] for item in searches] for number in range(len(cell.architecture.configurations))]
    losses = [[trial.validation_loss for trial in of_one] for of_one in trials]
    best_first = sorted(range(len(trials)), key=lambda number: float(np.mean(losses[number])))
    origin = {column.name: column.of(Group(records, {})) for column in ORIGIN}
    return [
        {"variant": cell.row, "backend": cell.backend, "rank": rank, "configuration": number}
        | dict(cell.architecture.configurations[number].choices)
        | {
            "parameters": trials[number][0].parameters,
            "validation_mse": float(np.mean(losses[number])),
            "validation_mse_sd": spread(losses[number]),
            "epochs": cell.architecture.epochs if cell.architecture.of_networks else None,
            "best_epochs": " ".join(str(trial.epoch) for trial in trials[number]),
            "seconds": float(np.mean([trial.seconds for trial in trials[number]])),
            "seeds": " ".join(str(record.cell.seed) for record in records),
            "selected_by": " ".join(
                str(record.cell.seed) for record in records if record.searched and record.searched.selected == number
            ),
            "target_scaling": cell.settings.target_scaling,
        }
        | origin
        for rank, number in enumerate(best_first, 1)
    ]
