"""Libraries leave files behind and take settings from wherever they are run: not here.

Keras's own settings are left out where it is imported (`backends/keras.py`), ONNX Runtime's telemetry is switched off
in `harness/__init__.py`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

_HOUSE = str(Path(__file__).parent.parent)
_RUN = (
    "import runpy, sys; sys.path.insert(0, sys.argv[1]); module = sys.argv[2]; del sys.argv[1:3]; "
    "runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """What runs a module of ours in a fresh interpreter, as `python -m` would: from where this one has it, which a
    wheel keeps inside of `cijbench`. `-P`: not what happens to lie in the user's folder under the name of a package.
    """
    return (sys.executable, "-P", "-c", _RUN, _HOUSE, module, *arguments)


_inside = 0
_changing = threading.Lock()
_undone = contextlib.ExitStack()


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Meanwhile this process and those that it starts have a temporary folder of their own, which goes with them.

    Compilers and tracers of the frameworks leave files in it, workers that are killed most of all. Matplotlib keeps its
    list of fonts there, reads no settings of the user's, and draws to files alone: Jupyter, where `bench` may be
    started, asks for a way of drawing that only its own environment has.

    Threads that are inside at the same time share the folder, for a process has one environment: the last one to leave
    restores it.
    """
    global _inside  # noqa: PLW0603  as the environment, of the process
    with _changing:
        if not _inside:
            _undone.enter_context(_own_environment())
        _inside += 1
    try:
        yield
    finally:
        with _changing:
            _inside -= 1
            if not _inside:
                _undone.close()


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
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
