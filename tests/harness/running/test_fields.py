import numpy as np
import pytest

from harness.model.architecture import Backbone, Conv2D, Dense, Flatten, GlobalAveragePool2D, MaxPool2D, Network
from harness.running.fields import centres, last_convolution, onto_image


def seen(layers, number):
    """First and last pixel, along an edge, that pixel `number` of what the last of these layers gives has seen, also
    beyond the edge; from behind, as `centres` does not go.
    """
    low = high = number
    for layer in reversed(layers):
        match layer:
            case Conv2D(kernel=kernel, padding=padding):
                before = 0 if padding == "valid" else (kernel - 1) // 2
                low, high = low - before, high - before + kernel - 1
            case MaxPool2D(size):
                low, high = low * size, high * size + size - 1
            case Backbone():
                low, high = low * 32, high * 32 + 31
    return low, high


@pytest.mark.parametrize(
    "layers",
    [
        (Conv2D(8, 3), MaxPool2D(2), Conv2D(16, 3), MaxPool2D(3), Conv2D(32, 3)),
        (Conv2D(8, 5, "same"), MaxPool2D(2), Conv2D(8, 4, "same"), MaxPool2D(2), Conv2D(8, 2)),
        (Conv2D(8, 5, "periodic"), MaxPool2D(4), Conv2D(8, 1)),
        (Backbone("vgg16"),),
    ],
)
def test_a_pixel_of_a_map_is_centred_on_what_it_has_seen(layers):
    network = Network((*layers, MaxPool2D(2), Flatten(), Dense(2, "linear")))  # what comes behind does not count
    last = last_convolution(network)
    begin, stride = centres(network, last)
    for number in (0, 1, 5):
        low, high = seen(layers, number)
        assert begin + number * stride == (low + high) / 2


def test_the_last_layer_that_convolves_is_named():
    assert last_convolution(Network((Conv2D(4, 3), MaxPool2D(), Conv2D(4, 3), Flatten(), Dense(1)))) == "conv2d_2"
    assert last_convolution(Network((Backbone("vgg16"), GlobalAveragePool2D(), Dense(1)))) == "backbone_1"
    assert last_convolution(Network((Flatten(), Dense(4), Dense(1)))) is None


def test_a_map_stands_where_its_centres_are():
    maps = np.zeros((1, 3, 2))
    maps[0, 1, 0] = 6.0
    found = onto_image(maps, 2, 3, 12, 9)[0]  # rows centred on 2, 5 and 8, columns on 2 and 5
    assert found.shape == (12, 9)
    assert np.unravel_index(found.argmax(), found.shape) == (5, 2)
    assert found[5, 2] == 6
    assert found[4, 2] == pytest.approx(4)
    assert found[5, 4] == pytest.approx(2)
    assert found[2, 2] == found[8, 2] == found[5, 5] == 0  # the other centres are its neighbours'
    assert (np.flatnonzero(found.any(axis=1)) == [3, 4, 5, 6, 7]).all()


def test_between_centres_a_map_goes_straight_and_beyond_them_to_zero():
    found = onto_image(np.array([[[1.0, 3.0], [1.0, 3.0]]]), 4, 4, 16, 16)[0]
    assert found[6, 4:9].tolist() == [1, 1.5, 2, 2.5, 3]
    assert found[6, 8:].tolist() == [3, 2.25, 1.5, 0.75, 0, 0, 0, 0]
