"""Numbers that describe a periodic two-phase microstructure: stereology, two-point statistics, products of these."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from harness.protocol import Arrays, Images, Node, Operators
from suites.microstructure.encodings import FRACTION, FRACTION_AXES, VARYING, spread
from suites.microstructure.spectrum import matrices, on_power, power, product, transform

Floats = NDArray[np.float64]
Product = tuple[int, ...]

# A product names its factors by their places: volume fraction, interface along x1, along x2, principal components.
COMPONENTS_AT = 3

STEREOLOGY: tuple[Product, ...] = ((0,), (1,), (2,))
CUBIC: tuple[Product, ...] = tuple(
    product for degree in (1, 2, 3) for product in itertools.combinations_with_replacement((0, 1, 2), degree)
)


def plain(components: int) -> tuple[Product, ...]:
    """The three of stereology, two powers of the volume fraction, and each component."""
    return (*STEREOLOGY, (0, 0), (0, 0, 0), *((COMPONENTS_AT + number,) for number in range(components)))


def interacting(components: int) -> tuple[Product, ...]:
    """The same, interface lengths times the volume fraction, and each component times it and times its square."""
    powers = ((0,), (0, 0))
    numbers = [COMPONENTS_AT + number for number in range(components)]
    return (*plain(components), (0, 1), (0, 2), *((*power, number) for power in powers for number in numbers))


def autocovariance(images: Images) -> Floats:
    """(n, height, width) of periodic images (n, height, width, 1): how the deviations from the mean of two pixels go
    together, by the vector from one to the other (Torquato 2002, Random Heterogeneous Materials, section 2.2).

    It is S2, the two-point probability of white, less the square of the volume fraction.
    """
    spectrum = power(images)
    spectrum[:, 0, 0] = 0
    covariance: Floats = np.fft.irfft2(spectrum, s=images.shape[1:3]) * (images.shape[1] * images.shape[2])
    return covariance


class Descriptors:
    """(n, k) products of numbers that describe an image, each standardised over the training images.

    The numbers are the volume fraction; the interface that lines along x1, and x2, cross per pixel (of grey images, the
    mean squared step between neighbours); and `components` principal components of the autocovariance at vectors of up
    to `reach` pixels each way, or as many as the image and the training images have, of images and their mirror images
    together, which have the same constants. Components keep their ratios: the first has unit deviation. Both kinds are
    linear in the power of the image's spectrum, and the exported model computes them so.
    """

    def __init__(self, products: Iterable[Product], components: int = 0, reach: int = 0) -> None:
        self._products, self._components, self._reach = tuple(products), components, reach

    def fit(self, images: Images) -> None:
        """See `Encoder.fit`."""
        self._shape = images.shape[1:3]
        kernels = [np.zeros(self._shape) for _ in range(2)]
        for kernel, neighbour in zip(kernels, ((0, 1), (1, 0)), strict=True):
            kernel[0, 0], kernel[neighbour] = 2, -2  # a mean squared step is twice C(0) - C(step)
        kernels += self._principal_components(images)
        self._of_power = on_power(np.array(kernels))
        found = self._numbers(images)
        self._middle = found.mean(axis=0)
        self._unit = spread(found)
        self._unit[COMPONENTS_AT:] = self._unit[COMPONENTS_AT : COMPONENTS_AT + 1]
        known = [product for product in self._products if max(product) < len(self._middle)]
        self._factors = np.array([[*product, -1, -1, -1][:3] for product in known])
        products = self._multiplied(images)
        several = self._factors[:, 1] >= 0
        self._center = np.where(several, products.mean(axis=0), 0.0)
        self._spread = np.where(several, spread(products), 1.0)

    def _principal_components(self, images: Images) -> list[Floats]:
        """As kernels (height, width) on the autocovariance."""
        shape = images.shape[1:3]
        reach = min(self._reach, (min(shape) - 1) // 2)
        near = np.arange(-reach, reach + 1)
        window = autocovariance(images)[:, near[:, None], near]
        table = ((window + window[:, ::-1]) / 2).reshape(len(images), -1)
        count = min(self._components, len(images) - 1, table.shape[1])
        axes: Floats = np.linalg.svd(table - table.mean(axis=0), full_matrices=False)[2][: max(count, 0)]
        kernels = [np.zeros(shape) for _ in axes]
        for kernel, axis in zip(kernels, axes, strict=True):
            kernel[near[:, None], near] = axis.reshape(len(near), len(near))
        return kernels

    def _numbers(self, images: Images) -> Floats:
        fraction = images.mean(axis=(1, 2, 3), dtype=np.float64)[:, None]
        return np.concatenate([fraction, power(images).reshape(len(images), -1) @ self._of_power], axis=1)

    def _multiplied(self, images: Images) -> Floats:
        numbers = (self._numbers(images) - self._middle) / self._unit
        with_one = np.concatenate([numbers, np.ones((len(numbers), 1))], axis=1)
        products: Floats = with_one[:, self._factors].prod(axis=2)
        return products

    def encode(self, images: Images) -> NDArray[np.float32]:
        """See `Encoder.encode`."""
        standardised: NDArray[np.float32] = ((self._multiplied(images) - self._center) / self._spread).astype(
            np.float32
        )
        return standardised

    def operators(self) -> Operators:
        """See `Encoder.operators`."""
        nodes: tuple[Node, ...] = (
            *VARYING,
            *transform("varying", "image"),
            *product("image", "image", "power"),
            ("MatMul", ("power", "of_power"), "statistics", {}),
            ("Concat", ("fraction", "statistics"), "numbers", {"axis": 1}),
            ("Sub", ("numbers", "middle"), "deviations", {}),
            ("Div", ("deviations", "unit"), "standard", {}),
            ("Mul", ("fraction", "zero"), "zeros", {}),
            ("Add", ("zeros", "one"), "ones", {}),
            ("Concat", ("standard", "ones"), "with_one", {"axis": 1}),
            *(("Gather", ("with_one", f"at_{number}"), f"factor_{number}", {"axis": 1}) for number in range(3)),
            ("Mul", ("factor_0", "factor_1"), "of_two", {}),
            ("Mul", ("of_two", "factor_2"), "products", {}),
            ("Sub", ("products", "center"), "off_center", {}),
            ("Div", ("off_center", "spread"), "encoded", {}),
        )
        return Operators(FRACTION + nodes, FRACTION_AXES | self._arrays())

    def _arrays(self) -> Arrays:
        arrays = {
            "of_power": self._of_power,
            "middle": self._middle,
            "unit": self._unit,
            "center": self._center,
            "spread": self._spread,
            "zero": np.array(0.0),
            "one": np.array(1.0),
        }
        return (
            matrices(self._shape)
            | {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
            | {f"at_{number}": at.astype(np.int64) for number, at in enumerate(self._factors.T % (len(self._unit) + 1))}
        )
