import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.command import cli
from harness.judging.store import Store
from harness.model import pretrained
from harness.model.variants import Recipe
from harness.running.data import DataSource
from harness.running.estimate import (
    STARTS_IN,
    Deviation,
    Estimates,
    Known,
    Spent,
    _disk,
    _limit,
    error,
    makespan,
    recorded,
)
from harness.running.plan import Request
from harness.running.run import to_do
from harness.running.worker import Job
from tests.harness.a_benchmark import SCRATCH
from tests.harness.examples import a_cell, a_record


def known(seconds=0.0, row="baseline", variant="", backend="keras", profile="standard", machine="here", work=100.0):
    return Known(row, variant or row, backend, profile, work, machine, seconds)


def test_a_cell_takes_what_its_like_took_at_the_mean():
    estimates = Estimates([known(10), known(20), known(99, backend="pytorch"), known(99, row="tuned")], "here")
    assert estimates.of(known()) == Spent(pytest.approx(15.0), "its own")


def test_records_of_ones_own_go_before_those_published(tmp_path, monkeypatch):
    """In each of eight places: a set of two folders has either first."""
    for number in range(8):
        own, published = tmp_path / f"own-{number}", tmp_path / f"published-{number}"
        for folder, seconds in ((own, 1.0), (published, 2.0)):
            (folder / "records").mkdir(parents=True)
            Store(folder, "elasticity").append(msgspec.structs.replace(a_record(), seconds=seconds))
        monkeypatch.setattr("harness.running.estimate._PUBLISHED", published)
        assert [one.seconds for one in recorded(Request(("elasticity",), own), "elasticity")] == [1.0]


def test_of_another_profile_it_takes_as_much_more_as_there_is_more_work():
    estimates = Estimates([known(10, profile="standard", work=100)], "here")
    assert estimates.of(known(profile="paper", work=300)) == Spent(30.0, "its variant's")


def test_of_a_variant_that_nobody_ran_the_backend_s_usual_rate_is_taken():
    estimates = Estimates(
        [known(1, row=name, work=10 * rate) for name, rate in (("a", 1), ("b", 2), ("c", 50))], "here"
    )
    assert estimates.of(known(row="new", work=40)) == Spent(pytest.approx(2.0), "arithmetic")


def test_where_nothing_is_known_a_unit_of_work_is_a_millisecond():
    assert Estimates([], "here").of(known(work=5000)) == Spent(5.0, "arithmetic")


def test_this_machine_s_own_seconds_count_alone():
    estimates = Estimates([known(10), known(90, machine="there")], "here")
    assert estimates.of(known()).seconds == 10
    assert Estimates([known(90, machine="there")], "here").of(known()).seconds == 90


def test_the_error_is_of_estimates_without_what_is_estimated():
    """Of 10 and 30 each is taken for the other: off by two and by two thirds, and together by nothing."""
    assert error([known(10), known(30)], rows=False) == Deviation(2, pytest.approx((2 + 2 / 3) / 2), pytest.approx(0))
    assert error([], rows=False) is None
    rows = [known(10, row="a"), known(10, row="a"), known(20, row="b"), known(20, row="b")]
    assert error(rows, rows=False) == Deviation(4, 0.0, 0.0)
    assert error(rows, rows=True) == Deviation(4, pytest.approx(0.75), pytest.approx(0.0))


def jobs_of(seconds, backends=("keras",)):
    """Jobs whose order of work is that of their seconds, and these by key."""
    jobs, took = [], {}
    for seed, one in enumerate(seconds):
        backend = backends[seed % len(backends)]
        cell = a_cell(seed=seed, backend=backend, architecture=SCRATCH, recipes=(Recipe(max(1, round(one))),))
        jobs.append(Job(cell, DataSource()))
        took[cell.key] = float(one)
    return jobs, took


SECONDS = st.lists(st.integers(1, 1000), min_size=1, max_size=30)


@given(SECONDS, st.integers(1, 40))
def test_wall_time_keeps_graham_s_bounds(seconds, workers):
    """Of R. L. Graham, Bounds on multiprocessing timing anomalies, 1969, for jobs given out in any order."""
    jobs, took = jobs_of(seconds)
    wall = makespan(jobs, took, workers) - STARTS_IN
    least = max(*seconds, sum(seconds) / workers)
    assert least <= wall + 1e-9
    assert wall <= sum(seconds) / workers + max(seconds) * (1 - 1 / workers) + 1e-9


@given(SECONDS)
def test_one_worker_takes_the_sum_and_as_many_as_cells_the_longest(seconds):
    jobs, took = jobs_of(seconds)
    assert makespan(jobs, took, 1) == pytest.approx(sum(seconds) + STARTS_IN)
    assert makespan(jobs, took, len(jobs)) == max(seconds) + STARTS_IN
    assert makespan(jobs, took, 10**6) == max(seconds) + STARTS_IN


