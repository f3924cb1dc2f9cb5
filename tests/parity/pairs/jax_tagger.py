"""A tagger in three frameworks: words, an LSTM that the JAX side writes by hand, and a dense layer for each word. That
side's arrays have no names.
"""

inputs = {"shape": (10,), "below": 30}


def jax_model():
    import jax
    import jax.numpy as jnp
    import numpy as np

    def lstm(kernel, recurrent, bias, x):
        def step(state, x):
            hidden, cell = state
            i, f, g, o = jnp.split(x @ kernel + hidden @ recurrent + bias, 4, axis=-1)
            cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
            hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
            return (hidden, cell), hidden

        zeros = jnp.zeros((x.shape[0], recurrent.shape[0]), x.dtype)
        _, hidden = jax.lax.scan(step, (zeros, zeros), x.swapaxes(0, 1))
        return hidden.swapaxes(0, 1)

    def apply(params, words):
        table, cell, (kernel, bias) = params
        return lstm(*cell, table[words]) @ kernel + bias

    shapes = [(30, 8), [(8, 48), (12, 48), (48,)], [(12, 5), (5,)]]
    return apply, jax.tree.map(np.zeros, shapes, is_leaf=lambda leaf: isinstance(leaf, tuple))


def keras_model():
    import keras

    L = keras.layers
    given = keras.Input((10,), dtype="int32")
    return keras.Model(given, L.Dense(5)(L.LSTM(12, return_sequences=True)(L.Embedding(30, 8)(given))))


def torch_model():
    from torch import nn

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.lstm, self.out = nn.Embedding(30, 8), nn.LSTM(8, 12, batch_first=True), nn.Linear(12, 5)

        def forward(self, words):
            return self.out(self.lstm(self.words(words))[0])

    return Tagger()


def jax_optimizer():
    import jax

    def update(gradients, state, params):
        return jax.tree.map(lambda gradient: -0.1 * gradient, gradients), state

    return lambda params: (), update


def keras_optimizer():
    import keras

    return keras.optimizers.SGD(0.1)


def torch_optimizer(model):
    import torch

    return torch.optim.SGD(model.parameters(), 0.1)
