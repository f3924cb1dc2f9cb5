import itertools
import sys

import msgspec
import numpy as np
import pandas as pd
import pytest

from harness import registry
from harness.errors import BenchError
from harness.judging import by_test, cells, columns, leaderboard, terminal
from harness.judging.dictionary import of_leaderboard
from harness.judging.outlines import Shelf
from harness.judging.records import Examined, Record, Searched, Settings, Trial
from harness.judging.store import Store
from harness.judging.timing import Latency
from harness.model.architecture import Estimator, Imported
from harness.protocol import Counts, Metric
from harness.provenance import source
from tests.harness.a_benchmark import GRID, benchmark, fill, history, searched
from tests.harness.examples import (
    ENVIRONMENT,
    a_cell,
    a_failure,
    a_latency,
    a_record,
    a_timing,
    in_unlike_units,
    with_images,
)
from tests.harness.judging.test_verify import smaller


@pytest.fixture
def board(tmp_path):
    """Appends records and gives the leaderboard that follows from them."""
    store = Store(tmp_path, "elasticity")

    def compute(*records):
        for record in records:
            store.append(record)
        return leaderboard.compute(tmp_path, "elasticity").table.map(cells.text)

    return compute


def test_a_row_averages_seeds_and_tells_their_spread(board):
    records = [a_record(a_cell(seed=seed)) for seed in range(3)]
    (row,) = board(*records).to_dict("records")
    rmse = [record.test.rmse for record in records]
    assert float(row["rmse_GPa"]) == pytest.approx(np.mean(rmse), rel=1e-5)
    assert float(row["rmse_GPa_sd"]) == pytest.approx(np.std(rmse, ddof=1), rel=1e-5)
    assert row["seeds"] == "0 1 2"
    assert row["status"] == "ok"
    assert float(row["skill_low"]) < float(row["skill"]) < float(row["skill_high"])


def test_errors_of_small_targets_are_told_and_what_rounding_leaves_is_not(board, tmp_path):
    record = smaller(msgspec.structs.replace(a_record(), metrics={"hill_residual": 3e-15}), 1e-14)
    (row,) = board(record).to_dict("records")
    for column, of in {"rmse_GPa": record.test.rmse, "mae_GPa": record.test.mae, "mse_GPa2": record.test.mse}.items():
        assert float(row[column]) == pytest.approx(of, rel=1e-5)
        assert of > 0
    assert row["hill_residual"] == "0"
    leaderboard.write(tmp_path, "elasticity")
    tests = pd.read_csv(tmp_path / "leaderboards" / "elasticity-tests.csv").set_index("metric")
    assert tests.loc["rmse", "value"] == pytest.approx(record.test.rmse, rel=1e-5)
    assert 0 < tests.loc["rmse", "low"] < tests.loc["rmse", "value"] < tests.loc["rmse", "high"]
    assert (
        leaderboard.as_csv(by_test.table([record])) == (tmp_path / "leaderboards" / "elasticity-tests.csv").read_text()
    )


def test_a_figure_of_the_suite_has_its_unit_and_no_scores_interval(monkeypatch):
    suite = registry.suite("elasticity")
    monkeypatch.setattr(suite, "METRICS", (*suite.METRICS, Metric("wall", "µm", "", "thickness of walls")))
    record = msgspec.structs.replace(a_record(), metrics={"wall": 2.0, "rmse": 5.0})
    table = by_test.table([record]).set_index("metric")
    assert table.loc["wall", "unit"] == "µm"
    assert table.loc["wall", "low"] is None
    assert table.loc["rmse", "value"] == record.test.rmse
    assert list(table.index).count("rmse") == 1


def test_every_error_stands_beside_the_trivial_predictor(board):
    (row,) = board(a_record()).to_dict("records")
    skill = 1 - float(row["mse_GPa2"]) / float(row["mse_of_mean_GPa2"])
    assert float(row["skill"]) == pytest.approx(skill, abs=1e-4)


def test_the_verdict(board):
    good, poor = a_record(a_cell(variant="good"), error=1.0), a_record(a_cell(variant="poor"), error=10.0)
    rows = board(good, poor).set_index("variant")
    assert rows.loc["good", "verdict"] == columns.BETTER
    assert rows.loc["poor", "verdict"] == columns.NO_BETTER


def test_best_first(board):
    rows = board(*(a_record(a_cell(variant=f"off-by-{error}"), error=error) for error in (3.0, 1.0, 2.0)))
    assert list(rows["variant"]) == ["off-by-1.0", "off-by-2.0", "off-by-3.0"]


