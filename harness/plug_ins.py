"""Plug-ins of installed packages: entry points `cijbench.backends` and `cijbench.suites`, each the name of a module."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from harness.errors import BenchError

KINDS = ("backends", "suites")


@cache
def installed(kind: str) -> dict[str, EntryPoint]:
    """Those of a kind by name, without importing any."""
    return {point.name: point for point in entry_points(group=f"cijbench.{kind}")}


def told(point: EntryPoint) -> str:
    """Whose it is, for a message."""
    return f"{point.name} of the package {point.dist.name if point.dist else 'unknown'}"


def distributions() -> list[str]:
    """The distributions that bring plug-ins, and those that they require: what these may compute with."""
    found = [point.dist for kind in KINDS for point in installed(kind).values() if point.dist]
    required = [re.match(r"[\w.-]+", text) for dist in found for text in dist.requires or () if "extra ==" not in text]
    return sorted({*(dist.name for dist in found), *(name[0] for name in required if name)})


def folder(point: EntryPoint) -> Path:
    """The folder that its top-level package lies in. Raises BenchError where it is not there."""
    top = point.module.partition(".")[0]
    spec = importlib.util.find_spec(top)  # which imports nothing of a top-level name
    if spec is None or spec.origin is None or point.attr:
        raise BenchError(f"{told(point)}: '{point.value}' is no module that is there: install that package again")
    place = Path(spec.origin)
    return place.parents[1] if spec.submodule_search_locations else place.parent


def file(root: Path, module: str) -> Path:
    """The file of a dotted module below a folder, which need not be there."""
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")
