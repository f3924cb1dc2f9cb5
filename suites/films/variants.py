"""The models that are asked for a film's modulus, as pure data, and how much of each a profile runs."""

from __future__ import annotations

import msgspec

from harness.model.architecture import Conv2D, Dense, Estimator, Flatten, MaxPool2D, Network
from harness.model.variants import Encoding, Recipe, Variant
from harness.protocol import Profile
from suites.microstructure.variants import (
    PENALTIES,
    SMOOTHNESS,
    baseline,
    best_of,
    periodic,
    transfer,
    tuned,
    with_backbone,
)

# --- without a network ----------------------------------------------------------------------------------------------

_BOUNDS = Encoding("bounds")
_WEAK_CONTRAST = Encoding("weak-contrast")

_WITHOUT_NETWORK = (
    Variant("mean", "always answers the mean of the training labels", Estimator("mean")),
    *(
        Variant(
            name, f"{title} from the angles alone; nothing is trained", Estimator("identity"), encoding=Encoding(name)
        )
        for name, title in (
            ("voigt", "the modulus of the mean stiffness"),
            ("reuss", "the modulus of the mean compliance"),
            ("hill", "the mean of Voigt's and Reuss's modulus"),
        )
    ),
    Variant(
        "line",
        "linear in Voigt's and Reuss's modulus",
        best_of("alpha", PENALTIES, Estimator("ridge")),
        encoding=_BOUNDS,
    ),
    Variant(
        "weak-contrast",
        "linear in the nine numbers that the theory of weak contrast names",
        best_of("alpha", PENALTIES, Estimator("ridge")),
        encoding=_WEAK_CONTRAST,
    ),
    Variant(
        "gp",
        "a Gaussian process on the nine numbers of weak-contrast",
        best_of("nu", SMOOTHNESS, Estimator("gaussian-process")),
        encoding=_WEAK_CONTRAST,
    ),
)

# --- the lecture's three experiments --------------------------------------------------------------------------------

FEW = 105
"""An eighth of the training films, so that eight moves of each are as many images as `many-originals` has."""


def lecture(answers: int = 1) -> Network:
    """Four blocks of convolution and pooling, and a regression block: the lecture draws its network and gives no
    numbers (slide "Proposed CNN-based Architecture"), so these are ours.
    """
    return Network(
        (
            Conv2D(8, 3, "same"),
            MaxPool2D(2),
            Conv2D(16, 3, "same"),
            MaxPool2D(2),
            Conv2D(32, 3, "same"),
            MaxPool2D(2),
            Conv2D(32, 3, "same"),
            MaxPool2D(2),
            Flatten(),
            Dense(64),
            Dense(answers, activation="linear"),
        )
    )


_MANY = Recipe(patience=8)
# Of an eighth of the films batches of four, so that an epoch has as many steps.
_FEW = msgspec.structs.replace(_MANY, batch_size=4)


def _of_few(name: str, summary: str, augmented: bool | tuple[str, ...]) -> Variant:
    recipe = msgspec.structs.replace(_FEW, augmented=augmented)
    return Variant(name, f"the lecture's CNN on an eighth of the films{summary}", lecture(), (recipe,), originals=FEW)


_LECTURE = (
    _of_few("few-originals", "", False),
    _of_few("few-copied", ", moved in eight ways with their labels copied, as the lecture does", ("picture",)),
    _of_few("few-moved", ", moved in all ways that keep the label, angles with them", True),
    Variant("many-originals", "the lecture's CNN on gray levels of the angle", lecture(), (_MANY,)),
    Variant(
        "many-waves",
        "the lecture's CNN on cosine and sine of four times the angle, which have no seam",
        lecture(),
        (_MANY,),
        Encoding("waves", {"share": 2.0}),
    ),
)

# --- the report's networks, and one that knows the estimates --------------------------------------------------------

_HALF = Encoding("coarse", {"share": 2.0})
_TRANSFER = (
    *transfer("vgg16", "VGG16", 1, _HALF),
    *transfer("resnet50", "ResNet50", 1, _HALF),
    *transfer("densenet121", "DenseNet121", 1, _HALF),
)
_HEADS = tuple(variant for variant in _TRANSFER if [recipe.trains for recipe in variant.recipes] == ["head"])

VARIANTS = (
    *_WITHOUT_NETWORK,
    *_LECTURE,
    Variant("baseline", "the report's baseline CNN (section 3), on 64x64 gray levels", baseline(1), (Recipe(),), _HALF),
    Variant(
        "tuned",
        "the best of the report's 24 CNNs by validation error (section 4), on 32x32 cosines and sines",
        tuned(1),
        encoding=Encoding("waves", {"share": 4.0}),
    ),
    *_HEADS,
    Variant(
        "hill-net",
        "a CNN around the periodic film, on moved films, which answers what Hill's estimate lacks",
        periodic(1),
        (
            Recipe(learning_rate=2e-3, augmented=True),
            Recipe(learning_rate=5e-4, epochs=100, augmented=True),
            Recipe(learning_rate=1e-4, epochs=50, augmented=True),
        ),
        Encoding("waves", {"share": 4.0}),
        Encoding("from-hill"),
    ),
)

PROFILES = {
    "smoke": Profile(
        seeds=(0,),
        epochs=1,
        search_epochs=1,
        fine_tuning_epochs=1,
        # What these are is shown by suite elasticity; the others by `few-moved` and `many-waves`.
        leaves_out=(
            *with_backbone(VARIANTS),
            "gp",
            "tuned",
            "baseline",
            "few-originals",
            "few-copied",
            "many-originals",
        ),
        quick_latency=True,
    ),
    "standard": Profile(seeds=(0, 1, 2), epochs=30, search_epochs=1, fine_tuning_epochs=4, search="halving"),
    "paper": Profile(seeds=(0, 1, 2), epochs=300, search_epochs=30, fine_tuning_epochs=300),
}
