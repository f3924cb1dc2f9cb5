"""Nine elastic constants from a 64x64 image of two phases: which model reads them best, and at what cost.

Data, split, targets and networks are the report's. The shipped images are synthetic, labelled by the homogenization of
`microstructure/homogenization.py`; a folder in the report's layout takes their place with `data=`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import BenchError, Finding
from harness.model.architecture import (
    Backbone,
    Conv2D,
    Dense,
    Dropout,
    Estimator,
    Flatten,
    GlobalAveragePool2D,
    MaxPool2D,
    Network,
    Shape,
)
from harness.model.backbones import Family
from harness.protocol import (
    TEST,
    Configuration,
    Dataset,
    Encoder,
    Encoding,
    Facts,
    Images,
    Metric,
    OnProgress,
    Profile,
    Recipe,
    Search,
    Source,
    Split,
    Targets,
    Variant,
)
from harness.text import nearest, number
from suites.microstructure import dataset as shipped
from suites.microstructure import folder as folders
from suites.microstructure.checks import FEWEST, too_few
from suites.microstructure.encodings import VoigtReussHill, VolumeFraction
from suites.microstructure.generators import FAMILIES
from suites.microstructure.homogenization import TARGETS, stiffness_matrices
from suites.microstructure.images import SIZE
from suites.microstructure.materials import parse_phases, phases_of
from suites.microstructure.physics import room
from suites.microstructure.units import gpa_per

OPTIONS = {
    "unit": "unit of the constants in the CSV: GPa, MPa, Pa, N/nm^2, ...",
    "phases": "Young's modulus in GPa and Poisson's ratio of the soft phase, then of the stiff one: 70,0.33,410,0.19; "
    "labels are held to their bounds, and Voigt-Reuss-Hill needs them; empty: as the data set says",
}

MAKE_OPTIONS = {
    "size": "pixels along an edge: 64",
    "families": "families of microstructures, comma-separated, or all",
    "phases": "Young's modulus in GPa and Poisson's ratio of the soft phase, then of the stiff one: 70,0.33,410,0.19",
    "contrast": "stiff over soft Young's modulus, in place of the stiff phase's own",
    "unit": "unit of the constants in the CSV: GPa, MPa, Pa, N/nm^2, ...",
}

SUMMARY = "nine homogenized elastic constants, C11 to C66, from 64x64 images of two-phase microstructures"

_BASELINE = Network(
    (
        Conv2D(8, kernel=3),
        MaxPool2D(2),
        Conv2D(16, kernel=3),
        MaxPool2D(2),
        Flatten(),
        Dense(16),
        Dense(len(TARGETS), activation="linear"),
    )
)


def _tuned(filters: int, kernel: int, dropout: float) -> Network:
    """The report's flexible CNN (section 4)."""
    return Network(
        (
            Conv2D(filters, kernel, "same"),
            MaxPool2D(2),
            Conv2D(2 * filters, kernel, "same"),
            MaxPool2D(2),
            Flatten(),
            Dropout(dropout),
            Dense(64),
            Dense(len(TARGETS), activation="linear"),
        )
    )


# Numbered from 0 as in the report's table 1: filters outermost, learning rate innermost.
_GRID = tuple(
    Configuration(
        {"filters": filters, "kernel": kernel, "dropout": dropout, "learning_rate": rate},
        _tuned(int(filters), int(kernel), dropout),
        Recipe(learning_rate=rate),
    )
    for filters, kernel, dropout, rate in itertools.product((8.0, 16.0, 32.0), (3.0, 5.0), (0.0, 0.2), (1e-3, 1e-4))
)

_HEAD_ONLY = Recipe(learning_rate=1e-3, trains="head")
_FINE_TUNING = Recipe(learning_rate=1e-4)


def _transfer(family: Family, title: str) -> tuple[Variant, Variant]:
    """The report's two phases of transfer learning (section 5)."""
    layers = (Backbone(family), GlobalAveragePool2D(), Dense(16), Dense(len(TARGETS), activation="linear"))
    return (
        Variant(f"{family}-head-only", f"a small head on a frozen {title} (section 5)", Network(layers), (_HEAD_ONLY,)),
        Variant(
            f"{family}-fine-tuned",
            f"the same, then all of {title} trained on (section 5)",
            Network(layers),
            (_HEAD_ONLY, _FINE_TUNING),
        ),
    )


