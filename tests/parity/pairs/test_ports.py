"""Ways to write the same model that porters take, each right, and mistakes in each: what is right passes, and of what
is not it is told what is wrong.
"""

import textwrap
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest

from tests.parity.pairs.test_asked import climb

pytestmark = [pytest.mark.parity, pytest.mark.slow]

FILE = """
inputs = {inputs}
{more}

def keras_model():
    import keras
    from keras import ops
    L = keras.layers
{keras}

def torch_model():
    import torch
    from torch import nn
    F = nn.functional
{torch}
"""


class Port(NamedTuple):
    """A right port, and mistakes in it: what of its text is replaced by what, which rung breaks, and what that says."""

    inputs: object
    keras: str
    torch: str
    mistakes: Mapping = MappingProxyType({})
    more: str = ""
    notes: tuple = ()


def sequential(*layers):
    return f"return keras.Sequential([keras.Input(inputs), {', '.join(layers)}])"


def net(holds, forward):
    """A module that holds what is said, and computes what is said."""
    return f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
{textwrap.indent(textwrap.dedent(holds).strip(), " " * 8)}

    def forward(self, x):
{textwrap.indent(textwrap.dedent(forward).strip(), " " * 8)}

return Net()"""


def two_fused(lie):
    """Two attentions whose fused projections `lie` so, each with a norm."""
    return net(
        """
        self.qkv1, self.proj1, self.norm1 = nn.Linear(8, 24), nn.Linear(8, 8), nn.LayerNorm(8)
        self.qkv2, self.proj2, self.norm2 = nn.Linear(8, 24), nn.Linear(8, 8), nn.LayerNorm(8)
        """,
        f"""
        for qkv, proj, norm in ((self.qkv1, self.proj1, self.norm1), (self.qkv2, self.proj2, self.norm2)):
            q, k, v = qkv(x).{lie}
            x = norm(x + proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)))
        return x
        """,
    )


MIX = """
class Mix(L.Layer):
    def build(self, shape):
        self.held = [self.add_weight(shape=(shape[-1],), name=f"w{place}") for place in range(3)]

    def call(self, x):
        for array in self.held:
            x = ops.tanh(x * array) + x
        return x

given = keras.Input(inputs)
return keras.Model(given, L.Dense(2)(Mix()(given)))"""

BRANCHES = """
images = keras.Input(inputs)
seen = [L.Conv2D(width, 1, use_bias=False)(images) for width in (4, 5, 6)]
seen = [L.ReLU()(L.BatchNormalization(scale=False)(each)) for each in seen]
return keras.Model(images, L.Concatenate()(seen))
"""

TIED = """
class Tied(keras.Model):
    def __init__(self):
        super().__init__()
        self.emb, self.rnn = L.Embedding(20, 8), L.SimpleRNN(8, return_sequences=True)

    def call(self, tokens):
        return ops.matmul(self.rnn(self.emb(tokens)), ops.transpose(self.emb.embeddings))

return Tied()"""

HEADS = """
given = keras.Input(inputs)
shared = L.Dense(6, activation="relu", name="shared")(given)
return keras.Model(given, {name: L.Dense(3, name=name)(shared) for name in ("box", "cls")})"""

TWO_ATTENTIONS = """
given = x = keras.Input(inputs)
for _ in range(2):
    x = L.LayerNormalization(epsilon=1e-5)(x + L.MultiHeadAttention(2, 4)(x, x))
return keras.Model(given, x)"""

GROUPED = """
given = keras.Input(inputs)
x = ops.reshape(L.Dense(32)(given), (-1, 7, 2, 4, 4))
q = ops.reshape(ops.transpose(x[:, :, :, :2], (0, 2, 3, 1, 4)), (-1, 4, 7, 4))
k, v = (ops.repeat(ops.transpose(x[:, :, :, place], (0, 2, 1, 3)), 2, axis=1) for place in (2, 3))
shares = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / 2.0)
made = ops.reshape(ops.transpose(ops.matmul(shares, v), (0, 2, 1, 3)), (-1, 7, 16))
return keras.Model(given, L.Dense(8)(made))"""

EINSUMS = """
given = keras.Input(inputs)
q = L.EinsumDense("btd,dhk->bthk", (None, 4, 3), bias_axes="hk", name="query")(given)
k = L.EinsumDense("btd,hkd->bthk", (None, 2, 3), bias_axes="hk", name="key")(given)
v = L.EinsumDense("...d,hkd->...hk", (2, 3), bias_axes="hk", name="value")(given)
k, v = (ops.repeat(each, 2, axis=2) for each in (k, v))
shares = ops.softmax(ops.einsum("bthk,bshk->bhts", q, k) / 3**0.5)
made = ops.einsum("bhts,bshk->bthk", shares, v)
out = L.EinsumDense("bthk,hkd->btd", (None, 5), bias_axes="d", activation="relu", name="out")
return keras.Model(given, out(made))"""

CHANNELS_FIRST_NORM = """
class Norm(nn.Module):
    def __init__(self, size, eps=1e-6):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size)), eps

    def forward(self, x):
        x = x - x.mean(1, keepdim=True)
        x = x / torch.sqrt(x.pow(2).mean(1, keepdim=True) + self.eps)
        return self.weight[:, None, None] * x + self.bias[:, None, None]
