"""A torch module and an ONNX graph that is written by hand, as they should be and with one mistake at a time."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.command import cli
from harness.errors import BenchError
from harness.foreign import Source
from harness.parity.check import assert_same_model
from harness.parity.pairs.climb import PairRequest
from harness.parity.pairs.graphs import Graphs
from harness.parity.pairs.sources import sources
from harness.running.guard import Limits

PAIR = """
import numpy as np

inputs = (12, 12, 3)


def torch_model():
    import torch
    from torch import nn

    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1),
        nn.BatchNorm2d(4, eps=1e-3, momentum=0.01),
        nn.ReLU(),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(4, 5, 3, 1, 1, bias=False),
        nn.Flatten(),
        nn.Linear(720, 6),
        nn.ReLU(),
        nn.Linear(6, 6),
    )
    model.load_state_dict({name: torch.from_numpy(array) for name, array in np.load(__file__ + ".npz").items()})
    return model
"""
ATTRIBUTES = {
    "Conv": {"pads": [1, 1, 1, 1]},
    "BatchNormalization": {"epsilon": 1e-3, "momentum": 0.99},
    "Resize": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    "Gemm": {"transB": 1},
}


def weights():
    draw = np.random.default_rng(0)
    shapes = {"0.weight": (4, 3, 3, 3), "0.bias": (4,), "4.weight": (5, 4, 3, 3), "6.weight": (6, 720), "6.bias": (6,),
              "8.weight": (6, 6), "8.bias": (6,)}  # fmt: skip
    found = {name: draw.normal(size=shape) / np.sqrt(np.prod(shape[1:])) for name, shape in shapes.items()}
    found |= {f"1.{name}": draw.uniform(0.5, 1.5, 4) for name in ("weight", "bias", "running_mean", "running_var")}
    return {name: array.astype(np.float32) for name, array in found.items()}


def node(kind, inputs, output, **changes):
    return helper.make_node(kind, inputs, [output], **{**ATTRIBUTES.get(kind, {}), **changes})


def graph(arrays, batch="N"):
    """The module's twin; a reshape keeps the rows, however many."""
    norm = "1.weight", "1.bias", "1.running_mean", "1.running_var"
    nodes = [
        node("Conv", ["images", "0.weight", "0.bias"], "first", strides=[2, 2]),
        node("BatchNormalization", ["first", *norm], "norm"),
        node("Relu", ["norm"], "relu"),
        node("Resize", ["relu", "", "scales"], "larger"),
        node("Conv", ["larger", "4.weight"], "second"),
        node("Reshape", ["second", "rows"], "flat"),
        node("Gemm", ["flat", "6.weight", "6.bias"], "dense"),
        node("Relu", ["dense"], "relu2"),
        node("Gemm", ["relu2", "8.weight", "8.bias"], "answer"),
    ]  # fmt: skip
    arrays = {**arrays, "scales": np.float32([1, 1, 2, 2]), "rows": np.int64([0, -1])}
    takes = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, 12, 12])
    gives = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [batch, 6])
    held = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    return helper.make_model(
        helper.make_graph(nodes, "twin", [takes], [gives], held),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )


def twin(**changed):
    return graph(weights() | {name.replace("_", ".", 1): array for name, array in changed.items()})


def attribute(place, **changes):
    """The twin with other attributes of one node; None takes one away."""
    model = twin()
    target = model.graph.node[place]
    kept = {each.name: helper.get_attribute_value(each) for each in target.attribute} | changes
    del target.attribute[:]
    target.attribute.extend(helper.make_attribute(name, value) for name, value in kept.items() if value is not None)
    return model


def without(place):
    """The twin without a node that has one input: what follows takes what that was given."""
    model = twin()
    gone = model.graph.node.pop(place)
    for each in model.graph.node:
        each.input[:] = [gone.input[0] if name == gone.output[0] else name for name in each.input]
    return model


def channels_last():
    """The twin as an exporter of Keras would write it: images channels last, transposed at the door."""
    model = twin()
    model.graph.node[0].input[0] = "turned"
    model.graph.node.insert(0, node("Transpose", ["images"], "turned", perm=[0, 3, 1, 2]))
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 12, 12, 3]))
    return model


