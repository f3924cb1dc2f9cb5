"""What networks have to beat."""

import msgspec
import pytest

from harness.judging.rivals import Rivals, _holm_of_newest
from harness.model.architecture import Estimator
from tests.harness.a_benchmark import GRID
from tests.harness.examples import ENVIRONMENT, a_cell, a_failure, a_record, with_images


def test_the_rival_is_the_best_by_the_mean_over_seeds():
    def seeds(name, *errors):
        found = [msgspec.structs.replace(a_record().validation, mse=error) for error in errors]
        return [a_record(a_cell(variant=name, seed=seed), validation=of) for seed, of in enumerate(found)]

    ridge, gp = seeds("ridge", 1.0, 1.0, 10.0), seeds("gp", 2.0, 2.0, 2.0)
    network = a_record(a_cell(variant="net", architecture=GRID))
    rivals = Rivals([ridge, [network], gp], tuple)
    assert rivals.of(network).records == tuple(gp)
    assert rivals.of(gp[0]) is None


def validated(cell, mse):
    """A record that has this error on the validation images."""
    record = a_record(cell)
    return msgspec.structs.replace(record, validation=msgspec.structs.replace(record.validation, mse=mse))


def test_what_failed_the_mean_and_rows_of_another_place_are_no_rivals():
    mean = a_cell(variant="mean", architecture=Estimator("mean"))
    ridge, gp, trees = (a_cell(variant=name) for name in ("ridge", "gp", "trees"))
    far = msgspec.structs.replace(trees, split_hash="e" * 64)
    groups = [
        [validated(mean, 0.1)],
        [validated(far, 0.2)],
        [a_failure(trees)],
        [a_failure(gp), validated(msgspec.structs.replace(gp, seed=1), 1.0)],  # the seed that ended
        [validated(ridge, 2.0)],
    ]
    network = a_record(a_cell(variant="net", architecture=GRID))
    assert Rivals(groups, tuple).of(network).records == tuple(groups[3][1:])
    assert Rivals(groups[:3], tuple).of(network) is None


def test_networks_are_compared_by_their_seeds_that_ended_and_where_they_have_a_rival():
    def network(variant="net", seed=0, **cell):
        return a_cell(variant=variant, seed=seed, architecture=GRID, **cell)

    gp = [a_record(a_cell(variant="gp", seed=seed)) for seed in (0, 1)]
    net, other = [a_record(network(), 1.1)], [a_record(network("other", 1), 1.3)]

    def p_values(*groups, rival=gp):
        rivals = Rivals([rival, *groups], tuple)
        for number, group in enumerate(groups):
            rivals.compare(number, group)
        return rivals.p_values()

    usual = p_values(net, other)
    assert set(usual) == {0, 1}
    elsewhere = [a_record(network("far", profile="smoke"), 1.2)]
    assert p_values([*net, a_failure(network(seed=2))], other, [a_failure(network("never"))], elsewhere, gp) == usual
    few = [[with_images(record, 9) for record in group] for group in (gp, net)]
    assert p_values(few[1], rival=few[0]) == {}


def test_of_rows_of_one_model_the_one_whose_last_seed_is_newest_is_in_the_family():
    """It was begun first, and went on when the other had ended."""
    gp = [a_record(a_cell(variant="gp", seed=seed)) for seed in (0, 1)]
    elsewhere = msgspec.structs.replace(ENVIRONMENT, processor="Slide rule")

    def network(variant, error, environment, *days):
        cells = [a_cell(variant=variant, architecture=GRID, seed=seed) for seed in range(len(days))]
        return [
            a_record(cell, error, environment, started=f"2026-01-{day:02}T00:00:00+00:00")
            for cell, day in zip(cells, days, strict=True)
        ]

    long, short = network("net", 1.1, ENVIRONMENT, 1, 9), network("net", 1.3, elsewhere, 2, 3)
    other = network("other", 1.05, ENVIRONMENT, 4, 5)

    def p_values(*groups):
        rivals = Rivals([gp, *groups], tuple)
        for number, group in enumerate(groups):
            rivals.compare(number, group)
        return rivals.p_values()

    alone = p_values(long, other)
    assert alone != p_values(short, other)
    together = p_values(long, short, other)
    assert (together[0], together[2]) == (alone[0], alone[1])


def test_an_older_row_has_the_p_value_that_it_would_have_in_the_place_of_the_newest():
    found = _holm_of_newest([2, 1, 2, 3], [0.01, 0.02, 0.03, 0.04])
    assert found == pytest.approx([0.03, 0.06, 0.06, 0.06])  # Holm's of 0.02, 0.03, 0.04, and of 0.02, 0.01, 0.04