"""

FROZEN = """
class Frozen(nn.Module):
    def __init__(self, size, eps=1e-5):
        super().__init__()
        self.eps = eps
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.ones(size))

    def forward(self, x):
        w, b, m, v = (each[:, None, None] for each in (self.weight, self.bias, self.running_mean, self.running_var))
        return x * w * (v + self.eps).rsqrt() + (b - m * w * (v + self.eps).rsqrt())
"""

KERAS_NORM = """
class Norm(L.Layer):
    def build(self, shape):
        self.gamma, self.beta = (self.add_weight(shape=shape[-1:], name=name) for name in ("gamma", "beta"))

    def call(self, x):
        mean, variance = ops.moments(x, axes=[-1], keepdims=True)
        return (x - mean) * ops.rsqrt(variance + 1e-5) * self.gamma + self.beta

return keras.Sequential([keras.Input(inputs), L.Dense(6), Norm(), L.Dense(2)])"""

NORMALISED = """
class Normalised(L.Layer):
    def build(self, shape):
        self.bias = self.add_weight(shape=(8,), name="bias")
        self.scale = self.add_weight(shape=(8,), name="scale")
        self.direction = self.add_weight(shape=(shape[-1], 8), name="direction")

    def call(self, x):
        length = ops.sqrt(ops.sum(ops.square(self.direction), axis=0))
        return ops.matmul(x, self.direction * self.scale / length) + self.bias

given = keras.Input(inputs)
return keras.Model(given, L.Dense(2)(Normalised()(given)))"""

CELLS = """
@keras.saving.register_keras_serializable()
class Cell(L.Layer):
    def __init__(self, size):
        super().__init__()
        self.size = self.state_size = self.output_size = size

    def get_config(self):
        return {"size": self.size}

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], self.size), name="w")
        self.u = self.add_weight(shape=(self.size, self.size), name="u")

    def call(self, x, states):
        answer = ops.tanh(ops.matmul(x, self.w) + ops.matmul(states[0], self.u))
        return answer, [answer]

both = L.Bidirectional(L.RNN(Cell(3), return_sequences=True))
return keras.Sequential([keras.Input(inputs), both, L.RNN([Cell(6), Cell(6)]), L.Dense(2)])"""

CENTRED = """
class Centre(L.Layer):
    def build(self, shape):
        self.center = self.add_weight(shape=shape[-1:], trainable=False, name="center")

    def call(self, x, training=False):
        if not training:
            return x - self.center
        mean = ops.mean(x, 0)
        self.center.assign(self.center * 0.9 + mean * 0.1)
        return x - mean

return keras.Sequential([keras.Input(inputs), L.Dense(8), Centre(), L.Dense(3)])"""

SIAMESE = """
encoder = keras.Sequential([L.Conv2D(4, 3), L.BatchNormalization(epsilon=1e-5, momentum=0.9), L.ReLU(),
                            L.GlobalAveragePooling2D()])
