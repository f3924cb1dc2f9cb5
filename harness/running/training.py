"""How a cell's model comes to be: its recipes one after the other, or a search and then what it selected."""

from __future__ import annotations

import contextlib
import hashlib
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness import disk, provenance
from harness.environment import observe
from harness.errors import BenchError, Unavailable, WeightsError
from harness.judging.records import Cell, Searched, Trial
from harness.model import code, pretrained
from harness.model.architecture import (
    Dense,
    Dropout,
    Estimator,
    Imported,
    Network,
    Shape,
    Weights,
    backbone_of,
    frozen_layers,
    initial_weights,
    multiplications,
    refuse_unfit,
)
from harness.model.variants import Architecture, Configuration, Recipe, Schedule, Search, Variant
from harness.protocol import Backend, Classes, History, Images, Model, OnEpoch, Rows, Split, Targets, Task, TrainingData
from harness.running.centring import Centring
from harness.running.view import View

Features = NDArray[np.float32]


class Fitted(NamedTuple):
    """A trained model, how each of its recipes went, and the search that it came from, if any."""

    model: Model
    history: tuple[History, ...]
    searched: Searched | None


class Fitting(NamedTuple):
    """What the training of a cell needs. `weights_file` is the user's, where the cell starts from one; features and
    trials are kept below `results`. An epoch shows `epoch_images` images; where there are fewer to train on, as in a
    learning curve, some more than once, so that what is trained by gradient takes as many steps. `code` is the folder
    of a file of somebody's code.
    """

    cell: Cell
    backend: Backend
    task: Task
    view: View
    split: Split
    results: Path
    on_epoch: OnEpoch
    weights_file: Path | None = None
    epoch_images: int = 0
    code: str = ""

    @property
    def shown(self) -> Rows:
        """The rows that an epoch shows."""
        train = self.split.train
        return np.resize(train, max(self.epoch_images, len(train)))


def fit(fitting: Fitting) -> Fitted:
    """Build and train the cell's model. Raises Unavailable where the weights it is to start from cannot be had, where
    images are too small for it, and where it has factors for other classes than there are; and BenchError where
    somebody's code is no longer what was planned.
    """
    architecture = fitting.cell.architecture
    _refuse_factors(fitting.cell, fitting.task)
    _refuse_unfit(architecture, fitting.task)
    if isinstance(architecture, Search):
        return _search(architecture, fitting)
    model, history = _train(_placed(fitting), fitting, fitting.on_epoch)
    return Fitted(model, history, None)


def _placed(fitting: Fitting) -> Variant:
    """The cell's variant, with the path of somebody's code as it is to be found here."""
    variant = fitting.cell.as_variant()
    if not isinstance(variant.architecture, Imported):
        return variant
    path = str(Path(fitting.code) / variant.architecture.path) if fitting.code else variant.architecture.path
    if code.source(path) != variant.architecture.source:
        raise BenchError(f"{variant.architecture.path} changed after the run was planned: start it again")
    placed = msgspec.structs.replace(variant.architecture, path=path)
    return msgspec.structs.replace(variant, architecture=placed)


def _refuse_unfit(architecture: Architecture, task: Task) -> None:
    for network in [one for one in _members(architecture) if isinstance(one, Network)]:
        try:
            refuse_unfit(network, task.input_shape, len(task.targets))
        except ValueError as error:
            raise Unavailable(str(error)) from None


def _members(architecture: Architecture) -> list[Network | Estimator | Imported]:
    """What is trained: it, or what is searched among."""
    if isinstance(architecture, Search):
        return [one.architecture for one in architecture.configurations]
    return [architecture]


def _refuse_factors(cell: Cell, task: Task) -> None:
    searched = cell.architecture.configurations if isinstance(cell.architecture, Search) else ()
    recipes = [*cell.recipes, *(one.recipe for one in searched if one.recipe)]
    given = [factors for recipe in recipes for factors in (recipe.class_weights, recipe.resampled)]
    given += [one.class_weights for one in _members(cell.architecture) if isinstance(one, Estimator)]
    classes = len(task.targets) if isinstance(task.scaling, Classes) else 0
    for factors in given:
        if factors is not msgspec.UNSET and len(factors) != classes:
            told = f"{classes} classes" if classes else "numbers, not classes"
            raise Unavailable(f"it has factors for {len(factors)} classes, and the targets are {told}")


def epoch_work(cell: Cell) -> list[float]:
    """How much work each epoch is that `fit` will report, roughly in milliseconds of one core on 64x64 images."""
    if isinstance(cell.architecture, Search):
        return _search_work(cell.architecture)
    if isinstance(cell.architecture, Network):
        return [work for recipe in cell.recipes for work in _epochs(cell.architecture, recipe)]
    return [_OF_CODE] * sum(recipe.epochs for recipe in cell.recipes)  # it cannot be told from outside


