import numpy as np
import pytest

from harness import registry
from harness.errors import BenchError
from harness.model.architecture import Dense, Dropout, Network, backbone_of
from harness.model.variants import Configuration, Recipe, Search
from harness.parity.subjects import (
    EARLIER_STEPS,
    ClimbRequest,
    Framework,
    frameworks,
    groups,
    largest,
    standing_for,
    subjects,
)

SUITE = registry.suite("elasticity")


def a_request(tmp_path, **changes):
    whole = {
        "suite": "elasticity",
        "between": frameworks("keras,pytorch"),
        "variants": "all",
        "rungs": ("structure", "optimizer", "training", "export"),
        "profile": "standard",
        "seeds": (0,),
        "results": tmp_path,
        "workers": 2,
    }
    return ClimbRequest(**{**whole, **changes})


def test_two_backends_with_keras_engines():
    assert frameworks("keras,pytorch") == (Framework("keras"), Framework("pytorch"))
    assert [side.label for side in frameworks("keras, keras/torch")] == ["keras", "keras/torch"]
    assert frameworks("keras/jax,pytorch")[0].variables() == {"KERAS_BACKEND": "jax"}
    assert frameworks("keras/tensorflow,pytorch") == frameworks("keras,pytorch")
    # Whatever the user's environment says: who asks for Keras gets the one that the table names.
    assert [side.variables() for side in frameworks("keras,pytorch")] == [{"KERAS_BACKEND": "tensorflow"}, {}]


def test_keras_never_computes_in_float64_on_engines_but_its_first():
    found = [
        framework.in_single_alone
        for label in ("keras/torch", "keras/jax")
        for framework in frameworks(f"keras,{label}")
    ]
    assert found == [False, True, False, True]
    assert not any(framework.in_single_alone for framework in frameworks("pytorch,pytorch@cuda"))


def test_two_devices_of_one_backend():
    assert frameworks("pytorch,pytorch@cuda") == (Framework("pytorch"), Framework("pytorch", device="cuda"))
    assert frameworks("keras/torch@cuda-tf32,pytorch@cpu")[0] == Framework("keras", "torch", "cuda-tf32")
    for label in ("pytorch", "pytorch@cuda", "keras/torch@cuda-tf32"):
        assert frameworks(f"{label},classical")[0].label == label


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kreas,pytorch", "did you mean 'keras'"),
        ("keras", "two different"),
        ("keras,keras", "two different"),
        ("keras,keras/tensorflow", "two different"),
        ("keras,pytorch,onnx", "two different"),
        ("keras/theano,pytorch", "tensorflow, jax, torch"),
        ("pytorch/jax,keras", "Keras's engine"),
        ("pytorch@cuda,pytorch@cuda", "two devices, as in pytorch,pytorch@cuda"),
        ("pytorch@gpu,pytorch", "after the @ comes a device: cpu, cuda, cuda-tf32"),
        ("pytorch@,keras", "after the @ comes a device"),
        ("", "unknown backend"),
    ],
)
def test_anything_else_is_refused(text, told):
    with pytest.raises(BenchError, match=told):
        frameworks(text)


def test_an_engine_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "jax" else object())
    assert Framework("keras", "jax").lacking() == "jax not installed"
    assert Framework("keras", "jax", "cuda").lacking() == "jax not installed"
    assert Framework("keras", "torch").lacking() == ""


def test_a_variant_that_another_stands_for_can_be_asked_for():
    stands = standing_for(SUITE)
    assert stands["vgg16-head-only-centred"] == stands["vgg16-head-only"] == "vgg16-head-only"
    assert stands["resnet50-fine-tuned-gently"] == "resnet50-fine-tuned-frozen-norms"
    assert stands["tuned"] == "tuned"
    assert "gp" not in stands
    assert set(stands.values()) == {variant.name for variant in subjects(SUITE)}