given = keras.Input(inputs)
return keras.Model(given, L.Dense(2)(encoder(given) - encoder(-given)))"""

PORTS = {
    "functions with arrays of the model": Port(
        (9, 9, 2),
        sequential("L.Conv2D(4, 3, strides=2)", "L.ReLU()", "L.GlobalAveragePooling2D()", "L.Dense(3)"),
        net(
            """
            self.w, self.b = nn.Parameter(torch.zeros(4, 2, 3, 3)), nn.Parameter(torch.zeros(4))
            self.v, self.c = nn.Parameter(torch.zeros(3, 4)), nn.Parameter(torch.zeros(3))
            """,
            """
            x = F.conv2d(x, self.w, self.b, stride=2)
            return F.linear(F.relu(x).mean((2, 3)), self.v, self.c)
            """,
        ),
        {
            ("F.conv2d(x, self.w, self.b, stride=2)", "F.conv2d(x, self.w, self.b)"): (
                "forward",
                "strides is (2, 2) in keras, 1 in torch",
            ),
            ("F.linear(F.relu(x)", "F.linear(F.relu6(x)"): ("forward", "dense (v)"),
            ("self.v, self.c)", "self.v)"): ("structure", "has a bias, torch's v has none"),
        },
    ),
    "functions named in a mapping": Port(
        (6,),
        sequential("L.Dense(4)"),
        net("self.w, self.b = nn.Parameter(torch.zeros(4, 6)), nn.Parameter(torch.zeros(4))",
            "return F.linear(x, self.w, self.b)"),
        {
            ("F.linear(x, self.w, self.b)", "x @ self.w.mT + self.b"): (
                "structure",
                "keras's dense has a kernel, torch's w has none",
            ),
        },
        'mapping = {"dense": "w"}',
    ),
    "a list of arrays": Port(
        (4,),
        MIX,
        net("self.w, self.fc = nn.ParameterList([torch.zeros(4) for _ in range(3)]), nn.Linear(4, 2)",
            """
            for array in self.w:
                x = torch.tanh(x * array) + x
            return self.fc(x)
            """),
        {
            ("torch.tanh(", "torch.relu("): ("forward", "dense (fc)"),
            ("in self.w:", "in reversed(self.w):"): ("forward", "exchanged, by their names: w."),
        },
    ),
    "a fused projection of the width of the model": Port(
        (7, 8),
        "given = keras.Input(inputs)\nreturn keras.Model(given, L.MultiHeadAttention(2, 4)(given, given))",
        net("self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)",
            """
            q, k, v = self.qkv(x).reshape(-1, 7, 3, 2, 4).permute(2, 0, 3, 1, 4)
            return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
            """),
        {
            ("q, k, v = self", "k, q, v = self"): ("forward", "multi_head_attention (proj)"),
            (".proj(F", ".proj(x + F"): ("forward", "multi_head_attention (proj)"),
            ("nn.Linear(8, 24)", "nn.Linear(8, 24, bias=False)"): (
                "structure",
                """torch's proj has its shape: if it is the same layer, say so by mapping = {"multi_head_attention/""",
            ),
        },
    ),
    "two fused projections": Port(
        (7, 8),
        TWO_ATTENTIONS,
        two_fused("reshape(-1, 7, 3, 2, 4).permute(2, 0, 3, 1, 4)"),
        {("(q, k, v)", "(q, k, v, scale=1.0)"): ("forward", "multi_head_attention (proj1)")},
    ),
    "two projections that are fused head by head": Port(
        (7, 8),
        TWO_ATTENTIONS,
        two_fused("reshape(-1, 7, 2, 3, 4).permute(3, 0, 2, 1, 4)"),
        {
            ("q, k, v = qkv", "k, q, v = qkv"): ("forward", "multi_head_attention (proj1)"),
            ("x + proj", "proj"): ("forward", "layer_normalization (norm1)"),
        },
        notes=("qkv2 is multi_head_attention_1/query, multi_head_attention_1/key, multi_head_attention_1/value side by "
               "side, in that order, for each of 2 heads",),
    ),
    "projections that Keras fuses for each group of heads": Port(
        (7, 8),
        GROUPED,
        net("self.k, self.v, self.q, self.o = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 16), nn.Linear(16, 8)",
            """
            k, v, q = (f(x).view(-1, 7, n, 4).transpose(1, 2) for f, n in ((self.k, 2), (self.v, 2), (self.q, 4)))
            return self.o(F.scaled_dot_product_attention(q, k, v, enable_gqa=True).transpose(1, 2).flatten(2))
            """),
        {("self.o(F", "self.o(-F"): ("forward", "dense_1 (o)")},
        notes=("told apart by trying: dense is q, k, v side by side, in that order, for each of 2 heads",),
    ),
    "shares of which names do not say in what order they are": Port(
        (7, 8),
        """
given = keras.Input(inputs)
return keras.Model(given, L.Dense(4)(L.Dense(6)(given) * ops.silu(L.Dense(6)(given))))""",
        net("self.both, self.down = nn.Linear(8, 12), nn.Linear(6, 4)",
            """
            up, gate = self.both(x).chunk(2, -1)
            return self.down(F.silu(gate) * up)
            """),
        {("F.silu(", "F.gelu("): ("forward", "dense (down)")},
        notes=("told apart by trying: both is dense_",),
    ),
    "keys and values that are fused": Port(
        (7, 8),
        """
given = keras.Input(inputs)
return keras.Model(given, L.MultiHeadAttention(2, 4)(given, ops.flip(given, 1)[:, :5]))""",
        net("self.q, self.kv, self.o = nn.Linear(8, 8), nn.Linear(8, 16), nn.Linear(8, 8)",
            """
            q = self.q(x).view(-1, 7, 2, 4).transpose(1, 2)
            k, v = self.kv(x.flip(1)[:, :5]).view(-1, 5, 2, 8).transpose(1, 2).chunk(2, -1)
            return self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
            """),
        {
            (".chunk(2, -1)", ".chunk(2, -1)[::-1]"): ("forward", "multi_head_attention (o)"),
            ("[:, :5]", "[:, -5:]"): ("forward", "multi_head_attention (o)"),
        },
    ),
    "a norm of channels that come first in Keras": Port(
        (9, 9, 3),
        sequential("L.Conv2D(6, 3)", "L.Permute((3, 1, 2))", "L.LayerNormalization(axis=1, epsilon=1e-6)",
                   "L.Permute((2, 3, 1))", "L.Conv2D(4, 3)", "L.GlobalAveragePooling2D()"),
        net("self.a, self.norm, self.b = nn.Conv2d(3, 6, 3), nn.LayerNorm(6, eps=1e-6), nn.Conv2d(6, 4, 3)",
            "return self.b(self.norm(self.a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)).mean((2, 3))"),
        {(", eps=1e-6", ""): ("forward", "epsilon is 1e-06 in keras, 1e-05 in torch")},
    ),
    "a norm of steps": Port(
        (9, 3),
        sequential("L.Conv1D(6, 3)", "L.LayerNormalization(axis=1, epsilon=1e-5)", "L.Permute((2, 1))",
                   "L.LayerNormalization(epsilon=1e-5)", "L.Permute((2, 1))", "L.Conv1D(4, 3)"),
        """
return nn.Sequential(nn.Conv1d(3, 6, 3), nn.LayerNorm(7), nn.LayerNorm(7), nn.Conv1d(6, 4, 3))""",
        {
            ("nn.LayerNorm(7), nn.C", "nn.LayerNorm(7, eps=1e-6), nn.C"): ("forward", "layer_normalization_1 (2) it"),
        },
    ),
    "a norm of channels that come first, written out": Port(
        (9, 9, 3),
        sequential("L.Conv2D(6, 3)", "L.LayerNormalization(epsilon=1e-6)", "L.Conv2D(6, 3, groups=6)",
                   "L.LayerNormalization(epsilon=1e-6)", "L.Conv2D(4, 3)", "L.GlobalAveragePooling2D()"),
        CHANNELS_FIRST_NORM
        + """
return nn.Sequential(nn.Conv2d(3, 6, 3), Norm(6), nn.Conv2d(6, 6, 3, groups=6), Norm(6), nn.Conv2d(6, 4, 3),
                     nn.AdaptiveAvgPool2d(1), nn.Flatten())""",
        {
            ("groups=6), Norm(6)", "groups=6), Norm(6, 1e-5)"): ("forward", "epsilon is 1e-06 in keras, 1e-05 in"),
            (".mean(1, keepdim=True)\n    ", ".mean(2, keepdim=True)\n    "): ("forward", "layer_normalization (1)"),
        },
    ),
    "a batch norm that is frozen, as buffers": Port(
        (9, 9, 3),
        """
norm = L.BatchNormalization(epsilon=1e-5)
norm.trainable = False
return keras.Sequential([keras.Input(inputs), L.Conv2D(6, 3), norm, L.ReLU(), L.Conv2D(4, 3)])""",
        FROZEN + "\nreturn nn.Sequential(nn.Conv2d(3, 6, 3), Frozen(6), nn.ReLU(), nn.Conv2d(6, 4, 3))",
        {
            ("Frozen(6)", "Frozen(6, 1e-3)"): ("forward", "epsilon is 1e-05 in keras, 0.001 in torch"),
            ("Frozen(6)", "nn.BatchNorm2d(6)"): ("structure", "gamma (1.weight) is trained in torch, not"),
        },
    ),
    "a product with a kernel in a module of one's own": Port(
        (7, 8),
        sequential("L.Dense(12)", "L.ReLU()", "L.Dense(8)", "L.Dense(8)", "L.Dense(8)"),
        """
class Conv1D(nn.Module):
    def __init__(self, made, given, turned=False):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(given, made)), nn.Parameter(torch.zeros(made))
        self.turned = turned

    def forward(self, x):
        kernel = self.weight.T if self.turned else self.weight
        return torch.addmm(self.bias, x.flatten(0, -2), kernel).view(*x.shape[:-1], -1)

return nn.Sequential(Conv1D(12, 8), nn.ReLU(), Conv1D(8, 12), Conv1D(8, 8), Conv1D(8, 8, turned=True))""",
        {("nn.ReLU()", "nn.ReLU6()"): ("forward", "look behind dense: keras computes ReLU re_lu; torch ReLU6 1")},
        notes=("told apart by trying: the kernel of dense_3 is turned",),
    ),
    "a norm of one's own in Keras": Port(
        (7, 8),
        KERAS_NORM,
        "return nn.Sequential(nn.Linear(8, 6), nn.LayerNorm(6), nn.Linear(6, 2))",
        {("LayerNorm(6)", "LayerNorm(6, eps=1e-3)"): ("forward", "norm (1)")},
    ),
    "projections that Keras writes as einsums": Port(
        (7, 8),
        EINSUMS,
        net("self.q, self.k, self.v, self.o = nn.Linear(8, 12), nn.Linear(8, 6), nn.Linear(8, 6), nn.Linear(12, 5)",
            """
            q, k, v = (f(x).view(-1, 7, n, 3).transpose(1, 2) for f, n in ((self.q, 4), (self.k, 2), (self.v, 2)))
            made = F.scaled_dot_product_attention(q, k, v, enable_gqa=True).transpose(1, 2).flatten(2)
            return F.relu(self.o(made))
            """),
        {
            ("F.relu(self.o(made))", "F.gelu(self.o(made))"): ("forward", "look behind out: keras computes relu"),
            ("enable_gqa=True)", "enable_gqa=True, scale=1.0)"): ("forward", "out (o)"),
            ("nn.Linear(12, 5)", "nn.Linear(12, 5, bias=False)"): ("structure", "keras's out has a bias, torch's o"),
        },
    ),
    "instance norm": Port(
        (8, 8, 3),
        sequential("L.Conv2D(4, 3)", "L.GroupNormalization(groups=-1, epsilon=1e-5)", "L.ReLU()",
                   "L.GlobalAveragePooling2D()", "L.Dense(2)"),
        """
return nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.ReLU(),
                     nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))""",
        {
            ("(4, affine=True)", "(4)"): ("structure", "has a gamma, torch's 1 has none: affine is False in torch"),
            ("affine=True)", "affine=True, eps=1e-3)"): ("forward", "epsilon is 1e-05 in keras, 0.001 in torch"),
            ("affine=True)", "affine=True, track_running_stats=True)"): ("structure", "has track_running_stats=True"),
            ("InstanceNorm2d(4, affine=True)", "GroupNorm(2, 4)"): ("forward", "groups is 4 in keras, 2 in torch"),
        },
    ),
    "instance norm without scale and shift": Port(
        (8, 8, 3),
        sequential("L.Conv2D(4, 3)", "L.GroupNormalization(-1, epsilon=1e-5, scale=False, center=False)",
                   "L.ReLU()", "L.GlobalAveragePooling2D()", "L.Dense(2)"),
        """
return nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                     nn.Linear(4, 2))""",
        {
            ("nn.InstanceNorm2d(4), ", ""): (
                "forward",
                "keras computes GroupNormalization group_normalization > ReLU re_lu > ",
            ),
        },
    ),
    "batch norm whose scale is held at one": Port(
        (8, 8, 3),
        sequential("L.Conv2D(4, 3)", "L.BatchNormalization(scale=False)", "L.GlobalAveragePooling2D()"),
        """
norm = nn.BatchNorm2d(4, eps=1e-3, momentum=0.01)
norm.weight.requires_grad_(False)
return nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten())""",
        {
            ("norm.weight.requires_grad_(False)", ""): ("structure", "for it to be the same, freeze 1.weight at one"),
            ("norm.weight.requires_grad_(False)", "norm.weight.requires_grad_(False).fill_(2)"): (
                "structure",
                "torch's 1 has a gamma",
            ),
        },
        notes=("held at one: 1.weight",),
    ),
    "batch norm whose shift is held at zero": Port(
        (8, 8, 3),
        sequential("L.Conv2D(4, 3)", "L.BatchNormalization(center=False)", "L.GlobalAveragePooling2D()"),
        """
norm = nn.BatchNorm2d(4, eps=1e-3, momentum=0.01)
norm.bias.requires_grad_(False)
return nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten())""",
        {("norm.bias.requires_grad_(False)", ""): ("structure", "for it to be the same, freeze 1.bias at zero")},
        notes=("held at zero: 1.bias",),
    ),
    "weight normalisation": Port(
        (6,),
        NORMALISED,
        """
from torch.nn.utils.parametrizations import weight_norm
return nn.Sequential(weight_norm(nn.Linear(6, 8)), nn.Linear(8, 2))""",
        {
            ("weight_norm(nn.Linear(6, 8))", "weight_norm(nn.Linear(6, 8), dim=1)"): (
                "structure",
                "/scale is (8,) in keras, (6, 1) in torch (0.parametrizations.weight.original0)",
            ),
            ("nn.Linear(6, 8)), ", "nn.Linear(6, 8)), nn.ReLU(), "): ("forward", "dense (2)"),
        },
    ),
    "a cell in a loop": Port(
        (9, 5),
        sequential("L.LSTM(7)", "L.Dense(3)"),
        net("self.cell, self.fc = nn.LSTMCell(5, 7), nn.Linear(7, 3)",
            """
            h = c = x.new_zeros(len(x), 7)
            for step in range(x.shape[1]):
                h, c = self.cell(x[:, step], (h, c))
            return self.fc(h)
            """),
        {
            ("range(x.shape[1])", "range(1, x.shape[1])"): ("forward", "dense (fc)"),
            ("h = c = x.new_zeros", "h = c = x.new_ones"): ("forward", "dense (fc)"),
        },
    ),
    "a layer that was adapted, beside buffers": Port(
        (5, 4, 3),
        sequential("L.Normalization()", "L.Conv2D(2, 3)"),
        net("self.register_buffer('var', torch.ones(3, 1, 1))\n"
            "self.register_buffer('mean', torch.zeros(3, 1, 1))\n"
            "self.conv = nn.Conv2d(3, 2, 3)",
            "return self.conv((x - self.mean) / self.var.sqrt())"),
        {
            ("self.var.sqrt()", "self.var"): ("forward", "conv2d (conv)"),
            ("torch.ones(3, 1, 1)", "torch.ones(1)"): ("structure", "keras's normalization/variance (own: variance"),
        },
    ),
    "a layer that was adapted, beside a standard deviation": Port(
        (4,),
        sequential("L.Normalization()", "L.Dense(2)"),
        net("self.register_buffer('std', torch.ones(1, 4))\n"
            "self.register_buffer('mean', torch.zeros(1, 4, dtype=torch.float32))\n"
            "self.fc = nn.Linear(4, 2)",
            "return self.fc((x - self.mean) / self.std)"),
        {("/ self.std", "/ (self.std + 1e-6)"): ("forward", "dense (fc)")},
    ),
    "recurrent layers of cells": Port(
        (7, 4),
        sequential("L.Bidirectional(L.RNN(L.LSTMCell(5), return_sequences=True))",
                   "L.RNN([L.GRUCell(6), L.GRUCell(6)])", "L.Dense(3)"),
        net("self.both = nn.LSTM(4, 5, batch_first=True, bidirectional=True)\n"
            "self.rnn, self.fc = nn.GRU(10, 6, num_layers=2, batch_first=True), nn.Linear(6, 3)",
            "return self.fc(self.rnn(self.both(x)[0])[1][-1])"),
        {
            ("self.both(x)[0]", "self.both(x)[0].roll(5, -1)"): ("forward", "rnn"),
            ("num_layers=2, ", ""): ("structure", "/gru_cell_1 (gru: kernel (6, 18), recurrent (6, 18)"),
            ("(self.both(x)[0])[1][-1]", "(self.both(x)[0])[1][0]"): ("forward", "dense (fc)"),
        },
    ),
    "recurrent layers of cells of one's own": Port(
        (5, 4),
        CELLS,
        net(
            """
            def pair(given, made):
                return nn.ParameterList([torch.zeros(given, made), torch.zeros(made, made)])
            self.ahead, self.back, self.low, self.high = pair(4, 3), pair(4, 3), pair(6, 6), pair(6, 6)
            self.fc = nn.Linear(6, 2)
            """,
            """
            def run(cell, steps):
                h, found = x.new_zeros(1), []
                for step in steps:
                    h = torch.tanh(step @ cell[0] + h.expand(len(x), len(cell[1])) @ cell[1])
                    found.append(h)
                return found
            steps = list(x.unbind(1))
            both = zip(run(self.ahead, steps), run(self.back, steps[::-1])[::-1])
            low = run(self.low, [torch.cat(each, 1) for each in both])
            return self.fc(run(self.high, low)[-1])
            """,
        ),
        {("steps[::-1])[::-1]", "steps)"): ("forward", "dense (fc)")},
    ),
    "a layer in a loop": Port(
        (4, 5),
        sequential("L.Dense(3)", "L.Flatten()", "L.Dense(2)"),
        net("self.each, self.fc = nn.Linear(5, 3), nn.Linear(12, 2)",
            "return self.fc(torch.cat([self.each(x[:, step]) for step in range(4)], 1))"),
        {("range(4)", "reversed(range(4))"): ("forward", "dense_1 (fc)")},
    ),
    "dropout between the layers of a recurrent one": Port(
        (6, 4),
        sequential("L.GRU(5, return_sequences=True)", "L.Dropout(0.25)", "L.GRU(5)", "L.Dense(2)"),
        net("self.rnn = nn.GRU(4, 5, num_layers=2, dropout=0.25, batch_first=True)\nself.fc = nn.Linear(5, 2)",
            "return self.fc(self.rnn(x)[1][-1])"),
        {
            ("dropout=0.25, ", ""): ("structure", "keras has dropout 0.25; torch has none"),
            ("dropout=0.25, ", "dropout=0.5, "): ("structure", "keras has dropout 0.25; torch has rnn/l0 0.5"),
        },
    ),
    "dropouts": Port(
        (8,),
        sequential("L.Dense(16)", "L.Dropout(0.3)", "L.ReLU()", "L.Dense(16, activation='relu')", "L.Dropout(0.5)",
                   "L.Dense(3)"),
        """
return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.5),
                     nn.Linear(16, 3))""",
        {
            ("nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.3)",
             "nn.Sequential(nn.Dropout(0.3), nn.Linear(8, 16), nn.ReLU()"): (
                "structure",
                "dropout 0.3: keras has one behind dense, torch has one before all layers",
            ),
            ("nn.ReLU(), nn.Dropout(0.5),\n                     nn.Linear(16, 3)",
             "nn.ReLU(), nn.Linear(16, 3), nn.Dropout(0.5)"): (
                "structure",
                "dropout 0.5: keras has one behind dense_1, torch has one behind dense_2",
            ),
        },
    ),
    "dropouts of two branches, computed in another order": Port(
        (8,),
        """
given = keras.Input(inputs)
one = L.Dropout(0.3)(L.Dense(4, name="one")(given))
two = L.Dropout(0.5)(L.Dense(5, name="two")(given))
return keras.Model(given, L.Concatenate()([one, two]))""",
        net("self.one, self.two = nn.Linear(8, 4), nn.Linear(8, 5)",
            """
            two = F.dropout(self.two(x), 0.5, self.training)
            return torch.cat([F.dropout(self.one(x), 0.3, self.training), two], 1)
            """),
        {
            ("self.two(x), 0.5", "self.two(x), 0.3"): ("structure", "dropouts: keras has dropout 0.3, dropout_1 0.5"),
        },
    ),
    "one dropout that is called twice": Port(
        (8,),
        """
drop = L.Dropout(0.3)
return keras.Sequential([keras.Input(inputs), L.Dense(4), drop, L.Dense(5), drop, L.Dense(2)])""",
        net("self.a, self.b, self.c, self.drop = nn.Linear(8, 4), nn.Linear(4, 5), nn.Linear(5, 2), nn.Dropout(0.3)",
            "return self.c(self.drop(self.b(self.drop(self.a(x)))))"),
        {("self.c(self.drop(self.b", "self.c((self.b"): ("structure", "keras has dropout 0.3, dropout 0.3; torch has")},
    ),
    "names that say what is what": Port(
        (5,),
        HEADS,
        net("self.shared, self.cls, self.box = nn.Linear(5, 6), nn.Linear(6, 3), nn.Linear(6, 3)",
            """
            shared = F.relu(self.shared(x))
            return {"cls": self.cls(shared), "box": self.box(shared)}
            """),
        {
            ('"cls": self.cls(shared), "box": self.box(shared)', '"cls": self.box(shared), "box": self.cls(shared)'): (
                "forward",
                "exchanged, by their names: cls does what box does, box does what cls does; if that is meant, say so",
            ),
        },
    ),
    "names that the mapping overrules": Port(
        (5,),
        HEADS,
        net("self.shared, self.cls, self.box = nn.Linear(5, 6), nn.Linear(6, 3), nn.Linear(6, 3)",
            """
            shared = F.relu(self.shared(x))
            return {"cls": self.box(shared), "box": self.cls(shared)}
            """),
        more='mapping = {"box": "cls", "cls": "box"}',
    ),
    "a decoder that is tied to its embedding": Port(
        {"shape": (8,), "below": 20},
        TIED,
        net(
            """
            self.emb, self.rnn = nn.Embedding(20, 8), nn.RNN(8, 8, batch_first=True)
            self.dec = nn.Linear(8, 20, bias=False)
            self.dec.weight = self.emb.weight
            """,
            "return self.dec(self.rnn(self.emb(x))[0])",
        ),
        {
            ("self.dec.weight = self.emb.weight", ""): ("structure", "dec (dense: kernel (8, 20)) has no partner"),
            ("20, bias=False)", "20)"): ("structure", "torch's dec/bias (own: bias (20,)) has no partner"),
            ("self.rnn(self.emb(x))[0]", "F.relu(self.rnn(self.emb(x))[0])"): ("forward", "answer 0"),
        },
    ),
    "a flattening of channels first in both": Port(
        (6, 7, 3),
        sequential("L.Conv2D(4, 3)", "L.Permute((3, 1, 2))", "L.Flatten()", "L.Dense(2)"),
        """
flat = nn.Flatten()
return nn.Sequential(nn.Conv2d(3, 4, 3), flat, nn.Linear(80, 2))""",
        {
            ("flat = nn.Flatten()", "flat = nn.Sequential(nn.Flatten(), nn.ReLU())"): ("forward", "dense (2)"),
            (
                "flat = nn.Flatten()",
                "flat = type('Turned', (nn.Module,), {'forward': lambda self, x: x.mT.flatten(1)})()",
            ): ("forward", "dense (2)"),
        },
        notes=("dense is behind a flattening of channels first in both",),
    ),
    "norms without scales in branches that are computed in another order": Port(
        (8, 8, 3),
        BRANCHES,
        net(
            """
            self.convs = nn.ModuleList(nn.Conv2d(3, width, 1, bias=False) for width in (6, 4, 5))
            self.norms = nn.ModuleList(nn.BatchNorm2d(width, 1e-3, 0.01) for width in (6, 4, 5))
            for norm in self.norms:
                norm.weight.requires_grad_(False)
            """,
            """
            seen = [F.relu(norm(conv(x))) for conv, norm in zip(self.convs, self.norms)]
            return torch.cat([seen[1], seen[2], seen[0]], 1)
            """,
        ),
        {
            ("norm.weight.requires_grad_(False)", "pass"): (
                "structure",
                "torch's norms.1 has a gamma, keras's batch_normalization has none: for it to be the same, freeze",
            ),
            ("1, bias=False", "1"): ("structure", "torch's convs.1 has a bias, keras's conv2d has none"),
        },
    ),
    "dense layers as convolutions of single pixels": Port(
        (8, 8, 3),
        sequential("L.Conv2D(5, 3)", "L.GlobalAveragePooling2D(keepdims=True)", "L.Conv2D(4, 1, activation='relu')",
                   "L.Conv2D(2, 1)", "L.Flatten()"),
        net("self.seen, self.a, self.b = nn.Conv2d(3, 5, 3), nn.Linear(5, 4), nn.Linear(4, 2)",
            "return self.b(F.relu(self.a(self.seen(x).mean((2, 3)))))"),
        {
            ("F.relu", "F.gelu"): ("forward", "look behind conv2d_1: keras computes relu; torch gelu"),
            ("nn.Linear(4, 2)", "nn.Linear(4, 3)"): ("structure", "conv2d_2 (conv: kernel (1, 1, 4, 2)"),
        },
    ),
    "convolutions of single pixels as dense layers of tokens": Port(
        (8, 8, 3),
        sequential("L.Conv2D(5, 3)", "L.Conv2D(4, 1, activation='tanh')", "L.Conv2D(2, 1)",
                   "L.GlobalAveragePooling2D()"),
        net("self.seen, self.a, self.b = nn.Conv2d(3, 5, 3), nn.Linear(5, 4), nn.Linear(4, 2)",
            """
            x = self.seen(x).flatten(2).transpose(1, 2)
            return self.b(torch.tanh(self.a(x))).mean(1)
            """),
        {("torch.tanh", "torch.sigmoid"): ("forward", "look behind conv2d_1: keras computes tanh; torch sigmoid")},
    ),
    "a dense layer's answer that is reshaped": Port(
        (6,),
        sequential("L.Dense(9)", "L.Reshape((3, 3))", "L.Activation('tanh')"),
        net("self.fc = nn.Linear(6, 9)", "return torch.tanh(self.fc(x).view(-1, 3, 3))"),
        {(".view(-1, 3, 3)", ".view(-1, 3, 3).mT"): ("forward", "look behind dense")},
    ),
    "a dense layer's answer that is reshaped and turned": Port(
        (6,),
        sequential("L.Dense(12)", "L.Reshape((3, 4))", "L.Permute((2, 1))"),
        net("self.fc = nn.Linear(6, 12)", "return self.fc(x).view(-1, 3, 4).mT"),
        {
            (".view(-1, 3, 4).mT", ".view(-1, 4, 3)"): ("forward", "look behind dense"),
            (".mT", ""): ("forward", "shapes (8, 4, 3) and (8, 3, 4)"),
        },
    ),
    "images that a dense layer makes, with a norm before the convolution": Port(
        (6,),
        sequential("L.Dense(48)", "L.Reshape((4, 4, 3))", "L.BatchNormalization(epsilon=1e-5, momentum=0.9)",
                   "L.Conv2D(2, 3)"),
        net("self.fc, self.norm, self.conv = nn.Linear(6, 48), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3)",
            "return self.conv(self.norm(self.fc(x).view(-1, 3, 4, 4)))"),
        {(".view(-1, 3, 4, 4)", ".view(-1, 3, 4, 4).mT"): ("forward", "batch_normalization (norm)")},
    ),
    "images that are flattened at the end": Port(
        (6, 6, 3),
        sequential("L.Conv2D(4, 3)", "L.Flatten()"),
        net("self.conv = nn.Conv2d(3, 4, 3)", "return self.conv(x).permute(0, 2, 3, 1).flatten(1)"),
        {(".permute(0, 2, 3, 1).flatten(1)", ".flatten(1)"): ("forward", "look behind conv2d")},
    ),
    "a layer of one's own that keeps a mean while it trains": Port(
        (6,),
        CENTRED,
        net("self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)\nself.register_buffer('center', torch.zeros(8))",
            """
            x = self.a(x)
            if not self.training:
                return self.b(x - self.center)
            mean = x.mean(0)
            with torch.no_grad():
                self.center.mul_(0.9).add_(mean, alpha=0.1)
            return self.b(x - mean)
            """),
        {
            ("mul_(0.9).add_(mean, alpha=0.1)", "mul_(0.1).add_(mean, alpha=0.9)"): ("state", "/center (center)"),
            ("self.center.mul_(0.9).add_(mean, alpha=0.1)", "pass"): ("state", "/center (center)"),
        },
    ),
    "a batch norm that is called twice": Port(
        (8, 8, 3),
        SIAMESE,
        net("self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)",
            """
            one, two = (F.relu(self.norm(self.conv(each))).mean((2, 3)) for each in (x, -x))
            return self.fc(one - two)
            """),
        {("nn.BatchNorm2d(4)", "nn.BatchNorm2d(4, momentum=0.101)"): ("state", "momentum is 0.9 in keras, 0.899 in")},
    ),
    "images one after the other": Port(
        (5, 8, 8, 2),
        sequential("L.TimeDistributed(L.Conv2D(4, 3, activation='relu'))",
                   "L.TimeDistributed(L.GlobalAveragePooling2D())", "L.LSTM(6)", "L.Dense(2)"),
        net("self.conv, self.lstm, self.fc = nn.Conv2d(2, 4, 3), nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 2)",
            """
            b, t = x.shape[:2]
            x = torch.relu(self.conv(x.flatten(0, 1))).mean((2, 3)).view(b, t, 4)
            return self.fc(self.lstm(x)[1][0][0])
            """),
        {
            (".view(b, t, 4)", ".view(t, b, 4).transpose(0, 1)"): ("forward", "lstm"),
            ("torch.relu(", "F.leaky_relu("): ("forward", "lstm"),
        },
        "torch_inputs = (5, 2, 8, 8)",
    ),
}  # fmt: skip


