"""Training records that are more than memory holds: outlines of all, and whole ones when they are asked for.

A record of 78 images of nine targets takes 40 kB of memory, its outline half of one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from harness.disk import each_whole_line
from harness.environment import Environment
from harness.judging.metrics import error_to_choose_by
from harness.judging.records import SCHEMA, Cell, OnnxFile, Record, cell_computed_by
from harness.judging.store import NO_RECORD, Head, Store, decoder, fingerprint, read, refuse_other_key, twice
from harness.signals import uninterrupted


class Outline(NamedTuple):
    """A record without what makes it large: which row it is of, and where its line is, `number`, counting from 1, with
    the bytes from `start`. `cell` is that of seed 0, one for all records of a row, as `environment`, of many rows, is.
    """

    number: int
    start: int
    size: int
    key: str
    cell: Cell
    seed: int
    row: str
    status: str
    started: str
    seconds: float
    validation_error: float
    environment: Environment
    source: str
    computed_by: str
    computed_on: str
    onnx: OnnxFile | None = None
    encoding_ms: float | None = None
    unexported: str = ""
    answers: int = 0

    @property
    def of_cell(self) -> str:
        """The part of `row` that says which cells it is of, whatever computed them."""
        return self.row.partition(" ")[0]


class Shelf:
    """The training records of a store, as outlines; `whole` reads those that are asked for.

    Raises RecordsError as `Store.trainings` does: at once for a line that no outline can be made of, and for what is
    wrong with the rest of a line when it is read whole.
    """

    def __init__(self, store: Store) -> None:
        self.store, self._truths = store, store.truths()
        self._units = {(data, split): truth.units for (data, split, _), truth in self._truths.items()}
        self._environments: dict[bytes, Environment] = {}
        self._rows: dict[str, tuple[Cell, str, str, str]] = {}
        self.outlines = self._outlines()

    def whole(self, outlines: Sequence[Outline]) -> list[Record]:
        """The records of these outlines, in their order, with what they were tested on."""
        read_again = zip(outlines, self._read(outlines), strict=True)
        return [self.store.whole(record, self._truths, outline.number) for outline, record in read_again]

    def lines(self, outlines: Sequence[Outline]) -> Iterator[bytes]:
        """Their lines as they stand in the file."""
        if not outlines:  # nor is there a file, perhaps
            return
        with self.store.trainings_file.open("rb") as file:
            for outline in outlines:
                file.seek(outline.start)
                yield file.read(outline.size)

    def place(self, outline: Outline) -> str:
        """Where it stands, as messages name it."""
        return self._place(outline.number)

    def _read(self, outlines: Sequence[Outline]) -> Iterator[Record]:
        for outline, line in zip(outlines, self.lines(outlines), strict=True):
            yield read(line, Record, self.place(outline))

    def _place(self, number: int) -> str:
        return f"{self.store.trainings_file}:{number}"

    def _outlines(self) -> list[Outline]:
        outlines, start = list[Outline](), 0
        alike: dict[tuple[str, str], list[Outline]] = {}  # the same record has one key, and began at one time
        for number, line in enumerate(each_whole_line(self.store.trainings_file), 1):
            outline = self._outline(line, number, start)
            start += len(line) + 1
            outlines.append(outline)
            alike.setdefault((outline.key, outline.started), []).append(outline)
        for some in alike.values():
            if len(some) > 1:
                self._refuse_twice(some)
        return self._answered(outlines)

    def _answered(self, outlines: list[Outline]) -> list[Outline]:
        """With what tells whether a row was made again: asked of cells of several rows alone, for it takes the whole
        records.
        """
        rows: dict[str, set[str]] = {}
        for outline in outlines:
            rows.setdefault(outline.of_cell, set()).add(outline.row)
        several = [outline for outline in outlines if len(rows[outline.of_cell]) > 1]
        answers = {one.number: record.answers for one, record in zip(several, self._read(several), strict=True)}
        return [outline._replace(answers=answers.get(outline.number, 0)) for outline in outlines]

    def _outline(self, line: bytes, number: int, start: int) -> Outline:
        place = self._place(number)
        try:
            with uninterrupted():
                part = decoder(_Part).decode(line)
                if part.schema == SCHEMA:
                    cell, environment = decoder(Cell).decode(part.cell), self._environment(bytes(part.environment))
                    refuse_other_key(place, part)
                else:
                    record = read(line, Record, place)
                    cell, environment = record.cell, record.environment
                    part = decoder(_Part).decode(msgspec.json.encode(record))
        except NO_RECORD:
            read(line, Record, place)  # which says what is wrong, and where in the line
            raise
        of_row = msgspec.structs.replace(cell, seed=0)
        by = cell_computed_by(cell, environment, part.source)
        row = f"{of_row.key} {by}"
        if row not in self._rows:
            self._rows[row] = (of_row, row, by, cell_computed_by(cell, environment, ""))
        of_row, row, by, on = self._rows[row]
        return Outline(
            number=number,
            start=start,
            size=len(line),
            key=str(part.key),
            cell=of_row,
            seed=cell.seed,
            row=row,
            status=part.status,
            started=part.started,
            seconds=part.seconds,
            validation_error=self._validation_error(part, cell),
            environment=environment,
            source=part.source,
            computed_by=by,
            computed_on=on,
            onnx=part.onnx,
            encoding_ms=part.encoding_ms,
            unexported=part.unexported,
        )

    def _validation_error(self, part: _Part, cell: Cell) -> float:
        if not part.validation or not part.held_out:
            return math.inf
        units = self._units.get(cell.question, ())
        return error_to_choose_by(part.validation.mse, part.validation.r2_mean, units)

    def _environment(self, raw: bytes) -> Environment:
        """Many records are of one environment: it is made once."""
        if raw not in self._environments:
            self._environments[raw] = decoder(Environment).decode(raw)
        return self._environments[raw]

    def _refuse_twice(self, some: list[Outline]) -> None:
        first: dict[bytes, int] = {}
        for one, record in zip(some, self._read(some), strict=True):
            same = first.setdefault(fingerprint(record), one.number)
            if same != one.number:
                raise twice(self.store.trainings_file, one.number, same)


class _Validation(msgspec.Struct):
    mse: float
    r2_mean: float | None


class _Part(Head, kw_only=True):
    """What of a line an outline is made of; the rest of the line is passed over, and not made."""

    status: str
    started: str
    seconds: float
    environment: msgspec.Raw
    source: str = ""
    validation: _Validation | None = None
    held_out: msgspec.Raw = msgspec.Raw(b"")
    onnx: OnnxFile | None = None
    encoding_ms: float | None = None
    unexported: str = ""
