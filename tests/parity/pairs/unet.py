"""A U-Net of two levels, with transposed convolutions and skips."""


def keras_model():
    import keras

    L = keras.layers

    def double(x, width, name):
        for place in (1, 2):
            x = L.Conv2D(width, 3, padding="same", activation="relu", name=f"{name}_conv{place}")(x)
        return x

    images = keras.Input((16, 16, 2))
    one = double(images, 4, "down1")
    two = double(L.MaxPooling2D()(one), 8, "down2")
    x = double(L.MaxPooling2D()(two), 12, "bottom")
    x = L.Conv2DTranspose(8, 2, 2, name="up2")(x)
    x = double(L.Concatenate()([two, x]), 8, "level2")
    x = L.Conv2DTranspose(4, 3, 2, padding="same", name="up1")(x)
    x = double(L.Concatenate()([one, x]), 4, "level1")
    return keras.Model(images, L.Conv2D(1, 1, activation="sigmoid", name="mask")(x))


def torch_model():
    import torch
    from torch import nn

    class Double(nn.Sequential):
        def __init__(self, before, width):
            convs = nn.Conv2d(before, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
            super().__init__(convs[0], nn.ReLU(inplace=True), convs[1], nn.ReLU(inplace=True))

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.down1, self.down2, self.bottom = Double(2, 4), Double(4, 8), Double(8, 12)
            self.up2, self.level2 = nn.ConvTranspose2d(12, 8, 2, 2), Double(16, 8)
            self.up1, self.level1 = nn.ConvTranspose2d(8, 4, 3, 2), Double(8, 4)
            self.mask = nn.Conv2d(4, 1, 1)

        def skip(self, before, x):
            return torch.cat([before, x], dim=1)

        def forward(self, x):
            one = self.down1(x)
            two = self.down2(nn.functional.max_pool2d(one, 2))
            x = self.up2(self.bottom(nn.functional.max_pool2d(two, 2)))
            x = self.up1(self.level2(self.skip(two, x)))[:, :, :-1, :-1]  # as Keras's `same` cuts it
            return torch.sigmoid(self.mask(self.level1(self.skip(one, x))))

    return UNet()


def targets(rng, n):
    return rng.integers(0, 2, (n, 16, 16, 1)).astype("float32")


def keras_loss():
    import keras

    return keras.losses.BinaryCrossentropy()


def torch_loss():
    import torch

    return lambda answered, expected: torch.nn.functional.binary_cross_entropy(answered.clamp(1e-7, 1 - 1e-7), expected)


def keras_optimizer():
    import keras

    return keras.optimizers.Adam(2e-3, epsilon=1e-8)


def torch_optimizer(model):
    import torch

    return torch.optim.Adam(model.parameters(), 2e-3)
