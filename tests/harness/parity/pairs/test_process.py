"""A user's code runs in a process of its own, with limits; what is wrong with it is said."""

import os
import select
import subprocess
import sys

import pytest
from safetensors.numpy import load_file

from harness.command import cli
from harness.errors import BenchError
from harness.foreign import Source
from harness.parity.check import assert_same_model
from harness.parity.pairs.orders import Compute, Computed, Inspect, Looked
from harness.parity.pairs.process import SideProcess
from harness.parity.pairs.side import drawn, named
from harness.running.apart import Stopped
from harness.running.guard import Limits

NET = "def torch_model():\n    from torch import nn\n    return nn.Linear(4, 2)\n"


@pytest.fixture(scope="module")
def torch():
    with SideProcess(Source("torch", ""), Limits()) as side:
        yield side


def look(side, path, text):
    path.write_text(text)
    return side.ask(Inspect(Source("torch", str(path), "torch_model", str(path)), str(path) + ".given", True), Looked)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import keras\n", "keras is imported in the process of the other framework"),
        ("x = 1\n", r"has no function torch_model\(\)"),
        ("def torch_model():\n    return 3\n", "torch_model returns a int, not a torch module"),
        ("def torch_model():\n    return 1 / 0\n", r"torch_model\(\) of .*ZeroDivisionError.*torch_model, pair.py:2"),
        ("def torch_model(:\n", "SyntaxError"),
        (NET, r"define inputs = \[\(height, width, channels\), \.\.\.\]"),
        (NET + "inputs = 'abc'\n", "is no shape"),
        (NET + "inputs = (5,)\n", r"does not run on inputs of \(32, 5\).*RuntimeError"),
        (NET + "inputs = (4,)\nmapping = [1]\n", "mapping: must be a dictionary"),
        (NET + "inputs = (4,)\ntorch_optimiser = 1\n", "has torch_optimiser and no torch_optimizer: did you mean that"),
        (NET + "input = (4,)\n", "has input and no inputs: did you mean that"),
        (NET + "inputs = (4,)\ntorch_input = [(4,)]\n", "has torch_input and no torch_inputs: did you mean that"),
        (NET + "def inputs(rng, n):\n    return rng.normal(size=(3, 4))\n", r"must return arrays of n numbers or rows"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(torch, tmp_path, text, said):
    with pytest.raises(BenchError, match=said):
        look(torch, tmp_path / "pair.py", text)


@pytest.mark.slow
def test_other_names_of_a_file_are_its_own(torch, tmp_path):
    """A private one, one beside that which it is like, and what a file of tests has."""
    own = "_torch_input = 1\ntorch_inputs = [(4,)]\ntorch_input = 2\nshape = 3\nkeras_layers = torch_layers = 4\n"
    assert look(torch, tmp_path / "pair.py", NET + "inputs = (4,)\n" + own).inspected.answers == 1


@pytest.mark.slow
def test_a_side_looks_at_a_model_and_goes_on_after_a_refusal(torch, tmp_path):
    looked = look(torch, tmp_path / "pair.py", NET + "inputs = (4,)\n")
    (part,) = looked.inspected.parts
    assert (part.kind, part.arrays["kernel"].name, part.arrays["kernel"].common()) == ("dense", "weight", (4, 2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "own"),
    [
        ("nn.utils.spectral_norm(nn.Linear(4, 2))", ["bias", "weight_orig"]),
        ("nn.utils.weight_norm(nn.Linear(4, 2))", ["bias", "weight_g", "weight_v"]),
        ("nn.utils.parametrizations.spectral_norm(nn.Linear(4, 2))", ["bias", "parametrizations.weight.original"]),
        (
            "nn.utils.parametrizations.weight_norm(nn.LSTM(4, 2), 'weight_hh_l0')",
            ["weight_ih_l0", "bias_ih_l0", "bias_hh_l0"]
            + [f"parametrizations.weight_hh_l0.original{place}" for place in (0, 1)],
        ),
    ],
)
def test_a_layer_whose_arrays_are_computed_is_looked_at_array_by_array(torch, tmp_path, made, own):
    text = f"inputs = (5, 4)\ndef torch_model():\n    from torch import nn\n    return nn.Sequential({made})\n"
    parts = look(torch, tmp_path / "pair.py", text).inspected.parts
    assert [part.name for part in parts if part.kind == "own"] == [f"0.{name}" for name in own]
    kernels = [array.common()[0] for part in parts for array in part.arrays.values() if len(array.common()) > 1]
    assert set(kernels) <= {1, 4, 2}  # inputs first, as in Keras


LSTM = """
inputs = (5, 3)
def torch_model():
    from torch import nn
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 2, batch_first=True)
        def forward(self, x):
            return self.lstm(x)[0]
    return Net()
def torch_optimizer(model):
    import torch
    return torch.optim.SGD([each for each in model.parameters() if each.requires_grad], 0.1)
"""


@pytest.mark.slow
def test_what_the_corrected_steps_hold_still_is_trained_again_at_the_next_seed(torch, tmp_path):
    look(torch, tmp_path / "pair.py", LSTM)
    given, out = f"{tmp_path / 'pair.py'}.given", str(tmp_path / "out")
    for _ in range(2):
        told = torch.ask(Compute(("optimizer",), given, out, ("lstm.bias_hh_l0",)), Computed)
        assert told.broken == {}
        left = load_file(out)
        for steps, moves in (("optimizer", True), ("corrected", False)):
            one, five = (left[f"float32/{steps}/{step}/array/lstm.bias_hh_l0"] for step in (1, 5))
            assert (one != five).any() == moves


@pytest.mark.slow
def test_a_side_takes_with_it_what_the_users_code_has_started(tmp_path):
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    text = f"import subprocess\nsubprocess.Popen(['sleep', '600'], stdout=open({str(fifo)!r}, 'w'))\nprint('x')\n"
    with SideProcess(Source("torch", ""), Limits()) as side, pytest.raises(BenchError, match="has no function"):
        look(side, tmp_path / "pair.py", text)
    ended, _, _ = select.select([reader], [], [], 60)
    assert ended == [reader]  # nobody holds its other end any more
    assert os.read(reader, 1) == b""
    os.close(reader)


@pytest.mark.slow
def test_weights_alone_are_unpickled(torch, tmp_path):
    text = """
import pickle, torch
class Evil:
    def __reduce__(self):
        return print, ("unpickled",)
torch.save(Evil(), __file__ + ".pt")
def torch_model():
    return torch.load(__file__ + ".pt", weights_only=False)
"""
    with pytest.raises(BenchError, match="Weights only load failed"):
        look(torch, tmp_path / "pair.py", text)


@pytest.mark.slow
def test_a_side_that_takes_too_long_is_stopped(tmp_path):
    said = pytest.raises(Stopped, match=r"torch: stopped: it took longer than timeout=0\.5 seconds")
    with SideProcess(Source("torch", ""), Limits(0.5)) as side, said:
        look(side, tmp_path / "pair.py", "while True: pass\n")


@pytest.mark.slow
def test_a_side_that_dies_leaves_its_last_words(tmp_path):
    said = pytest.raises(Stopped, match=r"ended with exit code 3:\s+farewell")
    with SideProcess(Source("torch", ""), Limits()) as side, said:
        look(side, tmp_path / "pair.py", "import os, sys\nprint('\x1b[1mfarewell\x1b[0m', flush=True)\nos._exit(3)\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pair=nothing.py"], "pair=nothing.py: there is no such file"),
        (["pair=p.py", "rung=training"], "unknown rung of a pair 'training'"),
        (["pair=p.py", "between=jax,flax"], "unknown framework of a pair 'flax': did you mean"),
        (["pair=p.py", "between=jax"], "between=jax: must name two frameworks of a pair, as in jax,torch"),
        (["pair=p.py", "between=jax,jax"], "between=jax,jax: must name two frameworks of a pair"),
        (["pair=p.py", "keras=p.py", "between=jax,torch"], "names no Keras model, and keras= is one"),
        (["pair=p.py", "onnx=p.py", "between=jax,torch"], "is for two models of a pair, and not for an ONNX file"),
        (["pair=p.py", "weights=mine"], "must be one of drawn, ours, theirs, own"),
        (["pair=p.py", "mapping=."], "mapping=.: is a folder"),
        (["keras=p.py"], "and the other model?"),
        (["onnx=p.py"], "onnx=p.py: and the other model? keras=FILE.keras, onnx2=FILE.onnx, or pair=FILE.py"),
        (["onnx2=p.py"], "onnx2=p.py: and the other model? onnx=FILE.onnx"),
        (["onnx=p.py", "onnx2=p.py", "keras=p.py"], "is compared with the ONNX file of onnx=, and with nothing else"),
        (["pair=p.py", "onnx=no.onnx"], "onnx=no.onnx: there is no such file"),
        (["pair=p.py", "onnx=p.py", "rung=state"], "unknown rung of a pair with an ONNX file 'state'"),
        (["pair=p.py", "onnx=p.py", "weights=theirs"], "weights=theirs: cannot be used with an ONNX file"),
        (["pair=p.py", "onnx=p.py", "converter=c.py"], "converter=c.py: cannot be used with an ONNX file"),
        (["pair=p.py", "layout=first"], "layout=first: is for an ONNX file"),
        (["layout=first"], "layout=first: is only for a pair"),
        (["pair="], "pair=: names no file"),  # of a variable that is not set: not the climb of all our own variants
        (["keras=", "onnx=p.py"], "keras=: names no file"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_started(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.py").write_text(NET)
    assert cli.main(["parity", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_function_that_another_process_cannot_find_is_refused():
    with pytest.raises(BenchError, match="must be a function of a Python file"):
        assert_same_model(lambda: None, lambda: None)


class Nothing:
    def get(self, name):
        return {"inputs": {"words": {"shape": (6,), "below": 9}, "image": (4, 4, 1)}}.get(name)


def test_inputs_are_drawn_by_shape_and_padded_where_they_are_tokens():
    inputs = drawn(Nothing(), (), 0)
    assert {name: array.shape[1:] for name, array in inputs.items()} == {"words": (6,), "image": (4, 4, 1)}
    words = inputs["words"]
    assert words.min() == 0 and words.max() == 8  # noqa: PT018
    assert (words[1::2, -2:] == 0).all()
    with pytest.raises(BenchError, match="must return arrays"):
        named("abc", "inputs")


@pytest.mark.slow
@pytest.mark.parity
def test_code_in_a_keras_file_is_not_run_unless_the_user_says_so(tmp_path):
    """A Lambda layer of a .keras file is Python code, which leaves a trace where it runs."""
    trace, file = tmp_path / "trace", tmp_path / "model.keras"
    makes = f"""
import keras
code = "lambda x: [x, open({str(trace)!r}, 'w').close()][0]"
inner = eval(code)
model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(inner, output_shape=(4,)), keras.layers.Dense(2)])
model.save({str(file)!r})
"""
    subprocess.run([sys.executable, "-c", makes], check=True, capture_output=True)
    trace.unlink(missing_ok=True)  # building it ran it, too
    pair = tmp_path / "pair.py"
    pair.write_text(NET + "inputs = (4,)\n")
    orders = Inspect(Source("keras", str(file), "", str(pair)), str(tmp_path / "given"), True)
    with (
        SideProcess(Source("keras", ""), Limits()) as side,
        pytest.raises(BenchError, match=r"cannot be read: .*Lambda.*trust=true also runs Python code"),
    ):
        side.ask(orders, Looked)
    assert not trace.exists()
    trusted = Inspect(Source("keras", str(file), "", str(pair), True), str(tmp_path / "given"), True)
    with SideProcess(Source("keras", ""), Limits()) as side:
        side.ask(trusted, Looked)
    assert trace.exists()  # so that the refusal above was of something


@pytest.mark.parity
def test_a_file_in_another_format_of_keras_is_told_which_is_read(tmp_path):
    file, pair = tmp_path / "model.h5", tmp_path / "pair.py"
    file.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    pair.write_text(NET + "inputs = (4,)\n")
    with (
        SideProcess(Source("keras", ""), Limits()) as side,
        pytest.raises(BenchError, match=r"model.h5: is no file in the format .keras, which alone is read: model.save"),
    ):
        side.ask(Inspect(Source("keras", str(file), "", str(pair)), str(tmp_path / "given"), True), Looked)
