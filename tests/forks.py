"""Work done in forks of a process that has imported torch, which takes longer than most of the work does: what a fork
plants into it is gone with the fork.
"""

import atexit
import json
import os
import subprocess
import sys


class Forks:
    """A process that runs a module, which calls `fork_for_each_line`; it does one piece of work after the other."""

    def __init__(self, *words, env):
        self._process = subprocess.Popen(
            [sys.executable, "-m", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True
        )
        atexit.register(self._process.communicate)  # which ends it

    def run(self, log, *words):
        """Have `work` done with these words in a fork, which writes into a log; its exit code."""
        self._process.stdin.write(json.dumps([str(log), *map(str, words)]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def fork_for_each_line(work):
    """Do the work that each line of standard input is about, and say how it ended. Its standard input ends where this
    process does.
    """
    import torch

    from backends import _torch_backbones, pytorch  # noqa: F401  for the forks

    assert torch.get_num_threads() == 1  # of several, forks would have one alone
    for line in sys.stdin:
        log, *words = json.loads(line)
        input_of_fork, held = os.pipe()
        if not (process := os.fork()):
            os.close(held)
            os.dup2(input_of_fork, 0)
            opened = os.open(log, os.O_WRONLY | os.O_CREAT)
            os.dup2(opened, 1)
            os.dup2(opened, 2)
            work(*words)
            return
        os.close(input_of_fork)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
        os.close(held)
