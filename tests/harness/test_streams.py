"""`bench` with standard streams that are closed or full."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.harness import a_command

BENCH = shlex.join(a_command.BENCH)
FULL = Path("/dev/full")


def shell(line, **variables):
    return subprocess.run(
        line, shell=True, env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_hinders_nothing_and_its_number_goes_to_no_file(tmp_path, closed):
    out = tmp_path / "data"
    done = shell(f"{BENCH} data make n=4 out={out} {closed}")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(list(out.glob("*.png"))) == 4
    assert all(b"images and their constants" not in path.read_bytes() for path in out.iterdir())


def test_a_refusal_keeps_its_exit_code_where_nobody_hears_it():
    assert shell(f"{BENCH} run suite=nosuch 2>&-").returncode == 2


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, which Linux has")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["list", "--help", "run suite=elasticity variant=mean profile=smoke"])
def test_output_on_a_full_disk_is_told_of_output_not_of_the_results(tmp_path, command, unbuffered):
    words = command + (f" results={tmp_path}" if "run" in command else "")
    done = shell(f"{BENCH} {words} >{FULL}", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2
    assert done.stderr == "bench: standard output: No space left on device\n"


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, which Linux has")
def test_a_refusal_keeps_its_exit_code_where_its_words_find_no_room():
    assert shell(f"{BENCH} nosuch 2>{FULL}").returncode == 2