@pytest.mark.parametrize(
    "other",
    [
        a_record(a_cell(seed=1, data_hash="e" * 64)),
        a_record(a_cell(seed=1, split_hash="6" * 64)),
        a_record(a_cell(seed=1, profile="paper")),
        a_record(a_cell(seed=1, settings=Settings(init="native"))),
        a_record(a_cell(seed=1), environment=msgspec.structs.replace(ENVIRONMENT, processor="Antikythera")),
        a_record(
            a_cell(seed=1), environment=msgspec.structs.replace(ENVIRONMENT, flags={"ATEN_CPU_CAPABILITY": "default"})
        ),
    ],
)
def test_what_cannot_be_compared_is_not_averaged(board, other):
    assert list(board(a_record(), other)["seeds"]) in (["0", "1"], ["1", "0"])


def test_failures_have_rows_with_the_reason(board):
    rows = board(
        a_record(a_cell(seed=0)),
        a_failure(a_cell(seed=1)),
        a_failure(a_cell(variant="voigt-reuss-hill"), status="unavailable", reason="no phases"),
    ).set_index("variant")
    assert rows.loc["ridge", "status"] == "1 of 2 failed: RuntimeError: the moon was full"
    assert rows.loc["ridge", "seeds"] == "0"
    assert rows.loc["voigt-reuss-hill", "status"] == "1 of 1 unavailable: no phases"
    assert rows.loc["voigt-reuss-hill", "skill"] == ""


def test_latency_is_that_of_the_very_file(board):
    record = a_record()
    other_file = msgspec.structs.replace(a_latency(record, p50_ms=9.0), sha256="b" * 64)
    (row,) = board(record, other_file).to_dict("records")
    assert row["p50_ms_b1"] == ""
    (row,) = board(a_latency(record, p50_ms=0.5)).to_dict("records")
    assert (row["p50_ms_b1"], row["p50_ms_b32"], row["latency_note"]) == ("0.5", "16", "")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_text_from_outside_is_no_formula(board, name):
    (row,) = board(a_record(a_cell(data=name))).to_dict("records")
    assert row["data"] == "'" + name


def test_a_reason_is_one_line_and_no_formula(board):
    (row,) = board(a_failure(reason="=cmd|'/c calc'!A1\n\"and more\"")).to_dict("records")
    assert row["status"].splitlines() == [row["status"]]
    assert not row["status"].startswith("=")


def test_definitions_of_one_name_are_told_apart(board):
    """Records of before and after a variant was changed."""
    rows = board(a_record(), a_record(a_cell(architecture=Estimator("ridge", alpha=2.0))))
    assert list(rows["variant"]) == ["ridge", "ridge"]
    assert rows["definition"].nunique() == 2


def test_variants_of_one_name_that_are_of_other_numbers_of_images_are_told_apart(board):
    rows = board(a_record(), a_record(a_cell(originals=40)), a_record(a_cell(originals=20)))
    assert rows["definition"].nunique() == 3


@pytest.mark.parametrize("other", [a_cell(seed=1), a_cell(variant="lasso")])
def test_records_of_the_same_data_with_other_constants_are_refused(board, other):
    """An easier truth would be a better score that follows from its own record."""
    record = a_record(other)
    easier = msgspec.structs.replace(record.held_out, truth=record.held_out.predictions)
    easier = msgspec.structs.replace(record, held_out=easier, test=easier.accuracy())
    with pytest.raises(BenchError, match="other constants than the records of the same data and split"):
        board(a_record(), easier)


@pytest.mark.parametrize("name", ["skill", "variant", "r2_C11", "commit"])
def test_what_a_record_names_cannot_stand_in_for_a_column(board, name):
    with pytest.raises(BenchError, match=f"'{name}', which is another column"):
        board(a_record(metrics={name: 1.0}))


def test_a_variant_cannot_lead_a_table_out_of_the_folder(tmp_path):
    (tmp_path / "results").mkdir()
    store = Store(tmp_path / "results", "elasticity")
    store.append(benchmark({"tuned": 1.0}, seeds=(0,))[0])
    line = store.trainings_file.read_text()
    record = msgspec.json.decode(line, type=Record)
    cell = msgspec.structs.replace(record.cell, variant="../../../tuned")
    line = line.replace('"variant":"tuned"', '"variant":"../../../tuned"').replace(record.key, cell.key)
    store.trainings_file.write_text(line)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BenchError, match="without paths"):
        leaderboard.write(tmp_path / "results", "elasticity")
    assert sorted(tmp_path.rglob("*")) == before


def test_latency_is_that_of_the_rows_own_machine(board):
    record = a_record()
    elsewhere = msgspec.structs.replace(ENVIRONMENT, processor="Antikythera")
    (row,) = board(record, msgspec.structs.replace(a_latency(record), environment=elsewhere)).to_dict("records")
    assert row["p50_ms_b1"] == ""


