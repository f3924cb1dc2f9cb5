"""Shapes of the stiff phase's islands and how far they lie apart: what a metallographer measures one by one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.measure import euler_number, label, regionprops_table

from harness.protocol import Images, Operators
from suites.microstructure.encodings import spread

_MEASURED = ("area", "perimeter", "eccentricity", "orientation", "centroid")
_NUMBERS = 11
_ROUND = 1e-6  # eccentricity of what has no direction, though `orientation` is a number


class Shapes:
    """(n, 11) numbers, standardised over the training images: how many islands there are, and how many more than their
    holes (Euler's characteristic); mean and deviation of their areas, and the share of the largest; mean perimeter and
    eccentricity; mean direction, as cosine and sine of twice its angle, by area, to which a disc or a square adds
    nothing; mean and deviation of the distance from an island's middle to the nearest other.

    Islands are white pixels that touch at an edge or a corner. One that leaves at an edge of the periodic image and
    comes in at the other counts as two, as it would for whoever measures a micrograph.
    """

    def fit(self, images: Images) -> None:
        """See `Encoder.fit`."""
        found = self._numbers(images)
        self._middle, self._spread = found.mean(axis=0), spread(found)

    def _numbers(self, images: Images) -> NDArray[np.float64]:
        return np.array([measure_islands(image[..., 0] > 0.5) for image in images]).reshape(len(images), _NUMBERS)

    def encode(self, images: Images) -> NDArray[np.float32]:
        """See `Encoder.encode`."""
        standard: NDArray[np.float32] = ((self._numbers(images) - self._middle) / self._spread).astype(np.float32)
        return standard

    def operators(self) -> Operators | None:
        """None: islands are counted by no operator of ONNX."""
        return None


def measure_islands(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(11,) the numbers of `Shapes` of a mask (height, width), in pixels; zeros where it is all black."""
    islands = label(mask, connectivity=2)
    if not islands.max():
        return np.zeros(_NUMBERS)
    of = regionprops_table(islands, properties=_MEASURED)
    area, turned = of["area"], 2 * of["orientation"]
    directed = np.where(of["eccentricity"] > _ROUND, area, 0.0) / area.sum()
    middles = np.column_stack([of["centroid-0"], of["centroid-1"]])
    apart = cKDTree(middles).query(middles, k=2)[0][:, 1] if len(middles) > 1 else np.zeros(1)
    return np.array(
        [
            len(area),
            euler_number(mask, connectivity=2),
            area.mean(),
            area.std(),
            area.max() / area.sum(),
            of["perimeter"].mean(),
            of["eccentricity"].mean(),
            directed @ np.cos(turned),
            directed @ np.sin(turned),
            apart.mean(),
            apart.std(),
        ]
    )
