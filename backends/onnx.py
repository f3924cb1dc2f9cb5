"""ONNX Runtime, inference only; and a third implementation of every network, written as an ONNX graph node by node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from backends._onnx_files import domain, read, refuse_unsafe, session
from harness.errors import BenchError, Unavailable
from harness.model.architecture import (
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    MaxPool2D,
    Network,
    Shape,
    Weights,
    backbone_of,
    initial_weights,
    named_layers,
    parameter_shapes,
)
from harness.model.variants import Recipe, Schedule, Variant
from harness.model.weights import check_fit
from harness.protocol import (
    Arrays,
    Classes,
    Counts,
    History,
    Images,
    OnEpoch,
    OnProgress,
    Operators,
    Precision,
    Scaling,
    Targets,
    Task,
    TrainingData,
)
from harness.text import Device

REQUIRES = ("onnx", "onnxruntime")
TRAINS = ()
COMPUTES_WITH = ("numpy", "onnxruntime", "onnxruntime-gpu")

OPSET = 18
_threads = 1


def configure(threads: int, device: Device, precision: Precision = "float32") -> dict[str, str]:
    """See `Backend.configure`. Only the processor is used."""
    if precision != "float32":
        raise Unavailable("the onnx backend's graphs are in float32")
    global _threads  # noqa: PLW0603  as in the other backends, a process has one number of threads
    _threads = threads
    return {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__, "intra_op_threads": str(threads)}


# --- files ----------------------------------------------------------------------------------------------------------


class OnnxModel:
    """A session on one model; `input_shape` and `output_shape` have None where a length is free."""

    def __init__(self, content: bytes, threads: int, level: str = "all") -> None:
        self._session = session(content, threads, level)
        self.threads: int = self._session.get_session_options().intra_op_num_threads
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        entries, results = self._session.get_inputs(), self._session.get_outputs()
        self.takes = tuple(entry.type for entry in entries)
        self.gives = tuple(result.type for result in results)
        if not entries:
            raise BenchError("takes no input")
        entry, result = entries[0], results[0]
        self.input_name: str = entry.name
        self.input_shape, self.output_shape = _lengths(entry.shape), _lengths(result.shape)

    def run(self, images: Images) -> NDArray[np.float32]:
        """The first output for one batch; nothing but the call, so that it can be timed."""
        outputs: NDArray[np.float32] = self._session.run(None, {self.input_name: images})[0]
        return outputs

    def predict(self, images: Images, on_progress: OnProgress | None = None) -> Targets:
        """The output for any number of images, a batch at a time, in float64; `on_progress` is told of each batch.

        Raises BenchError where it does not run, or gives other than a row for each image.
        """
        parts = []
        for start in range(0, max(len(images), 1), 128):
            parts.append(self._rows(images[start : start + 128]))
            if on_progress:
                on_progress(min(start + 128, len(images)), len(images))
        if len({part.shape[1:] for part in parts}) > 1:
            raise BenchError("the model gave rows of different shapes for different images")
        return np.concatenate(parts).astype(np.float64)

    def _rows(self, images: Images) -> NDArray[np.float32]:
        try:
            rows = self.run(images)
        except Exception as error:  # ONNX Runtime has no base class for its own
            raise BenchError(f"ONNX Runtime cannot run the model: {error}") from None
        if rows.shape[:1] != images.shape[:1]:
            raise BenchError(f"the model gave {rows.shape[0] if rows.ndim else 'no'} rows for {len(images)} images")
        return rows


def _lengths(shape: list[int | str | None]) -> tuple[int | None, ...]:
    return tuple(length if isinstance(length, int) else None for length in shape)


class OnnxFile:
    """What an ONNX file says of itself, read and found safe before ONNX Runtime sees it; what was checked is opened.

    `metadata` is what `annotate` wrote; `input_shapes` has None where a length is free, and () for a shape left open.
    Raises BenchError where the file is missing, is no ONNX file, or is one that is not safe (`refuse_unsafe`).
    """

    def __init__(self, path: Path) -> None:
        model, self._content = read(path)
        refuse_unsafe(model, path)
        self._path = path
        self.metadata = {entry.key: entry.value for entry in model.metadata_props}
        filled = {tensor.name for tensor in model.graph.initializer}
        filled |= {tensor.values.name for tensor in model.graph.sparse_initializer}
        entries = [entry for entry in model.graph.input if entry.name not in filled]
        self.input_shapes = tuple(_declared(entry.type.tensor_type.shape) for entry in entries)

    def open(self, threads: int = 1, level: str = "all") -> OnnxModel:
        """Load it into ONNX Runtime, at one of its levels of graph optimization (`LEVELS`).

        Raises BenchError where it cannot be run.
        """
        try:
            return OnnxModel(self._content, threads, level)
        except Exception as error:  # ONNX Runtime has no base class for its own
            raise BenchError(f"{self._path}: ONNX Runtime cannot run it: {error}") from None


def _declared(shape: onnx.TensorShapeProto) -> tuple[int | None, ...]:
    """As ONNX Runtime reads it: a negative length is a free one."""
    return tuple(size.dim_value if size.HasField("dim_value") and size.dim_value >= 0 else None for size in shape.dim)


def open_model(path: Path, threads: int = 1, level: str = "all") -> OnnxModel:
    """Read an ONNX file and load it into ONNX Runtime; see `OnnxFile` for what is refused."""
    return OnnxFile(path).open(threads, level)


def annotate(path: Path, metadata: Mapping[str, str]) -> None:
    """Write `metadata` into an exported model, and hold it to the contract of `Model.export`.

    Raises BenchError where there is no model, where input, output or batch size is not as agreed, or where the file
    needs others beside it.
    """
    model, _ = read(path)
    entries = [entry.name for entry in model.graph.input]
    results = [result.name for result in model.graph.output]
    if entries != ["images"] or len(results) != 1:
        raise BenchError(f"{path}: exported with inputs {entries} and outputs {results}, not 'images' and one output")
    lengths = model.graph.input[0].type.tensor_type.shape.dim
    if not lengths or lengths[0].HasField("dim_value"):
        raise BenchError(f"{path}: exported with a fixed batch size")
    _rename_output(model, results[0], "prediction")
    helper.set_model_props(model, dict(metadata))
    onnx.save(model, path)


def prepend(path: Path, encoding: Operators, image_shape: Shape, prefix: str) -> None:
    """Put an encoding before an exported model, which takes images (batch, *image_shape) from then on. Its names in the
    graph begin with `prefix`.
    """
    model, _ = read(path)
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == "images":
                node.input[index] = f"{prefix}/encoded"
    rest = list(model.graph.node)
    del model.graph.node[:]
    del model.graph.value_info[:]  # an encoding may give other than one value for each image
    _extend(model, encoding, prefix, {"images": "images"})
    model.graph.node.extend(rest)
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *image_shape]))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def append(path: Path, decoding: Operators, count: int, prefix: str) -> None:
    """Put a decoding after an exported model that takes images: it gives (batch, count) targets from then on. Its names
    in the graph begin with `prefix`.
    """
    model, _ = read(path)
    _rename_output(model, model.graph.output[0].name, f"{prefix}/answers")
    _extend(model, decoding, prefix, {"images": "images", "decoded": "prediction"})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["batch", count]))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _extend(model: onnx.ModelProto, piece: Operators, prefix: str, known: dict[str, str]) -> None:
    """Add a piece to the end of a graph; names that are not `known` there are the piece's own."""

    def own(name: str) -> str:
        return known.get(name, f"{prefix}/{name}")

    model.graph.node.extend(
        helper.make_node(operator, [own(name) for name in inputs], [own(output)], **attributes)
        for operator, inputs, output, attributes in piece.nodes
    )
    model.graph.initializer.extend(numpy_helper.from_array(array, own(name)) for name, array in piece.arrays.items())