def test_an_unsteady_latency_of_before_there_was_an_interval_says_so(board):
    record = a_record()
    (row,) = board(record, a_latency(record, ratio_spread=0.3)).to_dict("records")
    assert row["latency_note"] == "unsteady at batch 1 and 32"
    assert (row["ratio_b1"], row["ratio_low_b1"], row["ratio_high_b1"], row["ratio_low_b32"]) == ("2", "", "", "")


def test_a_latency_is_as_steady_as_its_interval_is_narrow(board):
    record = a_record()
    latency = a_latency(record, ratio_spread=0.3, ratio_low=1.96, ratio_high=2.04, rounds=10)
    (row,) = board(record, latency).to_dict("records")
    assert (row["ratio_low_b1"], row["ratio_high_b32"], row["latency_note"]) == ("1.96", "2.04", "")
    latency = a_latency(record, ratio_low=1.9, ratio_high=2.04, rounds=10)
    (row,) = board(msgspec.structs.replace(latency, started="2026-01-02T01:00:00+00:00")).to_dict("records")
    assert row["latency_note"] == "unsteady at batch 1 and 32"


def test_the_reason_why_a_latency_is_unsteady_is_told(board):
    record = a_record()
    calm = a_timing(1, ratio_low=1.99, ratio_high=2.01, rounds=10)
    busy = a_timing(32, ratio_low=1.5, ratio_high=2.5, rounds=40, unsteady="the machine was busy")
    latency = msgspec.structs.replace(a_latency(record), latency=Latency((calm, busy)))
    (row,) = board(record, latency).to_dict("records")
    assert row["latency_note"] == "unsteady at batch 32 (the machine was busy)"


def test_recomputed_it_is_the_same_to_the_byte_whatever_the_order_of_records(tmp_path):
    records = [a_record(a_cell(variant=name, seed=seed)) for name in "ab" for seed in range(3)]
    texts = []
    for number, order in enumerate((records, records[::-1])):
        (tmp_path / str(number)).mkdir()
        store = Store(tmp_path / str(number), "elasticity")
        for record in order:
            store.append(record)
        texts.append(all_tables(tmp_path / str(number)))
        assert all_tables(tmp_path / str(number)) == texts[-1]
    assert texts[0].keys() == {"elasticity.csv", "elasticity-tests.csv", "columns.csv"}
    assert texts[0] == texts[1]


def all_tables(results):
    leaderboard.write(results, "elasticity")
    folder = leaderboard.leaderboard_file(results, "elasticity").parent
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_check_finds_an_edited_leaderboard(tmp_path):
    Store(tmp_path, "elasticity").append(a_record())
    assert "does not exist" in leaderboard.differs(tmp_path, "elasticity")
    leaderboard.write(tmp_path, "elasticity")
    path = leaderboard.leaderboard_file(tmp_path, "elasticity")
    assert leaderboard.differs(tmp_path, "elasticity") == ""
    path.write_text(path.read_text().replace("ridge", "bridge"))
    told = leaderboard.differs(tmp_path, "elasticity").splitlines()
    assert told[0].endswith("elasticity.csv:2 does not follow from the records (ridge, classical)")
    assert told[1:] == ["  variant: ridge by the records, bridge in the file"]
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert "has 1 lines" in leaderboard.differs(tmp_path, "elasticity")
    leaderboard.write(tmp_path, "elasticity")
    columns_file = path.with_name("columns.csv")
    columns_file.write_text(columns_file.read_text().replace("higher", "lower", 1))
    assert "columns.csv:6 does not follow" in leaderboard.differs(tmp_path, "elasticity")


def test_check_finds_a_table_that_follows_from_nothing(tmp_path):
    Store(tmp_path, "elasticity").append(a_record())
    leaderboard.write(tmp_path, "elasticity")
    left = tmp_path / "leaderboards" / "elasticity-tuned-top-ten.csv"
    left.write_text("variant\n")
    assert leaderboard.differs(tmp_path, "elasticity") == f"{left} follows from no records that are there: take it away"
    left.rename(left.with_name("elasticity-deployment.csv"))
    assert "deployment.csv follows from no records" in leaderboard.differs(tmp_path, "elasticity")


def test_unbelievable_records_are_refused_without_a_table(tmp_path):
    record = a_record()
    Store(tmp_path, "elasticity").append(record)
    leaderboard.refuse_unbelievable(Shelf(Store(tmp_path, "elasticity")))
    polished = msgspec.structs.replace(record.test, mse=0.0)
    Store(tmp_path, "elasticity").append(msgspec.structs.replace(record, test=polished))
    with pytest.raises(BenchError, match="contradict themselves"):
        leaderboard.refuse_unbelievable(Shelf(Store(tmp_path, "elasticity")))
    assert not (tmp_path / "leaderboards").exists()