def written(folder, port, keras=None, torch=None):
    bodies = {"keras": keras or port.keras, "torch": torch or port.torch}
    bodies = {kind: textwrap.indent(text.strip(), "    ") for kind, text in bodies.items()}
    path = folder / f"pair{len(list(folder.iterdir()))}.py"
    path.write_text(FILE.format(inputs=repr(port.inputs), more=port.more, **bodies))
    return path


@pytest.mark.parametrize("name", PORTS)
def test_a_right_port_passes_and_a_wrong_one_is_told_what_is_wrong(pairs, tmp_path, name):
    port, rungs = PORTS[name], ("structure", "forward", "gradients", "state")
    right = climb(pairs, written(tmp_path, port), rungs=rungs)
    assert [verdict for verdict in right if verdict.outcome in ("breaks", "skipped")] == []
    assert {"structure", "forward", "gradients"} <= {verdict.rung for verdict in right}
    assert all(any(note in verdict.note for verdict in right) for note in port.notes)
    for (text, instead), (rung, says) in port.mistakes.items():
        assert text in port.torch
        wrong = climb(pairs, written(tmp_path, port, torch=port.torch.replace(text, instead)), rungs=rungs)
        first = next((verdict.rung for verdict in wrong if verdict.outcome == "breaks"), None)
        told = " ".join(f"{each.worst} {each.note}" for each in wrong if (each.rung, each.outcome) == (rung, "breaks"))
        assert first == rung, (instead, wrong)
        assert says in told, (instead, told)
