import re
from pathlib import Path

import msgspec
import pytest

from harness.judging import by_test, cells, leaderboard
from harness.judging.outlines import Shelf
from harness.judging.standing import comparable, standing
from harness.judging.store import RecordsError, Store
from tests.harness.examples import a_cell, a_failure, a_record, in_unlike_units

RESULTS = Path(leaderboard.__file__).parents[2] / "results"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "elasticity")


@pytest.mark.parametrize("suite", ["elasticity", "shift", "defects"])
def test_outlines_say_of_published_records_what_these_say_themselves(suite):
    store = Store(RESULTS, suite)
    records, shelf = store.trainings(), Shelf(store)
    for outline, record in zip(shelf.outlines, records, strict=True):
        for name in (
            "key",
            "seed",
            "row",
            "status",
            "started",
            "seconds",
            "validation_error",
            "environment",
            "source",
            "computed_by",
            "computed_on",
            "onnx",
            "encoding_ms",
            "unexported",
        ):
            assert getattr(outline, name) == getattr(record, name)
        assert msgspec.structs.replace(outline.cell, seed=record.seed) == record.cell
    assert shelf.whole(shelf.outlines[::-1]) == records[::-1]
    several = [number for number, one in enumerate(records) if any(of_other_row(one, other) for other in records)]
    assert [shelf.outlines[number].answers for number in several] == [records[number].answers for number in several]
    ours, theirs = (
        [[one.key for one in group] for group in comparable(standing(each))] for each in (shelf.outlines, records)
    )
    assert ours == theirs


def of_other_row(record, other):
    return record.of_cell == other.of_cell and record.row != other.row


def test_a_row_that_is_made_again_stands_once_however_its_lines_are_spaced(store):
    store.append(a_record())
    again = msgspec.structs.replace(a_record(), source="0" * 64, started="2031-01-01T00:00:00+00:00")
    store.append(again)
    store.trainings_file.write_bytes(store.trainings_file.read_bytes().replace(b'":', b'": ', 40))
    records, outlines = standing(store.trainings()), standing(Shelf(store).outlines)
    assert [one.source for one in records] == [one.source for one in outlines] == [again.source]


def test_of_unlike_units_an_outline_knows_what_is_chosen_by(store):
    record = in_unlike_units(a_record(error=3.0))
    store.append(record)
    (outline,) = Shelf(store).outlines
    assert outline.validation_error == record.validation_error == 1 - record.validation.r2_mean
    table = leaderboard.compute(store.folder.parents[1], "elasticity").table
    assert table["skill"].tolist() == [record.test.skill]


def test_records_of_before_have_outlines_too():
    store = Store(RESULTS / "archive" / "schema-3", "elasticity")
    shelf = Shelf(store)
    assert [outline.row for outline in shelf.outlines] == [record.row for record in store.trainings()]
    assert shelf.whole(shelf.outlines) == store.trainings()


def test_cells_and_environments_are_held_once(store):
    for seed in range(3):
        store.append(a_record(a_cell(seed=seed)))
    first, *others = Shelf(store).outlines
    assert all(one.cell is first.cell and one.environment is first.environment for one in others)


def test_a_torn_line_is_none(store):
    store.append(a_record())
    with store.trainings_file.open("ab") as file:
        file.write(b'{"schema":4')
    assert len(Shelf(store).outlines) == 1


def test_the_same_record_twice_is_refused_however_it_is_spaced(store):
    store.append(a_record())
    store.append(a_failure(a_cell(seed=1)))
    line = store.trainings_file.read_bytes().splitlines()[0]
    with store.trainings_file.open("ab") as file:
        file.write(line.replace(b'":', b'": ') + b"\n")
    with pytest.raises(RecordsError, match=r"jsonl:3: the same record as in line 1"):
        Shelf(store)


def test_two_records_that_began_at_one_time_are_two(store):
    store.append(a_record())
    store.append(a_record(error=0.5))
    assert len(Shelf(store).outlines) == 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b'"seed":0', b'"seed":7', "is not the hash of its cell"),
        (b'"seed":0', b'"seed":"0"', "$.cell.seed"),
        (b'"cores":', b'"cores":true,"xores":', "$.environment"),
        (b'"schema":4', b'"schema":5', "update cijbench"),
    ],
)
def test_what_an_outline_is_made_of_is_read_at_once(store, old, new, told):
    store.append(a_record())
    line = store.trainings_file.read_bytes()
    assert line.count(old) == 1
    store.trainings_file.write_bytes(line.replace(old, new))
    with pytest.raises(RecordsError, match=rf"jsonl:1: .*{re.escape(told)}"):
        Shelf(store)


def test_the_rest_of_a_line_is_read_when_it_is_asked_for(store):
    store.append(a_record())
    line = store.trainings_file.read_bytes()
    store.trainings_file.write_bytes(line.replace(b'"predictions":[', b'"predictions":["one",'))
    shelf = Shelf(store)
    with pytest.raises(RecordsError, match=r"jsonl:1: .*predictions"):
        shelf.whole(shelf.outlines)


@pytest.mark.parametrize("suite", ["elasticity", "polysilicon"])
def test_row_by_row_the_tables_are_those_of_all_records_at_once(suite):
    records = standing(leaderboard.believed(RESULTS, suite))
    texts = {path.name: path.read_text() for path in (RESULTS / "leaderboards").glob(f"{suite}*.csv")}
    assert texts[f"{suite}.csv"] == cells.as_csv(leaderboard.of_block(RESULTS, suite, records))
    assert texts[f"{suite}-tests.csv"] == cells.as_csv(by_test.table(records))
    assert texts[f"{suite}.csv"] == cells.as_csv(leaderboard.compute(RESULTS, suite).table)
