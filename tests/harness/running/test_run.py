"""`bench run` for real, on small data and few epochs; and the worker's own answers."""

import hashlib
import inspect
import itertools
import math
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image

from harness import environment, registry
from harness.command import cli
from harness.errors import BenchError
from harness.judging import leaderboard
from harness.judging.outlines import Shelf
from harness.judging.records import OnnxFile, Settings
from harness.judging.store import Store
from harness.judging.timing import Latency
from harness.judging.verify import verify
from harness.model.architecture import parameter_shapes
from harness.model.pretrained import Origin
from harness.running import run as run_module
from harness.running.data import DataSource
from harness.running.latency import LatencyError
from harness.running.run import _alone_in, _own_file, best, recorded
from harness.running.worker import Done, Job
from tests.harness.a_benchmark import RAW
from tests.harness.a_command import BENCH, told_apart
from tests.harness.examples import a_cell, a_record, a_timing, with_held_out

WITHOUT_NETWORK = ("mean", "voigt-reuss-hill", "ridge", "cubic", "trees", "s2-ridge", "gp", "physics-gp")


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """Results of a smoke run over every variant and backend, and what it printed."""
    results = tmp_path_factory.mktemp("results")
    return results, smoke(data, results)


def smoke(data, results, *more):
    words = ("suite=elasticity", "profile=smoke", f"data={data}", "weights=random", f"results={results}")
    return told_apart("run", *words, *more, timeout=900)


@pytest.mark.slow
def test_every_cell_has_a_good_record_and_every_row_a_latency(finished):
    results, printed = finished
    records = Store(results, "elasticity").trainings()
    assert {(r.cell.variant, r.cell.backend) for r in records} == {
        *itertools.product(WITHOUT_NETWORK, ("classical",)),
        *itertools.product(("baseline", "tuned", "vgg16-fine-tuned", "augmented", "physics-net"), ("keras", "pytorch")),
    }
    assert all(record.status == "ok" for record in records)
    table = pd.read_csv(leaderboard.leaderboard_file(results, "elasticity"))
    assert len(table) == 18
    for column in ("skill", "parameters", "onnx_kB", "p50_ms_b1", "ratio_b1", "p50_ms_b32", "images_per_s_b32"):
        assert table[column].notna().all(), column
    assert (table["latency_threads"] == 1).all()
    assert "[18/18]" in printed
    assert "leaderboard:" in printed


def one(results, variant, backend):
    (record,) = [
        record
        for record in Store(results, "elasticity").trainings()
        if (record.cell.variant, record.cell.backend) == (variant, backend)
    ]
    return record


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["keras", "pytorch"])
def test_a_search_tries_all_and_tests_one(finished, backend):
    results, _ = finished
    record = one(results, "tuned", backend)
    assert [trial.configuration for trial in record.searched.trials] == list(range(24))
    selected = record.cell.architecture.configurations[record.searched.selected]
    shapes = parameter_shapes(selected.architecture, (64, 64, 1))
    assert record.counts.total == sum(math.prod(shape) for shape in shapes.values())
    assert len(record.held_out.predictions) == 6  # the test images, once
    assert (results / "leaderboards" / "elasticity-tuned-top-ten.csv").exists()
    assert not list((results / "cache" / "trials").iterdir())


@pytest.mark.slow
def test_fine_tuning_starts_where_head_only_ended(finished, data, tmp_path):
    """The same features, the same order: the first recipe of the one is the only recipe of the other."""
    results, _ = finished
    smoke(data, tmp_path, "variant=vgg16-head-only")
    for backend in ("keras", "pytorch"):
        head, fine = one(tmp_path, "vgg16-head-only", backend), one(results, "vgg16-fine-tuned", backend)
        assert fine.history[0].loss == head.history[0].loss
        assert head.counts.trainable == 8_361
        assert fine.counts.trainable == head.counts.total == 14_723_049
        assert fine.held_out.predictions != head.held_out.predictions
        assert (head.cell.weights, head.cell.row) == ("random", "vgg16-head-only (random weights)")


