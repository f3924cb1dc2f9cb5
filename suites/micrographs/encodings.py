"""What a model may be shown of a gray micrograph in its place; see `harness.protocol.Encoder`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.protocol import Arrays, Encoder, Images, Node, Operators
from suites.microstructure.encodings import spread

Floats = NDArray[np.float32]

_SHADES = np.arange(1, 20) / 20  # of the gray scale
_STEPS = ((1, 1), (1, 2), (2, 1), (2, 2))  # how far, and along which axis


class GrayStatistics:
    """(n, 23) numbers that say how a micrograph was taken, and of what it shows the share of each phase, standardised
    over the training images: how many of its pixels are darker than each of 19 shades, and the root mean squared step
    between pixels one and two apart along columns and along rows, which tell noise from blur.
    """

    def fit(self, images: Images) -> None:
        """See `Encoder.fit`."""
        numbers = self._numbers(images)
        self._middle, self._spread = numbers.mean(axis=0), spread(numbers)

    def _numbers(self, images: Images) -> NDArray[np.float64]:
        darker = [(images < shade).mean(axis=(1, 2, 3)) for shade in _SHADES.astype(np.float32)]
        steps = [_later(images, step, axis) - _earlier(images, step, axis) for step, axis in _STEPS]
        rough = [np.sqrt(np.mean(each.astype(np.float64) ** 2, axis=(1, 2, 3))) for each in steps]
        return np.column_stack([*darker, *rough])

    def encode(self, images: Images) -> Floats:
        """See `Encoder.encode`."""
        encoded: Floats = ((self._numbers(images) - self._middle) / self._spread).astype(np.float32)
        return encoded

    def operators(self) -> Operators:
        """See `Encoder.operators`."""
        roughness: list[Node] = []
        arrays: Arrays = {
            "shades": _SHADES.astype(np.float32),
            "by_shade": np.array([2], np.int64),
            "of_flat": np.array([1], np.int64),
            "zero": np.array([0], np.int64),
            "end": np.array([2**31], np.int64),
            "pixels": np.array([1, 2, 3], np.int64),
            "last": np.array([1], np.int64),
            "middle": self._middle.astype(np.float32),
            "spread": self._spread.astype(np.float32),
        }
        for step, axis in _STEPS:
            of = f"_{step}_{axis}"
            numbers = {f"step{of}": step, f"back{of}": -step, f"axis{of}": axis}
            arrays |= {name: np.array([number], np.int64) for name, number in numbers.items()}
            roughness += [
                ("Slice", ("images", f"step{of}", "end", f"axis{of}"), f"later{of}", {}),
                ("Slice", ("images", "zero", f"back{of}", f"axis{of}"), f"earlier{of}", {}),
                ("Sub", (f"later{of}", f"earlier{of}"), f"difference{of}", {}),
                ("Mul", (f"difference{of}", f"difference{of}"), f"square{of}", {}),
                ("ReduceMean", (f"square{of}", "pixels"), f"mean{of}", {"keepdims": 0}),
                ("Sqrt", (f"mean{of}",), f"root{of}", {}),
                ("Unsqueeze", (f"root{of}", "last"), f"rough{of}", {}),
            ]
        nodes: tuple[Node, ...] = (
            ("Flatten", ("images",), "flat", {}),
            ("Unsqueeze", ("flat", "by_shade"), "column", {}),
            ("Less", ("column", "shades"), "is_darker", {}),
            ("Cast", ("is_darker",), "one_if_darker", {"to": 1}),
            ("ReduceMean", ("one_if_darker", "of_flat"), "darker", {"keepdims": 0}),
            *roughness,
            ("Concat", ("darker", *(f"rough_{step}_{axis}" for step, axis in _STEPS)), "numbers", {"axis": 1}),
            ("Sub", ("numbers", "middle"), "deviations", {}),
            ("Div", ("deviations", "spread"), "encoded", {}),
        )
        return Operators(nodes, arrays)


def _later(images: Images, step: int, axis: int) -> Images:
    return images[:, step:] if axis == 1 else images[:, :, step:]


def _earlier(images: Images, step: int, axis: int) -> Images:
    return images[:, :-step] if axis == 1 else images[:, :, :-step]


_LEVELS = np.arange(1, 255, 4)
"""Thresholds that are tried, in gray levels of 256: a pixel is dark up to one of them."""


def segmented(images: Images) -> Images:
    """1 where a pixel of images (n, height, width, 1) is above Otsu's threshold of its image (1979, doi
    10.1109/TSMC.1979.4310076): where the means of both classes are furthest apart, weighted by their sizes.
    """
    phases: Images = (images > _thresholds(images)).astype(np.float32)
    return phases


def _thresholds(images: Images) -> NDArray[np.float32]:
    """(n, 1, 1, 1), in whole numbers of gray levels until the division, so that nothing depends on rounding."""
    pixels = images.shape[1] * images.shape[2]
    grays = np.rint(images.reshape(len(images), pixels) * 255).astype(np.intp)
    histogram = np.array([np.bincount(gray, minlength=256) for gray in grays]).reshape(len(grays), 256).astype(float)
    dark, dark_sum = histogram.cumsum(axis=1)[:, _LEVELS], (histogram * np.arange(256)).cumsum(axis=1)
    total = dark_sum[:, -1:]
    between = (total * dark - pixels * dark_sum[:, _LEVELS]) ** 2 / np.maximum(dark * (pixels - dark), 1)
    thresholds: NDArray[np.float32] = ((_LEVELS[between.argmax(axis=1)] + 0.5) / 255).astype(np.float32)
    return thresholds[:, None, None, None]


class Segmented:
    """(n, height, width, 1) two phases by Otsu's threshold, or what another encoding makes of these."""

    def __init__(self, inner: Encoder | None = None) -> None:
        self._inner = inner

    def fit(self, images: Images) -> None:
        """See `Encoder.fit`."""
        if self._inner:
            self._inner.fit(segmented(images))

    def encode(self, images: Images) -> Floats:
        """See `Encoder.encode`."""
        phases = segmented(images)
        return self._inner.encode(phases) if self._inner else phases

    def operators(self) -> Operators | None:
        """None: a histogram is no operator of ONNX."""
        return None


