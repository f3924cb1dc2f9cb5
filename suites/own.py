"""Your images and your table: which model should you use on them, how sure is that, and then use it.

A folder of PNG, TIFF or JPEG images, grey or coloured, and one table that names their files: columns of numbers are to
be predicted, or one of words, whose classes are to be told apart. Nothing is known here of what the images show, so
that no physics holds and no symmetry is taken for granted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import BenchError, Finding
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
    OnProgress,
    Pictures,
    Predicted,
    Split,
    Symmetry,
    Targets,
)
from harness.text import nearest
from suites.micrographs.encodings import Both, GrayStatistics
from suites.microstructure import question
from suites.microstructure.folder import pictures
from suites.microstructure.statistics import Descriptors, plain
from suites.pictures import folder as folders
from suites.pictures import scores, variants
from suites.pictures.encodings import OfLuminance
from suites.pictures.images import LARGEST, SMALLEST, Size, find_images
from suites.pictures.images import read_images as read
from suites.pictures.table import TRAIN, VALIDATION, Asked

OPTIONS = {
    "targets": "columns to predict, comma-separated; empty: those of numbers, else the one of words",
    "units": "their units, one for each or one for all; empty: what the header has in brackets",
    "classes": "true where the numbers of a column are names of classes",
    "resize": "pixels that every image is brought to, as in 64 or 96x64; empty: as they are, reduced to at most 128",
}
MAKE_OPTIONS: dict[str, str] = {}
READS_FOLDERS = True
SHIPS_DATA = False
SUMMARY = "your images and your table, with data=FOLDER: numbers or classes"

VARIANTS, PROFILES = variants.VARIANTS, variants.PROFILES
SYMMETRIES: tuple[Symmetry, ...] = ()
COMPARISONS: tuple[Comparison, ...] = ()
SOURCE = None
PRETRAINING = None
METRICS = (scores.ACCURACY, scores.BALANCED_ACCURACY, scores.LOG_LOSS, scores.CALIBRATION_ERROR)


def load(folder: Path | None, options: Mapping[str, str]) -> Dataset:
    """See `Suite.load`. Raises BenchError without a folder: the suite ships no data."""
    if folder is None:
        raise BenchError("suite=own: give data=FOLDER, a folder of your images and one table, or of one for each class")
    return folders.read_folder(folder, _asked(options), _resize(options.get("resize", "")))


def check_data(folder: Path, options: Mapping[str, str]) -> list[Finding]:
    """See `Suite.check_data`."""
    return folders.check_folder(folder, _asked(options), _resize(options.get("resize", "")))


def _asked(options: Mapping[str, str]) -> Asked:
    def parts(key: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in options[key].split(",")) if options.get(key) else ()

    classes = options.get("classes") or "false"
    if classes not in ("true", "false"):
        raise BenchError(f"classes={classes}: must be true or false")
    return Asked(tuple(dict.fromkeys(filter(None, parts("targets")))), parts("units"), classes == "true")


def _resize(word: str) -> Size | None:
    """Height and width of `64` or `96x64`, width first as in all that people write. Raises BenchError."""
    if not word:
        return None
    edges = word.lower().split("x")
    if len(edges) > 2 or not all(edge.isdecimal() and SMALLEST <= int(edge) <= LARGEST for edge in edges):
        raise BenchError(f"resize={word}: give pixels from {SMALLEST} to {LARGEST}, as in 64 or 96x64")
    return int(edges[-1]), int(edges[0])


def split(dataset: Dataset) -> Split:
    """As the table says, where it does; else 70 % to train, 15 % to validate, 15 % to test, by a fixed seed. Groups
    stay together, and each class is shared out alike. Where the table names no validation, every sixth of the training
    images, or groups, is for that. Raises BenchError for too few images or groups.
    """
    if dataset.parts:
        return _given(dataset)
    return _by_class(dataset) if dataset.classes else question.split(dataset)


def _by_class(dataset: Dataset) -> Split:
    """A group, or an image that is of none, is taken for what most of its images are; of each class as many are held
    back for validation as for the test, none where there are fewer than three.
    """
    _, thing = np.unique(dataset.groups or np.arange(len(dataset.images)), return_inverse=True)
    images_of = np.zeros((thing.max() + 1, len(dataset.target_names)))
    np.add.at(images_of, thing, dataset.targets)
    shares: list[list[NDArray[np.intp]]] = [[], [], []]
    for number in range(len(dataset.target_names)):
        members = np.random.RandomState(42).permutation(np.flatnonzero(images_of.argmax(axis=1) == number))
        held = min(max(1, round(0.15 * len(members))), max(0, len(members) - 1) // 2)
        for share, some in zip(shares, np.split(members, [len(members) - 2 * held, len(members) - held]), strict=True):
            share.append(some)
    # Mixed, for a learning curve takes the first of them.
    train, validation, test = (
        np.random.RandomState(42).permutation(np.flatnonzero(np.isin(thing, np.concatenate(share)))) for share in shares
    )
    if not len(validation):
        raise BenchError(f"{dataset.name}: no class has three groups, one each to train, validate and test")
    return Split(train, validation, {TEST: test})


def _given(dataset: Dataset) -> Split:
    parts = np.array(dataset.parts)
    train, validation = (np.flatnonzero(parts == part) for part in (TRAIN, VALIDATION))
    names = [name for name in dict.fromkeys(dataset.parts) if name not in (TRAIN, VALIDATION)]
    tests = {name: np.flatnonzero(parts == name) for name in sorted(names, key=lambda name: name != TEST)}
    if not len(validation):
        things = np.array(dataset.groups or [str(row) for row in range(len(parts))])
        drawn = np.random.RandomState(42).permutation(np.unique(things[train]))
        held = np.isin(things, drawn[: max(1, len(drawn) // 6)])
        train, validation = train[~held[train]], train[held[train]]
    if not len(train) or not len(validation):
        left = f"{len(train)} images to train and {len(validation)} to validate"
        raise BenchError(f"{dataset.name}: its split leaves {left}")
    return Split(np.random.RandomState(42).permutation(train), validation, tests)


def encoder(encoding: Encoding, dataset: Dataset) -> Encoder:
    """See `Suite.encoder`."""
    components, reach = (int(encoding.parameters.get(name, 0)) for name in ("components", "reach"))
    two_point = OfLuminance(Descriptors(plain(components), components, reach))
    match encoding.name:
        case "gray-levels":
            return GrayStatistics()
        case "two-point":
            return two_point
        case "gray-levels-and-two-point":
            return Both(GrayStatistics(), two_point)
        case other:
            known = ("gray-levels", "two-point", "gray-levels-and-two-point")
            raise BenchError(f"unknown encoding '{other}'{nearest(other, known)}")


def decoder(decoding: Encoding, dataset: Dataset) -> Decoder:
    """See `Suite.decoder`: there is none."""
    raise BenchError(f"unknown decoding '{decoding.name}': this suite has none")


def measure(predictions: Targets, truth: Targets, images: Images, facts: Facts) -> dict[str, float]:
    """See `Suite.measure`: of classes, what `METRICS` says; of numbers nothing."""
    if not folders.CLASSES.items() <= facts.items():
        return {}
    return {
        "accuracy": scores.accuracy(predictions, truth),
        "balanced_accuracy": scores.balanced_accuracy(predictions, truth),
        "log_loss": scores.log_loss(predictions, truth),
        "calibration_error": scores.calibration_error(predictions, truth),
    }


def draw(predicted: Sequence[Predicted], folder: Path) -> list[Path]:
    """See `Suite.draw`: the harness's pictures say it all."""
    return []


def read_images(folder: Path, input_shape: Shape, facts: Facts) -> Pictures:
    """See `Suite.read_images`. Images are reduced as those were that the model was trained on, and must be as large."""
    paths = find_images(folder)
    height, width, channels = input_shape
    if channels not in (1, 3):
        raise BenchError(f"the model takes images of {channels} channels, and this suite's have one or three")
    found = read(paths, (height, width), channels, facts.get("pixels"))
    return pictures(paths, found.images, found.places, found.spots)


def unit_factor(unit: str) -> float:
    """One of what has none. Raises BenchError else: units of a table are its own, and none is converted."""
    if not unit:
        return 1.0
    raise BenchError(f"unit={unit}: this suite converts no units; units= names those of the table")


def make_data(out: Path, count: int, seed: int, options: Mapping[str, str], on_progress: OnProgress) -> str:
    """See `Suite.make_data`: there is nothing to make."""
    raise BenchError("suite=own: its images are yours; `bench data make suite=elasticity` makes a folder to try")
