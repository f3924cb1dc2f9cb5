"""Suites x variants x backends x seeds -> cells and their keys. Nothing is trained here and no framework imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from harness import contract, registry
from harness.errors import BenchError
from harness.judging.records import Cell, Settings
from harness.judging.shortened import shortened
from harness.model import proposed
from harness.model.architecture import Estimator, Imported, Network, backbone_of
from harness.model.backbones import Family
from harness.model.pretrained import RANDOM, Origin, Origins
from harness.model.variants import Architecture, Method, Search, Variant
from harness.protocol import Dataset, Profile, Split
from harness.running.chosen import chosen, settled
from harness.running.data import DataSource, split_of
from harness.running.guard import Limits
from harness.text import label

LauncherName = Literal["local", "dask", "slurm"]


class Request(msgspec.Struct, frozen=True):
    """What `bench run` was asked for. `variant` and `backend` are comma-separated names or `all`, and `variant` a
    user's own, too (`chosen`); no `seeds` means the profile's, no `originals` all training images; `weights` is the
    user's word for what backbones start from, and `search` how searches go about it, None as the profile says.
    `launcher` has the cells done, by the cluster of a `scheduler` where there is one; `settings_file` is what it needs
    to be told besides.
    """

    suites: tuple[str, ...]
    results: Path = Path("results")
    source: DataSource = DataSource()
    profile: str = "standard"
    variant: str = "all"
    backend: str = "all"
    seeds: tuple[int, ...] = ()
    settings: Settings = Settings()
    originals: tuple[int, ...] = ()
    weights: str = "random"
    search: Method | None = None
    workers: int = 1
    limits: Limits = Limits()
    launcher: LauncherName = "local"
    scheduler: str = ""
    settings_file: Path | None = None


class Plan(msgspec.Struct, frozen=True):
    """The cells of one suite on one data set; `folders` are those of the files of a user's own code, by variant."""

    suite: str
    source: DataSource
    dataset: Dataset
    split: Split
    cells: tuple[Cell, ...]
    folders: dict[str, str] = {}


def plan(suite_name: str, request: Request, weights: Origins = lambda _: RANDOM) -> Plan:
    """Load the data, split it, and lay out the cells that the choice of variants, backends and seeds asks for.

    `weights` says what a backbone starts from, and is asked only for those to be run. Cells are in the suite's order of
    variants, then backends, then originals, then seeds. Raises BenchError for unknown names, an empty plan, originals
    that there are not, a split that leaks and a search by what is not installed, and DataError for unusable data.
    """
    suite = registry.suite(suite_name)
    if request.profile not in suite.PROFILES:
        raise registry.unknown(request.profile, suite.PROFILES, "profile")
    profile = suite.PROFILES[request.profile]
    named = chosen(suite_name, request.variant, profile.leaves_out)
    backends = _backends(request.backend)
    source = DataSource(request.source.folder, registry.own_options(suite_name, request.source.options))
    dataset = source.load(suite)
    contract.refuse_unfit(suite_name, suite, dataset, lambda: source.load(suite))
    split = split_of(suite, dataset)
    items = [settled(item, suite, dataset, split, request.limits) for item in named]
    if dataset.classes:
        items = [item for item in items if item.asked_for or not _of_numbers_alone(item.variant.architecture)]
    pairs = _pairs([item.variant for item in items], backends, request)
    _refuse_originals(request, suite_name, len(split.train))
    cells = tuple(_cells(suite_name, profile, request, weights, dataset, split, pairs))
    if not cells:
        raise _no_cells(request)
    if any(cell.packages for cell in cells) and not proposed.installed():
        raise BenchError(proposed.NOT_INSTALLED)
    return Plan(suite_name, source, dataset, split, cells, {i.variant.name: i.folder for i in items if i.folder})


def _refuse_originals(request: Request, suite_name: str, most: int) -> None:
    for originals in request.originals:
        if not 2 <= originals <= most:
            raise BenchError(
                f"originals={originals}: must be 2 to {most}, the number of training images of {suite_name}"
            )


