"""A small valid folder in the report's layout, for tests that break it."""

import functools

import msgspec
import numpy as np
from PIL import Image

from suites.microstructure import dataset
from suites.microstructure.folder import check_folder, write_folder

TARGETS = ("C11", "C22", "C33", "C12", "C23", "C13", "C44", "C55", "C66")


def masks(count, seed=0):
    """Random two-phase images of many volume fractions, (count, 64, 64) of 0 and 1."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((count, 16, 16)) < rng.uniform(0.15, 0.65, (count, 1, 1))
    return coarse.repeat(4, 1).repeat(4, 2).astype(np.uint8)


def constants(pictures, seed=0, noise=0.02):
    """Plausible stiffnesses in GPa that grow with the share of white, (count, 9)."""
    rng = np.random.default_rng(seed)
    size = 100 + 300 * pictures.mean(axis=(1, 2))[:, None]
    shape = np.array([1, 1, 1.1, 0.35, 0.35, 0.35, 0.33, 0.33, 0.33])
    return size * shape * (1 + noise * rng.normal(size=(len(pictures), 9)))


def write(folder, count=60, seed=0, header=None, labels=None, pictures=None):
    """Images and `labels.csv`; returns the lines of the CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = masks(count, seed) if pictures is None else pictures
    labels = constants(pictures, seed) if labels is None else labels
    for index, picture in enumerate(pictures):
        Image.fromarray(picture * 255).save(folder / f"{index}_image.png")
    lines = [",".join([str(index), *map(repr, row)]) for index, row in enumerate(labels.tolist(), 1)]
    (folder / "labels.csv").write_text("\n".join([header, *lines] if header else lines) + "\n")
    return lines


def rewrite(folder, lines):
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def shipped(count=60):
    """The first of the shipped data: images, constants and phases that fit each other."""
    whole = _load("elasticity")
    first = {name: getattr(whole, name)[:count] for name in ("images", "targets", "kinds", "ids")}
    return msgspec.structs.replace(whole, **first)


_load = functools.cache(dataset.load)


def write_shipped(folder, count=60, **changed):
    """`shipped` with some fields changed, without dataset.json; returns the names of the images."""
    made = msgspec.structs.replace(shipped(count), **changed)
    write_folder(made, folder, "GPa", {})
    (folder / "dataset.json").unlink()
    (folder / f"1-{count}_Cij.csv").rename(folder / "labels.csv")
    return [f"{index}_{group}.png" for index, group in enumerate(made.kinds)]


def table(folder, header, rows):
    """A CSV with a header in place of the folder's; every row a list of cells, constants and numbers among them."""
    rewrite(folder, [",".join(header), *(",".join(map(str, row)) for row in rows)])


def told(folder, unit=None, phases=None):
    """Every finding as a line, by severity."""
    lines = {"error": [], "warning": []}
    for finding in check_folder(folder, unit, phases):
        lines[finding.severity].append(f"{finding.where}: {finding.what}")
    return lines["error"], lines["warning"]
