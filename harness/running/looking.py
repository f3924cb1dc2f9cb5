"""What a model is that is somebody's own code, found out in a process of its own: `python -m harness.running.looking`.

The code is run here and in the workers of its framework, and nowhere else.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import msgspec

from harness.errors import BenchError
from harness.model import code
from harness.model.architecture import Framework, Shape
from harness.protocol import OnProgress
from harness.running.apart import ask
from harness.running.child import serve
from harness.running.guard import Limits


class Request(msgspec.Struct, frozen=True):
    """A model by its path, and the task that it is made for."""

    path: str
    input_shape: Shape
    outputs: int


class Looked(msgspec.Struct, frozen=True):
    """Of which framework it is, and the hash of its code."""

    framework: Framework
    source: str


def look(path: str, input_shape: Shape, outputs: int, limits: Limits) -> Looked:
    """What the code makes. Raises BenchError where it cannot be imported, makes no model, or takes more than it may."""
    request = Request(path, input_shape, outputs)
    return ask("harness.running.looking", request, Looked, limits, lambda *_: None, about=f"{path}: ")


def look_here(request: Request, _: OnProgress) -> Looked:
    """Look in this process. Raises BenchError where there is no model."""
    model = code.make(request.path, request.input_shape, request.outputs, seed=0)
    framework = _framework(model)
    if framework is None:
        raise BenchError(
            f"{request.path}: makes {type(model).__name__}, which is not a scikit-learn estimator, a torch.nn.Module "
            "or a keras.Model"
        )
    return Looked(framework, code.source(request.path))


def _framework(model: Any) -> Framework | None:
    """By what its code has imported: nothing is imported for this."""
    torch, keras = sys.modules.get("torch.nn"), sys.modules.get("keras")
    if torch and isinstance(model, torch.Module):
        return "torch"
    if keras and isinstance(model, keras.Model):
        return "keras"
    return "scikit-learn" if all(hasattr(model, name) for name in ("fit", "predict", "get_params")) else None


def _as_backends_do() -> None:
    """Keras on the engine that it would have in a worker, without settings of the user's home."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ |= {"KERAS_HOME": os.devnull, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}


if __name__ == "__main__":
    serve(Request, look_here, prepare=_as_backends_do)
