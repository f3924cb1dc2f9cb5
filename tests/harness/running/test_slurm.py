"""Workers that Slurm is asked for: what it is told, and, where it is installed, a Slurm of one node for the test."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys

import pytest

if importlib.util.find_spec("dask_jobqueue") is None:  # to import it would leave a file in the home
    pytest.skip("dask-jobqueue is not installed", allow_module_level=True)

from harness.errors import BenchError
from harness.judging.store import Store
from harness.running import slurm
from tests.harness.a_cluster import await_that

SETTINGS = """
jobs = 2
cores = 1
memory = "1GB"
walltime = "00:10:00"
queue = "debug"
"""


@pytest.fixture
def settings_file(tmp_path):
    path = tmp_path / "cluster.toml"
    path.write_text(SETTINGS)
    return path


def test_a_job_s_script_says_what_the_file_says(settings_file, tmp_path):
    settings_file.write_text(
        SETTINGS + 'job_script_prologue = ["module load cuda"]\nworker_extra_args = ["--resources", "GPU=1"]\n'
    )
    settings = slurm.read(settings_file)
    assert settings.pop("jobs") == 2
    with slurm.made(settings, settings_file, tmp_path / "logs") as cluster:
        lines = cluster.job_script().splitlines()
    for line in ("#SBATCH -J cijbench", "#SBATCH -p debug", "#SBATCH --cpus-per-task=1", "#SBATCH --mem=954M"):
        assert line in lines
    assert "#SBATCH -t 00:10:00" in lines
    assert lines.index("unset TMPDIR MPLCONFIGDIR") < lines.index("module load cuda")
    assert sys.executable in lines[-1]
    assert "--nthreads 1" in lines[-1]
    assert "--resources GPU=1" in lines[-1]
    assert any(line.startswith(f"#SBATCH -o {tmp_path}/logs/") for line in lines)


def test_a_prologue_of_one_line_may_be_a_text(settings_file, tmp_path):
    settings_file.write_text(SETTINGS + 'job_script_prologue = "module load cuda"\n')
    settings = slurm.read(settings_file)
    settings.pop("jobs")
    with slurm.made(settings, settings_file, tmp_path / "logs") as cluster:
        assert "module load cuda" in cluster.job_script().splitlines()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("jobs = ", "is no TOML"),
        ("jobs = 1\nqeue = 'debug'", "unknown setting 'qeue': did you mean 'queue'"),
        ("cores = 1\nmemory = '1GB'", "jobs must be the number of jobs to request"),
        ("jobs = true\ncores = 1\nmemory = '1GB'", "jobs must be the number of jobs to request"),
        ("jobs = 0\ncores = 1\nmemory = '1GB'", "jobs must be the number of jobs to request"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_by_its_remedy(settings_file, text, why):
    settings_file.write_text(text)
    with pytest.raises(BenchError, match=f"slurm=.*{why}"):
        slurm.read(settings_file)


def test_what_dask_jobqueue_refuses_is_told(settings_file, tmp_path):
    with pytest.raises(BenchError, match="You must specify how much cores and memory"):
        slurm.made({"queue": "debug"}, settings_file, tmp_path)


def test_nothing_is_left_in_the_home(tmp_path):
    code = "from harness.running import slurm; slurm._jobqueue()"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "HOME": str(tmp_path)})
    assert not list(tmp_path.iterdir())


NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")


@pytest.fixture
def slurm_of_one_node(tmp_path):
    """Its configuration file. All of it runs as this user, who must be root, below a folder of its own."""
    lacking = [name for name in NEEDED if not shutil.which(name)]
    if lacking or os.geteuid():
        pytest.skip(f"no Slurm that this user could start: {', '.join(lacking) or 'not root'}")
    folder = tmp_path / "slurm"
    for path in (folder, folder / "state", folder / "spool"):
        path.mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    munge = [f"--{what}={folder / f'munge.{name}'}" for what, name in MUNGE.items()]
    conf = folder / "slurm.conf"
    conf.write_text(CONFIGURATION.format(folder=folder, host=platform.node().partition(".")[0]))
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    processes = []

    def start(*command):
        log = (folder / f"{command[0]}.log").open("wb")
        processes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment))

    try:
        start("munged", "--foreground", "--force", *munge)
        await_that((folder / "munge.socket").exists)
        start("slurmctld", "-D")
        start("slurmd", "-D")
        await_that(lambda: "idle" in asked(environment, "sinfo"))
        yield environment
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


MUNGE = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed", "log-file": "log"}
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def asked(environment, *command):
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout


@pytest.mark.slow
def test_cells_are_run_by_jobs_of_slurm(data, settings_file, slurm_of_one_node, tmp_path):
    results = tmp_path / "results"
    words = ["suite=elasticity", "profile=smoke", "backend=classical", "variant=mean,ridge", f"data={data}"]
    command = [sys.executable, "-m", "harness", "run", *words, f"results={results}", "launcher=slurm"]
    ended = subprocess.run(
        [*command, f"slurm={settings_file}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=slurm_of_one_node,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "requesting 2 Slurm jobs" in ended.stdout
    records = Store(results, "elasticity").trainings()
    assert sorted((record.cell.variant, record.status) for record in records) == [("mean", "ok"), ("ridge", "ok")]
    await_that(lambda: not asked(slurm_of_one_node, "squeue", "--noheader").strip())  # nothing goes on asking
