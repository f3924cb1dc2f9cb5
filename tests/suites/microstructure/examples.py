"""A small valid folder in the report's layout, for tests that break it."""

import numpy as np
from PIL import Image

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
