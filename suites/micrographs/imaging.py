"""How a microscope shows a two-phase microstructure: gray levels that say as much of the session as of the material."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Mask = NDArray[np.uint8]
Gray = NDArray[np.uint8]
Shares = NDArray[np.float64]


class Session(msgspec.Struct, frozen=True):
    """How a micrograph was taken, in shares of the gray scale: level of the soft phase and what the stiff one is above
    it, change of level from edge to edge along columns and rows, deviation of the noise; `blur` in pixels; `vignetting`
    is the share of the light that the corners lack.
    """

    soft: float
    contrast: float
    tilts: tuple[float, float]
    noise: float
    blur: float
    vignetting: float = 0.0


def draw_session(draw: np.random.Generator) -> Session:
    """As sessions at one microscope differ, with nobody having decided that they should."""
    soft, contrast, noise, blur = draw.uniform((0.2, 0.25, 0.02, 0.3), (0.4, 0.5, 0.08, 1.2)).tolist()
    along, across = draw.uniform(-0.1, 0.1, 2).tolist()
    return Session(soft, contrast, (along, across), noise, blur)


def coarsened(mask: Mask, down: int, up: int) -> Shares:
    """What pixels that are down / up as large see of a mask: the share of the stiff phase in each that is whole."""
    fine = mask.repeat(up, axis=0).repeat(up, axis=1)
    rows, columns = fine.shape[0] // down, fine.shape[1] // down
    shares: Shares = fine[: rows * down, : columns * down].reshape(rows, down, columns, down).mean(axis=(1, 3))
    return shares


def photograph(mask: Mask | Shares, session: Session, draw: np.random.Generator) -> Gray:
    """(height, width) gray levels of a periodic microstructure, 1 being the stiff phase; `draw` makes the noise.

    A mask may be coarse: what is between 0 and 1 is the share of the stiff phase in a pixel.
    """
    height, width = mask.shape
    along, across = np.linspace(-0.5, 0.5, width), np.linspace(-0.5, 0.5, height)
    sharp = session.soft + session.contrast * mask
    level = gaussian_filter(sharp, session.blur, mode="wrap")
    level *= 1 - session.vignetting * 2 * (along**2 + across[:, None] ** 2)
    level += session.tilts[0] * along + session.tilts[1] * across[:, None]
    level += session.noise * draw.standard_normal(mask.shape)
    gray: Gray = np.rint(np.clip(level, 0, 1) * 255).astype(np.uint8)
    return gray
