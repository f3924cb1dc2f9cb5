"""What a pure function of JAX computes with the arrays it is given, and which of them are one layer.

A tree of arrays has no layers, and its names are anybody's. But the function's jaxpr says what is computed with each
array: what a convolution or a product takes is a kernel, in a layout that is told with it; what is added to its answer
is a bias; a root is drawn of a variance. The jaxpr is followed equation by equation, and run meanwhile, so that what
layers are given and answer is seen. Of loops the body is followed once, and nothing in it is seen.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.extend import core
from numpy.typing import NDArray

from backends._jax_foreign_layers import (
    LAYOUTS,
    Kernel,
    Layer,
    Value,
    as_seen,
    described,
    kernel_of,
    kind_of_norm,
    number,
    relaid_order,
    relaid_view,
)
from harness.foreign import Array, Shape, Step

_CALLS = ("jit", "closed_call", "core_call", "checkpoint", "remat2", "custom_jvp_call", "custom_vjp_call")
_ROLES = {"mul": "gamma", "div": "gamma", "add": "beta", "sub": "moving_mean"}
_WEIGHED = ("conv", "conv_transpose", "dense", "lstm", "rnn")
_GATES = {4: "lstm", 1: "rnn"}


class Watch:
    """Runs a function of arrays by name, and of inputs, once. `layers` are in the order in which they are computed,
    `after` says what comes behind the last; `answers` has what it returns, `unused` the names of arrays that are not,
    `coarse` those of operations on numbers in less than double precision.
    """

    def __init__(
        self, function: Callable[[Any, Any], Any], arrays: Mapping[str, NDArray[Any]], inputs: Sequence[Any]
    ) -> None:
        self.layers: list[Layer] = []
        self.coarse: dict[str, None] = {}
        self._shapes = {name: np.shape(array) for name, array in arrays.items()}
        self._of: dict[str, Layer] = {}  # by array
        self._between: list[str] = []
        self._quiet = 0
        self._count = itertools.count()
        closed = jax.make_jaxpr(function)(list(arrays.values()), list(inputs))
        given = [
            Value(array, np.shape(array), leaves=frozenset([name]), view=Array(name, np.shape(array)))
            for name, array in arrays.items()
        ]
        given += [Value(array, np.shape(array), data=True) for array in inputs]
        self.answers = self._walk(closed.jaxpr, closed.consts, given)
        self.after = tuple(self._between)
        self.unused = [name for name in arrays if name not in self._of]
        for name in self.unused:
            self._single(name, Value(None, ()))

    def _walk(self, jaxpr: Any, consts: Sequence[Any], given: Sequence[Value]) -> list[Value]:
        known = dict(zip(jaxpr.invars, given, strict=True))
        known |= {var: Value(const, np.shape(const)) for var, const in zip(jaxpr.constvars, consts, strict=True)}

        def read(atom: Any) -> Value:
            return Value(atom.val, np.shape(atom.val)) if isinstance(atom, core.Literal) else known[atom]

        for equation in jaxpr.eqns:
            made = self._equation(equation, [read(atom) for atom in equation.invars])
            known.update(zip(equation.outvars, made, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, given: Sequence[Value]) -> list[Value]:
        name = equation.primitive.name
        if name in _CALLS:
            return self._called(equation, given)
        if {str(getattr(var.aval, "dtype", "")) for var in equation.outvars} & {"float32", "float16", "bfloat16"}:
            self.coarse[name] = None
        if name == "scan":
            self._round(equation, given)
        made = []
        for var, array in zip(equation.outvars, _computed(equation, given), strict=True):
            shape = tuple(var.aval.shape)
            made.append(replace(self._followed(name, equation.params, given, array, shape), array=array, shape=shape))
        return made

    def _called(self, equation: Any, given: Sequence[Value]) -> list[Value]:
        """Follow a function that is called; one that takes no array of the tree is told by its name."""
        inner = next(equation.params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in equation.params)
        name = str(equation.params.get("name", ""))
        told = name.isidentifier() and not name.startswith("_") and not any(value.leaves for value in given)
        if told and any(value.data for value in given):
            self._tell(name)
        jaxpr, consts = (inner.jaxpr, inner.consts) if isinstance(inner, core.ClosedJaxpr) else (inner, ())
        self._quiet += told
        made = self._walk(jaxpr, consts, given)
        self._quiet -= told
        return made

    def _round(self, equation: Any, given: Sequence[Value]) -> None:
        """Follow a loop's body once, without numbers."""
        body, fixed = equation.params["jaxpr"], equation.params["num_consts"]
        carried = fixed + equation.params["num_carry"]
        inside = [replace(value, array=None) for value in given]
        inside[fixed:carried] = [
            value if value.leaves else replace(value, data=True, loop=True) for value in inside[fixed:carried]
        ]
        inside[carried:] = [
            replace(value, shape=value.shape[1:], view=None, order=(), flat=()) for value in inside[carried:]
        ]
        self._quiet += 1
        self._walk(body.jaxpr, body.consts, inside)
        self._quiet -= 1

    def _tell(self, what: str) -> None:
        if not self._quiet:
            self._between.append(what)

    # --- one equation -------------------------------------------------------------------------------------------------

    def _followed(self, name: str, params: Any, given: Sequence[Value], array: Any, shape: Shape) -> Value:
        weights, data = [value for value in given if value.leaves], [value for value in given if value.data]
        if kernel := kernel_of(name, params, given, array):
            return self._weighed(kernel)
        if weights and (data or name == "scan"):
            return self._met(name, weights, data[0] if name != "scan" else Value(None, shape), array, shape)
        if weights:
            return _of_arrays(name, params, given, weights, shape)
        if not data:
            return Value(None, shape)
        if name not in LAYOUTS:
            self._tell(described(name, given))
        return self._of_data(name, params, given, data, shape)

    def _weighed(self, kernel: Kernel) -> Value:
        """A kernel, and what it weighs. Of one that comes again the first time is looked at."""
        layer = self._of.get(kernel.array.name)
        if layer is None:
            layer = self._open(kernel.kind, {"kernel": kernel.array}, kernel.fed)
            layer.settings, layer.width = kernel.settings, kernel.width
            layer.recurs = kernel.fed.loop or not kernel.fed.data
            layer.flattened = kernel.fed.flat
            layer.given, layer.answer = kernel.given, kernel.answer
        return Value(None, (), data=True, made=layer, source=layer, order=kernel.order, loop=kernel.fed.loop)

    def _met(self, name: str, weights: Sequence[Value], fed: Value, array: Any, shape: Shape) -> Value:
        """Arrays that meet data: a bias, those of a norm, or what is no known layer's."""
        order = fed.order if fed.shape == shape else ()
        made = fed.made if name in _ROLES else None
        plain = Value(None, shape, data=True, made=made, source=fed.source, order=order, loop=fed.loop)
        new = [leaf for value in weights for leaf in sorted(value.leaves) if leaf not in self._of]
        layer = fed.made
        if not new:
            return plain
        if layer and layer.kind in _WEIGHED and name == "add" and len(new) == 1 and weights[0].view:
            bias = self._vector(new[0])
            if bias.common() == (layer.width,) and "bias" not in layer.arrays:
                self._of[new[0]], layer.arrays["bias"] = layer, bias
                if layer.answer is not None:
                    layer.answer = as_seen(array, order).reshape(layer.answer.shape)
                return plain
        known = {leaf: role for value in weights for leaf, role in value.roles.items()}
        roles = {known.get(leaf, _ROLES.get(name, "")): leaf for leaf in new}
        open_norm = layer is not None and layer.kind.endswith("_norm") and not roles.keys() & layer.arrays.keys()
        kind = (
            layer.kind
            if layer and open_norm
            else kind_of_norm([axes for _, axes in fed.reduced], len(fed.shape), tuple(roles))
        )
        if kind == "own" or name not in _ROLES or len(roles) < len(new):
            for leaf in new:
                self._single(leaf, fed, as_seen(array, order))
            return replace(plain, made=None)
        if layer is None or not open_norm:
            layer = self._open(kind, {}, fed)
        for role, leaf in roles.items():
            self._of[leaf], layer.arrays[role] = layer, self._vector(leaf)
        epsilon = next((value.epsilon for value in (*weights, fed) if value.epsilon is not None), None)
        if epsilon is not None:
            layer.settings["epsilon"] = epsilon
        layer.answer = as_seen(array, order)
        return replace(plain, made=layer, source=layer)

    def _vector(self, leaf: str) -> Array:
        shape = self._shapes[leaf]
        return Array(leaf, shape, () if len(shape) == 1 else (Step("reshape", (math.prod(shape),)),))

    def _open(self, kind: str, arrays: dict[str, Array], fed: Value) -> Layer:
        layer = Layer(kind, arrays, before=tuple(self._between), behind=fed.source)
        if not self._quiet:
            self._between = []
        self._of |= {array.name: layer for array in arrays.values()}
        self.layers.append(layer)
        return layer

    def _single(self, leaf: str, fed: Value, answer: NDArray[Any] | None = None) -> None:
        """An array of no known layer."""
        layer = self._open("own", {leaf.rpartition("/")[2]: Array(leaf, self._shapes[leaf])}, fed)
        layer.answer = answer

    def _of_data(self, name: str, params: Any, given: Sequence[Value], data: Sequence[Value], shape: Shape) -> Value:
        sources = {id(value.source): value.source for value in data}
        alike = next((value for value in data if value.shape == shape), data[0])
        relays = name in LAYOUTS
        order, flat = relaid_order(name, params, data[0], shape) if relays else (
            (alike.order, alike.flat) if alike.shape == shape else ((), ())
        )  # fmt: skip
        reduced = frozenset().union(*(value.reduced for value in data))
        if name.startswith("reduce_"):
            reduced |= {(next(self._count), tuple(params["axes"]))}
        epsilon = next((value.epsilon for value in data if value.epsilon is not None), None)
        if name in ("sqrt", "rsqrt"):
            epsilon = data[0].small
        small = (
            next((found for value in given if (found := number(value)) is not None), None) if name == "add" else None
        )
        return Value(
            None,
            shape,
            data=True,
            made=data[0].made if relays else self._summed(name, data),
            source=next(iter(sources.values())) if len(sources) == 1 else None,
            order=order,
            flat=flat,
            reduced=reduced,
            loop=any(value.loop for value in data),
            small=data[0].small if relays else small,
            epsilon=epsilon,
        )

    def _summed(self, name: str, data: Sequence[Value]) -> Layer | None:
        """The cell of which two products are added, one of them with what has gone round a loop; None for no cell."""
        layers = [value.made for value in data if value.made is not None]
        if name != "add" or len(layers) != 2:
            return None
        one, two = sorted(layers, key=lambda layer: layer.recurs)
        if one is two and "recurrent" in one.arrays:
            return one
        height, width = two.arrays["kernel"].common() if two.kind == "dense" else (0, 0)
        kind = _GATES.get(width // height) if height and width % height == 0 else None
        if not (one.kind == "dense" and kind and two.recurs and not one.recurs and one.width == two.width):
            return None
        one.kind, one.answer, one.given = kind, None, None
        one.arrays["recurrent"] = two.arrays["kernel"]
        if "bias" in two.arrays:
            one.arrays["recurrent_bias" if "bias" in one.arrays else "bias"] = two.arrays["bias"]
        self._of |= {array.name: one for array in two.arrays.values()}
        self.layers.remove(two)
        return one


def _computed(equation: Any, given: Sequence[Value]) -> list[Any]:
    """What an equation makes; None for what cannot be said, in a loop's body."""
    if any(value.array is None for value in given):
        return [None] * len(equation.outvars)
    params = equation.primitive.get_bind_params(equation.params)
    made = equation.primitive.bind(*(value.array for value in given), **params)
    return list(made) if equation.primitive.multiple_results else [made]


def _of_arrays(name: str, params: Any, given: Sequence[Value], weights: Sequence[Value], shape: Shape) -> Value:
    """What is computed of arrays of the tree alone."""
    one, leaves = weights[0], frozenset().union(*(value.leaves for value in weights))
    roles = {leaf: role for value in weights for leaf, role in value.roles.items()}
    view = relaid_view(name, params, one.view, shape) if len(weights) == 1 else None
    small, epsilon = one.small, next((value.epsilon for value in weights if value.epsilon is not None), None)
    if name == "add":
        small = next((found for value in given if (found := number(value)) is not None), None)
    if name in ("sqrt", "rsqrt"):
        roles |= {leaf: "moving_variance" for leaf in one.leaves if leaf not in roles}
        epsilon = one.small
    if name in ("mul", "div") and "moving_variance" in roles.values():
        # gamma by the root of the variance; the mean by both
        role = "moving_mean" if "gamma" in roles.values() else "gamma"
        roles |= {leaf: role for leaf in leaves if leaf not in roles}
    if name == "sub" and len(weights) == 2:
        roles |= {leaf: "moving_mean" for leaf in weights[1].leaves if leaf not in roles}
    return Value(None, shape, leaves=leaves, view=view, roles=roles, small=small, epsilon=epsilon)
