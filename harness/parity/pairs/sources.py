"""Which two models a pair is of, by the files that name them."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from harness import registry, syntax
from harness.errors import BenchError
from harness.foreign import Kind, Layout, Source


def sources(
    pair: str,
    keras: str = "",
    onnx: str = "",
    onnx2: str = "",
    layout: Layout = "",
    trusted: bool = False,
    between: str = "",
) -> tuple[Source, Source]:
    """The first model and the second: of a pair's file those of `between`, or of its functions keras_model(),
    torch_model() and jax_model() those two that it has (without `between`, of three the first two); but a saved Keras
    model in the place of the first, and an ONNX file in that of the second (beside torch_model(), where the file has
    that); or two ONNX files.

    Raises BenchError where a file is not there, there are not two models, or JAX is asked for and not installed.
    """
    for key, path in (("pair", pair), ("keras", keras), ("onnx", onnx), ("onnx2", onnx2)):
        if path and not Path(path).is_file():
            raise BenchError(f"{key}={path}: there is no such file")
    if not pair and not (onnx and (keras or onnx2)):
        key, path = ("keras", keras) if keras else ("onnx2", onnx2) if onnx2 else ("onnx", onnx)
        raise BenchError(f"{key}={path}: and the other model? {_OTHER[key]}")
    said = str(Path(pair).resolve()) if pair else ""

    def saved(kind: Literal["keras", "onnx"], path: str, layout: Layout = "") -> Source:
        return Source(kind, str(Path(path).resolve()), "", said, trusted, layout)

    if onnx2:
        if keras or not onnx:
            raise BenchError(f"onnx2={onnx2}: is compared with the ONNX file of onnx=, and with nothing else")
        return saved("onnx", onnx), saved("onnx", onnx2, layout or "last")
    if layout and not onnx:
        raise BenchError(f"layout={layout}: is for an ONNX file: give onnx=FILE.onnx too")
    if onnx:
        if between:
            raise BenchError(f"between={between}: is for two models of a pair, and not for an ONNX file")
        return (
            saved("keras", keras) if keras else _made(_beside_a_graph(pair), said, trusted),
            saved("onnx", onnx, layout),
        )
    first, second = _between(between, _kinds(pair), bool(keras))
    return saved("keras", keras) if keras else _made(first, said, trusted), _made(second, said, trusted)


_OTHER = {
    "keras": "pair=FILE.py with a function torch_model() or jax_model(), or onnx=FILE.onnx",
    "onnx": "keras=FILE.keras, onnx2=FILE.onnx, or pair=FILE.py with a function torch_model() or keras_model()",
    "onnx2": "onnx=FILE.onnx",
}


KINDS: tuple[Kind, ...] = ("keras", "jax", "torch")
"""The order in which a pair has them: what torch has beside Keras is looked for in the second model alone."""


def _made(kind: Kind, said: str, trusted: bool) -> Source:
    """What a function of the pair's file makes."""
    if kind == "jax" and importlib.util.find_spec("jax") is None:
        raise BenchError("jax is not installed: pip install 'cijbench[jax]'")
    return Source(kind, said, f"{kind}_model", said, trusted)


def _beside_a_graph(pair: str) -> Kind:
    """The framework of the function that a graph is compared with: torch's, where the file has that."""
    kinds = _kinds(pair)
    return "torch" if "torch" in kinds or not kinds else kinds[0]


def _between(between: str, has: Sequence[Kind], saved: bool) -> tuple[Kind, Kind]:
    """The frameworks of both models, as asked for or as the file has them; Keras's model may be `saved` elsewhere."""
    if between:
        words = tuple(word.strip() for word in between.split(","))
        for word in words:
            if word not in KINDS:
                raise registry.unknown(word, KINDS, "framework of a pair")
        first, *second = [kind for kind in KINDS if kind in words]
        if len(words) != 2 or len(second) != 1:
            raise BenchError(f"between={between}: must name two frameworks of a pair, as in jax,torch")
        if saved and first != "keras":
            raise BenchError(f"between={between}: names no Keras model, and keras= is one")
        return first, second[0]
    beside = [kind for kind in ("torch", "jax") if kind in has]
    if "keras" in has or saved or len(beside) < 2:
        return "keras", "jax" if beside == ["jax"] else "torch"
    return "jax", "torch"


def _kinds(pair: str) -> list[Kind]:
    """The frameworks of which a Python file has a function that makes a model, without running it."""
    if not pair:
        return []
    try:
        body = syntax.parsed(Path(pair)).body
    except (SyntaxError, ValueError):  # which the process that runs it tells
        return []
    names = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    names |= {each.asname or each.name for node in body if isinstance(node, ast.ImportFrom) for each in node.names}
    return [kind for kind in KINDS if f"{kind}_model" in names]