def half():
    """The twin with kernels of half precision."""
    model = twin()
    for place, name in ((0, "0.weight"), (4, "4.weight")):
        (tensor,) = [each for each in model.graph.initializer if each.name == name]
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), name))
        model.graph.node[place].input[1] = f"{name} cast"
    for name in ("0.weight", "4.weight"):
        model.graph.node.insert(0, node("Cast", [name], f"{name} cast", to=TensorProto.FLOAT))
    return model


def folded(epsilon=1e-3):
    """The twin with its norm folded into the kernel before, as exporters do."""
    arrays = weights()
    scale = arrays["1.weight"] / np.sqrt(arrays["1.running_var"] + np.float32(epsilon))
    arrays["0.weight"] = arrays["0.weight"] * scale[:, None, None, None]
    arrays["0.bias"] = (arrays["0.bias"] - arrays["1.running_mean"]) * scale + arrays["1.bias"]  # what was is not used
    model = graph(arrays)
    del model.graph.node[1]
    model.graph.node[0].output[0] = "norm"
    return model


def two_answers():
    model = twin()
    model.graph.output.append(helper.make_tensor_value_info("relu2", TensorProto.FLOAT, ["N", 6]))
    return model


def changed(name):
    array = weights()[name].copy()
    array.flat[20] += 0.05  # of a channel that its ReLU lets through
    return array


RIGHT = {
    "as it is": (twin, "11 equal"),
    "norm's other momentum": (lambda: attribute(1, momentum=0.5), "11 equal"),
    "norm folded into the kernel": (folded, "5 equal, 1 scaled by channel, 5 folded"),
    "batches of one": (lambda: graph(weights(), 1), "11 equal"),
    "batches of five": (lambda: graph(weights(), 5), "11 equal"),
    "images channels last": (channels_last, "11 equal"),
    "dense kernel stored turned": (
        lambda: relinked(8, weights()["8.weight"].T.copy()),
        "10 equal, 1 transposed",
    ),
}


def relinked(place, kernel):
    model = attribute(place, transB=0)
    (tensor,) = [each for each in model.graph.initializer if each.name == model.graph.node[place].input[1]]
    tensor.CopyFrom(numpy_helper.from_array(kernel, tensor.name))
    return model


