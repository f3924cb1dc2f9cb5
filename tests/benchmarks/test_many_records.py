"""What a leaderboard of many records takes: seconds and memory in proportion to their number, printed for each."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.judging import leaderboard
from harness.judging.records import Store, standing

ROOT = Path(leaderboard.__file__).parents[2]


@pytest.mark.benchmark(group="records")
def test_seconds_and_memory_grow_as_records_do(benchmark, tmp_path):
    def measure():
        return {count: of(count, tmp_path / str(count)) for count in (300, 1200)}

    found = benchmark.pedantic(measure, rounds=1)
    few, many = found[300], found[1200]
    each = {name: (many[name] - few[name]) / 900 for name in few}
    benchmark.extra_info.update(each)
    print({name: f"{value:.3g} each, {1e5 * value:.3g} of 100,000" for name, value in each.items()})
    assert many["seconds"] <= 4 * 1.5 * few["seconds"]


def of(count, results):
    command = [sys.executable, "-m", "tests.benchmarks.test_many_records", str(count), str(results)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout)


def main(count, results):
    """In a process of its own, whose memory is that of the records: three seeds a row, 78 images of nine targets."""
    records = standing(Store(ROOT / "results", "elasticity").trainings())
    first = next(record for record in records if record.cell.variant == "baseline" and record.status == "ok")
    store = Store(results, "elasticity")
    for number in range(count):
        noise = np.random.default_rng(number).normal(size=np.shape(first.held_out.truth))
        predictions = tuple(map(tuple, np.round(np.array(first.held_out.truth) + noise, 6).tolist()))
        held_out = msgspec.structs.replace(first.held_out, predictions=predictions)
        cell = msgspec.structs.replace(first.cell, variant=f"v{number // 3}", seed=number % 3)
        changes = {"cell": cell, "key": cell.key, "held_out": held_out, "test": held_out.accuracy()}
        store.folder.mkdir(parents=True, exist_ok=True)
        store.append(msgspec.structs.replace(first, **changes))
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    leaderboard.write(results, "elasticity")
    taken = time.process_time() - begin
    print(json.dumps({"seconds": taken, "GB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
