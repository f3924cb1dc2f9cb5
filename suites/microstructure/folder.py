"""A user's own data set: a folder in the report's layout (section 2).

One CSV holds the constants. A column of it names the images; without one they are `<id>_*.png`, ids counting from 0
and rows from 1, so that row k belongs to image k - 1. A `dataset.json`, which `write_folder` leaves, may name families,
phases and unit.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from PIL import Image

from harness.disk import umask
from harness.errors import BenchError, DataError, Finding
from harness.model.architecture import Shape
from harness.protocol import Dataset, Images, Pictures
from harness.text import Label, without_patterns
from suites.microstructure.checks import Floats, Pairs, check, check_count, check_table
from suites.microstructure.findings import Spot, few, gather, of_rows
from suites.microstructure.homogenization import TARGETS
from suites.microstructure.images import Read, find_images, read_images, text
from suites.microstructure.materials import Phases, as_facts, phases_of
from suites.microstructure.names import Names
from suites.microstructure.pairing import Pairing, pair
from suites.microstructure.table import Table, read_table
from suites.microstructure.units import gpa_per

ABOUT = "dataset.json"
_LARGEST = 2**26  # bytes


class About(msgspec.Struct, frozen=True):
    """`dataset.json`: what images and CSV alone do not say. `parameters` is for people."""

    name: Label
    unit: Label
    families: tuple[Label, ...] = ()
    phases: Phases | None = None
    parameters: dict[str, object] = {}


def read_folder(folder: Path, unit: str | None, phases: Phases | None) -> Dataset:
    """The data set in `folder`, constants converted from `unit` to GPa; its warnings hold what is suspicious.

    `unit` None takes the one that dataset.json or the CSV's header names, else GPa; `phases` go before those of
    dataset.json. Images come in natural order of their names. Raises DataError with everything that is wrong.
    """
    dataset, findings = _examine(folder, unit, phases)
    if dataset is None:
        raise DataError(str(folder), findings)
    return dataset


def check_folder(folder: Path, unit: str | None, phases: Phases | None = None) -> list[Finding]:
    """Everything wrong or suspicious about the data set in `folder`, errors first. Nothing is written."""
    return sorted(_examine(folder, unit, phases)[1], key=lambda finding: finding.severity)


def read_image_folder(
    folder: Path, size: tuple[int, int], read: Callable[[Sequence[Path], tuple[int, int]], Read] = read_images
) -> Pictures:
    """Every PNG of a folder (n, height, width, 1) in natural order, by what reads such images.

    Raises BenchError for a folder without any.
    """
    paths = find_images(folder)
    found = read(paths, size)
    return pictures(paths, found.images, found.places, found.spots)


def pictures(paths: Sequence[Path], images: Images, places: Sequence[int], spots: Sequence[Spot]) -> Pictures:
    """What was read of these paths, and of those that were not the first thing that is wrong with each."""
    names = [text(path.name) for path in paths]
    wrong: dict[str, str] = {}
    for spot in sorted(spots, key=lambda spot: spot.place):
        wrong.setdefault(names[spot.place], spot.what + f": {spot.remedy}" * bool(spot.remedy))
    return Pictures(images, tuple(names[place] for place in places), wrong)


def of_one_channel(input_shape: Shape) -> tuple[int, int]:
    """The height and width of what a model takes. Raises BenchError where that has not one channel."""
    if input_shape[2] != 1:
        raise BenchError(f"the model takes images of {input_shape[2]} channels, and this suite's have one")
    return input_shape[0], input_shape[1]


def _examine(folder: Path, unit: str | None, phases: Phases | None) -> tuple[Dataset | None, list[Finding]]:
    """The data set, None where there is an error, and all findings."""
    if not folder.is_dir():
        return None, [Finding("error", str(folder), "there is no such folder")]
    about, findings = read_about(folder, About, _check_about, _LARGEST)
    try:
        paths = find_images(folder)
    except BenchError:
        paths = []
        findings.append(Finding("error", str(folder), "no *.png images"))
    path, of_table = only_table(folder, "constants")
    table = read_table(path, Names(paths)) if path else None
    findings += of_table + (table.findings if table else [])
    if path is None or table is None or not len(table.values):
        return None, findings + read_images(paths).findings
    stated = unit or (about.unit if about else _of_header(table.units))
    findings += _contradicting_units(stated, about, table.units, path.name)
    constants = table.values * gpa_per(stated)
    findings += check_table(constants, path.name)
    pairing = pair(paths, table, path.name)
    families, of_families = _families(about, table, pairing, path.name)
    groups = tuple(table.groups[row] or "" for row in pairing.rows) if table.groups else ()
    phases = phases or (about.phases if about else None)
    pairs, of_pairs = _pairs(pairing, constants)
    findings += pairing.findings + of_families + of_pairs + check(pairs, path.name, stated, phases)
    findings += check_count(len(pairing.paths)) if pairing.paths else []
    if any(finding.severity == "error" for finding in findings):
        return None, findings
    dataset = Dataset(
        name=about.name if about else folder.resolve().name,
        images=pairs.images,
        targets=pairs.constants,
        target_names=TARGETS,
        units=("GPa",) * len(TARGETS),
        ids=tuple(pairs.names),
        kinds=families,
        groups=groups,
        facts=as_facts(phases),
        warnings=tuple(f"{finding.where}: {finding.what}" for finding in findings),
    )
    return dataset, findings


def only_table(folder: Path, holds: str) -> tuple[Path | None, list[Finding]]:
    """The one CSV of a folder, which holds these; None, and an error, where there is none or more."""
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv" and path.name[0] != ".")
    if len(tables) == 1:
        return tables[0], []
    names = few([path.name for path in tables])
    what = f"leave one CSV file; there are {len(tables)}: {names}" if tables else f"no CSV file with the {holds}"
    return None, [Finding("error", str(folder), what)]


def _pairs(pairing: Pairing, constants: Floats) -> tuple[Pairs, list[Finding]]:
    """The pairs whose images can be read."""
    read = read_images(pairing.paths)
    rows = [pairing.rows[place] for place in read.places]
    names = [text(pairing.paths[place].name) for place in read.places]
    return Pairs(read.images, names, rows, constants[rows]), read.findings


def _families(about: About | None, table: Table, pairing: Pairing, name: str) -> tuple[tuple[str, ...], list[Finding]]:
    """The family of each pair: what the CSV's column says, which dataset.json must not gainsay."""
    column = tuple(table.families[row] or "" for row in pairing.rows) if table.families else ()
    families = about.families if about else ()
    if not families:
        return column, []
    if len(families) != len(table.values):
        text = f"names the families of {len(families)} images, but the CSV has {len(table.values)} rows"
        return (), [Finding("error", ABOUT, text)]
    if not column or len(pairing.rows) != len(families):  # an image that is missing would move the others
        return families, []
    what, remedy = f"another family than {ABOUT} says", "take the column out, or mend one of the two"
    spots = [
        Spot(row, what, remedy, f"{said}, not {family}")
        for row, said, family in zip(pairing.rows, column, families, strict=False)
        if said != family
    ]
    return families, gather(spots, of_rows(name))