@pytest.mark.slow
def test_a_record_tells_all_that_was_promised(finished):
    results, _ = finished
    record = one(results, "baseline", "keras")
    assert record.counts.total == 51_593
    assert record.framework["intra_op_threads"] == "1"
    assert [len(stage.loss) for stage in record.history] == [2]
    assert record.onnx.difference < 1e-5
    assert record.onnx.opset == 18
    assert record.environment.versions["keras"]
    assert any("only 40 images" in warning for warning in record.data_warnings)
    assert record.metrics.keys() == {"positive_definite", "inside_bounds", "hill_residual"}
    assert record.moved.keys() == {"shift", "mirror", "rotation"}
    assert (results / record.log).exists()


@pytest.mark.slow
def test_both_frameworks_started_from_the_same_weights_and_order(finished):
    results, _ = finished
    ours, theirs = (one(results, "baseline", backend) for backend in ("keras", "pytorch"))
    np.testing.assert_allclose(ours.history[0].loss, theirs.history[0].loss, rtol=1e-3)
    np.testing.assert_allclose(ours.held_out.predictions, theirs.held_out.predictions, rtol=1e-3)


@pytest.mark.slow
def test_a_second_run_does_nothing_and_changes_nothing(finished, data):
    results, _ = finished
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    printed = smoke(data, results)
    assert "18 cells, 18 already done" in printed
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before
    assert "follows from its records" in told_apart("leaderboard", "check=true", f"results={results}")


@pytest.mark.slow
def test_an_exported_model_predicts_what_its_record_says(finished, data, tmp_path):
    results, _ = finished
    for record in Store(results, "elasticity").trainings():
        model = results / "models" / "elasticity" / record.onnx.file
        out = tmp_path / f"{record.key}.csv"
        assert cli.main(["predict", f"model={model}", f"images={data}", f"out={out}"]) == 0
        table = pd.read_csv(out).set_index("image")
        heads = [f"{name}_GPa" for name in record.held_out.targets]
        assert list(table.columns[: len(heads)]) == heads
        expected = np.array(record.held_out.predictions)
        np.testing.assert_allclose(
            table.loc[list(record.held_out.ids), heads], expected, rtol=2e-5, atol=1e-5 * expected.max()
        )


@pytest.mark.slow
def test_latency_of_any_model(finished):
    results, _ = finished
    model = next((results / "models").rglob("*.onnx"))
    printed = told_apart("latency", f"model={model}", "batches=1,4")
    # What comes after the batches says that a timing is unsteady, as it is where other tests run beside this one.
    assert [line.split()[0] for line in printed.splitlines()][:3] == ["batch", "1", "4"]


@pytest.fixture
def classical(data, tmp_path):
    """Runs `bench run` on the predictors that take no time."""

    def run(*words, results=tmp_path):
        words = ["suite=elasticity", "backend=classical", f"data={data}", f"results={results}", *words]
        return cli.main(["run", *words])

    return run, tmp_path


def test_resuming_runs_only_what_has_no_result(classical, capsys):
    run, results = classical
    assert run("variant=mean", "profile=smoke") == 0
    assert run("variant=mean,ridge", "profile=smoke") == 0
    printed = capsys.readouterr().out
    assert "2 cells, 1 already done" in printed
    (hint,) = (line for line in printed.splitlines() if "bench predict model=" in line and "ridge" in line)
    assert Path(hint.partition("model=")[2].split()[0]).is_file()
    assert [record.cell.variant for record in Store(results, "elasticity").trainings()] == ["mean", "ridge"]


def test_a_record_without_its_model_is_not_done(classical, capsys):
    """As in a fresh clone, where records are and models are not."""
    run, results = classical
    assert run("variant=mean,ridge", "profile=smoke") == 0
    next((results / "models").rglob("mean*.onnx")).unlink()
    next((results / "models").rglob("ridge*.onnx")).write_bytes(b"another model")
    capsys.readouterr()
    assert run("variant=mean,ridge", "profile=smoke") == 0
    assert "2 cells, 0 already done" in capsys.readouterr().out
    assert len(pd.read_csv(leaderboard.leaderboard_file(results, "elasticity"))) == 2


def test_a_record_from_another_environment_is_not_done(classical, capsys):
    run, results = classical
    assert run("variant=ridge", "profile=smoke") == 0
    store = Store(results, "elasticity")
    store.trainings_file.write_bytes(store.trainings_file.read_bytes().replace(b'"processor":"', b'"processor":"Old '))
    capsys.readouterr()
    assert run("variant=ridge", "profile=smoke") == 0
    assert "1 cell, 0 already done" in capsys.readouterr().out
    assert len(pd.read_csv(leaderboard.leaderboard_file(results, "elasticity"))) == 2