def _search_work(search: Search) -> list[float]:
    """Which configurations a later round tries is not known, nor which is selected: as much as usual, and at most. By
    Optuna it is not known how many, either: what a grid takes.
    """
    rounds = [(len(search.configurations), search.epochs)] if search.method == "optuna" else search.rounds()
    epochs: list[float] = []
    for count, length in rounds:
        tried = [_epochs_of(_tried(configuration, length)) for configuration in search.configurations]
        of_round = [work for trial in tried for work in trial]
        share = count / len(tried)
        epochs += of_round if share == 1 else [float(np.mean(of_round))] * round(share * len(of_round))
    return epochs + max(map(_epochs_of, search.configurations), key=sum)


def _epochs_of(configuration: Configuration) -> list[float]:
    network, recipe = configuration.architecture, configuration.recipe
    return _epochs(network, recipe) if isinstance(network, Network) and recipe else []


def _epochs(network: Network, recipe: Recipe) -> list[float]:
    through = 0.0 if recipe.trains == "head" else _MILLISECONDS * multiplications(network, _nominal(network))
    return [30 + through] * recipe.epochs


def work(cell: Cell) -> float:
    """How much work a cell is, in the unit of `epoch_work`; building, tracing and exporting a backbone included."""
    deep = isinstance(cell.architecture, Network) and backbone_of(cell.architecture)
    return sum(epoch_work(cell)) + (30_000 if deep else 1_000)


_OF_CODE = 1000.0
_MILLISECONDS = 5e-8  # per multiplication, of images as large as below
_IMAGE, _VECTOR = (1024, 1024, 1), (64,)


def _nominal(network: Network) -> Shape:
    """What the network might see; a cell does not know. Large enough for any pooling: only proportions matter."""
    first = next((layer for layer in network.layers if not isinstance(layer, Dropout)), None)
    takes_vectors = first is None or isinstance(first, Dense)
    return _VECTOR if takes_vectors else _IMAGE


def _train(variant: Variant, fitting: Fitting, on_epoch: OnEpoch) -> tuple[Model, tuple[History, ...]]:
    """A freshly built model, and the history of each of its recipes."""
    model = fitting.backend.build(variant, fitting.task, fitting.cell.seed)
    if isinstance(variant.architecture, Network):
        model.set_weights(model.weights() | _starting_weights(variant.architecture, fitting))
    if not variant.recipes:
        data, architecture = _data(fitting, fitting.split.train), variant.architecture
        if isinstance(architecture, Estimator) and architecture.moved_by:
            images, targets = fitting.view.doubled(fitting.split.train, architecture.moved_by)
            data = msgspec.structs.replace(data, images=images, targets=targets)
        return model, (model.train(data, None, None, on_epoch),)
    histories: list[History] = []
    for stage, recipe in enumerate(variant.recipes):
        before = sum(earlier.epochs for earlier in variant.recipes[:stage])
        histories.append(_train_stage(model, recipe, stage, fitting, _later(on_epoch, before)))
    return model, tuple(histories)


def _later(on_epoch: OnEpoch, before: int) -> OnEpoch:
    """Reports epochs as coming after `before` others."""
    return lambda epoch, loss, validation_loss: on_epoch(before + epoch, loss, validation_loss)


def _train_stage(model: Model, recipe: Recipe, stage: int, fitting: Fitting, on_epoch: OnEpoch) -> History:
    data, seconds, centring = _data(fitting, fitting.shown), 0.0, None
    if recipe.augmented:
        data = msgspec.structs.replace(data, moved=_moved(fitting, stage, recipe.augmented))
    if recipe.centred and recipe.trains != "head":
        raise ValueError("features are centred for a head that is trained alone")
    if recipe.trains == "head":
        if recipe.augmented:
            raise ValueError("what a frozen backbone makes of an image is computed once: no image can be moved")
        features, seconds = _features(model, fitting)
        if recipe.centred:
            if stage:
                raise ValueError(
                    "only a variant's first recipe can be centred: later ones go on from a head that is not"
                )
            centring = Centring.of(features[fitting.split.train])
            features = centring.shown(features)
        parts = features[fitting.shown], features[fitting.split.validation]
        data = msgspec.structs.replace(data, images=parts[0], validation_images=parts[1])
    classes = None if recipe.resampled is msgspec.UNSET else data.targets.argmax(axis=1)
    schedule = Schedule.drawn(recipe, len(fitting.shown), fitting.cell.seed, stage, classes)
    patience = None if recipe.patience is msgspec.UNSET else Patience(model, recipe.patience, on_epoch)
    history = model.train(data, recipe, schedule, patience or on_epoch)
    if patience:
        model.set_weights(patience.best)
    if centring:
        assert isinstance(fitting.cell.architecture, Network)
        model.set_weights(centring.folded(model.weights(), fitting.cell.architecture))
    return msgspec.structs.replace(history, seconds=history.seconds + seconds)


