from pathlib import Path

import msgspec
import pytest

from harness import registry
from harness.errors import BenchError
from harness.judging.records import Settings
from harness.model.architecture import Estimator, Imported, Network
from harness.model.variants import Recipe
from harness.running import chosen as module
from harness.running.chosen import by_owner, chosen, settled, usual_recipes
from harness.running.data import split_of
from harness.running.guard import Limits
from harness.running.looking import Looked
from harness.running.plan import Request, plan

SUITE = registry.suite("elasticity")
DENSE = '[architecture]\ntype = "network"\nlayers = [{type = "Flatten"}, {type = "Dense", units = %d}]\n'
CODE = '[architecture]\ntype = "imported"\npath = "%s"\n'


@pytest.fixture
def looked(monkeypatch):
    """What was looked at, and a framework for it, without running anything."""
    calls = []

    def look(path, shape, outputs, limits):
        calls.append((path, shape, outputs))
        return Looked("torch", "f" * 64)

    monkeypatch.setattr(module, "look", look)
    return calls


def planned(variant, **options):
    return plan("elasticity", Request(("elasticity",), variant=variant, profile="smoke", **options))


def test_words_of_the_users_own_are_told_from_names():
    told = by_owner("gp, my.toml,a.b:C,a/b.py:C,a.py,all")
    assert told == (["gp", "all"], ["my.toml", "a.b:C", "a/b.py:C", "a.py"])


@pytest.mark.parametrize("word", ["~nosuchuser/mine.toml", "~nosuchuser/models.py:Net"])
def test_a_home_that_there_is_not_is_named(word):
    with pytest.raises(BenchError, match=f"variant={word}: there is no home ~nosuchuser here"):
        chosen("elasticity", word)


def test_the_suites_own_come_first(tmp_path):
    (tmp_path / "mine.toml").write_text(DENSE % 9)
    found = chosen("elasticity", f"{tmp_path / 'mine.toml'},ridge,{tmp_path / 'mine.toml'}")
    assert [(item.variant.name, item.own) for item in found] == [("ridge", False), ("mine", True)]
    everything = chosen("elasticity", f"all,{tmp_path / 'mine.toml'}")
    assert [item.variant.name for item in everything] == [*(v.name for v in SUITE.VARIANTS), "mine"]
    assert [item.variant.name for item in everything if item.asked_for] == ["mine"]


def test_what_a_profile_leaves_out_is_taken_where_it_is_named():
    names = {item.variant.name for item in chosen("elasticity", "all", ["ridge", "gp"])}
    assert names == {variant.name for variant in SUITE.VARIANTS} - {"ridge", "gp"}
    assert "ridge" in {item.variant.name for item in chosen("elasticity", "all,ridge", ["ridge", "gp"])}


def test_an_estimator_of_a_file_is_planned_as_it_stands(tmp_path):
    (tmp_path / "mine.toml").write_text('[architecture]\ntype = "estimator"\nmethod = "ridge"\nalpha = 2.0\n')
    (cell,) = planned(str(tmp_path / "mine.toml")).cells
    assert (cell.backend, cell.architecture, cell.recipes) == ("classical", Estimator("ridge", alpha=2.0), ())


def test_what_has_no_recipes_is_trained_as_the_suites_first_network(tmp_path):
    (tmp_path / "mine.toml").write_text(DENSE % 9)
    (item,) = chosen("elasticity", str(tmp_path / "mine.toml"))
    baseline = next(variant for variant in SUITE.VARIANTS if variant.name == "baseline")
    assert item.variant.recipes == baseline.recipes == usual_recipes(SUITE) == (Recipe(),)
    (tmp_path / "mine.toml").write_text("[[recipes]]\nepochs = 7\n" + DENSE % 9)
    (item,) = chosen("elasticity", str(tmp_path / "mine.toml"))
    assert item.variant.recipes == (Recipe(epochs=7),)


def test_two_of_one_name_are_refused(tmp_path):
    (tmp_path / "ridge.toml").write_text(DENSE % 9)
    with pytest.raises(BenchError, match="variant=ridge: the name is taken by elasticity's own"):
        chosen("elasticity", str(tmp_path / "ridge.toml"))


def test_a_network_of_a_file_is_held_against_the_data(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(DENSE % 0)
    (keras, torch) = [cell for cell in planned(str(path)).cells if cell.backend != "onnx"]
    assert (keras.backend, torch.backend) == ("keras", "pytorch")
    assert isinstance(keras.architecture, Network)
    assert keras.architecture.layers[-1].units == 9
    path.write_text(DENSE % 3)
    with pytest.raises(BenchError, match=r"dense_1, the last layer, gives \(3,\) numbers for an image, and 9 "):
        planned(str(path))
    path.write_text('encoding = {name = "two-pont"}\n' + DENSE % 9)
    with pytest.raises(BenchError, match="unknown encoding 'two-pont': did you mean 'two-point'"):
        planned(str(path))
    path.write_text('encoding = {name = "two-point", parameters = {componets = 5}}\n' + DENSE % 9)
    with pytest.raises(
        BenchError, match="encoding 'two-point': unknown parameter 'componets': did you mean 'components'"
    ):
        planned(str(path))
    path.write_text('decoding = {name = "between-bounds", parameters = {componets = 5}}\n' + DENSE % 9)
    with pytest.raises(BenchError, match="decoding 'between-bounds': unknown parameter 'componets': it takes none"):
        planned(str(path))
    path.write_text('encoding = {name = "two-point", parameters = {components = 5, reach = 4}}\n' + DENSE % 9)
    assert planned(str(path)).cells[0].encoding.parameters == {"components": 5, "reach": 4}


LAYER = {
    "conv": '{type = "Conv2D", filters = 3, kernel = 1}',
    "flat": '{type = "Flatten"}',
    "mean": '{type = "GlobalAveragePool2D"}',
    "vgg16": '{type = "Backbone", family = "vgg16"}',
    "dropout": '{type = "Dropout", rate = 0.5}',
    "answer": '{type = "Dense", units = 0}',
}
HEAD = '[[recipes]]\ntrains = "head"\n'


def network(*layers):
    return f'[architecture]\ntype = "network"\nlayers = [{", ".join(LAYER[name] for name in layers)}]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (network(), "it has no layers"),
        (network("flat", "conv", "flat", "answer"), "conv2d_1 takes an image, and is given a vector"),
        (network("flat", "mean", "answer"), "globalaveragepool2d_1 takes an image, and is given a vector"),
        ('encoding = {name = "two-point"}\n' + network("mean", "answer"), "globalaveragepool2d_1 takes an image"),
        ('encoding = {name = "two-point"}\n' + network("conv", "flat", "answer"), "conv2d_1 takes an image"),
        (network("conv", "vgg16", "mean", "answer"), "backbone_1: only a Dropout may come before a backbone"),
        (HEAD + network("mean", "answer"), "trains = 'head': the network has no backbone"),
        (HEAD + "augmented = true\n" + network("vgg16", "mean", "answer"), "augmented: not with trains = 'head'"),
        ("[[recipes]]\ncentred = true\n" + network("vgg16", "mean", "answer"), "centred: only in a first"),
        (HEAD * 2 + "centred = true\n" + network("vgg16", "mean", "answer"), "centred: only in a first"),
        (
            HEAD + "centred = true\n" + network("vgg16", "mean", "dropout", "answer"),
            "centred: the head must begin with a Dense, not with dropout_1",
        ),
        (network("vgg16", "vgg16", "mean", "answer"), "backbone_2 takes one grey channel or three, but"),
    ],
)
def test_a_network_that_cannot_be_trained_as_its_record_would_say_is_refused(tmp_path, text, said):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(BenchError, match=f"^variant=mine: {said}"):
        planned(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    "text",
    [
        "[[recipes]]\n" + network("dropout", "vgg16", "flat", "answer"),
        HEAD + network("vgg16", "flat", "answer"),
        HEAD + network("vgg16", "conv", "flat", "answer"),
        network("mean", "flat", "answer"),
        'encoding = {name = "two-point"}\n' + network("flat", "answer"),
    ],
)
def test_what_is_flattened_may_be_a_backbones_or_a_vector(tmp_path, text):
    (tmp_path / "mine.toml").write_text(text)
    assert {"keras", "pytorch"} <= {cell.backend for cell in planned(str(tmp_path / "mine.toml")).cells}


def test_a_network_that_is_decoded_has_as_many_units_as_there_are_answers(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('decoding = {name = "between-bounds"}\n' + DENSE % 0)
    (cell, _) = planned(str(path)).cells
    assert cell.architecture.layers[-1].units == 6


def test_a_recipe_that_moves_by_no_symmetry_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[[recipes]]\naugmented = ["shfit"]\n' + DENSE % 9)
    with pytest.raises(BenchError, match="unknown symmetry 'shfit': did you mean 'shift'"):
        planned(str(path))
    path.write_text('[architecture]\ntype = "estimator"\nmethod = "ridge"\nmoved_by = "turn"\n')
    with pytest.raises(BenchError, match="unknown symmetry 'turn'"):
        planned(str(path))
    one = 'choices = {width = 1}, recipe = {augmented = ["turn"]}, architecture = {type = "network", layers = []}'
    path.write_text(f'[architecture]\ntype = "search"\nconfigurations = [{{{one}}}]\n')
    with pytest.raises(BenchError, match="unknown symmetry 'turn'"):
        planned(str(path))


def test_a_file_whose_name_can_be_no_models_is_refused():
    with pytest.raises(BenchError, match="may have only letters, digits, dots"):
        chosen("elasticity", "my models.py:Net")


def test_a_search_of_a_file_is_held_against_the_data(tmp_path):
    path = tmp_path / "mine.toml"
    one = (
        'choices = {width = %d}, recipe = {}, architecture = {type = "network", layers = [{type = "Dense", units = 9}]}'
    )
    path.write_text(f'architecture = {{type = "search", configurations = [{{{one % 9}}}]}}')
    with pytest.raises(BenchError, match="dense_1 needs a vector"):
        planned(str(path))
    layers = ", ".join((LAYER["vgg16"], LAYER["mean"], LAYER["answer"]))
    member = f"choices = {{width = 9}}, recipe = {{}}, architecture = {{type = 'network', layers = [{layers}]}}"
    path.write_text(f'architecture = {{type = "search", configurations = [{{{member}}}]}}')
    with pytest.raises(BenchError, match="backbone_1: a search cannot have networks with a backbone"):
        planned(str(path))


def test_code_is_named_by_what_it_is_and_not_by_where_it_lies(tmp_path, looked):
    (tmp_path / "models.py").write_text("")
    found = planned(f"{tmp_path / 'models.py'}:Net", settings=Settings(init="shared"))
    (cell,) = found.cells
    assert cell.variant == "models.Net"
    assert cell.backend == "pytorch"
    assert cell.architecture == Imported("models.py:Net", "torch", "f" * 64)
    assert cell.settings.init == "native"
    assert cell.recipes[0].epochs == 2  # of the profile
    assert cell.row == "models.Net (own code, no parity)"
    assert cell.has_network
    assert found.folders == {"models.Net": str(tmp_path)}
    assert looked == [(f"{tmp_path / 'models.py'}:Net", (64, 64, 1), 9)]
    assert str(tmp_path) not in msgspec.json.encode(cell).decode()


def test_code_that_changed_is_another_cell(looked, monkeypatch):
    (before,) = planned("some.package:Net").cells
    monkeypatch.setattr(module, "look", lambda *_: Looked("torch", "e" * 64))
    (after,) = planned("some.package:Net").cells
    assert before.key != after.key
    assert before.variant == after.variant == "some.package.Net"


def test_the_code_of_a_file_lies_beside_the_file(tmp_path, looked):
    (tmp_path / "mine.toml").write_text('encoding = {name = "cubic"}\n' + CODE % "models.py:Net")
    (cell,) = planned(str(tmp_path / "mine.toml")).cells
    ((path, shape, _),) = looked
    assert path == f"{tmp_path / 'models.py'}:Net"
    assert len(shape) == 1  # what the image is encoded to
    assert (cell.variant, cell.architecture.path) == ("mine", "models.py:Net")


def test_an_estimator_has_no_recipes(monkeypatch):
    monkeypatch.setattr(module, "look", lambda *_: Looked("scikit-learn", "f" * 64))
    (cell,) = planned("some.package:Net").cells
    assert (cell.backend, cell.recipes, cell.has_network) == ("classical", (), False)


def test_of_code_no_head_is_known(tmp_path, looked):
    (tmp_path / "mine.toml").write_text('[[recipes]]\ntrains = "head"\n' + CODE % "a.b:Net")
    with pytest.raises(BenchError, match="variant=mine: the head of your own code is not known"):
        planned(str(tmp_path / "mine.toml"))


def test_code_that_makes_no_model_ends_the_plan(tmp_path):
    """In a process of its own, which this one does not become."""
    path = tmp_path / "models.py"
    path.write_text("class Net:\n    pass\ndef Exits():\n    import os; os._exit(3)\n")
    dataset = SUITE.load(None, {})

    def settle(name):
        (item,) = chosen("elasticity", f"{path}:{name}")
        return settled(item, SUITE, dataset, split_of(SUITE, dataset), Limits())

    with pytest.raises(BenchError, match="makes Net, which is not a scikit-learn estimator, a torch"):
        settle("Net")
    with pytest.raises(BenchError, match="its process ended with exit code 3"):
        settle("Exits")
    path.write_text("class Net:\n    fit = predict = get_params = print\n")
    found = settle("Net")
    assert found.variant.architecture.framework == "scikit-learn"
    assert found.folder == str(tmp_path)
    assert Path(found.folder).is_dir()
