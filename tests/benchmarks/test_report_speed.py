"""The report's eight models in Keras by the harness, and by a script as its listings are, both on all cores."""

import json
import subprocess
import sys
import time

import pytest

from harness.environment import usable_cores
from harness.running.data import DataSource
from harness.running.launch import Post, launch
from harness.running.plan import Request, plan
from harness.running.worker import Done, Job

TIMES = 3
REPORTS = "baseline,tuned," + ",".join(
    f"{family}-{how}" for family in ("vgg16", "resnet50", "densenet121") for how in ("head-only", "fine-tuned")
)


@pytest.mark.slow
def test_the_report_takes_a_third_of_what_its_own_script_does(benchmark, tmp_path):
    """The harness exports every model and checks it besides."""

    def measure():
        return by_harness(tmp_path), by_script()

    harness, script = benchmark.pedantic(measure, rounds=1)
    ratio = sum(script.values()) / harness
    benchmark.extra_info |= {"seconds": harness, "seconds of the script": script, "ratio": ratio}
    print(benchmark.extra_info)
    assert ratio >= TIMES


def by_harness(results):
    for folder in ("models", "cache"):
        (results / folder).mkdir()
    request = Request(("elasticity",), results, variant=REPORTS, backend="keras", seeds=(0,), weights="random")
    jobs = [Job(cell, DataSource()) for cell in plan("elasticity", request).cells]
    begin = time.perf_counter()
    events = launch(jobs, usable_cores(), Post(results, "cpu"))
    done = [message.record.status for _, message in events if isinstance(message, Done)]
    assert done == ["ok"] * len(jobs) == ["ok"] * 8
    return time.perf_counter() - begin


def by_script():
    output = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.as_the_report"],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    return json.loads(output.stdout)
