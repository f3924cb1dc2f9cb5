"""What all of scikit-learn's predictors share, and how their graphs are written."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from harness.errors import Unavailable
from harness.model.architecture import Weights
from harness.model.variants import Recipe, Schedule
from harness.model.weights import check_fit
from harness.protocol import (
    Arrays,
    Counts,
    History,
    Images,
    OnEpoch,
    Scaling,
    Targets,
    Task,
    TrainingData,
)

Floats = NDArray[np.float64]


class Predictor(ABC):
    """What all have in common; see `harness.protocol.Model`. All that is fitted is in arrays: predictions are computed
    from them, here and in the exported model.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._count, self._seen = len(task.targets), math.prod(task.input_shape)
        self._weights: Weights = {}

    @abstractmethod
    def _fit(self, seen: Floats, wanted: Floats) -> Arrays:
        """What is learnt from what is seen (n, k) and wanted (n, t), standardised, in arrays."""

    @abstractmethod
    def _answer(self, seen: Floats) -> Floats:
        """(n, t) standardised answers."""

    @abstractmethod
    def export(self, path: Path) -> None:
        """See `Model.export`."""

    def counts(self) -> Counts | None:
        """See `Model.counts`: the numbers fitted."""
        layers: dict[str, int] = {}
        for name, array in self._weights.items():
            layer = name.partition("/")[0]
            layers[layer] = layers.get(layer, 0) + array.size
        return Counts(sum(layers.values()), 0, layers)

    def weights(self) -> Weights:
        """See `Model.weights`."""
        return {name: array.copy() for name, array in self._weights.items()}

    def set_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.set_weights`."""
        check_fit(weights, {name: array.shape for name, array in self._weights.items()})
        self._weights = {name: np.array(weights[name], np.float32) for name in self._weights}

    def train(self, data: TrainingData, recipe: Recipe | None, schedule: Schedule | None, on_epoch: OnEpoch) -> History:
        """See `Model.train`."""
        begin = time.perf_counter()
        fitted = self._fit(flat(data.images), self._task.scaling.to_network(data.targets).astype(np.float64))
        self._weights = {name: np.array(array, np.float32) for name, array in fitted.items()}
        return History(seconds=time.perf_counter() - begin)

    def predict(self, images: Images) -> Targets:
        """See `Model.predict`."""
        return self._task.scaling.to_physical(self._answer(flat(images)))

    def _physical(self) -> dict[str, Floats]:
        """Arrays that take standardised answers to physical units."""
        assert isinstance(self._task.scaling, Scaling)
        return {"scale": np.array(self._task.scaling.scale), "offset": np.array(self._task.scaling.offset)}

    def features(self, images: Images) -> NDArray[np.float32]:
        """Raise NotImplementedError: there are no frozen layers."""
        raise NotImplementedError("a predictor without a network has no frozen layers")

    def activations(self, images: Images) -> Arrays:
        """Raise NotImplementedError: there are no layers."""
        raise NotImplementedError("a predictor without a network has no layers")

    def loss_and_gradients(self, images: Images, targets: Targets, recipe: Recipe) -> tuple[float, Arrays]:
        """Raise NotImplementedError: there are no gradients."""
        raise NotImplementedError("a predictor without a network is not trained by gradient")


def flat(seen: Images) -> Floats:
    """(n, k) in float64 of what is seen (n, ...)."""
    return seen.reshape(len(seen), math.prod(seen.shape[1:])).astype(np.float64)  # also of none


RAREST = 1e-9  # the probability of a class that no training image has


def known_classes(wanted: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The classes that there are in (n, t) ones and zeros, and which of these each row is. Raises Unavailable where all
    are of one.
    """
    known, which = np.unique(wanted.argmax(axis=1), return_inverse=True)
    if len(known) < 2:
        raise Unavailable("its training images are all of one class")
    return known, which


ML = "ai.onnx.ml"


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    """Names of inputs are separated by spaces."""
    return helper.make_node(operator, inputs.split(), [output], **attributes)


def write_graph(path: Path, task: Task, nodes: list[onnx.NodeProto], arrays: Arrays) -> None:
    """Write a graph of `nodes`, with `arrays` as initializers, in the precision that they are in."""
    domains = sorted({node.domain for node in nodes})
    versions = {"": 18, ML: 3}
    graph = helper.make_graph(
        nodes,
        "classical",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *task.input_shape])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["batch", len(task.targets)])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid(domain, versions[domain]) for domain in domains]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
