"""What `bench` says of records: leaderboards and reports; and what there is to run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.text import shown

if TYPE_CHECKING:
    from harness.command.commands import LeaderboardOptions, ListOptions, ReportOptions, SiteOptions


def leaderboard(options: LeaderboardOptions) -> int:
    from harness import registry
    from harness.judging import leaderboard
    from harness.judging.records import Store

    failed = 0
    suites = registry.choose(options.suite, registry.names("suites"), "suite")
    recorded = [suite for suite in suites if Store(options.results, suite).trainings_file.exists()]
    if options.suite == "all" and recorded and not options.columns:
        suites = tuple(recorded)  # who runs one suite need not run all
    for suite in suites:
        if options.columns:
            for name, unit, better, sentence in leaderboard.explained(suite):
                print(f"{name:<22} {unit:<9} {f'{better} is better' if better else '':<17} {sentence}")
        elif suite not in recorded:
            print(f"{suite}: no records in {options.results}", file=sys.stderr if options.check else sys.stdout)
            failed = failed or int(options.check)
        elif options.check:
            failed = int(not _checked(options.results, suite)) or failed
        else:
            print(leaderboard.write(options.results, suite))
            if options.pictures:
                from harness.showing.pictures import draw_all

                for picture in draw_all(options.results, suite, Path(options.pictures) / suite):
                    print(picture)
            _tell_of_code(options.results, suite)
    return failed


def _checked(results: Path, suite: str) -> bool:
    """Hold the leaderboard to its records, and these to the suite's own data set."""
    from harness.judging import leaderboard
    from harness.judging.audit import audit

    why = leaderboard.differs(results, suite)  # first: it refuses records that contradict themselves
    lies, others = audit(results, suite)
    if why := why or "\n".join(lies):
        print(shown(why), file=sys.stderr)
        return False
    print(f"{leaderboard.leaderboard_file(results, suite)} follows from its records")
    if others:
        print(f"note: {others} records are of other data than {suite}'s own, and could not be held to them")
    _tell_of_code(results, suite)
    return True


def _tell_of_code(results: Path, suite: str) -> None:
    """Which rows were made by other code than this, or by code that nobody knows."""
    from harness.judging.leaderboard import lagging

    for told in lagging(results, suite):
        print(f"note: {told}")


def report(options: ReportOptions) -> int:
    from harness.environment import usable_workers
    from harness.running.run import run_on_raw_labels
    from harness.showing import report

    if options.raw:
        run_on_raw_labels(options.results, options.suite, options.profile, options.workers or usable_workers())
    out = Path(options.out) if options.out else options.results / "report" / options.suite
    print(report.write(options.results, options.suite, out, options.profile, options.device))
    return 0


def site(options: SiteOptions) -> int:
    from harness import registry
    from harness.errors import BenchError
    from harness.judging.records import Store
    from harness.showing.site import build

    chosen = registry.choose(options.suite, registry.names("suites"), "suite")
    recorded = [suite for suite in chosen if Store(options.results, suite).trainings_file.exists()]
    if not recorded or (options.suite != "all" and len(recorded) < len(chosen)):
        lacking = ", ".join(suite for suite in chosen if suite not in recorded)
        raise BenchError(f"{options.results}: no records of {lacking}: `bench run` makes them")
    out = Path(options.out) if options.out else options.results / "site"
    print(build.write(options.results, recorded, out, lambda told: print(told, file=sys.stderr)))
    return 0


def listing(_: ListOptions) -> int:
    from harness import registry

    for name in registry.names("suites"):
        suite = registry.suite(name)
        print(f"suite {name}: {suite.SUMMARY}")
        for variant in suite.VARIANTS:
            print(f"  variant {variant.name:<22} {variant.summary}")
        for profile, work in suite.PROFILES.items():
            seeds = ",".join(map(str, work.seeds))
            print(
                f"  profile {profile:<22} seeds {seeds}; at most {work.epochs} epochs, {work.search_epochs} for each "
                f"try of a search, {work.fine_tuning_epochs} of fine-tuning"
                + (f"; without {', '.join(work.leaves_out)}" if work.leaves_out else "")
            )
    for name in registry.names("backends"):
        lacking = registry.missing(name)
        state = f"not usable here: {' and '.join(lacking)} not installed" if lacking else "usable"
        print(f"backend {name:<12} {state}; trains: {', '.join(registry.trains(name)) or 'nothing, inference only'}")
    return 0
