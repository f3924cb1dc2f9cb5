"""Records on disk: how they are appended, and loaded again whatever their schema.

They are JSON lines, one file for trainings and one for latencies per suite (`results/records/<suite>/`). A line is
written whole, flushed to disk before its cell counts as done, and never edited afterwards. What many records of the
same data, split and test share stands in a file of its own, once.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec

from harness import disk
from harness.errors import BenchError
from harness.judging.older import upgraded
from harness.judging.records import (
    SCHEMA,
    Deployment,
    HeldOut,
    LatencyRecord,
    Record,
    Truth,
    same_constants,
)
from harness.signals import uninterrupted
from harness.text import without_patterns

READABLE = (1, 2, 3, SCHEMA)


class RecordsError(BenchError):
    """A records file that cannot be believed: the message names file, line and fault."""


class Store:
    """The records of one suite under a results folder."""

    def __init__(self, results: Path, suite: str) -> None:
        self.results, self.suite = results, suite
        self.folder = results / "records" / suite
        self.trainings_file = self.folder / "trainings.jsonl"
        self.latencies_file = self.folder / "latencies.jsonl"
        self.truths_file = self.folder / "truths.jsonl"
        self.deployments_file = self.folder / "deployments.jsonl"

    def trainings(self) -> list[Record]:
        """Every training record, oldest first. Raises RecordsError for a line that is not one, or not of here."""
        records, truths = _load(self.trainings_file, Record), self.truths()
        return [self.whole(record, truths, number) for number, record in enumerate(records, 1)]

    def whole(self, record: Record, truths: Mapping[tuple[str, str, str], Truth], number: int) -> Record:
        """The record of line `number` with what it was tested on. Raises RecordsError where it is not of here."""
        place = f"{self.trainings_file}:{number}"
        if record.cell.suite != self.suite:
            raise RecordsError(f"{place}: a record of suite {record.cell.suite}, not of {self.suite}")
        try:
            return with_truth(record, truths)
        except ValueError as wrong:
            raise RecordsError(f"{place}: {wrong}") from None
        except KeyError as lacking:
            raise RecordsError(
                f"{place}: what it was tested on ({lacking.args[0]}) is not in {self.truths_file.name}: that file "
                "belongs to this one"
            ) from None

    def truths(self) -> dict[tuple[str, str, str], Truth]:
        """What records were tested on. Raises RecordsError where two of them contradict each other."""
        truths: dict[tuple[str, str, str], Truth] = {}
        for truth in _load(self.truths_file, Truth):
            known = truths.setdefault(truth.of, truth)
            if not same_constants(known, truth):
                raise RecordsError(f"{self.truths_file}: two lines name the same data, split and test, and differ")
            if truth.clusters:  # older lines lack them
                truths[truth.of] = msgspec.structs.replace(known, clusters=truth.clusters)
        return truths

    def latencies(self) -> list[LatencyRecord]:
        """Every latency record, oldest first. Raises RecordsError for a line that is not one."""
        return _load(self.latencies_file, LatencyRecord)

    def deployments(self) -> list[Deployment]:
        """Every record of a model in another runtime, oldest first. Raises RecordsError for a line that is not one."""
        return _load(self.deployments_file, Deployment)

    def append(self, record: Record | LatencyRecord | Deployment) -> None:
        """Add a record and return once it is on disk, what it was tested on before it."""
        for folder in (self.folder.parent, self.folder):  # not the results folder: what was taken away stays away
            folder.mkdir(exist_ok=True)
        if not isinstance(record, Record):
            path = self.latencies_file if isinstance(record, LatencyRecord) else self.deployments_file
            disk.append_line(path, msgspec.json.encode(record))
            return
        record, truths = _without_truth(record)
        known = self.truths() if truths else {}
        for truth in truths:
            before = known.setdefault(truth.of, truth)
            if not same_constants(before, truth):
                raise RecordsError(
                    f"{self.truths_file}: {record.cell.title} was tested on other constants than the records of the "
                    "same data and split"
                )
            if before is truth or (truth.clusters and not before.clusters):
                disk.append_line(self.truths_file, msgspec.json.encode(truth))
        disk.append_line(self.trainings_file, msgspec.json.encode(record))

    def mend(self) -> list[str]:
        """Set aside the ends of lines whose writer was killed; what to tell of it."""
        files = (self.trainings_file, self.latencies_file, self.truths_file, self.deployments_file)
        torn = {path: disk.mend(path) for path in files}
        return [
            f"{path}: its last line was torn by a run that was killed, and is set aside in {aside.name}"
            for path, aside in torn.items()
            if aside
        ]


_R = TypeVar("_R", Record, LatencyRecord, Truth, Deployment)


class Head(msgspec.Struct):
    """What records of every schema have, and what a key is the hash of, as it stands in the file."""

    schema: int
    key: object = None
    cell: msgspec.Raw = msgspec.Raw(b"null")


# The last three from lines of an older schema that were edited.
NO_RECORD = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, KeyError, AttributeError, TypeError)


def _load(path: Path, kind: type[_R]) -> list[_R]:
    records = []
    first: dict[bytes, int] = {}  # of records as we would write them: other spaces make no other record
    # What follows the last newline was torn by a writer that was killed: `append` and `mend` set it aside.
    for number, line in enumerate(disk.each_whole_line(path), 1):
        record = read(line, kind, f"{path}:{number}")
        records.append(record)
        same = first.setdefault(fingerprint(record), number)
        if same != number:
            raise twice(path, number, same)
    return records


def fingerprint(record: Record | LatencyRecord | Truth | Deployment) -> bytes:
    """Equal for the same record, however its line is spaced."""
    return hashlib.sha256(msgspec.json.encode(record)).digest()


def twice(path: Path, number: int, same: int) -> RecordsError:
    """What to raise where two lines are the same record."""
    return RecordsError(f"{path}:{number}: the same record as in line {same}: take one of them out")


def read(line: bytes, kind: type[_R], place: str) -> _R:
    """One line as a record of this schema, whatever its own. Raises RecordsError, which names its `place`, for what is
    none.
    """
    with uninterrupted(), _readable(place):
        head = decoder(Head).decode(line)
        _refuse_schema(place, head.schema)
        if head.schema < SCHEMA:
            record = msgspec.convert(upgraded(msgspec.json.decode(line)), kind)
        else:
            record = decoder(kind).decode(line)
        if kind is Record:
            refuse_other_key(place, head)
        return record


@contextlib.contextmanager
def _readable(place: str) -> Iterator[None]:
    """Raise RecordsError, which names the `place` of a line, for what it lacks."""
    try:
        yield
    except NO_RECORD as error:
        told = without_patterns(f"it lacks {error}" if isinstance(error, KeyError) else str(error))
        raise RecordsError(
            f"{place}: not a record of schema {SCHEMA}: {told}. Take the line out, or move the file aside, to go on"
        ) from None


_K = TypeVar("_K")


@cache
def decoder(kind: type[_K]) -> msgspec.json.Decoder[_K]:
    """One for each kind, for to make one takes longer than to use it."""
    return msgspec.json.Decoder(kind)


def _refuse_schema(place: str, found: int) -> None:
    if found not in READABLE:
        remedy = "update cijbench" if found > SCHEMA else "move the file aside"
        known = ", ".join(map(str, READABLE))
        raise RecordsError(
            f"{place}: schema {found}, and this version reads {known}: {remedy}, or choose another results="
        )


def refuse_other_key(place: str, head: Head) -> None:
    """A key is the hash of the cell as it stands in the file, whatever its schema."""
    cell = msgspec.json.encode(msgspec.json.decode(head.cell), order="sorted")
    key = hashlib.sha256(cell).hexdigest()[:16]
    if head.key != key:
        raise RecordsError(
            f"{place}: the key {head.key} is not the hash of its cell, {key}: the line was edited after it was written"
        )


def with_truth(record: Record, truths: Mapping[tuple[str, str, str], Truth]) -> Record:
    """The record as it was before `_without_truth`. Raises KeyError for a test of which there is no truth, and
    ValueError where the record has one of its own, which is another.
    """

    def filled(held_out: HeldOut) -> HeldOut:
        of = (record.cell.data_hash, record.cell.split_hash, held_out.test)
        if of not in truths:
            if held_out.truth:  # of a schema before 4
                return held_out
            raise KeyError(f"test '{held_out.test}' of data {of[0][:12]}, split {of[1][:12]}")
        if held_out.truth and not same_constants(held_out, truths[of]):
            raise ValueError(f"names published data and split, and has other constants of test '{held_out.test}'")
        known = {name: getattr(truths[of], name) for name in _OF_TRUTH}
        return msgspec.structs.replace(held_out, **known)

    return _each_held_out(record, filled)


def _without_truth(record: Record) -> tuple[Record, list[Truth]]:
    """The record as it is kept, and what it was tested on."""
    truths: list[Truth] = []

    def taken_out(held_out: HeldOut) -> HeldOut:
        known = {name: getattr(held_out, name) for name in _OF_TRUTH}
        cell = record.cell
        truths.append(
            Truth(schema=SCHEMA, data_hash=cell.data_hash, split_hash=cell.split_hash, test=held_out.test, **known)
        )
        return HeldOut(held_out.predictions, held_out.test)

    return _each_held_out(record, taken_out), truths


_OF_TRUTH = ("ids", "targets", "units", "truth", "train_mean", "clusters")


def _each_held_out(record: Record, change: Callable[[HeldOut], HeldOut]) -> Record:
    held_out = record.held_out and change(record.held_out)
    others = {
        name: msgspec.structs.replace(tested, held_out=change(tested.held_out))
        for name, tested in record.others.items()
    }
    return msgspec.structs.replace(record, held_out=held_out, others=others)
