"""Maps of where on an image a network looks, and whether its answers come from there.

A map looks plausible whether or not it says anything (Adebayo et al. 2018, "Sanity checks for saliency maps"). So it is
held to deletion: without its brightest pixels an answer should change more than without a region of the same shape and
size elsewhere (Samek et al. 2017, "Evaluating the visualization of what a deep neural network has learned", IEEE
Transactions on Neural Networks and Learning Systems 28).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.judging.stats import of_clusters, paired_difference
from harness.protocol import Images, Targets

Masks = NDArray[np.bool_]

SHARE = 0.1
"""Of an image's pixels, how many are the brightest."""

_PLACES = 5  # that a region is moved to, of each image


class Mapped(msgspec.Struct, frozen=True):
    """A test image as the model is shown it, (height, width) of its first channel, the map on its pixels, the target
    that the map is of, what is answered and true of that, in `unit`; of classes, which is the image's own.
    """

    name: str
    target: str
    unit: str
    answer: float
    truth: float
    true_class: str
    image: list[list[float]]
    map: list[list[float]]


class Deletion(msgspec.Struct, frozen=True):
    """By how much answers change, on average over `images`, without the brightest pixels of their maps, and without as
    many elsewhere; and the 95 % bootstrap interval of the difference, None for too few images.
    """

    images: int
    brightest: float
    elsewhere: float
    interval: tuple[float, float] | None

    @property
    def tells(self) -> bool:
        """Whether answers come from where maps are bright, more than from elsewhere."""
        return self.interval is not None and self.interval[0] > 0


def brightest(maps: NDArray[np.float64]) -> Masks:
    """Which `SHARE` of its pixels are the brightest of each map (n, height, width); fewer where fewer are not zero."""
    least = np.quantile(maps, 1 - SHARE, axis=(1, 2), keepdims=True)
    masks: Masks = (maps >= least) & (maps > 0)
    return masks


def without(images: Images, masks: Masks) -> Images:
    """Images (n, height, width, channel) with each channel's mean over the image where a mask (n, height, width) is."""
    return np.where(masks[..., None], images.mean(axis=(1, 2), keepdims=True), images)


def deletion(
    predict: Callable[[Images], Targets],
    images: Images,
    maps: NDArray[np.float64],
    of: NDArray[np.intp],
    clusters: Sequence[int] = (),
) -> Deletion | None:
    """What deletion does to the answers that `of` numbers, of images (n, height, width, channel) with these maps on
    their pixels; None where all maps are zero. Images whose map is zero are left out. `clusters` as for `of_clusters`.
    """
    shown = maps.any(axis=(1, 2))
    images, maps, of = images[shown], maps[shown], of[shown]
    if not len(images):
        return None
    rows, draw = np.arange(len(images)), np.random.default_rng(0)
    answers, masks = predict(images)[rows, of], brightest(maps)

    def change(masks: Masks) -> NDArray[np.float64]:
        return np.abs(predict(without(images, masks))[rows, of] - answers)

    def moved() -> Masks:
        """Each mask around the image by a shift of its own."""
        shifts = draw.integers(masks.shape[1:], size=(len(masks), 2)).tolist()
        return np.array([np.roll(mask, shift, (0, 1)) for mask, shift in zip(masks, shifts, strict=True)])

    things = np.array(clusters)[shown].tolist() if len(clusters) else ()
    ours = of_clusters(change(masks), things)
    theirs = of_clusters(np.mean([change(moved()) for _ in range(_PLACES)], axis=0), things)
    _, low, high = paired_difference(ours, theirs)
    interval = None if np.isnan(low) else (low, high)
    return Deletion(len(images), float(ours.mean()), float(theirs.mean()), interval)
