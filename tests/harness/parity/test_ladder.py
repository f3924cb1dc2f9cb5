import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.parity.ladder import RUNGS, Pair, Side, judge
from harness.parity.side import Told
from harness.parity.verdicts import outcome
from harness.protocol import Counts

NAMES = ("conv2d_1", "maxpool2d_1", "dense_1", "prediction")


def exact(seed=0, names=NAMES, size=40):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=size) for name in names}


def rounded(arrays, seed, by=1e-7):
    """As a framework's float32 would have them: off by some ulps, not the same in any two frameworks."""
    rng = np.random.default_rng(seed)
    return {name: array * (1 + by * rng.normal(size=array.shape)) for name, array in arrays.items()}


def a_side(label, single, double, told=None, key="forward//"):
    def reader(arrays):
        return lambda prefix: dict(arrays) if prefix == key else {}

    told = told or Told(layers=NAMES)
    return Side(label, told, reader(single), None if double is None else reader(double))


def verdicts(change=lambda arrays: arrays, rung="forward", names=NAMES, theirs_double=True, by=1e-7, keeps=False):
    """Of two sides, the second of which computes with `change`."""
    truth = exact(names=names)
    wrong = change(dict(truth))
    key = "forward//" if rung == "forward" else f"{rung}/v/"
    fine = rounded(truth, 3, 1e-16)
    ours = a_side("ours", rounded(truth, 1, by), truth, key=key)
    theirs = a_side("theirs", rounded(wrong, 2, by), (change(fine) if theirs_double else None), key=key)
    return judge(rung, "v", keeps, Pair(ours, theirs, truth), 5)


def scaled(name, by):
    return lambda arrays: {**arrays, name: arrays[name] * by}


def test_rounding_passes_in_both_precisions():
    found = verdicts()
    assert [(verdict.precision, verdict.outcome) for verdict in found] == [("float32", "passes"), ("float64", "passes")]
    assert all(0 < verdict.difference < verdict.allowed < 1e-5 for verdict in found)
    assert {verdict.seed for verdict in found} == {5}


@given(st.sampled_from(NAMES), st.floats(1e-4, 10))
def test_a_difference_beyond_rounding_breaks_and_names_its_layer(name, by):
    found = verdicts(scaled(name, 1 + by))
    assert {verdict.outcome for verdict in found} == {"breaks"}
    assert found[0].worst == name
    assert found[0].difference == pytest.approx(by, rel=1e-2)


def test_the_first_layer_that_differs_is_named_not_the_worst():
    found = verdicts(
        lambda arrays: {**arrays, "maxpool2d_1": arrays["maxpool2d_1"] * 1.01, "dense_1": -arrays["dense_1"]}
    )
    assert {verdict.worst for verdict in found} == {"maxpool2d_1"}


def test_what_float32_cannot_see_float64_does():
    single, double = verdicts(scaled("dense_1", 1 + 1e-9))
    assert (single.outcome, double.outcome) == ("passes", "breaks")
    assert double.worst == "dense_1"


@pytest.mark.parametrize(
    ("precision", "single", "allowed"),
    [
        ("float32", "", 8 * 4 * 2**-23),
        ("float64", "", 64 * 4 * 2**-23 * 2**-29),
        ("float64", "b computes a cast in single precision", 8 * 0.5 * 2**-23),
    ],
)
def test_what_rounds_to_nothing_may_be_apart_by_so_many_ulps_and_no_more(precision, single, allowed):
    truth = exact()

    def judged(share):
        off = scaled("dense_1", 1 + share * allowed)(truth)
        sides = {"float32": (off, truth), "float64": (off if single else truth, off)}[precision]
        pair = Pair(a_side("a", truth, truth), a_side("b", *sides), truth, single=single)
        found = judge("forward", "v", False, pair, 0)
        return next(verdict for verdict in found if verdict.precision == precision)

    assert (judged(0.95).outcome, judged(1.05).outcome) == ("passes", "breaks")
    assert judged(0.95).allowed == pytest.approx(allowed)


