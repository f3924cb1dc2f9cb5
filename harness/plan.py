"""Suites x variants x backends x seeds -> cells and their keys. Nothing is trained here and no framework imported."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness import registry
from harness.errors import BenchError
from harness.protocol import Dataset, Phase, Profile, Recipe, Scaling, Split, Suite, Targets, Task, Variant
from harness.records import Cell, Settings


class DataSource(msgspec.Struct, frozen=True):
    """Where a suite's data come from: its own shipped set where `folder` is None."""

    folder: str | None = None
    unit: str | None = None
    phases: tuple[Phase, Phase] | None = None

    def load(self, suite: Suite) -> Dataset:
        """The data set. Raises DataError with everything that is wrong with it."""
        return suite.load(Path(self.folder) if self.folder else None, self.unit, self.phases)


class Plan(msgspec.Struct, frozen=True):
    """The cells of one suite on one data set."""

    suite: str
    source: DataSource
    dataset: Dataset
    split: Split
    cells: tuple[Cell, ...]


def plan(
    suite_name: str,
    source: DataSource,
    profile_name: str,
    variant: str = "all",
    backend: str = "all",
    seeds: tuple[int, ...] = (),
    settings: Settings | None = None,
) -> Plan:
    """Load the data, split it, and lay out the cells that the choice of variants, backends and seeds asks for.

    `variant` and `backend` are comma-separated names or `all`; no `seeds` means the profile's. Cells are in the
    suite's order of variants, then backends, then seeds. Raises BenchError for unknown names and an empty plan, and
    DataError for unusable data.
    """
    suite = registry.suite(suite_name)
    if profile_name not in suite.PROFILES:
        raise registry.unknown(profile_name, suite.PROFILES, "profile")
    profile = suite.PROFILES[profile_name]
    variants = {item.name: item for item in suite.VARIANTS}
    chosen = [variants[name] for name in registry.choose(variant, variants, f"variant of {suite_name}")]
    backends = registry.choose(backend, registry.names("backends"), "backend")
    pairs = [(item, name) for item in chosen for name in backends if _tag(item) in registry.trains(name)]
    if not pairs:
        raise BenchError(f"nothing to run: none of the chosen variants ({variant}) is trained by backend={backend}")
    dataset = source.load(suite)
    split = suite.split(dataset)
    settings = msgspec.structs.replace(settings or Settings(), phases=dataset.phases)
    data_hash, split_hash = dataset.fingerprint(), split.fingerprint()
    cells = tuple(
        Cell(
            suite=suite_name,
            variant=item.name,
            architecture=item.architecture,
            recipe=_shortened(item, profile),
            backend=name,
            seed=seed,
            profile=profile_name,
            data=dataset.name,
            data_hash=data_hash,
            split_hash=split_hash,
            settings=settings,
        )
        for item, name in pairs
        for seed in seeds or profile.seeds
    )
    return Plan(suite_name, source, dataset, split, cells)


def task(suite: Suite, dataset: Dataset, split: Split, settings: Settings) -> Task:
    """What every model of this plan is asked for; the scaling is learned from the training set alone."""
    train: Targets = dataset.targets[split.train]
    scaling = Scaling.standardising(train)
    if settings.target_scaling == "none":
        count = len(dataset.target_names)
        scaling = Scaling((0.0,) * count, (suite.unit_factor(settings.unit),) * count)
    return Task(dataset.images.shape[1:], dataset.target_names, dataset.unit, scaling, dataset.phases)


def _tag(variant: Variant) -> str:
    return str(type(variant.architecture).__struct_config__.tag)


def _shortened(variant: Variant, profile: Profile) -> Recipe | None:
    if variant.recipe is None:
        return None
    return msgspec.structs.replace(variant.recipe, epochs=min(variant.recipe.epochs, profile.epochs))
