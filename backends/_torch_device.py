"""Where torch computes, for itself and under Keras."""

from __future__ import annotations

import importlib
import os

from harness.errors import Unavailable
from harness.text import Device


def on_torch(device: Device) -> dict[str, str]:
    """Have torch compute with or without TensorFloat-32, and read back where and how it does.

    Raises Unavailable where it finds no such device.
    """
    torch = importlib.import_module("torch")  # Keras on TensorFlow reads this module, too

    if device == "cpu":
        return {"device": "cpu"}
    if not torch.cuda.is_available():
        raise Unavailable(f"device={device}, but torch finds no CUDA device here")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = device == "cuda-tf32"
    rounds = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    return {"device": torch.cuda.get_device_name(), "tf32": str(rounds[0]) if rounds[0] == rounds[1] else "in part"}
