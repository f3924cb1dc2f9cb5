"""What a stranger sends is read as data, held to what can be computed, and told by line."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness import environment, provenance, registry
from harness.command import cli
from harness.errors import BenchError
from harness.judging import faults, submission
from harness.judging.metrics import accuracy
from harness.judging.records import Examined, Record, Settings
from harness.judging.standing import standing
from harness.judging.store import Store, _without_truth, read
from harness.judging.submission import examine
from harness.model.architecture import Estimator, Imported
from harness.model.variants import Configuration, Encoding, Recipe, Search
from harness.protocol import TEST, Counts, History
from harness.running import plan as plans
from suites import elasticity
from tests.harness.a_benchmark import SCRATCH, history
from tests.harness.examples import ENVIRONMENT, a_failure
from tests.harness.judging.test_audit import DATA, PLAN, SPLIT, an_honest_record

BACKBONE = next(variant for variant in elasticity.VARIANTS if variant.name == "vgg16-head-only").architecture
ELSEWHERE = msgspec.structs.replace(ENVIRONMENT, processor="Antikythera")


def on_validation(predictions):
    """The scores of predictions of the validation images."""
    truth, mean = DATA.targets[SPLIT.validation], DATA.targets[SPLIT.train].mean(axis=0)
    return accuracy(predictions, truth, mean, DATA.target_names, DATA.units)


def predicting(error, seed=0, variant="gp", environment=ELSEWHERE, **changes):
    """A record whose predictions are off by about `error` GPa, with all that follows from them."""
    honest = an_honest_record()
    noise = np.random.default_rng(seed).normal(0, error, DATA.targets[SPLIT.test].shape) if error else 0.0
    predictions = DATA.targets[SPLIT.test] + noise
    held_out = msgspec.structs.replace(honest.held_out, predictions=tuple(map(tuple, predictions.tolist())))
    rows = SPLIT.test
    validated = DATA.targets[SPLIT.validation]
    validated = validated + np.random.default_rng(seed).normal(0, error, validated.shape) if error else validated
    cell = msgspec.structs.replace(honest.cell, variant=variant, seed=seed, architecture=Estimator("ridge"))
    cell = msgspec.structs.replace(cell, **changes)
    return msgspec.structs.replace(
        honest,
        cell=cell,
        key=cell.key,
        environment=environment,
        held_out=held_out,
        test=held_out.accuracy(),
        validation=on_validation(validated),
        metrics=elasticity.measure(predictions, DATA.targets[rows], DATA.images[rows], DATA.facts),
    )


def line(record):
    """As `bench run` writes it: what it was tested on stands elsewhere."""
    return msgspec.json.encode(_without_truth(record)[0])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    store = Store(folder, "elasticity")
    store.append(predicting(2.0, variant="ridge", environment=ENVIRONMENT))
    store.append(predicting(0.5, variant="cubic", environment=ENVIRONMENT))
    return folder


@pytest.fixture
def sent(tmp_path, results):
    """What is said of a file of these lines."""

    def said(*lines, end=b"\n"):
        path = tmp_path / "sent.jsonl"
        path.write_bytes(b"\n".join(lines) + end)
        before = sorted(results.rglob("*"))
        found = examine(path, results, "elasticity")
        assert sorted(results.rglob("*")) == before
        return found

    return said


def errors(found):
    return [(finding.where, finding.what) for finding in found.findings if finding.severity == "error"]


def warnings(found):
    return " ".join(finding.what for finding in found.findings if finding.severity == "warning")


def test_an_honest_record_is_acceptable_and_has_its_rank(sent):
    found = sent(line(predicting(1.0, 0)), line(predicting(1.0, 1)))
    assert errors(found) == []
    assert found.acceptable
    (row,) = found.rows
    assert (row.title, row.seeds, row.rank, row.among) == ("gp on classical", "0 1", 2, 3)
    assert row.skill == pytest.approx(1 - 1 / predicting(1.0).test.mse_of_mean, abs=1e-3)


def test_the_truth_may_be_in_the_line_if_it_is_the_truth(sent):
    record = predicting(1.0)
    assert sent(msgspec.json.encode(record)).acceptable
    easier = msgspec.structs.replace(record.held_out, truth=record.held_out.predictions)
    easier = msgspec.structs.replace(record, held_out=easier, test=easier.accuracy())
    ((where, what),) = errors(sent(msgspec.json.encode(easier)))
    assert where == "line 1"
    assert "other constants of test 'test'" in what
    trained_on = msgspec.structs.replace(
        record.held_out, ids=tuple(DATA.ids[row] for row in SPLIT.train[: len(SPLIT.test)])
    )
    ((where, what),) = errors(sent(msgspec.json.encode(msgspec.structs.replace(record, held_out=trained_on))))
    assert (where, what) == ("line 1", "names other images of test 'test' than are published")


def without_defaults(encoded):
    """The line with a cell that leaves out what has a default, and with the key of that."""
    told = msgspec.json.decode(encoded)
    told["cell"] = {name: value for name, value in told["cell"].items() if value is not None}
    told["key"] = hashlib.sha256(msgspec.json.encode(told["cell"], order="sorted")).hexdigest()[:16]
    return msgspec.json.encode(told)


def test_a_cell_that_is_spelt_otherwise_is_not_another_one(sent, results):
    published = predicting(2.0, variant="ridge", environment=ENVIRONMENT)
    better = predicting(0.1, variant="ridge", environment=ENVIRONMENT)
    respelt = without_defaults(line(better))
    assert read(respelt, Record, "here").key != published.key
    ((_, what),) = errors(sent(respelt))
    assert "not as this version writes records" in what
    stands = standing([published, read(respelt, Record, "here")])
    assert len(stands) == 1


def test_a_record_of_an_older_schema_is_refused(sent):
    older = msgspec.structs.replace(predicting(1.0), schema=3)
    assert "not as this version writes records" in errors(sent(msgspec.json.encode(older)))[0][1]


def test_a_record_that_would_take_a_published_ones_place_is_told(sent):
    """Its predictions are the same, and what cannot be verified is the sender's."""
    published = predicting(2.0, variant="ridge", environment=ENVIRONMENT)
    copied = msgspec.structs.replace(published, source="e" * 64, started="2026-11-01T00:00:00+00:00", seconds=0.001)
    found = sent(line(copied))
    assert found.acceptable
    assert any("row of ridge on classical would be replaced" in finding.what for finding in found.findings)


