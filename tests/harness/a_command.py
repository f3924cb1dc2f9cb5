"""`bench` as a process of its own."""

import os
import subprocess
import sys

BENCH = (sys.executable, "-m", "harness")


def bench_apart(*words, timeout=600, cwd=None, **variables):
    """What came of `bench words...`, whose environment has these `variables`, too."""
    return subprocess.run(
        [*BENCH, *words],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def told_apart(*words, **options):
    """What it printed, where it must end well."""
    done = bench_apart(*words, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
