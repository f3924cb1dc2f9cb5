"""Arrays are found by their numbers, and none is found where it is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.foreign import Array, Part
from harness.parity.pairs.contents import find, others, with_folded

DRAW = np.random.default_rng(0)
KERNEL = DRAW.normal(size=(3, 3, 4, 5)).astype(np.float32)
SQUARE = DRAW.normal(size=(6, 6)).astype(np.float32)
ELSEWHERE = "in another order, or among others"
VECTOR = DRAW.normal(size=20).astype(np.float32)


def where(array, theirs):
    (found,) = find({"mine": array}, theirs)
    return found.how, found.where, found.told


@given(st.permutations(range(4)), st.integers(0, 100))
def test_every_order_of_axes_is_found_and_told(axes, seed):
    sizes = (2, 3, 4, 5)  # no two alike, so that there is one way
    array = np.random.default_rng(seed).normal(size=sizes).astype(np.float32)
    found = where(array, {"other": SQUARE, "x": array.transpose(axes)})
    if axes == [0, 1, 2, 3]:
        assert found == ("equal", ("x",), "equal")
    else:
        assert found == ("transposed", ("x",), f"transposed ({', '.join(map(str, axes))})")


@pytest.mark.parametrize(
    ("array", "theirs", "expected"),
    [
        (SQUARE, {"x": SQUARE.T.copy()}, ("transposed", ("x",), "transposed (1, 0)")),
        (VECTOR, {"x": VECTOR.reshape(1, 20, 1, 1)}, ("equal", ("x",), "equal")),
        (VECTOR, {"x": VECTOR.astype(np.float64)}, ("equal", ("x",), "equal")),
        (VECTOR, {"x": VECTOR[::-1].copy()}, ("elsewhere", ("x",), ELSEWHERE)),
        (VECTOR, {"gates": np.concatenate([VECTOR + 1, VECTOR])}, ("elsewhere", ("gates",), ELSEWHERE)),
        (VECTOR, {"a": VECTOR[:8], "b": VECTOR[8:]}, ("elsewhere", ("a", "b"), ELSEWHERE)),
        (np.zeros(3, np.float32), {}, ("constant", (), "all its numbers are 0")),
        (np.zeros(0, np.float32), {"x": VECTOR}, ("constant", (), "it has no numbers")),  # as Resize's region in ONNX
        (VECTOR, {"x": VECTOR * 1.5}, ("absent", (), "not found")),
        (KERNEL, {"x": DRAW.normal(size=KERNEL.shape).astype(np.float32)}, ("absent", (), "not found")),
        (SQUARE, {}, ("absent", (), "not found")),
    ],
)  # fmt: skip
def test_where_an_array_is(array, theirs, expected):
    assert where(array, theirs) == expected


def test_a_norm_that_is_folded_into_a_kernel_is_a_number_for_each_channel():
    folded = (KERNEL * np.array([0.5, 1, 2, -3, 0.1], np.float32)).transpose(3, 2, 0, 1)
    assert where(KERNEL, {"x": folded}) == (
        "scaled",
        ("x",),
        "transposed (3, 2, 0, 1), times a number for each channel",
    )


def test_an_array_that_is_a_little_another_is_told_how_far():
    changed = SQUARE.copy()
    changed[2, 3] += 0.01 * np.linalg.norm(SQUARE)
    assert where(SQUARE, {"x": changed.T}) == ("apart", ("x",), "transposed (1, 0), apart by 0.01")
    how, _, told = where(SQUARE, {"x": SQUARE.astype(np.float16)})
    assert how == "apart"
    assert told.startswith("rounded to half precision: apart by 0.000")


def test_vectors_around_one_number_are_not_taken_for_each_other():
    """As two norms' gammas, which are near 1: near each other, but no nearer than chance has it."""
    one, two = (1 + 0.01 * np.random.default_rng(seed).normal(size=64) for seed in (1, 2))
    assert np.linalg.norm(one - two) < 0.02 * np.linalg.norm(one)
    assert where(one.astype(np.float32), {"x": two.astype(np.float32)})[0] == "absent"


def test_what_the_other_has_alone():
    theirs = {"x": SQUARE.T, "mean": DRAW.normal(size=3), "epsilon": np.float32([0.001]), "zeros": np.zeros(4)}
    assert others(find({"mine": SQUARE}, theirs), theirs) == ["mean"]


@pytest.mark.parametrize(("epsilon", "how"), [(1e-3, "folded"), (0, "folded"), (None, "absent")])
def test_a_norm_is_found_folded_by_its_epsilon_if_that_is_known(epsilon, how):
    roles = ("gamma", "beta", "moving_mean", "moving_variance")
    draw = np.random.default_rng(1)
    ours = {role: draw.uniform(0.5, 1.5, 9).astype(np.float32) for role in roles}
    norm = Part("norm", "batch_norm", {role: Array(role, (9,)) for role in roles}, {"epsilon": epsilon})
    factor = ours["gamma"].astype(np.float64) / np.sqrt(ours["moving_variance"] + np.float64(epsilon or 0))
    theirs = {"x": factor, "y": ours["beta"] - ours["moving_mean"] * factor}
    found = with_folded(find(ours, theirs), [norm], ours, theirs)
    assert {each.how for each in found} == {how}
