"""scikit-learn: predictors that need no network. They see one number or more of an image, which its encoding makes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import sklearn
from numpy.typing import NDArray
from onnx import TensorProto
from scipy.spatial.distance import cdist
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.linear_model import LogisticRegression, Ridge

from backends._classical_code import Code
from backends._classical_parts import ML, RAREST, Floats, Predictor, flat, known_classes, node, write_graph
from harness.errors import Unavailable
from harness.model.architecture import Estimator, Imported
from harness.model.variants import Variant
from harness.protocol import (
    Arrays,
    Classes,
    Images,
    Precision,
    Targets,
    Task,
)
from harness.text import Device

REQUIRES = ("sklearn", "onnx")
TRAINS = ("estimator", "scikit-learn")
COMPUTES_WITH = ("numpy", "scikit-learn", "scipy")


def configure(threads: int, device: Device, precision: Precision = "float32") -> dict[str, str]:
    """See `Backend.configure`. These predictors are too small for threads or an accelerator to matter."""
    if precision != "float32":
        raise Unavailable("scikit-learn's predictors keep float32 weights")
    return {"scikit-learn": sklearn.__version__, "device": "cpu"}


def build(variant: Variant, task: Task, seed: int) -> Predictor:
    """See `Backend.build`. Nothing here is random but somebody's own code."""
    estimator = variant.architecture
    if isinstance(estimator, Imported):
        return Code(estimator, task, seed)
    assert isinstance(estimator, Estimator)
    match estimator.method:
        case "identity":
            return Identity(estimator, task)
        case "gaussian-process":
            if isinstance(task.scaling, Classes):
                raise Unavailable("a Gaussian process answers numbers, not classes")
            return Process(estimator, task)
        case "boosted-trees":
            return Trees(estimator, task)
        case _:
            return Linear(estimator, task)


def _weight(estimator: Estimator, wanted: Floats) -> Floats | None:
    """(n,) how often each image counts of which the classes (n, t) are wanted; None where each counts once."""
    factors = estimator.class_weights
    return None if factors is msgspec.UNSET else wanted @ np.array(factors)


class Linear(Predictor):
    """`mean` and `ridge`: a line in what is seen, whose slope is zero for the mean; of classes their frequencies, and
    multinomial logistic regression with the same penalty (Hastie, Tibshirani and Friedman 2009, section 4.4).
    """

    def __init__(self, estimator: Estimator, task: Task) -> None:
        super().__init__(task)
        self._estimator = estimator
        self._weights["line/bias"] = np.zeros(self._count, np.float32)
        if estimator.method == "ridge":
            self._weights = {"line/kernel": np.zeros((self._seen, self._count), np.float32), **self._weights}

    def _fit(self, seen: Floats, wanted: Floats) -> Arrays:
        classes = isinstance(self._task.scaling, Classes)
        if self._estimator.method == "mean":
            means = DummyRegressor().fit(seen, wanted).constant_[0]
            return {"line/bias": np.log(np.maximum(means, RAREST)) if classes else means}
        if classes:
            return self._fit_classes(seen, wanted)
        line = Ridge(alpha=self._estimator.alpha).fit(seen, wanted)
        return {"line/kernel": line.coef_.reshape(-1, self._seen).T, "line/bias": line.intercept_}

    def _fit_classes(self, seen: Floats, wanted: Floats) -> Arrays:
        known, which = known_classes(wanted)
        line = LogisticRegression(
            C=1 / self._estimator.alpha if self._estimator.alpha else np.inf, max_iter=_ITERATIONS
        )
        line.fit(seen, which, _weight(self._estimator, wanted))
        slope, level = line.coef_, line.intercept_
        if len(known) == 2:  # which scikit-learn tells apart by one logit
            slope, level = np.concatenate([-slope, slope]) / 2, np.concatenate([-level, level]) / 2
        kernel, bias = np.zeros((self._seen, self._count)), np.full(self._count, np.log(RAREST))
        kernel[:, known], bias[known] = slope.T, level
        return {"line/kernel": kernel, "line/bias": bias}

    def _slope(self) -> Floats:
        none = np.zeros((self._seen, self._count), np.float32)
        return self._weights.get("line/kernel", none).astype(np.float64)

    def _answer(self, seen: Floats) -> Floats:
        answer: Floats = seen @ self._slope() + self._weights["line/bias"]
        return answer

    def export(self, path: Path) -> None:
        """See `Model.export`."""
        nodes, slope = [node("Flatten", "images", "seen")], self._slope()
        level = self._weights["line/bias"].astype(np.float64)
        if isinstance(self._task.scaling, Classes):
            nodes += [node("Gemm", "seen slope level", "logits"), node("Softmax", "logits", "prediction", axis=1)]
        else:
            scale, offset = self._physical().values()
            nodes += [node("Gemm", "seen slope level", "prediction")]
            slope, level = slope * scale, level * scale + offset
        write_graph(path, self._task, nodes, {"slope": slope.astype(np.float32), "level": level.astype(np.float32)})


