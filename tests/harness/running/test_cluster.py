"""Cells on a Dask cluster whose scheduler and workers are processes of their own."""

import asyncio
import contextlib
import hashlib
import re
import socket

import msgspec
import pandas as pd
import psutil
import pytest

pytest.importorskip("distributed")

import dask

from harness import __version__
from harness.command import cli
from harness.errors import BenchError
from harness.judging import leaderboard
from harness.judging.store import Store
from harness.running import cluster as cluster_module
from harness.running import host, launchers
from harness.running.cluster import Cluster
from harness.running.crew import LostHand, Started
from harness.running.data import DataSource
from harness.running.host import Artifact, Delivery, Errand
from harness.running.launchers import SELDOM, opened
from harness.running.plan import Request
from harness.running.worker import Done, Epoch, Job
from tests.harness.a_cluster import await_that, client_of, town, until
from tests.harness.a_command import bench_apart
from tests.harness.examples import a_cell, a_failure, a_record
from tests.harness.fake_worker import FAKE, a_job

PAIRS = (("classical", "elasticity"),)
TIMED = re.compile(r"seconds|_ms_|_per_s|ratio|latency")


def errand(name, **options):
    return Errand(f"cijbench-{name}", "cpu", PAIRS, command=FAKE, **options)


def ended(events):
    """The records of what ended, by variant and seed."""
    records = [message.record for _, message in events if isinstance(message, Done)]
    return {(record.cell.variant, record.cell.seed): record for record in records}


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """A scheduler with two workers that hold the fake's place."""
    with town(tmp_path_factory.mktemp("town")) as started:
        for _ in range(2):
            started.worker()
        with client_of(started.address, 2) as client:
            yield started, client


@pytest.fixture
def cluster(standing, tmp_path, request):
    (tmp_path / "models" / "elasticity").mkdir(parents=True)
    joined = Cluster(standing[1], tmp_path, errand(request.node.name))
    yield joined
    joined.leave()


def test_every_job_ends_in_one_record_and_tells_of_its_progress(cluster):
    assert cluster.environment.python
    events = list(cluster.launch([a_job(seed=seed) for seed in range(5)]))
    records = ended(events)
    assert len(records) == sum(isinstance(message, Done) for _, message in events) == 5
    assert all(record.status == "ok" for record in records.values())
    assert any(isinstance(message, Epoch) for _, message in events)
    assert cluster.told(5) == f"2 at a time on 2 workers of {cluster._address}"


def test_a_cell_that_fails_there_brings_its_log(cluster, tmp_path):
    records = ended(cluster.launch([a_job("exits"), a_job()]))
    failed = records["exits", 0]
    assert failed.reason == "the worker ended with exit code 1: out of patience"
    assert "out of patience" in (tmp_path / failed.log).read_text()
    assert records["ok", 0].status == "ok"


def test_a_cell_has_the_limits_that_it_has_here(standing, tmp_path):
    limited = Cluster(standing[1], tmp_path, errand("limits", seconds=0.5))
    records = ended(limited.launch([a_job("hangs")]))
    limited.leave()
    assert records["hangs", 0].reason == "stopped: it took longer than timeout=0.5 seconds"


def test_who_listens_no_longer_ends_the_work_there(cluster):
    before = house_workers()
    events = cluster.launch([a_job("hangs")])
    assert isinstance(next(events)[1], Started)
    begun = until(lambda: house_workers() - before)
    events.close()
    await_that(lambda: not begun & house_workers())


