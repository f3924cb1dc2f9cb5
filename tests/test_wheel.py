"""What a wheel puts into an environment, and that it works there, without this folder."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    build = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An interpreter with the packages of this one and what the wheel has, but not what this one was told of."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (python,) = [path for path in (folder / "bin" / "python", folder / "Scripts" / "python.exe") if path.exists()]
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    (site / "shared.pth").write_text("\n".join(packages))  # whose own .pth files, as of this clone, are not read
    zipfile.ZipFile(wheel).extractall(site)
    return str(python)


def test_it_has_one_name_at_the_top(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "cijbench",
        f"{'-'.join(wheel.name.split('-')[:2])}.dist-info",
    }
    assert not [name for name in names if name.endswith(".pyc")]


def test_it_carries_all_that_is_committed_of_these_folders(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    listed = ["git", "ls-files", "harness", "backends", "suites"]
    committed = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert {"harness/showing/site/static/table.js", "suites/films/data/polysilicon.npz"} <= set(committed)
    assert {f"cijbench/_house/{name}" for name in committed} <= inside


def test_general_names_are_not_taken(python, tmp_path):
    names = ("harness", "backends", "suites")
    code = f"import importlib.util as u; assert not any(map(u.find_spec, {names})); import cijbench"
    subprocess.run([python, "-P", "-c", code], check=True, cwd=tmp_path)


def test_a_run_works_there(python, tmp_path):
    """Its workers find the rest, too, also where the user's folder has packages of these names."""
    for name in ("harness", "backends", "suites"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong one')")
    words = ["run", "suite=elasticity", "profile=smoke", "variant=mean,ridge", "backend=classical", "results=mine"]
    done = subprocess.run(
        [python, "-P", "-m", "cijbench", *words], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    code = "import cijbench; print(list(cijbench.leaderboard('elasticity', 'mine')['variant']))"
    done = subprocess.run([python, "-c", code], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("['ridge', 'mean']\n", "")
