"""`bench run`: plan -> cells -> records -> latencies -> leaderboards."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import TypeVar

import msgspec

from harness import disk, provenance, registry, streams
from harness.environment import Environment, observe, usable_memory_gib
from harness.errors import KEPT, BenchError
from harness.judging import leaderboard, terminal
from harness.judging.blocks import newest
from harness.judging.columns import NO_BETTER, WORSE
from harness.judging.leaderboard import Board
from harness.judging.outlines import Outline, Shelf
from harness.judging.records import SCHEMA, Cell, Record, Settings, cell_computed_by
from harness.judging.standing import Placed, comparable, standing
from harness.judging.store import Store
from harness.judging.verify import contradicts
from harness.model import pretrained
from harness.model.architecture import Estimator, Network, backbone_of
from harness.model.pretrained import Origin, Origins
from harness.model.variants import Variant
from harness.protocol import Source
from harness.provenance import differences
from harness.running import timings
from harness.running.crew import Event, Launcher
from harness.running.data import DataSource
from harness.running.guard import Limits
from harness.running.launchers import opened
from harness.running.plan import Plan, Request, left_out_backends, origin_of, plan
from harness.running.progress import Progress
from harness.running.rounds import SMOKE, LatencySettings
from harness.running.training import trials_file
from harness.running.worker import Done, Job
from harness.text import counted, shown


def run(request: Request) -> bool:
    """Run every cell that is not done, time what was exported, write the leaderboards and show them.

    A cell is done where it has an `ok` record computed by what would compute it now (`provenance`) and its exported
    model is at hand: a record published from another machine speaks for that machine.

    True where every cell of the request has an `ok` record now. Raises BenchError before anything runs where the
    request or its data cannot be used.
    """
    for path in (request.results, request.source.folder, request.weights):
        _refuse_unspeakable(str(Path(path or "").resolve()))
    weights = pretrained.chosen(request.weights, request.results, print)
    plans = [plan(name, request, weights) for name in request.suites]
    for told in left_out_backends(request.backend):
        print(told)
    for name in request.suites:
        leaderboard.refuse_unbelievable(Shelf(Store(request.results, name)))  # records are told of before the work
    try:
        cells = [cell for suite_plan in plans for cell in suite_plan.cells]
        with _alone_in(request.results) as still_there, opened(request, cells) as launcher:
            outcomes = [_run_suite(suite_plan, request, weights, still_there, launcher) for suite_plan in plans]
    except OSError as error:
        if error.filename is None:  # not of the results folder, but of where this is printed
            raise
        # a full disk, a folder that cannot be written
        raise BenchError(f"{error.filename}: {error.strerror or error}; {KEPT}") from error
    return all(outcomes)


def run_on_raw_labels(results: Path, suite_name: str, profile: str, workers: int) -> None:
    """Train what starts from scratch on raw labels in the source's unit, first seed, beside the trivial predictors;
    what is done, not again.

    On the data of the newest records of `profile`, which must be the suite's own: a user's folder is not known here.
    """
    suite = registry.suite(suite_name)
    records = Store(results, suite_name).trainings()
    block = newest(records, profile)
    if not suite.SOURCE or profile not in suite.PROFILES or not block or newest(records, profile, "none"):
        return
    if DataSource().load(suite).fingerprint() != block[0].cell.data_hash:
        print(f"raw labels: skipped, because the records are not of {suite_name}'s own data set")
        return
    from_scratch = [v.name for v in suite.VARIANTS if _on_raw_labels(v, suite.SOURCE)]
    print(f"raw labels: {', '.join(from_scratch)} in {suite.SOURCE.unit}, first seed")
    run(
        Request(
            (suite_name,),
            results,
            profile=profile,
            variant=",".join(from_scratch),
            seeds=suite.PROFILES[profile].seeds[:1],
            settings=Settings(target_scaling="none", unit=suite.SOURCE.unit),
            workers=workers,
            limits=Limits(memory_gib=usable_memory_gib()),
        )
    )


def _on_raw_labels(variant: Variant, source: Source) -> bool:
    """The source's own networks from scratch, and what they are compared with."""
    if isinstance(variant.architecture, Estimator):
        return True
    deep = isinstance(variant.architecture, Network) and backbone_of(variant.architecture)
    return variant.name in source.reported and not deep


