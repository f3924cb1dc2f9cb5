"""`key=value` words to a struct, and a struct to help text.

The options of a command are the fields of a msgspec struct: their names, types, defaults and descriptions are all that
is parsed, checked and shown, so there is no second list to keep true.
"""

from __future__ import annotations

import shutil
import textwrap
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from harness import registry
from harness.disk import expanded
from harness.errors import BenchError
from harness.signals import uninterrupted
from harness.text import nearest, shown


def parse(command: str, options: type[msgspec.Struct], words: list[str]) -> msgspec.Struct:
    """`key=value` words as an options struct. Raises BenchError naming the nearest valid key or value."""
    fields, suites = _fields(options), _of_suites(options)
    theirs = {key for suite in suites.values() for key in suite}
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise BenchError(f"'{word}' is not of the form key=value; see `bench {command} --help`")
        if key not in fields and key not in theirs:
            raise BenchError(f"bench {command} has no option '{key}'{nearest(key, (*fields, *sorted(theirs)))}")
        if key in values:
            raise BenchError(f"{key}= is given twice")
        if shown(value) != value or "\n" in value:  # zero bytes, line ends, and bytes that are no UTF-8
            raise BenchError(f"{key}={value!a}: contains characters that are not text")
        values[key] = _value(key, value, fields[key]) if key in fields else value
    for field in fields.values():
        if field.required and field.name not in values:
            raise BenchError(f"bench {command} needs {field.name}=; see `bench {command} --help`")
        needed = field.required or (_meta(field).extra == IS_PATH and field.default != "")
        if needed and values.get(field.name) == "":  # of a variable that is not set: no folder is meant
            raise BenchError(f"{field.name}=: is empty; see `bench {command} --help`")
    own = {key: values.pop(key) for key in theirs & values.keys()}
    try:
        with uninterrupted():
            asked = values | ({"own": own} if suites else {})
            return msgspec.convert(asked, options, strict=False, dec_hook=lambda kind, value: kind(value))
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        key = place.strip("`$.")
        raise BenchError(f"{key}={values.get(key, '')}: {_in_words(message)}") from None


def _fields(options: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(options) if field.name != "own"}


def _of_suites(options: type[msgspec.Struct]) -> dict[str, dict[str, str]]:
    """The suites' own options for this command, with their help; the struct has them in `own`, where it takes any. What
    is called as an option of the command is no suite's: a package must not change what the others are asked.
    """
    taken = _fields(options)
    for field in msgspec.structs.fields(options):
        if field.name == "own":
            what = (_meta(field).extra or {})["of"]
            known = {name: registry.options(name, what) for name in registry.names("suites")}
            return {name: {key: told for key, told in own.items() if key not in taken} for name, own in known.items()}
    return {}


def _value(key: str, value: str, field: msgspec.structs.FieldInfo) -> str:
    literals = [str(choice) for choice in _choices(field.type)]
    if literals and value not in literals:
        named = list(filter(None, literals))  # empty is the default, and no word
        raise BenchError(f"{key}={value}: must be one of {', '.join(named)}{nearest(value, named)}")
    return expanded(key, value) if _meta(field).extra == IS_PATH else value


IS_PATH = {"path": True}
"""`extra` of the `msgspec.Meta` of an option whose value is a path, which is `expanded`."""


def _meta(field: msgspec.structs.FieldInfo) -> msgspec.Meta:
    """What an option's type says of it besides."""
    meta: msgspec.Meta = getattr(field.type, "__metadata__", (msgspec.Meta(),))[0]
    return meta


def _in_words(message: str) -> str:
    """What msgspec says of a value, as a user would say it."""
    for theirs, ours in _WORDS.items():
        if message.startswith(theirs):
            return ours + message.removeprefix(theirs).partition(", got")[0]
    return message


_WORDS = {
    "Expected `int` >= ": "must be a whole number of at least ",
    "Expected `float` >= ": "must be a number of at least ",
    "Expected `float` <= ": "must be a number of at most ",
    "Expected `int` <= ": "must be a whole number of at most ",
    "Expected `int`": "must be a whole number",
    "Expected `float`": "must be a number",
    "Expected `bool`": "must be true or false",
    "Expected `str` of length >= 1": "names no file",
}


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The words that an option may be, none where it may be any; of a choice among several such, those of all."""
    kind = get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation
    literals = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if any(get_origin(literal) is not Literal for literal in literals):
        return ()
    return tuple(word for literal in literals for word in get_args(literal))


def describe(command: str, options: type[msgspec.Struct]) -> str:
    """The help text of a command: what it does, and each option with its meaning, choices and default."""
    lines = [f"usage: bench {command} key=value ...", "", summary(options), ""]
    for field in _fields(options).values():
        described = _meta(field).description or ""
        choices, default = [str(choice) for choice in _choices(field.type) if choice != ""], field.default
        if isinstance(default, bool):
            choices, default = ["true", "false"], str(default).lower()  # as they are typed
        described += f" ({' or '.join(choices)})" if choices else ""
        described += " [required]" if field.required else f" [default: {default}]" if default != "" else ""
        lines.append(_line(field.name, described))
    for suite, own in _of_suites(options).items():
        if own:
            lines += ["", f"options of suite {suite}:", *(_line(key, described) for key, described in own.items())]
    return "\n".join(lines)


def _line(key: str, described: str) -> str:
    width = max(60, shutil.get_terminal_size().columns)
    return textwrap.fill(described, width, initial_indent=f"  {key + '=':<17}", subsequent_indent=" " * 19)


def summary(options: type[msgspec.Struct]) -> str:
    """What a command does: the docstring of its options."""
    return (options.__doc__ or "").strip()
