"""The command line: `bench <command> key=value ...`.

Each command's module is imported inside its function, so that `bench --help` answers at once. What a command may be
told is in `commands`.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from harness.signals import ignore_interrupts, interrupt_between_imports, uninterrupted

with uninterrupted():
    import msgspec

    from harness import __version__, streams
    from harness.command.commands import (
        DataCheckOptions,
        DataMakeOptions,
        DeployOptions,
        LatencyOptions,
        LeaderboardOptions,
        ListOptions,
        ParityOptions,
        PredictOptions,
        ReportOptions,
        RunOptions,
        WeightsAttachOptions,
        WeightsFetchOptions,
        WeightsListOptions,
        WeightsMakeOptions,
    )
    from harness.command.options import describe, parse, summary
    from harness.errors import KEPT, BenchError
    from harness.text import nearest, one_line, shown

if TYPE_CHECKING:
    from harness.judging.records import Runtime
    from harness.running.guard import Limits


def _readers(suites: tuple[str, ...], folder: Path, own: dict[str, str]) -> tuple[str, ...]:
    """The suites whose data a folder is; where it is nobody's, the first that reads folders, which says why."""
    from harness import registry

    def reads(name: str) -> bool:
        try:
            findings = registry.suite(name).check_data(folder, registry.own_options(name, own))
        except BenchError:
            return False
        return not any(finding.severity == "error" for finding in findings)

    readers = tuple(filter(registry.reads_folders, suites))
    return tuple(filter(reads, readers)) or readers[:1]


def run(options: RunOptions) -> int:
    from harness import registry
    from harness.environment import usable_workers
    from harness.judging.records import Settings
    from harness.running.plan import DataSource, Request
    from harness.running.run import run

    # The unit changes what a network sees only where its labels are raw.
    raw = options.target_scaling == "none"
    suites = registry.choose(options.suite, registry.names("suites"), "suite")
    if options.data and options.suite == "all":
        suites = _readers(suites, Path(options.data), options.own)
    request = Request(
        suites=suites,
        results=options.results,
        source=DataSource(str(Path(options.data).resolve()) if options.data else None, options.own),
        profile=options.profile,
        variant=options.variant,
        backend=options.backend,
        seeds=_numbers("seeds", options.seeds),
        settings=Settings(
            options.init, options.target_scaling, options.own.get("unit", "") * raw, options.device, options.averaged
        ),
        originals=_numbers("originals", options.originals),
        weights=options.weights,
        search=options.search or None,
        workers=options.workers or usable_workers(),
        limits=_limits(options),
    )
    return 0 if run(request) else 1


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
        seeds=_numbers("seeds", options.seeds) or (0,),
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


def latency(options: LatencyOptions) -> int:
    from harness.running.latency import measure_apart
    from harness.running.progress import show_count
    from harness.running.rounds import LatencySettings

    batches = _numbers("batches", options.batches)
    settings = LatencySettings(threads=options.threads, batches=batches)
    models = {"model": _file("model", options.model)}
    measured = measure_apart(models, settings, _limits(options), show_count)["model"]
    if measured.reason:
        raise BenchError(measured.reason)
    print("batch   runs    p50 ms    p90 ms    p99 ms   images/s  x reference  95 % from         to")
    for timing in measured.timings:
        print(
            f"{timing.batch:>5} {timing.runs:>6} {timing.p50_ms:>9.4f} {timing.p90_ms:>9.4f} {timing.p99_ms:>9.4f} "
            f"{timing.throughput:>10.1f} {timing.ratio:>12.4g} {timing.ratio_low:>10.4g} {timing.ratio_high:>10.4g}"
        )
    for timing in measured.timings:
        if not timing.steady:
            print(f"unsteady at batch {timing.batch}: {timing.unsteady}")
    return 0


def deploy(options: DeployOptions) -> int:
    from harness import registry
    from harness.judging import leaderboard
    from harness.judging.records import Runtime
    from harness.running.deploy import at_hand, deploy
    from harness.running.progress import show_count

    runtimes = _runtimes(options.runtime, get_args(Runtime))
    backends = registry.choose(options.backend, registry.names("backends"), "backend")
    suites = registry.choose(options.suite, registry.names("suites"), "suite")
    known = {name: {variant.name for variant in registry.suite(name).VARIANTS} for name in suites}
    variants = registry.choose(options.variant, sorted(set().union(*known.values())), "variant")

    chosen = {}
    for suite in suites:
        at = at_hand(options.results, suite).items()
        chosen[suite] = {p: r for p, r in at if r.cell.variant in variants and r.cell.backend in backends}
    if not any(chosen.values()):
        raise BenchError(f"none of the chosen models is in {options.results / 'models'}: `bench run` makes them")
    for suite, models in chosen.items():
        for record, deployment in deploy(options.results, suite, models, runtimes, show_count):
            if deployment.reason:
                print(one_line(f"{record.cell.title}: no {deployment.runtime}: {deployment.reason}"))
        if models:
            leaderboard.write(options.results, suite)
            print(f"{leaderboard.terminal_table_of_deployments(options.results, suite)}\n")
            print(f"table: {options.results / 'leaderboards' / f'{suite}-deployment.csv'}")
    return 0


