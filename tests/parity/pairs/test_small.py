"""Small pairs, each of one thing that ports have: a right port breaks nowhere, and a wrong one where it is wrong."""

import textwrap

import pytest
from msgspec.structs import replace

from harness.errors import BenchError
from harness.parity.pairs.climb import PairRequest
from tests.parity.pairs.planted import source

pytestmark = [pytest.mark.parity, pytest.mark.slow]

FILE = """
inputs = {inputs}


def keras_model():
    import keras
    import numpy as np
    from keras import layers as L
    from keras import ops

    def model(*layers):
        return keras.Sequential([keras.Input(inputs), *layers])

{keras}

def torch_model():
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Computed(nn.Module):
        def __init__(self, compute):
            super().__init__()
            self.compute = compute

        def forward(self, x):
            return self.compute(self, x)

{torch}
"""


@pytest.fixture
def climb(pairs, tmp_path):
    """Climbs a pair of these bodies of functions."""

    def climb(inputs, keras, torch, more="", rungs=("structure", "forward", "gradients", "optimizer"), **asked):
        path = tmp_path / f"pair_{len(list(tmp_path.iterdir()))}.py"
        bodies = {kind: textwrap.indent(textwrap.dedent(body), "    ") for kind, body in
                  (("keras", keras), ("torch", torch))}  # fmt: skip
        path.write_text(FILE.format(inputs=inputs, **bodies) + textwrap.dedent(more))
        request = PairRequest("net", source("keras", path), source("torch", path), rungs)
        return [verdict for verdicts in pairs.climb(replace(request, **asked)) for verdict in verdicts]

    return climb


def broken(verdicts):
    """The rungs that break, and what is said of each."""
    return [(each.rung, f"{each.worst} {each.note}") for each in verdicts if each.outcome == "breaks"]


def found(verdicts, rung, said):
    """Whether the first rung that breaks is this one, and says this."""
    return bool(told := broken(verdicts)) and told[0][0] == rung and any(said in note for _, note in told)


# --- what is kept in single precision -----------------------------------------------------------------------------

NORM = """
class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x):
        y = x.float()
        return self.scale * (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)

return nn.Sequential(nn.Linear(4, 6), Norm(), nn.Linear(6, 2))
"""
KERAS_NORM = """
class Norm(L.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], name="scale")

    def call(self, x):
        y = ops.cast(x, "float32")
        return ops.cast(y * ops.rsqrt(ops.mean(y * y, -1, keepdims=True) + 1e-6), x.dtype) * self.scale

return model(L.Dense(6), Norm(), L.Dense(2))
"""
IN_DOUBLE = {
    "a constant": (
        (5, 5, 3),
        "return model(L.Rescaling(1 / 255), L.Conv2D(4, 3), L.GlobalAveragePooling2D())",
        "net = Computed(lambda net, x: net.conv(x / 255).mean((2, 3)))\nnet.conv = nn.Conv2d(3, 4, 3)\nreturn net",
        ("255", "255.00001"),
    ),
    "constants of channels": (
        (5, 5, 3),
        "return model(L.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.01, 0.02, 0.03]), L.Conv2D(4, 3))",
        "net = Computed(lambda net, x: net.conv((x - mean) / variance.sqrt()))\nnet.conv = nn.Conv2d(3, 4, 3)\n"
        "mean, variance = (torch.tensor(each)[:, None, None] for each in ([0.4, 0.5, 0.6], [0.01, 0.02, 0.03]))\n"
        "return net",
        ("0.02,", "0.02000001,"),
    ),
    "a norm that is written for half precision": ((4,), KERAS_NORM, NORM, ("1e-6", "1.001e-6")),
}


@pytest.mark.parametrize("name", IN_DOUBLE)
def test_what_frameworks_or_models_keep_in_single_precision_is_computed_in_double(climb, name):
    inputs, keras, torch, (right, wrong) = IN_DOUBLE[name]
    verdicts = climb(inputs, keras, torch)
    assert broken(verdicts) == []
    assert {verdict.precision for verdict in verdicts if verdict.rung == "forward"} == {"float32", "float64"}
    assert max(verdict.allowed for verdict in verdicts if verdict.precision == "float64") < 1e-10
    assert found(climb(inputs, keras, torch.replace(right, wrong)), "forward", "it is given")


