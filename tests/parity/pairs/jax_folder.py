"""An encoder and decoder of images, channels first, as equinox and flax have them: a function of one image, mapped over
the batch, and batch norms whose statistics are in a collection of their own.
"""

inputs = (8, 8, 2)
jax_inputs = [(2, 8, 8)]


def jax_model():
    import jax
    import jax.numpy as jnp
    import numpy as np

    def norm(p, statistics, x):
        inverse = jax.lax.rsqrt(statistics["var"] + 1e-3) * p["scale"]
        return x * inverse[:, None, None] + (p["bias"] - statistics["mean"] * inverse)[:, None, None]

    def single(variables, x):
        p, statistics = variables["params"], variables["batch_stats"]
        x = jax.lax.conv(x[None], p["down"]["kernel"], (2, 2), "VALID")[0] + p["down"]["bias"]
        x = jax.nn.relu(norm(p["norm"], statistics["norm"], x))
        code = p["code"]["kernel"] @ x.ravel() + p["code"]["bias"]
        x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
        x = jax.lax.conv(x[None], p["up"]["kernel"], (1, 1), "SAME")[0] + p["up"]["bias"]
        return code, x

    def apply(variables, x):
        return jax.vmap(single, (None, 0))(variables, x)

    shapes = {
        "params": {
            "down": {"kernel": (6, 2, 2, 2), "bias": (6, 1, 1)},
            "norm": {"scale": (6,), "bias": (6,)},
            "code": {"kernel": (3, 6 * 4 * 4), "bias": (3,)},
            "up": {"kernel": (2, 6, 3, 3), "bias": (2, 1, 1)},
        },
        "batch_stats": {"norm": {"mean": (6,), "var": (6,)}},
    }
    return apply, jax.tree.map(np.zeros, shapes, is_leaf=lambda leaf: isinstance(leaf, tuple))


def keras_model():
    import keras

    L = keras.layers
    given = keras.Input((8, 8, 2))
    x = L.ReLU()(L.BatchNormalization(epsilon=1e-3)(L.Conv2D(6, 2, 2)(given)))
    return keras.Model(given, [L.Dense(3)(L.Flatten()(x)), L.Conv2D(2, 3, padding="same")(L.UpSampling2D()(x))])


def torch_model():
    from torch import nn

    class Folder(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.norm = nn.Conv2d(2, 6, 2, 2), nn.BatchNorm2d(6, eps=1e-3)
            self.code, self.up = nn.Linear(6 * 4 * 4, 3), nn.Conv2d(6, 2, 3, padding=1)
            self.grow = nn.Upsample(scale_factor=2)

        def forward(self, x):
            x = self.norm(self.down(x)).relu()
            return self.code(x.flatten(1)), self.up(self.grow(x))

    return Folder()
