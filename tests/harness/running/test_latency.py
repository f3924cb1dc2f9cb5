import gc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from harness import registry
from harness.running import latency
from harness.running.guard import Limits
from harness.running.latency import (
    SMOKE,
    LatencyError,
    LatencySettings,
    measure,
    measure_apart,
    summarise,
    time_interleaved,
    two_valued_images,
)

MS = 1_000_000  # nanoseconds


class FakeMachine:
    """A clock that only the fake models move. `slowdown(time)` multiplies what every model takes."""

    def __init__(self, slowdown: Callable[[int], float] = lambda now: 1.0) -> None:
        self.now, self.slowdown = 0, slowdown
        self.log: list[str] = []

    def clock(self) -> int:
        return self.now

    def model(self, name: str, nanoseconds: Callable[[], float]) -> Callable[[], None]:
        def run() -> None:
            self.log.append(name)
            self.now += int(nanoseconds() * self.slowdown(self.now))

        return run

    def timing(self, own: Callable[[], float], settings: LatencySettings) -> latency.Timing:
        """The timing of a model that takes `own()` beside a reference that takes 1 ms."""
        runs = {"reference": self.model("reference", lambda: MS), "own": self.model("own", own)}
        durations = time_interleaved(runs, settings, lambda: None, self.clock)
        return summarise(durations["own"], durations["reference"], batch=4, threads=1)


# --- figures --------------------------------------------------------------------------------------------------------


def test_percentiles_of_known_durations() -> None:
    rounds = [np.arange(1, 51) * MS, np.arange(51, 102) * MS]  # 1, 2, ..., 101 ms
    timing = summarise(rounds, [np.full(3, MS)] * 2, batch=32, threads=2)
    assert (timing.p50_ms, timing.p90_ms, timing.p99_ms) == (51, 91, 100)
    assert timing.throughput == pytest.approx(32 / 0.051)
    assert (timing.runs, timing.batch, timing.threads) == (101, 32, 2)


def test_ratio_is_the_median_over_rounds_and_its_spread_their_10th_to_90th_percentile() -> None:
    reference = [np.array([2, 2, 50]) * MS] * 11  # one slow run in three does not move a median
    rounds = [np.array([ratio * 2 * MS]) for ratio in range(10, 21)]
    timing = summarise(rounds, reference, batch=1, threads=1)
    assert timing.ratio == 15
    assert timing.ratio_spread == pytest.approx((19 - 11) / 15)
    assert not timing.steady


def test_a_model_beside_itself() -> None:
    rounds = [np.array([3, 4, 5]) * MS] * 4
    timing = summarise(rounds, rounds, batch=1, threads=1)
    assert (timing.ratio, timing.ratio_spread, timing.steady) == (1, 0, True)


def test_slow_drift_of_the_machine_cancels_in_the_ratio() -> None:
    machine = FakeMachine(slowdown=lambda now: 1 + now / (1000 * MS))
    timing = machine.timing(lambda: 3 * MS, LatencySettings(runs=100, rounds=10))
    assert timing.p99_ms > 1.2 * timing.p50_ms  # the machine did slow down
    assert timing.ratio == pytest.approx(3, rel=0.05)
    assert timing.steady


def test_a_model_that_slows_down_alone_is_unsteady() -> None:
    machine = FakeMachine()
    timing = machine.timing(lambda: 3 * MS * (1 + machine.now / (1000 * MS)), LatencySettings(runs=100, rounds=10))
    assert not timing.steady


@pytest.mark.parametrize(("noise", "steady"), [(0.01, True), (1.0, False)])
def test_noise_from_round_to_round_decides_whether_it_is_steady(noise: float, steady: bool) -> None:
    machine, draw = FakeMachine(), np.random.default_rng(0)
    factors = iter(np.repeat(1 + noise * draw.uniform(size=10), 11))  # a round is 10 timed runs and one before them
    timing = machine.timing(lambda: 3 * MS * next(factors), LatencySettings(runs=100, rounds=10))
    assert timing.steady is steady


