import contextlib
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


def test_threads_that_overlap_share_a_folder_until_the_last_one_leaves(monkeypatch):
    monkeypatch.delenv("TMPDIR", raising=False)
    before = dict(os.environ)
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    first.enter_context(isolated())
    folder = Path(os.environ["TMPDIR"])
    second.enter_context(isolated())
    first.close()
    assert Path(os.environ["TMPDIR"]) == folder
    assert folder.is_dir()
    second.close()
    assert not folder.exists()
    assert dict(os.environ) == before
