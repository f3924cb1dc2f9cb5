"""Nine elastic constants again, of the same images: where the stiff phase is a hundred times as stiff as the soft one.

At the contrast of suite elasticity, six, the volume fraction alone tells most of a microstructure. Here it does not:
what matters is how the stiff phase hangs together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from harness.errors import BenchError, Finding
from harness.protocol import Dataset, OnProgress
from suites.microstructure import dataset as shipped
from suites.microstructure import endless, question, symmetries, variants
from suites.microstructure import folder as folders
from suites.microstructure.made import named_after
from suites.microstructure.units import gpa_per

OPTIONS: dict[str, str] = {}
MAKE_OPTIONS: dict[str, str] = {}
READS_FOLDERS = False

SUMMARY = "nine homogenized elastic constants, of the same images at a phase contrast of 100"
SOURCE = None

VARIANTS = variants.VARIANTS
# The models are those of suite elasticity, whose smoke profile shows that they work.
_SLOW = ("tuned", "augmented", "trees", "physics-gp")
_SMOKE = msgspec.structs.replace(variants.PROFILES["smoke"], leaves_out=(*variants.BACKBONES, *_SLOW))
PROFILES = variants.PROFILES | {"smoke": _SMOKE}
METRICS, SYMMETRIES, COMPARISONS = question.METRICS, symmetries.SYMMETRIES, question.COMPARISONS
PRETRAINING = endless.PRETRAINING
split, encoder, decoder = question.split, question.encoder, question.decoder
measure, read_images, draw = question.measure, question.read_images, question.draw


def load(folder: Path | None, options: Mapping[str, str]) -> Dataset:
    """See `Suite.load`."""
    if folder is not None:
        raise BenchError(f"data={folder}: this suite has data of its own alone; give yours with suite=elasticity")
    return shipped.load("contrast100")


def check_data(folder: Path, options: Mapping[str, str]) -> list[Finding]:
    """See `Suite.check_data`: raises BenchError, as `load` would."""
    load(folder, options)
    return []


def unit_factor(unit: str) -> float:
    """GPa per `unit`."""
    return gpa_per(unit)


def make_data(out: Path, count: int, seed: int, options: Mapping[str, str], on_progress: OnProgress) -> str:
    """See `Suite.make_data`."""
    parameters = msgspec.structs.replace(shipped.SHIPPED["contrast100"], count=count, seed=seed)
    folders.refuse_occupied(out)
    made = named_after(out, shipped.make(parameters, on_progress))
    folders.write_folder(made, out, "GPa", msgspec.to_builtins(parameters))
    return f"{count} images and their constants in GPa"