def test_a_record_that_contradicts_itself_stops_it(board):
    record = a_record()
    polished = msgspec.structs.replace(record, test=msgspec.structs.replace(record.test, mse=0.0))
    with pytest.raises(BenchError, match="contradict themselves"):
        board(polished)


def test_the_terminal_shows_the_rows_of_this_run_alone(tmp_path):
    store = Store(tmp_path, "elasticity")
    store.append(a_record())
    store.append(a_record(a_cell(variant="elsewhere", data_hash="e" * 64)))
    board = leaderboard.write(tmp_path, "elasticity")
    text = terminal.of_cells(board, "elasticity", [a_cell(variant="mean")], "GPa")
    assert "ridge" in text
    for change in ({"profile": "paper"}, {"settings": Settings(init="native")}, {"split_hash": "6" * 64}):
        assert "ridge" not in terminal.of_cells(board, "elasticity", [a_cell(**change)], "GPa")
    assert "elsewhere" not in text
    assert list(pd.read_csv(leaderboard.leaderboard_file(tmp_path, "elasticity"))["variant"]) != []


def test_the_terminal_shows_code_of_somebody_s_own_beside_what_it_is_compared_with(tmp_path):
    """Its initial weights are its framework's own, so its settings differ; it stood alone, or was left out."""
    code = Imported("models.py:Net", "torch", "f" * 64)
    own = a_cell(variant="models.Net", backend="pytorch", architecture=code, settings=Settings(init="native"))
    native = a_cell(variant="others", settings=Settings(init="native"))
    store = Store(tmp_path, "elasticity")
    for cell in (a_cell(), own, native):
        store.append(a_record(cell))
    board = leaderboard.write(tmp_path, "elasticity")
    for cell in (own, a_cell()):
        text = terminal.of_cells(board, "elasticity", [cell], "GPa")
        assert "models.Net (own code, no parity)" in text
        assert "ridge" in text
        assert "others" not in text
    text = terminal.of_cells(board, "elasticity", [native], "GPa")
    assert "others" in text
    assert "models.Net" not in text


def test_the_terminal_has_no_column_that_says_nothing(tmp_path):
    """One seed has no deviation, targets in unlike units no RMSE, and what was stopped no times: they were empty."""
    store = Store(tmp_path, "elasticity")
    store.append(a_record())
    board = leaderboard.write(tmp_path, "elasticity")
    heading = terminal.of_cells(board, "elasticity", [a_cell()], "GPa").splitlines()[0]
    assert "skill" in heading
    assert "train s" in heading
    assert "± seeds" not in heading
    assert "ms/image" not in heading
    store.append(a_record(a_cell(seed=1), error=2.0))
    board = leaderboard.write(tmp_path, "elasticity")
    heading = terminal.of_cells(board, "elasticity", [a_cell()], "GPa").splitlines()[0]
    assert "± seeds" in heading


def test_the_terminal_names_a_failure_and_leaves_its_reason_to_the_file(tmp_path):
    Store(tmp_path, "elasticity").append(a_failure(reason="out of " + "patience " * 30))
    board = leaderboard.write(tmp_path, "elasticity")
    assert "1 of 1 failed" in terminal.of_cells(board, "elasticity", [a_cell()], "GPa")
    assert "patience" not in terminal.of_cells(board, "elasticity", [a_cell()], "GPa")
    assert "patience" in leaderboard.leaderboard_file(tmp_path, "elasticity").read_text()


def test_recipes_and_searches_have_their_epochs_and_seconds(board):
    rows = board(*benchmark({"tuned": 1.0, "vgg16-fine-tuned": 2.0})).set_index(["variant", "backend"])
    tuned, fine = rows.loc["tuned", "keras"], rows.loc["vgg16-fine-tuned (random weights)", "keras"]
    assert (fine["epochs"], fine["train_seconds"], fine["weights"]) == ("5+3", "4", "random")
    assert (tuned["epochs"], tuned["search_seconds"], tuned["configuration"]) == ("4", "12", "5 5 5")


