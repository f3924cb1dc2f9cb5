"""Nothing is unpickled, ever: read in the source, and tried with pickles that would leave a trace."""

import ast
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from harness.command import cli
from harness.running.training import _kept_features

HOUSE = Path(__file__).parents[2]
SOURCES = sorted(path for package in ("harness", "backends", "suites") for path in (HOUSE / package).rglob("*.py"))

# What turns bytes into behaviour.
MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "jsonpickle",
    "yaml",
    "runpy",
}
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {"read_pickle", "system", "popen", "unsafe_load", "enable_unsafe_deserialization"}
LOADERS = {"torch.load", "torch.jit.load", "torch.package", "keras.models.load_model", "keras.saving.load_model"}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def unsafe(source):
    """What in a source could run what it reads."""
    tree = ast.parse(source)
    found = [name for name in imported(tree) if name.split(".")[0] in MODULES or name in LOADERS]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        options = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if called in LOADERS | BUILTINS or called.rpartition(".")[2] in METHODS:
            found.append(called)
        if options.get("allow_pickle", "False") != "False" or options.get("shell", "False") != "False":
            found.append(f"{called}({options})")
        if options.get("safe_mode", "True") != "True" or options.get("weights_only", "True") != "True":
            found.append(f"{called}({options})")
    return found


# A user's own model, in a process of its own: what it would run is refused unless the user says trust=true
# (tests/harness/parity/pairs and tests/parity/pairs).
TRUSTED = {
    "backends/_keras_foreign.py": [
        "keras.saving.load_model",
        "keras.saving.load_model({'compile': 'False', 'safe_mode': 'not source.trusted'})",
    ]
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_module_can_run_what_it_reads(path):
    assert unsafe(path.read_text()) == TRUSTED.get(str(path.relative_to(HOUSE)), [])


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import torch\ntorch.load(path)",
        "from torch import load\nload(path)",
        "import keras\nkeras.models.load_model(path)",
        "import pandas as pd\npd.read_pickle(path)",
        "eval(text)",
        "import subprocess\nsubprocess.run(text, shell=True)",
        "import os\nos.system(text)",
    ],
)
def test_the_reader_of_sources_sees_it(source):
    assert unsafe(source)


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def as_npy(trap):
    content = io.BytesIO()
    np.save(content, np.array([trap], dtype=object), allow_pickle=True)
    return content.getvalue()


def as_npz(trap):
    content = io.BytesIO()
    np.savez(content, features=np.array([trap], dtype=object), seconds=np.array([trap], dtype=object))
    return content.getvalue()


def as_pt(trap):
    """The layout of `torch.save`: a zip with a pickle inside."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(trap))
        archive.writestr("archive/version", "3\n")
    return content.getvalue()


def as_keras(trap):
    """The layout of `model.save("x.keras")`, with a Lambda layer whose code is marshalled."""
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"function": pickle.dumps(trap).hex()}}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Sequential", "config": {"layers": [layer]}}))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", pickle.dumps(trap))
    return content.getvalue()


KINDS = {".npy": as_npy, ".npz": as_npz, ".pt": as_pt, ".keras": as_keras, ".pkl": pickle.dumps}


@pytest.fixture
def trace(tmp_path):
    return tmp_path / "it was unpickled"


def test_the_trap_snaps(trace):
    """Otherwise the tests below could not fail."""
    pickle.loads(pickle.dumps(Trap(trace)))
    assert trace.is_dir()


RUN = ["run", "suite=elasticity", "variant=vgg16-head-only", "profile=smoke", "weights={file}", "results={out}"]
PREDICT = ["predict", "model={file}", "images={folder}", "out={out}"]
LATENCY = ["latency", "model={file}"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("words", "name"),
    [
        *((RUN, name) for name in ("as it is", "weights.h5", "weights.safetensors")),
        *((PREDICT, name) for name in ("as it is", "model.onnx")),
        (LATENCY, "model.onnx"),
    ],
    ids=lambda given: given if isinstance(given, str) else given[0],
)
def test_a_pickle_is_refused_under_any_name(tmp_path, capsys, trace, kind, name, words):
    file = tmp_path / (f"evil{kind}" if name == "as it is" else name)
    file.write_bytes(KINDS[kind](Trap(trace)))
    out = tmp_path / "out"
    told = [word.format(file=file, folder=tmp_path, out=out) for word in words]
    assert cli.main(told) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not trace.exists()
    assert not out.exists()


def test_kept_features_are_no_pickle(tmp_path, trace):
    (tmp_path / "kept.npz").write_bytes(as_npz(Trap(trace)))
    assert _kept_features(tmp_path / "kept.npz") is None
    assert not trace.exists()