@pytest.mark.parametrize(
    ("rung", "unlike", "told"),
    [("gradients", True, "passes"), ("gradients", False, "breaks"), ("forward", True, "breaks")],
)
def test_the_larger_rounding_excuses_in_float64_what_may_jump_of_sides_that_nobody_made_alike(rung, unlike, told):
    truth, key = exact(), "forward//" if rung == "forward" else f"{rung}/v/"
    rough, off = rounded(truth, 1, 1e-5), {name: array * (1 + 3e-13) for name, array in truth.items()}
    pair = Pair(a_side("a", truth, truth, key=key), a_side("b", rough, off, key=key), truth, unlike)
    assert judge(rung, "v", False, pair, 0)[1].outcome == told


def test_a_side_cannot_excuse_itself_by_being_inexact():
    """Its distance from its own float64 is as large as its fault."""
    truth = exact()
    ours = a_side("ours", rounded(truth, 1), truth)
    theirs = a_side("theirs", {n: a.astype(np.float16) for n, a in truth.items()}, rounded(truth, 2, 1e-16))
    single, double = judge("forward", "v", False, Pair(ours, theirs, truth), 0)
    assert (single.outcome, double.outcome) == ("breaks", "passes")


@pytest.mark.parametrize("wrong", [np.full(40, np.nan), np.ones(3)])
def test_numbers_that_are_none_and_other_shapes_break(wrong):
    found = verdicts(lambda arrays: {**arrays, "dense_1": wrong})
    assert outcome(found) == "breaks"
    assert {verdict.worst for verdict in found} == {"dense_1"}


def test_a_lucky_array_is_judged_by_the_others():
    """Both sides round a loss to the last bit or not at all: by chance one of them is exact."""
    truth = exact(names=("loss", *(f"dense_{i}/kernel" for i in range(20))))
    ours, theirs = rounded(truth, 1, 1e-6), rounded(truth, 2, 1e-6)
    theirs["loss"] = truth["loss"]
    ours["loss"] = truth["loss"] * (1 + 2e-6)
    key = "gradients/v/"
    pair = Pair(a_side("a", ours, truth, key=key), a_side("b", theirs, truth, key=key), truth)
    assert outcome(judge("gradients", "v", False, pair, 0)) == "passes"


def test_an_ill_conditioned_rung_is_judged_in_float64_and_says_so():
    single, double = verdicts(rung="gradients", by=1e-2)
    assert (single.outcome, double.outcome) == ("passes", "passes")
    assert "ill-conditioned" in single.note
    broken = verdicts(scaled("dense_1", 1 + 1e-3), rung="gradients", by=1e-2)
    assert [verdict.outcome for verdict in broken] == ["passes", "breaks"]


def test_gradients_that_are_nothing_but_rounding_excuse_no_others():
    """A bias before a batch norm has a gradient of zero: what is left of it in float64 differs in every framework."""
    kernels = [f"conv2d_{i}/kernel" for i in range(6)]
    biases = [f"conv2d_{i}/bias" for i in range(6)]

    def side(label, seed, by=1.0):
        rng = np.random.default_rng(seed)
        noise = {name: rng.normal(size=40) for name in biases}
        rough = rounded(exact(names=kernels), seed, 1e-2)
        fine = rounded(exact(names=kernels), seed + 100, 1e-13)
        fine[kernels[0]] = by * fine[kernels[0]]
        single = rough | {name: 1e-8 * array for name, array in noise.items()}
        return a_side(label, single, fine | {n: 1e-17 * a for n, a in noise.items()}, key="gradients/v/")

    def judged(by):
        return judge("gradients", "v", False, Pair(side("a", 1), side("b", 2, by), exact()), 0)[1]

    clean, broken = judged(1.0), judged(1 + 1e-6)
    assert clean.outcome == "passes"
    assert "kernel" in clean.worst  # which says more than a bias that is nothing
    assert (broken.outcome, broken.worst) == ("breaks", kernels[0])


