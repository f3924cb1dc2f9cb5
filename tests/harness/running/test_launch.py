import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
import time

import msgspec
import psutil
import pytest

from harness import registry
from harness.model.architecture import Imported
from harness.model.variants import Recipe
from harness.running.crew import LostHand, Started
from harness.running.guard import Guard, Limits
from harness.running.launch import _NOT_INHERITED, Local, Post, ProcessHand, launch, worker_environment
from harness.running.worker import Done, Epoch
from tests.harness.a_benchmark import SCRATCH
from tests.harness.fake_worker import FAKE, a_job


def run(jobs, results, workers=2, **options):
    """Every record by variant and seed, and all events."""
    events = list(launch(jobs, workers, Post(results, "cpu", command=FAKE, **options)))
    records = [message.record for _, message in events if isinstance(message, Done)]
    return {(record.cell.variant, record.cell.seed): record for record in records}, events


def test_every_job_ends_in_one_record(tmp_path):
    jobs = [a_job(seed=seed) for seed in range(7)]
    records, events = run(jobs, tmp_path)
    assert len(records) == sum(isinstance(message, Done) for _, message in events) == 7
    assert all(record.status == "ok" for record in records.values())


def test_a_cell_is_started_then_makes_progress_then_ends(tmp_path):
    _, events = run([a_job()], tmp_path)
    assert [type(message) for _, message in events] == [Started, Epoch, Epoch, Done]


def test_nothing_to_do(tmp_path):
    assert run([], tmp_path)[1] == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("exits", "ended with exit code 1: out of patience"),
        ("is-killed", "was killed by signal 9: perhaps the system ran out of memory"),
        ("dies-amid-a-message", "was killed by signal 9"),
        ("talks-nonsense", "was killed by signal 9"),
        ("crashes", "was killed by signal 6: Fatal Python error: Aborted"),
    ],
)
def test_a_worker_that_dies_fails_its_cell_alone(tmp_path, fault, said):
    jobs = [a_job(seed=0), a_job(fault), a_job(seed=1), a_job(seed=2)]
    records, _ = run(jobs, tmp_path, workers=1)
    assert records[fault, 0].status == "failed"
    assert said in records[fault, 0].reason
    assert (tmp_path / records[fault, 0].log).exists()
    assert [records["ok", seed].status for seed in range(3)] == ["ok"] * 3


def test_each_cell_of_somebody_s_code_has_a_worker_of_its_own(tmp_path):
    def own(variant, path, seed):
        job = a_job(variant, architecture=Imported(path, "torch", "f"), seed=seed)
        return msgspec.structs.replace(job, code="/a")

    jobs = [own("one", "m.py:A", 0), own("one", "m.py:A", 1), own("two", "m.py:B", 0), a_job(seed=0), a_job(seed=1)]
    records, _ = run(jobs, tmp_path, workers=1)
    logs = {place: record.log for place, record in records.items()}
    assert logs["ok", 0] == logs["ok", 1]
    assert len(set(logs.values())) == 4


def test_last_words_name_no_folder_of_whoever_ran_it(tmp_path):
    records, _ = run([a_job("exits-telling-where")], tmp_path)
    (record,) = records.values()
    assert record.reason == "the worker ended with exit code 1: cannot write RESULTS/models or ~/.cache"


def test_a_cell_that_takes_too_long_is_stopped(tmp_path):
    records, _ = run([a_job("hangs"), a_job()], tmp_path, workers=1, limits=Limits(seconds=0.5))
    assert records["hangs", 0].status == "failed"
    assert "longer than timeout=0.5" in records["hangs", 0].reason
    assert "fake_worker.py" in records["hangs", 0].traceback  # where it was
    assert records["ok", 0].status == "ok"


def test_a_cell_that_takes_too_much_memory_is_stopped(tmp_path):
    records, _ = run([a_job("grows"), a_job()], tmp_path, workers=1, limits=Limits(memory_gib=0.9))
    assert records["grows", 0].status == "failed"
    assert re.fullmatch(
        r"stopped: it took (0\.9|1\.\d)\d GiB of memory, more than memory=0.9", records["grows", 0].reason
    )
    assert records["ok", 0].status == "ok"


