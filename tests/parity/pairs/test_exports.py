"""Both models of a pair as their frameworks' own exporters write them: a graph that departs is named by its side."""

import pytest
from msgspec.structs import replace

from harness.parity.pairs.climb import PairRequest
from tests.parity.pairs.planted import HERE, source

pytestmark = [pytest.mark.parity, pytest.mark.slow]

PAIR = """
inputs = (6,)


def keras_model():
    import keras
    import tensorflow as tf

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = keras.layers.Dense(5, name="one"), keras.layers.Dense(3, name="two")

        def call(self, x):
            x = self.one(x)
            {keras}
            return self.two(x)

    return Net()


def torch_model():
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = torch.nn.Linear(6, 5), torch.nn.Linear(5, 3)

        def forward(self, x):
            x = self.one(x)
            {torch}
            return self.two(x)

    return Net()
"""
RELU = {"keras": "x = keras.ops.relu(x)", "torch": "x = torch.relu(x)"}
FROZEN = {  # branches of Python, which tracing freezes
    "keras": "x = keras.ops.relu(x) if tf.executing_eagerly() else keras.ops.relu(x) * 1.001",
    "torch": "x = torch.relu(x) if not torch.compiler.is_exporting() else torch.relu(x) * 1.001",
}
TRAINING = {  # dropout that drops in the graph alone, and a norm that takes the batch's statistics there
    "keras": "x = keras.ops.relu(x if tf.executing_eagerly() else tf.nn.dropout(x, 0.5))",
    "torch": "x = torch.relu(x - x.mean(0) if torch.compiler.is_exporting() else x)",
}
NOT_WRITTEN = {
    "keras": "x = keras.ops.relu(x) if tf.executing_eagerly() else 1 / 0",
    "torch": "x = torch.relu(x) if not torch.compiler.is_exporting() else 1 / 0",
}


def climb(pairs, path, **asked):
    request = PairRequest("net", source("keras", path), source("torch", path), ("forward", "export"))
    return [verdict for verdicts in pairs.climb(replace(request, **asked)) for verdict in verdicts]


def pair(folder, **wrong):
    path = folder / "pair.py"
    path.write_text(PAIR.format(**(RELU | wrong)))
    return path


@pytest.mark.parametrize("name", ["two_inputs", "mlp_embeddings", "unet"])
def test_graphs_of_right_ports_answer_what_their_models_do(pairs, name):
    found = climb(pairs, HERE / f"{name}.py", rungs=("export",), seeds=(0, 1))
    assert [verdict.outcome for verdict in found] == ["passes"] * len(found)
    told = [(verdict.seed, verdict.worst.partition("'")[0]) for verdict in found]
    assert told == [(0, "keras"), (0, "torch"), (1, "keras"), (1, "torch")]


@pytest.mark.parametrize("planted", [FROZEN, TRAINING], ids=["frozen", "training"])
@pytest.mark.parametrize("side", ["keras", "torch"])
def test_a_graph_that_is_not_its_model_is_named(pairs, tmp_path, side, planted):
    found = climb(pairs, pair(tmp_path, **{side: planted[side]}))
    outcomes = {verdict.worst.partition("'")[0]: verdict for verdict in found if verdict.rung == "export"}
    assert {label: verdict.outcome for label, verdict in outcomes.items()} == {
        label: "breaks" if label == side else "passes" for label in ("keras", "torch")
    }
    assert {verdict.outcome for verdict in found if verdict.rung == "forward"} == {"passes"}
    assert "onnx has nowhere what two" in outcomes[side].note


@pytest.mark.parametrize("side", ["keras", "torch"])
def test_what_cannot_be_written_is_not_run_and_breaks_only_where_it_is_asked_for(pairs, tmp_path, side):
    path = pair(tmp_path, **{side: NOT_WRITTEN[side]})
    for insists, outcome in ((False, "skipped"), (True, "breaks")):
        found = [verdict for verdict in climb(pairs, path, insists=insists) if verdict.rung == "export"]
        assert sorted(verdict.outcome for verdict in found) == sorted(["passes", outcome])
        (told,) = [verdict.note for verdict in found if verdict.outcome == outcome]
        assert told.startswith(f"not run: {side}: {side.capitalize() if side == 'keras' else side}'s exporter: ")
        assert "\x1b" not in told
        assert "steps:" not in told  # which torch says in the place of the cause
        assert "ZeroDivisionError" in told


def test_a_graph_that_nothing_can_run_is_none(pairs):
    """TensorFlow writes the exact gelu with an operator that ONNX does not have."""
    found = climb(pairs, HERE / "vit.py", rungs=("export",))
    assert [verdict.outcome for verdict in found] == ["skipped", "passes"]
    assert "not run: keras: its graph uses operators that ONNX Runtime does not have: Erfc" in found[0].note
