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


Results = Annotated[Path, _path("folder for records, models, logs and leaderboards")]
Own = Annotated[dict[str, str], msgspec.Meta(extra={"of": "OPTIONS"})]
OwnOfMaking = Annotated[dict[str, str], msgspec.Meta(extra={"of": "MAKE_OPTIONS"})]

Timeout = Annotated[
    float, msgspec.Meta(ge=0, le=1e9, description="seconds that one cell or model may take; 0: as long as it likes")
]
Memory = Annotated[
    float,
    msgspec.Meta(
        ge=0,
        le=1e6,
        description="GiB of memory for one cell or model; 0: nine tenths of this machine's, no limit elsewhere",
    ),
]


Workers = Annotated[
    int, msgspec.Meta(ge=0, description="processes at a time, one thread each; 0: one per core, as far as memory goes")
]


class RunOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Train and test what has no result yet, time the exported models, write the leaderboards."""

    suite: Annotated[str, _about("suites to run, comma-separated, or all")] = "all"
    profile: Annotated[str, _about("how much work: smoke, standard or paper")] = "standard"
    variant: Annotated[
        str,
        _about(
            "variants, comma-separated, or all; `bench list` names them. Also models of your own, as my.toml, "
            "models.py:Net or package.module:Net (docs/own-models.md)"
        ),
    ] = "all"
    backend: Annotated[str, _about("backends, comma-separated, or all")] = "all"
    seeds: Annotated[str, _about("seeds of initial weights and batch order, as in 0,1,2; empty: the profile's")] = ""
    data: Annotated[str, _path("your own folder of images and a CSV; empty: the data the suite ships")] = ""
    init: Annotated[
        Literal["shared", "native"],
        _about("initial weights: the harness's, equal in all frameworks, or each one's own"),
    ] = "shared"
    target_scaling: Annotated[
        Literal["standard", "none"], _about("train on standardised targets, or on raw labels, in the suite's `unit=`")
    ] = "standard"
    weights: Annotated[
        str,
        _path(
            "what backbones start from: auto (ImageNet where it can be had, else random), imagenet, random, the name "
            "of a set that `bench weights make` made, or a file of yours, .h5 as Keras publishes them or .safetensors "
            "as `bench run` writes them"
        ),
    ] = "auto"
    averaged: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=1000,
            description="predict the mean over that many random moves of an image that change no target, as shifts of "
            "a periodic one do; makes rows of its own; 0: the image as it is",
        ),
    ] = 0
    originals: Annotated[
        str,
        _about(
            "train on the first so many training images alone, as in 25,50,100: a learning curve, of rows of its own; "
            "empty: on all"
        ),
    ] = ""
    search: Annotated[
        Literal["", "grid", "halving", "optuna"],
        _about(
            "grid tries all of a search, halving goes on with the better third, optuna tries what it proposes, for no "
            "more epochs in all than grid; empty: the profile's"
        ),
    ] = ""
    device: Annotated[Device, _about("where networks are trained; cuda-tf32 rounds what a GPU multiplies")] = "cpu"
    tracker: Annotated[
        Literal["", "mlflow"],
        _about("write the records to MLflow's store, mlflow.db below the results, too, where mlflow is installed"),
    ] = ""
    dry: Annotated[
        bool,
        _about(
            "train nothing; say which cells there are, and what they would take: core-hours, disk, and wall time on so "
            "many workers"
        ),
    ] = False
    launcher: Annotated[
        Literal["local", "dask", "slurm"],
        _about(
            "where cells are run: on this machine, on the Dask cluster of scheduler= or one of this machine's, or on "
            "workers that Slurm is asked for as slurm= says"
        ),
    ] = "local"
    scheduler: Annotated[str, _about("of launcher=dask: address of the scheduler, as tcp://host:8786")] = ""
    slurm: Annotated[str, _path("of launcher=slurm: TOML file of what each Slurm job asks for")] = ""
    workers: Workers = 0
    timeout: Timeout = 0
    memory: Memory = 0
    results: Results = Path("results")
    own: Own = {}


class LeaderboardOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Compute the leaderboards again from the records."""

    suite: Annotated[str, _about("suites, comma-separated, or all")] = "all"
    check: Annotated[bool, _about("write nothing; exit 1 where a leaderboard does not follow from the records")] = False
    diff: Annotated[
        str,
        _about(
            "write nothing; say what moved in the leaderboards on disk since a git commit, branch or tag: rows gone "
            "and new, values, ranks"
        ),
    ] = ""
    pictures: Annotated[str, _path("draw them, too: folder for a folder of pictures per suite")] = ""
    format: Annotated[
        Literal["", "markdown", "latex", "html", "csv"],
        _about(
            "write nothing; print the newest comparable rows as a table for a paper, with the digits that seeds and "
            "intervals allow; csv: with all digits; LaTeX's is for the package booktabs"
        ),
    ] = ""
    columns: Annotated[
        str,
        _about("columns of format=, comma-separated, by their names in the CSV; help: say what each is; empty: a few"),
    ] = ""
    results: Results = Path("results")


class ReportOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Answer a suite's source from records: its tables, its questions, its pictures, as a Markdown page."""

    suite: Annotated[str, _about("suite to report on")]
    profile: Annotated[str, _about("profile whose records to report on")] = "standard"
    device: Annotated[
        Device | Literal[""], _about("where what is reported on was trained; empty: on the processor, if anything was")
    ] = ""
    out: Annotated[str, _path("folder for the page and its pictures; empty: report/<suite> below the results")] = ""
    raw: Annotated[
        bool,
        _about(
            "where there are no records of it, train what starts from scratch on raw labels in the source's unit, too "
            "(first seed): a section of the page shows what it learns"
        ),
    ] = False
    workers: Workers = 0
    results: Results = Path("results")


class SubmitOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Say what a reviewer of somebody's records needs to know; nothing is written, exit 1 where something is wrong."""

    check: Annotated[str, _path("file of training records in JSON lines, as `bench run` writes trainings.jsonl")]
    suite: Annotated[str, _about("suite that they are of")]
    results: Results = Path("results")


class ReproduceOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Run a published row again, here, in a results folder of its own; exit 1 where it does not agree."""

    row: Annotated[str, _about("variant/backend, as gp/classical, or the 16 digits of a record's key")]
    suite: Annotated[str, _about("suite that it is of")]
    profile: Annotated[str, _about("profile that it is of")] = "standard"
    out: Annotated[str, _path("results folder to run in; empty: reproduced below the results")] = ""
    workers: Workers = 0
    timeout: Timeout = 0
    memory: Memory = 0
    results: Results = Path("results")


class SiteOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Write the leaderboards as a web site, from records alone: static files that need no server and no network."""

    suite: Annotated[str, _about("suites to show, comma-separated, or all that have records")] = "all"
    out: Annotated[
        str, _path("folder for its pages; empty: site below the results, where pages link to the records and models")
    ] = ""
    results: Results = Path("results")


class ParityOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Say whether a variant, or your own pair, is the same model in two frameworks; exit 1 where a rung breaks."""

    pair: Annotated[
        str,
        _model(
            "your own pair instead: a Python file with two of the functions keras_model(), torch_model() and "
            "jax_model(), and what else docs/parity.md names; it is run, in processes of its own"
        ),
    ] = ""
    keras: Annotated[str, _model("a .keras file in the place of keras_model()")] = ""
    onnx: Annotated[
        str,
        _model(
            "an ONNX file, to compare with keras=, onnx2=, or torch_model() of pair= (keras_model() where it has no "
            "other); each is run with the weights that it has"
        ),
    ] = ""
    onnx2: Annotated[str, _model("another ONNX file, for that of onnx= to be compared with")] = ""
    layout: Annotated[
        Literal["", "first", "last"],
        _about("of an ONNX graph: whether it takes channels first or last, where its shapes do not tell"),
    ] = ""
    weights: Annotated[
        Literal["drawn", "ours", "theirs", "own"],
        _about(
            "of a pair: weights drawn for both, the first model's, the second's, or each its own, which must then be "
            "the same"
        ),
    ] = "drawn"
    mapping: Annotated[str, _path("of a pair: CSV file to write, with which array is which")] = ""
    converter: Annotated[
        str, _path("of a pair: Python file to write, which turns either's arrays into the other's")
    ] = ""
    trust: Annotated[
        bool,
        _about("of a pair: run code that a saved Keras model holds, and let torch.load unpickle more than weights"),
    ] = False
    timeout: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=1e9,
            description="of a pair: seconds that a side may take for each thing it is asked; 0: as long as it likes",
        ),
    ] = 0
    memory: Annotated[
        float,
        msgspec.Meta(ge=0, le=1e6, description="of a pair: GiB that a side may take; 0: nine tenths of the machine's"),
    ] = 0
    suite: Annotated[str, _about("suite whose variants climb")] = "elasticity"
    between: Annotated[
        str,
        _about(
            "the two backends, with an engine of Keras behind a slash and a device behind an @: keras,pytorch (the "
            "default); keras,keras/jax; pytorch,pytorch@cuda. Of a pair two of keras, jax and torch; empty: those of "
            "which there is a function"
        ),
    ] = ""
    variant: Annotated[str, _about("variants, comma-separated, or all; also of your own, as my.toml")] = "all"
    rung: Annotated[
        str,
        _about(
            "rungs, comma-separated, or all: structure, forward, gradients, gradcam, state, optimizer, training, "
            "export, statistics"
        ),
    ] = "all"
    profile: Annotated[
        Literal["smoke", "standard"],
        _about("smoke leaves out what trains whole recipes, and of backbones exports and the steps of all but one"),
    ] = "standard"
    seeds: Annotated[str, _about("seeds of the weights and batches that are compared")] = "0"
    strict: Annotated[bool, _about("exit 1 where a rung is skipped, too")] = False
    junit: Annotated[str, _path("JUnit XML file to write, for CI")] = ""
    markdown: Annotated[str, _path("Markdown file to write, for a pull request")] = ""
    workers: Workers = 0
    keep: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            description="GiB of cache for what sides computed, beside the results: a side whose code and input are as "
            "they were is not computed again; 0: every one is",
        ),
    ] = 4
    results: Results = Path("results")


class LatencyOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Time any ONNX model the way the leaderboard does, beside the reference model."""

    model: Annotated[str, _path("ONNX file")]
    threads: Annotated[int, msgspec.Meta(ge=1, le=1024, description="intra-op threads")] = 1
    batches: Annotated[str, _about("batch sizes, comma-separated")] = "1,32"
    timeout: Timeout = 0
    memory: Memory = 0


class DeployOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Make exported models lighter, score them again on the test images, and time them beside what they were."""

    suite: Annotated[str, _about("suites whose models to take, comma-separated, or all")] = "all"
    data: Annotated[str, _path("the folder that they were trained on; empty: the data their suites ship")] = ""
    variant: Annotated[str, _about("variants, comma-separated, or all")] = "all"
    backend: Annotated[str, _about("backends that trained them, comma-separated, or all")] = "all"
    runtime: Annotated[
        str,
        _about(
            "comma-separated, or all: float32 (what was exported), int8 (calibrated on the validation images), float16 "
            "(a size alone), openvino (where it is installed)"
        ),
    ] = "all"
    results: Results = Path("results")
    own: Own = {}


class PredictOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Predict with a trained model: one row per image, targets in physical units, intervals, and what is doubtful."""

    images: Annotated[str, _path("folder of images")]
    out: Annotated[str, _path("CSV file to write; must not exist")]
    model: Annotated[str, _path("ONNX file written by `bench run`; empty: the best of a suite")] = ""
    suite: Annotated[str, _about("suite whose models to choose from")] = ""
    variant: Annotated[
        str, _about("variants to choose from, comma-separated; best: all; taken is the best on the validation images")
    ] = "best"
    timeout: Timeout = 0
    memory: Memory = 0
    results: Results = Path("results")


class GradcamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Draw where on its test images a trained network looks (Grad-CAM), and say whether its answers come from there."""

    model: Annotated[str, _path("ONNX or safetensors file as `bench run` wrote it, where it wrote it")]
    target: Annotated[
        str, _about("which of its answers; empty: the only one, or of classes the one that it answers")
    ] = ""
    n: Annotated[int, msgspec.Meta(ge=1, le=64, description="test images to draw")] = 10
    data: Annotated[str, _path("the folder that it was trained on; empty: the data the suite ships")] = ""
    out: Annotated[str, _path("PNG file to write; must not exist; empty: beside the model, drawn anew")] = ""
    own: Own = {}


class RecordsMergeOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Bring the records and models of several results folders together, as of machines that share no disk."""

    folders: Annotated[str, _about("results folders, comma-separated; their order does not matter")]
    out: Annotated[str, _path("results folder to write; must not exist or be empty")]


class DataCheckOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Say everything that is wrong with a data set of your own; nothing is written."""

    data: Annotated[str, _path("folder of images and one CSV")]
    suite: Annotated[str, _about("suites the data set is for, comma-separated; any: whichever it fits")] = "any"
    own: Own = {}


class DataMakeOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Make a suite's data set: images, a CSV of targets and what they were made with."""

    out: Annotated[str, _path("folder to write; must not exist or be empty")]
    suite: Annotated[str, _about("suite whose data to make")] = "elasticity"
    n: Annotated[int, msgspec.Meta(ge=1, le=10**5, description="number of images")] = 520
    seed: Annotated[int, msgspec.Meta(ge=0, description="seed of the generators")] = 0
    own: OwnOfMaking = {}


class WeightsFetchOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Download the ImageNet weights of the backbones, to prepare a machine that will have no network."""

    backbone: Annotated[str, _about("backbones, comma-separated, or all")] = "all"


class WeightsMakeOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Train backbones for `bench run weights=NAME` on images that a suite draws and labels itself; hours, resumed."""

    suite: Annotated[str, _about("suite whose images to draw")] = "elasticity"
    backbone: Annotated[str, _about("backbones, comma-separated, or all")] = "all"
    n: Annotated[
        int, msgspec.Meta(ge=1000, le=10**6, multiple_of=1000, description="images to draw, a multiple of 1000")
    ] = 20_000
    seed: Annotated[int, msgspec.Meta(ge=0, le=10**6, description="seed of images, first weights and order")] = 0
    backend: Annotated[str, _about("backend that trains: keras or pytorch")] = "pytorch"
    device: Annotated[Device, _about("where it trains")] = "cpu"
    results: Results = Path("results")


class WeightsAttachOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Put weight files that you were handed beside the cards that name them, by their hashes."""

    files: Annotated[str, _path("folder of .safetensors files")]
    results: Results = Path("results")


class WeightsListOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Say which weights are on this machine, where they lie, and where they come from."""

    results: Results = Path("results")


class ListOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Name suites, variants, backends and profiles, and say which are usable here and why not."""

    suite: Annotated[str, _about("suites to name, comma-separated, or all")] = "all"
