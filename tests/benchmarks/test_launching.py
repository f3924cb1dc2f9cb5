"""What workers are worth, and what Dask costs, on a smoke run: ratios of launches of the same cells in one test."""

import statistics
import time

import pytest

pytest.importorskip("distributed")

from distributed import Client, LocalCluster

from harness.running.cluster import Cluster
from harness.running.host import Errand
from harness.running.launch import Post, launch
from harness.running.launchers import opened
from harness.running.plan import Request, plan
from harness.running.worker import Done, Job
from tests.harness.fake_worker import FAKE, a_job


@pytest.mark.benchmark(group="launching")
def test_two_workers_and_dask_against_one_and_none(benchmark, tmp_path):
    ways = {"one": {"workers": 1}, "two": {"workers": 2}, "two by dask": {"workers": 2, "launcher": "dask"}}

    def measure():
        rounds = [{way: seconds(tmp_path / way / str(n), **options) for way, options in ways.items()} for n in range(2)]
        return {way: min(taken[way] for taken in rounds) for way in ways}

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
        seeds=tuple(range(6)),
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


@pytest.mark.benchmark(group="launching")
def test_dask_costs_a_cell_less_than_a_twentieth_of_a_second(benchmark, tmp_path):
    """Of cells that take no time: what is left of a ratio where other work has the cores."""
    jobs = [a_job(seed=seed) for seed in range(101)]
    (tmp_path / "models").mkdir()
    post = Post(tmp_path, "cpu", command=FAKE)
    errand = Errand("cijbench-benchmark", "cpu", (("classical", "elasticity"),), command=FAKE)

    def measure():
        with (
            LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as workers,
            Client(workers) as client,
        ):
            cluster = Cluster(client, tmp_path, errand)
            assert cluster.environment
            rounds = [(each(launch(jobs, 1, post)), each(cluster.launch(jobs))) for _ in range(3)]
            cluster.leave()
        return [statistics.median(way) for way in zip(*rounds, strict=True)]

    here, there = benchmark.pedantic(measure, rounds=1)
    benchmark.extra_info.update(here=here, there=there)
    print(f"a cell more: {1e3 * here:.3g} ms here, {1e3 * there:.3g} ms by Dask")
    assert there - here < 0.05


def each(events):
    """Seconds that each cell after the first takes."""
    ends = [time.perf_counter() for _, message in events if isinstance(message, Done)]
    return (ends[-1] - ends[0]) / (len(ends) - 1)
