"""`bench deploy`: what an exported model loses and gains in a cheaper runtime: `python -m harness.running.deploy`.

The child makes the lighter files and scores them; they are timed as every model is, in a process of their own. Float16
is a size and not timed: on a processor ONNX Runtime computes it in float32, and casts on the way.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from harness import disk, provenance, registry
from harness.environment import observe, usable_memory_gib
from harness.errors import BenchError
from harness.judging.outlines import Shelf
from harness.judging.records import SCHEMA, Deployment, Record, Runtime
from harness.judging.standing import comparable, standing
from harness.judging.store import Store
from harness.judging.timing import Latency
from harness.protocol import Dataset, Images, OnProgress, Split, Targets
from harness.running.apart import Stopped, ask
from harness.running.calibration import KEY, calibrated, number_of_descriptors, of_file
from harness.running.child import serve
from harness.running.data import DataSource, split_of
from harness.running.guard import Limits
from harness.running.latency import LatencyError, measure_apart
from harness.running.rounds import LatencySettings
from harness.running.run import exported
from harness.running.worker import now
from harness.text import Hash, one_line


class Request(msgspec.Struct, frozen=True):
    """What the child is asked: an exported model, the data and split that it was made with, and what to make of it."""

    suite: str
    source: DataSource
    model: str
    data_hash: Hash
    split_hash: Hash
    runtimes: tuple[Runtime, ...]


class Made(msgspec.Struct, frozen=True):
    """A file and what it predicts of the test images, or why there is none."""

    runtime: Runtime
    file: str = ""
    bytes: int = 0
    predictions: tuple[tuple[float, ...], ...] = ()
    reason: str = ""


class Result(msgspec.Struct, frozen=True):
    """What the child answers."""

    made: list[Made]


def at_hand(results: Path, suite: str) -> dict[Path, Record]:
    """Of each row the record of the first seed, by its exported model, where that is the file that was recorded."""
    shelf = Shelf(Store(results, suite))
    good = [outline for outline in standing(shelf.outlines) if outline.status == "ok"]
    firsts = {path: first for first, *_ in comparable(good) if (path := exported(first, results))}
    return dict(zip(firsts, shelf.whole(list(firsts.values())), strict=True))


def deploy(
    results: Path,
    suite: str,
    source: DataSource,
    models: Mapping[Path, Record],
    runtimes: Sequence[Runtime],
    on_progress: OnProgress,
    settings: LatencySettings | None = None,
) -> Iterator[tuple[Record, Deployment]]:
    """Make, score, time and record of these models, one after the other, what is not recorded yet of this machine,
    these versions and this code. What failed is tried again, and a lighter file that is not here is made again; one of
    an earlier model is taken away first, for a new one may fail.
    """
    store, limits = Store(results, suite), Limits(memory_gib=usable_memory_gib())
    good = [deployment for deployment in store.deployments() if not deployment.failed]
    known = {(d.key, d.sha256, d.runtime) for d in good}
    done = {(d.key, d.sha256, d.runtime) for d in good if _as_here(d)}
    for path, record in models.items():
        assert record.onnx
        place = record.key, record.onnx.sha256
        if not (left := tuple(r for r in runtimes if (*place, r) not in done or not _place(path, r).is_file())):
            continue
        for runtime in left:
            if (*place, runtime) not in known and (lighter := _place(path, runtime)) != path:
                lighter.unlink(missing_ok=True)
        started = now()
        request = Request(suite, source, str(path), record.cell.data_hash, record.cell.split_hash, left)
        made = _made_apart(request, limits, on_progress)
        timed = _timed(path.parent, made, limits, on_progress, settings or LatencySettings())
        for one in made:
            deployment = Deployment(
                schema=SCHEMA,
                key=record.key,
                sha256=record.onnx.sha256,
                runtime=one.runtime,
                started=started,
                environment=observe(),
                source=provenance.source_of_deployment(),
                bytes=one.bytes,
                predictions=one.predictions,
                latency=timed.get(one.runtime),
                reason=one.reason,
            )
            store.append(deployment)
            yield record, deployment


def _made_apart(request: Request, limits: Limits, on_progress: OnProgress) -> list[Made]:
    """What the child answers; over whatever ends it, each runtime has one of its own, so that the others go on."""
    try:
        return ask("harness.running.deploy", request, Result, limits, on_progress).made
    except Stopped as error:
        if len(request.runtimes) == 1:
            return [Made(request.runtimes[0], reason=_placeless(str(error), Path(request.model).parent))]
    alone = (msgspec.structs.replace(request, runtimes=(runtime,)) for runtime in request.runtimes)
    return [made for one in alone for made in _made_apart(one, limits, on_progress)]


def _as_here(deployment: Deployment) -> bool:
    then, here, source = deployment.environment, observe(), provenance.source_of_deployment()
    made_alike = all(then.versions.get(name) == here.versions.get(name) for name in ("onnx", "openvino"))
    return made_alike and not provenance.differences("onnx", then, deployment.source, here, source)


def _timed(
    folder: Path, made: Sequence[Made], limits: Limits, on_progress: OnProgress, settings: LatencySettings
) -> dict[str, Latency]:
    models: dict[str, Path] = {
        one.runtime: folder / one.file for one in made if one.runtime != "float16" and not one.reason
    }
    return _timed_apart(models, limits, on_progress, settings) if models else {}


def _timed_apart(
    models: Mapping[str, Path], limits: Limits, on_progress: OnProgress, settings: LatencySettings
) -> dict[str, Latency]:
    """How long each takes; over whatever ends the process that times, each has one of its own."""
    in_openvino = [runtime for runtime in models if runtime == "openvino"]
    try:
        return measure_apart(models, settings, limits, on_progress, in_openvino)
    except LatencyError as error:
        if len(models) == 1:
            return {name: Latency(reason=_placeless(str(error), path.parent)) for name, path in models.items()}
    alone = (_timed_apart({name: path}, limits, on_progress, settings) for name, path in models.items())
    return {name: latency for one in alone for name, latency in one.items()}


# --- the process that makes and scores ------------------------------------------------------------------------------


def make(request: Request, on_progress: OnProgress) -> Result:
    """Make and score in this process."""
    suite, source = registry.suite(request.suite), Path(request.model)
    dataset = request.source.load(suite)
    split = split_of(suite, dataset)
    foreign = ""
    if (dataset.fingerprint(), split.fingerprint()) != (request.data_hash, request.split_hash):
        foreign = "it was made with other data, or another split of them"
    elif len(registry.onnx().OnnxFile(source).input_shapes[0]) != 4:
        foreign = "it takes what images are encoded to, and an encoding is not part of its file"
    made = []
    for number, runtime in enumerate(request.runtimes, 1):
        made.append(Made(runtime, reason=foreign) if foreign else _made(source, runtime, dataset, split))
        on_progress(number, len(request.runtimes))
    return Result(made)


def _made(source: Path, runtime: Runtime, dataset: Dataset, split: Split) -> Made:
    try:
        path = _file(source, runtime, dataset.images[split.validation], dataset.targets[split.validation])
        opener = registry.openvino() if runtime == "openvino" else registry.onnx()
        predictions: Targets = opener.open_model(path).predict(dataset.images[split.test])
    except Exception as error:  # whatever the tools raise over a graph that they do not know
        told = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
        return Made(runtime, reason=_placeless(told, source.parent))
    if predictions.shape != (len(split.test), len(dataset.target_names)):
        return Made(runtime, reason=f"it gave {predictions.shape} numbers for {len(split.test)} images")
    if bad := _not_finite(predictions):
        return Made(runtime, reason=f"{bad} of {len(predictions)} predictions are not finite")
    rows = tuple(tuple(float(f"{value:.10g}") for value in row) for row in predictions)
    return Made(runtime, path.name, path.stat().st_size, rows)


def _not_finite(predictions: Targets) -> int:
    """How many rows hold what is no number."""
    return int((~np.isfinite(predictions)).any(axis=1).sum())


def _placeless(reason: str, folder: Path) -> str:
    """Its first line without folders, for records are published."""
    for place in (folder, Path(tempfile.gettempdir())):
        reason = reason.replace(f"{place}{os.sep}", "")
    return one_line(reason.splitlines()[0])[:300] if reason else "it failed without a word"


def _file(source: Path, runtime: Runtime, images: Images, truth: Targets) -> Path:
    """The file that the runtime takes, made where it is not the exported one; of the validation images."""
    lighter, target = registry.lighter(), _place(source, runtime)
    if target == source:
        return source
    with disk.replacing(target) as fresh:
        if runtime == "int8":
            lighter.to_int8(source, fresh, images)
        else:
            lighter.to_float16(source, fresh)
        _calibrate(fresh, images, truth)
    return target


def _place(source: Path, runtime: Runtime) -> Path:
    """Where the file lies that the runtime takes, whether it is there or not."""
    return source.with_suffix(f".{runtime}.onnx") if runtime in ("int8", "float16") else source


def _calibrate(path: Path, images: Images, truth: Targets) -> None:
    """Have a lighter file know of its own errors, not of those of the model that it was made of: its intervals would
    hold fewer truths than they say. Raises BenchError where it has no finite answer for a validation image.
    """
    onnx = registry.onnx()
    file = onnx.OnnxFile(path)
    known = of_file(file.metadata, number_of_descriptors(*images.shape[1:3]), truth.shape[1])
    if known is None:
        return
    predictions = file.open().predict(images)
    if bad := _not_finite(predictions):
        raise BenchError(f"{bad} of {len(predictions)} validation predictions are not finite")
    alike = np.zeros((1, 1))  # what images are like is known of the file already
    widths = calibrated(predictions, truth, alike, alike, known.classes).widths
    told = msgspec.json.encode(msgspec.structs.replace(known, widths=widths)).decode()
    onnx.annotate(path, {**file.metadata, KEY: told})


if __name__ == "__main__":
    serve(Request, make, prepare=registry.lighter)
