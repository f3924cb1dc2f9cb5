"""What a model may be shown of anybody's image in its place; see `harness.protocol.Encoder`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.protocol import Encoder, Images, Node, Operators
from suites.pictures.images import LUMINANCE

Floats = NDArray[np.float32]


class OfLuminance:
    """What an encoding of grey images makes of coloured ones: of their luminance. Grey ones stay as they are."""

    def __init__(self, inner: Encoder) -> None:
        self._inner = inner

    def fit(self, images: Images) -> None:
        """See `Encoder.fit`."""
        self._weights = LUMINANCE if images.shape[3] == 3 else np.ones(1, np.float32)
        self._inner.fit(self._grey(images))

    def _grey(self, images: Images) -> Images:
        return (images @ self._weights)[..., None]

    def encode(self, images: Images) -> Floats:
        """See `Encoder.encode`."""
        return self._inner.encode(self._grey(images))

    def operators(self) -> Operators | None:
        """See `Encoder.operators`."""
        inner = self._inner.operators()
        if inner is None:
            return None

        def own(name: str) -> str:
            return "luminance" if name == "images" else name

        nodes: tuple[Node, ...] = (
            ("Mul", ("images", "of_channels"), "weighted", {}),
            ("ReduceSum", ("weighted", "colours"), "luminance", {"keepdims": 1}),
            *((operator, tuple(map(own, given)), out, told) for operator, given, out, told in inner.nodes),
        )
        return Operators(nodes, inner.arrays | {"of_channels": self._weights, "colours": np.array([3], np.int64)})
