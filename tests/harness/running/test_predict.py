import os
import re
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import psutil
import pytest
from onnx import TensorProto, helper, load, numpy_helper
from PIL import Image

from backends import onnx
from harness.command import cli
from harness.errors import BenchError
from harness.running.calibration import KEY, calibrated, descriptors
from harness.running.guard import Limits
from harness.running.predict import Predicted, Request, _table, predict_here
from harness.running.predict import predict as predict_apart
from tests.harness.a_command import BENCH

NONE = Limits()
METADATA = {"suite": "elasticity", "targets": ",".join(f"C{i}" for i in range(9)), "unit": "GPa"}


def ignore(done, total):
    pass


def predict(model, images, out, limits=NONE, on_progress=ignore):
    return predict_apart(model, images, out, limits, on_progress)


def refuse(model, images, said):
    """In this process, which is a matter of milliseconds; what the child refuses, nobody writes."""
    with pytest.raises(BenchError, match=said):
        predict_here(Request(str(model), str(images)), ignore)


def a_model(path, *nodes, size=64, initializers=()):
    """A file whose nodes make `prediction` of `mean` (n, 9), which is the mean of each image, nine times."""
    constants = {"axes": np.array([1, 2]), "nine": np.ones((1, 9), np.float32)} | dict(initializers)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images", "axes"], ["one"], keepdims=0),
            helper.make_node("Mul", ["one", "nine"], ["mean"]),
            *nodes,
        ],
        "graph",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", size, size, 1])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["batch", 9])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, METADATA)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def endless(tmp_path):
    """A model that goes round 10^9 times in ONNX Runtime's own code."""
    tensor = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["still"]), helper.make_node("Identity", ["value"], ["same"])],
        "body",
        [tensor("i", TensorProto.INT64, []), tensor("go", TensorProto.BOOL, []), tensor("value", 1, None)],
        [tensor("still", TensorProto.BOOL, []), tensor("same", 1, None)],
    )
    loop = helper.make_node("Loop", ["times", "yes", "mean"], ["prediction"], body=body)
    return a_model(tmp_path / "endless.onnx", loop, initializers={"times": np.int64(10**9), "yes": np.bool_(True)})


@pytest.fixture
def model(tmp_path):
    """The reference network, said to give elastic constants in GPa."""
    path = tmp_path / "model.onnx"
    onnx.write_reference(path)
    onnx.annotate(path, METADATA)
    return path


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("b", "a10", "a9"):
        pixels = np.random.default_rng(len(name)).integers(2, size=(64, 64), dtype=np.uint8) * 255
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def test_one_row_an_image_in_natural_order(model, pictures, tmp_path):
    assert predict(model, pictures, tmp_path / "out.csv").names == ["a9.png", "a10.png", "b.png"]
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table["image"]) == ["a9.png", "a10.png", "b.png"]
    assert list(table.columns[1:]) == [*(f"C{i}_GPa" for i in range(9)), "positive_definite"]
    assert table.notna().all(axis=None)


def test_a_model_that_does_not_say_what_it_gives_is_refused(pictures, tmp_path):
    onnx.write_reference(tmp_path / "bare.onnx")
    refuse(tmp_path / "bare.onnx", pictures, "does not name its suite and targets and units; ")
    told = (("suite", "suite"), ("targets", "targets and units"), ("unit", "units"))
    for lacking, names in told:
        onnx.annotate(tmp_path / "bare.onnx", {name: value for name, value in METADATA.items() if name != lacking})
        refuse(tmp_path / "bare.onnx", pictures, f"does not name its {names}; ")


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"suite": "../../etc/passwd"}, "unknown suite '../../etc/passwd'"),
        ({"suite": "os"}, "unknown suite 'os'"),
        ({"targets": "C11,C22"}, "numbers for 2 targets"),
        ({"units": "GPa,GPa"}, "names 2 units for 9 targets"),
        ({"targets": "=1+1" + ",C" * 8}, "cannot be the head of a column"),
        ({"targets": ",".join(["C11\n"] * 9)}, "cannot be the head of a column"),
        ({"unit": "<script>"}, "cannot be the head of a column"),
        ({"facts": "no JSON"}, "or facts that are none"),
        ({KEY: "{}"}, f"model.onnx: its metadata '{KEY}' make no sense"),
    ],
)
def test_what_a_model_says_of_itself_is_not_believed(model, pictures, metadata, said):
    onnx.annotate(model, METADATA | metadata)
    refuse(model, pictures, re.escape(said))