def _rename_output(model: onnx.ModelProto, old: str, new: str) -> None:
    if old == new:
        return
    model.graph.output[0].name = new
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


def opset(path: Path) -> int:
    """Version of the standard operators in a model. Raises BenchError where there is no model or it uses none."""
    versions = {domain(entry.domain): entry.version for entry in read(path)[0].opset_import}
    if "" not in versions:
        raise BenchError(f"{path}: uses none of the standard operators")
    return int(versions[""])


# --- networks as graphs ---------------------------------------------------------------------------------------------


def build(variant: Variant, task: Task, seed: int) -> OnnxNetwork:
    """See `Backend.build`. There is no framework whose own weights these could be: they are the harness's."""
    if not isinstance(variant.architecture, Network):
        raise NotImplementedError(f"the onnx backend builds networks, and '{variant.name}' is none")
    if backbone_of(variant.architecture):
        raise NotImplementedError(f"the onnx backend builds no backbones, and '{variant.name}' has one")
    return OnnxNetwork(variant.architecture, task, initial_weights(variant.architecture, task.input_shape, seed))


class OnnxNetwork:
    """A network as an ONNX graph; see `harness.protocol.Model`."""

    def __init__(self, network: Network, task: Task, weights: Weights) -> None:
        self._network, self._task = network, task
        self._shapes = parameter_shapes(network, task.input_shape)
        self._weights = weights
        self._session: OnnxModel | None = None

    def counts(self) -> Counts:
        """See `Model.counts`. Nothing is trained here, but all could be."""
        layers: dict[str, int] = {}
        for name, shape in self._shapes.items():
            layer = name.partition("/")[0]
            layers[layer] = layers.get(layer, 0) + int(np.prod(shape))
        return Counts(sum(layers.values()), 0, layers)

    def weights(self) -> Weights:
        """See `Model.weights`."""
        return {name: array.copy() for name, array in self._weights.items()}

    def set_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.set_weights`."""
        check_fit(weights, self._shapes)
        self._weights = {name: np.array(weights[name], np.float32) for name in self._shapes}
        self._session = None

    def features(self, images: Images) -> NDArray[np.float32]:
        """Raise NotImplementedError: backbones are built by the frameworks alone."""
        raise NotImplementedError("the onnx backend builds no backbones, so none of its layers are frozen")

    def activations(self, images: Images) -> Arrays:
        """Raise NotImplementedError."""
        raise NotImplementedError("ONNX Runtime fuses layers and shows only what comes out at the end")

    def loss_and_gradients(self, images: Images, targets: Targets, recipe: Recipe) -> tuple[float, Arrays]:
        """Raise NotImplementedError."""
        raise NotImplementedError("ONNX Runtime is used for inference only: it gives no gradients")

    def train(self, data: TrainingData, recipe: Recipe | None, schedule: Schedule | None, on_epoch: OnEpoch) -> History:
        """Raise NotImplementedError."""
        raise NotImplementedError("ONNX Runtime is used for inference only: train with keras or pytorch")

    def predict(self, images: Images) -> Targets:
        """See `Model.predict`."""
        if self._session is None:
            count = len(self._task.targets)
            unscaled = msgspec.structs.replace(self._task, scaling=Scaling((0.0,) * count, (1.0,) * count))
            self._session = OnnxModel(as_graph(self._network, unscaled, self._weights), _threads)
        return self._task.scaling.to_physical(self._session.predict(images))

    def export(self, path: Path) -> None:
        """See `Model.export`."""
        path.write_bytes(as_graph(self._network, self._task, self._weights))


def as_graph(network: Network, task: Task, weights: Weights) -> bytes:
    """A serialized ONNX model of `network`: channels-first inside, and the task's scaling at the end."""
    nodes: list[onnx.NodeProto] = []
    arrays: dict[str, NDArray[Any]] = {}
    value, of_image = "images", len(task.input_shape) == 3
    if of_image:
        nodes.append(helper.make_node("Transpose", ["images"], ["images_first"], perm=[0, 3, 1, 2]))
        value = "images_first"
    for name, layer in named_layers(network):
        match layer:
            case Conv2D(padding=padding):
                arrays[f"{name}_kernel"] = weights[f"{name}/kernel"].transpose(3, 2, 0, 1)
                if padding == "periodic" and layer.kernel > 1:
                    around, edges = _around(value, name, layer.kernel // 2)
                    nodes, arrays, value = nodes + around, arrays | edges, f"{name}_around"
                pad = {"auto_pad": "SAME_UPPER" if padding == "same" else "VALID"}
                inputs = [value, f"{name}_kernel", f"{name}_bias"]
                nodes.append(helper.make_node("Conv", inputs, [name], **pad))
            case Dense():
                arrays[f"{name}_kernel"] = weights[f"{name}/kernel"]
                nodes.append(helper.make_node("Gemm", [value, f"{name}_kernel", f"{name}_bias"], [name]))
            case MaxPool2D(size):
                square = [size, size]
                nodes.append(helper.make_node("MaxPool", [value], [name], kernel_shape=square, strides=square))
            case Flatten():
                if of_image:
                    nodes.append(helper.make_node("Transpose", [value], [f"{name}_last"], perm=[0, 2, 3, 1]))
                    value = f"{name}_last"
                nodes.append(helper.make_node("Flatten", [value], [name]))
            case GlobalAveragePool2D():
                nodes.append(helper.make_node("GlobalAveragePool", [value], [f"{name}_square"]))
                nodes.append(helper.make_node("Flatten", [f"{name}_square"], [name]))
            case Dropout():
                continue
        value, of_image = name, of_image and not isinstance(layer, Flatten | GlobalAveragePool2D)
        if isinstance(layer, Conv2D | Dense):
            arrays[f"{name}_bias"] = weights[f"{name}/bias"]
            if layer.activation == "relu":
                value = f"{name}_relu"
                nodes.append(helper.make_node("Relu", [name], [value]))
    ending, constants = _ending(task.scaling, value)
    return _serialized(nodes + ending, arrays | constants, task)


def _ending(scaling: Scaling | Classes, value: str) -> tuple[list[onnx.NodeProto], Arrays]:
    """From what the network answers, under this name, to its prediction."""
    if isinstance(scaling, Classes):
        return [helper.make_node("Softmax", [value], ["prediction"], axis=1)], {}
    nodes = [
        helper.make_node("Mul", [value, "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["prediction"]),
    ]
    return nodes, {"scale": np.array(scaling.scale, np.float32), "offset": np.array(scaling.offset, np.float32)}


def _around(value: str, name: str, edge: int) -> tuple[list[onnx.NodeProto], Arrays]:
    """An image (batch, channel, height, width) with its own opposite edges around it; `Pad` wraps from opset 19 on."""
    nodes = []
    arrays = {
        f"{name}_{part}": np.array([number], np.int64)
        for part, number in {"start": 0, "edge": edge, "far": -edge, "end": np.iinfo(np.int64).max}.items()
    }
    for axis in (2, 3):
        arrays[f"{name}_axis{axis}"] = np.array([axis], np.int64)
        for part, ends in {"before": ("far", "end"), "after": ("start", "edge")}.items():
            inputs = [value, *(f"{name}_{end}" for end in ends), f"{name}_axis{axis}"]
            nodes.append(helper.make_node("Slice", inputs, [f"{name}_{part}{axis}"]))
        result = f"{name}_around" if axis == 3 else f"{name}_around{axis}"
        inputs = [f"{name}_before{axis}", value, f"{name}_after{axis}"]
        nodes.append(helper.make_node("Concat", inputs, [result], axis=axis))
        value = result
    return nodes, arrays


def _serialized(nodes: list[onnx.NodeProto], arrays: Arrays, task: Task) -> bytes:
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *task.input_shape])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["batch", len(task.targets)])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


# --- the reference model of the timings -----------------------------------------------------------------------------

# The report's tuned CNN with 16 filters of 5x5: never change it, for published ratios are ratios to it.
REFERENCE = Network(
    (
        Conv2D(16, 5, "same"),
        MaxPool2D(),
        Conv2D(32, 5, "same"),
        MaxPool2D(),
        Flatten(),
        Dense(64),
        Dense(9, activation="linear"),
    )
)


def write_reference(path: Path) -> None:
    """Write the model that every latency is a ratio to."""
    targets = tuple(f"target_{index}" for index in range(9))
    task = Task((64, 64, 1), targets, ("1",) * 9, Scaling((0.0,) * 9, (1.0,) * 9))
    path.write_bytes(as_graph(REFERENCE, task, initial_weights(REFERENCE, task.input_shape, seed=0)))