IN_SINGLE = {
    "an operation that answers in single precision": (
        (4, 4, 3),
        "return model(L.UpSampling2D(2, interpolation='bilinear'), L.Conv2D(2, 3))",
        "return nn.Sequential(nn.Upsample(scale_factor=2, mode='bilinear'), nn.Conv2d(3, 2, 3))",
        ("keras computes ResizeBilinear of up_sampling2d", "in single precision always, so float32 judges"),
        ("'bilinear'", "'bilinear', align_corners=True"),
    ),
    "an operation without double precision": (
        (6, 6, 6, 2),
        "return model(L.Conv3D(4, 3), L.MaxPooling3D(2), L.GlobalAveragePooling3D(), L.Dropout(0.5), L.Dense(2))",
        "return nn.Sequential(nn.Conv3d(2, 4, 3), nn.MaxPool3d(2), nn.AdaptiveAvgPool3d(1), nn.Flatten(), "
        "nn.Dropout(0.5), nn.Linear(4, 2))",
        ("keras does not run in double precision (InvalidArgumentError", "so float32 judges"),
        ("MaxPool3d", "AvgPool3d"),
    ),
    "channels first, which have no double precision on a processor": (
        (3, 6, 5),
        "return model(L.Conv2D(4, 3, data_format='channels_first'), L.BatchNormalization(axis=1), "
        "L.GlobalAveragePooling2D(data_format='channels_first'), L.Dense(2))",
        "return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, 1e-3, 0.01), nn.AdaptiveAvgPool2d(1), "
        "nn.Flatten(), nn.Linear(4, 2))",
        ("keras does not run in double precision (UnimplementedError", "so float32 judges"),
        ("1e-3", "1e-5"),
    ),
    "a constant of the torch module": (
        (4,),
        "return model(L.Rescaling(1 / 3), L.Dense(2))",
        "net = Computed(lambda net, x: net.dense(x * net.third))\nnet.dense = nn.Linear(4, 2)\n"
        "net.register_buffer('third', torch.tensor([1 / 3], dtype=torch.float32))\nreturn net",
        ("torch computes the constant third in single precision always, so float32 judges",),
        ("1 / 3", "1.00001 / 3"),
    ),
}


@pytest.mark.parametrize("name", IN_SINGLE)
def test_what_is_in_single_precision_whatever_is_asked_is_judged_so_and_says_so(climb, name):
    inputs, keras, torch, said, (right, wrong) = IN_SINGLE[name]
    more = "torch_inputs = [inputs]\n" if "first" in name else ""
    verdicts = climb(inputs, keras, torch, more)
    assert broken(verdicts) == []
    told = " ".join(verdict.note for verdict in verdicts if verdict.rung == "forward")
    assert [words for words in said if words not in told] == []
    assert "\x1b" not in told
    assert "[1m" not in told
    assert found(climb(inputs, keras, torch.replace(right, wrong), more), "forward", "it is given")


def test_a_model_that_was_saved_is_the_same_where_the_file_loads_it(climb, tmp_path):
    """Its layers say in the file that they are in single precision."""
    saved = f"{tmp_path}/net.keras"
    keras = f"""
    import os
    import keras as K

    if not os.path.exists({saved!r}):
        model(L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU(), L.Flatten(), L.Dense(2)).save({saved!r})
    return K.models.load_model({saved!r})
    """
    torch = """
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, 1e-3, 0.01), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    """
    verdicts = climb((6, 6, 3), keras, torch)
    assert broken(verdicts) == []
    assert max(verdict.allowed for verdict in verdicts if verdict.precision == "float64") < 1e-10
    assert found(climb((6, 6, 3), keras, torch.replace("1e-3", "1.0001e-3")), "forward", "epsilon is 0.001 in keras")


@pytest.mark.parametrize("kept", ["float16", "bfloat16"])
def test_a_module_in_half_precision_is_not_taken_for_one_in_single(climb, kept):
    keras, torch = "return model(L.Dense(4), L.Dense(2))", "return nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2))"
    assert broken(climb((6,), keras, torch, rungs=("structure",))) == []
    verdicts = climb((6,), keras, f"{torch}.to(torch.{kept})", rungs=("structure",))
    said = f"dense/kernel (0.weight) is in full precision in keras, {kept} in torch, as are 3 more: to compare them"
    assert found(verdicts, "structure", said)


# --- what is put round a module ---------------------------------------------------------------------------------

ROUND = {
    "the whole": "net = torch.compile(net)",
    "a part, and another in place": "net[0] = torch.compile(net[0])\nnet[1].compile()",
}


@pytest.mark.parametrize("name", ROUND)
def test_a_module_is_looked_at_below_what_compiles_it(climb, name):
    keras = "return model(L.Dense(4, activation='relu'), L.Dense(2))"
    torch = (
        f"net = nn.Sequential(nn.Sequential(nn.Linear(6, 4), nn.ReLU()), nn.Linear(4, 2))\n{ROUND[name]}\nreturn net"
    )
    verdicts = climb((6,), keras, torch, rungs=("structure", "forward", "gradients"))
    assert {verdict.outcome for verdict in verdicts} == {"passes"}
    assert found(climb((6,), keras, torch.replace("nn.ReLU", "nn.ReLU6")), "forward", "dense_1 (1)")


