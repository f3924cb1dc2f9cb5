"""What `bench` says of records: leaderboards and reports; and what there is to run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.command.inputs import tell_findings
from harness.errors import BenchError
from harness.text import counted, one_line, shown

if TYPE_CHECKING:
    from harness.command.commands import (
        LeaderboardOptions,
        ListOptions,
        RecordsMergeOptions,
        ReportOptions,
        SiteOptions,
        SubmitOptions,
    )
    from harness.judging.outlines import Shelf


def leaderboard(options: LeaderboardOptions) -> int:
    from harness import registry
    from harness.disk import refuse_no_folder

    failed = 0
    refuse_no_folder("results", options.results)
    suites = registry.choose(options.suite, registry.names("suites"), "suite")
    asked = [key for key in ("check", "diff", "format", "pictures") if getattr(options, key)]
    if options.columns and not options.format:
        asked.append("columns")  # which are printed as text
    if len(asked) > 1:
        raise BenchError(f"{'= and '.join(asked)}= ask for different things: choose one")
    if options.columns == "help":
        return _explained(suites)
    if options.diff:
        return _compared(options, suites)
    recorded = _with_records(options.results, suites)
    if options.suite == "all" and recorded:
        suites = tuple(recorded)  # who runs one suite need not run all
    if options.format or options.columns:
        return _printed(options, suites)
    for suite in suites:
        if suite not in recorded:
            print(f"{suite}: no records in {options.results}", file=sys.stderr if options.check else sys.stdout)
            failed = failed or int(options.check)
        elif options.check:
            failed = int(not _checked(options.results, suite)) or failed
        else:
            _write(options, suite, len(suites) == 1)
    return failed


def _with_records(results: Path, suites: Sequence[str]) -> list[str]:
    from harness.judging.store import Store

    return [suite for suite in suites if Store(results, suite).trainings_file.exists()]


def _write(options: LeaderboardOptions, suite: str, alone: bool) -> None:
    """Write the tables of a suite, and its pictures where asked for; print its leaderboard where it is alone."""
    from harness.judging import leaderboard
    from harness.showing.tables import of_leaderboard

    try:
        board = leaderboard.write(options.results, suite)
    except PermissionError as error:
        told = "format=text prints the table, and writes nothing"
        raise BenchError(f"{error.filename}: cannot be written ({error.strerror}): {told}") from None
    if alone and board.table["skill"].notna().any():
        print(of_leaderboard(board, "text"))
    print(leaderboard.leaderboard_file(options.results, suite))
    if options.pictures:
        from harness.showing.pictures import draw_all

        for picture in draw_all(options.results, suite, Path(options.pictures) / suite):
            print(picture)
    _tell_of_code(board.shelf)


def _explained(suites: Sequence[str]) -> int:
    from harness.judging.dictionary import of_leaderboard

    for suite in suites:
        print(f"suite {suite}:")
        for name, unit, better, sentence, _ in of_leaderboard(suite):
            print(f"  {name:<22} {unit:<9} {f'{better} is better' if better else '':<17} {sentence}")
    return 0


def _compared(options: LeaderboardOptions, suites: Sequence[str]) -> int:
    from harness.judging.moved import in_markdown, since

    moved = [since(options.results, suite, options.diff) for suite in suites]
    print(shown(in_markdown(moved, options.diff)), end="")
    return 0


def _printed(options: LeaderboardOptions, suites: Sequence[str]) -> int:
    """Tables on standard output."""
    from harness.judging.leaderboard import compute
    from harness.showing.tables import of_leaderboard

    form = options.format or "text"
    if form == "csv" and len(suites) > 1:
        raise BenchError("format=csv takes a single suite, because columns differ between suites: choose suite=")
    asked = [name.strip() for name in options.columns.split(",") if name.strip()]
    print("\n".join(of_leaderboard(compute(options.results, suite), form, asked) for suite in suites), end="")
    return 0


def _checked(results: Path, suite: str) -> bool:
    """Hold the leaderboard to its records, and these to the suite's own data set."""
    from harness.judging import leaderboard
    from harness.judging.audit import audit
    from harness.judging.outlines import Shelf
    from harness.judging.store import Store

    why = leaderboard.differs(results, suite)  # first: it refuses records that contradict themselves
    lies, others = audit(results, suite)
    if why := why or "\n".join(lies):
        print(shown(why), file=sys.stderr)
        return False
    print(f"{leaderboard.leaderboard_file(results, suite)} follows from its records")
    if others:
        print(f"note: {others} records are of other data than {suite}'s own and could not be checked against it")
    _tell_of_code(Shelf(Store(results, suite)))
    return True


