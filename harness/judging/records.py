"""What one cell left behind: the schema of a record, and how records are appended and loaded.

Records are JSON lines, one file for trainings and one for latencies per suite (`results/records/<suite>/`). A line is
written whole, flushed to disk before its cell counts as done, and never edited afterwards. A record holds the test
predictions themselves, so that anyone can recompute every score in it; `harness.judging.verify` does.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Literal, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness import disk, provenance, registry
from harness.environment import Environment
from harness.errors import BenchError
from harness.judging.metrics import Accuracy, accuracy, error_to_choose_by, target_weights
from harness.judging.older import upgraded
from harness.judging.timing import Latency
from harness.model.architecture import Imported, Network
from harness.model.variants import Architecture, Encoding, Method, Recipe, Search, Variant
from harness.protocol import TEST, Counts, Facts, History, Number, Seconds, shared_unit
from harness.signals import uninterrupted
from harness.text import Device, Hash, Label, Name, without_patterns

SCHEMA = 4
"""What is written. Older ones are read, too: see `older`."""

READABLE = (1, 2, 3, SCHEMA)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Choices that change what a cell computes.

    `init` is `shared` (the harness draws the initial weights, equal in every backend) or `native` (each framework's
    own). `target_scaling` is `standard` (zero mean, unit deviation over the training set) or `none` (the network is
    trained on raw labels in `unit`). `averaged` is over how many moves of an image by a symmetry predictions are
    averaged, 0 where they are not. With `originals` models are trained on the first so many training images alone.
    `facts` are those of the data set.
    """

    init: Literal["shared", "native"] = "shared"
    target_scaling: Literal["standard", "none"] = "standard"
    unit: Label = ""
    device: Device = "cpu"
    averaged: Annotated[int, msgspec.Meta(ge=0)] = 0
    facts: Facts = {}
    originals: int | msgspec.UnsetType = msgspec.UNSET