def test_a_model_that_was_validated_on_too_few_images_says_that_it_has_no_intervals(classical, data, capsys):
    run, results = classical
    assert run("variant=ridge", "profile=smoke") == 0
    (model,) = (results / "models").rglob("ridge*.onnx")
    capsys.readouterr()
    out = results / "out.csv"
    assert cli.main(["predict", f"model={model}", f"images={data}", f"out={out}"]) == 0
    assert "no intervals: the model had too few validation images\n" in capsys.readouterr().out
    assert not [name for name in pd.read_csv(out) if "_low_" in name]


def test_a_failing_cell_fails_the_run_but_not_the_others(classical, data, tmp_path, capsys):
    """Without the phases Voigt-Reuss-Hill has nothing to go by."""
    nameless = tmp_path / "nameless"
    nameless.mkdir()
    for path in data.iterdir():
        if path.name != "dataset.json":
            (nameless / path.name).write_bytes(path.read_bytes())
    results = tmp_path / "results"
    words = ["run", "backend=classical", f"data={nameless}", "unit=MPa", f"results={results}", "profile=smoke"]
    assert cli.main(words) == 1
    by_variant = {record.cell.variant: record for record in Store(results, "elasticity").trainings()}
    without = {name for name, record in by_variant.items() if record.status == "unavailable"}
    assert without == {"voigt-reuss-hill", "physics-gp"}
    assert all(record.status == "ok" for name, record in by_variant.items() if name not in without)
    assert all("phases=" in by_variant[name].reason for name in without)
    assert "2 of 8 cells have no result" in capsys.readouterr().out
    assert cli.main([*words, "phases=70,0.33,410,0.19"]) == 0


def test_an_estimator_that_was_searched_for_has_its_trials_in_its_record(classical):
    run, results = classical
    assert run("variant=cubic", "profile=smoke") == 0
    (record,) = Store(results, "elasticity").trainings()
    assert len(record.searched.trials) == len(record.cell.architecture.configurations) > 3
    assert verify(record) == []
    table = pd.read_csv(results / "leaderboards" / "elasticity-cubic-top-ten.csv")
    assert table["epochs"].isna().all()
    assert table["validation_mse"].is_monotonic_increasing
    assert run("variant=cubic", "profile=smoke") == 0
    assert len(Store(results, "elasticity").trainings()) == 1  # read back, it is the same cell


def test_predictions_averaged_over_moves_make_rows_of_their_own(classical):
    run, results = classical
    assert run("variant=mean,physics-gp", "profile=smoke") == 0
    assert run("variant=mean,physics-gp", "profile=smoke", "averaged=3") == 0
    table = pd.read_csv(results / "leaderboards" / "elasticity.csv").set_index("variant")
    assert set(table.index) == {"mean", "physics-gp", "mean (mean over 3 moves)", "physics-gp (mean over 3 moves)"}
    averaged = table.loc["physics-gp (mean over 3 moves)"]
    assert averaged["onnx_difference"] < 1e-5  # its graph moves and averages, too
    assert averaged["rmse_GPa"] == pytest.approx(table.loc["physics-gp", "rmse_GPa"], rel=1e-5)  # it sees no shift


def test_of_all_suites_those_that_read_folders_are_run_on_a_folder(data, tmp_path, capsys):
    words = ["run", f"data={data}", "backend=classical", "variant=mean", "profile=smoke", f"results={tmp_path}"]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert "suite elasticity" in told
    assert "suite contrast100" not in told
    assert "suite polysilicon" not in told  # which reads folders, but of films
    assert cli.main([*words, "suite=contrast100"]) == 2
    assert "this suite has data of its own alone; give yours with suite=elasticity" in capsys.readouterr().err


def test_a_broken_data_set_stops_the_run_before_it_starts(data, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in data.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "5_disks.png").unlink()
    results = tmp_path / "results"
    assert cli.main(["run", f"data={broken}", f"results={results}"]) == 2
    assert "no image for CSV row 6" in capsys.readouterr().err
    assert not results.exists()


def test_a_results_folder_that_cannot_be_one_is_said_before_the_work(classical, tmp_path, capsys):
    run, _ = classical
    (tmp_path / "file").write_text("not a folder")
    assert run(results=tmp_path / "file") == 2
    captured = capsys.readouterr()
    assert captured.err == f"bench: results={tmp_path / 'file'}: exists and is not a folder: choose another\n"
    assert "cells" not in captured.out


