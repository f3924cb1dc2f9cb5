"""Which array is which, of models that are only described."""

import numpy as np
import pytest
from msgspec.structs import replace

from harness.foreign import Array, Inspected, Part, Step, places, relaid
from harness.parity.pairs import drawn, judging
from harness.parity.pairs.fused import SHARES
from harness.parity.pairs.mapping import pair
from harness.parity.pairs.structure import structure

TURNED = (Step("transpose", (1, 0)),)


def dense(name, given, made, steps=(), **more):
    shape = (made, given) if steps else (given, made)
    arrays = {
        "kernel": Array(f"{name}.kernel", shape, steps),
        "bias": Array(f"{name}.bias", (made,)),
    }
    return Part(name, "dense", arrays, output=name, **more)


def models(ours, theirs):
    return Inspected("keras", tuple(ours)), Inspected("torch", tuple(theirs))


def partners(paired):
    return {each.ours.name: each.theirs.name for each in paired.matched}


def test_shapes_tell_layers_apart_whatever_their_order():
    paired = pair(
        *models([dense("a", 3, 4), dense("b", 4, 2)], [dense("y", 4, 2, TURNED), dense("x", 3, 4, TURNED)]), {}
    )
    assert partners(paired) == {"a": "x", "b": "y"}
    assert paired.problems == ()


def test_names_tell_layers_of_one_shape_apart_and_order_does_where_they_do_not():
    ours = [dense("query", 4, 4), dense("value", 4, 4)]
    by_name = pair(*models(ours, [dense("v_proj", 4, 4), dense("q_proj", 4, 4)]), {})
    assert partners(by_name) == {"query": "v_proj", "value": "q_proj"}  # `proj` is a word that no name here shares
    by_name = pair(*models(ours, [dense("attn.v", 4, 4), dense("attn.q", 4, 4)]), {})
    assert partners(by_name) == {"query": "attn.q", "value": "attn.v"}
    assert {each.how for each in by_name.matched} == {"by name"}
    in_order = pair(*models(ours, [dense("0", 4, 4), dense("1", 4, 4)]), {})
    assert {each.how for each in in_order.matched} == {"in the order of computation"}


def test_items_of_a_list_have_its_name():
    ours = [dense("mix/scale1", 4, 4), dense("mix/scale0", 4, 4)]
    paired = pair(*models(ours, [dense("scale.0", 4, 4), dense("scale.1", 4, 4)]), {})
    assert partners(paired) == {"mix/scale1": "scale.1", "mix/scale0": "scale.0"}
    paired = pair(*models(ours[::-1], [dense("net.1", 4, 4), dense("net.0", 4, 4)]), {})
    assert {each.how for each in paired.matched} == {"in the order of computation"}


def test_what_the_user_says_comes_first():
    ours, theirs = [dense("a", 4, 4), dense("b", 4, 4)], [dense("x", 4, 4), dense("y", 4, 4)]
    assert partners(pair(*models(ours, theirs), {"a": "y"})) == {"a": "y", "b": "x"}
    (wrong,) = pair(*models(ours, theirs), {"a": "yy"}).problems
    assert "mapping names yy, which is no layer of torch that is still free: did you mean y?" in wrong


def test_a_layer_behind_one_that_is_paired_is_paired_with_what_is_behind_its_partner():
    def norm(name, behind):
        return Part(name, "batch_norm", {"gamma": Array(f"{name}.gamma", (4,))}, output=name, behind=behind)

    ours = [dense("main", 3, 4), dense("short", 2, 4), norm("short_bn", "short"), norm("main_bn", "main")]
    theirs = [dense("0", 3, 4), norm("1", "0"), dense("2", 2, 4), norm("3", "2")]
    assert partners(pair(*models(ours, theirs), {})) == {"main": "0", "short": "2", "short_bn": "3", "main_bn": "1"}


def test_a_layer_before_one_that_is_paired_is_paired_with_what_is_before_its_partner():
    ours = [dense("b", 4, 4), dense("b2", 4, 3, behind="b"), dense("a", 4, 4), dense("a2", 4, 2, behind="a")]
    theirs = [dense("0", 4, 4), dense("1", 4, 2, behind="0"), dense("2", 4, 4), dense("3", 4, 3, behind="2")]
    paired = pair(*models(ours, theirs), {})
    assert partners(paired) == {"b": "2", "b2": "3", "a": "0", "a2": "1"}
    assert {each.ours.name: each.how for each in paired.matched}["a"] == "before a2"


