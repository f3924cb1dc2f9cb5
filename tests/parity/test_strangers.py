"""Mistakes planted by one who had not read the ladder: it must see them."""

import pytest

from harness.parity.sides import SideCrashed
from tests.parity.faults import FAULTS
from tests.parity.planted import Climbs, first_broken
from tests.parity.strangers import STRANGERS

SMALL = [name for name, stranger in STRANGERS.items() if "head-only" not in stranger.variant]
SMALL = [name for name in SMALL if "fine-tuned" not in STRANGERS[name].variant]
"""Those of networks without a backbone, whose sides take seconds."""
COME_NOT_UP = ()
"""Those whose side ends before there is a rung to break."""


@pytest.fixture(scope="module")
def climbs(tmp_path_factory):
    return Climbs(tmp_path_factory.mktemp("climbs"))


@pytest.mark.parity
@pytest.mark.long
@pytest.mark.parametrize("name", SMALL)
def test_a_strangers_fault_breaks_the_ladder(climbs, name):
    if name in COME_NOT_UP:
        with pytest.raises(SideCrashed, match="pytorch in float"):
            climbs.verdicts(STRANGERS[name].variant, fault=name)
    else:
        assert first_broken(climbs.verdicts(STRANGERS[name].variant, fault=name)) is not None, "not seen"


def test_no_stranger_repeats_a_fault():
    assert len(SMALL) == 76
    assert not set(STRANGERS) & set(FAULTS)
    assert set(COME_NOT_UP) <= set(SMALL)