def test_numbers_that_are_none_are_not_excused_by_a_bad_condition():
    for wrong in (np.full(40, np.nan), np.full(40, np.inf)):
        found = verdicts(lambda arrays, wrong=wrong: {**arrays, "dense_1": wrong}, "gradients", by=1e-2)
        assert [(each.outcome, each.worst, each.note) for each in found] == [
            ("breaks", "dense_1", "theirs has numbers that are not finite, where ours has others")
        ]


def test_of_numbers_that_are_none_the_side_that_has_more_of_them_is_told():
    truth = exact()
    few, more = (truth | {"dense_1": np.where(np.arange(40) < count, np.nan, truth["dense_1"])} for count in (3, 5))
    for ours, theirs, told in ((few, more, "theirs"), (more, few, "ours"), (more, truth, "ours")):
        pair = Pair(a_side("ours", ours, truth), a_side("theirs", theirs, truth), truth)
        single, *_ = judge("forward", "v", False, pair, 0)
        assert single.note.startswith(f"{told} has numbers that are not finite")


def test_numbers_that_are_none_break_where_one_side_has_no_float64():
    (found,) = verdicts(lambda arrays: {**arrays, "dense_1": np.full(40, np.nan)}, theirs_double=False)
    assert (found.outcome, found.precision, found.worst) == ("breaks", "float32", "dense_1")


def test_an_array_that_differs_is_told_rather_than_numbers_that_neither_side_has_finite():
    truth = {**exact(), "prediction": np.full(40, np.nan)}
    theirs = a_side("b", scaled("dense_1", 1.001)(truth), truth)
    single, double = judge("forward", "v", False, Pair(a_side("a", truth, truth), theirs, truth), 0)
    assert (single.outcome, single.worst, double.outcome) == ("breaks", "dense_1", "passes")


def of_two(change, change_double=None):
    """The verdicts on two sides that both compute with `change`, in float64 with another."""
    truth = (change_double or change)(exact())
    sides = [a_side(label, change(rounded(exact(), seed)), truth) for seed, label in enumerate(("ours", "theirs"), 1)]
    return judge("forward", "v", False, Pair(*sides, truth), 0)


@pytest.mark.filterwarnings("error")
def test_numbers_that_neither_side_has_finite_break_and_say_what_to_do():
    def changed(arrays):
        return {**arrays, "dense_1": arrays["dense_1"] * np.where(np.arange(40) < 5, np.nan, 1)}

    def kept(arrays):
        return arrays

    for found in (of_two(changed), of_two(changed, kept), of_two(kept, changed)):
        assert [(each.outcome, each.worst, each.difference) for each in found] == [("breaks", "", None)]
        assert found[0].note == "dense_1: both have numbers that are not finite: give inputs(rng, n) for which they are"


@pytest.mark.filterwarnings("error")
def test_what_both_sides_mask_by_infinity_is_no_difference_and_hides_none():
    mask = np.where(np.arange(40) < 5, -np.inf, 0)

    def masked(arrays):
        return {**arrays, "prediction": arrays["prediction"] + mask}

    assert {verdict.outcome for verdict in of_two(masked)} == {"passes"}
    truth, wrong = masked(exact()), masked(scaled("prediction", 1.01)(exact()))
    ours, theirs = a_side("ours", masked(rounded(exact(), 1)), truth), a_side("theirs", wrong, wrong)
    found = judge("forward", "v", False, Pair(ours, theirs, truth), 0)
    assert [(each.outcome, each.worst) for each in found] == [("breaks", "prediction")] * 2
    assert found[0].difference == pytest.approx(0.01, rel=1e-2)


def test_an_ill_conditioned_rung_is_judged_by_nobody_where_one_side_has_no_float64():
    (found,) = verdicts(rung="gradients", by=1e-2, theirs_double=False)
    assert found.outcome == "skipped"
    assert "ill-conditioned" in found.note


