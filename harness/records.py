"""What one cell left behind: the schema of a record, and how records are appended, loaded and verified.

Records are JSON lines, one file for trainings and one for latencies per suite (`results/records/<suite>/`). A line is
written whole, flushed to disk before its cell counts as done, and never edited afterwards. A record holds the test
predictions themselves, so that anyone can recompute every score in it; `verify` does.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import numpy as np

from harness.environment import Environment, fingerprint
from harness.errors import BenchError
from harness.latency import Latency
from harness.metrics import Accuracy, accuracy
from harness.protocol import Architecture, Counts, History, Phase, Recipe, Search, Variant

SCHEMA = 2


class Settings(msgspec.Struct, frozen=True):
    """Choices that change what a cell computes.

    `init` is `shared` (the harness draws the initial weights, equal in every backend) or `native` (each framework's
    own). `target_scaling` is `standard` (zero mean, unit deviation over the training set) or `none` (the network is
    trained on raw labels in `unit`). `phases` are those the data set names, (soft, stiff), where it does.
    """

    init: Literal["shared", "native"] = "shared"
    target_scaling: Literal["standard", "none"] = "standard"
    unit: str = "GPa"
    device: Literal["cpu", "cuda"] = "cpu"
    phases: tuple[Phase, Phase] | None = None


class Cell(msgspec.Struct, frozen=True):
    """The unit of work. `recipes` and a search's are the variant's own, shortened to the profile.

    `weights` says what the backbone starts from: `imagenet`, `random`, or name and SHA-256 of a file; "" where there is
    no backbone.
    """

    suite: str
    variant: str
    architecture: Architecture
    recipes: tuple[Recipe, ...]
    weights: str
    backend: str
    seed: int
    profile: str
    data: str
    data_hash: str
    split_hash: str
    settings: Settings

    @property
    def key(self) -> str:
        """16 hexadecimal digits of the SHA-256 of all of the above."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]

    @property
    def row(self) -> str:
        """What the model is called wherever results are shown: the variant, and what its backbone started from."""
        if not self.weights:
            return self.variant
        told = {"imagenet": "ImageNet", "random": "random weights"}.get(self.weights, self.weights)
        return f"{self.variant} ({told})"

    @property
    def title(self) -> str:
        """How the cell is called in progress lines."""
        return f"{self.row} on {self.backend}, seed {self.seed}"

    @property
    def file_stem(self) -> str:
        """Name of the cell's files, safe on every file system."""
        name = f"{self.variant}.{self.backend}.seed{self.seed}.{self.key[:8]}"
        return re.sub(r"[^A-Za-z0-9._-]", "_", name)

    def as_variant(self) -> Variant:
        """The variant that this cell is about."""
        return Variant(self.variant, "", self.architecture, self.recipes)


class Trial(msgspec.Struct, frozen=True):
    """What a search saw of one configuration, by its number: losses on the network's scale, and nothing of the test.

    `validation_loss` is the lowest of any epoch, `epoch` the first with it, and `last` that of the last epoch.
    """

    configuration: int
    validation_loss: float
    epoch: int
    last: float
    parameters: int
    seconds: float


class Searched(msgspec.Struct, frozen=True):
    """A search: its trials in their order, and the number of the configuration that was selected."""

    trials: tuple[Trial, ...]
    selected: int


class HeldOut(msgspec.Struct, frozen=True):
    """Predictions and truth on the test images, in GPa, (n, t) each, and the mean of the training labels (t,)."""

    ids: tuple[str, ...]
    targets: tuple[str, ...]
    predictions: tuple[tuple[float, ...], ...]
    truth: tuple[tuple[float, ...], ...]
    train_mean: tuple[float, ...]

    def accuracy(self) -> Accuracy:
        """The scores that follow from these predictions."""
        return accuracy(np.array(self.predictions), np.array(self.truth), np.array(self.train_mean), self.targets)


class OnnxFile(msgspec.Struct, frozen=True):
    """The exported model: file name below `results/models/<suite>/`, size, opset and SHA-256, and the largest
    difference of its test predictions from the native model's, relative to the largest prediction.
    """

    file: str
    bytes: int
    opset: int
    sha256: str
    difference: float


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One attempt at one cell. `reason` says why where the status is not `ok`; `log` names the worker's log.

    `history` has one entry for each recipe trained: those of the cell, or that of the configuration selected.
    """

    schema: int
    key: str
    cell: Cell
    status: Literal["ok", "failed", "unavailable"]
    started: str
    seconds: float
    environment: Environment
    reason: str = ""
    log: str = ""
    framework: dict[str, str] = {}
    data_warnings: tuple[str, ...] = ()
    counts: Counts | None = None
    history: tuple[History, ...] = ()
    searched: Searched | None = None
    validation: Accuracy | None = None
    test: Accuracy | None = None
    physics: dict[str, float] = {}
    held_out: HeldOut | None = None
    onnx: OnnxFile | None = None


class LatencyRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Timings of the exported model of the training record `key`, measured beside the reference model."""

    schema: int
    key: str
    sha256: str
    started: str
    environment: Environment
    latency: Latency


