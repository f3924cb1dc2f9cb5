"""Somebody's function of JAX and its arrays, looked at, run and trained as it is, for `bench parity pair=`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from backends._jax_foreign_layers import Layer, as_seen
from backends._jax_foreign_watch import Watch
from harness.errors import BenchError, NotExported, Unavailable
from harness.foreign import (
    HALVES,
    UNREAL,
    Arrays,
    Inputs,
    Inspected,
    Layout,
    Pairing,
    Part,
    Shape,
    Trained,
    alone,
    doors,
    keys_of,
    refuse_other_targets,
    shapes_of,
)
from harness.protocol import Precision

NAME = "jax"
PRECISIONS: tuple[Precision, ...] = "float32", "float64"


def configure(precision: Precision, fresh: bool) -> None:
    """Compute in this precision, and in no less."""
    jax.config.update("jax_enable_x64", precision == "float64")
    jax.config.update("jax_default_matmul_precision", "highest")


def wrap(model: Any, pairing: Pairing, precision: Precision) -> ForeignJax:
    """The function and its arrays, as `harness.foreign.Foreign`. Raises BenchError where it is none."""
    if not (isinstance(model, tuple) and len(model) == 2 and callable(model[0])):
        raise BenchError(f"jax_model returns a {type(model).__name__}, not (apply, params), with apply(params, inputs)")
    return ForeignJax(*model, pairing, precision)


class ForeignJax:
    """See `Foreign`. Arrays are named by their places in the tree, as `encoder/0/kernel`; `params/0` at its root."""

    def __init__(self, apply: Any, params: Any, pairing: Pairing, precision: Precision) -> None:
        self._apply, self._pairing, self._precision = apply, pairing, precision
        leaves, self._tree = jax.tree_util.tree_flatten_with_path(params)
        self._leaves = [leaf for _, leaf in leaves]
        names = [_name(path) for path, _ in leaves]
        self._places = {name: place for place, name in enumerate(names) if _is_real(self._leaves[place])}
        if not self._places:
            raise BenchError("jax_model returns (apply, params), but in params is no array of real numbers")
        kept = {name: str(self._leaves[place].dtype) for name, place in self._places.items()}
        self._halves = {name: each for name, each in kept.items() if each in HALVES}
        for place in self._places.values():
            self._leaves[place] = np.array(self._leaves[place], precision)
        self._axes: dict[str, Shape] = {}  # how each input is transposed at the door
        self._orders: list[Shape] = []  # and each answer, to channels last
        self._statistics: tuple[str, ...] = ()
        self._coarse: list[str] = []
        self._keys: tuple[str, ...] = ()

    def in_single(self) -> list[str]:
        """See `Foreign.in_single`."""
        return self._coarse

    def inputs(self) -> tuple[Inputs, ...]:
        """None: a function does not say what it takes."""
        return ()

    def inspect(self, inputs: Arrays) -> Inspected:
        """See `Foreign.inspect`."""
        watch = self._try_layouts(inputs)
        self._coarse = list(watch.coarse)
        self._orders = [value.order if len(value.shape) > 2 else () for value in watch.answers]
        parts = self._parts(watch)
        self._statistics = tuple(array.name for part in parts for array in part.arrays.values() if not array.trained)
        return Inspected(
            NAME,
            tuple(parts),
            watch.after,
            dropouts=None,
            unused=tuple(watch.unused),
            answers=len(watch.answers),
            halves=self._halves,
            keys=self._keys,
        )

    def _try_layouts(self, inputs: Arrays) -> Watch:
        """Run the function once, on images as they are, or channels first if it takes only that."""
        shapes = shapes_of(self._pairing.get("jax_inputs"), tuple(inputs))
        choices = [sorted(doors(array, shapes.get(name), "jax_inputs"), key=bool) for name, array in inputs.items()]
        errors = []
        for axes in itertools.product(*choices):
            self._axes = dict(zip(inputs, axes, strict=True))
            try:
                return self._watch(inputs)
            except Exception as error:  # whatever the function raises, it may take them in another layout
                errors.append(error)
        raise errors[0]

    def _watch(self, inputs: Arrays) -> Watch:
        given = self._given(inputs)
        return Watch(lambda arrays, values: self._answers(arrays, dict(zip(given, values, strict=True))),
                     self.arrays(), list(given.values()))  # fmt: skip

    def _parts(self, watch: Watch) -> list[Part]:
        names = [self._named(layer) for layer in watch.layers]
        known = {id(layer): name for layer, name in zip(watch.layers, names, strict=True)}
        return [
            Part(
                name,
                layer.kind,
                {role: replace(array, trained=not role.startswith("moving_")) for role, array in layer.arrays.items()},
                layer.settings,
                name if layer.answer is not None else "",
                layer.flattened,
                before=layer.before,
                behind=known.get(id(layer.behind), ""),
            )
            for layer, name in zip(watch.layers, names, strict=True)
        ]

    def _named(self, layer: Layer) -> str:
        """The place in the tree that holds a layer's arrays and no others; or that of its first array."""
        own = [array.name for array in layer.arrays.values()]
        holder = own[0].rpartition("/")[0]
        held = [name for name in self._places if name.startswith(f"{holder}/")]
        return holder if holder and set(held) <= set(own) else own[0]

    def _given(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        turned = {name: array.transpose(self._axes.get(name) or None) if self._axes.get(name) else array
                  for name, array in inputs.items()}  # fmt: skip
        return {
            name: array.astype(self._precision if array.dtype.kind == "f" else array.dtype)
            for name, array in turned.items()
        }

    def _answers(self, arrays: Sequence[Any], inputs: Mapping[str, Any]) -> list[Any]:
        params = self._filled(arrays)
        positional = all(name.isdigit() for name in inputs)
        made = self._apply(params, *inputs.values()) if positional else self._apply(params, **inputs)
        self._keys = keys_of(made)
        return jax.tree.leaves(made)

    def _filled(self, arrays: Sequence[Any]) -> Any:
        """The user's tree with these arrays in it."""
        leaves = list(self._leaves)
        for place, array in zip(self._places.values(), arrays, strict=True):
            leaves[place] = array
        return jax.tree.unflatten(self._tree, leaves)

    def arrays(self) -> Arrays:
        """See `Foreign.arrays`."""
        return {name: self._leaves[place] for name, place in self._places.items()}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Foreign.set_arrays`."""
        for name, array in arrays.items():
            self._leaves[self._places[name]] = np.array(array, self._precision)

    def forward(self, inputs: Arrays) -> Arrays:
        """See `Foreign.forward`."""
        watch = self._watch(inputs)
        answers = self._answers(list(self.arrays().values()), self._given(inputs))
        seen: Arrays = {
            f"answer {place}": as_seen(array, order)
            for place, (array, order) in enumerate(zip(answers, self._orders, strict=True))
        }
        for layer in watch.layers:
            if layer.answer is not None:
                seen[self._named(layer)] = layer.answer
                if layer.given is not None:
                    seen[f"{self._named(layer)}/input"] = layer.given
        return seen

    def export(self, inputs: Arrays, path: str) -> Layout:
        """See `Foreign.export`. Raises NotExported."""
        raise NotExported("JAX has no exporter to ONNX of its own")

    def gradients(self, inputs: Arrays, targets: Arrays) -> tuple[float, Arrays]:
        """See `Foreign.gradients`. Raises Unavailable where the function takes statistics that training would move."""
        if self._statistics:
            raise Unavailable(f"its function is one of inference: it takes {self._statistics[0]}, not the batch's own")
        held = self.arrays()
        loss, gradients = jax.value_and_grad(self._loss)(list(held.values()), inputs, targets)
        return float(loss), {name: np.asarray(each) for name, each in zip(held, gradients, strict=True)}

    def _loss(self, arrays: Sequence[Any], inputs: Arrays, targets: Arrays) -> Any:
        answered = self._answers(arrays, self._given(inputs))
        make = self._pairing.get("jax_loss")
        refuse_other_targets(NAME, len(answered), len(targets), make is not None)
        expected = self._expected(targets)
        if make is None:
            pairs = [each for each in zip(expected, answered, strict=True) if _is_real(each[1])]
            if not pairs:
                raise Unavailable(UNREAL)
            return sum(jnp.mean((theirs - ours.reshape(theirs.shape)) ** 2) for ours, theirs in pairs)
        loss = make()
        return jnp.mean(loss(answered[0], expected[0]) if len(answered) == 1 else loss(answered, expected))

    def _expected(self, targets: Arrays) -> list[NDArray[Any]]:
        """Targets, channels last, as the answers lie."""
        return [
            array.transpose(np.argsort(order)) if order and array.ndim == len(order) else array
            for array, order in zip(self._given_plain(targets), self._orders, strict=False)
        ]

    def _given_plain(self, arrays: Arrays) -> list[NDArray[Any]]:
        return [array.astype(self._precision) if array.dtype.kind == "f" else array for array in arrays.values()]

    def noised(self, inputs: Arrays) -> Arrays:
        """See `Foreign.noised`: a pure function draws nothing."""
        return {}

    def draws(self) -> None:
        """See `Foreign.draws`: the keys that a function was made with are not told from other numbers."""

    def noises(self) -> None:
        """See `Foreign.noises`, and `draws`."""

    def penalties(self) -> float:
        """See `Foreign.penalties`."""
        return 0.0

    def dropped(self, inputs: Arrays) -> dict[str, tuple[float, float, int]]:
        """See `Foreign.dropped`: none is known, for a pure function draws nothing that it is not given."""
        return {}

    def train(
        self,
        inputs: Arrays,
        targets: Arrays,
        order: NDArray[np.intp],
        steps: tuple[int, ...],
        held: tuple[str, ...] = (),
        other: str = "",
    ) -> Trained:
        """See `Foreign.train`: with what `jax_optimizer()` returns, (init, update) as optax has them."""
        if self._statistics:
            raise Unavailable("see gradients")
        init, update = self._pairing.get("jax_optimizer")()
        step = self._pairing.get("jax_step")
        state = init(self._filled_alone(list(self.arrays().values())))
        losses, arrays = [], {}
        for done, rows in enumerate(order, 1):
            batch = {name: array[rows] for name, array in inputs.items()}
            expected = {name: array[rows] for name, array in targets.items()}
            held_now = list(self.arrays().values())
            if step:
                given, wanted = list(self._given(batch).values()), self._expected(expected)
                loss, params, state = step(self._filled(held_now), state, *alone(given), *alone(wanted))
                left = jax.tree.leaves(params)
                moved = [left[place] for place in self._places.values()]
            else:
                loss, gradients = jax.value_and_grad(self._loss)(held_now, batch, expected)
                params = self._filled_alone(held_now)
                updates, state = update(self._filled_alone(gradients), state, params)
                moved = jax.tree.leaves(jax.tree.map(lambda one, two: one + two, params, updates))
            self.set_arrays(dict(zip(self._places, moved, strict=True)))
            losses.append(float(loss))
            if done in steps:
                arrays[done] = {name: array.copy() for name, array in self.arrays().items()}
        return Trained(tuple(losses), (), arrays, {})

    def _filled_alone(self, arrays: Sequence[Any]) -> Any:
        """The tree with these arrays, and None where it has anything else."""
        leaves: list[Any] = [None] * len(self._leaves)
        for place, array in zip(self._places.values(), arrays, strict=True):
            leaves[place] = array
        return jax.tree.unflatten(self._tree, leaves)


def _name(path: Any) -> str:
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    return f"params/{name}" if not name or name[0].isdigit() else name


def _is_real(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray | jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating)
