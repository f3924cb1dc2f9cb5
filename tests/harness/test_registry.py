import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import registry
from harness.errors import BenchError
from harness.syntax import imported, parsed

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
    assert registry.trains("keras") == ("network", "keras")
    assert registry.trains("pytorch") == ("network", "torch")
    assert registry.trains("classical") == ("estimator", "scikit-learn")
    assert registry.trains("onnx") == ()


def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch):
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "paddle.py").write_text(
        'REQUIRES: tuple = ("paddle_not_here", "json")\nTRAINS = ("network",)\n'
    )
    monkeypatch.setattr(registry, "_HOUSE", tmp_path)
    cached = (registry.names, registry.trains, registry.engines, registry._literal)
    for function in cached:
        function.cache_clear()
    try:
        assert registry.names("backends") == ("paddle",)
        assert registry.missing("paddle") == ("paddle_not_here",)
        assert registry.trains("paddle") == ("network",)
    finally:
        for function in cached:
            function.cache_clear()


def test_of_a_choice_of_engines_the_packages_of_the_chosen_one_are_needed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("tensorflow", "jax") else object())
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert registry.missing("keras") == ("tensorflow",)  # the usual one
    assert registry.missing("keras", "torch") == ()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert registry.missing("keras") == ()
    assert registry.missing("keras", "jax") == ("jax",)
    assert registry.missing("pytorch") == ()
    monkeypatch.setenv("KERAS_BACKEND", "torhc")
    with pytest.raises(BenchError, match="unknown KERAS_BACKEND of keras 'torhc': did you mean 'torch'"):
        registry.missing("keras")


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(BenchError, match="unknown suite 'elastcity': did you mean 'elasticity'"):
        registry.suite("elastcity")


def test_choose():
    assert registry.choose("all", ["a", "b"], "letter") == ("a", "b")
    assert registry.choose("b,all", ["a", "b"], "letter") == ("a", "b")
    assert registry.choose("b, a,b", ["a", "b"], "letter") == ("b", "a")
    with pytest.raises(BenchError, match="unknown letter 'c'"):
        registry.choose("a,c", ["a", "b"], "letter")


GROUND = {"errors", "text", "disk", "signals", "streams", "isolation", "environment", "foreign", "plug_ins", "syntax"}
# What each part of the harness may import, besides the ground and itself: what judges never imports what runs.
MAY_IMPORT = {
    "model": set(),
    "protocol": {"model"},
    "contract": {"model", "protocol"},
    "registry": {"protocol", "contract"},
    "provenance": {"registry"},
    "judging": {"model", "protocol", "registry", "provenance"},
    "running": {"model", "protocol", "contract", "registry", "provenance", "judging"},
    "showing": {"model", "protocol", "registry", "provenance", "judging"},
    "parity": {"model", "protocol", "registry", "provenance", "judging", "running"},
    "command": {"model", "protocol", "registry", "provenance", "judging", "running", "showing", "parity"},
    "__main__": {"command"},
}
PLUG_INS_MAY_IMPORT = (
    "harness.protocol",
    "harness.model",
    "harness.errors",
    "harness.text",
    "harness.disk",
    "harness.foreign",
)


def test_the_parts_of_the_harness_import_each_other_one_way():
    for path in (ROOT / "harness").rglob("*.py"):
        part = path.relative_to(ROOT / "harness").parts[0].removesuffix(".py")
        allowed = GROUND | MAY_IMPORT.get(part, set()) | {part, "__version__"}
        for name in imported(parsed(path)):
            assert not name.startswith(("backends", "suites")), f"{path} imports {name}: ask the registry"
            if name.startswith("harness."):
                assert name.split(".")[1] in allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_backends_and_suites_know_the_protocol_and_not_each_other():
    for folder, other in (("backends", "suites"), ("suites", "backends")):
        for path in (ROOT / folder).rglob("*.py"):
            for name in imported(parsed(path)):
                assert not name.startswith(other), f"{path.relative_to(ROOT)} imports {name}"
                if name.startswith("harness."):
                    assert name.startswith(PLUG_INS_MAY_IMPORT), f"{path.relative_to(ROOT)} imports {name}"
                own = name.startswith("backends._") or folder == "suites"  # part of one backend, and none itself
                assert own or not name.startswith("backends"), f"{path.relative_to(ROOT)} imports {name}"


def test_the_core_has_no_word_of_one_suite():
    """Units, phases, bounds and questions of one suite belong to it; legacy records are read by their own words."""
    words = re.compile(r"\b(GPa|N/nm|phases?|Voigt|Reuss|Hill|Phase|elastic|inside_bounds|C11)\b")
    for path in (ROOT / "harness").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name == "older.py":  # what reads records of before there were other suites
            continue
        found = {match[0] for match in words.finditer(text)}
        assert not found, f"{path.relative_to(ROOT)} speaks of {found}"


def test_an_option_that_no_chosen_suite_has_is_refused():
    registry.refuse_others(("elasticity", "own"), {"phases": "1", "targets": "C11"})  # each is told what is its own
    with pytest.raises(BenchError, match=r"^targets=C11: is an option of suite own, not of defects, elasticity$"):
        registry.refuse_others(("defects", "elasticity"), {"phases": "1", "targets": "C11"})
    with pytest.raises(BenchError, match=r"^contrast=6: is an option of suite elasticity, not of polysilicon$"):
        registry.refuse_others(("polysilicon",), {"contrast": "6"}, "MAKE_OPTIONS")
