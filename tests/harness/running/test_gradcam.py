"""Maps of models that a smoke run trained, and what is refused."""

import shutil

import msgspec
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from harness.command.cli import main
from harness.command.models import _deletion
from harness.errors import BenchError
from harness.judging.maps import Deletion
from harness.judging.store import Store
from harness.model.architecture import Conv2D, Dense, Estimator, Flatten, Imported, Network
from harness.model.variants import Configuration, Recipe, Search
from harness.running.data import DataSource
from harness.running.gradcam import _network, _spread, look
from tests.harness.a_benchmark import searched
from tests.harness.examples import a_cell, a_record

PHASES, ELASTICITY = "variant=cnn,frequencies", "variant=baseline,ridge"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for suite, variants in (("phases", PHASES), ("elasticity", ELASTICITY)):
        words = [f"suite={suite}", variants, "backend=classical,pytorch", "profile=smoke", f"results={folder}"]
        assert main(["run", *words]) == 0
    return folder


def model(results, suite, variant):
    (path,) = (results / "models" / suite).glob(f"{variant}.*.onnx")
    return path


def refuse(path, said, target="", source=None):
    with pytest.raises(BenchError, match=said):
        look(path, source or DataSource(), target, 3, lambda *_: None)


def copied(results, folder):
    """A results folder to spoil."""
    return shutil.copytree(results, folder / "copy")


@pytest.mark.slow
def test_of_classes_the_map_is_of_what_is_answered(results, capsys):
    path = model(results, "phases", "cnn")
    assert main(["gradcam", f"model={path}", "n=7"]) == 0
    told = capsys.readouterr().out
    picture = path.with_suffix(".gradcam.png")
    assert f"{picture}: 7 of 240 test images, by conv2d_3, 12x12" in told
    assert "removing the brightest 10 % of pixels" in told
    assert Image.open(picture).size[0] > 500

    found = look(path, DataSource(), "", 7, lambda *_: None)
    (record,) = (r for r in Store(results, "phases").trainings() if r.cell.variant == "cnn")
    held_out = record.held_out
    for one in found.images:
        predicted = held_out.predictions[held_out.ids.index(one.name)]
        assert one.target == held_out.targets[np.argmax(predicted)]
        assert one.answer == pytest.approx(max(predicted), rel=1e-4)
        assert one.truth == (one.target == one.true_class)
        assert np.shape(one.image) == np.shape(one.map) == (64, 64)
        assert np.min(one.map) >= 0
    assert len({one.true_class for one in found.images}) == 5  # as many of each as there are
    assert found.deletion.images <= found.tested == 240


@pytest.mark.slow
def test_of_numbers_the_map_is_of_the_target_that_is_named(results, tmp_path, capsys):
    path, out = model(results, "elasticity", "baseline"), tmp_path / "map.png"
    assert main(["gradcam", f"model={path.with_suffix('.safetensors')}", "target=C12", "n=3", f"out={out}"]) == 0
    assert "by conv2d_2" in capsys.readouterr().out
    assert out.is_file()
    maps = {target: look(path, DataSource(), target, 3, lambda *_: None).images for target in ("C11", "C12")}
    truths = [one.truth for one in maps["C12"]]
    assert truths == sorted(truths)  # from the least to the most
    assert {(one.target, one.unit) for one in maps["C12"]} == {("C12", "GPa")}
    assert all(one.true_class == "" for one in maps["C12"])
    assert not np.allclose(maps["C11"][0].map, maps["C12"][0].map)


@pytest.mark.slow
def test_what_cannot_be_drawn_is_refused(results, tmp_path, capsys):
    baseline = model(results, "elasticity", "baseline")
    refuse(baseline, "target=: this model answers C11, C22, .*: name the one whose map to draw")
    refuse(baseline, "unknown target of this model 'C1': did you mean 'C1", target="C1")
    refuse(model(results, "elasticity", "ridge"), "ridge on classical, seed 0: is not a network")
    refuse(baseline, "was trained on data 'elasticity', not on these", "C11", _other_data(tmp_path))
    assert main(["gradcam", f"model={baseline}", "target=C11", f"out={tmp_path}"]) == 2
    assert f"out={tmp_path}: already exists: choose another name" in capsys.readouterr().err


def _other_data(folder):
    assert main(["data", "make", f"out={folder / 'islands'}", "n=30"]) == 0
    return DataSource(str(folder / "islands"))


@pytest.mark.slow
def test_a_model_without_its_weights_or_its_record_is_refused(results, tmp_path):
    there = model(copied(results, tmp_path), "phases", "cnn")
    weights = there.with_suffix(".safetensors")
    elsewhere = shutil.copyfile(there, tmp_path / there.name)
    refuse(elsewhere, "has no record: name a file where `bench run` wrote it")
    refuse(there.rename(there.with_name("mine.onnx")), "mine.onnx: has no record")

    arrays = load_file(weights)
    save_file({name: 2 * array for name, array in arrays.items()}, weights)
    refuse(weights, "not the weights of the record, whose predictions differ")
    save_file({name: array for name, array in arrays.items() if "bias" not in name}, weights)
    refuse(weights, "these weights do not fit the model: conv2d_1/bias is missing")
    weights.write_bytes(b"no such thing")
    refuse(weights, "not a safetensors file")
    weights.unlink()
    shutil.copyfile(model(results, "phases", "cnn"), weights.with_suffix(".onnx"))
    refuse(weights.with_suffix(".onnx"), "there are no such weights: `bench run` writes them beside the ONNX file")


