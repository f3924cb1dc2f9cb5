"""What a side draws for a model to be given."""

import numpy as np
import pytest

from harness.errors import BenchError
from harness.foreign import Inputs
from harness.parity.pairs.orders import DRAWN
from harness.parity.pairs.side import Said, drawn

TOLD = (Inputs("0", (7, 4), masked=-1.0), Inputs("1", (0, 2), masked=0.5), Inputs("2", (5,)))


def said(folder, text):
    (folder / "pair.py").write_text(text)
    return Said(str(folder / "pair.py"))


def ends(array, steps, number):
    """Of which samples the last steps, and no others, are this number."""
    return (array[:, -steps:] == number).all((1, 2)) & (array[:, :-steps] != number).all((1, 2))


def test_every_other_sample_ends_in_steps_that_are_masked():
    array = drawn(Said(""), TOLD[:1], 0)["0"]
    assert ends(array, 2, -1.0).tolist() == [False, True] * (DRAWN // 2)
    assert np.unique(array[::2]).size == array[::2].size


def test_what_the_model_masks_is_known_where_the_file_says_its_inputs(tmp_path):
    made = drawn(said(tmp_path, "inputs = [(7, 4), (9, 2), (5,)]"), TOLD, 0)
    assert ends(made["1"], 3, 0.5).tolist() == [False, True] * (DRAWN // 2)
    assert not (made["2"] == 0).any()
    other = drawn(said(tmp_path, "inputs = [(8, 4), (9, 3), (5,)]"), TOLD, 0)  # of other shapes, or in another order
    assert not any((array == number).any() for array in other.values() for number in (-1.0, 0.5))


def test_a_model_that_takes_any_length_does_not_say_what_it_takes():
    with pytest.raises(BenchError, match="the model does not say what it takes"):
        drawn(Said(""), TOLD, 0)
