"""What a backend, a model and a suite are, and the data they exchange.

A backend is a module in `backends/` and a suite a module in `suites/`; each satisfies its Protocol below by having
these names at module level. Nothing here knows a framework.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import Finding
from harness.model.architecture import Estimator, Network, Shape, Weights
from harness.text import Name

Images = NDArray[np.float32]
Targets = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]


# --- data -------------------------------------------------------------------------------------------------------


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An isotropic elastic material: Young's modulus in GPa and Poisson's ratio."""

    young: float
    poisson: float

    def wrong(self) -> str:
        """Why no material is like that, "" where one could be: from aerogels to far beyond diamond."""
        if not 1e-6 <= self.young <= 1e9:
            return "Young's moduli must be positive, between 1e-6 and 1e9 GPa"
        return "" if -1 < self.poisson < 0.5 else "Poisson's ratios must lie between -1 and 0.5"


class Dataset(msgspec.Struct, frozen=True):
    """Images and what is to be predicted from them.

    `images` (n, height, width, 1) float32 in 0..1, 1 being the stiff phase; `targets` (n, t) float64 in `unit`;
    `groups` one label per image, the family it comes from, or "" where unknown; `ids` one name per image.
    `phases` are the (soft, stiff) materials where known. `warnings` are what the check of the data found suspicious.
    """

    name: str
    images: Images
    targets: Targets
    target_names: tuple[str, ...]
    unit: str
    groups: tuple[str, ...]
    ids: tuple[str, ...]
    phases: tuple[Phase, Phase] | None = None
    warnings: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """SHA-256 of the images (as bytes 0..255), the targets and their names and unit; ids and paths do not count."""
        digest = hashlib.sha256(repr((self.images.shape, self.target_names, self.unit)).encode())
        digest.update(np.rint(self.images * 255).astype(np.uint8).tobytes())
        digest.update(np.ascontiguousarray(self.targets, "<f8").tobytes())
        return digest.hexdigest()


class Split(msgspec.Struct, frozen=True):
    """Which rows of a data set are for training, for validation and for the test: disjoint integer indices."""

    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    test: NDArray[np.intp]

    def fingerprint(self) -> str:
        """SHA-256 of the three index lists."""
        parts = [np.ascontiguousarray(part, "<i8").tobytes() for part in (self.train, self.validation, self.test)]
        return hashlib.sha256(b"|".join(parts)).hexdigest()


class Scaling(msgspec.Struct, frozen=True):
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


class Task(msgspec.Struct, frozen=True):
    """What a model is asked for: images of `input_shape` (height, width, channel) in, `targets` in `unit` out."""

    input_shape: Shape
    targets: tuple[str, ...]
    unit: str
    scaling: Scaling
    phases: tuple[Phase, Phase] | None = None


# --- variants and their training ----------------------------------------------------------------------------------


Trains = Literal["all", "all-but-norms", "head"]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Adam on the mean squared error, in Keras's formula: epsilon is added outside the bias correction.

    `trains` says what: `head` where the backbone stays frozen, its batch norms in inference mode; `all-but-norms` where
    its batch norms do, with their gammas and betas, and everything else is trained; else `all`.
    """

    epochs: int = 300
    batch_size: int = 32
    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    trains: Trains = "all"


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One member of a search: what was chosen, by the names of the search's axes, and the model that this makes."""

    choices: dict[Name, float]
    network: Network
    recipe: Recipe


Method = Literal["grid"]


class Search(msgspec.Struct, frozen=True, tag="search", forbid_unknown_fields=True):
    """A model that is chosen among configurations by its validation error, and by that alone.

    Each configuration tried is trained for `epochs`; the one with the lowest validation loss of any epoch is then
    trained anew by its whole recipe, and only that one meets the test images. `method` says which are tried, in which
    order: `grid` takes all, in theirs.
    """

    configurations: tuple[Configuration, ...]
    epochs: int = 300
    method: Method = "grid"


Architecture = Network | Estimator | Search


class Variant(msgspec.Struct, frozen=True):
    """One model to be compared, as pure data. `recipes` are trained one after the other, each from where the last left
    off; empty where nothing is trained by gradient, and for a search, whose configurations have their own.
    """

    name: str
    summary: str
    architecture: Architecture
    recipes: tuple[Recipe, ...] = ()


