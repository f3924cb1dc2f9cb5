"""Encodings against matrix inversion, and their ONNX operators against themselves."""

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from backends import onnx
from harness.errors import Unavailable
from suites.microstructure.encodings import VoigtReussHill, VolumeFraction
from suites.microstructure.homogenization import TARGETS, isotropic_stiffness
from suites.microstructure.materials import Phase

PHASES = (Phase(70, 0.33), Phase(410, 0.19))


def pictures(count=6, size=16):
    drawn = (np.random.default_rng(0).random((count, size, size, 1)) < 0.4).astype(np.float32)
    return np.concatenate([drawn, np.zeros((1, size, size, 1), np.float32), np.ones((1, size, size, 1), np.float32)])


def by_inversion(fraction, phases):
    soft, stiff = (isotropic_stiffness(phase.young, phase.poisson) for phase in phases)
    voigt = (1 - fraction) * soft + fraction * stiff
    reuss = np.linalg.inv((1 - fraction) * np.linalg.inv(soft) + fraction * np.linalg.inv(stiff))
    mean = (voigt + reuss) / 2
    return [mean[int(name[1]) - 1, int(name[2]) - 1] for name in TARGETS]


@pytest.mark.parametrize("phases", [PHASES, (Phase(1, 0.0), Phase(1000, 0.45)), (Phase(5, 0.3), Phase(5, 0.3))])
def test_voigt_reuss_hill_is_the_mean_of_the_bounds_by_matrix_inversion(phases):
    expected = [by_inversion(picture.mean(dtype=np.float64), phases) for picture in pictures()]
    np.testing.assert_allclose(VoigtReussHill(phases).encode(pictures()), expected, rtol=1e-6, atol=1e-6)


def test_voigt_reuss_hill_needs_to_know_the_phases():
    with pytest.raises(Unavailable, match="phases="):
        VoigtReussHill(None)


def test_the_volume_fraction_is_the_share_of_white():
    np.testing.assert_allclose(VolumeFraction().encode(pictures())[:, 0], pictures().mean(axis=(1, 2, 3)), rtol=1e-6)


@pytest.mark.parametrize("encoder", [VolumeFraction(), VoigtReussHill(PHASES)], ids=["fraction", "hill"])
def test_operators_before_a_model_make_the_same_of_an_image(encoder, tmp_path):
    """A model that answers what it sees, with the encoding put before it."""
    encoded = encoder.encode(pictures())
    width = encoded.shape[1]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["images"], ["mean"]), helper.make_node("Neg", ["mean"], ["prediction"])],
        "its own names may be those of the encoding",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", width])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["batch", width])],
    )
    path = tmp_path / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    onnx.prepend(path, encoder.operators(), (16, 16, 1), "encoding")
    model = onnx.open_model(path)
    assert model.input_shape == (None, 16, 16, 1)
    np.testing.assert_allclose(model.predict(pictures()), -encoded, rtol=1e-5, atol=1e-6)