WRONG = {
    "a weight off": (lambda: twin(**{"4_weight": changed("4.weight")}), "structure", "4.weight is 4.weight, apart by"),
    "a bias off": (
        lambda: twin(**{"6_bias": weights()["6.bias"] + 1}),
        "forward",
        "nowhere what 6 answers, but what 4",
    ),
    "kernels in half precision": (half, "structure", "0.weight, rounded to half precision: apart by"),
    "other weights": (
        lambda: graph({name: np.roll(array * 1.7, 1) for name, array in weights().items()}),
        "structure",
        "none of the arrays of torch is in onnx",
    ),
    "another answer": (two_answers, "structure", "torch answers 1 array, onnx 2"),
    "a square kernel transposed": (
        lambda: twin(**{"8_weight": weights()["8.weight"].T.copy()}),
        "forward",
        "nowhere what 8 answers, but what 6 before it does, as dense",
    ),
    "kernel's height and width exchanged": (
        lambda: twin(**{"4_weight": weights()["4.weight"].swapaxes(2, 3).copy()}),
        "forward",
        "nowhere what 4 answers, but what 1",
    ),
    "epsilon": (lambda: attribute(1, epsilon=1e-5), "forward", "nowhere what 1 answers, but what 0"),
    "no ReLU": (lambda: without(2), "forward", "nowhere what 4 answers, but what 1 before it does, as norm; torch"),
    "no last ReLU": (lambda: without(7), "forward", "what 8 answers, but what 6 before it does, as dense; torch"),
    "other neighbours": (
        lambda: attribute(3, coordinate_transformation_mode="asymmetric"),
        "forward",
        "onnx Relu > Resize (coordinate_transformation_mode asymmetric, mode linear)",
    ),
    "nearest neighbours": (lambda: attribute(3, mode="nearest"), "forward", "nowhere what 4 answers, but what 1"),
    "padding on the other side": (
        lambda: attribute(0, pads=[0, 0, 1, 1]),
        "forward",
        "nowhere what 0 answers, which is the first",
    ),
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    path = tmp_path_factory.mktemp("graphs") / "pair.py"
    path.write_text(PAIR)
    np.savez(f"{path}.npz", **weights())
    return path


@pytest.fixture(scope="module")
def sides(pair):
    with Graphs(Source("torch", ""), Source("onnx", ""), Limits()) as sides:
        yield sides


def climb(sides, pair, model, seeds=(0,)):
    file = pair.with_suffix(".onnx")
    onnx.save(model, file)
    ours = Source("torch", str(pair), "torch_model", str(pair))
    request = PairRequest("twin", ours, Source("onnx", str(file)), ("structure", "forward"), seeds)
    return [verdict for verdicts in sides.climb(request) for verdict in verdicts]


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_a_graph_that_computes_the_same_passes(sides, pair, name):
    make, counts = RIGHT[name]
    verdicts = climb(sides, pair, make(), seeds=(0, 1, 2))
    assert [(each.rung, each.seed, each.outcome) for each in verdicts] == [
        ("structure", 0, "passes"),
        *(("forward", seed, "passes") for seed in (0, 1, 2)),
    ]
    assert verdicts[0].note.endswith(f"in onnx are {counts}")


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_each_planted_mistake_is_found_where_it_is(sides, pair, name):
    make, rung, said = WRONG[name]
    broken = [verdict for verdict in climb(sides, pair, make()) if verdict.outcome == "breaks"]
    assert broken[0].rung == rung
    assert said in broken[0].note
    assert broken[-1].rung == "forward" or name == "another answer"


@pytest.mark.slow
def test_a_norm_that_was_folded_by_another_epsilon_is_not_found(sides, pair):
    structure, forward = climb(sides, pair, folded(1e-5))
    assert structure.note.endswith("5 equal, 1 scaled by channel, 5 not found")
    assert forward.outcome == "breaks"
    assert "onnx has nowhere what 0 answers, which is the first" in forward.note


@pytest.mark.slow
def test_what_cannot_be_run_or_told_is_refused_and_the_sides_go_on(sides, pair):
    with pytest.raises(BenchError, match=r"pair.onnx: ONNX Runtime cannot run it: .*Dimension mismatch"):
        climb(sides, pair, attribute(0, strides=[1, 1]))
    assert {verdict.outcome for verdict in climb(sides, pair, twin())} == {"passes"}


@pytest.fixture(scope="module")
def graphs():
    with Graphs(Source("onnx", ""), Source("onnx", ""), Limits()) as sides:
        yield sides


def between(graphs, folder, one, two):
    files = folder / "one.onnx", folder / "two.onnx"
    for file, model in zip(files, (one, two), strict=True):
        onnx.save(model, file)
    ours, theirs = (Source("onnx", str(file), layout=lies) for file, lies in zip(files, ("", "last"), strict=True))
    request = PairRequest("one", ours, theirs, ("structure", "forward"), (0, 1))
    return [verdict for verdicts in graphs.climb(request) for verdict in verdicts]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RIGHT if name != "batches of one"])
def test_two_graphs_that_compute_the_same_pass(graphs, tmp_path, name):
    for models in ((twin(), RIGHT[name][0]()), (RIGHT[name][0](), twin())):
        assert {verdict.outcome for verdict in between(graphs, tmp_path, *models)} == {"passes"}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_each_planted_mistake_is_found_between_two_graphs(graphs, tmp_path, name):
    make, rung, said = WRONG[name]
    broken = [verdict for verdict in between(graphs, tmp_path, twin(), make()) if verdict.outcome == "breaks"]
    assert broken[0].rung == rung
    if "nowhere" in said or "Resize" in said:  # where each node is known, it is told to the node
        nodes = {
            "no ReLU": "relu",
            "other neighbours": "larger",
            "nearest neighbours": "larger",
            "no last ReLU": "relu2",
        }
        layer = {"0": "first", "1": "norm", "4": "second", "6": "dense", "8": "answer"}
        assert f"onnx2 has nowhere what {nodes.get(name) or layer[said.split()[2]]} answers" in broken[0].note


