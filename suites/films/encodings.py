"""What a model may be shown of a film in the image's place; see `harness.protocol.Encoder`.

A pixel g in 0..1 is an angle of 90 g degrees, so four times the angle is 2 pi g: its cosine c and sine s have no seam
where the gray scale ends, and both estimates of the modulus follow from their area averages alone.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import Unavailable
from harness.protocol import Arrays, Images, Node, Operators
from suites.films.crystal import Crystal

Floats = NDArray[np.float64]
Which = Literal["voigt", "reuss", "hill"]

# From `images` to `cosine` and `sine`, pixel by pixel.
WAVES: tuple[Node, ...] = (
    ("Mul", ("images", "turn"), "phase", {}),
    ("Cos", ("phase",), "cosine", {}),
    ("Sin", ("phase",), "sine", {}),
)
_TURN: Arrays = {"turn": np.array(2 * np.pi, np.float32)}

# And on to `estimates` (n, 2): Young's modulus along x1 of Voigt and of Reuss, as `_estimates` has them.
ESTIMATES: tuple[Node, ...] = (
    *WAVES,
    ("ReduceMean", ("cosine", "pixels"), "mean_cosine", {"keepdims": 0}),
    ("ReduceMean", ("sine", "pixels"), "mean_sine", {"keepdims": 0}),
    ("Unsqueeze", ("mean_cosine", "last"), "c", {}),
    ("Unsqueeze", ("mean_sine", "last"), "s", {}),
    ("Mul", ("c", "minus_quarter"), "quarter_of_c", {}),
    ("Add", ("quarter_of_c", "quarter"), "even", {}),
    ("Mul", ("s", "quarter"), "odd", {}),
    ("Mul", ("odd", "odd"), "odd_squared", {}),
    ("Sub", ("q11", "even"), "a", {}),
    ("Add", ("q12", "even"), "b", {}),
    ("Add", ("q66", "even"), "g", {}),
    ("Sub", ("a", "b"), "a_less_b", {}),
    ("Mul", ("g", "a_less_b"), "shears", {}),
    ("Mul", ("odd_squared", "two"), "twice_odd_squared", {}),
    ("Sub", ("shears", "twice_odd_squared"), "room", {}),
    ("Add", ("a", "b"), "sum", {}),
    ("Mul", ("sum", "room"), "determinant", {}),
    ("Mul", ("a", "g"), "product", {}),
    ("Sub", ("product", "odd_squared"), "cofactor", {}),
    ("Div", ("determinant", "cofactor"), "voigt", {}),
    ("Mul", ("c", "reuss_slope"), "reuss_of_c", {}),
    ("Add", ("reuss_of_c", "reuss_at_zero"), "compliance", {}),
    ("Reciprocal", ("compliance",), "reuss", {}),
    ("Concat", ("voigt", "reuss"), "estimates", {"axis": 1}),
)


class Bounds:
    """(n, 2) Young's modulus along x1 in GPa of the mean stiffness (Voigt) and of the mean compliance (Reuss), as in
    `crystal.estimates`. Raises Unavailable where the crystal is not known.
    """

    def __init__(self, crystal: Crystal | None) -> None:
        if crystal is None:
            raise Unavailable("the data set does not name its crystal; give it as crystal=silicon, or c11,c12,c44")
        c11, c12, c44 = crystal.c11, crystal.c12, crystal.c44
        self._q11, self._q12, self._q66 = c11 - c12**2 / c11, c12 - c12**2 / c11, c44
        self._quarter = (self._q11 - self._q12 - 2 * c44) / 4
        determinant = (c11 - c12) * (c11 + 2 * c12)
        s11, s12, s44 = (c11 + c12) / determinant, -c12 / determinant, 1 / c44
        anisotropy = (s11 - s12 - s44 / 2) / 4
        self._at_zero, self._slope = s11 - anisotropy, anisotropy

    def fit(self, images: Images) -> None:
        """There is nothing to learn."""

    def moduli(self, images: Images) -> Floats:
        """(n, 2) of images (n, height, width, 1).

        The mean stiffness is [[a, b, o], [b, a, -o], [o, -o, g]], for its angles enter by the means of c and s alone;
        a modulus is its determinant over the cofactor of its first entry.
        """
        phase = 2 * np.pi * images.astype(np.float64)
        c, s = np.cos(phase).mean(axis=(1, 2, 3)), np.sin(phase).mean(axis=(1, 2, 3))
        even, odd = self._quarter * (1 - c), self._quarter * s
        a, b, g = self._q11 - even, self._q12 + even, self._q66 + even
        voigt = (a + b) * (g * (a - b) - 2 * odd**2) / (a * g - odd**2)
        return np.stack([voigt, 1 / (self._at_zero + self._slope * c)], axis=1)

    def encode(self, images: Images) -> NDArray[np.float32]:
        """See `Encoder.encode`."""
        moduli: NDArray[np.float32] = self.moduli(images).astype(np.float32)
        return moduli

    def operators(self) -> Operators:
        """See `Encoder.operators`."""
        return Operators((*ESTIMATES, ("Identity", ("estimates",), "encoded", {})), self.arrays())

    def arrays(self) -> Arrays:
        """What `ESTIMATES` names."""
        numbers = {
            "q11": self._q11,
            "q12": self._q12,
            "q66": self._q66,
            "quarter": self._quarter,
            "minus_quarter": -self._quarter,
            "two": 2.0,
            "reuss_at_zero": self._at_zero,
            "reuss_slope": self._slope,
        }
        axes = {"pixels": np.array([1, 2, 3], np.int64), "last": np.array([1], np.int64)}
        return _TURN | axes | {name: np.array(value, np.float32) for name, value in numbers.items()}


WEIGHTS: dict[str, tuple[float, float]] = {"voigt": (1.0, 0.0), "reuss": (0.0, 1.0), "hill": (0.5, 0.5)}


class Estimate(Bounds):
    """(n, 1) Voigt's, Reuss's or Hill's estimate of Young's modulus along x1 in GPa; Hill's is the mean of the two."""

    def __init__(self, crystal: Crystal | None, which: Which) -> None:
        super().__init__(crystal)
        self._weights = np.array(WEIGHTS[which])[:, None]

    def moduli(self, images: Images) -> Floats:
        """(n, 1) of images (n, height, width, 1)."""
        estimate: Floats = super().moduli(images) @ self._weights
        return estimate

    def operators(self) -> Operators:
        """See `Encoder.operators`."""
        nodes: tuple[Node, ...] = (*ESTIMATES, ("MatMul", ("estimates", "weights"), "encoded", {}))
        return Operators(nodes, self.arrays() | {"weights": self._weights.astype(np.float32)})


