"""One side of a comparison: what one backend, in one precision, makes of a network, as arrays in a file.

`python -m harness.parity.side ORDERS.json`, in an interpreter that computes sides of one framework in one precision
alone. Every side is given the same weights, images and targets in one file; `ladder` compares what they leave behind.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from harness import registry
from harness.errors import Unavailable
from harness.model.architecture import Dense, Dropout, Flatten, Network, Shape, named_layers
from harness.model.variants import Recipe, Schedule, Variant
from harness.protocol import (
    Arrays,
    Backend,
    Classes,
    Counts,
    Images,
    Model,
    Precision,
    Scaling,
    Targets,
    Task,
    TrainingData,
)
from harness.running.child import end_with_input, peak_gib, take_over_stdout
from harness.running.fields import last_convolution
from harness.text import Device, one_line

BATCH = 16
BATCHES_EXPORTED = (1, 7, 32)
_VALIDATED = 4
_VALIDATED_ONCE = 300  # more than any backend computes at a time, and no multiple of it
_LONG = 128  # epochs, beyond the hundred of the other steps
OPTIMIZATION_LEVELS = ("disable", "basic", "extended", "layout", "all")


class Orders(msgspec.Struct, frozen=True):
    """What a side is to do: build `network`, and for each of `variants` compute gradients, and of those named in
    `stepping` train by its last recipe, after a few steps of those before.

    `steps` says after how many steps of training weights are compared, the last being all there are; small networks
    make them `nudged` times more, from weights of which each is a neighbour of its own. `given` and `out` are
    safetensors files; what a side has to say in words goes to `told`, a JSON file.
    """

    backend: str
    device: Device
    precision: Precision
    task: Task
    network: Network
    variants: tuple[Variant, ...]
    rungs: tuple[str, ...]
    steps: tuple[int, ...]
    stepping: tuple[str, ...]
    given: str
    out: str
    told: str
    nudged: int = 0


class Told(msgspec.Struct, frozen=True):
    """A side in words: counts and shapes of the model, its layers in the order of computation; of each variant how many
    parameters it trains and how many recipes it has; `unavailable` says why there is nothing to compare, `lacks` which
    rungs this backend cannot climb, and why, and `broken` which it should but failed to.
    """

    counts: Counts | None = None
    shapes: dict[str, Shape] = {}
    layers: tuple[str, ...] = ()
    trainable: dict[str, int] = {}
    recipes: dict[str, int] = {}
    lacks: dict[str, str] = {}
    broken: dict[str, str] = {}
    unavailable: str = ""


class Given(msgspec.Struct, frozen=True):
    """What every side starts from: weights by name, images (n, height, width, channel), targets (n, t) in physical
    units, and the images of each step (steps, BATCH).
    """

    weights: Arrays
    images: NDArray[np.float32]
    targets: Targets
    order: NDArray[np.intp]

    def save(self, path: Path) -> None:
        """Write it to a file that `load` reads."""
        named = {f"weights/{name}": array for name, array in self.weights.items()}
        save_file({**named, "images": self.images, "targets": self.targets, "order": self.order}, path)

    @classmethod
    def load(cls, path: str) -> Given:
        """Read what `save` wrote."""
        arrays = load_file(path)
        weights = {name.removeprefix("weights/"): array for name, array in arrays.items() if "weights/" in name}
        return cls(weights, arrays["images"], arrays["targets"], arrays["order"])

    def data(self, model: Model, recipe: Recipe) -> TrainingData:
        """All images, or their features where that is what the recipe sees, in single precision as `bench run` keeps
        them; and few of them to validate on. To a recipe that is augmented every epoch shows them in another order.
        """
        seen = self.images
        if recipe.trains == "head":  # of halves, so that features kept from the first would show
            halves = [model.features(half) for half in np.split(self.images, 2)]
            seen = np.concatenate(halves).astype(np.float32)
        moved = self._moved if recipe.augmented else None
        return TrainingData(seen, self.targets, seen[-_VALIDATED:], self.targets[-_VALIDATED:], moved)

    def _moved(self, epoch: int) -> tuple[Images, Targets]:
        return np.roll(self.images, epoch, axis=0), np.roll(self.targets, epoch, axis=0)


class Another(msgspec.Struct, frozen=True):
    """The JSON file with the orders for another side."""

    orders: str


class Computed(msgspec.Struct, frozen=True):
    """A side is there, and its process has held so much memory so far."""

    peak_gib: float


def main(path: str) -> None:
    """Carry out the orders in a JSON file, then those that each line on standard input names (`Another`), all of one
    backend on one device in one precision; a `Computed` line on standard output tells of each side. Ends with its first
    fault, and when standard input does, for then the parent is gone.
    """
    send, lines = take_over_stdout(), end_with_input()
    while True:
        carry_out(path)
        send(Computed(peak_gib()))
        path = msgspec.json.decode(lines.get(), type=Another).orders


def carry_out(path: str) -> None:
    """Compute the side that the orders in a JSON file are about; a fault ends the process."""
    orders = msgspec.json.decode(Path(path).read_bytes(), type=Orders)
    backend = registry.backend(orders.backend)
    try:
        _configure(orders.backend, orders.device, orders.precision)
        arrays, told = climb(backend, orders, Given.load(orders.given))
    except Unavailable as unavailable:
        arrays, told = {}, Told(unavailable=str(unavailable))
    except Exception as error:
        traceback.print_exc()
        sys.exit(failed(error))  # the last line of the log, whatever a framework's message looks like
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, orders.out)
    Path(orders.told).write_bytes(msgspec.json.encode(told))


@functools.cache  # frameworks refuse to be configured once they have computed
def _configure(backend: str, device: Device, precision: Precision) -> None:
    registry.backend(backend).configure(1, device, precision)


def failed(error: Exception) -> str:
    """What failed and where, on one line: the innermost place that is not an installed package's."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename and "<" not in frame.filename]
    where = (ours or frames)[-1]
    told = one_line(plain(str(error))) or "no message"
    return f"{type(error).__name__}: {told} (in {where.name}, {Path(where.filename).name}:{where.lineno})"


