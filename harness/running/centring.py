"""Features that are centred before a head is trained on them, and the head that sees them as they are afterwards.

What a backbone makes of images lies far from zero and varies little about it: ResNet50's random features have a mean
of 5.9, which kills every hidden unit of a small head in its first epochs. Centred, and scaled so that their variances
add up to one, they are what initial weights and learning rates are made for. A head on centred features is a head on
features, with other numbers in its first layer: no framework, and no exported model, needs to know.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.model.architecture import Dense, Network, Weights, frozen_layers, named_layers


class Centring(NamedTuple):
    """Features (n, k) are shown less their `mean` (k,), and divided by `deviation`."""

    mean: NDArray[np.float64]
    deviation: float

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> Centring:
        """By the mean and the total standard deviation of training features (n, k): the root of what their variances
        add up to. Features that do not vary are centred alone.
        """
        total = math.sqrt(features.var(axis=0, dtype=np.float64).sum())
        return cls(features.mean(axis=0, dtype=np.float64), total or 1.0)

    def shown(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (n, k) as the head is trained on them."""
        centred: NDArray[np.float32] = ((features - self.mean) / self.deviation).astype(np.float32)
        return centred

    def folded(self, weights: Weights, network: Network) -> Weights:
        """Weights of a network whose head was trained on centred features, for features as they are.

        Raises ValueError where the head does not begin with a dense layer.
        """
        name, layer = named_layers(network)[frozen_layers(network)]
        if not isinstance(layer, Dense):
            raise ValueError(f"features are centred for a dense layer, but {name} is the first of the head")
        kernel = weights[f"{name}/kernel"].astype(np.float64) / self.deviation
        bias = weights[f"{name}/bias"] - self.mean @ kernel
        folded = {f"{name}/kernel": kernel, f"{name}/bias": bias}
        return weights | {part: array.astype(weights[part].dtype) for part, array in folded.items()}