def test_every_variant_that_is_trained_by_gradient_climbs():
    names = [variant.name for variant in subjects(SUITE)]
    assert names == [
        "baseline",
        "tuned",
        "vgg16-head-only",
        "vgg16-fine-tuned",
        "resnet50-head-only",
        "resnet50-fine-tuned",
        "resnet50-fine-tuned-frozen-norms",
        "densenet121-head-only",
        "densenet121-fine-tuned",
        "densenet121-fine-tuned-frozen-norms",
        "augmented",
        "physics-net",
    ]
    trains = {variant.name: variant.recipes[-1].trains for variant in subjects(SUITE)}
    assert trains["resnet50-fine-tuned-frozen-norms"] == "all-but-norms"
    assert trains["resnet50-head-only"] == "head"
    assert trains["vgg16-fine-tuned"] == trains["baseline"] == "all"


def test_a_search_stands_as_its_largest_configuration():
    (tuned,) = [variant for variant in SUITE.VARIANTS if variant.name == "tuned"]
    chosen = largest(tuned.architecture)
    assert chosen.choices == {"filters": 32.0, "kernel": 5.0, "dropout": 0.2, "learning_rate": 1e-3}


def test_a_search_among_networks_of_numbers_has_a_largest_one_too():
    networks = [Network((Dropout(0.1), Dense(units), Dense(2, "linear"))) for units in (4, 16, 8)]
    search = Search(tuple(Configuration({"place": float(i)}, one, Recipe()) for i, one in enumerate(networks)))
    assert largest(search).choices == {"place": 1.0}


def test_variants_of_one_network_climb_together(tmp_path):
    found = groups(a_request(tmp_path), subjects(SUITE))
    assert [[variant.name.partition("-")[0] for variant in group.variants] for group in found] == [
        ["baseline"],
        ["tuned"],
        ["vgg16"] * 2,
        ["resnet50"] * 3,
        ["densenet121"] * 3,
        ["augmented"],
        ["physics"],
    ]
    assert all(isinstance(group.network, Network) for group in found)
    assert {group.rungs for group in found} == {("structure", "optimizer", "export")}
    assert [group.steps[-1] for group in found] == [100, 100, 10, 10, 10, 100, 100]


def test_variants_that_see_otherwise_climb_apart(tmp_path):
    """The lecture's network on gray levels and on waves has other weights."""
    films = {variant.name: variant for variant in subjects(registry.suite("polysilicon"))}
    of_one = [films[name] for name in ("few-originals", "many-originals", "many-waves")]
    assert [[variant.name for variant in group.variants] for group in groups(a_request(tmp_path), of_one)] == [
        ["few-originals", "many-originals"],
        ["many-waves"],
    ]


def test_smoke_spares_backbones_the_export_and_all_but_one_their_steps(tmp_path):
    rungs, stepping = {}, []
    for group in groups(a_request(tmp_path, profile="smoke"), subjects(SUITE)):
        deep = backbone_of(group.network) is not None
        rungs[group.variants[0].name] = group.rungs
        stepping += [variant.name for variant, rung in group.climbs() if rung == "optimizer" and deep]
        assert group.steps == ((1, 2) if deep else (1, 10))
    assert rungs.pop("vgg16-head-only") == rungs.pop("densenet121-head-only") == ("structure",)
    assert rungs.pop("resnet50-head-only") == ("structure", "optimizer")
    assert set(rungs.values()) == {("structure", "optimizer", "export")}
    assert stepping == ["resnet50-fine-tuned-frozen-norms"]


def test_of_backbones_that_are_asked_for_one_trains_in_smoke(tmp_path):
    (vgg16,) = [variant for variant in subjects(SUITE) if variant.name == "vgg16-fine-tuned"]
    (group,) = groups(a_request(tmp_path, profile="smoke"), [vgg16])
    assert [rung for _, rung in group.climbs()] == ["structure", "optimizer"]


def test_adams_constants_are_exact_in_float32(tmp_path):
    for group in groups(a_request(tmp_path), subjects(SUITE)):
        for variant in group.variants:
            (usual,) = [item.recipes for item in subjects(SUITE) if item.name == variant.name]
            assert [recipe.epochs for recipe in variant.recipes[:-1]] == [EARLIER_STEPS] * (len(usual) - 1)
            for recipe, own in zip(variant.recipes, usual, strict=True):
                for number in (recipe.learning_rate, recipe.beta_1, recipe.beta_2, recipe.epsilon, 1 - recipe.beta_2):
                    assert float(np.float32(number)) == number
                assert recipe.learning_rate == pytest.approx(own.learning_rate, rel=0.25)
