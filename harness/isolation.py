"""Libraries leave files behind and take settings from wherever they are run: not here.

Keras's own settings are left out where it is imported (`backends/keras.py`), ONNX Runtime's telemetry is switched off
in `harness/__init__.py`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Meanwhile this process and those that it starts have a temporary folder of their own, which goes with them.

    Compilers and tracers of the frameworks leave files in it, workers that are killed most of all. Matplotlib keeps its
    list of fonts there, reads no settings of the user's, and draws to files alone: Jupyter, where `bench` may be
    started, asks for a way of drawing that only its own environment has.
    """
    with tempfile.TemporaryDirectory(prefix="cijbench-", ignore_cleanup_errors=True) as folder:
        own = {"TMPDIR": folder, "MPLCONFIGDIR": str(Path(folder) / "matplotlib"), "MPLBACKEND": "agg"}
        before = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        tempfile.tempdir = None  # looked up once, and kept
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value
            tempfile.tempdir = None
