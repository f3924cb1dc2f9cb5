import hashlib

import numpy as np
import pytest

from backends.onnx import annotate, build
from harness import registry
from harness.command.cli import main
from harness.errors import BenchError
from harness.judging.records import HeldOut, OnnxFile, Store
from harness.model.architecture import Conv2D, Dense, Flatten, MaxPool2D, Network
from harness.running import deploy
from harness.running.plan import split_of, task
from harness.running.rounds import LatencySettings
from tests.backends.conformance import a_variant
from tests.harness.examples import a_cell, a_record

NETWORK = Network((Conv2D(4, 5), MaxPool2D(4), Flatten(), Dense(9, "linear")))
GLANCE = LatencySettings(batches=(1,), warm_up=1, runs=2, seconds=0.001, rounds=2, most_rounds=2)


@pytest.fixture(scope="module")
def suite():
    return registry.suite("elasticity")


@pytest.fixture
def results(tmp_path, suite):
    """A record of an untrained network, and what it exports."""
    dataset = suite.load(None, {})
    split = split_of(suite, dataset)
    cell = a_cell(variant="baseline", backend="keras", architecture=NETWORK, data_hash=dataset.fingerprint())
    model = build(a_variant(NETWORK), task(suite, dataset, split, cell.settings), 0)
    path = tmp_path / "models" / "elasticity" / f"{cell.file_stem}.onnx"
    path.parent.mkdir(parents=True)
    (tmp_path / "records").mkdir()
    model.export(path)
    annotate(path, {"suite": "elasticity"})
    truth = dataset.targets[split.test]
    held_out = HeldOut(
        ids=tuple(dataset.ids[row] for row in split.test),
        targets=dataset.target_names,
        units=dataset.units,
        predictions=tuple(map(tuple, model.predict(dataset.images[split.test]).tolist())),
        truth=tuple(map(tuple, truth.tolist())),
        train_mean=tuple(dataset.targets[split.train].mean(axis=0).tolist()),
    )
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    onnx = OnnxFile(file=path.name, bytes=path.stat().st_size, opset=18, sha256=sha256, difference=1e-7)
    record = a_record(cell, held_out=held_out, test=held_out.accuracy(), onnx=onnx)
    Store(tmp_path, "elasticity").append(record)
    return tmp_path


def deployed(results, runtimes=("float32", "int8", "float16"), chosen=lambda record: True):
    found = deploy.deploy(results, "elasticity", chosen, runtimes, lambda *_: None, GLANCE)
    return {deployment.runtime: deployment for _, deployment in found}


def test_each_runtime_is_made_scored_and_timed(results):
    found = deployed(results)
    assert [one.reason for one in found.values()] == ["", "", ""]
    (record,) = Store(results, "elasticity").trainings()
    native = np.array(record.held_out.predictions)
    for runtime, allowed in (("float32", 1e-5), ("float16", 1e-2), ("int8", 0.2)):
        change = np.abs(np.array(found[runtime].predictions) - native).max() / native.std(axis=0).max()
        assert change < allowed, runtime
    assert found["float16"].bytes < found["float32"].bytes == record.onnx.bytes
    assert found["float16"].latency is None  # a size
    assert found["float32"].latency.timings
    assert found["int8"].latency.timings
    stem = record.cell.file_stem
    assert {path.name for path in (results / "models" / "elasticity").iterdir()} == {
        *(f"{stem}.onnx", f"{stem}.int8.onnx", f"{stem}.float16.onnx")
    }


def test_what_is_recorded_of_this_machine_is_not_done_again(results, monkeypatch):
    assert list(deployed(results, ("float16",))) == ["float16"]
    assert list(deployed(results, ("float32", "float16"))) == ["float32"]
    monkeypatch.setattr(deploy, "ask", None)  # nothing is left to ask
    assert deployed(results, ("float32", "float16")) == {}
    assert len(Store(results, "elasticity").deployments()) == 2


def test_a_model_that_is_not_the_recorded_one_is_not_taken(results):
    (model,) = (results / "models" / "elasticity").glob("*.onnx")
    model.write_bytes(model.read_bytes() + b" ")
    with pytest.raises(BenchError, match="none of the chosen models is in"):
        deployed(results)


def test_a_model_of_other_data_says_so(results, suite):
    asked = deploy.Asked("e" * 64, ("int8",))
    (stem,) = [path.stem for path in (results / "models" / "elasticity").glob("*.onnx")]
    request = deploy.Request("elasticity", str(results / "models" / "elasticity"), {stem: asked})
    ((made,),) = deploy.make(request, lambda *_: None).made.values()
    assert made.reason == "it was made with other data than the suite ships"


def test_what_the_tools_fail_over_becomes_a_reason_and_the_others_go_on(results, suite, monkeypatch):
    class Failing:
        def to_int8(*_):
            raise RuntimeError("no such node\nand much more")

        def to_float16(self, source, target):
            target.write_bytes(source.read_bytes())

    monkeypatch.setattr(registry, "lighter", Failing)
    (stem,) = [path.stem for path in (results / "models" / "elasticity").glob("*.onnx")]
    asked = deploy.Asked(suite.load(None, {}).fingerprint(), ("int8", "float16"))
    request = deploy.Request("elasticity", str(results / "models" / "elasticity"), {stem: asked})
    ((int8, float16),) = deploy.make(request, lambda *_: None).made.values()
    assert int8.reason == "RuntimeError: no such node"
    assert float16.file.endswith(".float16.onnx")


def test_the_command_prints_and_writes_the_table(results, capsys, monkeypatch):
    monkeypatch.setattr(deploy, "LatencySettings", lambda: GLANCE)
    assert main(["deploy", "suite=elasticity", "runtime=float32,int8", f"results={results}"]) == 0
    told = capsys.readouterr().out
    assert "int8" in told
    assert "elasticity-deployment.csv" in told
    assert (results / "leaderboards" / "elasticity-deployment.csv").read_text().count("\n") == 3
    assert main(["leaderboard", "suite=elasticity", f"results={results}"]) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("runtime=int4",), "unknown runtime 'int4': did you mean 'int8'"),
        (("variant=basline",), "did you mean 'baseline'"),
        (("variant=tuned",), "none of the chosen models is in"),
        (("suite=polysilicon",), "none of the chosen models is in"),
    ],
)
def test_what_cannot_be_done_says_why(results, capsys, words, told):
    assert (
        main(["deploy", *(("suite=elasticity",) if "suite" not in words[0] else ()), *words, f"results={results}"]) == 2
    )
    assert told in capsys.readouterr().err
