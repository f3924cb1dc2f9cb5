import sys
from pathlib import Path

import numpy as np
import pytest

from harness.errors import BenchError
from harness.model import code

SHAPE = (8, 6, 1)


@pytest.fixture
def file(tmp_path):
    """Writes a module and gives its path; what it leaves in this process goes with it."""
    before = dict(sys.modules), list(sys.path)

    def write(text, name="models.py"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    yield write
    for name in set(sys.modules) - set(before[0]):
        if name.startswith("own_") or name in ("beside", "mypackage"):
            del sys.modules[name]
    sys.path[:] = before[1]


def test_classes_and_functions_are_given_what_they_name(file):
    path = file(
        "def Neither(): return ()\n"
        "def Both(outputs, input_shape, more=3): return input_shape, outputs, more\n"
        "class One:\n"
        "    def __new__(cls, *args, **kwargs): return super().__new__(cls)\n"
        "    def __init__(self, outputs): self.outputs = outputs\n"
    )
    assert code.make(f"{path}:Neither", SHAPE, 2, 0) == ()
    assert code.make(f"{path}:Both", SHAPE, 2, 0) == (SHAPE, 2, 3)
    assert code.make(f"{path}:One", SHAPE, 2, 0).outputs == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def Net(width): return 1", "needs width; it can be given input_shape and outputs"),
        ("def Net(): return 1 / 0", "making it raised ZeroDivisionError: division by zero"),
        ("Net = 3", "is no class and no function, but of type int"),
        ("def net(): return 1", "has no Net: did you mean 'net'"),
        ("import not_installed_anywhere", "importing it raised ModuleNotFoundError: No module named 'not_installed"),
        ("raise SystemExit(3)", "importing it raised SystemExit: 3"),
        ("def Net(:", "importing it raised SyntaxError"),
    ],
)
def test_what_makes_no_model_says_why(file, text, told):
    with pytest.raises(BenchError) as refused:
        code.make(f"{file(text)}:Net", SHAPE, 2, 0)
    assert told in str(refused.value)


@pytest.mark.parametrize("path", ["models.py", ":Net", "models.py:", "a/b:Net", "models:N t", "x:"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(BenchError, match=r"package\.module:Name, or file\.py:Name"):
        code.parts(path)


def test_the_current_folder_is_not_searched_but_a_file_of_it_is_offered(file, tmp_path, monkeypatch):
    file("def Net(): return 1", "mine_alone.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".")])
    with pytest.raises(BenchError, match=r"not searched; a file is named as one: mine_alone\.py:Name"):
        code.make("mine_alone:Net", SHAPE, 1, 0)
    with pytest.raises(BenchError, match=r"nor is there a file nowhere/at/all\.py"):
        code.make("nowhere.at.all:Net", SHAPE, 1, 0)
    with pytest.raises(BenchError, match="there is no such file"):
        code.make("absent.py:Net", SHAPE, 1, 0)


def test_what_lies_beside_a_file_is_found_and_hides_nothing(file):
    file("VALUE = 7", "beside.py")
    file("raise RuntimeError('hidden')", "fractions.py")
    path = file("import beside, fractions\ndef Net(): return beside.VALUE, fractions.Fraction(1, 2)")
    assert code.make(f"{path}:Net", SHAPE, 1, 0) == (7, 0.5)


def test_the_hash_is_of_what_the_file_imports_from_its_folder(file):
    file("VALUE = 7", "beside.py")
    path = f"{file('import json, beside')}:Net"
    first = code.source(path)
    file("VALUE = 8", "unrelated.py")
    assert code.source(path) == first
    file("VALUE = 8", "beside.py")
    second = code.source(path)
    assert second != first
    file("import json, beside  # and more")
    assert code.source(path) not in (first, second)


@pytest.mark.parametrize("line", ["from deeper import used", "import deeper.used", "from deeper.used import VALUE"])
def test_the_hash_is_of_folders_without_init_too_and_of_what_these_import(file, tmp_path, line):
    path = f"{file(f'{line}  # no __init__.py is there')}:Net"
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "used.py").write_text("from .further import VALUE")
    (tmp_path / "deeper" / "further.py").write_text("VALUE = 1")
    first = code.source(path)
    (tmp_path / "deeper" / "further.py").write_text("VALUE = 2")
    assert code.source(path) != first


def test_an_import_that_is_relative_where_it_can_be_counts(file):
    """As in files that are run both as a part of a package and by themselves."""
    text = "try:\n    from .beside import VALUE\nexcept ImportError:\n    from beside import VALUE"
    path = f"{file(text)}:Net"
    file("VALUE = 7", "beside.py")
    first = code.source(path)
    file("VALUE = 8", "beside.py")
    assert code.source(path) != first
    file("VALUE = = 8", "beside.py")
    assert code.source(path) != first


@pytest.mark.parametrize(("head", "encoding"), [("", "utf-8-sig"), ("# -*- coding: latin-1 -*-  \xe9\n", "latin-1")])
def test_imports_of_a_file_in_another_encoding_count(file, head, encoding):
    """Python reads it, by a mark that Windows leaves at its start or by what it says of itself."""
    path = file("")
    Path(path).write_bytes(f"{head}from beside import VALUE".encode(encoding))
    file("VALUE = 7", "beside.py")
    first = code.source(f"{path}:Net")
    file("VALUE = 8", "beside.py")
    assert code.source(f"{path}:Net") != first


def test_the_hash_of_what_is_installed_is_of_its_package(tmp_path, monkeypatch):
    package = tmp_path / "mypackage"
    (package / "deeper").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "models.py").write_text("def Net(): return 1")
    (package / "deeper" / "used.py").write_text("A = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    first = code.source("mypackage.models:Net")
    (package / "deeper" / "used.py").write_text("A = 2")
    assert code.source("mypackage.models:Net") != first
    (tmp_path / "single.py").write_text("def Net(): return 1")
    assert code.source("single:Net") != code.source("mypackage.models:Net")


def test_answers_must_be_one_number_for_each_output():
    code.refuse_other_answers("a:B", np.zeros((2, 3)), 2, 3)
    for shape in ((2,), (2, 4), (2, 3, 1)):
        with pytest.raises(BenchError, match=r"for 2 images, and not \(2, 3\)"):
            code.refuse_other_answers("a:B", np.zeros(shape), 2, 3)
    with pytest.raises(BenchError, match=r"answers \(3,\) for one image, and not \(1, 3\)"):
        code.refuse_other_answers("a:B", np.zeros(3), 1, 3)
    with pytest.raises(BenchError, match="answers a list, and not one array"):
        code.refuse_other_answers("a:B", [np.zeros((2, 3))], 2, 3)