def test_only_a_network_whose_layers_are_known_looks_anywhere():
    network = Network((Conv2D(2, 3), Flatten(), Dense(2, "linear")))
    assert _network(a_record(a_cell(architecture=network))) == network
    with pytest.raises(BenchError, match="ridge on classical, seed 0: is not a network"):
        _network(a_record())
    with pytest.raises(BenchError, match="the layers of a user's own code are not known"):
        _network(a_record(a_cell(architecture=Imported("net.py:Net", "torch", "abc"))))
    grid = Search((Configuration({"alpha": 1.0}, Estimator("ridge")),))
    with pytest.raises(BenchError, match="is not a network"):
        _network(a_record(a_cell(architecture=grid), searched=msgspec.structs.replace(searched(0), selected=0)))


def test_of_a_search_it_is_the_selected_network():
    networks = [Network((Conv2D(filters, 3), Flatten(), Dense(2, "linear"))) for filters in (2, 4, 8)]
    search = Search(tuple(Configuration({"filters": 1.0}, network, Recipe()) for network in networks))
    selected = msgspec.structs.replace(searched(0), selected=1)
    assert _network(a_record(a_cell(architecture=search), searched=selected)) == networks[1]


@pytest.fixture
def dense(tmp_path):
    """Results with a record of a network without a convolution; its file."""
    cell = a_cell(architecture=Network((Flatten(), Dense(2, "linear"))), recipes=(Recipe(),))
    Store(tmp_path, "elasticity").folder.mkdir(parents=True)
    Store(tmp_path, "elasticity").append(a_record(cell))
    path = tmp_path / "models" / "elasticity" / f"{cell.file_stem}.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    return path


NO_CONVOLUTION = "has no convolution, so there is no map of where it looks"


def test_a_network_without_a_convolution_is_refused(dense):
    refuse(dense, NO_CONVOLUTION)


def test_a_folder_of_models_may_be_a_link_and_so_may_a_model(dense, tmp_path):
    (tmp_path / "mine.onnx").symlink_to(dense)
    refuse(tmp_path / "mine.onnx", NO_CONVOLUTION)
    dense.parents[1].rename(tmp_path / "large-disk")
    (tmp_path / "models").symlink_to(tmp_path / "large-disk")
    refuse(dense, NO_CONVOLUTION)


def test_an_option_of_another_suite_is_refused(dense):
    said = "crystal=copper: is an option of suite polysilicon, not of elasticity"
    refuse(dense, said, source=DataSource(options={"crystal": "copper"}))


def test_a_target_that_would_be_a_folder_is_refused(dense, capsys):
    assert main(["gradcam", f"model={dense}", "target=a/b"]) == 2
    assert "target=a/b: not a target of this model" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["map", "map.txt"])
def test_what_is_no_picture_is_refused_before_anything_is_computed(tmp_path, capsys, name):
    """Of a name without a suffix Matplotlib would make another, which nobody has looked for."""
    (tmp_path / "any.onnx").touch()
    assert main(["gradcam", f"model={tmp_path / 'any.onnx'}", f"out={tmp_path / name}"]) == 2
    assert f"{name}: a picture is what is drawn: call it map.png" in capsys.readouterr().err


def test_what_is_there_is_not_overwritten(dense, tmp_path, capsys):
    out = tmp_path / "mine.png"
    out.write_text("mine")
    assert main(["gradcam", f"model={dense}", f"out={out}"]) == 2
    assert "already exists: choose another name; nothing is overwritten" in capsys.readouterr().err
    assert out.read_text() == "mine"


def test_a_framework_that_is_not_installed_is_named(tmp_path, monkeypatch):
    network = Network((Conv2D(2, 3), Flatten(), Dense(2, "linear")))
    cell = a_cell(architecture=network, recipes=(Recipe(),), backend="pytorch")
    Store(tmp_path, "elasticity").folder.mkdir(parents=True)
    Store(tmp_path, "elasticity").append(a_record(cell))
    path = tmp_path / "models" / "elasticity" / f"{cell.file_stem}.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    monkeypatch.setattr("harness.registry.missing", lambda name: ("torch",) if name == "pytorch" else ())
    refuse(path, "was trained with torch, which is not installed")


def test_images_are_from_the_least_to_the_most_or_of_each_class():
    numbers = np.array([[3.0], [1.0], [2.0], [5.0], [4.0]])
    of = np.zeros(5, int)
    assert _spread(numbers, of, 3, classes=False) == [1, 0, 3]
    assert _spread(numbers, of, 9, classes=False) == [1, 2, 0, 4, 3]
    rare = np.eye(2)[[0, 0, 0, 1, 0, 0]]
    assert _spread(rare, np.zeros(6, int), 3, classes=True) == [0, 1, 3]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "every map is zero: nothing that the convolution sees raises these answers"),
        (Deletion(7, 2.0, 0.5, None), "by 0.5 (mean of 7 images): too few to say whether that is chance"),
        (Deletion(40, 2.0, 0.5, (1.0, 2.0)), "; difference 1 to 2, 95 %): answers come from there"),
        (Deletion(40, 2.0, 0.5, (-1.0, 2.0)), "95 %): the maps do not tell where answers come from"),
    ],
)
def test_whether_answers_come_from_where_maps_are_bright_is_said(found, said):
    assert _deletion(found, "GPa").endswith(said)