@pytest.mark.parametrize("name", ["mse", "skill", "r2_mean"])
def test_scores_that_do_not_follow_are_told(sent, name):
    record = predicting(1.0)
    polished = msgspec.structs.replace(record, test=msgspec.structs.replace(record.test, **{name: 0.999}))
    ((_, what),) = errors(sent(line(polished)))
    assert f"{name} is 0.999 but its predictions give" in what


@pytest.mark.parametrize(
    ("started", "what"),
    [
        ("yesterday", "no time as records have it"),
        ("2026-03-01T12:00:00", "no time as records have it"),
        ("2026-03-01T12:00:00+14:00", "no time as records have it"),
        ("2026-W01-1T00:00:00+00:00", "no time as records have it"),  # later than any of the year, as text
        ("9999-12-31T23:59:59+00:00", "is yet to come"),
    ],
)
def test_a_time_by_which_a_record_would_always_stand_is_told(sent, started, what):
    ((_, told),) = errors(sent(line(msgspec.structs.replace(predicting(1.0), started=started))))
    assert what in told


def test_figures_of_the_suite_that_do_not_follow_are_told(sent):
    record = predicting(30.0)
    polished = msgspec.structs.replace(record, metrics=record.metrics | {"inside_bounds": 1.0})
    assert "its inside_bounds is not what its data set gives" in errors(sent(line(polished)))[0][1]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"data_hash": "e" * 64}, "of which nothing is published"),
        ({"split_hash": "e" * 64}, "of which nothing is published"),
        ({"suite": "shift"}, "is of suite shift, not of elasticity"),
        ({"data": "elasticity of ours"}, "is of other data than the suite's own"),
    ],
)
def test_other_questions_are_no_part_of_it(sent, changes, what):
    assert what in errors(sent(line(predicting(1.0, **changes))))[0][1]


def test_duplicates_are_told_of_the_file_and_of_what_is_published(sent, results):
    record = predicting(1.0)
    (first,) = errors(sent(line(record), line(record)))
    assert first[0] == "line 2"
    assert "stands in an earlier line already" in first[1]
    published = Store(results, "elasticity").trainings()[0]
    assert "is published already" in errors(sent(line(published)))[0][1]
    other = predicting(2.5, variant="ridge", environment=ENVIRONMENT)
    assert other.key == published.key
    assert "predicts differently than the record of the same cell" in errors(sent(line(other)))[0][1]


def of_a_network(seed, **changes):
    cell = {"variant": "baseline", "backend": "pytorch", "architecture": SCRATCH, "recipes": (Recipe(2),)}
    record = predicting(1.0, **cell)
    cell = msgspec.structs.replace(record.cell, seed=seed)
    return msgspec.structs.replace(record, **{"cell": cell, "key": cell.key, "history": history(2)} | changes)


def test_losses_and_weights_that_no_run_leaves_are_refused(sent):
    assert sent(line(of_a_network(0))).acceptable
    nothing = History((), (), 1.0)
    for losses in ((), (nothing,), (*history(2), nothing), (History((0.1, 0.2), (0.1,), 1.0),)):
        ((_, told),) = errors(sent(line(of_a_network(0, history=losses))))
        assert told == "is a network's, and has not the losses of each epoch"
    ((_, told),) = errors(sent(line(of_a_network(0, history=history(3)))))
    assert told == "has losses of more epochs than its recipe"
    for losses in (History((0.1, -0.1), (0.1, 0.1), 1.0), History((0.1, 0.1), (0.1, -0.1), 1.0)):
        ((_, told),) = errors(sent(line(of_a_network(0, history=(losses,)))))
        assert told == "has losses below 0"
    ((_, told),) = errors(sent(line(predicting(1.0, weights="imagenet"))))
    assert told == "starts from weights 'imagenet', and has no backbone"


