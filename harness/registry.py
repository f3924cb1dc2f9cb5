"""File name = plug-in name. Lists plug-ins without importing them, imports one by name, and offers the nearest name.

There is no second list to edit: a module dropped into `backends/` or `suites/` is found, and so is one that an
installed package names as an entry point. What must be known of a backend before it is imported (its framework may be
missing, or must not share this process) are literals at its module level, read from the source text.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from harness import plug_ins, syntax
from harness.errors import BenchError
from harness.text import nearest

if TYPE_CHECKING:  # help texts are made from here, and do not wait for NumPy
    from types import ModuleType

    from harness.protocol import Backend, Suite

Kind = Literal["backends", "suites"]
_Word = TypeVar("_Word", bound=str)
_HOUSE = Path(__file__).parent.parent


@cache
def names(kind: Kind) -> tuple[str, ...]:
    """The plug-ins of a kind, in alphabetical order. Raises BenchError where a package's is called as one of ours."""
    ours = [path.stem for path in (_HOUSE / kind).glob("*.py") if not path.stem.startswith("_")]
    theirs = plug_ins.installed(kind)
    for name in theirs.keys() & set(ours):
        raise BenchError(f"{plug_ins.told(theirs[name])}: cijbench has one of that name: uninstall that package")
    return tuple(sorted({*ours, *theirs}))


def module(kind: Kind, name: str) -> tuple[Path, str]:
    """The dotted module of a plug-in, and the folder that its top-level package lies in, without importing it."""
    point = plug_ins.installed(kind).get(name)
    return (plug_ins.folder(point), point.module) if point else (_HOUSE, f"{kind}.{name}")


def unknown(word: str, known: Iterable[str], what: str) -> BenchError:
    """The error for a word that is not known, naming the nearest known one, or all of them."""
    return BenchError(f"unknown {what} '{word}'{nearest(word, known)}")


def choose(word: str, known: Iterable[_Word], what: str) -> tuple[_Word, ...]:
    """A comma-separated choice among `known`; `all` is every one of them. Raises BenchError for an unknown word."""
    words = {str(one): one for one in known}
    chosen = dict.fromkeys(part.strip() for part in word.split(","))
    for part in chosen:
        if part not in (*words, "all"):
            raise unknown(part, (*words, "all"), what)
    return tuple(words[part] for part in (words if "all" in chosen else chosen))


def suite(name: str) -> Suite:
    """Import a suite. Raises BenchError if there is none of that name, and where it is none."""
    module = _load("suites", name)
    _settle(name, module)
    return cast("Suite", module)


def backend(name: str) -> Backend:
    """Import a backend, and with it its framework. Raises BenchError if there is none of that name."""
    return cast("Backend", _load("backends", name))


def onnx() -> Any:
    """The ONNX Runtime backend, whose functions for files the harness itself uses."""
    return importlib.import_module("backends.onnx")


def foreign(kind: str) -> Any:
    """What looks at models that are not ours: `keras`, `torch`, `jax` or `onnx`; imports that framework."""
    return importlib.import_module(f"backends._{kind}_foreign")


def gradcam(backend: str) -> Any:
    """What makes Grad-CAM maps of a backend's models, its framework imported. Raises NotImplementedError where nothing
    does.
    """
    if not (_HOUSE / "backends" / f"_{backend}_gradcam.py").is_file():
        raise NotImplementedError(f"{backend} gives no gradients by activations")
    return importlib.import_module(f"backends._{backend}_gradcam")


def lighter() -> Any:
    """What makes exported models lighter."""
    return importlib.import_module("backends._onnx_lighter")


def openvino() -> Any:
    """OpenVINO, another runtime for exported models; not installed everywhere."""
    return importlib.import_module("backends._openvino")


def has_openvino() -> bool:
    """Whether it is installed."""
    return importlib.util.find_spec("openvino") is not None


