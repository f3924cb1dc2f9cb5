"""Somebody's ONNX file, looked at and run as it is, for `bench parity onnx=`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from backends._onnx_files import parts, read, refuse_unsafe, session
from harness.errors import BenchError
from harness.foreign import Arrays, Inputs, Inspected, Pairing, Part, Setting, Shape, Source, moves
from harness.protocol import Precision

NAME = "onnx"
PRECISIONS: tuple[Precision, ...] = ("float32",)  # of many operators ONNX Runtime has no other


def configure(precision: Precision, fresh: bool) -> None:
    """Nothing: a session has its own settings, and a file its own precision."""


def load(source: Source, precision: Precision) -> ForeignOnnx:
    """The model in a file. Raises BenchError where it cannot be read, or is not safe (`refuse_unsafe`)."""
    path = Path(source.path)
    model, content = read(path)
    refuse_unsafe(model, path)
    return ForeignOnnx(source, model, content)


def wrap(model: ForeignOnnx, pairing: Pairing, precision: Precision) -> ForeignOnnx:
    """The model, as `harness.foreign.Foreign`."""
    return model


class ForeignOnnx:
    """What `Foreign` asks of a model that is only run, with the weights that it has."""

    def __init__(self, source: Source, model: onnx.ModelProto, content: bytes) -> None:
        self._source, self._model = source, model
        filled = {tensor.name for tensor in model.graph.initializer}
        self._entries = [_Entry(entry) for entry in model.graph.input if entry.name not in filled]
        self._answers = [result.name for result in model.graph.output]
        self._plain = self._session(content, "all")
        self._watched = self._session(_with_all_outputs(model), "disable")
        self._moved = self._session(_by_a_last_digit(model), "all")
        self._moves: dict[str, Shape] = {}

    def _session(self, content: bytes, level: str) -> Any:
        try:
            return session(content, 1, level)
        except Exception as error:  # ONNX Runtime has no base class for its own
            raise BenchError(f"{self._source.path}: ONNX Runtime cannot run it: {error}") from None

    def inputs(self) -> tuple[Inputs, ...]:
        """See `Foreign.inputs`: none where other lengths than the batch's are free."""
        found = []
        for entry in self._entries:
            shape = tuple(length for length in (entry.lengths or ())[1:] if length)
            if not entry.lengths or len(shape) + 1 < len(entry.lengths):
                return ()
            found.append(Inputs(entry.name, shape, self._vocabulary(entry)))
        return tuple(found)

    def _vocabulary(self, entry: _Entry) -> int:
        """Below what whole numbers must be, by what they are looked up in; 0 for an input of other numbers."""
        if entry.dtype.kind != "i":
            return 0
        heights = {tensor.name: tensor.dims[0] for tensor in self._model.graph.initializer if tensor.dims}
        same = {entry.name}
        for node in self._model.graph.node:
            if node.op_type == "Cast" and node.input[0] in same:
                same.add(node.output[0])
        tables = [n.input[0] for n in self._model.graph.node if n.op_type == "Gather" and n.input[1] in same]
        return min((heights[table] for table in tables if table in heights), default=2)

    def inspect(self, inputs: Arrays) -> Inspected:
        """See `Foreign.inspect`: the parts are the graph's nodes, without arrays, for a node's need not be one layer's.

        Raises BenchError where the graph does not take such inputs, or does not tell how.
        """
        if len(inputs) != len(self._entries):
            raise BenchError(f"{self._named()}: takes {len(self._entries)} inputs, and is given {len(inputs)}")
        self._moves = {
            entry.name: self._move(entry, array)
            for entry, array in zip(self._entries, self._order(inputs), strict=True)
        }
        self._run(self._plain, inputs, self._answers)
        remarks = [
            f"takes {entry.name} as {entry.said()}, {_said(self._moves[entry.name])}"
            for entry in self._entries
            if len(self._moves[entry.name]) > 2
        ]
        return Inspected(NAME, tuple(_parts(self._model)), answers=len(self._answers), remarks=tuple(remarks))

    def _named(self) -> str:
        return f"onnx={self._source.path}"

    def _order(self, inputs: Arrays) -> list[NDArray[Any]]:
        """The inputs as the graph has them: by name, or in order where it has other names."""
        names = [entry.name for entry in self._entries]
        return [inputs[name] for name in names] if set(names) == set(inputs) else list(inputs.values())

    def _move(self, entry: _Entry, array: NDArray[Any]) -> Shape:
        """How an input is turned at the door."""
        if (array.dtype.kind == "f") != (entry.dtype.kind == "f"):
            given = "real" if array.dtype.kind == "f" else "whole"
            raise BenchError(f"{self._named()}: takes {entry.name} as {entry.dtype}, and is given {given} numbers")
        shape = array.shape
        wanted = entry.lengths or (None,) * len(shape)
        fitting = moves(shape, (None, *wanted[1:]), anywhere=True)
        if not fitting:
            raise BenchError(
                f"{self._named()}: takes {entry.name} as {entry.said()}, which is no order of the axes of {shape[1:]}"
            )
        if len(fitting) > 1 and not self._source.layout:
            raise BenchError(
                f"{self._named()}: takes {entry.name} as {entry.said()}, which does not tell whether channels are "
                "first or last: say layout=first or layout=last"
            )
        last, *first = moves(shape, (None,) * len(shape))
        said = first[0] if first and self._source.layout == "first" else last
        return said if said in fitting else fitting[0]

    def arrays(self) -> Arrays:
        """See `Foreign.arrays`: every tensor of real numbers that is used, wherever in the file it is kept."""
        used = {name for node in parts(self._model, onnx.NodeProto) for name in node.input}
        idle = {tensor.name for tensor in self._model.graph.initializer} - used
        found: Arrays = {}
        for tensor in (tensor for tensor in _tensors(self._model) if tensor.name not in idle):
            found[tensor.name or f"constant {len(found)}"] = _numbers(tensor)
        return found

    def forward(self, inputs: Arrays) -> Arrays:
        """See `Foreign.forward`; also the answers where each number of kernels and inputs is moved by its last digit
        (`moved answer 0`, ...): by how much rounding alone may move them.
        """
        names = [output.name for output in self._watched.get_outputs()]
        seen = dict(zip(names, self._run(self._watched, inputs, names), strict=True))
        nudged = {name: _nudged(array) for name, array in inputs.items()}
        answers = self._run(self._plain, inputs, self._answers)
        moved = self._run(self._moved, nudged, self._answers)
        return (
            {name: array for name, array in seen.items() if array is not None and array.dtype.kind == "f"}
            | {f"answer {place}": _answer(array) for place, array in enumerate(answers)}
            | {f"moved answer {place}": _answer(array) for place, array in enumerate(moved)}
        )

    def draws(self) -> None:
        """See `Foreign.draws`."""

    def _run(self, session: Any, inputs: Arrays, names: list[str]) -> list[NDArray[Any] | None]:
        """What the graph makes of the rows, in batches of the size that it says; None for what has no row for each."""
        given = {
            entry.name: array.transpose(self._moves[entry.name]).astype(entry.dtype)
            for entry, array in zip(self._entries, self._order(inputs), strict=True)
        }
        rows = len(next(iter(given.values()))) if given else 0
        size = next((n for entry in self._entries if (n := entry.batch())), rows)
        batches = []
        for start in range(0, rows, size):
            taken = [min(row, rows - 1) for row in range(start, start + size)]  # the last row fills up the last batch
            batches.append(session.run(names, {name: array[taken] for name, array in given.items()}))
        return [
            np.concatenate(each)[:rows] if all(np.ndim(array) and len(array) == size for array in each) else None
            for each in zip(*batches, strict=True)
        ]


