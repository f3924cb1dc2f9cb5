import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from backends.onnx import OnnxModel, annotate, build
from harness import registry
from harness.command.cli import main
from harness.environment import observe
from harness.judging.records import OnnxFile
from harness.judging.store import Store
from harness.judging.timing import Latency
from harness.model.architecture import Conv2D, Dense, Flatten, MaxPool2D, Network
from harness.running import deploy
from harness.running.apart import Stopped
from harness.running.calibration import KEY, calibrated, descriptors, of_file
from harness.running.data import DataSource, split_of, task
from harness.running.latency import LatencyError
from tests.backends.conformance import a_variant
from tests.harness.examples import GLANCE, a_cell, a_failure, a_record, a_timing, held_out_of

NETWORK = Network((Conv2D(4, 5), MaxPool2D(4), Flatten(), Dense(9, "linear")))


@pytest.fixture(scope="module")
def suite():
    return registry.suite("elasticity")


@pytest.fixture
def results(tmp_path, suite):
    """A record of an untrained network, and what it exports."""
    dataset = suite.load(None, {})
    split = split_of(suite, dataset)
    hashes = {"data_hash": dataset.fingerprint(), "split_hash": split.fingerprint()}
    cell = a_cell(variant="baseline", backend="keras", architecture=NETWORK, **hashes)
    model = build(a_variant(NETWORK), task(suite, dataset, split, cell.settings), 0)
    path = tmp_path / "models" / "elasticity" / f"{cell.file_stem}.onnx"
    path.parent.mkdir(parents=True)
    (tmp_path / "records").mkdir()
    model.export(path)
    annotate(path, {"suite": "elasticity"})
    held_out = held_out_of(dataset, split, model.predict(dataset.images[split.test]))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    onnx = OnnxFile(file=path.name, bytes=path.stat().st_size, opset=18, sha256=sha256, difference=1e-7)
    record = a_record(cell, held_out=held_out, test=held_out.accuracy(), onnx=onnx)
    Store(tmp_path, "elasticity").append(record)
    return tmp_path


def deployed(results, runtimes=("float32", "int8", "float16")):
    models = deploy.at_hand(results, "elasticity")
    found = deploy.deploy(results, "elasticity", DataSource(), models, runtimes, lambda *_: None, GLANCE)
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


def test_a_lighter_file_that_is_recorded_and_not_here_is_made_again(results):
    """As after `bench records merge`, which leaves lighter files behind."""
    deployed(results, ("float16",))
    (file,) = (results / "models" / "elasticity").glob("*.float16.onnx")
    file.unlink()
    assert list(deployed(results, ("float32", "float16"))) == ["float32", "float16"]
    assert file.is_file()


def test_a_lighter_file_of_an_earlier_model_is_not_left_where_a_new_one_fails(results, monkeypatch):
    """One of this very model is, which other versions made."""
    deployed(results, ("int8",))
    (file,) = (results / "models" / "elasticity").glob("*.int8.onnx")
    monkeypatch.setattr(deploy, "ask", lambda *_, **__: deploy.Result([deploy.Made("int8", reason="out of memory")]))
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(deploy.provenance, "source_of_deployment", lambda: "another")
        assert deployed(results, ("int8",))["int8"].failed
    assert file.is_file()
    (results / "records" / "elasticity" / "deployments.jsonl").unlink()  # so that nobody knows what it was made of
    assert deployed(results, ("int8",))["int8"].failed
    assert not file.exists()


def test_a_failure_is_tried_again(results, monkeypatch):
    made = [deploy.Made("int8", reason="out of memory")]
    with monkeypatch.context() as failing:
        failing.setattr(deploy, "ask", lambda *_, **__: deploy.Result(made))
        assert deployed(results, ("int8",))["int8"].reason == "out of memory"
    assert deployed(results, ("int8",))["int8"].reason == ""


def test_what_ends_the_process_is_a_reason_and_the_others_go_on(results, monkeypatch):
    def ask(_, request, *__):
        if "int8" in request.runtimes:
            raise Stopped(f"its process was killed by signal 11\n  {Path(request.model)}: no such node")
        return deploy.Result([deploy.Made(runtime, bytes=1) for runtime in request.runtimes])

    timed = []
    monkeypatch.setattr(deploy, "ask", ask)
    monkeypatch.setattr(deploy, "measure_apart", lambda models, *_: timed.extend(models) or {})
    assert {runtime: one.reason for runtime, one in deployed(results).items()} == {
        "float32": "",
        "int8": "its process was killed by signal 11",
        "float16": "",
    }
    assert timed == ["float32"]


