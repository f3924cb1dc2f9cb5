"""Is it the same model in Keras, in PyTorch and as an ONNX graph? Small networks, single precision, first steps."""

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from harness.launch import worker_environment
from tests.parity.climb import NETWORKS, TRANSFER

pytestmark = pytest.mark.parity


@functools.cache
def side(module, networks=tuple(NETWORKS)):
    """Every array of one framework's side."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "side.npz"
        command = [sys.executable, "-m", "tests.parity.climb", module, str(out), ",".join(networks)]
        process = subprocess.run(
            command, capture_output=True, text=True, env=worker_environment(1, "cpu"), timeout=600, check=False
        )
        assert process.returncode == 0, process.stderr[-5000:]
        with np.load(out, allow_pickle=False) as arrays:
            return dict(arrays)


# Of the largest entry. Measured: 5e-8, 2e-7 and 3e-5; with a backbone features 0, and after one step of training all of
# it, loss 2e-5 and statistics 4e-5: batch norm over few values is badly conditioned, in either framework.
TOLERANCES = {"forward": 1e-5, "losses": 2e-6, "after": 5e-4, "features": 1e-5, "loss": 1e-4, "statistics": 2e-4}


def compare(ours, theirs, keys):
    """Names of the arrays that differ by more than is tolerated, the worst first."""
    worst = {}
    for key in keys:
        scale = np.abs(ours[key]).max() or 1.0
        worst[key] = np.abs(ours[key].astype(np.float64) - theirs[key]).max() / scale
    return [
        f"{key} {value:.2g}"
        for key, value in sorted(worst.items(), key=lambda item: -item[1])
        if value > TOLERANCES[key.split("/")[1]]
    ]


def keys(arrays, prefix):
    found = [key for key in arrays if key.startswith(prefix)]
    assert found, prefix
    return found


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("other", ["backends.pytorch", "backends.onnx"])
def test_same_structure(name, other):
    ours, theirs = side("backends.keras"), side(other)
    before = keys(ours, f"{name}/before/")
    assert before == keys(theirs, f"{name}/before/")
    for key in [*before, f"{name}/counts"]:
        np.testing.assert_array_equal(ours[key], theirs[key])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("other", ["backends.pytorch", "backends.onnx"])
def test_same_forward(name, other):
    assert compare(side("backends.keras"), side(other), [f"{name}/forward"]) == []


@pytest.mark.parametrize("name", NETWORKS)
def test_same_losses_over_ten_steps(name):
    assert compare(side("backends.keras"), side("backends.pytorch"), [f"{name}/losses"]) == []


@pytest.mark.parametrize("name", NETWORKS)
def test_same_weights_after_ten_steps(name):
    ours = side("backends.keras")
    assert compare(ours, side("backends.pytorch"), keys(ours, f"{name}/after/")) == []


@pytest.mark.slow
@pytest.mark.parametrize("family", TRANSFER)
def test_backbones_are_the_same_model(family):
    """The same counts, features, predictions, first loss, and moving statistics after one step of training it all."""
    ours, theirs = (side(backend, (family,)) for backend in ("backends.keras", "backends.pytorch"))
    np.testing.assert_array_equal(ours[f"{family}/counts"], theirs[f"{family}/counts"])
    compared = [f"{family}/features", f"{family}/forward", f"{family}/loss"]
    compared += [key for key in ours if key.startswith(f"{family}/statistics/")]
    assert len(compared) > 3 or family == "vgg16"
    assert compare(ours, theirs, compared) == []


BACKBONE_FAULTS = {
    "strides where torchvision has them": (
        """
vision = backends._torch_backbones
vision.Bottleneck = type("Other", (), {})
""",
        "resnet50/features",
    ),
    "keras's default epsilon": ("backends._torch_backbones.backbones.BATCH_NORM_EPSILON = 1e-3", "resnet50/features"),
    "no mean taken from the image": (
        """
whole = backends._torch_backbones.backbones.preprocessing
backends._torch_backbones.backbones.preprocessing = lambda family: (whole(family)[0], (0.0,) * 3)
""",
        "resnet50/features",
    ),
    "torch's momentum": (
        "backends._torch_backbones.backbones.BATCH_NORM_MOMENTUM = 0.9",
        "resnet50/statistics/backbone_1/conv1_bn/moving_mean",
    ),
    "unbiased moving variance": (
        "backends._torch_backbones.KerasBatchNorm2d.forward = pytorch.torch.nn.BatchNorm2d.forward",
        "resnet50/statistics/backbone_1/conv5_block1_1_bn/moving_variance",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", BACKBONE_FAULTS)
def test_a_fault_planted_in_a_backbone_is_seen(fault, tmp_path, monkeypatch):
    code, broken = BACKBONE_FAULTS[fault]
    start = "import backends._torch_backbones\nfrom backends import pytorch\nfrom backends.pytorch import *\n"
    (tmp_path / "faulty.py").write_text(start + code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    faulty = side.__wrapped__("faulty", ("resnet50",))
    assert compare(side("backends.keras", ("resnet50",)), faulty, [broken])


FAULTS = {
    "epsilon as torch has it": (
        "pytorch.KerasAdam.step = lambda self, closure=None: pytorch.torch.optim.Adam.step(self)",
        ["baseline/losses", "tuned/losses", "baseline/after/dense_1/kernel", "tuned/after/dense_1/kernel"],
    ),
    "corrections in double precision": (
        """
def step(self, closure=None):
    self._steps += 1
    self.param_groups[0]["eps"] = self._recipe.epsilon / (1 - self._recipe.beta_2**self._steps) ** 0.5
    return pytorch.torch.optim.Adam.step(self)
pytorch.KerasAdam.step = step
""",
        ["baseline/losses", "tuned/losses"],
    ),
    "flattened channel first": (
        """
forward = pytorch.Permute.forward
pytorch.Permute.forward = lambda self, values: values if self.order == (0, 2, 3, 1) else forward(self, values)
""",
        ["baseline/forward", "tuned/forward"],
    ),
    "average for max pooling": ("pytorch.nn.MaxPool2d = pytorch.nn.AvgPool2d", ["baseline/forward", "tuned/forward"]),
    "learning rate off by 5 %": (
        """
adam = pytorch.KerasAdam.__init__
def faulty(self, parameters, recipe):
    adam(self, parameters, pytorch.Recipe(recipe.epochs, recipe.batch_size, 1.05 * recipe.learning_rate))
pytorch.KerasAdam.__init__ = faulty
""",
        ["baseline/losses", "tuned/losses"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault, tmp_path, monkeypatch):
    code, broken = FAULTS[fault]
    (tmp_path / "faulty.py").write_text("from backends import pytorch\nfrom backends.pytorch import *\n" + code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    faulty = side.__wrapped__("faulty")
    for key in broken:
        assert compare(side("backends.keras"), faulty, [key]), key
