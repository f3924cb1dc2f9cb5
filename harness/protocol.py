"""What a backend, a model and a suite are, and the data they exchange.

A backend is a module in `backends/` and a suite a module in `suites/`; each satisfies its Protocol below by having
these names at module level. Nothing here knows a framework.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import Finding
from harness.model.architecture import Shape, Weights
from harness.model.variants import Encoding, Method, Recipe, Schedule, Variant
from harness.text import Device, Label, Name

Images = NDArray[np.float32]
Targets = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]


# --- data -------------------------------------------------------------------------------------------------------


Rows = NDArray[np.intp]

Facts = dict[Name, Label]
"""What a suite needs to know of a data set besides images and targets, in its own words: its materials, perhaps."""


def shared_unit(units: Sequence[str]) -> str:
    """The unit that all of these are, "" where they do not share one."""
    return units[0] if len(set(units)) == 1 else ""


class Dataset(msgspec.Struct, frozen=True):
    """Images and what is to be predicted from them.

    `images` (n, height, width, channel) float32 in 0..1; `targets` (n, t) float64, each in its own of `units`, ""
    where it has none; `ids` one name per image. `kinds` tell what an image is like, `groups` which images are of one
    thing (patches of one specimen) and must not be split, `clusters` the same where a suite splits them with purpose;
    `parts` on which side of the split each is, where the data set says so; these have one label per image, or are
    empty. With `classes` the targets are one column for each class,
    of ones and zeros. `warnings` are what the check of the data found suspicious.
    """

    name: str
    images: Images
    targets: Targets
    target_names: tuple[str, ...]
    units: tuple[str, ...]
    ids: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    classes: bool = False
    facts: Facts = {}
    warnings: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """The unit of all targets, "" where they do not share one."""
        return shared_unit(self.units)

    def clustered(self, rows: Rows) -> tuple[int, ...]:
        """Of each of these rows the number of the thing that it shows, from 0; empty where each shows its own."""
        names = self.clusters or self.groups
        first: dict[object, int] = {}
        numbers = tuple(first.setdefault(names[row] or row, len(first)) for row in rows.tolist()) if names else ()
        return numbers if len(first) < len(numbers) else ()

    def fingerprint(self) -> str:
        """SHA-256 of the images, the targets and their names and units; file names do not count.

        Images of 8 bits count as their bytes, others (of 16 bits, or resized) as float32.
        """
        units = self.unit or self.units
        digest = hashlib.sha256(repr((self.images.shape, self.target_names, units)).encode())
        grey = np.rint(self.images * 255).astype(np.uint8)
        digest.update(grey.tobytes())
        if not np.array_equal(grey / np.float32(255), self.images):
            digest.update(np.ascontiguousarray(self.images, "<f4").tobytes())
        digest.update(np.ascontiguousarray(self.targets, "<f8").tobytes())
        return digest.hexdigest()


TEST = "test"
"""What the test set is called where there is one."""


class Split(msgspec.Struct, frozen=True):
    """Which rows of a data set are for training, for validation and for each of the tests, by name: disjoint indices.

    The first test is the one that models are ranked by.
    """

    train: Rows
    validation: Rows
    tests: dict[Name, Rows]

    @property
    def test(self) -> Rows:
        """The rows that models are ranked by."""
        return next(iter(self.tests.values()))

    @property
    def parts(self) -> dict[str, Rows]:
        """All of them by name."""
        return {"train": self.train, "validation": self.validation, **self.tests}

    def first(self, originals: int | msgspec.UnsetType) -> Split:
        """The same split with the first so many of its training rows alone, where that is said."""
        return self if originals is msgspec.UNSET else msgspec.structs.replace(self, train=self.train[:originals])

    def fingerprint(self) -> str:
        """SHA-256 of the lists of indices, and of the tests' names where there are several."""
        parts = [np.ascontiguousarray(part, "<i8").tobytes() for part in self.parts.values()]
        names = [] if list(self.tests) == [TEST] else [repr(list(self.tests)).encode()]
        return hashlib.sha256(b"|".join(parts + names)).hexdigest()

    def leaks(self, dataset: Dataset) -> list[str]:
        """What stands on two sides that must not: a row, an identical image, a group; empty where nothing does."""
        everything = np.concatenate(list(self.parts.values()))
        if len(np.unique(everything)) < len(everything) or not len(everything):
            return ["some rows are in two of its parts"]
        side = {int(row): name for name, rows in self.parts.items() for row in rows}
        found: dict[object, set[str]] = {}
        for row, name in side.items():
            found.setdefault(dataset.images[row].tobytes(), set()).add(name)
            if dataset.groups and dataset.groups[row]:
                found.setdefault(dataset.groups[row], set()).add(name)
        both = {key: sides for key, sides in found.items() if len(sides) > 1}
        groups = sorted(str(key) for key in both if isinstance(key, str))
        images = sum(isinstance(key, bytes) for key in both)
        told = [f"{images} image{'s' * (images > 1)} on two sides of the split"] if images else []
        if groups:
            told.append(f"{len(groups)} groups are on two sides of the split: {', '.join(groups[:3])}")
        return told


