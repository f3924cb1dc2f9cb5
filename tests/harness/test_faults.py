"""A run that is killed, interrupted, or loses its disk: what was finished is kept, and the same command goes on."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import psutil
import pytest

from harness.judging.store import Store
from tests.harness.a_command import BENCH

CLASSICAL = ("variant=mean,voigt-reuss-hill,ridge", "seeds=0,1,2,3")  # twelve cells that take no time


def start(data, results, *words, **options):
    told = {"suite": "elasticity", "profile": "smoke", "weights": "random", "data": str(data), "results": str(results)}
    told |= dict(word.split("=") for word in words)
    command = [*BENCH, "run", *map("=".join, told.items())]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def end(process, code=0):
    """Both outputs of a run that ends by itself."""
    out, err = process.communicate(timeout=900)
    assert process.returncode == code, out + err
    return out, err


def good(results):
    """The `ok` records by key. Every line is whole, and no cell has two."""
    records = [record for record in Store(results, "elasticity").trainings() if record.status == "ok"]
    found = {record.key: record for record in records}
    assert len(found) == len(records), "a finished cell was run again"
    return found


# --- killed -------------------------------------------------------------------------------------------------------


def kill(process, target):
    """Kill the run, its workers, or both; nobody can catch that."""
    with contextlib.suppress(psutil.NoSuchProcess):
        workers = psutil.Process(process.pid).children(recursive=True) if target != "parent" else []
        for worker in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
    if target != "worker":
        process.kill()
        process.communicate()


def untimed(results):
    """Every table of a results folder, as CSV, without the columns that hold times."""
    timed = ("train_seconds", "search_seconds", "seconds", "p50", "p90", "p99", "images_", "ratio", "latency")
    tables = {}
    for path in sorted((results / "leaderboards").glob("*.csv")):
        table = pd.read_csv(path, dtype=str)
        tables[path.name] = table.drop(columns=[name for name in table if name.startswith(timed)]).to_csv()
    return tables


def disturb(data, home, words, cells, kills, longest):
    """Kill runs of `words` at `kills` seeded moments, and begin anew in another folder whenever all is done. At least
    one kill meets a run with a part of its cells done: until one does there are more, later and later ones until a
    first cell is done.

    Returns the folders in which all is done. Nothing that was finished may be lost or done twice.
    """
    draw, amid = np.random.default_rng(0), 0
    folders, process, seen = [home / "0"], None, {}
    while kills > 0 or not amid:
        assert kills > -50, "no kill met a run with a part of its cells done"
        if process is None or process.poll() is not None:
            process = start(data, folders[-1], *words)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=draw.uniform(0.2, longest))
        killed = process.poll() is None
        if killed:
            kill(process, draw.choice(["parent", "worker", "both"]))
            kills -= 1
        now = good(folders[-1])
        amid += killed and 0 < len(now) < cells
        if not now and len(folders) == 1:  # a machine may take longer until its first cell is done
            longest *= 1.1
        assert seen.items() <= now.items(), "a finished cell was lost"
        seen = now
        if len(now) == cells and process.poll() is not None:
            folders, seen = [*folders, home / str(len(folders))], {}
    if process.poll() is None:
        process.communicate()
    for results in folders:
        end(start(data, results, *words))
        assert len(good(results)) == cells
        assert not list(results.rglob(".draft-*"))
        assert not list((results / "cache").rglob("*.jsonl"))
    return folders


@pytest.mark.slow
def test_killed_at_any_moment_nothing_finished_is_lost(data, tmp_path):
    end(start(data, tmp_path / "undisturbed", *CLASSICAL))
    for results in disturb(data, tmp_path, CLASSICAL, cells=12, kills=15, longest=3.5):
        assert untimed(results) == untimed(tmp_path / "undisturbed")


@pytest.mark.long
def test_killed_at_fifty_moments_of_a_smoke_run_nothing_finished_is_lost(data, tmp_path):
    """Both frameworks, searches, backbones, timing."""
    end(start(data, tmp_path / "undisturbed"))
    for results in disturb(data, tmp_path, (), cells=20, kills=50, longest=30):
        assert untimed(results) == untimed(tmp_path / "undisturbed")


# --- interrupted --------------------------------------------------------------------------------------------------


def wait_for(condition, process):
    """Until it holds; a run that ends before is no test."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)  # of another process, which tells nobody


