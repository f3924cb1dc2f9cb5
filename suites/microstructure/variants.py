"""The models that are asked for nine elastic constants, as pure data, and how much of each a profile runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import msgspec

from harness.model.architecture import (
    Backbone,
    Conv2D,
    Dense,
    Dropout,
    Estimator,
    Flatten,
    GlobalAveragePool2D,
    MaxPool2D,
    Network,
    backbone_of,
)
from harness.model.backbones import Family
from harness.model.variants import Configuration, Encoding, Recipe, Search, Variant
from harness.protocol import Profile
from suites.microstructure.decodings import BetweenBounds
from suites.microstructure.homogenization import TARGETS

# --- without a network ----------------------------------------------------------------------------------------------


def best_of(name: str, values: tuple[float, ...], estimator: Estimator) -> Search:
    """The best on the validation images of estimators that differ in one number."""
    return Search(
        tuple(Configuration({name: value}, msgspec.structs.replace(estimator, **{name: value})) for value in values)
    )


SMOOTHNESS = (0.5, 1.5, 2.5)
PENALTIES = tuple(10.0**power for power in range(-5, 3))
_PROCESS = best_of("nu", SMOOTHNESS, Estimator("gaussian-process", moved_by="rotation"))
_TREES = Search(
    tuple(
        Configuration({"depth": float(depth), "rate": rate}, Estimator("boosted-trees", depth=depth, rate=rate))
        for depth, rate in itertools.product((2, 3, 4), (0.05, 0.1))
    )
)
_FRACTION = Encoding("volume-fraction")
# Reach, in pixels, and number of components have the lowest validation errors of 6 to 16 and 10 to 40 (elasticity).
_TWO_POINT = Encoding("two-point", {"components": 40.0, "reach": 14.0})
_TWO_POINT_PRODUCTS = Encoding("two-point-products", {"components": 20.0, "reach": 12.0})
_PHYSICS = Encoding("between-bounds")

_WITHOUT_NETWORK = (
    Variant("mean", "always answers the mean of the training labels", Estimator("mean"), encoding=_FRACTION),
    Variant(
        "voigt-reuss-hill",
        "mean of the Voigt and Reuss bounds at the image's volume fraction; nothing is trained",
        Estimator("identity"),
        encoding=Encoding("voigt-reuss-hill"),
    ),
    Variant("ridge", "linear in the volume fraction alone", Estimator("ridge"), encoding=_FRACTION),
    Variant(
        "cubic",
        "a cubic in the volume fraction and the interface lengths along x1 and x2",
        best_of("alpha", PENALTIES, Estimator("ridge")),
        encoding=Encoding("cubic"),
    ),
    Variant(
        "trees",
        "boosted trees on the volume fraction and the interface lengths along x1 and x2",
        _TREES,
        encoding=Encoding("stereology"),
    ),
    Variant(
        "s2-ridge",
        "linear in principal components of two-point statistics and their products with the volume fraction",
        best_of("alpha", PENALTIES, Estimator("ridge", moved_by="rotation")),
        encoding=_TWO_POINT_PRODUCTS,
    ),
    Variant(
        "gp",
        "a Gaussian process on volume fraction, interface lengths and components of two-point statistics",
        _PROCESS,
        encoding=_TWO_POINT,
    ),
    Variant(
        "physics-gp",
        "a Gaussian process like gp, which answers where between the bounds of Voigt and Reuss the stiffness lies",
        _PROCESS,
        encoding=_TWO_POINT,
        decoding=_PHYSICS,
    ),
)

# --- the report's networks ------------------------------------------------------------------------------------------


def baseline(answers: int) -> Network:
    """The report's baseline CNN (section 3)."""
    return Network(
        (
            Conv2D(8, kernel=3),
            MaxPool2D(2),
            Conv2D(16, kernel=3),
            MaxPool2D(2),
            Flatten(),
            Dense(16),
            Dense(answers, activation="linear"),
        )
    )


def _tuned(filters: int, kernel: int, dropout: float, answers: int) -> Network:
    """The report's flexible CNN (section 4)."""
    return Network(
        (
            Conv2D(filters, kernel, "same"),
            MaxPool2D(2),
            Conv2D(2 * filters, kernel, "same"),
            MaxPool2D(2),
            Flatten(),
            Dropout(dropout),
            Dense(64),
            Dense(answers, activation="linear"),
        )
    )


def tuned(answers: int) -> Search:
    """The report's grid, numbered from 0 as in its table 1: filters outermost, learning rate innermost."""
    axes = (8.0, 16.0, 32.0), (3.0, 5.0), (0.0, 0.2), (1e-3, 1e-4)
    return Search(
        tuple(
            Configuration(
                {"filters": filters, "kernel": kernel, "dropout": dropout, "learning_rate": rate},
                _tuned(int(filters), int(kernel), dropout, answers),
                Recipe(learning_rate=rate),
            )
            for filters, kernel, dropout, rate in itertools.product(*axes)
        )
    )


