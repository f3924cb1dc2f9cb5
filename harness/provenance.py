"""What computed a record: the packages that its backend computes with, the machine, and the source of its numbers.

A record is current where all of these are as they are here. A newer pandas changes no number, so it does not count;
neither do comments, docstrings and the code that judges and shows. The source is known by a hash and not by a commit:
most commits change nothing that a given backend computes.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness import plug_ins, registry, syntax
from harness.environment import Environment, switches
from harness.text import Device

_HOUSE = Path(__file__).parent.parent

# What every cell's numbers go through, whatever its backend and suite.
_COMMON = (
    "harness/protocol.py",
    "harness/model/*.py",
    "harness/running/data.py",
    "harness/running/calibration.py",
    "harness/running/centring.py",
    "harness/running/training.py",
    "harness/running/view.py",
    "harness/running/worker.py",
)


@cache
def source(backend: str, suite: str) -> str:
    """SHA-256 (hex) of the source that can change the numbers of a cell: what all cells go through, the backend with
    its own modules, and of the suite what its data, split, encodings and figures are made by. Its variants are not
    among that, for a cell has its own. Comments, docstrings and layout do not count.
    """
    used, files = _of_suite(suite, _OF_SUITE)
    return _digest(used, files | _ours(*_COMMON) | _of_backend(backend))


@cache
def source_of_side(backend: str) -> str:
    """SHA-256 (hex) of the source that can change what a side of `bench parity` computes in a backend, as `source`."""
    return _source_of(backend, "harness/parity/side.py", "harness/running/fields.py", f"backends/_{backend}_gradcam.py")


@cache
def source_of_pretraining(backend: str) -> str:
    """SHA-256 (hex) of the source that can change what `bench weights make` trains of given images, as `source`."""
    return _source_of(backend, "harness/running/pretraining.py", "harness/running/view.py")


@cache
def source_of_drawing(suite: str) -> str:
    """SHA-256 (hex) of the source that can change what images and labels a suite draws without end, as `source`."""
    return _digest(*_of_suite(suite, ("PRETRAINING",)))


@cache
def source_of_deployment() -> str:
    """SHA-256 (hex) of the source that can change what `bench deploy` makes of a model, as `source`."""
    modules = ("backends._onnx_lighter", "backends._openvino")
    return _digest({}, _ours("harness/running/deploy.py") | _reached(modules, {"backends": _HOUSE}))


def _source_of(backend: str, *modules: str) -> str:
    return _digest({}, _ours("harness/protocol.py", "harness/model/*.py", *modules) | _of_backend(backend))


Files = dict[Path, Path]
"""Files of source by their paths below the folder that their package lies in."""


def _ours(*patterns: str) -> Files:
    return {path.relative_to(_HOUSE): path for pattern in patterns for path in _HOUSE.glob(pattern)}


def _of_backend(name: str) -> Files:
    module, roots = _plug_in("backends", name)
    return _reached([module], roots)


def _of_suite(suite: str, names: Iterable[str]) -> tuple[dict[str, ast.stmt], Files]:
    """What of a suite's module these names use, and the modules that this imports."""
    module, roots = _plug_in("suites", suite)
    used = _used(plug_ins.file(roots[module.partition(".")[0]], module), names)
    package = module.rpartition(".")[0]
    imported = [
        # Of a list of imports the one that binds the name; of a function all that it imports when it is called.
        syntax.imported(node, package, "" if isinstance(node, _BODIES) and name != _DRAWS else name)
        for name, node in used.items()
    ]
    return used, _reached([part for parts in imported for part in parts], roots)


_BODIES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_DRAWS = "draw"  # the suite's pictures: reached where a generator has this name, and no number depends on its imports


def _plug_in(kind: registry.Kind, name: str) -> tuple[str, dict[str, Path]]:
    """Its module, and which packages are its own, with the folders that they lie in."""
    root, module = registry.module(kind, name)
    top = module.partition(".")[0]
    return module, {kind: _HOUSE} | ({} if top == kind else {top: root})


def _digest(used: Mapping[str, ast.stmt], files: Files) -> str:
    digest = hashlib.sha256("\n".join(f"{name}: {_written(used[name])}" for name in sorted(used)).encode())
    for place in sorted(files):
        digest.update(f"{place}\n{_module(place, files[place]).written}\n".encode())
    return digest.hexdigest()


_OF_SUITE = ("load", "split", "encoder", "decoder", "measure", "unit_factor", "SYMMETRIES")


def _written(node: object) -> str:
    """A syntax tree as text, equal in all versions of Python: newer ones have parts that older ones lack, all of them
    empty where older ones read the same source.
    """
    match node:
        case ast.AST():
            parts = {name: value for name, value in ast.iter_fields(node) if value is not None and value != []}
            return f"{type(node).__name__}({', '.join(f'{name}={_written(parts[name])}' for name in parts)})"
        case list():
            return f"[{', '.join(map(_written, node))}]"
        case _:
            return repr(node)


