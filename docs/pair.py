"""A small network in Keras and its port to PyTorch, as `bench parity pair=docs/pair.py` takes them."""


def keras_model():
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(16, 3, strides=2, padding="same", name="conv1"),
            layers.BatchNormalization(name="norm1"),
            layers.ReLU(),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, name="classes"),
        ]
    )


def torch_model():
    from torch import nn

    return nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)),
        nn.Conv2d(3, 16, 3, stride=2),
        nn.BatchNorm2d(16, eps=1e-3, momentum=0.01),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(2048, 10),
    )


def targets(rng, n):
    return rng.integers(0, 10, n)


def keras_loss():
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def torch_loss():
    from torch import nn

    return nn.CrossEntropyLoss()


def keras_optimizer():
    import keras

    return keras.optimizers.Adam(1e-3)


def torch_optimizer(model):
    import torch

    return torch.optim.Adam(model.parameters(), 1e-3, eps=1e-7)
