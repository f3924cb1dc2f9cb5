"""What a leaderboard of many records takes, row by row, beside what it takes of all records at once."""

import json
import subprocess
import sys

import pytest

from tests.benchmarks.many_records import ROOT

SHAPES = {"100 rows of 10 seeds": (100, 10), "100 rows of 100 seeds": (100, 100), "3,334 rows of 3 seeds": (3334, 3)}


@pytest.mark.benchmark(group="records")
def test_a_leaderboard_holds_one_row_at_a_time(benchmark, tmp_path):
    def measure():
        return {title: of(tmp_path / title, *shape) for title, shape in SHAPES.items()}

    found = benchmark.pedantic(measure, rounds=1)
    few, many, short = (found[title]["write"] for title in SHAPES)
    each = {
        "ms of a record": 1e3 * (many["seconds"] - few["seconds"]) / 9000,
        "ms of a row": 1e3 * (short["seconds"] - many["seconds"]) / 3234,
    }
    benchmark.extra_info.update(found | each)
    for title, of_both in found.items():
        ratios = {name: of_both["held"][name] / of_both["write"][name] for name in ("seconds", "GiB")}
        print(title, of_both, {f"{name}, all at once / row by row": round(ratio, 1) for name, ratio in ratios.items()})
    print({name: round(value, 3) for name, value in each.items()})
    assert found["100 rows of 100 seeds"]["held"]["GiB"] > 4 * many["GiB"]
    assert many["GiB"] < 10 * few["GiB"]
    assert many["seconds"] < 10 * 1.5 * few["seconds"]


def of(results, rows, seeds):
    told("make", rows, seeds, results)
    return {how: json.loads(told(how, results)) for how in ("write", "held")}


def told(*words):
    """Of a process of its own, whose memory is that of the records."""
    command = [sys.executable, "-m", "tests.benchmarks.many_records", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout
