"""Files that outlive their writers, with disks that fill up and writers that are killed."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import disk
from harness.errors import BenchError

LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=5)


def test_lines_come_back_in_their_order(tmp_path):
    path = tmp_path / "new" / "lines.jsonl"
    for line in (b"one", b"", b"three"):
        disk.append_line(path, line)
    assert disk.whole_lines(path) == [b"one", b"", b"three"]


def test_no_file_has_no_lines(tmp_path):
    assert disk.whole_lines(tmp_path / "nothing") == []
    assert disk.mend(tmp_path / "nothing") is None
    assert not list(tmp_path.iterdir())


@given(lines=LINES, tail=st.binary(min_size=1, max_size=40).filter(lambda tail: b"\n" not in tail))
def test_wherever_a_line_was_torn_the_others_are_whole(tmp_path_factory, lines, tail):
    path = tmp_path_factory.mktemp("torn") / "lines.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines) + tail)
    assert disk.whole_lines(path) == lines
    assert disk.mend(path) == path.with_suffix(".torn")
    assert path.with_suffix(".torn").read_bytes() == tail + b"\n"
    assert disk.mend(path) is None
    disk.append_line(path, b"next")
    assert disk.whole_lines(path) == [*lines, b"next"]


def test_what_killed_writers_left_is_set_aside_before_a_line_is_added(tmp_path):
    """All of it, one below the other."""
    path = tmp_path / "lines.jsonl"
    for number in (1, 2):
        with path.open("ab") as file:
            file.write(b"torn %d" % number)
        disk.append_line(path, b"whole %d" % number)
    assert disk.whole_lines(path) == [b"whole 1", b"whole 2"]
    assert path.with_suffix(".torn").read_bytes() == b"torn 1\ntorn 2\n"


def test_many_writers_do_not_mix(tmp_path):
    path = tmp_path / "lines.jsonl"

    def write(name):
        for number in range(50):
            disk.append_line(path, b"%d-%d-" % (name, number) + b"x" * 5000)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = disk.whole_lines(path)
    assert len(set(lines)) == 200
    assert {len(line.rstrip(b"x")) for line in lines} <= {4, 5}


FULL = """
import resource, signal, sys
from pathlib import Path
from harness import disk
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
path = Path(sys.argv[1])
try:
    {action}
except OSError as error:
    print(error.errno, error.filename)
"""


def with_no_room(action, path):
    """Run `action` where no file may be longer than 10 000 bytes: the system writes what fits, as on a full disk."""
    command = [sys.executable, "-c", FULL.format(action=action), str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_a_line_for_which_there_is_no_room_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "lines.jsonl"
    disk.append_line(path, b"a" * 6000)
    assert with_no_room('disk.append_line(path, b"b" * 6000)', path) == f"{errno.EFBIG} {path}"
    assert path.read_bytes() == b"a" * 6000 + b"\n"


def test_what_was_torn_stays_where_there_is_no_room_to_set_it_aside(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"whole\n" + b"t" * 9000)
    path.with_suffix(".torn").write_bytes(b"earlier" * 1000)
    told = f"{errno.EFBIG} {path.with_suffix('.torn')}"
    for action in ("disk.mend(path)", 'disk.append_line(path, b"next")'):
        assert with_no_room(action, path) == told
        assert path.read_bytes() == b"whole\n" + b"t" * 9000
        assert path.with_suffix(".torn").read_bytes() == b"earlier" * 1000


def test_a_file_for_which_there_is_no_room_leaves_the_old_one(tmp_path):
    path = tmp_path / "table.csv"
    disk.write_whole(path, "old")
    assert with_no_room('disk.write_whole(path, "new" * 6000)', path).startswith(str(errno.EFBIG))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "write", [lambda path: disk.append_line(path, b"line"), lambda path: disk.write_whole(path, "text")]
)
def test_what_was_written_is_on_disk_before_it_counts(tmp_path, monkeypatch, write):
    """The file, then its folder, then every folder that had to be made."""
    synced = []

    def fsync(descriptor):
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))

    monkeypatch.setattr(os, "fsync", fsync)
    disk.make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]
    synced.clear()
    write(tmp_path / "a" / "b" / "file")
    assert len(synced) == 2
    assert synced[0].parent == synced[1] == tmp_path / "a" / "b"


def test_a_folder_that_was_taken_away_is_not_made_again(tmp_path):
    with pytest.raises(FileNotFoundError):
        disk.append_line(tmp_path / "gone" / "records" / "lines", b"line")
    with pytest.raises(FileNotFoundError), disk.replacing(tmp_path / "gone" / "models" / "model.onnx"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_of_its_own_is_made_and_of_a_text_all_on_the_way(tmp_path):
    with disk.replacing(tmp_path / "models" / "model.onnx") as fresh:
        fresh.write_bytes(b"model")
    disk.write_whole(tmp_path / "a" / "b" / "table.csv", "text")
    assert (tmp_path / "models" / "model.onnx").read_bytes() == b"model"
    assert (tmp_path / "a" / "b" / "table.csv").read_text() == "text"


def test_an_error_about_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as error, disk.replacing(tmp_path / "table.csv"):
        (tmp_path / "source").read_bytes()
    assert error.value.filename == str(tmp_path / "source")


def test_an_error_names_the_file_and_not_its_draft(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as error:
        disk.write_whole(tmp_path / "folder", "text")
    assert str(tmp_path / "folder") in str(error.value)
    assert ".draft" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_part_that_was_written_is_gone_on_with(tmp_path, monkeypatch):
    """`os.write` may write less than it was given, on any file system."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:7]))
    disk.append_line(tmp_path / "lines", b"longer than seven bytes")
    assert disk.whole_lines(tmp_path / "lines") == [b"longer than seven bytes"]


