"""ResNet50 of keras.applications, and of torchvision with its norms, its biases and its strides."""

inputs = (64, 64, 3)


def keras_model():
    import keras

    return keras.applications.ResNet50(weights=None, classes=7, input_shape=inputs, classifier_activation=None)


def torch_model():
    from in_torch import models, with_convolutions, with_norms
    from torchvision.models.resnet import Bottleneck

    model = models.resnet50(num_classes=7)
    for block in model.modules():
        if isinstance(block, Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return with_convolutions(with_norms(model, 1.001e-5, 0.01), bias=True)
