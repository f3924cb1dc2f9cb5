"""What a model may be shown of a micrograph with a class in its place; see `harness.protocol.Encoder`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from harness.protocol import Encoder, Images, Operators
from suites.micrographs.encodings import Normalised
from suites.microstructure.encodings import spread

Floats = NDArray[np.float32]


def smoothed(images: Images, width: float) -> Images:
    """Images (n, height, width, 1) under a Gaussian of this deviation in pixels, mirrored at their edges."""
    smooth: Images = gaussian_filter(images, (0, width, width, 0), mode="reflect")
    return smooth


class Smoothed:
    """What another encoding makes of smoothed images: as who segments a noisy micrograph smooths it first."""

    def __init__(self, inner: Encoder, width: float = 1.0) -> None:
        self._inner, self._width = inner, width

    def fit(self, images: Images) -> None:
        """See `Encoder.fit`."""
        self._inner.fit(smoothed(images, self._width))

    def encode(self, images: Images) -> Floats:
        """See `Encoder.encode`."""
        return self._inner.encode(smoothed(images, self._width))

    def operators(self) -> Operators | None:
        """None: what it is used for, a segmentation, has none."""
        return None


_SHARES = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0)
_WIDTHS = (0.8, 1.6)  # pixels


class Extremes:
    """(n, 24) how dark the darkest pixels of a patch are and how bright the brightest, standardised over the training
    images: quantiles of gray levels of mean 0 and deviation 1, smoothed a little and some more. What stands out is so
    found, however the patch was taken, and whether it is a line or a spot is not.
    """

    def fit(self, images: Images) -> None:
        """See `Encoder.fit`."""
        numbers = self._numbers(images)
        self._middle, self._spread = numbers.mean(axis=0), spread(numbers)

    def _numbers(self, images: Images) -> NDArray[np.float64]:
        normal = Normalised().encode(images)
        flat = [smoothed(normal, width).reshape(len(images), images.shape[1] * images.shape[2]) for width in _WIDTHS]
        return np.column_stack([np.quantile(levels.astype(np.float64), _SHARES, axis=1).T for levels in flat])

    def encode(self, images: Images) -> Floats:
        """See `Encoder.encode`."""
        encoded: Floats = ((self._numbers(images) - self._middle) / self._spread).astype(np.float32)
        return encoded

    def operators(self) -> Operators | None:
        """None: a quantile is no operator of ONNX."""
        return None