class Patience:
    """Ends a training after so many epochs without a lower validation loss; `best` are the weights of the lowest.

    It stands between harness and backend, so that no two backends have patience of their own.
    """

    def __init__(self, model: Model, epochs: int, on_epoch: OnEpoch) -> None:
        self._model, self._epochs, self._on_epoch = model, epochs, on_epoch
        self._lowest, self._epoch = math.inf, 0
        self.best: Weights = {}

    def __call__(self, epoch: int, loss: float, validation_loss: float) -> bool:
        """See `OnEpoch`."""
        told = self._on_epoch(epoch, loss, validation_loss)
        if validation_loss < self._lowest:
            self._lowest, self._epoch, self.best = validation_loss, epoch, self._model.weights()
        return bool(told) or epoch - self._epoch >= self._epochs


def _moved(fitting: Fitting, stage: int, by: bool | tuple[str, ...]) -> Callable[[int], tuple[Images, Targets]]:
    """What each epoch shows, the same in every backend."""

    def moved(epoch: int) -> tuple[Images, Targets]:
        draw = np.random.default_rng([fitting.cell.seed, _MOVES, stage, epoch])
        return fitting.view.moved(fitting.shown, draw, by)

    return moved


_MOVES = 5  # keeps this stream of random numbers apart from the others


def _data(fitting: Fitting, train: Rows) -> TrainingData:
    dataset, split = fitting.view.met, fitting.split
    return TrainingData(
        dataset.images[train],
        dataset.targets[train],
        dataset.images[split.validation],
        dataset.targets[split.validation],
    )


# --- weights to start from ----------------------------------------------------------------------------------------


def _starting_weights(network: Network, fitting: Fitting) -> Weights:
    """The arrays that are not left as the framework drew them: all with `init=shared`, and a pretrained backbone's."""
    cell = fitting.cell
    shared = cell.settings.init == "shared"
    weights = initial_weights(network, fitting.task.input_shape, cell.seed) if shared else {}
    backbone = backbone_of(network)
    if backbone is None or cell.weights == "random":
        return weights
    name, family = backbone
    try:
        path = fitting.weights_file or pretrained.official_file(family)
        arrays = pretrained.read(path, family)
    except WeightsError as error:
        raise Unavailable(str(error)) from None
    return weights | {f"{name}/{part}": array for part, array in arrays.items()}


# --- features of frozen layers ------------------------------------------------------------------------------------


def _features(model: Model, fitting: Fitting) -> tuple[Features, float]:
    """What the frozen layers make of every image but the test's, and the seconds that took when it was computed.

    They are the same in every epoch, and often in other cells, so they are kept by the content that they follow from.
    Rows of test images are not numbers: nothing can be trained on them by mistake.
    """
    wanted = np.concatenate([fitting.split.train, fitting.split.validation])
    images = fitting.view.met.images[wanted]
    path = fitting.results / "cache" / "features" / f"{_content(model, images, fitting.cell)}.npz"
    if (kept := _kept_features(path)) and len(kept[0]) == len(wanted):
        return _spread(kept[0], wanted, fitting), kept[1]
    begin = time.perf_counter()
    features = model.features(images)
    seconds = time.perf_counter() - begin
    with disk.replacing(path) as fresh:  # another worker may be at the same
        np.savez(fresh, features=features, seconds=seconds)
    return _spread(features, wanted, fitting), seconds


def _kept_features(path: Path) -> tuple[Features, float] | None:
    """What is kept in a file; None where it is absent or damaged, so that features are computed again."""
    # What a damaged archive raises depends on which of its bytes are damaged.
    # It is opened here, for NumPy leaves open what is none.
    with contextlib.suppress(Exception), path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
        features, seconds = np.asarray(kept["features"], np.float32), float(kept["seconds"])
        return features, seconds
    return None


def _spread(features: Features, wanted: NDArray[np.intp], fitting: Fitting) -> Features:
    table = np.full((len(fitting.view.met.images), *features.shape[1:]), np.nan, np.float32)
    table[wanted] = features
    return table


def _content(model: Model, images: Images, cell: Cell) -> str:
    """SHA-256 of all that features follow from: the backbone, the images, and the software and machine at work."""
    assert isinstance(cell.architecture, Network)
    digest = hashlib.sha256(f"{cell.backend} {cell.settings.device} {computed_by(cell)} {images.shape}".encode())
    digest.update(msgspec.json.encode(cell.architecture.layers[: frozen_layers(cell.architecture)]))
    backbone = backbone_of(cell.architecture)
    for name, array in sorted(model.weights().items()):
        if backbone and name.startswith(backbone[0] + "/"):
            digest.update(array.tobytes())
    digest.update(images.tobytes())
    return digest.hexdigest()


