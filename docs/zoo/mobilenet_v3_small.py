"""MobileNetV3Small of keras.applications without its preprocessing, and of torchvision with its padding."""

inputs = (64, 64, 3)


def keras_model():
    import keras

    settings = {"classes": 7, "classifier_activation": None, "include_preprocessing": False}
    return keras.applications.MobileNetV3Small(weights=None, input_shape=inputs, **settings)


def torch_model():
    from in_torch import models, with_convolutions, with_norms

    return with_convolutions(with_norms(models.mobilenet_v3_small(num_classes=7), 1e-3, 0.001), same=True)
