"""scikit-learn: predictors that need no network. All they see of an image is its volume fraction, the mean pixel."""

from __future__ import annotations

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
    Phase,
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


def configure(threads: int, device: str, precision: Precision = "float32") -> dict[str, str]:
    """See `Backend.configure`. These predictors are too small for threads or an accelerator to matter."""
    if precision != "float32":
        raise Unavailable("scikit-learn's predictors keep float32 weights")
    return {"scikit-learn": sklearn.__version__, "device": "cpu"}


def build(variant: Variant, task: Task, seed: int) -> Linear | VoigtReussHill:
    """See `Backend.build`. Nothing here is random."""
    assert isinstance(variant.architecture, Estimator)
    if variant.architecture.method == "voigt_reuss_hill":
        return VoigtReussHill(task)
    return Linear(variant.architecture, task)


def volume_fraction(images: Images) -> Targets:
    """(n, 1) mean pixel of images (n, height, width, channel)."""
    return images.mean(axis=(1, 2, 3), dtype=np.float64)[:, None]


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


class Linear(Layerless):
    """`mean` and `ridge`: a line in the volume fraction, whose slope is zero for the mean."""

    def __init__(self, estimator: Estimator, task: Task) -> None:
        self._task = task
        self._regressor = DummyRegressor() if estimator.method == "mean" else Ridge(alpha=estimator.alpha)
        count = len(task.targets)
        self._shapes: dict[str, Shape] = {"line/bias": (count,)}
        if estimator.method == "ridge":
            self._shapes = {"line/kernel": (1, count), **self._shapes}
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
        self._regressor.fit(volume_fraction(data.images), self._task.scaling.to_network(data.targets))
        if isinstance(self._regressor, Ridge):
            fitted = {"line/kernel": self._regressor.coef_.reshape(-1, 1).T, "line/bias": self._regressor.intercept_}
        else:
            fitted = {"line/bias": self._regressor.constant_[0]}
        self.set_weights(fitted)
        return History(seconds=time.perf_counter() - begin)

    def predict(self, images: Images) -> Targets:
        """See `Model.predict`."""
        slope = self._weights.get("line/kernel", np.zeros((1, 1), np.float32))
        return self._task.scaling.to_physical(volume_fraction(images) @ slope + self._weights["line/bias"])

    def export(self, path: Path) -> None:
        """See `Model.export`."""
        scaling = self._task.scaling
        slope = np.broadcast_to(self._weights.get("line/kernel", 0.0), (1, len(scaling.scale))) * np.array(
            scaling.scale
        )
        level = self._weights["line/bias"] * np.array(scaling.scale) + np.array(scaling.offset)
        _export(path, self._task, [("Gemm", ["fraction", "slope", "level"], "prediction")], slope=slope, level=level)


class VoigtReussHill(Layerless):
    """The mean of Voigt's and Reuss's bounds (Hill 1952) of two isotropic phases; nothing is trained.

    Of isotropic phases both bounds are isotropic, and so is every constant a sum of bulk modulus K and shear modulus G:
    C11 = K + 4/3 G, C12 = K - 2/3 G, C44 = G. Voigt averages the moduli, Reuss their inverses.
    """

    def __init__(self, task: Task) -> None:
        if task.phases is None:
            raise Unavailable("the data set does not name its two phases; give them as phases=E,nu,E,nu (soft, stiff)")
        if unknown := [name for name in task.targets if name not in _MODULI]:
            raise Unavailable(f"Voigt-Reuss-Hill gives elastic constants, not {', '.join(unknown)}")
        self._task = task
        soft, stiff = (_bulk_and_shear(phase) for phase in task.phases)
        # Rows: Voigt's K and G at fractions 0 and 1, and the inverses that Reuss averages.
        self._at_zero = np.concatenate([soft, 1 / soft])
        self._slope = np.concatenate([stiff, 1 / stiff]) - self._at_zero
        self._moduli = np.array([_MODULI[name] for name in task.targets]).T / 2

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
        averages = self._at_zero + volume_fraction(images) * self._slope
        constants: Targets = (averages[:, :2] + 1 / averages[:, 2:]) @ self._moduli
        return constants

    def export(self, path: Path) -> None:
        """See `Model.export`."""
        nodes: list[tuple[str, list[str], str]] = [
            ("Gemm", ["fraction", "voigt_slope", "voigt_at_zero"], "voigt"),
            ("Gemm", ["fraction", "reuss_slope", "reuss_at_zero"], "inverse_reuss"),
            ("Reciprocal", ["inverse_reuss"], "reuss"),
            ("Add", ["voigt", "reuss"], "moduli_twice"),
            ("MatMul", ["moduli_twice", "moduli"], "prediction"),
        ]
        arrays = {
            "voigt_at_zero": self._at_zero[:2],
            "voigt_slope": self._slope[None, :2],
            "reuss_at_zero": self._at_zero[2:],
            "reuss_slope": self._slope[None, 2:],
            "moduli": self._moduli,
        }
        _export(path, self._task, nodes, **arrays)


_MODULI = {
    **dict.fromkeys(("C11", "C22", "C33"), (1.0, 4 / 3)),
    **dict.fromkeys(("C12", "C23", "C13"), (1.0, -2 / 3)),
    **dict.fromkeys(("C44", "C55", "C66"), (0.0, 1.0)),
}


def _bulk_and_shear(phase: Phase) -> NDArray[np.float64]:
    return np.array([phase.young / (3 * (1 - 2 * phase.poisson)), phase.young / (2 * (1 + phase.poisson))])


def _export(path: Path, task: Task, nodes: list[tuple[str, list[str], str]], **arrays: NDArray[np.float64]) -> None:
    """Write a graph of `nodes` (operator, inputs, output) after the volume fraction, with `arrays` as initializers."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images", "pixels"], ["mean"], keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "last"], ["fraction"]),
            *(helper.make_node(operator, inputs, [output]) for operator, inputs, output in nodes),
        ],
        "classical",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *task.input_shape])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["batch", len(task.targets)])],
        [
            numpy_helper.from_array(np.array([1, 2, 3], np.int64), "pixels"),
            numpy_helper.from_array(np.array([1], np.int64), "last"),
            *(numpy_helper.from_array(np.ascontiguousarray(a, np.float32), name) for name, a in arrays.items()),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
