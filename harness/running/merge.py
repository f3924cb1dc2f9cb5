"""`bench records merge`: results folders of several machines as one, whatever their order, and to the byte the same.

Lines of records are copied as they stand. Of one cell's records that the same environment made the newest stays, which
stands for the others wherever records are judged. Two that cannot both be true are told, and nothing is written.
"""

from __future__ import annotations

import itertools
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from harness import disk, registry
from harness.errors import BenchError
from harness.judging import leaderboard
from harness.judging.outlines import Outline, Shelf
from harness.judging.records import Deployment, LatencyRecord, Record, Truth, close, same_constants, size
from harness.judging.store import Store, fingerprint, read
from harness.judging.verify import contradicts
from harness.running.run import exported

_R = TypeVar("_R", LatencyRecord, Truth, Deployment)
_Dated = TypeVar("_Dated", LatencyRecord, Deployment)


class _Line(NamedTuple, Generic[_R]):
    """A record as it stands at a place."""

    raw: bytes
    record: _R
    place: str


class _Training(NamedTuple):
    """A training record at a place, of which the outline alone is in memory."""

    outline: Outline
    shelf: Shelf

    @property
    def place(self) -> str:
        return self.shelf.place(self.outline)

    @property
    def raw(self) -> bytes:
        return next(self.shelf.lines([self.outline]))

    @property
    def record(self) -> Record:
        (record,) = self.shelf.whole([self.outline])
        return record


class Merged(NamedTuple):
    """What came together of a suite: `records` kept of so many `found`, and exported `models`; `told` is what else its
    user should know.
    """

    suite: str
    records: int
    found: int
    models: int
    told: tuple[str, ...]


def merge(folders: Sequence[Path], out: Path) -> list[Merged]:
    """Write what is in the results folders to a new one, leaderboards included.

    Raises BenchError, with nothing written, for a folder without records, for records that cannot be read or believed,
    and where two contradict each other.
    """
    suites = sorted({path.name for folder in folders for path in _suites(folder)})
    if _holds_something(out):
        raise BenchError(f"out={out}: exists and is not empty: choose a new folder")
    parts = [_Part(suite, folders) for suite in suites]
    if conflicts := [line for part in parts for line in part.conflicts]:
        raise BenchError("nothing was merged, because these contradict each other:\n  " + "\n  ".join(conflicts))
    return [part.write(out) for part in parts]


def _holds_something(folder: Path) -> bool:
    """Whether there is something under this name, other than an empty folder."""
    return folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))


def _suites(folder: Path) -> list[Path]:
    found = [path.parent for path in (folder / "records").glob("*/trainings.jsonl")]
    if not found:
        raise BenchError(f"{folder}: not a results folder: has no {folder}/records/<suite>/trainings.jsonl")
    for path in found:
        if path.name not in registry.names("suites"):  # its tables could not be written
            raise BenchError(f"{path}: suite {path.name} is not installed here: install its package, then merge")
    return found


