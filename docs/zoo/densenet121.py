"""DenseNet121 of keras.applications, and of torchvision with its norms."""

inputs = (64, 64, 3)


def keras_model():
    import keras

    return keras.applications.DenseNet121(weights=None, classes=7, input_shape=inputs, classifier_activation=None)


def torch_model():
    from in_torch import models, with_norms

    return with_norms(models.densenet121(num_classes=7), 1.001e-5, 0.01)
