"""`bench predict`: a trained model on a folder of images, in a process of its own: `python -m harness.running.predict`.

A model may come from anywhere. The child alone reads it; what is written follows from what the child answers.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from harness import registry
from harness.disk import write_whole
from harness.errors import BenchError
from harness.protocol import OnProgress
from harness.running.apart import Stopped, ask
from harness.running.child import serve
from harness.running.guard import Limits
from harness.text import Label, Name, harmless


class Request(msgspec.Struct, frozen=True):
    """What the child is asked: a model, and the folder of images to predict with it."""

    model: str
    images: str


class Predicted(msgspec.Struct, frozen=True):
    """What the child answers: for each image its name, and a finite number for each target, in its unit."""

    targets: list[Name]
    units: list[Label]
    names: list[str]
    rows: list[list[float]]


def predict(model_file: Path, images: Path, out: Path, limits: Limits, on_progress: OnProgress) -> int:
    """Write one row per image of the folder `images` to the CSV `out`: its name, and each target in its unit.

    The model must be one that `bench run` exported: its metadata name suite, targets and unit. Returns the number of
    rows; `on_progress` is told how many images are done. Raises BenchError for another model, for one that takes more
    than its limits, for unusable images, and where something is in the place of `out`; nothing is written then.
    """
    _free_place(out, model_file)
    request = Request(str(model_file), str(images))
    try:
        predicted = ask("harness.running.predict", request, Predicted, limits, on_progress)
    except Stopped as error:
        raise BenchError(f"{model_file}: {error}") from None
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    heads = zip(predicted.targets, predicted.units, strict=True)
    table.writerow(["image", *(f"{target}_{unit}".rstrip("_") for target, unit in heads)])
    for name, row in zip(predicted.names, predicted.rows, strict=True):
        table.writerow([harmless(name), *(f"{value:.6g}" for value in row)])
    write_whole(_free_place(out, model_file), text.getvalue())  # looked at again: that may have taken hours
    return len(predicted.rows)


def _free_place(out: Path, model_file: Path) -> Path:
    """Where `out` leads, through links: a place in a folder, where nothing is yet. Raises BenchError otherwise."""
    try:
        place = out.resolve()
    except (OSError, RuntimeError):  # which of the two depends on Python's version
        raise BenchError(f"out={out}: is a link that leads in a circle") from None
    if not place.parent.is_dir():
        raise BenchError(f"out={out}: there is no folder {place.parent if out.is_symlink() else out.parent}")
    if place.exists() and model_file.exists() and place.samefile(model_file):
        raise BenchError(f"out={out}: is the model: choose another name; nothing is overwritten")
    if os.path.lexists(place):
        raise BenchError(f"out={out}: is there: choose another name, or take it away; nothing is overwritten")
    if not os.access(place.parent, os.W_OK):
        raise BenchError(f"out={out}: the folder {place.parent} cannot be written")
    return place


def predict_here(request: Request, on_progress: OnProgress) -> Predicted:
    """Predict in this process. Raises BenchError for another model than `predict` takes, and for unusable images.

    What the file and the headers of the images say is judged before ONNX Runtime makes anything of the model.
    """
    path = Path(request.model)
    file = registry.onnx().OnnxFile(path)
    targets, units, suite, size = _says(file, path)
    images, names = registry.suite(suite).read_images(Path(request.images), size)
    model = file.open()
    _refuse_other(model, len(targets), path)
    predictions = model.predict(images, on_progress)
    if predictions.shape != (len(names), len(targets)):
        raise BenchError(f"{path}: gave {predictions.shape} numbers for {len(names)} images of {len(targets)} targets")
    if unknown := int((~np.isfinite(predictions)).any(axis=1).sum()):
        raise BenchError(f"{path}: has no finite answer for {unknown} of {len(names)} images")
    return Predicted(targets, units, list(names), predictions.tolist())


def _says(file: Any, path: Path) -> tuple[list[str], list[str], str, tuple[int, ...]]:
    """Targets, their units, suite and shape of one image, as a file names them.

    It may come from anywhere, so that what it says is believed only as far as it can be.
    """
    metadata = dict(file.metadata)
    if "unit" in metadata and "targets" in metadata:  # until 0.2 all targets had one
        metadata.setdefault("units", ",".join([metadata["unit"]] * len(metadata["targets"].split(","))))
    if lacking := [key for key in ("suite", "targets", "units") if key not in metadata]:
        raise BenchError(
            f"{path}: this ONNX file does not name its {' and '.join(lacking)}; "
            "`bench predict` takes models that `bench run` exported"
        )
    try:
        targets = msgspec.convert(metadata["targets"].split(","), list[Name])
        units = msgspec.convert(metadata["units"].split(","), list[Label])
        if len(units) != len(targets):
            raise BenchError(f"{path}: names {len(units)} units for {len(targets)} targets")
    except msgspec.ValidationError:
        raise BenchError(f"{path}: names targets or a unit that cannot be the head of a column") from None
    shapes = file.input_shapes
    if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:] or shapes[0][0] is not None:
        raise BenchError(
            f"{path}: takes {shapes}, not images of one size, as many as there are: a model whose encoding is "
            "no part of its file is of no use here"
        )
    return targets, units, metadata["suite"], shapes[0][1:]


def _refuse_other(model: Any, targets: int, path: Path) -> None:
    """Raise BenchError unless a model, as ONNX Runtime made it, gives as many numbers for an image as it names."""
    if model.takes != ("tensor(float)",) or model.gives != ("tensor(float)",):
        raise BenchError(f"{path}: takes {model.takes} and gives {model.gives}, not one tensor(float) each")
    if model.output_shape != (None, targets):
        raise BenchError(f"{path}: gives {model.output_shape} numbers for {targets} targets")


if __name__ == "__main__":
    serve(Request, predict_here, prepare=registry.onnx)
