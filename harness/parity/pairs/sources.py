"""Which two models a pair is of, by the files that name them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Literal

from harness import registry
from harness.errors import BenchError
from harness.foreign import Source

Layout = Literal["", "first", "last"]


def sources(
    pair: str, keras: str = "", onnx: str = "", onnx2: str = "", layout: Layout = "", trusted: bool = False
) -> tuple[Source, Source]:
    """The first model and the second: of a pair's file keras_model() and torch_model(), but a saved Keras model in the
    place of the first, and an ONNX file in that of the second (beside torch_model(), where the file has that); or two
    ONNX files.

    Raises BenchError where a file is not there, or there are not two models.
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
    if keras:
        ours = saved("keras", keras)
    else:
        kind: Literal["keras", "torch"] = "torch" if onnx and not _has_keras_alone(pair) else "keras"
        ours = Source(kind, said, f"{kind}_model", said, trusted)
    return ours, saved("onnx", onnx, layout) if onnx else Source("torch", said, "torch_model", said, trusted)


_OTHER = {
    "keras": "pair=FILE.py with a function torch_model(), or onnx=FILE.onnx",
    "onnx": "keras=FILE.keras, onnx2=FILE.onnx, or pair=FILE.py with a function torch_model() or keras_model()",
    "onnx2": "onnx=FILE.onnx",
}


def _has_keras_alone(pair: str) -> bool:
    """Whether a Python file has a function keras_model and none torch_model, without running it."""
    if not pair:
        return False
    try:
        body = registry.parsed(Path(pair)).body
    except (SyntaxError, ValueError):  # which the process that runs it tells
        return False
    names = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    names |= {each.asname or each.name for node in body if isinstance(node, ast.ImportFrom) for each in node.names}
    return "keras_model" in names and "torch_model" not in names
