import numpy as np
import pytest

from harness.errors import BenchError
from suites import elasticity


def test_the_split_of_the_shipped_data_is_the_reports():
    split = elasticity.split(elasticity.load(None, {}))
    assert (len(split.train), len(split.validation), len(split.test)) == (364, 78, 78)
    assert len(np.unique(np.concatenate([split.train, split.validation, split.test]))) == 520


def test_what_the_source_reports_is_of_variants_that_exist():
    assert set(elasticity.SOURCE.reported) <= {variant.name for variant in elasticity.VARIANTS}


@pytest.mark.parametrize("size", [32, 63, 128])
def test_no_data_are_made_that_would_not_be_read(tmp_path, size):
    """Planted: `data make size=32` wrote a folder that `data check` refused."""
    with pytest.raises(BenchError, match=f"size={size}: .* 64x64"):
        elasticity.make_data(tmp_path / "out", 5, 0, {"size": str(size)}, print)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("contrast", ["0.5", "1e9", "nan", "x", "1_0"])
def test_a_contrast_that_is_none_is_refused(tmp_path, contrast):
    with pytest.raises(BenchError, match="a number from 1 to 1e6"):
        elasticity.make_data(tmp_path / "out", 5, 0, {"contrast": contrast}, print)
