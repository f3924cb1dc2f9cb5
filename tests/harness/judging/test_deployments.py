import msgspec
import numpy as np
import pytest

from harness.errors import BenchError
from harness.judging.deployments import table
from harness.judging.records import SCHEMA, Deployment
from harness.judging.store import Store
from harness.judging.timing import Latency
from tests.harness.examples import ENVIRONMENT, a_cell, a_failure, a_record, a_timing

RECORD = a_record()


def a_deployment(runtime="int8", record=RECORD, factor=1.0, p50_ms=0.5, ratio=2.0, **changes):
    """It predicts `factor` times what the record has."""
    timings = tuple(msgspec.structs.replace(a_timing(batch, p50_ms), ratio=ratio) for batch in (1, 32))
    whole = {
        "schema": SCHEMA,
        "key": record.key,
        "sha256": record.onnx.sha256,
        "runtime": runtime,
        "started": "2026-01-01T01:00:00+00:00",
        "environment": ENVIRONMENT,
        "source": "s",
        "bytes": 500,
        "predictions": tuple(tuple(factor * value for value in row) for row in record.held_out.predictions),
        "latency": Latency(timings),
    }
    return Deployment(**(whole | changes))


def test_scores_are_of_the_recorded_predictions():
    (line,) = table([RECORD], [a_deployment(factor=1.1)]).to_dict("records")
    predicted, truth = 1.1 * np.array(RECORD.held_out.predictions), np.array(RECORD.held_out.truth)
    assert line["skill"] == pytest.approx(1 - np.mean((predicted - truth) ** 2) / np.mean((truth - 100) ** 2))
    assert line["skill_float32"] == RECORD.test.skill
    assert line["change"] == pytest.approx(0.1)
    assert (line["file_kB"], line["p50_ms_b1"], line["p50_ms_b32"]) == (0.5, 0.5, 16.0)
    assert line["note"] == ""


def test_how_much_faster_is_told_of_the_same_machine():
    elsewhere = msgspec.structs.replace(ENVIRONMENT, processor="Abacus II", features="avx512_vnni fma")
    found = table(
        [RECORD],
        [
            a_deployment("float32", ratio=4.0),
            a_deployment("int8", ratio=2.0),
            a_deployment("int8", ratio=1.0, environment=elsewhere),
        ],
    )
    lines = {(line["processor"], line["runtime"]): line for _, line in found.iterrows()}
    assert lines["Abacus", "int8"]["faster_b1"] == 2.0
    assert lines["Abacus", "float32"]["faster_b32"] == 1.0
    assert lines["Abacus II", "int8"]["faster_b1"] is None  # nobody timed it there as it was
    assert [line["vnni"] for line in lines.values()] == [False, False, True]


def test_the_newest_stands_and_what_has_no_record_is_left_out():
    other = a_record(a_cell(seed=1))
    unexported = a_record(a_cell(seed=2), onnx=None)
    deployments = [a_deployment(bytes=1), a_deployment(bytes=2000), a_deployment(record=other)]
    found = table([RECORD, a_failure(), unexported], deployments)
    assert found["file_kB"].tolist() == [2.0]


def test_best_models_come_first():
    better = a_record(a_cell(seed=1), error=0.1)
    found = table([better, RECORD], [a_deployment("int8"), a_deployment("float32"), a_deployment(record=better)])
    assert found["seed"].tolist() == [1, 0, 0]
    assert found["runtime"].tolist()[1:] == ["float32", "int8"]  # in their order, whatever was recorded first


def test_a_model_without_a_skill_comes_last():
    perfect_mean = msgspec.structs.replace(RECORD, test=msgspec.structs.replace(RECORD.test, skill=None))
    other = a_record(a_cell(seed=1))
    found = table([perfect_mean, other], [a_deployment(), a_deployment(record=other)])
    assert found["seed"].tolist() == [1, 0]


@pytest.mark.parametrize("predictions", [((1.0, 2.0),), ((1.0,), (1.0, 2.0)), ((float("nan"), 1.0),) * 20])
def test_predictions_that_give_no_score_are_refused_by_name(predictions):
    with pytest.raises(BenchError, match=r"ridge on classical, seed 0 .* in int8: no scores"):
        table([RECORD], [a_deployment(predictions=predictions)])


def test_what_could_not_be_had_says_why():
    lost = a_deployment(bytes=0, predictions=(), latency=None, reason="it has nothing to be quantized")
    unsteady = a_deployment(
        "float32", latency=Latency((msgspec.structs.replace(a_timing(), unsteady="the machine was busy"),))
    )
    lines = table([RECORD], [lost, unsteady])
    notes = dict(zip(lines["runtime"], lines["note"], strict=True))
    assert notes == {"int8": "it has nothing to be quantized", "float32": "batch 1: the machine was busy"}
    assert lines.set_index("runtime").loc["int8", "skill"] is None


def test_records_come_back(tmp_path):
    (tmp_path / "records").mkdir()
    store = Store(tmp_path, "elasticity")
    store.append(a_deployment())
    assert store.deployments() == [a_deployment()]
