"""The image files of a folder, by whatever a table calls them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path


class Names:
    """PNG files, to be found by name, by name without `.png`, or by the id that they begin with; folders do not count.

    The Unicode form does not matter (macOS decomposes letters), case only where two names differ in nothing else. What
    could mean two files means none.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = list(paths)
        self._by_name = _unambiguous((key, path) for path in self._paths for key in {path.name, path.stem})
        self._by_folded_name = _unambiguous((key.casefold(), path) for key, path in self._by_name.items())
        self._by_id = _unambiguous((str(i), p) for p in self._paths if (i := image_id(p)) is not None)

    def __len__(self) -> int:
        return len(self._paths)

    def is_name(self, cell: str) -> bool:
        """Whether `cell` is the name of a file, not just its id."""
        return self._named(cell) is not None

    def find(self, cell: str) -> Path | None:
        """The file that `cell` means, None where there is none."""
        number = cell.lstrip("0") or "0"
        return self._named(cell) or (self._by_id.get(number) if cell.isdecimal() else None)

    def _named(self, cell: str) -> Path | None:
        name = _composed(re.split(r"[/\\]", cell)[-1])
        return self._by_name.get(name) or self._by_folded_name.get(name.casefold())


_ID = re.compile(r"([0-9]+)_.*\.png", re.IGNORECASE | re.DOTALL)


def image_id(path: Path) -> int | None:
    """The id in `<id>_<anything>.png`, None for a name without one."""
    match = _ID.fullmatch(path.name)
    return int(match[1]) if match else None


def _unambiguous(pairs: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    found: dict[str, set[Path]] = {}
    for key, path in pairs:
        found.setdefault(_composed(key), set()).add(path)
    return {key: next(iter(paths)) for key, paths in found.items() if len(paths) == 1}


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
