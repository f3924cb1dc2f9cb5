"""Functions of JAX beside Keras models and torch modules: what is right passes, and each planted mistake is found where
it is. Mistakes are planted into the text of the JAX side, as a porter writes them.
"""

from typing import NamedTuple

import pytest

from harness.foreign import Source
from harness.parity.pairs.climb import PairRequest, Pairs
from harness.running.guard import Limits
from tests.parity.pairs.planted import HERE, broken

pytest.importorskip("jax", reason="JAX is not installed: pip install 'cijbench[jax]'")
pytestmark = [pytest.mark.parity, pytest.mark.slow]

CNN, TAGGER, FOLDER = "jax_cnn", "jax_tagger", "jax_folder"


class Fault(NamedTuple):
    """What is written in the place of what, the first rung that breaks, and what that names beside torch."""

    pair: str
    right: str
    wrong: str
    rung: str
    where: str


FAULTS = {
    "padding on both sides": Fault(CNN, '"SAME"', "[(1, 1), (1, 1)]", "forward", "stem (1)"),
    "a norm's epsilon": Fault(CNN, "1e-3", "1e-5", "forward", "norm (2); epsilon is 1e-05 in jax, 0.001 in torch"),
    "an unbiased variance": Fault(CNN, "parts.var(", "parts.var(ddof=1, axis=", "forward", "norm (2)"),
    "gelu by tanh": Fault(CNN, "approximate=False", "approximate=True", "forward", "look behind body: jax computes"),
    "relu for tanh": Fault(CNN, "jnp.tanh(x @", "jax.nn.relu(x @", "forward", "look behind hidden: jax computes relu"),
    "a flattening of turned images": Fault(
        CNN, "x.reshape(len(x), -1)", "x.swapaxes(1, 2).reshape(len(x), -1)", "forward", "hidden (7); it is given other"
    ),
    "a bias left out": Fault(CNN, ' + params["classes"]["b"]', "", "structure", "torch's 9 has a bias"),
    "a kernel of another size": Fault(
        CNN, '"w": (3, 3, 8, 6)', '"w": (5, 5, 8, 6)', "structure", "body/kernel is (5, 5, 8, 6) in jax"
    ),
    "an answer held still": Fault(
        CNN, "return x @ params", "return jax.lax.stop_gradient(x) @ params", "gradients", "stem/kernel"
    ),
    "a loss summed": Fault(CNN, "expected[:, None], axis=1)", "expected[:, None], axis=1).sum()", "gradients", "loss"),
    "Adam's second beta": Fault(CNN, "0.999", "0.99", "optimizer", "after 2 steps"),
    "gates in another order": Fault(TAGGER, "i, f, g, o =", "i, f, o, g =", "forward", "params/2 (out)"),
    "a forget gate with one added": Fault(TAGGER, "sigmoid(f)", "sigmoid(f + 1.0)", "forward", "params/2 (out)"),
    "a hard sigmoid": Fault(TAGGER, "sigmoid(o)", "hard_sigmoid(o)", "forward", "params/2 (out)"),
    "a cell's state for its answer": Fault(TAGGER, "cell), hidden", "cell), cell", "forward", "params/2 (out)"),
    "words scaled": Fault(TAGGER, "table[words]", "table[words] * 8**0.5", "forward", "params/2 (out)"),
    "a rate ten times as high": Fault(TAGGER, "-0.1", "-1.0", "optimizer", "after 1 step"),
    "statistics' epsilon": Fault(FOLDER, "1e-3) *", "1e-5) *", "forward", "epsilon is 1e-05 in jax, 0.001 in torch"),
    "an image upsampled by tiles": Fault(
        FOLDER, "jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)", "jnp.tile(x, (1, 2, 2))", "forward", "params/up (up)"
    ),
}


def source(kind, path):
    return Source(kind, str(path), f"{kind}_model", str(path))


class Beside:
    """Two processes, of JAX and of another framework, for all pairs."""

    def __init__(self, kinds):
        self._kinds, first = kinds, HERE / f"{CNN}.py"
        self._pairs = Pairs(*(source(kind, first) for kind in kinds), Limits())

    def close(self):
        self._pairs.__exit__()

    def climb(self, path, faulty=None, **asked):
        paths = [faulty if faulty and kind == "jax" else path for kind in self._kinds]
        sources = [source(kind, each) for kind, each in zip(self._kinds, paths, strict=True)]
        request = PairRequest("net", *sources, **asked)
        return [verdict for verdicts in self._pairs.climb(request) for verdict in verdicts]


@pytest.fixture(scope="module")
def torch():
    beside = Beside(("jax", "torch"))
    yield beside
    beside.close()


@pytest.fixture(scope="module")
def keras():
    beside = Beside(("keras", "jax"))
    yield beside
    beside.close()


def planted(folder, name):
    fault = FAULTS[name]
    text = (HERE / f"{fault.pair}.py").read_text()
    before, found, after = text.partition(fault.right)
    assert found, name
    path = folder / f"pair_{list(FAULTS).index(name)}.py"
    path.write_text(before + fault.wrong + after)
    return path


