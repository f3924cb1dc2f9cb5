"""What a cell needs of this machine and another one lacks: a user's data folder, a user's weights, as one file that is
known by its content.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.errors import BenchError

PART = 2**24
"""Bytes that are sent at a time: 16 MiB."""


class Parcel:
    """A file or folder, packed the same to the byte wherever it lies and whenever it was written.

    Packed are names and contents, in the order of names; links are followed. `place` is where it is unpacked, below a
    folder for such: the SHA-256 (hex) of what is packed, and its own name, of a file that of the link to it, whose
    suffix says what it is. The packed file goes with this process. Raises BenchError for what cannot be read.
    """

    def __init__(self, path: Path) -> None:
        path = path.resolve() if path.is_dir() else path.absolute()
        self._file = tempfile.TemporaryFile(prefix="cijbench-")  # noqa: SIM115  parts are sent as long as there is one
        try:
            files = sorted(_files(path)) if path.is_dir() else [path]
            with tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT) as packed:
                for file in files:
                    told = tarfile.TarInfo(str(file.relative_to(path.parent)))
                    told.size = file.stat().st_size
                    with file.open("rb") as content:
                        packed.addfile(told, content)
        except OSError as error:
            raise BenchError(f"{error.filename or path}: cannot be sent: {error.strerror or error}") from error
        self._file.flush()
        self._file.seek(0)
        self.place = f"{hashlib.file_digest(self._file, 'sha256').hexdigest()}/{path.name}"

    def part(self, number: int) -> bytes:
        """The bytes from `number * PART` on, no more than `PART`; empty after the last. For several threads at once."""
        return os.pread(self._file.fileno(), PART, number * PART)


def _files(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """All files of a folder, through links. Raises BenchError for a link to a folder that it lies in."""
    above = (*above, folder.resolve())
    for path in folder.iterdir():
        if path.is_dir():
            if path.resolve() in above:
                raise BenchError(f"{path}: cannot be sent: it is a link to a folder that it lies in")
            yield from _files(path, above)
        elif path.is_file():
            yield path


def unpack(packed: Path, place: str, folder: Path) -> None:
    """Unpack a parcel to its place below a folder. Raises BenchError where its content is not what its place says."""
    sha256 = place.partition("/")[0]
    with packed.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise BenchError(f"a parcel of {packed.stat().st_size} bytes came with another content than was sent")
        file.seek(0)
        with tarfile.open(fileobj=file) as content:
            content.extractall(folder / sha256, filter="data")