@pytest.mark.parametrize("weights", ["", "ImageNet", "random weights", "imagenet 0123"])
def test_weights_that_would_look_like_others_are_refused(sent, weights):
    """A row is called by them: `ImageNet` is what it says of `imagenet`."""

    def starting_from(told):
        record = of_a_network(0)
        head = (Recipe(2, trains="head"),)
        cell = msgspec.structs.replace(record.cell, architecture=BACKBONE, recipes=head, weights=told)
        return sent(line(msgspec.structs.replace(record, cell=cell, key=cell.key)))

    ((_, told),) = errors(starting_from(weights))
    assert f"starts from weights '{weights}', which are not told as runs do" in told
    assert all(starting_from(honest).acceptable for honest in ("random", "imagenet", "mine 0123456789ab"))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"seed": -1}, "has seed -1"),
        ({"seed": 2**32}, "has seed 4294967296"),
        ({"settings": {"unit": "furlong"}}, "names unit furlong for labels"),
        ({"settings": {"originals": 1}}, "is trained on 1 originals"),
        ({"settings": {"originals": len(SPLIT.train) + 1}}, "is trained on"),
        ({"recipes": (Recipe(3),)}, "trains for 3 epochs, and profile smoke for 2 at most"),
        (
            {"architecture": Search((Configuration({}, SCRATCH, Recipe(3)),), 1)},
            "trains for 3 epochs, and profile smoke for 2 at most",
        ),
        (
            {"architecture": Search((Configuration({}, SCRATCH, Recipe(2)),), 2)},
            "trains for 2 epochs, and profile smoke for 1 at most",
        ),
        (
            {"architecture": BACKBONE, "weights": "random", "recipes": (Recipe(2, trains="head"), Recipe(2))},
            "trains for 2 epochs, and profile smoke for 1 at most",
        ),
    ],
)
def test_what_no_run_can_be_asked_for_is_refused(sent, changes, what):
    changes = dict(changes)
    if "settings" in changes:
        changes["settings"] = msgspec.structs.replace(PLAN.cells[0].settings, **changes["settings"])
    record = predicting(1.0)
    cell = msgspec.structs.replace(record.cell, **changes)
    ((where, told),) = errors(sent(line(msgspec.structs.replace(record, cell=cell, key=cell.key))))
    assert where == "line 1"
    assert what in told


@pytest.mark.parametrize("profile", elasticity.PROFILES)
def test_whatever_a_run_plans_may_be_sent(profile):
    request = plans.Request(("elasticity",), profile=profile, originals=(2, len(SPLIT.train)))
    for cell in plans.plan("elasticity", request).cells:
        assert faults._otherwise_run(cell, elasticity, SPLIT) == []


def test_averages_over_symmetries_that_a_suite_has_not_are_refused(sent, monkeypatch):
    averaged = predicting(1.0, settings=msgspec.structs.replace(PLAN.cells[0].settings, averaged=4))
    assert sent(line(averaged)).acceptable
    without = [symmetry for symmetry in elasticity.SYMMETRIES if not symmetry.operators]
    assert without
    monkeypatch.setattr(elasticity, "SYMMETRIES", without)
    ((_, told),) = errors(sent(line(averaged)))
    assert told == "has averaged predictions, and the suite has no symmetry to average over"
    assert sent(line(predicting(1.0))).acceptable


def test_what_a_run_can_be_asked_for_is_not(sent):
    for settings in ({"originals": 2}, {"originals": len(SPLIT.train)}, {"target_scaling": "none", "unit": "N/nm^2"}):
        settings = msgspec.structs.replace(PLAN.cells[0].settings, **settings)  # noqa: PLW2901
        assert sent(line(predicting(1.0, settings=settings))).acceptable
    assert sent(line(predicting(1.0, seed=2**32 - 1))).acceptable


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": 1e300},
        {"dimension": 2**400},
        {"counts": Counts(2**400, 0, {})},
        {"counts": Counts(1, 0, {"dense": 2**5000})},
        {"moved": {"shift": -1e300}},
        {"history": (History((), (), 1e300),)},
    ],
)
def test_numbers_that_no_table_can_add_up_are_refused(sent, changes):
    ((where, told),) = errors(sent(line(msgspec.structs.replace(predicting(1.0), **changes))))
    assert where == "line 1"
    assert f"record.{next(iter(changes))}" in told
    assert "which no run leaves" in told


@pytest.mark.parametrize(
    ("scores", "which"),
    [
        ({"mse": -1.0}, "mse"),
        ({"mse": 1e-9}, "mse"),
        ({"mse": 1e-9, "rmse": 1e-9**0.5}, "mse"),
        ({"mse": 1e-9, "rmse": 1e-9**0.5, "skill": 1.0}, "mse"),
        ({"mse_of_mean": 1e9}, "mse_of_mean"),
        ({"skill": 0.999999999}, "skill"),
        ({"skill": None}, "skill"),
        ({"rmse": 0.0}, "rmse"),
        ({"r2_mean": 1.0}, "r2_mean"),
        ({"r2": {"C11": 1.0}}, "R²"),
        ({"r2": dict.fromkeys(DATA.target_names), "r2_mean": None, "mse": 1e-9, "rmse": 1e-9**0.5, "skill": 1.0}, "R²"),
    ],
)
def test_scores_on_validation_images_that_contradict_each_other_are_refused(sent, scores, which):
    """They choose the rival of networks and the model that a report names first."""
    record = predicting(1.0)
    record = msgspec.structs.replace(record, validation=msgspec.structs.replace(record.validation, **scores))
    assert any(f"its {which} on the validation images" in told for _, told in errors(sent(line(record))))
    ((_, told),) = errors(sent(line(msgspec.structs.replace(record, validation=None))))
    assert told == "has no scores on the validation images, and every run leaves them"


