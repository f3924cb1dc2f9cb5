"""How and where torch computes, for itself and under Keras."""

from __future__ import annotations

import importlib
import os

from harness.errors import Unavailable
from harness.text import Device


def on_torch(threads: int, device: Device) -> dict[str, str]:
    """Set torch's threads, deterministic operations and device, with or without TensorFloat-32 on a GPU, and read back
    what is in force. Raises Unavailable where it finds no such device.
    """
    torch = importlib.import_module("torch")  # Keras on TensorFlow reads this module, too
    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:
        torch.set_num_interop_threads(1)
    torch.use_deterministic_algorithms(True)
    told = {
        "intra_op_threads": str(torch.get_num_threads()),
        "inter_op_threads": str(torch.get_num_interop_threads()),
        "deterministic": str(torch.are_deterministic_algorithms_enabled()),
    }
    if device == "cpu":
        return {**told, "device": "cpu"}
    if not torch.cuda.is_available():
        raise Unavailable(f"device={device}, but torch finds no CUDA device here")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = device == "cuda-tf32"
    rounds = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    tf32 = str(rounds[0]) if rounds[0] == rounds[1] else "in part"
    return {**told, "device": torch.cuda.get_device_name(), "tf32": tf32}
