"""`bench predict`: a trained model on a folder of images."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from harness import registry
from harness.errors import BenchError
from harness.text import harmless


def predict(model_file: Path, images: Path, out: Path) -> int:
    """Write one row per image of the folder `images` to the CSV `out`: its name, and each target in its unit.

    The model must be one that `bench run` exported: its metadata name suite, targets and unit. Returns the number of
    rows. Raises BenchError for another model, and DataError for unusable images; nothing is written then.
    """
    model = registry.onnx().open_model(model_file)
    metadata = model.metadata
    if lacking := [key for key in ("suite", "targets", "unit") if key not in metadata]:
        raise BenchError(
            f"{model_file}: this ONNX file does not name its {' and '.join(lacking)}; "
            "`bench predict` takes models that `bench run` exported"
        )
    pictures, names = registry.suite(metadata["suite"]).read_images(images, model.input_shape[1:])
    columns = [f"{target}_{metadata['unit']}" for target in metadata["targets"].split(",")]
    table = pd.DataFrame(model.predict(pictures), columns=columns)
    table.insert(0, "image", [harmless(name) for name in names])
    if not out.parent.is_dir():
        raise BenchError(f"out={out}: there is no folder {out.parent}")
    table.to_csv(out, index=False, float_format="%.6g")
    return len(table)
