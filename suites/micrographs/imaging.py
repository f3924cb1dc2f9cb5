"""How a microscope shows a two-phase microstructure: gray levels that say as much of the session as of the material."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Mask = NDArray[np.uint8]
Gray = NDArray[np.uint8]


class Session(msgspec.Struct, frozen=True):
    """How a micrograph was taken, in shares of the gray scale: level of the soft phase and what the stiff one is above
    it, change of level from edge to edge along columns and rows, deviation of the noise; `blur` in pixels.
    """

    soft: float
    contrast: float
    tilts: tuple[float, float]
    noise: float
    blur: float


def draw_session(draw: np.random.Generator) -> Session:
    """As sessions at one microscope differ, with nobody having decided that they should."""
    soft, contrast, noise, blur = draw.uniform((0.2, 0.25, 0.02, 0.3), (0.4, 0.5, 0.08, 1.2)).tolist()
    along, across = draw.uniform(-0.1, 0.1, 2).tolist()
    return Session(soft, contrast, (along, across), noise, blur)


def photograph(mask: Mask, session: Session, draw: np.random.Generator) -> Gray:
    """(height, width) gray levels of a periodic microstructure, 1 being the stiff phase; `draw` makes the noise."""
    height, width = mask.shape
    along, across = np.linspace(-0.5, 0.5, width), np.linspace(-0.5, 0.5, height)
    sharp = session.soft + session.contrast * mask
    level = gaussian_filter(sharp, session.blur, mode="wrap")
    level += session.tilts[0] * along + session.tilts[1] * across[:, None]
    level += session.noise * draw.standard_normal(mask.shape)
    gray: Gray = np.rint(np.clip(level, 0, 1) * 255).astype(np.uint8)
    return gray
