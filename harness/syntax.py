"""Modules as text: their syntax trees, and what they import, without importing any."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from threading import Lock


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a module. Raises SyntaxError or ValueError for what Python does not read either."""
    return of_source(path.read_bytes())


def of_source(source: bytes) -> ast.Module:
    """The syntax tree of a module's source, in whatever encoding it says that it is in; one thread after the other, for
    Python 3.11 may raise a SystemError where two parse at once (python/cpython issue 106905).
    """
    with _PARSING:
        return ast.parse(source)


_PARSING = Lock()


def imported(tree: ast.AST, package: str = "", bound: str = "") -> Iterator[str]:
    """What a tree of a package imports, dotted; `from a import b` may name a module `a.b`, so it counts as both. Of
    statements that import several, `bound` is the name of the one that is asked for, "" for all.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names if bound in ("", alias.asname or alias.name.partition(".")[0])]
            if isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
                source = ".".join([*above, *([node.module] if node.module else [])])
                yield source
                names = [f"{source}.{name}" for name in names]
            yield from names
