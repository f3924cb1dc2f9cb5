"""What one cell left behind: the schema of a record, and how records are appended, loaded and verified.

Records are JSON lines, one file for trainings and one for latencies per suite (`results/records/<suite>/`). A line is
written whole, flushed to disk before its cell counts as done, and never edited afterwards. A record holds the test
predictions themselves, so that anyone can recompute every score in it; `verify` does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
import numpy as np

from harness import disk
from harness.environment import Environment, fingerprint
from harness.errors import BenchError
from harness.judging.metrics import Accuracy, accuracy
from harness.judging.timing import Latency
from harness.protocol import Architecture, Counts, History, Number, Phase, Recipe, Search, Seconds, Variant
from harness.signals import uninterrupted
from harness.text import Label, Name, without_patterns

SCHEMA = 3
"""What is written. Schema 2, which is read too, knew no `traceback`."""

READABLE = (2, SCHEMA)

Hash = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Choices that change what a cell computes.

    `init` is `shared` (the harness draws the initial weights, equal in every backend) or `native` (each framework's
    own). `target_scaling` is `standard` (zero mean, unit deviation over the training set) or `none` (the network is
    trained on raw labels in `unit`). `phases` are those the data set names, (soft, stiff), where it does.
    """

    init: Literal["shared", "native"] = "shared"
    target_scaling: Literal["standard", "none"] = "standard"
    unit: Label = "GPa"
    device: Literal["cpu", "cuda"] = "cpu"
    phases: tuple[Phase, Phase] | None = None


class Cell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The unit of work. `recipes` and a search's are the variant's own, shortened to the profile.

    `weights` says what the backbone starts from: `imagenet`, `random`, or name and SHA-256 of a file; "" where there is
    no backbone.
    """

    suite: Name
    variant: Name
    architecture: Architecture
    recipes: tuple[Recipe, ...]
    weights: Label
    backend: Name
    seed: int
    profile: Name
    data: Label
    data_hash: Hash
    split_hash: Hash
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


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a search saw of one configuration, by its number: losses on the network's scale, and nothing of the test.

    `validation_loss` is the lowest of any epoch, `epoch` the first with it, and `last` that of the last epoch.
    """

    configuration: int
    validation_loss: float
    epoch: int
    last: float
    parameters: Number
    seconds: Seconds


class Searched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A search: its trials in their order, and the number of the configuration that was selected."""

    trials: tuple[Trial, ...]
    selected: int


class HeldOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Predictions and truth on the test images, in GPa, (n, t) each, and the mean of the training labels (t,)."""

    ids: tuple[str, ...]
    targets: tuple[Name, ...]
    predictions: tuple[tuple[float, ...], ...]
    truth: tuple[tuple[float, ...], ...]
    train_mean: tuple[float, ...]

    def accuracy(self) -> Accuracy:
        """The scores that follow from these predictions."""
        return accuracy(np.array(self.predictions), np.array(self.truth), np.array(self.train_mean), self.targets)


class OnnxFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The exported model: file name below `results/models/<suite>/`, size, opset and SHA-256, and the largest
    difference of its test predictions from the native model's, relative to the largest prediction.
    """

    file: Name
    bytes: Number
    opset: Number
    sha256: Hash
    difference: Annotated[float, msgspec.Meta(ge=0)]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One attempt at one cell. `reason` says why where the status is not `ok`, `traceback` where in the code, or how
    the log of a worker that died ends; `log` names the worker's log.

    `history` has one entry for each recipe trained: those of the cell, or that of the configuration selected.
    """

    schema: int
    key: str
    cell: Cell
    status: Literal["ok", "failed", "unavailable"]
    started: str
    seconds: Seconds
    environment: Environment
    reason: str = ""
    traceback: str = ""
    log: str = ""
    framework: dict[str, Label] = {}
    data_warnings: tuple[str, ...] = ()
    counts: Counts | None = None
    history: tuple[History, ...] = ()
    searched: Searched | None = None
    validation: Accuracy | None = None
    test: Accuracy | None = None
    physics: dict[Name, float] = {}
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
        """Every training record, oldest first. Raises RecordsError for a line that is not one, or not of here."""
        records = _load(self.trainings_file, Record)
        for number, record in enumerate(records, 1):
            place = f"{self.trainings_file}:{number}"
            if record.key != record.cell.key:
                raise RecordsError(
                    f"{place}: the key {record.key} is not the hash of its cell, {record.cell.key}: the line was "
                    "edited after it was written"
                )
            if record.cell.suite != self.folder.name:
                raise RecordsError(f"{place}: a record of suite {record.cell.suite}, not of {self.folder.name}")
        return records

    def latencies(self) -> list[LatencyRecord]:
        """Every latency record, oldest first. Raises RecordsError for a line that is not one."""
        return _load(self.latencies_file, LatencyRecord)

    def append(self, record: Record | LatencyRecord) -> None:
        """Add a record and return once it is on disk."""
        path = self.trainings_file if isinstance(record, Record) else self.latencies_file
        disk.make_folder(self.folder)
        disk.append_line(path, msgspec.json.encode(record))

    def mend(self) -> list[str]:
        """Set aside the ends of lines whose writer was killed; what to tell of it."""
        torn = {path: disk.mend(path) for path in (self.trainings_file, self.latencies_file)}
        return [
            f"{path}: its last line was torn by a run that was killed, and is set aside in {aside.name}"
            for path, aside in torn.items()
            if aside
        ]


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


