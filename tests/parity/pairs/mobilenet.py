"""MobileNetV2's blocks: depthwise convolutions, ReLU6, and strided `same` padding, which torch has to be given."""

BLOCKS = (6, 1, 1), (8, 2, 3), (8, 1, 3), (12, 2, 3)  # width, stride, expansion


def keras_model():
    import keras

    L = keras.layers

    def norm(x, name):
        return L.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_bn")(x)

    def relu6(x):
        return L.ReLU(6.0)(x)

    images = keras.Input((20, 20, 3))
    x = relu6(norm(L.Conv2D(6, 3, 2, padding="same", use_bias=False, name="stem")(images), "stem"))
    before = 6
    for place, (width, stride, expansion) in enumerate(BLOCKS):
        name, y = f"block{place}", x
        if expansion > 1:
            y = L.Conv2D(before * expansion, 1, use_bias=False, name=f"{name}_expand")(y)
            y = relu6(norm(y, f"{name}_expand"))
        y = L.DepthwiseConv2D(3, stride, padding="same", use_bias=False, name=f"{name}_depthwise")(y)
        y = relu6(norm(y, f"{name}_depthwise"))
        y = norm(L.Conv2D(width, 1, use_bias=False, name=f"{name}_project")(y), f"{name}_project")
        x = L.Add()([x, y]) if stride == 1 and before == width else y
        before = width
    x = L.Dropout(0.2, name="dropout")(L.GlobalAveragePooling2D()(x))
    return keras.Model(images, L.Dense(4, name="head")(x))


def torch_model():
    from torch import nn

    class Same(nn.Module):
        """What a convolution of kernel 3 and stride 2 pads of an even image in TensorFlow: right and below."""

        def forward(self, x):
            size = x.shape[-1]
            return nn.functional.pad(x, (0, 1, 0, 1) if size % 2 == 0 else (1, 1, 1, 1))

    def conv(before, width, stride=1, groups=1, size=3):
        padded = [Same()] if stride == 2 else []
        padding = 0 if stride == 2 else size // 2
        layers = [nn.Conv2d(before, width, size, stride, padding, groups=groups, bias=False)]
        return [*padded, *layers, nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)]

    class Block(nn.Module):
        def __init__(self, before, width, stride, expansion):
            super().__init__()
            inner = before * expansion
            expand = [*conv(before, inner, size=1), nn.ReLU6()] if expansion > 1 else []
            depthwise = [*conv(inner, inner, stride, inner), nn.ReLU6()]
            self.body = nn.Sequential(*expand, *depthwise, *conv(inner, width, size=1))
            self.adds = stride == 1 and before == width

        def forward(self, x):
            return x + self.body(x) if self.adds else self.body(x)

    class MobileNet(nn.Module):
        def __init__(self):
            super().__init__()
            widths = [6, *(width for width, _, _ in BLOCKS)]
            blocks = [Block(before, *block) for before, block in zip(widths, BLOCKS, strict=False)]
            self.features = nn.Sequential(nn.Sequential(*conv(3, 6, 2), nn.ReLU6()), *blocks)
            self.dropout = nn.Dropout(0.2)
            self.classifier = nn.Linear(widths[-1], 4)

        def forward(self, x):
            return self.classifier(self.dropout(self.features(x).mean([2, 3])))

    return MobileNet()


def torch_optimizer(model):
    """Keras has the rate in its momentum, torch outside: without momentum a schedule is the same in both."""
    import torch

    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    return optimizer, torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)


def keras_optimizer():
    import keras

    return keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.05, 1, 0.9))
