"""Grad-CAM of a backend against the same written out with loops and finite differences."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from harness import registry
from tests.backends.gradcam import NETWORKS, images, weights

SIDES = {
    "keras": ("keras", "tensorflow", "float64"),
    "keras on torch": ("keras", "torch", "float32"),
    "keras on jax": ("keras", "jax", "float32"),
    "pytorch": ("pytorch", "torch", "float64"),
}


@pytest.fixture(scope="module", params=SIDES)
def maps(request, tmp_path_factory):
    backend, engine, precision = SIDES[request.param]
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")
    file = tmp_path_factory.mktemp("maps") / "maps.npz"
    words = [sys.executable, "-m", "tests.backends.gradcam", backend, precision, str(file)]
    subprocess.run(words, check=True, env=os.environ | {"KERAS_BACKEND": engine})
    return np.load(file)


def convolved(values, kernel, bias):
    size = kernel.shape[0]
    height, width = values.shape[0] - size + 1, values.shape[1] - size + 1
    found = np.empty((height, width, kernel.shape[3]))
    for i, j in np.ndindex(height, width):
        found[i, j] = np.tensordot(values[i : i + size, j : j + size], kernel, 3) + bias
    return np.maximum(found, 0)


def pooled(values, winners=None):
    """The largest of each block; or what stands where `winners` are largest, the first of equal ones: behind a ReLU
    blocks are often zero, and there a maximum has no derivative, but both frameworks let gradients pass to one pixel.
    """

    def blocks(array):
        height, width, channels = array.shape[0] // 2, array.shape[1] // 2, array.shape[2]
        parts = array[: 2 * height, : 2 * width].reshape(height, 2, width, 2, channels)
        return parts.transpose(0, 2, 1, 3, 4).reshape(height, width, 4, channels)

    first = blocks(values if winners is None else winners).argmax(axis=2)[:, :, None]
    return np.take_along_axis(blocks(values), first, axis=2)[:, :, 0]


def activations(image, arrays):
    first = pooled(convolved(image, arrays["conv2d_1/kernel"], arrays["conv2d_1/bias"]))
    return convolved(first, arrays["conv2d_2/kernel"], arrays["conv2d_2/bias"])


def answers(name, values, arrays, winners):
    if name == "average":
        return values.mean(axis=(0, 1)) @ arrays["dense_1/kernel"] + arrays["dense_1/bias"]
    hidden = np.maximum(pooled(values, winners).ravel() @ arrays["dense_1/kernel"] + arrays["dense_1/bias"], 0)
    return hidden @ arrays["dense_2/kernel"] + arrays["dense_2/bias"]


def expected(name, image, step=1e-5):
    """Equations 1 and 2 of Selvaraju et al. (2017), gradients by central differences: (h, w, t)."""
    arrays = {key: array.astype(np.float64) for key, array in weights(NETWORKS[name]).items()}
    found = activations(image.astype(np.float64), arrays)
    alphas = np.zeros((found.shape[2], 3))
    for place in np.ndindex(found.shape):
        moved = np.zeros(found.shape)
        moved[place] = step
        up, down = (answers(name, found + sign * moved, arrays, found) for sign in (1, -1))
        alphas[place[2]] += (up - down) / (2 * step) / (found.shape[0] * found.shape[1])
    return np.maximum(found @ alphas, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_maps_are_those_of_finite_differences(maps, name):
    reference = np.array([expected(name, image) for image in images()])
    assert ((reference > 0).mean(axis=(0, 1, 2)) > 0.5).all()
    assert (reference == 0).any(axis=(0, 1, 2)).all()  # what the last ReLU takes away
    np.testing.assert_allclose(maps[name], reference, rtol=1e-4, atol=1e-6 * reference.max())


@pytest.mark.slow
def test_behind_a_global_average_it_is_class_activation_mapping(maps):
    """Zhou et al. (2016): there the gradient is the answer's weight of the channel, over the pixels."""
    arrays = weights(NETWORKS["average"])
    for image, found in zip(images(), maps["average"], strict=True):
        channels = activations(image, arrays)
        cam = np.maximum(channels @ arrays["dense_1/kernel"], 0) / (channels.shape[0] * channels.shape[1])
        np.testing.assert_allclose(found, cam, rtol=1e-4, atol=1e-6 * cam.max())


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_no_map_hangs_on_the_other_images(maps, name):
    np.testing.assert_allclose(maps[name], maps[f"{name} alone"], rtol=1e-5, atol=1e-6 * maps[name].max())


def test_a_backend_without_gradients_says_so():
    for backend in ("onnx", "classical"):
        with pytest.raises(NotImplementedError, match=f"{backend} gives no gradients"):
            registry.gradcam(backend)