def without_colours(text: str) -> str:
    """What a framework meant for a terminal, as text."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def plain(text: str) -> str:
    """A framework's message without colours, and without the pages that follow: what a layer was given (Keras), what a
    node is (TensorFlow), advice (torch's exporter).
    """
    text = re.sub(r"\{\{[^}]*\}\}\s*", "", without_colours(text))
    return re.split(r"\n\s*Arguments received by|\n\s*; NodeDef|Next steps:", text)[0].strip()


class Climbed:
    """What has come of each rung: arrays, named `<rung>/<variant>/<array>` or `<rung>//<array>` where variants do not
    matter, or why there are none.
    """

    def __init__(self) -> None:
        self.arrays: Arrays = {}
        self.lacks: dict[str, str] = {}
        self.broken: dict[str, str] = {}

    def take(self, rung: str, variant: str, found: Iterator[tuple[str, NDArray[Any]]]) -> None:
        """Climb a rung: all of its arrays, or none."""
        try:
            self.arrays.update({f"{rung}/{variant}/{name}": np.array(array) for name, array in found})
        except (NotImplementedError, Unavailable) as error:
            self.lacks[rung] = str(error)
        except Exception as error:  # whatever a framework raises, the other rungs are still worth climbing
            traceback.print_exc()
            self.broken[rung] = failed(error)


def climb(backend: Backend, orders: Orders, given: Given) -> tuple[Arrays, Told]:
    """Every array that the sides are compared by, as `Climbed` names them.

    Raises Unavailable where the backend does not build such a network.
    """
    try:
        model = backend.build(Variant("parity", "", orders.network), orders.task, 0)
    except NotImplementedError as error:
        raise Unavailable(str(error)) from None
    model.set_weights(given.weights)
    climbed = Climbed()
    layers: tuple[str, ...] = ()
    if "forward" in orders.rungs:
        climbed.take("forward", "", _forward(model, given))
        layers = tuple(name.removeprefix("forward//") for name in climbed.arrays)
    if "gradcam" in orders.rungs and (convolution := last_convolution(orders.network)):
        climbed.take("gradcam", "", _gradcam(orders, convolution, model, given))
    if "export" in orders.rungs:
        climbed.take("prediction", "", iter([("images", model.predict(given.images))]))
        if orders.precision == "float32":
            climbed.take("export", "", _export(model, given))
    trainable = {variant.name: _climb_variant(backend, orders, given, variant, climbed) for variant in orders.variants}
    shapes = {name: array.shape for name, array in model.weights().items()}
    told = Told(
        counts=model.counts(),
        shapes=shapes,
        layers=layers,
        trainable=trainable,
        recipes={variant.name: len(variant.recipes) for variant in orders.variants},
        lacks=climbed.lacks,
        broken=climbed.broken,
    )
    return climbed.arrays, told


def _climb_variant(backend: Backend, orders: Orders, given: Given, variant: Variant, climbed: Climbed) -> int:
    """The rungs that train, without dropout; returns how many parameters the variant trains."""
    without_dropout = Network(tuple(_still(layer) for layer in orders.network.layers))
    model = backend.build(msgspec.structs.replace(variant, architecture=without_dropout), orders.task, 0)
    counts = model.counts()
    assert counts is not None
    recipe = variant.recipes[-1]
    # What an optimizer does is judged by the conditioning of the gradients.
    if {"gradients", "state", "optimizer"} & set(orders.rungs):
        model.set_weights(given.weights)
        climbed.take("gradients", variant.name, _gradients(model, given, recipe))
        climbed.take("state", variant.name, _statistics(model))
        climbed.take("gradients", variant.name, _dropout(backend, orders))
        climbed.take("gradients", variant.name, _where_dropped(backend, orders, given, model))
    if "optimizer" in orders.rungs and variant.name in orders.stepping:
        model.set_weights(given.weights)
        climbed.take("optimizer", variant.name, _steps(model, given, variant.recipes, orders.steps))
        if _is_small(given, recipe):
            climbed.take("optimizer", variant.name, _whole_epochs(model, given, recipe))
            climbed.take("optimizer", variant.name, _long(backend, orders.task, given, recipe))
            for number in range(orders.nudged):
                model.set_weights(_neighbours(given.weights, number))
                climbed.take("nudged", f"{variant.name}/{number}", _steps(model, given, variant.recipes, orders.steps))
    return counts.trainable


def _neighbours(weights: Arrays, number: int) -> Arrays:
    """Of each weight one of the two float32 numbers next to it, drawn."""
    draw = np.random.default_rng([number, _NEIGHBOURS])
    return {
        name: np.nextafter(array, draw.choice(np.array([-np.inf, np.inf], np.float32), array.shape))
        for name, array in weights.items()
    }


_NEIGHBOURS = 5  # keeps this stream of random numbers apart from the others


def _still(layer: Any) -> Any:
    """Masks are each framework's own, so nothing is dropped where arrays are compared."""
    return Dropout(0.0) if isinstance(layer, Dropout) else layer


def _forward(model: Model, given: Given) -> Iterator[tuple[str, NDArray[Any]]]:
    """Every layer's output, of few images: there are many layers; and predictions, of all."""
    with contextlib.suppress(NotImplementedError):  # then the predictions alone must do
        yield from model.activations(given.images[:4]).items()
    yield "prediction", model.predict(given.images)


def _gradcam(orders: Orders, convolution: str, model: Model, given: Given) -> Iterator[tuple[str, NDArray[Any]]]:
    """Where the network looks, of few images, for all of its answers: in one array, for of one answer maps may be zero,
    and nothing is relative to that.
    """
    yield "maps", registry.gradcam(orders.backend).maps(model, convolution, given.images[:4])


def _gradients(model: Model, given: Given, recipe: Recipe) -> Iterator[tuple[str, NDArray[Any]]]:
    data = given.data(model, recipe)
    loss, gradients = model.loss_and_gradients(data.images[:BATCH], data.targets[:BATCH], recipe)
    yield "loss", np.array(loss)
    yield from gradients.items()


def _statistics(model: Model) -> Iterator[tuple[str, NDArray[Any]]]:
    """Moving statistics, after the training step that `_gradients` made."""
    yield from ((name, array) for name, array in model.weights().items() if "/moving_" in name)


def _dropout(backend: Backend, orders: Orders) -> Iterator[tuple[str, NDArray[Any]]]:
    """What a dropout layer multiplies values by, and the share that it keeps: masks differ, these do not.

    The gradient of a layer of zeros behind it, of one white image and a loss whose derivative is 1, is the mask.
    """
    count = len(orders.task.targets)
    if isinstance(orders.task.scaling, Classes):  # whose loss has another derivative
        numbers = msgspec.structs.replace(orders.task, scaling=Scaling((0.0,) * count, (1.0,) * count))
        orders = msgspec.structs.replace(orders, task=numbers)
    for rate in {layer.rate for layer in orders.network.layers if isinstance(layer, Dropout)}:
        probe = Network((Flatten(), Dropout(rate), Dense(count, "linear")))
        model = backend.build(Variant("dropout", "", probe), orders.task, 0)
        model.set_weights({name: np.zeros_like(array) for name, array in model.weights().items()})
        white = np.ones((1, *orders.task.input_shape), np.float32)
        scaling = orders.task.scaling
        targets = scaling.to_physical(np.full((1, count), -count / 2))
        _, gradients = model.loss_and_gradients(white, targets, Recipe())
        mask = gradients["dense_1/kernel"][:, 0]
        yield f"dropout {rate:g}/factor", mask.max()
        yield f"dropout {rate:g}/kept", np.array([(mask > 0).mean(), mask.size])
        two = np.concatenate([white, white])  # each has a mask of its own, so that less is dropped by both
        _, gradients = model.loss_and_gradients(two, np.concatenate([targets, targets]), Recipe())
        masks = gradients["dense_1/kernel"][:, 0]
        yield f"dropout {rate**2:g} of two images at once/kept", np.array([(masks > 0).mean(), masks.size])
        first, second = _two_epochs(model, TrainingData(white, targets, white, targets))
        never = second[first == 0]  # Adam leaves what never had a gradient where it is
        yield f"dropout {rate:g} in a second epoch/kept", np.array([(never != 0).mean(), never.size])
        yield f"dropout {rate:g}/validation_loss", _validated(model, TrainingData(white, targets, white, targets))
        yield f"dropout {rate:g} of gradients/kept", _kept_of_gradients(backend, orders, rate, white, targets)


def _where_dropped(
    backend: Backend, orders: Orders, given: Given, without: Model
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The share that a dense layer right behind a dropout is shown of what it is shown `without` one, of one image:
    what its gradient knows of.
    """
    pairs = [
        (layer.rate, name)
        for (_, layer), (name, behind) in itertools.pairwise(named_layers(orders.network))
        if isinstance(layer, Dropout) and isinstance(behind, Dense)
    ]
    if not pairs:
        return
    gradients = []
    for model in (without, backend.build(Variant("dropout", "", orders.network), orders.task, 0)):
        model.set_weights(given.weights)
        gradients.append(model.loss_and_gradients(given.images[:1], given.targets[:1], Recipe())[1])
    for rate, name in pairs:
        all_shown, shown = ((each[f"{name}/kernel"] != 0).any(axis=1) for each in gradients)
        yield f"dropout {rate:g} before {name}/kept", np.array([shown[all_shown].mean(), all_shown.sum()])


def _kept_of_gradients(backend: Backend, orders: Orders, rate: float, white: Images, targets: Targets) -> NDArray[Any]:
    """The share of what lies before a dropout layer that gradients reach, and of how many."""
    dense = Dense(_BEFORE_DROPOUT, "linear"), Dropout(rate), Dense(len(orders.task.targets), "linear")
    model = backend.build(Variant("dropout", "", Network((Flatten(), *dense))), orders.task, 0)
    model.set_weights({name: np.full_like(array, 1e-3) for name, array in model.weights().items()})
    _, gradients = model.loss_and_gradients(white, targets, Recipe())
    return np.array([(gradients["dense_1/bias"] != 0).mean(), _BEFORE_DROPOUT])


_BEFORE_DROPOUT = 1000


def _validated(model: Model, data: TrainingData) -> NDArray[Any]:
    """The validation loss of equal weights that no training moves; they are what they were afterwards."""
    zeros = model.weights()
    model.set_weights({name: np.full_like(array, 1e-3) for name, array in zeros.items()})
    still = Recipe(epochs=1, batch_size=1, learning_rate=1e-30)
    history = model.train(data, still, Schedule(np.zeros((1, 1), np.intp), 1), _silent)
    model.set_weights(zeros)
    return np.array(history.validation_loss)


def _two_epochs(model: Model, data: TrainingData) -> list[NDArray[Any]]:
    """One target's kernel after each of two epochs of one image, with a validation between them."""
    kernels = []

    def keep(*_: float) -> None:
        kernels.append(model.weights()["dense_1/kernel"][:, 0])

    model.train(data, Recipe(epochs=2, batch_size=1), Schedule(np.zeros((2, 1), np.intp), 1), keep)
    return kernels


def _steps(
    model: Model, given: Given, recipes: Sequence[Recipe], steps: tuple[int, ...]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Losses of the last recipe's steps, and weights after some of them, on a model that the recipes before it have
    trained. One batch is an epoch, so that an epoch's loss is a step's, and every step is followed by a validation.
    """
    *earlier, recipe = recipes
    for before in earlier:
        order = given.order[-before.epochs :]
        model.train(given.data(model, before), before, Schedule(order, BATCH), _silent)
    data, start = given.data(model, recipe), given.weights
    kept: dict[int, Mapping[str, NDArray[Any]]] = {}

    def keep(epoch: int, *_: float) -> None:
        if epoch in steps:
            kept[epoch] = model.weights()

    history = model.train(data, recipe, Schedule(given.order[: steps[-1]], BATCH), keep)
    for count, weights in kept.items():
        yield f"{count}/loss", np.array(history.loss[:count])
        yield f"{count}/validation_loss", np.array(history.validation_loss[:count])
        yield from ((f"{count}/{name}", weights[name]) for name in start)


def _is_small(given: Given, recipe: Recipe) -> bool:
    """Whether all of a network without a backbone is trained, so that more steps cost seconds."""
    return recipe.trains != "head" and len(given.weights) < 20


def _whole_epochs(model: Model, given: Given, recipe: Recipe) -> Iterator[tuple[str, NDArray[Any]]]:
    """An epoch that ends in a batch of one image, validated on more images than are computed at a time; and the weights
    that are left of three steps when only the first was any good, for it is validated with what it answered before, and
    what it answers then.
    """
    data, start = given.data(model, recipe), given.weights
    model.set_weights(start)
    order = np.roll(np.arange(len(data.images)), 3)[None, : BATCH + 1]
    rows = np.resize(np.arange(len(data.images)), _VALIDATED_ONCE)
    many = msgspec.structs.replace(
        data, validation_images=data.images[rows], validation_targets=data.targets[rows[::-1]]
    )
    history = model.train(many, recipe, Schedule(order, BATCH), _silent)
    yield "epoch/loss", np.array(history.loss)
    yield "epoch/validation_loss", np.array(history.validation_loss)
    yield from ((f"epoch/{name}", array) for name, array in model.weights().items())
    model.set_weights(start)
    worsening = msgspec.structs.replace(data, validation_targets=model.predict(data.validation_images))
    model.train(worsening, recipe, Schedule(given.order[:3], BATCH), _silent)
    yield from ((f"end/{name}", array) for name, array in model.weights().items())
    yield "end/prediction", model.predict(data.validation_images)


def _long(backend: Backend, task: Task, given: Given, recipe: Recipe) -> Iterator[tuple[str, NDArray[Any]]]:
    """Many epochs, each worse than the last by its validation: a rate that changes late or once nothing improves shows,
    a training that stops early, and one that does not stop when it is told to. Of a linear model, which does not take
    rounding apart as a network does, and of one image with two answers, so that there always is a gradient.
    """
    model = backend.build(Variant("long", "", Network((Flatten(), Dense(len(task.targets), "linear")))), task, 0)
    model.set_weights({name: np.zeros_like(array) for name, array in model.weights().items()})
    images = given.images[[0, 0]]
    data = TrainingData(images, given.targets[:2], images, model.predict(images))
    long = msgspec.structs.replace(recipe, epochs=2 * _LONG, batch_size=1)
    order = np.tile(np.array([[0, 1]], np.intp), (2 * _LONG, 1))
    history = model.train(data, long, Schedule(order, 1), lambda epoch, *_: epoch == _LONG)
    yield "long/loss", np.array(history.loss)
    yield "long/validation_loss", np.array(history.validation_loss)
    yield from ((f"long/{name}", array) for name, array in model.weights().items())


def _silent(*_: float) -> None:
    """Of these epochs nothing is kept."""


def _export(model: Model, given: Given) -> Iterator[tuple[str, NDArray[Any]]]:
    """The exported model's predictions, in ONNX Runtime, at each of its optimisation levels and in batches.

    The model has had other weights and been trained before, so that what a backend kept of either would show.
    """
    onnx = registry.onnx()
    with contextlib.suppress(NotImplementedError):
        model.set_weights({name: array / 2 for name, array in given.weights.items()})
        once = TrainingData(given.images, given.targets, given.images[:1], given.targets[:1])
        model.train(once, Recipe(epochs=1, batch_size=BATCH), Schedule(given.order[:1], BATCH), _silent)
    model.set_weights(given.weights)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.export(path)
        onnx.annotate(path, {})
        for level in OPTIMIZATION_LEVELS:
            exported = onnx.open_model(path, level=level)
            for batch in BATCHES_EXPORTED:
                yield f"{level}, batch {batch}", exported.run(given.images[:batch]).astype(np.float64)


if __name__ == "__main__":
    main(sys.argv[1])
