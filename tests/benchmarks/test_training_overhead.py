"""What the harness adds to a training: nothing worth mentioning beside the same training written by hand."""

import json
import statistics
import subprocess
import sys

import pytest

from harness.running.launch import worker_environment


@pytest.mark.benchmark(group="training")
@pytest.mark.parametrize("backend", ["keras", "pytorch"])
def test_training_through_the_harness_costs_no_more_than_five_percent(benchmark, backend):
    def measure():
        command = [sys.executable, "-m", "tests.benchmarks.overhead", backend]
        output = subprocess.run(
            command, env=worker_environment("cpu"), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return json.loads(output.stdout)

    seconds = benchmark.pedantic(measure, rounds=1)
    medians = {way: statistics.median(rounds) for way, rounds in seconds.items()}
    ratio = medians["harness"] / medians["by hand"]
    benchmark.extra_info.update(medians, ratio=ratio)
    print({key: f"{value:.4g}" for key, value in benchmark.extra_info.items()})
    assert ratio <= 1.05
