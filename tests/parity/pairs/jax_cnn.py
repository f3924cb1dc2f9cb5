"""A CNN in three frameworks, with a norm that keeps nothing; what the JAX side is made of has names of its own."""

inputs = (16, 16, 3)


def jax_model():
    import jax
    import jax.numpy as jnp
    import numpy as np

    def conv(p, x, stride):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, p["w"], (stride, stride), "SAME", dimension_numbers=numbers) + p["b"]

    def group_norm(p, x, groups=2):
        parts = x.reshape(*x.shape[:-1], groups, -1)
        mean = parts.mean((1, 2, 4), keepdims=True)
        variance = parts.var((1, 2, 4), keepdims=True)
        parts = (parts - mean) / jnp.sqrt(variance + 1e-3)
        return parts.reshape(x.shape) * p["scale"] + p["shift"]

    def apply(params, x):
        x = jax.nn.relu(group_norm(params["norm"], conv(params["stem"], x, 2)))
        x = jax.nn.gelu(conv(params["body"], x, 1), approximate=False)
        x = x.reshape(len(x), -1)
        x = jnp.tanh(x @ params["hidden"]["w"] + params["hidden"]["b"])
        return x @ params["classes"]["w"].T + params["classes"]["b"]

    shapes = {
        "stem": {"w": (3, 3, 3, 8), "b": (8,)},
        "norm": {"scale": (8,), "shift": (8,)},
        "body": {"w": (3, 3, 8, 6), "b": (6,)},
        "hidden": {"w": (8 * 8 * 6, 16), "b": (16,)},
        "classes": {"w": (4, 16), "b": (4,)},
    }
    return apply, {layer: {name: np.zeros(shape) for name, shape in held.items()} for layer, held in shapes.items()}


def keras_model():
    import keras

    L = keras.layers
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            L.Conv2D(8, 3, 2, padding="same"),
            L.GroupNormalization(2, epsilon=1e-3),
            L.ReLU(),
            L.Conv2D(6, 3, padding="same", activation="gelu"),
            L.Flatten(),
            L.Dense(16, activation="tanh"),
            L.Dense(4),
        ]
    )


def torch_model():
    from torch import nn

    return nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)),
        nn.Conv2d(3, 8, 3, 2),
        nn.GroupNorm(2, 8, eps=1e-3),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3, padding=1),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(8 * 8 * 6, 16),
        nn.Tanh(),
        nn.Linear(16, 4),
    )


def targets(rng, n):
    return rng.integers(0, 4, n)


def jax_loss():
    import jax
    import jax.numpy as jnp

    def cross_entropy(answered, expected):
        return -jnp.take_along_axis(jax.nn.log_softmax(answered), expected[:, None], axis=1)

    return cross_entropy


def keras_loss():
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def torch_loss():
    import torch

    return torch.nn.CrossEntropyLoss()


def jax_optimizer():
    """Adam, written as optax has it: (init, update)."""
    import jax
    import jax.numpy as jnp

    rate, one, two, epsilon = 1e-2, 0.9, 0.999, 1e-8

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return 0, zeros, zeros

    def update(gradients, state, params):
        done, first, second = state
        done += 1
        first = jax.tree.map(lambda m, g: one * m + (1 - one) * g, first, gradients)
        second = jax.tree.map(lambda v, g: two * v + (1 - two) * g**2, second, gradients)

        def step(m, v):
            return -rate * (m / (1 - one**done)) / (jnp.sqrt(v / (1 - two**done)) + epsilon)

        return jax.tree.map(step, first, second), (done, first, second)

    return init, update


def keras_optimizer():
    import keras

    return keras.optimizers.Adam(1e-2, epsilon=1e-8)


def torch_optimizer(model):
    import torch

    return torch.optim.Adam(model.parameters(), 1e-2)
