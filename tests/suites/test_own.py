"""Anybody's images and table, from the folder to predictions."""

import csv
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

from harness import registry
from harness.command.cli import main
from harness.errors import BenchError, DataError
from harness.model.architecture import Network, parameter_shapes
from harness.model.variants import Encoding
from harness.protocol import Dataset
from harness.running import deploy
from harness.running.data import split_of
from harness.running.plan import Request, plan
from suites import own
from suites.pictures.folder import CLASSES
from tests.harness.examples import GLANCE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Blocks of two widths, in 16-bit TIFF: their brightness, what kind they are, and the plate that they are of."""
    place, draw = tmp_path_factory.mktemp("own") / "blocks", np.random.default_rng(0)
    place.mkdir()
    rows = [["picture", "brightness [cd]", "kind", "specimen"]]
    for number in range(130):
        width, level = (2, 5)[number % 2], draw.uniform(0.3, 0.9)
        blocks = (draw.random((12, 16)) > 0.5).repeat(width, axis=0).repeat(width, axis=1)[:24, :32]
        pixels = level * (0.2 + 0.6 * blocks) + 0.05 * draw.random((24, 32))
        Image.fromarray((65535 * pixels).astype(np.uint16)).save(place / f"s{number}.tif")
        rows.append([f"s{number}.tif", f"{level:.5f}", ("narrow", "wide")[number % 2], f"plate {number // 2}"])
    with (place / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return place


@pytest.mark.parametrize(
    ("name", "parameters", "told"),
    [
        ("two-point", {"componnts": 4}, "unknown parameter 'componnts': did you mean 'components'"),
        ("gray-levels", {"reach": 4}, "unknown parameter 'reach'"),
    ],
)
def test_a_parameter_that_an_encoding_has_not_is_told(folder, name, parameters, told):
    with pytest.raises(BenchError, match=f"encoding '{name}': {told}"):
        own.encoder(Encoding(name, parameters), own.load(folder, {}))


def test_a_file_is_no_folder_of_images(folder):
    (finding,) = own.check_data(folder / "table.csv", {})
    assert finding.what == "is no folder: give the one that it is in"


def test_of_another_split_the_model_that_leaks_is_not_used(folder, tmp_path, capsys):
    """As who follows the advice of the check: the column that tells specimens gets its name, and all is run again."""
    data, results = tmp_path / "blocks", tmp_path / "results"
    shutil.copytree(folder, data)
    table = data / "table.csv"
    text = table.read_text()
    words = [
        "run",
        f"data={data}",
        "profile=smoke",
        "backend=classical",
        "targets=brightness [cd]",
        f"results={results}",
    ]
    table.write_text(text.replace("specimen", "Probe"))
    assert main([*words, "variant=mean,gray-levels"]) == 0
    table.write_text(text)
    assert main([*words, "variant=mean"]) == 0
    told = capsys.readouterr().out
    assert (
        told.rstrip().splitlines()[-1].startswith("to use the best model on the validation images, mean on classical")
    )
    assert "gray-levels" not in told.rpartition("timing")[2]
    assert main(["predict", "suite=own", f"results={results}", f"images={data}", f"out={tmp_path / 'p.csv'}"]) == 0
    assert capsys.readouterr().out.startswith("mean on classical")


def test_a_folder_is_a_data_set(folder):
    dataset = own.load(folder, {})
    assert dataset.images.shape == (130, 24, 32, 1)
    assert (dataset.target_names, dataset.units, dataset.classes) == (("brightness",), ("cd",), False)
    assert dataset.facts == {"pixels": "32x24"}
    assert dataset.warnings == ("table.csv: columns not used: kind",)
    with Image.open(folder / "s7.tif") as picture:
        expected = np.asarray(picture, np.float32) / np.float32(65535)
    np.testing.assert_allclose(dataset.images[dataset.ids.index("s7.tif"), :, :, 0], expected, rtol=1e-6)
    split = split_of(own, dataset)
    for part in split.parts.values():
        others = np.setdiff1d(np.arange(130), part)
        assert not {dataset.groups[row] for row in part} & {dataset.groups[row] for row in others}


def test_a_learning_curve_takes_images_of_many_groups(folder):
    dataset = own.load(folder, {})
    split = own.split(dataset)
    assert len({dataset.groups[row] for row in split.first(30).train}) > 20  # and not 15, both images of each


def test_classes_are_shared_out_alike(folder):
    dataset = own.load(folder, {"targets": "kind"})
    assert dataset.classes
    assert dataset.target_names == ("narrow", "wide")
    assert dataset.facts == {**CLASSES, "pixels": "32x24"}
    free = Dataset(**{name: getattr(dataset, name) for name in dataset.__struct_fields__} | {"groups": ()})
    split = split_of(own, free)
    assert [len(part) for part in split.parts.values()] == [90, 20, 20]
    for part in split.parts.values():
        np.testing.assert_allclose(free.targets[part].mean(axis=0), 0.5)
    assert split.fingerprint() == split_of(own, free).fingerprint()
    first = free.targets[split.first(20).train].mean(axis=0)  # a learning curve takes these
    assert 0.2 < first[0] < 0.8


def of_classes(classes, groups):
    """A data set without anything to see, whose images are of these classes and groups, by number."""
    names = tuple(f"class {number}" for number in range(1 + max(classes)))
    return Dataset(
        name="drawn",
        images=np.zeros((len(classes), 2, 2, 1), np.float32),
        targets=np.eye(len(names))[list(classes)],
        target_names=names,
        units=("",) * len(names),
        ids=tuple(map(str, range(len(classes)))),
        groups=tuple(f"specimen {number}" for number in groups),
        classes=True,
    )


@given(st.lists(st.integers(3, 20), min_size=2, max_size=5), st.integers(1, 4))
def test_classes_of_groups_are_shared_out_alike(specimens, patches):
    kinds = np.repeat(np.arange(len(specimens)), specimens)
    dataset = of_classes(np.repeat(kinds, patches), np.repeat(np.arange(len(kinds)), patches))
    parts = own.split(dataset).parts
    sides = [{dataset.groups[row] for row in part} for part in parts.values()]
    assert sum(map(len, sides)) == len(set().union(*sides)) == len(kinds)
    for part in parts.values():
        assert (dataset.targets[part].sum(axis=0) >= patches).all()  # the rarest class, too


def test_a_group_of_several_classes_stays_together_and_too_few_groups_are_refused():
    mixed = of_classes([0, 1, 1] * 12, np.repeat(np.arange(12), 3))
    assert [len(part) for part in own.split(mixed).parts.values()] == [24, 6, 6]
    with pytest.raises(BenchError, match="no class has three groups"):
        own.split(of_classes([0, 0, 1, 1], [0, 1, 2, 3]))


def test_a_split_of_the_users_own_is_kept(folder):
    dataset = own.load(folder, {})
    free = {name: getattr(dataset, name) for name in dataset.__struct_fields__} | {"groups": ()}
    parts = ("lab-b",) * 10 + ("test",) * 10 + ("train",) * 110
    split = split_of(own, Dataset(**free | {"parts": parts}))
    assert list(split.tests) == ["test", "lab-b"]
    np.testing.assert_array_equal(split.tests["lab-b"], np.arange(10))
    assert (len(split.train), len(split.validation)) == (92, 18)
    split = split_of(own, Dataset(**free | {"parts": ("validation",) * 10 + parts[10:]}))
    np.testing.assert_array_equal(split.validation, np.arange(10))


@pytest.fixture(scope="module")
def of_kinds(folder, tmp_path_factory):
    """The same images in a folder for each of the two kinds."""
    place = tmp_path_factory.mktemp("own") / "kinds"
    for number in range(130):
        kind = place / ("narrow", "wide")[number % 2]
        kind.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / f"s{number}.tif", kind / f"{number // 2}.tif")
    return place


def test_a_folder_for_each_class_is_a_data_set(folder, of_kinds):
    (of_kinds / ".hidden").mkdir(exist_ok=True)
    (of_kinds / "empty").mkdir(exist_ok=True)
    found, told = own.load(of_kinds, {}), own.load(folder, {"targets": "kind"})
    assert (found.classes, found.target_names, found.facts) == (True, told.target_names, told.facts)
    assert found.ids[:2] == ("narrow/0.tif", "narrow/1.tif")
    by_number = {f"s{2 * int(i[7:-4])}.tif" if "narrow" in i else f"s{2 * int(i[5:-4]) + 1}.tif": i for i in found.ids}
    for row in (0, 7, 129):
        same = found.ids.index(by_number[told.ids[row]])
        np.testing.assert_array_equal(found.images[same], told.images[row])
        np.testing.assert_array_equal(found.targets[same], told.targets[row])
    assert [len(part) for part in split_of(own, found).parts.values()] == [90, 20, 20]


def test_what_is_wrong_with_folders_of_classes_is_told(of_kinds, tmp_path):
    shutil.copytree(of_kinds, tmp_path / "kinds")
    (tmp_path / "kinds" / "wide" / "9.tif").write_bytes(b"")
    with pytest.raises(DataError, match=r"wide/9\.tif: zero bytes"):
        own.load(tmp_path / "kinds", {})
    with pytest.raises(BenchError, match="each folder's name is a class"):
        own.load(of_kinds, {"targets": "kind"})
    shutil.rmtree(tmp_path / "kinds" / "wide")
    with pytest.raises(DataError, match="has 1 class: 2 to 50 can be told apart"):
        own.load(tmp_path / "kinds", {})
    shutil.copy(of_kinds / "wide" / "1.tif", tmp_path / "kinds")  # an image beside them: it is of no class
    with pytest.raises(DataError, match="no table"):
        own.load(tmp_path / "kinds", {})


def test_what_lies_beside_and_in_folders_of_classes_is_told(of_kinds, tmp_path):
    place = shutil.copytree(of_kinds, tmp_path / "kinds", dirs_exist_ok=True)
    for path in ("empty", "wide/more/still", "wide/.hidden"):
        (place / path).mkdir(parents=True, exist_ok=True)
    for path in ("wide/more/still/1.tif", "wide/more/2.tif", "wide/.hidden/3.tif", "wide/4.gif", "5.gif"):
        shutil.copy(of_kinds / "wide" / "1.tif", place / path)
    assert [warning for warning in own.load(place, {}).warnings if warning.startswith("images: ")] == [
        "images: images of kinds that are not read: save them as .png, .tif, .tiff, .jpg, .jpeg, .bmp; 2: 5.gif, "
        "wide/4.gif",
        "images: images in folders of a class's folder are not read: move them up; 2: wide/more/2.tif, "
        "wide/more/still/1.tif",
        "images: folders without an image are no classes; 1: empty",
    ]
    (place / "notes.csv").write_text("what\nnothing")
    with pytest.raises(DataError, match=r"a table, notes\.csv, beside folders of images, narrow, wide: put the images"):
        own.load(place, {})


def test_figures_of_classes_are_scikit_learns():
    draw = np.random.default_rng(0)
    truth = np.eye(3)[draw.choice(3, 50, p=[0.7, 0.2, 0.1])]
    predictions = draw.dirichlet([1, 1, 1], 50)
    found = own.measure(predictions, truth, np.empty(0), CLASSES)
    right, answered = truth.argmax(axis=1), predictions.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(accuracy_score(right, answered))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(right, answered))
    assert found["log_loss"] == pytest.approx(log_loss(right, predictions))
    assert own.measure(predictions, truth, np.empty(0), {}) == {}


def test_calibration_error_is_how_much_too_sure_a_model_is():
    truth = np.eye(2)[[0] * 6 + [1] * 4]
    sure = np.tile([0.95, 0.05], (10, 1))
    assert own.measure(sure, truth, np.empty(0), CLASSES)["calibration_error"] == pytest.approx(0.35)
    fair = np.tile([0.6, 0.4], (10, 1))
    assert own.measure(fair, truth, np.empty(0), CLASSES)["calibration_error"] == pytest.approx(0)


@pytest.mark.parametrize("targets", ["brightness [cd]", "kind"])
def test_every_network_fits_the_targets(folder, targets):
    planned = plan("own", request(folder, profile="paper", targets=targets))
    count = len(planned.dataset.target_names)
    networks = {cell.variant: cell.architecture for cell in planned.cells if isinstance(cell.architecture, Network)}
    assert len(networks) == 8
    for network in networks.values():
        assert list(parameter_shapes(network, (64, 64, 3)).values())[-1] == (count,)
    assert ("gp" in {cell.variant for cell in planned.cells}) == (targets != "kind")


def request(folder, profile="smoke", variant="all", backend="all", **options):
    from harness.running.data import DataSource

    return Request(("own",), source=DataSource(str(folder), options), profile=profile, variant=variant, backend=backend)


def test_a_process_is_planned_for_classes_where_it_is_asked_for(folder):
    cells = plan("own", request(folder, variant="gp", targets="kind")).cells
    assert [cell.variant for cell in cells] == ["gp"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"resize": "8"}, "resize=8: give pixels from 16 to 8192"),
        ({"resize": "64x64x3"}, "as in 64 or 96x64"),
        ({"classes": "yes"}, "classes=yes: must be true or false"),
        ({"targets": "height"}, "targets=height: the table has no such column"),
        ({"targets": "kind", "units": "m"}, "units=m: classes have none"),
    ],
)
def test_options_that_make_no_sense_are_refused(folder, options, told):
    with pytest.raises(BenchError, match=told):
        own.load(folder, options)


def test_what_has_no_unit_is_scaled_by_nothing():
    assert own.unit_factor("") == 1
    with pytest.raises(BenchError, match="converts no units"):
        own.unit_factor("MPa")


def test_each_target_may_have_a_unit_of_its_own_or_none(folder, tmp_path):
    for path in folder.glob("s?.tif"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for number in (10, 11):
        (tmp_path / f"s{number}.tif").write_bytes((folder / f"s{number}.tif").read_bytes())
    rows = "".join(f"s{number}.tif,{number},{number**2 % 7}\n" for number in range(12))
    (tmp_path / "t.csv").write_text("file,a,b\n" + rows)
    assert own.load(tmp_path, {"units": "MPa,"}).units == ("MPa", "")


def test_without_a_folder_there_is_nothing_to_do():
    with pytest.raises(BenchError, match="suite=own: give data=FOLDER"):
        own.load(None, {})
    assert "own" in registry.names("suites")
    assert "own" not in registry.with_data()


def test_everything_that_is_wrong_is_told_at_once(folder, tmp_path):
    for name in ("s0.tif", "s1.tif"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "s2.tif").write_bytes(b"no picture")
    (tmp_path / "table.csv").write_text("file,E\ns0.tif,1\ns1.tif,x\ns2.tif,3\ns3.tif,4\n")
    with pytest.raises(DataError) as refused:
        own.load(tmp_path, {})
    text = str(refused.value)
    for told in (
        "s2.tif: not a PNG, TIFF, JPEG or BMP",
        "row 2: E is no finite number ('x')",
        "row 4: the file that it names",
    ):
        assert told in text
    assert "too few to split" in text


def test_rows_that_name_images_of_kinds_that_are_not_read_are_told_as_such(folder, tmp_path):
    place = shutil.copytree(folder, tmp_path / "some")
    for number in (3, 4):
        (place / f"s{number}.tif").rename(place / f"s{number}.gif")
    table = next(place.glob("*.csv"))
    table.write_text(table.read_text().replace("s3.tif", "s3.gif").replace("s4.tif", "s4.gif"))
    errors = [finding.what for finding in own.check_data(place, {}) if finding.severity == "error"]
    assert len(errors) == 1
    assert errors[0].startswith("the image that it names is of a kind that is not read: save it as .png")
    assert "2 rows: 4-5 (row 4: 's3.gif')" in errors[0]


def test_what_images_that_cannot_be_read_would_mend_is_not_told(folder, tmp_path):
    """Of twelve images one is whole: too few, and of too few classes, but not for their number."""
    for number in range(12):
        (tmp_path / f"{number}.tif").write_bytes((folder / f"s{number}.tif").read_bytes() if number > 10 else b"")
    for kind in ("file,E\n", "file,kind\n"):
        rows = "".join(f"{number}.tif,{'uv'[number % 2] if 'kind' in kind else number}\n" for number in range(12))
        (tmp_path / "t.csv").write_text(kind + rows)
        (finding,) = own.check_data(tmp_path, {})
        assert finding.what.startswith("zero bytes: write it anew; 11 images")


def test_from_a_folder_to_predictions(folder, tmp_path, capsys):
    """No suite is named: the folder is nobody else's."""
    words = ["run", f"data={folder}", "profile=smoke", "backend=classical", f"results={tmp_path}"]
    assert main([*words, "variant=mean,gray-levels,s2-ridge", "targets=brightness [cd]"]) == 0
    told = capsys.readouterr()
    assert f"data={folder}: used for suite own" in told.err
    assert "suite own: 130 images of data set 'blocks'" in told.out
    (model,) = (tmp_path / "models" / "own").glob("s2-ridge*.onnx")
    out = tmp_path / "out.csv"
    assert main(["predict", f"model={model}", f"images={folder}", f"out={out}"]) == 0
    with out.open() as file:
        rows = {row["image"]: float(row["brightness_cd"]) for row in csv.DictReader(file)}
    with (folder / "table.csv").open() as file:
        truth = {row["picture"]: float(row["brightness [cd]"]) for row in csv.DictReader(file)}
    off = [rows[name] - truth[name] for name in truth]
    assert np.sqrt(np.mean(np.square(off))) < 0.02


