"""Keras, on TensorFlow unless the environment variable KERAS_BACKEND says `jax` or `torch`, which then is enough."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# Keras takes its float type and image format from keras.json in its home, or leaves one there: not in this process.
_home = os.environ.get("KERAS_HOME")
os.environ["KERAS_HOME"] = os.devnull
import keras

if _home is None:
    del os.environ["KERAS_HOME"]
else:
    os.environ["KERAS_HOME"] = _home

import msgspec
import numpy as np
from numpy.typing import NDArray

from backends._keras_engines import Engine, engine
from backends._keras_onnx import renumber
from harness.errors import BenchError, NotExported, Unavailable
from harness.model import backbones, code
from harness.model.architecture import (
    Backbone,
    Conv2D,
    Dense,
    Dropout,
    Factors,
    Flatten,
    GlobalAveragePool2D,
    Imported,
    Layer,
    MaxPool2D,
    Network,
    Shape,
    Weights,
    frozen_layers,
    named_layers,
    parameter_shapes,
)
from harness.model.variants import Recipe, Schedule, Trains, Variant
from harness.model.weights import check_fit
from harness.protocol import (
    Arrays,
    Classes,
    Counts,
    History,
    Images,
    OnEpoch,
    Precision,
    Scaling,
    Targets,
    Task,
    TrainingData,
)
from harness.text import Device

REQUIRES = ("keras", "onnx")
ENGINES = {"tensorflow": ("tensorflow", "tf2onnx"), "jax": ("jax",), "torch": ("torch", "onnxscript")}
TRAINS = ("network", "keras")
COMPUTES_WITH = ("keras", "numpy", "tensorflow", "tensorflow-cpu")


_engine: Engine = engine(keras.backend.backend())


def configure(threads: int, device: Device, precision: Precision = "float32") -> dict[str, str]:
    """See `Backend.configure`."""
    if precision != "float32" and keras.backend.backend() != "tensorflow":
        # keras.src.backend.common.dtypes.result_type: float64 with float64 gives float32 there.
        raise Unavailable(f"Keras on {keras.backend.backend()} turns float64 into float32")
    keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)
    return {
        "keras": f"{keras.__version__} on {keras.backend.backend()}",
        "precision": keras.config.floatx(),
        **_engine.configure(threads, device),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
    }


def build(variant: Variant, task: Task, seed: int) -> KerasModel:
    """See `Backend.build`: Keras's own Glorot-uniform weights and zero biases."""
    keras.utils.set_random_seed(seed)
    return KerasCode(variant, task, seed) if isinstance(variant.architecture, Imported) else KerasModel(variant, task)


def as_keras(network: Network, task: Task) -> keras.Sequential:
    """The network on images (batch, height, width, channel); its layers have the names of `named_layers`."""
    layers = [_layer(name, layer, task) for name, layer in named_layers(network)]
    return keras.Sequential([keras.Input(task.input_shape, name="images"), *layers])


def _layer(name: str, layer: Layer, task: Task) -> keras.layers.Layer:
    match layer:
        case Conv2D(filters, kernel, "periodic", activation):
            return PeriodicConv2D(filters, kernel, activation=activation, name=name)
        case Conv2D(filters, kernel, padding, activation):
            return keras.layers.Conv2D(filters, kernel, padding=padding, activation=activation, name=name)
        case Dense(units, activation):
            return keras.layers.Dense(units, activation=activation, name=name)
        case MaxPool2D(size):
            return keras.layers.MaxPooling2D(size, name=name)
        case Dropout(rate):
            return keras.layers.Dropout(rate, name=name)
        case Flatten():
            return keras.layers.Flatten(name=name)
        case GlobalAveragePool2D():
            return keras.layers.GlobalAveragePooling2D(name=name)
        case Backbone(family):
            return _backbone(name, family, task)