def test_a_test_that_stands_twice_is_refused(sent):
    """The suite's figures of one would be held to the predictions of the other."""
    record = predicting(30.0)
    honest = Examined(record.held_out, record.test, record.metrics)
    polished = msgspec.structs.replace(record, metrics=record.metrics | {"inside_bounds": 1.0}, others={TEST: honest})
    ((_, told),) = errors(sent(line(polished)))
    assert "calls its tests test, test" in told


def test_a_commit_that_git_does_not_know_is_told(sent):
    def told_of(commit):
        return warnings(sent(line(predicting(1.0, environment=msgspec.structs.replace(ELSEWHERE, commit=commit)))))

    known = environment.git(Path(), "rev-parse", "HEAD").stdout.strip()
    for commit in ("--batch", "HEAD", "deadbeef", *["f" * 40] * bool(known)):
        assert "which git does not know here" in told_of(commit)
    assert "which git does not know here" not in told_of(known)


def test_published_rows_that_would_be_shown_no_more_are_told(tmp_path):
    """Reports and printed tables have the newest comparable rows alone."""
    published = [
        predicting(error, variant=variant, environment=ENVIRONMENT) for error, variant in ((2.0, "ridge"), (1.0, "gp"))
    ]
    newer = msgspec.structs.replace(predicting(1.5, variant="trees"), started="2026-11-01T00:00:00+00:00")
    told = warnings(examined(tmp_path / "elsewhere", published, newer))
    assert "reports of profile smoke would show 2 of 2 published rows no more" in told
    assert "printed tables and pages' answers would show 2 of 2" in told
    beside = msgspec.structs.replace(newer, environment=ENVIRONMENT)
    assert "no more" not in warnings(examined(tmp_path / "beside", published, beside))
    better = predicting(0.5, variant="gp", environment=ENVIRONMENT)
    better = msgspec.structs.replace(better, started="2026-11-01T00:00:00+00:00", source="e" * 64)
    assert "would show 1 of 2 published rows no more" in warnings(examined(tmp_path / "again", published, better))


def test_a_published_cell_that_predicts_otherwise_elsewhere_is_told(tmp_path):
    first = predicting(2.0, variant="ridge", environment=ENVIRONMENT)
    of_another_seed = msgspec.structs.replace(first.cell, seed=1)
    second = msgspec.structs.replace(with_noise(first, 0.2), cell=of_another_seed, key=of_another_seed.key)
    better = predicting(0.1, variant="ridge")
    found = examined(tmp_path / "better", [first, second], better)
    assert found.acceptable
    assert "from those published of the same cell, where seeds differ by 0.19" in warnings(found)
    assert "of the same cell: run it again" in warnings(examined(tmp_path / "alone", [first], better))
    within = with_noise(predicting(2.0, variant="ridge"), 0.1)
    assert "of the same cell" not in warnings(examined(tmp_path / "within", [first, second], within))
    other_seed = predicting(0.1, 7, variant="ridge")
    assert "of the same cell" not in warnings(examined(tmp_path / "other", [first, second], other_seed))
    beside = predicting(9.0, environment=ENVIRONMENT)  # of another model, which does not say how far seeds are apart
    assert "of the same cell: run it again" in warnings(examined(tmp_path / "beside", [first, beside], better))
    slide_rule = msgspec.structs.replace(ENVIRONMENT, processor="Slide rule")
    far = predicting(9.0, variant="ridge", environment=slide_rule)  # which is no other seed
    assert "of the same cell: run it again" in warnings(examined(tmp_path / "far", [first, far], better))
    there = predicting(0.1, variant="ridge", environment=slide_rule)  # with whose predictions these agree
    assert "of the same cell" not in warnings(examined(tmp_path / "there", [first, there], with_noise(there, 1e-5)))


@pytest.mark.parametrize("environment", [ENVIRONMENT, ELSEWHERE], ids=["here", "elsewhere"])
def test_a_seed_that_is_unlike_all_published_ones_of_its_cell_is_told(tmp_path, environment):
    """So that no other seed is the way around what is said of the same cell."""

    def seed(number, noise):
        of_ridge = predicting(2.0, variant="ridge", environment=environment if number > 1 else ENVIRONMENT)
        cell = msgspec.structs.replace(of_ridge.cell, seed=number)
        return msgspec.structs.replace(with_noise(of_ridge, noise), cell=cell, key=cell.key)

    alike, apart, same = [seed(0, 0.0), seed(1, 0.2)], [seed(0, 0.0), seed(1, 2.0)], [seed(0, 0.0), seed(1, 0.0)]
    for name, published, sent, told in (
        ("far", alike, seed(7, 2.0), True),
        ("near", alike, seed(7, 0.4), False),
        ("spread", apart, seed(7, 2.5), False),
        ("fixed", same, seed(7, 0.2), True),
        ("rounding", same, seed(7, 1e-3), False),
        ("alone", alike[:1], seed(7, 2.0), False),
    ):
        found = warnings(examined(tmp_path / name, published, sent))
        assert ("from every published seed, where seeds differ by" in found) == told, name
    elsewhere = msgspec.structs.replace(seed(0, 0.0), environment=msgspec.structs.replace(ENVIRONMENT, processor="X"))
    found = warnings(examined(tmp_path / "beside one", [*alike, elsewhere], seed(7, 2.0)))
    assert "from every published seed" in found  # though one alone says nothing