def test_the_top_ten_of_a_search(tmp_path):
    fill(Store(tmp_path, "elasticity"), benchmark({"tuned": 1.0, "baseline": 2.0}))
    leaderboard.write(tmp_path, "elasticity")
    table = pd.read_csv(tmp_path / "leaderboards" / "elasticity-tuned-top-ten.csv")
    assert table.groupby("backend").size().to_dict() == {"keras": 10, "pytorch": 10}
    for _, ranked in table.groupby("backend"):
        assert list(ranked["rank"]) == list(range(1, 11))
        assert ranked["validation_mse"].is_monotonic_increasing
    first = table.iloc[0]
    assert (first["configuration"], first["filters"], first["rate"], first["parameters"]) == (5, 16, 1e-3, 105)
    assert first["validation_mse"] == pytest.approx(0.1)
    assert len(first["selected_by"].split()) == 3
    assert table.iloc[1:10]["selected_by"].isna().all()
    losses = [[trial.validation_loss for trial in searched(seed).trials] for seed in range(3)]
    assert table.iloc[1]["validation_mse"] == pytest.approx(np.sort(np.mean(losses, axis=0))[1], rel=1e-5)
    assert leaderboard.differs(tmp_path, "elasticity") == ""
    path = tmp_path / "leaderboards" / "elasticity-tuned-top-ten.csv"
    path.write_text(path.read_text().replace("keras,1,5", "keras,1,6"))
    assert "top-ten.csv:2 does not follow" in leaderboard.differs(tmp_path, "elasticity")


def searched_by(method, seed, tried):
    search = msgspec.structs.replace(GRID, method=method)
    trials = tuple(Trial(number, 1.0 + number + seed, 1, 9.0, 100, 2.0) for number in tried)
    selected = search.selected(tried, [trial.validation_loss for trial in trials])
    cell = a_cell(variant="tuned", backend="keras", architecture=search, seed=seed)
    return a_record(cell, history=history(4), searched=Searched(trials, selected))


def test_a_search_by_optuna_is_a_row_beside_the_others_and_has_a_top_ten_of_what_it_tried(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)  # nobody needs it who only looks
    records = [
        searched_by("grid", 0, list(range(12))),
        searched_by("optuna", 0, [3, 3, 1, 1, 8]),
        searched_by("optuna", 1, [3, 3, 5]),
    ]
    fill(Store(tmp_path, "elasticity"), records)
    leaderboard.write(tmp_path, "elasticity")
    rows = pd.read_csv(tmp_path / "leaderboards" / "elasticity.csv").set_index("variant")
    assert rows["configuration"].to_dict() == {"tuned (by grid)": "0", "tuned (by Optuna)": "1 3"}
    assert rows["search_seconds"].to_dict() == {"tuned (by grid)": 24.0, "tuned (by Optuna)": (10 + 6) / 2}
    table = pd.read_csv(tmp_path / "leaderboards" / "elasticity-tuned-top-ten.csv", keep_default_na=False)
    assert len(list(itertools.groupby(table["variant"]))) == 2  # each ranking stands by itself
    found = {name: part.drop(columns="variant").to_dict("records") for name, part in table.groupby("variant")}
    assert [row["configuration"] for row in found["tuned (by grid)"]] == list(range(10))
    columns_told = ("rank", "configuration", "validation_mse", "epochs", "best_epochs", "selected_by")
    assert [tuple(str(row[name]) for name in columns_told) for row in found["tuned (by Optuna)"]] == [
        ("1", "3", "4.5", "3", "1 1", "1"),
        ("2", "1", "2.0", "3 0", "1 0", "0"),
        ("3", "5", "7.0", "0 1", "0 1", ""),
        ("4", "8", "9.0", "1 0", "1 0", ""),
    ]
    assert leaderboard.differs(tmp_path, "elasticity") == ""


def test_too_few_test_images_give_no_verdict(board):
    (row,) = board(with_images(a_record(error=0.01), 4)).to_dict("records")
    assert row["verdict"] == columns.TOO_FEW
    assert float(row["skill"]) > 0.99
    assert row["skill_low"] == row["skill_high"] == ""


def test_patches_of_too_few_specimens_give_no_verdict(board):
    def of_specimens(count):
        record = a_record(error=4.0)
        held_out = msgspec.structs.replace(record.held_out, clusters=tuple(number % count for number in range(20)))
        return msgspec.structs.replace(record, held_out=held_out)

    (row,) = board(of_specimens(4)).to_dict("records")
    assert row["verdict"] == columns.TOO_FEW
    assert row["skill_low"] == ""


def test_a_row_says_whose_size_and_latency_it_states(board, tmp_path):
    """A search may select models of several sizes: the row's figures are those of the first seed's."""
    records = [record for record in benchmark({"tuned": 1.0}, backends=("keras",)) if record.cell.variant == "tuned"]
    sizes = [100, 100, 900]
    records = [
        msgspec.structs.replace(record, counts=msgspec.structs.replace(record.counts, trainable=size, layers={}))
        for record, size in zip(records, sizes, strict=True)
    ]
    for record, size in zip(records, sizes, strict=True):
        Store(tmp_path, "elasticity").append(a_latency(record, p50_ms=size / 100))
    (row,) = board(*records).to_dict("records")
    first, second, _ = row["seeds"].split()
    assert row["size_of_seeds"] == f"{first} {second}"
    assert (row["parameters"], row["p50_ms_b1"]) == ("100", "1")
    shown = terminal.of_cells(leaderboard.write(tmp_path, "elasticity"), "elasticity", [records[0].cell], "GPa")
    assert f"are of seed {first} {second}, other seeds selected models of other sizes" in shown


