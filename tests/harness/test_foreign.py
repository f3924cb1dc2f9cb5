"""How arrays of a model that is not ours may lie."""

import numpy as np
import pytest

from harness.errors import BenchError
from harness.foreign import doors, moves, shapes_of

IMAGES, VIDEO = np.zeros((32, 10, 12, 3), np.float32), np.zeros((32, 5, 8, 8, 2), np.float32)


@pytest.mark.parametrize(
    ("given", "shape", "order"),
    [
        (IMAGES, (10, 12, 3), ()),
        (IMAGES, (3, 10, 12), (0, 3, 1, 2)),
        (IMAGES, (12, 3, 10), (0, 2, 3, 1)),
        (VIDEO, (2, 5, 8, 8), (0, 4, 1, 2, 3)),
        (VIDEO, (5, 2, 8, 8), (0, 1, 4, 2, 3)),
        (VIDEO, [8, 8, 2, 5], (0, 2, 3, 4, 1)),
    ],
)
def test_a_shape_that_is_said_is_an_order_of_the_axes(given, shape, order):
    assert doors(given, shape, "torch_inputs") == [order]


def test_a_shape_that_is_none_is_refused():
    with pytest.raises(BenchError, match=r"torch_inputs: \(3, 10, 13\) is no order of the axes of \(10, 12, 3\)"):
        doors(IMAGES, (3, 10, 13), "torch_inputs")


def test_without_one_channels_are_tried_where_a_module_may_take_them():
    assert doors(IMAGES, None, "") == [(0, 3, 1, 2), ()]
    assert doors(VIDEO, None, "") == [(0, 4, 1, 2, 3), (), (0, 1, 4, 2, 3)]
    assert doors(IMAGES[..., 0], None, "") == [(), (0, 2, 1)]
    assert doors(IMAGES[:, 0, 0], None, "") == [()]


def test_whole_numbers_may_be_images_where_a_module_does_not_take_them_as_they_are():
    whole = IMAGES.astype(np.int32)
    assert doors(whole, None, "") == [(), (0, 3, 1, 2)]
    assert doors(whole[..., 0], None, "") == [()]
    assert doors(whole, (3, 10, 12), "torch_inputs") == [(0, 3, 1, 2)]


@pytest.mark.parametrize("said", [(3, 10, 12), [(3, 10, 12)], {"x": (3, 10, 12)}])
def test_a_shape_may_stand_alone(said):
    assert shapes_of(said, ("x",)) == {"x": (3, 10, 12)}


def test_nobody_has_to_say_a_shape():
    assert shapes_of(None, ("x",)) == {}


def test_channels_are_found_elsewhere_only_where_they_are_looked_for():
    assert moves((8, 5, 6, 7, 2), (None, 5, 2, 6, 7)) == []
    assert moves((8, 5, 6, 7, 2), (None, 5, 2, 6, 7), anywhere=True) == [(0, 1, 4, 2, 3)]
    assert moves((8, 5, 6, 7, 2), (None, 2, 5, 6, 7), anywhere=True) == [(0, 4, 1, 2, 3)]