def test_a_network_of_which_a_seed_is_relabelled_is_told(tmp_path):
    published = [of_a_network(0, environment=ENVIRONMENT)]
    assert "to the digit those of baseline on pytorch, seed 0" in warnings(
        examined(tmp_path / "a", published, of_a_network(7))
    )


def test_a_network_that_is_relabelled_within_its_variant_is_told(tmp_path):
    """As if other weights, fewer images or another recipe had led to the same predictions."""
    begun = {"architecture": BACKBONE, "recipes": (Recipe(2, trains="head"),)}

    def of_a_backbone(seed=0, environment=ELSEWHERE, **cell):
        record = of_a_network(seed, environment=environment)
        cell = msgspec.structs.replace(record.cell, **begun | {"weights": "random"} | cell)
        return msgspec.structs.replace(record, cell=cell, key=cell.key)

    def told_of(record):
        folder = tmp_path / record.key
        return warnings(examined(folder, [of_a_backbone(environment=ENVIRONMENT)], record))

    settings = PLAN.cells[0].settings
    few, all_of_them, raw, cuda, averaged = (
        msgspec.structs.replace(settings, **changes)
        for changes in (
            {"originals": 25},
            {"originals": len(SPLIT.train)},
            {"target_scaling": "none"},
            {"device": "cuda"},
            {"averaged": 4},
        )
    )
    slower = (Recipe(2, trains="head", learning_rate=1e-5),)
    for other in ({"weights": "imagenet"}, {"settings": few}, {"settings": raw}, {"recipes": slower}):
        assert "to the digit those of baseline (random weights) on pytorch, seed 0" in told_of(of_a_backbone(**other))
    for alike in ({}, {"settings": all_of_them}, {"settings": cuda}, {"settings": averaged}):
        assert "to the digit" not in told_of(of_a_backbone(**alike))


def test_fewer_images_that_lead_to_the_same_estimator_are_told(tmp_path):
    published = [predicting(2.0, variant="ridge", environment=ENVIRONMENT)]
    for originals, copied in ((25, True), (len(SPLIT.train), False)):
        sent = predicting(2.0, variant="ridge", settings=Settings(originals=originals, facts=DATA.facts))
        told = warnings(examined(tmp_path / str(originals), published, sent))
        assert ("to the digit those of ridge on classical, seed 0" in told) == copied
    cell = msgspec.structs.replace(published[0].cell, seed=7)
    of_another_seed = msgspec.structs.replace(published[0], cell=cell, key=cell.key)  # of which it makes no use
    assert "to the digit" not in warnings(examined(tmp_path / "seed", published, of_another_seed))


def with_noise(record, noise):
    """A copy of another model's predictions, with all that follows from them."""
    drawn = np.random.default_rng(1).normal(0, noise, np.shape(record.held_out.predictions))
    predictions = record.held_out.predicted + drawn
    held_out = msgspec.structs.replace(record.held_out, predictions=tuple(map(tuple, predictions.tolist())))
    metrics = elasticity.measure(predictions, DATA.targets[SPLIT.test], DATA.images[SPLIT.test], DATA.facts)
    return msgspec.structs.replace(record, held_out=held_out, test=held_out.accuracy(), metrics=metrics)


def test_predictions_of_another_model_are_told_with_noise_and_in_an_earlier_line_too(sent):
    copied = predicting(0.5, variant="gp")
    found = sent(line(with_noise(copied, 1e-4)))
    assert "0.0002 of their error from those of cubic on classical, seed 0, which is published" in warnings(found)
    assert found.acceptable
    assert "of their error" not in warnings(sent(line(with_noise(copied, 0.01))))
    in_another_framework = with_noise(predicting(0.5, variant="cubic", backend="keras"), 1e-4)
    assert "of their error" not in warnings(sent(line(in_another_framework)))
    own, another = (predicting(1.0, variant=variant) for variant in ("gp", "trees"))
    assert "those of gp on classical, seed 0, which stands in an earlier line" in warnings(
        sent(line(own), line(another))
    )
    relabelled = [of_a_network(seed) for seed in (7, 8)]
    assert "those of baseline on pytorch, seed 7, which stands in" in warnings(sent(*map(line, relabelled)))


def test_what_is_strange_is_told_and_no_fault(sent, results):
    assert "the truth to nine digits" in warnings(sent(line(predicting(0))))
    assert "is no variant of the suite" in warnings(sent(line(predicting(1.0, variant="mine"))))
    own = Imported("models.py:gp", "scikit-learn", "f" * 64)
    told = warnings(sent(line(predicting(1.0, variant="models.gp", architecture=own))))
    assert "models.gp is somebody's own code, of which records have the hash alone" in told
    assert "definition must come with it" not in told
    assert "made by other code" in warnings(sent(line(predicting(1.0))))
    ours = msgspec.structs.replace(predicting(1.0), source=provenance.source("classical", "elasticity"))
    assert "made by other code" not in warnings(sent(line(ours)))
    assert "profile mine is not known here" in warnings(sent(line(predicting(1.0, profile="mine"))))
    assert "abacus is no backend that is here" in warnings(sent(line(predicting(1.0, backend="abacus"))))
    usual = warnings(sent(line(predicting(1.0))))
    assert "is not known here" not in usual
    assert "no backend" not in usual
    copied = predicting(0.5, variant="gp")
    assert "to the digit those of cubic on classical, seed 0" in warnings(sent(line(copied)))
    copied = predicting(0.5, variant="cubic", backend="keras")
    assert "to the digit those of cubic on classical, seed 0" in warnings(sent(line(copied)))
    dirty = msgspec.structs.replace(ELSEWHERE, commit="0123456789abcdef+dirty")
    found = sent(line(predicting(1.0, environment=dirty)))
    assert "by one with changes" in warnings(found)
    assert found.acceptable
    nowhere = msgspec.structs.replace(ELSEWHERE, commit="")
    assert "made by no commit" in warnings(sent(line(predicting(1.0, environment=nowhere))))
    assert "made by no commit" not in warnings(sent(line(predicting(1.0))))
    redefined = predicting(1.0, variant="ridge", architecture=Estimator("ridge", alpha=9.0))
    assert "defined otherwise than in the published records" in warnings(sent(line(redefined)))
    assert "defined otherwise" not in warnings(sent(line(predicting(1.0, variant="ridge"))))


