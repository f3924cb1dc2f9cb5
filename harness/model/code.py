"""A model that is somebody's own code: where it is found, what it depends on, and how one is made of it.

`package.module:name` is of what is installed; `file.py:name` is of that file, which finds what lies beside it. The
name is a class or a function, which is called without arguments, or with those of these two that it names:
`input_shape`, (height, width, channel) of an image or (k,) of what it is encoded to, and `outputs`, how many numbers to
answer.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from harness import syntax
from harness.errors import BenchError
from harness.model.architecture import Shape
from harness.text import nearest


def parts(path: str) -> tuple[str, str]:
    """The module or file, and the name in it. Raises BenchError where it is no path."""
    place, _, name = path.rpartition(":")
    of_file = place.endswith(".py")
    if not name.isidentifier() or not (of_file or all(part.isidentifier() for part in place.split("."))):
        raise BenchError(f"{path}: a model of your own is package.module:Name, or file.py:Name")
    return place, name


def make(
    path: str, input_shape: Shape, outputs: int, seed: int, seed_framework: Callable[[int], object] | None = None
) -> Any:
    """The model, with Python's and NumPy's random numbers, and a framework's, seeded before it is made; and before its
    module is imported, by 0: that happens once in a process, whatever the seed is of the model that it is for. Raises
    BenchError where it cannot be imported, or made of what is known of the task.
    """
    _seed(0, seed_framework)
    place, name = parts(path)
    module = _file(Path(place)) if place.endswith(".py") else _installed(place)
    maker = getattr(module, name, None)
    if maker is None:
        public = [known for known in vars(module) if not known.startswith("_")]
        raise BenchError(f"{path}: has no {name}{nearest(name, public)}")
    if not inspect.isclass(maker) and not inspect.isfunction(maker):
        raise BenchError(f"{path}: is no class and no function, but of type {type(maker).__name__}: give what makes it")
    # Of a class its __init__, for Keras's and others' __new__ take anything.
    asked = dict(inspect.signature(maker.__init__ if inspect.isclass(maker) else maker).parameters)
    if inspect.isclass(maker):
        asked.pop(next(iter(asked), ""), None)
    told: dict[str, object] = {"input_shape": input_shape, "outputs": outputs}
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [name for name, one in asked.items() if one.default is one.empty and one.kind not in free]
    if unknown := [name for name in needed if name not in told]:
        raise BenchError(f"{path}: needs {', '.join(unknown)}; it can be given input_shape and outputs, and no more")
    _seed(seed, seed_framework)
    try:
        return maker(**{key: value for key, value in told.items() if key in asked})
    except Exception as error:
        raise BenchError(f"{path}: making it raised {type(error).__name__}: {error}") from error


def _seed(seed: int, seed_framework: Callable[[int], object] | None) -> None:
    random.seed(seed)
    np.random.seed(seed)
    if seed_framework:
        seed_framework(seed)


def _installed(place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise _failed(place, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(place, error) from error
    file = place.replace(".", "/") + ".py"
    here = f"; a file is named as one: {file}:Name" if Path(file).is_file() else f", nor is there a file {file}"
    raise BenchError(f"{place}: is not installed, and the current folder is not searched{here}")


def _file(file: Path) -> ModuleType:
    """The module of a file, executed once. What lies beside it comes last on the path, so that it hides nothing."""
    if not file.is_file():
        raise BenchError(f"{file}: there is no such file")
    file = file.resolve()
    name = f"own_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failed(str(file), error) from error
    return module


def _failed(place: str, error: BaseException) -> BenchError:
    return BenchError(f"{place}: importing it raised {type(error).__name__}: {error}")


def source(path: str) -> str:
    """SHA-256 (hex) of what the model is made by: a file and those of its folder that it imports, directly or not; of
    what is installed all of its package. What else is installed is not among that.
    """
    place, _ = parts(path)
    if place.endswith(".py"):
        folder = Path(place).resolve().parent
        files = _with_what_it_imports(Path(place).resolve())
    else:
        spec = importlib.util.find_spec(place.partition(".")[0])
        assert spec is not None
        if spec.submodule_search_locations:
            folder = Path(next(iter(spec.submodule_search_locations)))
            files = list(folder.rglob("*.py"))
        else:
            files = [Path(spec.origin or "")]
            folder = files[0].parent
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(folder).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _with_what_it_imports(file: Path) -> list[Path]:
    """The file, and those of its folder that it imports, directly or not; a folder needs no `__init__.py` for that."""
    found, waiting = list[Path](), [file]
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found.append(path)
        try:
            tree = syntax.parsed(path)
        except (SyntaxError, ValueError):  # it counts, and nothing was imported by it
            continue
        for module in syntax.imported(tree, ".".join(path.relative_to(file.parent).parent.parts)):
            names = [name for name in module.split(".") if name]
            places = [file.parent.joinpath(*names[:end]) for end in range(1, len(names) + 1)]
            waiting += [of for place in places for of in (place.with_name(f"{place.name}.py"), place / "__init__.py")]
    return found


def refuse_other_answers(path: str, answers: Any, images: int, outputs: int) -> None:
    """Raise BenchError where answers to so many images are not one array of the shape (images, outputs)."""
    shape = getattr(answers, "shape", None)
    if shape is None:
        raise BenchError(f"{path}: answers a {type(answers).__name__}, and not one array")
    if tuple(shape) != (images, outputs):
        pictures = "one image" if images == 1 else f"{images} images"
        raise BenchError(f"{path}: answers {tuple(shape)} for {pictures}, and not ({images}, {outputs})")


def first_line(error: BaseException) -> str:
    """What an exporter says, without the pages that follow."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