def contradicts(record: Record, other: Record) -> bool:
    """Whether two `ok` records of one cell and environment predict otherwise, though the same bits are promised.

    They are on a processor, of frameworks that say that they are deterministic; of others nothing is promised.
    """
    told = (record.framework.get("deterministic", "True"), other.framework.get("deterministic", "True"))
    promised = record.cell.settings.device == "cpu" and told == ("True", "True")
    assert record.held_out is not None
    assert other.held_out is not None
    return promised and not _close(record.held_out.predictions, other.held_out.predictions)


def verify_together(records: Iterable[Record]) -> list[str]:
    """Which records contradict another one; empty where none do.

    Those of one cell and environment must predict the same (`contradicts`), and those that name the same data and split
    must have been tested on the same constants.
    """
    records = [record for record in records if record.status == "ok" and record.held_out]
    return _otherwise_predicted(records) + _otherwise_tested(records)


def _otherwise_predicted(records: Sequence[Record]) -> list[str]:
    first: dict[tuple[str, str], Record] = {}
    lies = []
    for record in records:
        other = first.setdefault((record.key, fingerprint(record.environment)), record)
        if contradicts(record, other):
            made = " and ".join(
                f"at {item.started} by commit {item.environment.commit[:12] or 'unknown'}" for item in (other, record)
            )
            lies.append(
                f"{record.cell.title} ({record.key}): was run twice in one environment, {made}, with other predictions:"
                " one of them was edited, or the code was changed under one version; take one of the two lines out"
            )
    return lies


def _otherwise_tested(records: Sequence[Record]) -> list[str]:
    first: dict[tuple[str, str], Record] = {}
    lies = []
    for record in records:
        assert record.held_out is not None
        other = first.setdefault((record.cell.data_hash, record.cell.split_hash), record)
        assert other.held_out is not None
        if not _close(_tested_on(record.held_out), _tested_on(other.held_out)):
            lies.append(
                f"{record.cell.title} ({record.key}): names the same data and split as {other.cell.title} "
                f"({other.key}), but not the same constants: one of them was edited"
            )
    return lies


def _tested_on(held_out: HeldOut) -> object:
    """Ids are left out: the same images may have other names elsewhere."""
    return {"targets": held_out.targets, "truth": held_out.truth, "mean": held_out.train_mean}


def _verify_search(record: Record, title: str) -> list[str]:
    """A search must have tried what its method asks for, and selected by the validation loss alone."""
    search, searched = record.cell.architecture, record.searched
    if not isinstance(search, Search):
        return [f"{title}: has a search, and its cell none"] if searched else []
    if not search.configurations:
        return [f"{title}: is a search among nothing"]
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
    if claimed == recomputed:
        return True
    if isinstance(claimed, dict) and isinstance(recomputed, dict):
        return claimed.keys() == recomputed.keys() and all(_close(claimed[k], recomputed[k]) for k in claimed)
    if isinstance(claimed, tuple) and isinstance(recomputed, tuple):
        return len(claimed) == len(recomputed) and all(map(_close, claimed, recomputed))
    if isinstance(claimed, int | float) and isinstance(recomputed, int | float):
        # Another machine sums in another order; nobody's edit is as small as this.
        return bool(np.isclose(claimed, recomputed, rtol=1e-9, atol=1e-12))
    return False


_R = TypeVar("_R", Record, LatencyRecord)


class _Schema(msgspec.Struct):
    """The one field that records of every schema have."""

    schema: int


def _load(path: Path, schema: type[_R]) -> list[_R]:
    with uninterrupted():
        decoder = msgspec.json.Decoder(schema)
    records = []
    first: dict[bytes, int] = {}  # of records as we would write them: other spaces make no other record
    # What follows the last newline was torn by a writer that was killed: `append` and `mend` set it aside.
    for number, line in enumerate(disk.whole_lines(path), 1):
        try:
            _refuse_schema(f"{path}:{number}", msgspec.json.decode(line, type=_Schema).schema)
            records.append(decoder.decode(line))
            same = first.setdefault(msgspec.json.encode(records[-1]), number)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            told = without_patterns(str(error))
            raise RecordsError(
                f"{path}:{number}: not a record of schema {SCHEMA}: {told}. "
                "Take the line out, or move the file aside, to go on"
            ) from None
        if same != number:
            raise RecordsError(f"{path}:{number}: the same record as in line {same}: take one of them out")
    return records


def _refuse_schema(place: str, found: int) -> None:
    if found not in READABLE:
        remedy = "update cijbench" if found > SCHEMA else "move the file aside"
        known = " and ".join(map(str, READABLE))
        raise RecordsError(
            f"{place}: schema {found}, and this version reads {known}: {remedy}, or choose another results="
        )