@cache
def _settle(name: str, module: ModuleType) -> None:
    from harness import contract  # noqa: PLC0415  it waits for NumPy, as the suite did

    contract.settle(name, module)


def _load(kind: Kind, name: str) -> ModuleType:
    if name not in names(kind):
        raise unknown(name, names(kind), kind.removesuffix("s"))
    try:
        return importlib.import_module(module(kind, name)[1])
    except Exception as error:
        if point := plug_ins.installed(kind).get(name):
            raise BenchError(f"{plug_ins.told(point)}: importing it raised {type(error).__name__}: {error}") from error
        raise


@cache
def trains(name: str) -> tuple[str, ...]:
    """Tags of the architectures that a backend trains, without importing it."""
    return tuple(_literal("backends", name, "TRAINS"))


@cache
def computes_with(name: str) -> tuple[str, ...]:
    """Distributions whose versions change what a backend computes, without importing any; "" for an unknown backend."""
    return tuple(_literal("backends", name, "COMPUTES_WITH")) if name in names("backends") else ()


@cache
def options(name: str, what: Literal["OPTIONS", "MAKE_OPTIONS"]) -> dict[str, str]:
    """A suite's own options and their help, without importing it."""
    return dict(_literal("suites", name, what))


def own_options(name: str, given: Mapping[str, str]) -> dict[str, str]:
    """Of what was said of a data set, what is an option of this suite: of several each is told what is its own."""
    known = options(name, "OPTIONS")
    return {key: value for key, value in given.items() if key in known}


def refuse_others(
    chosen: Sequence[str], given: Mapping[str, str], what: Literal["OPTIONS", "MAKE_OPTIONS"] = "OPTIONS"
) -> None:
    """Raise BenchError for an option of a suite that is an option of none of these."""
    known = {key for name in chosen for key in options(name, what)}
    for key, value in given.items():
        if key not in known:
            having = [name for name in names("suites") if key in options(name, what)]
            raise BenchError(f"{key}={value}: is an option of suite {', '.join(having)}, not of {', '.join(chosen)}")


@cache
def reads_folders(name: str) -> bool:
    """Whether a suite takes a user's own data, without importing it."""
    return bool(_literal("suites", name, "READS_FOLDERS"))


@cache
def with_data() -> tuple[str, ...]:
    """The suites that ship data, which are all but one for whatever data a user gives."""
    return tuple(name for name in names("suites") if _literal("suites", name, "SHIPS_DATA", True))


ENGINE = "KERAS_BACKEND"
"""The environment variable that chooses among the engines of a backend, as Keras reads it."""


@cache
def engines(name: str) -> dict[str, tuple[str, ...]]:
    """The engines that a backend has the choice of, the usual one first, and the packages that each needs, without
    importing any; none where it has no choice.
    """
    return dict(_literal("backends", name, "ENGINES", ()))


def missing(name: str, engine: str = "") -> tuple[str, ...]:
    """Packages that a backend needs and that are not installed, without importing any. With no `engine`, it is to run
    on the one that the environment chooses. Raises BenchError for an engine that it does not know.
    """
    choice = engines(name)
    chosen = engine or os.environ.get(ENGINE) or next(iter(choice), "")
    if choice and chosen not in choice:
        raise unknown(chosen, choice, f"{ENGINE} of {name}")
    needed = (*_literal("backends", name, "REQUIRES"), *choice.get(chosen, ()))
    return tuple(package for package in needed if importlib.util.find_spec(package) is None)


@cache
def _literal(kind: Kind, name: str, constant: str, absent: Any = None) -> Any:
    path = plug_ins.file(*module(kind, name))
    for node in reversed(syntax.parsed(path).body):  # the last one counts, as it does when the module is run
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == constant for target in targets):
                with contextlib.suppress(ValueError):
                    return ast.literal_eval(node.value)
                absent = None
    if absent is not None:
        return absent
    raise BenchError(f"{path} must define {constant} as a literal: see harness/protocol.py")
