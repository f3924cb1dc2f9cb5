"""Versions, processor, threads, flags, commit: the provenance of a record.

Records are published, so nothing here tells who ran them or where: no user, host or folder.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import msgspec
import psutil

from harness import __version__, plug_ins
from harness.text import Label, label

# Distributions, as the installer names them; two names for one package where there are builds for CPU or GPU.
_PACKAGES = (
    "jax",
    "jaxlib",
    "keras",
    "msgspec",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxscript",
    "openvino",
    "optuna",
    "pandas",
    "scikit-learn",
    "scipy",
    "tensorflow",
    "tensorflow-cpu",
    "tf2onnx",
    "torch",
    "torchvision",
)

# Variables that choose among implementations, and so change numbers wherever they are set.
_SWITCHES = (
    "ATEN_CPU_CAPABILITY",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_ENABLE_X64",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "TF_ENABLE_ONEDNN_OPTS",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)

# Variables that change numbers or timings and whose values are words, never paths.
_FLAGS = (
    *_SWITCHES,
    "CUBLAS_WORKSPACE_CONFIG",
    "KERAS_BACKEND",
    "MALLOC_ARENA_MAX",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_TRIM_THRESHOLD_",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "TF_DETERMINISTIC_OPS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where and with what something was computed.

    `cores` are those this process may use; `memory_gib` is the machine's. `versions` maps distributions to versions,
    without those not installed; `flags` holds the environment variables that were set. `features` are the processor's
    vector instructions: clouds give one name to processors that round differently. `gpu` is the first, "" without one.
    `commit` is the hash of the checkout the package runs from, with `+dirty` where tracked files other than results
    differ from it; "" elsewhere.
    """

    python: Label
    platform: Label
    machine: Label
    processor: Label
    cores: int
    memory_gib: float
    versions: dict[Label, Label]
    cijbench: Label
    commit: Label
    flags: dict[Label, Label]
    features: Label = ""
    gpu: Label = ""

    @property
    def short_commit(self) -> str:
        """The commit as it is told in a sentence: twelve digits."""
        return self.commit[:12] or "unknown"


@cache
def observe() -> Environment:
    """The environment of this process, observed once: later changes of files or variables do not count."""
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        machine=platform.machine(),
        processor=label(processor(Path("/proc/cpuinfo"))),
        cores=usable_cores(),
        memory_gib=round(_memory() / 2**30, 1),
        versions=installed((*_PACKAGES, *plug_ins.distributions())),
        cijbench=__version__,
        commit=commit(Path(__file__).resolve().parent.parent),
        flags=flags(os.environ),
        features=features(Path("/proc/cpuinfo")),
        gpu=gpu(Path("/proc/driver/nvidia")),
    )


def switches(environment: Environment) -> dict[str, str]:
    """The flags that were set and choose among implementations, as oneDNN's or PyTorch's instruction set."""
    return {name: environment.flags[name] for name in _SWITCHES if name in environment.flags}


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Version of each of these distributions that is installed, without importing any."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def flags(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of the variables that change numbers or timings."""
    return {name: label(variables[name]) for name in _FLAGS if name in variables}


def processor(cpuinfo: Path) -> str:
    """The processor's name from a file like Linux's /proc/cpuinfo; of Arm's, which have none there, the numbers of
    their maker and their kind; else what the system or Python knows of it.
    """
    told = _of_first_processor(cpuinfo)
    if name := told.get("model name"):
        return name
    if numbers := [told[key] for key in _OF_ARM if key in told]:
        return " ".join(["Arm", *numbers])
    return _processor_of_macos() or platform.processor() or platform.machine()


def _of_first_processor(cpuinfo: Path) -> dict[str, str]:
    """What such a file tells of the first processor, by its keys; empty where there is none."""
    told: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            told.setdefault(key.strip(), value.strip())
    return told


_OF_ARM = ("CPU implementer", "CPU part", "CPU variant", "CPU revision")


def _processor_of_macos() -> str:
    """As in `Apple M3 Pro`; "" elsewhere. Python calls all of these `arm`."""
    if not platform.mac_ver()[0]:
        return ""
    words = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


# Of x86 and of Arm: libraries choose their kernels by these.
_FEATURES = re.compile(r"avx\w*|fma|f16c|sse4_2|amx_\w+|asimd\w*|sve\w*|bf16|i8mm")


