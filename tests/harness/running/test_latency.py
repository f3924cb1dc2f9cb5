from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from harness import registry
from harness.running import latency
from harness.running.guard import Limits
from harness.running.latency import LatencyError, measure, measure_apart, two_valued_images
from harness.running.rounds import SMOKE, LatencySettings

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
    assert steps == [(done, 4) for done in range(1, 5)]  # rounds of the one model


def test_without_the_reference_model_nothing_is_timed(fake_onnx: FakeOnnx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_onnx, "open_model", lambda path, threads: 1 / 0)
    with pytest.raises(LatencyError, match="reference model cannot be timed: ZeroDivisionError"):
        measure(_paths("good"), SMOKE, lambda done, total: None)


def test_images_are_two_valued_and_always_the_same() -> None:
    images = two_valued_images((None, 6, 5, 3), batch=4, seed=1)
    assert (images.shape, images.dtype) == ((4, 6, 5, 3), np.float32)
    assert set(np.unique(images)) == {0, 1}
    assert np.array_equal(images, two_valued_images((4, 6, 5, 3), batch=4, seed=1))
    assert two_valued_images((None, 7), batch=4, seed=1).shape == (4, 7)  # what images are encoded to


@pytest.mark.parametrize("shape", [(None,), (None, 4, 4), (None, None, 8, 1), (2, 8, 8, 1)])
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
    settings = LatencySettings(batches=(1, 3), warm_up=1, runs=3, rounds=2, most_rounds=2)
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
    settings = LatencySettings(threads=2, batches=(1,), warm_up=1, runs=4, rounds=2, most_rounds=2)
    found = measure_apart({"model": model}, settings, Limits(), _ignore)
    assert [timing.threads for timing in found["model"].timings] == [2]


def test_what_takes_more_than_it_may_is_told(tmp_path: Path) -> None:
    with pytest.raises(LatencyError, match=r"^timing: stopped: it took 0\.\d+ GiB of memory, more than memory=0\.01$"):
        measure_apart({"m": _write_model(tmp_path / "m.onnx", "batch")}, SMOKE, Limits(memory_gib=0.01), _ignore)


def _ignore(done: int, total: int) -> None:
    pass
