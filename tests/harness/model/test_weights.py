import json

import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open

from harness.errors import WeightsError
from harness.model.weights import load_weights, save_weights


def test_round_trip_keeps_names_values_and_layout(tmp_path):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 4)).astype(np.float32)
    weights = {"dense_1/kernel": kernel.T, "dense_1/bias": np.zeros(3, np.float32)}
    save_weights(tmp_path / "deep" / "w.safetensors", weights, {"variant": "baseline"})
    loaded = load_weights(tmp_path / "deep" / "w.safetensors")
    assert loaded.keys() == weights.keys()
    np.testing.assert_array_equal(loaded["dense_1/kernel"], kernel.T)


def test_equal_weights_and_metadata_make_equal_files(tmp_path):
    weights = {"dense_1/kernel": np.eye(3, dtype=np.float32), "dense_1/bias": np.zeros(3, np.float32)}
    metadata = {"variant": "baseline", "backend": "keras", "seed": "0"}
    for name in range(8):
        save_weights(tmp_path / f"{name}.safetensors", weights, metadata)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    with safe_open(tmp_path / "0.safetensors", "numpy") as file:
        assert json.loads(file.metadata()["cijbench"]) == metadata


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        load_weights(tmp_path / "none.safetensors")


def test_numbers_that_numpy_does_not_have_are_refused(tmp_path):
    header = json.dumps({"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    path = tmp_path / "mine.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_weights(path)


def test_whole_numbers_are_no_weights(tmp_path):
    safetensors.numpy.save_file({"b": np.ones(2, np.float32), "w": np.ones(2, np.int32)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="w is of int32, and weights are floating-point numbers"):
        load_weights(tmp_path / "w.safetensors")


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x04\x95pickle"])
def test_another_kind_of_file_is_refused(tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_weights(path)
