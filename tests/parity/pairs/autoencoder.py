"""A convolutional autoencoder: a flattening on the way in, and a reshape to an image on the way out."""


def keras_model():
    import keras

    L = keras.layers

    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.SeparableConv2D(4, 3, padding="same", activation="relu", name="separable"),
            L.MaxPooling2D(2),
            L.Flatten(),
            L.Dense(6, name="code"),
            L.Dense(4 * 4 * 3, activation="relu", name="decode"),
            L.Reshape((4, 4, 3)),
            L.UpSampling2D(2),
            L.Conv2D(2, 3, padding="same", activation="elu", name="conv"),
            L.Conv2DTranspose(1, 3, padding="same", name="image"),
        ]
    )


def torch_model():
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1, bias=False),
        nn.Conv2d(1, 4, 1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 6),
        nn.Linear(6, 48),
        nn.ReLU(),
        nn.Unflatten(1, (3, 4, 4)),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(3, 2, 3, padding=1),
        nn.ELU(),
        nn.ConvTranspose2d(2, 1, 3, padding=1),
    )


def keras_optimizer():
    import keras

    return keras.optimizers.SGD(0.05)


def torch_optimizer(model):
    import torch

    return torch.optim.SGD(model.parameters(), 0.05)
