"""What `bench` does with models: trains them, times them, makes them lighter, predicts with them."""

from __future__ import annotations

import os
import shlex
import sys
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from harness.command import inputs, values
from harness.errors import BenchError
from harness.text import counted, one_line

if TYPE_CHECKING:
    from harness.command import commands
    from harness.judging.maps import Deletion
    from harness.judging.records import Record, Runtime
    from harness.judging.reproductions import Again
    from harness.running.data import DataSource
    from harness.running.plan import Request
    from harness.running.predict import Predicted


def run(options: commands.RunOptions) -> int:
    from harness.running import launchers, tracker
    from harness.running.estimate import dry_run
    from harness.running.run import run

    request = _request(options)
    launchers.refuse_unusable(request)
    if options.workers and (options.scheduler or options.slurm):
        raise BenchError(
            f"workers={options.workers}: is for workers on this machine only; workers elsewhere set how many "
            "cells they run at a time, with --nthreads or cores: leave it out"
        )
    if options.dry and options.tracker:
        raise BenchError(f"tracker={options.tracker}: dry=true runs nothing, so there is nothing to record")
    if options.dry:
        for line in dry_run(request):
            print(line)
        return 0
    if options.tracker:
        tracker.refuse_missing()
    ended_well = run(request)
    if options.tracker:
        for suite in request.suites:
            count = tracker.track(options.results, suite)
            print(f"mlflow: {count} records of {suite} added to {tracker.store_of(options.results)}")
    return 0 if ended_well else 1


def _request(options: commands.RunOptions) -> Request:
    """What is to be run. Raises BenchError for words that do not fit each other, or the suites."""
    from harness import registry
    from harness.environment import usable_workers
    from harness.judging.records import Settings
    from harness.running.plan import Request

    # The unit changes what a network sees only where its labels are raw.
    raw = options.target_scaling == "none"
    suites = _suites(options)
    registry.refuse_others(suites, options.own)
    if raw and not options.own.get("unit") and any("unit" in registry.options(name, "OPTIONS") for name in suites):
        raise BenchError("target_scaling=none: networks see labels in their unit: give it with unit=")
    return Request(
        suites=suites,
        results=options.results,
        source=inputs.source(options),
        profile=options.profile,
        variant=options.variant,
        backend=options.backend,
        seeds=values.numbers("seeds", options.seeds),
        settings=Settings(
            options.init, options.target_scaling, options.own.get("unit", "") * raw, options.device, options.averaged
        ),
        originals=values.numbers("originals", options.originals),
        weights=options.weights,
        search=options.search or None,
        workers=options.workers or usable_workers(),
        limits=values.limits(options) if options.launcher == "local" else values.limits_elsewhere(options),
        launcher=options.launcher,
        scheduler=options.scheduler,
        settings_file=values.file("slurm", options.slurm) if options.slurm else None,
    )


def _suites(options: commands.RunOptions | commands.DeployOptions) -> tuple[str, ...]:
    """Those asked for; of all, those that ship data, or that a folder of the user's own is for. Raises BenchError where
    it is for none, and says for each why.
    """
    from harness import registry
    from harness.streams import tell

    if options.suite != "all" or not options.data:
        known = registry.with_data() if options.suite == "all" else registry.names("suites")
        return registry.choose(options.suite, known, "suite")
    fitting, found = inputs.suites_for(Path(options.data), options.own)
    problems = {name: inputs.problem(findings) for name, findings in found.items()}
    why = "".join(f"\n  not for {name}: {one_line(problem)}" for name, problem in problems.items() if problem)
    if not fitting:
        words = (f"{key}={value}" for key, value in options.own.items())
        check = shlex.join(["bench", "data", "check", f"data={options.data}", *words])
        raise BenchError(f"data={options.data}: fits no suite; `{check}` says more{why}")
    if set(fitting).isdisjoint(registry.with_data()):
        tell(f"data={options.data}: used for suite {', '.join(fitting)}{why}")
    elif others := [name for name, told in problems.items() if not told and name not in fitting]:
        named = " and ".join(f"suite={name}" for name in others)
        tell(f"data={options.data}: used for suite {', '.join(fitting)}, whose question it fits; {named} takes it, too")
    return fitting


def reproduce(options: commands.ReproduceOptions) -> int:
    from harness import registry
    from harness.environment import usable_workers
    from harness.running.reproduce import published, reproduce

    registry.suite(options.suite)
    out = Path(options.out) if options.out else options.results / "reproduced"
    if out.resolve() == options.results.resolve():
        raise BenchError(f"out={out}: is the folder of the published records: choose another")
    records = published(options.results, options.suite, options.row, options.profile)
    found = reproduce(records, options.results, out, options.workers or usable_workers(), values.limits(options))
    for again in found:
        print(one_line(f"{again.published.cell.title}: {_agreement(again)}"))
    for why in dict.fromkeys(why for again in found for why in again.why):
        print(f"note: {one_line(why)}")
    agreed = sum(again.agrees != "no" for again in found)
    print(f"{agreed} of {len(found)} records agree with the published ones; the new records are in {out}")
    return 0 if agreed == len(found) else 1


