"""Mistakes planted by one who had not read the ladder: which of them it sees."""

import pytest

from harness.parity.sides import SideCrashed
from tests.parity.faults import FAULTS
from tests.parity.planted import Climbs, first_broken
from tests.parity.strangers import STRANGERS

pytestmark = [pytest.mark.parity, pytest.mark.long]

SMALL = {
    name: stranger for name, stranger in STRANGERS.items() if "-" not in stranger.variant.replace("physics-net", "")
}
"""Of networks without a backbone, whose sides take seconds; of the others docs/parity.md tells what was seen once."""


@pytest.fixture(scope="module")
def climbs(tmp_path_factory):
    return Climbs(tmp_path_factory.mktemp("climbs"))


@pytest.mark.parametrize("name", SMALL)
def test_a_strangers_fault_breaks_the_ladder(climbs, name):
    try:
        broken = first_broken(climbs.verdicts(SMALL[name].variant, fault=name))
    except SideCrashed:
        return
    assert (broken is None) == (name in NOT_SEEN)


NOT_SEEN: set[str] = set()


def test_no_stranger_repeats_a_fault():
    assert not set(STRANGERS) & set(FAULTS)