def test_a_change_of_backend_costs_its_import():
    jobs, took = jobs_of([5, 5, 5, 5], ("keras", "pytorch"))
    assert makespan(jobs, took, 1) == 20 + 2 * STARTS_IN


def test_it_is_linear_until_the_longest_cell_takes_as_long_as_the_rest():
    """One cell of 1000 s and a thousand of 10 s: ten workers share 11,000 s evenly, and more have to wait for it."""
    jobs, took = jobs_of([1000, *[10] * 1000])
    told = _limit([[(job, took[job.cell.key]) for job in jobs]], makespan(jobs, took, 1))
    linear = int(told.split("up to ")[1].split()[0])
    assert 10 <= linear <= math.ceil(11 / 0.9)
    assert "16.7 min, as long as the longest cell" in told


def test_a_thousand_workers_and_ten_thousand_cells_are_given_out():
    jobs, took = jobs_of([60] * 10240)
    assert makespan(jobs, took, 1024) == 600 + STARTS_IN


def test_a_dry_run_tells_all_and_writes_nothing(data, tmp_path, capsys):
    words = ["run", "suite=elasticity", "profile=smoke", "backend=classical", f"data={data}"]
    results = tmp_path / "results"
    assert cli.main([*words, f"results={results}", "variant=mean,ridge", "dry=true", "workers=3"]) == 0
    printed = capsys.readouterr().out
    assert "suite elasticity: 2 cells, 0 already done, 2 to run" in printed
    assert "      3 " in printed
    assert "linear" in printed
    assert not results.exists()


def test_disk_space_of_which_nothing_is_known_is_not_none():
    """0.00 GB was said of backbones that nobody had run."""
    jobs = [Job(a_cell(seed=seed, variant=name), DataSource()) for name in ("ridge", "new") for seed in (0, 1)]
    record = a_record()
    kept = msgspec.structs.replace(record, onnx=msgspec.structs.replace(record.onnx, bytes=2 * 10**9))
    assert list(_disk(jobs[:2], [kept])) == ["disk for models: 8.00 GB"]
    assert list(_disk(jobs, [kept])) == ["disk for models: 8.00 GB, not known of 2 cells"]
    assert list(_disk(jobs, [])) == ["disk for models: not known of 4 cells"]


def test_a_dry_run_of_other_machines_says_nothing_of_this_one_and_refuses_what_the_run_refuses(
    data, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text("from sklearn.linear_model import Ridge\n", encoding="utf-8")
    words = [
        "run",
        "suite=elasticity",
        "profile=smoke",
        "backend=classical",
        f"data={data}",
        "dry=true",
        "results=mine",
    ]
    words += ["launcher=dask", "scheduler=tcp://127.0.0.1:1"]
    assert cli.main([*words, "variant=mean"]) == 0
    assert "would use here" not in capsys.readouterr().out
    assert cli.main([*words, "variant=models.py:Ridge"]) == 2
    assert "code of your own is not sent to other machines" in capsys.readouterr().err


def test_nothing_is_fetched_for_an_estimate(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(pretrained, "fetch", lambda *words, **options: pytest.fail("it asked the network"))
    words = ["run", "suite=elasticity", "profile=smoke", "backend=pytorch", "variant=vgg16-head-only", f"data={data}"]
    assert cli.main([*words, f"results={tmp_path / 'results'}", "dry=true"]) == 0
    assert (
        "vgg16: no ImageNet weights here; the run would download them; estimated as for random"
        in capsys.readouterr().out
    )


def test_what_is_done_is_not_counted_and_what_it_took_is_known(data, tmp_path, capsys):
    words = ["run", "suite=elasticity", "profile=smoke", "backend=classical", f"data={data}", f"results={tmp_path}"]
    assert cli.main([*words, "variant=mean"]) == 0
    store = Store(tmp_path, "elasticity")
    (record,) = store.trainings()
    capsys.readouterr()
    assert cli.main([*words, "variant=mean", "seeds=0,1", "dry=true"]) == 0
    printed = capsys.readouterr().out
    assert "2 cells, 1 already done, 1 to run" in printed
    assert f"1 x {record.seconds:>9.1f} s" in printed
    assert "estimated from seconds recorded of the same variant, backend and profile: 1 cell" in printed
    assert store.trainings() == [msgspec.structs.replace(record)]


def test_what_has_no_exported_model_is_done_and_what_lost_it_is_not(tmp_path):
    cells = [a_cell(seed=seed) for seed in range(3)]
    without, lost = a_record(cells[0], onnx=None, unexported="no exporter"), a_record(cells[1])
    good = {record.key: record for record in (without, lost)}
    assert lost.onnx
    assert to_do(cells, good, tmp_path) == cells[1:]
