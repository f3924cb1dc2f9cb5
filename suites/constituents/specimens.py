"""Specimens of suite phases: a mask of each, and the micrograph that is taken of it."""

from __future__ import annotations

import io
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.disk import replacing
from suites.constituents.families import FAMILIES, Mask, mixed
from suites.micrographs.imaging import Gray, Session, photograph

OF_EACH, SIZE = 48, 128
"""Specimens of each family that are shipped, and pixels along an edge of each."""

_SEED = 31
_TAKEN = 1  # keeps this stream of random numbers apart


class Specimens(NamedTuple):
    """Masks (n, size, size), 1 being what is etched; where (n, size, size) they show a second constituent; and the
    family (n,) of each, by its place in `FAMILIES`: they take turns.
    """

    masks: Mask
    second: NDArray[np.bool_]
    family: NDArray[np.intp]


def make(of_each: int) -> Specimens:
    """The first so many of each family: a specimen depends on its number alone."""
    family = np.tile(np.arange(len(FAMILIES)), of_each)
    names = list(FAMILIES)
    drawn = [
        mixed(np.random.default_rng([_SEED, number]), names[of], SIZE) for number, of in enumerate(family.tolist())
    ]
    return Specimens(np.stack([one.mask for one in drawn]), np.stack([one.second for one in drawn]), family)


def photographed(mask: Mask, number: int) -> Gray:
    """A specimen's micrograph (size, size), in a session of its own: the next may have half the contrast, or less."""
    draw = np.random.default_rng([_SEED, number, _TAKEN])
    soft, contrast, noise, blur = draw.uniform((0.2, 0.15, 0.02, 0.4), (0.4, 0.45, 0.08, 1.2)).tolist()
    along, across = draw.uniform(-0.1, 0.1, 2).tolist()
    # Which blurs as of a periodic structure: of what is none a pixel at each edge is a little wrong.
    return photograph(mask, Session(soft, contrast, (along, across), noise, blur), draw)


def _file() -> Path:
    return Path(str(files("suites.constituents"))) / "data" / "specimens.npz"


def load() -> Specimens:
    """Those that the package ships."""
    with np.load(io.BytesIO(_file().read_bytes()), allow_pickle=False) as stored:
        masks, second = (np.unpackbits(stored[name], axis=2, count=SIZE) for name in ("masks", "second"))
        return Specimens(masks, second.astype(bool), np.tile(np.arange(len(FAMILIES)), len(masks) // len(FAMILIES)))


def save(path: Path, specimens: Specimens) -> None:
    """Write specimens as `load` reads them: one bit a pixel, no pickle."""
    with replacing(path) as fresh:
        np.savez_compressed(
            fresh, masks=np.packbits(specimens.masks, axis=2), second=np.packbits(specimens.second, axis=2)
        )


if __name__ == "__main__":  # python -m suites.constituents.specimens: makes the file again
    save(_file(), make(OF_EACH))
