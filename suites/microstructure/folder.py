"""A user's own data set: a folder in the report's layout (section 2).

Images are `<id>_*.png`, ids counting from 0. One CSV holds the constants, its rows counting from 1, so that row k
belongs to image k - 1. A `dataset.json`, which `write_folder` leaves, may name families, phases and unit.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from harness.disk import umask
from harness.errors import BenchError, DataError, Finding
from harness.protocol import Dataset, Images, Phase
from harness.text import Label, without_patterns
from suites.microstructure.checks import check
from suites.microstructure.findings import runs
from suites.microstructure.homogenization import TARGETS
from suites.microstructure.images import SIZE, find_images, image_id, read_images
from suites.microstructure.table import read_table
from suites.microstructure.units import gpa_per

_ABOUT = "dataset.json"
_LARGEST = 2**26  # bytes


class About(msgspec.Struct, frozen=True):
    """`dataset.json`: what images and CSV alone do not say. `parameters` is for people."""

    name: Label
    unit: Label
    families: tuple[Label, ...] = ()
    phases: tuple[Phase, Phase] | None = None
    parameters: dict[str, object] = {}


def read_folder(folder: Path, unit: str | None, phases: tuple[Phase, Phase] | None) -> Dataset:
    """The data set in `folder`, constants converted from `unit` to GPa; its warnings hold what is suspicious.

    `unit` None takes the one that dataset.json or the CSV's header names, else GPa; `phases` go before those of
    dataset.json. Raises DataError with everything that is wrong.
    """
    dataset, findings = _examine(folder, unit, phases)
    if dataset is None:
        raise DataError(str(folder), findings)
    return dataset


def check_folder(folder: Path, unit: str | None) -> list[Finding]:
    """Everything wrong or suspicious about the data set in `folder`, errors first. Nothing is written."""
    return sorted(_examine(folder, unit, None)[1], key=lambda finding: finding.severity)


def read_image_folder(folder: Path, size: tuple[int, int]) -> tuple[Images, tuple[str, ...]]:
    """Every PNG of a folder (n, height, width, 1) in natural order, and their names. Raises BenchError."""
    paths = find_images(folder)
    images, findings = read_images(paths, size)
    if findings:
        raise DataError(str(folder), findings)
    return images, tuple(_text(path.name) for path in paths)


def _examine(
    folder: Path, unit: str | None, phases: tuple[Phase, Phase] | None
) -> tuple[Dataset | None, list[Finding]]:
    """The data set, None where there is an error, and all findings."""
    if not folder.is_dir():
        return None, [Finding("error", str(folder), "there is no such folder")]
    about, findings = _about(folder)
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv" and path.name[0] != ".")
    if len(tables) != 1:
        names = ", ".join(path.name for path in tables)
        text = f"{len(tables)} CSV files ({names}): leave one" if tables else "no CSV file with the constants"
        findings.append(Finding("error", str(folder), text))
        return None, findings + _images(folder, None)[2]
    table = read_table(tables[0])
    findings += table.findings
    if not len(table.values):
        return None, findings + _images(folder, None)[2]
    images, ids, of_images = _images(folder, len(table.values))
    findings += of_images
    stated = unit or (about.unit if about else next(iter(table.units), "GPa"))
    findings += _contradicting_units(stated, about, table.units, tables[0].name)
    if about and about.families and len(about.families) != len(images):
        text = f"names the families of {len(about.families)} images, but the CSV has {len(images)} rows"
        findings.append(Finding("error", _ABOUT, text))
    constants = table.values * gpa_per(stated)
    findings += check(images, constants, stated)
    if any(finding.severity == "error" for finding in findings):
        return None, findings
    families = about.families if about and about.families else ("",) * len(images)
    dataset = Dataset(
        name=about.name if about else folder.resolve().name,
        images=images,
        targets=constants,
        target_names=TARGETS,
        unit="GPa",
        groups=families,
        ids=ids,
        phases=phases or (about.phases if about else None),
        warnings=tuple(f"{finding.where}: {finding.what}" for finding in findings),
    )
    return dataset, findings


def _about(folder: Path) -> tuple[About | None, list[Finding]]:
    path = folder / _ABOUT
    if not path.is_file():
        return None, []
    try:
        if path.stat().st_size > _LARGEST:
            raise BenchError(f"larger than {_LARGEST // 2**20} MiB")
        about = msgspec.json.decode(path.read_bytes(), type=About)
        gpa_per(about.unit)
        if about.phases and (wrong := about.phases[0].wrong() or about.phases[1].wrong()):
            raise BenchError(f"its phases: {wrong}")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, OSError, BenchError) as error:
        told = without_patterns(str(error))
        return None, [Finding("error", _ABOUT, f"{told}; mend it, or take it away if the folder is not ours")]
    return about, []


def _images(folder: Path, count: int | None) -> tuple[Images, tuple[str, ...], list[Finding]]:
    """One image for each of `count` rows, NaN where there is none; for whatever ids there are where `count` is None."""
    try:
        paths = find_images(folder)
    except BenchError:
        return (
            np.full((count or 0, *SIZE, 1), np.nan, np.float32),
            (),
            [Finding("error", str(folder), "no *.png images")],
        )
    by_id: dict[int, list[Path]] = {}
    findings = []
    for path in paths:
        if (identity := image_id(path)) is None:
            findings.append(Finding("error", path.name, "no id: images are named <id>_*.png, as in 0_disks.png"))
        else:
            by_id.setdefault(identity, []).append(path)
    expected = range(len(by_id) if count is None else count)
    if missing := [identity for identity in expected if identity not in by_id]:
        text = f"no image for CSV row{'s' * (len(missing) > 1)} {runs(identity + 1 for identity in missing)}"
        from_one = count is not None and missing == [0] and count in by_id
        findings.append(Finding("error", f"images {runs(missing)}", text + "; ids count from 0, not 1" * from_one))
    if surplus := [identity for identity in by_id if identity not in expected]:
        findings.append(Finding("error", f"images {runs(surplus)}", "no row in the CSV: add one or take them away"))
    for identity, same in by_id.items():
        if len(same) > 1:
            names = ", ".join(path.name for path in same)
            findings.append(Finding("error", f"image {identity}", f"ambiguous: {names}; keep one"))
    chosen = {identity: same[0] for identity, same in by_id.items() if identity in expected}
    images = np.full((len(expected), *SIZE, 1), np.nan, np.float32)
    images[list(chosen)], unreadable = read_images(list(chosen.values()))
    ids = tuple(_text(chosen[identity].name) if identity in chosen else "" for identity in expected)
    return images, ids, findings + unreadable


def _text(name: str) -> str:
    """A file's name, bytes of which that are no UTF-8 are spelled out."""
    return name.encode("utf-8", "backslashreplace").decode()