def test_another_definition_is_another_than_that_of_the_same_variant_and_profile(tmp_path):
    stiff = Estimator("ridge", alpha=9.0)
    published = [
        predicting(2.0, variant="ridge", environment=ENVIRONMENT),
        predicting(1.5, variant="cubic", architecture=stiff, environment=ENVIRONMENT),
        predicting(1.4, variant="ridge", architecture=stiff, profile="paper", environment=ENVIRONMENT),
    ]
    for profile, than in (("smoke", "in the published records"), ("standard", "here, and profile"), ("paper", None)):
        sent = predicting(1.0, variant="ridge", architecture=stiff, profile=profile)
        told = warnings(examined(tmp_path / profile, published, sent))
        assert ("defined otherwise than" in told) == bool(than)
        assert f"defined otherwise than {than or ''}" in told or not than


@pytest.mark.parametrize("variant", ["baseline", "tuned", "augmented", "vgg16-fine-tuned", "gp"])
def test_where_nothing_is_published_a_variant_is_held_to_the_definition_that_is_here(tmp_path, variant):
    """As `bench run` shortens it to the profile."""
    published = [predicting(2.0, variant="ridge", environment=ENVIRONMENT)]
    planned = plans.plan("elasticity", plans.Request(("elasticity",), variant=variant, search="grid")).cells[0]
    of_itself = {
        name: getattr(planned, name)
        for name in ("variant", "architecture", "recipes", "encoding", "decoding", "weights", "backend", "profile")
    }

    def told_of(**cell):
        cell = msgspec.structs.replace(predicting(1.0).cell, **of_itself | cell)
        record = msgspec.structs.replace(predicting(1.0), cell=cell, key=cell.key)
        return " ".join(submission._strange(record, elasticity, published))

    assert "defined otherwise" not in told_of()
    assert "defined otherwise" not in told_of(profile="mine")
    larger = {"architecture": SCRATCH} if variant != "baseline" else {"encoding": Encoding("two-point")}
    for other in (larger, {"recipes": (Recipe(1, learning_rate=1.0),)}, {"originals": 50}):
        assert f"{variant} is defined otherwise than here" in told_of(**other)


def examined(folder, published, *sent):
    """What is said of records beside these that are published."""
    folder.mkdir(exist_ok=True)
    store = Store(folder, "elasticity")
    for record in published:
        store.append(record)
    path = folder / "sent.jsonl"
    path.write_bytes(b"".join(line(record) + b"\n" for record in sent))
    return examine(path, folder, "elasticity")


def test_a_boast_on_validation_images_and_whom_it_would_make_the_rival_are_told(tmp_path):
    network = next(variant for variant in elasticity.VARIANTS if variant.name == "baseline").architecture
    published = [
        predicting(2.0, variant="ridge", environment=ENVIRONMENT),
        predicting(1.0, variant="baseline", backend="pytorch", architecture=network, environment=ENVIRONMENT),
    ]
    boast = msgspec.structs.replace(predicting(3.0), validation=predicting(1e-3).validation)
    poor = msgspec.structs.replace(boast, test=msgspec.structs.replace(boast.test, skill=0.1))
    found = examined(tmp_path, published, boast)
    assert found.acceptable
    assert "1 networks of profile" in warnings(found)
    assert "would be compared with gp · classical instead of ridge · classical" in warnings(found)
    assert "on validation images, which cannot be verified" not in warnings(found)  # as good as on the test
    suite = registry.suite("elasticity")
    assert "its skill is 1 on validation images, which cannot be verified, and 0.1 on the test" in submission._strange(
        poor, suite, []
    )


@pytest.mark.parametrize("environment", [ENVIRONMENT, ELSEWHERE], ids=["among the published seeds", "elsewhere"])
def test_a_boast_by_which_the_rival_is_another_training_of_the_same_model_is_told(tmp_path, environment):
    """Of worse predictions, by which published networks would be better than their rival."""
    network = of_a_network(0, environment=ENVIRONMENT)
    published = [predicting(2.0, variant="ridge", environment=ENVIRONMENT), network]
    boast = msgspec.structs.replace(
        predicting(3.0, 7, variant="ridge", environment=environment), validation=predicting(1e-3).validation
    )
    told = "1 networks of profile smoke would be compared with ridge · classical instead of ridge · classical as publ"
    assert told in warnings(examined(tmp_path / "other", published, boast))
    worse = msgspec.structs.replace(boast, validation=predicting(50.0).validation)
    kept = warnings(examined(tmp_path / "kept", published, worse))
    assert (told in kept) == (environment == ENVIRONMENT)  # one more seed of the rival is another rival
    first = "1 networks of profile smoke would be compared with ridge · classical instead of none"
    assert first in warnings(examined(tmp_path / "first", [network], boast))


