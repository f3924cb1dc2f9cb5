"""Results folders as one: to the byte the same whatever their order and however often."""

import hashlib
import itertools
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.command import cli
from harness.errors import BenchError
from harness.judging import leaderboard
from harness.judging.records import Settings
from harness.judging.standing import standing
from harness.judging.store import Store
from harness.running.merge import merge
from harness.running.run import exported
from tests.harness.examples import ENVIRONMENT, a_cell, a_failure, a_latency, a_record
from tests.harness.judging.test_deployments import a_deployment

ELSEWHERE = msgspec.structs.replace(ENVIRONMENT, processor="Slide rule")


def a_folder(path, *records, latencies=(), content=b"model"):
    """A results folder with these records, and their models."""
    path.mkdir(parents=True)
    for record in records:
        store = Store(path, record.cell.suite)
        if record.onnx:
            file = path / "models" / record.cell.suite / record.onnx.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.with_suffix(".safetensors").write_bytes(content + b"'s weights")
            onnx = msgspec.structs.replace(record.onnx, sha256=hashlib.sha256(content).hexdigest())
            record = msgspec.structs.replace(record, onnx=onnx)  # noqa: PLW2901
        store.append(record)
    for latency in latencies:
        Store(path, "elasticity").append(latency)
    return path


def at(hour, record):
    return msgspec.structs.replace(record, started=f"2026-01-01T{hour:02}:00:00+00:00")


def written(results):
    """All files, by name."""
    return {str(path.relative_to(results)): path.read_bytes() for path in results.rglob("*") if path.is_file()}


# Whatever machines may have made: seeds, environments, hours, ends.
MADE = st.builds(
    lambda seed, hour, elsewhere, ok: at(
        hour,
        a_record(a_cell(seed=seed), environment=ELSEWHERE if elsewhere else ENVIRONMENT)
        if ok
        else a_failure(a_cell(seed=seed)),
    ),
    st.integers(0, 2),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
)
FOLDERS = st.lists(st.lists(MADE, min_size=1, max_size=4, unique_by=msgspec.json.encode), min_size=1, max_size=3)


@settings(max_examples=10)
@given(FOLDERS)
def test_neither_order_nor_repetition_nor_steps_matter_and_nothing_is_lost(made):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folders = [
            a_folder(root / str(number), *sorted(records, key=lambda record: record.started))
            for number, records in enumerate(made)
        ]
        merge(folders, root / "out")
        whole = written(root / "out")
        merge([*folders[::-1], folders[0]], root / "again")
        assert written(root / "again") == whole
        merge([root / "out"], root / "once more")
        assert written(root / "once more") == whole
        merge(folders[:1], root / "first")
        merge([root / "first", *folders[1:], root / "out"], root / "in steps")
        assert written(root / "in steps") == whole

        before = [record for folder in folders for record in Store(folder, "elasticity").trainings()]
        after = Store(root / "out", "elasticity").trainings()
        assert [record.started for record in after] == sorted(record.started for record in after)
        assert {(r.key, r.computed_by, r.status) for r in after} == {(r.key, r.computed_by, r.status) for r in before}
        good = [(r.key, r.computed_by) for r in after if r.status == "ok"]
        assert len(good) == len(set(good))
        assert set(map(msgspec.json.encode, after)) <= set(map(msgspec.json.encode, before))
        newest = standing(sorted(before, key=lambda record: record.started))
        assert leaderboard.differs(root / "out", "elasticity") == ""
        assert {(r.key, r.started) for r in standing(after) if r.status == "ok"} == {
            (r.key, r.started) for r in newest if r.status == "ok"
        }


