import msgspec
import numpy as np

from suites.microstructure.dataset import SHIPPED, make
from suites.microstructure.endless import CONTRAST, PRETRAINING, draw
from suites.microstructure.materials import phases_of
from suites.microstructure.physics import hill_deviations


def test_the_same_seed_draws_the_same_and_another_others():
    first, again, other = draw(5, 0), draw(5, 0), draw(5, 1)
    assert first.fingerprint() == again.fingerprint()
    assert not (first.images[:, None] == other.images[None]).all(axis=(2, 3, 4)).any()


def test_the_contrast_is_between_those_of_the_suites():
    soft, stiff = phases_of(draw(1, 0).facts)
    assert stiff.young / soft.young == CONTRAST
    contrasts = [parameters.phases[1].young / parameters.phases[0].young for parameters in SHIPPED.values()]
    assert min(contrasts) < CONTRAST < max(contrasts)


def test_labels_are_what_they_converge_to():
    """And keep Hill's relations as far: the solver stops early, for there are many."""
    dataset = draw(10, 7)
    parameters = msgspec.structs.replace(
        SHIPPED["elasticity"], count=10, seed=10**6 + 7, phases=phases_of(dataset.facts)
    )
    exact = make(parameters)
    np.testing.assert_array_equal(dataset.images, exact.images)
    np.testing.assert_allclose(dataset.targets, exact.targets, rtol=1e-4)
    assert np.abs(dataset.targets / exact.targets - 1).max() > 0
    fractions = dataset.images.mean(axis=(1, 2, 3), dtype=np.float64)
    assert hill_deviations(dataset.targets, fractions, phases_of(dataset.facts)).max() < 1e-3


def test_recipes_end_at_a_low_rate_and_move_what_they_show():
    rates = [recipe.learning_rate for recipe in PRETRAINING.recipes]
    assert rates[-1] == min(rates)
    assert all(recipe.augmented for recipe in PRETRAINING.recipes)
