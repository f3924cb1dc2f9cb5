"""`bench deploy`: what an exported model loses and gains in a cheaper runtime: `python -m harness.running.deploy`.

The child makes the lighter files and scores them; they are timed as every model is, in a process of their own. Float16
is a size and not timed: on a processor ONNX Runtime computes it in float32, and casts on the way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from harness import disk, registry
from harness.environment import observe, usable_memory_gib
from harness.errors import BenchError
from harness.judging.records import SCHEMA, Deployment, Record, Runtime, Store, comparable, standing
from harness.judging.timing import Latency
from harness.protocol import Dataset, Images, OnProgress, Split, Targets
from harness.provenance import machine
from harness.running.apart import ask
from harness.running.child import serve
from harness.running.guard import Limits
from harness.running.latency import measure_apart
from harness.running.plan import DataSource, split_of
from harness.running.rounds import LatencySettings
from harness.running.worker import now
from harness.text import Hash


class Asked(msgspec.Struct, frozen=True):
    """The data that a model was made with, and what is to be made of it."""

    data_hash: Hash
    runtimes: tuple[Runtime, ...]


class Request(msgspec.Struct, frozen=True):
    """What the child is asked: of each exported model, by the stem of its file."""

    suite: str
    folder: str
    models: dict[str, Asked]


class Made(msgspec.Struct, frozen=True):
    """A file and what it predicts of the test images, or why there is none."""

    runtime: Runtime
    file: str = ""
    bytes: int = 0
    predictions: tuple[tuple[float, ...], ...] = ()
    reason: str = ""


class Result(msgspec.Struct, frozen=True):
    """What the child answers."""

    made: dict[str, list[Made]]


def deploy(
    results: Path,
    suite: str,
    chosen: Callable[[Record], bool],
    runtimes: Sequence[Runtime],
    on_progress: OnProgress,
    settings: LatencySettings | None = None,
) -> Iterator[tuple[Record, Deployment]]:
    """Make, score, time and record what is not recorded of this machine yet, for the first seed of each `chosen` row
    whose exported model is at hand. Raises BenchError where there is none.
    """
    store = Store(results, suite)
    models = {record.cell.file_stem: record for record in _at_hand(store, results, suite) if chosen(record)}
    if not models:
        raise BenchError(f"{suite}: none of the chosen models is in {results / 'models' / suite}: `bench run` first")
    wanted = _wanted(models, runtimes, store)
    if not wanted:
        return
    started, limits = now(), Limits(memory_gib=usable_memory_gib())
    request = Request(suite, str(results / "models" / suite), wanted)
    made = ask("harness.running.deploy", request, Result, limits, on_progress).made
    timed = _timed(results / "models" / suite, made, limits, on_progress, settings or LatencySettings())
    for stem, of_model in made.items():
        record = models[stem]
        assert record.onnx
        for one in of_model:
            deployment = Deployment(
                schema=SCHEMA,
                key=record.key,
                sha256=record.onnx.sha256,
                runtime=one.runtime,
                started=started,
                environment=observe(),
                bytes=one.bytes,
                predictions=one.predictions,
                latency=timed.get(f"{stem} {one.runtime}"),
                reason=one.reason,
            )
            store.append(deployment)
            yield record, deployment


def _wanted(models: dict[str, Record], runtimes: Sequence[Runtime], store: Store) -> dict[str, Asked]:
    """What is not recorded of this machine yet."""
    here = machine(observe())
    done = {(item.key, item.sha256, item.runtime) for item in store.deployments() if machine(item.environment) == here}
    wanted = {}
    for stem, record in models.items():
        assert record.onnx
        if left := tuple(one for one in runtimes if (record.key, record.onnx.sha256, one) not in done):
            wanted[stem] = Asked(record.cell.data_hash, left)
    return wanted


def _at_hand(store: Store, results: Path, suite: str) -> Iterator[Record]:
    """Of each row the record of the first seed, where its exported model is the file that was recorded."""
    good = [record for record in standing(store.trainings()) if record.status == "ok"]
    for record, *_ in comparable(good):
        if record.onnx:
            path = results / "models" / suite / record.onnx.file
            if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == record.onnx.sha256:
                yield record


def _timed(
    folder: Path, made: dict[str, list[Made]], limits: Limits, on_progress: OnProgress, settings: LatencySettings
) -> dict[str, Latency]:
    parts = [(f"{stem} {one.runtime}", one) for stem, of_model in made.items() for one in of_model]
    models = {name: folder / one.file for name, one in parts if one.runtime != "float16" and not one.reason}
    in_openvino = [name for name, one in parts if one.runtime == "openvino"]
    return measure_apart(models, settings, limits, on_progress, in_openvino) if models else {}


# --- the process that makes and scores ------------------------------------------------------------------------------


def make(request: Request, on_progress: OnProgress) -> Result:
    """Make and score in this process."""
    suite = registry.suite(request.suite)
    dataset = DataSource().load(suite)
    split, shipped = split_of(suite, dataset), dataset.fingerprint()
    made: dict[str, list[Made]] = {}
    for number, (stem, asked) in enumerate(request.models.items(), 1):
        source = Path(request.folder) / f"{stem}.onnx"
        foreign = "" if asked.data_hash == shipped else "it was made with other data than the suite ships"
        made[stem] = [
            Made(runtime, reason=foreign) if foreign else _made(source, runtime, dataset, split)
            for runtime in asked.runtimes
        ]
        on_progress(number, len(request.models))
    return Result(made)


def _made(source: Path, runtime: Runtime, dataset: Dataset, split: Split) -> Made:
    if len(registry.onnx().OnnxFile(source).input_shapes[0]) != 4:
        return Made(runtime, reason="it takes what images are encoded to, and an encoding is not part of its file")
    try:
        path = _file(source, runtime, dataset.images[split.validation])
        opener = registry.openvino() if runtime == "openvino" else registry.onnx()
        predictions: Targets = opener.open_model(path).predict(dataset.images[split.test])
    except BenchError as error:
        return Made(runtime, reason=str(error).replace(f"{source}: ", ""))
    except Exception as error:  # whatever the tools raise over a graph that they do not know
        return Made(runtime, reason=f"{type(error).__name__}: {error}".splitlines()[0][:300])
    rows = tuple(tuple(float(f"{value:.10g}") for value in row) for row in predictions)
    return Made(runtime, path.name, path.stat().st_size, rows)


def _file(source: Path, runtime: Runtime, images: Images) -> Path:
    """The file that the runtime takes, made where it is not the exported one."""
    lighter = registry.lighter()
    target = source.with_suffix(f".{runtime}.onnx")
    match runtime:
        case "int8":
            with disk.replacing(target) as fresh:
                lighter.to_int8(source, fresh, images)
        case "float16":
            with disk.replacing(target) as fresh:
                lighter.to_float16(source, fresh)
        case _:
            return source
    return target


if __name__ == "__main__":
    serve(Request, make, prepare=registry.lighter)
