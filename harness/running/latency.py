"""ONNX Runtime timing, in a process that holds nothing else: `python -m harness.running.latency`.

Milliseconds compare models only on the machine and in the hour they were measured. So every model is timed in rounds
beside a fixed reference model, and the ratio of the two is what carries over; `rounds` says when it is known.

The child is asked a `Request` and answers a `Result`.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from harness import registry
from harness.errors import BenchError
from harness.judging.timing import Latency, Timing
from harness.protocol import Images, OnProgress
from harness.running.apart import ask
from harness.running.child import serve
from harness.running.guard import Limits
from harness.running.rounds import LatencySettings, Run, summarise, time_in_rounds

_MOST_PIXELS = 2**30
_REFERENCE = ""  # no file has this name


class LatencyError(BenchError):
    """Nothing could be timed: the reference model does not run as asked, or the process that times died."""


class Request(msgspec.Struct, frozen=True):
    """What the child is asked to time: paths of ONNX files by name, and the names of those that OpenVINO runs."""

    models: dict[str, str]
    settings: LatencySettings
    in_openvino: tuple[str, ...] = ()


class Result(msgspec.Struct, frozen=True):
    """What the child answers."""

    latencies: dict[str, Latency]


# --- ONNX files -----------------------------------------------------------------------------------------------------


def measure(
    models: Mapping[str, Path],
    settings: LatencySettings,
    on_progress: OnProgress,
    in_openvino: Collection[str] = (),
) -> dict[str, Latency]:
    """Time every model in this process, beside the reference model; `measure_apart` does it in a fresh one. ONNX
    Runtime runs them, but OpenVINO those whose names are `in_openvino`.

    What is wrong with one model becomes its `reason` and the others go on; `on_progress` is told of each round, as
    `time_in_rounds` does. Raises LatencyError where the reference model does not run with these settings.
    """
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "reference.onnx"
        registry.onnx().write_reference(reference)
        runs, reasons = _prepare({_REFERENCE: reference, **models}, settings, in_openvino)
    if _REFERENCE in reasons:
        raise LatencyError(f"the reference model cannot be timed: {reasons[_REFERENCE]}")
    reference_runs = runs.pop(_REFERENCE)
    timings: dict[str, list[Timing]] = {name: [] for name in runs}
    for position, batch in enumerate(settings.batches):

        def tell(done: int, total: int, before: int = position) -> None:
            on_progress(before * total + done, len(settings.batches) * total)

        own = {name: of_model[position] for name, of_model in runs.items()}
        for name, rounds in time_in_rounds(own, reference_runs[position], settings, tell).items():
            timings[name].append(summarise(rounds, batch, settings.threads))
    return {
        name: Latency(reason=reasons[name]) if name in reasons else Latency(tuple(timings[name])) for name in models
    }


def _prepare(
    models: Mapping[str, Path], settings: LatencySettings, in_openvino: Collection[str]
) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """A warmed-up run for each batch size of every model that has them, and the reason why of every other."""
    runs: dict[str, list[Run]] = {}
    reasons: dict[str, str] = {}
    for name, path in models.items():
        try:
            engine, told = registry.onnx(), "ONNX Runtime"
            if name in in_openvino:
                engine, told = registry.openvino(), "OpenVINO"
            model = engine.open_model(path, settings.threads)
            if model.threads != settings.threads:
                raise BenchError(f"asked for {settings.threads} threads, but {told} uses {model.threads}")
            runs[name] = [_warm(model, batch, settings) for batch in settings.batches]
        except Exception as error:  # whatever ONNX Runtime raises, the others go on
            # Reasons are published, and folders are nobody's business.
            told = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
            reasons[name] = told.replace(str(path), path.name)
    return runs, reasons


def _warm(model: Any, batch: int, settings: LatencySettings) -> Run:
    images = two_valued_images(model.input_shape, batch, settings.seed)
    for _ in range(settings.warm_up):
        model.run(images)
    return lambda: model.run(images)


def two_valued_images(input_shape: Sequence[int | None], batch: int, seed: int) -> Images:
    """Random zeros and ones (batch, height, width, channel), float32, or (batch, k) for a model that takes what images
    are encoded to; in `input_shape`, None stands for a free length.

    Raises BenchError unless all but the batch size is fixed and the batch size is free or right.
    """
    size = tuple(input_shape[1:])
    if len(size) not in (1, 3) or None in size:
        raise BenchError(f"takes {tuple(input_shape)}, not a batch of images (height, width, channel) of fixed size")
    if input_shape[0] not in (None, batch):
        raise BenchError(f"takes {input_shape[0]} images at a time, not {batch}: export it with a free batch size")
    shape = (batch, *(int(length) for length in size if length is not None))
    if math.prod(shape) > _MOST_PIXELS:
        raise BenchError(
            f"takes {batch} images of {'x'.join(map(str, size))}: batches of more than 4 GiB are not timed"
        )
    return np.random.default_rng(seed).integers(2, size=shape).astype(np.float32)


# --- the process that holds nothing else ----------------------------------------------------------------------------


def measure_apart(
    models: Mapping[str, Path],
    settings: LatencySettings,
    limits: Limits,
    on_progress: OnProgress,
    in_openvino: Collection[str] = (),
) -> dict[str, Latency]:
    """Time every model in a fresh interpreter.

    Raises LatencyError, with the limit that it broke or its last words, where that one is stopped or dies.
    """
    request = Request({name: str(path) for name, path in models.items()}, settings, tuple(in_openvino))
    try:
        return ask("harness.running.latency", request, Result, limits, on_progress, settings.threads).latencies
    except BenchError as error:
        raise LatencyError(f"timing: {error}") from None


def _answer(request: Request, on_progress: OnProgress) -> Result:
    models = {name: Path(path) for name, path in request.models.items()}
    return Result(measure(models, request.settings, on_progress, request.in_openvino))


if __name__ == "__main__":
    serve(Request, _answer, prepare=registry.onnx)