def test_the_best_model_predicts_with_intervals_and_flags(folder, tmp_path, capsys):
    words = ["run", f"data={folder}", "profile=smoke", "backend=classical", f"results={tmp_path}"]
    assert main([*words, "variant=mean,gray-levels,s2-ridge"]) == 0
    images, out = tmp_path / "images", tmp_path / "out.csv"
    images.mkdir()
    for name in ("s1.tif", "s2.tif"):
        (images / name).write_bytes((folder / name).read_bytes())
    Image.fromarray(np.zeros((24, 32), np.uint16)).save(images / "black.tif")
    Image.fromarray(np.zeros((48, 64), np.uint16)).save(images / "larger.tif")
    (images / "other.gif").write_bytes(b"GIF")
    capsys.readouterr()
    assert main(["predict", "suite=own", f"results={tmp_path}", f"images={images}", f"out={out}"]) == 1
    told = capsys.readouterr().out
    assert "trained on blocks" in told
    assert "3 rows, 1 of images unlike the training images" in told
    with out.open() as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    for name in ("s1.tif", "s2.tif"):
        low, value, high = (float(rows[name][f"brightness_cd{end}"]) for end in ("_low_90", "", "_high_90"))
        assert low < value < high
        assert rows[name]["unlike_training"] == "false"
    assert rows["black.tif"]["unlike_training"] == "true"
    problem = "not 32x24 pixels, as those that the model was trained on: cut it to that size, at the same magnification"
    assert rows["larger.tif"]["problem"] == problem
    assert main(["deploy", f"results={tmp_path}"]) == 2
    assert (
        "suite=own: 3 of 3 models were not trained on the data that the suite ships: give data="
        in capsys.readouterr().err
    )
    assert rows["other.gif"]["problem"] == "not a PNG, TIFF, JPEG or BMP: convert it"
    asked = ["predict", "suite=own", f"results={tmp_path}", f"images={images}", f"out={tmp_path / 'mean.csv'}"]
    assert main([*asked, "variant=mean"]) == 1
    assert "mean on classical" in capsys.readouterr().out
    assert main([*asked, "variant=meen"]) == 2
    assert "did you mean 'mean'" in capsys.readouterr().err
    assert main([*asked, f"model={out}"]) == 2
    assert "not both" in capsys.readouterr().err
    assert main(["predict", "suite=shift", f"results={tmp_path}", f"images={images}", f"out={tmp_path / 'n.csv'}"]) == 2
    assert "no model of suite=shift" in capsys.readouterr().err