class _Entry:
    """An input of a graph: its name, type, and lengths, None where they are free; None for no lengths at all."""

    def __init__(self, entry: onnx.ValueInfoProto) -> None:
        tensor = entry.type.tensor_type
        self.name = entry.name
        self.dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        self.lengths: tuple[int | None, ...] | None = None
        if tensor.HasField("shape"):
            self.lengths = tuple(size.dim_value if size.dim_value > 0 else None for size in tensor.shape.dim)

    def batch(self) -> int | None:
        """The size of a batch, where the graph has but one."""
        return self.lengths[0] if self.lengths else None

    def said(self) -> str:
        """Its shape in words."""
        if self.lengths is None:
            return "any shape"
        return "(" + ", ".join(["N", *("?" if size is None else str(size) for size in self.lengths[1:])]) + ")"


def _said(order: Shape) -> str:
    if order == tuple(range(len(order))):
        return "as it is given"
    return "channels first" if order[1] == len(order) - 1 else "channels last"


def _answer(array: NDArray[Any] | None) -> NDArray[Any]:
    if array is None:
        raise BenchError("the graph answers something that has no row for each sample")
    return array.astype(np.float32)


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    for tensor in parts(model, TensorProto):
        if tensor.data_type in _REAL and tensor.dims:
            yield tensor


_REAL = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


def _numbers(tensor: TensorProto) -> NDArray[Any]:
    array = numpy_helper.to_array(tensor)
    return array.astype(np.float32) if tensor.data_type == TensorProto.BFLOAT16 else array


def _parts(model: onnx.ModelProto) -> Iterator[Part]:
    """The nodes in the order in which they are computed."""
    made = {name for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        settings = {attribute.name: _setting(helper.get_attribute_value(attribute)) for attribute in node.attribute}
        behind = next((name for name in node.input if name in made), "")
        yield Part(node.output[0], node.op_type, {}, settings, node.output[0], behind=behind)


def _setting(value: Any) -> Setting:
    """An attribute as text or numbers; "..." for what is neither, as a tensor or a graph."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list | tuple) and all(isinstance(each, int) for each in value):
        return tuple(value)
    return value if isinstance(value, int | float | str) else "..."


def _with_all_outputs(model: onnx.ModelProto) -> bytes:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {result.name for result in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name and name not in known]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return copy.SerializeToString()


def _by_a_last_digit(model: onnx.ModelProto) -> bytes:
    """The model with every number of its kernels moved; not of vectors, which may say sizes."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in _tensors(copy):
        if len(tensor.dims) > 1:
            moved = numpy_helper.from_array(_nudged(numpy_helper.to_array(tensor)), tensor.name)
            tensor.CopyFrom(moved)
    return copy.SerializeToString()


def _nudged(array: NDArray[Any]) -> NDArray[Any]:
    """Real numbers, each moved to a neighbour: up or down, by chance."""
    if array.dtype.kind != "f":
        return array
    ups = np.random.default_rng(0).integers(0, 2, array.shape).astype(bool)
    up, down = (np.nextafter(array, np.asarray(to, array.dtype)) for to in (np.inf, -np.inf))
    return np.where(ups, up, down)
