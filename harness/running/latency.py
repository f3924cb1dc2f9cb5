"""ONNX Runtime timing, in a process that holds nothing else: `python -m harness.running.latency`.

Milliseconds compare models only on the machine and in the hour they were measured. So every model is timed in rounds
beside a fixed reference model, and the ratio of the two is what carries over: what slows the machine slows both.

The child is asked a `Request` and answers a `Result`.
"""

from __future__ import annotations

import contextlib
import gc
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness import registry
from harness.errors import BenchError
from harness.judging.timing import Latency, Timing
from harness.protocol import Images, OnProgress
from harness.running.apart import ask
from harness.running.child import serve
from harness.running.guard import Limits

Run = Callable[[], object]
Clock = Callable[[], int]
Nanoseconds = NDArray[np.int64]

_MOST_PIXELS = 2**30
_LARGEST_BATCH = 2**16
_REFERENCE = ""  # no file has this name


class LatencyError(BenchError):
    """Nothing could be timed: the reference model does not run as asked, or the process that times died."""


class LatencySettings(msgspec.Struct, frozen=True):
    """How to time: per model and batch until `runs` are done or `seconds` spent, but never fewer than `least_runs`.

    `threads` within an operator of ONNX Runtime; `warm_up` untimed runs before the first; everything in `rounds`
    rounds whose order is shuffled with `seed`. Raises BenchError for a number that makes no measurement.
    """

    threads: int = 1
    batches: tuple[int, ...] = (1, 32)
    warm_up: int = 10
    runs: int = 1000
    seconds: float = 2.0
    least_runs: int = 20
    rounds: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.threads, self.warm_up, self.runs, self.least_runs, *self.batches) < 1 or self.seconds <= 0:
            raise BenchError("threads, batches, warm-up, runs and seconds must be positive")
        if max(self.batches, default=1) > _LARGEST_BATCH:
            raise BenchError(f"batches of at most {_LARGEST_BATCH} images are timed")
        if not self.batches:
            raise BenchError("batches must be one size or more")
        if self.rounds < 2:
            raise BenchError("rounds must be at least 2: the spread of the ratio is one over rounds")


SMOKE = LatencySettings(warm_up=2, runs=30, seconds=0.2, least_runs=6, rounds=3)
"""Shows that timing works; its figures are not worth quoting."""


class Request(msgspec.Struct, frozen=True):
    """What the child is asked to time: paths of ONNX files by name."""

    models: dict[str, str]
    settings: LatencySettings


class Result(msgspec.Struct, frozen=True):
    """What the child answers."""

    latencies: dict[str, Latency]


# --- the measuring, which knows neither files nor ONNX --------------------------------------------------------------


def time_interleaved(
    runs: Mapping[str, Run],
    settings: LatencySettings,
    on_round: Callable[[], None],
    clock: Clock = time.perf_counter_ns,
) -> dict[str, list[Nanoseconds]]:
    """Duration of each run, by name and round. Each round takes every name once, in an order shuffled anew."""
    draw = np.random.default_rng(settings.seed)
    names = list(runs)
    durations: dict[str, list[Nanoseconds]] = {name: [] for name in names}
    for _ in range(settings.rounds):
        for index in draw.permutation(len(names)):
            with _without_garbage_collection():
                durations[names[index]].append(_time_share(runs[names[index]], settings, clock))
        on_round()
    return durations


