"""Somebody's Keras model on TensorFlow, looked at, run and trained as it is, for `bench parity pair=`."""

from __future__ import annotations

import contextlib
import importlib
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from backends._keras_foreign_exact import in_single, make_exact
from backends._keras_foreign_layers import (
    DROPOUTS,
    Told,
    called,
    common,
    every,
    has_activation,
    holders,
    is_wide,
    own_variables,
    projections,
    watched_call,
    wide_axes,
    without_arrays,
)
from backends._keras_foreign_noise import noises, normal_at
from backends._keras_foreign_parts import parts_of
from harness.errors import BenchError, NotExported, Unavailable
from harness.foreign import (
    AT_RANDOM,
    HALVES,
    UNREAL,
    Arrays,
    Inputs,
    Inspected,
    Kind,
    Layout,
    Measured,
    Pairing,
    Part,
    Random,
    Setting,
    Source,
    Trained,
    alone,
    keys_of,
    leaves,
    measured,
    refuse_other_targets,
)
from harness.model.code import first_line
from harness.protocol import Precision

NAME = "keras"
PRECISIONS: tuple[Precision, ...] = "float32", "float64"


def configure(precision: Precision, fresh: bool) -> None:
    """Compute in this precision, on one thread; where something `fresh` is built, names count from the start."""
    tf = importlib.import_module("tensorflow")
    with contextlib.suppress(RuntimeError):  # set once, before anything is computed
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.set_visible_devices([], "GPU")
    make_exact()
    if fresh:
        keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)


def load(source: Source, precision: Precision) -> keras.Model:
    """A model from a .keras file, to compute in this precision, whatever it was saved in. Raises BenchError where it
    cannot be read, or holds code and is not trusted.
    """
    try:
        with zipfile.ZipFile(source.path):  # older formats are none that `safe_mode` was made for
            return keras.saving.load_model(source.path, compile=False, safe_mode=not source.trusted)
    except zipfile.BadZipFile:
        told = "is no file in the format .keras, which alone is read: model.save('NAME.keras') writes it"
        raise BenchError(f"keras={source.path}: {told}") from None
    except (ValueError, TypeError, KeyError, OSError) as error:
        hint = "" if source.trusted else "; trust=true also runs Python code that the file holds, as Lambda layers are"
        told = (str(error).strip() or type(error).__name__).partition(". ")[0].splitlines()[0]
        raise BenchError(f"keras={source.path}: cannot be read: {told}{hint}") from None


def wrap(model: Any, pairing: Pairing, precision: Precision) -> ForeignKeras:
    """The model, as `harness.foreign.Foreign`. Raises BenchError where it is none."""
    if not isinstance(model, keras.Layer):
        raise BenchError(f"keras_model returns a {type(model).__name__}, not a Keras model")
    return ForeignKeras(model, pairing, precision)