class Coarse:
    """(n, height / share, width / share, 1) of each block of pixels the one nearest to its middle: levels that are
    there, for gray levels must not be averaged.
    """

    def __init__(self, share: int) -> None:
        self._share = share

    def fit(self, images: Images) -> None:
        """There is nothing to learn."""

    def encode(self, images: Images) -> NDArray[np.float32]:
        """See `Encoder.encode`."""
        middle = slice(self._share // 2, None, self._share)
        return np.ascontiguousarray(images[:, middle, middle])

    def operators(self) -> Operators:
        """See `Encoder.operators`."""
        nodes: tuple[Node, ...] = (("Slice", ("images", "middle", "end", "axes", "steps"), "encoded", {}),)
        numbers = {"middle": [self._share // 2] * 2, "end": [2**31] * 2, "axes": [1, 2], "steps": [self._share] * 2}
        return Operators(nodes, {name: np.array(value, np.int64) for name, value in numbers.items()})


class Waves:
    """(n, height / share, width / share, 2) the cosine and the sine of four times the angle, averaged over blocks:
    unlike gray levels they may be, and so no boundary of a grain is lost.
    """

    def __init__(self, share: int) -> None:
        self._share = share

    def fit(self, images: Images) -> None:
        """There is nothing to learn."""

    def encode(self, images: Images) -> NDArray[np.float32]:
        """See `Encoder.encode`."""
        phase = np.float32(2 * np.pi) * images
        both = np.concatenate([np.cos(phase), np.sin(phase)], axis=3)
        count, height, width, _ = both.shape
        rows, columns = height // self._share, width // self._share
        blocks = both[:, : rows * self._share, : columns * self._share]
        averages: NDArray[np.float32] = blocks.reshape(count, rows, self._share, columns, self._share, 2).mean(
            axis=(2, 4), dtype=np.float32
        )
        return averages

    def operators(self) -> Operators:
        """See `Encoder.operators`. ONNX pools over the last axes, so channels go first meanwhile."""
        nodes: tuple[Node, ...] = (
            *WAVES,
            ("Concat", ("cosine", "sine"), "both", {"axis": 3}),
            ("Transpose", ("both",), "channels_first", {"perm": [0, 3, 1, 2]}),
            (
                "AveragePool",
                ("channels_first",),
                "blocks",
                {"kernel_shape": [self._share] * 2, "strides": [self._share] * 2},
            ),
            ("Transpose", ("blocks",), "encoded", {"perm": [0, 2, 3, 1]}),
        )
        return Operators(nodes, dict(_TURN))
