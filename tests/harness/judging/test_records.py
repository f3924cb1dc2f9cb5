import contextlib
import hashlib
from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging.records import (
    Examined,
    LatencyRecord,
    Record,
    RecordsError,
    Settings,
    Store,
    Trial,
    standing,
)
from harness.judging.verify import verify, verify_together
from harness.model.architecture import Estimator
from harness.model.variants import Encoding, Recipe
from tests.harness.examples import ENVIRONMENT, a_cell, a_failure, a_latency, a_record


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "elasticity")


@pytest.mark.parametrize(
    "change",
    [
        {"suite": "polysilicon"},
        {"variant": "ridge-2"},
        {"architecture": Estimator("ridge", alpha=2.0)},
        {"recipes": (Recipe(epochs=3),)},
        {"weights": "imagenet"},
        {"backend": "keras"},
        {"seed": 1},
        {"profile": "paper"},
        {"data_hash": "e" * 64},
        {"split_hash": "6" * 64},
        {"settings": Settings(init="native")},
        {"settings": Settings(facts={"phases": "1,0.3,2,0.3"})},
        {"encoding": Encoding("volume-fraction")},
    ],
)
def test_a_key_hangs_on_everything_that_makes_a_cell(change):
    assert a_cell(**change).key != a_cell().key


def test_a_key_is_the_same_wherever_it_is_computed():
    """A literal on purpose: a change of the hash would orphan every published record."""
    assert a_cell().key == a_cell().key == "2f4336ea3c41e9db"


def test_a_file_name_cannot_leave_its_folder():
    stem = a_cell(variant="../../etc/pass wd").file_stem
    assert "/" not in stem
    assert " " not in stem


def test_records_come_back_as_they_were(store):
    first, second = a_record(), a_failure(a_cell(seed=1))
    store.append(first)
    store.append(second)
    store.append(a_latency(first))
    assert store.trainings() == [first, second]
    assert store.latencies() == [a_latency(first)]


def test_no_records_yet(store):
    assert store.trainings() == store.latencies() == []


def test_the_newest_good_record_stands():
    good, again = a_record(error=1.0), a_record(error=2.0)
    assert standing([a_failure(), good, again, a_failure()]) == [again]
    assert [record.reason for record in standing([a_failure(), a_failure(reason="later")])] == ["later"]


def by_code(source, started, error=1.0, seeds=(0, 1)):
    cells = [a_cell(seed=seed) for seed in seeds]
    return [a_record(cell, error, source=source, started=f"2026-0{started}-01T00:00:00+00:00") for cell in cells]


def test_a_row_that_newer_code_makes_again_to_the_bit_stands_once():
    old, new = by_code("a" * 64, 1), by_code("b" * 64, 2)
    assert standing([*old, *new]) == standing([*new, *old]) == new
    newest = by_code("c" * 64, 3)
    assert standing([*old, *new, *newest]) == newest


@pytest.mark.parametrize(
    "new",
    [
        by_code("b" * 64, 2, error=1.0 + 1e-9),
        by_code("b" * 64, 2, seeds=(0,)),
        [msgspec.structs.replace(record, metrics={"positive_definite": 0.5}) for record in by_code("b" * 64, 2)],
        [
            msgspec.structs.replace(
                record, environment=msgspec.structs.replace(record.environment, processor="another one")
            )
            for record in by_code("b" * 64, 2)
        ],
        [*by_code("b" * 64, 2, seeds=(0,)), a_failure(a_cell(seed=1))],
    ],
    ids=["other answers", "not all seeds", "other figures", "another machine", "a seed that failed"],
)
def test_a_row_that_newer_code_makes_otherwise_stands_beside_it(new):
    old = by_code("a" * 64, 1)
    assert standing([*old, *new]) == [*old, *new]


def test_every_environment_has_a_standing_record_of_its_own():
    here = a_record()
    elsewhere = a_record(environment=msgspec.structs.replace(ENVIRONMENT, processor="Antikythera"))
    assert standing([here, elsewhere]) == [here, elsewhere]


