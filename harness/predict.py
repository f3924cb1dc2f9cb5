"""`bench predict`: a trained model on a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from harness import registry
from harness.disk import write_whole
from harness.errors import BenchError
from harness.text import Label, Name, harmless


def predict(model_file: Path, images: Path, out: Path) -> int:
    """Write one row per image of the folder `images` to the CSV `out`: its name, and each target in its unit.

    The model must be one that `bench run` exported: its metadata name suite, targets and unit. Returns the number of
    rows. Raises BenchError for another model, and DataError for unusable images; nothing is written then.
    """
    if not out.parent.is_dir():
        raise BenchError(f"out={out}: there is no folder {out.parent}")
    if out.exists() and not out.is_file():
        raise BenchError(f"out={out}: is there, and is no file")
    model = registry.onnx().open_model(model_file)
    targets, unit, suite = _of_ours(model, model_file)
    pictures, names = registry.suite(suite).read_images(images, model.input_shape[1:])
    predictions = model.predict(pictures)
    if unknown := int((~np.isfinite(predictions)).any(axis=1).sum()):
        raise BenchError(f"{model_file}: has no finite answer for {unknown} of {len(names)} images")
    table = pd.DataFrame(predictions, columns=[f"{target}_{unit}" for target in targets])
    table.insert(0, "image", [harmless(name) for name in names])
    write_whole(out.resolve(), table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    return len(table)


def _of_ours(model: Any, model_file: Path) -> tuple[list[str], str, str]:
    """Targets, unit and suite that a model names, where it takes images and gives as many numbers as it names targets.

    The file may come from anywhere, so that what it says is believed only as far as it can be.
    """
    metadata = model.metadata
    if lacking := [key for key in ("suite", "targets", "unit") if key not in metadata]:
        raise BenchError(
            f"{model_file}: this ONNX file does not name its {' and '.join(lacking)}; "
            "`bench predict` takes models that `bench run` exported"
        )
    try:
        targets = msgspec.convert(metadata["targets"].split(","), list[Name])
        unit = msgspec.convert(metadata["unit"], Label)
    except msgspec.ValidationError:
        raise BenchError(f"{model_file}: names targets or a unit that cannot be the head of a column") from None
    if model.takes != ("tensor(float)",) or model.gives != ("tensor(float)",):
        raise BenchError(f"{model_file}: takes {model.takes} and gives {model.gives}, not one tensor(float) each")
    shape = model.input_shape
    if len(shape) != 4 or None in shape[1:] or shape[0] is not None or shape[3] != 1:
        raise BenchError(f"{model_file}: takes {shape}, not grey images of one size, as many as there are")
    if model.output_shape != (None, len(targets)):
        raise BenchError(f"{model_file}: gives {model.output_shape} numbers for {len(targets)} targets")
    return targets, unit, metadata["suite"]