def test_seeds_that_a_row_lacks_are_told(tmp_path):
    profile = elasticity.PROFILES["standard"]
    records = [predicting(1.0, seed, profile="standard") for seed in profile.seeds]
    published = predicting(2.0, variant="ridge", environment=ENVIRONMENT)
    found = examined(tmp_path / "one", [published], records[0])
    assert "gp on classical lacks seeds 1 2 of its profile" in warnings(found)
    assert "ridge on classical" not in warnings(found)  # neither replaced nor theirs to complete
    assert "lacks seeds" not in warnings(examined(tmp_path / "all", [published], *records))
    assert "lacks seeds" not in warnings(examined(tmp_path / "rest", records[:1], *records[1:]))


@pytest.mark.parametrize(
    "apart",
    [
        {"data_hash": "e" * 64},
        {"split_hash": "e" * 64},
        {"profile": "standard"},
        {"settings": msgspec.structs.replace(PLAN.cells[0].settings, device="cuda")},
        {"settings": msgspec.structs.replace(PLAN.cells[0].settings, target_scaling="none", unit="MPa")},
    ],
    ids=["data", "split", "profile", "device", "scaling"],
)
def test_a_rank_is_among_rows_that_were_asked_the_same_alone(tmp_path, apart):
    beside = predicting(2.0, variant="cubic", environment=ENVIRONMENT)
    better = predicting(0.5, variant="ridge", environment=ENVIRONMENT, **apart)
    (row,) = examined(tmp_path, [beside, better], predicting(1.0)).rows
    assert (row.rank, row.among) == (1, 2)


def test_a_model_that_was_trained_again_takes_one_place_and_fewer_images_none(tmp_path):
    better = predicting(0.5, variant="ridge", environment=ENVIRONMENT)
    again = msgspec.structs.replace(better, source="1" * 64)
    few = predicting(0.6, variant="ridge", settings=Settings(originals=25), environment=ENVIRONMENT)
    ((row),) = examined(tmp_path, [better, again, few], predicting(1.0)).rows
    assert (row.rank, row.among) == (2, 2)


def test_each_row_is_told_with_its_own_skill_and_its_rank_among_models_that_were_asked_the_same(tmp_path):
    """Of one variant on another backend, elsewhere, of another definition, averaged over moves or of fewer images."""
    averaged = msgspec.structs.replace(PLAN.cells[0].settings, averaged=4)
    few = msgspec.structs.replace(PLAN.cells[0].settings, originals=25)
    published = [
        predicting(0.5, variant="ridge", environment=ENVIRONMENT),
        predicting(0.4, variant="cubic", settings=averaged, environment=ENVIRONMENT),
    ]
    sent = [
        predicting(1.0, variant="ridge"),
        predicting(2.0, variant="ridge", backend="keras"),
        predicting(3.0, variant="ridge", architecture=Estimator("ridge", alpha=9.0)),
        predicting(4.0, variant="ridge", settings=averaged),
        predicting(5.0, variant="ridge", settings=few),
        predicting(6.0, variant="gp"),
    ]
    found = examined(tmp_path, published, *sent)
    assert errors(found) == []
    told = {round(row.skill, 9): (row.title, row.rank, row.among) for row in found.rows}
    assert [told.pop(round(record.test.skill, 9)) for record in sent] == [
        ("ridge on classical", 2, 6),  # of which elsewhere is no other model
        ("ridge on keras", 3, 6),
        ("ridge on classical", 4, 6),
        ("ridge (mean over 4 moves) on classical", 5, 6),
        ("ridge (25 originals) on classical", 6, 7),  # which no other has for a rival
        ("gp on classical", 6, 6),
    ]
    assert not told


HUGE = b'{"schema":4,"x":' + b"[" * 100_000
BROKEN = [
    (b"", "not a record"),
    (b"{", "not a record"),
    (b"null", "not a record"),
    (b'{"schema":4}', "not a record"),
    (b'{"schema":99}', "update cijbench"),
    (HUGE, "not a record"),
    (b"\xff\xfe", "not a record"),
    (line(predicting(1.0)).replace(b'"seed":0', b'"seed":1'), "is not the hash of its cell"),
    (line(predicting(1.0)).replace(b'"skill":', b'"skill":NaN,"x":', 1), "not a record"),
    (line(predicting(1.0)).replace(b'"mse":', b'"mse":1e999,"x":', 1), "not a record"),
    (line(predicting(1.0, variant="x")).replace(b'"variant":"x"', b'"variant":"../x"'), "without paths"),
    (line(predicting(1.0))[:-1] + b',"framework":{"<b>":"1"}}', "without paths and markup"),
    (line(predicting(1.0))[:-1] + b',"calibrated":{"test":{"covered":1.5,"flagged":0.0}}}', "not a record"),
    (line(predicting(1.0))[:-1] + b',"calibrated":{"test":{"covered":null,"flagged":-0.1}}}', "not a record"),
]


