"""What may be asked of a pair besides a whole climb: rungs alone, weights of its own, a mapping that the file says."""

import pytest
from msgspec.structs import replace

from harness.command import cli
from harness.parity.pairs.climb import RUNGS, PairRequest
from tests.parity.pairs.planted import HERE, source

pytestmark = [pytest.mark.parity, pytest.mark.slow]

TWINS = """
import numpy as np

KERNELS = [np.random.default_rng(seed).normal(size=(4, 4)).astype(np.float32) for seed in (0, 1)]
inputs = (4,)
mapping = {mapping}


def keras_model():
    import keras

    given = keras.Input((4,))
    first, second = (keras.layers.Dense(4, name=name) for name in ("first", "second"))
    model = keras.Model(given, [first(given), second(given)])
    for layer, kernel in zip((first, second), KERNELS):
        layer.set_weights([kernel, np.zeros(4)])
    return model


def torch_model():
    import torch

    class Twins(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
            with torch.no_grad():
                for layer, kernel in zip(({order}), KERNELS):
                    layer.weight.copy_(torch.from_numpy({kernel}))
                    layer.bias.zero_()

        def forward(self, x):
            return {answers}

    return Twins()
"""


def climb(pairs, path, **asked):
    request = replace(PairRequest("net", source("keras", path), source("torch", path)), **asked)
    return [verdict for verdicts in pairs.climb(request) for verdict in verdicts]


def twins(folder, mapping="{}", order="self.a, self.b", kernel="kernel.T", answers="self.a(x), self.b(x)"):
    path = folder / f"pair_{abs(hash((mapping, order, kernel, answers)))}.py"
    path.write_text(TWINS.format(mapping=mapping, order=order, kernel=kernel, answers=answers))
    return path


def test_a_rung_alone_says_what_it_says_among_the_others(pairs):
    whole = climb(pairs, HERE / "cnn1d.py")
    assert {verdict.rung for verdict in whole} == set(RUNGS)
    for rung in RUNGS:
        alone = climb(pairs, HERE / "cnn1d.py", rungs=(rung,))
        assert alone == [verdict for verdict in whole if verdict.rung == rung]


def test_a_pair_brings_its_own_weights_which_must_be_the_same(pairs, tmp_path):
    rungs = ("structure", "forward")
    same = climb(pairs, twins(tmp_path), rungs=rungs, weights="own")
    assert {verdict.outcome for verdict in same} == {"passes"}
    turned = climb(pairs, twins(tmp_path, kernel="kernel"), rungs=rungs, weights="own")
    assert turned[0].outcome == "breaks"
    assert "first/kernel (a.weight): the weights are apart by" in turned[0].note
    assert "one is the other's transpose" in turned[0].note
    drawn = climb(pairs, twins(tmp_path, kernel="kernel"), rungs=rungs)  # whatever each has by itself
    assert {verdict.outcome for verdict in drawn} == {"passes"}


def test_what_cannot_be_told_apart_is_as_the_file_says(pairs, tmp_path):
    crossed = {"order": "self.b, self.a", "answers": "self.b(x), self.a(x)"}
    said = """{"first": "b", "second": "a"}"""
    for path in (twins(tmp_path, said, **crossed), twins(tmp_path, **crossed)):  # said, and found by trying
        verdicts = climb(pairs, path, rungs=("structure", "forward"))
        assert {verdict.outcome for verdict in verdicts} == {"passes"}
        assert {each.ours.name: each.theirs.name for each in pairs.paired.matched} == {"first": "b", "second": "a"}
    wrong = climb(pairs, twins(tmp_path, """{"first": "a", "second": "b"}""", **crossed), rungs=("forward",))
    assert {verdict.outcome for verdict in wrong} == {"breaks"}  # what is said is not tried again