class Schedule(msgspec.Struct, frozen=True):
    """In which order the training images are shown: `order` (epochs, n_train), one permutation per epoch."""

    order: NDArray[np.intp]
    batch_size: int

    @classmethod
    def drawn(cls, recipe: Recipe, n_train: int, seed: int, stage: int = 0) -> Schedule:
        """The harness's own seeded order, the same for every backend; `stage` numbers a variant's recipes from 0."""
        draw = np.random.default_rng([seed, _BATCH_ORDER, stage])
        order = np.stack([draw.permutation(n_train) for _ in range(recipe.epochs)])
        return cls(order, recipe.batch_size)


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

    For a recipe that trains the head alone the features (n, k) of the frozen layers stand in the images' place.
    """

    images: Images
    targets: Targets
    validation_images: Images
    validation_targets: Targets


Precision = Literal["float32", "float64"]
"""What a framework computes in. `float64` is there to be compared with: its rounding is nine orders smaller, so that
every other difference stands out.
"""

# Called after each epoch with (epochs done, training loss, validation loss).
OnEpoch = Callable[[int, float, float], None]

# Called after each step of a long work with (steps done, steps in all).
OnProgress = Callable[[int, int], None]


# --- what a plug-in is --------------------------------------------------------------------------------------------


class Model(Protocol):
    """A variant built in one framework."""

    def counts(self) -> Counts:
        """How many parameters the framework's model has; trainable are those that the last recipe trains."""
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
        """(n, k) outputs of the frozen layers (`architecture.frozen_layers`), batch norms in inference mode.

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
        """Fit to `data` by `recipe` in the order of `schedule`; both are None where nothing is trained by gradient.

        Raises NotImplementedError where the backend does not train.
        """
        ...

    def predict(self, images: Images) -> Targets:
        """(n, height, width, channel) images in 0..1 to (n, t) targets in physical units; n may be 0."""
        ...

    def export(self, path: Path) -> None:
        """Write one self-contained ONNX file: input `images` (batch, height, width, channel) float32 in 0..1 with a
        free batch size, output `prediction` (batch, t) float32 in physical units. Raises Unavailable where what
        writes such files is missing.
        """
        ...


class Backend(Protocol):
    """A module in `backends/`. `REQUIRES` and `TRAINS` are literals, so that they can be read without importing it."""

    REQUIRES: tuple[str, ...]
    """Importable packages that it needs."""

    TRAINS: tuple[str, ...]
    """Tags of the architectures that it can build and train: "network", "estimator"."""

    def configure(self, threads: int, device: str, precision: Precision = "float32") -> dict[str, str]:
        """Set up the framework once per process, before anything is built: `threads` CPU threads, deterministic
        operations, `device` "cpu" or "cuda". Returns the versions and the settings in force as read back from the
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
    trains a backbone: these are the bulk of the work. Variants in `leaves_out` run only where asked for by name.
    """

    seeds: tuple[int, ...]
    epochs: int
    search_epochs: int
    fine_tuning_epochs: int
    leaves_out: tuple[str, ...] = ()
    quick_latency: bool = False


class Suite(Protocol):
    """A module in `suites/`."""

    SUMMARY: str
    VARIANTS: tuple[Variant, ...]
    PROFILES: dict[str, Profile]
    REPORTED: dict[str, str]
    """What the suite's source reports for a variant's test MSE, as it prints it; empty where it reports none."""

    def load(self, folder: Path | None, unit: str | None, phases: tuple[Phase, Phase] | None) -> Dataset:
        """The data set the suite ships where `folder` is None, or a user's own, whose CSV is in `unit`.

        Raises DataError with everything that is wrong with it.
        """
        ...

    def check_data(self, folder: Path, unit: str | None, phases: tuple[Phase, Phase] | None) -> list[Finding]:
        """Everything that is wrong or suspicious about a user's folder, as `load` would take it; nothing is written."""
        ...

    def read_images(self, folder: Path, input_shape: Shape) -> tuple[Images, tuple[str, ...]]:
        """Every image in a folder, in natural order, and their file names. Raises DataError for unusable ones."""
        ...

    def unit_factor(self, unit: str) -> float:
        """How many of the data set's units one `unit` is. Raises BenchError for a unit that is not known."""
        ...

    def make_data(self, out: Path, **parameters: Any) -> int:
        """Make the suite's data set again, or one like it, in the folder `out`; returns the number of images."""
        ...

    def split(self, dataset: Dataset) -> Split:
        """The suite's seeded split."""
        ...

    def physics(self, predictions: Targets, images: Images, task: Task) -> dict[str, float]:
        """Shares in 0..1 of the predictions (n, t) that keep each physical law that can be checked on this task."""
        ...


_BATCH_ORDER = 2