SHAPES = [["batch", 4], ["batch", "h", "w", 1], [1, 64, 64, 1], ["batch", 64, 64, 3], ["batch", 64, 64, 1]]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_of_something_else_is_refused(pictures, tmp_path, shape):
    graph = helper.make_graph(
        [helper.make_node("Identity", ["images"], ["prediction"])],
        "other",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"suite": "elasticity", "targets": "C11", "unit": "GPa"})
    (tmp_path / "other.onnx").write_bytes(model.SerializeToString())
    refuse(tmp_path / "other.onnx", pictures, r"other.onnx: (takes|gives) \(|takes images of 3 channels")


@pytest.mark.parametrize(("inputs", "kind"), [(("a", "b"), TensorProto.FLOAT), (("a",), TensorProto.DOUBLE), ((), 1)])
def test_a_model_of_other_inputs_is_refused(pictures, tmp_path, inputs, kind):
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["p"], value=numpy_helper.from_array(np.ones((1, 1), np.float32)))],
        "other",
        [helper.make_tensor_value_info(name, kind, ["batch", 64, 64, 1]) for name in inputs],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["batch", 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"suite": "elasticity", "targets": "C11", "unit": "GPa"})
    (tmp_path / "other.onnx").write_bytes(model.SerializeToString())
    refuse(tmp_path / "other.onnx", pictures, r"other.onnx: (takes|not an ONNX file)")


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("there.csv", "out=there.csv: already exists: choose another name; nothing is overwritten"),
        ("folder", "out=folder: already exists: "),
        ("pipe", "out=pipe: already exists: "),
        ("to-there.csv", "out=to-there.csv: already exists: "),
        ("pictures/b.png", "out=pictures/b.png: already exists: "),
        ("model.onnx", "out=model.onnx: already exists: "),
        ("to-model.onnx", "out=to-model.onnx: already exists: "),
        ("circle", "out=circle: is a circular link"),
        ("circle/out.csv", "out=circle/out.csv: is a circular link"),
        ("nowhere/out.csv", "out=nowhere/out.csv: there is no folder nowhere"),
        ("to-nowhere.csv", "out=to-nowhere.csv: there is no folder /nowhere"),
        ("there.csv/out.csv", "out=there.csv/out.csv: there is no folder there.csv"),
        ("out.parquet", "out=out.parquet: a CSV is what is written: call it out.csv"),
        ("out.csv.gz", "out=out.csv.gz: a CSV is what is written: call it out.csv"),
        ("out.XLSX", "out=out.XLSX: a CSV is what is written: call it out.csv"),
    ],
)
def test_the_place_is_judged_before_anything_is_read(model, pictures, tmp_path, monkeypatch, out, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").write_text("mine")
    (tmp_path / "folder").mkdir()
    os.mkfifo("pipe")
    links = {"to-there.csv": "there.csv", "to-model.onnx": "model.onnx", "to-nowhere.csv": "/nowhere/out.csv"}
    for name, target in (links | {"circle": "elcric", "elcric": "circle"}).items():
        (tmp_path / name).symlink_to(target)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr("harness.running.predict.ask", lambda *_: pytest.fail("a model was read"))
    with pytest.raises(BenchError, match=f"^{re.escape(said)}"):
        predict(model.relative_to(tmp_path), pictures, Path(out))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told_before_the_work(model, pictures, tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir(mode=0o555)
    monkeypatch.setattr("harness.running.predict.ask", lambda *_: pytest.fail("a model was read"))
    with pytest.raises(BenchError, match="closed cannot be written"):
        predict(model, pictures, tmp_path / "closed" / "out.csv")


def test_a_link_to_a_free_place_is_followed(model, pictures, tmp_path):
    (tmp_path / "link.csv").symlink_to("target.csv")
    predict(model, pictures, tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text().startswith("image,")


def test_what_comes_to_the_place_meanwhile_is_not_overwritten(model, pictures, tmp_path):
    out = tmp_path / "out.csv"
    with pytest.raises(BenchError, match="already exists"):
        predict(model, pictures, out, on_progress=lambda done, total: out.write_text("mine"))
    assert out.read_text() == "mine"


def test_headers_of_images_are_judged_before_the_model_is_run(pictures, tmp_path, monkeypatch):
    """A model that takes 5000x5000 pixels would take 100 MB for each image."""
    path = a_model(tmp_path / "vast.onnx", helper.make_node("Identity", ["mean"], ["prediction"]), size=5000)
    monkeypatch.setattr(onnx.OnnxFile, "open", lambda self: pytest.fail("a session was made"))
    refuse(path, pictures, "64x64 pixels instead of 5000x5000")


FIRST_FIVE = {"from": np.array([0]), "to": np.array([5])}


def test_a_row_for_each_image_or_none_at_all(pictures, tmp_path):
    for number in range(20):
        (pictures / f"{number}.png").write_bytes((pictures / "b.png").read_bytes())
    few = helper.make_node("Slice", ["mean", "from", "to"], ["prediction"])
    path = a_model(tmp_path / "few.onnx", few, initializers=FIRST_FIVE)
    with pytest.raises(BenchError, match="gave 5 rows for 23 images"):
        predict(path, pictures, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ([], "the model gave no rows for 3 images"),
        ([9, 3], "the model gave 9 rows for 3 images"),
        ([3, 8], "other.onnx: gave (3, 8) numbers for 3 images of 9 targets"),
        ([3, 9, 1], "other.onnx: gave (3, 9, 1) numbers for 3 images of 9 targets"),
    ],
)
def test_a_model_that_gives_other_than_it_says(pictures, tmp_path, shape, said):
    """How many lengths its answer has follows from numbers that only running it tells."""
    nodes = [
        helper.make_node("ReduceSum", ["mean"], ["sum"], keepdims=0),
        helper.make_node("Shape", ["images"], ["lengths"]),
        helper.make_node("Sub", ["lengths", "lengths"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("Add", ["some", "zero"], ["same"]),
        helper.make_node("Compress", ["same", "these"], ["size"]),
        helper.make_node("Expand", ["sum", "size"], ["prediction"]),
    ]
    size = {"some": np.array([*shape, 7]), "these": np.array([True] * len(shape) + [False])}
    path = a_model(tmp_path / "other.onnx", *nodes, initializers=size)
    refuse(path, pictures, re.escape(said))


def test_answers_that_are_no_numbers_are_not_written(model, pictures):
    broken = load(model)
    (offset,) = (tensor for tensor in broken.graph.initializer if tensor.name == "offset")
    offset.CopyFrom(numpy_helper.from_array(np.full(9, np.inf, np.float32), "offset"))
    model.write_bytes(broken.SerializeToString())
    refuse(model, pictures, "no finite answer for 3 of 3 images")


def test_an_image_that_cannot_be_read_has_a_row_that_says_why_and_the_others_are_done(
    model, pictures, tmp_path, capsys
):
    (pictures / "aa.png").write_bytes(b"no picture")
    out = tmp_path / "out.csv"
    assert cli.main(["predict", f"model={model}", f"images={pictures}", f"out={out}"]) == 1
    table = pd.read_csv(out).set_index("image")
    assert list(table.index) == ["a9.png", "a10.png", "b.png", "aa.png"]
    assert table.loc["aa.png", "problem"].startswith("not a PNG, whatever its name says")
    assert table["C0_GPa"].notna().tolist() == [True, True, True, False]
    assert table["problem"].notna().tolist() == [False, False, False, True]
    assert "1 image left out: aa.png: not a PNG" in capsys.readouterr().err
    for number in range(4):
        (pictures / f"b{number}.png").write_bytes(b"no picture")
    (pictures / "c.png").write_bytes(b"")
    assert cli.main(["predict", f"model={model}", f"images={pictures}", f"out={tmp_path / 'again.csv'}"]) == 1
    of_text, empty = capsys.readouterr().err.splitlines()
    assert of_text.startswith("5 images left out: aa.png, b0.png, b1.png and 2 more: not a PNG")
    assert empty.startswith("1 image left out: c.png: zero bytes")


def test_images_of_kinds_that_the_suite_does_not_read_are_told(model, pictures, tmp_path):
    for name in ("micrograph.TIF", "photo.jpg", ".hidden.jpg", "notes.txt", "\udce4.png"):
        (pictures / name).write_bytes(b"")
    predicted = predict(model, pictures, tmp_path / "out.csv")
    why = "suite elasticity does not read images of this kind: convert it"
    assert predicted.unread.pop("\\udce4.png").startswith("zero bytes")  # not twice, as spelled out and as it is
    assert predicted.unread == {"micrograph.TIF": why, "photo.jpg": why}


def test_targets_may_be_called_as_our_own_columns_are():
    predicted = Predicted(["distance", "image", "a_b", "a"], ["", "", "", "b"], ["x.png"], [[1.0, 2.0, 3.0, 4.0]])
    predicted = msgspec.structs.replace(predicted, distances=[0.5], unread={"y.png": "broken"})
    header, row, unread = _table(predicted)
    heads = ["image", "predicted_distance", "predicted_image", "predicted_a_b", "predicted_a"]
    assert header == [*heads, "distance", "unlike_training", "problem"]
    assert row == ["x.png", "1", "2", "3", "4", "0.5", "false", ""]
    assert unread == ["y.png", *[""] * 6, "broken"]


def test_the_table_has_what_is_known_of_each_image():
    """An image as far apart as one in twenty like these is not unlike them yet."""
    predicted = Predicted(["E", "nu"], ["GPa", ""], ["x.png", "y.png"], [[1.0, 2.0], [3.0, 4.0]])
    of_numbers = msgspec.structs.replace(
        predicted, low=[[0.5, 1.5], [2.5, 3.5]], high=[[1.5, 2.5], [3.5, 4.5]], distances=[1.0, 1.01]
    )
    heads = ["E_GPa", "nu", "E_GPa_low_90", "nu_low_90", "E_GPa_high_90", "nu_high_90", "distance", "unlike_training"]
    assert list(_table(of_numbers)) == [
        ["image", *heads],
        ["x.png", "1", "2", "0.5", "1.5", "1.5", "2.5", "1", "false"],
        ["y.png", "3", "4", "2.5", "3.5", "3.5", "4.5", "1.01", "true"],
    ]
    of_classes = msgspec.structs.replace(predicted, units=["", ""], classes=["nu", "E"], sets=["nu", "E nu"])
    assert list(_table(of_classes)) == [
        ["image", "E", "nu", "class", "classes_90"],
        ["x.png", "1", "2", "nu", "nu"],
        ["y.png", "3", "4", "E", "E nu"],
    ]


@pytest.fixture
def knowing(model):
    """Has the model know of errors: of `widths` by level, of numbers or of classes; returns what it knows."""

    def know(classes, widths):
        rows, textures = np.zeros((20, 1)), np.random.default_rng(0).random((20, 64, 64, 1), np.float32)
        described = descriptors(textures)
        known = calibrated(rows, rows, described, described, classes=False)
        known = msgspec.structs.replace(known, classes=classes, widths=widths)
        onnx.annotate(model, METADATA | {KEY: msgspec.json.encode(known).decode()})
        return known

    return know


def test_intervals_of_90_per_cent_and_distances_stand_beside_the_answers(knowing, model, pictures):
    known = knowing(False, {"0.8": [9.0] * 9, "0.9": [float(target) for target in range(9)]})
    found = predict_here(Request(str(model), str(pictures)), ignore)
    assert np.subtract(found.rows, found.low) == pytest.approx(np.tile(range(9), (3, 1)))
    assert np.subtract(found.high, found.rows) == pytest.approx(np.tile(range(9), (3, 1)))
    images = [np.asarray(Image.open(pictures / name), np.float32)[:, :, None] / 255 for name in found.names]
    assert found.distances == pytest.approx(known.distances(np.stack(images)))
    assert (found.classes, found.sets) == ([], [])


def test_of_classes_the_most_probable_and_a_set_stand_beside_the_answers(knowing, model, pictures):
    rows = np.array(predict_here(Request(str(model), str(pictures)), ignore).rows)
    second = float(np.sort(rows)[0, -2])  # as probable as those in the set must be
    knowing(True, {"0.9": [1 - second + 1e-6]})
    found = predict_here(Request(str(model), str(pictures)), ignore)
    assert found.classes == [f"C{place}" for place in rows.argmax(axis=1)]
    assert found.sets[0] == " ".join(f"C{place}" for place in sorted(rows[0].argsort()[-2:]))
    assert (found.low, found.high) == ([], [])


def test_too_few_validation_images_for_a_level_leave_distances(knowing, model, pictures):
    knowing(True, {"0.8": [0.1]})
    found = predict_here(Request(str(model), str(pictures)), ignore)
    assert (len(found.classes), len(found.distances)) == (3, 3)
    assert (found.sets, found.low, found.high) == ([], [], [])


def test_a_folder_without_a_usable_image_is_refused_and_nothing_is_written(model, pictures, tmp_path):
    for picture in pictures.iterdir():
        picture.write_bytes(b"no picture")
    with pytest.raises(BenchError, match=r"no image is usable; a9\.png: not a PNG.*\(2 others are not, either\)"):
        predict(model, pictures, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_folder_without_images_and_one_that_is_not_there(model, tmp_path):
    (tmp_path / "empty").mkdir()
    refuse(model, tmp_path / "empty", r"no \*.png")
    refuse(model, tmp_path / "nowhere", "cannot be listed")


def test_a_name_that_would_be_a_formula_is_none(model, pictures, tmp_path):
    (pictures / "b.png").rename(pictures / "=1+1.png")
    predict(model, pictures, tmp_path / "out.csv")
    assert "'=1+1.png" in (tmp_path / "out.csv").read_text()


def test_batches_are_counted(model, pictures):
    for number in range(200):
        (pictures / f"{number}.png").write_bytes((pictures / "b.png").read_bytes())
    seen = []
    predicted = predict_here(Request(str(model), str(pictures)), lambda done, total: seen.append((done, total)))
    assert len(predicted.rows) == 203
    assert seen == [(128, 203), (203, 203)]


# --- models that take what they like ------------------------------------------------------------------------------


def start(model, pictures, out, **options):
    words = (f"model={model}", f"images={pictures}", f"out={out}")
    return subprocess.Popen(
        [*BENCH, "predict", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def child_at_work(process):
    """The child of a `bench predict`, once it has worked for longer than its imports and images take."""
    parent = psutil.Process(process.pid)
    while not (children := parent.children()) or children[0].cpu_times().user < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)  # of another process, which tells nobody
    return children[0]


@pytest.mark.slow
def test_ctrl_c_ends_a_model_that_does_not(endless, pictures, tmp_path):
    process = start(endless, pictures, tmp_path / "out.csv")
    child = child_at_work(process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.startswith("\nbench: interrupted")
    assert err.count("\n") == 2
    assert not child.is_running()
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.slow
def test_a_child_does_not_outlive_a_parent_that_was_killed(endless, pictures, tmp_path):
    process = start(endless, pictures, tmp_path / "out.csv")
    child = child_at_work(process)
    process.kill()
    process.communicate()
    child.wait(60)


def test_a_model_that_takes_too_long_is_stopped(endless, pictures, tmp_path):
    with pytest.raises(BenchError, match=r"endless\.onnx: stopped: it took longer than timeout=0\.5 seconds"):
        predict(endless, pictures, tmp_path / "out.csv", Limits(seconds=0.5))
    assert not (tmp_path / "out.csv").exists()


def test_a_model_that_takes_too_much_memory_is_stopped(pictures, tmp_path):
    """1 GiB for each of three images, between pixels and prediction."""
    nodes = [
        helper.make_node("Expand", ["one", "wide"], ["vast"]),
        helper.make_node("ReduceSum", ["vast", "along"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "nine"], ["prediction"]),
    ]
    wide = {"wide": np.array([1, 2**28]), "along": np.array([1])}
    path = a_model(tmp_path / "vast.onnx", *nodes, initializers=wide)
    with pytest.raises(BenchError, match=r"vast\.onnx: stopped: it took \d\.\d\d GiB of memory, more than memory=0\.5"):
        predict(path, pictures, tmp_path / "out.csv", Limits(memory_gib=0.5))
    assert not (tmp_path / "out.csv").exists()


def test_the_command_names_the_limit(endless, pictures, tmp_path, capsys):
    words = (f"model={endless}", f"images={pictures}", f"out={tmp_path / 'out.csv'}", "timeout=0.5")
    assert cli.main(["predict", *words]) == 2
    assert capsys.readouterr().err == f"bench: {endless}: stopped: it took longer than timeout=0.5 seconds\n"
