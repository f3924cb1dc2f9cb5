"""Files that are not to be trusted, and the reference model. What every backend must do is in `conformance.py`."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from backends.onnx import annotate, open_model, opset, write_reference
from harness.errors import BenchError

USES = [open_model, opset, lambda path: annotate(path, {})]


@pytest.fixture
def reference(tmp_path):
    write_reference(tmp_path / "reference.onnx")
    return tmp_path / "reference.onnx"


def test_the_reference_is_the_same_file_every_time(reference, tmp_path):
    write_reference(tmp_path / "again.onnx")
    assert reference.read_bytes() == (tmp_path / "again.onnx").read_bytes()


def test_threads_and_shapes_are_read_back(reference):
    for threads in (1, 2):
        assert open_model(reference, threads).threads == threads
    model = open_model(reference)
    assert (model.input_shape, model.output_shape) == ((None, 64, 64, 1), (None, 9))


def test_annotations_are_kept(reference):
    annotate(reference, {"unit": "GPa", "targets": "C11,C22"})
    assert open_model(reference).metadata == {"unit": "GPa", "targets": "C11,C22"}
    assert opset(reference) == 18


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x80\x04\x95pickle", bytes(range(256)) * 40])
@pytest.mark.parametrize("use", USES)
def test_what_is_no_model_is_refused(tmp_path, content, use):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(BenchError, match="not an ONNX file"):
        use(path)


@pytest.mark.parametrize("use", USES)
def test_a_missing_file_is_said_to_be_missing(tmp_path, use):
    with pytest.raises(BenchError, match="no such file"):
        use(tmp_path / "none.onnx")


def save(path, inputs=("images",), shape=("batch", 4), domain=""):
    """A model that doubles its first input, or answers 2 where it has none."""
    graph = helper.make_graph(
        [helper.make_node("Mul", [inputs[0] if inputs else "two", "two"], ["prediction"])],
        "odd",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in inputs],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.float32(2), "two")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, 18)], ir_version=10), path)


def test_other_peoples_models_are_opened_too(tmp_path):
    path = tmp_path / "m.onnx"
    for shape, found in (((1, 3, 8, 8), (1, 3, 8, 8)), (("n", 3, "h", 8), (None, 3, None, 8))):
        save(path, ["x"], shape, domain="ai.onnx")
        model = open_model(path)
        assert (model.input_name, model.input_shape, model.output_shape, model.metadata) == ("x", found, found, {})
        np.testing.assert_array_equal(model.run(np.ones((1, 3, 8, 8), np.float32)), 2)
        assert opset(path) == 18


def test_a_model_without_an_input_is_refused(tmp_path):
    save(tmp_path / "m.onnx", [])
    with pytest.raises(BenchError, match="inputs"):
        open_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/hostname"])
def test_weights_in_other_files_are_refused_before_they_are_opened(reference, location):
    model = onnx.load(reference)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    reference.write_bytes(model.SerializeToString())
    for use in (open_model, lambda path: annotate(path, {})):
        with pytest.raises(BenchError, match="file"):
            use(reference)


def test_an_operator_that_nobody_knows_is_told(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Teleport", ["images"], ["prediction"])],
        "odd",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["batch", 4])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "m.onnx")
    with pytest.raises(BenchError, match="Teleport"):
        open_model(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("inputs", "shape", "said"),
    [
        (["x"], ["batch", 4], "not 'images' and one output"),
        (["images", "more"], ["batch", 4], "not 'images'"),
        (["images"], [4, 4], "fixed batch size"),
        (["images"], [], "fixed batch size"),
    ],
)
def test_an_export_that_breaks_the_contract_is_refused(tmp_path, inputs, shape, said):
    save(tmp_path / "m.onnx", inputs, shape)
    with pytest.raises(BenchError, match=said):
        annotate(tmp_path / "m.onnx", {})
