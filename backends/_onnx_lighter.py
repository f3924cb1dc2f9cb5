"""Exported models made lighter, of numbers of eight or sixteen bits, by ONNX Runtime's own tools."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from backends._onnx_files import read
from harness.errors import BenchError
from harness.protocol import Images

_QUANTIZED = ("Conv", "MatMul", "Gemm")
_DECODING = "decoding/"  # how the names begin that `bench run` gives to what it puts after a model
_AT_A_TIME = 32


def to_int8(source: Path, target: Path, images: Images) -> None:
    """Write `source` with products of eight-bit integers: static quantization, calibrated on `images`.

    Activations are unsigned, weights signed, one scale for each channel. Weights have seven bits, for where a processor
    adds two products in sixteen bits (x86 without VNNI) those of eight overflow: of the tuned CNN's skill of 0.973 that
    left 0.873. A decoding stays as it is, for physics of eight bits is none: of a physics-net's skill of 0.92 that left
    -3.0. Raises BenchError where nothing is there to be quantized.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        folded = Path(folder) / "folded.onnx"  # batch norms into convolutions, above all
        quant_pre_process(str(source), str(folded), skip_symbolic_shape=True)
        decoding = _named_decoding(folded)
        quantize_static(
            str(folded),
            str(target),
            _Calibration(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTIZED),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_exclude=decoding,
        )
    model, _ = read(target)
    if not any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise BenchError("it has no convolution or matrix product in float32 that could be quantized")
    _like(source, model, target)


def _named_decoding(path: Path) -> list[str]:
    """The names of a graph's nodes that decode, which are given to all that have none."""
    model, _ = read(path)
    for node in model.graph.node:
        node.name = node.name or f"of {node.output[0]}"
    onnx.save(model, path)
    return [n.name for n in model.graph.node if any(name.startswith(_DECODING) for name in (*n.input, *n.output))]


def to_float16(source: Path, target: Path) -> None:
    """Write `source` with numbers of half precision, but for images and predictions. Raises BenchError where it has
    none in float32 to be halved.
    """
    model, _ = read(source)
    if not any(tensor.data_type == TensorProto.FLOAT for tensor in model.graph.initializer):
        raise BenchError("it has no weights in float32 that could be halved")
    with _quiet():
        _like(source, convert_float_to_float16(model, keep_io_types=True), target)


def _like(source: Path, model: onnx.ModelProto, target: Path) -> None:
    """Save it with the metadata of `source`."""
    del model.metadata_props[:]
    model.metadata_props.extend(read(source)[0].metadata_props)
    onnx.save(model, target)


class _Calibration(CalibrationDataReader):
    """Images, a few at a time."""

    def __init__(self, images: Images) -> None:
        self._parts = iter(np.array_split(images, -(-len(images) // _AT_A_TIME)))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next few, None after the last."""
        part = next(self._parts, None)
        return None if part is None else {"images": part}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without advice to preprocess what was preprocessed."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