class Normalised:
    """(n, height, width, 1) gray levels of mean 0 and deviation 1 in each image, whatever gain and level were."""

    def fit(self, images: Images) -> None:
        """There is nothing to learn."""

    def encode(self, images: Images) -> Floats:
        """See `Encoder.encode`."""
        mean = images.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
        deviation = images.std(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
        normal: Floats = ((images - mean) / np.maximum(deviation, 1e-6)).astype(np.float32)
        return normal

    def operators(self) -> Operators:
        """See `Encoder.operators`."""
        nodes: tuple[Node, ...] = (
            ("ReduceMean", ("images", "pixels"), "mean", {}),
            ("Sub", ("images", "mean"), "about_mean", {}),
            # Once more, for single precision misses the mean by what is all that a constant image then shows.
            ("ReduceMean", ("about_mean", "pixels"), "missed", {}),
            ("Sub", ("about_mean", "missed"), "off_mean", {}),
            ("Mul", ("off_mean", "off_mean"), "square", {}),
            ("ReduceMean", ("square", "pixels"), "variance", {}),
            ("Sqrt", ("variance",), "deviation", {}),
            ("Max", ("deviation", "least"), "unit", {}),
            ("Div", ("off_mean", "unit"), "encoded", {}),
        )
        return Operators(nodes, {"pixels": np.array([1, 2, 3], np.int64), "least": np.array(1e-6, np.float32)})


class Both:
    """(n, k + m) what two encodings make of an image, side by side."""

    def __init__(self, one: Encoder, other: Encoder) -> None:
        self._parts = (one, other)

    def fit(self, images: Images) -> None:
        """See `Encoder.fit`."""
        for part in self._parts:
            part.fit(images)

    def encode(self, images: Images) -> Floats:
        """See `Encoder.encode`."""
        return np.concatenate([part.encode(images) for part in self._parts], axis=1)

    def operators(self) -> Operators | None:
        """See `Encoder.operators`: None where a part has none."""
        pieces = [part.operators() for part in self._parts]
        one, other = (piece.numbered(number) if piece else None for number, piece in enumerate(pieces))
        if one is None or other is None:
            return None
        beside: Node = ("Concat", ("encoded_0", "encoded_1"), "encoded", {"axis": 1})
        return Operators((*one.nodes, *other.nodes, beside), one.arrays | other.arrays)
