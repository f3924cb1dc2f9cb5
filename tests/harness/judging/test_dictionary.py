"""That the dictionary has every column there is, and that no name is changed under readers without a new schema."""

import csv
import io
from pathlib import Path

import pytest

from harness.judging import by_test, dictionary, leaderboard
from harness.judging.columns import named
from harness.judging.deployments import table as deployment_table
from harness.judging.records import SCHEMA, Deployment
from harness.judging.searches import top_tens
from harness.judging.standing import comparable
from harness.judging.store import Store
from harness.judging.verify import verify
from tests.harness.a_benchmark import benchmark
from tests.harness.examples import ENVIRONMENT, a_record
from tests.history import git

RESULTS = Path(__file__).parents[3] / "results"
PUBLISHED = RESULTS / "archive" / "columns"


def lines(text):
    return list(csv.DictReader(io.StringIO(text)))


def identity(line):
    """What a program that reads the tables counts on."""
    return line["table"], line["suite"], line["column"], line["unit"], line["better"]


def broken(now, before):
    """What of the schema `before` does not hold `now`: a suite may get figures of its own, and nothing else changes."""
    now, before = ({identity(line) for line in lines(text)} for text in (now, before))
    return sorted(before - now) + sorted(line for line in now - before if line[1] == "")


def test_names_are_those_of_their_schema():
    published = (PUBLISHED / f"{dictionary.SCHEMA}.csv").read_text(encoding="utf-8")
    told = "raise SCHEMA of harness/judging/dictionary.py, and add what `written` gives to results/archive/columns"
    assert broken(dictionary.written(), published) == [], told


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda text: text.replace(",skill_sd,", ",skill_deviation,"), 2),  # one is gone, another came
        (lambda text: text.replace("mae_{unit},{unit},lower", "mae_{unit},{unit},higher"), 2),
        (lambda text: text.replace("1,leaderboard,,verdict", "1,leaderboard,,told,,,x\n1,leaderboard,,verdict"), 1),
        (lambda text: text + "1,leaderboard,shift,a_new_figure,,,x\n", 0),
        (lambda text: text.replace("leaderboard,shift,change_session_{unit}", "leaderboard,shift,session_{unit}"), 1),
    ],
)
def test_a_change_of_names_is_noticed(change, left):
    before = dictionary.written().replace(f"\n{dictionary.SCHEMA},", "\n1,")
    assert len(broken(change(before), before)) == left


def test_headings_name_the_unit_of_the_targets_once():
    """`change_shift_{unit} (GPa)` and `MAPE % (%)` stood over columns that were asked for."""
    names = ["rmse_GPa", "change_shift_GPa", "mape", "r2_E1"]
    assert dictionary.titles("polysilicon", names, "GPa") == ["RMSE (GPa)", "change_shift_GPa", "MAPE %", "R² of E1"]


def test_schemas_that_were_published_stay_as_they_were():
    house = RESULTS.parent
    if not (house / ".git").exists():
        pytest.skip("not a checkout, so there is no history to ask")
    assert git(house, "log", "--diff-filter=MDR", "--format=%h", "--", "results/archive/columns") == ""
    assert git(house, "diff", "HEAD", "--diff-filter=MDR", "--name-only", "--", "results/archive/columns") == ""
    assert sorted(path.stem for path in PUBLISHED.iterdir()) == [str(n + 1) for n in range(dictionary.SCHEMA)]
    for path in PUBLISHED.iterdir():
        assert {line["schema"] for line in lines(path.read_text(encoding="utf-8"))} == {path.stem}


def test_every_entry_says_something_and_stands_once():
    told = lines(dictionary.written())
    assert all(line["says"] for line in told)
    assert len({(line["table"], line["suite"], line["column"]) for line in told}) == len(told)


def test_it_has_every_column_of_the_tables_beside_the_leaderboard():
    assert list(by_test.table([a_record()]).columns) == [meaning.name for meaning in dictionary.OF_TESTS]
    record = a_record()
    deployment = Deployment(
        schema=record.schema, key=record.key, sha256="a" * 64, runtime="float32", started="", environment=ENVIRONMENT,
        source="",
    )  # fmt: skip
    found = deployment_table([record], [deployment])
    assert list(found.columns) == [meaning.name for meaning in dictionary.OF_DEPLOYMENTS]
    searches = comparable(record for record in benchmark({"tuned": 1.0}) if record.searched)
    (table,) = top_tens(searches).values()
    names = [meaning.name for meaning in dictionary.OF_SEARCHES]
    place = names.index("<choice>")
    assert list(table.columns) == [*names[:place], "filters", "rate", *names[place + 1 :]]


@pytest.mark.parametrize("path", sorted(RESULTS.glob("leaderboards/*.csv")), ids=lambda path: path.stem)
def test_every_published_column_is_in_the_published_dictionary(path):
    if path.stem == "columns":
        pytest.skip("it is the dictionary")
    told = lines((path.parent / "columns.csv").read_text(encoding="utf-8"))
    kind = next((word for word in ("tests", "top-ten", "deployment") if path.stem.endswith(f"-{word}")), "leaderboard")
    known = {line["column"] for line in told if line["table"] == kind and line["suite"] in ("", path.stem)}
    known |= {named(name, unit) for name in known for unit in ("GPa", "")}  # classes have no unit
    header = next(csv.reader(path.open(encoding="utf-8")))
    if kind == "top-ten":  # a search has its own choices
        assert known - {"<choice>"} <= set(header)
    else:
        assert [name for name in header if name not in known and not name.startswith("r2_")] == []


@pytest.mark.parametrize("schema", [1, 2, SCHEMA])
def test_records_of_every_schema_that_was_published_are_read(schema, tmp_path):
    """A published record of each as it was published, with what it was tested on; schema 3 never was."""
    folder = Path(__file__).parents[2] / "data" / "schemas" / str(schema)
    target = tmp_path / "records" / "elasticity"
    target.mkdir(parents=True)
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    records = Store(tmp_path, "elasticity").trainings()
    assert [record.schema for record in records] == [schema]
    assert verify(records[0]) == []
    assert records[0].test.r2_mean > 0.8
    assert leaderboard.compute(tmp_path, "elasticity").table.iloc[0]["status"] == "ok"
