"""What each command of `bench` may be told: the fields of a struct are its options, with types, defaults and help.

`own` holds those of the suites themselves (`Suite.OPTIONS` in `harness/protocol.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from harness.command.options import IS_PATH
from harness.text import Device


def _about(description: str) -> msgspec.Meta:
    return msgspec.Meta(description=description)


def _path(description: str) -> msgspec.Meta:
    return msgspec.Meta(description=description, extra=IS_PATH)


def _model(description: str) -> msgspec.Meta:
    """A path that must be given where its option is: an empty one, of a variable that is not set, means nothing."""
    return msgspec.Meta(description=description, extra=IS_PATH, min_length=1)


def _seconds(description: str) -> msgspec.Meta:
    return msgspec.Meta(ge=0, le=1e9, description=description)


def _gib(description: str) -> msgspec.Meta:
    return msgspec.Meta(ge=0, le=1e6, description=description)


Results = Annotated[Path, _path("folder for records, models, logs and leaderboards")]
Own = Annotated[dict[str, str], msgspec.Meta(extra={"of": "OPTIONS"})]
OwnOfMaking = Annotated[dict[str, str], msgspec.Meta(extra={"of": "MAKE_OPTIONS"})]

Timeout = Annotated[float, _seconds("time limit for one cell or model, in seconds; 0: no limit")]
Memory = Annotated[
    float,
    _gib(
        "memory limit for one cell or model, in GiB; 0: nine tenths of this machine's memory, no limit on other "
        "machines"
    ),
]
Workers = Annotated[
    int, msgspec.Meta(ge=0, description="parallel processes, one thread each; 0: one per core, as far as memory allows")
]


class RunOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Train and test models that have no result yet, time the exported ones, and write the leaderboards."""

    suite: Annotated[str, _about("suites to run, comma-separated, or all")] = "all"
    profile: Annotated[str, _about("how much work: smoke, standard or paper")] = "standard"
    variant: Annotated[
        str,
        _about(
            "variants, comma-separated, or all (`bench list` shows them); or your own models: my.toml, models.py:Net "
            "or package.module:Net (docs/own-models.md)"
        ),
    ] = "all"
    backend: Annotated[str, _about("backends, comma-separated, or all")] = "all"
    seeds: Annotated[
        str, _about("seeds for initial weights and batch order, such as 0,1,2; if empty, those of the profile")
    ] = ""
    data: Annotated[str, _path("your own folder of images with a CSV; if empty, the data shipped with the suite")] = ""
    init: Annotated[
        Literal["shared", "native"],
        _about("initial weights: the harness's, identical in all frameworks, or each framework's own"),
    ] = "shared"
    target_scaling: Annotated[
        Literal["standard", "none"], _about("train on standardised targets or on raw labels, in the suite's `unit=`")
    ] = "standard"
    weights: Annotated[
        str,
        _path(
            "initial weights of backbones: auto (ImageNet if available, otherwise random), imagenet, random, the name "
            "of a set made by `bench weights make`, or your own file: .h5 as published by Keras, or .safetensors as "
            "written by `bench run`"
        ),
    ] = "auto"
    averaged: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=1000,
            description="average predictions over this many random moves of an image that change no target (such as "
            "shifts of a periodic one), in separate rows; 0: predict from the image as it is",
        ),
    ] = 0
    originals: Annotated[
        str,
        _about(
            "train only on the first N training images, such as 25,50,100 for a learning curve, in separate rows; if "
            "empty, on all"
        ),
    ] = ""
    search: Annotated[
        Literal["", "grid", "halving", "optuna"],
        _about(
            "search method: grid tries every configuration, halving keeps training the better third, optuna tries "
            "what it proposes, for no more epochs in total than grid; if empty, the profile's"
        ),
    ] = ""
    device: Annotated[Device, _about("device to train networks on; cuda-tf32 multiplies in rounded TF32")] = "cpu"
    tracker: Annotated[
        Literal["", "mlflow"],
        _about("also write the records to an MLflow store, mlflow.db in results=; needs mlflow"),
    ] = ""
    dry: Annotated[
        bool,
        _about("train nothing; list the cells and estimate core-hours, disk space, and wall time by number of workers"),
    ] = False
    launcher: Annotated[
        Literal["local", "dask", "slurm"],
        _about(
            "where to run cells: on this machine, on a Dask cluster (that of scheduler=, or a local one), or on Slurm "
            "workers requested as slurm= says"
        ),
    ] = "local"
    scheduler: Annotated[str, _about("with launcher=dask: scheduler address, such as tcp://host:8786")] = ""
    slurm: Annotated[str, _path("with launcher=slurm: TOML file with the number of Slurm jobs and their settings")] = ""
    workers: Workers = 0
    timeout: Timeout = 0
    memory: Memory = 0
    results: Results = Path("results")
    own: Own = {}


class LeaderboardOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Recompute the leaderboards from the records; print that of a single suite."""

    suite: Annotated[str, _about("suites, comma-separated, or all")] = "all"
    check: Annotated[bool, _about("write nothing; exit 1 if a leaderboard does not follow from the records")] = False
    diff: Annotated[
        str,
        _about(
            "write nothing; show what changed in the leaderboards on disk since a git commit, branch or tag: new and "
            "removed rows, values, ranks"
        ),
    ] = ""
    pictures: Annotated[str, _path("also draw pictures, in a subfolder of this folder for each suite")] = ""
    format: Annotated[
        Literal["", "text", "markdown", "latex", "html", "csv"],
        _about(
            "write nothing; print the newest comparable rows as a table, rounded to the digits that seeds and "
            "intervals allow (csv: all digits; latex needs the package booktabs)"
        ),
    ] = ""
    columns: Annotated[
        str,
        _about(
            "columns to print, comma-separated, named as in the CSV; help explains them all; if empty, a few, and all "
            "for format=csv"
        ),
    ] = ""
    results: Results = Path("results")


class ReportOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Write a suite's report from its records: tables, answers and pictures, as a Markdown page."""

    suite: Annotated[str, _about("suite to report on")]
    profile: Annotated[str, _about("profile whose records to report on")] = "standard"
    device: Annotated[
        Device | Literal[""], _about("device whose models to report on; if empty, the CPU if any were trained there")
    ] = ""
    out: Annotated[
        str, _path("folder for the page and its pictures; if empty, report/<suite> in the results folder")
    ] = ""
    raw: Annotated[
        bool,
        _about(
            "add a section on training with raw labels in the source's unit; unless there are records of that, trains "
            "the models that start from scratch (first seed)"
        ),
    ] = False
    workers: Workers = 0
    results: Results = Path("results")


class SubmitOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Review records from someone else; write nothing, exit 1 if something is wrong."""

    check: Annotated[str, _path("file of training records in JSON lines, as `bench run` writes trainings.jsonl")]
    suite: Annotated[str, _about("suite of these records")]
    results: Results = Path("results")


class ReproduceOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Rerun a published row on this machine, in a separate results folder; exit 1 if it does not agree."""

    row: Annotated[str, _about("variant/backend, such as gp/classical, or the 16 digits of a record's key")]
    suite: Annotated[str, _about("suite of the row")]
    profile: Annotated[str, _about("profile of the row")] = "standard"
    out: Annotated[str, _path("results folder to run in; if empty, reproduced in the results folder")] = ""
    workers: Workers = 0
    timeout: Timeout = 0
    memory: Memory = 0
    results: Results = Path("results")


class SiteOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Write the leaderboards as a web site, from records alone: static files that need no server or network."""

    suite: Annotated[str, _about("suites to show, comma-separated, or all that have records")] = "all"
    out: Annotated[
        str, _path("folder for the pages; if empty, site in the results folder, where they link to records and models")
    ] = ""
    results: Results = Path("results")


class ParityOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Check whether a variant, or your own pair, is the same model in two frameworks; exit 1 if a rung breaks."""

    pair: Annotated[
        str,
        _model(
            "compare your own pair instead: a Python file with two of the functions keras_model(), torch_model() and "
            "jax_model(), and whatever else docs/parity.md names; it is executed, in separate processes"
        ),
    ] = ""
    keras: Annotated[str, _model("a .keras file instead of keras_model()")] = ""
    onnx: Annotated[
        str,
        _model(
            "an ONNX file to compare with keras=, onnx2=, or torch_model() of pair= (keras_model() if there is no "
            "other); each runs with its own weights"
        ),
    ] = ""
    onnx2: Annotated[str, _model("a second ONNX file to compare the one of onnx= with")] = ""
    layout: Annotated[
        Literal["", "first", "last"],
        _about("ONNX only: whether the graph takes channels first or last, if its shapes do not tell"),
    ] = ""
    weights: Annotated[
        Literal["drawn", "ours", "theirs", "own"],
        _about(
            "pairs only: weights drawn for both models, the first model's, the second's, or each model's own, which "
            "must then be equal"
        ),
    ] = "drawn"
    mapping: Annotated[str, _path("pairs only: CSV file to write, listing which array is which")] = ""
    converter: Annotated[
        str, _path("pairs only: Python file to write, which converts the arrays of either model into the other's")
    ] = ""
    trust: Annotated[
        bool,
        _about("pairs only: run code that a saved Keras model holds, and let torch.load unpickle more than weights"),
    ] = False
    timeout: Annotated[
        float, _seconds("pairs only: time limit for each request to a side, in seconds; 0: no limit")
    ] = 0
    memory: Annotated[
        float, _gib("pairs only: memory limit for a side, in GiB; 0: nine tenths of this machine's memory")
    ] = 0
    suite: Annotated[str, _about("suite whose variants to check")] = "elasticity"
    between: Annotated[
        str,
        _about(
            "the two backends, optionally with a Keras engine after a slash and a device after an @: keras,pytorch "
            "(the default); keras,keras/jax; pytorch,pytorch@cuda. For a pair: two of keras, jax and torch; if empty, "
            "those that have a function"
        ),
    ] = ""
    variant: Annotated[str, _about("variants, comma-separated, or all; or your own, such as my.toml")] = "all"
    rung: Annotated[
        str,
        _about(
            "rungs, comma-separated, or all: structure, forward, gradients, gradcam, state, optimizer, training, "
            "export, statistics"
        ),
    ] = "all"
    profile: Annotated[
        Literal["smoke", "standard"],
        _about(
            "smoke skips the rungs that train whole recipes and, for backbones, exports and the optimizer steps of all "
            "but one"
        ),
    ] = "standard"
    seeds: Annotated[str, _about("seeds for the weights and batches to compare")] = "0"
    strict: Annotated[bool, _about("also exit 1 if a rung is skipped")] = False
    junit: Annotated[str, _path("JUnit XML file to write, for CI")] = ""
    markdown: Annotated[str, _path("Markdown file to write, for a pull request")] = ""
    workers: Workers = 0
    keep: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            description="size in GiB of the cache beside the results: a side whose code and input have not changed is "
            "not recomputed; 0: recompute every side",
        ),
    ] = 4
    results: Results = Path("results")


class LatencyOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Time any ONNX model as the leaderboard does, alongside the reference model."""

    model: Annotated[str, _path("ONNX file")]
    threads: Annotated[int, msgspec.Meta(ge=1, le=1024, description="intra-op threads")] = 1
    batches: Annotated[str, _about("batch sizes, comma-separated")] = "1,32"
    timeout: Timeout = 0
    memory: Memory = 0


class DeployOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Make exported models lighter, score them again on the test images, and time them against the originals."""

    suite: Annotated[str, _about("suites whose models to take, comma-separated, or all")] = "all"
    data: Annotated[
        str, _path("the folder that the models were trained on; if empty, the data shipped with their suites")
    ] = ""
    variant: Annotated[str, _about("variants, comma-separated, or all")] = "all"
    backend: Annotated[str, _about("backends that trained them, comma-separated, or all")] = "all"
    runtime: Annotated[
        str,
        _about(
            "runtimes, comma-separated, or all: float32 (as exported), int8 (calibrated on the validation images), "
            "float16 (smaller; not timed), openvino (if installed)"
        ),
    ] = "all"
    results: Results = Path("results")
    own: Own = {}


class PredictOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Predict with a trained model: one row per image, with targets in physical units, intervals and warnings."""

    images: Annotated[str, _path("folder of images")]
    out: Annotated[str, _path("CSV file to write; must not exist")]
    model: Annotated[str, _path("ONNX file written by `bench run`; if empty, the best of a suite")] = ""
    suite: Annotated[str, _about("suite whose models to choose from")] = ""
    variant: Annotated[
        str,
        _about("variants, comma-separated, of which to use the best on the validation images; best: of all"),
    ] = "best"
    timeout: Timeout = 0
    memory: Memory = 0
    results: Results = Path("results")


class GradcamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Draw where a trained network looks on its test images (Grad-CAM) and test whether its answers come from there."""

    model: Annotated[str, _path("ONNX or safetensors file, where `bench run` wrote it")]
    target: Annotated[
        str, _about("target to explain; if empty, the only one, or, for classes, the one that is predicted")
    ] = ""
    n: Annotated[int, msgspec.Meta(ge=1, le=64, description="test images to draw")] = 10
    data: Annotated[
        str, _path("the folder that the model was trained on; if empty, the data shipped with the suite")
    ] = ""
    out: Annotated[
        str, _path("PNG file to write; must not exist; if empty, a file beside the model, which is overwritten")
    ] = ""
    own: Own = {}


class RecordsMergeOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Merge the records and models of several results folders, such as those of machines that share no disk."""

    folders: Annotated[str, _about("results folders, comma-separated; their order does not matter")]
    out: Annotated[str, _path("results folder to write; must not exist or be empty")]


class DataCheckOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Check your own data set and report every problem; write nothing."""

    data: Annotated[str, _path("folder of images with one CSV")]
    suite: Annotated[str, _about("suites to check the data set for, comma-separated; any: whichever it fits")] = "any"
    own: Own = {}


class DataMakeOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Generate a suite's data set: images, a CSV of targets, and what they were made with."""

    out: Annotated[str, _path("folder to write; must not exist or be empty")]
    suite: Annotated[str, _about("suite whose data to generate")] = "elasticity"
    n: Annotated[int, msgspec.Meta(ge=1, le=10**5, description="number of images")] = 520
    seed: Annotated[int, msgspec.Meta(ge=0, description="seed for the generators")] = 0
    own: OwnOfMaking = {}


class WeightsFetchOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Download the ImageNet weights of the backbones, to prepare a machine for working offline."""

    backbone: Annotated[str, _about("backbones, comma-separated, or all")] = "all"


class WeightsMakeOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Pretrain backbones for `bench run weights=NAME` on a suite's generated images; takes hours, can be resumed."""

    suite: Annotated[str, _about("suite whose images to generate")] = "elasticity"
    backbone: Annotated[str, _about("backbones, comma-separated, or all")] = "all"
    n: Annotated[
        int, msgspec.Meta(ge=1000, le=10**6, multiple_of=1000, description="images to generate, a multiple of 1000")
    ] = 20_000
    seed: Annotated[int, msgspec.Meta(ge=0, le=10**6, description="seed for images, initial weights and order")] = 0
    backend: Annotated[str, _about("backend to train with: keras or pytorch")] = "pytorch"
    device: Annotated[Device, _about("device to train on")] = "cpu"
    results: Results = Path("results")


class WeightsAttachOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Install weight files that you were given beside the cards that name them, matched by hash."""

    files: Annotated[str, _path("folder of .safetensors files")]
    results: Results = Path("results")


class WeightsListOptions(msgspec.Struct, forbid_unknown_fields=True):
    """List the weights on this machine, where they are and where they come from."""

    results: Results = Path("results")


class ListOptions(msgspec.Struct, forbid_unknown_fields=True):
    """List suites, variants, profiles and backends, and say which backends can be used here, or why not."""

    suite: Annotated[str, _about("suites to list, comma-separated, or all")] = "all"