@pytest.mark.slow
def test_the_command_ends_with_1_where_a_graph_breaks_and_writes_what_is_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    onnx.save(twin(), "one.onnx")
    onnx.save(attribute(1, epsilon=1e-5), "two.onnx")
    assert cli.main(["parity", "onnx=one.onnx", "onnx2=one.onnx"]) == 0
    written = "mapping=m.csv", "junit=j.xml", "markdown=p.md"
    assert cli.main(["parity", "onnx=one.onnx", "onnx2=two.onnx", "seeds=0,1", *written]) == 1
    told = capsys.readouterr().out
    assert "note: onnx takes images as (N, 3, 12, 12), as it is given" in told
    assert told.count("forward     breaks") == 2
    table = (tmp_path / "m.csv").read_text().splitlines()
    assert table[0] == "onnx,onnx2,onnx shape,how"
    assert "4.weight,4.weight,5x4x3x3,equal" in table
    assert (tmp_path / "j.xml").read_text().count("<failure") == 2
    assert "### Parity of onnx,onnx2" in (tmp_path / "p.md").read_text()


@pytest.mark.slow
def test_a_test_of_ones_own_holds_a_module_to_its_file(pair, tmp_path):
    file = tmp_path / "twin.onnx"
    onnx.save(twin(), file)
    assert [verdict.outcome for verdict in assert_same_model(pair, onnx=file)] == ["passes", "passes"]
    onnx.save(without(7), file)
    with pytest.raises(AssertionError, match=r"forward +breaks .*onnx has nowhere what 8 answers"):
        assert_same_model(pair, onnx=file, rungs="forward")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("def keras_model(): ...", "keras"),
        ("def torch_model(): ...", "torch"),
        ("def keras_model(): ...\ndef torch_model(): ...", "torch"),
        ("from mine import keras_model", "keras"),
        ("from mine import net as torch_model\ndef keras_model(): ...", "torch"),
        ("def keras_model(:", "torch"),
    ],
)
def test_of_a_file_beside_a_graph_the_torch_module_is_taken_where_there_is_one(tmp_path, text, kind):
    (tmp_path / "pair.py").write_text(text)
    onnx.save(twin(), tmp_path / "one.onnx")
    ours, theirs = sources(str(tmp_path / "pair.py"), onnx=str(tmp_path / "one.onnx"))
    assert (ours.kind, ours.function, theirs.kind, theirs.said) == (kind, f"{kind}_model", "onnx", ours.said)


TWO = """
def keras_model():
    import keras

    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    dense = keras.layers.Dense(4, use_bias=False, kernel_initializer=lambda shape, dtype: KERNEL)
    return keras.Model([a, b], dense(a - b))


import numpy as np

KERNEL = np.arange(16, dtype=np.float32).reshape(4, 4) / 16
"""


@pytest.mark.slow
@pytest.mark.parametrize(("names", "outcome"), [("ba", "passes"), ("xy", "breaks")])
def test_two_inputs_of_one_shape_are_paired_by_names_that_both_have(tmp_path, names, outcome):
    """Those of other names are paired in order, in which these are not."""
    (tmp_path / "pair.py").write_text(TWO)
    takes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in names]
    gives = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["N", 4])
    nodes = [node("Sub", [names[1], names[0]], "apart"), node("MatMul", ["apart", "kernel"], "answer")]
    held = [numpy_helper.from_array(np.arange(16, dtype=np.float32).reshape(4, 4) / 16, "kernel")]
    model = helper.make_model(helper.make_graph(nodes, "two", takes, [gives], held),
                              opset_imports=[helper.make_opsetid("", 18)], ir_version=10)  # fmt: skip
    onnx.save(model, tmp_path / "two.onnx")
    ours = Source("keras", str(tmp_path / "pair.py"), "keras_model", str(tmp_path / "pair.py"))
    request = PairRequest("net", ours, Source("onnx", str(tmp_path / "two.onnx")), ("forward",))
    with Graphs(request.ours, request.theirs, Limits()) as graphs:
        (verdicts,) = graphs.climb(request)
    assert [verdict.outcome for verdict in verdicts] == [outcome]
