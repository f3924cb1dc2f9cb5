import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BenchError
from suites.microstructure.materials import Phase, as_facts, parse_phases, phases_of, written

MODULI, RATIOS = st.floats(1e-6, 1e9), st.floats(-0.99, 0.49)


def test_phases_are_read():
    assert parse_phases("70,0.33, 410,0.19") == (Phase(70, 0.33), Phase(410, 0.19))
    assert parse_phases("") is None
    assert written((Phase(70, 0.33), Phase(410, 0.19))) == "70,0.33,410,0.19"


@given(MODULI, RATIOS, MODULI, RATIOS)
def test_facts_keep_every_digit(young, poisson, stiff, other):
    phases = Phase(young, poisson), Phase(stiff, other)
    assert phases_of(as_facts(phases)) == phases
    assert phases_of(as_facts(None)) is None


@pytest.mark.parametrize("text", ["1,2,3", "nan,0.33,410,0.19", "-70,0.33,410,0.19", "7_0,0.33,410,0.19", "a,b,c,d"])
def test_what_are_no_phases_is_refused(text):
    with pytest.raises(BenchError, match=f"phases={text}: "):
        parse_phases(text)
