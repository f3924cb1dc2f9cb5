import pytest

from harness.parity.pairs.climb import Pairs
from harness.running.guard import Limits
from tests.parity.pairs.planted import HERE, source


@pytest.fixture(scope="module")
def pairs():
    """What climbs pairs of the two frameworks; its processes are those of all tests of a module."""
    first = HERE / "cnn1d.py"
    with Pairs(source("keras", first), source("torch", first), Limits()) as pairs:
        yield pairs
