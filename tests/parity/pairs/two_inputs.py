"""An image and some numbers about it; two answers."""


def keras_model():
    import keras

    L = keras.layers

    image, about = keras.Input((12, 12, 1), name="image"), keras.Input((6,), name="about")
    x = L.Conv2D(4, 3, activation="relu", name="conv")(image)
    x = L.GroupNormalization(2, epsilon=1e-5, name="groups")(x)
    x = L.Flatten()(L.MaxPooling2D()(x))
    x = L.Dense(8, activation="relu", name="seen")(x)
    y = L.Dense(8, activation="relu", name="told")(about)
    z = L.Concatenate()([x, y])
    return keras.Model(
        [image, about], [L.Dense(2, name="mean")(z), L.Dense(2, activation="softplus", name="spread")(z)]
    )


def torch_model():
    import torch
    from torch import nn

    class TwoInputs(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.gn = nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4)
            self.seen, self.told = nn.Linear(100, 8), nn.Linear(6, 8)
            self.mean, self.spread = nn.Linear(16, 2), nn.Linear(16, 2)

        def forward(self, image, about):
            x = nn.functional.max_pool2d(self.gn(torch.relu(self.conv(image))), 2)
            x = torch.relu(self.seen(x.flatten(1)))
            z = torch.cat([x, torch.relu(self.told(about))], dim=1)
            return self.mean(z), nn.functional.softplus(self.spread(z))

    return TwoInputs()


def keras_optimizer():
    import keras

    return keras.optimizers.SGD(0.01)


def torch_optimizer(model):
    import torch

    return torch.optim.SGD(model.parameters(), 0.01)