def _cells(
    suite_name: str,
    profile: Profile,
    request: Request,
    weights: Origins,
    dataset: Dataset,
    split: Split,
    pairs: Iterable[tuple[Variant, str]],
) -> Iterator[Cell]:
    """Those of variants and the backends that train them: of each number of originals, and of each seed."""
    settings = msgspec.structs.replace(request.settings, facts=dataset.facts)
    data_hash, split_hash, targets = dataset.fingerprint(), split.fingerprint(), len(dataset.target_names)
    for variant, backend in pairs:
        architecture, recipes = shortened(variant, profile, request.search or profile.search, targets)
        origin = origin_of(architecture, weights)
        for originals in request.originals or (msgspec.UNSET,):
            most = variant.originals
            if originals is not msgspec.UNSET and most is not msgspec.UNSET and originals >= most:
                continue  # it is trained on fewer anyway
            for seed in request.seeds or profile.seeds:
                yield Cell(
                    suite=suite_name,
                    variant=variant.name,
                    architecture=architecture,
                    recipes=recipes,
                    weights=origin.told if origin else "",
                    backend=backend,
                    seed=seed,
                    profile=request.profile,
                    data=label(dataset.name),
                    data_hash=data_hash,
                    split_hash=split_hash,
                    settings=_settings(settings, architecture, originals),
                    encoding=variant.encoding,
                    decoding=variant.decoding,
                    originals=variant.originals,
                )


def _no_cells(request: Request) -> BenchError:
    """What is wrong where pairs are left and no cells: a variant's own number of originals is the most it takes."""
    told = ",".join(map(str, request.originals))
    return BenchError(
        f"nothing to run: each of the chosen variants ({request.variant}) is trained on {told} images or fewer anyway: "
        "choose fewer originals="
    )


def _settings(settings: Settings, architecture: Architecture, originals: int | msgspec.UnsetType) -> Settings:
    """Those of one cell: of somebody's code the harness cannot draw the initial weights."""
    init = "native" if isinstance(architecture, Imported) else settings.init
    return msgspec.structs.replace(settings, init=init, originals=originals)


def _backends(word: str) -> list[str]:
    """Those named; what is not installed is run where it is named."""
    named = registry.choose(word, registry.names("backends"), "backend")
    return [name for name in named if word != "all" or not registry.missing(name)]


def _pairs(variants: Sequence[Variant], backends: Sequence[str], request: Request) -> list[tuple[Variant, str]]:
    """Variants and the backends that train them, in their order."""
    pairs = [(item, name) for item in variants for name in backends if _tag(item) in registry.trains(name)]
    if not pairs:
        told = "".join(f"; {what}" for what in left_out_backends(request.backend))
        raise BenchError(
            f"nothing to run: backend={request.backend} trains none of the chosen variants ({request.variant}){told}"
        )
    return pairs


def _of_numbers_alone(architecture: Architecture) -> bool:
    """Whether it cannot answer classes."""
    first = architecture.configurations[0].architecture if isinstance(architecture, Search) else architecture
    return isinstance(first, Estimator) and first.method == "gaussian-process"


def left_out_backends(backend: str) -> list[str]:
    """What to say of backends that `backend=all` leaves out, for what they need is not installed."""
    missing = {name: registry.missing(name) for name in registry.names("backends")} if backend == "all" else {}
    return [f"{name} is skipped: {', '.join(lacking)} not installed" for name, lacking in missing.items() if lacking]


def of_families(variants: Sequence[Variant], families: Sequence[Family]) -> list[str]:
    """The names of those that have a backbone of one of these families."""
    found = [(item.name, backbone_of(item.architecture)) for item in variants if isinstance(item.architecture, Network)]
    return [name for name, backbone in found if backbone and backbone[1] in families]


def _tag(variant: Variant) -> str:
    """What a backend must be able to train; of a search, its configurations, and of code its framework's."""
    architecture, kind = variant.architecture, type(variant.architecture)
    if isinstance(architecture, Imported):
        return architecture.framework
    if isinstance(architecture, Search):
        kind = Network if architecture.of_networks else Estimator
    return str(kind.__struct_config__.tag)


def origin_of(architecture: Architecture, weights: Origins) -> Origin | None:
    """What its backbone starts from; None where it has none."""
    backbone = backbone_of(architecture) if isinstance(architecture, Network) else None
    return weights(backbone[1]) if backbone else None