def _runtimes(word: str, known: tuple[Runtime, ...]) -> tuple[Runtime, ...]:
    """Those chosen, in their order. Raises BenchError for OpenVINO where it is asked for and not installed."""
    from harness import registry
    from harness.streams import tell

    asked = registry.choose(word, known, "runtime")
    if "openvino" in asked and not registry.has_openvino():
        lacking = "openvino is not installed: pip install 'cijbench[openvino]'"
        if "openvino" in word:
            raise BenchError(f"runtime={word}: {lacking}")
        tell(f"openvino is left out: {lacking}")
        asked = tuple(name for name in asked if name != "openvino")
    return tuple(name for name in known if name in asked)


def predict(options: PredictOptions) -> int:
    from harness.running.predict import predict
    from harness.running.progress import show_count

    model = _file("model", options.model)
    rows = predict(model, Path(options.images), Path(options.out), _limits(options), show_count)
    print(f"{options.out}: {rows} rows")
    return 0


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


COMMANDS: dict[str, tuple[type[msgspec.Struct], Callable[[Any], int]]] = {
    "run": (RunOptions, run),
    "leaderboard": (LeaderboardOptions, leaderboard),
    "report": (ReportOptions, report),
    "parity": (ParityOptions, parity),
    "latency": (LatencyOptions, latency),
    "deploy": (DeployOptions, deploy),
    "predict": (PredictOptions, predict),
    "data check": (DataCheckOptions, data_check),
    "data make": (DataMakeOptions, data_make),
    "weights fetch": (WeightsFetchOptions, weights_fetch),
    "weights make": (WeightsMakeOptions, weights_make),
    "weights attach": (WeightsAttachOptions, weights_attach),
    "weights list": (WeightsListOptions, weights_list),
    "list": (ListOptions, listing),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Exit code: 0 well, 1 a check or a cell failed, 2 wrong usage or input, 130 interrupted."""
    streams.show_any_character()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        interrupt_between_imports()
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except BenchError as error:
        streams.tell(f"bench: {error}")
        return 2
    except (KeyboardInterrupt, SystemExit) as end:  # nothing here exits by itself: a signal told it to
        ignore_interrupts()
        told = "told to end" if isinstance(end, SystemExit) else "interrupted"
        streams.tell(f"\nbench: {told}" + f"; {KEPT}" * (words[:1] == ["run"]))
        return int(end.code or 0) if isinstance(end, SystemExit) else 130
    except MemoryError as error:
        streams.tell(f"bench: there is not enough memory for this: {error}")
        return 2
    except BrokenPipeError:  # the reader of our output, `head` perhaps, has seen enough; the work was cut short
        streams.give_up_output()
        return 128 + signal.SIGPIPE
    except OSError as error:  # a folder that cannot be written, a full disk
        what = error.filename or "input or output"
        if streams.is_about_output(error):
            what = "standard output"
            streams.give_up_output()
        streams.tell(f"bench: {what}: {error.strerror or error}")
        return 2


def _dispatch(words: list[str]) -> int:
    asking = {"-h", "--help", "help"}
    if not words or asking & set(words):
        print(_help([word for word in words if word not in asking]))
        return 0
    if words[0] in ("--version", "version"):
        print(f"cijbench {__version__}")
        return 0
    name, rest = _command(words)
    options, action = COMMANDS[name]
    asked = parse(name, options, rest)
    from harness.isolation import isolated

    with isolated():
        return action(asked)


def _command(words: list[str]) -> tuple[str, list[str]]:
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            return name, words[length:]
    name = " ".join(word for word in words[:2] if "=" not in word)[:100]
    raise BenchError(f"unknown command '{name}'{nearest(name, COMMANDS)}; `bench --help` lists them")


def _help(words: list[str]) -> str:
    if not words:
        lines = ["usage: bench <command> key=value ...", ""]
        width = max(map(len, COMMANDS))
        lines += [f"  bench {name:<{width}} {summary(options)}" for name, (options, _) in COMMANDS.items()]
        lines += ["", "`bench <command> --help` lists its options. The main job: bench run suite=all"]
        return "\n".join(lines)
    name, _ = _command(words)
    return describe(name, COMMANDS[name][0])


def _numbers(key: str, text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(dict.fromkeys(_whole(part) for part in text.split(",") if part.strip()))
    except ValueError:
        raise BenchError(f"{key}={text}: must be whole numbers separated by commas") from None
    if any(not 0 <= number < 2**32 for number in numbers):
        raise BenchError(f"{key}={text}: must lie between 0 and 2^32 - 1")
    return numbers


def _whole(text: str) -> int:
    if not text.strip().lstrip("-").isdecimal() or not text.isascii():  # `int` would also take 1_000
        raise ValueError(text)
    return int(text)


def _file(key: str, text: str) -> Path:
    path = Path(text)
    if not os.path.lexists(path):
        raise BenchError(f"{key}={text}: there is no such file")
    if not path.is_file():
        raise BenchError(f"{key}={text}: is no file, but a folder, a pipe or a link that leads nowhere")
    return path


def _limits(options: RunOptions | LatencyOptions | PredictOptions) -> Limits:
    from harness.environment import usable_memory_gib
    from harness.running.guard import Limits

    return Limits(options.timeout or None, options.memory or usable_memory_gib())