def test_a_convolution_of_single_pixels_is_the_dense_layer_that_the_other_model_has():
    def conv(name, given, made, size=1, groups=1):
        kernel = Array(f"{name}.kernel", (size, size, given // groups, made))
        arrays = {"kernel": kernel, "bias": Array(f"{name}.bias", (made,))}
        return Part(name, "conv", arrays, {"groups": groups}, output=name)

    ours = [conv("mixes", 3, 4), conv("head", 4, 4), conv("classes", 4, 2)]
    theirs = [conv("0", 3, 4), dense("1", 4, 4, TURNED), dense("2", 4, 2, TURNED)]
    there, back = pair(*models(ours, theirs), {}), pair(*models(theirs, ours), {})
    assert partners(there) == {"mixes": "0", "head": "1", "classes": "2"}
    assert partners(back) == {"0": "mixes", "1": "head", "2": "classes"}
    assert there.problems == back.problems == ()
    for other in (conv("1", 4, 4, size=2), conv("1", 4, 4, groups=2)):
        assert pair(*models([ours[0], other], theirs[:2]), {}).problems != ()


def test_a_fused_projection_is_taken_apart():
    ours = [dense(name, 4, 4) for name in ("q", "k", "v")]
    paired = pair(*models(ours, [dense("qkv", 4, 12, TURNED)]), {})
    assert paired.problems == ()
    assert paired.remarks == ("qkv is q, k, v side by side, in that order",)
    weights = drawn.weights(paired.lines, 0)
    native = drawn.natives(paired.lines, weights, ours=False)["qkv.kernel"]
    assert native.shape == (12, 4)
    np.testing.assert_array_equal(native[4:8].T, weights["k/kernel"])


def test_names_say_in_what_order_the_shares_of_a_fused_projection_are_or_else_it_is_that_of_computation():
    def told(*names):
        ours = [dense(name, 4, 4) for name in names]
        return pair(*models(ours, [dense("fused", 4, 4 * len(names), TURNED)]), {}).remarks

    assert told("key", "value", "query") == ("fused is query, key, value side by side, in that order",)
    assert told("v_proj", "k_proj") == ("fused is k_proj, v_proj side by side, in that order",)
    assert told("up", "value") == ("fused is up, value side by side, in that order",)


def test_of_a_projection_fused_head_by_head_each_share_is_a_part_of_each_head():
    ours = [dense(name, 4, width) for name, width in (("q", 8), ("k", 4), ("v", 4))]
    fused = dense("qkv", 4, 16, TURNED, settings={SHARES: (2, 0, 1, 2)})
    paired = pair(*models(ours, [fused]), {})
    weights = drawn.weights(paired.lines, 0)
    rows = drawn.natives(paired.lines, weights, ours=False)["qkv.kernel"].reshape(2, 8, 4)  # heads first
    for name, begin, end in (("q", 0, 4), ("k", 4, 6), ("v", 6, 8)):
        np.testing.assert_array_equal(rows[:, begin:end].reshape(-1, 4).T, weights[f"{name}/kernel"])


def test_a_flattening_of_channels_first_permutes_the_rows_behind_it():
    behind = dense("fc", 24, 5, TURNED, flattened=(2, 3, 4))
    (line, _) = pair(*models([dense("dense", 24, 5)], [behind]), {}).lines
    image = np.random.default_rng(0).normal(size=(3, 4, 2))  # height, width, channels
    kernel = np.random.default_rng(1).normal(size=(24, 5))
    native = drawn.natives([line], {"dense/kernel": kernel}, ours=False)["fc.kernel"]
    np.testing.assert_allclose(native @ image.transpose(2, 0, 1).ravel(), image.ravel() @ kernel)


def test_arrays_come_back_as_they_went():
    steps = Step("reshape", (3, 2, 4)), Step("take", (1, 0, 2), 0), Step("transpose", (1, 2, 0))
    array = np.arange(24).reshape(6, 4)
    common = relaid(array, steps)
    back = np.zeros_like(array)
    back.reshape(-1)[places((6, 4), steps).ravel()] = common.ravel()
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ([], "keras's a (dense: kernel (3, 4), bias (4,)) has no partner"),
        ([dense("x", 3, 4), dense("y", 9, 9)], "torch's y (dense: kernel (9, 9), bias (9,)) has no partner"),
        ([dense("x", 3, 5)], "a/kernel is (3, 4) in keras, (3, 5) in torch (x.kernel)"),
        ([Part("x", "dense", {"kernel": Array("x.kernel", (3, 4))})], "keras's a has a bias, torch's x has none"),
    ],
)
def test_what_has_no_partner_is_named(theirs, said):
    assert said in pair(*models([dense("a", 3, 4)], theirs), {}).problems