@pytest.mark.parametrize("scripted", ["torch.jit.script(nn.Linear(6, 2))",
                                      "nn.Sequential(torch.jit.trace(nn.Linear(6, 2), torch.ones(1, 6)))"])  # fmt: skip
def test_a_scripted_module_is_refused(climb, scripted):
    with pytest.raises(BenchError, match="a TorchScript module, which shows no layers: return it unscripted"):
        climb((6,), "return model(L.Dense(2))", f"return {scripted}")


def test_what_looks_at_signs_does_so_in_double_precision(climb):
    """Keras makes a number single by name there, to look at its bits."""
    keras = """
    given = keras.Input(inputs)
    chosen = ops.one_hot(ops.argmax(L.Dense(5, name="choice")(given), -1), 5)
    least = ops.one_hot(ops.argmin(given, -1), 5)
    return keras.Model(given, L.Dense(2)(chosen + least * ops.cast(ops.signbit(given[:, :5]), "float32")))
    """
    torch = """
    def compute(net, x):
        chosen, least = (F.one_hot(each, 5).to(x.dtype) for each in (net.choice(x).argmax(-1), x.argmin(-1)))
        return net.out(chosen + least * torch.signbit(x).to(x.dtype))

    net = Computed(compute)
    net.choice, net.out = nn.Linear(5, 5), nn.Linear(5, 2)
    return net
    """
    verdicts = climb((5,), keras, torch, rungs=("structure", "forward"))
    assert [(each.outcome, each.precision) for each in verdicts] == [
        ("passes", ""), ("passes", "float32"), ("passes", "float64")]  # fmt: skip
    assert found(
        climb((5,), keras, torch.replace("x.argmin", "x.argmax"), rungs=("forward",)), "forward", "dense (out)"
    )


# --- dropouts -----------------------------------------------------------------------------------------------------

DROPOUTS = {
    "of whole channels": (
        (12, 12, 3),
        "return model(L.Conv2D(4, 3), L.SpatialDropout2D(0.5), L.GlobalAveragePooling2D(), L.Dense(2))",
        "return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout2d(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), "
        "nn.Linear(4, 2))",
        ("Dropout2d(0.5)", "Dropout(0.5)"),
        ("structure", "keras has spatial_dropout2d 0.5 of whole channels; torch has 1 0.5"),
    ),
    "of a sequence's features, by a function": (
        (9, 4),
        "return model(L.Dense(6), L.SpatialDropout1D(0.5), L.Flatten(), L.Dense(2))",
        "net = Computed(lambda net, x: net.b(F.dropout1d(net.a(x).mT, 0.5, net.training).mT.flatten(1)))\n"
        "net.a, net.b = nn.Linear(4, 6), nn.Linear(54, 2)\nreturn net",
        ("0.5, net.training", "0.2, net.training"),
        ("structure", "torch has dropout1d 0 0.2 of whole channels"),
    ),
    "in place": (
        (8,),
        "return model(L.Dense(16), L.Dropout(0.5), L.Dense(2))",
        "return nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5, inplace=True), nn.Linear(16, 2))",
        ("nn.Dropout(0.5, inplace=True)", "Computed(lambda net, x: 0.9 * F.dropout(x, 0.5, net.training, True))"),
        ("forward", "dense_1 (2)"),
    ),
    "that keeps mean and variance": (
        (8,),
        "return model(L.Dense(16, activation='selu'), L.AlphaDropout(0.3), L.Dense(2))",
        "return nn.Sequential(nn.Linear(8, 16), nn.SELU(), nn.AlphaDropout(0.3), nn.Linear(16, 2))",
        ("AlphaDropout", "Dropout"),
        ("gradients", "/factor"),
    ),
}


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropouts_are_compared_by_what_they_draw(climb, name):
    inputs, keras, torch, (right, wrong), (rung, said) = DROPOUTS[name]
    assert broken(climb(inputs, keras, torch)) == []
    assert found(climb(inputs, keras, torch.replace(right, wrong)), rung, said)


# --- noise --------------------------------------------------------------------------------------------------------