# --- rounds ---------------------------------------------------------------------------------------------------------


def _counts(machine: FakeMachine, milliseconds: float, settings: LatencySettings) -> list[int]:
    run = machine.model("m", lambda: milliseconds * MS)
    return [len(share) for share in time_interleaved({"m": run}, settings, lambda: None, machine.clock)["m"]]


def test_a_fast_model_stops_at_the_number_of_runs() -> None:
    assert _counts(FakeMachine(), 0.1, LatencySettings()) == [100] * 10


def test_a_slow_model_stops_when_its_seconds_are_spent() -> None:
    assert _counts(FakeMachine(), 10, LatencySettings()) == [20] * 10  # 0.2 s a round


def test_the_slowest_model_still_gets_the_least_runs() -> None:
    assert _counts(FakeMachine(), 5000, LatencySettings()) == [2] * 10


def test_fewer_runs_than_the_least_are_enough_when_asked_for() -> None:
    assert _counts(FakeMachine(), 5000, LatencySettings(runs=10, rounds=10)) == [1] * 10


def test_each_round_takes_every_model_once_in_an_order_of_its_own() -> None:
    machine, rounds = FakeMachine(), []
    settings = LatencySettings(runs=6, rounds=6)
    models = {name: machine.model(name, lambda: MS) for name in "abcd"}
    time_interleaved(models, settings, lambda: rounds.append(len(machine.log)), machine.clock)
    orders = [machine.log[start : start + 8 : 2] for start in range(0, 48, 2 * 4)]  # one run untimed, one timed
    assert rounds == [8, 16, 24, 32, 40, 48]
    assert all(sorted(order) == list("abcd") for order in orders)
    assert len({tuple(order) for order in orders}) > 2
    again = FakeMachine()
    time_interleaved({name: again.model(name, lambda: MS) for name in "abcd"}, settings, lambda: None, again.clock)
    assert again.log == machine.log


def test_garbage_is_not_collected_while_timing_and_is_afterwards() -> None:
    seen = []
    time_interleaved({"m": lambda: seen.append(gc.isenabled())}, SMOKE, lambda: None)
    assert not any(seen)
    assert gc.isenabled()


@pytest.mark.parametrize(
    "wrong", [{"rounds": 1}, {"threads": 0}, {"seconds": 0.0}, {"batches": (1, 0)}, {"batches": ()}, {"warm_up": 0}]
)
def test_settings_that_make_no_measurement(wrong: dict[str, object]) -> None:
    with pytest.raises(latency.BenchError, match="must be"):
        LatencySettings(**wrong)


# --- models ---------------------------------------------------------------------------------------------------------


class FakeOnnx:
    """Stands in for backends/onnx.py: every file is a model that takes what its name says."""

    def write_reference(self, path: Path) -> None:
        path.write_bytes(b"")

    def open_model(self, path: Path, threads: int = 1) -> SimpleNamespace:
        if path.stem == "unreadable":
            raise RuntimeError(f"{path}: not an ONNX file")
        batch = 1 if path.stem == "one" else None
        in_force = 1 if path.stem == "stubborn" else threads
        return SimpleNamespace(run=lambda images: None, threads=in_force, input_shape=(batch, 8, 8, 1))


@pytest.fixture
def fake_onnx(monkeypatch: pytest.MonkeyPatch) -> FakeOnnx:
    fake = FakeOnnx()
    monkeypatch.setattr(registry, "onnx", lambda: fake)
    return fake


def _paths(*names: str) -> dict[str, Path]:
    return {name: Path("/home/someone") / f"{name}.onnx" for name in names}


