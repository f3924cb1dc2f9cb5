"""Records in MLflow's store: with MLflow where it is installed, else with something that takes what it takes."""

import importlib.util
import sys
import types
from typing import ClassVar

import msgspec
import pytest

from harness.command import cli
from harness.errors import BenchError
from harness.judging.records import Examined
from harness.judging.store import Store
from harness.running import tracker
from tests.harness.a_benchmark import benchmark, fill
from tests.harness.examples import a_cell, a_failure, a_record


class Client:
    """MLflow's client as far as the tracker asks it, with its limits; one store for each address."""

    stores: ClassVar = {}

    def __init__(self, uri):
        self.experiments = self.stores.setdefault(uri, {})

    def get_experiment_by_name(self, name):
        return types.SimpleNamespace(experiment_id=name) if name in self.experiments else None

    def create_experiment(self, name, artifact_location):
        assert artifact_location.startswith("file:///")
        self.experiments[name] = []
        return name

    def create_run(self, experiment, start_time, tags):
        assert all(isinstance(value, str) for value in tags.values())
        info = types.SimpleNamespace(run_id=len(self.experiments[experiment]), status="RUNNING", start_time=start_time)
        data = types.SimpleNamespace(tags=tags, metrics=[], params={})
        self.experiments[experiment].append(types.SimpleNamespace(info=info, data=data))
        self.current = self.experiments[experiment]
        return self.current[-1]

    def log_batch(self, run, metrics=(), params=()):
        assert len(metrics) <= 1000
        assert len(params) <= 100
        self.current[run].data.metrics += metrics
        self.current[run].data.params |= dict(params)

    def set_terminated(self, run, status, end_time):
        assert end_time >= self.current[run].info.start_time
        self.current[run].info.status = status

    def search_runs(self, experiments, max_results, page_token):
        class Page(list):
            token = None

        start = int(page_token or 0)
        page = Page(self.experiments[experiments[0]][start : start + 2])  # small, so that there is a second
        page.token = str(start + 2) if start + 2 < len(self.experiments[experiments[0]]) else None
        return page


@pytest.fixture
def store(monkeypatch):
    """The runs in the store, by experiment."""
    Client.stores = {}
    mlflow, entities = types.ModuleType("mlflow"), types.ModuleType("mlflow.entities")
    mlflow.MlflowClient, mlflow.__spec__ = Client, importlib.util.spec_from_loader("mlflow", None)
    entities.Metric, entities.Param = (lambda *parts: parts), (lambda *parts: parts)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)

    def runs(name="cijbench/elasticity"):
        (found,) = Client.stores.values()
        return found[name]

    return runs


def test_a_run_has_what_its_record_has(store, tmp_path):
    (record, *_) = benchmark({"baseline": 1.0}, seeds=(3,))
    far = Examined(msgspec.structs.replace(record.held_out, test="far"), record.test, {"sd_error": 2.0})
    record = msgspec.structs.replace(record, others={"far": far})
    Store(tmp_path, "elasticity").append(record)
    assert tracker.track(tmp_path, "elasticity") == 1
    (run,) = store()
    assert run.data.tags["mlflow.runName"] == record.cell.title
    assert run.data.tags["cijbench.key"] == record.key
    assert run.data.params["seed"] == "3"
    assert run.data.params["init"] == "shared"
    found = {(name, step): value for name, value, _, step in run.data.metrics}
    assert found["skill", 0] == record.test.skill
    assert found["r2_C11", 0] == record.test.r2["C11"]
    assert found["inside_bounds", 0] == 0.5
    assert found["far.sd_error", 0] == 2.0
    assert found["validation.rmse", 0] == record.validation.rmse
    assert [found["loss", epoch] for epoch in range(1, 5)] == list(record.history[0].loss)
    assert run.info.status == "FINISHED"


def test_a_failure_is_a_run_too(store, tmp_path):
    Store(tmp_path, "elasticity").append(a_failure(a_cell()))
    tracker.track(tmp_path, "elasticity")
    (run,) = store()
    assert run.info.status == "FAILED"
    assert "the moon was full" in run.data.tags["cijbench.reason"]
    assert run.data.metrics == []


def test_what_is_there_is_not_written_again_and_what_was_cut_off_is(store, tmp_path):
    fill(Store(tmp_path, "elasticity"), benchmark({"baseline": 1.0}))
    assert tracker.track(tmp_path, "elasticity") == 7
    assert tracker.track(tmp_path, "elasticity") == 0
    Store(tmp_path, "elasticity").append(a_record(a_cell(variant="gp")))
    assert tracker.track(tmp_path, "elasticity") == 1
    store()[2].info.status = "RUNNING"  # whoever wrote it was killed
    assert tracker.track(tmp_path, "elasticity") == 1


def test_mlflow_is_told_to_tell_nobody(store, tmp_path):
    Store(tmp_path, "elasticity").append(a_record())
    tracker.track(tmp_path, "elasticity")
    assert tracker.os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_store_that_cannot_be_written_is_told_in_one_line(store, tmp_path, monkeypatch):
    def broken(*words, **options):
        raise RuntimeError("file is not\na database")

    Store(tmp_path, "elasticity").append(a_record())
    monkeypatch.setattr(Client, "create_run", broken)
    with pytest.raises(
        BenchError, match=r"mlflow\.db: MLflow could not write it: RuntimeError: file is not a database"
    ):
        tracker.track(tmp_path, "elasticity")


def test_without_mlflow_nothing_is_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BenchError, match="mlflow is not installed"):
        tracker.track(tmp_path, "elasticity")
    words = ["run", "suite=elasticity", "variant=ridge", "backend=classical", "tracker=mlflow"]
    assert cli.main([*words, f"results={tmp_path / 'results'}"]) == 2
    assert "mlflow is not installed" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_mlflow_itself_takes_it(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed, and no dependency")
    monkeypatch.chdir(tmp_path)
    fill(Store(tmp_path, "elasticity"), benchmark({"tuned": 1.0}))
    assert tracker.track(tmp_path, "elasticity") == 7
    assert tracker.track(tmp_path, "elasticity") == 0
    client = mlflow.MlflowClient(f"sqlite:///{tracker.store_of(tmp_path)}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "cijbench/elasticity"]
    runs = {run.data.tags["cijbench.key"]: run for run in client.search_runs([experiment.experiment_id])}
    for record in Store(tmp_path, "elasticity").trainings():
        run = runs[record.key]
        assert run.data.metrics["skill"] == pytest.approx(record.test.skill)
        if record.history[0].loss:
            steps = client.get_metric_history(run.info.run_id, "validation_loss")
            assert [step.value for step in sorted(steps, key=lambda s: s.step)] == list(
                record.history[0].validation_loss
            )
    assert {path.name for path in tmp_path.iterdir()} == {"records", "mlflow.db"}