def test_what_images_show_is_kept_though_older_records_did_not_say_it(tmp_path):
    things = tuple(number // 2 for number in range(20))
    records = []
    for seed, clusters, name in ((0, (), "a"), (1, things, "b")):
        record = a_record(a_cell(seed=seed))
        ids = tuple(f"{name}{number}" for number in range(20))
        held_out = msgspec.structs.replace(record.held_out, clusters=clusters, ids=ids)
        records.append(msgspec.structs.replace(record, held_out=held_out))
    merge([a_folder(tmp_path / "one", *records)], tmp_path / "out")
    assert {record.held_out.things for record in Store(tmp_path / "out", "elasticity").trainings()} == {10}


def test_models_latencies_and_weights_come_along(tmp_path):
    one = a_record(a_cell(seed=0))
    ours = a_folder(tmp_path / "ours", one, latencies=[a_latency(one)])
    theirs = a_folder(tmp_path / "theirs", a_record(a_cell(seed=1)), latencies=[a_latency(one)])
    (merged,) = merge([ours, theirs], tmp_path / "out")
    assert (merged.suite, merged.records, merged.found, merged.models, merged.told) == ("elasticity", 2, 2, 2, ())
    store = Store(tmp_path / "out", "elasticity")
    assert len(store.latencies()) == 1
    assert all(exported(record, tmp_path / "out").is_file() for record in store.trainings())
    assert len(list((tmp_path / "out/models/elasticity").glob("*.safetensors"))) == 2


def test_what_was_deployed_comes_along_once_and_by_age(tmp_path):
    one, other = a_record(a_cell(seed=0)), a_record(a_cell(seed=1))
    ours, theirs = a_folder(tmp_path / "ours", one), a_folder(tmp_path / "theirs", other)
    first, second, third = (
        a_deployment(runtime, record=record, started=f"2026-01-01T0{hour}:00:00+00:00")
        for hour, runtime, record in ((1, "float16", other), (2, "int8", one), (3, "int8", other))
    )
    for folder, deployment in ((ours, second), (ours, third), (theirs, first), (theirs, second)):
        Store(folder, "elasticity").append(deployment)
    merge([ours, theirs], tmp_path / "out")
    assert Store(tmp_path / "out", "elasticity").deployments() == [first, second, third]


def test_suites_are_merged_each_by_itself_in_the_order_of_their_names(tmp_path):
    suites = ("shift", "elasticity", "leakage")
    folders = [a_folder(tmp_path / suite, a_record(a_cell(suite=suite))) for suite in suites]
    merged = merge(folders, tmp_path / "out")
    assert [(one.suite, one.records, one.found, one.models) for one in merged] == [
        (suite, 1, 1, 1) for suite in sorted(suites)
    ]


def test_two_environments_models_of_one_cell_have_one_name_and_it_is_told(tmp_path):
    ours = a_folder(tmp_path / "ours", at(1, a_record()), content=b"ours")
    theirs = a_folder(tmp_path / "theirs", at(2, a_record(environment=ELSEWHERE)), content=b"theirs")
    for number, folders in enumerate(itertools.permutations([ours, theirs])):
        (merged,) = merge(folders, tmp_path / str(number))
        assert "several environments made one" in merged.told[0]
        (model,) = (tmp_path / str(number)).rglob("*.onnx")
        assert model.read_bytes() == b"theirs"


def test_what_contradicts_each_other_is_told_by_its_places_and_nothing_is_written(tmp_path):
    ours = a_folder(tmp_path / "ours", a_record(a_cell(seed=1)), at(1, a_record()))
    theirs = a_folder(tmp_path / "theirs", a_record(a_cell(seed=2)), a_record(a_cell(seed=3)), at(2, a_record(error=2)))
    with pytest.raises(
        BenchError,
        match=r"predicts differently in .*ours/.*trainings.jsonl:2 and in .*theirs/.*trainings.jsonl:3, .*take one",
    ) as told:
        merge([theirs, ours], tmp_path / "out")
    assert "nothing was merged" in str(told.value)
    assert not (tmp_path / "out").exists()


def test_what_began_at_one_time_stands_once_and_in_an_order_of_its_own(tmp_path):
    ours = a_folder(tmp_path / "ours", a_failure(a_cell(seed=1)), a_record(a_cell(seed=0)))
    theirs = a_folder(tmp_path / "theirs", a_record(a_cell(seed=2)), a_failure(a_cell(seed=1)))
    for folders, name in (([ours, theirs], "one"), ([theirs, ours], "other")):
        assert [merged.records for merged in merge(folders, tmp_path / name)] == [3]
    assert written(tmp_path / "one") == written(tmp_path / "other")


def test_where_no_bits_are_promised_what_differs_is_kept_and_what_repeats_is_not(tmp_path):
    cell = a_cell(settings=Settings(device="cuda"))
    one, other = a_record(cell, error=1.0), a_record(cell, error=2.0)
    folders = [a_folder(tmp_path / str(hour), at(hour, record)) for hour, record in enumerate((one, one, other))]
    merge(folders, tmp_path / "out")
    kept = Store(tmp_path / "out", "elasticity").trainings()
    assert [record.started for record in kept] == [at(1, one).started, at(2, other).started]


def test_records_that_contradict_themselves_are_not_merged(tmp_path):
    record = a_record()
    polished = msgspec.structs.replace(record, test=msgspec.structs.replace(record.test, mse=0.0))
    ours, theirs = a_folder(tmp_path / "ours", a_record(a_cell(seed=1))), a_folder(tmp_path / "theirs", polished)
    with pytest.raises(
        BenchError, match=r"theirs/.*trainings.jsonl holds records that contradict themselves:\n.*mse is 0"
    ):
        merge([ours, theirs], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_constants_under_the_same_names_are_told(tmp_path):
    record = a_record(a_cell(seed=1))
    truth = tuple(tuple(value + 1 for value in row) for row in record.held_out.truth)
    held_out = msgspec.structs.replace(record.held_out, truth=truth)
    other = msgspec.structs.replace(record, held_out=held_out, test=held_out.accuracy(), validation=held_out.accuracy())
    ours, theirs = a_folder(tmp_path / "ours", a_record()), a_folder(tmp_path / "theirs", other)
    with pytest.raises(
        BenchError, match=r"/truths.jsonl:1 and .*/truths.jsonl:1 name the same data, split and test, and not the same"
    ):
        merge([ours, theirs], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_records_of_an_older_schema_are_copied_as_they_stand(tmp_path):
    published = Path("results/archive/schema-3")
    (merged, *_) = merge([published], tmp_path / "out")
    before, after = (
        (results / f"records/{merged.suite}/trainings.jsonl").read_bytes().splitlines()
        for results in (published, tmp_path / "out")
    )
    assert merged.records == len(after) == len(before) == 64
    assert set(after) == set(before)


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda folder, out: None, "not a results folder"),
        (lambda folder, out: a_folder(folder, a_record()) and a_folder(out, a_record()), "not empty"),
        (lambda folder, out: (folder / "records/elasticity").mkdir(parents=True), "not a results folder"),
    ],
)
def test_what_cannot_be_merged_is_refused(tmp_path, capsys, break_it, why):
    folder, out = tmp_path / "a", tmp_path / "out"
    break_it(folder, out)
    assert cli.main(["records", "merge", f"folders={folder}", f"out={out}"]) == 2
    assert why in capsys.readouterr().err


