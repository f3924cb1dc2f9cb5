"""Two-point statistics as models may be shown them: as a map, and averaged over directions; and modes of images.

S2(r) is the probability that a pixel and the one at the vector r from it are both white (Torquato 2002, Random
Heterogeneous Materials, section 2.2); images are periodic. Of two phases all others follow from it: black and white
meet with the probability fraction - S2, black and black with 1 - 2 fraction + S2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from harness.protocol import Images, Node, Operators
from suites.microstructure.encodings import FRACTION, FRACTION_AXES, VARYING, spread
from suites.microstructure.spectrum import matrices, on_power, power, product, transform

Floats = NDArray[np.float64]


def two_point(images: Images) -> Floats:
    """(n, height, width) S2 of periodic images (n, height, width, 1) by the vector (down, right), from (0, 0) on."""
    power = np.abs(np.fft.rfft2(images[..., 0].astype(np.float64))) ** 2
    pixels = images.shape[1] * images.shape[2]
    probability: Floats = np.fft.irfft2(power, s=images.shape[1:3]) / pixels
    return probability


class TwoPoint:
    """(n, ...) S2 at some vectors, or averaged over some of them, each number standardised over the training images.

    What vectors, and with what weights, a subclass says in `kernels`, (m, height, width), and how its numbers are laid
    out in `shape`. Both are linear in the power of the spectrum, and the exported model computes them so.
    """

    def __init__(self, reach: int) -> None:
        self._reach = reach

    def kernels(self, height: int, width: int) -> Floats:
        """Weights of S2 at all vectors; each kernel's add up to one."""
        raise NotImplementedError

    def shape(self) -> tuple[int, ...]:
        """Of what is made of one image."""
        raise NotImplementedError

    def fit(self, images: Images) -> None:
        """See `Encoder.fit`. The mean is no part of the power here; its square is added to every number."""
        self._size = images.shape[1:3]
        self._of_power = on_power(self.kernels(*self._size))
        found = self._numbers(images)
        self._middle, self._spread = found.mean(axis=0), spread(found)

    def _numbers(self, images: Images) -> Floats:
        found = power(images)
        fraction = images.mean(axis=(1, 2, 3), dtype=np.float64)[:, None]
        numbers: Floats = found.reshape(len(images), found.shape[1] * found.shape[2]) @ self._of_power + fraction**2
        return numbers

    def encode(self, images: Images) -> NDArray[np.float32]:
        """See `Encoder.encode`."""
        standard = ((self._numbers(images) - self._middle) / self._spread).astype(np.float32)
        encoded: NDArray[np.float32] = standard.reshape(len(images), *self.shape())
        return encoded

    def operators(self) -> Operators:
        """See `Encoder.operators`."""
        nodes: tuple[Node, ...] = (
            *FRACTION,
            *VARYING,
            *transform("varying", "image"),
            *product("image", "image", "power"),
            ("MatMul", ("power", "of_power"), "covariance", {}),
            ("Mul", ("fraction", "fraction"), "squared", {}),
            ("Add", ("covariance", "squared"), "probability", {}),
            ("Sub", ("probability", "middle"), "deviation", {}),
            ("Div", ("deviation", "spread"), "standard", {}),
            ("Reshape", ("standard", "layout"), "encoded", {}),
        )
        numbers = {"of_power": self._of_power, "middle": self._middle, "spread": self._spread}
        narrow = {name: np.ascontiguousarray(array, np.float32) for name, array in numbers.items()}
        layout = {"layout": np.array([-1, *self.shape()], np.int64)}
        return Operators(nodes, FRACTION_AXES | matrices(self._size) | narrow | layout)


class TwoPointMap(TwoPoint):
    """(n, 2 reach + 1, 2 reach + 1, 1) S2 at vectors of up to `reach` pixels each way, that of no length in the middle:
    an image itself.
    """

    def kernels(self, height: int, width: int) -> Floats:
        """One vector each."""
        near = np.arange(-self._reach, self._reach + 1)
        kernels = np.zeros((len(near) ** 2, height, width))
        down, right = (vector.ravel() for vector in np.meshgrid(near, near, indexing="ij"))
        kernels[np.arange(len(kernels)), down % height, right % width] = 1
        return kernels

    def shape(self) -> tuple[int, ...]:
        """See `TwoPoint.shape`."""
        edge = 2 * self._reach + 1
        return edge, edge, 1


class RadialTwoPoint(TwoPoint):
    """(n, reach + 1) S2 averaged over all directions, in rings a pixel wide: what it says of lengths alone."""

    def kernels(self, height: int, width: int) -> Floats:
        """One ring each, of vectors to the nearest of their periodic images."""
        down, right = (np.fft.fftfreq(edge, 1 / edge) for edge in (height, width))
        ring = np.rint(np.hypot(down[:, None], right))
        kernels = np.array([ring == distance for distance in range(self._reach + 1)], np.float64)
        kernels /= kernels.sum(axis=(1, 2), keepdims=True)
        return kernels

    def shape(self) -> tuple[int, ...]:
        """See `TwoPoint.shape`."""
        return (self._reach + 1,)


class EigenImages:
    """(n, components) shares of the leading modes of the training images, whose pixels are standardised one by one:
    eigen-microstructures. Components keep their ratios: the first has unit deviation.
    """

    def __init__(self, components: int) -> None:
        self._components = components

    def fit(self, images: Images) -> None:
        """See `Encoder.fit`."""
        flat = self._flat(images)
        self._middle, self._spread = flat.mean(axis=0), spread(flat)
        standard = (flat - self._middle) / self._spread
        pixels = flat.shape[1]
        leading = [pixels - min(self._components, pixels), pixels - 1]
        values, vectors = eigh(standard.T @ standard / len(standard), subset_by_index=leading)
        modes = vectors[:, ::-1]
        # Of either sign a mode is the same; that in which its largest entry is positive is taken.
        modes *= np.sign(modes[np.abs(modes).argmax(axis=0), np.arange(modes.shape[1])])
        self._modes = modes / np.sqrt(max(values[-1], 1e-12))

    def _flat(self, images: Images) -> Floats:
        return images.reshape(len(images), images.shape[1] * images.shape[2]).astype(np.float64)

    def encode(self, images: Images) -> NDArray[np.float32]:
        """See `Encoder.encode`."""
        shares: NDArray[np.float32] = (((self._flat(images) - self._middle) / self._spread) @ self._modes).astype(
            np.float32
        )
        return shares

    def operators(self) -> Operators:
        """See `Encoder.operators`."""
        nodes: tuple[Node, ...] = (
            ("Flatten", ("images",), "flat", {}),
            ("Sub", ("flat", "middle"), "deviation", {}),
            ("MatMul", ("deviation", "modes"), "encoded", {}),
        )
        arrays = {"middle": self._middle, "modes": self._modes / self._spread[:, None]}
        return Operators(nodes, {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()})