def test_switches_are_told_and_make_a_row_of_their_own(board):
    fast = msgspec.structs.replace(ENVIRONMENT, flags={"ATEN_CPU_CAPABILITY": "default"})
    rows = board(a_record(), a_record(environment=fast))
    assert sorted(rows["switches"]) == ["", "ATEN_CPU_CAPABILITY=default"]


def test_numbers_stay_numbers_until_they_are_written(tmp_path):
    """Whole ones, too, where a row beside them has none: pandas would make floats of them."""
    store = Store(tmp_path, "elasticity")
    store.append(a_record(a_cell(variant="large"), counts=Counts(23_620_649, 0, {})))
    store.append(a_failure(a_cell(variant="failed")))
    table = leaderboard.compute(tmp_path, "elasticity").table.set_index("variant")
    assert table.loc["large", "parameters"] == 23_620_649
    assert isinstance(table.loc["large", "skill"], float)
    assert table.loc["failed", "parameters"] is None
    assert ",23620649," in leaderboard.as_csv(leaderboard.write(tmp_path, "elasticity").table)


def test_every_column_is_one_entry_with_its_meaning(tmp_path):
    told = of_leaderboard("elasticity")
    assert all(sentence and better in ("higher", "lower", "") for _, _, better, sentence, _ in told)
    names = [name.replace("{unit}", "GPa") for name, *_ in told]
    assert len(set(names)) == len(names)
    figures = {"positive_definite": 1.0, "inside_bounds": 0.5, "hill_residual": 0.01}
    moved = {"shift": 0.5, "mirror": 0.6, "rotation": 0.7}
    Store(tmp_path, "elasticity").append(a_record(metrics=figures, moved=moved))
    found = [name for name in leaderboard.compute(tmp_path, "elasticity").table.columns if not name.startswith("r2_C")]
    assert found == [name for name in names if name != "r2_<target>"]


def test_a_column_is_named_by_the_unit_of_the_targets(board):
    record = a_record()
    held_out = msgspec.structs.replace(record.held_out, units=("MPa", "MPa"))
    (row,) = board(msgspec.structs.replace(record, held_out=held_out)).to_dict("records")
    assert {"rmse_MPa", "rmse_MPa_sd", "mse_MPa2"} <= row.keys()
    assert columns.named("rmse_{unit}_sd", "") == "rmse_sd"


def test_every_named_test_has_its_lines(tmp_path):
    far = msgspec.structs.replace(a_record(error=5.0).held_out, test="far")
    store = Store(tmp_path, "elasticity")
    for seed in (0, 1):
        store.append(a_record(a_cell(seed=seed), others={"far": Examined(far, far.accuracy(), {})}))
    leaderboard.write(tmp_path, "elasticity")
    table = pd.read_csv(tmp_path / "leaderboards" / "elasticity-tests.csv").set_index(["test", "metric"])
    assert set(table.index.get_level_values("test")) == {"test", "far"}
    assert table.loc[("far", "rmse"), "value"] == pytest.approx(far.accuracy().rmse, rel=1e-5)
    assert table.loc[("far", "rmse"), "unit"] == "GPa"
    assert table.loc[("test", "inside_bounds"), "value"] == 0.5
    assert table.loc[("far", "r2_C11"), "value"] == pytest.approx(far.accuracy().r2["C11"], rel=1e-5)
    skill = table.loc[("far", "skill")]
    assert skill["low"] < skill["value"] < skill["high"]
    for metric in ("rmse", "r2_C11"):
        line = table.loc[("far", metric)]
        assert line["low"] < line["value"] < line["high"]
    assert np.isnan(table.loc[("test", "inside_bounds"), "low"])
    assert table.loc[("test", "rmse"), "value"] < table.loc[("far", "rmse"), "value"]