_FRACTION = Encoding("volume-fraction")

VARIANTS = (
    Variant("mean", "always answers the mean of the training labels", Estimator("mean"), encoding=_FRACTION),
    Variant(
        "voigt-reuss-hill",
        "mean of the Voigt and Reuss bounds at the image's volume fraction; nothing is trained",
        Estimator("identity"),
        encoding=Encoding("voigt-reuss-hill"),
    ),
    Variant("ridge", "linear in the volume fraction alone", Estimator("ridge"), encoding=_FRACTION),
    Variant("baseline", "the report's baseline CNN (section 3)", _BASELINE, (Recipe(),)),
    Variant("tuned", "the best of 24 CNNs by validation error: the report's grid search (section 4)", Search(_GRID)),
    *_transfer("vgg16", "VGG16"),
    *_transfer("resnet50", "ResNet50"),
    *_transfer("densenet121", "DenseNet121"),
)

# The report's table 3, in (N/nm²)².
SOURCE = Source(
    name="the report",
    unit="N/nm^2",
    reported={
        "baseline": "0.00000",
        "tuned": "8.41e-15",
        "vgg16-head-only": "1.61e-13",
        "vgg16-fine-tuned": "8.59e-15",
        "resnet50-head-only": "8.41e-15",
        "resnet50-fine-tuned": "9.91e-13",
        "densenet121-head-only": "8.53e-15",
        "densenet121-fine-tuned": "3.13e-12",
    },
    lesson="An MSE this small is no machine precision: always answering the mean gives one as small, for it is the "
    "variance of the labels in a unit in which they are tiny (1 GPa is 1e-9 N/nm²). Initial weights, a learning rate "
    "and an epsilon made for outputs of the order of one do not get a network down to 1e-8.",
)

METRICS = (
    Metric("positive_definite", "", "higher", "share of the predictions that are a positive definite stiffness"),
    Metric(
        "inside_bounds",
        "",
        "higher",
        "share of the predictions between the bounds of Voigt and Reuss, which no real composite leaves",
        "in bounds",
        ".0%",
    ),
)

PROFILES = {
    "smoke": Profile(
        seeds=(0,),
        epochs=2,
        search_epochs=1,
        fine_tuning_epochs=1,
        # One backbone shows that backbones work; Keras takes a minute to trace and export each of these.
        leaves_out=("resnet50-head-only", "resnet50-fine-tuned", "densenet121-head-only", "densenet121-fine-tuned"),
        quick_latency=True,
    ),
    "standard": Profile(seeds=(0, 1, 2), epochs=100, search_epochs=10, fine_tuning_epochs=4),
    "paper": Profile(seeds=(0, 1, 2), epochs=300, search_epochs=300, fine_tuning_epochs=300),
}


def load(folder: Path | None, options: Mapping[str, str]) -> Dataset:
    """See `Suite.load`; the labels come in GPa whatever the unit of the CSV."""
    unit, phases = options.get("unit", ""), parse_phases(options.get("phases", ""))
    if folder is not None:
        return folders.read_folder(folder, unit or None, phases)
    if unit:
        gpa_per(unit)  # refused here if it is unknown, before anything runs
    if phases:
        raise BenchError("phases= describes a data set of your own: give data= too, or leave it out")
    return shipped.load()


def split(dataset: Dataset) -> Split:
    """70 % to train, 15 % to validate, 15 % to test: the report's two `train_test_split` calls, random_state 42.

    Index for index what scikit-learn returns (report, section 2); groups, where there are any, are drawn in the images'
    place, and stay together. Raises BenchError for too few images or groups.
    """
    everything = np.arange(len(dataset.images))
    if len(everything) < FEWEST:
        raise BenchError(f"{dataset.name}: {too_few(len(everything))}")
    names, of = np.unique(dataset.groups or everything, return_inverse=True)
    if len(names) < FEWEST:
        raise BenchError(f"{dataset.name}: {len(names)} groups are too few to split 70/15/15; {FEWEST} is the least")
    train, rest = _train_test_split(np.arange(len(names)), 0.30)
    parts = (train, *_train_test_split(rest, 0.50))
    train, validation, test = (np.concatenate([np.flatnonzero(of == name) for name in part]) for part in parts)
    return Split(train, validation, {TEST: test})


