"""A suite is one module: dropped into `suites/`, it runs, is judged and shown, and nothing else is touched."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from tests.harness.a_command import told_apart

HOUSE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """The source, with one more suite."""
    root = tmp_path_factory.mktemp("house")
    for part in ("harness", "backends", "suites"):
        shutil.copytree(HOUSE / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(Path(__file__).with_name("a_suite.py"), root / "suites" / "foams.py")
    return root


def bench(house, *words):
    return told_apart(*words, cwd=house, PYTHONPATH=str(house))


RUN = ("run", "suite=foams", "profile=smoke", "results=results")


@pytest.fixture(scope="module")
def finished(house):
    return house / "results", bench(house, *RUN, "noise=0.01")


@pytest.mark.slow
def test_it_is_listed_with_its_own_options(house):
    assert "suite foams: conductivity and porosity" in bench(house, "list")
    told = bench(house, "run", "--help")
    assert "options of suite elasticity:" in told
    assert "of suite foams:\n  noise=" in told
    assert "shape=" in bench(house, "data", "make", "--help")


@pytest.mark.slow
def test_its_rows_have_its_units_metrics_and_tests(finished):
    results, printed = finished
    assert "18 cells, 0 already done" in printed
    table = pd.read_csv(results / "leaderboards" / "foams.csv").set_index(["variant", "backend"])
    assert len(table) == 9
    assert (table["status"] == "ok").all()
    assert {"r2_conductivity", "r2_porosity", "too_hot", "rmse"} <= set(table.columns)  # two units share no rmse_UNIT
    assert table.loc[("line", "classical"), "skill"] > 0.99
    assert 0.9 < table.loc[("few-line", "classical"), "skill"] < table.loc[("line", "classical"), "skill"]
    assert table.loc[("per-pore", "classical"), "skill"] > 0.9
    assert table.loc[("per-pore", "classical"), "onnx_difference"] < 1e-5  # it decodes in its graph
    assert (
        table.loc[("line", "classical"), "change_upside-down"]
        < 1e-6
        < table.loc[("cnn", "keras"), "change_upside-down"]
    )
    ours, theirs = (table.loc[("dense", backend), "skill"] for backend in ("keras", "pytorch"))
    assert ours == pytest.approx(theirs, abs=1e-4)  # the same network on the same vectors
    tests = pd.read_csv(results / "leaderboards" / "foams-tests.csv")
    assert set(tests["test"]) == {"near", "far"}
    assert set(tests[tests["metric"] == "too_hot"]["test"]) == {"near", "far"}


@pytest.mark.slow
def test_what_no_graph_does_is_timed_and_counts(finished):
    results, _ = finished
    table = pd.read_csv(results / "leaderboards" / "foams.csv").set_index(["variant", "backend"])
    median, line = table.loc[("median-line", "classical")], table.loc[("line", "classical")]
    assert median["encoding_ms"] > 0
    assert np.isnan(line["encoding_ms"])
    assert median["p50_ms_b1"] > median["encoding_ms"]


@pytest.mark.slow
def test_its_records_hold_what_it_told(finished):
    results, _ = finished
    folder = results / "records" / "foams"
    truths = [msgspec.json.decode(line) for line in (folder / "truths.jsonl").read_bytes().splitlines()]
    assert [(truth["test"], truth["units"]) for truth in truths] == [("near", ["W/mK", ""]), ("far", ["W/mK", ""])]
    assert [len(set(truth["clusters"])) < len(truth["clusters"]) for truth in truths] == [True] * 2  # specimens of four
    record = msgspec.json.decode((folder / "trainings.jsonl").read_bytes().splitlines()[0])
    assert record["cell"]["settings"]["facts"] == {"gas": "argon"}
    stored = [msgspec.json.decode(line) for line in (folder / "trainings.jsonl").read_bytes().splitlines()]
    shown = {one["cell"]["variant"]: one["dimension"] for one in stored if one["status"] == "ok"}
    assert (shown["cnn"], shown["line"]) == (8 * 8 * 2, 2)  # pixels of two channels, and their means


@pytest.mark.slow
def test_it_is_judged_reported_on_and_not_run_twice(house, finished):
    assert "18 cells, 18 already done" in bench(house, *RUN, "noise=0.01")
    page = Path(bench(house, "report", "suite=foams", "profile=smoke", "results=results").strip().splitlines()[-1])
    text = (house / page).read_text()
    assert "# foams" in text
    fourth = text.split("## Every test")[1].split("## ")[0]
    assert "| test | model | backend | skill | too hot |" in fourth
    assert fourth.count("| near | line |") == fourth.count("| far | line |") == 1
    own = text.split("## Do means help?\n\n")[1].split("## ")[0]
    assert own.splitlines()[0].endswith(" We think so.")
    assert own.count("| classical |") == 2  # a line of each test
    assert text.rstrip().endswith("![foams](foams.png)")  # the suite's own picture
    assert "GPa" not in text
    # Other options are other data, whose records stand beside.
    assert "2 cells, 0 already done" in bench(house, *RUN, "variant=line", "noise=0.5")
    bench(house, "leaderboard", "check=true", "suite=foams", "results=results")