@pytest.mark.parametrize(("unit", "scale", "told"), [("", 1.0, "RMSE"), ("m2", 1e-16, "RMSE m2")])
def test_the_terminal_tells_errors_without_a_unit_and_of_small_numbers(tmp_path, unit, scale, told):
    record = a_record(error=1.0)
    held_out = record.held_out
    parts = {
        name: tuple(tuple(value * scale for value in row) for row in getattr(held_out, name))
        for name in ("predictions", "truth")
    }
    mean = tuple(value * scale for value in held_out.train_mean)
    held_out = msgspec.structs.replace(held_out, **parts, train_mean=mean, units=(unit,) * 2)
    record = msgspec.structs.replace(record, held_out=held_out, test=held_out.accuracy())
    Store(tmp_path, "elasticity").append(record)
    heading, line = terminal.of_cells(
        leaderboard.write(tmp_path, "elasticity"), "elasticity", [record.cell], unit
    ).splitlines()
    assert f" {told} " in heading
    assert ("1e-16" in line or "e-17" in line) if unit else f"{record.test.rmse:.2f}" in line


def test_rows_that_other_code_made_are_told(tmp_path):
    store, current = Store(tmp_path, "elasticity"), source("classical", "elasticity")
    store.append(a_record(source=current))
    assert leaderboard.lagging(Shelf(Store(tmp_path, "elasticity"))) == []
    store.append(a_record(a_cell(variant="older"), source="0" * 64))
    store.append(a_record(a_cell(variant="oldest")))
    assert leaderboard.lagging(Shelf(Store(tmp_path, "elasticity"))) == [
        "1 of 3 rows were made by other code, which can change their numbers: commit 0123456789ab",
        "1 of 3 rows were made by code that is not known to be this: commit 0123456789ab",
    ]


def test_an_encoding_that_the_model_does_not_do_counts(board):
    """Its time is Python's, one image after the other; no ratio to what encodes nothing would say that."""
    record = a_record(encoding_ms=2.0)
    (row,) = board(record, a_latency(record, p50_ms=0.5)).to_dict("records")
    assert (row["p50_ms_b1"], row["p50_ms_b32"], row["encoding_ms"]) == ("2.5", "80", "2")
    assert row["images_per_s_b1"] == "400"
    assert (row["ratio_b1"], row["ratio_low_b1"], row["ratio_spread_b32"]) == ("", "", "")


def test_errors_of_unlike_units_are_not_added_up(board):
    (row,) = board(in_unlike_units(a_record(error=3.0))).to_dict("records")
    assert [row[name] for name in ("rmse", "rmse_sd", "mae", "mse_2", "mse_of_mean_2")] == [""] * 5
    assert 0 < float(row["skill"]) < 1
    assert 0 < float(row["r2"]) < 1
    told = by_test.table([in_unlike_units(a_record(error=3.0))])
    assert {"skill", "r2_mean", "nmae"} <= set(told["metric"])
    assert not {"rmse", "mae", "mse", "mse_of_mean"} & set(told["metric"])


# --- what a network has to beat -----------------------------------------------------------------------------------

NETWORK = benchmark({"baseline": 1.0}, ("keras",), (0,))[0].cell


def rivals(network=1.0, **others):
    """A network's record and those of models without one, by how far they are off, on validation images as on tests."""
    cell = msgspec.structs.replace(NETWORK, data_hash="d" * 64, split_hash="5" * 64, profile="standard")
    found = [a_record(cell, error=network)]
    return found + [a_record(a_cell(variant=name), error=error) for name, error in others.items()]


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (0.5, "better than ridge"),
        (2.0, "not better than ridge"),
        (4.0, "worse than ridge"),
        (12.0, columns.NO_BETTER),
        (20.0, columns.WORSE),
    ],
)
def test_a_network_is_held_against_the_best_row_without_one(board, network, told):
    rows = board(*rivals(network, ridge=2.0, mean=9.0)).set_index("variant")
    row = rows.loc["baseline"]
    assert row["verdict"] == told
    assert row["rival"] == "ridge"
    assert float(row["over_rival_low"]) <= float(row["over_rival"]) <= float(row["over_rival_high"])
    assert float(row["over_rival"]) == pytest.approx(float(row["skill"]) - float(rows.loc["ridge", "skill"]), abs=1e-4)
    assert rows.loc["ridge", "verdict"] == columns.BETTER
    assert not rows.loc["ridge", "rival"]


def test_p_values_of_networks_with_one_rival_are_a_family(board):
    """With more networks beside it a network's p-value rises, its interval stays as it is, and others are no family."""
    network, ridge = rivals(1.9, ridge=2.0)
    alone = board(network, ridge).set_index("variant").loc["baseline"]
    others = [
        a_record(msgspec.structs.replace(network.cell, variant=f"n{number}"), error=2.0 + 0.01 * number)
        for number in range(5)
    ]
    row = board(*others).set_index("variant").loc["baseline"]
    assert row["over_rival_low"] == alone["over_rival_low"]
    assert 0 < float(alone["over_rival_p_holm"]) < float(row["over_rival_p_holm"]) <= 1
    assert board().set_index("variant").loc["ridge", "over_rival_p_holm"] == ""
    fewer = msgspec.structs.replace(network.cell, settings=Settings(originals=25))
    apart = board(a_record(fewer, error=1.0)).set_index("variant")
    assert apart.loc["baseline", "over_rival_p_holm"] == row["over_rival_p_holm"]