def test_what_a_side_keeps_in_single_precision_is_judged_so_and_says_so():
    """Its float64 is off by a part of what rounding to float32 does. A mistake is off by more, and breaks."""
    truth, single = exact(), "b computes a cast in single precision"

    def found(off, single=single):
        coarse = {name: array * (1 + off) for name, array in rounded(truth, 3, 3e-8).items()}
        sides = a_side("a", rounded(truth, 1), truth), a_side("b", rounded(coarse, 2), coarse)
        return judge("forward", "v", False, Pair(*sides, truth, single=single), 0)

    assert [verdict.outcome for verdict in found(0)] == ["passes", "passes"]
    assert {verdict.note for verdict in found(0)} == {f"{single}, so float32 judges"}
    assert [verdict.outcome for verdict in found(2e-6)] == ["passes", "breaks"]  # which float32 alone does not see
    assert [verdict.outcome for verdict in found(0, single="")] == ["passes", "breaks"]


def test_an_ill_conditioned_rung_is_judged_by_nobody_where_float64_is_none():
    truth = exact()
    sides = [a_side(label, rounded(truth, seed, 1e-2), rounded(truth, seed + 2, 3e-8), key="gradients/v/")
             for label, seed in (("a", 1), ("b", 2))]  # fmt: skip
    (found,) = judge("gradients", "v", False, Pair(*sides, truth, single="b keeps a constant in single precision"), 0)
    assert found.outcome == "skipped"
    assert "ill-conditioned" in found.note
    assert "b keeps a constant in single precision" in found.note


def test_nothing_but_rounding_may_be_more_on_the_side_that_has_no_float64():
    """As the gradient of a bias before a batch norm is, which is zero."""
    truth = exact(names=("loss", *NAMES)) | {"bias": np.full(40, 1e-17)}
    key, noise = "gradients/v/", np.random.default_rng(0).normal(size=40)
    ours = a_side("a", rounded(truth, 1) | {"bias": 1e-9 * noise}, truth, key=key)

    def found(size):
        theirs = a_side("b", rounded(truth, 2) | {"bias": size * noise}, None, key=key)
        return judge("gradients", "v", False, Pair(ours, theirs, truth), 0)[0]

    assert found(2e-8).outcome == "passes"
    assert (found(1e-3).outcome, found(1e-3).worst) == ("breaks", "bias")


def test_a_loss_is_not_excused_by_one_sides_rounding_as_gradients_are():
    """Nothing in it jumps where a ReLU crosses zero. One side's float32 computes all of this in half precision."""
    truth = exact(names=("loss", *NAMES))
    half = {name: array.astype(np.float16) for name, array in truth.items()}
    key = "gradients/v/"
    pair = Pair(a_side("a", rounded(truth, 1), truth, key=key), a_side("b", half, truth, key=key), truth)
    single, double = judge("gradients", "v", False, pair, 0)
    assert (single.outcome, single.worst, double.outcome) == ("breaks", "loss", "passes")


@pytest.mark.parametrize(("recipes", "outcome"), [(1, "breaks"), (3, "passes")])
def test_the_first_loss_of_a_last_recipe_is_excused_as_what_others_have_trained_is(recipes, outcome):
    """Their steps have had ReLUs' gradients: it was 1.5e-5 off in one of twenty seeds of `physics-net`."""
    truth = exact(names=("1/loss", *(f"1/{name}" for name in NAMES)))
    key, told = "optimizer/v/", Told(layers=NAMES, recipes={"v": recipes})
    far = {**rounded(truth, 1), "1/loss": truth["1/loss"] * (1 + 1.5e-5)}
    pair = Pair(a_side("a", far, truth, told, key=key), a_side("b", rounded(truth, 2), truth, told, key=key), truth)
    single, double = judge("optimizer", "v", False, pair, 0)
    assert (single.outcome, double.outcome) == (outcome, "passes")


def test_a_loss_that_differs_is_named_before_its_gradients():
    names = ("dense_1/kernel", "loss")
    found = verdicts(
        lambda arrays: {"dense_1/kernel": -arrays["dense_1/kernel"], "loss": 1.1 * arrays["loss"]}, "gradients", names
    )
    assert {verdict.worst for verdict in found} == {"loss"}