def test_one_run_at_a_time_in_a_results_folder(classical, capsys):
    run, results = classical
    with _alone_in(results):
        before = sorted(results.rglob("*"))
        assert run("variant=mean", "profile=smoke") == 2
        assert f"another run is using this folder (process {os.getpid()})" in capsys.readouterr().err
        assert sorted(results.rglob("*")) == before
    assert run("variant=mean", "profile=smoke") == 0


def test_what_cannot_be_written_because_the_folder_went_is_told_as_that(tmp_path):
    results = tmp_path / "results"

    def vanishing():
        with _alone_in(results):
            results.rename(tmp_path / "moved")
            Store(results, "elasticity").append(a_record())

    with pytest.raises(BenchError, match="was removed or replaced while a run"):
        vanishing()
    assert not results.exists()


@pytest.mark.slow
def test_weights_of_ones_own_make_a_row_and_wrong_ones_stop_nothing_else(data, finished, tmp_path, capsys):
    results, _ = finished
    mine = next((results / "models" / "elasticity").glob("vgg16-fine-tuned.pytorch*.safetensors"))
    words = ["run", "backend=classical,pytorch", f"data={data}", "profile=smoke", f"results={tmp_path / 'r'}"]
    assert cli.main([*words, "variant=ridge,vgg16-head-only", f"weights={mine}"]) == 0
    assert f"vgg16-head-only ({mine.name} " in capsys.readouterr().out
    assert cli.main([*words, "variant=mean,resnet50-head-only", f"weights={mine}"]) == 1
    status = {r.cell.variant: (r.status, r.reason) for r in Store(tmp_path / "r", "elasticity").trainings()}
    assert status["mean"][0] == "ok"
    assert status["resnet50-head-only"][0] == "unavailable"
    assert f"{mine.name} is no resnet50 without top" in status["resnet50-head-only"][1]
    assert "1 of 2 cells have no result" in capsys.readouterr().out


def test_the_reports_raw_setting_gives_the_same_lines_in_other_units(classical):
    """Ridge regression is the same line in any unit; a network is not, and that is the point of the setting."""
    run, results = classical
    assert run("variant=ridge", "profile=smoke") == 0
    assert run("variant=ridge", "profile=smoke", "target_scaling=none", "unit=MPa") == 0
    standard, raw = Store(results, "elasticity").trainings()
    assert standard.key != raw.key
    np.testing.assert_allclose(raw.held_out.predictions, standard.held_out.predictions, rtol=1e-4)
    assert len(pd.read_csv(leaderboard.leaderboard_file(results, "elasticity"))) == 2


def test_published_records_name_no_folder_and_no_host(classical, data):
    run, results = classical
    assert run("variant=ridge", "profile=smoke") == 0
    text = Store(results, "elasticity").trainings_file.read_text()
    for private in (str(data.parent), str(results), sys.prefix):
        assert private not in text
    assert msgspec.json.decode(text)["data_warnings"]


def test_a_cell_that_predicts_otherwise_than_before_is_not_added(classical, capsys):
    """Somebody's better number: the record stays, the new one is refused, and nothing is lost."""
    run, results = classical
    assert run("variant=ridge", "profile=smoke") == 0
    store = Store(results, "elasticity")
    (honest,) = store.trainings()
    better = with_held_out(honest, predictions=honest.held_out.truth)
    store.trainings_file.write_bytes(msgspec.json.encode(better) + b"\n")
    next((results / "models").rglob("ridge*.onnx")).unlink()
    before = store.trainings_file.read_bytes()
    assert run("variant=ridge", "profile=smoke") == 2
    assert "predicts differently than its record of" in capsys.readouterr().err
    assert store.trainings_file.read_bytes() == before
    store.append(honest)
    assert cli.main(["leaderboard", "check=true", f"results={results}"]) == 2
    assert "was run twice in one environment" in capsys.readouterr().err


def test_the_same_numbers_again_are_added(classical):
    run, results = classical
    assert run("variant=ridge", "profile=smoke") == 0
    next((results / "models").rglob("ridge*.onnx")).unlink()
    assert run("variant=ridge", "profile=smoke") == 0
    first, second = Store(results, "elasticity").trainings()
    assert first.key == second.key
    assert first.held_out == second.held_out


