"""The models that suite leakage asks for a specimen's modulus, as pure data, some of which suite shift asks, too."""

from __future__ import annotations

from harness.model.architecture import Conv2D, Dense, Estimator, Flatten, GlobalAveragePool2D, MaxPool2D, Network
from harness.model.variants import Encoding, Recipe, Variant
from suites.microstructure.variants import PENALTIES, baseline, best_of, thirty_epochs

PROCESS = Estimator("gaussian-process", nu=1.5)  # of one smoothness: each that is tried takes a minute
_SEGMENTED = Encoding("segmented")
# Fewer than in suite elasticity, of pieces that are not periodic and show less of the material.
NUMBERS = {"components": 10.0, "reach": 12.0}

RECIPE = (Recipe(epochs=30),)

_PIXELS = Network((Flatten(), Dense(128), Dense(64), Dense(1, activation="linear")))
_AVERAGED = Network(
    (
        Conv2D(16, kernel=5),
        MaxPool2D(4),
        Conv2D(32, kernel=3),
        MaxPool2D(2),
        Conv2D(64, kernel=3),
        GlobalAveragePool2D(),
        Dense(32),
        Dense(1, activation="linear"),
    )
)

SIMPLE = (
    Variant("mean", "always answers the mean of the training labels", Estimator("mean")),
    Variant(
        "fraction",
        "linear in the volume fraction of the segmented patch",
        Estimator("ridge"),
        encoding=Encoding("segmented-volume-fraction"),
    ),
    Variant(
        "stereology",
        "a cubic in volume fraction and interface lengths of the segmented patch",
        best_of("alpha", PENALTIES, Estimator("ridge")),
        encoding=Encoding("segmented-cubic"),
    ),
)
"""Without a network, and with three numbers of a patch at most."""

VARIANTS = (
    *SIMPLE,
    Variant(
        "gp",
        "a Gaussian process on volume fraction, interface lengths and two-point statistics of the segmented patch",
        PROCESS,
        encoding=Encoding("segmented-two-point", NUMBERS),
    ),
    Variant(
        "session-gp",
        "a Gaussian process on gray levels and noise alone: on how a micrograph was taken, and the phases' shares",
        PROCESS,
        encoding=Encoding("gray-statistics"),
    ),
    Variant(
        "everything-gp",
        "a Gaussian process on the numbers of gp and of session-gp",
        PROCESS,
        encoding=Encoding("everything", NUMBERS),
    ),
    Variant("mlp", "dense layers on the pixels", _PIXELS, RECIPE),
    Variant("baseline", "the report's baseline CNN on gray levels", baseline(1), RECIPE),
    Variant("baseline-segmented", "the report's baseline CNN on the segmented patch", baseline(1), RECIPE, _SEGMENTED),
    Variant(
        "averaged",
        "a CNN whose features are averaged over the patch, on gray levels",
        _AVERAGED,
        (Recipe(epochs=30, learning_rate=2e-3), Recipe(epochs=10, learning_rate=2e-4)),
    ),
    Variant(
        "averaged-segmented",
        "a CNN like averaged on the segmented patch, trained on mirrored and turned patches",
        _AVERAGED,
        (Recipe(epochs=30, learning_rate=2e-3, augmented=True), Recipe(epochs=10, learning_rate=2e-4, augmented=True)),
        _SEGMENTED,
    ),
)

PROFILES = thirty_epochs(
    leaves_out=("gp", "everything-gp", "stereology", "mlp", "averaged", "averaged-segmented", "baseline-segmented")
)
