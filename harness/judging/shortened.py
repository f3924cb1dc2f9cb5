"""What a profile makes of a variant: how long its recipes and its search may be."""

from __future__ import annotations

import msgspec

from harness.model.architecture import Estimator, Imported, Network, answering, backbone_of
from harness.model.variants import Architecture, Method, Recipe, Search, Variant
from harness.protocol import Profile


def shortened(
    variant: Variant, profile: Profile, method: Method, targets: int
) -> tuple[Architecture, tuple[Recipe, ...]]:
    """Architecture, for so many targets, and recipes with no more epochs than the profile allows them."""
    match variant.architecture:
        case Search() as search:
            configurations = tuple(
                msgspec.structs.replace(
                    item,
                    architecture=_for(item.architecture, targets),
                    recipe=at_most(item.recipe, profile.epochs) if item.recipe else None,
                )
                for item in search.configurations
            )
            among = Search(configurations, min(search.epochs, profile.search_epochs), method)
            in_one = len(among.rounds()) == 1  # which is a grid, by whatever name it was asked for
            return msgspec.structs.replace(among, method="grid" if in_one else method), ()
        case Network() as network:
            fine_tuning = profile.fine_tuning_epochs if backbone_of(network) else profile.epochs
            return answering(network, targets), tuple(
                at_most(recipe, profile.epochs if recipe.trains == "head" else fine_tuning)
                for recipe in variant.recipes
            )
        case Imported() as imported:
            return imported, tuple(at_most(recipe, profile.epochs) for recipe in variant.recipes)
        case Estimator() as estimator:
            return estimator, variant.recipes


def _for(architecture: Network | Estimator, targets: int) -> Network | Estimator:
    return answering(architecture, targets) if isinstance(architecture, Network) else architecture


def at_most(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe with no more epochs than these."""
    return msgspec.structs.replace(recipe, epochs=min(recipe.epochs, epochs))
