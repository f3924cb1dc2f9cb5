import hashlib
import http.server
import threading
from pathlib import Path

import h5py
import msgspec
import numpy as np
import pytest

from harness.errors import BenchError, WeightsError
from harness.model import backbones, pretrained
from harness.model.pretrained import RANDOM
from harness.model.weights import save_weights

FAMILY = "densenet121"


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in backbones.shapes(FAMILY).items()}


def write_h5(path, weights):
    """The format of the official files, with the layer names of DenseNet121's."""
    layers = {}
    for name, array in weights.items():
        layer, part = name.split("/")
        layers.setdefault(
            layer.replace("conv1_", "conv1/") if layer in ("conv1_conv", "conv1_bn") else layer, []
        ).append((part, array))
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, parts in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{part}:0".encode() for part, _ in parts]
            for part, array in parts:
                group[f"{layer}/{part}:0"] = array
    return path


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    return write_h5(tmp_path_factory.mktemp("official") / "weights.h5", arrays())


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "keras" / "models").mkdir(parents=True)
    return tmp_path / "keras" / "models"


@pytest.fixture
def published(monkeypatch, official):
    """Sources as if `official` were what is published; returns a function that sets its address."""

    md5 = hashlib.md5(official.read_bytes()).hexdigest()

    def at(url):
        source = msgspec.structs.replace(pretrained.SOURCES[FAMILY], url=url, md5=md5)
        monkeypatch.setitem(pretrained.SOURCES, FAMILY, source)
        return source

    return at


