"""ResNet-18, narrow: padding as torch has it, batch norms with torch's constants."""

WIDTHS = 4, 8, 12, 16


def keras_model():
    import keras

    L = keras.layers

    def conv(x, width, size, stride, name):
        x = L.ZeroPadding2D(size // 2)(x) if size > 1 else x
        x = L.Conv2D(width, size, stride, use_bias=False, name=f"{name}_conv")(x)
        return L.BatchNormalization(epsilon=1e-5, momentum=0.9, name=f"{name}_bn")(x)

    images = keras.Input((32, 32, 3))
    x = L.ReLU()(conv(images, WIDTHS[0], 7, 2, "stem"))
    x = L.MaxPooling2D(3, 2)(L.ZeroPadding2D(1)(x))
    for stage, width in enumerate(WIDTHS, 1):
        for block in (0, 1):
            stride = 2 if stage > 1 and block == 0 else 1
            name = f"stage{stage}_block{block}"
            y = L.ReLU()(conv(x, width, 3, stride, f"{name}_1"))
            y = conv(y, width, 3, 1, f"{name}_2")
            if stride > 1:
                x = conv(x, width, 1, stride, f"{name}_shortcut")
            x = L.ReLU()(L.Add()([x, y]))
    return keras.Model(images, L.Dense(5, name="head")(L.GlobalAveragePooling2D()(x)))


def torch_model():
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, before, width, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.relu = nn.ReLU()
            self.downsample = None
            if stride > 1:
                self.downsample = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + (self.downsample(x) if self.downsample else x))

    class ResNet18(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(WIDTHS[0])
            self.relu = nn.ReLU()
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            before = WIDTHS[0]
            for stage, width in enumerate(WIDTHS, 1):
                first = Block(before, width, 2 if stage > 1 else 1)
                setattr(self, f"layer{stage}", nn.Sequential(first, Block(width, width, 1)))
                before = width
            self.fc = nn.Linear(before, 5)

        def forward(self, x):
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))

    return ResNet18()


def targets(rng, n):
    return rng.integers(0, 5, n)


def keras_loss():
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def torch_loss():
    import torch

    return torch.nn.CrossEntropyLoss()


def keras_optimizer():
    import keras

    return keras.optimizers.SGD(0.05, momentum=0.9)


def torch_optimizer(model):
    import torch

    return torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