def test_another_instruction_set_makes_a_row_of_its_own(classical, monkeypatch):
    run, results = classical
    assert run("variant=ridge", "profile=smoke") == 0
    monkeypatch.setenv("NPY_DISABLE_CPU_FEATURES", "AVX2")
    environment.observe.cache_clear()
    try:
        assert run("variant=ridge", "profile=smoke") == 0
    finally:
        environment.observe.cache_clear()
    table = pd.read_csv(leaderboard.leaderboard_file(results, "elasticity"), keep_default_na=False)
    assert sorted("NPY_DISABLE_CPU_FEATURES=AVX2" in told for told in table["switches"]) == [False, True]


def test_a_home_is_meant_where_no_shell_says_so(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(data.parent))
    monkeypatch.chdir(tmp_path)
    words = ["run", "suite=elasticity", "variant=mean", "profile=smoke", "data=~/mine", "results=~/theirs"]
    assert cli.main(words) == 0
    assert f"leaderboard: {data.parent / 'theirs'}" in capsys.readouterr().out
    assert (data.parent / "theirs" / "leaderboards" / "elasticity.csv").exists()
    assert list(tmp_path.iterdir()) == []


def test_the_model_to_go_on_with_is_the_best_of_all_that_were_trained_on_the_data(data, tmp_path, capsys):
    words = ["run", "suite=elasticity", "profile=smoke", f"data={data}", f"results={tmp_path}"]
    assert cli.main([*words, "variant=mean,ridge"]) == 0
    assert cli.main([*words, "variant=mean"]) == 0
    *_, hint = (line for line in capsys.readouterr().out.splitlines() if "bench predict" in line)
    assert "ridge on classical" in hint
    assert best(Store(tmp_path, "elasticity").trainings(), tmp_path / "elsewhere") is None


def test_a_better_model_whose_file_was_lost_is_told(tmp_path, capsys):
    """Who copied a results folder in part would use another model than the best, and not know."""
    folder = tmp_path / "models" / "elasticity"
    folder.mkdir(parents=True)
    store = Store(tmp_path, "elasticity")
    for variant, error in (("gp", 0.1), ("ridge", 0.2), ("mean", 9.0)):
        (folder / variant).write_text(variant)
        digest = hashlib.sha256(variant.encode()).hexdigest()
        file = OnnxFile(file=variant, bytes=len(variant), opset=18, sha256=digest, difference=0.0)
        store.append(a_record(a_cell(variant=variant, seed=3), error=error, onnx=file))
    models = {outline.cell.variant: outline for outline in Shelf(store).outlines}
    assert best(models.values(), tmp_path) == (folder / "gp", models["gp"])
    assert capsys.readouterr().err == ""
    (folder / "gp").write_text("another")
    assert best(models.values(), tmp_path) == (folder / "ridge", models["ridge"])
    (told,) = capsys.readouterr().err.splitlines()
    better = "note: gp on classical, seed 3: is better on the validation images than what is used"
    assert told == f"{better}, but its model in {folder} is gone, or not the recorded one"
    (folder / "ridge").unlink()
    assert best(models.values(), tmp_path) == (folder / "mean", models["mean"])
    assert capsys.readouterr().err.splitlines() == [told]


def whole_and_fewer():
    """A record of all training images, and one of fewer, better on the validation images."""
    fewer = a_record(a_cell(variant="gp", settings=Settings(originals=20)), error=0.1)
    return a_record(a_cell(variant="gp"), error=1.0), fewer


def test_a_learning_curve_does_not_change_which_model_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "exported", lambda record, results: tmp_path / record.cell.row)
    whole, fewer = whole_and_fewer()
    assert best([fewer, whole], tmp_path) == (tmp_path / "gp", whole)
    assert best([fewer], tmp_path) == (tmp_path / "gp (20 originals)", fewer)


