"""What climbs the ladder of `bench parity`: two frameworks, and the variants that both train, grouped by network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

import msgspec

from harness import registry
from harness.errors import BenchError
from harness.model import backbones
from harness.model.architecture import (
    Dense,
    Dropout,
    Estimator,
    Imported,
    Network,
    Shape,
    backbone_of,
    parameter_shapes,
)
from harness.model.variants import Configuration, Search, Variant
from harness.parity.side import BATCH
from harness.protocol import Suite
from harness.text import Device

TRAINED_RUNGS = ("training", "statistics")
SMALL_STEPS = (1, 10, 100)
BACKBONE_STEPS = (1, 2, 10)  # after 100, rounding alone has changed ResNet50 with batch norms in training mode
MOST_STEPS = SMALL_STEPS[-1]
EARLIER_STEPS = 2  # of each recipe before the last, so that what it leaves behind is seen

ParityProfile = Literal["smoke", "standard"]
FROZEN_NORMS = "-frozen-norms"


class Framework(msgspec.Struct, frozen=True):
    """A backend, where it computes, and the engine under it where it has a choice: Keras runs on tensorflow, jax or
    torch.
    """

    backend: str
    engine: str = ""
    device: Device = "cpu"

    @property
    def label(self) -> str:
        """How it is asked for and shown."""
        engine = f"/{self.engine}" if self.engine else ""
        return self.backend + engine + (f"@{self.device}" if self.device != "cpu" else "")

    @property
    def stem(self) -> str:
        """How its files are called."""
        return self.label.replace("/", "-")

    def lacking(self) -> str:
        """Why it cannot be used here; "" where it can."""
        lacking = registry.missing(self.backend, self._chosen)
        return f"{' and '.join(lacking)} not installed" if lacking else ""

    def variables(self) -> dict[str, str]:
        """Environment variables of its processes."""
        return {registry.ENGINE: self._chosen} if self._chosen else {}

    @property
    def in_single_alone(self) -> bool:
        """Whether it never computes in float64: Keras does on its first engine, TensorFlow, alone."""
        return self._chosen != self._first

    @property
    def _chosen(self) -> str:
        return self.engine or self._first

    @property
    def _first(self) -> str:
        return next(iter(registry.engines(self.backend)), "")


class ClimbRequest(msgspec.Struct, frozen=True):
    """What `bench parity` was asked for."""

    suite: str
    between: tuple[Framework, Framework]
    variants: str
    rungs: tuple[str, ...]
    profile: ParityProfile
    seeds: tuple[int, ...]
    results: Path
    workers: int
    keep: float = 0
    """GiB of what sides computed that are kept for the next climb."""


def frameworks(text: str) -> tuple[Framework, Framework]:
    """Two of `backend`, `backend/engine` or `backend@device`, separated by a comma. Raises BenchError for anything
    else.
    """
    found = [_framework(part.strip(), text) for part in text.split(",")]
    if len(found) != 2 or found[0] == found[1]:
        raise BenchError(
            f"between={text}: must name two different backends, as in keras,pytorch or keras,keras/jax, or two "
            "devices, as in pytorch,pytorch@cuda"
        )
    return found[0], found[1]


def _framework(part: str, text: str) -> Framework:
    """One of them. Raises BenchError where it is none."""
    named, at, device = part.partition("@")
    backend, slash, engine = named.partition("/")
    if backend not in registry.names("backends"):
        raise registry.unknown(backend, registry.names("backends"), "backend")
    engines = tuple(registry.engines(backend))
    if slash and engine not in engines:
        of_keras = tuple(registry.engines("keras"))
        raise BenchError(f"between={text}: after the slash comes Keras's engine: {', '.join(of_keras)}")
    if at and device not in get_args(Device):
        raise BenchError(f"between={text}: after the @ comes a device: {', '.join(get_args(Device))}")
    return Framework(backend, "" if engine in engines[:1] else engine, cast("Device", device or "cpu"))


def subjects(suite: Suite, own: Sequence[Variant] = ()) -> list[Variant]:
    """What is compared: every variant, the user's own among them, that is trained by gradient, as one network; of those
    that train the same parts of the same backbone, at other rates or on centred features, the first.

    A search stands as its largest configuration, with the most dropout at the highest learning rate. Fine-tuning is
    compared with the backbone's batch norms frozen, too, as porters often have them.
    """
    found = []
    for variant in (*suite.VARIANTS, *own):
        match variant.architecture:
            case Estimator() | Imported():
                continue
            case Search() as search:
                if search.of_networks:
                    found.append(_of(variant, largest(search)))
            case Network():
                found.append(variant)
                if variant.recipes[-1].trains == "all" and has_norms(variant):
                    frozen = msgspec.structs.replace(variant.recipes[-1], trains="all-but-norms")
                    name = variant.name + FROZEN_NORMS
                    found.append(msgspec.structs.replace(variant, name=name, recipes=(*variant.recipes[:-1], frozen)))
    first: dict[object, Variant] = {}
    for variant in found:
        first.setdefault(_kind(variant), variant)
    return list(first.values())


def standing_for(suite: Suite, own: Sequence[Variant] = ()) -> dict[str, str]:
    """The name of the subject that climbs for each variant that a climb can be asked for."""
    firsts = {_kind(subject): subject.name for subject in subjects(suite, own)}
    themselves = {name: name for name in firsts.values()}
    others = {
        variant.name: firsts[_kind(variant)]
        for variant in (*suite.VARIANTS, *own)
        if isinstance(variant.architecture, Network) and _kind(variant) in firsts
    }
    return others | themselves


def _kind(variant: Variant) -> object:
    return _trained_alike(variant) if deep(variant) else variant.name


def _trained_alike(variant: Variant) -> object:
    """Equal for variants with one backbone of which the same parts are trained, one after the other."""
    norms = has_norms(variant)
    parts = [recipe.trains if norms or recipe.trains == "head" else "all" for recipe in variant.recipes]
    return network_of(variant), tuple(parts)


def _of(variant: Variant, chosen: Configuration) -> Variant:
    assert chosen.recipe is not None
    return msgspec.structs.replace(variant, architecture=chosen.architecture, recipes=(chosen.recipe,))


def largest(search: Search) -> Configuration:
    """The configuration with the most parameters, among those that with the most dropout, and then learning rate."""

    def size(configuration: Configuration) -> tuple[int, float, float]:
        network, recipe = configuration.architecture, configuration.recipe
        assert isinstance(network, Network)
        assert recipe is not None
        parameters = sum(math.prod(shape) for shape in parameter_shapes(network, _probed(network)).values())
        dropout = sum(layer.rate for layer in network.layers if isinstance(layer, Dropout))
        return parameters, dropout, recipe.learning_rate

    return max(search.configurations, key=size)


def _probed(network: Network) -> Shape:
    """What it may be shown where only proportions matter: numbers, if its first layer takes them."""
    first = next((layer for layer in network.layers if not isinstance(layer, Dropout)), None)
    return (64,) if isinstance(first, Dense) else (64, 64, 1)


def has_norms(variant: Variant) -> bool:
    """Whether it is a network with batch norms, which backbones alone have."""
    found = backbone_of(variant.architecture) if isinstance(variant.architecture, Network) else None
    return found is not None and any(name.endswith("/gamma") for name in backbones.shapes(found[1]))


class Group(NamedTuple):
    """Variants of one network, which climb together; `rungs` are those that it has in this profile, but `optimizer`
    only of the variants named in `stepping`.
    """

    network: Network
    variants: list[Variant]
    rungs: tuple[str, ...]
    steps: tuple[int, ...]
    stepping: tuple[str, ...]

    def climbs(self) -> list[tuple[Variant, str]]:
        """Each variant with each of its rungs."""
        pairs = itertools.product(self.variants, self.rungs)
        return [(variant, rung) for variant, rung in pairs if rung != "optimizer" or variant.name in self.stepping]


def groups(request: ClimbRequest, chosen: Sequence[Variant]) -> list[Group]:
    """The chosen variants by network, with the rungs and steps that the profile has for them."""
    networks: dict[bytes, list[Variant]] = {}
    for variant in chosen:
        networks.setdefault(network_of(variant), []).append(variant)
    found = []
    for variants in networks.values():
        network, of_backbone = variants[0].architecture, deep(variants[0])
        assert isinstance(network, Network)
        rungs = [rung for rung in request.rungs if rung not in TRAINED_RUNGS]
        steps: tuple[int, ...] = BACKBONE_STEPS if of_backbone else SMALL_STEPS
        stepping = tuple(variant.name for variant in variants)
        if request.profile == "smoke":
            steps = steps[:-1]
            if of_backbone:
                rungs = [rung for rung in rungs if rung != "export"]
                stepping = tuple(name for name in stepping if name == _tells_most(chosen))
        if not stepping:
            rungs = [rung for rung in rungs if rung != "optimizer"]
        exact = [_with_exact_constants(variant, steps[-1]) for variant in variants]
        found.append(Group(network, exact, tuple(rungs), steps, stepping))
    return found


def _tells_most(chosen: Sequence[Variant]) -> str:
    """The one variant with a backbone that trains in smoke: Keras takes half a minute to trace the training of each. It
    has batch norms where one does, and the most recipes, with norms frozen in the last.
    """

    def tells(variant: Variant) -> tuple[bool, int, bool]:
        frozen = variant.recipes[-1].trains == "all-but-norms"
        return has_norms(variant), len(variant.recipes), frozen

    return max(filter(deep, chosen), key=tells).name


def network_of(variant: Variant) -> bytes:
    """Equal for variants of one network, which takes the same and whose answers are read alike."""
    return msgspec.json.encode((variant.architecture, variant.encoding, variant.decoding))


def _with_exact_constants(variant: Variant, steps: int) -> Variant:
    """Its recipes, the last for as many steps and those before for a few, with Adam's constants near the usual ones but
    exact in float32.
    """
    *earlier, last = (
        msgspec.structs.replace(
            recipe,
            epochs=EARLIER_STEPS,
            batch_size=BATCH,
            learning_rate=2.0 ** round(math.log2(recipe.learning_rate)),
            beta_1=0.875,
            beta_2=1 - 2.0**-10,
            epsilon=2.0**-23,
        )
        for recipe in variant.recipes
    )
    return msgspec.structs.replace(variant, recipes=(*earlier, msgspec.structs.replace(last, epochs=steps)))


def deep(variant: Variant) -> bool:
    """Whether it has a backbone."""
    return isinstance(variant.architecture, Network) and backbone_of(variant.architecture) is not None
