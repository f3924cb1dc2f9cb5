"""Which constituent a micrograph shows.

Exercise 1 of a lecture on representations: constituents of steel told apart by numbers that somebody chose, and by a
small CNN. Its micrographs are of a public set that this repository has no copy of; these are made by rule, of five
families of shapes that overlap, in sessions of unlike contrast, with a second constituent in places. Each specimen is
cut into four patches, which stay on one side of the split. Who has labelled micrographs gives them to suite own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.errors import BenchError, Finding
from harness.model.architecture import Conv2D, Dense, Estimator, GlobalAveragePool2D, MaxPool2D, Network
from harness.model.variants import Encoding, Recipe, Variant
from harness.protocol import (
    TEST,
    Comparison,
    Dataset,
    Facts,
    Images,
    OnProgress,
    Predicted,
    Profile,
    Split,
    Targets,
)
from suites.constituents import question
from suites.constituents import specimens as shipped
from suites.constituents.families import FAMILIES
from suites.micrographs import images as pngs
from suites.micrographs import symmetries
from suites.micrographs.question import refuse_folder
from suites.microstructure.variants import best_of, transfer
from suites.pictures import scores

OPTIONS: dict[str, str] = {}
MAKE_OPTIONS: dict[str, str] = {}
READS_FOLDERS = False
SUMMARY = "which of five constituents a 64x64 patch of a synthetic micrograph shows, split by specimen"
SOURCE = None
PRETRAINING = None
METRICS = (scores.ACCURACY, scores.MACRO_F1, scores.LOG_LOSS, scores.CALIBRATION_ERROR)
SYMMETRIES = symmetries.SYMMETRIES
read_images = pngs.read_images
encoder, decoder, unit_factor = question.encoder, question.decoder, question.unit_factor

# --- models ---------------------------------------------------------------------------------------------------------

_LINE = best_of("alpha", (0.1, 1.0, 10.0), Estimator("ridge"))
_NUMBERS = {"components": 20.0, "reach": 14.0}
_BOTH = Encoding("shapes-and-two-point", _NUMBERS)
_NORMALISED = Encoding("normalised")

# A texture is the same wherever a patch begins: features are averaged over it.
_CONVOLUTIONS = Network(
    (
        Conv2D(8, kernel=5),
        MaxPool2D(2),
        Conv2D(32, kernel=3),
        MaxPool2D(2),
        Conv2D(48, kernel=3),
        GlobalAveragePool2D(),
        Dense(len(FAMILIES), activation="linear"),
    )
)


def _recipes(*, augmented: bool) -> tuple[Recipe, ...]:
    return (
        Recipe(epochs=45, learning_rate=2e-3, augmented=augmented),
        Recipe(epochs=10, learning_rate=2e-4, augmented=augmented),
    )


VARIANTS = (
    Variant("frequencies", "always answers the share of each class", Estimator("mean")),
    Variant(
        "gray-levels",
        "logistic regression on gray levels and noise: on how a micrograph was taken",
        _LINE,
        encoding=Encoding("gray-statistics"),
    ),
    Variant(
        "two-point",
        "logistic regression on two-point statistics of the segmented patch",
        _LINE,
        encoding=Encoding("two-point", _NUMBERS),
    ),
    Variant(
        "descriptors",
        "logistic regression on two-point statistics, shapes and spacings of the islands of the segmented patch",
        _LINE,
        encoding=_BOTH,
    ),
    Variant(
        "trees", "boosted trees on the numbers of descriptors", Estimator("boosted-trees", trees=100), encoding=_BOTH
    ),
    Variant(
        "cnn",
        "a small CNN, whose features are averaged over the patch, on gray levels of mean 0 and deviation 1",
        _CONVOLUTIONS,
        _recipes(augmented=False),
        _NORMALISED,
    ),
    Variant(
        "cnn-augmented",
        "a CNN like cnn, trained on mirrored and turned patches",
        _CONVOLUTIONS,
        _recipes(augmented=True),
        _NORMALISED,
    ),
    *(variant for variant in transfer("vgg16", "VGG16", len(FAMILIES)) if variant.name == "vgg16-head-only-centred"),
)

PROFILES: dict[str, Profile] = {
    "smoke": Profile(
        seeds=(0,),
        epochs=1,
        search_epochs=1,
        fine_tuning_epochs=1,
        leaves_out=("descriptors", "trees", "cnn-augmented", "vgg16-head-only-centred"),
        quick_latency=True,
    ),
    "standard": Profile(seeds=(0, 1, 2), epochs=45, search_epochs=1, fine_tuning_epochs=1),
    "paper": Profile(seeds=(0, 1, 2), epochs=300, search_epochs=300, fine_tuning_epochs=300),
}

COMPARISONS = (
    Comparison("does it help the CNN to see patches mirrored and turned?", "cnn-augmented", "cnn"),
    Comparison("do shapes of islands add to two-point statistics?", "descriptors", "two-point"),
)

# --- data -----------------------------------------------------------------------------------------------------------

_EDGE = 64  # pixels of a patch
_TRAINED, _VALIDATED = 28, 8  # specimens of each family; the others are the test


def load(folder: Path | None, options: Mapping[str, str]) -> Dataset:
    """See `Suite.load`. `kinds` tell how much of a patch is its specimen's own constituent."""
    refuse_folder(folder)
    specimens, names = shipped.load(), tuple(FAMILIES)
    patches, ids, groups, kinds = [], [], [], []
    for number, (mask, second) in enumerate(zip(specimens.masks, specimens.second, strict=True)):
        micrograph = shipped.photographed(mask, number)
        for top, left in np.ndindex(shipped.SIZE // _EDGE, shipped.SIZE // _EDGE):
            part = np.s_[top * _EDGE : (top + 1) * _EDGE, left * _EDGE : (left + 1) * _EDGE]
            patches.append(micrograph[part])
            ids.append(f"{number:03}-{top}{left}")
            groups.append(f"specimen {number}")
            kinds.append("mostly its own" if second[part].mean() < 0.5 else "mostly another")
    of = np.repeat(specimens.family, len(patches) // len(specimens.family))
    return Dataset(
        name="phases",
        images=np.stack(patches)[..., None].astype(np.float32) / np.float32(255),
        targets=np.eye(len(names))[of],
        target_names=names,
        units=("",) * len(names),
        ids=tuple(ids),
        kinds=tuple(kinds),
        groups=tuple(groups),
        classes=True,
    )


def split(dataset: Dataset) -> Split:
    """By specimen, as many of each family on each side, in the order in which they were drawn, which is random."""
    of = np.array([int(name.partition("-")[0]) for name in dataset.ids]) // len(FAMILIES)  # specimen of its family
    tested = of >= _TRAINED + _VALIDATED
    rows = map(np.flatnonzero, (of < _TRAINED, (of >= _TRAINED) & ~tested, tested))
    train, validation, test = rows
    return Split(train, validation, {TEST: test})


def measure(predictions: Targets, truth: Targets, images: Images, facts: Facts) -> dict[str, float]:
    """See `Suite.measure`."""
    return {
        "accuracy": scores.accuracy(predictions, truth),
        "macro_f1": scores.macro_f1(predictions, truth),
        "log_loss": scores.log_loss(predictions, truth),
        "calibration_error": scores.calibration_error(predictions, truth),
    }


def draw(predicted: Sequence[Predicted], folder: Path) -> list[Path]:
    """See `Suite.draw`."""
    from suites.constituents import pictures  # noqa: PLC0415  only who draws waits for matplotlib

    return pictures.draw_confusion(predicted, tuple(FAMILIES), folder)


def check_data(folder: Path, options: Mapping[str, str]) -> list[Finding]:
    """See `Suite.check_data`: raises BenchError, as `load` would."""
    load(folder, options)
    return []


def make_data(out: Path, count: int, seed: int, options: Mapping[str, str], on_progress: OnProgress) -> str:
    """See `Suite.make_data`: there is nothing to make."""
    raise BenchError("suite=phases: its specimens are shipped; `bench data make` makes folders of suite elasticity")
