"""The question of nine elastic constants from an image of two phases: what all suites share that ask it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import BenchError
from harness.model.architecture import Shape
from harness.model.variants import Encoding
from harness.protocol import (
    TEST,
    Comparison,
    Dataset,
    Decoder,
    Encoder,
    Facts,
    Images,
    Metric,
    Pictures,
    Predicted,
    Split,
    Targets,
)
from harness.text import nearest
from suites.microstructure import folder as folders
from suites.microstructure.checks import FEWEST, too_few
from suites.microstructure.decodings import BetweenBounds
from suites.microstructure.encodings import VoigtReussHill, VolumeFraction
from suites.microstructure.homogenization import stiffness_matrices
from suites.microstructure.materials import phases_of
from suites.microstructure.physics import hill_deviations, room
from suites.microstructure.statistics import CUBIC, STEREOLOGY, Descriptors, interacting, plain

METRICS = (
    Metric(
        "positive_definite",
        "",
        "higher",
        "share of the predictions that are a positive definite stiffness",
        needs_truth=False,
    ),
    Metric(
        "inside_bounds",
        "",
        "higher",
        "share of the predictions between the bounds of Voigt and Reuss, which no real composite leaves",
        "in bounds",
        ".0%",
        needs_truth=False,
    ),
    Metric(
        "hill_residual",
        "",
        "lower",
        "median relative deviation of the predictions from Hill's relations, which every real one of these media keeps",
        needs_truth=False,
    ),
)

COMPARISONS = (
    Comparison(
        "does it help to centre what a frozen ResNet50 makes of images before a head is trained on it?",
        "resnet50-head-only-centred",
        "resnet50-head-only",
    ),
    Comparison(
        "does it help to fine-tune DenseNet121 gently, with its batch norms frozen?",
        "densenet121-fine-tuned-gently",
        "densenet121-fine-tuned",
    ),
)


def split(dataset: Dataset) -> Split:
    """70 % to train, 15 % to validate, 15 % to test: the report's two `train_test_split` calls, random_state 42.

    Index for index what scikit-learn returns (report, section 2); groups, where there are any, are drawn in the images'
    place, and stay together, and their training images are mixed, for a learning curve takes the first of them. Raises
    BenchError for too few images or groups.
    """
    everything = np.arange(len(dataset.images))
    if len(everything) < FEWEST:
        raise BenchError(f"{dataset.name}: {too_few(len(everything))}")
    grouped = [name or f"\0{row}" for row, name in enumerate(dataset.groups)]  # one without a group stands for itself
    names, of = np.unique(grouped or everything, return_inverse=True)
    if len(names) < FEWEST:
        raise BenchError(f"{dataset.name}: {len(names)} groups are too few to split 70/15/15; {FEWEST} is the least")
    train, rest = _train_test_split(np.arange(len(names)), 0.30)
    parts = (train, *_train_test_split(rest, 0.50))
    train, validation, test = (np.concatenate([np.flatnonzero(of == name) for name in part]) for part in parts)
    return Split(mixed(train) if dataset.groups else train, validation, {TEST: test})


def mixed(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows, of one group after the other, in another order."""
    return np.random.RandomState(42).permutation(rows)


def _train_test_split(items: NDArray[np.intp], share: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    count = int(np.ceil(share * len(items)))
    order = np.random.RandomState(42).permutation(len(items))  # the generator that scikit-learn uses
    return items[order[count:]], items[order[:count]]


def encoder(encoding: Encoding, dataset: Dataset) -> Encoder:
    """See `Suite.encoder`."""
    components, reach = (int(encoding.parameters.get(name, 0)) for name in ("components", "reach"))
    match encoding.name:
        case "volume-fraction":
            return VolumeFraction()
        case "voigt-reuss-hill":
            return VoigtReussHill(phases_of(dataset.facts))
        case "stereology":
            return Descriptors(STEREOLOGY)
        case "cubic":
            return Descriptors(CUBIC)
        case "two-point":
            return Descriptors(plain(components), components, reach)
        case "two-point-products":
            return Descriptors(interacting(components), components, reach)
        case other:
            known = ("volume-fraction", "voigt-reuss-hill", "stereology", "cubic", "two-point", "two-point-products")
            raise BenchError(f"unknown encoding '{other}'{nearest(other, known)}")


def decoder(decoding: Encoding, dataset: Dataset) -> Decoder:
    """See `Suite.decoder`."""
    if decoding.name != "between-bounds":
        raise BenchError(f"unknown decoding '{decoding.name}'{nearest(decoding.name, ('between-bounds',))}")
    return BetweenBounds(phases_of(dataset.facts))


def measure(predictions: Targets, truth: Targets, images: Images, facts: Facts) -> dict[str, float]:
    """See `Suite.measure`: shares of the predictions that are positive definite, and that lie between the bounds, and
    how far off Hill's relations they are.

    The bounds are inequalities between matrices, C_Reuss <= C <= C_Voigt, at the volume fraction of each image; they
    and the relations need the two phases and are left out where the data set does not name them.
    """
    stiffness = stiffness_matrices(predictions)
    shares = {"positive_definite": float(np.mean(np.linalg.eigvalsh(stiffness)[:, 0] > 0))}
    if phases := phases_of(facts):
        fraction: Targets = np.asarray(images.mean(axis=(1, 2, 3)), np.float64)
        between = room(predictions, fraction, phases)
        shares["inside_bounds"] = float(np.mean(between.least >= -1e-6 * between.largest))
        residual = float(np.median(hill_deviations(predictions, fraction, phases)))
        if not np.isnan(residual):
            shares["hill_residual"] = residual
    return shares


def draw(predicted: Sequence[Predicted], folder: Path) -> list[Path]:
    """See `Suite.draw`: the harness's pictures say it all."""
    return []


def read_images(folder: Path, input_shape: Shape, facts: Facts) -> Pictures:
    """See `Suite.read_images`."""
    return folders.read_image_folder(folder, folders.of_one_channel(input_shape))
