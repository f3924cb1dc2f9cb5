import numpy as np
import pandas as pd
import pytest
from PIL import Image

from backends import onnx
from harness.errors import BenchError
from harness.predict import predict


@pytest.fixture
def model(tmp_path):
    """The reference network, said to give elastic constants in GPa."""
    path = tmp_path / "model.onnx"
    onnx.write_reference(path)
    onnx.annotate(path, {"suite": "elasticity", "targets": ",".join(f"C{i}" for i in range(9)), "unit": "GPa"})
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