@pytest.mark.parametrize("pair", [CNN, TAGGER, FOLDER])
@pytest.mark.parametrize("beside", ["torch", "keras"])
def test_what_is_right_passes(request, beside, pair):
    verdicts = request.getfixturevalue(beside).climb(HERE / f"{pair}.py", seeds=(0, 1))
    assert [verdict for verdict in verdicts if verdict.outcome == "breaks"] == []
    skipped = {verdict.rung for verdict in verdicts if verdict.outcome == "skipped"}
    assert skipped == ({"gradients", "state", "optimizer"} if pair == FOLDER else set())
    assert {"structure", "forward", "gradients", "optimizer"} <= {verdict.rung for verdict in verdicts}
    said = " ".join(verdict.note for verdict in verdicts if verdict.outcome in ("differs", "skipped"))
    told = {
        ("torch", TAGGER): "torch trains a second bias, lstm.bias_hh_l0",
        ("keras", CNN): "Keras adds epsilon before the bias correction, optax after it",
        ("torch", FOLDER): "it takes batch_stats/norm/var, not the batch's own",
        ("keras", FOLDER): "it takes batch_stats/norm/var, not the batch's own",
    }
    assert told.get((beside, pair), "") in said
    assert bool(said) == ((beside, pair) in told)


@pytest.mark.parametrize("name", FAULTS)
def test_a_mistake_is_found_where_it_is(torch, tmp_path, name):
    fault = FAULTS[name]
    rungs = {"structure": ("structure",), "forward": ("structure", "forward")}
    asked = {"rungs": rungs[fault.rung]} if fault.rung in rungs else {}
    found = broken(torch.climb(HERE / f"{fault.pair}.py", planted(tmp_path, name), **asked))
    assert [verdict.rung for verdict in found][:1] == [fault.rung]
    assert fault.where in " ".join(f"{verdict.worst}; {verdict.note}" for verdict in found)


@pytest.mark.parametrize(
    "name", ["padding on both sides", "gelu by tanh", "gates in another order", "statistics' epsilon"]
)
def test_a_mistake_is_found_beside_keras_too(keras, tmp_path, name):
    pair = FAULTS[name].pair
    verdicts = keras.climb(HERE / f"{pair}.py", planted(tmp_path, name), rungs=("structure", "forward"))
    assert [verdict.rung for verdict in broken(verdicts)][:1] == ["forward"]


def test_a_flattening_of_channels_first_is_no_mistake_but_another_order_of_weights(keras, tmp_path):
    text = (HERE / f"{CNN}.py").read_text()
    path = tmp_path / "pair.py"
    path.write_text(text.replace("x.reshape(len(x), -1)", "x.transpose(0, 3, 1, 2).reshape(len(x), -1)"))
    verdicts = keras.climb(HERE / f"{CNN}.py", path, rungs=("structure", "forward", "gradients"))
    assert {verdict.outcome for verdict in verdicts} == {"passes"}
    assert "behind a flattening of (6, 8, 8), channels first" in keras._pairs.table()


OWN = """
import numpy as np

KERNEL = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
inputs = (3,)


def jax_model():
    return lambda params, x: x @ params["w"], {{"w": {kernel}}}


def torch_model():
    import torch

    layer = torch.nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(KERNEL.T))
    return layer
"""


@pytest.mark.parametrize(("kernel", "outcome"), [("KERNEL", "passes"), ("KERNEL.T", "breaks")])
def test_weights_of_their_own_are_the_same_or_not(torch, tmp_path, kernel, outcome):
    path = tmp_path / "pair.py"
    path.write_text(OWN.format(kernel=kernel))
    verdicts = torch.climb(path, rungs=("structure", "forward"), weights="own")
    assert [verdict.outcome for verdict in verdicts[:1]] == [outcome]
    if outcome == "breaks":
        assert "w/kernel (weight): the weights are apart by" in verdicts[0].note
        assert "one is the other's transpose" in verdicts[0].note


STEPPED = """
inputs = (4,)


def jax_model():
    import numpy as np

    return lambda params, x: x @ params["w"], {"w": np.zeros((4, 2))}


def torch_model():
    from torch import nn

    return nn.Linear(4, 2, bias=False)


def jax_optimizer():
    return lambda params: 0, None


def jax_step(params, state, x, y):
    import jax

    def loss(params):
        return ((x @ params["w"] - y) ** 2).mean()

    value, gradients = jax.value_and_grad(loss)(params)
    return value, jax.tree.map(lambda w, g: w - 0.1 / (1 + state) * g, params, gradients), state + 1


def torch_optimizer(model):
    import torch

    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
"""


@pytest.mark.parametrize(("wrong", "outcome"), [("1 + state", "passes"), ("2 + state", "breaks")])
def test_a_step_of_ones_own_is_made(torch, tmp_path, wrong, outcome):
    path = tmp_path / "pair.py"
    path.write_text(STEPPED.replace("1 + state) *", f"{wrong}) *"))
    verdicts = torch.climb(path, rungs=("optimizer",))
    assert {verdict.outcome for verdict in verdicts} == {outcome}