@cache
def _usual_method(suite: str, profile: str) -> Method:
    """How a profile's searches go about it; by grid where nobody here knows the suite."""
    try:
        return registry.suite(suite).PROFILES[profile].search
    except (BenchError, KeyError):
        return "grid"


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
    encoding: Encoding | None = None
    decoding: Encoding | None = None
    originals: int | msgspec.UnsetType = msgspec.UNSET

    @property
    def key(self) -> str:
        """16 hexadecimal digits of the SHA-256 of all of the above."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]

    @property
    def has_network(self) -> bool:
        """Whether its model is a network; of a search, whether its configurations are."""
        match self.architecture:
            case Search() as search:
                return search.of_networks
            case Imported(framework=framework):
                return framework != "scikit-learn"
            case architecture:
                return isinstance(architecture, Network)

    @property
    def packages(self) -> tuple[str, ...]:
        """What its numbers hang on besides what its backend computes with."""
        return self.architecture.packages if isinstance(self.architecture, Search) else ()

    @property
    def imported(self) -> bool:
        """Whether its model is somebody's code, of which there is one framework's alone: no parity verifies it."""
        return isinstance(self.architecture, Imported)

    @property
    def row(self) -> str:
        """What the model is called wherever results are shown: the variant, what its backbone started from, and how it
        was searched for where that is not the profile's way.
        """
        told = [{"imagenet": "ImageNet", "random": "random weights"}.get(self.weights, self.weights)] * bool(
            self.weights
        )
        if self.imported:
            told.append("own code, no parity")
        if isinstance(search := self.architecture, Search) and search.of_networks:
            usual = msgspec.structs.replace(search, method=_usual_method(self.suite, self.profile))
            # What has one round is a grid, by whatever name it was asked for.
            if search.method != usual.method and max(len(way.rounds()) for way in (search, usual)) > 1:
                told.append(f"by {search.method.replace('optuna', 'Optuna')}")
        if self.settings.averaged:
            told.append(f"mean over {self.settings.averaged} moves")
        if self.settings.originals is not msgspec.UNSET:
            told.append(f"{self.settings.originals} originals")
        return f"{self.variant} ({', '.join(told)})" if told else self.variant

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
        return Variant(self.variant, "", self.architecture, self.recipes, self.encoding, self.decoding, self.originals)


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


class HeldOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """Predictions and truth on the images of a test, (n, t) each in `units`, and the mean of the training labels (t,).

    `clusters` numbers what the images show (a specimen, of which several are patches), one number for each image; it is
    empty where each shows something of its own, and in records of before there was this.

    On disk all but the predictions stand once for all records of the same data and split, in a `Truth`.
    """

    predictions: tuple[tuple[float, ...], ...]
    test: Name = TEST
    ids: tuple[str, ...] = ()
    targets: tuple[Name, ...] = ()
    units: tuple[Label, ...] = ()
    truth: tuple[tuple[float, ...], ...] = ()
    train_mean: tuple[float, ...] = ()
    clusters: tuple[Number, ...] = ()

    @property
    def unit(self) -> str:
        """The unit of all targets, "" where they do not share one."""
        return shared_unit(self.units)

    @property
    def things(self) -> int:
        """How many things the images show: specimens, or as many as there are images."""
        return len(set(self.clusters)) or len(self.truth)

    @cached_property
    def predicted(self) -> NDArray[np.float64]:
        """The predictions as an array."""
        return np.array(self.predictions)

    @property
    def true(self) -> NDArray[np.float64]:
        """The truth as an array."""
        return _shared_array(self.truth)

    @property
    def of_classes(self) -> bool:
        """Whether its targets are classes, one of which is 1 of each image and the others 0."""
        true = self.true
        return len(self.targets) > 1 and bool(np.isin(true, (0, 1)).all() and (true.sum(axis=1) == 1).all())

    def accuracy(self) -> Accuracy:
        """The scores that follow from these predictions."""
        return accuracy(self.predicted, self.true, np.array(self.train_mean), self.targets, self.units)

    def target_weights(self) -> NDArray[np.float64]:
        """(t,) what squared errors of each target are multiplied by before they are added up."""
        return target_weights(self.true, np.array(self.train_mean), self.units)


_arrays: dict[int, tuple[object, NDArray[np.float64]]] = {}


def _shared_array(table: tuple[tuple[float, ...], ...]) -> NDArray[np.float64]:
    """A table that many records share as an array that they share, too, as long as few others come between."""
    known = _arrays.get(id(table))
    if known is None:
        if len(_arrays) >= 64:
            _arrays.clear()
        known = _arrays[id(table)] = (table, np.array(table))  # which keeps the table, and so its number
        known[1].flags.writeable = False
    return known[1]


class Truth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What all records of some data, split and test were tested on; see `HeldOut`."""

    schema: int
    data_hash: Hash
    split_hash: Hash
    test: Name
    ids: tuple[str, ...]
    targets: tuple[Name, ...]
    units: tuple[Label, ...]
    truth: tuple[tuple[float, ...], ...]
    train_mean: tuple[float, ...]
    clusters: tuple[Number, ...] = ()

    @property
    def of(self) -> tuple[str, str, str]:
        """Data, split and test."""
        return self.data_hash, self.split_hash, self.test