def test_the_fewest_steps_after_which_weights_differ_are_named():
    names = ("1/loss", "10/loss", "100/loss", "epoch/loss")
    worse = {"1/loss": 1.0, "10/loss": 1.1, "100/loss": 2.0, "epoch/loss": 3.0}
    found = verdicts(lambda arrays: {name: arrays[name] * worse[name] for name in names}, "optimizer", names)
    assert {verdict.worst for verdict in found} == {"loss after 10 steps"}
    short = verdicts(lambda arrays: {**arrays, "epoch/loss": arrays["epoch/loss"] * 2}, "optimizer", names)
    assert {verdict.worst for verdict in short} == {"loss after an epoch with a batch of one image"}


def test_weights_are_named_before_what_is_validated_with_them():
    names = ("1/dense_1/kernel", "1/validation_loss", "10/dense_1/kernel")
    found = verdicts(lambda arrays: {name: 2 * arrays[name] for name in names}, "optimizer", names)
    assert {verdict.worst for verdict in found} == {"dense_1/kernel after 1 step"}
    found = verdicts(scaled("1/validation_loss", 2), "optimizer", names)
    assert {verdict.worst for verdict in found} == {"validation_loss after 1 step"}


def test_a_loss_is_named_before_the_weights_that_its_step_leaves():
    """It was computed first: exchanged label columns are no mistake of the optimizer's."""
    names = ("1/dense_1/kernel", "1/loss", "1/validation_loss")
    worse = {"1/dense_1/kernel": 100.0, "1/loss": 1.001, "1/validation_loss": 10.0}
    found = verdicts(lambda arrays: {name: arrays[name] * worse[name] for name in names}, "optimizer", names)
    assert {verdict.worst for verdict in found} == {"loss after 1 step"}


def test_a_linear_model_excuses_no_rounding():
    """Its gradients do not jump, so a side whose float32 alone is rough cannot excuse itself."""
    names = ("1/dense_1/kernel", "long/dense_1/kernel")

    def judged(rough):
        truth = exact(names=names)
        coarse = {**rounded(truth, 2), rough: truth[rough].astype(np.float16)}
        key = "optimizer/v/"
        pair = Pair(a_side("a", rounded(truth, 1), truth, key=key), a_side("b", coarse, truth, key=key), truth)
        return judge("optimizer", "v", False, pair, 0)[0]

    assert judged("1/dense_1/kernel").outcome == "passes"
    found = judged("long/dense_1/kernel")
    assert (found.outcome, found.worst) == ("breaks", "dense_1/kernel of a linear model after 128 epochs, each worse")
    assert found.note == "b in float32 is not what both are in float64"


def test_the_side_that_departs_from_both_float64s_is_named():
    truth = exact()

    def judged(*wrong):
        sides = [
            a_side(label, rounded({**truth, "dense_1": truth["dense_1"] * by}, seed), truth)
            for seed, (label, by) in enumerate(zip(("ours", "theirs"), wrong, strict=True), 1)
        ]
        return judge("forward", "v", False, Pair(*sides, truth), 0)[0]

    assert judged(1.0, 1.001).note == "theirs in float32 is not what both are in float64"
    assert judged(1.001, 1.0).note == "ours in float32 is not what both are in float64"
    assert judged(0.999, 1.001).note == ""  # which of them is right cannot be told
    assert verdicts(scaled("dense_1", 1.001))[0].note == ""  # nor where they differ in float64


def test_another_shape_is_told():
    assert {v.note for v in verdicts(lambda arrays: {**arrays, "dense_1": np.ones(3)})} == {"shapes (40,) and (3,)"}


def test_a_gradient_that_only_one_side_has():
    (found,) = verdicts(lambda arrays: {name: arrays[name] for name in NAMES[:-1]}, rung="gradients")
    assert found.outcome == "breaks"
    assert found.note == "only ours has prediction"


def test_one_side_that_cannot_look_inside_shows_its_prediction():
    found = verdicts(lambda arrays: {"prediction": arrays["prediction"]})
    assert [verdict.outcome for verdict in found] == ["passes", "passes"]
    assert {verdict.worst for verdict in found} == {"prediction"}