def features(cpuinfo: Path) -> str:
    """The vector instructions of the first processor in a file like Linux's /proc/cpuinfo, "" where it tells none."""
    told = _of_first_processor(cpuinfo)
    named = told.get("flags") or told.get("Features", "")
    return label(" ".join(sorted(filter(_FEATURES.fullmatch, named.split()))))


def gpu(driver: Path) -> str:
    """The first GPU and its driver's version, as NVIDIA's driver tells them in a folder of Linux; "" elsewhere."""
    try:
        first = min((driver / "gpus").iterdir()) / "information"
        model = next(line.partition(":")[2].strip() for line in first.read_text().splitlines() if "Model" in line)
        version = re.search(r"\b\d+\.\d+(\.\d+)?\b", (driver / "version").read_text())
    except (OSError, ValueError, StopIteration):
        return ""
    return label(f"{model}, driver {version[0]}" if version else model)


def commit(checkout: Path) -> str:
    """Hash of the commit checked out in `checkout`, `+dirty` where tracked files differ; "" if it is no checkout.

    Changes below `results/` do not count: a run writes there, and is the same run before and after.
    """
    # An installed package may lie inside somebody's repository; that one's commit would say nothing about it.
    if not (checkout / ".git").exists():
        return ""
    words = ("status", "--porcelain=v2", "--branch", "--untracked-files=no", "--", ".", ":!results")
    try:
        status = git(checkout, *words, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return "" if status.returncode else _commit_and_state(status.stdout)


def git(folder: Path, *words: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """What git says of a folder, without taking a lock. Raises OSError where it cannot be run."""
    # In a git hook, variables such as GIT_DIR would point git at another repository.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", "-C", str(folder), "--no-optional-locks", *words],
        env=variables,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=timeout,
    )


def _commit_and_state(status: str) -> str:
    lines = status.splitlines()
    commits = [line.removeprefix("# branch.oid ") for line in lines if line.startswith("# branch.oid ")]
    if not commits or commits[0] == "(initial)":
        return ""
    return commits[0] + "+dirty" * any(not line.startswith("#") for line in lines)


def usable_workers() -> int:
    """How many workers this machine has room for: one per core, with 6 GiB of memory each.

    Most need a fraction of that; Keras's export of a ResNet50 takes nearly 9, and seldom falls together with another's.
    """
    return max(1, min(usable_cores(), int(memory_gib() // 6)))


def usable_memory_gib() -> float:
    """What one worker may take before the system kills whatever it likes: nine tenths of `memory_gib`."""
    return 0.9 * memory_gib()


def memory_gib(cgroup: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float:
    """Memory of the machine, or what the control groups of this process grant of it, in GiB: those of a container, of
    a job of Slurm, of a service (cgroup v2, then v1).
    """
    total = _memory()
    for group in _groups("memory", cgroup, own):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):  # no such file; "max" where there is no limit
                total = min(total, int((group / name).read_text()))
    return total / 2**30


def _groups(controller: str, cgroup: Path, own: Path) -> list[Path]:
    """The folders of the control groups that this process is in, from its own to the root: of v2, then of a controller
    of v1. What a container sees begins at the root.
    """
    paths = {"": "/", controller: "/"}
    with contextlib.suppress(OSError, ValueError):  # not Linux
        for line in own.read_text().splitlines():
            _, names, path = line.split(":", 2)
            paths |= dict.fromkeys(names.split(","), path)
    found = []
    for root, path in ((cgroup, paths[""]), (cgroup / controller, paths[controller])):
        group = root / path.lstrip("/")
        found += [group, *(parent for parent in group.parents if parent.is_relative_to(root))]
    return found


def _memory() -> int:
    """The machine's, in bytes."""
    return int(psutil.virtual_memory().total)


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """How many processor cores this process may use: those that it may run on, and no more than what its control groups
    grant of them (cgroup v2, then v1), rounded up.
    """
    cores = _cores()
    for group in _groups("cpu", cgroup, own):
        for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            with contextlib.suppress(OSError, ValueError):  # no such file; "max", or -1, where there is no limit
                quota, period = map(int, " ".join((group / name).read_text() for name in names).split())
                if quota > 0:
                    cores = min(cores, math.ceil(quota / period))
    return cores


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # type: ignore[unreachable,unused-ignore]  # macOS
