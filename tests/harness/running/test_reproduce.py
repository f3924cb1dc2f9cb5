"""A published row run again: whether it agrees, within what, and why not."""

import numpy as np
import pytest

from harness.command import cli
from harness.errors import BenchError
from harness.judging.records import Settings
from harness.judging.store import Store
from harness.model.variants import Search
from harness.running.guard import Limits
from harness.running.reproduce import _request, published, reproduce
from tests.harness.a_benchmark import benchmark, fill
from tests.harness.examples import a_cell, a_record, moved

HERE = Limits(memory_gib=4)


@pytest.fixture
def results(tmp_path):
    fill(Store(tmp_path, "elasticity"), benchmark({"baseline": 1.0, "tuned": 2.0, "vgg16-head-only": 3.0}))
    return tmp_path


def test_a_row_is_found_by_its_name_and_a_record_by_its_key(results):
    found = published(results, "elasticity", "baseline/keras", "standard")
    assert [record.cell.seed for record in found] == [0, 1, 2]
    assert published(results, "elasticity", found[1].key, "standard") == [found[1]]
    for name in ("vgg16-head-only", "vgg16-head-only (random weights)"):
        assert len(published(results, "elasticity", f"{name}/keras", "standard")) == 3


def test_a_variants_name_is_its_plain_rows_before_one_with_more_to_its_name(results):
    averaged = a_cell(variant="baseline", backend="keras", settings=Settings(averaged=16))
    Store(results, "elasticity").append(a_record(averaged))
    plain = published(results, "elasticity", "baseline/keras", "standard")
    assert {record.cell.settings.averaged for record in plain} == {0}
    (moved,) = published(results, "elasticity", "baseline (mean over 16 moves)/keras", "standard")
    assert moved.cell.settings.averaged == 16


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("basline/keras", "did you mean 'baseline/keras'"),
        ("baseline", "did you mean 'baseline/"),
        ("f" * 16, "no finished record of elasticity with this key"),
    ],
)
def test_a_row_that_there_is_not_names_the_nearest(results, row, said):
    with pytest.raises(BenchError, match=said):
        published(results, "elasticity", row, "standard")


def test_it_is_asked_for_as_it_was_made(results, tmp_path):
    def asked(row):
        return _request(published(results, "elasticity", row, "standard"), results, tmp_path / "out", 2, HERE)

    assert asked("tuned/keras").search == "grid"
    assert isinstance(published(results, "elasticity", "tuned/keras", "standard")[0].cell.architecture, Search)
    request = asked("vgg16-head-only/pytorch")
    assert (request.weights, request.variant, request.backend) == ("random", "vgg16-head-only", "pytorch")
    cell = a_cell(weights="microstructures 0123456789ab", settings=Settings(originals=25, averaged=4))
    request = _request([a_record(cell)], results, tmp_path / "out", 2, HERE)
    assert request.weights == str(results / "weights" / "microstructures")
    assert request.originals == (25,)
    assert request.settings == Settings(averaged=4)


def test_other_data_are_not_at_hand(results, tmp_path):
    with pytest.raises(BenchError, match="not the suite's own"):
        reproduce(published(results, "elasticity", "baseline/keras", "standard"), results, tmp_path / "out", 1, HERE)


def test_a_variant_that_the_suite_has_not_is_not_run_again(tmp_path):
    with pytest.raises(
        BenchError, match="mine is not a variant of elasticity, but a user's own or from another version"
    ):
        reproduce([a_record(a_cell(variant="mine"))], tmp_path, tmp_path / "again", 1, HERE)


@pytest.mark.slow
def test_what_was_run_here_agrees_to_the_bit_and_what_was_edited_does_not(tmp_path, capsys):
    results = tmp_path / "results"
    run = ["run", "suite=elasticity", "variant=ridge", "profile=smoke", f"results={results}", "workers=1"]
    assert cli.main(run) == 0
    words = ["reproduce", "suite=elasticity", "profile=smoke", "workers=1", f"results={results}"]
    assert cli.main([*words, "row=ridge/classical"]) == 0
    told = capsys.readouterr().out
    assert "ridge on classical, seed 0: agrees to the bit" in told
    assert "1 of 1 records agree" in told
    assert (results / "reproduced" / "records").is_dir()
    (record,) = Store(results, "elasticity").trainings()
    edited = tmp_path / "edited"
    edited.mkdir()
    Store(edited, "elasticity").append(moved(record, 5.0, metrics={}))
    words[-1] = f"results={edited}"
    assert cli.main([*words, f"row={record.key}", f"out={results / 'reproduced'}"]) == 1
    told = capsys.readouterr().out
    assert "does not agree. Predictions differ by 5 GPa" in told
    assert "it was edited, or is not deterministic" in told
    assert cli.main([*words, f"row={record.key}", f"out={edited}"]) == 2
    assert np.isfinite(record.test.rmse)