class PeriodicConv2D(keras.layers.Conv2D):
    """A convolution of odd kernel around a periodic image, for which Keras has no padding."""

    def call(self, images: Any) -> Any:
        """(batch, height, width, channel) to (batch, height, width, filter)."""
        edge = self.kernel_size[0] // 2
        if edge:
            images = keras.ops.concatenate([images[:, -edge:], images, images[:, :edge]], axis=1)
            images = keras.ops.concatenate([images[:, :, -edge:], images, images[:, :, :edge]], axis=2)
        return super().call(images)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The image keeps its size."""
        return (*input_shape[:-1], self.filters)


def _backbone(name: str, family: backbones.Family, task: Task) -> keras.Model:
    """keras.applications' own, after a grey image's repetition to three channels, and the preprocessing."""
    scale, offset = backbones.preprocessing(family)
    images = keras.Input(task.input_shape, name="grey" if task.input_shape[2] == 1 else "coloured")
    if task.input_shape[2] == 1:
        channels = keras.layers.Concatenate(name="channels")([images] * 3)
    else:
        channels = keras.ops.take(images, backbones.order_of_colours(family), axis=-1)
    channels = keras.layers.Rescaling(list(scale), offset=list(offset), name="preprocessing")(channels)
    build = {
        "vgg16": keras.applications.VGG16,
        "resnet50": keras.applications.ResNet50,
        "densenet121": keras.applications.DenseNet121,
    }[family]
    body = build(include_top=False, weights=None, input_shape=(*task.input_shape[:2], 3), name=_BODY)
    return keras.Model(images, body(channels), name=name)


_BODY = "body"


class KerasModel:
    """A network in Keras; see `harness.protocol.Model`."""

    def __init__(self, variant: Variant, task: Task) -> None:
        assert isinstance(variant.architecture, Network)
        self._task = task
        self._shapes = parameter_shapes(variant.architecture, task.input_shape)
        self.model = as_keras(variant.architecture, task)
        self._frozen: list[keras.layers.Layer] = self.model.layers[: frozen_layers(variant.architecture)]
        self._let_train(variant.recipes[-1].trains if variant.recipes else "all")

    def _let_train(self, what: Trains) -> keras.Sequential:
        """Let gradients reach what is to be trained; returns the head, or the network where there is more to it."""
        for layer in self._frozen:
            layer.trainable = what != "head"
        for backbone in [layer for layer in self._frozen if isinstance(layer, keras.Model)]:
            for norm in backbone.get_layer(_BODY).layers:
                if isinstance(norm, keras.layers.BatchNormalization):
                    norm.trainable = what == "all"  # which to Keras also says whether it is in inference mode
        if what != "head" or not self._frozen:
            return self.model
        head = self.model.layers[len(self._frozen) :]
        return keras.Sequential([keras.Input(self._frozen[-1].output.shape[1:]), *head])

    def counts(self) -> Counts:
        """See `Model.counts`."""
        layers = {layer.name: layer.count_params() for layer in self.model.layers if layer.count_params()}
        trainable = sum(int(np.prod(variable.shape)) for variable in self.model.trainable_variables)
        return Counts(trainable, self.model.count_params() - trainable, layers)

    def _variable(self, name: str) -> keras.Variable:
        layer, *inner, part = name.split("/")
        owner = self.model.get_layer(layer)
        return getattr(owner.get_layer(_BODY).get_layer(inner[0]) if inner else owner, part)

    def weights(self) -> Weights:
        """See `Model.weights`. The common layout is Keras's own."""
        return {name: np.array(keras.ops.convert_to_numpy(self._variable(name))) for name in self._shapes}

    def set_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.set_weights`."""
        check_fit(weights, self._shapes)
        for name, array in weights.items():
            self._variable(name).assign(np.asarray(array, keras.config.floatx()))

    def features(self, images: Images) -> NDArray[np.float32]:
        """See `Model.features`."""
        if not self._frozen:
            raise NotImplementedError("a network without a backbone has no frozen layers")
        frozen = keras.Sequential([keras.Input(self._task.input_shape), *self._frozen])
        return _outputs(frozen, images, frozen.output_shape[1:])

    def activations(self, images: Images) -> Arrays:
        """See `Model.activations`."""
        found: Arrays = {}
        values: Any = images
        for layer in self.model.layers:
            if isinstance(layer, keras.Model):
                found |= _activations_inside(layer, values)
            values = layer(values, training=False)
            found[layer.name] = np.array(keras.ops.convert_to_numpy(values))
        return found

    def loss_and_gradients(self, images: Images, targets: Targets, recipe: Recipe) -> tuple[float, Arrays]:
        """See `Model.loss_and_gradients`: one step of training with an optimizer that keeps what it is given."""
        model, optimizer = self._let_train(recipe.trains), KeptGradients()
        # TensorFlow would trace a backbone's graph for half a minute to run it once.
        loss_of = _loss(self._task, recipe)
        model.compile(optimizer=optimizer, loss=loss_of, run_eagerly=keras.backend.backend() == "tensorflow")
        loss = model.train_on_batch(images, self._task.scaling.to_network(targets))
        trained = {
            variable.path: np.array(keras.ops.convert_to_numpy(gradient))
            for variable, gradient in zip(model.trainable_variables, optimizer.kept, strict=True)
        }
        paths = {name: self._variable(name).path for name in self._shapes}
        return float(loss), {name: trained[path] for name, path in paths.items() if path in trained}

    def train(self, data: TrainingData, recipe: Recipe | None, schedule: Schedule | None, on_epoch: OnEpoch) -> History:
        """See `Model.train`."""
        assert recipe is not None
        assert schedule is not None
        scaling = self._task.scaling
        model = self._let_train(recipe.trains)
        adam = keras.optimizers.Adam(
            recipe.learning_rate, beta_1=recipe.beta_1, beta_2=recipe.beta_2, epsilon=recipe.epsilon
        )
        adam.build(model.trainable_variables)  # built amid the first step, it would have TensorFlow trace that twice
        model.compile(optimizer=adam, loss=_loss(self._task, recipe))
        validation = data.validation_images, scaling.to_network(data.validation_targets)

        def epochs() -> Iterator[tuple[Images, NDArray[np.float32]]]:
            for epoch, order in enumerate(schedule.order):
                images, targets = data.shown(epoch)
                yield images[order], scaling.to_network(targets[order])

        begin = time.perf_counter()
        history = model.fit(
            _engine.batches(epochs, (data.images.shape[1:], data.targets.shape[1:]), schedule.batch_size),
            epochs=len(schedule.order),
            steps_per_epoch=-(-schedule.order.shape[1] // schedule.batch_size),
            **_engine.validation(validation, schedule.batch_size),
            shuffle=False,
            verbose=0,
            callbacks=[_Telling(on_epoch)],
        )
        seconds = time.perf_counter() - begin
        losses = history.history["loss"]
        # Keras keeps none where there are no validation images.
        validation_losses = history.history.get("val_loss", [math.nan] * len(losses))
        return History(tuple(losses), tuple(validation_losses), seconds)

    def predict(self, images: Images) -> Targets:
        """See `Model.predict`."""
        return self._task.scaling.to_physical(_outputs(self.model, images, (len(self._task.targets),)))

    def _exported(self) -> list[keras.layers.Layer]:
        """What is exported, before the map to physical units."""
        return self.model.layers

    def export(self, path: Path) -> None:
        """See `Model.export`. Opset 18, the newest that tf2onnx writes.

        Raises Unavailable on JAX without jax2onnx, which Keras calls there.
        """
        if keras.backend.backend() == "jax" and importlib.util.find_spec("jax2onnx") is None:
            raise Unavailable("Keras on JAX writes ONNX through jax2onnx, which is not installed")
        physical = keras.Sequential(
            [
                keras.Input(self._task.input_shape, name="images"),
                *self._exported(),
                _to_physical(self._task.scaling),
            ],
            name="physical",
        )
        signature = [keras.InputSpec(shape=(None, *self._task.input_shape), dtype="float32", name="images")]
        with _stdout_to_stderr():
            physical.export(path, format="onnx", verbose=False, input_signature=signature, opset_version=18)
        renumber(path)


class KerasCode(KerasModel):
    """A model that is somebody's own code. Its arrays have Keras's own names, with their numbers before them."""

    def __init__(self, variant: Variant, task: Task, seed: int) -> None:
        assert isinstance(variant.architecture, Imported)
        self._task, path = task, variant.architecture.path
        self.model: keras.Model = code.make(
            path, task.input_shape, len(task.targets), seed, keras.utils.set_random_seed
        )
        for count in (2, 1):
            answers = self.model(np.zeros((count, *task.input_shape), keras.config.floatx()), training=False)
            code.refuse_other_answers(path, answers, count, len(task.targets))
        if not self.model.trainable_variables:
            raise BenchError(f"{path}: has no variable to train: none, or all with trainable = False")
        self._frozen = []
        self._variables = {f"{number}/{one.path}": one for number, one in enumerate(self.model.weights)}
        self._shapes = {name: tuple(variable.shape) for name, variable in self._variables.items()}

    def _variable(self, name: str) -> keras.Variable:
        return self._variables[name]

    def _let_train(self, what: Trains) -> keras.Model:
        return self.model

    def _exported(self) -> list[keras.layers.Layer]:
        return [self.model]

    def counts(self) -> Counts:
        """See `Model.counts`."""
        trainable = sum(int(np.prod(variable.shape)) for variable in self.model.trainable_variables)
        total = sum(int(np.prod(shape)) for shape in self._shapes.values())
        return Counts(trainable, total - trainable, {"model": total})

    def activations(self, images: Images) -> Arrays:
        """Raise NotImplementedError: its layers are not known."""
        raise NotImplementedError("the layers of somebody's code are not known")

    def export(self, path: Path) -> None:
        """See `Model.export`."""
        try:
            super().export(path)
        except (Unavailable, OSError):  # a full disk is no fault of the code
            raise
        except Exception as error:  # whatever TensorFlow and tf2onnx raise over what they cannot write
            raise NotExported(f"Keras's exporter: {code.first_line(error)}") from error


def _loss(task: Task, recipe: Recipe) -> str | keras.losses.Loss:
    """By which a network is trained."""
    if isinstance(task.scaling, Scaling):
        return "mean_squared_error"
    if recipe.class_weights is msgspec.UNSET:
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    return WeightedCrossentropy(recipe.class_weights)


class WeightedCrossentropy(keras.losses.Loss):
    """Cross-entropy of logits, each class's part times its weight. Keras's own `class_weight` of `fit` leaves the
    validation loss as it is.
    """

    def __init__(self, weights: Factors) -> None:
        super().__init__(name="weighted_crossentropy")
        self._weights = np.array(weights, keras.config.floatx())

    def call(self, truth: Any, logits: Any) -> Any:
        """(batch,) of the truth (batch, t), probabilities, and logits (batch, t)."""
        return -keras.ops.sum(self._weights * truth * keras.ops.log_softmax(logits), axis=-1)


def _to_physical(scaling: Scaling | Classes) -> keras.layers.Layer:
    """From a network's answers to targets: what is exported ends in this."""
    dtype = keras.config.floatx()  # whatever somebody's code has told Keras: targets may be beyond half precision
    if isinstance(scaling, Classes):
        return keras.layers.Softmax(name="prediction", dtype=dtype)
    return keras.layers.Rescaling(list(scaling.scale), offset=list(scaling.offset), name="prediction", dtype=dtype)


class KeptGradients(keras.optimizers.Optimizer):
    """Keeps the gradients that it is given, and moves nothing."""

    def __init__(self) -> None:
        super().__init__(learning_rate=0.0)

    def build(self, variables: list[keras.Variable]) -> None:
        """See `keras.optimizers.Optimizer.build`."""
        if not self.built:
            super().build(variables)
            self.kept = self.add_optimizer_variables(variables, "kept")

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """See `keras.optimizers.Optimizer.update_step`."""
        self.assign(self.kept[self._get_variable_index(variable)], gradient)


class _Telling(keras.callbacks.Callback):
    """Tells of each epoch, and ends the training where it is told to."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        super().__init__()
        self._on_epoch = on_epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Of epochs Keras counts from 0."""
        if self._on_epoch(epoch + 1, logs["loss"], logs.get("val_loss", math.nan)):
            self.model.stop_training = True


def _activations_inside(backbone: keras.Model, images: Any) -> Arrays:
    """What a backbone's body is given, and what each of its layers with arrays makes of it."""
    body = backbone.get_layer(_BODY)
    *_, preprocessing, _ = backbone.layers
    given = keras.Model(backbone.input, preprocessing.output)(images, training=False)
    outputs = {layer.name: layer.output for layer in body.layers if layer.weights}
    inside = {"preprocessing": given, **keras.Model(body.input, outputs)(given, training=False)}
    return {
        f"{backbone.name}/{name}": np.array(keras.ops.convert_to_numpy(inside[name]))
        for name in ("preprocessing", *outputs)
    }


_PREDICTED_AT_A_TIME = 128


def _outputs(model: keras.Model, images: Images, shape: Shape) -> NDArray[np.float32]:
    """(n, *shape) outputs in inference mode."""
    outputs = np.empty((len(images), *shape), keras.config.floatx())
    for start in range(0, len(images), _PREDICTED_AT_A_TIME):
        part = slice(start, start + _PREDICTED_AT_A_TIME)
        outputs[part] = keras.ops.convert_to_numpy(model(images[part], training=False))
    return outputs


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    with contextlib.redirect_stdout(sys.stderr):
        yield