class _Part:
    """What all folders have of one suite."""

    def __init__(self, suite: str, folders: Sequence[Path]) -> None:
        self._suite, self._folders = suite, folders
        stores = [Store(folder, suite) for folder in folders]
        self.conflicts: list[str] = []
        found = list[_Training]()
        for store in stores:
            shelf = Shelf(store)
            leaderboard.refuse_unbelievable(shelf)
            found += [_Training(outline, shelf) for outline in shelf.outlines]
        self._torn = [
            f"{file}: its last line, torn by a run that was killed or a copy cut short, is left out"
            for store in stores
            for file in (store.trainings_file, store.truths_file, store.latencies_file, store.deployments_file)
            if _is_torn(file)
        ]
        self._found, self._trainings = len(found), self._once(found)
        self._truths = self._agreed(line for store in stores for line in _lines(store.truths_file, Truth))
        latencies = (line for store in stores for line in _lines(store.latencies_file, LatencyRecord))
        deployments = (line for store in stores for line in _lines(store.deployments_file, Deployment))
        self._latencies, self._deployments = _in_order(latencies), _in_order(deployments)

    def _once(self, found: Iterable[_Training]) -> list[_Training]:
        """By age, without those that say what a newer one of the same cell and environment says again."""
        kept: list[_Training] = []
        good: defaultdict[tuple[str, int], list[_Training]] = defaultdict(list)
        for one in reversed(_by_age(found)):
            newer = good[one.outline.row, one.outline.seed]
            if one.outline.status == "ok" and newer:
                record, others = one.record, [other.record for other in newer]
                if contradicts(record, others[0]):
                    self.conflicts.append(
                        f"{record.cell.title} predicts differently in {one.place} and in {newer[0].place}, in "
                        "identical environments: one of them was edited, or its code: take one of the two lines out"
                    )
                    continue
                if any(_same(record, other) for other in others):
                    continue
            if one.outline.status == "ok":
                newer.append(one)
            kept.append(one)
        return kept[::-1]

    def _agreed(self, lines: Iterable[_Line[Truth]]) -> list[_Line[Truth]]:
        """One of each data, split and test."""
        kept: dict[tuple[str, str, str], _Line[Truth]] = {}
        # One that says what the images show first, for older ones do not.
        for line in sorted(lines, key=lambda line: (line.record.of, not line.record.clusters, line.raw)):
            other = kept.setdefault(line.record.of, line)
            if not same_constants(other.record, line.record):
                self.conflicts.append(
                    f"{other.place} and {line.place} name the same data, split and test, and not the same constants"
                )
        return list(kept.values())

    def write(self, out: Path) -> Merged:
        """Write it below a results folder."""
        store = Store(out, self._suite)
        for path, lines in (
            (store.truths_file, self._truths),  # before what needs them
            (store.trainings_file, self._trainings),
            (store.latencies_file, self._latencies),
            (store.deployments_file, self._deployments),
        ):
            if lines:
                disk.make_folder(path.parent)
                with disk.replacing(path) as fresh, fresh.open("wb") as file:
                    file.writelines(line.raw + b"\n" for line in lines)
        models, told = self._copy_models(out)
        leaderboard.write(out, self._suite)
        return Merged(self._suite, len(self._trainings), self._found, models, (*self._torn, *told))

    def _copy_models(self, out: Path) -> tuple[int, tuple[str, ...]]:
        """Copy what is at hand of the records' models. Two environments' models of one cell have one name: the newest
        record's is copied, as it is what runs leave in one folder.
        """
        at_hand: dict[str, Path] = {}
        hashes: defaultdict[str, set[str]] = defaultdict(set)
        recorded: set[Path] = set()
        outlines = [one.outline for one in self._trainings]
        for outline, folder in itertools.product(outlines, self._folders):
            if outline.onnx and (path := exported(outline, folder)):
                at_hand[path.name] = path
                recorded.add(path)
                hashes[path.name].add(outline.onnx.sha256)
        for path in at_hand.values():
            for file in (path, path.with_suffix(".safetensors")):
                if file.is_file():
                    disk.make_folder(out / "models" / self._suite)
                    with disk.replacing(out / "models" / self._suite / file.name) as fresh:
                        shutil.copyfile(file, fresh)
        named = {outline.onnx.file for outline in outlines if outline.onnx}
        lying = (folder / "models" / self._suite / name for folder in self._folders for name in sorted(named))
        others = [path for path in lying if path.is_file() and path not in recorded]
        several = [name for name, found in sorted(hashes.items()) if len(found) > 1]
        told = [f"{name}: several environments made one; that of the newest record is kept" for name in several]
        told += [
            f"{path}: is left out, for it is not the file that a record kept here names by its hash" for path in others
        ]
        return len(at_hand), tuple(told)


def _lines(path: Path, kind: type[_R]) -> list[_Line[_R]]:
    places = ((line, f"{path}:{number}") for number, line in enumerate(disk.whole_lines(path), 1))
    return [_Line(line, read(line, kind, place), place) for line, place in places]


def _is_torn(path: Path) -> bool:
    return path.is_file() and path.read_bytes()[-1:] not in (b"", b"\n")


def _in_order(lines: Iterable[_Line[_Dated]]) -> list[_Line[_Dated]]:
    """By age, and each once: other spaces make no other record."""
    once: dict[bytes, _Line[_Dated]] = {}
    for line in sorted(lines, key=lambda line: (line.record.started, line.raw)):
        once.setdefault(fingerprint(line.record), line)
    return list(once.values())


def _by_age(found: Iterable[_Training]) -> list[_Training]:
    """The same of trainings: only those that began at one time have to be read."""
    in_order: list[_Training] = []
    by_start = attrgetter("outline.started")
    for _, group in itertools.groupby(sorted(found, key=by_start), by_start):
        several = list(group)
        if len(several) > 1:
            once: dict[bytes, _Training] = {}
            for one in sorted(several, key=attrgetter("raw")):
                once.setdefault(fingerprint(one.record), one)
            several = list(once.values())
        in_order += several
    return in_order


def _same(one: Record, other: Record) -> bool:
    assert one.held_out is not None
    assert other.held_out is not None
    predictions = other.held_out.predictions
    return close(one.held_out.predictions, predictions, size(predictions))