def test_a_cell_that_took_more_memory_than_anyone_saw_has_failed(tmp_path):
    """Its worker's own peak tells; and whoever has held that much cannot be held to the limit any more."""
    jobs = [a_job("hungry"), a_job()]
    records, events = run(jobs, tmp_path, workers=1, limits=Limits(memory_gib=50))
    assert records["hungry", 0].status == "failed"
    assert records["hungry", 0].reason == "stopped: it took 99.00 GiB of memory, more than memory=50"
    assert records["ok", 0].status == "ok"
    assert len(list((tmp_path / "logs").glob("*.log"))) == 2
    assert sum(isinstance(message, Done) for _, message in events) == 2


def test_a_cell_that_ended_after_its_time_has_failed(tmp_path, monkeypatch):
    """The guard looks ten times a second; here it never looks, and time passes at each message."""
    now = iter(range(0, 10**6, 100))
    monkeypatch.setattr("harness.running.launch.Guard", functools.partial(Guard, clock=lambda: float(next(now))))
    monkeypatch.setattr(Guard, "_watch", lambda self: None)
    records, _ = run([a_job()], tmp_path, limits=Limits(seconds=50))
    assert records["ok", 0].status == "failed"
    assert records["ok", 0].reason == "stopped: it took longer than timeout=50 seconds"
    records, _ = run([a_job()], tmp_path, limits=Limits(seconds=150))
    assert records["ok", 0].status == "ok"


def test_what_failed_by_itself_says_why_also_beyond_its_limits(tmp_path):
    records, _ = run([a_job("hungry-and-fails"), a_job()], tmp_path, workers=1, limits=Limits(memory_gib=50))
    assert records["hungry-and-fails", 0].reason == "no exporter"
    assert len(list((tmp_path / "logs").glob("*.log"))) == 2  # its worker is replaced all the same


def test_a_worker_that_never_comes_to_its_cell_is_stopped_too(tmp_path, monkeypatch):
    """The import of a framework does not count as the cell's time, and yet may not take for ever."""
    monkeypatch.setattr("harness.running.guard.SECONDS_TO_START", 2)
    records, _ = run([a_job("never-starts")], tmp_path, limits=Limits(seconds=1e9))
    assert records["never-starts", 0].reason == "stopped: the worker took longer than 2 seconds to start"


def test_a_record_of_a_crash_says_where_it_was(tmp_path):
    """Of this cell alone: the log is that of all the worker's cells."""
    records, _ = run([a_job(seed=7), a_job("crashes")], tmp_path, workers=1)
    told = records["crashes", 0].traceback
    assert "fake_worker.py" in told
    assert "seed 7" not in told
    assert str(tmp_path) not in told


def test_a_worker_serves_many_cells(tmp_path):
    run([a_job(seed=seed) for seed in range(5)], tmp_path, workers=1)
    (log,) = (tmp_path / "logs").glob("*.log")
    assert len({line.rpartition(" ")[2] for line in log.read_text().splitlines() if "process" in line}) == 1


def processes(results):
    """Of the workers that the logs tell of, in the order of the cells of each."""
    lines = [line for log in (results / "logs").glob("*.log") for line in log.read_text().splitlines()]
    return [int(line.rpartition(" ")[2]) for line in lines if "process" in line]


def test_a_worker_waits_for_the_next_suite_and_ends_with_the_last(tmp_path):
    with contextlib.closing(Local(Post(tmp_path, "cpu", command=FAKE), 1)) as local:
        for seed in range(3):
            list(local.launch([a_job(seed=seed)]))
        (worker,) = set(processes(tmp_path))
        assert len(processes(tmp_path)) == 3
        assert psutil.pid_exists(worker)
    assert not psutil.pid_exists(worker)


def test_a_worker_that_died_while_it_waited_is_replaced(tmp_path):
    with contextlib.closing(Local(Post(tmp_path, "cpu", command=FAKE), 1)) as local:
        list(local.launch([a_job(seed=0)]))
        (worker,) = processes(tmp_path)
        os.kill(worker, signal.SIGKILL)
        psutil.Process(worker).wait(timeout=30)
        (done,) = [message for _, message in local.launch([a_job(seed=1)]) if isinstance(message, Done)]
    assert done.record.status == "ok"
    assert len(set(processes(tmp_path))) == 2