_HEAD_ONLY = Recipe(learning_rate=1e-3, trains="head")
_FINE_TUNING = Recipe(learning_rate=1e-4)
# What remedies the report's: see docs/transfer.md.
_CENTRED = msgspec.structs.replace(_HEAD_ONLY, centred=True)
_GENTLY = Recipe(learning_rate=3e-6, trains="all-but-norms")


def transfer(family: Family, title: str, answers: int, encoding: Encoding | None = None) -> tuple[Variant, ...]:
    """The report's two phases of transfer learning (section 5), the head alone and then all, and each remedied."""
    network = Network((Backbone(family), GlobalAveragePool2D(), Dense(16), Dense(answers, activation="linear")))

    def variant(name: str, summary: str, *recipes: Recipe) -> Variant:
        return Variant(f"{family}-{name}", summary, network, recipes, encoding)

    return (
        variant("head-only", f"a small head on a frozen {title} (section 5)", _HEAD_ONLY),
        variant(
            "fine-tuned",
            f"a small head on a frozen {title}, then all of it trained on (section 5)",
            _HEAD_ONLY,
            _FINE_TUNING,
        ),
        variant("head-only-centred", f"a head on a frozen {title}, trained on centred features", _CENTRED),
        variant(
            "fine-tuned-gently",
            f"a head on centred features of {title}, then all of it trained on at a low rate, batch norms frozen",
            _CENTRED,
            _GENTLY,
        ),
    )


# --- networks that know the physics ---------------------------------------------------------------------------------


def periodic(answers: int) -> Network:
    """Convolutions around the periodic image, whose features are averaged over it: where it begins does not matter."""
    return Network(
        (
            Conv2D(16, 5, "periodic"),
            MaxPool2D(2),
            Conv2D(32, 3, "periodic"),
            MaxPool2D(2),
            Conv2D(64, 3, "periodic"),
            MaxPool2D(2),
            Conv2D(64, 3, "periodic"),
            GlobalAveragePool2D(),
            Dense(64),
            Dense(answers, activation="linear"),
        )
    )


_MOVED = (
    Recipe(learning_rate=2e-3, augmented=True),
    Recipe(learning_rate=5e-4, epochs=100, augmented=True),
    Recipe(learning_rate=1e-4, epochs=50, augmented=True),
)

VARIANTS = (
    *_WITHOUT_NETWORK,
    Variant("baseline", "the report's baseline CNN (section 3)", baseline(len(TARGETS)), (Recipe(),)),
    Variant(
        "tuned", "the best of 24 CNNs by validation error: the report's grid search (section 4)", tuned(len(TARGETS))
    ),
    *transfer("vgg16", "VGG16", len(TARGETS)),
    *transfer("resnet50", "ResNet50", len(TARGETS)),
    *transfer("densenet121", "DenseNet121", len(TARGETS)),
    Variant(
        "augmented",
        "a CNN around the periodic image, trained on shifted, mirrored and turned images",
        periodic(len(TARGETS)),
        _MOVED,
    ),
    Variant(
        "physics-net",
        "a CNN like augmented, which answers where between the bounds of Voigt and Reuss the stiffness lies",
        periodic(len(BetweenBounds.answers)),
        _MOVED,
        decoding=_PHYSICS,
    ),
)


def with_backbone(variants: Iterable[Variant]) -> tuple[str, ...]:
    """The names of those that have a backbone."""
    return tuple(
        variant.name
        for variant in variants
        if isinstance(variant.architecture, Network) and backbone_of(variant.architecture)
    )


BACKBONES = with_backbone(VARIANTS)

PROFILES = {
    "smoke": Profile(
        seeds=(0,),
        epochs=2,
        search_epochs=1,
        fine_tuning_epochs=1,
        # One backbone shows that backbones work, its head trained first; Keras takes a minute to export each of these.
        leaves_out=tuple(name for name in BACKBONES if name != "vgg16-fine-tuned"),
        quick_latency=True,
    ),
    "standard": Profile(seeds=(0, 1, 2), epochs=100, search_epochs=10, fine_tuning_epochs=4, search="halving"),
    "paper": Profile(seeds=(0, 1, 2), epochs=300, search_epochs=300, fine_tuning_epochs=300),
}


def thirty_epochs(leaves_out: tuple[str, ...]) -> dict[str, Profile]:
    """Profiles of suites that have a thousand images or more, and no search among networks: thirty epochs will do."""
    return {
        "smoke": Profile(
            seeds=(0,), epochs=1, search_epochs=1, fine_tuning_epochs=1, leaves_out=leaves_out, quick_latency=True
        ),
        "standard": Profile(seeds=(0, 1, 2), epochs=30, search_epochs=1, fine_tuning_epochs=1),
        "paper": Profile(seeds=(0, 1, 2), epochs=300, search_epochs=300, fine_tuning_epochs=300),
    }
