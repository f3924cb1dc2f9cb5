"""Trains the Keras model of pair.py, saves it, and exports it for `bench parity keras=net.keras onnx=net.onnx`."""

import numpy as np
from pair import keras_loss, keras_model, keras_optimizer

draw = np.random.default_rng(0)
images, classes = draw.normal(size=(256, 32, 32, 3)), draw.integers(0, 10, 256)

model = keras_model()
model.compile(keras_optimizer(), keras_loss())
model.fit(images, classes, epochs=2, verbose=0)
model.save("net.keras")
model.export("net.onnx", format="onnx", verbose=False)
