"""Do records tell the truth of a suite's own data set? One of somebody else's is not at hand to be asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness import registry
from harness.judging.outlines import Shelf
from harness.judging.records import SCHEMA, HeldOut, Record, size
from harness.judging.store import Store
from harness.protocol import Dataset, Rows, Split, Suite


def audit(results: Path, suite_name: str) -> tuple[list[str], int]:
    """What the records of a suite say of its own data set that does not follow from it; empty where nothing does.

    Also how many `ok` records are of other data, and held to nothing but themselves. Split, names and constants of the
    test images, mean of the training labels and the suite's own figures of the predictions are computed again.
    """
    suite, lies, others = registry.suite(suite_name), list[str](), 0
    shelf = Shelf(Store(results, suite_name))
    outlines = [outline for outline in shelf.outlines if outline.status == "ok"]
    if suite_name not in registry.with_data():
        return lies, len(outlines)
    dataset = suite.load(None, {})
    data_hash, split = dataset.fingerprint(), suite.split(dataset)
    for outline in outlines:
        if outline.cell.data_hash != data_hash:
            others += 1
            continue
        (record,) = shelf.whole([outline])
        said = untrue(record, suite, dataset, split)
        lies += [f"{record.cell.title} ({record.key}): {what} not what its data set gives" for what in said]
    return lies, others


def untrue(record: Record, suite: Suite, dataset: Dataset, split: Split) -> list[str]:
    """What a record says of a data set that does not follow from it: "its split is", and so on."""
    if record.held_out is None:
        return ["its predictions are missing, which is"]
    if record.cell.split_hash != split.fingerprint():
        return ["its split is"]
    if record.cell.settings.facts != dataset.facts:
        return ["what it was told of the data set is"]
    parts = {record.held_out.test: (record.held_out, record.metrics)}
    parts |= {name: (tested.held_out, tested.metrics) for name, tested in record.others.items()}
    if list(parts) != list(split.tests):
        return ["its list of tests is"]
    return [
        said
        for (held_out, metrics), rows in zip(parts.values(), split.tests.values(), strict=True)
        for said in _untrue_of(held_out, dataset, split, rows)
        or _untrue_metrics(held_out, metrics, suite, dataset, rows, record.schema == SCHEMA)
    ]


def _untrue_of(held_out: HeldOut, dataset: Dataset, split: Split, rows: Rows) -> list[str]:
    said = []
    if (held_out.targets, held_out.units) != (dataset.target_names, dataset.units):
        said.append("its targets are")
    if held_out.ids != tuple(dataset.ids[index] for index in rows):
        said.append("its test images are")
    if held_out.clusters != dataset.clustered(rows):
        said.append("what it says of images that show the same thing is")
    truth, mean = dataset.targets[rows], dataset.targets[split.train].mean(axis=0)
    apart = 1e-12 * size(held_out.truth)
    for what, claimed, real in (
        ("its test constants are", held_out.truth, truth),
        ("its mean of the training labels is", held_out.train_mean, mean),
    ):
        if np.shape(claimed) != real.shape or not np.allclose(claimed, real, rtol=1e-9, atol=apart):
            said.append(what)
    if np.shape(held_out.predictions) != truth.shape:
        said.append("the number of its predictions is")
    return said


def _untrue_metrics(
    held_out: HeldOut, metrics: dict[str, float], suite: Suite, dataset: Dataset, rows: Rows, complete: bool
) -> list[str]:
    """`complete` where a record must have all figures that the suite has today."""
    real = suite.measure(np.array(held_out.predictions), dataset.targets[rows], dataset.images[rows], dataset.facts)
    whole = {metric.key: 100.0 for metric in suite.METRICS if metric.unit == "%"}
    images = 1 if complete else len(rows)
    return [
        f"its {name} is"
        for name in sorted(real.keys() | metrics.keys() if complete else metrics)
        if not _same(metrics.get(name, np.nan), real.get(name, np.nan), whole.get(name, 1.0), images)
    ]


def _same(claimed: float, real: float, whole: float, images: int) -> bool:
    """Predictions are recorded with ten digits: a residual of nothing is of the order of the last, some of which a
    standard deviation is off by. Figures of older records are of predictions with all digits: one that was moved across
    a bound makes a share of the `images` off by one of them; 1 where there is no such record.
    """
    is_share = np.isclose(real * images, round(real * images), rtol=0, atol=1e-9) if np.isfinite(real) else False
    off = abs(claimed - real)
    return bool(off < 1.5 / images if is_share and images > 1 else off <= 1e-6 * abs(real) + 1e-7 * whole)
