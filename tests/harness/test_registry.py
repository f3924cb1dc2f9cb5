import ast
import subprocess
import sys
from pathlib import Path

import pytest

from harness import registry
from harness.errors import BenchError

ROOT = Path(registry.__file__).parent.parent


def test_a_file_is_a_plug_in():
    assert registry.names("backends") == ("classical", "keras", "onnx", "pytorch")
    assert "elasticity" in registry.names("suites")


def test_listing_imports_no_framework():
    code = """
import sys
from harness import registry
for name in registry.names("backends"):
    registry.trains(name), registry.missing(name)
heavy = {"tensorflow", "keras", "torch", "sklearn", "onnxruntime"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_what_backends_train_is_read_from_their_source():
    assert registry.trains("keras") == registry.trains("pytorch") == ("network",)
    assert registry.trains("classical") == ("estimator",)
    assert registry.trains("onnx") == ()


def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch):
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "paddle.py").write_text(
        'REQUIRES: tuple = ("paddle_not_here", "json")\nTRAINS = ("network",)\n'
    )
    monkeypatch.setattr(registry, "_HOUSE", tmp_path)
    for cached in (registry.names, registry.missing, registry.trains):
        cached.cache_clear()
    try:
        assert registry.names("backends") == ("paddle",)
        assert registry.missing("paddle") == ("paddle_not_here",)
        assert registry.trains("paddle") == ("network",)
    finally:
        for cached in (registry.names, registry.missing, registry.trains):
            cached.cache_clear()


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(BenchError, match="unknown suite 'elastcity': did you mean 'elasticity'"):
        registry.suite("elastcity")


def test_choose():
    assert registry.choose("all", ["a", "b"], "letter") == ("a", "b")
    assert registry.choose("b, a,b", ["a", "b"], "letter") == ("b", "a")
    with pytest.raises(BenchError, match="unknown letter 'c'"):
        registry.choose("a,c", ["a", "b"], "letter")


def test_backends_and_suites_import_only_what_the_house_allows():
    """Backends and suites know the protocol and not each other; leaderboards never import what runs."""
    forbidden = {
        "backends": ("backends", "suites", "harness.running"),
        "suites": ("backends", "harness.running"),
    }
    for folder, banned in forbidden.items():
        for path in (ROOT / folder).rglob("*.py"):
            for name in _imported(path):
                own = name.startswith("backends._") and folder == "backends"  # part of one backend, and none itself
                assert own or not name.startswith(banned), f"{path.relative_to(ROOT)} imports {name}"
    for path in (ROOT / "harness").rglob("*.py"):
        assert not any(name.startswith(("backends", "suites")) for name in _imported(path)), path
    for name in _imported(ROOT / "harness" / "judging" / "leaderboard.py"):
        assert name not in ("harness.running.worker", "harness.running.launch")


def _imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_all_among_other_words_is_all() -> None:
    assert registry.choose("ridge,all", ("mean", "ridge"), "variant") == ("mean", "ridge")
