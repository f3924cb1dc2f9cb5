"""What `bench parity` does: asks whether a model is the same in two frameworks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.command import values
from harness.errors import BenchError
from harness.text import label, shown

if TYPE_CHECKING:
    from harness.command.commands import ParityOptions
    from harness.parity.ladder import Verdict


_OF_VARIANTS = ("suite", "variant", "profile", "workers", "keep", "results")
_OF_PAIRS = ("layout", "weights", "mapping", "converter", "trust", "timeout", "memory")
_OF_DRAWN = ("weights", "converter")


def parity(options: ParityOptions) -> int:
    if options.onnx or options.onnx2:
        _refuse_given(options, _OF_DRAWN, "cannot be used with an ONNX file, which keeps its own weights")
    if options.pair or options.keras or options.onnx or options.onnx2:
        _refuse_given(options, _OF_VARIANTS, "is only for the project's own variants, not for a pair")
        return _pair(options)
    _refuse_given(options, _OF_PAIRS, "is only for a pair: also give pair=FILE.py")
    return _variants(options)


def _variants(options: ParityOptions) -> int:
    """The project's own variants, and a user's, in two frameworks."""
    from harness import disk, registry
    from harness.environment import usable_workers
    from harness.parity import verdicts
    from harness.parity.climb import climb
    from harness.parity.ladder import RUNGS
    from harness.parity.subjects import TRAINED_RUNGS, ClimbRequest, frameworks

    between = options.between or "keras,pytorch"
    rungs = registry.choose(options.rung, RUNGS, "rung")
    if options.profile == "smoke":
        rungs = tuple(rung for rung in rungs if rung not in TRAINED_RUNGS)
    request = ClimbRequest(
        suite=options.suite,
        between=frameworks(between),
        variants=options.variant,
        rungs=rungs,
        profile=options.profile,
        seeds=values.numbers("seeds", options.seeds) or (0,),
        results=options.results,
        workers=options.workers or usable_workers(),
        keep=options.keep,
    )
    disk.refuse_no_folder("results", options.results)
    _refuse_folders(options, ("junit", "markdown"))
    found: list[Verdict] = []
    for climbed in climb(request):
        found += climbed
        print(verdicts.line(climbed), flush=True)
    if not found:
        raise BenchError(f"rung={options.rung}: none of these variants has this rung in profile={options.profile}")
    print(f"\n{verdicts.summary(found)}")
    table = options.results / "parity.csv"
    verdicts.write_csv(table, found, between)
    print(f"table:  {table}")
    return _ended(options, found, between)


def _refuse_given(options: ParityOptions, keys: Sequence[str], why: str) -> None:
    """Raise BenchError for an option that would change nothing."""
    for field in msgspec.structs.fields(options):
        if field.name in keys and getattr(options, field.name) != field.default:
            raise BenchError(f"{field.name}={getattr(options, field.name)}: {why}")


def _refuse_folders(options: ParityOptions, keys: Sequence[str]) -> None:
    for key in keys:
        if (file := getattr(options, key)) and Path(file).is_dir():  # told now: a climb takes long
            raise BenchError(f"{key}={file}: is a folder: name a file")


def _ended(options: ParityOptions, found: Sequence[Verdict], between: str) -> int:
    from harness.parity import verdicts

    if options.junit:
        verdicts.write_junit(Path(options.junit), found)
    if options.markdown:
        verdicts.write_markdown(Path(options.markdown), found, between)
    return int(verdicts.is_bad(found, options.strict))


def _pair(options: ParityOptions) -> int:
    """Somebody's own two models."""
    from harness import registry
    from harness.parity import verdicts
    from harness.parity.pairs import climb, exports, graphs
    from harness.parity.pairs.sources import sources

    _refuse_folders(options, ("junit", "markdown", "mapping", "converter"))
    files = options.pair, options.keras, options.onnx, options.onnx2
    ours, theirs = sources(*files, options.layout, options.trust, options.between)
    kind, what = (graphs, "a pair with an ONNX file") if theirs.kind == "onnx" else (climb, "a pair")
    request = climb.PairRequest(
        name=label(Path(next(filter(None, files))).stem),
        ours=ours,
        theirs=theirs,
        rungs=registry.choose(options.rung, kind.RUNGS, f"rung of {what}"),
        seeds=values.numbers("seeds", options.seeds) or (0,),
        weights=options.weights,
        limits=values.limits(options),
        insists=exports.RUNG in options.rung,
    )
    found: list[Verdict] = []
    told, pairs = "", None
    for pairs, climbed in kind.climb(request):
        if (table := pairs.table()) != told:  # the first, and what was found by trying
            told = table
            print("\n" * bool(found) + shown(table) + "\n")
        found += climbed
        print(shown(verdicts.line(climbed)), flush=True)
    print(f"\n{verdicts.summary(found)}")
    for key in ("mapping", "converter"):
        if not (file := getattr(options, key)):
            continue
        if pairs and pairs.write(key, Path(file)):
            print(f"{key}: {file}")
        else:
            print(f"{key}={file}: not written, because not all arrays map: see rung structure", file=sys.stderr)
    return _ended(options, found, f"{ours.kind},onnx2" if options.onnx2 else f"{ours.kind},{theirs.kind}")