class RecordsError(BenchError):
    """A records file that cannot be believed: the message names file, line and fault."""


class Store:
    """The records of one suite under a results folder."""

    def __init__(self, results: Path, suite: str) -> None:
        self.folder = results / "records" / suite
        self.trainings_file = self.folder / "trainings.jsonl"
        self.latencies_file = self.folder / "latencies.jsonl"

    def trainings(self) -> list[Record]:
        """Every training record, oldest first. Raises RecordsError for a line that is not one."""
        records = _load(self.trainings_file, Record)
        for number, record in enumerate(records, 1):
            if record.key != record.cell.key:
                raise RecordsError(
                    f"{self.trainings_file}:{number}: the key {record.key} is not the hash of its cell, "
                    f"{record.cell.key}: the line was edited after it was written"
                )
        return records

    def latencies(self) -> list[LatencyRecord]:
        """Every latency record, oldest first. Raises RecordsError for a line that is not one."""
        return _load(self.latencies_file, LatencyRecord)

    def append(self, record: Record | LatencyRecord) -> None:
        """Add a record and return once it is on disk."""
        _append(self.trainings_file if isinstance(record, Record) else self.latencies_file, record)


def standing(records: Iterable[Record]) -> list[Record]:
    """The record that stands for each cell in each environment: its newest `ok` one, otherwise its newest."""
    stands: dict[tuple[str, str], Record] = {}
    for record in records:
        place = (record.key, fingerprint(record.environment))
        if record.status == "ok" or place not in stands or stands[place].status != "ok":
            stands[place] = record
    return list(stands.values())


def verify(record: Record) -> list[str]:
    """What in a record contradicts itself; empty where nothing does. Scores are recomputed from its predictions."""
    if record.status != "ok":
        return []
    title = f"{record.cell.title} ({record.key})"
    if record.test is None or record.held_out is None:
        return [f"{title}: is ok, but has no scores or no predictions"]
    try:
        recomputed = msgspec.to_builtins(record.held_out.accuracy())
    except ValueError as error:
        return [f"{title}: its predictions give no scores: {error}"]
    return _verify_search(record, title) + [
        f"{title}: {name} is {claimed} but its predictions give {recomputed[name]}"
        for name, claimed in msgspec.to_builtins(record.test).items()
        if not _close(claimed, recomputed[name])
    ]


def _verify_search(record: Record, title: str) -> list[str]:
    """A search must have tried what its method asks for, and selected by the validation loss alone."""
    search, searched = record.cell.architecture, record.searched
    if not isinstance(search, Search):
        return [f"{title}: has a search, and its cell none"] if searched else []
    if searched is None:
        return [f"{title}: is a search without trials"]
    tried = [trial.configuration for trial in searched.trials]
    if tried != list(range(len(search.configurations))):
        return [f"{title}: a grid of {len(search.configurations)} configurations, but tried {tried}"]
    best = min(searched.trials, key=lambda trial: trial.validation_loss).configuration
    if best != searched.selected:
        return [f"{title}: selected configuration {searched.selected}, but {best} has the lowest validation loss"]
    return []


def _close(claimed: object, recomputed: object) -> bool:
    if isinstance(claimed, dict) and isinstance(recomputed, dict):
        return claimed.keys() == recomputed.keys() and all(_close(claimed[k], recomputed[k]) for k in claimed)
    if isinstance(claimed, int | float) and isinstance(recomputed, int | float):
        # Another machine sums in another order; nobody's edit is as small as this.
        return bool(np.isclose(claimed, recomputed, rtol=1e-9, atol=1e-12))
    return claimed == recomputed


_R = TypeVar("_R", Record, LatencyRecord)


class _Schema(msgspec.Struct):
    """The one field that records of every schema have."""

    schema: int


def _load(path: Path, schema: type[_R]) -> list[_R]:
    if not path.exists():
        return []
    decoder = msgspec.json.Decoder(schema)
    records = []
    # What follows the last newline was torn by a writer that was killed: `append` sets it aside.
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            if (schema_of_line := msgspec.json.decode(line, type=_Schema).schema) != SCHEMA:
                raise RecordsError(
                    f"{path}:{number}: schema {schema_of_line}, and this version reads {SCHEMA}: "
                    "move the file aside, or choose another results="
                )
            records.append(decoder.decode(line))
        except msgspec.DecodeError as error:
            raise RecordsError(
                f"{path}:{number}: not a record of schema {SCHEMA}: {error}. "
                "Take the line out, or move the file aside, to go on"
            ) from None
    return records


def _append(path: Path, record: Record | LatencyRecord) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _set_torn_tail_aside(path, file.fileno())
        os.write(file.fileno(), msgspec.json.encode(record) + b"\n")
        os.fsync(file.fileno())


def _set_torn_tail_aside(path: Path, descriptor: int) -> None:
    """Move what follows the last newline, left by a writer that was killed, to `<file>.torn`."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.with_suffix(".torn").open("ab") as torn:
            torn.write(content[whole:] + b"\n")
        os.ftruncate(descriptor, whole)