NOISE = """
net = Computed(lambda net, x: net.dense(x + 0.5 * torch.randn_like(x) if net.training else x))
net.dense = nn.Linear(8, 3)
return net
"""
MULTIPLIED = """
net = Computed(lambda net, x: net.dense(x * torch.normal(1.0, 0.5, x.shape) if net.training else x))
net.dense = nn.Linear(8, 3)
return net
"""
SAMPLED = """
class Sampled(L.Layer):
    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator(1)

    def call(self, given):
        mean, spread = given
        return mean + ops.exp(0.5 * spread) * keras.random.normal(ops.shape(mean), seed=self.seed)

given = keras.Input(inputs)
mean, spread = L.Dense(2, name="mean")(given), L.Dense(2, name="spread")(given)
return keras.Model(given, L.Dense(6)(Sampled()([mean, spread])))
"""
SAMPLES = """
def compute(net, x):
    mean, spread = net.mean(x), net.spread(x)
    return net.out(mean + torch.exp(0.5 * spread) * torch.randn_like(mean))

net = Computed(compute)
net.mean, net.spread, net.out = nn.Linear(8, 2), nn.Linear(8, 2), nn.Linear(2, 6)
return net
"""
NOISES = {
    "that is added": ("return model(L.GaussianNoise(0.5), L.Dense(3))", NOISE, "0.5 *", "0.4 *", "answer 0 with noise"),
    "that is left out": (
        "return model(L.GaussianNoise(0.5), L.Dense(3))",
        NOISE,
        "x + 0.5 * torch.randn_like(x) if net.training else x",
        "x",
        "drawn at random in training: in keras gaussian_noise 0.5; in torch nothing",
    ),
    "that is added in inference too": (
        "return model(L.GaussianNoise(0.5), L.Dense(3))",
        NOISE,
        " if net.training else x",
        "",
        "torch draws at random in inference, keras does not",
    ),
    "that multiplies": (
        "return model(L.GaussianDropout(0.2), L.Dense(3))",
        MULTIPLIED,
        "1.0, 0.5",
        "1.0, 0.2",
        "answer 0 with noise",
    ),
    "of a variational autoencoder": (SAMPLED, SAMPLES, "0.5 * spread", "spread", "answer 0 with noise"),
}


@pytest.mark.parametrize("name", NOISES)
def test_noise_is_compared_at_one_standard_deviation(climb, name):
    keras, torch, right, wrong, said = NOISES[name]
    assert broken(climb((8,), keras, torch)) == []
    rung = "forward" if "in inference" in said else "gradients"
    assert found(climb((8,), keras, torch.replace(right, wrong)), rung, said)


def test_a_model_that_draws_in_inference_has_no_graph_that_answers_what_it_does(climb):
    verdicts = climb((8,), SAMPLED, SAMPLES, rungs=("forward", "export"))
    told = {verdict.outcome for verdict in verdicts if verdict.rung == "export"}, verdicts[-1].note
    assert told == ({"skipped"}, "not run: torch: it draws at random in inference, so its graph answers other numbers "
                                 "than it does")  # fmt: skip


def test_a_recurrent_dropout_that_is_left_out_breaks_and_one_of_the_ports_own_is_told(climb):
    keras = "return model(L.LSTM(5, dropout=0.4, recurrent_dropout=0.3), L.Dense(2))"
    torch = """
    def compute(net, x):
        keep = torch.bernoulli(torch.full_like(x[:, :1], 0.6)) / 0.6 if net.drops and net.training else 1.0
        return net.dense(net.lstm(x * keep)[0][:, -1])

    net = Computed(compute)
    net.lstm, net.dense, net.drops = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 2), False
    return net
    """
    said = "drawn at random in training: in keras lstm.dropout 0.4, lstm.recurrent_dropout 0.3; in torch "
    assert found(climb((6, 4), keras, torch), "gradients", f"{said}nothing")
    own = climb((6, 4), keras, torch.replace("False", "True"))
    assert f"{said}bernoulli" in [verdict.note for verdict in own if verdict.rung == "gradients"]


def test_a_model_that_answers_at_random_is_told(climb):
    keras = "return model(L.Dense(6), L.Dense(2))"
    torch = """
    net = Computed(lambda net, x: net.b(F.dropout(net.a(x), 0.5)))
    net.a, net.b = nn.Linear(8, 6), nn.Linear(6, 2)
    return net
    """
    told = dict(broken(climb((8,), keras, torch, rungs=("forward",))))["forward"]
    assert "torch answers at random: other numbers when it is run again" in told


# --- inputs -------------------------------------------------------------------------------------------------------


