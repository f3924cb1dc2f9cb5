import sys

import msgspec
import numpy as np
import pytest
from PIL import Image

from harness import registry
from harness.errors import BenchError
from harness.judging.records import Cell, Settings
from harness.model.pretrained import RANDOM, Origin
from harness.model.variants import Search
from harness.running import plan as plans
from harness.running.data import task
from harness.running.plan import Request
from tests.harness.examples import needs_optuna


def plan(suite, profile, variant="all", backend="all", seeds=(), weights=lambda _: RANDOM):
    request = Request((suite,), profile=profile, variant=variant, backend=backend, seeds=seeds)
    return plans.plan(suite, request, weights)


def test_standard_covers_every_variant_backend_and_seed():
    cells = plan("elasticity", "standard").cells
    networks = {(cell.variant, cell.backend) for cell in cells if cell.backend != "classical"}
    assert ("baseline", "keras") in networks
    assert ("baseline", "pytorch") in networks
    assert {cell.backend for cell in cells if cell.variant == "ridge"} == {"classical"}
    assert {cell.variant for cell in cells} == {variant.name for variant in registry.suite("elasticity").VARIANTS}
    assert {cell.seed for cell in cells} == {0, 1, 2}
    assert {cell.settings.init for cell in cells} == {"shared"}
    assert len({cell.key for cell in cells}) == len(cells)


def test_a_profile_shortens_the_recipe_and_nothing_else():
    (smoke,) = plan("elasticity", "smoke", "baseline", "pytorch").cells
    (paper, *_) = plan("elasticity", "paper", "baseline", "pytorch").cells
    assert paper.recipes[0].epochs == 300
    assert (msgspec.structs.replace(smoke.recipes[0], epochs=300),) == paper.recipes


def test_paper_is_exactly_the_report():
    """300 epochs everywhere, 24 configurations, three backbones in two phases."""
    cells = {cell.variant: cell for cell in plan("elasticity", "paper", backend="keras", seeds=(0,)).cells}
    search = cells.pop("tuned").architecture
    assert len(search.configurations) == 24
    assert {search.epochs, *(item.recipe.epochs for item in search.configurations)} == {300}
    assert [recipe.epochs for recipe in cells.pop("baseline").recipes] == [300]
    for name in ("augmented", "physics-net"):  # not of the report
        assert [recipe.epochs for recipe in cells.pop(name).recipes] == [300, 100, 50]
    for name, cell in cells.items():
        phases = [(recipe.trains, recipe.learning_rate, recipe.epochs) for recipe in cell.recipes]
        tuned = {"fine-tuned": [("all", 1e-4, 300)], "fine-tuned-gently": [("all-but-norms", 3e-6, 300)]}
        _, _, kind = name.partition("-")
        assert phases == [("head", 1e-3, 300), *tuned.get(kind, [])]
        # The report's see features as they are; ours, which stand beside them, centred.
        assert bool(cell.recipes[0].centred) == (kind in ("head-only-centred", "fine-tuned-gently"))
    assert len(cells) == 3 * 4


def test_a_profile_shortens_searches_and_fine_tuning_by_their_own_numbers():
    profile = registry.suite("elasticity").PROFILES["standard"]
    cells = {cell.variant: cell for cell in plan("elasticity", "standard", backend="keras").cells}
    search = cells["tuned"].architecture
    assert search.epochs == profile.search_epochs
    assert {item.recipe.epochs for item in search.configurations} == {profile.epochs}
    epochs = [recipe.epochs for recipe in cells["vgg16-fine-tuned"].recipes]
    assert epochs == [profile.epochs, profile.fine_tuning_epochs]


def test_a_profile_leaves_variants_out_unless_they_are_asked_for():
    smoke = {cell.variant for cell in plan("elasticity", "smoke").cells}
    standard = {cell.variant for cell in plan("elasticity", "standard").cells}
    assert standard - smoke == set(registry.suite("elasticity").PROFILES["smoke"].leaves_out)
    assert smoke >= {"baseline", "tuned", "vgg16-fine-tuned"}
    (cell,) = plan("elasticity", "smoke", "resnet50-head-only", "keras").cells
    assert cell.variant == "resnet50-head-only"


def test_whatever_is_named_beside_all_brings_in_nothing_else_that_a_profile_leaves_out(tmp_path):
    (tmp_path / "mine.toml").write_text('[architecture]\ntype = "estimator"\nmethod = "ridge"\n')
    left_out = set(registry.suite("elasticity").PROFILES["smoke"].leaves_out)
    words = f"all,{tmp_path / 'mine.toml'},resnet50-head-only"
    names = {cell.variant for cell in plan("elasticity", "smoke", words).cells}
    assert names & left_out == {"resnet50-head-only"}
    assert "mine" in names