def test_a_torn_last_line_is_set_aside(store):
    store.append(a_record())
    whole = store.trainings_file.read_bytes()
    store.trainings_file.write_bytes(whole + whole[: len(whole) // 2])
    assert store.trainings() == [a_record()]
    store.append(a_record(a_cell(seed=1)))
    assert [record.cell.seed for record in store.trainings()] == [0, 1]
    assert store.trainings_file.with_suffix(".torn").read_bytes() == whole[: len(whole) // 2] + b"\n"


def test_a_torn_last_line_is_told(store):
    store.append(a_record())
    assert store.mend() == []
    with store.trainings_file.open("ab") as file:
        file.write(b'{"schema":')
    (told,) = store.mend()
    assert "trainings.jsonl: its last line was torn" in told
    assert "trainings.torn" in told
    assert store.mend() == []


def test_records_of_schemas_before_are_read(store):
    """As published with 0.1.0: phases among the settings, a formula as an estimator, the truth in each line."""
    line = msgspec.to_builtins(a_record())
    phases = [{"young": 70.0, "poisson": 0.33}, {"young": 410.0, "poisson": 0.19}]
    cell = {name: value for name, value in line["cell"].items() if name not in ("encoding", "decoding")}
    cell["settings"] = {
        "init": "shared",
        "target_scaling": "standard",
        "unit": "GPa",
        "device": "cpu",
        "phases": phases,
    }
    cell["architecture"] = {"type": "estimator", "method": "voigt_reuss_hill", "alpha": 0.001}
    held_out = {name: value for name, value in line["held_out"].items() if name not in ("units", "test")}
    old = {name: value for name, value in line.items() if name not in ("metrics", "source", "others", "moved")}
    key = hashlib.sha256(msgspec.json.encode(cell, order="sorted")).hexdigest()[:16]
    old |= {"schema": 3, "cell": cell, "key": key, "held_out": held_out, "physics": line["metrics"]}
    store.append(a_record(a_cell(seed=1)))
    store.trainings_file.write_bytes(store.trainings_file.read_bytes() + msgspec.json.encode(old) + b"\n")
    new, read = store.trainings()
    assert (new.schema, read.schema, read.key) == (4, 3, key)
    assert read.cell.settings == Settings(facts={"phases": "70,0.33,410,0.19"})
    assert (read.cell.architecture, read.cell.encoding) == (Estimator("identity"), Encoding("voigt-reuss-hill"))
    assert (read.held_out, read.metrics, read.source) == (a_record().held_out, a_record().metrics, "")
    assert verify(read) == verify_together([new, read]) == []


def test_the_same_record_twice_is_refused(store):
    store.append(a_record())
    store.trainings_file.write_bytes(2 * store.trainings_file.read_bytes())
    with pytest.raises(RecordsError, match=r"trainings\.jsonl:2: the same record as in line 1"):
        store.trainings()


def test_what_was_tested_on_stands_once(store):
    first, second = a_record(), a_record(a_cell(seed=1))
    for record in (first, second):
        store.append(record)
    assert store.trainings() == [first, second]
    assert len(store.truths_file.read_bytes().splitlines()) == 1
    assert b'"truth"' not in store.trainings_file.read_bytes()
    store.truths_file.unlink()
    with pytest.raises(RecordsError, match=r"what it was tested on .* is not in truths\.jsonl"):
        store.trainings()


def test_the_same_constants_by_other_names_or_rounding_are_the_same(store):
    """Of another machine, whose mean differs in the last bit, or of a copy of the folder with other names."""
    first = a_record()
    elsewhere = msgspec.structs.replace(
        first.held_out, ids=tuple("abcdefghijklmnopqrst"), train_mean=(np.nextafter(100.0, 101.0).item(), 100.0)
    )
    for record in (first, a_record(a_cell(seed=1), held_out=elsewhere)):
        store.append(record)
    assert len(store.truths_file.read_bytes().splitlines()) == 1
    assert [record.held_out.ids for record in store.trainings()] == [first.held_out.ids] * 2
    easier = msgspec.structs.replace(first.held_out, train_mean=(99.0, 100.0))
    with pytest.raises(RecordsError, match="was tested on other constants"):
        store.append(a_record(a_cell(seed=2), held_out=easier))
    assert len(store.trainings()) == 2


def test_what_images_show_may_be_said_later_and_holds_for_all_records_of_the_same_test(store):
    first = a_record()
    known = msgspec.structs.replace(first.held_out, clusters=tuple(number // 2 for number in range(20)))
    other = msgspec.structs.replace(first.held_out, clusters=tuple(number // 4 for number in range(20)))
    store.append(first)
    store.append(a_record(a_cell(seed=1), held_out=known))
    store.append(a_record(a_cell(seed=2)))  # of one who does not know
    assert [record.held_out.clusters for record in store.trainings()] == [known.clusters] * 3
    assert [record.held_out.things for record in store.trainings()] == [10] * 3
    assert len(store.truths_file.read_bytes().splitlines()) == 2
    with pytest.raises(RecordsError, match="was tested on other constants"):
        store.append(a_record(a_cell(seed=3), held_out=other))
    assert first.held_out.things == 20


def test_several_named_tests_come_back(store):
    other = msgspec.structs.replace(a_record(error=2.0).held_out, test="far")
    record = a_record(others={"far": Examined(other, other.accuracy(), {"inside_bounds": 0.5})})
    store.append(record)
    assert store.trainings() == [record]
    assert verify(record) == []
    wrong = msgspec.structs.replace(record.others["far"], accuracy=record.test)
    assert "test 'far': mse is" in verify(msgspec.structs.replace(record, others={"far": wrong}))[0]


@given(st.binary(max_size=200), st.integers(0, 2000), st.integers(0, 50))
def test_whatever_a_line_was_made_into_it_is_refused_or_a_whole_record(tmp_path_factory, junk, start, length):
    """Any cut of a real line, filled with anything."""
    store = Store(tmp_path_factory.mktemp("edited"), "elasticity")
    line = msgspec.json.encode(a_record())
    edited = line[:start] + junk + line[start + length :]
    store.folder.mkdir(parents=True)
    store.trainings_file.write_bytes(edited + b"\n")
    with contextlib.suppress(RecordsError):
        assert all(isinstance(record, Record) and record.key == record.cell.key for record in store.trainings())


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda line: b"{}", "missing required field"),
        (lambda line: line.replace(b'"status":"ok"', b'"status":"splendid"'), "splendid"),
        (lambda line: line.replace(b'"status":', b'"mood":"good","status":'), "unknown field `mood`"),
        (
            lambda line: line.replace(b'"schema":4', b'"schema":99'),
            "schema 99, and this version reads 1, 2, 3, 4: update cijbench",
        ),
        (lambda line: line.replace(b'"schema":4', b'"schema":0'), "schema 0, and this version reads 1, 2, 3, 4: move"),
        (lambda line: line.replace(b'"seed":0', b'"seed":5'), "the line was edited"),
        (lambda line: b"not json", "not a record"),
        (lambda line: b"", "not a record"),
        (lambda line: b"[" * 100_000, "not a record"),
        (lambda line: line.replace(b'"Abacus"', b'"\xff\xfe"'), "not a record"),
        (
            lambda line: line.replace(b'"Abacus"', b'"<script>"'),
            "without paths and markup - at `$.environment.processor`",
        ),
        (lambda line: line.replace(b"ridge.classical", b"../../ridge"), "without paths and markup - at `$.onnx.file`"),
        (lambda line: line.replace(b'"C22"', b'"=1+1"'), "at `$.held_out.targets[1]`"),
        (
            lambda line: msgspec.json.encode(a_record(a_cell(suite="polysilicon"))),
            "a record of suite polysilicon, not of",
        ),
        (lambda line: line.replace(b'"seed":0', b'"seed":3'), "the line was edited"),
    ],
)
def test_a_line_that_is_no_record_is_refused_by_number(store, edit, said):
    store.append(a_record(a_cell(seed=3)))
    line = msgspec.json.encode(a_record())
    with store.trainings_file.open("ab") as file:
        file.write(edit(line) + b"\n")
    with pytest.raises(RecordsError) as refusal:
        store.trainings()
    assert "trainings.jsonl:2:" in str(refusal.value)
    assert said in str(refusal.value)


def test_a_trial_has_no_place_for_a_test_score():
    """What proves that 23 of 24 configurations never met the test images is that nothing could have been kept."""
    assert not [field for field in Trial.__struct_fields__ if "test" in field or "held" in field]


@pytest.mark.parametrize(
    ("weights", "row"),
    [
        ("", "vgg16-head-only"),
        ("imagenet", "vgg16-head-only (ImageNet)"),
        ("random", "vgg16-head-only (random weights)"),
        ("mine.h5 0123456789ab", "vgg16-head-only (mine.h5 0123456789ab)"),
    ],
)
def test_a_row_says_what_its_backbone_started_from(weights, row):
    cell = a_cell(variant="vgg16-head-only", weights=weights)
    assert cell.row == row
    assert row in cell.title


def _structs(kind, seen):
    """Every struct that a type may hold, itself among them."""
    for part in (kind, *get_args(kind)):
        for argument in get_args(part) if part is not kind else ():
            _structs(argument, seen)
        if isinstance(part, type) and issubclass(part, msgspec.Struct) and part not in seen:
            seen.add(part)
            for field in msgspec.structs.fields(part):
                _structs(field.type, seen)
    return seen


@pytest.mark.parametrize("kind", [Record, LatencyRecord])
def test_nothing_in_a_record_goes_unread_however_deep(kind):
    structs = _structs(kind, set())
    assert len(structs) >= 4
    assert [item.__name__ for item in structs if not item.__struct_config__.forbid_unknown_fields] == []


def test_latencies_of_before_there_was_an_interval_are_read(store):
    store.append(a_latency(a_record()))
    line = store.latencies_file.read_bytes()
    new = b',"ratio_low":null,"ratio_high":null,"rounds":null,"unsteady":""'
    assert line.count(new) == 2
    store.latencies_file.write_bytes(line.replace(new, b"").replace(b'"schema":4', b'"schema":2'))
    assert store.latencies() == [msgspec.structs.replace(a_latency(a_record()), schema=2)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"p50_ms":0.5', b'"p50_ms":-0.5'),
        (b'"p50_ms":0.5', b'"p50_ms":0.7'),  # above p90
        (b'"ratio_spread":0.02', b'"ratio_spread":-0.02'),
        (b'"ratio_low":1.9', b'"ratio_low":-1.9'),
        (b'"ratio_low":1.9', b'"ratio_low":2.05'),  # above the ratio
        (b'"ratio_high":2.1', b'"ratio_high":1.95'),
        (b'"ratio_high":2.1', b'"ratio_high":null'),  # an interval with one end
        (b'"rounds":10', b'"rounds":3'),  # which give no interval
        (b'"rounds":10', b'"rounds":null'),
        (b'"batch":1,', b'"batch":0,'),
        (b'"batch":1,', b'"batch":1,"bach":1,'),
    ],
)
def test_impossible_latencies_are_refused(store, old, new):
    store.append(a_latency(a_record(), ratio_low=1.9, ratio_high=2.1, rounds=10))
    line = store.latencies_file.read_bytes()
    assert old in line
    store.latencies_file.write_bytes(line.replace(old, new, 1))
    with pytest.raises(RecordsError, match="not a record of schema"):
        store.latencies()
