"""A mapping that is written is one that can be used: the converter needs nothing of this project."""

import csv
import subprocess
import sys

import numpy as np

from harness.foreign import Array, Inspected, Part, Step
from harness.parity.pairs import drawn
from harness.parity.pairs.mapping import pair
from harness.parity.pairs.written import table, write_converter, write_csv

LABELS = ("keras", "torch")
CONV = Part("conv", "conv", {"kernel": Array("conv/kernel", (3, 3, 2, 4)), "bias": Array("conv/bias", (4,))})
THEIRS = Part(
    "0",
    "conv",
    {
        "kernel": Array("0.weight", (4, 2, 3, 3), (Step("transpose", (2, 3, 1, 0)),)),
        "bias": Array("0.bias", (4,)),
    },
)
PAIRED = pair(Inspected("keras", (CONV,)), Inspected("torch", (THEIRS,)), {})


def test_the_converter_stands_alone_and_goes_both_ways(tmp_path):
    write_converter(tmp_path / "convert.py", PAIRED, LABELS)
    weights = drawn.weights(PAIRED.lines, 0)
    keras, torch = (drawn.natives(PAIRED.lines, weights, ours) for ours in (True, False))
    np.savez(tmp_path / "keras.npz", **{name.replace("/", "|"): array for name, array in keras.items()})
    code = """
import numpy as np, sys
from convert import to_keras, to_torch
given = {name.replace("|", "/"): array for name, array in np.load("keras.npz").items()}
made = to_torch(given)
back = to_keras(made)
assert back.keys() == given.keys() and all(np.array_equal(back[name], given[name]) for name in given)
assert not [name for name in sys.modules if name.split(".")[0] in ("harness", "torch", "keras")]
np.savez("torch.npz", **made)
try:
    to_torch(given | {"conv/bias": np.zeros(5)})
except ValueError as error:
    assert "conv/bias has shape (5,), not (4,)" in str(error)
else:
    raise SystemExit("another shape was taken")
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    made = dict(np.load(tmp_path / "torch.npz").items())
    assert made.keys() == torch.keys()
    for name, array in torch.items():
        np.testing.assert_array_equal(made[name], array)


def test_the_table_has_a_row_for_each_array(tmp_path):
    write_csv(tmp_path / "mapping.csv", PAIRED.lines, LABELS)
    rows = list(csv.DictReader((tmp_path / "mapping.csv").open()))
    assert [(row["keras"], row["torch"], row["torch steps"]) for row in rows] == [
        ("conv/kernel", "0.weight", "transpose 2, 3, 1, 0"),
        ("conv/bias", "0.bias", ""),
    ]
    assert "conv   0      conv  the only one of its kind and shape" in table(PAIRED, LABELS)


def test_the_converter_adds_a_second_bias_and_fills_in_what_is_held(tmp_path):
    def part(name, **more):
        roles = {"bias": (f"{name}.bias_ih", 1.0), **more}
        held = {role: Array(name, (4,), trained=role != "gamma", constant=of) for role, (name, of) in roles.items()}
        return Part(name, "lstm", held)

    ours = Part("a", "lstm", {"bias": Array("a.bias", (4,))})
    theirs = part("b", recurrent_bias=("b.bias_hh", None), gamma=("b.gamma", 1.0))
    paired = pair(Inspected("keras", (ours,)), Inspected("torch", (theirs,)), {"a": "b"})
    write_converter(tmp_path / "convert.py", paired, LABELS)
    code = """
import numpy as np
from convert import to_keras, to_torch
made = to_torch({"a.bias": np.full(4, 3.0)})
assert {name: array.tolist() for name, array in made.items()} == {
    "b.bias_ih": [3.0] * 4, "b.bias_hh": [0.0] * 4, "b.gamma": [1.0] * 4
}
back = to_keras(made | {"b.bias_hh": np.full(4, 2.0)})
assert {name: array.tolist() for name, array in back.items()} == {"a.bias": [5.0] * 4}
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_the_converter_takes_the_root_of_a_variance_and_squares_a_standard_deviation(tmp_path):
    ours, theirs = (Part(name, kind, {"it": Array(name, (3,), (), False)})
                    for name, kind in (("norm/variance", "own"), ("std", "constant")))  # fmt: skip
    write_converter(
        tmp_path / "convert.py", pair(Inspected("keras", (ours,)), Inspected("torch", (theirs,)), {}), LABELS
    )
    code = """
import numpy as np
from convert import to_keras, to_torch
assert to_torch({"norm/variance": np.full(3, 4.0)})["std"].tolist() == [2.0] * 3
assert to_keras({"std": np.full(3, 3.0)})["norm/variance"].tolist() == [9.0] * 3
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