def test_an_input_of_truth_values_is_given_as_such(climb):
    inputs = """def inputs(rng, n):
        mask = rng.random((n, 6)) < 0.7
        mask[:, 0] = True
        return {"tokens": rng.integers(0, 20, (n, 6)), "mask": mask}
    """
    keras = """
    tokens, mask = keras.Input((6,), dtype="int32", name="tokens"), keras.Input((6,), dtype="bool", name="mask")
    x = L.Embedding(20, 8)(tokens)
    x = L.MultiHeadAttention(2, 4)(x, x, attention_mask=mask[:, None, :])
    return keras.Model({"tokens": tokens, "mask": mask}, L.Dense(3)(x))
    """
    torch = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.attention = nn.Embedding(20, 8), nn.MultiheadAttention(8, 2, batch_first=True)
            self.out = nn.Linear(8, 3)

        def forward(self, tokens, mask):
            x = self.words(tokens)
            return self.out(self.attention(x, x, x, key_padding_mask=~mask)[0])

    return Net()
    """
    more = "\n\n" + inputs.replace("\n    ", "\n")
    rungs = ("structure", "forward", "gradients", "export")
    assert broken(climb(None, keras, torch, more, rungs)) == []
    forgotten = torch.replace(", key_padding_mask=~mask", "")
    assert found(climb(None, keras, forgotten, more, rungs), "forward", "multi_head_attention")


@pytest.mark.parametrize("shape", ["", "torch_inputs = (3, 8, 8)\n"])
def test_images_of_whole_numbers_are_given_channels_first(climb, shape):
    keras = "return keras.Sequential([keras.Input((8, 8, 3)), L.Rescaling(1 / 255), L.Conv2D(4, 3)])"
    torch = "net = Computed(lambda net, x: net.conv(x / 255))\nnet.conv = nn.Conv2d(3, 4, 3)\nreturn net"
    more = f"\n\ndef inputs(rng, n):\n    return rng.integers(0, 256, (n, 8, 8, 3), dtype='uint8')\n\n\n{shape}"
    assert broken(climb(None, keras, torch, more)) == []
    assert found(climb(None, keras, torch.replace("255", "256"), more), "forward", "conv2d")


def test_a_keras_model_of_a_dictionary_says_itself_what_it_takes(climb):
    keras = """
    one, two = keras.Input((4,), name="one"), keras.Input((3,), name="two")
    return keras.Model({"two": two, "one": one}, L.Dense(2)(L.Concatenate()([one, two])))
    """
    torch = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(7, 2)

        def forward(self, two, one):
            return self.out(torch.cat([one, two], 1))

    return Net()
    """
    assert broken(climb(None, keras, torch)) == []
    assert found(climb(None, keras, torch.replace("[one, two]", "[two, one]")), "forward", "dense (out)")


def test_a_graph_that_keras_gives_more_inputs_than_the_model_has_is_none(climb):
    """Its exporter makes inputs of the tensors that a layer holds: no fault of the port, which is held to its own."""
    inputs, keras, torch, _ = IN_DOUBLE["constants of channels"]
    left, right = climb(inputs, keras, torch, rungs=("export",))
    assert (left.outcome, right.outcome) == ("skipped", "passes")
    assert left.note.endswith(
        "Keras's exporter: makes inputs of its graph out of 2 of the constants that a layer holds"
    )
    left, _ = climb(inputs, keras, torch, rungs=("export",), insists=True)
    assert left.outcome == "breaks"


# --- masks --------------------------------------------------------------------------------------------------------

LENGTHS = """
def compute(net, x):
    there = (x != -1).any(-1)
    steps, rows = there.sum(1), torch.arange(len(x))
    {compute}

net = Computed(compute)
net.lstm, net.dense = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 2)
return net
"""
MASKED = {
    "the last step that is there": (
        "return model(L.Masking(-1.0), L.LSTM(5), L.Dense(2))",
        "return net.dense(net.lstm(x)[0][rows, steps - 1])",
        ("[rows, steps - 1]", "[:, -1]"),
    ),
    "packed sequences": (
        "return keras.Sequential([keras.Input((None, 4)), L.Masking(-1.0), L.LSTM(5), L.Dense(2)])",
        "x = nn.utils.rnn.pack_padded_sequence(x, steps, batch_first=True, enforce_sorted=False)\n"
        "    return net.dense(net.lstm(x)[1][0][-1])",
        ("x = nn.utils.rnn.pack_padded_sequence(x, steps, batch_first=True, enforce_sorted=False)\n    ", ""),
    ),
    "a mean over the steps that are there": (
        "return model(L.Masking(-1.0), L.LSTM(5, return_sequences=True), L.GlobalAveragePooling1D(), L.Dense(2))",
        "return net.dense((net.lstm(x)[0] * there[..., None]).sum(1) / steps[:, None])",
        ("(net.lstm(x)[0] * there[..., None]).sum(1) / steps[:, None]", "net.lstm(x)[0].mean(1)"),
    ),
}


