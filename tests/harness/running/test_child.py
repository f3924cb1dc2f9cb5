import io
import os
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from harness.errors import BenchError, Unavailable
from harness.running import child


class Request(msgspec.Struct):
    number: int


class Double(msgspec.Struct):
    number: int


def served(monkeypatch, answer):
    """All messages of a child that is asked for the double of 21."""
    sent = []
    asked = io.TextIOWrapper(io.BytesIO(b'{"number":21}\n'))
    monkeypatch.setattr(sys, "stdin", asked)
    monkeypatch.setattr(child, "take_over_stdout", lambda: sent.append)
    monkeypatch.setattr(child, "end_with_input", lambda: None)  # it would end this process
    child.serve(Request, answer, prepare=lambda: sent.append("prepared"))
    return sent


def test_a_request_is_answered_after_what_takes_long_was_imported(monkeypatch):
    def answer(request, on_progress):
        on_progress(1, 2)
        return Double(2 * request.number)

    prepared, ready, progress, ended = served(monkeypatch, answer)
    assert (prepared, ready, progress) == ("prepared", child.Ready(), child.Progress(1, 2))
    assert msgspec.json.decode(ended.value, type=Double) == Double(42)
    assert ended.peak_gib == pytest.approx(child.peak_gib(), rel=0.1)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BenchError("m.onnx: not an ONNX file"), "m.onnx: not an ONNX file"),
        (BenchError("\udcff.onnx: not an ONNX file"), "\\udcff.onnx: not an ONNX file"),
        (Unavailable("keras finds a GPU"), "keras finds a GPU"),
        (PermissionError(13, "Permission denied", "m.onnx"), "m.onnx: Permission denied"),
        (MemoryError("of 8 GiB"), "not enough memory: of 8 GiB"),
    ],
)
def test_what_cannot_be_done_is_told(monkeypatch, error, said):
    def answer(request, on_progress):
        raise error

    ended = served(monkeypatch, answer)[-1]
    assert ended == child.Refused(said)
    assert msgspec.json.encode(ended)


def test_a_fault_is_raised(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        served(monkeypatch, lambda request, on_progress: 1 / 0)


def test_a_child_ends_with_its_parent():
    """Which closes its end of standard input, however it dies; that work is under way does not matter."""
    reading, writing = os.pipe()
    script = (
        "import threading; from harness.running import child; from harness.errors import BenchError\n"
        "child.serve(dict, lambda *_: threading.Event().wait(), lambda: None)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=reading, stdout=subprocess.PIPE) as process:
        os.close(reading)
        os.write(writing, b"{}\n")
        assert process.stdout.readline() == b'{"type":"Ready"}\n'
        os.close(writing)
        assert process.wait(60) == 0


def test_the_peak_is_that_of_the_process_and_not_of_whoever_started_it():
    """It is `ru_maxrss` that would be the parent's."""
    hoard = np.ones(2**26)  # half a GiB
    script = "from harness.running.child import peak_gib; print(peak_gib())"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert child.peak_gib() > hoard.nbytes / 2**30
    if sys.platform == "linux":
        assert float(told.stdout) < 0.3


def test_the_peak_is_read_where_the_system_writes_it(tmp_path):
    (tmp_path / "status").write_text("Name:\tpython\nVmPeak:\t 9437184 kB\nVmHWM:\t 3145728 kB\nVmRSS:\t 1024 kB\n")
    assert child.peak_gib(tmp_path / "status") == 3
    (tmp_path / "other").write_text("Name:\tpython\n")
    for name in ("other", "nowhere"):
        assert 0.01 < child.peak_gib(tmp_path / name) < 100
