"""What `results/` publishes: that it follows from its records, and that it shows what the README says of it."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from harness import leaderboard
from harness.records import Store
from suites import elasticity

RESULTS = Path(__file__).parent.parent / "results"
STANDARD = ("standard", "standard", "ok")


def published(variant):
    """The standard records of a variant that were published first, by (backend, seed); others may follow."""
    first = {}
    for record in Store(RESULTS, "elasticity").trainings():
        cell = record.cell
        if (cell.variant, cell.profile, cell.settings.target_scaling, record.status) == (variant, *STANDARD):
            first.setdefault((cell.backend, cell.seed), record)
    return first


@pytest.fixture(scope="module")
def baselines():
    first = published("baseline")
    assert set(first) == set(itertools.product(("keras", "pytorch"), (0, 1, 2)))
    return first


def test_the_leaderboard_follows_from_its_records():
    assert leaderboard.differs(RESULTS, "elasticity") == ""


def test_the_baseline_explains_more_than_nine_tenths_in_both_frameworks(baselines):
    for backend in ("keras", "pytorch"):
        assert np.mean([baselines[backend, seed].test.r2_mean for seed in range(3)]) > 0.9


def test_frameworks_are_closer_than_seeds(baselines):
    predictions = {place: np.array(record.held_out.predictions) for place, record in baselines.items()}

    def distance(one, other):
        return np.sqrt(np.mean((predictions[one] - predictions[other]) ** 2))

    between_frameworks = [distance(("keras", seed), ("pytorch", seed)) for seed in range(3)]
    between_seeds = [
        distance((backend, one), (backend, other))
        for backend in ("keras", "pytorch")
        for one, other in itertools.combinations(range(3), 2)
    ]
    assert max(between_frameworks) < min(between_seeds)


def test_the_baseline_beats_the_line_where_direction_matters_and_only_there(baselines):
    dataset = elasticity.load(None, None, None)
    families = np.array(dataset.groups)[elasticity.split(dataset).test]

    def error(record, family):
        truth, found = np.array(record.held_out.truth), np.array(record.held_out.predictions)
        return np.mean((((found - truth) / truth.std(axis=0)) ** 2)[families == family])

    line = published("ridge")["classical", 0]
    for family in set(families):
        for backend in ("keras", "pytorch"):
            network = np.mean([error(baselines[backend, seed], family) for seed in range(3)])
            assert (network < error(line, family)) == (family == "lamellae"), family


def test_published_records_come_from_a_commit(baselines):
    for record in baselines.values():
        assert len(record.environment.commit) == 40, record.environment.commit
