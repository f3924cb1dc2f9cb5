"""Where the channels of a tensor are, whatever turned it."""

import numpy as np
import pytest
import torch

from backends._torch_layouts import Layouts, Tag

IMAGES = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5)
LAST = IMAGES.numpy().transpose(0, 2, 3, 1)

TO_LAST = (
    lambda x: x.permute(0, 2, 3, 1),
    lambda x: torch.permute(input=x, dims=(0, 2, -1, 1)),
    lambda x: x.movedim(1, -1),
    lambda x: torch.moveaxis(x, source=1, destination=3),
)
TO_FIRST = (
    lambda x: x.permute(0, 3, 1, 2),
    lambda x: torch.movedim(x, -1, 1),
)


def watched(function):
    """What a function makes of images whose channels come first, in the common layout."""
    watch, given = Layouts(still=True), IMAGES.clone()
    watch.channels_first(given)
    with watch:
        made = function(given)
    return watch.common(made)


@pytest.mark.parametrize("to_last", TO_LAST)
@pytest.mark.parametrize("to_first", TO_FIRST)
def test_channels_that_are_turned_to_the_end_and_back_are_followed(to_last, to_first):
    np.testing.assert_array_equal(watched(to_last), LAST)
    np.testing.assert_array_equal(watched(lambda x: to_first(to_last(x))), LAST)
    dense = torch.nn.functional.linear
    there = watched(lambda x: to_first(dense(torch.relu(to_last(x)), 2 * torch.eye(3))))
    np.testing.assert_array_equal(there, 2 * LAST)


def test_an_image_that_is_transposed_stays_one():
    np.testing.assert_array_equal(watched(lambda x: x.transpose(2, 3)), LAST.swapaxes(1, 2))
    turned = watched(lambda x: x.permute(0, 2, 3, 1).swapaxes(1, 2).permute(0, 3, 1, 2))
    np.testing.assert_array_equal(turned, LAST.swapaxes(1, 2))


def test_a_flattening_of_channels_that_are_last_is_as_it_is():
    np.testing.assert_array_equal(watched(lambda x: x.permute(0, 2, 3, 1).flatten(1)), LAST.reshape(2, -1))
    np.testing.assert_array_equal(watched(lambda x: x.flatten(1)), LAST.reshape(2, -1))


def test_a_reshape_of_what_a_layer_answers_and_a_flattening_are_answered_as_they_are():
    watch, flat = Layouts(still=True), IMAGES.reshape(2, -1)
    with watch:
        watch._put(flat, Tag("from", source="dense"))
        given = torch.relu(flat.unflatten(1, (3, 4, 5)))
        image = IMAGES.clone()
        watch.channels_first(image)
        flattened = image.flatten(1)
    np.testing.assert_array_equal(watch.answer(given), IMAGES)
    assert watch.rank_first(given) == 0
    np.testing.assert_array_equal(watch.answer(flattened), IMAGES.reshape(2, -1))
    np.testing.assert_array_equal(watch.common(flattened), LAST.reshape(2, -1))  # as a kernel behind it takes it
