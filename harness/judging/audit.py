"""Do records tell the truth of a suite's own data set? One of somebody else's is not at hand to be asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness import registry
from harness.judging.records import Record, Store
from harness.protocol import Dataset, Split, Suite
from harness.running import plan


def audit(results: Path, suite_name: str) -> tuple[list[str], int]:
    """What the records of a suite say of its own data set that does not follow from it; empty where nothing does.

    Also how many `ok` records are of other data, and held to nothing but themselves. Split, names and constants of the
    test images, mean of the training labels and physical admissibility of the predictions are computed again.
    """
    suite = registry.suite(suite_name)
    dataset = suite.load(None, None, None)
    data_hash, split = dataset.fingerprint(), suite.split(dataset)
    lies, others = [], 0
    for record in Store(results, suite_name).trainings():
        if record.status != "ok":
            continue
        if record.cell.data_hash != data_hash:
            others += 1
            continue
        said = _untrue(record, suite, dataset, split)
        lies += [f"{record.cell.title} ({record.key}): {what} not what its data set gives" for what in said]
    return lies, others


def _untrue(record: Record, suite: Suite, dataset: Dataset, split: Split) -> list[str]:
    held_out = record.held_out
    if held_out is None:
        return ["its predictions are missing, which is"]
    if record.cell.split_hash != split.fingerprint():
        return ["its split is"]
    said = []
    if held_out.targets != dataset.target_names:
        said.append("its targets are")
    if held_out.ids != tuple(dataset.ids[index] for index in split.test):
        said.append("its test images are")
    truth, mean = dataset.targets[split.test], dataset.targets[split.train].mean(axis=0)
    for what, claimed, real in (
        ("its test constants are", held_out.truth, truth),
        ("its mean of the training labels is", held_out.train_mean, mean),
    ):
        if np.shape(claimed) != real.shape or not np.allclose(claimed, real, rtol=1e-9, atol=0):
            said.append(what)
    if np.shape(held_out.predictions) != truth.shape:
        said.append("the number of its predictions is")
    if record.cell.settings.phases != dataset.phases:
        said.append("its phases are")
    if said:
        return said
    task = plan.task(suite, dataset, split, record.cell.settings)
    real_shares = suite.physics(np.array(held_out.predictions), dataset.images[split.test], task)
    # Predictions are recorded with ten digits, which could move one of them across a bound.
    return [
        f"its {name} is"
        for name in sorted(real_shares.keys() | record.physics.keys())
        if not abs(record.physics.get(name, np.nan) - real_shares.get(name, np.nan)) < 1.5 / len(split.test)
    ]
