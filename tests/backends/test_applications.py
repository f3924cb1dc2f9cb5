"""The harness's data on backbones, and its reading of their files, against keras.applications."""

import json
import subprocess
import sys

import pytest

from harness.model import backbones
from harness.running.launch import worker_environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    process = subprocess.run(
        [sys.executable, "-m", "tests.backends.applications", str(tmp_path_factory.mktemp("weights"))],
        capture_output=True,
        text=True,
        env=worker_environment("cpu"),
        timeout=600,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-5000:]
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize("family", backbones.FAMILIES)
def test_names_and_shapes_are_keras_applications(told, family):
    theirs = {name: tuple(shape) for name, shape in told[family]["shapes"].items()}
    assert backbones.shapes(family) == theirs


@pytest.mark.parametrize("family", backbones.FAMILIES)
def test_preprocessing_and_forward_are_keras_applications(told, family):
    assert told[family]["preprocessing"] < 1e-4  # of values up to 255
    assert told[family]["forward"] < 1e-5


@pytest.mark.parametrize("family", backbones.FAMILIES)
def test_official_files_are_read_as_keras_reads_them(told, family):
    """Every array, from a file of the official format; DenseNet121's with the layer names of the published one."""
    assert told[family]["files"] == []


@pytest.mark.parametrize("family", backbones.FAMILIES)
def test_what_is_read_of_official_files_predicts_to_the_bit_what_keras_predicts(told, family):
    assert told[family]["predictions"] is True


@pytest.mark.parametrize("family", backbones.FAMILIES)
def test_checksums_are_those_that_keras_checks(told, family):
    assert told[family]["md5 known"]
