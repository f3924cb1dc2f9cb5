"""What is read off a function of JAX: layers, and the layouts of their arrays."""

import numpy as np
import pytest

from harness.errors import BenchError
from harness.foreign import relaid

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'cijbench[jax]'")
jnp = jax.numpy


class Nothing:
    def get(self, name):
        return None


def wrapped(apply, params, precision="float32"):
    from backends import _jax_foreign

    _jax_foreign.configure(precision, True)
    return _jax_foreign.wrap((apply, params), Nothing(), precision)


def looked(apply, params, *inputs):
    model = wrapped(apply, params)
    inspected = model.inspect({str(place): array for place, array in enumerate(inputs)})
    return model, {part.name: part for part in inspected.parts}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("apply", "shape"),
    [
        (lambda p, x: x @ p["w"], (6, 4)),
        (lambda p, x: x @ p["w"].T, (4, 6)),
        (lambda p, x: (p["w"] @ x.T).T, (4, 6)),
        (lambda p, x: jnp.einsum("ni,oi->no", x, p["w"]), (4, 6)),
        (lambda p, x: jnp.einsum("ni,ihd->nhd", x, p["w"]).reshape(len(x), -1), (6, 2, 2)),
        (lambda p, x: jax.vmap(lambda row: p["w"] @ row)(x), (4, 6)),
    ],
)
def test_a_kernel_is_told_in_the_common_layout_however_it_is_written(apply, shape):
    w, x = normal(*shape), normal(3, 6, seed=1)
    model, parts = looked(apply, {"w": w}, x)
    (part,) = parts.values()
    kernel = part.arrays["kernel"]
    assert (part.kind, kernel.common()) == ("dense", (6, 4))
    np.testing.assert_allclose(x @ relaid(w, kernel.steps), np.asarray(apply({"w": w}, x)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.forward({"0": x})["w"], np.asarray(apply({"w": w}, x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_transposed_convolution_has_the_kernel_that_torch_gives_it(transposed):
    torch = pytest.importorskip("torch")
    w, x = normal(3, 3, 2, 5) if not transposed else normal(3, 3, 5, 2), normal(2, 4, 4, 2, seed=1)

    def apply(p, x):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_transpose(
            x, p["w"], (2, 2), "VALID", dimension_numbers=numbers, transpose_kernel=transposed
        )

    _, parts = looked(apply, {"w": w}, x)
    kernel = parts["w"].arrays["kernel"]
    assert (parts["w"].kind, kernel.common()) == ("conv_transpose", (3, 3, 5, 2))
    native = torch.from_numpy(relaid(w, kernel.steps).transpose(3, 2, 0, 1).copy())
    made = torch.nn.functional.conv_transpose2d(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), native, stride=2)
    np.testing.assert_allclose(made.permute(0, 2, 3, 1).numpy(), apply({"w": w}, x), rtol=1e-4, atol=1e-5)


def cell(p, hidden, x):
    i, f, g, o = jnp.split(x @ p["w"] + hidden[0] @ p["u"] + p["b"], 4, axis=-1)
    state = jax.nn.sigmoid(f) * hidden[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(state), state


def unrolled(p, x):
    state = (jnp.zeros((len(x), 2)), jnp.zeros((len(x), 2)))
    for place in range(x.shape[1]):
        state = cell(p, state, x[:, place])
    return state[0]


def scanned(p, x):
    zeros = jnp.zeros((len(x), 2))
    return jax.lax.scan(lambda state, row: (cell(p, state, row), None), (zeros, zeros), x.swapaxes(0, 1))[0][0]


@pytest.mark.parametrize("apply", [unrolled, scanned])
def test_an_lstm_is_one_layer_in_either_loop(apply):
    shapes = {"w": (3, 8), "u": (2, 8), "b": (8,)}
    _, parts = looked(apply, {"cell": {k: normal(*s) for k, s in shapes.items()}}["cell"], normal(4, 5, 3))
    (part,) = parts.values()
    assert part.kind == "lstm"
    assert {role: array.name for role, array in part.arrays.items()} == {"kernel": "w", "recurrent": "u", "bias": "b"}
    assert part.output == ""  # nothing in it is seen


NORMS = {
    "as it is written": lambda p, x: (x - p["m"]) / jnp.sqrt(p["v"] + 1e-3) * p["g"] + p["b"],
    "the factor first": lambda p, x: (x - p["m"]) * (jax.lax.rsqrt(p["v"] + 1e-3) * p["g"]) + p["b"],
    "folded": lambda p, x: x * (inverse := p["g"] / jnp.sqrt(p["v"] + 1e-3)) + (p["b"] - p["m"] * inverse),
}


@pytest.mark.parametrize("name", NORMS)
def test_the_arrays_of_a_batch_norm_have_their_roles_however_it_is_written(name):
    arrays = {"m": normal(4), "v": abs(normal(4, seed=1)), "g": normal(4, seed=2), "b": normal(4, seed=3)}
    model, parts = looked(lambda p, x: jnp.tanh(NORMS[name](p, x)), arrays, normal(5, 4))
    (part,) = parts.values()
    roles = {role: array.name for role, array in part.arrays.items()}
    assert roles == {"moving_mean": "m", "moving_variance": "v", "gamma": "g", "beta": "b"}
    assert (part.kind, part.settings["epsilon"]) == ("batch_norm", 1e-3)
    seen = model.forward({"0": normal(5, 4)})[part.name]
    np.testing.assert_allclose(seen, NORMS[name](arrays, normal(5, 4)), rtol=1e-4, atol=1e-5)


def with_a_gradient_of_its_own(function):
    called = jax.custom_vjp(function)
    called.defvjp(lambda p, x: (function(p, x), (p, x)), lambda kept, gradient: kept)
    return called


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, with_a_gradient_of_its_own])
def test_layers_are_found_in_functions_that_are_called(wrap):
    _, parts = looked(wrap(lambda p, x: x @ p["w"] + p["b"]), {"w": normal(6, 4), "b": normal(4)}, normal(5, 6))
    (part,) = parts.values()
    assert (part.kind, sorted(part.arrays), part.output) == ("dense", ["bias", "kernel"], "w")


def test_what_is_no_known_layer_is_told_array_by_array():
    def apply(p, x):
        return x @ p["dense"]["w"] * p["scale"] + p["places"]

    params = {"dense": {"w": normal(6, 4)}, "scale": normal(4), "places": normal(3, 4), "idle": normal(7)}
    _, parts = looked(apply, params, normal(5, 3, 6))
    assert {name: part.kind for name, part in parts.items()} == {
        "dense": "dense",
        "scale": "own",
        "places": "own",
        "idle": "own",
    }


def test_layers_say_what_lies_before_them_and_behind_which_they_are():
    def apply(p, x):
        return jax.nn.relu(x @ p["one"]) @ p["two"]

    _, parts = looked(apply, {"one": normal(6, 4), "two": normal(4, 2)}, normal(5, 6))
    assert (parts["two"].before, parts["two"].behind) == (("relu",), "one")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (3, r"jax_model returns a int, not \(apply, params\)"),
        ((lambda p, x: x, {"names": ["a"]}), "in params is no array of real numbers"),
    ],
)
def test_what_is_no_function_with_arrays_is_refused(made, said):
    from backends import _jax_foreign

    with pytest.raises(BenchError, match=said):
        _jax_foreign.wrap(made, Nothing(), "float32")


@pytest.mark.parametrize(
    ("apply", "told"),
    [
        (lambda p, x: x @ p["w"], []),
        (lambda p, x: x.astype(jnp.float32) @ p["w"], ["convert_element_type"]),
        (lambda p, x: jax.jit(lambda x: x.astype(jnp.float32))(x) @ p["w"], ["convert_element_type"]),
    ],
)
def test_what_is_in_single_precision_where_double_is_asked_for_is_told(apply, told):
    model = wrapped(apply, {"w": normal(4, 2)}, "float64")
    try:
        model.inspect({"0": normal(3, 4)})
        assert model.in_single()[: len(told) or 1] == told
    finally:
        wrapped(apply, {"w": normal(4, 2)})  # back to single precision
