import os
import re

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper, load, numpy_helper
from PIL import Image

from backends import onnx
from harness.errors import BenchError
from harness.predict import predict

METADATA = {"suite": "elasticity", "targets": ",".join(f"C{i}" for i in range(9)), "unit": "GPa"}


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
    assert predict(model, pictures, tmp_path / "out.csv") == 3
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table["image"]) == ["a9.png", "a10.png", "b.png"]
    assert list(table.columns[1:]) == [f"C{i}_GPa" for i in range(9)]
    assert table.notna().all(axis=None)


def test_a_model_that_does_not_say_what_it_gives_is_refused(pictures, tmp_path):
    onnx.write_reference(tmp_path / "bare.onnx")
    with pytest.raises(BenchError, match="does not name its suite and targets and unit"):
        predict(tmp_path / "bare.onnx", pictures, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"suite": "../../etc/passwd"}, "unknown suite '../../etc/passwd'"),
        ({"suite": "os"}, "unknown suite 'os'"),
        ({"targets": "C11,C22"}, "numbers for 2 targets"),
        ({"targets": "=1+1" + ",C" * 8}, "cannot be the head of a column"),
        ({"targets": ",".join(["C11\n"] * 9)}, "cannot be the head of a column"),
        ({"unit": "<script>"}, "cannot be the head of a column"),
    ],
)
def test_what_a_model_says_of_itself_is_not_believed(model, pictures, tmp_path, metadata, said):
    onnx.annotate(model, METADATA | metadata)
    with pytest.raises(BenchError, match=re.escape(said)):
        predict(model, pictures, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


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
    with pytest.raises(BenchError, match=r"other.onnx: (takes|gives) \("):
        predict(tmp_path / "other.onnx", pictures, tmp_path / "out.csv")


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
    with pytest.raises(BenchError, match=r"other.onnx: (takes|not an ONNX file)"):
        predict(tmp_path / "other.onnx", pictures, tmp_path / "out.csv")


def test_what_is_no_file_is_not_replaced_by_one(model, pictures, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for out in ("pipe", "folder"):
        with pytest.raises(BenchError, match="is there, and is no file"):
            predict(model, pictures, tmp_path / out)
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "link.csv").symlink_to("target.csv")
    predict(model, pictures, tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text().startswith("image,")


def test_answers_that_are_no_numbers_are_not_written(model, pictures, tmp_path):
    broken = load(model)
    (offset,) = (tensor for tensor in broken.graph.initializer if tensor.name == "offset")
    offset.CopyFrom(numpy_helper.from_array(np.full(9, np.inf, np.float32), "offset"))
    model.write_bytes(broken.SerializeToString())
    with pytest.raises(BenchError, match="no finite answer for 3 of 3 images"):
        predict(model, pictures, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_unusable_images_are_named_and_nothing_is_written(model, pictures, tmp_path):
    (pictures / "c.png").write_bytes(b"no picture")
    with pytest.raises(BenchError, match=r"c\.png"):
        predict(model, pictures, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_folder_without_images_and_one_that_is_not_there(model, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match=r"no \*.png"):
        predict(model, tmp_path / "empty", tmp_path / "out.csv")
    with pytest.raises(BenchError, match="cannot be listed"):
        predict(model, tmp_path / "nowhere", tmp_path / "out.csv")


def test_a_place_that_is_not_there_is_refused(model, pictures, tmp_path):
    with pytest.raises(BenchError, match="there is no folder"):
        predict(model, pictures, tmp_path / "nowhere" / "out.csv")


def test_a_name_that_would_be_a_formula_is_none(model, pictures, tmp_path):
    (pictures / "b.png").rename(pictures / "=1+1.png")
    predict(model, pictures, tmp_path / "out.csv")
    assert "'=1+1.png" in (tmp_path / "out.csv").read_text()