class Examined(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model on one more test: its predictions, the scores that follow from them, and the suite's own figures."""

    held_out: HeldOut
    accuracy: Accuracy
    metrics: dict[Name, float]


class Calibrated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a model that knows its errors did on a test: the share of truths inside its intervals of 90 %, None where it
    has none, and of images that it flags as unlike those that it was trained on.
    """

    covered: float | None
    flagged: float


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

    `history` has one entry for each recipe trained: those of the cell, or that of the configuration selected. `metrics`
    are the suite's own figures; `moved` is by how much, root mean square, predictions of the test images change beyond
    what they should when the images are moved by a symmetry of the suite, by its key; `others` has the tests after the
    one that models are ranked by. `dimension` is how many numbers the model is shown of an image, pixels times channels
    or what its encoding makes of them, None in records of before there was this; `encoding_ms` is what encoding one
    image takes where the exported model does not do it, and `calibrated` how intervals and flags did on each test.
    `unexported` says why there is no ONNX file of an `ok` record. `source` is the hash of the code that made it
    (`provenance.source`), "" where that is not known.
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
    metrics: dict[Name, float] = {}
    moved: dict[Name, float] = {}
    held_out: HeldOut | None = None
    others: dict[Name, Examined] = {}
    onnx: OnnxFile | None = None
    dimension: Number | None = None
    encoding_ms: Seconds | None = None
    calibrated: dict[Name, Calibrated] = {}
    unexported: str = ""
    source: str = ""

    @property
    def computed_by(self) -> str:
        """What its numbers hang on besides its cell: records of one cell are the same where this is."""
        return cell_computed_by(self.cell, self.environment, self.source)

    @property
    def computed_on(self) -> str:
        """The same without the source: where a row is of the same cells, and this is equal, only our code changed."""
        return cell_computed_by(self.cell, self.environment, "")

    @property
    def answers(self) -> int:
        """Equal where every prediction is, to the bit, and every figure of the suite's own."""
        tests = [(name, tested.metrics, tested.held_out.predictions) for name, tested in self.others.items()]
        predictions = self.held_out.predictions if self.held_out else ()
        return hash((predictions, *self.metrics.items(), *((name, *m.items(), p) for name, m, p in tests)))

    @property
    def seed(self) -> int:
        """Its cell's."""
        return self.cell.seed

    @property
    def of_cell(self) -> str:
        """Equal for records of cells that differ in nothing but their seed, whatever computed them."""
        return msgspec.structs.replace(self.cell, seed=0).key

    @property
    def row(self) -> str:
        """Equal for records that differ in nothing but their seed."""
        return f"{self.of_cell} {self.computed_by}"

    @property
    def validation_error(self) -> float:
        """What models are chosen by (`metrics.error_to_choose_by`); infinite where it was not measured."""
        if not self.validation or not self.held_out:
            return math.inf
        return error_to_choose_by(self.validation.mse, self.validation.r2_mean, self.held_out.units)


def cell_computed_by(cell: Cell, environment: Environment, source: str) -> str:
    """SHA-256 (hex) of what a cell's numbers hang on besides the cell itself: `provenance.computed_by`."""
    return provenance.computed_by(cell.backend, environment, source, cell.settings.device, cell.packages)


class LatencyRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Timings of the exported model of the training record `key`, measured beside the reference model."""

    schema: int
    key: str
    sha256: str
    started: str
    environment: Environment
    latency: Latency


Runtime = Literal["float32", "int8", "float16", "openvino"]
"""`float32` is the exported file in ONNX Runtime, `openvino` the same file in OpenVINO; `int8` and `float16` are files
made of it.
"""


class Deployment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The exported model `sha256` of the training record `key` in a runtime: what it predicts of the test images
    (n, t), in the units of that record's targets, how large its file is, and how long it takes on this machine.
    `reason` says why it could not be had.
    """

    schema: int
    key: str
    sha256: Hash
    runtime: Runtime
    started: str
    environment: Environment
    source: str
    bytes: int = 0
    predictions: tuple[tuple[float, ...], ...] = ()
    latency: Latency | None = None
    reason: str = ""

    @property
    def failed(self) -> bool:
        """Whether something of it could not be had."""
        return bool(self.reason or (self.latency and self.latency.reason))


class RecordsError(BenchError):
    """A records file that cannot be believed: the message names file, line and fault."""


class Store:
    """The records of one suite under a results folder."""

    def __init__(self, results: Path, suite: str) -> None:
        self.folder = results / "records" / suite
        self.trainings_file = self.folder / "trainings.jsonl"
        self.latencies_file = self.folder / "latencies.jsonl"
        self.truths_file = self.folder / "truths.jsonl"
        self.deployments_file = self.folder / "deployments.jsonl"

    def trainings(self) -> list[Record]:
        """Every training record, oldest first. Raises RecordsError for a line that is not one, or not of here."""
        records, truths = _load(self.trainings_file, Record), self.truths()
        return [self.whole(record, truths, number) for number, record in enumerate(records, 1)]

    def whole(self, record: Record, truths: Mapping[tuple[str, str, str], Truth], number: int) -> Record:
        """The record of line `number` with what it was tested on. Raises RecordsError where it is not of here."""
        place = f"{self.trainings_file}:{number}"
        if record.cell.suite != self.folder.name:
            raise RecordsError(f"{place}: a record of suite {record.cell.suite}, not of {self.folder.name}")
        try:
            return with_truth(record, truths)
        except ValueError as wrong:
            raise RecordsError(f"{place}: {wrong}") from None
        except KeyError as lacking:
            raise RecordsError(
                f"{place}: what it was tested on ({lacking.args[0]}) is not in {self.truths_file.name}: that file "
                "belongs to this one"
            ) from None

    def truths(self) -> dict[tuple[str, str, str], Truth]:
        """What records were tested on. Raises RecordsError where two of them contradict each other."""
        truths: dict[tuple[str, str, str], Truth] = {}
        for truth in _load(self.truths_file, Truth):
            known = truths.setdefault(truth.of, truth)
            if not same_constants(known, truth):
                raise RecordsError(f"{self.truths_file}: two lines name the same data, split and test, and differ")
            if truth.clusters:  # a line of before there were any lacks them
                truths[truth.of] = msgspec.structs.replace(known, clusters=truth.clusters)
        return truths

    def latencies(self) -> list[LatencyRecord]:
        """Every latency record, oldest first. Raises RecordsError for a line that is not one."""
        return _load(self.latencies_file, LatencyRecord)

    def deployments(self) -> list[Deployment]:
        """Every record of a model in another runtime, oldest first. Raises RecordsError for a line that is not one."""
        return _load(self.deployments_file, Deployment)

    def append(self, record: Record | LatencyRecord | Deployment) -> None:
        """Add a record and return once it is on disk, what it was tested on before it."""
        for folder in (self.folder.parent, self.folder):  # not the results folder: what was taken away stays away
            folder.mkdir(exist_ok=True)
        if not isinstance(record, Record):
            path = self.latencies_file if isinstance(record, LatencyRecord) else self.deployments_file
            disk.append_line(path, msgspec.json.encode(record))
            return
        record, truths = _without_truth(record)
        known = self.truths() if truths else {}
        for truth in truths:
            before = known.setdefault(truth.of, truth)
            if not same_constants(before, truth):
                raise RecordsError(
                    f"{self.truths_file}: {record.cell.title} was tested on other constants than the records of the "
                    "same data and split"
                )
            if before is truth or (truth.clusters and not before.clusters):
                disk.append_line(self.truths_file, msgspec.json.encode(truth))
        disk.append_line(self.trainings_file, msgspec.json.encode(record))

    def mend(self) -> list[str]:
        """Set aside the ends of lines whose writer was killed; what to tell of it."""
        files = (self.trainings_file, self.latencies_file, self.truths_file, self.deployments_file)
        torn = {path: disk.mend(path) for path in files}
        return [
            f"{path}: its last line was torn by a run that was killed, and is set aside in {aside.name}"
            for path, aside in torn.items()
            if aside
        ]


def same_constants(one: Truth | HeldOut, other: Truth | HeldOut) -> bool:
    """Another machine sums in another order, and the same images may have other names elsewhere. What they show may be
    known to one alone.
    """
    constants = ("targets", "units", "truth", "train_mean", *(["clusters"] if one.clusters and other.clusters else []))
    pairs = ((getattr(one, name), getattr(other, name)) for name in constants)
    return all(ours is theirs or ours == theirs or close(ours, theirs, size(other.truth)) for ours, theirs in pairs)


def size(values: tuple[tuple[float, ...], ...]) -> float:
    """How large the largest of these is, up to 1: what they are of is small where targets are, as permeabilities in m²
    or expansions in 1/K.
    """
    return min(1.0, max((abs(value) for row in values for value in row), default=0.0) or 1.0)


def close(claimed: object, recomputed: object, of_size: float = 1.0) -> bool:
    """Whether two values, however nested, are the same but for the last digits of their floats, which are of things of
    a `size`.
    """
    if claimed == recomputed:
        return True
    if isinstance(claimed, dict) and isinstance(recomputed, dict):
        return claimed.keys() == recomputed.keys() and all(close(claimed[k], recomputed[k], of_size) for k in claimed)
    if isinstance(claimed, tuple) and isinstance(recomputed, tuple):
        both = zip(claimed, recomputed, strict=False)
        return len(claimed) == len(recomputed) and all(close(one, other, of_size) for one, other in both)
    if isinstance(claimed, int | float) and isinstance(recomputed, int | float):
        # Another machine sums in another order; nobody's edit is as small as this.
        return math.isclose(claimed, recomputed, rel_tol=1e-9, abs_tol=1e-12 * of_size)
    return False


def with_truth(record: Record, truths: Mapping[tuple[str, str, str], Truth]) -> Record:
    """The record as it was before `_without_truth`. Raises KeyError for a test of which there is no truth, and
    ValueError where the record has one of its own, which is another.
    """

    def filled(held_out: HeldOut) -> HeldOut:
        of = (record.cell.data_hash, record.cell.split_hash, held_out.test)
        if of not in truths:
            if held_out.truth:  # of a schema before 4
                return held_out
            raise KeyError(f"test '{held_out.test}' of data {of[0][:12]}, split {of[1][:12]}")
        if held_out.truth and not same_constants(held_out, truths[of]):
            raise ValueError(f"names published data and split, and has other constants of test '{held_out.test}'")
        known = {name: getattr(truths[of], name) for name in _OF_TRUTH}
        return msgspec.structs.replace(held_out, **known)

    return _each_held_out(record, filled)


def _without_truth(record: Record) -> tuple[Record, list[Truth]]:
    """The record as it is kept, and what it was tested on."""
    truths: list[Truth] = []

    def taken_out(held_out: HeldOut) -> HeldOut:
        known = {name: getattr(held_out, name) for name in _OF_TRUTH}
        cell = record.cell
        truths.append(
            Truth(schema=SCHEMA, data_hash=cell.data_hash, split_hash=cell.split_hash, test=held_out.test, **known)
        )
        return HeldOut(held_out.predictions, held_out.test)

    return _each_held_out(record, taken_out), truths


_OF_TRUTH = ("ids", "targets", "units", "truth", "train_mean", "clusters")


def _each_held_out(record: Record, change: Callable[[HeldOut], HeldOut]) -> Record:
    held_out = record.held_out and change(record.held_out)
    others = {
        name: msgspec.structs.replace(tested, held_out=change(tested.held_out))
        for name, tested in record.others.items()
    }
    return msgspec.structs.replace(record, held_out=held_out, others=others)


class Placed(Protocol):
    """What of a record says which cell and which row it is of: all that an outline has."""

    @property
    def key(self) -> str:
        """See `Record`."""

    @property
    def of_cell(self) -> str:
        """See `Record`."""

    @property
    def row(self) -> str:
        """See `Record`."""

    @property
    def seed(self) -> int:
        """See `Record`."""

    @property
    def status(self) -> str:
        """See `Record`."""

    @property
    def computed_by(self) -> str:
        """See `Record`."""

    @property
    def cell(self) -> Cell:
        """See `Record`, but for the seed."""

    @property
    def validation_error(self) -> float:
        """See `Record`."""

    @property
    def started(self) -> str:
        """See `Record`."""

    @property
    def computed_on(self) -> str:
        """See `Record`."""

    @property
    def answers(self) -> int:
        """See `Record`."""


_P = TypeVar("_P", bound=Placed)


def standing(records: Iterable[_P]) -> list[_P]:
    """The record that stands for each cell and what computed it: its newest `ok` one, otherwise its newest. None of a
    row that newer code made again to the bit, which stands for both.

    Cells are the same where they read the same: a line may leave out what another says, and has another key then.
    """
    stands: dict[tuple[str, int], _P] = {}
    for record in records:
        place = (record.row, record.seed)
        if record.status == "ok" or place not in stands or stands[place].status != "ok":
            stands[place] = record
    again = _made_again(stands.values())
    return [record for record in stands.values() if record.row not in again]


def _made_again(records: Iterable[_P]) -> set[str]:
    """The rows of which a newer one has every record, with the same answers, by the same versions and machine."""
    rows: dict[str, dict[str, list[_P]]] = {}
    for record in records:
        rows.setdefault(record.of_cell, {}).setdefault(record.row, []).append(record)
    found = set()
    for of_cell in rows.values():
        if len(of_cell) > 1:
            by_age = sorted(of_cell.items(), key=lambda item: max(record.started for record in item[1]))
            told = [(row, {(r.computed_on, r.seed, r.status, r.answers) for r in of_row}) for row, of_row in by_age]
            found |= {row for place, (row, old) in enumerate(told) if any(old <= new for _, new in told[place + 1 :])}
    return found


def comparable(records: Iterable[_P]) -> list[list[_P]]:
    """Records that differ in nothing but their seed, together, by ascending seed."""
    groups: dict[str, list[_P]] = {}
    for record in sorted(records, key=lambda item: item.seed):
        groups.setdefault(record.row, []).append(record)
    return list(groups.values())


_R = TypeVar("_R", Record, LatencyRecord, Truth, Deployment)


class Head(msgspec.Struct):
    """What records of every schema have, and what a key is the hash of, as it stands in the file."""

    schema: int
    key: object = None
    cell: msgspec.Raw = msgspec.Raw(b"null")


# The last three from lines of an older schema that were edited.
NO_RECORD = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, KeyError, AttributeError, TypeError)