_ITERATIONS = 1000


class Process(Predictor):
    """`gaussian-process`: the mean of a Gaussian process with one Matérn covariance for all targets; its length, height
    and noise have the largest likelihood of the training images (Rasmussen and Williams 2006, sections 2.2 and 5.4).

    Raises Unavailable in training for more than `LARGEST_PROCESS` images: work grows with their number cubed.
    """

    def __init__(self, estimator: Estimator, task: Task) -> None:
        super().__init__(task)
        self._estimator = estimator
        self._hold(np.zeros((1, self._seen)), np.zeros((1, self._count)), 1.0)

    def _hold(self, points: Floats, coefficients: Floats, length: float) -> Arrays:
        fitted = {"points": points / length, "coefficients": coefficients, "inverse_length": np.array([1 / length])}
        arrays = {f"process/{name}": np.array(array, np.float32) for name, array in fitted.items()}
        self._weights = arrays
        return arrays

    def _fit(self, seen: Floats, wanted: Floats) -> Arrays:
        if len(seen) > LARGEST_PROCESS:
            raise Unavailable(
                f"a Gaussian process of {len(seen)} training images: its work grows with their number cubed, and "
                f"{LARGEST_PROCESS} is the most that is tried"
            )
        covariance = ConstantKernel(10.0, (1e-2, 1e5)) * Matern(4.0, (1e-1, 1e4), nu=self._estimator.nu)
        process = GaussianProcessRegressor(covariance + WhiteKernel(1e-2, (1e-8, 1.0)))
        with warnings.catch_warnings(category=ConvergenceWarning, action="ignore"):  # an end of its bounds is no fault
            process.fit(seen, wanted)
        found = process.kernel_.get_params()
        coefficients = found["k1__k1__constant_value"] * process.alpha_.reshape(len(seen), self._count)
        return self._hold(seen, coefficients, found["k1__k2__length_scale"])

    def _answer(self, seen: Floats) -> Floats:
        points, coefficients, inverse = (array.astype(np.float64) for array in self._weights.values())
        root = np.sqrt(2 * self._estimator.nu)
        far = root * cdist(seen * inverse, points)
        answer: Floats = (np.polynomial.Polynomial(_MATERN[self._estimator.nu])(far) * np.exp(-far)) @ coefficients
        return answer

    def export(self, path: Path) -> None:
        """See `Model.export`. In double precision: coefficients are large, and nearly cancel."""
        points, coefficients, inverse = (array.astype(np.float64) for array in self._weights.values())
        scale, offset = self._physical().values()
        terms = _MATERN[self._estimator.nu]
        nodes = [
            node("Flatten", "images", "flat"),
            node("Cast", "flat", "double", to=TensorProto.DOUBLE),
            node("Mul", "double inverse", "seen"),
            node("ReduceSumSquare", "seen last", "own"),
            node("Gemm", "seen points squares", "less", alpha=-2.0),
            node("Add", "own less", "any_square"),
            node("Max", "any_square zero", "square"),
            node("Mul", "square factor", "far_squared"),
            node("Sqrt", "far_squared", "far"),
            node("Neg", "far", "near"),
            node("Exp", "near", "decay"),
            *_polynomial(len(terms)),
            node("Mul", "polynomial decay", "covariance"),
            node("Gemm", "covariance coefficients offset", "wide"),
            node("Cast", "wide", "prediction", to=TensorProto.FLOAT),
        ]
        arrays = {
            "inverse": inverse,
            "points": points.T,
            "squares": (points**2).sum(axis=1),
            "zero": np.array(0.0),
            "factor": np.array(2 * self._estimator.nu),
            "coefficients": coefficients * scale,
            "offset": offset,
        } | {f"term_{power}": np.array(term) for power, term in enumerate(terms)}
        write_graph(path, self._task, nodes, arrays | {"last": np.array([1])})


