"""The models that anybody's images are tried with, as pure data: for any number of targets, or of classes."""

from __future__ import annotations

import itertools

from harness.model.architecture import (
    PER_TARGET,
    Conv2D,
    Dense,
    Estimator,
    GlobalAveragePool2D,
    MaxPool2D,
    Network,
)
from harness.model.backbones import Family
from harness.model.variants import Configuration, Encoding, Recipe, Search, Variant
from harness.protocol import Profile
from suites.microstructure.variants import PENALTIES, SMOOTHNESS, baseline, best_of, transfer, tuned

GREY, TWO_POINT, BOTH = (
    Encoding("gray-levels"),
    Encoding("two-point", {"components": 40.0, "reach": 14.0}),
    Encoding("gray-levels-and-two-point", {"components": 40.0, "reach": 14.0}),
)
_LINE = best_of("alpha", PENALTIES, Estimator("ridge"))
_TREES = Search(
    tuple(
        Configuration({"depth": float(depth), "rate": rate}, Estimator("boosted-trees", depth=depth, rate=rate))
        for depth, rate in itertools.product((2, 3), (0.05, 0.1))
    )
)
# Keeps the size of the image until it is averaged, so that any size will do.
_CONVOLUTIONS = Network(
    (
        Conv2D(16, kernel=3, padding="same"),
        MaxPool2D(2),
        Conv2D(32, kernel=3, padding="same"),
        MaxPool2D(2),
        Conv2D(64, kernel=3, padding="same"),
        GlobalAveragePool2D(),
        Dense(PER_TARGET, activation="linear"),
    )
)
_PATIENT = Recipe(epochs=100, patience=20)


def _remedied(family: Family, title: str) -> tuple[Variant, ...]:
    """The report's two phases of transfer learning, as they are remedied there: its own are worth less."""
    phases = transfer(family, title, PER_TARGET)
    return tuple(variant for variant in phases if variant.name.endswith(("-centred", "-gently")))


VARIANTS = (
    Variant("mean", "always answers the mean of the training targets, or the share of each class", Estimator("mean")),
    Variant("gray-levels", "linear in shares of pixels darker than each shade, and in roughness", _LINE, encoding=GREY),
    Variant(
        "s2-ridge",
        "linear in the numbers of gray-levels and in components of two-point statistics",
        _LINE,
        encoding=BOTH,
    ),
    Variant("trees", "boosted trees on the numbers of s2-ridge", _TREES, encoding=BOTH),
    Variant(
        "gp",
        "a Gaussian process on the numbers of s2-ridge; predicts numbers, not classes",
        best_of("nu", SMOOTHNESS, Estimator("gaussian-process")),
        encoding=BOTH,
    ),
    Variant("baseline", "the report's baseline CNN", baseline(PER_TARGET), (_PATIENT,)),
    Variant("convolutions", "a CNN without dense layers, which averages over the image", _CONVOLUTIONS, (_PATIENT,)),
    Variant("tuned", "the best of the report's 24 CNNs by validation error", tuned(PER_TARGET)),
    *_remedied("vgg16", "VGG16"),
    *_remedied("resnet50", "ResNet50"),
    *_remedied("densenet121", "DenseNet121"),
)

_FINE_TUNED = tuple(variant.name for variant in VARIANTS if variant.name.endswith("-gently"))
_DEEP = tuple(variant.name for variant in VARIANTS if variant.name.endswith("-centred"))
PROFILES = {
    "smoke": Profile(
        seeds=(0,),
        epochs=2,
        search_epochs=1,
        fine_tuning_epochs=1,
        leaves_out=("tuned", *_DEEP[1:], *_FINE_TUNED),
        quick_latency=True,
    ),
    "standard": Profile(
        seeds=(0, 1, 2), epochs=100, search_epochs=9, fine_tuning_epochs=4, search="halving", leaves_out=_FINE_TUNED
    ),
    "paper": Profile(seeds=(0, 1, 2), epochs=300, search_epochs=300, fine_tuning_epochs=300),
}
