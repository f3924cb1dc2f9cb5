"""scikit-learn: predictors that need no network. They see one number or more of an image, which its encoding makes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import sklearn
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge

from harness.errors import Unavailable
from harness.model.architecture import Estimator, Shape, Weights
from harness.model.weights import check_fit
from harness.protocol import (
    Arrays,
    Counts,
    History,
    Images,
    OnEpoch,
    Precision,
    Recipe,
    Schedule,
    Targets,
    Task,
    TrainingData,
    Variant,
)

REQUIRES = ("sklearn", "onnx")
TRAINS = ("estimator",)
COMPUTES_WITH = ("numpy", "scikit-learn", "scipy")


def configure(threads: int, device: str, precision: Precision = "float32") -> dict[str, str]:
    """See `Backend.configure`. These predictors are too small for threads or an accelerator to matter."""
    if precision != "float32":
        raise Unavailable("scikit-learn's predictors keep float32 weights")
    return {"scikit-learn": sklearn.__version__, "device": "cpu"}


def build(variant: Variant, task: Task, seed: int) -> Linear | Identity:
    """See `Backend.build`. Nothing here is random."""
    assert isinstance(variant.architecture, Estimator)
    if variant.architecture.method == "identity":
        return Identity(task)
    return Linear(variant.architecture, task)


class Layerless:
    """What has no network has no layers that could be frozen."""

    def features(self, images: Images) -> NDArray[np.float32]:
        """Raise NotImplementedError: there are no frozen layers."""
        raise NotImplementedError("a predictor without a network has no frozen layers")

    def activations(self, images: Images) -> Arrays:
        """Raise NotImplementedError: there are no layers."""
        raise NotImplementedError("a predictor without a network has no layers")

    def loss_and_gradients(self, images: Images, targets: Targets, recipe: Recipe) -> tuple[float, Arrays]:
        """Raise NotImplementedError: there are no gradients."""
        raise NotImplementedError("a predictor without a network is not trained by gradient")


def _flat(seen: Images) -> Targets:
    """(n, k) in float64 of what is seen (n, ...)."""
    return seen.reshape(len(seen), math.prod(seen.shape[1:])).astype(np.float64)  # also of none


class Linear(Layerless):
    """`mean` and `ridge`: a line in what is seen, whose slope is zero for the mean."""

    def __init__(self, estimator: Estimator, task: Task) -> None:
        self._task = task
        self._regressor = DummyRegressor() if estimator.method == "mean" else Ridge(alpha=estimator.alpha)
        count, self._seen = len(task.targets), int(np.prod(task.input_shape))
        self._shapes: dict[str, Shape] = {"line/bias": (count,)}
        if estimator.method == "ridge":
            self._shapes = {"line/kernel": (self._seen, count), **self._shapes}
        self._weights = {name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()}

    def counts(self) -> Counts:
        """See `Model.counts`: the numbers fitted."""
        fitted = sum(int(np.prod(shape)) for shape in self._shapes.values())
        return Counts(fitted, 0, {"line": fitted})

    def weights(self) -> Weights:
        """See `Model.weights`."""
        return {name: array.copy() for name, array in self._weights.items()}

    def set_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.set_weights`."""
        check_fit(weights, self._shapes)
        self._weights = {name: np.array(array, np.float32) for name, array in weights.items()}

    def train(
        self,
        data: TrainingData,
        recipe: Recipe | None,
        schedule: Schedule | None,
        on_epoch: OnEpoch,
    ) -> History:
        """See `Model.train`. Solved, not iterated."""
        begin = time.perf_counter()
        self._regressor.fit(_flat(data.images), self._task.scaling.to_network(data.targets))
        if isinstance(self._regressor, Ridge):
            kernel = self._regressor.coef_.reshape(-1, self._seen).T
            fitted = {"line/kernel": kernel, "line/bias": self._regressor.intercept_}
        else:
            fitted = {"line/bias": self._regressor.constant_[0]}
        self.set_weights(fitted)
        return History(seconds=time.perf_counter() - begin)

    def predict(self, images: Images) -> Targets:
        """See `Model.predict`."""
        slope = self._weights.get("line/kernel", np.zeros((self._seen, 1), np.float32))
        return self._task.scaling.to_physical(_flat(images) @ slope + self._weights["line/bias"])

    def export(self, path: Path) -> None:
        """See `Model.export`."""
        scaling, count = self._task.scaling, len(self._task.targets)
        kernel = self._weights.get("line/kernel", np.zeros((self._seen, count), np.float32))
        level = self._weights["line/bias"] * np.array(scaling.scale) + np.array(scaling.offset)
        nodes = [("Flatten", ["images"], "seen"), ("Gemm", ["seen", "slope", "level"], "prediction")]
        _export(path, self._task, nodes, slope=kernel * np.array(scaling.scale), level=level)


class Identity(Layerless):
    """`identity`: answers what it sees, one number for each target, in its unit; nothing is trained."""

    def __init__(self, task: Task) -> None:
        if task.input_shape != (len(task.targets),):
            raise Unavailable(f"its encoding gives {task.input_shape} numbers, not one for each of {task.targets}")
        self._task = task

    def counts(self) -> Counts:
        """See `Model.counts`: nothing is fitted."""
        return Counts(0, 0, {})

    def weights(self) -> Weights:
        """See `Model.weights`: none."""
        return {}

    def set_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.set_weights`: there is nothing to set."""
        check_fit(weights, {})

    def train(
        self,
        data: TrainingData,
        recipe: Recipe | None,
        schedule: Schedule | None,
        on_epoch: OnEpoch,
    ) -> History:
        """See `Model.train`: nothing is."""
        return History()

    def predict(self, images: Images) -> Targets:
        """See `Model.predict`."""
        return images.astype(np.float64)

    def export(self, path: Path) -> None:
        """See `Model.export`."""
        _export(path, self._task, [("Identity", ["images"], "prediction")])


def _export(path: Path, task: Task, nodes: list[tuple[str, list[str], str]], **arrays: NDArray[np.float64]) -> None:
    """Write a graph of `nodes` (operator, inputs, output), with `arrays` as initializers."""
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, [output]) for operator, inputs, output in nodes],
        "classical",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *task.input_shape])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["batch", len(task.targets)])],
        [numpy_helper.from_array(np.ascontiguousarray(a, np.float32), name) for name, a in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
