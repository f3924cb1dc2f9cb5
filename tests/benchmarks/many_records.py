"""Makes a results folder of many records, as a sweep leaves them, and measures what is asked of it.

`python -m tests.benchmarks.many_records make ROWS SEEDS FOLDER`, then `... write FOLDER` or `... held FOLDER`: each in
a process of its own, whose time and memory are those of the records.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from harness.judging import by_test, leaderboard
from harness.judging.records import LatencyRecord, Record
from harness.judging.standing import standing
from harness.judging.store import Store
from harness.running.child import peak_gib

ROOT = Path(leaderboard.__file__).parents[2]
SUITE = "elasticity"
# Two networks in both frameworks, and one model without a network: so that every network's row has a rival.
_TEMPLATES = (("ridge", "classical"), ("baseline", "keras"), ("baseline", "pytorch"), ("physics-net", "pytorch"))


def make(rows: int, seeds: int, results: Path) -> None:
    """Of each row each seed: 78 images of nine targets with noise of the row's own size. Seed after seed, as they are
    planned, so that a row's records lie apart; one record in a hundred is of a cell that failed.
    """
    published = Store(ROOT / "results", SUITE)
    stands = [record for record in standing(published.trainings()) if record.status == "ok"]
    templates = [
        next(record for record in reversed(stands) if (record.cell.variant, record.cell.backend) == place)
        for place in _TEMPLATES
    ]
    store = Store(results, SUITE)
    store.folder.mkdir(parents=True)
    store.truths_file.write_bytes(published.truths_file.read_bytes())
    timing = published.latencies()[-1]
    with store.trainings_file.open("wb") as trainings, store.latencies_file.open("wb") as latencies:
        for number, record in enumerate(_records(templates, rows, seeds)):
            trainings.write(msgspec.json.encode(record) + b"\n")
            if number < rows and record.onnx:
                timed: LatencyRecord = msgspec.structs.replace(
                    timing, key=record.key, sha256=record.onnx.sha256, environment=record.environment
                )
                latencies.write(msgspec.json.encode(timed) + b"\n")


def _records(templates: list[Record], rows: int, seeds: int) -> Iterator[Record]:
    truths = [np.array(template.held_out.truth) for template in templates if template.held_out]
    draw = np.random.default_rng(0)
    sizes = draw.uniform(1, 10, rows)
    for number in range(rows * seeds):
        seed, row = divmod(number, rows)
        template, truth = templates[row % len(templates)], truths[row % len(templates)]
        cell = msgspec.structs.replace(template.cell, variant=f"{template.cell.variant}-{row}", seed=seed)
        if number % 100 == 99:
            yield Record(
                schema=template.schema,
                key=cell.key,
                cell=cell,
                status="failed",
                started=template.started,
                seconds=1.0,
                environment=template.environment,
                reason="a loss that is not finite",
                source=template.source,
            )
            continue
        assert template.held_out is not None
        predictions = np.round(truth + draw.normal(0, sizes[row], truth.shape), 8)
        held_out = msgspec.structs.replace(template.held_out, predictions=tuple(map(tuple, predictions.tolist())))
        record = msgspec.structs.replace(template, key=cell.key, cell=cell, test=held_out.accuracy())
        yield msgspec.structs.replace(record, held_out=type(held_out)(held_out.predictions, held_out.test))


def _measured(how: str, results: Path) -> dict[str, float]:
    begin, before = time.process_time(), peak_gib()
    if how == "write":
        leaderboard.write(results, SUITE)
    else:
        held(results)
    return {"seconds": time.process_time() - begin, "GiB": peak_gib() - before}


def held(results: Path) -> None:
    """The same tables of all records at once, as reports and pages have them."""
    stands = standing(leaderboard.believed(results, SUITE))
    leaderboard.of_block(results, SUITE, stands)
    by_test.table(stands)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", rows, seeds, folder]:
            make(int(rows), int(seeds), Path(folder))
        case [("write" | "held") as how, folder]:
            print(json.dumps(_measured(how, Path(folder))))
