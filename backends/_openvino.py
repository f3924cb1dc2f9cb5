"""Exported models in OpenVINO, another runtime for the same files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

# Importing OpenVINO writes a number of its own into the user's home, to count users by; without the package that does
# it, it has a stand-in that does nothing.
sys.modules.setdefault("openvino_telemetry", cast("ModuleType", None))

import numpy as np
import openvino
from numpy.typing import NDArray

from backends._onnx_files import read, refuse_unsafe
from harness.errors import BenchError
from harness.protocol import Images, Targets

if TYPE_CHECKING:
    from types import ModuleType


def open_model(path: Path, threads: int = 1) -> OpenVinoModel:
    """Read an ONNX file and compile it. Raises BenchError where it is not safe, or cannot be run."""
    return OpenVinoModel(path, threads)


class OpenVinoModel:
    """A model compiled for the processor, in float32; what `backends.onnx.OnnxModel` offers for timing it."""

    def __init__(self, path: Path, threads: int) -> None:
        model, content = read(path)
        refuse_unsafe(model, path)
        core = openvino.Core()
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        try:
            compiled = core.compile_model(core.read_model(content, b""), "CPU", settings)
        except Exception as error:  # whatever it raises for an operator that it lacks
            raise BenchError(f"{path}: OpenVINO cannot run it: {error}") from None
        self.threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        shape = compiled.input(0).partial_shape
        self.input_shape = tuple(int(size.get_length()) if size.is_static else None for size in shape)
        self._request = compiled.create_infer_request()

    def run(self, images: Images) -> NDArray[np.float32]:
        """The first output for one batch; nothing but the call, so that it can be timed."""
        outputs: NDArray[np.float32] = self._request.infer({0: images}, share_inputs=True, share_outputs=True)[0]
        return outputs

    def predict(self, images: Images) -> Targets:
        """The output for any number of images, in float64."""
        parts = [np.array(self.run(images[start : start + 128])) for start in range(0, len(images), 128)]
        return np.concatenate(parts).astype(np.float64)
