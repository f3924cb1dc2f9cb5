"""EfficientNetB0 of keras.applications, and of torchvision with its norms, padding and preprocessing; both without
stochastic depth.
"""

inputs = (64, 64, 3)


def keras_model():
    import keras

    model = keras.applications.EfficientNetB0(weights=None, classes=7, input_shape=inputs, classifier_activation=None)
    for layer in model.layers:
        if layer.name.endswith("_drop"):  # of blocks; the head has a top_dropout
            layer.rate = 0.0
    return model


def torch_model():
    from in_torch import Normalized, models, with_convolutions, with_norms

    model = models.efficientnet_b0(num_classes=7, stochastic_depth_prob=0.0)
    return Normalized(with_convolutions(with_norms(model, 1e-3, 0.01), same=True))