_Said = TypeVar("_Said", bound=msgspec.Struct)


def read_about(
    folder: Path, kind: type[_Said], check: Callable[[_Said], None], largest: int
) -> tuple[_Said | None, list[Finding]]:
    """What a folder's dataset.json of at most so many bytes says, None where there is none; or why it is of no use.

    `check` raises BenchError for what is wrong with it.
    """
    path = folder / ABOUT
    if not path.is_file():
        return None, []
    try:
        if path.stat().st_size > largest:
            raise BenchError(f"larger than {largest // 2**20} MiB")
        about = msgspec.json.decode(path.read_bytes(), type=kind)
        check(about)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, OSError, BenchError) as error:
        told = without_patterns(str(error))
        return None, [Finding("error", ABOUT, f"{told}; mend it, or take it away if the folder is not ours")]
    return about, []


def _check_about(about: About) -> None:
    gpa_per(about.unit)
    if about.phases and (wrong := about.phases[0].wrong() or about.phases[1].wrong()):
        raise BenchError(f"its phases: {wrong}")


def _of_header(units: frozenset[str]) -> str:
    """The unit that a header names; the first that is one, since the others are told by `_contradicting_units`."""
    for unit in sorted(units):
        try:
            gpa_per(unit)
        except BenchError:
            continue
        return unit
    return "GPa"


def _contradicting_units(stated: str, about: About | None, header: frozenset[str], table: str) -> list[Finding]:
    """Where dataset.json or the CSV's header names another unit than the one asked for."""
    named = {(table, unit) for unit in header} | ({(ABOUT, about.unit)} if about else set())
    findings = []
    for where, unit in sorted(named):
        try:
            if gpa_per(unit) != gpa_per(stated):
                findings.append(Finding("error", where, f"says {unit}, but unit={stated}: which is it?"))
        except BenchError as error:
            findings.append(Finding("error", where, str(error)))
    return findings


def refuse_occupied(folder: Path) -> None:
    """Raise BenchError where `folder` exists and holds something, or is no folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BenchError(f"{folder} exists and is not an empty folder: choose another, nothing is overwritten")


@contextlib.contextmanager
def writing_folder(folder: Path, about: msgspec.Struct) -> Iterator[Path]:
    """A folder to write to; with its dataset.json it takes the place of `folder`, or is gone after an error.

    Raises BenchError where that exists and is not empty.
    """
    refuse_occupied(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield draft
        (draft / ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(about), indent=1) + b"\n")
        draft.chmod(0o777 & ~umask())
        draft.replace(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def write_folder(dataset: Dataset, folder: Path, unit: str, parameters: dict[str, object]) -> None:
    """Write `dataset` in the report's layout, constants in `unit`; all of it or nothing.

    Raises BenchError where the folder exists and is not empty.
    """
    factor, families = gpa_per(unit), dataset.kinds or ("",) * len(dataset.images)
    about = About(dataset.name, unit, dataset.kinds, phases_of(dataset.facts), parameters)
    with writing_folder(folder, about) as draft:
        for index, (image, family) in enumerate(zip(dataset.images, families, strict=True)):
            pixels = (image[:, :, 0] * 255).astype(np.uint8)
            Image.fromarray(pixels).convert("1").save(draft / f"{index}_{family or 'image'}.png")
        rows = (
            ",".join([str(index), *(repr(value) for value in row)])
            for index, row in enumerate((dataset.targets / factor).tolist(), 1)
        )
        (draft / f"1-{len(dataset.images)}_Cij.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
