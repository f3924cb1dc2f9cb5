"""MobileNetV2 of keras.applications, and of torchvision with its norms and padding, and without a dropout."""

inputs = (64, 64, 3)


def keras_model():
    import keras

    return keras.applications.MobileNetV2(weights=None, classes=7, input_shape=inputs, classifier_activation=None)


def torch_model():
    from in_torch import models, with_convolutions, with_norms

    return with_convolutions(with_norms(models.mobilenet_v2(num_classes=7, dropout=0.0), 1e-3, 0.001), same=True)
