"""ONNX files that may come from anywhere: what is refused before ONNX Runtime sees them, and how it is given them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import onnx
import onnxruntime
from onnx import TensorProto
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

from harness.errors import BenchError

_Part = TypeVar("_Part")

_LARGEST_FILE = 2**31  # protobuf cannot hold more
_MOST_NODES = 10**6
_LARGEST_TENSOR = 2**32  # elements; sixteen images of 64x64 after VGG16's first layer have 2^22


def read(path: Path) -> tuple[onnx.ModelProto, bytes]:
    """The model in a file, and the file. Raises BenchError where there is none, or its weights lie elsewhere."""
    if not path.is_file():
        raise BenchError(f"{path}: there is no such file")
    if path.stat().st_size >= _LARGEST_FILE:
        raise BenchError(f"{path}: larger than 2 GiB, which no ONNX file is")
    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # protobuf's own, which it does not export
        raise BenchError(f"{path}: not an ONNX file") from None
    if not (model.graph.node and model.graph.input and model.graph.output):
        raise BenchError(f"{path}: not an ONNX file, or one whose graph lacks nodes, inputs or outputs")
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in parts(model, TensorProto)):
        raise BenchError(
            f"{path}: keeps its weights in other files: save it as one file (torch.onnx.export: external_data=False)"
        )
    return model, content


LEVELS = {
    "disable": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "layout": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_LAYOUT,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def session(content: bytes, threads: int, level: str) -> onnxruntime.InferenceSession:
    """A model's session on the processor, at one of `LEVELS`. Raises whatever ONNX Runtime does."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = LEVELS[level]
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def refuse_unsafe(model: onnx.ModelProto, path: Path) -> None:
    """Raise BenchError for operators that ONNX Runtime does not have, and for tensors larger than the file holds of
    them or than `_LARGEST_TENSOR`. What a graph makes of its input, and for how long, cannot be told beforehand.
    """
    _refuse_unknown_operators(model, path)
    _refuse_unfolding(model, path)  # before shapes are read, for that unfolds functions
    _refuse_oversized(model, path)


def parts(message: Any, kind: type[_Part]) -> Iterator[_Part]:
    """Every message of a kind within a message, wherever it is: in attributes, branches, functions, sparse tensors."""
    waiting = [message]
    while waiting:
        part = waiting.pop()
        if isinstance(part, kind):
            yield part
        for field, value in part.ListFields():
            if field.message_type:
                waiting.extend([value] if hasattr(value, "ListFields") else value)


def _refuse_unknown_operators(model: onnx.ModelProto, path: Path) -> None:
    """Raise BenchError for an operator that neither ONNX Runtime has nor the model defines."""
    known = {(schema.domain, schema.name) for schema in get_all_operator_schema()}
    known |= {(domain(function.domain), function.name) for function in model.functions}
    used = {_operator(node) for node in parts(model, onnx.NodeProto)}
    if unknown := sorted(used - known):
        names = ", ".join("::".join(filter(None, name)) for name in unknown[:5])
        raise BenchError(f"{path}: uses operators that ONNX Runtime does not have: {names}")


def _refuse_unfolding(model: onnx.ModelProto, path: Path) -> None:
    """Raise BenchError where the functions of a model call each other in a circle, or unfold into absurdly many nodes:
    whoever reads their shapes unfolds them.
    """
    calls = {(domain(f.domain), f.name): [_operator(node) for node in f.node] for f in model.functions}
    size: dict[tuple[str, str], int] = {}
    while waiting := [name for name in calls if name not in size]:
        known = [name for name in waiting if all(call in size or call not in calls for call in calls[name])]
        if not known:
            raise BenchError(f"{path}: has functions that call each other in a circle")
        size |= {name: 1 + sum(size.get(call, 1) for call in calls[name]) for name in known}
    if sum(size.get(_operator(node), 1) for node in model.graph.node) > _MOST_NODES:
        raise BenchError(f"{path}: its functions unfold into more than {_MOST_NODES} nodes")


def _refuse_oversized(model: onnx.ModelProto, path: Path) -> None:
    """Raise BenchError for a tensor that says it is larger than what the file holds of it, or absurdly large."""
    for tensor in parts(model, TensorProto):
        # Two elements to a byte: the smallest have four bits.
        if min(tensor.dims, default=0) < 0 or math.prod(tensor.dims) > 2 * tensor.ByteSize():
            shape = "x".join(map(str, tensor.dims))
            raise BenchError(f"{path}: tensor '{tensor.name}' says it is {shape}, and holds {tensor.ByteSize()} bytes")
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except Exception as error:  # of C++, without a base class
        raise BenchError(f"{path}: its shapes contradict each other: {error}") from None
    shapes = [tuple(sparse.dims) for sparse in parts(model, onnx.SparseTensorProto)]
    shapes += [tuple(max(size.dim_value, 1) for size in shape.dim) for shape in parts(inferred, onnx.TensorShapeProto)]
    for lengths in shapes:
        if math.prod(lengths) > _LARGEST_TENSOR:
            raise BenchError(
                f"{path}: makes a tensor of {'x'.join(map(str, lengths))} elements, which is absurdly large"
            )


def _operator(node: onnx.NodeProto) -> tuple[str, str]:
    return domain(node.domain), node.op_type


def domain(name: str) -> str:
    """The standard operators have two names: none, and "ai.onnx"."""
    return "" if name == "ai.onnx" else name
