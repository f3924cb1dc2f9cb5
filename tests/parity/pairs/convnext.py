"""A small ConvNeXt: layer norms over channels and dense layers between two turnings, as torch has it."""


def keras_model():
    import keras

    L = keras.layers

    def block(x, name):
        y = L.DepthwiseConv2D(5, padding="same", name=f"{name}_depthwise")(x)
        y = L.LayerNormalization(epsilon=1e-6, name=f"{name}_norm")(y)
        y = L.Dense(24, activation="silu", name=f"{name}_wide")(y)
        return L.Add()([x, L.Dense(8, name=f"{name}_narrow")(y)])

    inputs = keras.Input((16, 16, 3))
    x = L.Conv2D(8, 2, 2, name="stem")(inputs)
    x = L.LayerNormalization(epsilon=1e-6, name="stem_norm")(x)
    x = block(block(x, "block0"), "block1")
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, L.Dense(4, name="head")(x))


def torch_model():
    from torch import nn

    class ChannelNorm(nn.LayerNorm):
        """Of an image, whose channels come first."""

        def forward(self, x):
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.depthwise = nn.Conv2d(8, 8, 5, padding=2, groups=8)
            self.norm = nn.LayerNorm(8, eps=1e-6)
            self.wide, self.narrow = nn.Linear(8, 24), nn.Linear(24, 8)

        def forward(self, x):
            y = self.norm(self.depthwise(x).movedim(1, -1))
            return x + self.narrow(nn.functional.silu(self.wide(y))).movedim(-1, 1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.stem_norm = nn.Conv2d(3, 8, 2, 2), ChannelNorm(8, eps=1e-6)
            self.blocks = nn.Sequential(Block(), Block())
            self.head = nn.Linear(8, 4)

        def forward(self, x):
            return self.head(self.blocks(self.stem_norm(self.stem(x))).mean(dim=(2, 3)))

    return Net()


def keras_optimizer():
    import keras

    return keras.optimizers.AdamW(1e-3, weight_decay=0.05, epsilon=1e-8)


def torch_optimizer(model):
    import torch

    return torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05, eps=1e-8)
