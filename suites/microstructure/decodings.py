"""What a model may answer of a two-phase medium in place of nine constants; see `harness.protocol.Decoder`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.errors import Unavailable
from harness.protocol import Images, Node, Operators, Targets
from suites.microstructure.encodings import FRACTION, FRACTION_AXES
from suites.microstructure.homogenization import TARGETS
from suites.microstructure.materials import Phases
from suites.microstructure.physics import Hill, hill, lame

Floats = NDArray[np.float64]

# What of the nine constants does not depend on the others: 2 k = (C11 + C22) / 2 + C12 and 2 m = (C11 + C22) / 2 - C12,
# for a medium without preferred axis twice its plane-strain bulk and shear moduli; d = (C11 - C22) / 2; the shears.
_INDEPENDENT = {
    "2 k": {"C11": 0.5, "C22": 0.5, "C12": 1.0},
    "2 m": {"C11": 0.5, "C22": 0.5, "C12": -1.0},
    "d": {"C11": 0.5, "C22": -0.5},
    "C44": {"C44": 1.0},
    "C55": {"C55": 1.0},
    "C66": {"C66": 1.0},
}
_FROM_NINE = np.array([[parts.get(name, 0.0) for parts in _INDEPENDENT.values()] for name in TARGETS])

# Each of those has the bounds of 2 k, of 2 m or of a shear modulus; d has zero between its own.
_OF_MODULI = np.array([[1.0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1]])

_CLOSED = 1e-9  # bounds nearer to each other than this, relative to the larger, are one


class BetweenBounds:
    """Six numbers that say where between its bounds the stiffness of a columnar medium of two isotropic phases lies.
    Whatever they are, the nine constants lie between the bounds of Voigt and Reuss and keep Hill's relations.

    In plane strain, the tensor of C11, C22 and C12 lies between the mean stiffness of the phases and the inverse of
    their mean compliance (Hill 1963, J. Mech. Phys. Solids 11, 357), both isotropic. Measured from the lower, in units
    of the difference, it is a symmetric matrix [[a, c], [c, b]] with eigenvalues from 0 to 1; a is where 2 k lies and b
    where 2 m does. C44, C55 and C66 lie between the mean shear modulus and the inverse of the mean of its inverse. What
    a model answers is a, b, c and these three; a matrix whose eigenvalues are not from 0 to 1 is drawn in towards one
    that has them. (Voigt-Reuss nets, arXiv 2511.11388, take Cholesky factors.) C13, C23 and C33 follow by Hill's
    relations (`physics.Hill`), and the bounds in space from those in the plane.

    Raises Unavailable where the phases are not known, or have one plane-strain bulk modulus: Hill's do not bind then.
    """

    answers: tuple[str, ...] = ("a", "b", "c", "C44", "C55", "C66")

    def __init__(self, phases: Phases | None) -> None:
        if phases is None:
            raise Unavailable("the data set does not name its two phases; give them as phases=E,nu,E,nu (soft, stiff)")
        relations = hill(phases)
        if relations is None:
            raise Unavailable("both phases have one plane-strain bulk modulus, so that Hill's relations do not bind")
        soft, stiff = (np.array([2 * (first + shear), 2 * shear, shear]) for first, shear in map(lame, phases))
        # At fraction 0, and per fraction: the moduli that Voigt averages, and the inverses that Reuss does.
        self._at_zero = np.concatenate([soft, 1 / soft])
        self._slope = np.concatenate([stiff, 1 / stiff]) - self._at_zero
        self._to_nine, self._constant = _nine(relations)

    def _bounds(self, images: Images) -> tuple[Floats, Floats, Floats]:
        """Volume fractions (n, 1), and lower ends and widths (n, 6) of what the independent constants may be."""
        fraction = images.mean(axis=(1, 2, 3), dtype=np.float64)[:, None]
        averages = self._at_zero + fraction * self._slope
        reuss = 1 / averages[:, 3:]
        gap = np.maximum(averages[:, :3] - reuss, _CLOSED * reuss)
        width = gap @ _OF_MODULI
        width[:, 2] = np.sqrt(gap[:, 0] * gap[:, 1])
        return fraction, reuss @ _OF_MODULI, width

    def encode(self, targets: Targets, images: Images) -> Targets:
        """See `Decoder.encode`."""
        _, lower, width = self._bounds(images)
        share: Targets = np.clip((targets @ _FROM_NINE - lower) / width, -1, 2)  # of one phase only rounding is left
        return share

    def decode(self, answers: Targets, images: Images) -> Targets:
        """See `Decoder.decode`."""
        fraction, lower, width = self._bounds(images)
        middle = np.clip(answers[:, :2].mean(axis=1, keepdims=True), 0, 1)
        apart = np.stack([(answers[:, 0] - answers[:, 1]) / 2, answers[:, 2]], axis=1)
        room = np.minimum(middle, 1 - middle)
        apart *= np.minimum(1, room / np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), _TINY))
        inside = [middle + apart[:, :1], middle - apart[:, :1], apart[:, 1:], np.clip(answers[:, 3:], 0, 1)]
        independent = lower + width * np.concatenate(inside, axis=1)
        nine: Targets = np.concatenate([independent, fraction], axis=1) @ self._to_nine + self._constant
        return nine

    def operators(self) -> Operators:
        """See `Decoder.operators`."""
        nodes: tuple[Node, ...] = (
            ("Gemm", ("fraction", "voigt_slope", "voigt_at_zero"), "voigt", {}),
            ("Gemm", ("fraction", "reuss_slope", "reuss_at_zero"), "inverse_reuss", {}),
            ("Reciprocal", ("inverse_reuss",), "reuss", {}),
            ("Sub", ("voigt", "reuss"), "open_gap", {}),
            ("Max", ("open_gap", "tiny"), "gap", {}),
            ("Gather", ("gap", "first"), "gap_of_2k", {"axis": 1}),
            ("Gather", ("gap", "second"), "gap_of_2m", {"axis": 1}),
            ("Mul", ("gap_of_2k", "gap_of_2m"), "gap_of_d_squared", {}),
            ("Sqrt", ("gap_of_d_squared",), "gap_of_d", {}),
            ("MatMul", ("gap", "of_moduli"), "width_but_of_d", {}),
            ("MatMul", ("gap_of_d", "of_d"), "width_of_d", {}),
            ("Add", ("width_but_of_d", "width_of_d"), "width", {}),
            ("MatMul", ("reuss", "of_moduli"), "lower", {}),
            ("MatMul", ("answers", "to_middle"), "any_middle", {}),
            ("Clip", ("any_middle", "zero", "one"), "middle", {}),
            ("Sub", ("one", "middle"), "above", {}),
            ("Min", ("middle", "above"), "room", {}),
            ("MatMul", ("answers", "to_apart"), "any_apart", {}),
            ("ReduceL2", ("any_apart", "second"), "any_length", {"keepdims": 1}),
            ("Max", ("any_length", "tiny"), "length", {}),
            ("Div", ("room", "length"), "any_factor", {}),
            ("Min", ("any_factor", "one"), "factor", {}),
            ("Mul", ("any_apart", "factor"), "apart", {}),
            ("Gather", ("answers", "shears"), "any_shears", {"axis": 1}),
            ("Clip", ("any_shears", "zero", "one"), "shear", {}),
            ("Concat", ("middle", "apart", "shear"), "inside", {"axis": 1}),
            ("MatMul", ("inside", "from_inside"), "share", {}),
            ("Mul", ("share", "width"), "above_lower", {}),
            ("Add", ("lower", "above_lower"), "independent", {}),
            ("Concat", ("independent", "fraction"), "told", {"axis": 1}),
            ("Gemm", ("told", "to_nine", "constant"), "decoded", {}),
        )
        arrays = {
            "voigt_at_zero": self._at_zero[:3],
            "voigt_slope": self._slope[None, :3],
            "reuss_at_zero": self._at_zero[3:],
            "reuss_slope": self._slope[None, 3:],
            "of_moduli": _OF_MODULI,
            "of_d": np.eye(6)[2:3],
            "to_middle": np.eye(6)[:, :2].mean(axis=1, keepdims=True),
            "to_apart": np.stack([np.eye(6)[0] / 2 - np.eye(6)[1] / 2, np.eye(6)[2]], axis=1),
            "from_inside": _FROM_INSIDE,
            "to_nine": self._to_nine,
            "constant": self._constant,
            "tiny": np.array(_TINY),
            "zero": np.array(0.0),
            "one": np.array(1.0),
        }
        narrow = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
        places = {"first": np.array([0]), "second": np.array([1]), "shears": np.array([3, 4, 5])}
        return Operators(FRACTION + nodes, FRACTION_AXES | narrow | places)


_TINY = 1e-12
# From middle, half of a - b, c and the shears to a, b, c and the shears.
_FROM_INSIDE = np.eye(6)
_FROM_INSIDE[:2, :2] = [[1, 1], [1, -1]]


def _nine(relations: Hill) -> tuple[Floats, Floats]:
    """The affine map from independent constants and volume fraction (n, 7) to the nine: matrix (7, 9) and constant."""
    e, s, (own_soft, own_stiff) = relations
    k, m, d, c44, c55, c66, fraction = np.eye(7)
    along, across, coupling = (k + m) / 2 + d, (k + m) / 2 - d, (k - m) / 2
    rows = {"C11": along, "C22": across, "C12": coupling, "C44": c44, "C55": c55, "C66": c66}
    rows |= {"C13": -e * (along + coupling), "C23": -e * (across + coupling)}
    rows["C33"] = fraction * (own_stiff - own_soft) - e * (rows["C13"] + rows["C23"])
    constant = {"C13": s, "C23": s, "C33": own_soft - 2 * e * s}
    return np.stack([rows[name] for name in TARGETS], axis=1), np.array([constant.get(name, 0.0) for name in TARGETS])
