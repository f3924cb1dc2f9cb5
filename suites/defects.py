"""Whether a patch has a defect, as two in a hundred have: who always says no is right of ninety-eight.

A lecture on representations: such a model has an accuracy of 98 % and finds nothing; precision, recall, their F1 and
the area under the curve of both say so, and in training rare patches may be given a larger weight or be drawn more
often. Here the same models are trained on patches as they come, weighted and resampled; the validation images and the
tests are as they come for all.

What calls a patch a defect is an upstream segmentation. The test `relabelled` has other specimens, labelled by the next
version of it: a model that repeats the first version without a mistake has there the score that the first has of the
second (`ceiling`), and who learns from labels of the first can hardly expect a better one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from harness.errors import BenchError, Finding
from harness.model.architecture import Conv2D, Dense, Estimator, Flatten, MaxPool2D, Network
from harness.model.variants import Encoding, Recipe, Variant
from harness.protocol import (
    TEST,
    Comparison,
    Dataset,
    Facts,
    Images,
    Metric,
    OnProgress,
    Predicted,
    Profile,
    Split,
    Targets,
)
from suites.constituents import flaws, question
from suites.micrographs import images as pngs
from suites.micrographs import symmetries
from suites.micrographs.question import refuse_folder
from suites.microstructure.variants import thirty_epochs
from suites.pictures import scores

OPTIONS: dict[str, str] = {}
MAKE_OPTIONS: dict[str, str] = {}
READS_FOLDERS = False
SUMMARY = "whether a 32x32 patch has a defect, where two in a hundred have one, and what labels of two versions allow"
SOURCE = None
PRETRAINING = None
METRICS = (
    scores.ACCURACY,
    Metric(
        "precision",
        "",
        "higher",
        "share of what is called a defect that is one; 0 where nothing is called one",
        "precision",
        ".2f",
    ),
    Metric("recall", "", "higher", "share of the defects that are called one", "recall", ".2f"),
    Metric("f1", "", "higher", "harmonic mean of precision and recall of defects", "F1", ".2f"),
    Metric(
        "average_precision",
        "",
        "higher",
        "area under the curve of precision over recall of defects, over all thresholds: at random their share",
        "PR-AUC",
        ".3f",
    ),
    scores.CALIBRATION_ERROR,
)
SYMMETRIES = symmetries.SYMMETRIES
read_images = pngs.read_images
encoder, decoder, unit_factor = question.encoder, question.decoder, question.unit_factor

# --- models ---------------------------------------------------------------------------------------------------------

CLASSES = ("good", "defect")
_DEFECT = CLASSES.index("defect")

_ALIKE = (1.0, 49.0)  # with which both classes count alike
_EXTREMES, _NORMALISED = Encoding("extremes"), Encoding("normalised")
_CONVOLUTIONS = Network(
    (
        Conv2D(8, kernel=3),
        MaxPool2D(2),
        Conv2D(16, kernel=3),
        MaxPool2D(2),
        Conv2D(32, kernel=3),
        MaxPool2D(4),  # of what is left: a defect counts wherever it is
        Flatten(),
        Dense(len(CLASSES), activation="linear"),
    )
)

# The second settles what the first leaves: with heavy weights single steps are large.
_RECIPES = (Recipe(epochs=20, learning_rate=2e-3), Recipe(epochs=10, learning_rate=2e-4))


def _cnn(name: str, summary: str, recipes: tuple[Recipe, ...]) -> Variant:
    return Variant(name, summary, _CONVOLUTIONS, recipes, _NORMALISED)


VARIANTS = (
    Variant("frequencies", "always answers the share of each class: that all is good", Estimator("mean")),
    Variant(
        "logistic",
        "logistic regression on how dark and bright the extremes of a patch are",
        Estimator("ridge", alpha=1.0),
        encoding=_EXTREMES,
    ),
    Variant(
        "logistic-weighted",
        "logistic regression like logistic, with defects weighted by 49",
        Estimator("ridge", alpha=1.0, class_weights=_ALIKE),
        encoding=_EXTREMES,
    ),
    Variant(
        "trees", "boosted trees on the numbers of logistic", Estimator("boosted-trees", trees=100), encoding=_EXTREMES
    ),
    Variant(
        "trees-weighted",
        "boosted trees like trees, with defects weighted by 49",
        Estimator("boosted-trees", trees=100, class_weights=_ALIKE),
        encoding=_EXTREMES,
    ),
    _cnn("cnn", "a small CNN on gray levels of mean 0 and deviation 1", _RECIPES),
    _cnn(
        "cnn-weighted",
        "a CNN like cnn, with the cross-entropy of defects weighted by 49",
        tuple(msgspec.structs.replace(recipe, class_weights=_ALIKE) for recipe in _RECIPES),
    ),
    _cnn(
        "cnn-resampled",
        "a CNN like cnn, with defects drawn 49 times as often",
        tuple(msgspec.structs.replace(recipe, resampled=_ALIKE) for recipe in _RECIPES),
    ),
)

PROFILES: dict[str, Profile] = thirty_epochs(leaves_out=("trees", "trees-weighted", "cnn", "cnn-weighted"))

COMPARISONS = (
    Comparison("are the probabilities of a line better where defects are weighted?", "logistic-weighted", "logistic"),
    Comparison("are the probabilities of trees better where defects are weighted?", "trees-weighted", "trees"),
    Comparison("are the probabilities of a CNN better where defects are weighted?", "cnn-weighted", "cnn"),
    Comparison("are the probabilities of a CNN better where defects are drawn more often?", "cnn-resampled", "cnn"),
)

# --- data -----------------------------------------------------------------------------------------------------------

_SPECIMENS = {"train": 75, "validation": 25, TEST: 50, "relabelled": 50}
"""Of each part; any patch of a part may be one of its defects."""


def _made() -> dict[str, flaws.Patches]:
    first = np.cumsum([0, *_SPECIMENS.values()])
    return {
        part: flaws.make(int(number), count) for number, (part, count) in zip(first, _SPECIMENS.items(), strict=False)
    }


def load(folder: Path | None, options: Mapping[str, str]) -> Dataset:
    """See `Suite.load`. The patches of the test `relabelled` have the labels of the second version."""
    refuse_folder(folder)
    made = _made()
    which = np.concatenate([made[part].defects[:, int(part == "relabelled")] for part in made])
    specimens = np.concatenate([patches.specimen for patches in made.values()])
    return Dataset(
        name="defects",
        images=np.concatenate([patches.images for patches in made.values()])[..., None].astype(np.float32)
        / np.float32(255),
        targets=np.eye(len(CLASSES))[which.astype(int)],
        target_names=CLASSES,
        units=("",) * len(CLASSES),
        ids=tuple(f"{specimen:03}-{row % flaws.OF_EACH:02}" for row, specimen in enumerate(specimens.tolist())),
        kinds=tuple(mark for patches in made.values() for mark in patches.marks),
        groups=tuple(f"specimen {specimen}" for specimen in specimens.tolist()),
        classes=True,
    )


def split(dataset: Dataset) -> Split:
    """By specimen; of each part as many are defects, by the first version of the labels."""
    ends = np.cumsum([count * flaws.OF_EACH for count in _SPECIMENS.values()])
    train, validation, *tests = np.split(np.arange(len(dataset.images)), ends[:-1])
    return Split(train, validation, dict(zip((TEST, "relabelled"), tests, strict=True)))


def measure(predictions: Targets, truth: Targets, images: Images, facts: Facts) -> dict[str, float]:
    """See `Suite.measure`."""
    precision, recall, f1 = scores.precision_recall_f1(predictions, truth, _DEFECT)
    return {
        "accuracy": scores.accuracy(predictions, truth),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "average_precision": scores.average_precision(predictions, truth, _DEFECT),
        "calibration_error": scores.calibration_error(predictions, truth),
    }


def ceiling() -> dict[str, float]:
    """The figures of the first version's labels, held against the second's, on the patches of test `relabelled`."""
    first, second = (np.eye(len(CLASSES))[of.astype(int)] for of in _made()["relabelled"].defects.T)
    return measure(first, second, np.empty(0, np.float32), {})


def draw(predicted: Sequence[Predicted], folder: Path) -> list[Path]:
    """See `Suite.draw`."""
    from suites.constituents import pictures  # noqa: PLC0415  only who draws waits for matplotlib

    return pictures.draw_precision_and_recall(predicted, _DEFECT, {"relabelled": ceiling()}, folder)


def check_data(folder: Path, options: Mapping[str, str]) -> list[Finding]:
    """See `Suite.check_data`: raises BenchError, as `load` would."""
    load(folder, options)
    return []


def make_data(out: Path, count: int, seed: int, options: Mapping[str, str], on_progress: OnProgress) -> str:
    """See `Suite.make_data`: there is nothing to make."""
    raise BenchError("suite=defects: its patches are its own; `bench data make` makes folders of suite elasticity")


if __name__ == "__main__":  # python -m suites.defects: what labels of two versions allow
    for name, value in ceiling().items():
        print(f"{name} {value:.3f}")
