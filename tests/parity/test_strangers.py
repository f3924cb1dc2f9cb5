"""Mistakes planted by one who had not read the ladder: it must see them."""

import pytest

from tests.parity.faults import FAULTS
from tests.parity.planted import Climbs, first_broken
from tests.parity.strangers import STRANGERS

SMALL = [name for name, stranger in STRANGERS.items() if "head-only" not in stranger.variant]
SMALL = [name for name in SMALL if "fine-tuned" not in STRANGERS[name].variant]
"""Those of networks without a backbone, whose sides take seconds."""
NO_FAULT = "pooling with ceil_mode"
"""Of images whose edge is a multiple of eight, as all are that climb."""


@pytest.fixture(scope="module")
def climbs(tmp_path_factory):
    with Climbs(tmp_path_factory.mktemp("climbs")) as found:
        yield found


@pytest.mark.parity
@pytest.mark.long
@pytest.mark.parametrize("name", SMALL)
def test_a_strangers_fault_breaks_the_ladder(climbs, name):
    broken = first_broken(climbs.verdicts(STRANGERS[name].variant, fault=name))
    assert (broken is None) == (name == NO_FAULT), "seen" if broken else "not seen"


def test_no_stranger_repeats_a_fault():
    assert len(SMALL) == 76
    assert not set(STRANGERS) & set(FAULTS)
    assert NO_FAULT in SMALL
