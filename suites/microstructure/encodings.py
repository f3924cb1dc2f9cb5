"""What a model may be shown of a two-phase microstructure in the image's place; see `harness.protocol.Encoder`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.errors import Unavailable
from harness.protocol import Images, Node, Operators
from suites.microstructure.homogenization import TARGETS
from suites.microstructure.materials import Phase, Phases

Floats = NDArray[np.float32]

# From `images` to `fraction` (n, 1), the mean pixel.
FRACTION: tuple[Node, ...] = (
    ("ReduceMean", ("images", "pixels"), "mean", {"keepdims": 0}),
    ("Unsqueeze", ("mean", "last"), "fraction", {}),
)
VARYING: tuple[Node, ...] = (
    ("ReduceMean", ("images", "pixels"), "level", {}),
    ("Sub", ("images", "level"), "varying", {}),
)
"""Images less their own mean, with the axes below: in single precision a bright image's would drown what it shows."""

FRACTION_AXES = {"pixels": np.array([1, 2, 3], np.int64), "last": np.array([1], np.int64)}


def spread(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation of each column over the training images (n, k); one for those that do not vary."""
    deviations = table.std(axis=0)
    return np.where(deviations > 1e-9, deviations, 1.0)


class VolumeFraction:
    """(n, 1) the mean pixel."""

    def fit(self, images: Images) -> None:
        """There is nothing to learn."""

    def encode(self, images: Images) -> Floats:
        """See `Encoder.encode`."""
        fraction: Floats = images.mean(axis=(1, 2, 3), dtype=np.float64)[:, None].astype(np.float32)
        return fraction

    def operators(self) -> Operators:
        """See `Encoder.operators`."""
        return Operators((*FRACTION, ("Identity", ("fraction",), "encoded", {})), dict(FRACTION_AXES))


class VoigtReussHill:
    """(n, 9) the mean of Voigt's and Reuss's bounds (Hill 1952) of two isotropic phases at the volume fraction.

    Of isotropic phases both bounds are isotropic, and so is every constant a sum of bulk modulus K and shear modulus G:
    C11 = K + 4/3 G, C12 = K - 2/3 G, C44 = G. Voigt averages the moduli, Reuss their inverses.
    """

    def __init__(self, phases: Phases | None) -> None:
        if phases is None:
            raise Unavailable("the data set does not name its two phases; give them as phases=E,nu,E,nu (soft, stiff)")
        soft, stiff = (_bulk_and_shear(phase) for phase in phases)
        # Rows: Voigt's K and G at fractions 0 and 1, and the inverses that Reuss averages.
        self._at_zero = np.concatenate([soft, 1 / soft])
        self._slope = np.concatenate([stiff, 1 / stiff]) - self._at_zero
        self._moduli = np.array([_MODULI[name] for name in TARGETS]).T / 2

    def fit(self, images: Images) -> None:
        """There is nothing to learn."""

    def encode(self, images: Images) -> Floats:
        """See `Encoder.encode`."""
        fraction = images.mean(axis=(1, 2, 3), dtype=np.float64)[:, None]
        averages = self._at_zero + fraction * self._slope
        constants: Floats = ((averages[:, :2] + 1 / averages[:, 2:]) @ self._moduli).astype(np.float32)
        return constants

    def operators(self) -> Operators:
        """See `Encoder.operators`."""
        nodes: tuple[Node, ...] = (
            ("Gemm", ("fraction", "voigt_slope", "voigt_at_zero"), "voigt", {}),
            ("Gemm", ("fraction", "reuss_slope", "reuss_at_zero"), "inverse_reuss", {}),
            ("Reciprocal", ("inverse_reuss",), "reuss", {}),
            ("Add", ("voigt", "reuss"), "moduli_twice", {}),
            ("MatMul", ("moduli_twice", "moduli"), "encoded", {}),
        )
        arrays = {
            "voigt_at_zero": self._at_zero[:2],
            "voigt_slope": self._slope[None, :2],
            "reuss_at_zero": self._at_zero[2:],
            "reuss_slope": self._slope[None, 2:],
            "moduli": self._moduli,
        }
        narrow = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
        return Operators(FRACTION + nodes, FRACTION_AXES | narrow)


_MODULI = {
    **dict.fromkeys(("C11", "C22", "C33"), (1.0, 4 / 3)),
    **dict.fromkeys(("C12", "C23", "C13"), (1.0, -2 / 3)),
    **dict.fromkeys(("C44", "C55", "C66"), (0.0, 1.0)),
}


def _bulk_and_shear(phase: Phase) -> NDArray[np.float64]:
    return np.array([phase.young / (3 * (1 - 2 * phase.poisson)), phase.young / (2 * (1 + phase.poisson))])