def _time_share(run: Run, settings: LatencySettings, clock: Clock) -> Nanoseconds:
    """One round's share of a model's runs, back to back."""
    most = -(-settings.runs // settings.rounds)
    least = min(most, -(-settings.least_runs // settings.rounds))
    budget = settings.seconds * 1e9 / settings.rounds
    durations: list[int] = []
    run()  # the other models had the caches meanwhile
    begin = now = clock()
    while len(durations) < least or (len(durations) < most and now - begin < budget):
        before = clock()
        run()
        now = clock()
        durations.append(now - before)
    return np.array(durations, np.int64)


def summarise(
    rounds: Sequence[Nanoseconds], reference_rounds: Sequence[Nanoseconds], batch: int, threads: int
) -> Timing:
    """The `Timing` of a model from its durations in each round and the reference model's in the same rounds."""
    milliseconds = np.concatenate(rounds) / 1e6
    p50, p90, p99 = np.percentile(milliseconds, (50, 90, 99)).tolist()
    ratios = [np.median(own) / np.median(other) for own, other in zip(rounds, reference_rounds, strict=True)]
    low, ratio, high = np.percentile(ratios, (10, 50, 90)).tolist()
    return Timing(
        batch=batch,
        threads=threads,
        runs=len(milliseconds),
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        throughput=1e3 * batch / p50,
        ratio=ratio,
        ratio_spread=(high - low) / ratio,
    )


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# --- ONNX files -----------------------------------------------------------------------------------------------------


def measure(models: Mapping[str, Path], settings: LatencySettings, on_progress: OnProgress) -> dict[str, Latency]:
    """Time every model in this process, beside the reference model; `measure_apart` does it in a fresh one.

    What is wrong with one model becomes its `reason` and the others go on; `on_progress` is told of each round. Raises
    LatencyError where the reference model does not run with these settings.
    """
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "reference.onnx"
        registry.onnx().write_reference(reference)
        runs, reasons = _prepare({_REFERENCE: reference, **models}, settings)
    if _REFERENCE in reasons:
        raise LatencyError(f"the reference model cannot be timed: {reasons[_REFERENCE]}")
    done, total = 0, settings.rounds * len(settings.batches)

    def on_round() -> None:
        nonlocal done
        done += 1
        on_progress(done, total)

    timings: dict[str, list[Timing]] = {name: [] for name in runs}
    for position, batch in enumerate(settings.batches):
        durations = time_interleaved({name: own[position] for name, own in runs.items()}, settings, on_round)
        for name, rounds in durations.items():
            timings[name].append(summarise(rounds, durations[_REFERENCE], batch, settings.threads))
    return {
        name: Latency(reason=reasons[name]) if name in reasons else Latency(tuple(timings[name])) for name in models
    }


def _prepare(models: Mapping[str, Path], settings: LatencySettings) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """A warmed-up run for each batch size of every model that has them, and the reason why of every other."""
    runs: dict[str, list[Run]] = {}
    reasons: dict[str, str] = {}
    for name, path in models.items():
        try:
            model = registry.onnx().open_model(path, settings.threads)
            if model.threads != settings.threads:
                raise BenchError(f"asked for {settings.threads} threads, but ONNX Runtime uses {model.threads}")
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
    """Random zeros and ones (batch, height, width, channel), float32; in `input_shape`, None stands for a free length.

    Raises BenchError unless all but the batch size is fixed and the batch size is free or right.
    """
    size = tuple(input_shape[1:])
    if len(size) != 3 or None in size:
        raise BenchError(f"takes {tuple(input_shape)}, not a batch of images (height, width, channel) of fixed size")
    if input_shape[0] not in (None, batch):
        raise BenchError(f"takes {input_shape[0]} images at a time, not {batch}: export it with a free batch size")
    shape = (batch, *(int(length) for length in size if length is not None))
    if math.prod(shape) > _MOST_PIXELS:
        raise BenchError(
            f"takes {batch} images of {'x'.join(map(str, size))}: 4 GiB of them are the most that is timed"
        )
    return np.random.default_rng(seed).integers(2, size=shape).astype(np.float32)


# --- the process that holds nothing else ----------------------------------------------------------------------------


def measure_apart(
    models: Mapping[str, Path], settings: LatencySettings, limits: Limits, on_progress: OnProgress
) -> dict[str, Latency]:
    """Time every model in a fresh interpreter.

    Raises LatencyError, with the limit that it broke or its last words, where that one is stopped or dies.
    """
    request = Request({name: str(path) for name, path in models.items()}, settings)
    try:
        return ask("harness.running.latency", request, Result, limits, on_progress, settings.threads).latencies
    except BenchError as error:
        raise LatencyError(f"timing: {error}") from None


def _answer(request: Request, on_progress: OnProgress) -> Result:
    models = {name: Path(path) for name, path in request.models.items()}
    return Result(measure(models, request.settings, on_progress))


if __name__ == "__main__":
    serve(Request, _answer, prepare=registry.onnx)
