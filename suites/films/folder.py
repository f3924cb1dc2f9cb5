"""A user's own films: a folder of PNG images, gray levels of the angle, and one CSV `file,E1`.

A `dataset.json`, which `write_folder` leaves, may name the crystal. Without one, and without `crystal=`, moduli cannot
be held to Voigt's and Reuss's bounds.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.errors import BenchError, DataError, Finding
from harness.protocol import Dataset, Images, Pictures
from harness.text import Label, label
from suites.films.crystal import Crystal, as_facts, crystal_of, estimates, parse_crystal, written
from suites.films.dataset import TARGET
from suites.films.images import odd_films, read_films
from suites.films.rendering import LEVELS, angles_of, as_levels
from suites.films.table import Table, read_table
from suites.microstructure import folder as folders
from suites.microstructure.checks import check_count
from suites.microstructure.findings import Spot, gather, of_images, of_rows
from suites.microstructure.images import find_images, text
from suites.microstructure.pairing import by_name
from suites.microstructure.units import gpa_per

Floats = NDArray[np.float64]

_LARGEST = 2**20  # bytes
_SLACK = 0.01  # of a bound: gray levels and pixels change area fractions a little
_EQUAL = 1e-3
_PLAUSIBLE = 0.1, 2000.0  # GPa
_ENOUGH = 20  # films, of which fewer would correlate by chance


class About(msgspec.Struct, frozen=True):
    """`dataset.json`: what images and CSV alone do not say. `parameters` is for people."""

    name: Label
    crystal: Label = ""
    parameters: dict[str, object] = {}


def read_folder(folder: Path, unit: str | None = None, crystal: Crystal | None = None) -> Dataset:
    """The films in `folder`, E1 converted from `unit` to GPa; its warnings hold what is suspicious.

    `unit` None takes the one that the CSV's header names, else GPa; `crystal` goes before that of dataset.json. Images
    come in natural order of their names. Raises DataError with everything that is wrong.
    """
    dataset, findings = _examine(folder, unit, crystal)
    if dataset is None:
        raise DataError(str(folder), findings)
    return dataset


def check_folder(folder: Path, unit: str | None = None, crystal: Crystal | None = None) -> list[Finding]:
    """Everything wrong or suspicious about the films in `folder`, errors first. Nothing is written."""
    return sorted(_examine(folder, unit, crystal)[1], key=lambda finding: finding.severity)


def read_image_folder(folder: Path, size: tuple[int, int]) -> Pictures:
    """Every film of a folder (n, height, width, 1) in natural order. Raises BenchError for a folder without any."""
    return folders.read_image_folder(folder, size, read_films)


def _examine(folder: Path, unit: str | None, crystal: Crystal | None) -> tuple[Dataset | None, list[Finding]]:
    """The data set, None where there is an error, and all findings."""
    if not folder.is_dir():
        return None, [Finding("error", str(folder), "there is no such folder")]
    about, findings = folders.read_about(folder, About, _check_about, _LARGEST)
    crystal = crystal or (parse_crystal(about.crystal) if about and about.crystal else None)
    try:
        paths = find_images(folder)
    except BenchError:
        paths = []
        findings.append(Finding("error", str(folder), "no *.png images"))
    path, of_table = folders.only_table(folder, "moduli")
    table = read_table(path) if path else None
    findings += of_table + (table.findings if table else [])
    if path is None or table is None or not table.files:
        return None, findings + read_films(paths).findings
    factor, of_unit = _factor(unit, table, path.name)
    pairing = by_name(paths, table.files, path.name)
    read = read_films(pairing.paths)
    names = [text(pairing.paths[place].name) for place in read.places]
    rows = [pairing.rows[place] for place in read.places]
    moduli = table.values[rows] * factor
    findings += of_unit + pairing.findings + read.findings
    findings += _check(read.images, moduli, names, crystal) + _check_rows(moduli, rows, path.name)
    findings += check_count(len(pairing.paths)) if pairing.paths else []
    if any(finding.severity == "error" for finding in findings):
        return None, findings
    return Dataset(
        name=about.name if about else label(folder.resolve().name),
        images=read.images,
        targets=moduli[:, None],
        target_names=(TARGET,),
        units=("GPa",),
        ids=tuple(names),
        facts=as_facts(crystal),
        warnings=tuple(f"{finding.where}: {finding.what}" for finding in findings),
    ), findings


def _check_about(about: About) -> None:
    if about.crystal:
        parse_crystal(about.crystal)


def _factor(unit: str | None, table: Table, name: str) -> tuple[float, list[Finding]]:
    """GPa per unit of the table, which its header must not gainsay. Raises BenchError for an unknown `unit`."""
    stated = gpa_per(unit) if unit else None
    try:
        headed = gpa_per(table.unit) if table.unit else None
    except BenchError as error:
        return stated or 1.0, [Finding("error", name, str(error))]
    if stated and headed and stated != headed:
        return stated, [Finding("error", name, f"says {table.unit}, but unit={unit}: which is it?")]
    return stated or headed or 1.0, []


def _check_rows(moduli: Floats, rows: list[int], name: str) -> list[Finding]:
    """What is wrong with moduli (n,) in GPa by themselves; NaN where a cell could not be read."""
    known = moduli[np.isfinite(moduli)]
    if len(known) > 1 and np.ptp(known) <= 1e-12 * np.abs(known).max():
        return [Finding("error", name, f"E1 is the same in every row, {known[0]:g} GPa: nothing to predict")]
    spots = [Spot(int(at), "E1 is not positive", detail=f"{moduli[at]:g} GPa") for at in np.flatnonzero(moduli <= 0)]
    findings = gather(spots, of_rows(name, rows))
    if len(known) and not spots and not _PLAUSIBLE[0] <= np.median(known) <= _PLAUSIBLE[1]:
        what = f"E1 is typically {np.median(known):.3g} GPa, which no common solid has: is the unit right?"
        findings.append(Finding("warning", name, what))
    return findings


def _check(images: Images, moduli: Floats, names: list[str], crystal: Crystal | None) -> list[Finding]:
    """What is wrong or suspicious about images and moduli (n,) in GPa that belong together."""
    findings = gather(odd_films(images), of_images(names), "warning") + _twins(images, moduli, names)
    known = np.isfinite(moduli) & (moduli > 0)
    if crystal is None or not known.any():
        return findings
    counts = np.stack([np.bincount(levels.ravel(), minlength=LEVELS) for levels in as_levels(images)])
    estimated = estimates(crystal, angles_of(np.arange(LEVELS)), counts / counts.sum(axis=1, keepdims=True))
    outside = known & ~((moduli > estimated.reuss * (1 - _SLACK)) & (moduli < estimated.voigt * (1 + _SLACK)))
    what = "E1 outside Reuss's and Voigt's bounds of what the image shows"
    spots = []
    for at in np.flatnonzero(outside).tolist():
        detail = f"{moduli[at]:.4g} GPa, bounds {estimated.reuss[at]:.4g} to {estimated.voigt[at]:.4g}"
        weight = float(abs(np.log(moduli[at] / estimated.hill[at])))
        spots.append(Spot(at, what, f"check the row, the unit and crystal={written(crystal)}", detail, weight))
    return findings + gather(spots, of_images(names), "warning") + _unrelated(estimated.hill[known], moduli[known])


def _unrelated(estimated: Floats, moduli: Floats) -> list[Finding]:
    """Labels in another order than the images: else Hill's estimate explains nearly all of them."""
    if len(moduli) < _ENOUGH or np.ptp(estimated) == 0 or np.ptp(moduli) == 0:
        return []
    explained = float(np.corrcoef(estimated, moduli)[0, 1] ** 2)
    if explained > 0.5:
        return []
    what = f"Hill's estimate from the angles explains {explained:.0%} of E1, where 99 % are usual: are rows and images"
    return [Finding("warning", "moduli", f"{what} paired rightly, is 0 to 255 really 0 to 90 degrees?")]


