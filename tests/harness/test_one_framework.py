"""What works where only one of the frameworks is installed: everything but the other's cells, and it is said.

The other is hidden from every process, workers included: to the import system it is not there.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from harness.judging.store import Store
from harness.running.launch import worker_environment
from tests.harness.a_command import bench_apart

pytestmark = pytest.mark.slow

HIDE = """
from importlib.machinery import PathFinder

found = PathFinder.find_spec
hidden = {hidden!r}
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] in hidden else found(name, *rest)
"""

BACKENDS = {"keras": ("keras", "tensorflow", "tf2onnx"), "pytorch": ("torch", "torchvision", "onnxscript")}


class Installed:
    """A process in which one framework alone is there."""

    def __init__(self, backend, folder):
        self.backend, self.results = backend, folder / "results"
        (self.other,) = BACKENDS.keys() - {backend}
        hiding = folder / "hiding"
        hiding.mkdir()
        (hiding / "sitecustomize.py").write_text(HIDE.format(hidden=BACKENDS[self.other]))
        self._path = f"{hiding}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"

    def bench(self, *words):
        return bench_apart(*words, PYTHONPATH=self._path)

    def bench_results(self, *words):
        return self.bench(*words, f"results={self.results}")


@pytest.fixture(scope="module", params=BACKENDS)
def installed(request, tmp_path_factory):
    return Installed(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def ran(installed):
    return installed.bench_results("run", "suite=elasticity", "profile=smoke", "variant=ridge,baseline", "workers=1")


def test_a_run_is_of_what_is_there_and_says_what_is_not(installed, ran):
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{installed.other} is skipped: {', '.join(BACKENDS[installed.other])} not installed" in ran.stdout
    records = Store(installed.results, "elasticity").trainings()
    assert {(r.cell.variant, r.cell.backend, r.status) for r in records} == {
        ("ridge", "classical", "ok"),
        ("baseline", installed.backend, "ok"),
    }
    table = pd.read_csv(installed.results / "leaderboards" / "elasticity.csv")
    assert table.p50_ms_b1.notna().all()  # exported, and timed


def test_what_is_not_there_is_unavailable_where_it_is_named(installed, ran):
    words = "run", "suite=elasticity", "profile=smoke", "variant=baseline", f"backend={installed.other}"
    asked = installed.bench_results(*words)
    assert asked.returncode == 1
    assert f"unavailable: {installed.other} needs " in asked.stdout
    assert "Traceback" not in asked.stdout + asked.stderr


def test_what_it_exported_predicts(installed, ran, tmp_path):
    (model,) = (installed.results / "models" / "elasticity").glob("baseline.*.onnx")
    images, out = tmp_path / "images", tmp_path / "out.csv"
    images.mkdir()
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(images / "black.png")
    predicted = installed.bench("predict", f"model={model}", f"images={images}", f"out={out}")
    assert predicted.returncode == 0, predicted.stderr
    assert len(pd.read_csv(out)) == 1


def test_parity_says_what_is_missing(installed):
    climbed = installed.bench_results("parity", "profile=smoke", "variant=baseline", "rung=structure")
    assert climbed.returncode == 0
    assert "skipped" in climbed.stdout
    assert f"{installed.other}: " in climbed.stdout


def test_weights_cannot_be_made_by_what_is_missing(installed):
    made = installed.bench_results("weights", "make", f"backend={installed.other}")
    assert made.returncode == 2
    assert f"backend={installed.other}: {' and '.join(BACKENDS[installed.other])} not installed" in made.stderr


def test_the_list_says_what_is_usable(installed):
    told = installed.bench("list")
    assert told.returncode == 0
    assert f"not usable here: {' and '.join(BACKENDS[installed.other])} not installed" in told.stdout


KERAS_ON_TORCH = (
    "training lowers the loss and tells of every epoch",
    "each epoch shows what was moved for it",
    "without validation images their loss is no number",
    "the exported model is the same model",
)


def test_keras_on_torch_needs_no_tensorflow(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDE.format(hidden=("tensorflow", "tf2onnx")))
    done = subprocess.run(
        [sys.executable, "-m", "tests.backends.conformance", "backends.keras", *KERAS_ON_TORCH],
        capture_output=True,
        text=True,
        env=worker_environment("cpu") | {"PYTHONPATH": str(tmp_path), "KERAS_BACKEND": "torch"},
        timeout=600,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == dict.fromkeys(KERAS_ON_TORCH, "ok")