@pytest.mark.parametrize("name", MASKED)
def test_steps_that_keras_masks_are_none_to_a_right_port_and_some_to_one_that_forgets_them(climb, name):
    keras, compute, (right, wrong) = MASKED[name]
    torch, rungs = LENGTHS.format(compute=compute), ("structure", "forward", "gradients")
    assert broken(climb((7, 4), keras, torch, rungs=rungs)) == []
    assert found(climb((7, 4), keras, torch.replace(right, wrong), rungs=rungs), "forward", "look behind lstm")


def test_tokens_that_an_embedding_masks_end_a_sequence_as_lengths_tell(climb):
    keras = """
    tokens = keras.Input((7,), dtype="int32")
    return keras.Sequential([tokens, L.Embedding(10, 4, mask_zero=True), L.LSTM(5), L.Dense(2)])
    """
    torch = """
    def compute(net, x):
        x, steps = net.tokens(x), (x != 0).sum(1)
        x = nn.utils.rnn.pack_padded_sequence(x, steps, batch_first=True, enforce_sorted=False)
        return net.dense(net.lstm(x)[1][0][-1])

    net = Computed(compute)
    net.tokens, net.lstm, net.dense = nn.Embedding(10, 4), nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 2)
    return net
    """
    tokens, rungs = {"shape": (7,), "below": 10}, ("structure", "forward", "gradients")
    assert broken(climb(tokens, keras, torch, rungs=rungs)) == []
    packed = "nn.utils.rnn.pack_padded_sequence(x, steps, batch_first=True, enforce_sorted=False)"
    assert found(climb(tokens, keras, torch.replace(packed, "x"), rungs=rungs), "forward", "look behind lstm")


def test_the_epsilon_of_a_root_mean_square_norm_is_named(climb):
    keras = "return model(L.Dense(5), L.RMSNormalization(epsilon=1e-3), L.Dense(3))"
    torch = "return nn.Sequential(nn.Linear(4, 5), nn.RMSNorm(5{eps}), nn.Linear(5, 3))"
    assert broken(climb((4,), keras, torch.format(eps=", 1e-3"), rungs=("structure", "forward"))) == []
    for eps, said in ((", 1e-4", "epsilon is 0.001 in keras, 0.0001 in torch"), ("", "epsilon is 0.001 in keras, ")):
        assert found(climb((4,), keras, torch.format(eps=eps), rungs=("structure", "forward")), "forward", said)


# --- several answers ----------------------------------------------------------------------------------------------


def test_answers_are_paired_by_the_keys_that_both_have_and_in_an_order_that_is_told(climb):
    keras = """
    given = keras.Input(inputs)
    return keras.Model(given, {"cls": L.Dense(2, name="cls")(given), "box": L.Dense(4, name="box")(given)})
    """
    torch = """
    net = Computed(lambda net, x: {"cls": net.cls(x), "box": net.box(x)})
    net.cls, net.box = nn.Linear(6, 2), nn.Linear(6, 4)
    return net
    """
    rungs = ("structure", "forward")
    named = climb((6,), keras, torch, rungs=rungs)
    assert broken(named) == []
    assert "answers are paired" not in named[0].note
    said = "answers are paired in order, those of a dictionary by its sorted keys: keras box, cls; torch without keys"
    unnamed = torch.replace('{"cls": net.cls(x), "box": net.box(x)}', "(net.{}(x), net.{}(x))")
    sorted_ = climb((6,), keras, unnamed.format("box", "cls"), rungs=rungs)
    assert broken(sorted_) == []
    assert said in sorted_[0].note
    assert found(climb((6,), keras, unnamed.format("cls", "box"), rungs=rungs), "forward", said)


def test_a_target_that_is_missing_is_told(climb):
    keras = "given = keras.Input(inputs)\nreturn keras.Model(given, [L.Dense(3)(given), L.Dense(2)(given)])"
    torch = """
    net = Computed(lambda net, x: (net.one(x), net.two(x)))
    net.one, net.two = nn.Linear(6, 3), nn.Linear(6, 2)
    return net
    """
    more = "\ndef targets(rng, n):\n    return rng.normal(size=(n, 3))\n"
    ((_, told),) = broken(climb((6,), keras, torch, more, ("gradients",)))
    assert "number of arrays that keras answers: 2; of targets: 1" in told


# --- what is not trained ------------------------------------------------------------------------------------------

UNREAL = {
    "whole numbers": ("ops.argmax(made, -1)", "made.argmax(-1)"),
    "truth values": ("made > 0", "made > 0"),
}


