"""The same specimens with a stiffer stiff phase: a modulus that no image tells, for it changes no gray level.

Young's modulus of the stiff phase is 700 GPa, ten times the soft one's, where specimens have 410.
"""

from __future__ import annotations

import io
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.disk import replacing
from harness.protocol import OnProgress
from suites.micrographs import specimens
from suites.micrographs.imaging import Mask
from suites.microstructure.homogenization import homogenize, isotropic_stiffness

Floats = NDArray[np.float64]

SOFT, STIFF = (70.0, 0.33), (700.0, 0.19)
"""Young's modulus in GPa and Poisson's ratio."""

_DIGITS = 3  # of moduli in GPa: far above what machines differ by


def moduli(masks: Mask, on_progress: OnProgress) -> Floats:
    """(n,) Young's moduli in GPa, each the mean of both in-plane directions, as `specimens` has them."""
    stiffnesses = np.stack([isotropic_stiffness(*phase) for phase in (SOFT, STIFF)])
    found = np.empty(len(masks))
    for index in range(len(masks)):
        compliance = np.linalg.inv(homogenize(masks[index : index + 1], stiffnesses, 1e-4)[0])
        found[index] = 2 / (compliance[0, 0] + compliance[1, 1])
        on_progress(index + 1, len(masks))
    return found.round(_DIGITS)


def _file() -> Path:
    return Path(str(files("suites.micrographs"))) / "data" / "stiffer.npz"


def load() -> Floats:
    """Those of the specimens that the package ships, in their order."""
    with np.load(io.BytesIO(_file().read_bytes()), allow_pickle=False) as stored:
        found: Floats = stored["moduli"]
        return found


if __name__ == "__main__":  # python -m suites.micrographs.stiffer: makes the file again
    with replacing(_file()) as fresh:
        made = moduli(specimens.load().masks, lambda done, of: print(f"{done} of {of}", flush=True))
        np.savez_compressed(fresh, moduli=made)
