"""How far a score rises where patches of one specimen stand on both sides of a split.

Exercise 3 of a lecture on representations: 200 micrographs are cut into 16 patches each, and patches, not specimens,
are drawn for the test. The lecture's R² is 0.95 then, and 0.72 where specimens are drawn. Here each model is trained
once, on patches of 100 specimens, and meets four tests: patches of specimens that it has never seen, by which models
are ranked; other patches of the specimens it was trained on, as a random split has them; patches of which it has seen
both halves; and patches that it has seen, photographed once more.

Every patch carries its specimen's modulus, as tests of a specimen do. A part of that no image shows (`specimens`), and
micrographs differ in how they were taken (`imaging`): who tells specimens apart by that knows the modulus of those that
were seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import BenchError, Finding
from harness.protocol import (
    Comparison,
    Dataset,
    OnProgress,
    Predicted,
    Split,
)
from suites.micrographs import images as pngs
from suites.micrographs import question, symmetries, variants
from suites.micrographs import specimens as shipped
from suites.microstructure.units import gpa_per

OPTIONS: dict[str, str] = {}
MAKE_OPTIONS: dict[str, str] = {}
READS_FOLDERS = False
SUMMARY = "a specimen's Young's modulus from a 64x64 patch of its micrograph, and what a random split of patches hides"
SOURCE = None
PRETRAINING = None

VARIANTS, PROFILES = variants.VARIANTS, variants.PROFILES
METRICS = ()
SYMMETRIES = symmetries.SYMMETRIES
read_images = pngs.read_images
encoder, decoder, measure = question.encoder, question.decoder, question.measure

COMPARISONS = (
    Comparison(
        "does it help a CNN to segment the patch?",
        "baseline-segmented",
        "baseline",
    ),
    Comparison("does it help to know how a micrograph was taken, beside what it shows?", "everything-gp", "gp"),
)

_EDGE, _CUTS = 64, 4  # pixels of a patch, patches along an edge of a micrograph
_TRAINED, _VALIDATED = 100, 30  # specimens; the others are new
_SEED = 1
_SEEN = tuple((row, -row % _CUTS) for row in range(_CUTS))
"""Places (row, column) of the patches that no model is trained on: one in each row and column."""
_PLACES = tuple((row, column) for row in range(_CUTS) for column in range(_CUTS))
# In each row the first two neighbours that are trained on.
_PAIRS = tuple(
    next((r, c) for r, c in _PLACES if r == row and not {(r, c), (r, c + 1)} & set(_SEEN)) for row in range(_CUTS)
)


def load(folder: Path | None, options: Mapping[str, str]) -> Dataset:
    """See `Suite.load`. Patches of one specimen are clusters, not groups, or the harness would refuse the split."""
    question.refuse_folder(folder)
    specimens = shipped.load()
    patches, ids = [], []
    for number, mask in enumerate(specimens.masks):
        micrograph, again = shipped.photographed(mask, number)
        for kind, picture, places, shift in (
            ("patch", micrograph, _PLACES, 0),
            ("between", micrograph, _PAIRS, _EDGE // 2),
            ("again", again, _PAIRS, 0),
        ):
            for row, column in places:
                patches.append(_cut(picture, row * _EDGE, column * _EDGE + shift))
                ids.append(f"{number:03}-{kind}-{row}{column}")
    measured = np.repeat(specimens.measured, len(ids) // len(specimens.masks))
    return Dataset(
        name="leakage",
        images=np.stack(patches)[..., None].astype(np.float32) / np.float32(255),
        targets=measured[:, None],
        target_names=("E",),
        units=("GPa",),
        ids=tuple(ids),
        clusters=tuple(name.partition("-")[0] for name in ids),
    )


def _cut(picture: NDArray[np.uint8], top: int, left: int) -> NDArray[np.uint8]:
    return picture[top : top + _EDGE, left : left + _EDGE]


def split(dataset: Dataset) -> Split:
    """Specimens are drawn; of those trained on, 12 patches of 16 are. Models are chosen on specimens of their own."""
    specimen, kind, place = np.array([name.split("-") for name in dataset.ids]).T
    drawn = np.random.default_rng(_SEED).permutation(np.unique(specimen))
    trained, validated = np.isin(specimen, drawn[:_TRAINED]), np.isin(specimen, drawn[_TRAINED:][:_VALIDATED])
    patch, seen = kind == "patch", np.isin(place, [f"{row}{column}" for row, column in _SEEN])
    tests = {
        "new": patch & ~trained & ~validated,
        "seen": patch & trained & seen,
        "overlapping": (kind == "between") & trained,
        "again": (kind == "again") & trained,
    }
    rows = {name: np.flatnonzero(of) for name, of in tests.items()}
    return Split(np.flatnonzero(patch & trained & ~seen), np.flatnonzero(patch & validated), rows)


def draw(predicted: Sequence[Predicted], folder: Path) -> list[Path]:
    """See `Suite.draw`."""
    from suites.micrographs import pictures  # noqa: PLC0415  only who draws waits for matplotlib

    return pictures.draw(predicted, folder)


def check_data(folder: Path, options: Mapping[str, str]) -> list[Finding]:
    """See `Suite.check_data`: raises BenchError, as `load` would."""
    load(folder, options)
    return []


def unit_factor(unit: str) -> float:
    """GPa per `unit`."""
    return gpa_per(unit)


def make_data(out: Path, count: int, seed: int, options: Mapping[str, str], on_progress: OnProgress) -> str:
    """See `Suite.make_data`: there is nothing to make."""
    raise BenchError("suite=leakage: its specimens are shipped; `bench data make` makes folders of suite elasticity")
