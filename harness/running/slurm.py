"""Workers that Slurm is asked for, by dask-jobqueue: a job of Slurm is one Dask worker, and has cells done."""

from __future__ import annotations

import inspect
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask.config

from harness.errors import BenchError
from harness.text import nearest

_NUMBER = "jobs"
_NOT_OURS = {"self", "scheduler", "job_cls", "n_workers", "asynchronous", "loop", "name", "kwargs", "job_kwargs"}


def cluster(settings_file: Path, logs: Path) -> Any:
    """A cluster whose scheduler is in this process, and for which so many jobs are asked as the file says. What a job
    says goes to a file in the folder for logs.
    """
    settings = read(settings_file)
    jobs = settings.pop(_NUMBER)
    found = made(settings, settings_file, logs)
    print(f"requesting {jobs} Slurm jobs, each with this script:\n{found.job_script()}")
    found.scale(jobs=jobs)
    return found


def made(settings: Mapping[str, Any], settings_file: Path, logs: Path) -> Any:
    """The same, and nothing asked for yet. Raises BenchError for settings that dask-jobqueue refuses."""
    ours = {"processes": 1, "job_name": "cijbench", "log_directory": str(logs.resolve())}
    # Slurm hands the variables of whoever asks on to its jobs; these name folders that go with this process.
    own = settings.get("job_script_prologue", [])
    prologue = ["unset TMPDIR MPLCONFIGDIR", *([own] if isinstance(own, str) else own)]
    try:
        return _jobqueue().SLURMCluster(**{**ours, **settings, "job_script_prologue": prologue})
    except (ValueError, TypeError) as error:
        raise BenchError(f"slurm={settings_file}: {error}") from None


def read(settings_file: Path) -> dict[str, Any]:
    """The settings: `jobs`, how many to ask for, and of each what SLURMCluster of dask-jobqueue may be told.

    Raises BenchError for what is no TOML, for an unknown setting, and without a number of jobs.
    """
    try:
        settings = tomllib.loads(settings_file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BenchError(f"slurm={settings_file}: is no TOML: {error}") from None
    for name in settings:
        if name not in (known := _known()):
            raise BenchError(f"slurm={settings_file}: unknown setting '{name}'{nearest(name, known)}")
    jobs = settings.get(_NUMBER)
    if type(jobs) is not int or jobs < 1:
        raise BenchError(f"slurm={settings_file}: jobs must be the number of jobs to request, such as jobs = 4")
    return settings


def _known() -> set[str]:
    jobqueue = _jobqueue()
    asked = (jobqueue.SLURMCluster, jobqueue.slurm.SLURMJob, jobqueue.core.Job, jobqueue.core.JobQueueCluster)
    names = {name for kind in asked for name in inspect.signature(kind.__init__).parameters}
    return (names - _NOT_OURS) | {_NUMBER}


def _jobqueue() -> Any:
    """The package, whose import would leave a file in the user's home."""
    before = dask.config.PATH
    with tempfile.TemporaryDirectory(prefix="cijbench-") as folder:
        dask.config.PATH = folder
        try:
            import dask_jobqueue  # noqa: PLC0415
            import dask_jobqueue.slurm  # noqa: PLC0415
        finally:
            dask.config.PATH = before
    return dask_jobqueue