def _agreement(again: Again) -> str:
    """Whether it agrees and within what, with the scores."""
    if again.again is None or again.again.test is None or again.published.test is None:
        return "nothing to compare"
    ranked_by = again.published.held_out
    unit = ranked_by.unit if ranked_by else ""
    told = {
        "to the bit": "agrees to the bit",
        "to rounding": "agrees to rounding: the same numbers, summed differently",
        "within the spread of seeds": "agrees within the spread of seeds",
        "no": "does not agree",
    }[again.agrees]
    spread = "" if again.spread is None else f"; published seeds differ by {again.spread:.3g} {unit}".rstrip()
    skills = [test.skill for test in (again.published.test, again.again.test)]
    scores = " → ".join("none" if skill is None else f"{skill:.6f}" for skill in skills)
    on = "" if ranked_by and again.test == ranked_by.test else f" on {again.test}"
    return f"{told}. Predictions differ{on} by {again.distance:.3g} {unit} (root mean square){spread}; skill {scores}"


def latency(options: commands.LatencyOptions) -> int:
    from harness.running.latency import measure_apart
    from harness.running.progress import show_count
    from harness.running.rounds import LatencySettings

    batches = values.numbers("batches", options.batches)
    settings = LatencySettings(threads=options.threads, batches=batches)
    models = {"model": values.file("model", options.model)}
    measured = measure_apart(models, settings, values.limits(options), show_count)["model"]
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


def deploy(options: commands.DeployOptions) -> int:
    from harness import registry
    from harness.judging import leaderboard, terminal
    from harness.judging.records import Runtime
    from harness.running.deploy import at_hand, deploy
    from harness.running.progress import show_count

    runtimes = _runtimes(options.runtime, get_args(Runtime))
    backends = registry.choose(options.backend, registry.names("backends"), "backend")
    named = registry.choose(options.suite, registry.names("suites"), "suite")
    suites = _suites(options) if options.data else named
    registry.refuse_others(suites, options.own)
    source = inputs.source(options)
    found = _of_data({suite: at_hand(options.results, suite) for suite in suites}, source)
    known = {variant.name for suite in found for variant in registry.suite(suite).VARIANTS}
    known |= {record.cell.variant for models in found.values() for record in models.values()}  # a user's own
    variants = registry.choose(options.variant, sorted(known), "variant")

    chosen = {
        suite: {p: r for p, r in models.items() if r.cell.variant in variants and r.cell.backend in backends}
        for suite, models in found.items()
    }
    if not any(chosen.values()):
        raise BenchError(f"none of the chosen models is in {options.results / 'models'}: `bench run` makes them")
    for suite, models in chosen.items():
        for record, deployment in deploy(options.results, suite, source, models, runtimes, show_count):
            if deployment.reason:
                print(one_line(f"{record.cell.title}: no {deployment.runtime}: {deployment.reason}"))
        if models:
            leaderboard.write(options.results, suite)
            print(f"{terminal.of_deployments(options.results, suite)}\n")
            print(f"table: {leaderboard.deployment_file(options.results, suite)}")
    return 0


def _of_data(found: dict[str, dict[Path, Record]], source: DataSource) -> dict[str, dict[Path, Record]]:
    """Models by suite, of these data alone, for they are scored again on them; those of others are told. Raises
    BenchError where all are.
    """
    from harness import registry
    from harness.streams import tell

    these = f"data={source.folder}" if source.folder else "the data that the suite ships"
    kept: dict[str, dict[Path, Record]] = {}
    others = []
    for suite, models in found.items():
        there = models and (source.folder or suite in registry.with_data())
        here = source.load(registry.suite(suite)).fingerprint() if there else ""
        kept[suite] = {path: record for path, record in models.items() if record.cell.data_hash == here}
        if left_out := len(models) - len(kept[suite]):
            others.append(f"suite={suite}: {left_out} of {len(models)} models were not trained on {these}")
    if others and not any(kept.values()):
        raise BenchError(f"{'; '.join(others)}: give data= and its options as for `bench run`")
    for told in others:
        tell(f"{told}; skipped")
    return kept


def _runtimes(word: str, known: tuple[Runtime, ...]) -> tuple[Runtime, ...]:
    """Those chosen, in their order. Raises BenchError for OpenVINO where it is asked for and not installed."""
    from harness import registry
    from harness.streams import tell

    asked = registry.choose(word, known, "runtime")
    if "openvino" in asked and not registry.has_openvino():
        lacking = "openvino is not installed: pip install 'cijbench[openvino]'"
        if "openvino" in word:
            raise BenchError(f"runtime={word}: {lacking}")
        tell(f"openvino is skipped: {lacking}")
        asked = tuple(name for name in asked if name != "openvino")
    return tuple(name for name in known if name in asked)


