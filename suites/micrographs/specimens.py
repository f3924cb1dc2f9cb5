"""Specimens of one two-phase alloy: a large micrograph of each, and the Young's modulus that a test of it measures.

Phases are a thresholded Gaussian random field, finer and coarser, of more and less of the stiff phase. The modulus is
that of the whole micrograph, by the solver of suite elasticity, the mean of both in-plane directions; and what
pores that are too small for the image leave of it, by as much in both phases, more or less than in the specimen of
median porosity. What no image shows differs from specimen to specimen and is the same in all of one.
"""

from __future__ import annotations

import io
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.disk import replacing
from harness.protocol import OnProgress
from suites.micrographs.imaging import Gray, Mask, draw_session, photograph
from suites.microstructure.homogenization import homogenize, isotropic_stiffness

Floats = NDArray[np.float64]

COUNT, SIZE = 200, 256
"""Specimens that are shipped, and pixels along an edge of each micrograph."""

HIDDEN = 0.13
"""Standard deviation of the logarithm of what pores leave of the modulus, over what they leave at median porosity."""

_FRACTIONS, _LENGTHS = (0.2, 0.6), (2.0, 4.0)  # of the stiff phase; correlation length in pixels
_SOFT, _STIFF = (70.0, 0.33), (410.0, 0.19)  # Young's modulus in GPa and Poisson's ratio, as in suite elasticity
_DIGITS = 3  # of moduli in GPa: far above what machines differ by
_SEED = 17
_ONCE, _AGAIN = 1, 2  # keep streams of random numbers apart


class Specimens(NamedTuple):
    """Masks (n, size, size), 1 being the stiff phase, and moduli (n,) in GPa: at median porosity, which
    depends on the image alone, and as measured.
    """

    masks: Mask
    visible: Floats
    measured: Floats


def make(count: int, on_progress: OnProgress) -> Specimens:
    """The first so many specimens, drawn and homogenized: a second of each."""
    stiffnesses = np.stack([isotropic_stiffness(*phase) for phase in (_SOFT, _STIFF)])
    masks, visible, measured = np.empty((count, SIZE, SIZE), np.uint8), np.empty(count), np.empty(count)
    for index in range(count):
        draw = np.random.default_rng([_SEED, index])
        masks[index] = _field(draw)
        compliance = np.linalg.inv(homogenize(masks[index : index + 1], stiffnesses, 1e-4)[0])
        visible[index] = 2 / (compliance[0, 0] + compliance[1, 1])
        measured[index] = visible[index] * np.exp(draw.normal(0, HIDDEN))
        on_progress(index + 1, count)
    return Specimens(masks, visible.round(_DIGITS), measured.round(_DIGITS))


def _field(draw: np.random.Generator) -> Mask:
    """Stiff where a Gaussian random field of a Gaussian correlation is lowest, on exactly the fraction drawn."""
    fraction, length = draw.uniform(*_FRACTIONS), draw.uniform(*_LENGTHS)
    rows, columns = 2 * np.pi * np.fft.fftfreq(SIZE), 2 * np.pi * np.fft.rfftfreq(SIZE)
    noise = np.fft.rfft2(draw.standard_normal((SIZE, SIZE)))
    smooth = noise * np.exp(-(rows[:, None] ** 2 + columns**2) * length**2 / 4)
    # Equals to nine decimals are taken in the order of pixels, so that all machines choose alike.
    order = np.argsort(np.fft.irfft2(smooth, s=(SIZE, SIZE)).round(9), axis=None, kind="stable")
    mask = np.zeros(SIZE * SIZE, np.uint8)
    mask[order[: round(fraction * mask.size)]] = 1
    return mask.reshape(SIZE, SIZE)


def photographed(mask: Mask, number: int) -> tuple[Gray, Gray]:
    """A specimen's micrograph, and another one of the same session: other noise is all that differs."""
    draw = np.random.default_rng([_SEED, number, _ONCE])
    session = draw_session(draw)
    return photograph(mask, session, draw), photograph(mask, session, np.random.default_rng([_SEED, number, _AGAIN]))


def _file() -> Path:
    return Path(str(files("suites.micrographs"))) / "data" / "specimens.npz"


def load() -> Specimens:
    """Those that the package ships."""
    with np.load(io.BytesIO(_file().read_bytes()), allow_pickle=False) as stored:
        masks = np.unpackbits(stored["masks"], axis=2, count=SIZE)
        return Specimens(masks, stored["visible"], stored["measured"])


def save(path: Path, specimens: Specimens) -> None:
    """Write specimens as `load` reads them: one bit a pixel, no pickle."""
    with replacing(path) as fresh:
        np.savez_compressed(
            fresh,
            masks=np.packbits(specimens.masks, axis=2),
            visible=specimens.visible,
            measured=specimens.measured,
        )


if __name__ == "__main__":  # python -m suites.micrographs.specimens: makes the file again
    save(_file(), make(COUNT, lambda done, of: print(f"{done} of {of}", flush=True)))