def _tell_of_code(shelf: Shelf) -> None:
    """Which rows were made by other code than this, or by code that nobody knows."""
    from harness.judging.leaderboard import lagging

    for told in lagging(shelf):
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


def submit(options: SubmitOptions) -> int:
    from harness.judging.submission import NOT_VERIFIED, examine

    found = examine(Path(options.check), options.results, options.suite)
    print(f"{len(found.records)} records of {options.suite} could be read")
    for record in found.records.values():
        environment = record.environment
        versions = ", ".join(f"{name} {version}" for name, version in sorted(record.framework.items()))
        made = f"commit {environment.short_commit or 'unknown'} on {environment.processor} ({versions})"
        print(one_line(f"  {record.cell.title}, profile {record.cell.profile}, {record.started}: {made}"))
    tell_findings(found.findings)
    for row in found.rows:
        skill = "no skill" if row.skill is None else f"skill {row.skill:.6g}"
        print(
            one_line(
                f"row: {row.title}, seeds {row.seeds}: {skill}, rank {row.rank or '–'} of {row.among}: {row.verdict}"
            )
        )
    print("what cannot be verified here:\n  " + "\n  ".join(NOT_VERIFIED))
    print("no problems found" if found.acceptable else "not acceptable as it is")
    return 0 if found.acceptable else 1


def site(options: SiteOptions) -> int:
    from harness import registry
    from harness.showing.site import build

    chosen = registry.choose(options.suite, registry.names("suites"), "suite")
    recorded = _with_records(options.results, chosen)
    if not recorded or (options.suite != "all" and len(recorded) < len(chosen)):
        lacking = ", ".join(suite for suite in chosen if suite not in recorded)
        raise BenchError(f"{options.results}: no records of {lacking}: `bench run` makes them")
    out = Path(options.out) if options.out else options.results / "site"
    print(build.write(options.results, recorded, out, lambda told: print(told, file=sys.stderr)))
    return 0


def records_merge(options: RecordsMergeOptions) -> int:
    from harness.disk import expanded
    from harness.running.merge import merge

    folders = [Path(expanded("folders", word.strip())) for word in options.folders.split(",") if word.strip()]
    if not folders:
        raise BenchError(f"folders={options.folders}: must be results folders, separated by commas")
    out = Path(options.out)
    for merged in merge(folders, out):
        left_out = merged.found - merged.records
        again = f", {counted(left_out, 'duplicate')} left out" * bool(left_out)
        print(f"{merged.suite}: {counted(merged.records, 'record')}{again}, {counted(merged.models, 'model')}")
        for told in merged.told:
            print(one_line(f"note: {told}"))
    print(f"results: {out}")
    return 0


def listing(options: ListOptions) -> int:
    from harness import registry
    from harness.showing.profiles import most_epochs

    for name in registry.choose(options.suite, registry.names("suites"), "suite"):
        suite = registry.suite(name)
        width = max(map(len, (*(variant.name for variant in suite.VARIANTS), *suite.PROFILES)))
        print(f"suite {name}: {suite.SUMMARY}")
        for variant in suite.VARIANTS:
            print(f"  variant {variant.name:<{width}}  {variant.summary}")
        for profile, work in suite.PROFILES.items():
            without = f"; without {', '.join(work.leaves_out)}" * bool(work.leaves_out)
            told = f"seeds {','.join(map(str, work.seeds))}; {most_epochs(suite, work)}{without}"
            print(f"  profile {profile:<{width}}  {told}")
    for name in registry.names("backends"):
        lacking = registry.missing(name)
        state = f"not usable here: {' and '.join(lacking)} not installed" if lacking else "usable"
        print(f"backend {name:<12} {state}; trains: {', '.join(registry.trains(name)) or 'nothing, inference only'}")
    return 0
