"""Adam as Keras has it, in PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from harness.model.variants import Recipe


class KerasAdam(torch.optim.Adam):
    """Adam in Keras's formula: epsilon is added to the square root of the moment *before* its bias is corrected.

    That is torch's formula with epsilon / sqrt(1 - beta_2^t) in step t (Kingma and Ba 2015, end of section 2). Keras
    also computes both corrections in the network's precision; in single, 1 - 0.999^1 is 1.3e-5 off: the rate makes up
    for that, without which the losses of the first steps would differ by 2e-5 instead of 2e-7.
    """

    def __init__(self, parameters: Any, recipe: Recipe) -> None:
        betas = (recipe.beta_1, recipe.beta_2)
        super().__init__(parameters, lr=recipe.learning_rate, betas=betas, eps=recipe.epsilon, fused=True)
        self._recipe, self._steps = recipe, 0

    def step(self, closure: Any = None) -> Any:
        """One update."""
        self._steps += 1
        betas = self._recipe.beta_1, self._recipe.beta_2
        first, second = (1 - beta**self._steps for beta in betas)
        number = np.float64 if torch.get_default_dtype() is torch.float64 else np.float32
        rounded_first, rounded_second = (float(1 - number(beta) ** number(self._steps)) for beta in betas)
        for group in self.param_groups:
            group["eps"] = self._recipe.epsilon / math.sqrt(second)
            group["lr"] = self._recipe.learning_rate * first / rounded_first * math.sqrt(rounded_second / second)
        return super().step(closure)