def test_models_of_a_folder_are_made_lighter_and_scored_again_on_it(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(deploy, "LatencySettings", lambda: GLANCE)
    words = [f"data={folder}", "targets=brightness [cd]", f"results={tmp_path}"]
    assert main(["run", *words, "profile=smoke", "backend=classical", "variant=gray-levels"]) == 0
    capsys.readouterr()
    assert main(["deploy", *words[::2], "targets=kind"]) == 2  # other targets are other data
    assert "1 of 1 models were not trained on data=" in capsys.readouterr().err
    assert main(["deploy", *words, "runtime=float32,float16"]) == 0
    with (tmp_path / "leaderboards" / "own-deployment.csv").open() as file:
        lighter = {row["runtime"]: row for row in csv.DictReader(file)}
    assert lighter["float32"]["skill"] == pytest.approx(lighter["float32"]["skill_float32"])
    assert float(lighter["float16"]["skill"]) == pytest.approx(float(lighter["float32"]["skill"]), abs=0.01)


def test_classes_from_a_folder_to_a_leaderboard(folder, tmp_path):
    words = ["run", "suite=own", f"data={folder}", "profile=smoke", "backend=classical", f"results={tmp_path}"]
    assert main([*words, "variant=mean,s2-ridge", "targets=kind"]) == 0
    with (tmp_path / "leaderboards" / "own.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert float(rows["s2-ridge"]["accuracy"]) == 1
    assert float(rows["s2-ridge"]["skill"]) > 0.9
    assert float(rows["mean"]["balanced_accuracy"]) == 0.5
    assert main(["leaderboard", "check=true", f"results={tmp_path}"]) == 0
    out = tmp_path / "out.csv"
    assert main(["predict", "suite=own", f"results={tmp_path}", f"images={folder}", f"out={out}"]) == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["class"] for row in rows} == {"narrow", "wide"}
    assert all(float(row["narrow"]) + float(row["wide"]) == pytest.approx(1, abs=1e-4) for row in rows)


def test_a_folder_for_no_suite_says_for_each_why(tmp_path, capsys):
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("u,v\n1,2\n")
    assert main(["run", f"data={tmp_path}", f"results={tmp_path / 'r'}"]) == 2
    told = capsys.readouterr().err
    assert f"fits no suite; `bench data check data={tmp_path}` says more" in told
    assert main(["run", f"data={tmp_path}", "resize=48x64", f"results={tmp_path / 'r'}"]) == 2
    assert f"`bench data check data={tmp_path} resize=48x64` says more" in capsys.readouterr().err
    assert "not for elasticity: " in told
    assert "not for own: " in told


def levels(folder):
    """The least and the most of the brightness that the table tells."""
    with (folder / "table.csv").open() as file:
        found = [float(row["brightness [cd]"]) for row in csv.DictReader(file)]
    return f"{min(found):.4g} to {max(found):.4g}"


def test_the_check_finds_the_suite_and_tells_all_that_is_wrong(folder, tmp_path, capsys):
    assert main(["data", "check", f"data={folder}"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"130 images, seen by models as 32x24 pixels; brightness {levels(folder)} cd; 65 groups",
        f"{folder} for suite own: 0 errors, 1 warning",
    ]
    assert main(["data", "check", f"data={folder}", "targets=kind"]) == 0
    assert "; 2 classes: narrow (65), wide (65); 65 groups" in capsys.readouterr().out
    (tmp_path / "s1.tif").write_bytes((folder / "s1.tif").read_bytes())
    (tmp_path / "t.csv").write_text("file,E\ns1.tif,x\ns2.tif,1\ns3.tif,2\n")
    assert main(["data", "check", f"data={tmp_path}"]) == 2
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if line.startswith("not for suite")] == [
        "not for suite elasticity: no *.png images",
        "not for suite polysilicon: no *.png images",
    ]
    assert any("E is no finite number ('x')" in line for line in told)
    assert told[-1].startswith(f"{tmp_path} for suite own: 3 errors")


def test_grey_pictures_with_a_modulus_are_no_films(tmp_path, capsys):
    draw, rows = np.random.default_rng(0), ["file,E [GPa]"]
    for number in range(70):
        grey = draw.integers(0, 256, (20, 20)).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{draw.uniform(100, 200):.2f}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    assert main(["run", f"data={tmp_path}", "dry=true", f"results={tmp_path / 'r'}"]) == 0
    told = capsys.readouterr().err
    assert f"data={tmp_path}: used for suite own" in told
    assert "not for polysilicon: 70 of 70 are no films" in told


def test_options_of_one_suite_choose_it(folder, tmp_path, capsys):
    words = ["run", f"data={folder}", "units=lx", "profile=smoke", "backend=classical", "variant=mean"]
    assert main([*words, f"results={tmp_path}"]) == 0
    assert "not for elasticity" not in capsys.readouterr().err
