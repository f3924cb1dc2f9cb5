"""How many orders Keras's own `fit` shows in four epochs: `python -m tests.backends.keras_order [seeded]`."""

import sys

import keras
import numpy as np

COUNT, BATCH, EPOCHS = 64, 16, 4


class Watching(keras.Model):
    """Keeps which samples it is shown."""

    def __init__(self):
        super().__init__()
        self.dense, self.seen = keras.layers.Dense(1), []

    def call(self, numbers):
        self.seen.append(keras.ops.convert_to_numpy(numbers)[:, 0])
        return self.dense(numbers)


def orders():
    """(epochs, samples) as they were shown."""
    model, numbers = Watching(), np.arange(COUNT, dtype=np.float32)[:, None]
    model(numbers[:BATCH])
    model.compile(loss="mean_squared_error", run_eagerly=True)
    model.seen.clear()
    model.fit(numbers, numbers, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    return np.concatenate(model.seen[-EPOCHS * COUNT // BATCH :]).reshape(EPOCHS, COUNT)


if __name__ == "__main__":
    if "seeded" in sys.argv:
        keras.utils.set_random_seed(0)
    shown = orders()
    assert all(sorted(order) == list(range(COUNT)) for order in shown.tolist())
    print(len({tuple(order) for order in shown.tolist()}))
