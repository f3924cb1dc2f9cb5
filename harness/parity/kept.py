"""What sides computed, kept for the next climb: while one works on one side, the other does not change.

A side is known by all that its numbers hang on: its orders, what it was given, the source of what computes it, the
packages and the machine. `harness.provenance` says what of the source counts.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import msgspec
from safetensors import SafetensorError, safe_open

from harness.disk import make_folder, replacing
from harness.environment import observe
from harness.parity.side import Orders, Told
from harness.parity.subjects import Framework
from harness.provenance import computed_by, source_of_side

SUFFIXES = (".safetensors", ".json")


def key(framework: Framework, orders: Orders, given: str, command: Sequence[str]) -> str:
    """SHA-256 (hex) of all that a side's numbers hang on; `given` is that of what it starts from, and `command` is what
    computes it.
    """
    placeless = msgspec.structs.replace(orders, given=given, out="", told="")
    environment = observe()
    there = msgspec.structs.replace(environment, flags=environment.flags | framework.variables())
    backends = [framework.backend, *(["onnx"] if "export" in orders.rungs else [])]
    computed = [computed_by(backend, there, source_of_side(backend), framework.device) for backend in backends]
    return hashlib.sha256(msgspec.json.encode((placeless, command, computed), order="sorted")).hexdigest()


class Kept:
    """Files of sides in a folder, `gib` of them at most.

    What this climb did not use makes room, and what it did stays: of a climb with more than there is room for, at least
    the first sides are found again.
    """

    def __init__(self, folder: Path, gib: float) -> None:
        self._folder, self._room = folder, gib * 2**30
        self._used: set[str] = set()
        self._making_room = Lock()  # sides end at the same time
        self.found = 0

    def find(self, key: str) -> Path | None:
        """Where the files of a side are, but for their suffixes; None where they are not."""
        self._used.add(key)
        stem = self._folder / key
        if not _is_whole(stem):
            return None
        self.found += 1
        return stem

    def keep(self, key: str, stem: Path) -> None:
        """Keep a copy of a side's files, if there is room. The JSON comes last, so that where it is all is."""
        self._used.add(key)
        make_folder(self._folder)
        with self._making_room:
            if self._make_room(sum(stem.with_suffix(suffix).stat().st_size for suffix in SUFFIXES)):
                for suffix in SUFFIXES:
                    with replacing((self._folder / key).with_suffix(suffix)) as fresh:
                        shutil.copyfile(stem.with_suffix(suffix), fresh)

    def _make_room(self, size: int) -> bool:
        held = {path: path.stat() for path in self._folder.glob("*") if path.suffix in SUFFIXES}
        unused = sorted((path for path in held if path.stem not in self._used), key=lambda path: held[path].st_mtime)
        while unused and sum(stat.st_size for stat in held.values()) + size > self._room:
            oldest = unused.pop(0)
            oldest.unlink()
            del held[oldest]
        return sum(stat.st_size for stat in held.values()) + size <= self._room


def _is_whole(stem: Path) -> bool:
    """Whether a side's files are there, and what they should be: a disk may have lost part of them."""
    arrays, told = (stem.with_suffix(suffix) for suffix in SUFFIXES)
    try:
        with safe_open(arrays, "numpy"):
            msgspec.json.decode(told.read_bytes(), type=Told)
    except (OSError, SafetensorError, msgspec.DecodeError):
        return False
    return True