LARGEST_PROCESS = 4000

# Matérn's covariance is exp(-x) times a polynomial in x = sqrt(2 nu) distance / length: its terms, by nu.
_MATERN: dict[float, tuple[float, ...]] = {0.5: (1.0,), 1.5: (1.0, 1.0), 2.5: (1.0, 1.0, 1 / 3)}


def _polynomial(count: int) -> list[onnx.NodeProto]:
    """Horner's scheme in `far`; times one, so that there is a value for every image where there is one term."""
    nodes = [node("Mul", "far zero", "sum_0"), node("Add", f"sum_0 term_{count - 1}", "sum_1")]
    for step in range(1, count):
        nodes += [
            node("Mul", f"sum_{2 * step - 1} far", f"sum_{2 * step}"),
            node("Add", f"sum_{2 * step} term_{count - 1 - step}", f"sum_{2 * step + 1}"),
        ]
    return [*nodes, node("Identity", f"sum_{2 * count - 1}", "polynomial")]


class Trees(Predictor):
    """`boosted-trees`: gradient boosting, a sum of trees for each target (Friedman 2001), or for the logit of a class.

    Nodes of all trees stand in one table: `feature` (-1 at a leaf), `threshold`, places of `left` and `right`, and
    `value`; each tree is known by its `root`, and the targets share the trees in equal parts, in their order.
    """

    def __init__(self, estimator: Estimator, task: Task) -> None:
        super().__init__(task)
        self._estimator = estimator
        leaf = {"feature": [-1], "threshold": [0], "left": [0], "right": [0], "value": [0]}
        leaf |= {"root": [0] * self._count, "base": [0] * self._count}
        self._weights = {f"trees/{name}": np.array(values, np.float32) for name, values in leaf.items()}

    def _fit(self, seen: Floats, wanted: Floats) -> Arrays:
        chosen = self._estimator
        told = {"n_estimators": chosen.trees, "max_depth": chosen.depth, "learning_rate": chosen.rate}
        if isinstance(self._task.scaling, Classes):
            return self._of_classes(seen, wanted, told)
        boosted = [GradientBoostingRegressor(random_state=0, **told).fit(seen, column) for column in wanted.T]
        trees = [tree.tree_ for target in boosted for (tree,) in target.estimators_]
        return self._in_one_table(trees, np.array([target.init_.constant_[0, 0] for target in boosted]))

    def _of_classes(self, seen: Floats, wanted: Floats, told: dict[str, Any]) -> Arrays:
        """Of two classes scikit-learn boosts the logit of the second alone, and of one that no training image has
        there is nothing to boost: these have trees of one leaf.
        """
        known, which = known_classes(wanted)
        weight = _weight(self._estimator, wanted)
        boosted = GradientBoostingClassifier(random_state=0, **told).fit(seen, which, weight)
        base = np.full(self._count, np.log(RAREST))
        base[known] = np.log(boosted.init_.class_prior_)
        trees = [[_Leaf()] * self._estimator.trees for _ in range(self._count)]
        for target, column in zip(known[-boosted.estimators_.shape[1] :], boosted.estimators_.T, strict=True):
            trees[target] = [tree.tree_ for tree in column]
        return self._in_one_table([tree for target in trees for tree in target], base)

    def _in_one_table(self, trees: list[Any], base: Floats) -> Arrays:
        """Trees as scikit-learn has them."""
        roots = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]
        # Features are compared in float32, where a threshold must not be rounded up to the next of them.
        limits = np.concatenate([tree.threshold for tree in trees])
        rounded = limits.astype(np.float32)
        fitted = {
            "feature": np.concatenate([np.maximum(tree.feature, -1) for tree in trees]),
            "threshold": np.where(rounded > limits, np.nextafter(rounded, np.float32(-np.inf)), rounded),
            "left": np.concatenate([tree.children_left + root for tree, root in zip(trees, roots, strict=True)]),
            "right": np.concatenate([tree.children_right + root for tree, root in zip(trees, roots, strict=True)]),
            "value": self._estimator.rate * np.concatenate([tree.value[:, 0, 0] for tree in trees]),
            "root": roots,
            "base": base,
        }
        return {f"trees/{name}": array for name, array in fitted.items()}

    def _table(self) -> tuple[NDArray[Any], ...]:
        feature, threshold, left, right, value, root, base = self._weights.values()
        return feature.astype(int), threshold, left.astype(int), right.astype(int), value, root.astype(int), base

    def _answer(self, seen: Floats) -> Floats:
        feature, threshold, left, right, value, root, base = self._table()
        at = np.tile(root, (len(seen), 1))
        for _ in range(self._estimator.depth):
            looked_at = np.take_along_axis(seen.astype(np.float32), np.maximum(feature[at], 0), axis=1)
            further = np.where(looked_at <= threshold[at], left[at], right[at])
            at = np.where(feature[at] < 0, at, further)
        of_targets = value[at].astype(np.float64).reshape(len(seen), self._count, len(root) // self._count)
        answer: Floats = of_targets.sum(axis=2) + base
        return answer

    def export(self, path: Path) -> None:
        """See `Model.export`."""
        feature, threshold, left, right, value, root, base = self._table()
        tree = np.searchsorted(root, np.arange(len(feature)), side="right") - 1
        place = np.arange(len(feature)) - root[tree]
        (leaves,) = np.nonzero(feature < 0)
        ensemble = node(
            "TreeEnsembleRegressor",
            "seen",
            "standard",
            domain=ML,
            n_targets=self._count,
            aggregate_function="SUM",
            base_values=base.tolist(),
            nodes_treeids=tree.tolist(),
            nodes_nodeids=place.tolist(),
            nodes_modes=["LEAF" if at < 0 else "BRANCH_LEQ" for at in feature],
            nodes_featureids=np.maximum(feature, 0).tolist(),
            nodes_values=threshold.tolist(),
            nodes_truenodeids=np.where(feature < 0, 0, left - root[tree]).tolist(),
            nodes_falsenodeids=np.where(feature < 0, 0, right - root[tree]).tolist(),
            target_treeids=tree[leaves].tolist(),
            target_nodeids=place[leaves].tolist(),
            target_ids=(tree[leaves] * self._count // len(root)).tolist(),
            target_weights=value[leaves].tolist(),
        )
        nodes, arrays = [node("Flatten", "images", "seen"), ensemble], dict[str, Floats]()
        if isinstance(self._task.scaling, Classes):
            nodes += [node("Softmax", "standard", "prediction", axis=1)]
        else:
            nodes += [node("Mul", "standard scale", "scaled"), node("Add", "scaled offset", "prediction")]
            arrays = self._physical()
        write_graph(path, self._task, nodes, {name: array.astype(np.float32) for name, array in arrays.items()})


class _Leaf:
    """A tree of scikit-learn's that answers nothing."""

    node_count = 1
    feature, threshold, value = np.array([-2]), np.array([-2.0]), np.zeros((1, 1, 1))
    children_left = children_right = np.array([-1])


class Identity(Predictor):
    """`identity`: answers what it sees, one number for each target, in its unit; nothing is trained."""

    def __init__(self, estimator: Estimator, task: Task) -> None:
        super().__init__(task)
        self._estimator = estimator
        if task.input_shape != (self._count,):
            raise Unavailable(f"its encoding gives {task.input_shape} numbers, not one for each of {task.targets}")

    def _fit(self, seen: Floats, wanted: Floats) -> Arrays:
        return {}

    def _answer(self, seen: Floats) -> Floats:
        return seen

    def predict(self, images: Images) -> Targets:
        """See `Model.predict`."""
        return flat(images)

    def export(self, path: Path) -> None:
        """See `Model.export`."""
        write_graph(path, self._task, [node("Identity", "images", "prediction")], {})
