import contextlib
import hashlib

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging.records import Examined, Record, Settings
from harness.judging.store import RecordsError, Store
from harness.judging.verify import verify, verify_together
from harness.model.architecture import Estimator
from harness.model.variants import Encoding
from tests.harness.examples import a_cell, a_failure, a_latency, a_record


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "elasticity")


def test_records_come_back_as_they_were(store):
    first, second = a_record(), a_failure(a_cell(seed=1))
    store.append(first)
    store.append(second)
    store.append(a_latency(first))
    assert store.trainings() == [first, second]
    assert store.latencies() == [a_latency(first)]


def test_no_records_yet(store):
    assert store.trainings() == store.latencies() == []


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


def test_two_lines_of_what_was_tested_on_that_contradict_each_other_are_told(store):
    store.append(a_record())
    line = store.truths_file.read_bytes()
    truth = msgspec.json.decode(line)
    truth["train_mean"][0] += 1
    store.truths_file.write_bytes(line + msgspec.json.encode(truth) + b"\n")
    with pytest.raises(RecordsError, match=r"truths\.jsonl: two lines name the same data, split and test, and differ"):
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
