"""What is left of a score in another laboratory.

A lecture on representations: R² 0.88 at the microscope that a model was trained at, 0.45 at another one of the same
alloy. Here models are trained on patches of one laboratory, of specimens with up to half of the stiff phase, and meet
new specimens there (`same`, by which they are ranked), in another laboratory (`elsewhere`), with one thing changed at a
time on another day of the same kind, three times as much of it (`contrast-1` to `contrast-3`, ...), with more of the
stiff phase (`richer`), and of a stiffer one (`stiffer`), which no image shows. They are chosen by the validation
images, which are of their own laboratory; no test of another one has a say in that. The same validation specimens as
the other laboratory sees them are a test of their own, `validation-elsewhere`: which model it would have chosen can be
read off afterwards.

The modulus is that of the micrograph, all of median porosity: but for `stiffer` nothing is hidden. What is asked is
whether a model reads the material or the microscope.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from harness.errors import BenchError, Finding
from harness.model.variants import Encoding, Recipe, Variant
from harness.protocol import (
    Comparison,
    Dataset,
    OnProgress,
    Predicted,
    Profile,
    Split,
)
from suites.micrographs import images as pngs
from suites.micrographs import question, stiffer, symmetries
from suites.micrographs import specimens as shipped
from suites.micrographs.imaging import Mask, Session, Shares, coarsened, photograph
from suites.micrographs.variants import NUMBERS, PROCESS, RECIPE, SIMPLE
from suites.microstructure.units import gpa_per
from suites.microstructure.variants import baseline, thirty_epochs

OPTIONS: dict[str, str] = {}
MAKE_OPTIONS: dict[str, str] = {}
READS_FOLDERS = False
SUMMARY = "a specimen's Young's modulus from a 64x64 patch of its micrograph, taken in another laboratory"
SOURCE = None
PRETRAINING = None
METRICS = ()
SYMMETRIES = (*symmetries.SYMMETRIES, symmetries.SESSION)
read_images = pngs.read_images
encoder, decoder, measure = question.encoder, question.decoder, question.measure

# --- models ---------------------------------------------------------------------------------------------------------

_RANDOMISED = (Recipe(epochs=30, augmented=("session",)),)

VARIANTS = (
    *SIMPLE,
    Variant(
        "gp",
        "a Gaussian process on two-point statistics of gray levels",
        PROCESS,
        encoding=Encoding("two-point", NUMBERS),
    ),
    Variant(
        "gp-segmented",
        "a Gaussian process on two-point statistics of the segmented patch",
        PROCESS,
        encoding=Encoding("segmented-two-point", NUMBERS),
    ),
    Variant("baseline", "the report's baseline CNN on gray levels", baseline(1), RECIPE),
    Variant(
        "baseline-normalised",
        "the report's baseline CNN on gray levels of mean 0 and deviation 1",
        baseline(1),
        RECIPE,
        Encoding("normalised"),
    ),
    Variant(
        "baseline-segmented",
        "the report's baseline CNN on the segmented patch",
        baseline(1),
        RECIPE,
        Encoding("segmented"),
    ),
    Variant(
        "baseline-randomised",
        "the report's baseline CNN on gray levels, trained on sessions of all kinds",
        baseline(1),
        _RANDOMISED,
    ),
)

PROFILES: dict[str, Profile] = thirty_epochs(
    leaves_out=("stereology", "gp", "gp-segmented", "baseline", "baseline-normalised", "baseline-segmented")
)

COMPARISONS = (
    Comparison("does it help the CNN to normalise gray levels?", "baseline-normalised", "baseline"),
    Comparison("does it help the CNN to segment the patch?", "baseline-segmented", "baseline"),
    Comparison("does it help the CNN to be trained on sessions of all kinds?", "baseline-randomised", "baseline"),
)

# --- data -----------------------------------------------------------------------------------------------------------

_HOME = Session(soft=0.3, contrast=0.4, tilts=(0.0, 0.0), noise=0.03, blur=0.6)
_SPREAD = (0.02, 0.03, 0.005, 0.1)  # by which soft, contrast, noise and blur vary from day to day
_ELSEWHERE = Session(soft=0.42, contrast=0.25, tilts=(0.1, -0.05), noise=0.06, blur=1.2, vignetting=0.2)

_EDGE = 64  # pixels of a patch
_CUTS = {"train": 3, "validation": 3, "new": 2, "richer": 2}  # patches along an edge of what is cut of a micrograph
_RICH = 0.5
"""Volume fraction of the stiff phase up to which specimens are trained on."""
_TRAINED, _VALIDATED = 90, 20  # specimens; the others are new
_SEED, _SPLIT = 23, 1


class Condition(NamedTuple):
    """A test: a session, pixels that are `down / up` as large as at home, and the `threshold` above which the share of
    the stiff phase, seen through a blur of a pixel, is taken for stiff; None for a mask as it is.
    """

    session: Session
    down: int = 1
    up: int = 1
    threshold: float | None = None

    def seen(self, mask: Mask) -> Shares:
        """The shares of the stiff phase in the pixels of a specimen."""
        shares = coarsened(mask, self.down, self.up)
        if self.threshold is None:
            return shares
        taken: Shares = (gaussian_filter(shares, 1.0, mode="wrap") > self.threshold).astype(np.float64)
        return taken


def _changed(**fields: float | tuple[float, float]) -> Condition:
    return Condition(msgspec.structs.replace(_HOME, **fields))


SHIFTS: dict[str, tuple[Condition, ...]] = {
    "contrast": tuple(_changed(contrast=contrast) for contrast in (0.3, 0.2, 0.1)),
    "level": tuple(_changed(soft=soft) for soft in (0.38, 0.46, 0.54)),
    "vignetting": tuple(_changed(vignetting=share) for share in (0.15, 0.3, 0.45)),
    "noise": tuple(_changed(noise=noise) for noise in (0.06, 0.09, 0.12)),
    "blur": tuple(_changed(blur=blur) for blur in (1.0, 1.5, 2.0)),
    "pixel": tuple(Condition(_HOME, *ratio) for ratio in ((5, 4), (3, 2), (2, 1))),
    "threshold": tuple(Condition(_HOME, threshold=threshold) for threshold in (0.4, 0.3, 0.2)),
}
"""What is changed, and how far, from less to more."""

CONDITIONS = {
    "same": Condition(_HOME),
    "elsewhere": Condition(_ELSEWHERE),
    **{f"{name}-{number}": each for name, steps in SHIFTS.items() for number, each in enumerate(steps, 1)},
    "stiffer": Condition(_HOME),
}
_CONDITIONS_OF = {"new": tuple(CONDITIONS), "validation": ("same", "elsewhere")}


def load(folder: Path | None, options: Mapping[str, str]) -> Dataset:
    """See `Suite.load`."""
    question.refuse_folder(folder)
    specimens = shipped.load()
    part = _parts(specimens.masks.mean(axis=(1, 2)))
    patches, ids, moduli, stiffest = [], [], [], stiffer.load()
    for number, mask in enumerate(specimens.masks):
        for name in _CONDITIONS_OF.get(part[number], ("same",)):
            found = list(_patches(mask, number, name, _CUTS[part[number]]))
            patches += found
            ids += [f"{number:03}/{part[number]}/{name}/{place}" for place in range(len(found))]
            moduli += [(stiffest if name == "stiffer" else specimens.visible)[number]] * len(found)
    return Dataset(
        name="shift",
        images=np.stack(patches)[..., None].astype(np.float32) / np.float32(255),
        targets=np.array(moduli)[:, None],
        target_names=("E",),
        units=("GPa",),
        ids=tuple(ids),
        clusters=tuple(name.partition("/")[0] for name in ids),  # no groups: a specimen stands in many tests
    )


def _parts(fractions: NDArray[np.float64]) -> list[str]:
    """For each specimen where it stands."""
    poor = np.random.default_rng(_SPLIT).permutation(np.flatnonzero(fractions <= _RICH))
    part = ["richer"] * len(fractions)
    for place, number in enumerate(poor.tolist()):
        part[number] = "train" if place < _TRAINED else "validation" if place < _TRAINED + _VALIDATED else "new"
    return part


def _patches(mask: Mask, number: int, name: str, cuts: int) -> Iterator[NDArray[np.uint8]]:
    """Patches of the middle of a specimen's micrograph in a condition."""
    condition = CONDITIONS[name]
    draw = np.random.default_rng([_SEED, number, list(CONDITIONS).index(name)])
    soft, contrast, noise, blur = draw.uniform(-1, 1, 4) * _SPREAD
    session = msgspec.structs.replace(
        condition.session,
        soft=condition.session.soft + soft,
        contrast=condition.session.contrast + contrast,
        noise=condition.session.noise + noise,
        blur=condition.session.blur + blur,
    )
    picture = photograph(condition.seen(mask), session, draw)
    first = (len(picture) - cuts * _EDGE) // 2
    for row in range(cuts):
        for column in range(cuts):
            top, left = first + row * _EDGE, first + column * _EDGE
            yield picture[top : top + _EDGE, left : left + _EDGE]


