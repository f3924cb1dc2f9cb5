"""Two-phase microstructures without end, for backbones to be trained on before they meet a data set."""

from __future__ import annotations

from harness.model.variants import Recipe
from harness.protocol import Dataset, Pretraining
from suites.microstructure.dataset import ALUMINIUM, Parameters, make
from suites.microstructure.materials import Phase

CONTRAST = 25.0
"""Young's modulus of the stiff phase over that of the soft one: between those of suites elasticity and contrast100."""

_FIRST_SEED = 10**6  # far from those of data sets


def draw(count: int, seed: int) -> Dataset:
    """See `Pretraining.draw`: images of all families as the data sets have, of other seeds, at a contrast of 25. Labels
    are of one solver sample a pixel, and within 1e-4 of what they converge to there.
    """
    stiff = Phase(young=CONTRAST * ALUMINIUM.young, poisson=0.19)
    return make(Parameters(count=count, seed=_FIRST_SEED + seed, phases=(ALUMINIUM, stiff), tolerance=1e-3))


def _recipe(epochs: int, rate: float) -> Recipe:
    return Recipe(epochs=epochs, learning_rate=rate, augmented=True)


PRETRAINING = Pretraining(
    name="microstructures",
    sentence="two-phase microstructures of five families at a phase contrast of 25, and their nine elastic constants",
    draw=draw,
    recipes=(_recipe(2, 1e-4), _recipe(18, 5e-4), _recipe(20, 2e-4), _recipe(20, 5e-5)),
)
