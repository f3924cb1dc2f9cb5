"""A Dask cluster of three hosts with a network of their own, of which one is cut off and one has a full disk."""

import os
import re

import pytest

pytest.importorskip("distributed")

import dask

from harness.running.cluster import Cluster
from harness.running.crew import Started
from harness.running.data import DataSource
from harness.running.worker import Job
from tests.harness import a_network
from tests.harness.a_cluster import await_that, client_of, town
from tests.harness.examples import a_cell
from tests.harness.running.test_cluster import a_job, ended, errand

pytestmark = pytest.mark.slow

# How soon Dask takes a silent host for gone; half a minute otherwise. No less is allowed.
SOON = {"comm.timeouts.tcp": "11s"}


@pytest.fixture(scope="module")
def hosts():
    if why := a_network.lacking():
        pytest.skip(why)
    with a_network.network(3) as found:
        yield found


@pytest.fixture
def soon(monkeypatch):
    for name, value in SOON.items():
        monkeypatch.setenv(f"DASK_DISTRIBUTED__{name.upper().replace('.', '__').replace('-', '_')}", value)
    with dask.config.set({f"distributed.{name}": value for name, value in SOON.items()}):
        yield


@pytest.fixture
def marks(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    folder = tmp_path / "marks"
    folder.mkdir()
    monkeypatch.setenv("FAKE_MARKS", str(folder))
    return folder


def test_another_host_does_the_cell_of_one_that_is_cut_off_and_once_it_is_healed_a_new_worker_there_takes_part(
    hosts, soon, marks, tmp_path, capfd
):
    cut, other, _ = hosts
    with town(tmp_path, host=a_network.HERE) as started:
        first = started.worker(within=cut.within, nanny=True)
        with client_of(started.address, 1) as client:
            joined = Cluster(client, tmp_path, errand("cut"))
            events = joined.launch([a_job("hangs-once"), a_job("waits"), *(a_job(seed=seed) for seed in range(3))])
            seen = [next(events)]
            await_that(lambda: list(marks.iterdir()))  # the first is amid the cell
            started.worker(within=other.within, threads=2)
            await_that(lambda: len(client.scheduler_info()["workers"]) == 2)
            cut.cut()
            while not {("hangs-once", 0), ("waits", 0)} <= began(seen, twice="hangs-once"):
                seen.append(next(events))
            await_that(lambda: first.poll() is not None)  # who has lost the scheduler ends, and all that it began
            await_that(lambda: not cut.processes())
            cut.heal()
            started.worker(within=cut.within, nanny=True)
            await_that(lambda: any(cut.address in name for name in joined._seats_of))
            (marks / "go-on").touch()
            seen += list(events)
            joined.leave()
    said = capfd.readouterr().err
    assert re.search(rf"worker tcp://{re.escape(cut.address)}:\d+ is gone", said)
    records = ended(seen)
    assert len(records) == 5
    assert {record.status for record in records.values()} == {"ok"}


def began(seen, twice):
    """Cells that were begun, of one variant those that were begun twice."""
    found = [(job.cell.variant, job.cell.seed) for job, message in seen if isinstance(message, Started)]
    return {place for place in found if place[0] != twice or found.count(place) == 2}


def test_a_host_with_a_full_disk_is_told_of_and_its_cells_are_done_by_others(hosts, soon, marks, tmp_path, capfd):
    """Its disk has no room for the data."""
    full, *others = hosts
    data = tmp_path / "data"
    data.mkdir()
    (data / "images.bin").write_bytes(os.urandom(2**20))
    with a_network.small_disk(tmp_path / "small", 2**19) as small, town(tmp_path, host=a_network.HERE) as started:
        started.worker(within=full.within, folder=small)
        with client_of(started.address, 1) as client:
            joined = Cluster(client, tmp_path, errand("full"))
            assert joined.environment
            for other in others:
                started.worker(within=other.within)
            await_that(lambda: len(client.scheduler_info()["workers"]) == 3)
            jobs = [Job(a_cell(seed=seed), DataSource(str(data))) for seed in range(4)]
            records = ended(joined.launch(jobs))
            joined.leave()
    said = capfd.readouterr().err
    assert len(re.findall(rf"worker tcp://{re.escape(full.address)}:\d+ gets no cells: .*No space left", said)) == 1
    assert [record.status for record in records.values()] == ["ok"] * 4
