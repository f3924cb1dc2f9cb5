"""`import cijbench`: what its functions make of their arguments; what commands do with them is tested beside these."""

import msgspec
import numpy as np
import pytest

import cijbench
from harness.command import commands, models
from harness.command.options import parse
from harness.errors import BenchError
from harness.judging.store import Store
from tests.harness.examples import a_record


@pytest.fixture
def asked(monkeypatch):
    """What `bench run` and `bench predict` were told; both then say that all is well."""
    told = []
    monkeypatch.setattr(models, "run", lambda options: told.append(options) or 0)
    monkeypatch.setattr(models, "predicted", lambda options: told.append(options) or "rows")
    return told


def as_typed(command, kind, *words):
    return msgspec.structs.asdict(parse(command, kind, list(words)))


def test_options_of_a_run_are_those_of_the_command_line(asked):
    options = {"suite": ["elasticity", "phases"], "seeds": (0, 1), "dry": True, "memory": 1.5, "unit": "MPa"}
    assert cijbench.run(**options) is True
    words = ("suite=elasticity,phases", "seeds=0,1", "dry=true", "memory=1.5", "unit=MPa")
    assert msgspec.structs.asdict(asked[0]) == as_typed("run", commands.RunOptions, *words)


@pytest.mark.parametrize("seeds", [range(2), np.arange(2), {0: "a", 1: "b"}.keys()])
def test_several_values_are_whatever_has_several(asked, seeds):
    cijbench.run(seeds=seeds)
    assert msgspec.structs.asdict(asked[0]) == as_typed("run", commands.RunOptions, "seeds=0,1")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"seeds": np.array(3)}, "seeds=3"),
        ({"seeds": np.int64(3)}, "seeds=3"),
        ({"dry": np.bool_(True)}, "dry=true"),
        ({"results": b"mine"}, "results=mine"),
    ],
)
def test_a_value_may_be_of_another_kind(asked, options, word):
    cijbench.run(**options)
    assert msgspec.structs.asdict(asked[0]) == as_typed("run", commands.RunOptions, word)


def test_images_themselves_are_no_folder(asked):
    with pytest.raises(BenchError, match=r"images=: is given an array of shape \(2, 64, 64\), and takes a word"):
        cijbench.predict(suite="own", images=np.zeros((2, 64, 64)), out="rows.csv")


def test_what_is_none_is_not_given(asked, tmp_path):
    cijbench.run(data=None, variant=None, results=tmp_path)
    cijbench.predict(model="a.onnx", images="b", out="c.csv", suite=None, variant=None)
    assert msgspec.structs.asdict(asked[0]) == as_typed("run", commands.RunOptions, f"results={tmp_path}")
    words = ("model=a.onnx", "images=b", "out=c.csv")
    assert msgspec.structs.asdict(asked[1]) == as_typed("predict", commands.PredictOptions, *words)


def test_a_home_is_meant_by_its_sign(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    cijbench.run(results="~/mine")
    assert asked[0].results == tmp_path / "mine"


def test_a_run_with_cells_that_have_no_result_is_not_true(monkeypatch):
    monkeypatch.setattr(models, "run", lambda options: 1)
    assert cijbench.run() is False


def test_predictions_are_returned(asked):
    assert cijbench.predict(model="a.onnx", images="b", out="c.csv") == "rows"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sute": "all"}, "bench run has no option 'sute': did you mean 'suite'"),
        ({"workers": -1}, "workers=-1: must be a whole number of at least 0"),
        ({"device": "gpu"}, "device=gpu: must be one of cpu, cuda"),
        ({"results": ""}, "results=: is empty; see `bench run --help`"),
    ],
)
def test_what_the_command_line_refuses_is_refused(asked, options, said):
    with pytest.raises(BenchError, match=said):
        cijbench.run(**options)
    assert not asked


@pytest.mark.parametrize(
    ("suite", "results", "said"),
    [
        (None, None, "unknown suite 'all'"),
        (["elastic"], None, "unknown suite 'elastic': did you mean 'elasticity'"),
        ("elasticity", "~nobody-at-all/mine", "there is no home ~nobody-at-all here"),
        ("elasticity", 3, "3: no records of elasticity: `cijbench.run` makes them"),
        (["elasticity"], b"nowhere", "nowhere: no records of elasticity"),
    ],
)
def test_a_leaderboard_that_is_not_there_is_refused(suite, results, said):
    with pytest.raises(BenchError, match=said):
        cijbench.leaderboard(suite, results)


def test_a_leaderboard_is_of_the_records_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    store = Store(tmp_path / "mine", "elasticity")
    store.folder.mkdir(parents=True)
    store.append(a_record())
    for results in ("~/mine", tmp_path / "mine"):
        assert cijbench.leaderboard("elasticity", results)["variant"].tolist() == ["ridge"]


def test_a_leaderboard_of_no_records_is_refused(tmp_path):
    with pytest.raises(BenchError, match=f"{tmp_path}: no records of elasticity: `cijbench.run` makes them"):
        cijbench.leaderboard("elasticity", tmp_path)
    with pytest.raises(BenchError, match="unknown suite 'elastcity': did you mean 'elasticity'"):
        cijbench.leaderboard("elastcity", tmp_path)
