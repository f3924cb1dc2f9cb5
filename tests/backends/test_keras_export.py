import subprocess
import sys

from harness.running.launch import worker_environment

CHILD = """
import importlib, sys
from pathlib import Path
import tf2onnx.utils
from tests.backends import conformance
keras = importlib.import_module("backends.keras")
keras.configure(1, "cpu")
path = Path(sys.argv[1])
files = set()
for count in (1, 5, 93, 960, 99990):
    tf2onnx.utils.INTERNAL_NAME = count
    keras.build(conformance.a_variant(conformance.SMALL), conformance.a_task(), 0).export(path)
    files.add(path.read_bytes())
assert len(files) == 1, len(files)
"""


def test_a_file_does_not_hang_on_how_much_was_exported_before(tmp_path):
    """tf2onnx counts its names over the whole process, and sorts by them."""
    command = [sys.executable, "-c", CHILD, str(tmp_path / "model.onnx")]
    subprocess.run(command, env=worker_environment("cpu"), check=True, timeout=300)
