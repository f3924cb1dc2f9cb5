import math

import msgspec
import pytest

from harness.model.architecture import Network, parameter_shapes
from harness.model.variants import Search, Variant
from suites.microstructure.variants import PROFILES, VARIANTS


def test_the_grid_is_numbered_as_in_the_report():
    """Table 1 of the report: filters outermost, learning rate innermost, from 0."""
    (search,) = (variant.architecture for variant in VARIANTS if variant.name == "tuned")
    reported = {22: (32, 5, 0.2, 1e-3), 18: (32, 3, 0.2, 1e-3), 16: (32, 3, 0.0, 1e-3), 23: (32, 5, 0.2, 1e-4)}
    reported |= {11: (16, 3, 0.2, 1e-4), 14: (16, 5, 0.2, 1e-3), 7: (8, 5, 0.2, 1e-4), 3: (8, 3, 0.2, 1e-4)}
    assert len(search.configurations) == 24
    for number, choices in reported.items():
        assert tuple(search.configurations[number].choices.values()) == choices
        assert search.configurations[number].recipe.learning_rate == choices[-1]


@pytest.mark.parametrize(
    ("number", "parameters"),
    [(0, 264_041), (4, 266_217), (8, 529_737), (12, 538_185), (16, 1_068_041), (22, 1_101_321)],
)
def test_the_tuned_networks_have_the_reports_parameters(number, parameters):
    (search,) = (variant.architecture for variant in VARIANTS if variant.name == "tuned")
    shapes = parameter_shapes(search.configurations[number].architecture, (64, 64, 1))
    assert sum(map(math.prod, shapes.values())) == parameters


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_variant_is_the_same_after_it_was_written_and_read(variant):
    """Planted: whole numbers where real ones belong made cells whose records never counted as theirs."""
    written = msgspec.json.encode(variant)
    assert msgspec.json.encode(msgspec.json.decode(written, type=Variant)) == written


def test_networks_give_one_number_for_each_that_is_asked():
    answers = {None: 9, "between-bounds": 6}
    for variant in VARIANTS:
        architectures = [variant.architecture]
        if isinstance(variant.architecture, Search):
            architectures = [one.architecture for one in variant.architecture.configurations]
        for network in architectures:
            if isinstance(network, Network):
                *_, bias = parameter_shapes(network, (64, 64, 1)).values()
                assert bias == (answers[variant.decoding and variant.decoding.name],)


def test_what_profiles_leave_out_exists():
    names = {variant.name for variant in VARIANTS}
    assert all(set(profile.leaves_out) <= names for profile in PROFILES.values())
