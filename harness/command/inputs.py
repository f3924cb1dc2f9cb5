"""What `bench` does with what a run starts from: data sets, and weights of backbones."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import BenchError, Finding
from harness.text import counted, one_line

if TYPE_CHECKING:
    from harness.command import commands
    from harness.protocol import Dataset
    from harness.running.data import DataSource


def data_check(options: commands.DataCheckOptions) -> int:
    from harness import registry

    folder = Path(options.data)
    if options.suite == "any":
        fitting, found = suites_for(folder, options.own)
        registry.refuse_others(tuple(found), options.own)
        whole = fitting
        if not fitting:  # all is told of what takes whatever it is given, if that was asked
            whole = tuple(name for name in found if name not in registry.with_data()) or tuple(found)
            for name in [name for name in found if name not in whole]:
                print(one_line(f"not for suite {name}: {problem(found[name])}"))
        told = {name: found[name] for name in whole}
    else:
        chosen = registry.choose(options.suite, registry.names("suites"), "suite")
        registry.refuse_others(chosen, options.own)
        told = {
            name: registry.suite(name).check_data(folder, registry.own_options(name, options.own)) for name in chosen
        }
    for name, findings in told.items():
        tell_findings(findings)
        if not problem(findings):
            dataset = registry.suite(name).load(folder, registry.own_options(name, options.own))
            print(one_line(_described(dataset)))
        errors = sum(finding.severity == "error" for finding in findings)
        print(
            f"{options.data} for suite {name}: {counted(errors, 'error')}, {counted(len(findings) - errors, 'warning')}"
        )
    return 2 if any(map(problem, told.values())) else 0


def tell_findings(findings: Sequence[Finding]) -> None:
    """Print each on a line."""
    for finding in findings:
        print(one_line(f"{finding.severity}: {finding.where}: {finding.what}"))


def _described(dataset: Dataset) -> str:
    """What was found, in a line."""
    count, height, width, channels = dataset.images.shape
    told = [f"{count} images, seen by models as {width}x{height} pixels" + f" of {channels} channels" * (channels > 1)]
    if dataset.classes:
        counts = dataset.targets.sum(axis=0).astype(int).tolist()
        classes = [f"{name} ({n})" for name, n in zip(dataset.target_names, counts, strict=True)]
        told.append(f"{len(classes)} classes: {', '.join(classes)}")
    else:
        columns = zip(dataset.target_names, dataset.units, dataset.targets.T, strict=True)
        told.append(", ".join(f"{name} {of.min():.4g} to {of.max():.4g} {unit}".rstrip() for name, unit, of in columns))
    if names := dataset.clusters or dataset.groups:
        told.append(f"{len(set(names))} groups")
    if dataset.parts:
        told.append(", ".join(f"{part} {dataset.parts.count(part)}" for part in dict.fromkeys(dataset.parts)))
    return "; ".join(told)


def suites_for(folder: Path, own: dict[str, str]) -> tuple[tuple[str, ...], dict[str, list[Finding]]]:
    """The suites whose data a folder is, by what was said of it: those whose question it is, else those that take
    whatever they are given. And of each that was asked what it finds.
    """
    from harness import registry

    readers = [name for name in registry.names("suites") if registry.reads_folders(name)]
    told_all = [name for name in readers if own.keys() <= registry.options(name, "OPTIONS").keys()]
    found: dict[str, list[Finding]] = {}
    for name in told_all or readers:
        try:
            found[name] = registry.suite(name).check_data(folder, registry.own_options(name, own))
        except BenchError as error:
            found[name] = [Finding("error", str(folder), str(error))]
    fitting = tuple(name for name, findings in found.items() if not problem(findings))
    asking = tuple(name for name in fitting if name in registry.with_data())
    return asking or fitting, found


def problem(findings: Sequence[Finding]) -> str:
    """The first thing that is wrong; empty where nothing is."""
    return next((finding.what for finding in findings if finding.severity == "error"), "")


def source(options: commands.RunOptions | commands.DeployOptions | commands.GradcamOptions) -> DataSource:
    """Where a model's data are, by a path that every process finds, and what the user says of them."""
    from harness.running.data import DataSource

    return DataSource(str(Path(options.data).resolve()) if options.data else None, options.own)


def data_make(options: commands.DataMakeOptions) -> int:
    from harness import registry
    from harness.running.progress import show_count

    suite = registry.suite(options.suite)
    registry.refuse_others((options.suite,), options.own, "MAKE_OPTIONS")
    made = suite.make_data(Path(options.out), options.n, options.seed, options.own, show_count)
    print(f"{options.out}: {made}")
    return 0


def weights_fetch(options: commands.WeightsFetchOptions) -> int:
    from harness import registry
    from harness.errors import WeightsError
    from harness.model import pretrained
    from harness.model.backbones import FAMILIES

    failed = 0
    for family in registry.choose(options.backbone, FAMILIES, "backbone"):
        try:
            print(f"{family}: {pretrained.fetch(family, progress=sys.stderr.isatty())}", flush=True)
        except WeightsError as error:
            print(f"bench: {family}: {error}", file=sys.stderr)
            failed = 1
    return failed


def weights_make(options: commands.WeightsMakeOptions) -> int:
    from harness import registry
    from harness.model.backbones import FAMILIES
    from harness.running.plan import of_families
    from harness.running.pretraining import Making, make
    from harness.running.progress import Line

    families = registry.choose(options.backbone, FAMILIES, "backbone")
    networks = [name for name in registry.names("backends") if "network" in registry.trains(name)]
    if options.backend not in networks:
        raise registry.unknown(options.backend, networks, "backend that trains networks")
    making = Making(options.suite, families, options.n, options.seed, options.backend, options.device, options.results)
    line = Line()
    for file, card in make(making, line.show):
        line.clear()
        print(f"{card.family}: {file}, {card.scored} on images it was not trained on", flush=True)
    variants = ",".join(of_families(registry.suite(options.suite).VARIANTS, families))
    words = ["bench", "run", f"suite={options.suite}", f"variant={variants}", f"weights={card.weights}"]
    print(f"to use them: {shlex.join([*words, f'results={options.results}'])}")
    return 0


def weights_attach(options: commands.WeightsAttachOptions) -> int:
    from harness.model import cards

    for path in cards.attach(Path(options.files), options.results / cards.FOLDER):
        print(path)
    return 0


def weights_list(options: commands.WeightsListOptions) -> int:
    from harness.errors import WeightsError
    from harness.model import cards, pretrained

    print(f"folder: {pretrained.cache_folder()}")
    for family, source in pretrained.SOURCES.items():
        print(f"{family:<12} {pretrained.state(family):<8} {source.megabytes:>4} MB  md5 {source.md5}  {source.url}")
    failed = 0
    for folder in sorted((options.results / cards.FOLDER).glob("*/")):
        print(f"folder: {folder}")
        try:
            found = cards.of(folder)
        except WeightsError as error:
            print(f"bench: {error}", file=sys.stderr)
            failed = 1
            continue
        for card in found:
            told = f"{card.scored}, {card.count:,} images, {card.backend}, made {card.made[:10]}"
            print(f"{card.family:<12} {cards.state(folder, card):<8} sha256 {card.sha256[:12]}  {told}")
    return failed
