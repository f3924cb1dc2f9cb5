"""Do records tell the truth of a suite's own data set? One of somebody else's is not at hand to be asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness import plan, registry
from harness.protocol import Dataset, Split, Suite
from harness.records import Record, Store


def audit(results: Path, suite_name: str) -> list[str]:
    """What the records of a suite say of its own data set that does not follow from it; empty where nothing does.

    Split, test constants, mean of the training labels and physical admissibility of the predictions are computed again.
    """
    suite = registry.suite(suite_name)
    dataset = suite.load(None, None, None)
    data_hash, split = dataset.fingerprint(), suite.split(dataset)
    lies = []
    for record in Store(results, suite_name).trainings():
        if record.status == "ok" and record.cell.data_hash == data_hash:
            said = _untrue(record, suite, dataset, split)
            lies += [f"{record.cell.title} ({record.key}): {what} not what its data set gives" for what in said]
    return lies


def _untrue(record: Record, suite: Suite, dataset: Dataset, split: Split) -> list[str]:
    held_out = record.held_out
    if held_out is None:
        return ["its predictions are missing, which is"]
    if record.cell.split_hash != split.fingerprint():
        return ["its split is"]
    said = []
    truth, mean = dataset.targets[split.test], dataset.targets[split.train].mean(axis=0)
    for what, claimed, real in (
        ("its test constants are", held_out.truth, truth),
        ("its mean of the training labels is", held_out.train_mean, mean),
    ):
        if np.shape(claimed) != real.shape or not np.allclose(claimed, real, rtol=1e-9, atol=0):
            said.append(what)
    if record.cell.settings.phases != dataset.phases:
        said.append("its phases are")
    task = plan.task(suite, dataset, split, record.cell.settings)
    real_shares = suite.physics(np.array(held_out.predictions), dataset.images[split.test], task) if not said else {}
    for name, share in real_shares.items():
        # Predictions are recorded with ten digits, which could move one of them across a bound.
        if abs(record.physics.get(name, np.nan) - share) > 1.5 / len(split.test) or name not in record.physics:
            said.append(f"its {name} is")
    return said
