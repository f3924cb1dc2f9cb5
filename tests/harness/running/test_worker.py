"""What a worker makes of one cell, with a backend whose models do as they are told."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness import registry
from harness.errors import Unavailable
from harness.protocol import Counts, History
from harness.running import worker
from harness.running.data import DataSource
from harness.running.launch import worker_environment
from harness.running.plan import Request, plan
from harness.running.worker import Epoch, Job, Orders

BASELINE = Request(("elasticity",), profile="smoke", variant="baseline", backend="pytorch")


class Model:
    """Answers the mean of the training labels."""

    def __init__(self, loss=1.0, answer=None):
        self.loss, self.answer = loss, answer

    def counts(self):
        return Counts(9, 0, {"mean": 9})

    def weights(self):
        return {"mean/bias": np.zeros(9, np.float32)}

    def set_weights(self, weights):
        self.given = weights

    def train(self, data, recipe, schedule, on_epoch):
        self.mean = data.targets.mean(axis=0)
        for epoch in range(1, len(schedule.order) + 1):
            on_epoch(epoch, self.loss, 1.0)
        return History((self.loss,), (1.0,), 0.1)

    def predict(self, images):
        return np.tile(self.mean if self.answer is None else self.answer, (len(images), 1))

    def export(self, path):
        raise RuntimeError("no exporter for this operator")


class Backend:
    def __init__(self, model):
        self.model = model

    def build(self, variant, task, seed):
        if isinstance(self.model, Exception):
            raise self.model
        return self.model


@pytest.fixture
def run(tmp_path):
    (tmp_path / "models").mkdir()

    def run(model, framework=None):
        planned = plan("elasticity", BASELINE)
        orders, sent = Orders("pytorch", 1, "cpu", str(tmp_path), "logs/x.log"), []
        job = Job(planned.cells[0], planned.source)
        record = worker.run(job, orders, Backend(model), framework or {"torch": "2"}, sent.append)
        assert all(isinstance(message, Epoch) for message in sent)
        return record, sent

    return run


def test_a_loss_that_is_no_number_fails_the_cell(run):
    record, _ = run(Model(loss=float("nan")))
    assert (record.status, record.log) == ("failed", "logs/x.log")
    assert record.reason == "FloatingPointError: the training loss became nan in epoch 1 of 2"


def test_predictions_that_are_no_numbers_fail_the_cell(run):
    record, _ = run(Model(answer=[np.inf] * 9))
    assert "78 of 78 'test' predictions are not finite" in record.reason


def test_a_record_that_could_not_be_read_again_fails_the_cell(run, monkeypatch):
    monkeypatch.setattr(
        "harness.running.worker._train_and_test", lambda record, *_: msgspec.structs.replace(record, seconds=np.nan)
    )
    record, _ = run(Model())
    assert record.status == "failed"
    assert record.reason.startswith("FloatingPointError: something in its record is no number")


def test_a_record_with_a_name_that_is_none_says_so_without_a_pattern(run, monkeypatch):
    changed = {"framework": {"engine": "a\nline"}}
    monkeypatch.setattr(
        "harness.running.worker._train_and_test", lambda record, *_: msgspec.structs.replace(record, **changed)
    )
    record, _ = run(Model())
    assert "Expected a name or a label, without paths and markup - at `$.framework" in record.reason


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (RuntimeError("SafetensorError: I/O error: No space left on device (os error 28)"), "No space left on device"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
        (PermissionError(errno.EACCES, "Permission denied", "mine.h5"), ""),
        (RuntimeError("no exporter for this operator"), ""),
    ],
)
def test_a_full_disk_is_nobodys_fault_but_the_disks(run, error, said):
    record, _ = run(error)
    assert worker._no_disk(record) == said


def test_what_the_framework_raises_fails_the_cell_with_the_reason(run, capsys):
    record, sent = run(Model())
    assert record.status == "failed"
    assert record.reason == "RuntimeError: no exporter for this operator"
    assert "Traceback" in capsys.readouterr().err  # the worker's log
    assert record.traceback.endswith("RuntimeError: no exporter for this operator")
    assert 'File "CIJBENCH/harness/running/worker.py"' in record.traceback
    assert sent[-1].epoch == 2


def test_a_reason_names_no_folder_of_whoever_ran_it(run, tmp_path):
    record, _ = run(OSError(f"cannot write {tmp_path}/models/x and {Path.home()}/.cache/y"))
    assert record.reason == "OSError: cannot write RESULTS/models/x and ~/.cache/y"


def test_what_is_unavailable_is_no_failure(run):
    record, _ = run(Unavailable("no phases"))
    assert (record.status, record.reason) == ("unavailable", "no phases")
    record, _ = run(Model(), framework=Unavailable("no such device"))
    assert (record.status, record.reason) == ("unavailable", "no such device")


def test_networks_start_from_the_harnesss_weights(run):
    model = Model()
    run(model)
    assert "conv2d_1/kernel" in model.given


def test_data_that_change_under_a_run_are_noticed(run, monkeypatch):
    worker._load.cache_clear()
    monkeypatch.setattr("harness.protocol.Dataset.fingerprint", lambda self: "other")
    planned = plan("elasticity", BASELINE)
    monkeypatch.setattr("harness.protocol.Dataset.fingerprint", lambda self: "changed")
    orders = Orders("pytorch", 1, "cpu", "results", "")
    record = worker.run(Job(planned.cells[0], planned.source), orders, Backend(Model()), {}, lambda message: None)
    assert "suite elasticity's own data changed after the run was planned: start it again" in record.reason


def test_chatter_on_standard_output_does_not_reach_the_messages():
    """A real worker, told nothing but its orders: it must end with its input and have said nothing."""
    orders = json.dumps({"backend": "classical", "threads": 1, "device": "cpu", "results": ".", "log": ""})
    process = subprocess.run(
        [sys.executable, "-m", "harness.running.worker"],
        input=orders + "\n",
        capture_output=True,
        text=True,
        env=worker_environment("cpu"),
        check=True,
        timeout=120,
    )
    assert process.stdout == ""


class Brightness:
    """Over that of the training images; has no ONNX operators."""

    def fit(self, images):
        self.mean = images.mean()

    def encode(self, images):
        return (images.mean(axis=(1, 2, 3)) / self.mean)[:, None]

    def operators(self):
        return None


class Nought(Brightness):
    """Of every image the same, of which a ridge of centred labels makes nothing."""

    def encode(self, images):
        return np.zeros((len(images), 1), np.float32)


def test_a_model_that_answers_nought_is_exported(run, tmp_path, monkeypatch):
    suite = registry.suite("elasticity")
    shipped = suite.load(None, {})
    blank = msgspec.structs.replace(shipped, targets=np.zeros_like(shipped.targets))
    monkeypatch.setattr(suite, "load", lambda folder, options: blank)
    monkeypatch.setattr(suite, "encoder", lambda encoding, dataset: Nought())
    planned = plan("elasticity", Request(("elasticity",), profile="smoke", variant="ridge"))
    (tmp_path / "models" / "elasticity").mkdir()
    orders = Orders("classical", 1, "cpu", str(tmp_path), "logs/x.log")
    worker._load.cache_clear()
    record = worker.run(
        Job(planned.cells[0], planned.source), orders, registry.backend("classical"), {}, lambda message: None
    )
    worker._load.cache_clear()
    assert record.status == "ok", record.reason
    assert record.onnx.difference == 0


def test_reasons_are_made_public_where_nobody_knows_the_home(monkeypatch):
    """As in a container whose user is in no list."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    job = Job(plan("elasticity", Request(("elasticity",), profile="smoke", variant="ridge")).cells[0], DataSource())
    assert job.public("in ~/there", "/results") == "in ~/there"