class ForeignKeras:
    """See `Foreign`."""

    def __init__(self, model: keras.Model, pairing: Pairing, precision: Precision) -> None:
        self._model, self._pairing, self._precision = model, pairing, precision
        self._tf = importlib.import_module("tensorflow")
        self._coarse: dict[str, None] = {}
        self._penalties = 0.0
        self._draws = False
        self._keys: tuple[str, ...] = ()

    def inputs(self) -> tuple[Inputs, ...]:
        """What the model says that it takes; none where it says nothing, as subclassed ones do."""
        found = []
        tensors = getattr(self._model, "inputs", None) or []
        struct = getattr(self._model, "_inputs_struct", None)
        keys = {id(tensor): key for key, tensor in struct.items()} if isinstance(struct, dict) else {}
        for place, tensor in enumerate(tensors):
            shape = tuple(size or 0 for size in tensor.shape[1:])
            below = min(self._vocabularies(tensor), default=2 if "int" in str(tensor.dtype) else 0)
            masks = [float(layer.mask_value) for layer in self._taking(tensor, keras.layers.Masking) if not below]
            masks += [0.0 for layer in self._taking(tensor, keras.layers.Embedding) if layer.mask_zero]
            masked = masks[0] if masks else None
            key = keys.get(id(tensor))
            found.append(Inputs(key or str(place), shape, below, masked, "" if key else tensor.name))
        return tuple(found)

    def _vocabularies(self, tensor: Any) -> list[int]:
        layers = [layer for layer in self._model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
        taking = self._taking(tensor, keras.layers.Embedding)
        return [layer.input_dim for layer in taking or (layers if "int" in str(tensor.dtype) else [])]

    def _taking(self, tensor: Any, kind: type[Any]) -> list[Any]:
        """Layers of a kind that are given an input of the model's."""
        layers = [layer for layer in self._model._flatten_layers() if isinstance(layer, kind)]
        return [layer for layer in layers if any(node.input_tensors[0] is tensor for node in layer._inbound_nodes)]

    def inspect(self, inputs: Arrays) -> Inspected:
        """See `Foreign.inspect`."""
        answers = self._answers(inputs, training=False)  # which builds what is not built yet
        calls, behind, dropping = self._called(inputs)
        layers = dict(holders(self._model, ""))
        trained = {id(variable) for variable in self._model.trainable_variables}
        parts: list[Part] = []
        before: list[str] = []
        for name in calls:
            if name not in layers:
                before.append(name)
                continue
            first, *rest = parts_of(name, layers.pop(name), trained)
            parts += [replace(first, before=tuple(before), behind=behind.get(name, "")), *rest]
            before = []
        silent = [part for name, layer in layers.items() for part in parts_of(name, layer, trained)]
        own = [part for part in silent if part.kind == "own"]
        unused = [part for part in silent if part.kind != "own"]
        known = dict(self._dropouts())
        dropouts = [
            Random(name, float(known[name].rate), is_wide(known[name]), place)
            for name, place in dropping
            if known[name].rate
        ]
        return Inspected(
            NAME,
            (*own, *parts, *unused),
            tuple(before),
            tuple(dropouts),
            unused=tuple(part.name for part in unused),
            answers=len(answers),
            halves={name: kept for name, each in self._variables().items() if (kept := str(each.dtype)) in HALVES},
            keys=self._keys,
        )

    def _called(self, inputs: Arrays) -> tuple[list[str], dict[str, str], list[tuple[str, str | None]]]:
        """Names of the layers with arrays, each where it is called first, and descriptions of all else, in the order in
        which they are called; of each layer, whose answer it is given; and dropouts, each with what it is behind.
        """
        calls: list[str] = []
        behind: dict[str, str] = {}
        called_with = {name: self._given(array) for name, array in inputs.items()}
        # Tensors are held, so that no other takes their number.
        sources: dict[int, tuple[Any, str]] = {id(tensor): (tensor, "") for tensor in called_with.values()}
        dropping: list[tuple[str, str | None]] = []

        def layer_called(name: str) -> Told:
            def told(given: Any, made: Any) -> None:
                if name not in calls:
                    calls.append(name)
                if not behind.get(name):
                    behind[name] = sources.get(id(leaves(given)[0]), (None, ""))[1] if leaves(given) else ""
                made = leaves(made)[0]
                sources[id(made)] = (made, name)

            return told

        def function_called(what: str, name: str) -> Told:
            def told(given: Any, made: Any) -> None:
                if name in holding and name not in calls:
                    calls.append(name)  # whose activation it is, and which has not ended yet
                    behind[name] = ""
                calls.append(what)
                given = leaves(given)
                source = sources.get(id(given[0])) if len(given) == 1 else None
                if name in names_of_dropouts:
                    dropping.append((name, source[1] if source else None))
                if source:
                    sources[id(made)] = (made, source[1])

            return told

        holding = {name for name, _ in holders(self._model, "")}
        names_of_dropouts = {name for name, _ in self._dropouts()}
        with contextlib.ExitStack() as stack:
            for name, layer in holders(self._model, ""):
                stack.enter_context(watched_call(layer, "call", layer_called(name)))
                if has_activation(layer) and (what := called(layer.activation)) != "linear":
                    stack.enter_context(watched_call(layer, "activation", function_called(what, name)))
            for name, layer in without_arrays(self._model, ""):
                what = f"{type(layer).__name__} {name}"
                stack.enter_context(watched_call(layer, "call", function_called(what, name)))
            self._model(self._as_called(called_with), training=False)
        return calls, behind, dropping

    def _dropouts(self) -> list[tuple[str, Any]]:
        return [(name, layer) for name, layer in every(self._model, "") if isinstance(layer, DROPOUTS)]

    def _answers(self, inputs: Arrays, training: bool) -> list[Any]:
        value = self._as_called({name: self._given(array) for name, array in inputs.items()})
        with self._watched():
            made = self._model(value, training=training)
        self._keys = keys_of(made)
        return leaves(made)

    def _watched(self) -> contextlib.AbstractContextManager[None]:
        """Keep what is computed in single precision meanwhile, where double is asked for."""
        return in_single(self._coarse.setdefault) if self._precision == "float64" else contextlib.nullcontext()

    def in_single(self) -> list[str]:
        """See `Foreign.in_single`."""
        return list(self._coarse)

    @staticmethod
    def _as_called(given: dict[str, Any]) -> Any:
        """What the model is called with: one input, a list of several, or a dictionary of those with names."""
        if not all(name.isdigit() for name in given):
            return given
        return list(given.values()) if len(given) > 1 else next(iter(given.values()))

    def _given(self, array: NDArray[Any]) -> Any:
        return self._tf.constant(array.astype(self._precision) if array.dtype.kind == "f" else array)

    def _variables(self) -> dict[str, Any]:
        return dict(each for name, layer in holders(self._model, "") for each in own_variables(name, layer))

    def arrays(self) -> Arrays:
        """See `Foreign.arrays`."""
        return {name: np.asarray(variable) for name, variable in self._variables().items()}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Foreign.set_arrays`."""
        variables = self._variables()
        for name, array in arrays.items():
            variables[name].assign(array)
        for _, layer in every(self._model, ""):
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()  # which computes with a copy of its arrays

    def forward(self, inputs: Arrays) -> Arrays:
        """See `Foreign.forward`."""
        seen: Arrays = {}
        times: Counter[str] = Counter()

        def keep(name: str, layer: Any) -> Told:
            def kept(given: Any, made: Any) -> None:
                times[name] += 1
                seen[f"{name}/calls"] = np.array(times[name])
                answer = np.asarray(leaves(made)[0])
                given = leaves(given)
                if name not in seen and given:
                    if (mask := getattr(given[0], "_keras_mask", None)) is not None:
                        seen[f"{name}/mask"] = np.asarray(mask)
                    seen[f"{name}/input"] = common(np.asarray(given[0]), layer, made=False)
                    seen[name] = common(answer, layer, made=True)

            return kept

        def before_activation(name: str, layer: Any) -> Told:
            def kept(given: Any, _: Any) -> None:
                if f"{name}/raw" not in seen:
                    seen[f"{name}/raw"] = common(np.asarray(given), layer, made=True)

            return kept

        with contextlib.ExitStack() as stack:
            for name, layer in [*holders(self._model, ""), *projections(self._model)]:
                stack.enter_context(watched_call(layer, "call", keep(name, layer)))
                if has_activation(layer):
                    stack.enter_context(watched_call(layer, "activation", before_activation(name, layer)))
            drew = stack.enter_context(normal_at(0.0))
            answers = self._answers(inputs, training=False)
        self._draws = bool(drew)
        for name in [name for name in seen if name.endswith("/raw")]:
            seen[name.removesuffix("/raw")] = seen.pop(name)
        return seen | {f"answer {place}": np.asarray(answer) for place, answer in enumerate(answers)}

    def export(self, inputs: Arrays, path: str) -> Layout:
        """See `Foreign.export`. Opset 18, the newest that tf2onnx writes."""
        if self._draws:
            raise NotExported(AT_RANDOM)
        value = self._as_called(
            {
                name: keras.InputSpec(str(array.dtype), (None, *array.shape[1:]), name="input" * name.isdigit() + name)
                for name, array in inputs.items()
            }
        )
        try:
            self._model.export(path, format="onnx", verbose=False, input_signature=[value], opset_version=18)
        except Exception as error:  # whatever Keras, TensorFlow and tf2onnx raise over what they cannot write
            raise NotExported(f"Keras's exporter: {first_line(error)}") from error
        taken = len(importlib.import_module("onnx").load(path).graph.input)
        if taken > len(inputs):  # as of the tensors that a Normalization holds
            leaked = f"{taken - len(inputs)} of the constants that a layer holds"
            raise NotExported(f"Keras's exporter: makes inputs of its graph out of {leaked}")
        return "last"

    def gradients(self, inputs: Arrays, targets: Arrays) -> tuple[float, Arrays]:
        """See `Foreign.gradients`."""
        with self._still():
            loss, gradients = self._gradients(inputs, targets)
        variables = self._variables()
        names = {id(variable): name for name, variable in variables.items()}
        found = {}
        for variable, gradient in zip(self._model.trainable_variables, gradients, strict=True):
            if id(variable) in names:
                dense = self._tf.convert_to_tensor(gradient) if gradient is not None else None
                found[names[id(variable)]] = np.zeros(variable.shape) if dense is None else np.asarray(dense)
        return float(loss), found

    def _gradients(self, inputs: Arrays, targets: Arrays) -> tuple[Any, list[Any]]:
        expected = [self._given(array) for array in targets.values()]
        with self._tf.GradientTape() as tape:
            answered = self._answers(inputs, training=True)
            with self._watched():
                loss = self._loss(expected, answered)
            penalties = sum(self._model.losses)
            loss = loss + penalties
        self._penalties = float(penalties)
        return loss, tape.gradient(loss, [variable.value for variable in self._model.trainable_variables])

    def _loss(self, expected: list[Any], answered: list[Any]) -> Any:
        make = self._pairing.get("keras_loss")
        refuse_other_targets(NAME, len(answered), len(expected), make is not None)
        if make is None:
            pairs = [each for each in zip(expected, answered, strict=True) if each[1].dtype.is_floating]
            if not pairs:
                raise Unavailable(UNREAL)
            return sum(keras.ops.mean(keras.ops.square(theirs - ours)) for ours, theirs in pairs)
        loss = keras.losses.get(made) if isinstance(made := make(), str) else made
        told = loss(expected[0], answered[0]) if len(answered) == 1 else loss(expected, answered)
        return keras.ops.mean(told)  # a function's has one number for each sample

    def penalties(self) -> float:
        """See `Foreign.penalties`."""
        return self._penalties

    def dropped(self, inputs: Arrays) -> dict[str, Measured]:
        """See `Foreign.dropped`."""
        found: dict[str, Measured] = {}
        with contextlib.ExitStack() as stack:
            for name, layer in self._dropouts():

                def measure(given: Any, made: Any, name: str = name, layer: Any = layer) -> None:
                    before, alpha = np.asarray(leaves(given)[0]), isinstance(layer, keras.layers.AlphaDropout)
                    found[name] = measured(before, np.asarray(made), wide_axes(layer, before.ndim), alpha)

                stack.enter_context(watched_call(layer, "call", measure))
            self._answers(inputs, training=True)
        return found

    def noised(self, inputs: Arrays) -> Arrays:
        """See `Foreign.noised`."""
        with self._still(), normal_at(1.0) as drew:
            answers = self._answers(inputs, training=True)
        return {f"answer {place}": np.asarray(answer) for place, answer in enumerate(answers)} if drew else {}

    def draws(self) -> bool:
        """See `Foreign.draws`."""
        return self._draws

    def noises(self) -> list[str]:
        """See `Foreign.noises`."""
        return noises(self._model)

    def train(
        self,
        inputs: Arrays,
        targets: Arrays,
        order: NDArray[np.intp],
        steps: tuple[int, ...],
        held: tuple[str, ...] = (),
        other: Kind = "keras",
    ) -> Trained:
        """See `Foreign.train`."""
        start = self.arrays()
        self._sparse = False
        losses, rates, arrays, settings = self._train(inputs, targets, order, steps)
        formulas = [_SPARSE] if self._sparse and settings["name"] != "sgd" else []
        if other == "jax" and settings["name"] in ("adam", "adamw") and not settings.get("amsgrad"):
            formulas.append(_EPSILON)
        if not formulas:
            return Trained(losses, rates, arrays, settings)
        self.set_arrays(start)
        corrected = self._train(inputs, targets, order, steps, formulas)[::2]
        return Trained(losses, rates, arrays, settings, corrected, "; ".join(formulas))

    def _train(
        self,
        inputs: Arrays,
        targets: Arrays,
        order: NDArray[np.intp],
        steps: tuple[int, ...],
        without: Sequence[str] = (),
    ) -> tuple[tuple[float, ...], tuple[float, ...], dict[int, Arrays], dict[str, Setting]]:
        make = self._pairing.get("keras_optimizer")
        optimizer = keras.optimizers.get(made) if isinstance(made := make(), str) else made
        settings = _settings_of(optimizer)
        optimizer.build(self._model.trainable_variables)
        self._watch_gradients(optimizer, dense=_SPARSE in without)
        step, epsilon = self._pairing.get("keras_step"), getattr(optimizer, "epsilon", 0.0)
        losses, rates, arrays = [], [], {}
        with self._still():
            for done, rows in enumerate(order, 1):
                batch = {name: array[rows] for name, array in inputs.items()}
                expected = {name: array[rows] for name, array in targets.items()}
                rates.append(float(keras.ops.convert_to_numpy(optimizer.learning_rate)))
                if _EPSILON in without:
                    optimizer.epsilon = epsilon * float(np.sqrt(1 - float(optimizer.beta_2) ** done))
                if step:
                    loss = step(self._model, optimizer, *self._as_given(batch), *self._as_given(expected))
                else:
                    loss, gradients = self._gradients(batch, expected)
                    optimizer.apply(gradients, self._model.trainable_variables)
                losses.append(float(loss))
                if done in steps:
                    arrays[done] = self.arrays()
        return tuple(losses), tuple(rates), arrays, settings

    def _watch_gradients(self, optimizer: Any, dense: bool) -> None:
        """See whether it is given sparse ones, whoever makes its steps; have them `dense`."""
        apply = optimizer.apply

        def applied(gradients: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
            gradients = list(gradients)
            self._sparse = self._sparse or any(isinstance(g, self._tf.IndexedSlices) for g in gradients)
            if dense:
                gradients = [g if g is None else self._tf.convert_to_tensor(g) for g in gradients]
            return apply(gradients, *args, **kwargs)

        object.__setattr__(optimizer, "apply", applied)

    def _as_given(self, arrays: Arrays) -> list[Any]:
        return alone([self._given(array) for array in arrays.values()])

    @contextlib.contextmanager
    def _still(self) -> Iterator[None]:
        """Meanwhile nothing is dropped, and no noise is added."""
        before = []
        for _, layer in every(self._model, ""):
            for attribute in ("rate", "dropout", "recurrent_dropout"):
                value = getattr(layer, attribute, None)
                drops = isinstance(layer, DROPOUTS) or attribute != "rate"
                if drops and attribute in vars(layer) and isinstance(value, float) and value:
                    before.append((layer, attribute, value))
                    object.__setattr__(layer, attribute, 0.0)
        try:
            with normal_at(0.0):
                yield
        finally:
            for layer, attribute, value in before:
                object.__setattr__(layer, attribute, value)


_EPSILON = "Keras adds epsilon before the bias correction, optax after it"
_SPARSE = "Keras squares the parts of an embedding's gradient, one for each time a token occurs, not their sum"


_OF_OPTIMIZERS = ("beta_1", "beta_2", "epsilon", "momentum", "nesterov", "rho", "amsgrad", "weight_decay", "centered",
                  "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "initial_accumulator_value")  # fmt: skip


def _settings_of(optimizer: Any) -> dict[str, Setting]:
    """An optimizer in words that are the same in both frameworks."""
    config = optimizer.get_config()
    found: dict[str, Setting] = {"name": type(optimizer).__name__.lower()}
    for name in _OF_OPTIMIZERS:
        if config.get(name) not in (None, False):
            found[name] = config[name]
    if found["name"] == "nadam":
        found["momentum_decay"] = 1.0  # which is written into its formula
    return found