def test_the_model_to_go_on_with_takes_images(tmp_path, capsys):
    words = ["run", "suite=leakage", "profile=smoke", f"results={tmp_path}", "variant=mean,fraction"]
    assert cli.main(words) == 0
    (hint,) = (line for line in capsys.readouterr().out.splitlines() if "bench predict" in line)
    told = "to use the best model on the validation images, of those that take images, mean on classical, seed 0"
    assert hint.startswith(f"{told}, which is no better than the mean on the test images: bench predict ")
    assert "mean.classical" in hint  # fraction is better, and its file takes what segmentation makes of images
    elsewhere = f"results={tmp_path / 'elsewhere'}"
    assert cli.main([*words[:-2], elsewhere, "variant=fraction"]) == 0
    assert "bench predict" not in capsys.readouterr().out
    images = tmp_path / "images"
    images.mkdir()
    Image.new("L", (64, 64), 128).save(images / "a.png")
    (model,) = (tmp_path / "models" / "leakage").glob("fraction.*.onnx")
    assert cli.main(["predict", f"model={model}", f"images={images}", f"out={tmp_path / 'out.csv'}"]) == 2
    assert "a model whose encoding is no part of its file is of no use here" in capsys.readouterr().err


def test_the_command_to_go_on_with_can_be_pasted_into_a_shell(classical, capsys, tmp_path):
    run, _ = classical
    results = tmp_path / "it's mine"
    assert run("variant=mean", "profile=smoke", results=results) == 0
    (hint,) = (line for line in capsys.readouterr().out.splitlines() if "bench predict" in line)
    words = shlex.split(hint.partition(": ")[2])
    assert words[:2] == ["bench", "predict"]
    assert Path(words[2].partition("=")[2]).is_file()


def test_timing_that_fails_leaves_the_leaderboard_to_be_written(classical, monkeypatch, capsys):
    def dies(*_):
        raise LatencyError("timing: its process was killed by signal 9")

    monkeypatch.setattr("harness.running.timings.measure_apart", dies)
    run, results = classical
    assert run("variant=mean", "profile=smoke") == 0
    assert "no latencies: timing: its process was killed by signal 9" in capsys.readouterr().err
    (row,) = pd.read_csv(leaderboard.leaderboard_file(results, "elasticity")).to_dict("records")
    assert row["status"] == "ok"


@pytest.mark.parametrize(
    ("unsteady", "times"),
    [("the machine was busy: it waited", 2), ("it varies by itself: it kept its core", 1), ("", 1)],
)
def test_what_was_timed_while_the_machine_was_busy_is_timed_again(classical, monkeypatch, unsteady, times):
    asked = []

    def measured(models, *_):
        asked.append(len(models))
        timing = msgspec.structs.replace(a_timing(), unsteady=unsteady if len(asked) == 1 else "")
        return {name: Latency((timing,)) for name in models}

    monkeypatch.setattr("harness.running.timings.measure_apart", measured)
    run, _ = classical
    for _ in range(3):
        assert run("variant=mean", "profile=smoke") == 0
    assert asked == [1] * times


def test_raw_labels_are_not_trained_on_data_that_is_not_known(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_module, "run", lambda request: pytest.fail("ran"))
    Store(tmp_path, "elasticity").append(a_record(a_cell(data_hash="e" * 64)))
    run_module.run_on_raw_labels(tmp_path, "elasticity", "standard", 1)
    assert "not of elasticity's own data set" in capsys.readouterr().out


def test_raw_labels_are_trained_once(tmp_path, monkeypatch):
    requests = []
    monkeypatch.setattr(run_module, "run", requests.append)
    known = DataSource().load(registry.suite("elasticity")).fingerprint()
    store = Store(tmp_path, "elasticity")
    store.append(a_record(a_cell(data_hash=known)))
    run_module.run_on_raw_labels(tmp_path, "elasticity", "standard", 1)
    (request,) = requests
    assert request.settings.target_scaling == "none"
    assert request.seeds == (0,)
    assert set(request.variant.split(",")) == {"mean", "voigt-reuss-hill", "ridge", "baseline", "tuned"}
    store.append(a_record(a_cell(data_hash=known, settings=msgspec.structs.replace(RAW))))
    run_module.run_on_raw_labels(tmp_path, "elasticity", "standard", 1)
    assert len(requests) == 1


def test_raw_labels_of_a_profile_that_only_records_name_are_left(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "run", lambda request: pytest.fail("ran"))
    Store(tmp_path, "elasticity").append(a_record(a_cell(variant="mean", profile="of-others")))
    run_module.run_on_raw_labels(tmp_path, "elasticity", "of-others", 1)


