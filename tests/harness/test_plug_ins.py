"""A package that adds a backend and a suite by its entry points alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import environment, plug_ins, provenance, registry
from harness.errors import BenchError

BACKEND = '''
"""Answers the mean, whatever it is asked."""

from .deeper.means import mean
from harness.errors import NotExported
from harness.protocol import Counts, History

REQUIRES = ("numpy",)
TRAINS = ("estimator",)
COMPUTES_WITH = ("numpy", "foamlab")


def configure(threads, device, precision="float32"):
    return {"foamlab": "1.0"}


def build(variant, task, seed):
    return Mean(task)


class Mean:
    def __init__(self, task):
        self.task = task

    def counts(self):
        return Counts(2, 0, {"mean": 2})

    def weights(self):
        return {}

    def train(self, data, recipe, schedule, on_epoch):
        self.mean = mean(data.targets)
        return History()

    def predict(self, images):
        return self.mean[None].repeat(len(images), axis=0)

    def export(self, path):
        raise NotExported("foamlab writes no files")
'''
METADATA = """\
Metadata-Version: 2.1
Name: foamlab
Version: 1.0
Requires-Dist: numpy>=2
Requires-Dist: pytest ; extra == 'tests'
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The folder of an installed package; what is kept of the packages that are there is forgotten before and after."""
    files = {
        "foamlab/__init__.py": "",
        "foamlab/backend.py": BACKEND,
        "foamlab/deeper/__init__.py": "",
        "foamlab/deeper/means.py": "def mean(targets):\n    return targets.mean(axis=0)\n",
        "foamlab/suite.py": Path(__file__).with_name("a_suite.py").read_text(encoding="utf-8"),
        "foamlab-1.0.dist-info/METADATA": METADATA,
        "foamlab-1.0.dist-info/entry_points.txt": (
            "[cijbench.backends]\nfoamlab = foamlab.backend\n[cijbench.suites]\nfoams = foamlab.suite\n"
        ),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    kept = (plug_ins.installed, registry.names, registry._literal, registry.trains, registry.options)
    kept += (registry.computes_with, registry.reads_folders, registry.with_data, registry.engines, provenance.source)

    def forget():
        for function in kept:
            function.cache_clear()

    with monkeypatch.context() as patched:
        patched.syspath_prepend(str(tmp_path))
        forget()
        yield tmp_path
    forget()
    for name in [name for name in sys.modules if name.partition(".")[0] == "foamlab"]:
        del sys.modules[name]


def test_it_is_listed_and_read_without_being_imported(package):
    assert "foamlab" in registry.names("backends")
    assert "foams" in registry.names("suites")
    assert registry.trains("foamlab") == ("estimator",)
    assert registry.missing("foamlab") == ()
    assert registry.options("foams", "OPTIONS") == {"noise": "how much the conductivity is off, in W/mK"}
    assert not [name for name in sys.modules if name.startswith("foamlab")]
    assert registry.suite("foams").SUMMARY.startswith("conductivity")


def test_versions_of_it_and_of_what_it_requires_are_recorded(package):
    assert plug_ins.distributions() == ["foamlab", "numpy"]
    versions = environment.installed(plug_ins.distributions())
    assert versions["foamlab"] == "1.0"
    assert set(registry.computes_with("foamlab")) <= versions.keys()


def test_its_code_is_part_of_what_made_a_record(package):
    def hashes():
        provenance.source.cache_clear()
        return provenance.source("foamlab", "elasticity"), provenance.source("classical", "foams")

    before = hashes()
    (package / "foamlab" / "deeper" / "means.py").write_text("def mean(targets):\n    return 0 * targets[0]\n")
    after = hashes()
    assert (before[0] != after[0], before[1] != after[1]) == (True, False)
    text = (package / "foamlab" / "suite.py").read_text()
    (package / "foamlab" / "suite.py").write_text(text.replace("rows[:72]", "rows[:71]"))
    again = hashes()
    assert (after[0] != again[0], after[1] != again[1]) == (False, True)


def entry_points(package, text):
    (package / "foamlab-1.0.dist-info" / "entry_points.txt").write_text(text)


def test_a_name_of_ours_is_not_given_away(package):
    entry_points(package, "[cijbench.backends]\nkeras = foamlab.backend\n")
    with pytest.raises(BenchError, match="keras of the package foamlab: cijbench has one of that name: uninstall"):
        registry.names("backends")


@pytest.mark.parametrize("value", ["foamlab.backend:Mean", "nowhere_at_all.backend"])
def test_what_is_no_module_that_is_there_says_whose_it_is(package, value):
    entry_points(package, f"[cijbench.backends]\nfoamlab = {value}\n")
    with pytest.raises(BenchError, match=f"foamlab of the package foamlab: '{value}' is no module that is there"):
        registry.trains("foamlab")


def test_one_that_fails_says_whose_it_is(package):
    (package / "foamlab" / "backend.py").write_text("TRAINS = tuple('x')\nimport not_installed_anywhere\n")
    with pytest.raises(BenchError, match=r"backend\.py must define TRAINS as a literal"):
        registry.trains("foamlab")
    with pytest.raises(BenchError, match="foamlab of the package foamlab: importing it raised ModuleNotFoundError"):
        registry.backend("foamlab")


@pytest.mark.slow
def test_it_runs(package, tmp_path):
    """Its suite in a backend of ours, and its backend on a suite of ours."""
    variables = {**os.environ, "PYTHONPATH": str(package)}
    for suite, backend in (("foams", "classical"), ("elasticity", "foamlab")):
        words = ["run", f"suite={suite}", f"backend={backend}", "variant=mean", "seeds=0", "profile=smoke", "results=r"]
        command = [sys.executable, "-P", "-m", "cijbench", *words]
        subprocess.run(command, cwd=tmp_path, env=variables, check=True, capture_output=True)
        (line,) = (tmp_path / "r" / "records" / suite / "trainings.jsonl").read_text().splitlines()
        record = json.loads(line)
        assert record["status"] == "ok"
        assert record["environment"]["versions"]["foamlab"] == "1.0"
    assert record["unexported"] == "foamlab writes no files"