class Scaling(msgspec.Struct, frozen=True, tag=True):
    """The affine map between what a network sees and physical units: physical = network * scale + offset."""

    offset: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def standardising(cls, train_targets: Targets) -> Scaling:
        """Zero mean and unit standard deviation over the training targets (n, t); a constant target keeps scale 1."""
        mean, deviation = train_targets.mean(axis=0), train_targets.std(axis=0)
        varies = deviation > 1e-12 * np.abs(mean)
        return cls(tuple(mean.tolist()), tuple(np.where(varies, deviation, 1.0).tolist()))

    def to_network(self, targets: Targets) -> NDArray[np.float32]:
        """Physical targets (n, t) as a network is trained on them."""
        scaled: NDArray[np.float32] = ((targets - np.array(self.offset)) / np.array(self.scale)).astype(np.float32)
        return scaled

    def to_physical(self, outputs: NDArray[Any]) -> Targets:
        """A network's outputs (n, t) in physical units, computed in float64."""
        physical: Targets = outputs.astype(np.float64) * np.array(self.scale) + np.array(self.offset)
        return physical


class Classes(msgspec.Struct, frozen=True, tag=True):
    """What a network answers of classes: a logit for each, of which softmax makes probabilities, the targets.

    It is trained by cross-entropy where one of numbers is by squared errors (Bishop 2006, section 4.3.4).
    """

    def to_network(self, targets: Targets) -> NDArray[np.float32]:
        """The probabilities (n, t) themselves: the loss is of logits and these."""
        return targets.astype(np.float32)

    def to_physical(self, outputs: NDArray[Any]) -> Targets:
        """Probabilities (n, t) of a network's logits (n, t), computed in float64."""
        logits = outputs.astype(np.float64)
        likelihoods = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        probabilities: Targets = likelihoods / likelihoods.sum(axis=1, keepdims=True)
        return probabilities


class Task(msgspec.Struct, frozen=True):
    """What a model is asked for: what its encoding makes of an image in, of `input_shape`, (height, width, channel) for
    an image as it is; `targets` out, each in its own of `units`. `scaling` is what stands between these and what a
    network answers, and says by which loss it is trained.
    """

    input_shape: Shape
    targets: tuple[str, ...]
    units: tuple[str, ...]
    scaling: Scaling | Classes


# --- training -----------------------------------------------------------------------------------------------------


Number = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Training as it went: sample-weighted mean training loss and validation loss of each epoch, and wall seconds."""

    loss: tuple[float, ...] = ()
    validation_loss: tuple[float, ...] = ()
    seconds: Seconds = 0.0


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers of parameters; `layers` maps each layer's name to its total.

    The moving statistics of batch norms count among `non_trainable`, as in Keras; torch keeps them as buffers and does
    not count them among its parameters.
    """

    trainable: Number
    non_trainable: Number
    layers: dict[str, Number]

    @property
    def total(self) -> int:
        """Trainable and not."""
        return self.trainable + self.non_trainable


class TrainingData(msgspec.Struct, frozen=True):
    """Training and validation images (n, height, width, channel) and targets (n, t) in physical units.

    For a recipe that trains the head alone the features (n, k) of the frozen layers stand in the images' place. `moved`
    gives what an epoch, counting from 0, shows in the place of training images and targets, row for row.
    """

    images: Images
    targets: Targets
    validation_images: Images
    validation_targets: Targets
    moved: Callable[[int], tuple[Images, Targets]] | None = None

    def shown(self, epoch: int) -> tuple[Images, Targets]:
        """Training images and targets as an epoch, counting from 0, shows them."""
        return self.moved(epoch) if self.moved else (self.images, self.targets)