def test_what_is_stale_is_told_with_the_reason_before_it_is_run_again(classical, capsys):
    """Of another version of its own package, and by other code; a newer pandas changes no number."""
    run, results = classical
    assert run("variant=ridge,mean", "profile=smoke") == 0
    file = Store(results, "elasticity").trainings_file
    first, second = (msgspec.json.decode(line) for line in file.read_bytes().splitlines())
    first["environment"]["versions"] |= {"pandas": "0.1"}
    second["environment"]["versions"] |= {"scikit-learn": "0.9"}
    second["source"] = "0" * 64
    file.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in (first, second)))
    capsys.readouterr()
    assert run("variant=ridge,mean", "profile=smoke") == 0
    printed = capsys.readouterr().out
    assert "2 cells, 1 already done" in printed
    (told,) = (line for line in printed.splitlines() if line.startswith("rerunning"))
    assert told.startswith("rerunning 1 stale cell of classical: made with scikit-learn 0.9, other code, of commit ")
    assert cli.main(["leaderboard", f"results={results}"]) == 0
    assert "1 of 3 rows were made by other code, which can change their numbers" in capsys.readouterr().out


def test_a_folder_named_like_a_home_is_told_as_it_must_be_typed(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["run", "suite=elasticity", "variant=mean", "profile=smoke", f"data={data}", "results=./~"]
    assert cli.main(words) == 0
    (hint,) = (line for line in capsys.readouterr().out.splitlines() if "bench predict" in line)
    (model,) = (word for word in shlex.split(hint.partition(": ")[2]) if word.startswith("model="))
    assert model.startswith("model=./~/models/")
    assert cli.main(["predict", model, f"images={data}", f"out={tmp_path / 'out.csv'}"]) == 0


def test_a_pipe_as_lock_is_told_by_its_name(classical, capsys):
    run, results = classical
    os.mkfifo(results / "run.lock")
    assert run("variant=mean", "profile=smoke") == 2
    assert f"{results / 'run.lock'}: exists and is not a file" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_is_told_to_end_leaves_no_worker_and_no_temporary_folder(data, tmp_path):
    """Amid the import of a framework, when a worker does not listen yet."""
    (tmp_path / "tmp").mkdir()
    words = [
        "run",
        "suite=elasticity",
        "variant=baseline",
        "profile=smoke",
        f"data={data}",
        f"results={tmp_path / 'r'}",
    ]
    command = subprocess.Popen(
        [*BENCH, *words], env={**os.environ, "TMPDIR": str(tmp_path / "tmp")}, stdout=subprocess.PIPE, text=True
    )
    while "cells" not in (line := command.stdout.readline()):
        assert line, "it ended before it told of its cells"
    parent = psutil.Process(command.pid)
    while not (workers := parent.children(recursive=True)):
        assert command.poll() is None, "it ended without a worker"
        time.sleep(0.02)  # of another process, which tells nobody
    command.terminate()
    command.communicate(timeout=60)
    assert command.returncode == 143
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_whatever_ends_the_following_ends_the_launch(tmp_path):
    """Also while the traceback is kept, as a notebook does, and with it whatever was under way."""
    job, closed = Job(a_cell(), DataSource()), []

    def events():
        try:
            yield job, Done(a_record(job.cell))
        finally:
            closed.append(True)

    def gone():
        raise BenchError("was taken away")

    with pytest.raises(BenchError, match="was taken away") as kept:
        list(recorded([job], events(), Store(tmp_path, "elasticity"), gone))
    assert closed, kept


def test_an_error_of_who_is_handed_records_ends_the_launch(classical, monkeypatch):
    run, _ = classical
    made = []

    def kept(*arguments):
        made.append(recorded(*arguments))
        return made[0]

    def fail(*_):
        raise RuntimeError("the printer is on fire")

    monkeypatch.setattr(run_module, "recorded", kept)
    monkeypatch.setattr(run_module, "trials_file", fail)
    with pytest.raises(RuntimeError, match="on fire"):
        run("variant=mean", "profile=smoke")
    assert inspect.getgeneratorstate(made[0]) == inspect.GEN_CLOSED


def test_weights_that_are_a_link_keep_the_suffix_of_their_format(tmp_path, monkeypatch):
    """What a cache links to has a hash for a name, and would be read as another format."""
    (tmp_path / "0123abcd").write_bytes(b"weights")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "0123abcd")
    monkeypatch.chdir(tmp_path)
    assert _own_file(Origin("model", Path("model.safetensors"))) == str(tmp_path / "model.safetensors")