def split(dataset: Dataset) -> Split:
    """By specimen, as the names of the images say."""
    _, part, condition, _ = np.array([name.split("/") for name in dataset.ids]).T
    home = condition == "same"
    tests = {name: np.flatnonzero((part == "new") & (condition == name)) for name in CONDITIONS}
    tests["richer"] = np.flatnonzero((part == "richer") & home)
    tests["validation-elsewhere"] = np.flatnonzero((part == "validation") & ~home)
    return Split(np.flatnonzero((part == "train") & home), np.flatnonzero((part == "validation") & home), tests)


def draw(predicted: Sequence[Predicted], folder: Path) -> list[Path]:
    """See `Suite.draw`."""
    from suites.micrographs import pictures  # noqa: PLC0415  only who draws waits for matplotlib

    return pictures.draw_severity(predicted, {name: len(steps) for name, steps in SHIFTS.items()}, folder)


def check_data(folder: Path, options: Mapping[str, str]) -> list[Finding]:
    """See `Suite.check_data`: raises BenchError, as `load` would."""
    load(folder, options)
    return []


def unit_factor(unit: str) -> float:
    """GPa per `unit`."""
    return gpa_per(unit)


def make_data(out: Path, count: int, seed: int, options: Mapping[str, str], on_progress: OnProgress) -> str:
    """See `Suite.make_data`: there is nothing to make."""
    raise BenchError("suite=shift: its specimens are shipped; `bench data make` makes folders of suite elasticity")