def _used(path: Path, names: Iterable[str]) -> dict[str, ast.stmt]:
    """The top-level definitions of these names in a module, the last of each, and of those that they use, directly or
    not, by name.
    """
    defined = {name: node for node in _parsed(path.read_bytes()).body for name in _defines(node)}
    found, waiting = dict[str, ast.stmt](), list(names)
    while waiting:
        name = waiting.pop()
        if name in defined and name not in found:
            found[name] = defined[name]
            waiting += [part.id for part in ast.walk(defined[name]) if isinstance(part, ast.Name)]
    return found


def _defines(node: ast.stmt) -> Iterator[str]:
    """The names that a top-level statement binds, whatever it is: what is imported or defined may stand in a `try`."""
    if isinstance(node, _BODIES):
        yield node.name
        return
    for part in ast.walk(node):
        match part:
            case ast.Import() | ast.ImportFrom():
                yield from ((alias.asname or alias.name).partition(".")[0] for alias in part.names)
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield part.name


def _reached(modules: Iterable[str], roots: Mapping[str, Path]) -> Files:
    """The files of these modules, and of those that they import, directly or not, as far as they are of these packages,
    which lie in `roots`.
    """
    found, waiting = Files(), list(modules)
    while waiting:
        module = waiting.pop()
        if (root := roots.get(module.partition(".")[0])) is None:
            continue
        path = plug_ins.file(root, module)
        place = path.relative_to(root)
        if place in found or not path.is_file():
            continue
        read = _module(place, path)
        if path.name != "__init__.py" or read.written != _NOTHING:  # most say what their package is, and no more
            found[place] = path
            waiting += read.imports
    return found


_NOTHING = _written(ast.Module(body=[], type_ignores=[]))


class _Module(NamedTuple):
    """What of a module's text can change what it does, and what it imports, dotted."""

    written: str
    imports: tuple[str, ...]


def _module(place: Path, path: Path) -> _Module:
    return _read(path.read_bytes(), ".".join(place.parent.parts))


@cache  # most modules are of many backends and suites
def _read(source: bytes, package: str) -> _Module:
    tree = _parsed(source)
    return _Module(_written(tree), tuple(syntax.imported(tree, package)))


def _parsed(source: bytes) -> ast.Module:
    """A module without what is there for its reader."""
    tree = syntax.of_source(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # a bare string says something, and does nothing
            node.body = [part for part in body if not _is_string(part)]  # type: ignore[attr-defined]
    return tree


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def computing_versions(backend: str, environment: Environment, packages: Iterable[str] = ()) -> dict[str, str]:
    """Versions of the packages that a backend computes with, of the engine that Keras was given, and of others."""
    engine = _engine(backend, environment, "")
    names = {*registry.computes_with(backend), engine, f"{engine}lib", *packages}
    return {name: environment.versions[name] for name in sorted(names) if name in environment.versions}


def _engine(backend: str, environment: Environment, usual: str) -> str:
    """The engine that Keras was given, which other backends do not hear of."""
    return environment.flags.get("KERAS_BACKEND", usual) if backend == "keras" else usual


def machine(environment: Environment) -> str:
    """SHA-256 (hex) of the processor and the switches that choose among its implementations."""
    parts: tuple[object, ...] = (environment.processor, environment.machine, switches(environment))
    if environment.features:  # older records are on a machine of their own
        parts += (environment.features,)
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


def computed_by(
    backend: str, environment: Environment, source_hash: str, device: Device = "cpu", packages: Iterable[str] = ()
) -> str:
    """SHA-256 (hex) of all that a cell's numbers depend on besides the cell itself, the GPU among it where it is used;
    `packages` are those besides the backend's.
    """
    versions = computing_versions(backend, environment, packages)
    parts: tuple[object, ...] = (versions, _engine(backend, environment, "tensorflow"), machine(environment))
    parts += (source_hash,) if device == "cpu" else (source_hash, environment.gpu)
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


def differences(
    backend: str,
    then: Environment,
    then_source: str,
    now: Environment,
    now_source: str,
    packages: Sequence[str] = (),
) -> list[str]:
    """In words, why what was computed then is not what would be computed now; empty where it is. `packages` are those
    besides the backend's.
    """
    told = []
    if (then.processor, then.machine, then.features) != (now.processor, now.machine, now.features):
        told.append(f"another processor, {then.processor} with {then.features or 'unknown instructions'}")
    if switches(then) != switches(now):
        told.append(f"other switches, {' '.join(f'{k}={v}' for k, v in switches(then).items()) or 'none'}")
    old, new = (computing_versions(backend, environment, packages) for environment in (then, now))
    told += [f"{name} {old.get(name, 'none')}" for name in sorted(old | new) if old.get(name) != new.get(name)]
    if then_source != now_source:
        told.append(f"other code, of commit {then.short_commit}")
    return told
