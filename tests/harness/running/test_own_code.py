"""Somebody's own code from the command line to predictions, in each framework's own worker."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from harness.command.cli import main

MODELS = """
def Forest():
    from sklearn.ensemble import RandomForestRegressor
    return RandomForestRegressor(n_estimators=10)

def Torch(input_shape, outputs):
    from torch import nn
    height, width, channels = input_shape
    layers = [nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.LazyLinear(outputs))

def Stubborn(outputs):
    import torch
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = torch.nn.LazyLinear(outputs)
        def forward(self, images):
            return self.line(images.flatten(1)) if images.sum() >= 0 else None
    return Net()

def Wide(outputs):
    import torch
    torch.set_default_dtype(torch.float64)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(outputs))

def Keras(input_shape, outputs):
    import keras
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer, self.norm = keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.BatchNormalization()
            self.pool, self.dense = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(outputs)
            self.dropout = keras.layers.Dropout(0.1)
        def call(self, images, training=False):
            found = self.pool(self.norm(self.layer(images), training=training))
            return self.dense(self.dropout(found, training=training))
    return Net()
"""


@pytest.fixture
def folder(tmp_path):
    """Noise of a level, which is to be read off."""
    place, draw = tmp_path / "images", np.random.default_rng(0)
    place.mkdir()
    rows = [["file", "level"]]
    for number in range(80):
        level = draw.uniform(0.2, 0.8)
        Image.fromarray((255 * (level + 0.1 * draw.random((16, 20)))).astype(np.uint8)).save(place / f"{number}.png")
        rows.append([f"{number}.png", f"{level:.4f}"])
    with (place / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (tmp_path / "models.py").write_text(MODELS)
    return place


def records(results):
    lines = (results / "records" / "own" / "trainings.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_code_of_each_framework_is_trained_exported_and_used(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = ("Forest", "Torch", "Stubborn", "Wide", "Keras")
    asked = ["run", "suite=own", "data=images", "profile=smoke", "results=mine"]
    assert main([*asked, "variant=" + ",".join(f"models.py:{name}" for name in names)]) == 0
    told = capsys.readouterr().out
    assert "models.Stubborn (own code, no parity) on pytorch, seed 0: no ONNX file" in told
    found = {record["cell"]["variant"]: record for record in records(tmp_path / "mine")}
    assert {name: record["cell"]["backend"] for name, record in found.items()} == {
        "models.Forest": "classical",
        "models.Torch": "pytorch",
        "models.Stubborn": "pytorch",
        "models.Wide": "pytorch",
        "models.Keras": "keras",
    }
    for name, record in found.items():
        assert record["status"] == "ok"
        assert record["cell"]["settings"]["init"] == "native"
        assert str(tmp_path) not in json.dumps(record)
        assert ("onnx" in record) == (name not in ("models.Stubborn", "models.Wide"))
        assert record.get("onnx", {"difference": 0})["difference"] < 1e-5
    assert "torch's exporter: " in found["models.Stubborn"]["unexported"]
    assert "what its exporter wrote does not run: " in found["models.Wide"]["unexported"]
    assert found["models.Torch"]["counts"]["layers"] == {"model": 4 * 9 + 4 + 4 * 4 + 16 + 1}

    assert main(["leaderboard", "check=true", "suite=own", "results=mine"]) == 0
    assert main([*asked, "variant=models.py:Stubborn"]) == 0  # what cannot be exported is not trained again
    assert "1 cell, 1 already done" in capsys.readouterr().out
    words = ["predict", "suite=own", "results=mine", "images=images", "out=out.csv", "variant=models.Forest"]
    assert main(words) == 0
    with (tmp_path / "out.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 80


@pytest.mark.slow
def test_code_that_changed_is_trained_anew(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = ["run", "suite=own", "data=images", "profile=smoke", "results=mine", "variant=models.py:Forest"]
    assert main(asked) == 0
    assert main(asked) == 0
    assert "1 cell, 1 already done" in capsys.readouterr().out
    (tmp_path / "models.py").write_text(MODELS.replace("n_estimators=10", "n_estimators=3"))
    assert main(asked) == 0
    assert "1 stale cell of classical: made with another definition" in capsys.readouterr().out
    first, second = records(tmp_path / "mine")
    assert first["key"] != second["key"]
    assert first["onnx"]["sha256"] != second["onnx"]["sha256"]


@pytest.mark.slow
def test_a_model_that_answers_otherwise_is_a_failed_cell_that_says_so(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text("def Net():\n    from torch import nn\n    return nn.Identity()\n")
    asked = ["run", "suite=own", "data=images", "profile=smoke", "results=mine", "variant=models.py:Net"]
    assert main(asked) == 1
    (record,) = records(tmp_path / "mine")
    assert "answers (2, 1, 16, 20) for 2 images, and not (2, 1)" in record["reason"]
    assert str(tmp_path) not in json.dumps(record)
