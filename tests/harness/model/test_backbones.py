import math

import pytest

from harness.model import backbones


@pytest.mark.parametrize(
    ("family", "total", "statistics"),
    [("vgg16", 14_714_688, 0), ("resnet50", 23_587_712, 53_120), ("densenet121", 7_037_504, 83_648)],
)
def test_parameters_are_those_published(family, total, statistics):
    shapes = backbones.shapes(family)
    assert sum(map(math.prod, shapes.values())) == total
    assert sum(math.prod(shape) for name, shape in shapes.items() if "/moving_" in name) == statistics


@pytest.mark.parametrize("family", backbones.FAMILIES)
def test_the_last_layer_gives_the_channels(family):
    kernels = [shape for name, shape in backbones.shapes(family).items() if name.endswith("/kernel")]
    widest = kernels[-1][-1] if family != "densenet121" else backbones.shapes(family)["bn/gamma"][0]
    assert widest == backbones.CHANNELS[family]
    assert kernels[0][2] == 3


def test_preprocessing_standardises_what_the_backbone_was_trained_on():
    scale, offset = backbones.preprocessing("densenet121")  # in single precision
    assert [0.485 * scale[0] + offset[0], 0.456 * scale[1] + offset[1]] == pytest.approx(
        [0, 0], abs=1e-7
    )  # they are single-precision numbers
    assert backbones.preprocessing("vgg16") == backbones.preprocessing("resnet50")
