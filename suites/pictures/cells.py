"""The cells of a table beside images: of a CSV whose cells commas, semicolons or tabs separate, or of Parquet; and
numbers with decimal commas, as spreadsheets write them where people do.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from suites.microstructure.findings import Unusable
from suites.microstructure.header import is_number
from suites.microstructure.images import file_bytes
from suites.microstructure.table import MOST_ROWS

LAYOUT = "needed are a header, a column that names each image's file, and columns of what is to be predicted"

_LARGEST = 2**26  # bytes
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_SAID = re.compile(r'\A"?sep=[,;\t]"?\r?\n', re.IGNORECASE)  # a spreadsheet's own first line, and no row


def read_cells(path: Path) -> tuple[list[list[str]], list[str]]:
    """Rows of cells, the header first, without blank ones at the end; and what was taken for granted. Raises Unusable
    for what is no table.
    """
    rows, told = (_parquet(path), []) if path.suffix.lower() == ".parquet" else _csv(path)
    while rows and not any(map(str.strip, rows[-1])):
        rows.pop()
    if not rows:
        raise Unusable("empty: " + LAYOUT)
    return rows, told


def _csv(path: Path) -> tuple[list[list[str]], list[str]]:
    text, told = _decoded(file_bytes(path, _LARGEST, ": this is no table of images"))
    text = _SAID.sub("", text)
    head = text.partition("\n")[0]
    likely = sorted(_SEPARATORS, key=head.count, reverse=True)
    found: dict[str, list[list[str]]] = {}
    problems: dict[str, Unusable] = {}
    for separator in likely:
        try:
            found[separator] = _separated(text, separator)
        except Unusable as problem:
            problems[separator] = problem
    rows = max(found.values(), key=_fits, default=[])
    if likely[0] in problems and not _fits(rows)[0]:
        raise problems[likely[0]]
    if len(head.split()) > 1 and not any(separator in head for separator in _SEPARATORS):
        _refuse_spaces(rows)
    if len(rows) > MOST_ROWS:
        raise Unusable(f"more than {MOST_ROWS} rows: this is no table of images")
    return rows, told


def _decoded(data: bytes) -> tuple[str, list[str]]:
    """The text of a CSV, of what spreadsheets write: UTF-8, or Windows-1252 where that is told. Raises Unusable."""
    if b"\0" not in data:  # which no text has in either
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode().lstrip("\ufeff"), []  # byte order marks: joining files leaves several
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode("cp1252"), ["not UTF-8, read as Windows-1252: if letters are wrong, save it as UTF-8"]
    raise Unusable("not UTF-8 text: save it as CSV (UTF-8)")


def _separated(text: str, separator: str) -> list[list[str]]:
    """Rows of cells, at most one more than are read. Raises Unusable where a cell is quoted in another way."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    try:
        return list(itertools.islice(reader, MOST_ROWS + 1))
    except csv.Error as error:
        remedy = "put a cell with such a mark between quotation marks, and write each inside of it twice"
        told = f"line {reader.line_num}, read as separated by {_SEPARATORS[separator]}: {error}"
        raise Unusable(f"not a CSV: {told}: {remedy}") from None


def _refuse_spaces(rows: Sequence[Sequence[str]]) -> None:
    """Raise Unusable where spaces separate the cells of each row."""
    widths = {len(row[0].split()) for row in rows if row and row[0].strip()}
    if len(widths) == 1 and all(len(row) <= 1 for row in rows):
        raise Unusable(f"its cells are separated by spaces: write one of {', '.join(_SEPARATORS.values())} there")


def _fits(rows: Sequence[Sequence[str]]) -> tuple[bool, int]:
    """What tells the separator of a table from another character: all rows are then as long, and long."""
    width = len(rows[0]) if rows else 0
    return width > 1 and all(len(row) in (0, width) for row in rows), width