def test_a_second_bias_is_held_at_zero_and_folded_into_the_first():
    def lstm(name, **more):
        roles = {"kernel": (3, 8), "recurrent": (2, 8), "bias": (8,), **more}
        names = {"bias": "bias_ih_l0", "recurrent_bias": "bias_hh_l0"}
        return Part(
            name, "lstm", {role: Array(f"{name}.{names.get(role, role)}", shape) for role, shape in roles.items()}
        )

    paired = pair(*models([lstm("ours")], [lstm("theirs", recurrent_bias=(8,))]), {})
    assert paired.problems == ()
    assert [array.name for array in paired.held] == ["theirs.bias_hh_l0"]
    natives = {f"theirs.{name}": np.ones(shape) for name, shape in (("bias_ih_l0", 8), ("bias_hh_l0", 8))}
    folded = judging.common(paired.lines, natives, ours=False, folded=["theirs.bias_hh_l0"])
    np.testing.assert_array_equal(folded["ours/bias"], np.full(8, 2.0))


def test_another_number_of_answers_is_another_structure():
    ours, theirs = models([dense("a", 3, 4)], [dense("a", 3, 4, TURNED)])
    paired = pair(ours, theirs, {})
    verdict = structure("net", (replace(ours, answers=2), theirs), paired)
    assert (verdict.outcome, verdict.note) == ("breaks", "keras answers 2 arrays, torch 1")
    assert structure("net", (ours, theirs), paired).outcome == "passes"


def own(name, *shape):
    return Part(name, "own", {name: Array(name, shape)})


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (own("w", 4, 3), "keras's a has a kernel, torch's w has none"),
        (own("w", 7), "torch's w has a w, keras's a has none"),
        (Part("x", "dense", {"kernel": Array("x.kernel", (3, 5)), "bias": Array("x.bias", (5,))}), "(3, 5) in torch"),
    ],
)
def test_a_mapping_to_what_does_not_fit_is_refused_in_words(theirs, said):
    assert said in "; ".join(pair(*models([dense("a", 3, 4)], [theirs]), {"a": theirs.name}).problems)


def test_a_mapping_gives_an_array_no_other_order_of_its_numbers():
    alone = Part("a", "dense", {"kernel": Array("a.kernel", (3, 4))})
    (wrong,) = pair(*models([alone], [own("w", 2, 6)]), {"a": "w"}).problems
    assert wrong == "a/kernel is (3, 4) in keras, (2, 6) in torch (w)"
    (line,) = pair(*models([alone], [own("w", 4, 3)]), {"a": "w"}).lines
    assert line.theirs.steps == TURNED
    (line,) = pair(*models([alone], [own("w", 1, 3, 4)]), {"a": "w"}).lines
    assert line.theirs.common() == (3, 4)


@pytest.mark.parametrize("said", [{}, {"a": "m"}, {"x/w": "y"}])
def test_arrays_that_one_module_holds_are_the_layer_that_the_other_model_has(said):
    held = [own("m.bias", 4), own("m.weight", 4)]
    norm = Part("a", "layer_norm", {"gamma": Array("a.gamma", (4,)), "beta": Array("a.beta", (4,))})
    ours, theirs = [norm, own("x/w", 3, 5), own("x/b", 5)], [*held, dense("y", 3, 5, TURNED)]
    paired = pair(*models(ours, theirs), {key.partition("/")[0]: value for key, value in said.items()})
    assert paired.problems == ()
    assert {line.name: line.theirs.name for line in paired.lines} == {
        "a/gamma": "m.weight", "a/beta": "m.bias", "x/kernel": "y.kernel", "x/bias": "y.bias"}  # fmt: skip
    more = pair(*models(ours, [*theirs, own("m.shift", 4)]), {})  # which no norm has
    assert any("keras's a (layer_norm: gamma (4,), beta (4,)) has no partner" in each for each in more.problems)


