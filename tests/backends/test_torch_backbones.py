"""torchvision as it is where its compiled part loads, and where it does not: neither may stop the backbones."""

import subprocess
import sys

import pytest

LOADS = """
import torch
kept = []
def with_operators(path):  # of which those alone are there that somebody else might define, too
    if kept or "_C" not in str(path):
        raise OSError("another library")
    kept.append(torch.library.Library("torchvision", "DEF"))
    kept[-1].define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    kept[-1].define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    raise OSError("the others are not there")
torch.ops.load_library = with_operators
"""
DOES_NOT_LOAD = """
import torch
def without_operators(path):
    raise OSError("undefined symbol")
torch.ops.load_library = without_operators
"""
BACKBONE = """
from backends._torch_backbones import TorchBackbone
assert TorchBackbone("vgg16")(torch.zeros(1, 1, 64, 64)).shape == (1, 512, 2, 2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("compiled_part", [LOADS, DOES_NOT_LOAD], ids=["loads", "does not load"])
def test_backbones_are_built_whether_torchvisions_compiled_part_loads_or_not(compiled_part):
    done = subprocess.run(
        [sys.executable, "-c", compiled_part + BACKBONE], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
