"""Double precision of Keras on TensorFlow: what both keep in single even there is made exact, or told."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

_tf: Any = importlib.import_module("tensorflow")
_leaky_relu, _gelu, _cast, _convert = _tf.nn.leaky_relu, _tf.nn.gelu, _tf.cast, _tf.convert_to_tensor
_bitcast = _tf.bitcast
_parse = keras.DTypePolicy._parse_name
_input = keras.layers.InputLayer.__init__


def make_exact() -> None:
    """From now on, constants and layers of this process are in double precision where Keras is set to that."""
    _tf.nn.leaky_relu, _tf.nn.gelu = _exact_leaky_relu, _exact_gelu
    _tf.cast, _tf.convert_to_tensor, _tf.bitcast = _exact_cast, _exact_convert, _exact_bitcast
    keras.DTypePolicy._parse_name = _parse_in_double
    keras.layers.InputLayer.__init__ = _input_in_double


def _in_double() -> bool:
    return bool(keras.config.floatx() == "float64")


def _exact_leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Any:
    """TensorFlow's, which keeps the slope in single precision whatever it computes in: here it is exact."""
    if "float64" not in str(features.dtype):
        return _leaky_relu(features, alpha, name)
    return keras.ops.where(features >= 0, features, alpha * features)


def _exact_gelu(features: Any, approximate: bool = False, name: str | None = None) -> Any:
    """TensorFlow's, which rounds the root of two to single precision: here it is exact."""
    if approximate or "float64" not in str(features.dtype):
        return _gelu(features, approximate, name)
    return 0.5 * features * (1.0 + keras.ops.erf(features / np.sqrt(2)))


def _exact_cast(x: Any, dtype: Any, name: str | None = None) -> Any:
    """TensorFlow's, which makes a Python number single before it makes it anything else: here it is exact. What is cast
    to single precision by name, as in norms that are written so, is in double.
    """
    if not _in_double():
        return _cast(x, dtype, name)
    wider = "float64" if dtype in ("float32", _tf.float32) else dtype
    return _cast(_tf.constant(x, "float64") if _is_real(x) else x, wider, name)


def _exact_bitcast(input: Any, type: Any, name: str | None = None) -> Any:
    """TensorFlow's; of a number that was cast to single precision to look at its sign, as Keras does for `argmax`, and
    is in double here, the half with the sign.
    """
    made = _bitcast(input, type, name)
    return made[..., 1] if _in_double() and input.dtype == _tf.float64 and type in (_tf.int32, "int32") else made


def _exact_convert(value: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
    """TensorFlow's, for which a Python number is single where nobody says otherwise: here it is exact."""
    return _convert(value, "float64" if dtype is None and _in_double() and _is_real(value) else dtype, *args, **kwargs)


def _is_real(value: Any) -> bool:
    """Whether it is a Python number with a fraction, or a list of such."""
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_is_real, value))
    return isinstance(value, float)


def _parse_in_double(policy: Any, name: Any) -> Any:
    """A layer's policy: that of a saved model was written down, and is not what is asked for here."""
    return _parse(policy, "float64" if name == "float32" and _in_double() else name)


def _input_in_double(self: Any, *args: Any, **kwargs: Any) -> None:
    """The same of a model's input; `self` is a name that Keras looks for."""
    if kwargs.get("dtype") == "float32" and _in_double():
        kwargs["dtype"] = "float64"
    _input(self, *args, **kwargs)


@contextlib.contextmanager
def in_single(told: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile `told` hears of every operation on numbers with a fraction in less than double precision, by its name
    and that of the layer which computes it.
    """
    callbacks = importlib.import_module("tensorflow.python.framework.op_callbacks")
    path = importlib.import_module("keras.src.backend.common.name_scope").current_path

    def computed(operation: Any, inputs: Any, _: Any, outputs: Any, *__: Any, **___: Any) -> None:
        if any(map(_is_coarse, (*inputs, *outputs))):
            name = operation.decode() if isinstance(operation, bytes) else operation
            layer = path().partition("/")[2]
            told(f"{name} of {layer}" if layer else name)

    callbacks.add_op_callback(computed)
    try:
        yield
    finally:
        callbacks.remove_op_callback(computed)


def _is_coarse(tensor: Any) -> bool:
    """Whether a tensor has numbers that less than double precision may have rounded; of whole ones there are none."""
    if str(getattr(tensor.dtype, "name", "")) not in ("float32", "float16", "bfloat16"):
        return False
    if not hasattr(tensor, "numpy"):  # one of a graph, whose numbers nobody knows yet
        return True
    array = np.asarray(tensor, np.float64)
    return bool((array != np.rint(array)).any())