POOLED = """
inputs = (8, 8, 2)


def keras_model():
    import keras

    given = keras.Input(inputs)
    seen = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")(given)
    return keras.Model(given, keras.layers.Dense(2, name="out")(keras.layers.GlobalAveragePooling2D()(seen)))


def torch_model():
    import torch

    nn = torch.nn
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(2, 3, 3, padding={padding}), nn.ReLU(), pool, nn.Flatten(), nn.Linear(3, 2))
"""


def test_a_padding_that_is_missing_before_all_is_pooled_is_told_by_the_shapes(pairs, tmp_path):
    """The pooling hides it from the layer behind, which is given as many numbers."""
    path = tmp_path / "pooled.py"
    path.write_text(POOLED.replace("{padding}", "1"))
    assert {verdict.outcome for verdict in climb(pairs, path, rungs=("structure", "forward"))} == {"passes"}
    path = tmp_path / "unpadded.py"
    path.write_text(POOLED.replace("{padding}", "0"))
    _, *forward = climb(pairs, path, rungs=("structure", "forward"))
    (told,) = {verdict.note for verdict in forward if verdict.outcome == "breaks"}
    assert "look behind conv, which answers (8, 8, 8, 3) in keras, (8, 6, 6, 3) in torch; padding is same" in told


ONE = """
inputs = (4,)


def keras_model():
    import keras

    return keras.Sequential([keras.Input(inputs), keras.layers.Dense(2)])


def torch_model():
    import torch

    return torch.nn.Linear(4, 2)
"""


def test_files_that_are_written_are_told_and_a_model_that_is_one_layer_is_named(tmp_path, capsys):
    path, table = tmp_path / "one.py", tmp_path / "new" / "m.csv"
    path.write_text(ONE)
    assert cli.main(["parity", f"pair={path}", "rung=structure", f"mapping={table}"]) == 0
    told = capsys.readouterr().out
    assert "  dense  (the model)  dense  the only one of its kind and shape" in told
    assert f"mapping: {table}" in told.splitlines()
    assert table.exists()


def test_layers_that_do_what_others_are_called_break_the_first_rung_that_was_asked_for(pairs, tmp_path):
    names = {"self.a, self.b = ": "self.first, self.second = ", "self.a": "self.first", "self.b": "self.second"}
    text = twins(tmp_path, answers="self.b(x), self.a(x)").read_text()
    for old, new in names.items():
        text = text.replace(old, new)
    path = tmp_path / "crossed.py"
    path.write_text(text)
    for asked in ({"rungs": ("gradients",)}, {"rungs": ("forward",)}, {"rungs": ("forward",), "weights": "theirs"}):
        verdicts = climb(pairs, path, **asked)
        assert "exchanged, by their names: second does what first does" in verdicts[0].note
        assert verdicts[0].outcome == "breaks"
    said = text.replace("mapping = {}", 'mapping = {"first": "second", "second": "first"}')
    path = tmp_path / "said.py"
    path.write_text(said)
    assert {verdict.outcome for verdict in climb(pairs, path, rungs=("forward",))} == {"passes"}


DEEP = """
inputs = (4,)


def keras_model():
    import keras

    x = given = keras.Input(inputs)
    for _ in range(9):
        x = x + keras.layers.Dense(4, activation="gelu")(x)
    return keras.Model(given, x)


def torch_model():
    import torch

    class Deep(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(9))

        def forward(self, x):
            for place, layer in enumerate(self.layers):
                x = x + torch.nn.functional.gelu(layer(x), approximate="tanh" if place == 3 else "none")
            return x

    return Deep()
"""


def test_layers_that_are_given_other_numbers_are_not_tried_in_the_place_of_one_that_differs(pairs, tmp_path):
    path = tmp_path / "pair.py"
    path.write_text(DEEP)
    (broken,) = [each for each in climb(pairs, path, rungs=("forward",)) if each.precision == "float64"]
    assert "dense_4 (layers.4)" in broken.worst
    assert len(pairs._computed) == 2  # each side once
