import subprocess
import sys

import psutil
import pytest

from harness.running.guard import Guard, Limits, ending


@pytest.fixture
def process():
    """One that waits for its input, and holds a few MiB."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("seconds", "peak_gib", "said"),
    [
        (4.99, 0.99, ""),
        (5, 1, ""),  # what it may take, it may take
        (5.01, 0.5, "stopped: it took longer than timeout=5 seconds"),
        (4.99, 1.01, "stopped: it took 1.01 GiB of memory, more than memory=1"),
    ],
)
def test_what_ended_is_held_to_its_limits(process, seconds, peak_gib, said):
    now = 1000.0
    with Guard(process, Limits(5, 1), clock=lambda: now) as guard:
        now += 500  # of its start, which do not count
        guard.begin()
        now += seconds
        guard.end(peak_gib)
    assert guard.broken == said


def test_without_limits_everything_goes(process):
    now = 0.0
    with Guard(process, Limits(), clock=lambda: now) as guard:
        guard.begin()
        now = 1e9
        guard.end(1e6)
    assert guard.broken == ""
    assert process.poll() is None


def test_what_takes_too_much_is_killed(process):
    with Guard(process, Limits(memory_gib=0.001)) as guard:
        guard.begin()
        assert process.wait(60) == -9
    assert "more than memory=0.001" in guard.broken


def test_what_it_started_is_killed_with_it(tmp_path):
    """As a pool of processes of somebody's model."""
    script = f"sleep 600 & echo $! > {tmp_path / 'started'}; wait"
    with subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True) as process:
        while not (tmp_path / "started").exists() or not (tmp_path / "started").read_text():
            assert process.poll() is None
        started = psutil.Process(int((tmp_path / "started").read_text()))
        with Guard(process, Limits(seconds=0.001)) as guard:
            guard.begin()
            assert process.wait(60) == -9
    psutil.wait_procs([started], 60)
    assert not started.is_running() or started.status() == psutil.STATUS_ZOMBIE


def test_how_a_process_ended():
    assert ending(-11) == "was killed by signal 11"
    assert ending(3) == "ended with exit code 3"
