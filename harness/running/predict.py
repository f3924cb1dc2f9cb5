"""`bench predict`: a trained model on a folder of images, in a process of its own: `python -m harness.running.predict`.

A model may come from anywhere. The child alone reads it; what is written follows from what the child answers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from harness import registry
from harness.disk import free_place, write_whole
from harness.errors import BenchError
from harness.protocol import Facts, Images, OnProgress, Suite, Targets
from harness.running.apart import ask
from harness.running.calibration import Calibration, number_of_descriptors, of_file
from harness.running.child import serve
from harness.running.guard import Limits
from harness.text import Label, Name, harmless


class Request(msgspec.Struct, frozen=True):
    """What the child is asked: a model, and the folder of images to predict with it."""

    model: str
    images: str


class Predicted(msgspec.Struct, frozen=True):
    """What the child answers, of each image that could be read: its name, a finite number for each target, in its unit,
    and what is known of these: the ends of an interval of 90 % for each, or the most probable class and a set of them;
    how far apart the image is from those that the model was trained on (flagged above 1); and the suite's own figures.
    Empty where a model does not know. `unread` says why other images could not be read.
    """

    targets: list[Name]
    units: list[Label]
    names: list[str]
    rows: list[list[float]]
    unread: dict[str, str] = {}
    low: list[list[float]] = []
    high: list[list[float]] = []
    classes: list[str] = []
    sets: list[str] = []
    distances: list[float] = []
    figures: dict[Name, list[float]] = {}


LEVEL = 0.9
"""How many in a hundred new images like those of the data set have their truth inside."""

_IMAGES = {".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".jp2", ".heic"}
_OTHER_TABLES = {".parquet", ".feather", ".xlsx", ".xls", ".ods", ".json", ".tsv", ".html", ".gz", ".zip"}
_PERCENT = f"{100 * LEVEL:.0f}"


def predict(model_file: Path, images: Path, out: Path, limits: Limits, on_progress: OnProgress) -> Predicted:
    """Write one row per image of the folder `images` to the CSV `out`: its name, each target in its unit, and what the
    model knows of these (`Predicted`). An image that cannot be read has a row that says why.

    The model must be one that `bench run` exported: its metadata name suite, targets and unit. Returns what was
    written; `on_progress` is told how many images are done. Raises BenchError for another model, for one that takes
    more than its limits, for a folder without a usable image, and where `out` is called as another kind of table or
    something is in its place; nothing is written then.
    """
    if out.suffix.lower() in _OTHER_TABLES:
        raise BenchError(f"out={out}: a CSV is what is written: call it {out.stem.removesuffix('.csv')}.csv")
    free_place("out", out)
    request = Request(str(model_file), str(images))
    predicted = ask("harness.running.predict", request, Predicted, limits, on_progress, about=f"{model_file}: ")
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_table(predicted))
    write_whole(free_place("out", out), text.getvalue())  # looked at again: that may have taken hours
    return predicted


def _table(predicted: Predicted) -> Iterator[list[str]]:
    """Rows of cells, the header first; images that could not be read come last."""
    ours: dict[str, list[str]] = {}
    for head, cells in (("class", predicted.classes), (f"classes_{_PERCENT}", predicted.sets)):
        ours |= {head: cells} if cells else {}
    ours |= {name: [f"{value:.6g}" for value in values] for name, values in predicted.figures.items()}
    if predicted.distances:
        ours["distance"] = [f"{distance:.3g}" for distance in predicted.distances]
        ours["unlike_training"] = [str(distance > 1).lower() for distance in predicted.distances]
    if predicted.unread:
        ours["problem"] = [""] * len(predicted.names)
    heads = _heads(predicted, {"image", *ours})
    columns = _numbers(heads, predicted.rows)
    columns += _numbers([f"{head}_low_{_PERCENT}" for head in heads], predicted.low)
    columns += _numbers([f"{head}_high_{_PERCENT}" for head in heads], predicted.high)
    yield ["image", *(head for head, _ in columns), *ours]
    names = [harmless(name) for name in predicted.names]
    yield from map(list, zip(names, *(cells for _, cells in columns), *ours.values(), strict=True))
    for name, why in predicted.unread.items():
        yield [harmless(name), *[""] * (len(columns) + len(ours) - 1), harmless(why)]


def _heads(predicted: Predicted, taken: set[str]) -> list[str]:
    """A head for each target, with its unit; a target may be called as a column of ours is, or as another with its
    unit.
    """
    heads = [f"{t}_{u}".rstrip("_") for t, u in zip(predicted.targets, predicted.units, strict=True)]
    alone = [head not in taken and heads.count(head) == 1 for head in heads]
    return [
        head if own else f"predicted_{name}" for head, name, own in zip(heads, predicted.targets, alone, strict=True)
    ]


def _numbers(heads: Sequence[str], rows: Sequence[Sequence[float]]) -> list[tuple[str, list[str]]]:
    """A column for each head, none where there are no rows."""
    return [(head, [f"{row[place]:.6g}" for row in rows]) for place, head in enumerate(heads) if rows]


def predict_here(request: Request, on_progress: OnProgress) -> Predicted:
    """Predict in this process. Raises BenchError for another model than `predict` takes, and where no image is usable.

    What the file and the headers of the images say is judged before ONNX Runtime makes anything of the model.
    """
    path = Path(request.model)
    file = registry.onnx().OnnxFile(path)
    targets, units, suite, size, facts = _says(file, path)
    try:
        known = of_file(file.metadata, number_of_descriptors(*size[:2]), len(targets))
    except BenchError as error:
        raise BenchError(f"{path}: {error}") from None
    folder = Path(request.images)
    images, names, unread = registry.suite(suite).read_images(folder, size, facts)
    unread = unread | _others(folder, {*names, *unread}, suite)
    if not len(images):
        first, why = next(iter(unread.items()))
        more = f" ({len(unread) - 1} others are not, either)" * (len(unread) > 1)
        raise BenchError(f"{request.images}: no image is usable; {first}: {why}{more}")
    model = file.open()
    _refuse_other(model, len(targets), path)
    predictions = model.predict(images, on_progress)
    if predictions.shape != (len(names), len(targets)):
        raise BenchError(f"{path}: gave {predictions.shape} numbers for {len(names)} images of {len(targets)} targets")
    if unknown := int((~np.isfinite(predictions)).any(axis=1).sum()):
        raise BenchError(f"{path}: has no finite answer for {unknown} of {len(names)} images")
    found = Predicted(targets, units, list(names), predictions.tolist(), unread)
    found = msgspec.structs.replace(found, figures=_figures(registry.suite(suite), predictions, images, facts))
    return _with_errors(found, known, predictions, images) if known else found


def _others(folder: Path, known: Collection[str], suite: str) -> dict[str, str]:
    """What seems to be images of a folder, of kinds that the suite has not looked at: nobody is to miss their rows."""
    files = (path.name for path in folder.iterdir() if path.suffix.lower() in _IMAGES)
    names = sorted(name.encode("utf-8", "backslashreplace").decode() for name in files)
    why = f"suite {suite} does not read images of this kind: convert it"
    return {name: why for name in names if name not in known and not name.startswith(".")}


def _with_errors(found: Predicted, known: Calibration, predictions: Targets, images: Images) -> Predicted:
    """With what the model knows of its own errors."""
    found = msgspec.structs.replace(found, distances=known.distances(images).tolist())
    names = np.array(found.targets)
    if known.classes:
        found = msgspec.structs.replace(found, classes=names[predictions.argmax(axis=1)].tolist())
    if (widths := known.widths.get(f"{LEVEL:g}")) is None:
        return found
    if known.classes:
        sets = [" ".join(names[row].tolist()) for row in known.members(LEVEL, predictions)]
        return msgspec.structs.replace(found, sets=sets)
    half = np.array(widths)
    return msgspec.structs.replace(found, low=(predictions - half).tolist(), high=(predictions + half).tolist())


def _figures(suite: Suite, predictions: Targets, images: Images, facts: Facts) -> dict[str, list[float]]:
    """The suite's own figures of each prediction by itself, as far as they need no truth."""
    keys = [metric.key for metric in suite.METRICS if not metric.needs_truth]
    if not keys:
        return {}
    told = [
        suite.measure(one, one, image, facts) for one, image in zip(predictions[:, None], images[:, None], strict=True)
    ]
    return {key: [of[key] for of in told] for key in keys if all(key in of for of in told)}


