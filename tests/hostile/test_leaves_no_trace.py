"""Nothing is told to anyone, and nothing is left outside the folders that a command was given.

Commands run with an empty home and an empty temporary folder, in an environment that does not say that this is a test
(`CI` alone keeps ONNX Runtime silent), and with a recorder of names looked up and of connections in every process.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import registry
from tests.harness.a_command import BENCH

HOUSE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recorder(tmp_path_factory):
    """A shared object to preload, which writes to the file that RECORDER names."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("names looked up are recorded by a C library, for Linux: needs a C compiler")
    library = tmp_path_factory.mktemp("recorder") / "recorder.so"
    source = Path(__file__).with_name("recorder.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


class Place:
    """An environment of its own: a home, a temporary folder, and what was looked up."""

    def __init__(self, folder, recorder):
        self.home, self.temporary, self.asked = folder / "home", folder / "tmp", folder / "asked"
        for path in (self.home, self.temporary):
            path.mkdir()
        self.variables = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(HOUSE),
            "OMP_NUM_THREADS": "1",
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "LD_PRELOAD": str(recorder),
            "RECORDER": str(self.asked),
        }

    def run(self, *command, **variables):
        done = subprocess.run(
            command, env=self.variables | variables, capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def left(self):
        """Files and folders in home and temporary folder, and who was asked for."""
        files = [str(path.relative_to(root)) for root in (self.home, self.temporary) for path in root.rglob("*")]
        return files + (self.asked.read_text().splitlines() if self.asked.exists() else [])


@pytest.fixture
def place(tmp_path, recorder):
    return Place(tmp_path, recorder)


@pytest.mark.slow
def test_no_command_leaves_a_trace_outside_its_folders(place, tmp_path):
    data, results, out = tmp_path / "data", f"results={tmp_path / 'results'}", tmp_path / "out.csv"
    place.run(*BENCH, "data", "make", "n=60", f"out={data}")
    place.run(*BENCH, "data", "check", f"data={data}")
    both = ("suite=elasticity", "profile=smoke", "variant=ridge,baseline", "weights=random")
    place.run(*BENCH, "run", *both, f"data={data}", results)
    place.run(*BENCH, "leaderboard", "check=true", results)
    place.run(*BENCH, "leaderboard", f"pictures={tmp_path / 'pictures'}", results)
    place.run(*BENCH, "report", "suite=elasticity", "profile=smoke", results)
    model = next((tmp_path / "results" / "models" / "elasticity").glob("baseline.keras.*.onnx"))
    place.run(*BENCH, "predict", f"model={model}", f"images={data}", f"out={out}")
    place.run(*BENCH, "latency", f"model={model}", "batches=1")
    place.run(*BENCH, "run", "suite=elasticity", "profile=smoke", "variant=baseline", "backend=keras", results)
    place.run(*BENCH, "deploy", "suite=elasticity", "variant=baseline", "backend=keras", results)
    place.run(*BENCH, "parity", "variant=baseline", "rung=structure,forward,export", "profile=smoke", results)
    place.run(*BENCH, "weights", "list")
    place.run(*BENCH, "list")
    assert place.left() == []


def test_the_recorder_sees_a_name_looked_up_and_a_connection(place):
    code = """
import contextlib, socket
with contextlib.suppress(OSError):
    socket.getaddrinfo("nobody.invalid", 80)
with contextlib.suppress(OSError):
    socket.create_connection(("127.0.0.1", 9), timeout=1)
"""
    place.run(sys.executable, "-c", code)
    assert "getaddrinfo nobody.invalid" in place.left()
    assert "connect 127.0.0.1" in place.left()


def test_onnx_runtime_left_to_itself_would_be_seen(place):
    """Should a later version be silent by itself, or by another switch, this tells: look again at harness/__init__."""
    code = "import onnxruntime; onnxruntime.SessionOptions()"
    place.run(sys.executable, "-c", code)
    assert any("Microsoft" in file for file in place.left())


def test_openvino_left_to_itself_would_be_seen(place):
    """Should a later version be silent by itself, this tells: look again at backends/_openvino.py."""
    if not registry.has_openvino():
        pytest.skip("openvino is not installed")
    place.run(sys.executable, "-c", "import openvino")
    assert any("openvino" in file for file in place.left())


def test_openvino_is_silent(place):
    if not registry.has_openvino():
        pytest.skip("openvino is not installed")
    place.run(sys.executable, "-c", "import backends._openvino, openvino; openvino.Core().available_devices")
    assert place.left() == []


def test_onnx_runtime_is_told_to_be_silent_before_it_is_imported(place):
    place.run(sys.executable, "-c", "import harness.registry as r; r.onnx().configure(1, 'cpu')")
    place.run(sys.executable, "-c", "import backends.onnx")
    assert place.left() == []
