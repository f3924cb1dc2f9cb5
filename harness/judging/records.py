"""What one cell left behind: the schema of a record.

A record holds the test predictions themselves, so that anyone can recompute every score in it;
`harness.judging.verify` does. `harness.judging.store` keeps records on disk.
"""

from __future__ import annotations

import hashlib
import math
import re
from functools import cache, cached_property
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness import provenance, registry
from harness.environment import Environment
from harness.errors import BenchError
from harness.judging.metrics import Accuracy, accuracy, error_to_choose_by, target_weights
from harness.judging.timing import Latency
from harness.model.architecture import Imported, Network
from harness.model.variants import Architecture, Encoding, Method, Recipe, Search, Variant
from harness.protocol import TEST, Counts, Facts, History, Number, Seconds, shared_unit
from harness.text import Device, Hash, Label, Name

SCHEMA = 4
"""What is written. Older ones are read, too: see `store`."""


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
    def question(self) -> tuple[str, str]:
        """Equal for cells of the same data and split, whose models met the same images. Of another split validation
        errors say something else: of one that leaks they are lower.
        """
        return self.data_hash, self.split_hash

    @property
    def packages(self) -> tuple[str, ...]:
        """What its numbers depend on besides what its backend computes with."""
        return self.architecture.packages if isinstance(self.architecture, Search) else ()

    @property
    def imported(self) -> bool:
        """Whether its model is somebody's code, of which there is one framework's alone: no parity verifies it."""
        return isinstance(self.architecture, Imported)

    @property
    def beside(self) -> Settings:
        """The settings of what it may stand beside: code of somebody's own beside what starts from shared weights,
        which it cannot be given.
        """
        return msgspec.structs.replace(self.settings, init="shared") if self.imported else self.settings

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

    `validation_loss` is the lowest of any epoch, `epoch` the first with it, and `last` that of the last epoch. One that
    diverged, so that its loss was no number any more, has neither loss, and 0 for `epoch`.
    """

    configuration: int
    validation_loss: float | None
    epoch: int
    last: float | None
    parameters: Number
    seconds: Seconds

    @property
    def loss(self) -> float:
        """By which configurations are ranked: infinite of one that diverged."""
        return math.inf if self.validation_loss is None else self.validation_loss


class Searched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A search: its trials in their order, and the number of the configuration that was selected."""

    trials: tuple[Trial, ...]
    selected: int


class HeldOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """Predictions and truth on the images of a test, (n, t) each in `units`, and the mean of the training labels (t,).

    `clusters` numbers what the images show (a specimen, of which several are patches), one number for each image; it is
    empty where each shows something of its own, and in older records.

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


_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Calibrated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a model that knows its errors did on a test: the share of truths inside its intervals of 90 %, None where it
    has none, and of images that it flags as unlike those that it was trained on.
    """

    covered: _Share | None
    flagged: _Share


class OnnxFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The exported model: file name below `results/models/<suite>/`, size, opset and SHA-256, and the largest
    difference of its test predictions from the native model's, relative to the largest prediction of the same unit.
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
    or what its encoding makes of them, None in older records; `encoding_ms` is what encoding one
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
    framework: dict[Label, Label] = {}
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
        """What its numbers depend on besides its cell: records of one cell are the same where this is."""
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
    def examined(self) -> dict[str, Examined]:
        """What it made of each test, by name, the one that models are ranked by first."""
        if self.test is None or self.held_out is None:
            return dict(self.others)
        return {self.held_out.test: Examined(self.held_out, self.test, self.metrics)} | self.others

    @property
    def seed(self) -> int:
        """Its cell's."""
        return self.cell.seed

    @property
    def by_gradient(self) -> bool:
        """Whether it was trained epoch by epoch."""
        return bool(self.history and self.history[0].loss)

    def losses(self, which: str) -> list[float]:
        """`loss` or `validation_loss` of all epochs, one recipe after the other, on the network's scale."""
        return [value for history in self.history for value in getattr(history, which)]

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
    """SHA-256 (hex) of what a cell's numbers depend on besides the cell itself: `provenance.computed_by`."""
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
