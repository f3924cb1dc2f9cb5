import getpass
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness import environment
from harness.environment import (
    Environment,
    commit,
    features,
    flags,
    gpu,
    installed,
    memory_gib,
    observe,
    processor,
    switches,
    usable_cores,
)
from tests.history import git

HOUSE = Path(environment.__file__).resolve().parent.parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git repository with one commit that holds `code.py` and `results/records.jsonl`."""
    folder = tmp_path / "checkout"
    (folder / "results").mkdir(parents=True)
    (folder / "code.py").write_text("1")
    (folder / "results" / "records.jsonl").write_text("{}\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_observes_this_process() -> None:
    seen = observe()
    assert seen.python == ".".join(map(str, sys.version_info[:3]))
    assert seen.cores >= 1
    assert seen.memory_gib > 0
    assert seen.processor
    assert {"numpy", "msgspec"} <= seen.versions.keys()
    assert observe() is seen
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Environment) == seen


def test_commit_is_that_of_the_checkout_wherever_the_user_is(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("GIT_DIR", str(checkout / ".git"))
    observe.cache_clear()
    try:
        assert observe().commit == commit(HOUSE)
        assert observe().commit != commit(checkout)
    finally:
        observe.cache_clear()


def test_commit_tells_changed_files_from_new_ones_and_results(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD").strip()
    (checkout / "new.py").write_text("2")
    (checkout / "results" / "records.jsonl").write_text("{}\n{}\n")
    assert commit(checkout) == head
    (checkout / "code.py").write_text("3")
    assert commit(checkout) == head + "+dirty"


def test_commit_of_a_folder_that_lies_inside_a_foreign_repository_is_empty(checkout: Path) -> None:
    installed_here = checkout / "venv" / "site-packages"
    installed_here.mkdir(parents=True)
    assert commit(installed_here) == ""


def test_no_commit_before_the_first_or_without_git(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet")
    assert commit(tmp_path) == ""
    monkeypatch.setenv("PATH", "")
    assert commit(checkout) == ""


def test_nothing_tells_who_and_where() -> None:
    text = msgspec.json.encode(observe()).decode()
    assert str(Path.home()) + "/" not in text
    assert str(HOUSE) not in text
    assert not {os.uname().nodename, getpass.getuser()} & set(re.findall(r"[\w.-]+", text))


def test_flags_are_known_switches_only() -> None:
    variables = {"KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1", "HOME": "/home/me", "KERAS_HOME": "/home/me/k"}
    assert flags(variables) == {"KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}


def test_versions_omit_what_is_absent() -> None:
    assert installed(["numpy", "no-such-distribution-anywhere"]).keys() == {"numpy"}


def test_processor_is_the_model_name_where_the_system_tells(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel\t\t: 1\nmodel name\t: Some CPU: fast @ 3GHz\n")
    assert processor(cpuinfo) == "Some CPU: fast @ 3GHz"
    assert processor(tmp_path / "absent")


def test_arm_s_processors_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    told = "processor\t: 0\nCPU implementer\t: 0x41\nCPU variant\t: 0x3\nCPU part\t: {}\nCPU revision\t: 1\n"
    cpuinfo.write_text(told.format("0xd0c"))
    neoverse_n1 = processor(cpuinfo)
    cpuinfo.write_text(told.format("0xd40"))
    assert neoverse_n1 == "Arm 0x41 0xd0c 0x3 1"
    assert processor(cpuinfo) == "Arm 0x41 0xd40 0x3 1"


def test_apple_s_processors_are_told_apart_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sysctl(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert words[-1] == "machdep.cpu.brand_string"
        return subprocess.CompletedProcess(words, 0, "Apple M3 Pro\n")

    monkeypatch.setattr(platform, "mac_ver", lambda: ("15.1", ("", "", ""), "arm64"))
    monkeypatch.setattr(subprocess, "run", sysctl)
    assert processor(tmp_path / "absent") == "Apple M3 Pro"


def test_features_are_the_vector_instructions_that_the_system_tells(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 ssse3 avx512f fma\n\nprocessor\t: 1\nflags\t\t: avx\n")
    assert features(cpuinfo) == "avx2 avx512f fma"
    cpuinfo.write_text("Features\t: fp asimd asimddp sve2 bf16\n")
    assert features(cpuinfo) == "asimd asimddp bf16 sve2"
    assert features(tmp_path / "absent") == ""


def test_imports_no_framework() -> None:
    code = (
        "import sys; from harness.environment import observe; observe();"
        "print(sorted({'torch', 'tensorflow', 'keras', 'onnx', 'onnxruntime', 'sklearn'} & sys.modules.keys()))"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=HOUSE, check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("memory.max", "1073741824\n", 1.0),
        ("memory/memory.limit_in_bytes", "536870912", 0.5),
        ("memory.max", "max\n", None),
        ("memory/memory.limit_in_bytes", "9223372036854771712", None),
        ("elsewhere", "1", None),
    ],
)
def test_a_container_may_use_what_it_was_granted(tmp_path, file, content, expected):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)
    assert memory_gib(tmp_path) == (expected or memory_gib(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "99900000 100000\n"}, None),
    ],
)
def test_a_container_s_quota_of_cores_is_kept(tmp_path, files, expected):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert usable_cores(tmp_path) == (expected or usable_cores(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("slurm/job_7/memory.max", "0::/slurm/job_7/step_0\n"),
        ("slurm/job_7/step_0/memory.max", "0::/slurm/job_7/step_0\n"),
        ("memory/slurm/job_7/memory.limit_in_bytes", "3:cpu,cpuacct:/x\n4:memory:/slurm/job_7\n0::/\n"),
    ],
)
def test_a_job_may_use_what_the_groups_above_it_were_granted(tmp_path, file, told):
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("1073741824\n")
    (tmp_path / "own").write_text(told)
    assert memory_gib(tmp_path, tmp_path / "own") == 1.0
    (tmp_path / "own").write_text("0::/another\n")
    assert memory_gib(tmp_path, tmp_path / "own") > 1.0


def test_a_job_s_quota_of_cores_is_kept(tmp_path):
    (tmp_path / "own").write_text("0::/job/step\n")
    (tmp_path / "job" / "step").mkdir(parents=True)
    (tmp_path / "job" / "cpu.max").write_text("50000 100000\n")
    assert usable_cores(tmp_path, tmp_path / "own") == 1


def test_switches_are_the_flags_that_choose_among_implementations() -> None:
    set_here = {"OMP_NUM_THREADS": "1", "ATEN_CPU_CAPABILITY": "default"}
    assert switches(msgspec.structs.replace(observe(), flags=set_here)) == {"ATEN_CPU_CAPABILITY": "default"}
    assert set(environment._SWITCHES) <= set(environment._FLAGS)


def test_the_gpu_is_the_first_that_the_driver_tells(tmp_path):
    for place, model in (("0000:0a:00.0", "NVIDIA H200"), ("0000:0b:00.0", "Another")):
        (tmp_path / "gpus" / place).mkdir(parents=True)
        (tmp_path / "gpus" / place / "information").write_text(f"Model: \t\t {model}\nIRQ:   1\n")
    (tmp_path / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Fri\nGCC version: 12\n"
    )
    assert gpu(tmp_path) == "NVIDIA H200, driver 580.159.04"
    (tmp_path / "version").unlink()
    assert gpu(tmp_path) == ""
    assert gpu(tmp_path / "nothing") == ""
