import functools
import json
import re
import subprocess
import sys

import pytest

from harness import registry
from harness.running.launch import worker_environment
from tests.backends.conformance import CHECKS
from tests.forks import Forks


@functools.cache
def outcome(module):
    """Name of each check: "ok", "not for this backend" or a traceback. One framework, one interpreter."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.backends.conformance", module],
        capture_output=True,
        text=True,
        env=worker_environment("cpu"),
        timeout=900,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-5000:]
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("backend", registry.names("backends"))
def test_conformance(backend, check):
    found = outcome(f"backends.{backend}")[check]
    if found == "not for this backend":
        pytest.skip(found)
    assert found == "ok", found


def test_every_check_is_for_some_backend():
    """One that asks for what no backend is finds nothing, and every test of it is skipped."""
    found = [outcome(f"backends.{backend}") for backend in registry.names("backends")]
    assert [check for check in CHECKS if all(told[check] == "not for this backend" for told in found)] == []


EPOCH = """
whole = pytorch._train_epoch
def faulty(module, images, targets, order, *rest):
    size = rest[0]
    return whole(module, images, targets, {order}, *rest)
pytorch._train_epoch = faulty
"""
FAULTS = {
    "flattens channel first": (
        "pytorch.FlattenChannelsLast.forward = pytorch.nn.Flatten.forward",
        "forward is the arithmetic of the layers",
    ),
    "pools the largest for the mean": (
        "pytorch.nn.AdaptiveAvgPool2d = pytorch.nn.AdaptiveMaxPool2d",
        "global pooling is the mean of all pixels",
    ),
    "convolves with zeros around": (
        """
def forward(self, images):
    return pytorch.nn.functional.conv2d(images, self.weight, self.bias, padding=self.kernel_size[0] // 2)
pytorch.PeriodicConv2d.forward = forward
""",
        "periodic convolutions go around the image",
    ),
    "takes rows for columns at the edges": (
        """
def forward(self, images):
    edge = self.kernel_size[0] // 2
    around = pytorch.nn.functional.pad(images, (edge, edge, edge, edge), mode="reflect")
    return pytorch.nn.Conv2d.forward(self, around)
pytorch.PeriodicConv2d.forward = forward
""",
        "periodic convolutions go around the image",
    ),
    "shows in every epoch what the first showed": (
        """
train = pytorch.TorchModel.train
def faulty(self, data, recipe, schedule, on_epoch):
    if data.moved:
        images, targets = data.moved(0)
        data = pytorch.TrainingData(images, targets, data.validation_images, data.validation_targets)
    return train(self, data, recipe, schedule, on_epoch)
pytorch.TorchModel.train = faulty
""",
        "each epoch shows what was moved for it",
    ),
    "forgets the scaling": (
        """
outputs = lambda self, images: pytorch._outputs(self.module, pytorch._on_device(images))
pytorch.TorchModel.predict = lambda self, images: outputs(self, images).numpy().astype("f8")
""",
        "predictions are physical",
    ),
    "exports without the scaling": (
        "pytorch.Physical.forward = lambda self, images: self.network(images)",
        "the exported model is the same model",
    ),
    "exports logits for probabilities": (
        "pytorch._physical = lambda network, scaling: network",
        "the exported model of classes gives the same probabilities",
    ),
    "trains probabilities by squared errors": (
        "pytorch._criterion = lambda scaling, recipe: pytorch.nn.functional.mse_loss",
        "classes are trained by cross entropy of their logits",
    ),
    "takes the mean of cross-entropies over their weights": (
        """
def criterion(scaling, recipe):
    loss = pytorch.nn.CrossEntropyLoss(pytorch.torch.tensor(recipe.class_weights))
    return lambda answers, targets: loss(answers, targets.argmax(dim=1))
pytorch._criterion = criterion
""",
        "class weights multiply the cross entropy of each image",
    ),
    "forgets the weights of classes": (
        "pytorch._criterion = lambda scaling, recipe: pytorch.nn.functional.cross_entropy",
        "class weights multiply the cross entropy of each image",
    ),
    "hands out its own weights": (
        """
def weights(self):
    found = {name: self._tensor(name) for name in self._shapes}
    return {name: tensor.detach().numpy().transpose(axes) for name, (tensor, axes) in found.items()}
pytorch.TorchModel.weights = weights
""",
        "weights are a copy",
    ),
    "takes weights that do not fit": (
        """
pytorch.check_fit = lambda weights, shapes: None
set_weights = pytorch.TorchModel.set_weights
def faulty(self, weights):
    set_weights(self, {name: array for name, array in weights.items() if name in self._shapes})
pytorch.TorchModel.set_weights = faulty
""",
        "weights that do not fit are refused and change nothing",
    ),
    "drops the last batch": (
        EPOCH.format(order="order[: len(order) // size * size]"),
        "losses weigh every sample alike",
    ),
    "trains in its own order": (
        EPOCH.format(order="pytorch.np.arange(len(order))"),
        "the first step is keras adams in the schedules order",
    ),
    "talks while it exports": (
        """
export = pytorch.TorchModel.export
pytorch.TorchModel.export = lambda self, path: (print("exporting"), export(self, path))[1]
""",
        "nothing is printed",
    ),
    "lets the head's training move the statistics": (
        """
let_train = pytorch.TorchModel._let_train
def faulty(self, what):
    self.module.train()
    for module in self.module.modules():
        if getattr(module, "running_mean", None) is not None and what == "head":
            module.running_mean += 1
    return let_train(self, what)
pytorch.TorchModel._let_train = faulty
""",
        "training the head leaves the backbone alone",
    ),
    "keeps the backbone frozen": (
        """
let_train = pytorch.TorchModel._let_train
def faulty(self, what):
    trained = let_train(self, what)
    self._frozen.requires_grad_(False)
    return trained
pytorch.TorchModel._let_train = faulty
""",
        "backbones have the reports parameters",
    ),
    "starts from the clock": (
        """
import os
def build(variant, task, seed):
    return pytorch.build(variant, task, int.from_bytes(os.urandom(4)))
""",
        "the same seed gives the same predictions",
    ),
}


@pytest.fixture(scope="module")
def forks():
    return Forks("tests.backends.conformance", "forks", env=worker_environment("cpu"))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_the_conformance_suite_finds_a_planted_fault(fault, tmp_path, forks):
    """Each fault is a line or two that break the PyTorch backend; the check named must fail, and not for what the fault
    itself raises.
    """
    code, check = FAULTS[fault]
    (tmp_path / "faulty.py").write_text("from backends import pytorch\nfrom backends.pytorch import *\n" + code)
    log = tmp_path / "log"
    assert forks.run(log, tmp_path, "faulty", check) == 0, log.read_text()
    found = json.loads(log.read_text().splitlines()[-1])
    assert re.search(r"^(AssertionError|Failed: DID NOT RAISE)", found[check], re.MULTILINE), found[check]