def test_one_sides_float64_calibrates_both():
    (found,) = verdicts(theirs_double=False)
    assert (found.precision, found.outcome) == ("float32", "passes")
    (found,) = verdicts(scaled("dense_1", 1.001), theirs_double=False)
    assert (found.outcome, found.worst) == ("breaks", "dense_1")


STEPS = tuple(f"{count}/dense_{number}/kernel" for count in (1, 10) for number in range(10))


def jumping(arrays, by=2e-4, name=STEPS[0]):
    """One weight of one array went the other way."""
    other = arrays[name].copy()
    other[7] += by
    return {**arrays, name: other}


def with_nudges(change, nudged):
    """The verdict on steps of two sides, one of which has no float64 and computes with `change`; the other made the
    steps again from `nudged` weights, and has these arrays then.
    """
    truth = exact(names=STEPS)
    again = {f"{number}/{name}": array for number, arrays in enumerate(nudged) for name, array in arrays.items()}
    kept = {"optimizer/v/": rounded(truth, 1), "nudged/v/": again, "gradients/v/": {}}
    ours = Side("ours", Told(), lambda prefix: dict(kept[prefix]), lambda prefix: dict(truth))
    theirs = a_side("theirs", rounded(change(truth), 2), None, key="optimizer/v/")
    (found,) = judge("optimizer", "v", False, Pair(ours, theirs, truth), 0)
    return found.outcome, found.worst


def test_of_steps_what_jumps_from_nudged_weights_may_jump_where_float32_judges():
    truth = exact(names=STEPS)
    calm, jumped = rounded(truth, 5), rounded(jumping(truth), 6)
    assert with_nudges(jumping, [calm, calm]) == ("breaks", f"{STEPS[0][2:]} after 1 step")
    assert with_nudges(jumping, [calm, jumped]) == ("passes", STEPS[0][2:] + " after 1 step")
    assert with_nudges(lambda arrays: jumping(arrays, name=STEPS[3]), [calm, jumped])[0] == "breaks"  # another one
    assert with_nudges(lambda arrays: jumping(arrays, 1e-2), [calm, jumped])[0] == "breaks"  # much further


def test_without_any_float64_there_is_nothing_to_calibrate_with():
    sides = [a_side(label, exact(), None) for label in "ab"]
    (found,) = judge("forward", "v", False, Pair(*sides, {}), 0)
    assert found.outcome == "skipped"
    assert "float64" in found.note


def test_a_rung_that_a_backend_cannot_climb_is_skipped_with_its_reason():
    told = Told(lacks={"gradients": "inference only"})
    pair = Pair(a_side("a", exact(), exact()), a_side("b", exact(), exact(), told), {})
    (found,) = judge("gradients", "v", False, pair, 0)
    assert (found.outcome, found.note) == ("skipped", "b: inference only")


def test_a_rung_at_which_a_side_failed_breaks_with_its_error():
    told = Told(broken={"export": "RuntimeError: no such operator"})
    pair = Pair(a_side("a", exact(), exact()), a_side("b", exact(), exact(), told), {})
    (found,) = judge("export", "v", False, pair, 0)
    assert (found.outcome, found.note) == ("breaks", "b: RuntimeError: no such operator")


def test_statistics_of_a_frozen_norm_must_stay():
    names = ("backbone_1/bn/moving_mean",)

    def moves(arrays):
        return {names[0]: arrays[names[0]] * 0.99}

    truth = exact(names=names)
    key = "state/v/"
    still = a_side("ours", truth, truth, key=key)
    pair = Pair(still, a_side("theirs", moves(truth), moves(truth), key=key), truth)
    (found,) = judge("state", "v", True, pair, 0)
    assert (found.outcome, found.worst) == ("breaks", names[0])
    assert found.note == "theirs moves the statistics of a frozen batch norm"
    both = Pair(*[a_side(label, moves(truth), moves(truth), key=key) for label in ("a", "b")], truth)
    assert outcome(judge("state", "v", True, both, 0)) == "breaks"
    assert outcome(judge("state", "v", False, both, 0)) == "passes"