def test_what_is_wrong_with_one_model_leaves_the_others(fake_onnx: FakeOnnx) -> None:
    steps = []
    settings = msgspec.structs.replace(SMOKE, threads=2)
    found = measure(
        _paths("good", "unreadable", "stubborn", "one"), settings, lambda done, total: steps.append((done, total))
    )
    assert [timing.batch for timing in found["good"].timings] == [1, 32]
    assert [timing.threads for timing in found["good"].timings] == [2, 2]
    assert found["good"].reason == ""
    assert found["unreadable"].reason == "RuntimeError: unreadable.onnx: not an ONNX file"
    assert "asked for 2 threads, but ONNX Runtime uses 1" in found["stubborn"].reason
    assert "takes 1 images at a time, not 32" in found["one"].reason
    assert not found["unreadable"].timings + found["stubborn"].timings + found["one"].timings
    assert steps == [(done, 6) for done in range(1, 7)]


def test_without_the_reference_model_nothing_is_timed(fake_onnx: FakeOnnx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_onnx, "open_model", lambda path, threads: 1 / 0)
    with pytest.raises(LatencyError, match="reference model cannot be timed: ZeroDivisionError"):
        measure(_paths("good"), SMOKE, lambda done, total: None)


def test_images_are_two_valued_and_always_the_same() -> None:
    images = two_valued_images((None, 6, 5, 3), batch=4, seed=1)
    assert (images.shape, images.dtype) == ((4, 6, 5, 3), np.float32)
    assert set(np.unique(images)) == {0, 1}
    assert np.array_equal(images, two_valued_images((4, 6, 5, 3), batch=4, seed=1))


@pytest.mark.parametrize("shape", [(None, 4), (None, None, 8, 1), (2, 8, 8, 1)])
def test_images_of_no_known_size(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(latency.BenchError):
        two_valued_images(shape, batch=1, seed=0)


# --- the process of its own -----------------------------------------------------------------------------------------


def _write_model(path: Path, batch: int | str) -> Path:
    """An ONNX file that averages each 4 x 4 image."""
    onnx = pytest.importorskip("onnx")
    tensor = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("ReduceMean", ["images"], ["prediction"], axes=[1, 2], keepdims=0)],
        "mean",
        [tensor("images", onnx.TensorProto.FLOAT, [batch, 4, 4, 1])],
        [tensor("prediction", onnx.TensorProto.FLOAT, [batch, 1])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def test_times_real_models_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"free": _write_model(tmp_path / "free.onnx", "batch"), "fixed": _write_model(tmp_path / "fixed.onnx", 1)}
    models["broken"] = tmp_path / "broken.onnx"
    models["broken"].write_bytes(b"this is no model")
    monkeypatch.chdir(tmp_path)
    relative = {name: Path(path.name) for name, path in models.items()}
    steps: list[tuple[int, int]] = []
    settings = LatencySettings(batches=(1, 3), warm_up=1, runs=6, seconds=0.1, least_runs=4, rounds=2)
    found = measure_apart(relative, settings, Limits(), lambda done, total: steps.append((done, total)))
    assert list(found) == ["free", "fixed", "broken"]
    assert [(timing.batch, timing.threads, timing.runs) for timing in found["free"].timings] == [(1, 1, 6), (3, 1, 6)]
    assert all(0 < timing.p50_ms <= timing.p90_ms <= timing.p99_ms for timing in found["free"].timings)
    assert "takes 1 images at a time, not 3" in found["fixed"].reason
    assert found["broken"].reason
    assert str(tmp_path) not in found["broken"].reason
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_threads_asked_for_are_read_back(tmp_path: Path) -> None:
    model = _write_model(tmp_path / "model.onnx", "batch")
    settings = LatencySettings(threads=2, batches=(1,), warm_up=1, runs=4, least_runs=2, rounds=2)
    found = measure_apart({"model": model}, settings, Limits(), _ignore)
    assert [timing.threads for timing in found["model"].timings] == [2]


def test_what_takes_more_than_it_may_is_told(tmp_path: Path) -> None:
    with pytest.raises(LatencyError, match=r"^timing: stopped: it took 0\.\d+ GiB of memory, more than memory=0\.01$"):
        measure_apart({"m": _write_model(tmp_path / "m.onnx", "batch")}, SMOKE, Limits(memory_gib=0.01), _ignore)


def _ignore(done: int, total: int) -> None:
    pass