def _parquet(path: Path) -> list[list[str]]:
    if importlib.util.find_spec("pyarrow") is None:
        raise Unusable("reading Parquet needs pyarrow: pip install 'cijbench[parquet]', or save it as CSV")
    import pandas  # noqa: PLC0415  a second that nobody waits for who has a CSV

    try:
        frame = pandas.read_parquet(path, engine="pyarrow")
    except Exception as error:  # what a damaged file raises depends on which of its bytes are damaged
        raise Unusable(f"not a Parquet file: {str(error)[:100]}") from None
    counted = frame.index.name is None and pandas.api.types.is_numeric_dtype(frame.index)
    frame = frame if counted else frame.reset_index()  # which may hold the names of the files
    lacking = frame.map(lambda cell: cell is None or (pandas.api.types.is_scalar(cell) and pandas.isna(cell)))
    cells = frame.astype(str).where(~lacking, "")
    return [[str(name) for name in frame.columns], *cells.to_numpy().tolist()]


def mostly_numbers(column: Sequence[str]) -> bool:
    """Of the cells that are filled; a few that are no numbers are mistakes to be told, not another kind of column."""
    filled = [cell for cell in column if cell]
    return 2 * sum(map(is_number, filled)) > len(filled)


_MARKED = re.compile(r"[+-]?\d[\d.]*(,[\d.]+)+(e[+-]?\d+)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


def decimal_commas(columns: dict[str, list[str]], names: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The same columns, those among `names` with points where they have decimal commas; and which these are. A cell as
    0,5 in any column says that commas are such in all of the table.

    Raises Unusable for a column whose commas may be something else.
    """
    marked = [cell for cells in columns.values() if _has_commas(cells) for cell in cells]
    certain = any(_COMMA.fullmatch(cell) and not _THOUSANDS.fullmatch(cell) for cell in marked)
    found = {name: _with_points(name, columns[name], certain) for name in names if _has_commas(columns[name])}
    return columns | found, list(found)


def _has_commas(cells: Sequence[str]) -> bool:
    marked = sum(_MARKED.fullmatch(cell) is not None for cell in cells)
    return marked > 0 and 2 * (marked + sum(map(is_number, cells))) > sum(map(bool, cells))


def _with_points(name: str, cells: Sequence[str], certain: bool) -> list[str]:
    marked: dict[str, int] = {}
    for row, cell in enumerate(cells, 1):
        if _MARKED.fullmatch(cell):
            marked.setdefault(cell, row)
    remedy = "write points as decimal marks and nothing between thousands, or name other columns with targets="
    both = next((cell for cell in marked if not _COMMA.fullmatch(cell)), None)
    if both is None and any("." in cell and is_number(cell) for cell in cells):
        both = next(iter(marked))
    if both is not None:
        what = f"'{both[:20]}' in row {marked[both]}, and points or several commas: which is the decimal mark?"
        raise Unusable(f"column '{name[:40]}' has commas, as {what} {remedy[0].upper()}{remedy[1:]}")
    if not certain and all(map(_THOUSANDS.fullmatch, marked)):
        cell, row = next(iter(marked.items()))
        what = f"'{cell[:20]}' in row {row} may be {cell.replace(',', '')} or {cell.replace(',', '.')}: {remedy}"
        raise Unusable(f"column '{name[:40]}': {what}")
    return [cell.replace(",", ".") if cell in marked else cell for cell in cells]


_HUNDREDS = re.compile(r"[+-]?[1-9]\d\d")
_POINTED = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")


def refuse_thousands(columns: dict[str, list[str]], names: Iterable[str], commas: bool) -> None:
    """Raise Unusable for a column whose points may be between thousands: in a table of decimal `commas`, or where
    whole numbers of three digits, as 946, stand among numbers such as 1.120.
    """
    for name in names:
        pointed = [cell for cell in columns[name] if "." in cell and is_number(cell)]
        hundreds = any(map(_HUNDREDS.fullmatch, columns[name]))
        if pointed and (commas or hundreds) and all(map(_POINTED.fullmatch, pointed)):
            cell, row = pointed[0], columns[name].index(pointed[0]) + 1
            why = "other columns have decimal commas" if commas else "others have three digits and no point"
            what = f"'{cell[:20]}' in row {row} may be {cell.replace('.', '')}, for {why}"
            remedy = f"write nothing between thousands, or {cell[:20]}0 if that is what it is"
            raise Unusable(f"column '{name[:40]}': {what}: {remedy}")