def house_workers():
    """The numbers of the worker processes of ours that live anywhere below this one."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
            if process.status() != psutil.STATUS_ZOMBIE and FAKE[-1] in " ".join(process.cmdline()):
                found.add(process.pid)
    return found


def test_data_go_to_each_worker_once_and_are_gone_after_the_run(standing, cluster, tmp_path, monkeypatch):
    town_of, client = standing
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.csv").write_text("file,x\n")
    parts = []

    def run(function, *arguments, **options):
        if function is host.receive:
            parts.append((options["workers"][0], arguments[2]))
        return client.run(function, *arguments, **options)

    monkeypatch.setattr(cluster, "_client", Watched(client, run))
    jobs = [Job(a_cell(seed=seed), DataSource(str(folder))) for seed in range(6)]
    assert all(record.status == "ok" for record in ended(cluster.launch(jobs)).values())
    assert sorted(parts) == sorted((address, number) for address in {a for a, _ in parts} for number in (0, 1))
    assert list(town_of.folder.rglob("a.csv"))
    cluster.leave()
    assert not list(town_of.folder.rglob("a.csv"))


class Watched:
    """A client whose calls are looked at."""

    def __init__(self, client, run):
        self._client, self.run = client, run

    def __getattr__(self, name):
        return getattr(self._client, name)


def test_who_is_there_is_asked_of_the_scheduler(cluster, monkeypatch, capfd):
    """The client's own copy is written over without workers whenever the client looks itself."""
    assert cluster.environment
    monkeypatch.setattr(cluster._client, "scheduler_info", lambda *_, **__: {"workers": {}})
    assert cluster._look()
    assert len(cluster._seats_of) == 2
    assert "is gone" not in capfd.readouterr().err


def test_who_was_taken_for_gone_is_introduced_again(cluster, capfd):
    assert cluster.environment
    for address in list(cluster._seats_of):
        cluster._forget(address)
    assert cluster._look()
    assert len(cluster._seats_of) == 2
    assert "gets no cells" not in capfd.readouterr().err
    assert ended(cluster.launch([a_job()]))["ok", 0].status == "ok"


def test_one_worker_dies_amid_a_cell_one_comes_late_and_one_is_refused(tmp_path, capfd):
    """The scheduler and each of three workers are processes; the second cell is begun by the one that is killed."""
    marks = tmp_path / "marks"
    marks.mkdir()
    (tmp_path / "models").mkdir()
    other = 'from harness import environment as e; f = e.installed; e.installed = lambda p: f(p) | {"numpy": "1.0"}'
    with town(tmp_path) as started:
        first = started.worker(FAKE_MARKS=str(marks))
        with client_of(started.address, 1) as client:
            joined = Cluster(client, tmp_path, errand("three"))
            jobs = [a_job("hangs-once"), *(a_job(seed=seed) for seed in range(3))]
            events = joined.launch(jobs)
            seen = [next(events)]
            await_that(lambda: list(marks.iterdir()))  # it is amid the cell
            started.worker(before=other)
            await_that(lambda: len(client.scheduler_info()["workers"]) == 2)
            first.kill()
            started.worker(FAKE_MARKS=str(marks))  # late
            seen += list(events)
            joined.leave()
    records = ended(seen)
    assert len(records) == 4
    assert all(record.status == "ok" for record in records.values())
    started_twice = [job for job, message in seen if isinstance(message, Started) and job.cell.variant == "hangs-once"]
    assert len(started_twice) == 2
    assert re.search(r"worker tcp://\S+ gets no cells: numpy 1.0", capfd.readouterr().err)


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("import harness; harness.__version__ = '0.0.1'", f"cijbench 0.0.1, and this is {__version__}"),
        ("from harness import provenance as p; p.source = lambda *_: 'f' * 64", "other code, of commit"),
        ("import os; os.environ['KERAS_BACKEND'] = 'jax'", "KERAS_BACKEND=jax"),
        ("import sys; sys.modules['harness'] = None", "cijbench there cannot be asked"),
        (
            "from harness import environment as e; f = e.installed; e.installed = lambda p: f(p) | {'optuna': '1'}",
            "optuna 1",
        ),
    ],
)
def test_where_all_are_refused_the_run_ends_with_the_reason(tmp_path, before, why):
    with town(tmp_path) as started:
        started.worker(before=before)
        with client_of(started.address, 1) as client:
            with pytest.raises(BenchError, match="none of its workers can be used") as refused:
                _ = Cluster(client, tmp_path, errand("refused", packages=("optuna",))).environment
            assert why in str(refused.value)


def test_a_scheduler_that_dies_loses_nothing_that_finished(tmp_path):
    (tmp_path / "models").mkdir()
    with town(tmp_path) as started:
        started.worker()
        with client_of(started.address, 1, timeout=2) as client:
            events = Cluster(client, tmp_path, errand("dies")).launch([a_job(), a_job("hangs")])
            seen = []
            while not seen or seen[-1][0].cell.variant != "hangs":
                seen.append(next(events))
            started.scheduler.kill()
            with pytest.raises(BenchError, match="the scheduler is gone; finished work is kept"):
                seen.extend(events)
    assert list(ended(seen)) == [("ok", 0)]