@pytest.mark.parametrize(("broken", "what"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_line_is_told_by_its_number_and_the_others_are_read(sent, broken, what):
    found = sent(line(predicting(1.0)), broken)
    ((where, said),) = errors(found)
    assert where == "line 2"
    assert what in said
    assert list(found.records) == [1]
    assert not found.acceptable


@pytest.mark.parametrize(
    "predictions",
    [
        ((1.0,),),
        ((1.0,) * 9,) * 77,
        ((1.0,) * 9,) * 77 + ((1.0,),),
        ((1e300,) * 9,) * 78,
        ((1e308,) * 9,) * 78,
        (),
    ],
    ids=["one number", "an image short", "ragged", "huge", "infinite squares", "none"],
)
def test_predictions_that_do_not_fit_are_told(sent, predictions):
    record = predicting(1.0)
    held_out = msgspec.structs.replace(record.held_out, predictions=predictions)
    ((where, _), *_) = errors(sent(line(msgspec.structs.replace(record, held_out=held_out))))
    assert where == "line 1"


def test_a_failure_and_names_of_ones_own_are_refused(sent):
    record = predicting(1.0)
    failed = msgspec.structs.replace(record, status="failed", reason="x")
    assert "nothing in it to publish; take the line out" in errors(sent(line(failed)))[0][1]
    moved = msgspec.structs.replace(record, moved={"skill": 1.0})
    assert "is no symmetry of the suite" in errors(sent(line(moved)))[0][1]
    more = msgspec.structs.replace(record, others={"far": {}})
    more = msgspec.json.encode(more).replace(
        b'"far":{}', b'"far":{"held_out":{"predictions":[]},"accuracy":{},"metrics":{}}'
    )
    assert errors(sent(more))
    another = msgspec.structs.replace(record.held_out, test="other" if TEST != "other" else "x")
    assert "nothing is published" in errors(sent(line(msgspec.structs.replace(record, held_out=another))))[0][1]


def test_a_published_failure_is_no_record_of_the_cell(tmp_path):
    record = predicting(1.0)
    failure = msgspec.structs.replace(a_failure(record.cell), environment=record.environment, source=record.source)
    assert (failure.row, failure.seed) == (record.row, record.seed)
    published = [predicting(2.0, variant="ridge", environment=ENVIRONMENT), failure]
    assert examined(tmp_path, published, record).acceptable


def test_an_ok_record_without_predictions_is_refused(sent):
    ((_, told),) = errors(sent(line(msgspec.structs.replace(predicting(1.0), held_out=None))))
    assert "is ok, but has no scores or no predictions" in told


def test_what_shows_beside_the_published_records_alone_is_told(sent, monkeypatch):
    def unable(*_):
        raise BenchError("a record names something 'skill', which is another column of the leaderboard")

    monkeypatch.setattr(submission, "_ranked_rows", unable)
    found = sent(line(predicting(1.0)))
    assert errors(found) == [
        ("the leaderboard", "a record names something 'skill', which is another column of the leaderboard")
    ]
    assert not found.acceptable
    monkeypatch.setattr(submission, "verify_together", lambda records: [f"{len(records)} records contradict"])
    found = sent(line(predicting(1.0)))
    assert errors(found) == [("among the others", "3 records contradict")]
    assert not found.rows
    assert errors(sent(b"", line(predicting(1.0, weights="random"))))[-1][0] == "line 2"  # nothing good: not asked


def test_what_is_just_not_too_large_is_read(sent, monkeypatch):
    text = line(predicting(1.0))
    monkeypatch.setattr(submission, "LONGEST_LINE", len(text))
    monkeypatch.setattr(submission, "MOST_LINES", 1)
    monkeypatch.setattr(submission, "MOST_BYTES", len(text) + 1)
    assert sent(text).acceptable


def test_what_is_too_large_is_not_read(sent, monkeypatch):
    monkeypatch.setattr(submission, "LONGEST_LINE", 1000)
    assert "more than 1,000" in errors(sent(line(predicting(1.0))))[0][1]
    monkeypatch.setattr(submission, "MOST_LINES", 3)
    with pytest.raises(BenchError, match="at most 3"):
        sent(b"", b"", b"", b"")
    monkeypatch.setattr(submission, "MOST_BYTES", 10)
    with pytest.raises(BenchError, match="at most 10"):
        sent(b"0123456789")


def test_a_torn_line_and_no_lines_are_told(sent):
    assert errors(sent(line(predicting(1.0)), end=b""))[0][0] == "the last line"
    assert not sent(b"", end=b"").acceptable


def test_the_command_says_it_and_exits_1_where_something_is_wrong(capsys, tmp_path, results):
    path = tmp_path / "sent.jsonl"
    path.write_bytes(line(predicting(1.0)) + b"\n")
    words = ["submit", f"check={path}", "suite=elasticity", f"results={results}"]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert "row: gp on classical, seeds 0: skill" in told
    assert "rank 2 of 3" in told
    assert "what cannot be verified here" in told
    path.write_bytes(b"\x1b[31mred\n")
    assert cli.main(words) == 1
    assert "\x1b" not in capsys.readouterr().out
    assert cli.main(["submit", f"check={tmp_path / 'none'}", "suite=elasticity", f"results={results}"]) == 2
    assert "none: there is no such file" in capsys.readouterr().err
    assert cli.main(["submit", f"check={tmp_path}", "suite=elasticity", f"results={results}"]) == 2
    assert cli.main(["submit", f"check={path}", "suite=elastic", f"results={results}"]) == 2
