"""What should a model see of a microstructure? The same images in many encodings, with as many labels as can be had.

A lecture on representations: scalars of stereology, shapes of islands, two-point statistics, eigen-microstructures, the
image itself, in this order of what they keep. Here 2,000 images of suite elasticity's families, of a phase contrast of
50, are to train on, so that whoever needs many has them; `originals=` gives fewer. The nine constants are the targets.
`without=` leaves a family out of the training, and makes a test of it: morphology that no model has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import msgspec
import numpy as np

from harness.errors import BenchError, Finding
from harness.model.architecture import Conv2D, Dense, Estimator, Flatten, GlobalAveragePool2D, MaxPool2D, Network, Shape
from harness.model.variants import Encoding, Recipe, Variant
from harness.protocol import (
    TEST,
    Comparison,
    Dataset,
    Encoder,
    Facts,
    OnProgress,
    Pictures,
    Predicted,
    Profile,
    Split,
)
from harness.text import nearest
from suites.microstructure import dataset as shipped
from suites.microstructure import question, symmetries
from suites.microstructure.dataset import ALUMINIUM, Parameters
from suites.microstructure.generators import FAMILIES
from suites.microstructure.homogenization import TARGETS
from suites.microstructure.maps import EigenImages, RadialTwoPoint, TwoPointMap
from suites.microstructure.materials import Phase
from suites.microstructure.shapes import Shapes
from suites.microstructure.units import gpa_per
from suites.microstructure.variants import PENALTIES, baseline, best_of, thirty_epochs

OPTIONS = {"without": "a family of the suite's images to leave out of training and use as a separate test"}
MAKE_OPTIONS: dict[str, str] = {}
READS_FOLDERS = False
SUMMARY = "nine homogenized elastic constants at a phase contrast of 50, from what may be shown of an image"
SOURCE = None
PRETRAINING = None
METRICS, SYMMETRIES = question.METRICS, symmetries.SYMMETRIES
decoder, measure = question.decoder, question.measure

# --- models ---------------------------------------------------------------------------------------------------------

_RIDGE = best_of("alpha", PENALTIES, Estimator("ridge"))
_TREES = Estimator("boosted-trees", depth=3, rate=0.1)
_MAP = Encoding("two-point-map", {"reach": 15.0})
_RECIPE = (Recipe(epochs=30),)
_ANSWERS = Dense(len(TARGETS), activation="linear")
_MLP = Network((Flatten(), Dense(64), Dense(64), _ANSWERS))


# Without dense layers but the last (Mann and Kalidindi 2022, doi 10.3389/fmats.2022.851085).
_CONVOLUTIONS = Network(
    (
        Conv2D(16, kernel=3),
        MaxPool2D(2),
        Conv2D(32, kernel=3),
        MaxPool2D(2),
        Conv2D(64, kernel=3),
        GlobalAveragePool2D(),
        _ANSWERS,
    )
)

VARIANTS = (
    Variant(
        "mean",
        "always answers the mean of the training labels",
        Estimator("mean"),
        encoding=Encoding("volume-fraction"),
    ),
    Variant("fraction", "linear in the volume fraction", Estimator("ridge"), encoding=Encoding("volume-fraction")),
    Variant(
        "stereology", "boosted trees on volume fraction and interface lengths", _TREES, encoding=Encoding("stereology")
    ),
    Variant("shapes", "boosted trees on shapes and spacings of islands", _TREES, encoding=Encoding("shapes")),
    Variant(
        "radial",
        "boosted trees on two-point statistics averaged over directions",
        _TREES,
        encoding=Encoding("two-point-radial", {"reach": 24.0}),
    ),
    Variant(
        "eigen", "linear in 100 eigen-microstructures", _RIDGE, encoding=Encoding("eigen-images", {"components": 100.0})
    ),
    Variant("s2", "linear in two-point statistics", _RIDGE, encoding=_MAP),
    Variant(
        "mks",
        "linear in principal components of two-point statistics and their products with the volume fraction",
        _RIDGE,
        encoding=Encoding("two-point-products", {"components": 40.0, "reach": 14.0}),
    ),
    Variant(
        "mks-gp",
        "a Gaussian process on principal components of two-point statistics",
        Estimator("gaussian-process", nu=2.5),
        encoding=Encoding("two-point", {"components": 40.0, "reach": 14.0}),
    ),
    Variant("mlp-s2", "dense layers on two-point statistics", _MLP, _RECIPE, _MAP),
    Variant("mlp-pixels", "dense layers on the pixels", _MLP, _RECIPE),
    Variant("cnn-s2", "a CNN without dense layers on the map of two-point statistics", _CONVOLUTIONS, _RECIPE, _MAP),
    Variant("cnn-pixels", "a CNN without dense layers on the pixels", _CONVOLUTIONS, _RECIPE),
    Variant("baseline", "the report's baseline CNN on the pixels", baseline(len(TARGETS)), _RECIPE),
)

PROFILES: dict[str, Profile] = thirty_epochs(
    leaves_out=("stereology", "shapes", "radial", "eigen", "mks-gp", "mlp-pixels", "cnn-s2", "cnn-pixels", "baseline")
)

COMPARISONS = (
    Comparison("does a CNN see more in the map of two-point statistics than in the pixels?", "cnn-s2", "cnn-pixels"),
    Comparison("are dense layers better off with two-point statistics than with pixels?", "mlp-s2", "mlp-pixels"),
)

# --- data -----------------------------------------------------------------------------------------------------------

PARAMETERS = Parameters(count=2600, seed=50, phases=(ALUMINIUM, Phase(young=3500.0, poisson=0.19)), tolerance=1e-4)
"""One solver sample a pixel: labels carry its error (`suites.microstructure.discretisation`)."""

_TRAIN, _VALIDATION, _UNSEEN = "train", "validation", "unseen"
_PARTS = (_TRAIN,) * 2000 + (_VALIDATION,) * 300 + (TEST,) * 300
"""In the order in which images were drawn, which is random; families take turns, so each part has as many of each."""


def load(folder: Path | None, options: Mapping[str, str]) -> Dataset:
    """See `Suite.load`."""
    if folder is not None:
        raise BenchError(f"data={folder}: this suite has data of its own alone; give yours with suite=elasticity")
    whole, family = shipped.load("representations"), options.get("without", "")
    return _without(family, whole) if family else whole


def _without(family: str, whole: Dataset) -> Dataset:
    """Another data set, of the same images: all of a family at the end, for they are a test."""
    if family not in FAMILIES:
        raise BenchError(
            f"without={family}: unknown family{nearest(family, FAMILIES)}; known are {', '.join(FAMILIES)}"
        )
    unseen = np.array(whole.kinds) == family
    rows = np.concatenate([np.flatnonzero(~unseen), np.flatnonzero(unseen)])
    parts = np.where(unseen, _UNSEEN, np.array(_PARTS))[rows]
    return msgspec.structs.replace(
        whole,
        name=f"representations without {family}",
        images=whole.images[rows],
        targets=whole.targets[rows],
        ids=tuple(whole.ids[row] for row in rows),
        kinds=tuple(whole.kinds[row] for row in rows),
        parts=tuple(parts.tolist()),
    )


def split(dataset: Dataset) -> Split:
    """As images were drawn, or as a data set says that leaves a family out."""
    parts = np.array(dataset.parts or _PARTS)
    rows = {name: np.flatnonzero(parts == name) for name in dict.fromkeys(parts.tolist())}
    return Split(rows.pop(_TRAIN), rows.pop(_VALIDATION), rows)


def encoder(encoding: Encoding, dataset: Dataset) -> Encoder:
    """See `Suite.encoder`: those of suite elasticity, and its own."""
    reach, components = (int(encoding.parameters.get(name, 0)) for name in ("reach", "components"))
    match encoding.name:
        case "two-point-map":
            return TwoPointMap(reach)
        case "two-point-radial":
            return RadialTwoPoint(reach)
        case "eigen-images":
            return EigenImages(components)
        case "shapes":
            return Shapes()
        case _:
            return question.encoder(encoding, dataset)


def draw(predicted: Sequence[Predicted], folder: Path) -> list[Path]:
    """See `Suite.draw`: the harness's pictures say it all."""
    return []


def check_data(folder: Path, options: Mapping[str, str]) -> list[Finding]:
    """See `Suite.check_data`: raises BenchError, as `load` would."""
    load(folder, options)
    return []


def read_images(folder: Path, input_shape: Shape, facts: Facts) -> Pictures:
    """See `Suite.read_images`."""
    return question.read_images(folder, input_shape, facts)


def unit_factor(unit: str) -> float:
    """GPa per `unit`."""
    return gpa_per(unit)


def make_data(out: Path, count: int, seed: int, options: Mapping[str, str], on_progress: OnProgress) -> str:
    """See `Suite.make_data`: there is nothing to make that suite elasticity does not make."""
    raise BenchError(
        "suite=representations: its images are shipped; `bench data make suite=elasticity contrast=50` makes others"
    )


if __name__ == "__main__":  # python -m suites.representations: makes the file again
    file = Path(str(files("suites.microstructure"))) / "data" / "representations.npz"
    shipped.save(file, shipped.make(PARAMETERS, lambda done, of: print(f"{done} of {of}", flush=True)), PARAMETERS)