def test_a_scheduler_that_hangs_does_not_hold_up_who_leaves(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(cluster_module, "FAREWELL", 0.1)
    with town(tmp_path) as started:
        started.worker()
        with client_of(started.address, 1) as client:
            joined = Cluster(client, tmp_path, errand("hangs"))
            assert joined.environment
            psutil.Process(started.scheduler.pid).suspend()
            joined.leave()
            psutil.Process(started.scheduler.pid).resume()


# --- what comes back is not believed blindly ------------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path):
    """A cluster without anybody."""

    class Nobody:
        status = "running"
        scheduler = None

        def subscribe_topic(self, *_):
            pass

    (tmp_path / "models").mkdir()
    return Cluster(Nobody(), tmp_path, errand("alone"))


def delivery(job, content=b"model", sha256="", file="", **changes):
    model = f"models/elasticity/{job.cell.file_stem}.onnx"
    artifact = Artifact(file or model, sha256 or hashlib.sha256(content).hexdigest())
    return Delivery(Done(a_record(job.cell), **changes), (artifact,)), [content]


def test_an_artifact_is_written_where_it_belongs(alone, tmp_path):
    job = a_job()
    assert alone._received(job, *delivery(job), "there").record.key == job.cell.key
    assert (tmp_path / "models" / "elasticity" / f"{job.cell.file_stem}.onnx").read_bytes() == b"model"


def test_an_artifact_that_is_not_what_was_sent_is_not_taken(alone, tmp_path):
    job = a_job()
    with pytest.raises(LostHand, match="another content than was sent"):
        alone._received(job, *delivery(job, sha256="0" * 64), "there")
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.mark.parametrize("file", ["../../.bashrc", "records/elasticity/trainings.jsonl", "/etc/passwd"])
def test_a_worker_writes_nothing_but_its_cell_s_files(alone, file):
    job = a_job()
    with pytest.raises(ValueError, match="none of its cell"):
        alone._received(job, *delivery(job, file=file), "there")


def test_a_record_of_another_cell_is_not_taken(alone):
    with pytest.raises(ValueError, match="another cell"):
        alone._received(a_job(seed=1), *delivery(a_job(seed=0)), "there")


def test_a_run_of_which_all_workers_were_refused_ends_and_says_why(cluster, monkeypatch):
    monkeypatch.setattr(cluster_module, "PATIENCE", 0)
    assert cluster.environment
    for address in list(cluster._seats_of):
        cluster.refuse(address, "No space left on device")
    with pytest.raises(BenchError, match=r"none of its workers can be used(.|\n)*: No space left on device"):
        list(cluster.launch([a_job()]))


def test_data_that_are_gone_end_the_run_and_cost_no_worker(cluster, tmp_path):
    assert cluster.environment
    with pytest.raises(BenchError, match="gone: cannot be sent"):
        list(cluster.launch([Job(a_cell(), DataSource(str(tmp_path / "gone")))]))
    assert len(cluster._seats_of) == 2


def test_a_worker_with_a_full_disk_gets_no_more_cells_and_another_does_its_own(alone, capsys):
    job = a_job()
    full = Delivery(Done(a_failure(job.cell, reason="No space left on device"), no_disk="No space left on device"), ())
    with pytest.raises(LostHand, match="No space left on device"):
        alone._received(job, full, [], "there")
    assert "worker there gets no cells: No space left on device" in capsys.readouterr().err


# --- as a user has it -------------------------------------------------------------------------------------------


def bench(*words, **variables):
    done = bench_apart(*words, timeout=300, **variables)
    return done.returncode, done.stdout + done.stderr


WORDS = ("suite=elasticity", "profile=smoke", "weights=random", "backend=classical,pytorch")


@pytest.mark.slow
def test_records_and_leaderboards_are_those_of_this_machine_but_for_timings(data, standing, tmp_path, capsys):
    here, there = tmp_path / "here", tmp_path / "there"
    words = [*WORDS, "variant=mean,gp,trees,physics-net", f"data={data}"]
    assert cli.main(["run", *words, f"results={here}"]) == 0
    assert cli.main(["run", *words, f"results={there}", "launcher=dask", f"scheduler={standing[0].address}"]) == 0
    ours, theirs = (
        {record.key: without_times(record) for record in Store(results, "elasticity").trainings()}
        for results in (here, there)
    )
    assert ours == theirs
    assert len(ours) == 4
    assert (here / "records/elasticity/truths.jsonl").read_bytes() == (
        there / "records/elasticity/truths.jsonl"
    ).read_bytes()
    assert models(here) == models(there)
    assert len(models(here)) == 8
    for suffix in ("", "-tests"):
        tables = [
            pd.read_csv(results / "leaderboards" / f"elasticity{suffix}.csv", dtype=str) for results in (here, there)
        ]
        timed = [name for name in tables[0] if TIMED.search(name)]
        assert tables[0].drop(columns=timed).to_csv() == tables[1].drop(columns=timed).to_csv()
    capsys.readouterr()
    assert cli.main(["run", *words, f"results={there}", "launcher=dask", f"scheduler={standing[0].address}"]) == 0
    assert "4 cells, 4 already done" in capsys.readouterr().out
    assert leaderboard.differs(there, "elasticity") == ""


def without_times(record):
    """As it is written, without what a clock or a process's number said."""
    history = tuple(msgspec.structs.replace(one, seconds=0.0) for one in record.history)
    searched = record.searched and msgspec.structs.replace(
        record.searched, trials=tuple(msgspec.structs.replace(trial, seconds=0.0) for trial in record.searched.trials)
    )
    changes = {"started": "", "seconds": 0.0, "log": "", "history": history, "searched": searched, "encoding_ms": None}
    return msgspec.json.encode(msgspec.structs.replace(record, **changes))


def models(results):
    return {path.name: path.read_bytes() for path in (results / "models").rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_cluster_of_this_machine_needs_one_key_more(data, tmp_path):
    words = (*WORDS, "variant=mean,ridge", f"data={data}", f"results={tmp_path}", "launcher=dask", "workers=2")
    code, said = bench("run", *words, HOME=str(tmp_path / "home"))
    assert code == 0, said
    assert re.search(r"cluster: tcp://127.0.0.1:\d+, dashboard: http://127.0.0.1:\d+/status", said)
    assert "2 cells, 0 already done, 2 at a time on 1 worker of tcp://" in said
    assert not (tmp_path / "home").exists()


def test_dask_seldom_looks_at_itself_where_it_shares_the_cores_with_cells(tmp_path):
    """Here in the scheduler, there in its worker; what a user has set for other clusters stays."""
    before = dask.config.get("distributed")
    own = Request(("elasticity",), tmp_path, launcher="dask", workers=1)
    with opened(own, []) as launcher:
        client = launcher._client
        (there,) = client.run(lambda: [dask.config.get(name) for name in SELDOM]).values()
        ticks = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.periodic_callbacks["tick"].callback_time)
    assert there == list(SELDOM.values())
    assert ticks == 500
    assert dask.config.get("distributed") == before


@pytest.mark.slow
def test_between_certificates_and_to_nobody_without(data, tmp_path):
    pytest.importorskip("cryptography")
    from distributed.security import Security

    certificate = Security.temporary()
    files = {"ca": certificate.tls_ca_file, "cert": certificate.tls_client_cert, "key": certificate.tls_client_key}
    for name, content in files.items():
        (tmp_path / f"{name}.pem").write_text(content)
    paths = {name: str(tmp_path / f"{name}.pem") for name in files}
    tls = ("--tls-ca-file", paths["ca"], "--tls-cert", paths["cert"], "--tls-key", paths["key"])
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    variables = {
        f"{prefix}CA_FILE": paths["ca"],
        f"{prefix}CLIENT__CERT": paths["cert"],
        f"{prefix}CLIENT__KEY": paths["key"],
    }
    with town(tmp_path, *tls, protocol="tls") as started:
        started.worker()
        words = ("run", *WORDS, "variant=mean", f"data={data}", f"results={tmp_path}", "launcher=dask")
        code, said = bench(*words, f"scheduler={started.address}", **variables)
        assert code == 0, said
        assert "cluster: tls://" in said
        stranger = Security.temporary()
        (tmp_path / "other.pem").write_text(stranger.tls_client_cert)
        (tmp_path / "other-key.pem").write_text(stranger.tls_client_key)
        strange = {
            f"{prefix}CLIENT__CERT": str(tmp_path / "other.pem"),
            f"{prefix}CLIENT__KEY": str(tmp_path / "other-key.pem"),
        }
        for address, own in (
            (started.address, {}),
            (started.address.replace("tls://", "tcp://"), {}),
            (started.address, variables | strange),
        ):
            code, said = bench(*words, f"scheduler={address}", DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="2s", **own)
            assert code == 2
            assert "no scheduler answers there" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("scheduler=tcp://127.0.0.1:1",), "is only for launcher=dask, not for local"),
        (("launcher=slurm",), "must be given together"),
        (("launcher=dask", "slurm=pyproject.toml"), "must be given together"),
        (("launcher=dask", "scheduler=nowhere", "workers=2"), "is for workers on this machine only"),
        (("launcher=dask", "scheduler=nowhere"), "no scheduler answers there"),
        (("launcher=dask", "scheduler=tcp://127.0.0.1:1"), "no scheduler answers there"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_runs(data, tmp_path, capsys, words, why):
    import dask

    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        code = cli.main(["run", *WORDS, "variant=mean", f"data={data}", f"results={tmp_path}", *words])
    assert code == 2
    assert why in capsys.readouterr().err


def test_who_takes_the_connection_and_says_nothing_is_no_scheduler(data, tmp_path, capsys):
    words = ["run", *WORDS, "variant=mean", f"data={data}", f"results={tmp_path}", "launcher=dask"]
    with socket.create_server(("127.0.0.1", 0)) as silent, dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        assert cli.main([*words, f"scheduler=tcp://127.0.0.1:{silent.getsockname()[1]}"]) == 2
    assert "no scheduler answers there: no answer within 2 s" in capsys.readouterr().err


def test_a_scheduler_is_asked_in_a_notebook_too_whose_thread_has_a_loop(standing):
    async def cell():
        launchers._refuse_no_scheduler(standing[0].address)

    asyncio.run(cell())


def test_an_address_that_is_none_leaves_no_client_to_be_closed(data, tmp_path):
    words = ("run", *WORDS, "variant=mean", f"data={data}", f"results={tmp_path}", "launcher=dask")
    code, said = bench(*words, "scheduler=tcp://127.0.0.1", DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="1s")
    assert code == 2
    assert "missing port number" in said
    assert "Traceback" not in said


def test_a_scheduler_without_this_cijbench_is_told_and_its_workers_are_not_blamed(data, tmp_path, capsys):
    words = ["run", *WORDS, "variant=mean", f"data={data}", f"results={tmp_path / 'mine'}", "launcher=dask"]
    with town(tmp_path, before="import sys; sys.modules['harness'] = None") as started:
        assert cli.main([*words, f"scheduler={started.address}"]) == 2
    assert "cannot pass cells on, because it runs without this cijbench" in capsys.readouterr().err


def test_code_of_ones_own_is_not_sent_to_other_machines(data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text("from sklearn.linear_model import Ridge\n", encoding="utf-8")
    words = ["run", *WORDS, "variant=models.py:Ridge", f"data={data}", "results=mine"]
    assert cli.main([*words, "launcher=dask", "scheduler=tcp://127.0.0.1:1"]) == 2
    assert "code of your own is not sent to other machines: run it with launcher=local" in capsys.readouterr().err


def test_without_dask_the_remedy_is_told(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["run", *WORDS, "variant=mean", f"data={data}", f"results={tmp_path}", "launcher=dask"]) == 2
    assert "distributed is not installed: pip install 'cijbench[dask]'" in capsys.readouterr().err


def test_gpu_cells_go_to_workers_with_that_resource():
    told = {"nthreads": 8, "resources": {"GPU": 2.0}}
    assert cluster_module._seats(told, "cpu") == 8
    assert cluster_module._seats(told, "cuda") == 2
    assert cluster_module._seats({"nthreads": 8, "resources": {}}, "cuda") == 0