@pytest.mark.slow
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(data, tmp_path, presses):
    """Amid a training that would take minutes, beside cells that are done."""
    words = ("variant=mean,tuned", "backend=classical,pytorch", "profile=paper", "seeds=0", "workers=2")
    process = start(data, tmp_path, *words)
    wait_for(lambda: good(tmp_path) and list(tmp_path.glob("cache/trials/*")), process)
    family = psutil.Process(process.pid).children(recursive=True)
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert err == "\nbench: interrupted; finished work is kept; the same command resumes from there\n"
    assert not [worker for worker in family if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]
    assert [record.cell.variant for record in good(tmp_path).values()] == ["mean"]
    out, _ = end(start(data, tmp_path, "variant=mean", "backend=classical", "profile=paper", "seeds=0"))
    assert "1 cell, 1 already done" in out


# --- two runs at once ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_of_runs_that_start_at_once_one_runs(data, tmp_path):
    processes = [start(data, tmp_path, *CLASSICAL) for _ in range(4)]
    told = [process.communicate(timeout=300)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert 0 in codes
    for code, err in zip(codes, told, strict=True):
        assert code == 0 or (code == 2 and "another run is using this folder (process " in err), err
    assert len(good(tmp_path)) == 12


@pytest.mark.slow
def test_the_lock_of_a_dead_process_is_none(data, tmp_path):
    process = start(data, tmp_path, *CLASSICAL)
    wait_for(lambda: (tmp_path / "run.lock").exists() and (tmp_path / "run.lock").read_text(), process)
    kill(process, "both")
    assert (tmp_path / "run.lock").read_text() == str(process.pid)
    end(start(data, tmp_path, *CLASSICAL))


# --- without a disk -----------------------------------------------------------------------------------------------


def small_files():
    """As on a full disk, what fits is written and the rest refused; here where a file is longer than 12 000 bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))


@pytest.mark.slow
def test_a_full_disk_is_told_and_what_was_recorded_is_whole(data, tmp_path):
    _, err = end(start(data, tmp_path, *CLASSICAL, preexec_fn=small_files), code=2)
    path = Store(tmp_path, "elasticity").trainings_file
    assert err == (f"bench: {path}: File too large; finished work is kept; the same command resumes from there\n")
    done = len(good(tmp_path))
    assert 0 < done < 12
    assert path.read_bytes().endswith(b"\n")
    out, _ = end(start(data, tmp_path, *CLASSICAL))
    assert f"12 cells, {done} already done" in out


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True], ids=["vanished", "replaced"])
def test_a_folder_that_vanishes_amid_a_run_is_told(data, tmp_path, again):
    results = tmp_path / "results"
    process = start(data, results, *CLASSICAL)
    wait_for(lambda: good(results), process)
    seen = good(results)
    results.rename(tmp_path / "moved")
    if again:
        # Not what is just being written there, which may be gone before it is copied.
        shutil.copytree(tmp_path / "moved", results, ignore=shutil.ignore_patterns(".draft-*"))
    _, err = end(process, code=2)
    assert f"bench: {results}: was removed or replaced while a run was using it" in err
    assert results.exists() == again  # nothing is made anew at the old place
    assert seen.keys() <= good(tmp_path / "moved").keys()
    end(start(data, tmp_path / "moved", *CLASSICAL))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told_before_the_work(data, tmp_path):
    results = tmp_path / "results"
    results.mkdir(mode=0o555)
    out, err = end(start(data, results, *CLASSICAL), code=2)
    assert f"{results / 'run.lock'}: Permission denied" in err
    assert "cells" not in out
    assert not list(results.iterdir())


# --- the same again -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "variants"),
    [
        ("classical", "mean,voigt-reuss-hill,ridge,gp,trees"),
        ("pytorch", "baseline,physics-net,vgg16-fine-tuned"),
        ("keras", "baseline,physics-net,vgg16-fine-tuned"),
    ],
)
def test_two_runs_of_a_cell_predict_the_same_to_the_bit(data, tmp_path, backend, variants):
    """In processes of their own, trained from the same seed; every array and every prediction."""
    words = (f"backend={backend}", f"variant={variants}", "seeds=0")
    for name in ("once", "again"):
        end(start(data, tmp_path / name, *words))
    once, again = good(tmp_path / "once"), good(tmp_path / "again")
    assert once.keys() == again.keys()
    for key, record in once.items():
        assert record.held_out == again[key].held_out
        assert [stage.loss for stage in record.history] == [stage.loss for stage in again[key].history]
        assert weights(tmp_path / "once", record) == weights(tmp_path / "again", record)
        assert record.onnx == again[key].onnx  # its file's SHA-256 among it
        assert record.framework.get("deterministic", "True") == "True"
        assert record.framework.get("intra_op_threads", "1") == "1"


def weights(results, record):
    """The weights of a cell's model, as the bytes of their file."""
    return (results / "models" / "elasticity" / f"{record.cell.file_stem}.safetensors").read_bytes()
