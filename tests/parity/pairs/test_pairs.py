"""Architectures that people port, each in both frameworks: as they should be they pass, and each planted mistake breaks
the ladder where it is.
"""

import pytest

from tests.parity.pairs.faults import FAULTS
from tests.parity.pairs.planted import PAIRS, Planted, broken, found

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    planted = Planted(tmp_path_factory.mktemp("pairs"))
    yield planted
    planted.close()


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
def test_a_right_port_passes_and_each_planted_mistake_is_found_where_it_is(planted, pair):
    clean = planted.climb(pair)
    assert [verdict for verdict in clean if verdict.outcome in ("breaks", "skipped")] == []
    assert {"structure", "forward", "gradients", "optimizer"} <= {verdict.rung for verdict in clean}
    missed = {}
    for name in [name for name, fault in FAULTS.items() if fault.pair == pair]:
        verdicts = planted.faulty(name)
        if not found(name, verdicts):
            missed[name] = [(each.rung, each.worst, each.note) for each in broken(verdicts)]
    assert missed == {}


@pytest.mark.long
@pytest.mark.parametrize("pair", PAIRS)
def test_a_right_port_passes_whatever_the_weights(planted, pair):
    verdicts = planted.climb(pair, seeds=tuple(range(20)))
    assert {verdict.seed for verdict in verdicts} == set(range(20))
    assert [verdict for verdict in verdicts if verdict.outcome == "breaks"] == []


def test_there_are_enough_of_them():
    assert len(PAIRS) >= 8
    assert len(FAULTS) >= 60
    assert {fault.rung for fault in FAULTS.values()} == {"structure", "forward", "gradients", "state", "optimizer"}
