"""Young's modulus of a polysilicon film from an image of its grains, most of which follows without a network.

Data and experiments are those of a lecture on thin films of polysilicon. Films of four grains across the window are for
training; whether a model knows that larger windows scatter less is tested on six and ten. Labels are homogenized by the
solver of suite elasticity, in plane stress.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

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
    Metric,
    OnProgress,
    Pictures,
    Predicted,
    Split,
    Targets,
)
from harness.text import nearest
from suites.films import dataset as shipped
from suites.films import folder as folders
from suites.films import symmetries, variants
from suites.films.crystal import SILICON, Crystal, crystal_of, parse_crystal
from suites.films.decodings import FromHill
from suites.films.encodings import Bounds, Coarse, Estimate, Waves
from suites.films.images import odd_films, read_films
from suites.films.statistics import WeakContrast
from suites.films.tessellation import parse_ratio
from suites.microstructure.folder import of_one_channel, refuse_occupied
from suites.microstructure.images import find_images
from suites.microstructure.made import named_after
from suites.microstructure.question import split as of_all
from suites.microstructure.units import gpa_per

OPTIONS = {
    "unit": "unit of the moduli in the CSV: GPa, MPa, Pa, N/nm^2, ...",
    "crystal": "crystal of the grains: silicon, copper, or c11,c12,c44 in GPa; if empty, the one the data set states",
}

MAKE_OPTIONS = {
    "ratio": "ratio of window edge to mean grain size, L/s_g: 4",
    "crystal": "crystal of the grains: silicon, copper, or c11,c12,c44 in GPa",
    "unit": "unit of the moduli in the CSV: GPa, MPa, Pa, N/nm^2, ...",
}

READS_FOLDERS = True
SUMMARY = "apparent Young's modulus of polysilicon films from 128x128 images of their grains' angles"
SOURCE = None

VARIANTS, PROFILES = variants.VARIANTS, variants.PROFILES
SYMMETRIES = symmetries.SYMMETRIES

METRICS = (
    Metric("mape", "%", "lower", "mean absolute error as a share of the modulus", "MAPE %", ".3g"),
    Metric(
        "skill_over_line",
        "",
        "higher",
        "1 - MSE / MSE of a line in Voigt's and Reuss's modulus that is fitted to this very test: no line does better",
        "over line",
        ".3g",
    ),
    Metric(
        "sd_error",
        "%",
        "lower",
        "absolute error of the predicted standard deviation over films, as a share of the true one",
        "SD error %",
        ".3g",
    ),
    Metric("sd_error_low", "%", "", "the lower end of its 95 % bootstrap interval over films"),
    Metric("sd_error_high", "%", "", "the upper end"),
)

_RESAMPLED = 1000

PRETRAINING = None

COMPARISONS = (
    Comparison(
        "does it help to move few originals as the lecture does, with their labels copied?",
        "few-copied",
        "few-originals",
        "The lecture finds that it harms: an SD error of 48.7 % (ratio 4, as trained on) and 25.8 % (ratio 10) "
        "with, 8.8 % and 16 % without, but of different numbers of originals.",
    ),
    Comparison(
        "does it help to move few originals as their labels allow, angles with them?",
        "few-moved",
        "few-copied",
    ),
    Comparison(
        "do more originals help?",
        "many-originals",
        "few-originals",
        "The lecture: an SD error of 2.4 % (ratio 4, as trained on) and 5.7 % (ratio 10) with more, 8.8 % and "
        "16 % with fewer.",
    ),
    Comparison(
        "are more originals worth more than few that are moved as their labels allow?", "many-originals", "few-moved"
    ),
    Comparison("does it help to show angles without their seam?", "many-waves", "many-originals"),
    Comparison("does it help to start from Hill's estimate?", "hill-net", "many-waves"),
)

_ENCODINGS = ("voigt", "reuss", "hill", "bounds", "weak-contrast", "coarse", "waves")


def load(folder: Path | None, options: Mapping[str, str]) -> Dataset:
    """See `Suite.load`; moduli come in GPa whatever the unit of the CSV."""
    unit, crystal = options.get("unit", ""), _crystal(options)
    if folder is not None:
        return folders.read_folder(folder, unit or None, crystal)
    if unit:
        gpa_per(unit)  # refused here if it is unknown, before anything runs
    if crystal:
        raise BenchError("crystal= describes a data set of your own: give data= too, or leave it out")
    return shipped.load()


def check_data(folder: Path, options: Mapping[str, str]) -> list[Finding]:
    """See `Suite.check_data`. Many a table has a column E: where its images are no films, it is not for this suite."""
    findings = folders.check_folder(folder, options.get("unit") or None, _crystal(options))
    return findings if any(finding.severity == "error" for finding in findings) else _no_films(folder) + findings


def _no_films(folder: Path) -> list[Finding]:
    """An error where most images of a folder are no films."""
    images = read_films(find_images(folder)).images
    odd = {spot.place for spot in odd_films(images)}
    few = {place for place, image in enumerate(images) if len(np.unique(image)) < _FEWEST_GRAINS}
    if 2 * len(odd | few) <= len(images):
        return []
    what = (
        f"{len(odd | few)} of {len(images)} are no films: those have grains, each of the gray level of its angle; "
        "suite=own takes pictures of anything"
    )
    return [Finding("error", "images", what)]


_FEWEST_GRAINS = 4  # of unlike gray levels, in a window: masks of two phases are no films


def _crystal(options: Mapping[str, str]) -> Crystal | None:
    return parse_crystal(options["crystal"]) if options.get("crystal") else None


def read_images(folder: Path, input_shape: Shape, facts: Facts) -> Pictures:
    """See `Suite.read_images`."""
    return folders.read_image_folder(folder, of_one_channel(input_shape))


def unit_factor(unit: str) -> float:
    """GPa per `unit`."""
    return gpa_per(unit)


def make_data(out: Path, count: int, seed: int, options: Mapping[str, str], on_progress: OnProgress) -> str:
    """See `Suite.make_data`. Raises BenchError for a `ratio` whose films the suite would not take for such."""
    unit, ratio = options.get("unit") or "GPa", parse_ratio(options.get("ratio") or "4")
    if ratio**2 < _FEWEST_GRAINS:
        raise BenchError(f"ratio={ratio:g}: a film has {_FEWEST_GRAINS} grains at least: choose 2 or more")
    parameters = shipped.Parameters(count, seed, ratio, _crystal(options) or SILICON)
    refuse_occupied(out)
    gpa_per(unit)  # refused here if it is unknown, before the work
    made = named_after(out, shipped.make(parameters, on_progress))
    folders.write_folder(made, out, msgspec.to_builtins(parameters), unit)
    return f"{count} films and their Young's moduli in {unit}"


def split(dataset: Dataset) -> Split:
    """Films of the first kind are split 70/15/15 as in suite elasticity; every other kind is a test of its own.

    Kinds are the sizes of the window, of which the first is the lecture's for training. Raises BenchError for too few.
    """
    kinds = np.array(dataset.kinds or ("",) * len(dataset.images))
    first, *others = dict.fromkeys(kinds.tolist())
    rows = np.flatnonzero(kinds == first)
    groups = tuple(dataset.groups[row] for row in rows) if dataset.groups else ()
    inner = of_all(msgspec.structs.replace(dataset, images=dataset.images[rows], groups=groups))
    tests = {_test(first): rows[inner.test], **{_test(kind): np.flatnonzero(kinds == kind) for kind in others}}
    return Split(rows[inner.train], rows[inner.validation], tests)


def _test(kind: str) -> str:
    """`L/s_g 4` is test `ratio-4`; that of a data set without kinds is `test`."""
    return f"ratio-{kind.rpartition(' ')[2]}" if kind else "test"


def encoder(encoding: Encoding, dataset: Dataset) -> Encoder:
    """See `Suite.encoder`."""
    share = int(encoding.parameters.get("share", 1))
    match encoding.name:
        case "voigt" | "reuss" | "hill":
            return Estimate(crystal_of(dataset.facts), encoding.name)
        case "bounds":
            return Bounds(crystal_of(dataset.facts))
        case "weak-contrast":
            return WeakContrast()
        case "coarse":
            return Coarse(share)
        case "waves":
            return Waves(share)
        case other:
            raise BenchError(f"unknown encoding '{other}'{nearest(other, _ENCODINGS)}")


def decoder(decoding: Encoding, dataset: Dataset) -> Decoder:
    """See `Suite.decoder`."""
    if decoding.name != "from-hill":
        raise BenchError(f"unknown decoding '{decoding.name}'{nearest(decoding.name, ('from-hill',))}")
    return FromHill(crystal_of(dataset.facts))


def measure(predictions: Targets, truth: Targets, images: Images, facts: Facts) -> dict[str, float]:
    """See `Suite.measure`: of fewer than ten films, or of films that are all alike, there is no figure of how they
    scatter, nor of the line, as where the crystal is not known or nothing is left of films by it.
    """
    found = {"mape": float(100 * np.abs(predictions / truth - 1).mean())}
    if len(truth) < _FEWEST_FILMS or not np.ptp(truth) > 0:
        return found
    drawn = np.random.default_rng(0).integers(len(truth), size=(_RESAMPLED, len(truth)))
    low, high = np.quantile(_sd_error(predictions[drawn, 0], truth[drawn, 0]), (0.025, 0.975))
    found |= {
        "sd_error": float(_sd_error(predictions[:, 0], truth[:, 0])),
        "sd_error_low": float(low),
        "sd_error_high": float(high),
    }
    if crystal := crystal_of(facts):
        estimates = _estimates(crystal, images)
        of_line = truth - estimates @ np.linalg.lstsq(estimates, truth)[0]
        if np.mean(of_line**2) > _NOTHING * truth.var():
            found["skill_over_line"] = float(1 - np.mean((predictions - truth) ** 2) / np.mean(of_line**2))
    return found


_FEWEST_FILMS = 10
_NOTHING = 1e-12  # of the variance of films: what a line leaves of its own films to rounding


def _estimates(crystal: Crystal, images: Images) -> Targets:
    """(n, 3) of each film its two bounds, and 1. They are kept of the last tests, for whoever measures many models asks
    of the same films for each, and would spend nearly all of the time here.
    """
    place = crystal, hashlib.sha256(images.tobytes()).digest()
    if place not in _KEPT:
        if len(_KEPT) == _TESTS_KEPT:
            _KEPT.pop(next(iter(_KEPT)))
        _KEPT[place] = np.column_stack([Bounds(crystal).moduli(images), np.ones(len(images))])
    return _KEPT[place]


_TESTS_KEPT = 8
_KEPT: dict[tuple[Crystal, bytes], Targets] = {}


def draw(predicted: Sequence[Predicted], folder: Path) -> list[Path]:
    """See `Suite.draw`."""
    from suites.films import pictures  # noqa: PLC0415  only who draws waits for matplotlib

    return pictures.draw(predicted, folder)


def _sd_error(predictions: Targets, truth: Targets) -> Targets:
    """In percent, of films along the last axis; as if it were all of it of films that are drawn alike."""
    true = np.where(np.ptp(truth, axis=-1) > 0, truth.std(axis=-1), np.inf)  # which is not 0 of all equal numbers
    error: Targets = 100 * np.abs(predictions.std(axis=-1) / true - 1)
    return error