Precision = Literal["float32", "float64"]
"""What a framework computes in. `float64` is there to be compared with: its rounding is nine orders smaller, so that
every other difference stands out.
"""

# Called after each epoch with (epochs done, training loss, validation loss); true where it is to be the last.
OnEpoch = Callable[[int, float, float], bool | None]

# Called after each step of a long work with (steps done, steps in all).
OnProgress = Callable[[int, int], None]


# --- what a plug-in is --------------------------------------------------------------------------------------------


class Model(Protocol):
    """A variant built in one framework."""

    def counts(self) -> Counts | None:
        """How many parameters the framework's model has; trainable are those that the last recipe trains. None where
        they cannot be counted.
        """
        ...

    def weights(self) -> Weights:
        """A copy of every array, by the names and in the layout of `architecture.parameter_shapes`, in the precision
        that the backend was configured for.
        """
        ...

    def set_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Take these arrays. Raises WeightsError, with nothing changed, unless names and shapes fit exactly."""
        ...

    def features(self, images: Images) -> NDArray[np.float32]:
        """(n, ...) outputs of the frozen layers (`architecture.frozen_layers`), as the head takes them, batch norms in
        inference mode.

        Raises NotImplementedError where the model has none.
        """
        ...

    def activations(self, images: Images) -> Arrays:
        """What every layer makes of images (n, height, width, channel) in inference mode: (n, ...) each, channels last,
        by the layers' names, in the order of computation.

        A layer's activation function belongs to it. Of a backbone there are its preprocessing, its convolutions and its
        batch norms, as `<backbone>/<layer>`. Raises NotImplementedError where the backend cannot look inside.
        """
        ...

    def loss_and_gradients(self, images: Images, targets: Targets, recipe: Recipe) -> tuple[float, Arrays]:
        """The loss that `train` lowers, of one batch in training mode, and its gradient by every array that `recipe`
        trains, by name. Weights stay as they are; moving statistics move as in a training step.

        Images or features (as in TrainingData) and targets (n, t) in physical units. Raises NotImplementedError where
        nothing is trained by gradient.
        """
        ...

    def train(self, data: TrainingData, recipe: Recipe | None, schedule: Schedule | None, on_epoch: OnEpoch) -> History:
        """Fit to `data` by `recipe` in the order of `schedule`, until `on_epoch` says that it is enough; both are None
        where nothing is trained by gradient.

        Raises NotImplementedError where the backend does not train.
        """
        ...

    def predict(self, images: Images) -> Targets:
        """(n, height, width, channel) images in 0..1 to (n, t) targets in physical units; n may be 0."""
        ...

    def export(self, path: Path) -> None:
        """Write one self-contained ONNX file: input `images` (batch, height, width, channel) float32 in 0..1 with a
        free batch size, output `prediction` (batch, t) float32 in physical units. Raises Unavailable where what
        writes such files is missing, and NotExported for somebody's code of which none can be made.
        """
        ...


class Backend(Protocol):
    """A module in `backends/`. `REQUIRES`, `TRAINS`, `COMPUTES_WITH` and `ENGINES` are literals: they are read without
    importing it. A backend with a choice of engines under it has `ENGINES`, the packages that each needs, the usual one
    first; the environment variable of `harness.registry.ENGINE` chooses.
    """

    REQUIRES: tuple[str, ...]
    """Importable packages that it needs."""

    TRAINS: tuple[str, ...]
    """What it can build and train: "network" and "estimator", the tags of these architectures, and the `Framework` of
    which it takes somebody's own code.
    """

    COMPUTES_WITH: tuple[str, ...]
    """Distributions whose versions can change what it computes: records of others are not current."""

    def configure(self, threads: int, device: Device, precision: Precision = "float32") -> dict[str, str]:
        """Set up the framework once per process, before anything is built: `threads` CPU threads, deterministic
        operations, on `device`. Returns the versions and the settings in force as read back from the
        framework. Raises Unavailable where the device does not exist or the precision is not offered.
        """
        ...

    def build(self, variant: Variant, task: Task, seed: int) -> Model:
        """The variant with the framework's own initial weights, drawn from `seed`. Raises Unavailable where the task
        lacks what the variant needs.
        """
        ...


class Profile(msgspec.Struct, frozen=True):
    """How much work: the seeds, the most epochs that any recipe may take, and whether latency is only glanced at.

    `search_epochs` and `fine_tuning_epochs` are the most for each configuration of a search, and for a recipe that
    trains a backbone: these are the bulk of the work. `search` is how searches go about it. Variants in `leaves_out`
    run only where asked for by name.
    """

    seeds: tuple[int, ...]
    epochs: int
    search_epochs: int
    fine_tuning_epochs: int
    search: Method = "grid"
    leaves_out: tuple[str, ...] = ()
    quick_latency: bool = False


Node = tuple[str, tuple[str, ...], str, dict[str, Any]]
"""Operator of ONNX, names of its inputs, name of its output, attributes."""


class Operators(msgspec.Struct, frozen=True):
    """A piece of an ONNX graph as pure data: nodes in their order, of opset 18, and the arrays that they name. An
    encoding's goes from the value `images` to the value `encoded`, a decoding's from `images` and `answers` to
    `decoded`.
    """

    nodes: tuple[Node, ...]
    arrays: Arrays = {}

    def numbered(self, number: int) -> Operators:
        """The same with names of its own for all but `images`, so that several can stand in one graph."""

        def own(name: str) -> str:
            return name if name == "images" else f"{name}_{number}"

        nodes = ((operator, tuple(map(own, given)), own(out), told) for operator, given, out, told in self.nodes)
        return Operators(tuple(nodes), {own(name): array for name, array in self.arrays.items()})


class Encoder(Protocol):
    """An encoding at work."""

    def fit(self, images: Images) -> None:
        """Learn what is to be learned, from the training images (n, height, width, channel) alone."""
        ...

    def encode(self, images: Images) -> NDArray[np.float32]:
        """(n, ...) what the model is to see of each image, which depends on that image alone."""
        ...

    def operators(self) -> Operators | None:
        """The same as ONNX operators, so that an exported model takes images. None where that is not possible: the
        exported model takes what is encoded, and the time of encoding is measured and counts.
        """
        ...


class Decoder(Protocol):
    """A decoding at work: the model answers something else than the targets, from which, and from the image, they
    follow: what every answer must keep to can so be kept by construction.
    """

    answers: tuple[str, ...]
    """Names of what the model answers."""

    def encode(self, targets: Targets, images: Images) -> Targets:
        """(n, k) what the model is to answer for targets (n, t) of images (n, height, width, channel)."""
        ...

    def decode(self, answers: Targets, images: Images) -> Targets:
        """(n, t) the targets that follow from answers (n, k), whatever these are."""
        ...

    def operators(self) -> Operators:
        """The same as ONNX operators."""
        ...


class Symmetry(msgspec.Struct, frozen=True):
    """Ways to move an image that leave what it shows as it is, so that it is known what becomes of the targets.

    `elements` says how many there are for images of a shape, of which number 0 moves nothing; `move` takes images
    (n, height, width, channel), their targets (n, t) and the number of an element for each, and gives both moved. Where
    it changes no target, `operators` may give what moves images by an element as ONNX operators, from `images` to
    `encoded`: predictions can then be averaged over it. One that is not `exact` moves images as some do in good faith,
    and leaves a target that is not the moved one's: only a recipe that names it is augmented by it.
    """

    key: Name
    sentence: str
    elements: Callable[[Shape], int]
    move: Callable[[Images, Targets, NDArray[np.intp]], tuple[Images, Targets]]
    operators: Callable[[Shape, int], Operators] | None = None
    exact: bool = True


class Metric(msgspec.Struct, frozen=True):
    """A figure of a suite's own, and a column of its leaderboard: `better` is which way, "" where neither is. One that
    `needs_truth` not can be told of each prediction by itself, whatever is given for the truth.

    With a `heading` it is shown on a terminal, too, in the `form` of Python's format strings.
    """

    key: Name
    unit: str
    better: Literal["higher", "lower", ""]
    sentence: str
    heading: str = ""
    form: str = ".3g"
    needs_truth: bool = True


class Comparison(msgspec.Struct, frozen=True):
    """A question of a suite's own, to be answered by whether one variant is better than another: `question` ends in a
    question mark, and `reported` is what those say who asked it first.
    """

    question: str
    variant: Name
    other: Name
    reported: str = ""


class Pictures(NamedTuple):
    """Images (n, height, width, channel) that were read from files, the `names` of these, and why others were not."""

    images: Images
    names: tuple[str, ...]
    unread: dict[str, str]


class Predicted(msgspec.Struct, frozen=True):
    """What all seeds of a model answered on a test: `truth` (n, t) and `predictions` (seeds, n, t) in the data set's
    units.
    """

    model: str
    backend: str
    test: Name
    truth: Targets
    predictions: NDArray[np.float64]


class Source(msgspec.Struct, frozen=True):
    """What a suite goes back to, and what that says: `unit` in which it trained and gives its errors, the squared error
    of each variant as it prints it, and `lesson`, what is to be said of such errors.
    """

    name: str
    unit: str
    reported: dict[str, str]
    lesson: str


class Pretraining(msgspec.Struct, frozen=True):
    """Labelled images without end, on which backbones are trained before they meet a data set: `bench weights make`.

    What comes of it are weights `name`. `draw` makes so many images of a seed, the same whenever it is asked; the
    recipes are trained one after the other, an epoch being as many images as are drawn at a time.
    """

    name: Name
    sentence: str
    draw: Callable[[int, int], Dataset]
    recipes: tuple[Recipe, ...]


class Suite(Protocol):
    """A module in `suites/`. `OPTIONS`, `MAKE_OPTIONS` and `READS_FOLDERS` are literals, so that help can be shown
    without importing it: what a user may say of a data set, and of one that is to be made, with a line of help each;
    and whether it takes a user's own data. One that has no data but these says so by `SHIPS_DATA = False`.
    """

    SUMMARY: str
    VARIANTS: tuple[Variant, ...]
    PROFILES: dict[str, Profile]
    OPTIONS: dict[str, str]
    MAKE_OPTIONS: dict[str, str]
    READS_FOLDERS: bool
    METRICS: tuple[Metric, ...]
    SYMMETRIES: tuple[Symmetry, ...]
    SOURCE: Source | None
    COMPARISONS: tuple[Comparison, ...]
    PRETRAINING: Pretraining | None

    def load(self, folder: Path | None, options: Mapping[str, str]) -> Dataset:
        """The data set the suite ships where `folder` is None, or a user's own. Raises DataError with everything that
        is wrong with it, and BenchError for options that make no sense.
        """
        ...

    def check_data(self, folder: Path, options: Mapping[str, str]) -> list[Finding]:
        """Everything that is wrong or suspicious about a user's folder, as `load` would take it; nothing is written."""
        ...

    def read_images(self, folder: Path, input_shape: Shape, facts: Facts) -> Pictures:
        """Every image in a folder, in natural order, as a model takes them that was trained on a data set of these
        facts, {} where they are not known. Raises BenchError where there is none.
        """
        ...

    def unit_factor(self, unit: str) -> float:
        """How many of the data set's units one `unit` is. Raises BenchError for a unit that is not known."""
        ...

    def make_data(self, out: Path, count: int, seed: int, options: Mapping[str, str], on_progress: OnProgress) -> str:
        """Make the suite's data set again, or one like it, in the folder `out`; says what was made."""
        ...

    def split(self, dataset: Dataset) -> Split:
        """The suite's seeded split."""
        ...

    def encoder(self, encoding: Encoding, dataset: Dataset) -> Encoder:
        """One of the suite's encodings. Raises Unavailable where the data set lacks what it needs, and BenchError for a
        name that is none.
        """
        ...

    def decoder(self, decoding: Encoding, dataset: Dataset) -> Decoder:
        """One of the suite's decodings. Raises as `encoder` does."""
        ...

    def measure(self, predictions: Targets, truth: Targets, images: Images, facts: Facts) -> dict[str, float]:
        """The suite's own figures of predictions (n, t), by the keys of `METRICS`, as far as the facts allow.

        Targets may be classes, one column each, of ones and zeros: how often the largest is right is such a figure.
        """
        ...

    def draw(self, predicted: Sequence[Predicted], folder: Path) -> list[Path]:
        """Draw the suite's own pictures of all models on all tests into `folder`; the files, in their order."""
        ...
