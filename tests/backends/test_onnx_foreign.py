"""An ONNX file is given what it takes as it takes it, and is asked no more than it can answer."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from backends import _onnx_foreign
from harness.errors import BenchError
from harness.foreign import Inputs, Source, moves

DRAW = np.random.default_rng(0)


def made(folder, nodes, takes, gives=("y",), layout="", **held):
    """A file's model; `takes` are shapes of its inputs, or types and shapes."""
    entries = []
    for name, lengths in takes.items():
        kind, shape = lengths if isinstance(lengths, tuple) else (TensorProto.FLOAT, lengths)
        entries.append(helper.make_tensor_value_info(name, kind, shape))
    answers = [onnx.ValueInfoProto(name=name) for name in gives]
    for answer in answers:
        answer.type.tensor_type.elem_type = TensorProto.FLOAT
    tensors = [numpy_helper.from_array(array, name) for name, array in held.items()]
    graph = helper.make_graph(nodes, "g", entries, answers, tensors)
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return _onnx_foreign.load(Source("onnx", str(path), layout=layout), "float32")


def node(kind, inputs, output="y", **attributes):
    return helper.make_node(kind, inputs, [output], **attributes)


RELU = [node("Relu", ["x"])]


@pytest.mark.parametrize(
    ("takes", "given", "turned", "said"),
    [
        (["N", 5, 6, 3], (5, 6, 3), (0, 1, 2, 3), "takes x as (N, 5, 6, 3), as it is given"),
        (["N", 3, 5, 6], (5, 6, 3), (0, 3, 1, 2), "takes x as (N, 3, 5, 6), channels first"),
        (["N", 5, 6, 3], (3, 5, 6), (0, 2, 3, 1), "takes x as (N, 5, 6, 3), channels last"),
        (["N", 3, None, "w"], (5, 6, 3), (0, 3, 1, 2), "takes x as (N, 3, ?, ?), channels first"),
        (["N", 4, 7], (7, 4), (0, 2, 1), "takes x as (N, 4, 7), channels first"),
    ],
)
def test_an_image_is_turned_as_the_graph_takes_it_and_it_is_told(tmp_path, takes, given, turned, said):
    model = made(tmp_path, RELU, {"x": takes})
    images = DRAW.normal(size=(4, *given)).astype(np.float32)
    assert model.inspect({"0": images}).remarks == (said,)
    np.testing.assert_array_equal(model.forward({"0": images})["answer 0"], np.maximum(images.transpose(turned), 0))


@pytest.mark.parametrize("takes", [["N", 5, 5, 5], ["N", None, None, None]])
def test_what_shapes_do_not_tell_must_be_said(tmp_path, takes):
    images = DRAW.normal(size=(4, 5, 5, 5)).astype(np.float32)
    with pytest.raises(BenchError, match="whether channels are first or last: say layout=first or layout=last"):
        made(tmp_path, RELU, {"x": takes}).inspect({"0": images})
    for layout, turned in (("last", (0, 1, 2, 3)), ("first", (0, 3, 1, 2))):
        model = made(tmp_path, RELU, {"x": takes}, layout=layout)
        model.inspect({"0": images})
        np.testing.assert_array_equal(model.forward({"0": images})["answer 0"], np.maximum(images.transpose(turned), 0))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"0": np.zeros((4, 5, 7, 3), np.float32)}, r"takes x as \(N, 5, 6, 3\), which is no order of the axes of"),
        ({"0": np.zeros((4, 5, 6, 3), np.int32)}, "takes x as float32, and is given whole numbers"),
        ({"0": np.zeros((4, 5), np.float32), "1": np.zeros((4, 5), np.float32)}, "takes 1 inputs, and is given 2"),
    ],
)  # fmt: skip
def test_other_inputs_are_refused(tmp_path, inputs, said):
    with pytest.raises(BenchError, match=said):
        made(tmp_path, RELU, {"x": ["N", 5, 6, 3]}).inspect(inputs)


def test_a_graph_says_what_it_takes_and_below_what_tokens_are(tmp_path):
    nodes = [
        node("Cast", ["words"], "whole", to=TensorProto.INT64),
        node("Gather", ["table", "whole"], "rows"),
        node("ReduceSum", ["rows", "axis"], "of words", keepdims=0),
        node("Add", ["of words", "more"]),
    ]
    takes = {"words": (TensorProto.INT32, ["N", 6]), "more": ["N", 3]}
    held = {"table": DRAW.normal(size=(9, 3)).astype(np.float32), "axis": np.array([1])}
    model = made(tmp_path, nodes, takes, **held)
    assert model.inputs() == (Inputs("words", (6,), 9), Inputs("more", (3,)))
    assert made(tmp_path, RELU, {"x": ["N", None]}).inputs() == ()
    words, more = DRAW.integers(0, 9, (4, 6)).astype(np.int32), np.ones((4, 3), np.float32)
    for inputs in ({"0": words, "1": more}, {"more": more, "words": words}):  # in order, and by name
        model.inspect(inputs)
        np.testing.assert_allclose(model.forward(inputs)["answer 0"], held["table"][words].sum(1) + 1, rtol=1e-5)


def test_rounding_is_told_by_moving_every_number_by_its_last_digit(tmp_path):
    kernel = DRAW.normal(size=(20, 5)).astype(np.float32)
    model = made(tmp_path, [node("MatMul", ["x", "kernel"])], {"x": ["N", 20]}, kernel=kernel)
    inputs = {"0": DRAW.normal(size=(4, 20)).astype(np.float32)}
    model.inspect(inputs)
    left = model.forward(inputs)
    apart = np.linalg.norm(left["moved answer 0"] - left["answer 0"]) / np.linalg.norm(left["answer 0"])
    assert 2**-26 < apart < 2**-21


def test_arrays_are_those_that_the_graph_uses(tmp_path):
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.float64([2.0, 3.0]), "inner"))
    nodes = [constant, node("Cast", ["c"], "cast", to=TensorProto.FLOAT), node("Mul", ["x", "cast"])]
    model = made(tmp_path, nodes, {"x": ["N", 2]}, idle=np.ones(3, np.float32))
    assert list(model.arrays()) == ["inner"]


def test_an_answer_without_a_row_for_each_sample_is_refused(tmp_path):
    model = made(tmp_path, [node("ReduceSum", ["x"], keepdims=0)], {"x": ["N", 2]})
    inputs = {"0": np.ones((4, 2), np.float32)}
    model.inspect(inputs)
    with pytest.raises(BenchError, match="no row for each sample"):
        model.forward(inputs)


def test_a_file_that_is_not_safe_is_refused_before_it_is_run(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(BenchError, match="not an ONNX file"):
        _onnx_foreign.load(Source("onnx", str(tmp_path / "model.onnx")), "float32")
    with pytest.raises(BenchError, match="uses operators that ONNX Runtime does not have: Nowhere"):
        made(tmp_path, [node("Nowhere", ["x"])], {"x": ["N", 2]})


def test_moves_are_of_channels_alone():
    assert moves((8, 4, 5, 3), (None, 3, 4, 5)) == [(0, 3, 1, 2)]
    assert moves((8, 4, 5, 3), (None, 5, 4, 3)) == []
    assert moves((8, 4), (8, 4)) == [(0, 1)]
    assert moves((8, 4), (8, 4, 1)) == []