def test_of_classes_what_answers_numbers_alone_is_planned_where_it_is_named(tmp_path):
    """A model beside `all` names no other."""
    folder = tmp_path / "classes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(24):
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / f"{number}.png")
    rows = "".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(24))
    (folder / "table.csv").write_text(f"file,kind\n{rows}")
    (tmp_path / "mine.toml").write_text('[architecture]\ntype = "estimator"\nmethod = "mean"\n')
    for words, planned in (("all", False), (f"all,{tmp_path / 'mine.toml'}", False), ("gp,trees", True)):
        source = plans.DataSource(str(folder))
        request = Request(("own",), source=source, profile="smoke", variant=words, backend="classical")
        assert ("gp" in {cell.variant for cell in plans.plan("own", request).cells}) == planned, words


def test_weights_are_asked_for_backbones_alone_and_make_other_cells():
    asked = []

    def weights(family):
        asked.append(family)
        return Origin("imagenet")

    chosen = {"variant": "baseline,tuned,resnet50-head-only", "backend": "pytorch"}
    cells = plan("elasticity", "smoke", **chosen, weights=weights).cells
    assert [cell.weights for cell in cells] == ["", "", "imagenet"]
    assert set(asked) == {"resnet50"}
    other = plan("elasticity", "smoke", **chosen).cells
    assert [one.key == two.key for one, two in zip(cells, other, strict=True)] == [True, True, False]


def test_every_cell_survives_json_with_its_key():
    """A worker is told of its cell in JSON; a number that came back as another type would be another cell."""
    for cell in plan("elasticity", "smoke").cells:
        assert msgspec.json.decode(msgspec.json.encode(cell), type=Cell).key == cell.key


def test_a_learning_curve_is_a_cell_for_each_number_of_images():
    whole = plan("elasticity", "smoke", "ridge").cells[0]
    request = Request(("elasticity",), profile="smoke", variant="ridge", originals=(25, 364))
    few, many = plans.plan("elasticity", request).cells
    assert (few.row, many.row) == ("ridge (25 originals)", "ridge (364 originals)")
    assert len({whole.key, few.key, many.key}) == 3
    assert msgspec.structs.replace(few, settings=whole.settings) == whole


def test_a_variant_of_few_originals_is_in_a_curve_only_below_them():
    few = next(item for item in registry.suite("polysilicon").VARIANTS if item.name == "few-originals").originals
    request = Request(("polysilicon",), profile="smoke", variant="few-originals,many-originals", originals=(50, few))
    cells = [cell for cell in plans.plan("polysilicon", request).cells if cell.backend == "keras"]
    assert [cell.row for cell in cells] == [
        "few-originals (50 originals)",
        "many-originals (50 originals)",
        f"many-originals ({few} originals)",
    ]


def test_a_plan_without_cells_is_refused():
    few = next(item for item in registry.suite("polysilicon").VARIANTS if item.name == "few-originals").originals
    request = Request(("polysilicon",), profile="smoke", variant="few-originals", originals=(few, few + 1))
    with pytest.raises(BenchError, match=rf"nothing to run: .*\(few-originals\) .* on {few},{few + 1} images or fewer"):
        plans.plan("polysilicon", request)


def test_a_curve_begins_with_two_images():
    request = Request(("elasticity",), profile="smoke", variant="ridge", originals=(2,))
    assert len(plans.plan("elasticity", request).cells) == 1


@pytest.mark.parametrize("originals", [0, 1, 365])
def test_no_curve_goes_beyond_the_training_images(originals):
    request = Request(("elasticity",), profile="smoke", variant="ridge", originals=(originals,))
    with pytest.raises(
        BenchError, match=f"originals={originals}: must be 2 to 364, the number of training images of elasticity"
    ):
        plans.plan("elasticity", request)


def test_originals_and_patience_make_other_cells_and_lacking_them_none():
    """So that records of before there were such fields keep their keys."""
    (cell,) = plan("elasticity", "smoke", "baseline", "pytorch").cells
    assert b"originals" not in msgspec.json.encode(cell)
    assert b"patience" not in msgspec.json.encode(cell)
    assert b"centred" not in msgspec.json.encode(cell)
    few = msgspec.structs.replace(cell, originals=50)
    patient = msgspec.structs.replace(cell, recipes=(msgspec.structs.replace(cell.recipes[0], patience=3),))
    assert len({cell.key, few.key, patient.key}) == 3
    assert msgspec.json.decode(msgspec.json.encode(few), type=Cell).as_variant().originals == 50


def test_seeds_can_be_chosen():
    cells = plan("elasticity", "smoke", "ridge", seeds=(5, 7)).cells
    assert [cell.seed for cell in cells] == [5, 7]


def test_targets_are_standardised_on_the_training_set_alone():
    planned = plan("elasticity", "smoke", "ridge")
    suite = registry.suite("elasticity")
    train = planned.dataset.targets[planned.split.train]
    asked = task(suite, planned.dataset, planned.split, Settings())
    scaled = asked.scaling.to_network(train)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-5)
    # A test label does not move the scaling.
    planned.dataset.targets[planned.split.test] += 1000
    try:
        assert task(suite, planned.dataset, planned.split, Settings()).scaling == asked.scaling
    finally:
        planned.dataset.targets[planned.split.test] -= 1000