def test_a_network_that_was_trained_again_is_no_further_comparison(board):
    """It is told of in a row of its own, by other code, and makes nobody's p-value larger."""
    network, ridge = rivals(1.9, ridge=2.0)
    other = a_record(msgspec.structs.replace(network.cell, variant="other"), error=2.05)
    before = board(network, ridge, other).set_index("variant").loc["baseline"]
    started = "2031-01-01T00:00:00+00:00"
    again = a_record(network.cell, error=1.91, source="1" * 64, started=started)
    rows = board(again)
    p_values = rows[rows["variant"] == "baseline"].set_index("source")["over_rival_p_holm"]
    assert len(p_values) == 2
    assert p_values[before["source"]] == before["over_rival_p_holm"]
    assert 0 < float(p_values["1" * 12]) <= 2 * float(before["over_rival_p_holm"])


def noisy(record, size):
    """Its predictions miss by noise of this size, on each image by its own."""
    held_out = record.held_out
    noise = np.random.default_rng(1).normal(0, size, np.shape(held_out.truth))
    missed = msgspec.structs.replace(held_out, predictions=tuple(map(tuple, (held_out.true + noise).tolist())))
    return msgspec.structs.replace(record, held_out=missed, test=missed.accuracy())


def test_a_verdict_holds_among_all_that_have_the_same_rival(board):
    """What a network's own interval says alone does not, among five."""
    network, ridge = rivals(2.0, ridge=2.0)
    network = noisy(network, 1.05)
    alone = board(network, ridge).set_index("variant").loc["baseline"]
    assert 0.01 < float(alone["over_rival_p_holm"]) < 0.05
    assert alone["verdict"] == "better than ridge"
    others = [msgspec.structs.replace(network.cell, variant=f"n{number}") for number in range(4)]
    row = board(*(a_record(cell, error=2.0) for cell in others)).set_index("variant").loc["baseline"]
    assert (row["over_rival_low"], row["over_rival_high"]) == (alone["over_rival_low"], alone["over_rival_high"])
    assert float(row["over_rival_p_holm"]) > 0.05
    assert row["verdict"] == "not better than ridge"


def test_the_rival_is_chosen_by_the_validation_images(board):
    network, ridge, gp = rivals(1.0, ridge=2.0, gp=3.0)
    lucky = msgspec.structs.replace(ridge, validation=msgspec.structs.replace(ridge.validation, mse=1e6))
    assert board(network, lucky, gp).set_index("variant").loc["baseline", "rival"] == "gp"


def test_rivals_are_of_the_same_question(board):
    """On whatever device and processor; with other originals the question is another, and the mean is no rival."""
    network, ridge, mean = rivals(1.0, ridge=2.0)[0], *rivals(ridge=2.0)[1:], *rivals(mean=0.1)[1:]
    mean = a_record(a_cell(variant="mean", architecture=Estimator("mean")), error=0.1)
    elsewhere = msgspec.structs.replace(ridge, environment=msgspec.structs.replace(ENVIRONMENT, processor="Abacus II"))
    fewer = a_record(a_cell(variant="gp", settings=Settings(originals=25)), error=0.1)
    cuda = a_record(msgspec.structs.replace(network.cell, settings=Settings(device="cuda")), error=1.0)
    rows = board(network, cuda, elsewhere, fewer, mean)
    assert rows[rows["variant"] == "baseline"]["rival"].tolist() == ["ridge", "ridge"]


def test_of_few_test_images_a_network_and_its_rival_are_not_compared(board):
    rows = board(*(with_images(record, 6) for record in rivals(1.0, ridge=2.0))).set_index("variant")
    assert rows.loc["baseline", "rival"] == "ridge"
    assert rows.loc["baseline", "verdict"] == columns.TOO_FEW


def test_a_network_alone_has_no_rival(board):
    (row,) = board(*rivals(1.0)).to_dict("records")
    assert (row["rival"], row["over_rival"], row["verdict"]) == ("", "", columns.BETTER)


@pytest.mark.parametrize(
    ("value", "form", "told"), [(-0.0004, ".3f", "0.000"), (-0.004, ".3f", "-0.004"), (-0.001, ".0%", "0%")]
)
def test_a_terminal_shows_no_negative_zero(value, form, told):
    assert terminal._in_form([value, None], form) == [told, ""]
