import math

import msgspec
import numpy as np
import pytest

from harness.model.architecture import (
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPool2D,
    Network,
    initial_weights,
    named_layers,
    parameter_shapes,
)

BASELINE = Network(
    (Conv2D(8, 3), MaxPool2D(), Conv2D(16, 3), MaxPool2D(), Flatten(), Dense(16), Dense(9, activation="linear"))
)


def tuned(filters, kernel):
    return Network(
        (
            Conv2D(filters, kernel, "same"),
            MaxPool2D(),
            Conv2D(2 * filters, kernel, "same"),
            MaxPool2D(),
            Flatten(),
            Dropout(0.2),
            Dense(64),
            Dense(9, activation="linear"),
        )
    )


def parameters(network):
    return sum(math.prod(shape) for shape in parameter_shapes(network, (64, 64, 1)).values())


@pytest.mark.parametrize(
    ("network", "expected"),
    [(BASELINE, 51_593), (tuned(8, 3), 264_041), (tuned(16, 5), 538_185), (tuned(32, 5), 1_101_321)],
)
def test_parameter_counts_are_the_reports(network, expected):
    assert parameters(network) == expected


def test_layers_are_named_by_kind_and_place():
    assert [name for name, _ in named_layers(BASELINE)] == [
        "conv2d_1",
        "maxpool2d_1",
        "conv2d_2",
        "maxpool2d_2",
        "flatten_1",
        "dense_1",
        "dense_2",
    ]


def test_shapes_follow_the_common_layout():
    shapes = parameter_shapes(BASELINE, (64, 64, 1))
    assert shapes["conv2d_2/kernel"] == (3, 3, 8, 16)
    assert shapes["dense_1/kernel"] == (14 * 14 * 16, 16)


def test_initial_weights_are_glorot_uniform_with_zero_biases():
    weights = initial_weights(tuned(32, 5), (64, 64, 1), seed=0)
    for name, array in weights.items():
        assert array.dtype == np.float32
        if name.endswith("/bias"):
            assert not array.any()
    kernel = weights["dense_1/kernel"]
    limit = math.sqrt(6 / sum(kernel.shape))
    assert 0.999 * limit < np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / math.sqrt(3), rel=0.01)
    assert np.abs(weights["conv2d_2/kernel"]).max() <= math.sqrt(6 / (25 * (32 + 64)))


def test_initial_weights_hang_on_the_seed_alone():
    first, again = (initial_weights(BASELINE, (64, 64, 1), seed=3) for _ in range(2))
    other = initial_weights(BASELINE, (64, 64, 1), seed=4)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["conv2d_1/kernel"], other["conv2d_1/kernel"])


def test_a_network_is_data():
    assert msgspec.json.decode(msgspec.json.encode(BASELINE), type=Network) == BASELINE


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(ValueError, match="dense_1 needs a vector"):
        parameter_shapes(Network((Conv2D(8, 3), Dense(9))), (64, 64, 1))
    with pytest.raises(ValueError, match="after maxpool2d_2"):
        parameter_shapes(Network((MaxPool2D(4), MaxPool2D(4))), (8, 8, 1))
