"""The process around the command line: Ctrl-C before there is anybody to answer it."""

import subprocess
import sys


def test_ctrl_c_amid_the_imports_is_answered_when_they_are_done():
    """Pressed by the first import of ours, long before the command line is there."""
    code = """
import importlib.abc, os, signal, sys

class Presses(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "harness.command.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Presses())
sys.argv = ["bench", "list"]
from harness.__main__ import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "\nbench: interrupted\n"
