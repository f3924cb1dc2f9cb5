"""A variant in a TOML file, which says what the suites' own say in Python: architecture, recipes, encoding, decoding.

What is wrong with it is told by its line, with the nearest of what might stand there.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec
import msgspec.inspect

from harness.errors import BenchError
from harness.model.architecture import Estimator, Imported
from harness.model.variants import Architecture, Encoding, Recipe, Search, Variant
from harness.text import Name, nearest, one_line, without_patterns

LARGEST = 100_000
"""Bytes of a file that is read as one: a variant is a page."""


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What such a file may say; see `Variant`."""

    architecture: Architecture
    recipes: tuple[Recipe, ...] = ()
    encoding: Encoding | None = None
    decoding: Encoding | None = None
    originals: Annotated[int, msgspec.Meta(ge=2)] | msgspec.UnsetType = msgspec.UNSET


def read(path: Path) -> Variant:
    """The variant of a file, whose name is the file's. Raises BenchError, with the line where there is one, for what is
    none.
    """
    if not path.is_file():
        raise BenchError(f"variant={path}: there is no such file")
    if path.stat().st_size > LARGEST:
        raise BenchError(f"{path}: has more than {LARGEST} bytes, too many for a variant")
    try:
        name, text = msgspec.convert(path.stem, Name), path.read_text(encoding="utf-8-sig")  # as Windows marks it
        raw = tomllib.loads(text)
    except msgspec.ValidationError:
        raise BenchError(
            f"{path}: a variant is named after its file: only letters, digits, dots, - and _ are allowed"
        ) from None
    except UnicodeDecodeError as error:
        raise BenchError(f"{path}: is no UTF-8: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise BenchError(f"{path}: is no TOML: {error}") from None
    try:
        written = msgspec.convert(raw, Written)
    except msgspec.ValidationError as error:
        line, told = _told(str(error), raw, text)
        raise BenchError(one_line(f"{path}, line {line}: {told}")) from None
    # A search's stand in its configurations.
    if written.recipes and isinstance(written.architecture, Estimator | Search):
        raise BenchError(f"{path}, line {_line(text, ('recipes',))}: only what is trained by gradient has recipes")
    if isinstance(written.architecture, Imported) and written.architecture != Imported(written.architecture.path):
        raise BenchError(f"{path}: framework and source are determined from the code: leave them out")
    return Variant(name, "", **{field: getattr(written, field) for field in Written.__struct_fields__})


Step = str | int


def _told(error: str, raw: Any, text: str) -> tuple[int, str]:
    """The line of what msgspec found, and that in words."""
    message, _, place = error.partition(" - at `$")
    steps = tuple(int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]`]+", place))
    kind = _kind(steps, raw)
    if found := re.search("unknown field `(.*)`", message):
        return _line(text, (*steps, found[1])), f"unknown key '{found[1]}'{nearest(found[1], _keys(kind))}"
    if found := re.search("missing required field `(.*)`", message):
        return _line(text, steps), f"{'.'.join(map(str, steps)) or 'the file'} lacks {found[1]}"
    if found := re.search("(?:Invalid value|Invalid enum value) '(.*)'", message):
        return _line(text, steps), f"{steps[-1]} = '{found[1]}'{nearest(found[1], _values(kind))}"
    return _line(text, steps), f"{'.'.join(map(str, steps))}: {without_patterns(message)}"


def _line(text: str, steps: tuple[Step, ...]) -> int:
    """The first line with which the file, read so far, holds what these steps lead to."""
    lines = text.splitlines()
    for number in range(1, len(lines) + 1):
        for ending in ("", "]", "]]"):  # amid an array
            try:
                found = tomllib.loads("\n".join(lines[:number]) + ending)
                for step in steps:
                    found = found[step]  # type: ignore[index]
            except (tomllib.TOMLDecodeError, KeyError, IndexError, TypeError):
                continue
            return number
    return max(1, len(lines))


def _kind(steps: tuple[Step, ...], raw: Any) -> msgspec.inspect.Type:
    """What should stand where these steps lead to."""
    kind: msgspec.inspect.Type = msgspec.inspect.type_info(Written)
    for step in steps:
        members = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
        structs = [one for one in members if isinstance(one, msgspec.inspect.StructType)]
        arrays = [one.item_type for one in members if isinstance(one, msgspec.inspect.VarTupleType)]
        tables = [one.value_type for one in members if isinstance(one, msgspec.inspect.DictType)]
        if step == "type":
            return msgspec.inspect.LiteralType(tuple(str(one.tag) for one in structs))
        named = [one for one in structs if one.tag is None or one.tag == raw.get("type")]
        fields = {field.name: field.type for one in named for field in one.fields}
        kind = next(iter([*([fields[step]] if step in fields else []), *arrays, *tables]))
        raw = raw[step]
    return _chosen(kind, raw)


def _chosen(kind: msgspec.inspect.Type, raw: Any) -> msgspec.inspect.Type:
    """Of several structs the one that the value says it is."""
    if isinstance(kind, msgspec.inspect.UnionType) and isinstance(raw, dict):
        structs = [one for one in kind.types if isinstance(one, msgspec.inspect.StructType)]
        return next((one for one in structs if one.tag in (None, raw.get("type"))), kind)
    return kind


def _keys(kind: msgspec.inspect.Type) -> list[str]:
    if not isinstance(kind, msgspec.inspect.StructType):
        return []
    return [*([kind.tag_field] if kind.tag_field else []), *(field.name for field in kind.fields)]


def _values(kind: msgspec.inspect.Type) -> list[str]:
    return [str(value) for value in kind.values] if isinstance(kind, msgspec.inspect.LiteralType) else []