def _contradicting_units(stated: str, about: About | None, header: frozenset[str], table: str) -> list[Finding]:
    """Where dataset.json or the CSV's header names another unit than the one asked for."""
    named = {(table, unit) for unit in header} | ({(_ABOUT, about.unit)} if about else set())
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


def write_folder(dataset: Dataset, folder: Path, unit: str, parameters: dict[str, object]) -> None:
    """Write `dataset` in the report's layout, constants in `unit`; all of it or nothing.

    Raises BenchError where the folder exists and is not empty.
    """
    factor = gpa_per(unit)
    refuse_occupied(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for index, (image, family) in enumerate(zip(dataset.images, dataset.groups, strict=True)):
            pixels = (image[:, :, 0] * 255).astype(np.uint8)
            Image.fromarray(pixels).convert("1").save(draft / f"{index}_{family or 'image'}.png")
        rows = (
            ",".join([str(index), *(repr(value) for value in row)])
            for index, row in enumerate((dataset.targets / factor).tolist(), 1)
        )
        (draft / f"1-{len(dataset.images)}_Cij.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        about = About(dataset.name, unit, dataset.groups, dataset.phases, parameters)
        (draft / _ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(about), indent=1) + b"\n")
        draft.chmod(0o777 & ~umask())
        draft.replace(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
