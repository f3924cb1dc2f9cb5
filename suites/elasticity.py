"""Nine elastic constants from a 64x64 image of two phases: which model reads them best, and at what cost.

Data, split, targets and networks are the report's. The shipped images are synthetic, labelled by the homogenization of
`microstructure/homogenization.py`; a folder in the report's layout takes their place with `data=`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from harness.errors import BenchError, Finding
from harness.protocol import Dataset, OnProgress, Source
from harness.text import number
from suites.microstructure import dataset as shipped
from suites.microstructure import endless, question, symmetries, variants
from suites.microstructure import folder as folders
from suites.microstructure.generators import FAMILIES
from suites.microstructure.images import SIZE
from suites.microstructure.made import named_after
from suites.microstructure.materials import parse_phases
from suites.microstructure.units import gpa_per

OPTIONS = {
    "unit": "unit of the constants in the CSV: GPa, MPa, Pa, N/nm^2, ...",
    "phases": "Young's modulus in GPa and Poisson's ratio of the soft phase, then of the stiff one: 70,0.33,410,0.19; "
    "used for bounds on the labels and by Voigt-Reuss-Hill; if empty, those the data set states",
}

MAKE_OPTIONS = {
    "size": "edge length in pixels: 64",
    "families": "families of microstructures, comma-separated, or all",
    "phases": "Young's modulus in GPa and Poisson's ratio of the soft phase, then of the stiff one: 70,0.33,410,0.19",
    "contrast": "ratio of stiff to soft Young's modulus, instead of the stiff phase's own modulus",
    "unit": "unit of the constants in the CSV: GPa, MPa, Pa, N/nm^2, ...",
}

READS_FOLDERS = True
SUMMARY = "nine homogenized elastic constants, C11 to C66, from 64x64 images of two-phase microstructures"

VARIANTS, PROFILES = variants.VARIANTS, variants.PROFILES
METRICS, SYMMETRIES, COMPARISONS = question.METRICS, symmetries.SYMMETRIES, question.COMPARISONS
PRETRAINING = endless.PRETRAINING
split, encoder, decoder = question.split, question.encoder, question.decoder
measure, read_images, draw = question.measure, question.read_images, question.draw

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
    lesson="An MSE this small is not machine precision: always answering the mean gives one as small, because it is "
    "the variance of the labels in a unit in which they are tiny (1 GPa is 1e-9 N/nm²). Initial weights, a learning "
    "rate and an epsilon meant for outputs of the order of one do not get a network down to 1e-8.",
)


def load(folder: Path | None, options: Mapping[str, str]) -> Dataset:
    """See `Suite.load`; the labels come in GPa whatever the unit of the CSV."""
    unit, phases = options.get("unit", ""), parse_phases(options.get("phases", ""))
    if folder is not None:
        return folders.read_folder(folder, unit or None, phases)
    if unit:
        gpa_per(unit)  # refused here if it is unknown, before anything runs
    if phases:
        raise BenchError("phases= describes a data set of your own: give data= too, or leave it out")
    return shipped.load("elasticity")


def check_data(folder: Path, options: Mapping[str, str]) -> list[Finding]:
    """See `Suite.check_data`."""
    return folders.check_folder(folder, options.get("unit") or None, parse_phases(options.get("phases", "")))


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
    made = named_after(out, shipped.make(parameters, on_progress))
    folders.write_folder(made, out, unit, msgspec.to_builtins(parameters))
    return f"{count} images and their constants in {unit}"


def _contrast(text: str) -> float:
    try:
        contrast = number(text)
    except ValueError:
        contrast = float("nan")
    if not 1 <= contrast <= 1e6:
        raise BenchError(f"contrast={text}: the stiff phase over the soft one is a number from 1 to 1e6")
    return contrast