@pytest.mark.parametrize(("unit", "factor"), [("N/nm^2", 1e9), ("MPa", 1e-3)])
def test_raw_labels_are_in_the_unit_asked_for(unit, factor):
    planned = plan("elasticity", "smoke", "ridge")
    settings = Settings(target_scaling="none", unit=unit)
    scaling = task(registry.suite("elasticity"), planned.dataset, planned.split, settings).scaling
    raw = scaling.to_network(planned.dataset.targets)
    np.testing.assert_allclose(raw * factor, planned.dataset.targets, rtol=1e-6)


def test_a_split_that_leaks_stops_the_run(monkeypatch):
    """Planted: a test image is shown in training, too."""
    suite = registry.suite("elasticity")
    honest = suite.split

    def leaking(dataset):
        found = honest(dataset)
        dataset.images[found.test[0]] = dataset.images[found.train[0]]
        return found

    monkeypatch.setattr(suite, "split", leaking)
    with pytest.raises(BenchError, match="1 image on two sides of the split: scores on such a test say nothing"):
        plan("elasticity", "smoke", "ridge")


def test_each_suite_is_told_its_own_options_alone():
    source = plans.DataSource(options={"unit": "MPa", "crystal": "silicon"})
    request = Request(("elasticity",), source=source, profile="smoke", variant="ridge")
    assert plans.plan("elasticity", request).source.options == {"unit": "MPa"}


def by_search(method, profile="standard", variant="tuned"):
    request = Request(("elasticity",), profile=profile, variant=variant, backend="all", seeds=(0,), search=method)
    return [cell for cell in plans.plan("elasticity", request).cells if isinstance(cell.architecture, Search)]


def test_without_a_word_searches_go_about_it_as_the_profile_says():
    ways = {"standard": "halving", "paper": "grid"}
    for profile, way in ways.items():
        assert by_search(None, profile) == by_search(way, profile)


@needs_optuna
def test_each_way_of_searching_makes_cells_of_its_own():
    cells = {method: by_search(method) for method in ("grid", "halving", "optuna")}
    assert all(cell.architecture.method == method for method, found in cells.items() for cell in found)
    assert len({cell.key for found in cells.values() for cell in found}) == sum(map(len, cells.values()))
    for searched in zip(*cells.values(), strict=True):
        same = [msgspec.structs.replace(cell.architecture, method="grid") for cell in searched]
        assert same[0] == same[1] == same[2]
        # By halving is the standard profile's way.
        assert [cell.row for cell in searched] == ["tuned (by grid)", "tuned", "tuned (by Optuna)"]
        assert searched[2].packages == ("optuna",)


def test_without_optuna_it_is_refused_and_nothing_else_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(BenchError, match=r"search=optuna: optuna is not installed: pip install 'cijbench\[optuna\]'"):
        by_search("optuna", variant="ridge,tuned")  # one of several that needs it
    assert by_search("grid")
    assert by_search("halving")
    # One round is a grid, by whatever name it was asked for, and so is what is not trained by gradient.
    assert {cell.architecture.method for cell in by_search("optuna", "smoke")} == {"grid"}
    assert {cell.architecture.method for cell in by_search("optuna", variant="trees,cubic")} == {"grid"}


def test_what_is_not_known_is_refused_with_the_nearest():
    for asked, what in (
        ({"profile": "smokes"}, "unknown profile 'smokes': did you mean 'smoke'"),
        ({"variant": "rigde"}, "rigde.*did you mean 'ridge'"),
        ({"backend": "clasical"}, "clasical.*did you mean 'classical'"),
        ({"variant": "ridge", "backend": "pytorch"}, r"backend=pytorch trains none of the chosen variants \(ridge\)$"),
    ):
        with pytest.raises(BenchError, match=what):
            plan("elasticity", **({"profile": "smoke"} | asked))


def test_what_is_not_installed_is_left_out_of_all_and_told_and_is_planned_where_it_is_named(monkeypatch):
    monkeypatch.setattr(registry, "missing", lambda name: ("tensorflow",) * (name == "keras"))
    assert {cell.backend for cell in plan("elasticity", "smoke", "baseline").cells} == {"pytorch"}
    assert {cell.backend for cell in plan("elasticity", "smoke", "baseline", "keras").cells} == {"keras"}
    assert plans.left_out_backends("all") == ["keras is skipped: tensorflow not installed"]
    assert plans.left_out_backends("keras") == []


def test_variants_of_the_suite_are_of_no_folder():
    assert plan("elasticity", "smoke", "ridge").folders == {}


def test_variants_of_a_family_are_those_with_its_backbone():
    variants = registry.suite("elasticity").VARIANTS
    found = plans.of_families(variants, ["vgg16"])
    assert found
    assert all(name.startswith("vgg16") for name in found)
    assert plans.of_families(variants, []) == []
