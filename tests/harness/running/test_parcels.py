import hashlib
import io
import os
import tarfile
import tomllib
from pathlib import Path

import pytest

from harness.errors import BenchError
from harness.running import parcels
from harness.running.parcels import Parcel, unpack


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "mine"
    (path / "deeper").mkdir(parents=True)
    (path / "a.csv").write_text("file,x\n")
    (path / "deeper" / "b.png").write_bytes(bytes(range(256)) * 100)
    return path


def sent(parcel, path):
    """All parts, in a file."""
    number, content = 0, b""
    while part := parcel.part(number):
        number, content = number + 1, content + part
    path.write_bytes(content)
    return path


def test_what_is_unpacked_is_what_was_packed(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(parcels, "PART", 1000)  # many parts
    parcel = Parcel(folder)
    unpack(sent(parcel, tmp_path / "packed"), parcel.place, tmp_path / "there")
    there = tmp_path / "there" / parcel.place
    assert there.name == "mine"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.relative_to(folder): path.read_bytes() for path in files} == {
        path.relative_to(there): path.read_bytes() for path in there.rglob("*") if path.is_file()
    }


def test_a_parcel_is_known_by_names_and_contents_alone(folder, tmp_path):
    place = Parcel(folder).place
    for path in folder.rglob("*.*"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    assert Parcel(folder).place == place
    (tmp_path / "link").symlink_to(folder)
    assert Parcel(tmp_path / "link").place == place
    (folder / "a.csv").write_text("file,y\n")
    assert Parcel(folder).place != place


def test_a_file_is_a_parcel_too_and_a_link_is_its_file(folder, tmp_path):
    (folder / "weights.h5").symlink_to(folder / "deeper" / "b.png")
    parcel = Parcel(folder / "deeper" / "b.png")
    unpack(sent(parcel, tmp_path / "packed"), parcel.place, tmp_path / "there")
    assert (tmp_path / "there" / parcel.place).read_bytes() == (folder / "deeper" / "b.png").read_bytes()
    whole = Parcel(folder)
    unpack(sent(whole, tmp_path / "packed"), whole.place, tmp_path / "there")
    assert not (tmp_path / "there" / whole.place / "weights.h5").is_symlink()


def test_another_content_than_was_sent_is_refused(folder, tmp_path):
    parcel = Parcel(folder)
    packed = sent(parcel, tmp_path / "packed")
    content = bytearray(packed.read_bytes())
    content[600] ^= 1
    packed.write_bytes(content)
    with pytest.raises(BenchError, match="another content than was sent"):
        unpack(packed, parcel.place, tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_nothing_is_unpacked_outside_of_its_place(tmp_path):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as packed:
        packed.addfile(tarfile.TarInfo("../../escaped"), io.BytesIO())
    (tmp_path / "packed").write_bytes(content.getvalue())
    place = f"{hashlib.sha256(content.getvalue()).hexdigest()}/mine"
    with pytest.raises(tarfile.OutsideDestinationError):
        unpack(tmp_path / "packed", place, tmp_path / "there")
    assert not list(tmp_path.rglob("escaped"))


def test_what_is_gone_cannot_be_sent(tmp_path):
    with pytest.raises(BenchError, match=r"missing\.h5: cannot be sent"):
        Parcel(tmp_path / "missing.h5")


def test_a_file_is_called_as_its_link_is(folder, tmp_path):
    """As in caches whose files are links to what has a hash for a name; the suffix says what it is."""
    blob = folder / "0123abcd"
    blob.write_bytes(b"weights")
    (tmp_path / "model.safetensors").symlink_to(blob)
    parcel = Parcel(tmp_path / "model.safetensors")
    assert parcel.place.endswith("/model.safetensors")
    unpack(sent(parcel, tmp_path / "packed"), parcel.place, tmp_path / "there")
    assert (tmp_path / "there" / parcel.place).read_bytes() == b"weights"


def test_a_linked_folder_is_packed_too(folder, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    (images / "c.png").write_bytes(b"image")
    (folder / "linked").symlink_to(images)
    parcel = Parcel(folder)
    unpack(sent(parcel, tmp_path / "packed"), parcel.place, tmp_path / "there")
    assert (tmp_path / "there" / parcel.place / "linked" / "c.png").read_bytes() == b"image"


def test_a_link_that_leads_back_is_refused_by_its_name(folder):
    (folder / "deeper" / "back").symlink_to(folder)
    with pytest.raises(BenchError, match="deeper/back: cannot be sent: it is a link to a folder that it lies in"):
        Parcel(folder)


def test_folders_may_be_linked_twice(folder):
    (folder / "again").symlink_to(folder / "deeper")
    assert Parcel(folder).place


def test_every_python_that_is_taken_has_filters_of_tarfile():
    """Of 3.11 they came with its fourth correction."""
    told = tomllib.loads((Path(parcels.__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert told["project"]["requires-python"] == ">=3.11.4"