def _refuse_unspeakable(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise BenchError(f"{path!a}: this path is not UTF-8, as records must be: rename the folder") from None


@contextlib.contextmanager
def _alone_in(results: Path) -> Iterator[Callable[[], None]]:
    """Hold the results folder for one run at a time; the system lets go of it when the process ends, however it does.

    Yields what raises BenchError once the folder is no longer there, or is another. Raises BenchError where another run
    holds it, and OSError where the folder cannot be written.
    """
    disk.refuse_no_folder("results", results)
    results.mkdir(parents=True, exist_ok=True)
    path = results / "run.lock"
    with contextlib.ExitStack() as held:
        try:
            lock = held.enter_context(disk.alone(path, wait=False))
        except BlockingIOError:
            who = path.read_text(encoding="utf-8", errors="replace").strip() or "unknown"
            raise BenchError(
                f"{results}: another run is using this folder (process {who}): wait for it, or choose another results="
            ) from None
        lock.truncate(0)
        with disk.named(path):
            lock.write(str(os.getpid()).encode())

        def still_there() -> None:
            try:
                same = os.path.samestat(os.fstat(lock.fileno()), path.stat())
            except OSError:
                same = False
            if not same:
                raise BenchError(
                    f"{results}: was removed or replaced while a run was using it; nothing more is written"
                )

        try:
            yield still_there
        except OSError:
            still_there()  # which says more than what could not be written because of it
            raise
        finally:
            lock.truncate(0)


def _run_suite(
    suite_plan: Plan, request: Request, weights: Origins, still_there: Callable[[], None], launcher: Launcher
) -> bool:
    store = Store(request.results, suite_plan.suite)
    _announce(suite_plan)
    for told in store.mend():
        print(f"note: {told}")
    for folder in ("models", "cache", "records"):
        (request.results / folder).mkdir(exist_ok=True)  # not made again by a worker, should all of it be taken away
    for folder in (f"models/{suite_plan.suite}", "cache/features", "cache/trials", "leaderboards"):
        disk.sweep(request.results / folder)
    _train(suite_plan, store, request, weights, still_there, launcher)
    good = good_here(suite_plan.cells, Shelf(store), launcher.environment)
    _time(suite_plan, store, request, good, still_there)
    board = leaderboard.write(request.results, suite_plan.suite)
    print(terminal.of_cells(board, suite_plan.suite, suite_plan.cells, suite_plan.dataset.unit))
    path = leaderboard.leaderboard_file(request.results, suite_plan.suite)
    print(f"\nleaderboard: {_typed(path)}\nrecords:     {_typed(store.trainings_file)}")
    print(f"models:      {_typed(request.results / 'models' / suite_plan.suite)}")
    _tell_best(suite_plan, board)
    failed = len(suite_plan.cells) - len(good)
    if failed:
        print(f"{failed} of {len(suite_plan.cells)} cells have no result; the same command retries them")
    return not failed


def _tell_best(suite_plan: Plan, board: Board) -> None:
    """How to use the best model of the data and split of a plan, and whether it is of any use."""
    asked, shelf = suite_plan.cells[0].question, board.shelf
    of_these = [outline for outline in shelf.outlines if outline.cell.question == asked]
    if found := best(of_these, shelf.store.results):
        path, (record,) = found[0], shelf.whole([found[1]])
        words = shlex.join(["bench", "predict", f"model={_typed(path)}", "images=FOLDER", "out=FILE.csv"])
        of_those = ", of those that take images" * any(outline.encoding_ms is not None for outline in of_these)
        verdict = next(line["verdict"] for line, of in zip(board.lines, board.of, strict=True) if found[1] in of)
        but = f", which is {verdict} on the test images" * (verdict in (NO_BETTER, WORSE))
        print(shown(f"to use the best model on the validation images{of_those}, {record.cell.title}{but}: {words}"))


def _typed(path: Path) -> str:
    """A path as it would have to be typed: ~ is a home to shells and to `bench`."""
    return f"./{path}" if str(path).startswith("~") else str(path)


def good_here(cells: Iterable[Cell], shelf: Shelf, environment: Environment | None = None) -> dict[str, Outline]:
    """The `ok` records of these cells that were computed by what would compute them now, by key: by this code in an
    environment, that of this process where none is named.
    """
    here = environment or observe()
    current = {cell.key: cell_computed_by(cell, here, provenance.source(cell.backend, cell.suite)) for cell in cells}
    return {
        outline.key: outline
        for outline in standing(shelf.outlines)
        if outline.status == "ok" and current.get(outline.key) == outline.computed_by
    }


def stale(cells: Iterable[Cell], shelf: Shelf, environment: Environment) -> dict[str, int]:
    """Why cells have `ok` records that do not count as theirs in an environment, and how many there are of each
    reason.
    """
    reasons: Counter[str] = Counter()
    known = {place(outline): outline for outline in shelf.outlines if outline.status == "ok"}
    for cell in cells:
        if outline := known.get(place(cell)):
            (found,) = shelf.whole([outline])
            now_source = provenance.source(cell.backend, cell.suite)
            why = differences(cell.backend, found.environment, found.source, environment, now_source, cell.packages)
            if found.cell != cell and found.schema == SCHEMA:
                why.append("another definition, or other settings")
            if why:
                reasons[f"{cell.backend}: made with {', '.join(why)}"] += 1
    return dict(reasons)


def place(of: Cell | Outline) -> object:
    """What cells have in common of which one is in the other's place, however each is defined."""
    cell = of if isinstance(of, Cell) else of.cell
    return cell.row, cell.backend, of.seed, cell.profile, cell.data_hash, cell.split_hash


def to_do(cells: Iterable[Cell], good: Mapping[str, Placed], results: Path) -> list[Cell]:
    """Those that have no record, or whose exported model is not there any more."""
    done = {key for key, record in good.items() if record.unexported or exported(record, results)}
    return [cell for cell in cells if cell.key not in done]


_P = TypeVar("_P", bound=Placed)


def best(records: Iterable[_P], results: Path) -> tuple[Path, _P] | None:
    """Of records of one data set and split, whenever they were made, the exported model that takes images and whose row
    is the best on the validation images, mean over seeds, and of that row the best seed's; one that was trained on
    fewer images than there are where there is no other. None where there is no file. Where better ones have lost
    theirs, the best of these is told.

    Who chooses by the test images has no test any more.
    """
    usable = [record for record in standing(records) if record.status == "ok" and record.encoding_ms is None]

    def rank(row: list[_P]) -> tuple[bool, float]:
        fewer = row[0].cell.settings.originals is not msgspec.UNSET
        return fewer, fmean(record.validation_error for record in row)

    rows = sorted(comparable(usable), key=rank)
    in_order = (record for row in rows for record in sorted(row, key=lambda record: record.validation_error))
    lost: list[_P] = []
    for record in in_order:
        if path := exported(record, results):
            if lost:
                cell = msgspec.structs.replace(lost[0].cell, seed=lost[0].seed)
                told = f"{cell.title}: is better on the validation images than what is used"
                streams.tell(f"note: {told}, but its model in {path.parent} is gone, or not the recorded one")
            return path, record
        lost += [record] if record.onnx else []
    return None


def exported(record: Placed, results: Path) -> Path | None:
    """The exported model of a record, None where it is not, or no longer, the file that was recorded."""
    if record.onnx is None:
        return None
    path = results / "models" / record.cell.suite / record.onnx.file
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == record.onnx.sha256:
        return path
    return None


def _announce(suite_plan: Plan) -> None:
    data, split = suite_plan.dataset, suite_plan.split
    parts = f"{len(split.train)} for training, {len(split.validation)} for validation, {len(split.test)} for testing"
    print(shown(f"suite {suite_plan.suite}: {len(data.images)} images of data set '{data.name}', {parts}"))
    if suite_plan.source.folder:
        told = (f"{name} in {unit}" if unit else name for name, unit in zip(data.target_names, data.units, strict=True))
        groups = f"; groups: {len(set(data.groups))}" * bool(data.groups)
        print(shown(f"{'classes' if data.classes else 'targets'}: {', '.join(told)}{groups}"))
    for warning in data.warnings:
        print(shown(f"warning: {warning}"))


def _train(
    suite_plan: Plan,
    store: Store,
    request: Request,
    weights: Origins,
    still_there: Callable[[], None],
    launcher: Launcher,
) -> None:
    shelf = Shelf(store)
    good = good_here(suite_plan.cells, shelf, launcher.environment)
    jobs = [
        Job(
            cell,
            suite_plan.source,
            _own_file(origin_of(cell.architecture, weights)),
            suite_plan.folders.get(cell.variant, ""),
        )
        for cell in to_do(suite_plan.cells, good, request.results)
    ]
    total = len(suite_plan.cells)
    for reason, count in stale([job.cell for job in jobs], shelf, launcher.environment).items():
        print(shown(f"rerunning {counted(count, 'stale cell')} of {reason}"))
    workers = f", {launcher.told(len(jobs))}" if jobs else ""
    print(f"{counted(total, 'cell')}, {total - len(jobs)} already done{workers}")

    def earlier(key: str) -> Record | None:
        return shelf.whole([good[key]])[0] if key in good else None

    with contextlib.closing(recorded(jobs, launcher.launch(jobs), store, still_there, earlier)) as records:
        for record in records:
            if record.unexported:
                told = f"{record.cell.title}: no ONNX file, so `bench predict` cannot use it: {record.unexported}"
                print(shown(told))
            if record.status == "ok":
                trials_file(request.results, record.cell).unlink(missing_ok=True)


def _own_file(origin: Origin | None) -> str | None:
    """The file that a backbone starts from, where it is the user's own."""
    return str(origin.file.absolute()) if origin and origin.file else None  # a link's own name says which format it is


def recorded(
    jobs: list[Job],
    events: Generator[Event],
    store: Store,
    still_there: Callable[[], None] = lambda: None,
    earlier: Callable[[str], Record | None] = lambda _: None,
) -> Generator[Record]:
    """Follow a launch: show its progress, and append each record to the store before it is handed on.

    `still_there` is asked before. Whatever is raised here ends the launch, and to close this, too: a traceback that
    somebody keeps would keep it open. Raises BenchError, with nothing appended, where one of the `earlier` records
    here, by key, is of the same cell and predicts otherwise.
    """
    with contextlib.closing(events), contextlib.closing(Progress(jobs)) as progress:
        for event in events:
            if isinstance(event[1], Done):
                still_there()
                _refuse_contradiction(event[1].record, earlier(event[1].record.key), store)
                store.append(event[1].record)
                if event[1].no_disk:
                    progress.show(event)
                    raise OSError(0, event[1].no_disk, str(store.folder.parents[1] / "models"))
                yield event[1].record
            progress.show(event)


def _refuse_contradiction(record: Record, before: Record | None, store: Store) -> None:
    if before and record.status == "ok" and contradicts(record, before):
        raise BenchError(
            f"{record.cell.title}: not added, because it predicts differently than its record of {before.started} in "
            f"{store.trainings_file}, made by commit {before.environment.short_commit} in an environment like this "
            "one: the same seed must give the same numbers. Either that record was edited, or the code was changed "
            "without a new version: delete that line, or choose another results="
        )


def _time(
    suite_plan: Plan, store: Store, request: Request, good: Mapping[str, Outline], still_there: Callable[[], None]
) -> None:
    """Time one model per variant and backend, its first seed's."""
    first: dict[tuple[str, str], Cell] = {}
    for cell in suite_plan.cells:
        if cell.key in good:
            first.setdefault((cell.row, cell.backend), cell)
    known = timings.known(store)
    models = [
        timings.Model(cell, onnx.sha256, path)
        for cell in first.values()
        if (onnx := good[cell.key].onnx)
        and (cell.key, onnx.sha256) not in known
        and (path := exported(good[cell.key], request.results))
    ]
    if models:
        profile = registry.suite(suite_plan.suite).PROFILES[request.profile]
        timings.take(store, models, SMOKE if profile.quick_latency else LatencySettings(), still_there)