def test_what_a_module_answers_that_holds_more_than_a_norms_arrays_is_not_that_of_a_norm():
    norm = Part("a", "layer_norm", {"gamma": Array("a.gamma", (4,)), "beta": Array("a.beta", (4,))}, output="a")
    held = [own("m.weight", 4), own("m.bias", 4)]
    for beside, seen in (([], "m"), ([dense("m.fc", 4, 2, TURNED)], "")):
        ours = [norm, *([dense("fc", 4, 2)] * len(beside))]
        paired = pair(*models(ours, [*held, *beside]), {})
        assert paired.problems == ()
        assert [each.theirs.output for each in paired.matched if each.ours.name == "a"] == [seen]


def test_of_one_of_several_the_mapping_that_would_say_it_is_told():
    ours, theirs = [dense(name, 4, 4) for name in "abc"], [dense(name, 4, 4) for name in "xy"]
    told = '; torch\'s x has its shape: if it is the same layer, say so by mapping = {"b": "x"}'
    assert any(told in problem for problem in pair(*models(ours, theirs), {}).problems)
    assert not any("mapping" in problem for problem in pair(*models(ours, [dense("x", 9, 9)]), {}).problems)


def test_of_projections_side_by_side_those_of_one_attention_are_a_fused_one():
    names = ["before", "att/q", "att/k", "att/v", "att/o"]
    ours = [dense(name, 4, 4) for name in names]
    theirs = [dense("first", 4, 4, TURNED), dense("qkv", 4, 12, TURNED), dense("last", 4, 4, TURNED)]
    paired = pair(*models(ours, theirs), {})
    assert paired.problems == ()
    assert partners(paired) == {"before": "first", "att/o": "last"}
    assert {line.name.rpartition("/")[0] for line in paired.lines if line.theirs.name == "qkv.kernel"} == set(
        names[1:4]
    )


def test_a_tied_kernel_needs_one_partner():
    def embedding(name):
        return Part(name, "embedding", {"kernel": Array(f"{name}.kernel", (9, 4))})

    tied = Part("dec", "dense", {"kernel": Array("emb.kernel", (9, 4), TURNED), "bias": Array("dec.bias", (9,))})
    paired = pair(*models([embedding("ours"), own("bias", 9)], [embedding("emb"), tied]), {})
    assert paired.problems == ()
    assert [(line.name, line.theirs.name) for line in paired.lines] == [
        ("ours/kernel", "emb.kernel"),
        ("bias/bias", "dec.bias"),
    ]
    assert paired.remarks == ("dec of torch is tied to emb.kernel",)
    (wrong,) = pair(*models([embedding("ours")], [embedding("emb"), tied]), {}).problems
    assert wrong == "torch's dec/bias (own: bias (9,)) has no partner"


@pytest.mark.parametrize(("role", "number"), [("gamma", 1.0), ("beta", 0.0)])
def test_a_frozen_array_that_does_nothing_is_held_as_it_is(role, number):
    def norm(name, **constants):
        roles = {"gamma", "beta", "moving_mean"} if constants else {"gamma", "beta", "moving_mean"} - {role}
        arrays = {
            each: Array(f"{name}.{each}", (4,), (), each not in constants, constants.get(each))
            for each in sorted(roles)
        }
        return Part(name, "batch_norm", arrays)

    paired = pair(*models([norm("a")], [norm("b", **{role: number})]), {})
    assert (paired.problems, [array.name for array in paired.held]) == ((), [f"b.{role}"])
    for other in (number + 1, None):
        (wrong,) = pair(*models([norm("a")], [norm("b", **{role: other})]), {}).problems
        assert f"torch's b has a {role}, keras's a has none: for it to be the same, freeze b.{role} at" in wrong


