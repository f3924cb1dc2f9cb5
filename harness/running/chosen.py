"""Which variants a user's words name: the suite's own, those of TOML files, and models that are somebody's code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness import registry
from harness.disk import expanded
from harness.errors import BenchError, Unavailable
from harness.model import code
from harness.model.architecture import (
    Backbone,
    Dense,
    Dropout,
    Estimator,
    Imported,
    Network,
    answering,
    backbone_of,
    frozen_layers,
    named_layers,
    refuse_unfit,
)
from harness.model.variants import Architecture, Recipe, Search, Variant
from harness.protocol import Dataset, Split, Suite
from harness.running import variant_file
from harness.running.guard import Limits
from harness.running.looking import Looked, look
from harness.running.view import view
from harness.text import Name, fits, nearest


class Chosen(NamedTuple):
    """A variant; `own` where it is the user's and not the suite's, and then the folder of its code if that is a file's;
    `asked_for` where it was named, and not just among `all`.

    The path of somebody's code in it is the one to be found from here, until it is `settled`.
    """

    variant: Variant
    own: bool = False
    folder: str = ""
    asked_for: bool = True


def by_owner(text: str) -> tuple[list[str], list[str]]:
    """Comma-separated words: names of the suite's variants, and what names a user's, a TOML file or code."""
    found = [word.strip() for word in text.split(",")]
    own = [word for word in found if word.endswith((".toml", ".py")) or ":" in word]
    return [word for word in found if word not in own], own


def chosen(suite_name: str, text: str, leaves_out: Sequence[str] = ()) -> list[Chosen]:
    """Those that comma-separated words name, the suite's first; `all` adds none that the profile leaves out.

    Raises BenchError for a name that is none, and for a file that is no variant.
    """
    suite = registry.suite(suite_name)
    theirs, of_user = by_owner(text)
    own = [_own(word, suite) for word in dict.fromkeys(of_user)]
    variants = {variant.name: variant for variant in suite.VARIANTS}
    names = registry.choose(",".join(theirs), variants, f"variant of {suite_name}") if theirs else ()
    asked = [Chosen(variants[name], asked_for=name in theirs) for name in names]
    found = [item for item in asked if item.asked_for or item.variant.name not in leaves_out]
    taken = set(variants)
    for item in own:
        if item.variant.name in taken:
            raise BenchError(
                f"variant={item.variant.name}: the name is taken by {suite_name}'s own, or given twice: rename"
            )
        taken.add(item.variant.name)
    return found + own


def _own(word: str, suite: Suite) -> Chosen:
    """One of the user's own; where it has no recipes it is trained as the suite's first network is."""
    path = Path(expanded("variant", word))
    if word.endswith(".toml"):
        variant = variant_file.read(path)
    else:
        place, name = code.parts(str(path))
        stem = Path(place).stem if place.endswith(".py") else place
        if not fits(called := f"{stem}.{name}", Name):
            raise BenchError(f"variant={word}: names of models may have only letters, digits, dots, - and _: rename it")
        variant = Variant(called, "", Imported(str(path)))
    if isinstance(variant.architecture, Imported):
        beside = path.parent if word.endswith(".toml") else Path()
        place, name = code.parts(variant.architecture.path)
        if place.endswith(".py"):
            variant = _with(variant, Imported(f"{(beside / place).resolve()}:{name}"))
    if isinstance(variant.architecture, Imported | Network) and not variant.recipes:
        variant = msgspec.structs.replace(variant, recipes=usual_recipes(suite))
    return Chosen(variant, own=True)


def usual_recipes(suite: Suite) -> tuple[Recipe, ...]:
    """How the suite trains its first network that has no backbone."""
    for variant in suite.VARIANTS:
        if isinstance(variant.architecture, Network) and not backbone_of(variant.architecture):
            return variant.recipes
    return (Recipe(),)


def settled(item: Chosen, suite: Suite, dataset: Dataset, split: Split, limits: Limits) -> Chosen:
    """The same for this data: its layers fit, with a unit for each answer, and of code it is known what it makes.

    Raises BenchError where it does not fit, or lacks what it needs.
    """
    if not item.own:
        return item
    variant = item.variant
    _refuse_other_moves(variant, suite)
    met = _met(variant, suite, dataset, split)
    shape, outputs = met.images.shape[1:], len(met.target_names)

    def fitting(
        architecture: Network | Estimator, recipes: Sequence[Recipe], searched: bool = False
    ) -> Network | Estimator:
        if isinstance(architecture, Estimator):
            return architecture
        network = answering(architecture, outputs)
        try:
            refuse_unfit(network, shape, outputs)
            if why := _untrainable(network, recipes, searched):
                raise ValueError(why)
        except ValueError as error:
            raise BenchError(f"variant={variant.name}: {error}") from None
        return network

    match variant.architecture:
        case Imported(path):
            return _looked_at(item, path, look(path, shape, outputs, limits))
        case Search(configurations) as search:
            members = (
                msgspec.structs.replace(
                    one, architecture=fitting(one.architecture, (one.recipe,) if one.recipe else (), searched=True)
                )
                for one in configurations
            )
            return item._replace(variant=_with(variant, msgspec.structs.replace(search, configurations=tuple(members))))
        case architecture:
            return item._replace(variant=_with(variant, fitting(architecture, variant.recipes)))


def _untrainable(network: Network, recipes: Sequence[Recipe], searched: bool) -> str:
    """Why a network whose layers fit is not trained as its records would say; "" where it is."""
    named = named_layers(network)
    for place, (name, layer) in enumerate(named):
        if isinstance(layer, Backbone):
            if searched:
                return f"{name}: a search cannot have networks with a backbone"
            if any(not isinstance(before, Dropout) for _, before in named[:place]):
                return f"{name}: only a Dropout may come before a backbone"
    return next(filter(None, (_wrong_of(recipe, stage, network) for stage, recipe in enumerate(recipes))), "")


def _wrong_of(recipe: Recipe, stage: int, network: Network) -> str:
    """Why a network is not trained by this recipe of it; "" where it is."""
    head = recipe.trains == "head"
    if head and not backbone_of(network):
        return "trains = 'head': the network has no backbone, and so no head"
    if head and recipe.augmented:
        return "augmented: not with trains = 'head', because a frozen backbone computes its features of an image once"
    if recipe.centred is True:
        if stage or not head:
            return "centred: only in a first recipe, with trains = 'head'"
        name, layer = named_layers(network)[frozen_layers(network)]
        if not isinstance(layer, Dense):
            return f"centred: the head must begin with a Dense, not with {name}"
    return ""


def _met(variant: Variant, suite: Suite, dataset: Dataset, split: Split) -> Dataset:
    """The data as its model meets it. Raises BenchError where an encoding was given a parameter that the suite has not
    asked for.
    """
    given = {
        what: one for what, one in (("encoding", variant.encoding), ("decoding", variant.decoding)) if one is not None
    }
    watched = {what: _Watched(one.parameters) for what, one in given.items()}
    asking = {what: msgspec.structs.replace(one, parameters=watched[what]) for what, one in given.items()}
    try:
        met = view(suite, dataset, split, asking.get("encoding"), asking.get("decoding")).met
    except Unavailable as unavailable:
        raise BenchError(f"variant={variant.name}: {unavailable}") from None
    for what, one in given.items():
        asked = sorted(watched[what].asked)
        for name in sorted(set(one.parameters) - set(asked)):
            told = f"{what} '{one.name}': unknown parameter '{name}'{nearest(name, asked) or ': it takes none'}"
            raise BenchError(f"variant={variant.name}: {told}")
    return met


class _Watched(Mapping[str, float]):
    """Parameters that know for which of them the suite has asked."""

    def __init__(self, given: Mapping[str, float]) -> None:
        self._given, self.asked = given, set[str]()

    def __getitem__(self, name: str) -> float:
        self.asked.add(name)
        return self._given[name]

    def __iter__(self) -> Iterator[str]:
        self.asked.update(self._given)
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


def _refuse_other_moves(variant: Variant, suite: Suite) -> None:
    """Raise BenchError for what is moved by no symmetry of the suite."""
    searched = variant.architecture.configurations if isinstance(variant.architecture, Search) else ()
    recipes = (*variant.recipes, *(one.recipe for one in searched if one.recipe))
    members = (variant.architecture, *(one.architecture for one in searched))
    estimators = [one for one in members if isinstance(one, Estimator)]
    named = [key for recipe in recipes if isinstance(recipe.augmented, tuple) for key in recipe.augmented]
    known = [symmetry.key for symmetry in suite.SYMMETRIES]
    for key in (*named, *(one.moved_by for one in estimators if one.moved_by)):
        if key not in known:
            raise registry.unknown(key, known, "symmetry")


def _looked_at(item: Chosen, path: str, looked: Looked) -> Chosen:
    place, name = code.parts(path)
    folder = str(Path(place).parent) if place.endswith(".py") else ""
    told = f"{Path(place).name}:{name}" if folder else path  # records are published, and tell of no folder
    variant = _with(item.variant, Imported(told, looked.framework, looked.source))
    if looked.framework == "scikit-learn":
        variant = msgspec.structs.replace(variant, recipes=())
    if any(recipe.trains != "all" or recipe.centred is True for recipe in variant.recipes):
        raise BenchError(
            f"variant={variant.name}: the head of your own code is not known: only trains = 'all', not centred"
        )
    return Chosen(variant, True, folder)


def _with(variant: Variant, architecture: Architecture) -> Variant:
    return msgspec.structs.replace(variant, architecture=architecture)