@pytest.fixture
def server(official):
    """An HTTP server on this machine: /whole is the file, /torn breaks off in its middle, /other is another file."""
    content = official.read_bytes()
    answers = {"/whole": content, "/torn": content[: len(content) // 2], "/other": b"x" * 1000}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = answers[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) if self.path == "/torn" else len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array)


def test_a_file_of_the_official_format_is_read(official):
    equal(pretrained.read(official, FAMILY), arrays())


def test_the_harness_own_files_are_read(tmp_path):
    """A backbone alone, and a whole model that has it."""
    save_weights(tmp_path / "alone.safetensors", arrays())
    equal(pretrained.read(tmp_path / "alone.safetensors", FAMILY), arrays())
    whole = {f"backbone_1/{name}": array for name, array in arrays().items()} | {
        "dense_1/bias": np.zeros(3, np.float32)
    }
    save_weights(tmp_path / "whole.safetensors", whole)
    equal(pretrained.read(tmp_path / "whole.safetensors", FAMILY), arrays())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w: {**w, "bn/gamma": np.zeros(3, np.float32)}, r"bn/gamma has shape \(3,\), not \(1024,\)"),
        (lambda w: {n: a for n, a in w.items() if not n.startswith("pool2_conv")}, "pool2_conv/kernel is missing"),
        (lambda w: {**w, "predictions/kernel": np.zeros((2, 2), np.float32)}, "predictions/kernel is not an array"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path, change, told):
    path = write_h5(tmp_path / "mine.h5", change(arrays()))
    with pytest.raises(WeightsError, match=f"mine.h5 is no densenet121 without top.*{told}"):
        pretrained.read(path, FAMILY)


@pytest.mark.parametrize("suffix", [".h5", ".safetensors"])
def test_what_is_no_finite_number_is_refused(tmp_path, suffix):
    damaged = arrays()
    damaged["bn/gamma"][3] = np.nan
    path = tmp_path / f"mine{suffix}"
    write_h5(path, damaged) if suffix == ".h5" else save_weights(path, damaged)
    with pytest.raises(WeightsError, match=r"mine\..*bn/gamma has numbers that are not finite"):
        pretrained.read(path, FAMILY)


def test_another_backbones_file_is_refused_without_listing_hundreds(official):
    with pytest.raises(WeightsError, match=r"and \d+ more") as refused:
        pretrained.read(official, "resnet50")
    assert len(str(refused.value)) < 2000


@pytest.mark.parametrize("content", [b"", b"no such format", b"\x89HDF\r\n\x1a\n" + b"\0" * 64])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    for name in ("mine.h5", "mine.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match="mine"):
            pretrained.read(tmp_path / name, FAMILY)


def test_an_h5_file_of_something_else_is_refused(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(WeightsError, match=r"not in the HDF5 format of keras\.applications' files"):
        pretrained.read(tmp_path / "data.h5", FAMILY)


def lead_away(kind):
    """Changes an array of an open file into one that lies in `elsewhere.h5`, which holds a secret."""

    def change(file, folder):
        group = file["bn"]
        elsewhere = folder / "elsewhere.h5"
        with h5py.File(elsewhere, "w") as other:
            other["secret"] = np.ones(1024, np.float32)
        del group["bn/gamma:0"]
        match kind:
            case "external link":
                group["bn/gamma:0"] = h5py.ExternalLink(elsewhere, "secret")
            case "external link to a layer":
                del file["bn"]
                file["bn"] = h5py.ExternalLink(elsewhere, "/")
            case "soft link":
                group["bn/gamma:0"] = h5py.SoftLink("/bn/bn/beta:0")
            case "external data":
                group.create_dataset("bn/gamma:0", (1024,), "f4", external=[(elsewhere, 0, 4096)])
            case "virtual data":
                layout = h5py.VirtualLayout((1024,), "f4")
                layout[:] = h5py.VirtualSource(elsewhere, "secret", (1024,))
                group.create_virtual_dataset("bn/gamma:0", layout)
            case "more than it holds":
                group.create_dataset("bn/gamma:0", (2**20, 2**20), "f4", chunks=(1, 1024))
            case "nothing":
                pass
            case "text":
                group["bn/gamma:0"] = np.array([b"text"] * 1024)

    return change


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("external link", "bn/gamma:0 is a link"),
        ("external link to a layer", "bn is a link"),
        ("soft link", "bn/gamma:0 is a link"),
        ("external data", "bn/gamma:0 lies in other files"),
        ("virtual data", "bn/gamma:0 lies in other files"),
        ("more than it holds", "no array that this file could hold"),
        ("nothing", "there is no bn/gamma:0"),
        ("text", "no array that this file could hold"),
    ],
)
def test_an_h5_file_that_leads_out_of_itself_is_refused(tmp_path, kind, said):
    path = write_h5(tmp_path / "mine.h5", arrays())
    with h5py.File(path, "a") as file:
        lead_away(kind)(file, tmp_path)
    with pytest.raises(WeightsError, match=f"mine.h5: .*{said}"):
        pretrained.read(path, FAMILY)


@pytest.mark.parametrize("name", ["mine.h5", "mine.safetensors", "mine.pt", "mine.npy", "mine"])
def test_a_file_of_another_kind_is_refused_before_anything_runs(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 a zip, perhaps of a pickle")
    with pytest.raises(BenchError, match="this is neither"):
        pretrained.chosen(str(tmp_path / name), tmp_path, print)


def test_a_download_comes_whole_and_checked_and_once(cache, published, server, official):
    source = published(f"{server}/whole")
    assert pretrained.state(FAMILY) == "missing"
    path = pretrained.fetch(FAMILY)
    assert path == cache / source.file
    assert pretrained.state(FAMILY) == "ready"
    published("http://127.0.0.1:9/nobody")
    assert pretrained.fetch(FAMILY) == path  # not asked for again
    equal(pretrained.read(pretrained.official_file(FAMILY), FAMILY), arrays())


@pytest.mark.parametrize(
    ("where", "told"),
    [("torn", "cannot be downloaded"), ("other", "what came is not what was published"), (None, "cannot be")],
)
def test_a_download_that_fails_leaves_nothing(cache, published, server, where, told):
    published(f"{server}/{where}" if where else "http://127.0.0.1:9/nobody")
    with pytest.raises(WeightsError, match=told):
        pretrained.fetch(FAMILY)
    assert list(cache.iterdir()) == []
    assert pretrained.state(FAMILY) == "missing"


def test_a_damaged_file_is_told_and_fetched_anew(cache, published, server):
    source = published(f"{server}/whole")
    (cache / source.file).write_bytes(b"half a download")
    assert pretrained.state(FAMILY) == "damaged"
    with pytest.raises(WeightsError, match=r"is damaged: its MD5 is .* `bench weights fetch`"):
        pretrained.official_file(FAMILY)
    published("http://127.0.0.1:9/nobody")
    with pytest.raises(WeightsError, match=r"is damaged, and http.* cannot be downloaded"):
        pretrained.fetch(FAMILY)
    assert (cache / source.file).read_bytes() == b"half a download"
    published(f"{server}/whole")
    pretrained.fetch(FAMILY)
    assert pretrained.state(FAMILY) == "ready"


def test_a_missing_file_says_what_to_do_and_not_where_home_is(cache):
    with pytest.raises(WeightsError, match=r"is not here; `bench weights fetch` .* \$KERAS_HOME/models") as refused:
        pretrained.official_file(FAMILY)
    assert str(cache) not in str(refused.value)


def test_auto_takes_imagenet_where_it_can_be_had(cache, published, server):
    published(f"{server}/whole")
    told = []
    assert pretrained.chosen("auto", cache, told.append)(FAMILY) == ("imagenet", None)
    assert told == []


def test_auto_says_once_that_weights_are_random(cache, monkeypatch):
    asked = []

    def fetch(family, **_):
        asked.append(family)
        raise WeightsError("no network")

    monkeypatch.setattr(pretrained, "fetch", fetch)
    told = []
    weights = pretrained.chosen("auto", cache, told.append)
    assert [weights(family) for family in ("vgg16", "vgg16", "resnet50")] == [RANDOM] * 3
    assert asked == ["vgg16"]
    assert told == [
        "vgg16: no ImageNet weights here, random weights instead (no network)",
        "resnet50: no ImageNet weights here, random weights instead",
    ]


def test_imagenet_asked_for_is_never_replaced(cache, monkeypatch):
    monkeypatch.setattr(pretrained, "fetch", lambda family, **_: (_ for _ in ()).throw(WeightsError("no network")))
    told = []
    assert pretrained.chosen("imagenet", cache, told.append)("vgg16") == ("imagenet", None)
    assert "its cells cannot run" in told[0]


def test_a_file_is_named_with_its_hash(official, tmp_path):
    name = pretrained.chosen(str(official), tmp_path, print)(FAMILY).told
    assert name == f"weights.h5 {hashlib.sha256(official.read_bytes()).hexdigest()[:12]}"
    with pytest.raises(BenchError, match="weights=imagnet: must be auto, imagenet, random, a set of weights in"):
        pretrained.chosen("imagnet", tmp_path, print)


def test_a_set_is_meant_before_a_folder_that_is_called_so(official, tmp_path, monkeypatch):
    """A path is a folder's all the same."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "results" / "weights" / "mine").mkdir(parents=True)
    taken = []
    monkeypatch.setattr(pretrained, "_set", taken.append)
    for choice in ("mine", "./mine", "mine/", str(tmp_path / "mine")):
        pretrained.chosen(choice, tmp_path / "results", print)
    assert taken == [tmp_path / "results" / "weights" / "mine", Path("mine"), Path("mine"), tmp_path / "mine"]