def still(kind, name, *shape):
    role = name.replace("/", ".").rpartition(".")[2]
    return Part(name, kind, {role: Array(name, shape, (), False)})


ADAPTED = [still("own", "norm/mean", 3), still("own", "norm/variance", 3)]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("other", "norm.var", "norm.mean"), {}),
        (("pixel_mean", "pixel_var"), {}),
        (("m", "v"), {"norm/variance": "v"}),
        (("m", "v"), {"norm/variance": "v", "norm/mean": "m"}),
        (("norm.var", "norm.mean"), {"norm": "norm"}),
    ],
)
def test_arrays_that_nobody_trains_are_constants_of_theirs_and_the_rest_of_these_needs_no_partner(names, said):
    theirs = [still("constant", name, *((1, 3, 1, 1) if name != "other" else (5,))) for name in names]
    paired = pair(*models([*ADAPTED, dense("a", 3, 4)], [dense("x", 3, 4, TURNED), *theirs]), said)
    assert paired.problems == ()
    found = {line.name: line.theirs.name for line in paired.lines}
    assert found["norm/mean/mean"] in ("norm.mean", "pixel_mean", "m")
    assert found["norm/variance/variance"] in ("norm.var", "pixel_var", "v")
    assert {line.theirs.common() for line in paired.lines if line.name.startswith("norm")} == {(3,)}
    start = drawn.weights(paired.lines, 0)
    assert (start["norm/variance/variance"] > 0).all()


def test_of_constants_of_one_name_those_of_the_layer_that_is_called_so():
    ours = [still("own", f"{layer}/mean", 3) for layer in ("left", "right")]
    theirs = [still("constant", f"{layer}.mean", 3) for layer in ("right", "left")]
    assert partners(pair(*models(ours, theirs), {})) == {"left/mean": "left.mean", "right/mean": "right.mean"}


def test_what_is_trained_is_no_constant():
    (wrong,) = pair(*models([own("w", 3)], [still("constant", "w", 3)]), {}).problems
    assert wrong == "keras's w (own: w (3,)) has no partner"
    (wrong,) = pair(*models(ADAPTED, [still("constant", "m", 3), still("constant", "v", 3)]), {}).problems
    assert wrong.endswith(
        'torch\'s v has its shape: if it is the same layer, say so by mapping = {"norm/variance": "v"}'
    )


def test_a_standard_deviation_is_the_root_of_the_variance_beside_it():
    theirs = [still("constant", "std", 1, 3), still("constant", "mean", 1, 3)]
    paired = pair(*models(ADAPTED, theirs), {})
    assert paired.problems == ()
    assert [(line.theirs.name, line.theirs.root) for line in paired.lines] == [("mean", False), ("std", True)]
    start = drawn.weights(paired.lines, 0)
    natives = drawn.natives(paired.lines, start, ours=False)
    np.testing.assert_allclose(natives["std"][0] ** 2, start["norm/variance/variance"], rtol=1e-12)
    np.testing.assert_allclose(
        judging.common(paired.lines, natives, ours=False)["norm/variance/variance"], start["norm/variance/variance"]
    )


@pytest.mark.parametrize("said", [{}, {"mix/a": "w", "mix/b": "v"}])
def test_arrays_that_a_function_is_given_may_be_those_of_a_layer_of_the_users_own(said):
    """As they are, or as the function takes them; and by what the mapping calls them."""
    ours = [Part("mix/a", "own", {"a": Array("mix/a", (3, 4))}), Part("mix/b", "own", {"b": Array("mix/b", (4,))})]
    arrays = {"kernel": Array("w", (4, 3), TURNED), "bias": Array("v", (4,))}
    paired = pair(*models(ours, [Part("w", "dense", arrays, output="w", holder="")]), said)
    assert paired.problems == ()
    assert {line.ours.name: (line.theirs.name, line.theirs.common()) for line in paired.lines} == {
        "mix/a": ("w", (3, 4)),
        "mix/b": ("v", (4,)),
    }
    as_it_is = [Part("mix/a", "own", {"a": Array("mix/a", (4, 3))}), ours[1]]
    paired = pair(*models(as_it_is, [Part("w", "dense", arrays, output="w", holder="")]), said)
    assert [line.theirs.steps for line in paired.lines] == [(), ()]