def test_a_file_is_replaced_at_once_or_not(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with contextlib.suppress(ZeroDivisionError), disk.replacing(path) as fresh:
        assert fresh.suffix == ".onnx"
        fresh.write_bytes(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    with disk.replacing(path) as fresh:
        fresh.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_threads_that_write_at_once_leave_the_umask_as_it_is(tmp_path):
    before = disk.umask()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: disk.write_whole(tmp_path / str(number), "text"), range(24)))
    assert disk.umask() == before
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o666 & ~before}


def test_a_draft_that_cannot_be_made_is_told_by_the_name_of_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "touch", full)
    with pytest.raises(OSError, match="No space left on device") as raised, disk.replacing(tmp_path / "table.csv"):
        pass
    assert raised.value.filename == str(tmp_path / "table.csv")


def full(path, exist_ok):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_a_file_has_the_permissions_of_any_other(tmp_path):
    disk.write_whole(tmp_path / "ours", "text")
    (tmp_path / "any").write_text("text")
    with disk.replacing(tmp_path / "theirs") as fresh:
        fresh.unlink()
        os.close(os.open(fresh, os.O_CREAT | os.O_WRONLY, 0o600))  # as libraries that write a file of their own
    assert len({(tmp_path / name).stat().st_mode for name in ("ours", "any", "theirs")}) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from harness import disk
with disk.replacing(Path(sys.argv[1])) as fresh:
    fresh.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_draft_of_a_killed_writer_is_swept_away_and_nothing_else(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    (tmp_path / ".keep").touch()
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 3
    disk.sweep(tmp_path)
    assert {item.name for item in tmp_path.iterdir()} == {"model.onnx", ".keep"}
    assert path.read_bytes() == b"old"


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    """To open a pipe waits until somebody opens its other end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder"):
        for use in (disk.whole_lines, disk.mend, lambda path: disk.append_line(path, b"line")):
            with pytest.raises(OSError, match="exists and is not a file"):
                use(path)


def test_a_pipe_that_a_process_holds_is_no_free_place(tmp_path):
    """As /dev/stdout is before `| head`: it leads to a name in /proc that no file has."""
    with contextlib.ExitStack() as ends:
        for end in os.pipe():
            ends.callback(os.close, end)
        with pytest.raises(BenchError, match=rf"^out=/dev/fd/{end}: already exists"):
            disk.free_place("out", Path(f"/dev/fd/{end}"))


def test_a_text_that_finds_no_room_is_told_by_its_file(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as of an open file: without its name

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left") as refusal:
        disk.write_whole(tmp_path / "table.csv", "text")
    assert refusal.value.filename == str(tmp_path / "table.csv")


@pytest.mark.skipif(not disk._HAS_FLOCK, reason="there is no flock")
@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSYS, "this file system has no locks: mount it with flock, or choose another results="),
        (errno.EOPNOTSUPP, "this file system has no locks: mount it with flock, or choose another results="),
        (errno.ENOLCK, "this file system has no locks: mount it with flock, or choose another results="),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_what_cannot_be_locked_is_told_by_its_name(tmp_path, monkeypatch, number, told):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OSError, match=r"run\.lock") as refused, disk.alone(tmp_path / "run.lock"):
        pass
    assert (refused.value.errno, refused.value.strerror) == (number, told)
    assert refused.value.filename == str(tmp_path / "run.lock")
