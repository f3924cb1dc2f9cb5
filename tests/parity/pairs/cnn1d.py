"""A 1-D network on signals: strided convolutions, batch norm, a flattening, dropout."""


def keras_model():
    import keras

    L = keras.layers

    return keras.Sequential(
        [
            keras.Input((40, 3)),
            L.Conv1D(6, 5, 2, padding="same", name="conv1"),
            L.BatchNormalization(name="norm1"),
            L.LeakyReLU(0.01),
            L.Conv1D(8, 3, dilation_rate=2, name="conv2"),
            L.PReLU(shared_axes=[1], name="prelu"),
            L.AveragePooling1D(2),
            L.Flatten(),
            L.Dropout(0.5, name="dropout"),
            L.Dense(10, activation="relu", name="dense"),
            L.Dense(2, name="out"),
        ]
    )


def torch_model():
    from torch import nn

    return nn.Sequential(
        nn.ConstantPad1d((1, 2), 0.0),  # what Keras's `same` pads 40 numbers by
        nn.Conv1d(3, 6, 5, 2),
        nn.BatchNorm1d(6, eps=1e-3, momentum=0.01),
        nn.LeakyReLU(0.01),
        nn.Conv1d(6, 8, 3, dilation=2),
        nn.PReLU(8),
        nn.AvgPool1d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(64, 10),
        nn.ReLU(),
        nn.Linear(10, 2),
    )


def keras_optimizer():
    import keras

    return keras.optimizers.RMSprop(1e-3, rho=0.9, epsilon=1e-7)


def torch_optimizer(model):
    import torch

    return torch.optim.RMSprop(model.parameters(), 1e-3, alpha=0.9, eps=1e-7)
