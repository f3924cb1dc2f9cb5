"""Training a head on features computed once gives the weights of training it through the frozen network."""

import json
import subprocess
import sys

import pytest

from harness.running.launch import worker_environment


def both_ways(*words):
    """What `tests.backends.frozen` tells."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.backends.frozen", *map(str, words)],
        capture_output=True,
        text=True,
        env=worker_environment("cpu"),
        timeout=900,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-5000:]
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vgg16", "resnet50", "densenet121"])
@pytest.mark.parametrize("backend", ["keras", "pytorch"])
def test_the_head_learns_the_same_weights(backend, family):
    """To float32 accuracy, after four epochs of three batches, the last of them short."""
    told = both_ways(backend, family, 32, 70, 4, 4)
    assert told["moved"] > 1e-3
    assert told["difference"] < 2e-5
