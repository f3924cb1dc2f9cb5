"""What is said of a difference: settings that differ, and none that are the same in other words."""

import msgspec
import numpy as np
import pytest

from harness.foreign import Array, Inspected, Part
from harness.parity.ladder import Verdict
from harness.parity.pairs.explained import why
from harness.parity.pairs.orders import Computed, Looked
from harness.parity.pairs.paired import Matched, Paired

SHAPE = (3, 3, 2, 4)


def conv(name, before=(), **settings):
    array = Array(f"{name}.kernel", SHAPE)
    return Part(
        name, "conv", {"kernel": array}, {"strides": (1, 1), "dilation": (1, 1)} | settings, name, before=before
    )


def said(
    ours,
    theirs,
    rung="forward",
    worst="",
    says=(),
    loss=(1.0, 1.0),
    penalties=(0.0, 0.0),
    rates=((), ()),
):
    """Of two layers that are given the same and answer otherwise, or of two losses."""
    same = {f"forward/{name}/input": np.ones((2, 6, 6, 2)) for name in ("ours", "theirs")}
    left = [
        {"float32": same | {"gradients/loss": np.array(each), "gradients/penalties": np.array(more)}}
        for each, more in zip(loss, penalties, strict=True)
    ]
    looked = [Looked(Inspected(label, ()), tuple(says)) for label in ("keras", "torch")]
    paired = Paired((Matched(ours, theirs, ""),), ())
    verdict = Verdict("net", rung, "breaks", "float32", worst or ours.output, 1.0, 1e-6)
    return why(verdict, looked, paired, left, [as_it_comes(Computed(rates=each)) for each in rates])


def as_it_comes(computed):
    """From a side's process."""
    return msgspec.json.decode(msgspec.json.encode(computed), type=Computed)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"padding": "valid"}, {"padding": (0, 0)}),
        ({"padding": "valid"}, {"padding": 0}),
        ({"padding": "valid"}, {"padding": "valid"}),
        ({"padding": "same"}, {"padding": (1, 1)}),
        ({"padding": "same"}, {"padding": "same"}),
        ({"padding": "same", "dilation": (2, 2)}, {"padding": (2, 2), "dilation": (2, 2)}),
        ({"padding": "same", "strides": (2, 2), "before": ("ZeroPad2d 0",)}, {"padding": (0, 0), "strides": (2, 2)}),
    ],
)
def test_equal_paddings_are_no_cause(ours, theirs):
    told = said(conv("ours", **ours), conv("theirs", **theirs))
    assert told == "it is given the same: no setting that is known here differs"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"padding": "same"}, {"padding": (0, 0)}),
        ({"padding": "valid"}, {"padding": (1, 1)}),
        ({"padding": "same", "strides": (2, 2)}, {"padding": (1, 1), "strides": (2, 2)}),
        ({"padding": "same", "dilation": (2, 2)}, {"padding": (1, 1), "dilation": (2, 2)}),
    ],
)
def test_other_paddings_are(ours, theirs):
    told = said(conv("ours", **ours), conv("theirs", **theirs))
    assert f"padding is {ours['padding']} in keras, {theirs['padding']} in torch" in told


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ((1, 2), (2, 1), False),
        ((1, 2), (1, 2), True),
        ((2, 2), 2, True),
        ((2, 1), 2, False),
        ((2,), (2, 2), True),
        ((2,), 2, True),
        ((2, 2), (2, 2, 2), False),
    ],
)
def test_settings_of_several_axes_are_the_same_axis_by_axis(one, two, same):
    told = said(conv("ours", strides=one), conv("theirs", strides=two))
    wrong = f"strides is {one} in keras, {two} in torch"
    assert told == f"it is given the same: {'no setting that is known here differs' if same else wrong}"


def test_momentum_is_told_in_torchs_words_too():
    norms = [
        Part(name, "batch_norm", {}, {"momentum": kept}, name) for name, kept in (("ours", 0.99), ("theirs", 0.01))
    ]
    told = said(*norms, rung="state", worst="ours/moving_mean")
    assert told == "momentum is 0.99 in keras, 0.01 in torch, which calls it 0.99"


@pytest.mark.parametrize(
    ("says", "more"),
    [
        (["keras_loss"], "; the file has no torch_loss: there it is the mean squared error"),
        (["torch_loss"], "; the file has no keras_loss: there it is the mean squared error"),
        (["keras_loss", "torch_loss"], ""),
        ([], ""),
    ],
)
def test_a_loss_that_the_file_does_not_have_is_told(says, more):
    told = said(conv("ours"), conv("theirs"), "gradients", "loss", says, (2.0, 1.0))
    assert told == f"keras's loss is 2, torch's 1, 0.5 times that{more}"


def test_penalties_of_one_side_are_told_with_its_loss():
    told = said(conv("ours"), conv("theirs"), "gradients", "loss", (), (2.5, 2.0), (0.5, 0.0))
    assert told.endswith("; keras adds penalties of 0.5 to its loss (regularizers or add_loss)")


@pytest.mark.parametrize(
    ("ours", "theirs", "wrong"),
    [
        ((0.1, 0.2), (0.1, 0.2 + 1e-9), ""),
        ((0.1, 0.2), (0.1, 0.1), "the rate of step 2 is 0.2 in keras, 0.1 in torch"),
        ((np.inf, 0.2), (0.2, 0.2), "the rate of step 1 is inf in keras, 0.2 in torch"),  # as of 1 / sqrt(0)
        ((np.inf, 0.2), (np.inf, 0.2), ""),
    ],
)
def test_a_rate_that_differs_is_told_by_its_step(ours, theirs, wrong):
    assert said(conv("ours"), conv("theirs"), "optimizer", "loss after 1 step", rates=(ours, theirs)) == wrong
