"""What suites with data of their own alone refuse."""

import pytest

from harness import registry
from harness.errors import BenchError
from harness.model.variants import Encoding


@pytest.mark.parametrize(
    ("name", "for_yours", "made"),
    [
        ("defects", "own", "its patches are its own"),
        ("leakage", "own", "its specimens are shipped"),
        ("phases", "own", "its specimens are shipped"),
        ("representations", "elasticity", "its images are shipped"),
        ("shift", "own", "its specimens are shipped"),
    ],
)
def test_data_of_ones_own_and_more_data_are_refused(tmp_path, name, for_yours, made):
    suite = registry.suite(name)
    for refused in (suite.load, suite.check_data):
        with pytest.raises(
            BenchError, match=f"this suite has data of its own alone; give yours with suite={for_yours}$"
        ):
            refused(tmp_path, {})
    with pytest.raises(BenchError, match=f"suite={name}: {made}"):
        suite.make_data(tmp_path, 1, 0, {}, lambda *_: None)


@pytest.mark.parametrize(
    ("name", "encoding", "near"),
    [
        ("leakage", "segmentd", "segmented"),
        ("phases", "two-points", "two-point"),
        ("representations", "two-pint", "two-point"),
        ("shift", "normalized", "normalised"),
    ],
)
def test_unknown_encodings_and_decodings_are_refused(name, encoding, near):
    suite = registry.suite(name)
    dataset = suite.load(None, {})
    with pytest.raises(BenchError, match=f"unknown encoding '{encoding}'.*{near}"):
        suite.encoder(Encoding(encoding), dataset)
    with pytest.raises(BenchError, match="unknown decoding 'any'"):
        suite.decoder(Encoding("any"), dataset)
