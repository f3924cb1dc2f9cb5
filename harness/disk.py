"""Files that outlive whoever writes them: a line or a file comes to its place whole, or not at all.

A process may be killed between any two of its instructions, and a disk may be full in the middle of a line. So a line
is on disk before it counts, what a killed writer left of one is told from whole lines by the newline that it lacks, and
a file takes the place of its predecessor at once.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from harness.errors import BenchError

_DRAFT = ".draft-"
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)  # as of Lustre without flock, or of NFS
_HAS_FLOCK = importlib.util.find_spec("fcntl") is not None  # not on Windows


def append_line(path: Path, line: bytes) -> None:
    """Add a line and return once it is on disk; several processes may append to one file.

    Raises OSError where it cannot be written: the file is then as it was.
    """
    with alone(path) as opened:
        file = opened.fileno()
        _set_aside(path, file)
        _append(path, file, line)
        _sync_folder(path.parent)


def mend(path: Path) -> Path | None:
    """Set aside what a killed writer left after the last whole line; the file it went to, None where there was none."""
    if not is_file(path):
        return None
    with alone(path) as opened:
        return _set_aside(path, opened.fileno())


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file that were written whole; none where there is no file. Raises OSError for what is none."""
    return list(each_whole_line(path))


def each_whole_line(path: Path) -> Iterator[bytes]:
    """The same one after the other, where they are more than memory holds."""
    if is_file(path):
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]


def write_whole(path: Path, text: str) -> None:
    """Put a text in its place: whoever reads the file meanwhile sees the old one or the new, never half of one."""
    make_folder(path.parent)
    with replacing(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path`, of the same suffix, to write to: it takes its place at the end, or is gone after an error.

    The folder is made where its own is there: what was taken away as a whole is not made again.
    Whoever is killed in between leaves it behind, hidden, until `sweep`.
    """
    path.parent.mkdir(exist_ok=True)
    fresh = path.parent / f"{_DRAFT}{secrets.token_hex(8)}{path.suffix}"
    try:
        fresh.touch(exist_ok=False)
        permissions = stat.S_IMODE(fresh.stat().st_mode)  # what the umask leaves, which a thread cannot ask for
        yield fresh
        fresh.chmod(permissions)
        with fresh.open("rb+") as written:
            os.fsync(written.fileno())
        fresh.replace(path)
    except OSError as error:
        if error.filename in (str(fresh), None):  # nobody knows the draft's name
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        fresh.unlink(missing_ok=True)
    _sync_folder(path.parent)


def is_file(path: Path) -> bool:
    """False where there is nothing. Raises OSError for what is no file: to open a pipe would wait for its other end."""
    there = os.path.lexists(path)  # a link that leads nowhere is something, too
    if there and not path.is_file():
        raise OSError(errno.EINVAL, "exists and is not a file", str(path))
    return there


def refuse_no_folder(key: str, path: Path) -> None:
    """Raise BenchError where the option `key` names something that is there, and is no folder."""
    if path.exists() and not path.is_dir():
        raise BenchError(f"{key}={path}: exists and is not a folder: choose another")


def expanded(key: str, path: str) -> str:
    """The `path` that the option `key` names, without ~, which not every shell expands behind `key=`. Raises BenchError
    for one that leads nowhere.
    """
    found = os.path.expanduser(path)
    if found.startswith("~"):
        home = found.partition("/")[0]
        raise BenchError(f"{key}={path}: there is no home {home} here; for a folder of that name, write ./{home}")
    try:
        os.stat(found)
    except OSError as error:  # whether it must be there is the command's to say
        if error.errno == errno.ELOOP:
            raise BenchError(f"{key}={path}: a loop of links") from None
    return found


def free_place(key: str, path: Path) -> Path:
    """Where the `path` that the option `key` names leads, through links: a place in a folder, where nothing is yet.
    Raises BenchError otherwise.
    """
    place = Path(os.path.realpath(path))  # `resolve` raises for a circular link, but not from Python 3.13 on
    if any(each.is_symlink() for each in (place, *place.parents)):
        raise BenchError(f"{key}={path}: is a circular link")
    if not place.parent.is_dir():
        raise BenchError(f"{key}={path}: there is no folder {place.parent if path.is_symlink() else path.parent}")
    if os.path.lexists(place) or path.exists():  # /dev/stdout leads to a pipe, which has a name and no place
        raise BenchError(f"{key}={path}: already exists: choose another name; nothing is overwritten")
    if not os.access(place.parent, os.W_OK):
        raise BenchError(f"{key}={path}: the folder {place.parent} cannot be written")
    return place


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Raise OSErrors with the name of the file that they are about, which those of an open file lack."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def make_folder(folder: Path) -> None:
    """Make a folder, and what is missing on the way to it; their names are on disk before this returns."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        _sync_folder(path.parent)


def sweep(folder: Path) -> None:
    """Delete the drafts of killed writers; nobody may be writing to this folder."""
    for draft in folder.glob(f"{_DRAFT}*"):
        draft.unlink(missing_ok=True)


def umask() -> int:
    """The permissions that this process takes from new files. For a process of one thread: another's new files would
    have them all meanwhile.
    """
    current = os.umask(0)
    os.umask(current)
    return current


@contextlib.contextmanager
def alone(path: Path, wait: bool = True) -> Iterator[IO[bytes]]:
    """A file, open to read and to add to, for this process alone: the system lets go of it when the process ends,
    however it does. Raises BlockingIOError where another one has it, unless it is to `wait` for that.
    """
    path.parent.mkdir(exist_ok=True)
    is_file(path)
    with path.open("ab+", buffering=0) as file, _held(path, file, wait):
        yield file


@contextlib.contextmanager
def _held(path: Path, file: IO[bytes], wait: bool) -> Iterator[None]:
    if _HAS_FLOCK:
        import fcntl  # noqa: PLC0415  not everywhere

        try:
            with named(path):
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno in _NO_LOCKS:
                error.strerror = "this file system has no locks: mount it with flock, or choose another results="
            raise
        yield  # closing the file lets go of it
        return
    from filelock import FileLock, Timeout  # noqa: PLC0415  needed there alone

    lock = FileLock(f"{path}.lock")  # beside it: who locks a file on Windows keeps others from reading it
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        raise BlockingIOError(errno.EAGAIN, "is held by another process", str(path)) from None
    try:
        yield
    finally:
        lock.release()


def _set_aside(path: Path, file: int) -> Path | None:
    """Move what follows the last newline to `<name>.torn`."""
    size = os.fstat(file).st_size
    os.lseek(file, max(0, size - 1), os.SEEK_SET)
    if not size or os.read(file, 1) == b"\n":
        return None
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    torn = path.with_suffix(".torn")
    with torn.open("ab", buffering=0) as aside:
        _append(torn, aside.fileno(), content[whole:])
    os.ftruncate(file, whole)
    return torn


def _append(path: Path, file: int, line: bytes) -> None:
    """Add a line to an open file, on disk; where that fails, the file is as it was."""
    before = os.fstat(file).st_size
    try:
        with named(path):
            _write_all(file, line + b"\n")
            os.fsync(file)
    except OSError:
        os.ftruncate(file, before)
        raise


def _write_all(file: int, content: bytes) -> None:
    """`os.write` may write a part only, as it does before a disk is full."""
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    """A new name is on disk once its folder is; file systems that cannot tell so refuse, and are left alone."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