def _load(path: Path, kind: type[_R]) -> list[_R]:
    records = []
    first: dict[bytes, int] = {}  # of records as we would write them: other spaces make no other record
    # What follows the last newline was torn by a writer that was killed: `append` and `mend` set it aside.
    for number, line in enumerate(disk.each_whole_line(path), 1):
        record = read(line, kind, f"{path}:{number}")
        records.append(record)
        same = first.setdefault(fingerprint(record), number)
        if same != number:
            raise twice(path, number, same)
    return records


def fingerprint(record: Record | LatencyRecord | Truth | Deployment) -> bytes:
    """Equal for the same record, however its line is spaced."""
    return hashlib.sha256(msgspec.json.encode(record)).digest()


def twice(path: Path, number: int, same: int) -> RecordsError:
    """What to raise where two lines are the same record."""
    return RecordsError(f"{path}:{number}: the same record as in line {same}: take one of them out")


def read(line: bytes, kind: type[_R], place: str) -> _R:
    """One line as a record of this schema, whatever its own. Raises RecordsError, which names its `place`, for what is
    none.
    """
    with uninterrupted(), _readable(place):
        head = decoder(Head).decode(line)
        _refuse_schema(place, head.schema)
        if head.schema < SCHEMA:
            record = msgspec.convert(upgraded(msgspec.json.decode(line)), kind)
        else:
            record = decoder(kind).decode(line)
        if kind is Record:
            refuse_other_key(place, head)
        return record


