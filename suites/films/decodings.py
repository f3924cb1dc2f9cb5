"""What a model may answer of a film in place of its modulus; see `harness.protocol.Decoder`."""

from __future__ import annotations

import numpy as np

from harness.protocol import Images, Node, Operators, Targets
from suites.films.crystal import Crystal
from suites.films.encodings import ESTIMATES, WEIGHTS, Estimate


class FromHill:
    """By how much Young's modulus is larger than Hill's estimate, in GPa: what a model then has to learn is what the
    estimate does not know, how grains of unlike stiffness lie to each other.

    Raises Unavailable where the crystal is not known.
    """

    answers: tuple[str, ...] = ("E1 less Hill's estimate",)

    def __init__(self, crystal: Crystal | None) -> None:
        self._hill = Estimate(crystal, "hill")

    def encode(self, targets: Targets, images: Images) -> Targets:
        """See `Decoder.encode`."""
        return targets - self._hill.moduli(images)

    def decode(self, answers: Targets, images: Images) -> Targets:
        """See `Decoder.decode`."""
        return answers + self._hill.moduli(images)

    def operators(self) -> Operators:
        """See `Decoder.operators`."""
        nodes: tuple[Node, ...] = (
            *ESTIMATES,
            ("MatMul", ("estimates", "weights"), "hill", {}),
            ("Add", ("answers", "hill"), "decoded", {}),
        )
        weights = np.array(WEIGHTS["hill"], np.float32)[:, None]
        return Operators(nodes, self._hill.arrays() | {"weights": weights})
