"""What `bench parity` does: asks whether a model is the same in two frameworks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.command import values
from harness.errors import BenchError

if TYPE_CHECKING:
    from harness.command.commands import ParityOptions


def parity(options: ParityOptions) -> int:
    from harness import disk, registry
    from harness.environment import usable_workers
    from harness.parity import verdicts
    from harness.parity.climb import climb
    from harness.parity.ladder import RUNGS, Verdict
    from harness.parity.subjects import TRAINED_RUNGS, Request, frameworks

    rungs = registry.choose(options.rung, RUNGS, "rung")
    if options.profile == "smoke":
        rungs = tuple(rung for rung in rungs if rung not in TRAINED_RUNGS)
    request = Request(
        suite=options.suite,
        between=frameworks(options.between),
        variants=options.variant,
        rungs=rungs,
        profile=options.profile,
        seeds=values.numbers("seeds", options.seeds) or (0,),
        results=options.results,
        workers=options.workers or usable_workers(),
        keep=options.keep,
    )
    disk.refuse_no_folder("results", options.results)
    for key, file in (("junit", options.junit), ("markdown", options.markdown)):
        if file and Path(file).is_dir():  # told now: a climb takes long
            raise BenchError(f"{key}={file}: is a folder: name a file")
    found: list[Verdict] = []
    for climbed in climb(request):
        found += climbed
        print(verdicts.line(climbed), flush=True)
    if not found:
        raise BenchError(f"rung={options.rung}: these variants have none of it in profile={options.profile}")
    print(f"\n{verdicts.summary(found)}")
    table = options.results / "parity.csv"
    verdicts.write_csv(table, found, options.between)
    print(f"table:  {table}")
    if options.junit:
        verdicts.write_junit(Path(options.junit), found)
    if options.markdown:
        verdicts.write_markdown(Path(options.markdown), found, options.between)
    bad = {"breaks", "skipped"} if options.strict else {"breaks"}
    return int(any(verdict.outcome in bad for verdict in found))