def test_of_workers_that_wait_those_of_the_right_backend_are_taken(tmp_path):
    with contextlib.closing(Local(Post(tmp_path, "cpu", command=FAKE), 2)) as local:
        list(local.launch([a_job(backend=name) for name in ("keras", "pytorch")]))
        before = set(processes(tmp_path))
        for name in ("keras", "pytorch"):
            list(local.launch([a_job(backend=name)]))
        assert len(before) == 2
        assert set(processes(tmp_path)) == before


def test_a_worker_that_has_held_much_memory_is_replaced(tmp_path):
    records, _ = run([a_job("hungry", seed=seed) for seed in range(3)], tmp_path, workers=1)
    assert [record.status for record in records.values()] == ["ok"] * 3
    assert len(list((tmp_path / "logs").glob("*.log"))) == 3


def test_a_worker_holds_one_backend(tmp_path):
    jobs = [a_job(backend=name, seed=seed) for seed in range(3) for name in ("keras", "pytorch")]
    run(jobs, tmp_path)
    served = []
    for log in sorted((tmp_path / "logs").glob("*.log"), key=lambda path: int(path.name.split("-")[2])):
        (backend,) = {line.partition(" on ")[2].partition(",")[0] for line in log.read_text().splitlines() if line}
        served.append(backend)
    assert set(served[:2]) == {"keras", "pytorch"}


def test_no_two_runs_have_logs_of_one_name():
    """Also in containers, whose processes have the same number each time."""
    code = "import os; os.getpid = lambda: 7; from harness.running.launch import Post; print(Post(None, 'cpu').logs)"
    told = [subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True) for _ in range(2)]
    assert len({process.stdout for process in told}) == 2
    assert all(process.stdout.startswith("7-") for process in told)


def test_the_longest_cells_come_first(tmp_path):
    """So that the workers end together."""
    jobs = [a_job(architecture=SCRATCH, recipes=(Recipe(epochs),)) for epochs in (1, 100, 10)]
    _, events = run(jobs, tmp_path, workers=1)
    assert [job.cell.recipes[0].epochs for job, message in events if isinstance(message, Done)] == [100, 10, 1]


def test_a_backend_that_is_not_installed_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "missing", lambda name, engine="": ("torch",) if name == "pytorch" else ())
    records, _ = run([a_job("lacks", "pytorch"), a_job()], tmp_path)
    assert records["lacks", 0].status == "unavailable"
    assert records["lacks", 0].reason == "pytorch needs torch, which is not installed"
    assert records["ok", 0].status == "ok"


def test_leaving_early_kills_the_workers(tmp_path, monkeypatch):
    started = []

    class Watched(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    events = launch([a_job("hangs")], 1, Post(tmp_path, "cpu", command=FAKE))
    assert isinstance(next(events)[1], Started)
    while not started:
        time.sleep(0.01)
    events.close()
    assert [process.wait(timeout=30) for process in started] == [-signal.SIGKILL]


def test_a_hand_that_was_killed_starts_no_worker_any_more(tmp_path):
    """Also where it was between two workers, or had none yet."""
    hand = ProcessHand(Post(tmp_path, "cpu", command=FAKE))
    hand.do(a_job(), lambda _: None)
    hand.end()
    hand.kill()
    before = list((tmp_path / "logs").glob("*.log"))
    with pytest.raises(LostHand):
        hand.do(a_job(seed=1), lambda _: None)
    assert [log for log in (tmp_path / "logs").glob("*.log") if log.read_bytes()] == before


def test_a_fault_of_the_launcher_is_raised_not_swallowed(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "missing", lambda name: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run([a_job()], tmp_path)


def test_workers_have_one_thread_and_no_accelerator_unless_asked():
    environment = worker_environment("cpu")
    assert environment["OMP_NUM_THREADS"] == environment["TF_NUM_INTRAOP_THREADS"] == "1"
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert worker_environment("cuda").get("CUDA_VISIBLE_DEVICES") == os.environ.get("CUDA_VISIBLE_DEVICES")


def test_what_no_record_could_tell_of_is_not_inherited(monkeypatch):
    for name in _NOT_INHERITED:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")  # told, and makes rows of its own
    variables = worker_environment("cpu")
    assert not set(_NOT_INHERITED) & variables.keys()
    assert variables["ATEN_CPU_CAPABILITY"] == "default"