@contextlib.contextmanager
def _readable(place: str) -> Iterator[None]:
    """Raise RecordsError, which names the `place` of a line, for what it lacks."""
    try:
        yield
    except NO_RECORD as error:
        told = without_patterns(f"it lacks {error}" if isinstance(error, KeyError) else str(error))
        raise RecordsError(
            f"{place}: not a record of schema {SCHEMA}: {told}. Take the line out, or move the file aside, to go on"
        ) from None


_K = TypeVar("_K")


@cache
def decoder(kind: type[_K]) -> msgspec.json.Decoder[_K]:
    """One for each kind, for to make one takes longer than to use it."""
    return msgspec.json.Decoder(kind)


def _refuse_schema(place: str, found: int) -> None:
    if found not in READABLE:
        remedy = "update cijbench" if found > SCHEMA else "move the file aside"
        known = ", ".join(map(str, READABLE))
        raise RecordsError(
            f"{place}: schema {found}, and this version reads {known}: {remedy}, or choose another results="
        )


def refuse_other_key(place: str, head: Head) -> None:
    """A key is the hash of the cell as it stands in the file, whatever its schema."""
    cell = msgspec.json.encode(msgspec.json.decode(head.cell), order="sorted")
    key = hashlib.sha256(cell).hexdigest()[:16]
    if head.key != key:
        raise RecordsError(
            f"{place}: the key {head.key} is not the hash of its cell, {key}: the line was edited after it was written"
        )