@pytest.mark.parametrize("name", UNREAL)
def test_answers_that_are_not_real_are_compared_and_enter_no_loss(climb, name):
    ours, theirs = UNREAL[name]
    keras = f"given = keras.Input(inputs)\nmade = L.Dense(3)(given)\nreturn keras.Model(given, [made, {ours}])"
    torch = f"""
    def compute(net, x):
        made = net.out(x)
        return made, {theirs}

    net = Computed(compute)
    net.out = nn.Linear(6, 3)
    return net
    """
    rungs = ("structure", "forward", "gradients")
    assert {verdict.outcome for verdict in climb((6,), keras, torch, rungs=rungs)} == {"passes"}
    assert found(climb((6,), keras, torch.replace(theirs, f"-{theirs}" if "arg" in theirs else f"~({theirs})")),
                 "forward", "answer 1")  # fmt: skip
    alone = climb((6,), keras.replace("[made, ", "["), torch.replace("return made, ", "return "), rungs=rungs)
    assert [each.outcome for each in alone if each.rung == "gradients"] == ["skipped"]
    assert alone[-1].note == "keras: it answers no real numbers, of which a loss could be made: give one"


def test_of_models_without_arrays_the_loss_is_compared_and_no_step_is_made(climb):
    more = RUNS_AWAY.format(momentum=0.9, ours="")
    rungs = ("structure", "forward", "gradients", "state", "optimizer")
    verdicts = climb((8, 8, 3), "return model(L.MaxPooling2D(2))", "return nn.MaxPool2d(2)", more, rungs)
    assert {(verdict.rung, verdict.outcome) for verdict in verdicts} == {
        ("structure", "passes"), ("forward", "passes"), ("gradients", "passes"), ("optimizer", "skipped")}  # fmt: skip
    assert verdicts[-1].note == "torch: it has nothing that is trained"


# --- losses -------------------------------------------------------------------------------------------------------


def test_penalties_that_keras_adds_to_its_loss_are_told_where_the_port_decays_weights(climb):
    keras = "return model(L.Dense(4, kernel_regularizer=keras.regularizers.L2(0.5)))"
    more = """

    def keras_optimizer():
        import keras

        return keras.optimizers.SGD(1e-2)


    def torch_optimizer(model):
        import torch

        return torch.optim.SGD([{"params": model.weight, "weight_decay": 1.0}, {"params": model.bias}], 1e-2)
    """
    verdicts = climb((6,), keras, "return nn.Linear(6, 4)", more, ("gradients",))
    assert found(verdicts, "gradients", "; keras adds penalties of ")