def test_what_ends_the_process_that_times_is_a_reason_and_the_others_are_timed(results, monkeypatch):
    def measured(models, *_):
        if "int8" in models:
            raise LatencyError("timing: its process was killed by signal 11\n  more")
        return {name: Latency((a_timing(),)) for name in models}

    made = deploy.Result([deploy.Made("float32"), deploy.Made("int8")])
    monkeypatch.setattr(deploy, "ask", lambda *_: made)
    monkeypatch.setattr(deploy, "measure_apart", measured)
    found = deployed(results, ("float32", "int8"))
    assert found["float32"].latency.timings
    assert found["int8"].latency.reason == "timing: its process was killed by signal 11"
    assert found["int8"].failed


@pytest.mark.parametrize("changed", ["onnx", "onnxruntime", "openvino", "processor", "source", "pandas"])
def test_another_version_of_what_makes_or_runs_it_does_it_again(results, monkeypatch, changed):
    """And another machine or code; nothing else does."""
    monkeypatch.setattr(deploy, "ask", lambda *_: deploy.Result([deploy.Made("float32")]))
    monkeypatch.setattr(deploy, "measure_apart", lambda *_: {})
    assert list(deployed(results, ("float32",))) == ["float32"]
    assert deployed(results, ("float32",)) == {}
    if changed == "source":
        monkeypatch.setattr(deploy.provenance, "source_of_deployment", lambda: "another")
    else:
        versions = observe().versions | {changed: "99"}
        other = {"processor": "Abacus"} if changed == "processor" else {"versions": versions}
        there = msgspec.structs.replace(observe(), **other)
        monkeypatch.setattr(deploy, "observe", lambda: there)
    assert list(deployed(results, ("float32",))) == ["float32"] * (changed != "pandas")


def test_a_model_that_is_not_the_recorded_one_is_not_taken(results):
    (model,) = (results / "models" / "elasticity").glob("*.onnx")
    model.write_bytes(model.read_bytes() + b" ")
    assert deployed(results) == {}


def test_of_a_row_the_first_seed_that_ended_well_is_taken(results):
    store = Store(results, "elasticity")
    (record,) = store.trainings()
    second = msgspec.structs.replace(record.cell, seed=1)
    failed = msgspec.structs.replace(a_failure(record.cell), source=record.source, environment=record.environment)
    store.trainings_file.unlink()
    for one in (failed, msgspec.structs.replace(record, cell=second, key=second.key)):
        store.append(one)
    assert [one.seed for one in deploy.at_hand(results, "elasticity").values()] == [1]


@pytest.fixture
def asked(results):
    """A request for int8 and float16 of the model."""
    ((path, record),) = deploy.at_hand(results, "elasticity").items()
    hashes = record.cell.data_hash, record.cell.split_hash
    return deploy.Request("elasticity", DataSource(), str(path), *hashes, ("int8", "float16"))


def reasons(request):
    return [made.reason for made in deploy.make(request, lambda *_: None).made]


@pytest.mark.parametrize("part", ["data_hash", "split_hash"])
def test_a_model_of_other_data_or_another_split_says_so(asked, part):
    other = msgspec.structs.replace(asked, **{part: "e" * 64})
    assert reasons(other) == ["it was made with other data, or another split of them"] * 2


def test_a_model_that_takes_encoded_images_says_so(asked, monkeypatch):
    class File:
        input_shapes = ((None, 17),)

    monkeypatch.setattr(registry.onnx(), "OnnxFile", lambda path: File)
    assert "takes what images are encoded to" in reasons(asked)[0]


class Lighter:
    """Makes what it is told to of every model."""

    def __init__(self, makes):
        self.to_int8 = self.to_float16 = lambda source, target, *_: makes(source, target)


def test_a_lighter_file_knows_of_its_own_errors(asked, suite):
    """Of its intervals, not of those of the file that it was made of; what images are like is the same."""
    path, dataset = Path(asked.model), suite.load(None, {})
    validation = split_of(suite, dataset).validation
    described = descriptors(dataset.images[validation])
    truth = dataset.targets[validation]
    known = calibrated(truth, truth, described, described, classes=False)  # of a model without an error
    annotate(path, {"suite": "elasticity", KEY: msgspec.json.encode(known).decode()})
    for made in deploy.make(asked, lambda *_: None).made:
        lighter = registry.onnx().open_model(path.parent / made.file)
        found = of_file(lighter.metadata, described.shape[1], 9)
        assert lighter.metadata["suite"] == "elasticity"
        assert found.covers(0.9, lighter.predict(dataset.images[validation]), truth) == pytest.approx(0.9, abs=0.03)
        assert msgspec.structs.replace(found, widths=known.widths) == known


