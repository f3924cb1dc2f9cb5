"""Files that are made of exported ones, and another runtime for these, held against ONNX Runtime in float32."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from backends._onnx_lighter import to_float16, to_int8
from backends.onnx import annotate, append, build, open_model
from harness.errors import BenchError
from harness.protocol import Operators
from tests.backends.conformance import a_task, a_variant, images

METADATA = {"targets": "C11", "suite": "elasticity"}


@pytest.fixture
def exported(tmp_path):
    path = tmp_path / "model.onnx"
    build(a_variant(), a_task(), 0).export(path)
    annotate(path, METADATA)
    return path


def answers(path):
    return open_model(path).predict(images(50, seed=3))


def off(path, other):
    """The root mean square of the difference, as a share of how much answers vary."""
    ours, theirs = answers(path), answers(other)
    return float(np.sqrt(np.mean((ours - theirs) ** 2)) / ours.std(axis=0).mean())


def test_int8_answers_nearly_the_same(exported, tmp_path):
    to_int8(exported, tmp_path / "int8.onnx", images(40, seed=1))
    assert 0 < off(exported, tmp_path / "int8.onnx") < 0.1
    assert open_model(tmp_path / "int8.onnx").metadata == METADATA


def test_int8_weights_have_seven_bits(exported, tmp_path):
    """Of eight, sums of two products overflow where the processor adds them in sixteen bits."""
    to_int8(exported, tmp_path / "int8.onnx", images(40, seed=1))
    arrays = [numpy_helper.to_array(a) for a in onnx.load(tmp_path / "int8.onnx").graph.initializer]
    kernels = [array for array in arrays if array.dtype == np.int8 and array.ndim > 1]
    assert len(kernels) == 4  # every layer's
    assert all(32 < np.abs(kernel.astype(int)).max() <= 64 for kernel in kernels)


def test_int8_is_calibrated_on_the_images_that_it_is_given(exported, tmp_path):
    to_int8(exported, tmp_path / "int8.onnx", images(40, seed=1))
    to_int8(exported, tmp_path / "black.onnx", np.zeros((40, 16, 16, 1), np.float32))
    assert off(exported, tmp_path / "black.onnx") > 3 * off(exported, tmp_path / "int8.onnx")


def test_a_decoding_keeps_its_digits_in_int8(exported, tmp_path):
    """Here it adds a thousand and takes it away again, which eight bits do not get over."""
    nodes = (("Gemm", ("answers", "same", "up"), "far", {}), ("Gemm", ("far", "same", "down"), "decoded", {}))
    thousand = np.full(9, 1000, np.float32)
    arrays = {"same": np.eye(9, dtype=np.float32), "up": thousand, "down": -thousand}
    append(exported, Operators(nodes, arrays), 9, "decoding")
    to_int8(exported, tmp_path / "int8.onnx", images(40, seed=1))
    assert 0 < off(exported, tmp_path / "int8.onnx") < 0.1


def test_float16_halves_the_file_and_answers_nearly_the_same(exported, tmp_path):
    to_float16(exported, tmp_path / "float16.onnx")
    assert 0 < off(exported, tmp_path / "float16.onnx") < 0.02
    kernels = [a for a in onnx.load(tmp_path / "float16.onnx").graph.initializer if len(a.dims) > 1]
    assert {kernel.data_type for kernel in kernels} == {TensorProto.FLOAT16}
    assert (tmp_path / "float16.onnx").stat().st_size < exported.stat().st_size
    model = open_model(tmp_path / "float16.onnx")
    assert (model.takes, model.gives, model.metadata) == (("tensor(float)",), ("tensor(float)",), METADATA)


@pytest.mark.parametrize("make", [lambda *paths: to_int8(*paths, images(4)), to_float16])
def test_what_has_nothing_to_be_made_lighter_is_refused(tmp_path, make):
    entry, result = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 16, 16, 1])
        for name in ("images", "prediction")
    )
    graph = helper.make_graph([helper.make_node("Neg", ["images"], ["prediction"])], "g", [entry], [result])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "neg.onnx"
    )
    with pytest.raises(BenchError, match="that could be"):
        make(tmp_path / "neg.onnx", tmp_path / "made.onnx")


def test_openvino_answers_the_same(exported, tmp_path):
    openvino = pytest.importorskip("backends._openvino")  # which imports OpenVINO as it is to be imported
    for threads in (1, 2):
        model = openvino.open_model(exported, threads)
        assert model.threads == threads
    assert model.input_shape == (None, 16, 16, 1)
    np.testing.assert_allclose(
        model.predict(images(200, seed=3)), open_model(exported).predict(images(200, seed=3)), 1e-4
    )
    (tmp_path / "none.onnx").write_bytes(b"none")
    with pytest.raises(BenchError, match="not an ONNX file"):
        openvino.open_model(tmp_path / "none.onnx")
