"""Your images and your table: which model should you use on them, how sure is that, and then use it.

A folder of PNG, TIFF, JPEG or BMP images, grey or coloured, and one table that names their files: columns of numbers
are to be predicted, or one of words, whose classes are to be told apart. Nothing is known here of what the images show,
so that no physics holds and no symmetry is taken for granted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import BenchError, Finding
from harness.model.architecture import Shape
from harness.model.variants import Encoding
from harness.protocol import (
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
from suites.microstructure.findings import Spot
from suites.microstructure.folder import pictures
from suites.microstructure.statistics import Descriptors, plain
from suites.pictures import folder as folders
from suites.pictures import scores, splits, variants
from suites.pictures.encodings import OfLuminance
from suites.pictures.images import LARGEST, SMALLEST, Size, find_images, other_images
from suites.pictures.images import read_images as read
from suites.pictures.table import Asked

OPTIONS = {
    "targets": "columns to predict, comma-separated; if empty, those with numbers, otherwise the one with words",
    "units": "their units, one for each or one for all; if empty, those in brackets in the header",
    "classes": "true if the numbers in a column are names of classes",
    "resize": "size of every image in pixels, width x height such as 96x64, or 64 for both; if empty, at most 128",
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
        raise BenchError(f"resize={word}: give pixels from {SMALLEST} to {LARGEST}, as in 64 or 96x64 (width x height)")
    return int(edges[-1]), int(edges[0])


def split(dataset: Dataset) -> Split:
    """See `Suite.split`. Raises BenchError for too few images or groups."""
    return splits.split(dataset)


def encoder(encoding: Encoding, dataset: Dataset) -> Encoder:
    """See `Suite.encoder`."""
    parameters = ("components", "reach") if "two-point" in encoding.name else ()
    if other := next((name for name in encoding.parameters if name not in parameters), ""):
        raise BenchError(f"encoding '{encoding.name}': unknown parameter '{other}'{nearest(other, parameters)}")
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
    others = other_images(folder)
    unread = [Spot(len(paths) + place, "not a PNG, TIFF, JPEG or BMP", "convert it") for place in range(len(others))]
    return pictures(paths + others, found.images, found.places, found.spots + unread)


def unit_factor(unit: str) -> float:
    """One of what has none. Raises BenchError else: units of a table are its own, and none is converted."""
    if not unit:
        return 1.0
    raise BenchError(f"unit={unit}: this suite converts no units; units= names those of the table")


def make_data(out: Path, count: int, seed: int, options: Mapping[str, str], on_progress: OnProgress) -> str:
    """See `Suite.make_data`: there is nothing to make."""
    raise BenchError("suite=own: its images are yours; `bench data make suite=elasticity` makes a folder to try")
