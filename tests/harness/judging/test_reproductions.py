"""What was run again beside published rows: whether it agrees, and what tables and pages make of that."""

import shutil

import msgspec
import numpy as np
import pytest

from harness.errors import BenchError
from harness.judging import leaderboard
from harness.judging.outlines import Shelf
from harness.judging.records import Examined, Settings
from harness.judging.reproductions import Reproductions, by_this_code, compare, distance_of, spread_of_seeds
from harness.judging.store import Store
from harness.provenance import source
from tests.harness.examples import ENVIRONMENT, a_cell, a_failure, a_record, moved, with_images

LATER = "2026-02-01T00:00:00+00:00"
ELSEWHERE = msgspec.structs.replace(ENVIRONMENT, processor="Antikythera", commit="f" * 40)
OLD = "0" * 64


@pytest.mark.parametrize(
    ("by", "spread", "agrees"),
    [
        (0, None, "to the bit"),
        (1e-7, None, "to rounding"),
        (0.5, 1.0, "within the spread of seeds"),
        (2.0, 1.0, "no"),
        (0.5, None, "no"),
        (0.5, 0.0, "no"),
    ],
)
def test_it_agrees_within_what_is_told(by, spread, agrees):
    record = a_record(error=1.0)
    found = compare(record, moved(record, by), {"test": spread})
    assert (found.agrees, found.test) == (agrees, "test")
    assert found.distance == pytest.approx(by)


@pytest.mark.parametrize("error", [0.1, 10.0])
def test_rounding_is_a_hundredth_of_the_error(error):
    record = a_record(error=error)
    agrees = [compare(record, moved(record, share * record.test.rmse), {}).agrees for share in (0.9e-2, 1.1e-2)]
    assert agrees == ["to rounding", "no"]


def test_predictions_of_other_images_are_at_no_distance():
    assert np.isnan(distance_of(a_record(), with_images(a_record(), 1), "test"))


def test_why_it_is_not_to_the_bit_is_told():
    record = a_record(source="1" * 64)
    elsewhere = msgspec.structs.replace(ENVIRONMENT, processor="Antikythera", versions={"numpy": "3.0"})
    found = compare(record, moved(record, 1e-7, environment=elsewhere, source="2" * 64), {})
    assert any("another processor" in why for why in found.why)
    assert any("numpy 2.0" in why for why in found.why)
    assert any("other code, of commit 0123456789ab" in why for why in found.why)
    assert not any("nothing that it is known to hang on" in why for why in found.why)
    (why,) = compare(record, moved(record, 1e-7), {}).why
    assert "nothing that it is known to hang on differs" in why
    assert compare(record, record, {}).why == []


def test_another_definition_and_failures_are_told():
    record = a_record()
    other = a_record(a_cell(settings=Settings(init="native")))
    assert "it is another cell" in " ".join(compare(record, other, {}).why)
    assert compare(record, None, {}).why == ["it is no cell of the suite any more"]
    found = compare(record, a_failure(), {})
    assert (found.published, found.again, found.agrees) == (record, None, "no")
    assert "the moon was full" in found.why[0]


def test_the_spread_of_seeds_is_the_median_over_pairs():
    record = a_record()
    assert spread_of_seeds([record]) == {"test": None}
    assert spread_of_seeds([record, moved(record, 1.0), moved(record, 3.0)]) == {"test": pytest.approx(2.0)}


def with_another_test(record, by=0.0):
    """The record with a second test, "far", predicted by so many GPa otherwise."""
    held_out = msgspec.structs.replace(moved(record, by).held_out, test="far")
    return msgspec.structs.replace(record, others={"far": Examined(held_out, held_out.accuracy(), {})})


def test_the_test_that_agrees_least_counts():
    record = with_another_test(a_record())
    assert compare(record, record, {}).agrees == "to the bit"
    found = compare(record, with_another_test(a_record(), by=2.0), {"test": 3.0, "far": 1.0})
    assert (found.agrees, found.test, found.spread) == ("no", "far", 1.0)
    assert found.distance == pytest.approx(2.0)
    assert compare(record, a_record(), {}).agrees == "no"  # it has not met that test
    assert compare(a_record(), record, {}).agrees == "to the bit"  # a test that came later is not asked about


def seeds(**changes):
    return [a_record(a_cell(seed=seed), source=OLD, **changes) for seed in (0, 1, 2)]


def again(records, by=0.0, **changes):
    """The same, run again by code that is here."""
    made = {"started": LATER, "environment": ELSEWHERE, "source": source("classical", "elasticity")} | changes
    return [moved(record, by, **made) for record in records]


@pytest.fixture
def results(tmp_path):
    """A folder with a row of three seeds, made by other code."""
    for record in seeds():
        Store(tmp_path, "elasticity").append(record)
    return tmp_path


def run_again(results, records):
    (results / "reproduced").mkdir(exist_ok=True)
    for record in records:
        Store(results / "reproduced", "elasticity").append(record)


def told(results):
    return Reproductions(results, "elasticity").of(seeds())