def test_a_network_without_norms_has_no_state():
    assert judge("state", "v", False, Pair(a_side("a", {}, {}), a_side("b", {}, {}), {}), 0) == []


@pytest.mark.parametrize(("kept", "expected"), [(0.77, "passes"), (0.83, "passes"), (0.767, "breaks"), (0.0, "breaks")])
def test_dropout_must_keep_its_share(kept, expected):
    def change(arrays):
        return {**arrays, "dropout 0.2/kept": np.array([kept, 4096])}

    truth = {**exact(), "dropout 0.2/kept": np.array([0.8, 4096])}
    key = "gradients/v/"
    ours = a_side("a", truth, truth, key=key)
    theirs = a_side("b", change(truth), change(truth), key=key)
    found = judge("gradients", "v", False, Pair(ours, theirs, truth), 0)
    assert outcome(found) == expected
    assert ("dropout 0.2/kept: " in found[0].worst) == (expected == "breaks")


# --- structure and export ---------------------------------------------------------------------------------------------


def structure(**changes):
    counts = Counts(10, 2, {"dense_1": 12})
    whole = {"counts": counts, "shapes": {"dense_1/kernel": (3, 4)}, "trainable": {"v": 10}}
    pair = Pair(a_side("a", {}, {}, Told(**whole)), a_side("b", {}, {}, Told(**{**whole, **changes})), {})
    (found,) = judge("structure", "v", False, pair, 0)
    return found


def test_structure_is_names_shapes_and_counts():
    assert (structure().outcome, structure().note) == ("passes", "1 arrays, 12 parameters, 10 trained")
    for changes, told in (
        ({"shapes": {"dense_1/kernel": (4, 3)}}, "shape of dense_1/kernel: (3, 4) and (4, 3)"),
        ({"shapes": {}}, "shape of dense_1/kernel: (3, 4) and none"),
        ({"counts": Counts(10, 3, {"dense_1": 13})}, "parameters of dense_1: 12 and 13"),
        ({"trainable": {"v": 9}}, "trainable parameters of v: 10 and 9"),
    ):
        found = structure(**changes)
        assert found.outcome == "breaks"
        assert told in found.note


def export(change=lambda graph: graph, ours=lambda graph: graph):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(32, 9))

    def side(label, seed, alter):
        single = rounded({"images": truth}, seed)
        graphs = {f"all, batch {n}": single["images"][:n] * (1 + 1e-7) for n in (1, 32)}
        arrays = {"prediction//": single, "export//": alter(graphs)}
        return Side(label, Told(), arrays.__getitem__, lambda key: {"images": truth})

    (found,) = judge("export", "v", False, Pair(side("ours", 1, ours), side("theirs", 2, change), {}), 0)
    return found


def test_exported_graphs_against_their_frameworks_and_each_other():
    assert export().outcome == "passes"
    found = export(lambda graph: {**graph, "all, batch 1": graph["all, batch 1"] * 1.001})
    assert found.outcome == "breaks"
    assert found.worst == "theirs against its graph, all, batch 1"


@pytest.mark.parametrize(
    ("ours", "theirs", "worst"), [(2.7e-6, -2.7e-6, "graph against graph"), (3e-6, -5e-6, "theirs against its graph")]
)
def test_graphs_that_differ_are_told_as_what_differs_from_a_framework_where_one_does(ours, theirs, worst):
    """Rounding allows 3.8e-6."""

    def off(by):
        return lambda graph: {name: array * (1 + by) for name, array in graph.items()}

    found = export(off(theirs), off(ours))
    assert found.outcome == "breaks"
    assert found.worst.startswith(worst)


def test_every_rung_is_described():
    assert list(RUNGS) == [
        "structure",
        "forward",
        "gradients",
        "gradcam",
        "state",
        "optimizer",
        "training",
        "export",
        "statistics",
    ]