def test_what_left_no_model_is_merged_too(tmp_path):
    records = [a_record(onnx=None, unexported="no exporter knows it"), a_failure(a_cell(seed=1))]
    (merged,) = merge([a_folder(tmp_path / "a", *records)], tmp_path / "out")
    assert (merged.records, merged.models, merged.told) == (2, 0, ())


def test_an_empty_folder_is_written_to_and_a_file_is_not(tmp_path):
    folder, out = a_folder(tmp_path / "a", a_record()), tmp_path / "out"
    out.touch()
    with pytest.raises(BenchError, match=r"out: exists and is not empty"):
        merge([folder], out)
    out.unlink()
    out.mkdir()
    assert [merged.records for merged in merge([folder], out)] == [1]


def test_nothing_is_no_folder(tmp_path, capsys):
    assert cli.main(["records", "merge", "folders=,", f"out={tmp_path / 'out'}"]) == 2
    assert "folders=,: must be results folders" in capsys.readouterr().err


def test_a_home_that_there_is_not_is_named(tmp_path, capsys):
    folders = f"folders={a_folder(tmp_path / 'a', a_record())},~nosuchuser/b"
    assert cli.main(["records", "merge", folders, f"out={tmp_path / 'out'}"]) == 2
    assert "folders=~nosuchuser/b: there is no home ~nosuchuser here" in capsys.readouterr().err


def test_a_broken_line_is_named(tmp_path, capsys):
    folder = a_folder(tmp_path / "a", a_record())
    with (folder / "records/elasticity/trainings.jsonl").open("a") as file:
        file.write("{}\n")
    assert cli.main(["records", "merge", f"folders={folder}", f"out={tmp_path / 'out'}"]) == 2
    assert "trainings.jsonl:2: not a record" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_was_merged_is_told(tmp_path, capsys):
    ours, theirs = a_folder(tmp_path / "ours", a_record()), a_folder(tmp_path / "theirs", at(1, a_record()))
    assert cli.main(["records", "merge", f"folders={ours}, {theirs}", f"out={tmp_path / 'out'}"]) == 0
    assert "elasticity: 1 record, 1 duplicate left out, 1 model\n" in capsys.readouterr().out


def test_a_suite_that_is_not_installed_is_told_before_anything_is_written(tmp_path):
    known, unknown = a_folder(tmp_path / "a", a_record()), tmp_path / "b"
    (unknown / "records" / "somebodys").mkdir(parents=True)
    (unknown / "records" / "somebodys" / "trainings.jsonl").touch()
    with pytest.raises(BenchError, match="suite somebodys is not installed here"):
        merge([known, unknown], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("torn", "records"), [("trainings", 1), ("latencies", 2), ("deployments", 2)])
def test_a_torn_line_is_left_out_and_told(tmp_path, torn, records):
    made = [a_record(a_cell(seed=seed)) for seed in (0, 1)]
    folder = a_folder(tmp_path / "a", *made, latencies=[a_latency(made[0])])
    Store(folder, "elasticity").append(a_deployment(record=made[0]))
    with (folder / f"records/elasticity/{torn}.jsonl").open("rb+") as file:
        file.truncate(file.seek(0, 2) - 20)
    (merged,) = merge([folder], tmp_path / "out")
    assert merged.records == records
    (told,) = merged.told
    assert f"{torn}.jsonl: its last line, torn by" in told


def test_a_model_that_is_not_the_recorded_one_is_left_out_and_told(tmp_path):
    """Of records of one cell the older one's model has given way in its folder, which is nothing to tell."""
    folder = a_folder(tmp_path / "a", at(1, a_record(environment=ELSEWHERE)), a_record(a_cell(seed=1)))
    store = Store(folder, "elasticity")
    newer = msgspec.structs.replace(
        at(2, a_record()), onnx=msgspec.structs.replace(a_record().onnx, sha256=hashlib.sha256(b"newer").hexdigest())
    )
    store.append(newer)
    exported_of = {record.seed: folder / "models/elasticity" / record.onnx.file for record in store.trainings()}
    exported_of[0].write_bytes(b"newer")
    exported_of[1].write_bytes(b"edited")
    (merged,) = merge([folder], tmp_path / "out")
    assert merged.models == 1
    (told,) = merged.told
    assert told.startswith(f"{exported_of[1]}: is left out")
