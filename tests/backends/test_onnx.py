"""Files that are not to be trusted, and the reference model. What every backend must do is in `conformance.py`."""

import contextlib
import itertools
import re

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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


# --- files made to do harm ------------------------------------------------------------------------------------------


def a_model(*nodes, initializers=(), sparse=(), functions=(), domains=("",), shape=("batch", 4)):
    """A serialized model of these nodes, from `images` to `prediction`."""
    graph = helper.make_graph(
        list(nodes) or [helper.make_node("Identity", ["images"], ["prediction"])],
        "hostile",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, None)],
        list(initializers),
        sparse_initializer=list(sparse),
    )
    opsets = [helper.make_opsetid(domain, 18 if not domain else 1) for domain in domains]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=list(functions))


def elsewhere(location="/etc/hostname"):
    """A tensor whose content lies in another file."""
    tensor = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def claiming(*dims, content=b"\0" * 16):
    return TensorProto(name="w", dims=dims, data_type=TensorProto.FLOAT, raw_data=content)


def constant(tensor):
    return helper.make_node("Constant", [], ["w"], value=tensor)


def branch(node):
    """A node that runs another in a branch."""
    graph = helper.make_graph([node], "branch", [], [helper.make_tensor_value_info("w", TensorProto.FLOAT, None)])
    return helper.make_node("If", ["images"], ["prediction"], then_branch=graph, else_branch=graph)


def function(node):
    return helper.make_function("own", "F", [], ["w"], [node], [helper.make_opsetid("", 18)])


def sparse(values, dims=(4,)):
    indices = numpy_helper.from_array(np.array([0], np.int64), "i")
    return onnx.SparseTensorProto(values=values, indices=indices, dims=dims)


def calling(name, callee):
    nodes = [
        helper.make_node(callee, ["x"], ["y"], domain="own"),
        helper.make_node(callee, ["y"], ["z"], domain="own"),
    ]
    return helper.make_function("own", name, ["x"], ["z"], nodes, [helper.make_opsetid("own", 1)])


def unfolding(depth):
    """Each function calls the next twice."""
    last = helper.make_function(
        "own", f"F{depth}", ["x"], ["z"], [helper.make_node("Identity", ["x"], ["z"])], [helper.make_opsetid("", 18)]
    )
    return [*(calling(f"F{level}", f"F{level + 1}") for level in range(depth)), last]


def doubling(times):
    """Each node makes a tensor twice as long."""
    names = ["images", *(f"x{index}" for index in range(times - 1)), "prediction"]
    return [
        helper.make_node("Concat", [before, before], [after], axis=1) for before, after in itertools.pairwise(names)
    ]


F = helper.make_node("F", [], ["prediction"], domain="own")
ONE = numpy_helper.from_array(np.ones(1, np.float32), "w")
HUGE = numpy_helper.from_array(np.array([2**20, 2**20], np.int64), "size")
TELEPORT = helper.make_node("Teleport", ["images"], ["w"])

HOSTILE = {
    "weights beside it": (a_model(initializers=[elsewhere("weights.bin")]), "weights in other files"),
    "weights above it": (a_model(initializers=[elsewhere("../../weights.bin")]), "weights in other files"),
    "weights anywhere": (a_model(initializers=[elsewhere()]), "weights in other files"),
    "weights elsewhere, in a node": (a_model(constant(elsewhere())), "weights in other files"),
    "weights elsewhere, in a branch": (a_model(branch(constant(elsewhere()))), "weights in other files"),
    "weights elsewhere, in a function": (
        a_model(F, functions=[function(constant(elsewhere()))], domains=("", "own")),
        "weights in other files",
    ),
    "weights elsewhere, of a sparse tensor": (a_model(sparse=[sparse(elsewhere())]), "weights in other files"),
    "a tensor that claims more than it holds": (
        a_model(initializers=[claiming(2**20, 2**20)]),
        "says it is 1048576x1048576, and holds",
    ),
    "a tensor of negative length": (a_model(initializers=[claiming(-4)]), "says it is -4"),
    "lengths whose product is beyond 64 bits": (a_model(initializers=[claiming(2**62, 4)]), "and holds"),
    "a sparse tensor that is absurdly large when dense": (
        a_model(sparse=[sparse(ONE, (2**20, 2**20))]),
        "absurdly large",
    ),
    "a constant made absurdly large": (
        a_model(helper.make_node("ConstantOfShape", ["size"], ["prediction"]), initializers=[HUGE]),
        "makes a tensor of 1048576x1048576 elements",
    ),
    "images that are absurdly large": (a_model(shape=("batch", 2**20, 2**20, 1)), "absurdly large"),
    "functions that unfold without end": (
        a_model(
            helper.make_node("F0", ["images"], ["prediction"], domain="own"),
            functions=unfolding(40),
            domains=("", "own"),
        ),
        "unfold into more than 1000000 nodes",
    ),
    "functions in a circle": (
        a_model(
            helper.make_node("F0", ["images"], ["prediction"], domain="own"),
            functions=[calling("F0", "F1"), calling("F1", "F0")],
            domains=("", "own"),
        ),
        "call each other in a circle",
    ),
    "a tensor doubled forty times": (a_model(*doubling(40)), "absurdly large"),
    "an operator that nobody has": (a_model(TELEPORT), "does not have: Teleport"),
    "one in a branch": (a_model(branch(TELEPORT)), "does not have: Teleport"),
    "one in a function": (a_model(F, functions=[function(TELEPORT)], domains=("", "own")), "Teleport"),
    "one of a domain of its own": (
        a_model(helper.make_node("Conv", ["images"], ["prediction"], domain="evil"), domains=("", "evil")),
        "evil::Conv",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_before_onnx_runtime_sees_them(tmp_path, monkeypatch, name):
    model, said = HOSTILE[name]
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *args, **options: pytest.fail("it was let in"))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BenchError, match=re.escape(said)):
        open_model(tmp_path / "m.onnx")


def test_what_is_checked_is_what_is_run(reference, monkeypatch):
    """ONNX Runtime is given the content that was checked, not a path that could lead elsewhere by then."""
    seen, session = [], onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda what, *rest, **o: seen.append(what) or session(what, *rest, **o)
    )
    open_model(reference)
    assert seen == [reference.read_bytes()]


def test_operators_of_onnx_runtimes_own_and_of_the_model_itself_are_let_in(tmp_path):
    gelu = helper.make_node("Gelu", ["images"], ["prediction"], domain="com.microsoft")
    double = helper.make_node("Add", ["x", "x"], ["y"])
    own = helper.make_function("own", "Double", ["x"], ["y"], [double], [helper.make_opsetid("", 18)])
    call = helper.make_node("Double", ["images"], ["prediction"], domain="own")
    for model in (
        a_model(gelu, domains=("", "com.microsoft")),
        a_model(call, functions=[own], domains=("", "own")),
    ):
        onnx.save(model, tmp_path / "m.onnx")
        open_model(tmp_path / "m.onnx").run(np.ones((1, 4), np.float32))


@given(st.binary(max_size=300), st.floats(0, 1), st.integers(0, 50))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_model_is_refused_or_runs(reference, junk, where, length):
    """Any cut of a real model, filled with anything."""
    content = reference.read_bytes()
    start = int(where * len(content))
    damaged = reference.with_name("damaged.onnx")
    damaged.write_bytes(content[:start] + junk + content[start + length :])
    with contextlib.suppress(BenchError):
        open_model(damaged)


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
