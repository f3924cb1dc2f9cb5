"""What only POSIX has is not needed to start, nor to run: here it is taken away, but for what `subprocess` needs."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("filelock")
ROOT = Path(__file__).parents[2]
WITHOUT = """
import os, signal, sys, threading
# These know each system.
import asyncio, concurrent.futures.process, filelock, matplotlib.figure, multiprocessing, pandas, psutil
sys.modules |= dict.fromkeys(("fcntl", "resource", "pwd", "grp", "termios"))  # to import one raises ImportError
for name in ("SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGPIPE", "pthread_sigmask", "setitimer", "alarm"):
    delattr(signal, name)
for name in ("pread", "sysconf", "killpg", "getuid", "geteuid", "mkfifo"):
    delattr(os, name)
"""


def without_posix(code, folder):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + code], check=False, cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


OF_DASK = ("cluster", "host", "slurm")
"""Modules that need the extra `[dask]`, whose own libraries know each system."""


def test_every_module_of_the_harness_is_imported(tmp_path):
    modules = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "harness").rglob("*.py")]
    names = [".".join(module.parts) for module in modules if module.name not in ("__main__", "__init__", *OF_DASK)]
    assert {"harness.command.cli", "harness.running.worker", "harness.disk"} <= set(names)
    without_posix(f"import importlib\nfor name in {names}: importlib.import_module(name)", tmp_path)


def test_commands_start(tmp_path):
    code = "from harness.command.cli import main\nassert main(['list']) == 0\nassert main(['--help']) == 0"
    assert "suite elasticity: " in without_posix(code, tmp_path)


@pytest.mark.slow
def test_a_run_runs_and_holds_its_folder(tmp_path):
    """Its workers are processes of their own, which have all that this system has."""
    code = """
from harness.command.cli import main
from harness.running.run import _alone_in
from pathlib import Path
words = ["run", "suite=elasticity", "variant=mean", "backend=classical", "profile=smoke", "results=mine"]
with _alone_in(Path("mine")):
    assert main(words) == 2
assert main(words) == 0
assert main(["leaderboard", "check=true", "suite=elasticity", "results=mine"]) == 0
"""
    assert "1 cell, 0 already done" in without_posix(code, tmp_path)
    assert (tmp_path / "mine" / "records" / "elasticity" / "trainings.jsonl").read_bytes().count(b"\n") == 1