def test_what_nobody_ran_again_is_not_told_of(results):
    assert told(results) is None
    row = leaderboard.compute(results, "elasticity").table.iloc[0]
    assert (row["reproduced"], row["reproduced_by"]) == (None, None)


def test_a_row_of_which_every_seed_was_made_again(results):
    run_again(results, again(seeds()))
    found = told(results)
    assert (found.agrees, found.current) == ("to the bit", True)
    assert by_this_code(seeds(), found)
    assert found.told == "run again by commit ffffffffffff on Antikythera, and agrees to the bit"
    assert Reproductions(results, "elasticity").of([*seeds(), a_failure(a_cell(seed=3))]) == found  # of what finished
    table = leaderboard.compute(results, "elasticity").table
    assert len(table) == 1  # it makes no row
    assert (table.iloc[0]["reproduced"], table.iloc[0]["reproduced_by"]) == ("to the bit", "ffffffffffff")
    assert leaderboard.lagging(Shelf(Store(results, "elasticity"))) == [
        "1 of 1 rows were made by other code, and made again by this code to the bit"
    ]


def test_some_seeds_are_not_all_of_them(results):
    run_again(results, again(seeds())[:2])
    assert told(results) is None
    run_again(results, [msgspec.structs.replace(a_failure(a_cell(seed=2)), started=LATER)])
    assert told(results) is None
    assert Reproductions(results, "elasticity").of([a_failure()]) is None  # of a row of which no seed ended
    assert "other code, which can change" in leaderboard.lagging(Shelf(Store(results, "elasticity")))[0]


def test_of_a_row_of_one_seed_those_that_were_run_again_say_how_far_seeds_are_apart(results):
    first, second, third = again(seeds())
    run_again(results, [moved(first, 0.3), moved(second, 0.6)])
    asked = Reproductions(results, "elasticity")
    assert asked.of(seeds()[:1]).agrees == "within the spread of seeds"
    assert asked.of(seeds()) is None  # not all seeds of it
    run_again(results, [moved(first, 50.0, started="2027-01-01T00:00:00+00:00")])
    run_again(results, [moved(third, 0.0)])
    far = Reproductions(results, "elasticity")
    assert far.of(seeds()[:1]).agrees == "no"


@pytest.mark.parametrize(("by", "agrees"), [(1e-7, "to rounding"), (0.3, "within the spread of seeds"), (50.0, "no")])
def test_the_seed_that_agrees_least_counts(results, by, agrees):
    first, *others = seeds()
    run_again(results, [*again([first], by), *again(others)])
    found = told(results)
    assert (found.agrees, found.current) == (agrees, False)
    assert not by_this_code(seeds(), found)
    assert ("does not agree" if agrees == "no" else f"agrees {agrees}") in found.told
    assert leaderboard.compute(results, "elasticity").table.iloc[0]["reproduced"] == agrees
    assert "other code, which can change" in leaderboard.lagging(Shelf(Store(results, "elasticity")))[0]


def test_code_of_before_made_it_again_and_says_nothing_of_the_code_that_is_here(results):
    run_again(results, again(seeds(), source="1" * 64))
    found = told(results)
    assert (found.agrees, found.current) == ("to the bit", False)


def test_the_newest_run_of_a_cell_counts(results):
    run_again(results, again(seeds(), started="2026-03-01T00:00:00+00:00"))
    run_again(results, again(seeds(), by=50.0))  # as in a folder that was merged
    assert told(results).agrees == "to the bit"


def test_published_seeds_say_how_far_seeds_are_apart_not_those_that_were_run_again(results):
    run_again(results, [moved(record, by) for record, by in zip(again(seeds()), (50.0, -55.0, 60.0), strict=True)])
    assert told(results).agrees == "no"


def test_runs_of_another_row_do_not_say_how_far_seeds_are_apart(results):
    others = [a_record(a_cell(variant="gp", seed=seed)) for seed in (0, 1)]
    run_again(results, [*again(seeds()[:1], by=0.3), *again(others[:1], by=50.0), *again(others[1:])])
    assert Reproductions(results, "elasticity").of(seeds()[:1]).agrees == "no"


def test_code_that_is_here_made_a_row_again_where_it_made_every_seed(results):
    first, *others = again(seeds())
    run_again(results, [msgspec.structs.replace(first, source="1" * 64), *others])
    assert (told(results).agrees, told(results).current) == ("to the bit", False)


def test_a_copy_is_no_second_run(results):
    shutil.copytree(results / "records", results / "reproduced" / "records")
    assert told(results) is None
    run_again(results, again(seeds()[1:]))  # one of three is a copy
    assert told(results) is None


def test_a_run_that_cannot_be_believed_is_refused(results):
    (lie, *others) = again(seeds())
    lie = msgspec.structs.replace(lie, test=msgspec.structs.replace(lie.test, rmse=0.001))
    run_again(results, [lie, *others])
    with pytest.raises(BenchError, match=r"reproduced.*contradict themselves"):
        leaderboard.compute(results, "elasticity")