def predict(options: commands.PredictOptions) -> int:
    return int(bool(predicted(options).unread))


def predicted(options: commands.PredictOptions) -> Predicted:
    """What was written, told on the terminal."""
    from harness.running.predict import predict
    from harness.running.progress import show_count

    if bool(options.model) == bool(options.suite):
        raise BenchError("bench predict needs model=FILE or suite=NAME, not both")
    if options.model and options.variant != "best":
        raise BenchError(f"variant={options.variant}: chooses among the models of suite=, and model= names one")
    model = values.file("model", options.model) if options.model else _best(options)
    out = Path(options.out)
    found = predict(model, Path(options.images), out, values.limits(options), show_count)
    unlike = sum(distance > 1 for distance in found.distances)
    print(
        f"{out}: {counted(len(found.names), 'row')}" + f", {unlike} of images unlike the training images" * bool(unlike)
    )
    if found.distances and not found.low and not found.sets:
        print("no intervals: the model had too few validation images")
    for why in dict.fromkeys(found.unread.values()):
        names = [name for name, reason in found.unread.items() if reason == why]
        told = ", ".join(names[:_NAMED]) + f" and {len(names) - _NAMED} more" * (len(names) > _NAMED)
        print(one_line(f"{counted(len(names), 'image')} left out: {told}: {why}"), file=sys.stderr)
    return found


_NAMED = 3  # images of which the same is said


def gradcam(options: commands.GradcamOptions) -> int:
    from harness.disk import free_place
    from harness.running.gradcam import look
    from harness.running.progress import show_count
    from harness.showing.gradcam import draw, is_drawn

    model = values.file("model", options.model)
    out = free_place("out", Path(options.out)) if options.out else _beside(model, options.target)
    if not is_drawn(out):
        raise BenchError(f"out={options.out}: a picture is what is drawn: call it {out.stem}.png")
    found = look(model, inputs.source(options), options.target, options.n, show_count)
    draw(found.images, f"{found.title}: test images, and where {found.layer} looks", out)
    print(
        f"{out}: {len(found.images)} of {found.tested} test images, by {found.layer}, {found.size[0]}x{found.size[1]}"
    )
    print(_deletion(found.deletion, found.images[0].unit))
    return 0


def _beside(model: Path, target: str) -> Path:
    """Where a map is drawn of which nobody says where, in the place of one that was drawn before. Raises BenchError for
    a target whose name no target has.
    """
    if os.path.basename(target) != target:  # it would be a folder
        raise BenchError(f"target={target}: not a target of this model: names contain no {os.sep}")
    return model.with_suffix(f".gradcam{f'-{target}' * bool(target)}.png")


def _deletion(found: Deletion | None, unit: str) -> str:
    """Whether the maps tell where answers come from."""
    from harness.judging.maps import SHARE

    if found is None:
        return "every map is zero: nothing that the convolution sees raises these answers"
    told = (
        f"removing the brightest {100 * SHARE:.0f} % of pixels changes answers by {found.brightest:.3g} {unit}".rstrip()
        + f", removing as many elsewhere by {found.elsewhere:.3g} (mean of {found.images} images"
    )
    if found.interval is None:
        return f"{told}): too few to say whether that is chance"
    told += f"; difference {found.interval[0]:.3g} to {found.interval[1]:.3g}, 95 %)"
    return told + (": answers come from there" if found.tells else ": the maps do not tell where answers come from")


def _best(options: commands.PredictOptions) -> Path:
    """The best model of the newest data set and split that has one."""
    from harness import registry
    from harness.judging.outlines import Shelf
    from harness.judging.store import Store
    from harness.running.run import best

    registry.suite(options.suite)  # refused here where there is none of that name
    shelf = Shelf(Store(options.results, options.suite))
    outlines = [one for one in shelf.outlines if one.onnx and one.encoding_ms is None]
    if outlines and options.variant != "best":
        known = {outline.cell.variant for outline in outlines}
        asked = registry.choose(options.variant, sorted(known), "variant with a model")
        outlines = [outline for outline in outlines if outline.cell.variant in asked]
    newest_first = sorted(outlines, key=attrgetter("started"), reverse=True)
    for asked in dict.fromkeys(outline.cell.question for outline in newest_first):
        if found := best((outline for outline in outlines if outline.cell.question == asked), options.results):
            path, (record,) = found[0], shelf.whole([found[1]])
            print(one_line(f"{record.cell.title}, trained on {record.cell.data}: {path}"))
            return path
    raise BenchError(f"no model of suite={options.suite} in {options.results / 'models'}: `bench run` makes them")
