import msgspec
import numpy as np
import pytest

from harness import registry
from harness.plan import DataSource, plan, task
from harness.records import Settings


def test_standard_covers_every_variant_backend_and_seed():
    cells = plan("elasticity", DataSource(), "standard").cells
    networks = {(cell.variant, cell.backend) for cell in cells if cell.architecture.__struct_config__.tag == "network"}
    assert ("baseline", "keras") in networks
    assert ("baseline", "pytorch") in networks
    assert {cell.backend for cell in cells if cell.variant == "ridge"} == {"classical"}
    assert {cell.seed for cell in cells} == {0, 1, 2}
    assert len({cell.key for cell in cells}) == len(cells)


def test_a_profile_shortens_the_recipe_and_nothing_else():
    (smoke,) = plan("elasticity", DataSource(), "smoke", "baseline", "pytorch").cells
    (paper, *_) = plan("elasticity", DataSource(), "paper", "baseline", "pytorch").cells
    assert paper.recipe.epochs == 300
    assert msgspec.structs.replace(smoke.recipe, epochs=300) == paper.recipe


def test_seeds_can_be_chosen():
    cells = plan("elasticity", DataSource(), "smoke", "ridge", seeds=(5, 7)).cells
    assert [cell.seed for cell in cells] == [5, 7]


def test_targets_are_standardised_on_the_training_set_alone():
    planned = plan("elasticity", DataSource(), "smoke", "ridge")
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
    planned = plan("elasticity", DataSource(), "smoke", "ridge")
    settings = Settings(target_scaling="none", unit=unit)
    scaling = task(registry.suite("elasticity"), planned.dataset, planned.split, settings).scaling
    raw = scaling.to_network(planned.dataset.targets)
    np.testing.assert_allclose(raw * factor, planned.dataset.targets, rtol=1e-6)
