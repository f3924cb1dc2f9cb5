"""What a suite's author is told before anything is trained."""

from importlib.metadata import EntryPoint
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from harness import contract, plug_ins
from harness.errors import BenchError
from harness.model.architecture import Dense, Flatten, Network
from harness.model.variants import Encoding, Recipe, Variant
from harness.protocol import Comparison, Metric, Profile, Split, Symmetry
from tests.harness import a_suite

DATASET = a_suite.load(None, {})


def a_module(**changes):
    return SimpleNamespace(**{**vars(a_suite), **changes})


def told_of_module(**changes):
    with pytest.raises(BenchError) as error:
        contract.settle("foams", a_module(**changes))
    first, *rest = str(error.value).splitlines()
    assert first.startswith("suite foams cannot be used; docs/own-suite.md ")
    return "\n".join(rest)


def test_a_whole_suite_is_taken_as_it_is():
    module = a_module()
    contract.settle("foams", module)
    assert module.VARIANTS == a_suite.VARIANTS
    contract.refuse_unfit("foams", module, DATASET, lambda: DATASET)
    rounded = msgspec.structs.replace(DATASET, images=edited(DATASET.images, 1 + 1e-6))
    contract.refuse_unfit("foams", module, rounded, lambda: rounded)


def test_whole_numbers_where_real_ones_are_meant_change_no_key():
    """A record gives them back as real ones: its cell would never be done."""

    def variants(one):
        network = Network((Flatten(), Dense(2, "linear")))
        return [Variant("net", "", network, (Recipe(learning_rate=one),), Encoding("edges", {"step": one}))]

    written, meant = a_module(VARIANTS=variants(1), COMPARISONS=()), a_module(VARIANTS=variants(1.0), COMPARISONS=())
    contract.settle("foams", written)
    contract.settle("foams", meant)
    assert msgspec.json.encode(written.VARIANTS) == msgspec.json.encode(meant.VARIANTS)


def test_what_is_lacking_is_named():
    module = a_module()
    del module.SYMMETRIES, module.draw
    with pytest.raises(BenchError, match=r"it has no SYMMETRIES\n  it has no draw"):
        contract.settle("foams", module)


NET = Network((Flatten(), Dense(2, "tanh")))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"VARIANTS": a_suite.VARIANTS[:1] * 2}, "a variant's name: 'mean' is there 2 times"),
        ({"VARIANTS": [Variant("a b", "", NET)]}, "a variant's name: 'a b': only letters, digits"),
        ({"VARIANTS": [Variant("all", "", NET)]}, "a variant is called all, which means every one"),
        ({"VARIANTS": [Variant("net", "", NET)]}, "variant net: Invalid enum value 'tanh' - at `$.architecture.layers"),
        (
            {"VARIANTS": [Variant("net", "", Network(()), Recipe())]},
            "net: Expected `array`, got `object` - at `$.recipes`",
        ),
        ({"PROFILES": {"smoke": Profile(range(2), 2, 1, 1)}}, "profile smoke: Encoding objects of type range"),
        ({"METRICS": [Metric("too hot", "", "", "")]}, "a metric's key: 'too hot': only letters, digits"),
        ({"METRICS": [Metric("hot", "", "", "", form="2 digits")]}, "metric hot: form '2 digits': Invalid format"),
        ({"SYMMETRIES": [Symmetry("up and down", "", len, len)]}, "a symmetry's key: 'up and down': only letters"),
        ({"COMPARISONS": [Comparison("Is it?", "lin", "mean")]}, "no variant is called lin: did you mean 'line'?"),
    ],
)
def test_what_is_wrong_with_a_module_is_told(changes, said):
    assert said in told_of_module(**changes)


def told_of_data(dataset=DATASET, split=None):
    suite = a_module(split=lambda _: split) if split else a_suite
    with pytest.raises(BenchError) as error:
        contract.refuse_unfit("foams", suite, dataset, lambda: DATASET)
    first, *rest = str(error.value).splitlines()
    assert first.startswith("suite foams: the data set 'foams' cannot be used; docs/own-suite.md ")
    return "\n".join(rest)