# --- searches -----------------------------------------------------------------------------------------------------


def _search(search: Search, fitting: Fitting) -> Fitted:
    """Try the configurations that the search asks for, select by validation loss, and train the selected anew."""
    kept = trials_file(fitting.results, fitting.cell)
    trials = _kept_trials(kept)
    losses, before = list[float](), 0
    for number, epochs in search.tries(losses, fitting.cell.seed):
        tried = _tried(search.configurations[number], epochs)
        if len(losses) == len(trials):
            trials.append(_try(number, tried, fitting, _later(fitting.on_epoch, before)))
            disk.append_line(kept, msgspec.json.encode(trials[-1]))
        losses.append(trials[len(losses)].loss)
        before += len(_epochs_of(tried))
    selected = search.selected([trial.configuration for trial in trials], losses)
    if all(math.isinf(trial.loss) for trial in trials if trial.configuration == selected):
        raise FloatingPointError("every configuration of the search that was tried longest diverged: lower the rates")
    chosen = _variant(search.configurations[selected], fitting.cell)
    model, history = _train(chosen, fitting, _later(fitting.on_epoch, before))
    return Fitted(model, history, Searched(tuple(trials), selected))


def _try(number: int, tried: Configuration, fitting: Fitting, on_epoch: OnEpoch) -> Trial:
    variant, begin = _variant(tried, fitting.cell), time.perf_counter()
    try:
        model, (history,) = _train(variant, fitting, on_epoch)
    except FloatingPointError as error:  # which says nothing of the others
        choices = ", ".join(f"{name} {value:g}" for name, value in tried.choices.items())
        print(f"configuration {number} of the search ({choices}): {error}", file=sys.stderr, flush=True)
        seconds, untrained = (
            time.perf_counter() - begin,
            fitting.backend.build(variant, fitting.task, fitting.cell.seed),
        )
        return Trial(number, None, 0, None, _parameters(untrained), seconds)
    losses = history.validation_loss or (_validation_loss(model, fitting),)
    best = int(np.argmin(losses))
    return Trial(number, losses[best], best + 1, losses[-1], _parameters(model), history.seconds)


def _parameters(model: Model) -> int:
    counts = model.counts()
    assert counts is not None  # configurations are no code of anybody's
    return counts.total


def _validation_loss(model: Model, fitting: Fitting) -> float:
    """Of what is not trained by gradient, on the scale of what is: squared errors, or of classes cross-entropy."""
    data, scaling = _data(fitting, fitting.split.train), fitting.task.scaling
    predicted, truth = model.predict(data.validation_images), data.validation_targets
    if isinstance(scaling, Classes):
        return float(-np.mean(np.sum(truth * np.log(np.maximum(predicted, np.finfo(np.float32).tiny)), axis=1)))
    return float(np.mean(((predicted - truth) / np.array(scaling.scale)) ** 2))


def _tried(configuration: Configuration, epochs: int) -> Configuration:
    """With no more epochs than these."""
    if configuration.recipe is None:
        return configuration
    epochs = min(configuration.recipe.epochs, epochs)
    return msgspec.structs.replace(configuration, recipe=msgspec.structs.replace(configuration.recipe, epochs=epochs))


def _variant(configuration: Configuration, cell: Cell) -> Variant:
    recipes = (configuration.recipe,) if configuration.recipe else ()
    return Variant(cell.variant, "", configuration.architecture, recipes)


def computed_by(cell: Cell) -> str:
    """What a record of this cell would be computed by, were it made here and now."""
    source = provenance.source(cell.backend, cell.suite)
    return provenance.computed_by(cell.backend, observe(), source, cell.settings.device, cell.packages)


def trials_file(results: Path, cell: Cell) -> Path:
    """Where the trials of an unfinished search are kept, so that an interrupted one goes on from there."""
    return results / "cache" / "trials" / f"{cell.key}-{computed_by(cell)[:16]}.jsonl"


def _kept_trials(path: Path) -> list[Trial]:
    """The trials of an interrupted search, up to the first that cannot be read: it and later ones are made anew."""
    lines, trials = disk.whole_lines(path), list[Trial]()
    for number, line in enumerate(lines):
        try:
            trials.append(msgspec.json.decode(line, type=Trial))
        except msgspec.DecodeError:
            disk.write_whole(path, "".join(kept.decode() + "\n" for kept in lines[:number]))
            break
    return trials
