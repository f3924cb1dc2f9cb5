"""`bench gradcam`: where on its test images a trained network looks: `python -m harness.running.gradcam`, in a process
that holds the model's framework alone.

A map is bright where what the last convolution sees pushes an answer up (Selvaraju et al. 2017, "Grad-CAM").
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness import registry
from harness.errors import BenchError
from harness.judging.maps import Deletion, Mapped, deletion
from harness.judging.records import Cell, Record
from harness.judging.store import Store
from harness.model.architecture import Imported, Network
from harness.model.variants import Search
from harness.model.weights import load_weights
from harness.protocol import Dataset, Images, Model, OnProgress, Targets, Task
from harness.running import data
from harness.running.apart import ask
from harness.running.child import serve
from harness.running.fields import centres, last_convolution, onto_image
from harness.running.guard import Limits
from harness.running.launch import device_variables
from harness.running.view import deviation, view

_AT_A_TIME = 32
_ROUNDING = 1e-3  # of the largest prediction: what another processor may do to it


class Request(msgspec.Struct, frozen=True):
    """What the child is asked: a trained cell, the network that it is of, its weights and what they predicted, where
    its data are, which target to look at, "" where that is to be found out, and how many images to show.
    """

    cell: Cell
    network: Network
    weights: str
    predicted: tuple[tuple[float, ...], ...]
    source: data.DataSource
    target: str
    shown: int


class Found(msgspec.Struct, frozen=True):
    """What the child answers: maps by `layer`, of `size` pixels, of some of the images `tested`; and what deletion does
    to the answers for all of them, None where every map is zero.
    """

    title: str
    layer: str
    size: tuple[int, int]
    images: list[Mapped]
    tested: int
    deletion: Deletion | None


def look(model: Path, source: data.DataSource, target: str, shown: int, on_progress: OnProgress) -> Found:
    """Maps of the test images of a model's data set, of so many the pictures.

    `model` is a file that `bench run` wrote, of weights or ONNX, beside its records. Raises BenchError for a model that
    has none, that does not convolve or is somebody's code, that is of other data or answers otherwise than its record,
    and where several targets are there and none is named.
    """
    record, place = _record(model)
    cell, weights = record.cell, place.with_name(f"{record.cell.file_stem}.safetensors")
    registry.refuse_others((cell.suite,), source.options)
    network = _network(record)
    if last_convolution(network) is None:
        raise BenchError(f"{cell.title}: has no convolution, so there is no map of where it looks")
    if not weights.is_file():
        raise BenchError(f"{weights}: there are no such weights: `bench run` writes them beside the ONNX file")
    if lacking := registry.missing(cell.backend):
        raise BenchError(f"{cell.title}: was trained with {' and '.join(lacking)}, which is not installed")
    assert record.held_out is not None
    request = Request(cell, network, str(weights), record.held_out.predictions, source, target, shown)
    return ask("harness.running.gradcam", request, Found, Limits(), on_progress, about=f"{cell.title}: ")


def _record(model: Path) -> tuple[Record, Path]:
    """The record of a model by where its file lies, and that place: as it is named, for folders may be links, or where
    a link to it leads. Raises BenchError where there is none.
    """
    for place in (Path(os.path.abspath(model)), model.resolve()):
        suite, stem = place.parent.name, place.name.removesuffix(place.suffix)
        if suite in registry.names("suites") and place.parents[1].name == "models":
            for record in reversed(Store(place.parents[2], suite).trainings()):
                if record.status == "ok" and record.cell.file_stem == stem:
                    return record, place
    raise BenchError(
        f"model={model}: has no record: name a file where `bench run` wrote it, in models/<suite> of a results folder"
    )


def _network(record: Record) -> Network:
    """What was trained, or selected. Raises BenchError where that is no network whose layers are known."""
    architecture = record.cell.architecture
    if isinstance(architecture, Search) and record.searched:
        architecture = architecture.configurations[record.searched.selected].architecture
    if isinstance(architecture, Imported):
        raise BenchError(
            f"{record.cell.title}: the layers of a user's own code are not known, so neither is its last convolution"
        )
    if not isinstance(architecture, Network):
        raise BenchError(f"{record.cell.title}: is not a network, so it has no convolution")
    return architecture


# --- the process that holds the framework -----------------------------------------------------------------------------


def look_here(request: Request, on_progress: OnProgress) -> Found:
    """Look in this process. Raises BenchError as `look`."""
    cell, suite = request.cell, registry.suite(request.cell.suite)
    dataset = request.source.load(suite)
    whole = data.split_of(suite, dataset)
    if (dataset.fingerprint(), whole.fingerprint()) != cell.question:
        raise BenchError(
            f"{cell.title}: was trained on data '{cell.data}', not on these: give data= and its options "
            "as for `bench run`"
        )
    split = whole.first(cell.originals).first(cell.settings.originals)
    met = view(suite, dataset, split, cell.encoding, cell.decoding, cell.settings.averaged)
    chosen = _target(request.target, met.met)
    model, rows = _built(request, data.task(suite, met.met, split, cell.settings)), split.test
    _refuse_other(request, met.predict(model, dataset.images[rows]), dataset.units)
    images, answers = met.met.images[rows], model.predict(met.met.images[rows])
    of = np.full(len(rows), chosen) if chosen is not None else answers.argmax(axis=1)
    layer = last_convolution(request.network)
    assert layer is not None
    raw = _maps(registry.gradcam(cell.backend).maps, model, layer, images, of, on_progress)
    maps = onto_image(raw, *centres(request.network, layer), *images.shape[1:3])
    truths = met.met.targets[rows]
    seen = _spread(truths, of, request.shown, met.met.classes)
    return Found(
        title=cell.title,
        layer=layer,
        size=raw.shape[1:],
        images=[
            Mapped(
                name=dataset.ids[rows[place]],
                target=met.met.target_names[of[place]],
                unit=met.met.units[of[place]],
                answer=float(answers[place, of[place]]),
                truth=float(truths[place, of[place]]),
                true_class=met.met.target_names[truths[place].argmax()] if met.met.classes else "",
                image=images[place, :, :, 0].tolist(),
                map=maps[place].tolist(),
            )
            for place in seen
        ],
        tested=len(rows),
        deletion=deletion(model.predict, images, maps, of, dataset.clustered(rows)),
    )


def _target(word: str, met: Dataset) -> int | None:
    """The number of the target to look at; None where it is the class that is answered. Raises BenchError where there
    are several and none is named, and for one that is none.
    """
    names = met.target_names
    if word:
        if word not in names:
            raise registry.unknown(word, names, "target of this model")
        return names.index(word)
    if met.classes:
        return None
    if len(names) > 1:
        raise BenchError(f"target=: this model answers {', '.join(names)}: name the one whose map to draw")
    return 0


def _built(request: Request, task: Task) -> Model:
    cell = request.cell
    backend = registry.backend(cell.backend)
    backend.configure(1, "cpu")
    variant = msgspec.structs.replace(cell.as_variant(), architecture=request.network)
    model = backend.build(variant, task, cell.seed)
    model.set_weights(load_weights(Path(request.weights)))
    return model


def _refuse_other(request: Request, predicted: Targets, units: Sequence[str]) -> None:
    """Raise BenchError unless a model predicts what its record says."""
    if not deviation(predicted, np.array(request.predicted), units) <= _ROUNDING:
        raise BenchError(f"{request.weights}: not the weights of the record, whose predictions differ")


def _spread(truths: Targets, of: NDArray[np.intp], count: int, classes: bool) -> list[int]:
    """So many images, or all: of classes as many of each while there are any; of numbers from the least to the most."""
    rows = np.arange(len(of))
    if classes:
        number_in_class = (np.cumsum(truths, axis=0) * truths).sum(axis=1)
        return sorted(np.argsort(number_in_class, kind="stable")[:count].tolist(), key=lambda row: truths[row].argmax())
    ordered = np.argsort(truths[rows, of], kind="stable").tolist()
    return [ordered[place] for place in np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))]


def _maps(
    make: Callable[[Model, str, Images], NDArray[np.float64]],
    model: Model,
    layer: str,
    images: Images,
    of: NDArray[np.intp],
    on_progress: OnProgress,
) -> NDArray[np.float64]:
    """(n, h, w) the map of each image, of the target that `of` numbers."""
    found = []
    for start in range(0, len(images), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        made = make(model, layer, images[part])
        found.append(np.take_along_axis(made, of[part, None, None, None], axis=3)[..., 0].astype(np.float64))
        on_progress(min(start + _AT_A_TIME, len(images)), len(images))
    return np.concatenate(found)


if __name__ == "__main__":
    os.environ.update(device_variables("cpu"))
    serve(Request, look_here, prepare=lambda: None)