# --- optimizers ---------------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "Adam with amsgrad": (
        "Adam(1e-2, amsgrad=True)",
        "Adam(model.parameters(), 1e-2, eps=1e-7, amsgrad=True)",
        "Keras adds epsilon before the bias correction, torch after it",
        (", amsgrad=True", "", "amsgrad is True in keras, None in torch"),
    ),
    "Adamax": (
        "Adamax(1e-2)",
        "Adamax(model.parameters(), 1e-2, eps=1e-7)",
        "Keras adds epsilon to the largest gradient so far, torch to each before it is compared",
        ("eps=1e-7", "eps=1e-7, betas=(0.9, 0.99)", "beta_2 is 0.999 in keras, 0.99 in torch"),
    ),
    "Nadam": (
        "Nadam(1e-2)",
        "NAdam(model.parameters(), 1e-2, eps=1e-7, momentum_decay=1.0)",
        "",
        (", momentum_decay=1.0", "", "momentum_decay is 1 in keras, 0.004 in torch"),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_that_no_port_can_make_equal_differs_and_its_settings_are_named(climb, name):
    ours, theirs, known, (right, wrong, said) = OPTIMIZERS[name]

    def climbed(theirs):
        return climb(
            (6,),
            "return model(L.Dense(16, activation='relu'), L.Dense(4))",
            "return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))",
            f"""

            def keras_optimizer():
                import keras

                return keras.optimizers.{ours}


            def torch_optimizer(model):
                import torch

                return torch.optim.{theirs}
            """,
            ("optimizer",),
        )

    verdicts = climbed(theirs)
    assert verdicts[-1].outcome == ("differs" if known else "passes")
    assert [verdict.note for verdict in verdicts] == [known, known]
    assert found(climbed(theirs.replace(right, wrong)), "optimizer", said)


RUNS_AWAY = """

def keras_optimizer():
    import keras

    return keras.optimizers.SGD(0.05, momentum=0.9{ours})


def torch_optimizer(model):
    import torch

    return torch.optim.SGD(model.parameters(), 0.05, momentum={momentum})
"""
DEEP = (
    (8, 8, 3),
    "return model(L.Conv2D(16, 3), L.ReLU(), L.Conv2D(16, 3), L.Flatten(), L.Dense(16), L.ReLU(), L.Dense(1))",
    "net = Computed(lambda net, x: net.d(F.relu(net.c(net.b(F.relu(net.a(x))).permute(0, 2, 3, 1).flatten(1)))))\n"
    "net.a, net.b = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3)\n"
    "net.c, net.d = nn.Linear(256, 16), nn.Linear(16, 1)\nreturn net",
)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_steps_that_run_away_in_both_are_left_out_and_hide_no_fault(climb):
    def climbed(momentum, ours=""):
        return climb(*DEEP, RUNS_AWAY.format(momentum=momentum, ours=ours), ("optimizer",))

    right = climbed(0.9)
    assert {verdict.outcome for verdict in right} == {"passes"}
    assert all(verdict.note.startswith("nothing of step 5 or later, where both sides") for verdict in right)
    wrong = climbed(0.901)
    assert found(wrong, "optimizer", "after 2 steps momentum is 0.9 in keras, 0.901 in torch")


def test_settings_of_an_optimizer_that_show_in_no_step_are_told(climb):
    nets = "return model(L.Dense(4), L.Dense(2))", "return nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2))"

    def climbed(ours):
        more = RUNS_AWAY.format(momentum=0.9, ours=ours).replace("0.05", "1e-3")
        return climb((6,), *nets, more, ("optimizer",))

    assert {verdict.note for verdict in climbed("")} == {""}
    clipped = climbed(", global_clipnorm=1e3")
    assert {verdict.outcome for verdict in clipped} == {"passes"}
    assert clipped[0].note == "steps need not show that global_clipnorm is 1000.0 in keras, None in torch"
    assert found(climbed(", use_ema=True"), "optimizer", "use_ema is True in keras, None in torch: at the end of a")


# --- steps of the user's own --------------------------------------------------------------------------------------

STEPS = """

def keras_optimizer():
    import keras

    return keras.optimizers.{ours}


def torch_optimizer(model):
    import torch

    return torch.optim.{theirs}


def keras_step(model, optimizer, inputs, targets):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.abs(model(inputs, training=True) - targets))
    optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
    return loss


def torch_step(model, optimizer, inputs, targets):
    def closure():
        optimizer.zero_grad()
        assert model(inputs).shape == targets.shape
        loss = (model(inputs) - targets).abs().mean()
        loss.backward()
        return loss

    {step}
"""
BACKWARDS = "loss = closure()\n    optimizer.step()\n    return loss"
STEPPED = {
    "of images": (
        (6, 5, 3),
        "return model(L.Conv2D(4, 3), L.ReLU(), L.Conv2D(2, 1))",
        "return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))",
        ("Adam(1e-2)", "Adam(model.parameters(), 1e-2, eps=1e-7)", BACKWARDS),
        "Keras adds epsilon before the bias correction, torch after it",
    ),
    "by a closure": (
        (6,),
        "return model(L.Dense(8, activation='tanh'), L.Dense(2))",
        "return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))",
        (
            "RMSprop(1e-2, epsilon=1e-3)",
            "RMSprop(model.parameters(), 1e-2, 0.9, 1e-3)",
            "return optimizer.step(closure)",
        ),
        "Keras adds epsilon below the root, torch beside it",
    ),
    "of tokens": (
        {"shape": (8,), "below": 5},
        "return keras.Sequential([L.Embedding(5, 4), L.Dense(2)])",
        "return nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 2))",
        ("Adagrad(1e-2, epsilon=1e-10)", "Adagrad(model.parameters(), 1e-2, initial_accumulator_value=0.1)", BACKWARDS),
        "Keras squares the parts of an embedding's gradient, one for each time a token occurs, not their sum; "
        "Keras adds epsilon below the root, torch beside it",
    ),
}


@pytest.mark.parametrize("name", STEPPED)
def test_a_step_of_the_users_gets_targets_as_the_answers_lie_and_is_corrected_as_any_other(climb, name):
    inputs, keras, torch, (ours, theirs, step), known = STEPPED[name]
    more = STEPS.format(ours=ours, theirs=theirs, step=step)
    verdicts = climb(inputs, keras, torch, more, ("optimizer",))
    assert [(verdict.outcome, verdict.note) for verdict in verdicts] == [("differs", known)] * 2
    wrong = more.replace(".abs().mean()", ".abs().sum()")
    assert found(climb(inputs, keras, torch, wrong, ("optimizer",)), "optimizer", "loss after 1 step")
