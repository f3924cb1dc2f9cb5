import ast
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import syntax


@pytest.mark.parametrize(
    ("text", "package", "bound", "told"),
    [
        ("import a.b, c", "", "", {"a.b", "c"}),
        ("import a.b as x, c", "", "x", {"a.b"}),
        ("from a import b as x, c", "", "", {"a", "a.b", "a.c"}),
        ("from a import b as x, c", "", "x", {"a", "a.b"}),
        ("from . import b", "p.q", "", {"p.q", "p.q.b"}),
        ("from ..r import b", "p.q", "", {"p.r", "p.r.b"}),
        ("def late():\n    try:\n        import a\n    except ImportError:\n        import b", "", "", {"a", "b"}),
    ],
)
def test_what_is_imported_is_told_dotted(text, package, bound, told):
    assert set(syntax.imported(ast.parse(text), package, bound)) == told


def test_no_two_threads_parse_at_once(monkeypatch):
    """Of many that call at the same time, one at most is under way."""
    under_way, most = 0, 0

    def parse(text):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        tree = compile(text, "<text>", "exec", ast.PyCF_ONLY_AST)
        under_way -= 1
        return tree

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with monkeypatch.context() as patch, ThreadPoolExecutor(4) as pool:
            patch.setattr(syntax.ast, "parse", parse)
            trees = list(pool.map(syntax.parsed, [Path(syntax.__file__)] * 40))
    finally:
        sys.setswitchinterval(before)
    assert len(trees) == 40
    assert most == 1
