"""Somebody's own scikit-learn estimator, which is shown numbers (n, k): what an image is encoded to, or its pixels."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from sklearn.base import is_classifier, is_regressor
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils import get_tags

from backends._classical_parts import RAREST, Floats, Predictor, known_classes, node
from harness.errors import NotExported, Unavailable
from harness.model import code
from harness.model.architecture import Imported
from harness.protocol import Arrays, Classes, Task


class Code(Predictor):
    """Of numbers a regressor, one for each target where it cannot answer several; of classes a classifier that knows
    probabilities. What it has fitted is its own: no array is known, and the exported file is all that is kept.
    """

    def __init__(self, imported: Imported, task: Task, seed: int) -> None:
        super().__init__(task)
        self._path = imported.path
        self._estimator = code.make(self._path, task.input_shape, len(task.targets), seed)
        of_classes = isinstance(task.scaling, Classes)
        if of_classes and not (is_classifier(self._estimator) and hasattr(self._estimator, "predict_proba")):
            raise Unavailable(f"{self._path}: classes are to be told apart, and it is no classifier with predict_proba")
        if not of_classes and not is_regressor(self._estimator):
            raise Unavailable(f"{self._path}: numbers are to be predicted, and it is no regressor")
        random = [name for name in self._estimator.get_params() if name.split("__")[-1] == "random_state"]
        self._estimator.set_params(**dict.fromkeys(random, seed))
        if not of_classes and self._count > 1 and not get_tags(self._estimator).target_tags.multi_output:
            self._estimator = MultiOutputRegressor(self._estimator)
        self._known: NDArray[np.intp] = np.arange(self._count)

    def counts(self) -> None:
        """See `Model.counts`: they are in no arrays that are known."""

    def _fit(self, seen: Floats, wanted: Floats) -> Arrays:
        if isinstance(self._task.scaling, Classes):
            self._known, which = known_classes(wanted)
            self._estimator.fit(seen, which)
        else:
            self._estimator.fit(seen, wanted if self._count > 1 else wanted[:, 0])
        return {}

    def _answer(self, seen: Floats) -> Floats:
        if not len(seen):  # which scikit-learn refuses
            return np.zeros((0, self._count))
        if not isinstance(self._task.scaling, Classes):
            return np.asarray(self._estimator.predict(seen), np.float64).reshape(len(seen), self._count)
        probabilities = np.full((len(seen), self._count), RAREST)
        probabilities[:, self._known] = np.maximum(self._estimator.predict_proba(seen), RAREST)
        return np.log(probabilities)  # softmax makes probabilities of these again

    def export(self, path: Path) -> None:
        """See `Model.export`: by skl2onnx, which does not know every estimator."""
        if importlib.util.find_spec("skl2onnx") is None:
            raise NotExported("skl2onnx is not installed: pip install 'cijbench[sklearn]'")
        try:
            model = self._converted()
            onnx.checker.check_model(model, full_check=True)
        except Exception as error:  # whatever skl2onnx raises over what it does not know
            raise NotExported(f"skl2onnx: {code.first_line(error)}") from error
        onnx.save(model, path)

    def _converted(self) -> onnx.ModelProto:
        """skl2onnx's graph from numbers to answers, between flattened images and physical units."""
        from skl2onnx import to_onnx  # noqa: PLC0415  an extra
        from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415

        of_classes = isinstance(self._task.scaling, Classes)
        options = {id(self._estimator): {"zipmap": False}} if of_classes else None
        types = [("seen", FloatTensorType([None, self._seen]))]
        model = to_onnx(self._estimator, initial_types=types, options=options, target_opset={"": 18, "ai.onnx.ml": 3})
        graph, answers = model.graph, model.graph.output[-1].name
        nodes = [node("Reshape", f"{answers} wide", "answers")]
        arrays = {"wide": np.array([-1, len(self._known)])}
        if of_classes:
            # Every class, of those that no training image has as good as nothing.
            arrays["spread"] = np.eye(self._count, dtype=np.float32)[self._known]
            nodes += [node("MatMul", "answers spread", "prediction")]
        else:
            arrays |= {name: array.astype(np.float32) for name, array in self._physical().items()}
            nodes += [node("Mul", "answers scale", "scaled"), node("Add", "scaled offset", "prediction")]
        graph.node.insert(0, node("Flatten", "images", "seen"))
        graph.node.extend(nodes)
        graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())
        ends = ("images", ["batch", *self._task.input_shape]), ("prediction", ["batch", self._count])
        for values, (name, shape) in zip((graph.input, graph.output), ends, strict=True):
            del values[:]
            values.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
        return model