def test_a_lighter_file_without_answers_to_validation_images_becomes_a_reason(asked, suite, monkeypatch):
    described = descriptors(suite.load(None, {}).images[:20])
    known = calibrated(np.zeros((20, 9)), np.zeros((20, 9)), described, described, classes=False)
    annotate(Path(asked.model), {"suite": "elasticity", KEY: msgspec.json.encode(known).decode()})
    monkeypatch.setattr(OnnxModel, "predict", lambda self, images: np.full((len(images), 9), np.nan))
    assert reasons(asked) == ["78 of 78 validation predictions are not finite"] * 2


def test_what_the_tools_fail_over_becomes_a_reason_without_folders(asked, monkeypatch):
    def fail(source, target):
        raise RuntimeError(f"{source}: no such node\nand much more")

    monkeypatch.setattr(registry, "lighter", lambda: Lighter(fail))
    assert reasons(asked) == [f"RuntimeError: {Path(asked.model).name}: no such node"] * 2


def test_a_file_that_does_not_open_becomes_a_reason_without_folders(asked, monkeypatch):
    monkeypatch.setattr(registry, "lighter", lambda: Lighter(lambda _, target: target.write_bytes(b"no model")))
    for reason in reasons(asked):
        assert "not an ONNX file" in reason
        assert "/" not in reason


def test_predictions_that_are_no_numbers_become_a_reason(asked, monkeypatch):
    """Half precision ends at 65504."""

    class Opened:
        def predict(self, images):
            predictions = np.zeros((len(images), 9))
            predictions[0, 0] = np.inf
            return predictions

    monkeypatch.setattr(registry.onnx(), "open_model", lambda path: Opened())
    assert reasons(asked) == ["1 of 78 predictions are not finite"] * 2
    monkeypatch.setattr(Opened, "predict", lambda self, images: np.zeros((len(images), 3)))
    assert reasons(asked) == ["it gave (78, 3) numbers for 78 images"] * 2


def test_openvino_scores_and_times_the_exported_file(results):
    if not registry.has_openvino():
        pytest.skip("openvino is not installed")
    found = deployed(results, ("float32", "openvino"))
    np.testing.assert_allclose(found["openvino"].predictions, found["float32"].predictions, rtol=1e-4)
    assert found["openvino"].latency.timings
    assert found["openvino"].bytes == found["float32"].bytes


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
        (("backend=classical",), "none of the chosen models is in"),
    ],
)
def test_what_cannot_be_done_says_why(results, capsys, words, told):
    assert (
        main(["deploy", *(("suite=elasticity",) if "suite" not in words[0] else ()), *words, f"results={results}"]) == 2
    )
    assert told in capsys.readouterr().err


def test_models_of_other_data_are_left_out_and_nothing_is_recorded(results, capsys):
    """As `bench run data=` leaves them: of a suite that ships data, and not of these."""
    store = Store(results, "elasticity")
    (record,) = store.trainings()
    cell = msgspec.structs.replace(record.cell, data_hash="e" * 64)
    store.trainings_file.unlink()
    store.append(msgspec.structs.replace(record, cell=cell, key=cell.key))
    assert main(["deploy", "suite=elasticity", f"results={results}"]) == 2
    told = capsys.readouterr().err
    assert (
        "suite=elasticity: 1 of 1 models were not trained on the data that the suite ships: give data= and its options"
        in told
    )
    assert not store.deployments()


def test_openvino_is_left_out_where_it_is_not_installed(results, capsys, monkeypatch):
    monkeypatch.setattr(registry, "has_openvino", lambda: False)
    monkeypatch.setattr(deploy, "LatencySettings", lambda: GLANCE)
    assert main(["deploy", "suite=elasticity", "runtime=openvino", f"results={results}"]) == 2
    assert "openvino is not installed: pip install" in capsys.readouterr().err
    assert main(["deploy", f"results={results}"]) == 0
    told = capsys.readouterr()
    assert "openvino is skipped" in told.err + told.out
    assert {item.runtime for item in Store(results, "elasticity").deployments()} == {"float32", "int8", "float16"}