def test_reasons_are_made_public_where_a_systems_backslashes_are_doubled():
    cell = plan("elasticity", Request(("elasticity",), profile="smoke", variant="ridge")).cells[0]
    job = Job(cell, DataSource("C:\\Users\\me\\images"))
    missing = FileNotFoundError(2, "No such file", "C:\\Users\\me\\images\\1.png")
    assert job.public(f"{missing} in C:\\Users\\me\\images", "/results").endswith("'DATA\\\\1.png' in DATA")


def test_an_encoding_without_operators_is_timed_and_its_model_takes_what_it_gives(run, tmp_path, monkeypatch):
    """Ridge on the brightness: exported on what is encoded, and held against the native model on that."""
    suite = registry.suite("elasticity")
    monkeypatch.setattr(suite, "encoder", lambda encoding, dataset: Brightness())
    planned = plan("elasticity", Request(("elasticity",), profile="smoke", variant="ridge"))
    (tmp_path / "models" / "elasticity").mkdir()
    orders = Orders("classical", 1, "cpu", str(tmp_path), "logs/x.log")
    backend = registry.backend("classical")
    record = worker.run(Job(planned.cells[0], planned.source), orders, backend, {}, lambda message: None)
    assert record.status == "ok", record.reason
    assert record.encoding_ms > 0
    assert record.onnx.difference < 1e-5
    model = registry.onnx().open_model(tmp_path / "models" / "elasticity" / record.onnx.file)
    assert model.input_shape == (None, 1)
