"""What `bench` does with what a run starts from: data sets, and weights of backbones."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.text import one_line

if TYPE_CHECKING:
    from harness.command.commands import (
        DataCheckOptions,
        DataMakeOptions,
        WeightsAttachOptions,
        WeightsFetchOptions,
        WeightsListOptions,
        WeightsMakeOptions,
    )


def data_check(options: DataCheckOptions) -> int:
    from harness import registry

    findings = registry.suite(options.suite).check_data(Path(options.data), options.own)
    for finding in findings:
        print(one_line(f"{finding.severity}: {finding.where}: {finding.what}"))
    errors = sum(finding.severity == "error" for finding in findings)
    print(f"{options.data}: {errors} errors, {len(findings) - errors} warnings")
    return 2 if errors else 0


def data_make(options: DataMakeOptions) -> int:
    from harness import registry
    from harness.running.progress import show_count

    made = registry.suite(options.suite).make_data(Path(options.out), options.n, options.seed, options.own, show_count)
    print(f"{options.out}: {made}")
    return 0


def weights_fetch(options: WeightsFetchOptions) -> int:
    from typing import cast

    from harness import registry
    from harness.errors import WeightsError
    from harness.model import pretrained
    from harness.model.backbones import FAMILIES, Family

    failed = 0
    for family in registry.choose(options.backbone, FAMILIES, "backbone"):
        try:
            print(f"{family}: {pretrained.fetch(cast(Family, family), progress=sys.stderr.isatty())}", flush=True)
        except WeightsError as error:
            print(f"bench: {family}: {error}", file=sys.stderr)
            failed = 1
    return failed


def weights_make(options: WeightsMakeOptions) -> int:
    from typing import cast

    from harness import registry
    from harness.model.backbones import FAMILIES, Family
    from harness.running.plan import of_families
    from harness.running.pretraining import Making, make
    from harness.running.progress import Line

    families = tuple(cast(Family, name) for name in registry.choose(options.backbone, FAMILIES, "backbone"))
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
    print(f"use them: {shlex.join([*words, f'results={options.results}'])}")
    return 0


def weights_attach(options: WeightsAttachOptions) -> int:
    from harness.model import cards

    for path in cards.attach(Path(options.files), options.results / cards.FOLDER):
        print(path)
    return 0


def weights_list(options: WeightsListOptions) -> int:
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