def edited(array, value):
    changed = array.copy()
    changed.flat[5] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": (255 * DATASET.images).astype(np.uint8)}, "images are uint8 of shape (120, 8, 8, 2): they must be"),
        ({"images": DATASET.images[..., 0]}, "images are float32 of shape (120, 8, 8): they must be"),
        ({"images": edited(DATASET.images, 219)}, "images have values from 0 to 219: they must lie in 0 to 1"),
        ({"images": edited(DATASET.images, np.nan)}, "images have values from nan to nan"),
        ({"targets": DATASET.targets[:, 0]}, "targets are float64 of shape (120,): they must be"),
        ({"targets": DATASET.targets[:7]}, "targets are of shape (7, 2), and there are 120 images"),
        ({"targets": edited(DATASET.targets, np.nan)}, "1 images have targets that are no numbers"),
        ({"target_names": ("heat conductivity", "porosity")}, "a target's name: 'heat conductivity': only letters"),
        ({"target_names": ("porosity", "porosity")}, "a target's name: 'porosity' is there 2 times"),
        ({"target_names": "ab"}, "target_names are 'ab': there must be one for each of 2 targets"),
        ({"units": ("W/mK",)}, "units are ('W/mK',): there must be one for each of 2 targets"),
        ({"units": ("$W$", "")}, "unit '$W$': without $ and markup"),
        ({"ids": DATASET.ids[:7]}, "ids are 7, and there are 120 images"),
        ({"kinds": ("a",)}, "kinds are 1, and there are 120 images"),
        ({"groups": tuple(range(120))}, "groups must be text, and 0 is int: str() makes it text"),
        ({"facts": {"pressure": 3}}, "facts {'pressure': 3}: both keys and values must be text"),
    ],
)
def test_what_is_wrong_with_data_is_told(changes, said):
    assert said in told_of_data(msgspec.structs.replace(DATASET, **changes))


ROWS = np.arange(120)


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (Split(ROWS[:80], ROWS[80:90], ROWS[90:]), "whose tests are a dict of at least one"),
        (Split(ROWS[:80], ROWS[80:90], {}), "whose tests are a dict of at least one"),
        (Split(ROWS < 80, ROWS[80:90], {"test": ROWS[90:]}), "split: train is bool of shape (120,): it must be"),
        (Split(list(range(80)), ROWS[80:90], {"test": ROWS[90:]}), "split: train is a list: it must be"),
        (Split(ROWS[:80], ROWS[80:80], {"test": ROWS[90:]}), "split: validation is empty"),
        (Split(ROWS[:80], ROWS[80:90], {"test": ROWS + 1}), "split: test has rows from 1 to 120, and there are 120"),
        (Split(ROWS[:80], ROWS[80:90], {"other lab": ROWS[90:]}), "a test's name: 'other lab': only letters"),
        (Split(ROWS[:80], ROWS[80:90], {"train": ROWS[90:]}), "a test is called train"),
    ],
)
def test_what_is_wrong_with_a_split_is_told(split, said):
    assert said in told_of_data(split=split)


def test_a_package_whose_data_are_others_each_time_is_told_why(monkeypatch):
    """Its workers would say that the data changed, and to start again."""
    monkeypatch.setattr(plug_ins, "installed", lambda _: {"foams": EntryPoint("foams", "foamlab.suite", "")})
    others = msgspec.structs.replace(DATASET, targets=DATASET.targets + 1)
    with pytest.raises(
        BenchError, match=r"suite foams of the package unknown: .*\n  load gives others each time: seed"
    ):
        contract.refuse_unfit("foams", a_suite, DATASET, lambda: others)
    contract.refuse_unfit("foams", a_suite, DATASET, lambda: DATASET)
