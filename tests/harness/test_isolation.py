import os
import tempfile
from pathlib import Path

from harness.isolation import isolated


def test_temporary_files_of_this_process_and_its_children_go_with_it(monkeypatch):
    monkeypatch.setenv("TMPDIR", tempfile.gettempdir())
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    before = dict(os.environ)
    with isolated():
        folder = Path(os.environ["TMPDIR"])
        assert Path(tempfile.mkdtemp()).parent == folder
        assert Path(os.environ["MPLCONFIGDIR"]).parent == folder
    assert not folder.exists()
    assert dict(os.environ) == before
    assert Path(tempfile.gettempdir()) != folder


def test_what_is_there_already_comes_back(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    with isolated():
        assert os.environ["MPLBACKEND"] == "agg"
    assert os.environ["MPLBACKEND"] == "module://matplotlib_inline.backend_inline"