def _train_test_split(items: NDArray[np.intp], share: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    count = int(np.ceil(share * len(items)))
    order = np.random.RandomState(42).permutation(len(items))  # the generator that scikit-learn uses
    return items[order[count:]], items[order[:count]]


def encoder(encoding: Encoding, dataset: Dataset) -> Encoder:
    """See `Suite.encoder`."""
    match encoding.name:
        case "volume-fraction":
            return VolumeFraction()
        case "voigt-reuss-hill":
            return VoigtReussHill(phases_of(dataset.facts))
        case other:
            known = ("volume-fraction", "voigt-reuss-hill")
            raise BenchError(f"unknown encoding '{other}'{nearest(other, known)}")


def measure(predictions: Targets, truth: Targets, images: Images, facts: Facts) -> dict[str, float]:
    """See `Suite.measure`: shares of the predictions that are positive definite, and that lie between the bounds.

    The bounds are inequalities between matrices, C_Reuss <= C <= C_Voigt, at the volume fraction of each image; they
    need the two phases and are left out where the data set does not name them.
    """
    stiffness = stiffness_matrices(predictions)
    shares = {"positive_definite": float(np.mean(np.linalg.eigvalsh(stiffness)[:, 0] > 0))}
    if phases := phases_of(facts):
        fraction: Targets = np.asarray(images.mean(axis=(1, 2, 3)), np.float64)
        between = room(predictions, fraction, phases)
        shares["inside_bounds"] = float(np.mean(between.least >= -1e-6 * between.largest))
    return shares


def check_data(folder: Path, options: Mapping[str, str]) -> list[Finding]:
    """See `Suite.check_data`."""
    return folders.check_folder(folder, options.get("unit") or None, parse_phases(options.get("phases", "")))


def read_images(folder: Path, input_shape: Shape) -> tuple[Images, tuple[str, ...]]:
    """See `Suite.read_images`."""
    if input_shape[2] != 1:
        raise BenchError(f"the model takes images of {input_shape[2]} channels, and this suite's have one")
    return folders.read_image_folder(folder, (input_shape[0], input_shape[1]))


def unit_factor(unit: str) -> float:
    """GPa per `unit`."""
    return gpa_per(unit)


def make_data(out: Path, count: int, seed: int, options: Mapping[str, str], on_progress: OnProgress) -> str:
    """See `Suite.make_data`. Raises BenchError for a `size` that the suite would not read."""
    size, unit = options.get("size", str(SIZE[0])), options.get("unit") or "GPa"
    if size != str(SIZE[0]):
        raise BenchError(f"size={size}: this suite's networks and checks take images of {SIZE[1]}x{SIZE[0]} alone")
    soft, stiff = parse_phases(options.get("phases", "")) or (shipped.ALUMINIUM, shipped.SILICON_CARBIDE)
    if contrast := options.get("contrast", ""):
        stiff = msgspec.structs.replace(stiff, young=_contrast(contrast) * soft.young)
    families = options.get("families") or "all"
    chosen = FAMILIES if families == "all" else dict.fromkeys(part.strip() for part in families.split(","))
    parameters = shipped.Parameters(count, SIZE[0], seed, tuple(chosen), (soft, stiff))
    folders.refuse_occupied(out)
    gpa_per(unit)  # refused here if it is unknown, before the work
    dataset = shipped.make(parameters, on_progress)
    folders.write_folder(dataset, out, unit, msgspec.to_builtins(parameters))
    return f"{count} images and their constants in {unit}"


def _contrast(text: str) -> float:
    try:
        contrast = number(text)
    except ValueError:
        contrast = float("nan")
    if not 1 <= contrast <= 1e6:
        raise BenchError(f"contrast={text}: the stiff phase over the soft one is a number from 1 to 1e6")
    return contrast