def _says(file: Any, path: Path) -> tuple[list[str], list[str], str, tuple[int, ...], Facts]:
    """Targets, their units, suite, shape of one image, and facts of the data set, as a file names them.

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
        facts = msgspec.json.decode(metadata.get("facts", "{}").encode(), type=Facts)
    except msgspec.MsgspecError:
        raise BenchError(
            f"{path}: names targets or a unit that cannot be the head of a column, or facts that are none"
        ) from None
    shapes = file.input_shapes
    if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:] or shapes[0][0] is not None:
        raise BenchError(
            f"{path}: takes {shapes}, not images of one size, as many as there are: a model whose encoding is "
            "no part of its file is of no use here"
        )
    return targets, units, metadata["suite"], shapes[0][1:], facts


def _refuse_other(model: Any, targets: int, path: Path) -> None:
    """Raise BenchError unless a model, as ONNX Runtime made it, gives as many numbers for an image as it names."""
    if model.takes != ("tensor(float)",) or model.gives != ("tensor(float)",):
        raise BenchError(f"{path}: takes {model.takes} and gives {model.gives}, not one tensor(float) each")
    if model.output_shape != (None, targets):
        raise BenchError(f"{path}: gives {model.output_shape} numbers for {targets} targets")


if __name__ == "__main__":
    serve(Request, predict_here, prepare=registry.onnx)