def _twins(images: Images, moduli: Floats, names: list[str]) -> list[Finding]:
    """Images that are equal to the pixel: an error where their moduli are not."""
    first: dict[bytes, int] = {}
    errors, warnings = [], []
    for place, image in enumerate(images):
        original = first.setdefault(image.tobytes(), place)
        if original == place:
            continue
        if abs(moduli[place] - moduli[original]) > _EQUAL * abs(moduli[original]):
            what, remedy = "the same image as another, with another E1", "find out which is right"
            errors.append(Spot(place, what, remedy, f"as {names[original]}"))
        else:
            what, remedy = "the same image as another", "one may end up in training and one in the test: keep one"
            warnings.append(Spot(place, what, remedy, f"as {names[original]}"))
    return gather(errors, of_images(names)) + gather(warnings, of_images(names), "warning")


def write_folder(dataset: Dataset, folder: Path, parameters: dict[str, object], unit: str = "GPa") -> None:
    """Write films as `read_folder` reads them, moduli in `unit`; all of it or nothing.

    Raises BenchError where the folder exists and is not empty, and for an unknown unit.
    """
    factor = gpa_per(unit)
    crystal = crystal_of(dataset.facts)
    about = About(dataset.name, written(crystal) if crystal else "", parameters)
    with folders.writing_folder(folder, about) as draft:
        rows = [f"file,{TARGET} ({unit})" if unit != "GPa" else f"file,{TARGET}"]
        for index, (levels, row) in enumerate(zip(as_levels(dataset.images), dataset.targets.tolist(), strict=True)):
            Image.fromarray(levels).save(draft / f"{index}_film.png")
            rows.append(f"{index}_film.png,{row[0] / factor!r}")
        (draft / "films.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
