"""Which two models a pair is of."""

import importlib.util

import pytest

from harness.errors import BenchError
from harness.parity.pairs.sources import sources


def pair(folder, *kinds):
    path = folder / "pair.py"
    path.write_text("".join(f"def {kind}_model():\n    return None\n" for kind in kinds))
    return str(path)


@pytest.fixture(autouse=True)
def _jax_is_there(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if name == "jax" else found(name))


@pytest.mark.parametrize(
    ("kinds", "between", "taken"),
    [
        ((), "", ["keras", "torch"]),
        (("keras", "torch"), "", ["keras", "torch"]),
        (("jax", "torch"), "", ["jax", "torch"]),
        (("keras", "jax"), "", ["keras", "jax"]),
        (("keras", "torch", "jax"), "", ["keras", "torch"]),
        (("keras", "torch", "jax"), "torch,jax", ["jax", "torch"]),
        (("keras", "torch", "jax"), "jax, keras", ["keras", "jax"]),
    ],
)
def test_they_are_those_that_are_asked_for_or_that_the_file_has(tmp_path, kinds, between, taken):
    found = sources(pair(tmp_path, *kinds), between=between)
    assert [source.kind for source in found] == taken
    assert [source.function for source in found] == [f"{kind}_model" for kind in taken]


def test_a_saved_keras_model_stands_beside_a_function_of_jax(tmp_path):
    saved = tmp_path / "net.keras"
    saved.touch()
    ours, theirs = sources(pair(tmp_path, "jax"), keras=str(saved))
    assert (ours.path, ours.function, theirs.kind) == (str(saved), "", "jax")


def test_a_graph_stands_beside_torch_or_what_else_the_file_has(tmp_path):
    graph = tmp_path / "net.onnx"
    graph.touch()
    for kinds, kind in ((("keras", "torch"), "torch"), (("keras",), "keras"), (("jax",), "jax"), ((), "torch")):
        assert sources(pair(tmp_path, *kinds), onnx=str(graph))[0].kind == kind


def test_without_jax_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BenchError, match=r"jax is not installed: pip install 'cijbench\[jax\]'"):
        sources(pair(tmp_path, "jax", "torch"))
