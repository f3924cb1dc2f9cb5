"""What workers are worth, and what Dask costs, on a smoke run: ratios of launches of the same cells in one test."""

import time

import pytest

pytest.importorskip("distributed")

from harness.judging.records import Settings
from harness.running.launchers import opened
from harness.running.plan import Request, plan
from harness.running.worker import Done, Job


@pytest.mark.benchmark(group="launching")
def test_two_workers_and_dask_against_one_and_none(benchmark, tmp_path):
    def measure():
        return {
            "one": seconds(tmp_path / "one", workers=1),
            "two": seconds(tmp_path / "two", workers=2),
            "two by dask": seconds(tmp_path / "dask", workers=2, launcher="dask"),
        }

    taken = benchmark.pedantic(measure, rounds=1)
    ratios = {"two workers": taken["one"] / taken["two"], "dask": taken["two by dask"] / taken["two"]}
    benchmark.extra_info.update(taken, **ratios)
    print({key: f"{value:.4g}" for key, value in benchmark.extra_info.items()})
    assert ratios["two workers"] >= 1.8
    assert ratios["dask"] <= 1.05


def seconds(results, **options):
    """From a launcher that stands to the last record; each worker imports its framework within."""
    for folder in ("models", "cache"):
        (results / folder).mkdir(parents=True)
    request = Request(
        ("elasticity",),
        results,
        profile="smoke",
        variant="trees,gp,baseline,augmented,physics-net",
        backend="classical,pytorch",
        seeds=(0, 1),
        settings=Settings(),
        **options,
    )
    cells = plan("elasticity", request).cells
    with opened(request, cells) as launcher:
        assert launcher.environment
        jobs = [Job(cell, request.source) for cell in cells]
        begin = time.perf_counter()
        events = launcher.launch(jobs)
        records = [message.record for _, message in events if isinstance(message, Done)]
        taken = time.perf_counter() - begin
    assert [record.status for record in records] == ["ok"] * len(cells)
    return taken
