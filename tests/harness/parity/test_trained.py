import msgspec
import numpy as np
import pytest

from harness import provenance, registry
from harness.environment import observe
from harness.judging.records import HeldOut
from harness.model.variants import Recipe
from harness.parity import trained
from harness.parity.subjects import frameworks, subjects
from harness.protocol import History
from harness.running.worker import Done
from tests.harness.examples import a_cell, a_record, in_unlike_units
from tests.harness.parity.test_subjects import a_request

SUITE = registry.suite("elasticity")
BASELINE, TUNED, *_ = subjects(SUITE)


def a_history(*firsts, epochs=3):
    return tuple(History((first,) * epochs, (first,) * epochs, 1.0) for first in firsts)


def records_with(predictions, **changes):
    """What `_records` would give: of each seed a record with these predictions."""
    truth = np.arange(6.0).reshape(3, 2)
    found = {}
    for seed, values in predictions.items():
        held_out = HeldOut(
            tuple(map(tuple, truth + values)),
            ids=("a", "b", "c"),
            targets=("C11", "C22"),
            units=("GPa", "GPa"),
            truth=tuple(map(tuple, truth)),
            train_mean=(2.0, 3.0),
        )
        record = a_record(a_cell(variant="baseline", seed=seed, recipes=(Recipe(),)), history=a_history(1.0))
        found["baseline", seed] = msgspec.structs.replace(
            record, held_out=held_out, test=held_out.accuracy(), **changes
        )
    return found


def verdict(monkeypatch, tmp_path, rung, ours, theirs, **changes):
    pair = iter([ours, theirs])
    monkeypatch.setattr(trained, "_records", lambda *_: next(pair))
    request = a_request(tmp_path, **changes)
    if rung == "training":
        ((*_, found),) = trained.training(request, SUITE, [BASELINE])
    else:
        ((found,),) = trained.statistics(request, [BASELINE])
    return found


@pytest.mark.parametrize(("between", "expected"), [(0.5, "passes"), (3.0, "breaks")])
def test_frameworks_may_differ_by_less_than_seeds(monkeypatch, tmp_path, between, expected):
    """Seeds of ours differ by 1, those of theirs by 2."""
    ours, theirs = records_with({0: 0.0, 1: 1.0}), records_with({0: between, 1: 2.0 + between})
    found = verdict(monkeypatch, tmp_path, "training", ours, theirs)
    assert found.outcome == expected
    assert found.allowed == pytest.approx(2.0)
    assert found.difference == pytest.approx(np.sqrt((between**2 + (1 + between) ** 2) / 2))
    assert "test predictions, GPa; allowed" in found.note
    assert "says little" not in found.note


def test_of_unlike_units_the_largest_numbers_do_not_decide_alone(monkeypatch, tmp_path):
    """Frameworks are three times as far apart as seeds in the first target, and close in one of larger numbers."""
    sides = [
        {0: np.array([0.0, 0.0]), 1: np.array([1.0, 1.0])},
        {0: np.array([3.0, 0.1]), 1: np.array([4.0, 1.1])},
    ]
    ours, theirs = ({place: in_unlike_units(one) for place, one in records_with(side).items()} for side in sides)
    found = verdict(monkeypatch, tmp_path, "training", ours, theirs)
    assert found.outcome == "breaks"
    assert found.difference / found.allowed == pytest.approx(np.sqrt((3**2 + 0.1**2) / 2))
    assert "test predictions, relative to the trivial predictor's errors; allowed" in found.note


@pytest.mark.parametrize(
    ("theirs", "expected", "said"),
    [
        (a_history(1.0, 0.5), "passes", ""),
        (a_history(1.0 + 3e-6, 0.5 * 1.004), "passes", "recipe 1, seed 0"),
        (a_history(1.0002, 0.5), "breaks", "recipe 1, seed 0"),  # another pooling, another loss
        (a_history(1.0, 0.6), "breaks", "recipe 2, seed 0"),  # a rate that is not lowered, a backbone left frozen
        (a_history(1.0, float("nan")), "breaks", "recipe 2, seed 0"),
        (a_history(1.0, 0.5, epochs=2), "breaks", "[3, 3] epochs of each recipe, and [2, 2]"),  # stopped early
    ],
)
def test_a_side_whose_seeds_differ_most_does_not_excuse_itself(monkeypatch, tmp_path, theirs, expected, said):
    """Their seeds are 50 apart, ours 1: predictions that differ by 3 are within what is allowed."""
    cell = a_cell(variant="baseline", recipes=(Recipe(trains="head"), Recipe()))
    good = records_with({0: 0.0, 1: 1.0}, history=a_history(1.0, 0.5), cell=cell)
    bad = records_with({0: 3.0, 1: 53.0}, history=theirs, cell=cell)
    pair = iter([good, bad])
    monkeypatch.setattr(trained, "_records", lambda *_: next(pair))
    ((beginning, whole),) = trained.training(a_request(tmp_path), SUITE, [BASELINE])
    assert whole.outcome == "passes"
    assert beginning.outcome == expected
    assert said in beginning.worst + beginning.note


@pytest.mark.parametrize(
    ("name", "off", "expected"),
    [
        ("densenet121-fine-tuned", 0.03, "passes"),  # batch norms that meet images for the first time
        ("densenet121-fine-tuned", 0.2, "breaks"),
        ("densenet121-fine-tuned-frozen-norms", 0.03, "breaks"),
        ("vgg16-fine-tuned", 0.03, "breaks"),
    ],
)
def test_where_batch_norms_train_recipes_may_begin_further_apart(monkeypatch, tmp_path, name, off, expected):
    (variant,) = [variant for variant in subjects(SUITE) if variant.name == name]
    cell = a_cell(variant=name, recipes=variant.recipes)
    sides = [
        {(name, seed): record for (_, seed), record in side.items()}
        for side in (
            records_with({0: 0.0, 1: 50.0}, history=a_history(1.0, loss), cell=cell) for loss in (6.0, 6.0 * (1 + off))
        )
    ]
    pair = iter(sides)
    monkeypatch.setattr(trained, "_records", lambda *_: next(pair))
    ((beginning, _),) = trained.training(a_request(tmp_path), SUITE, [variant])
    assert beginning.outcome == expected


def test_what_comes_after_a_whole_network_was_trained_is_not_held_to_begin_alike(monkeypatch, tmp_path):
    """`augmented` began its second recipe with a loss of 0.032 in Keras and 0.088 in PyTorch, and ended the same."""
    cell = a_cell(variant="baseline", recipes=(Recipe(), Recipe(), Recipe()))
    ours, theirs = (
        records_with({0: 0.0, 1: 50.0}, history=a_history(1.0, loss, 0.5), cell=cell) for loss in (0.032, 0.088)
    )
    pair = iter([ours, theirs])
    monkeypatch.setattr(trained, "_records", lambda *_: next(pair))
    ((beginning, _),) = trained.training(a_request(tmp_path), SUITE, [BASELINE])
    assert (beginning.outcome, beginning.worst) == ("passes", "loss of the first epoch of recipe 1, seed 0")


def test_with_dropout_the_seeds_that_differ_less_are_what_is_allowed(monkeypatch, tmp_path):
    """For masks are each framework's own, and losses cannot be compared."""
    good, bad = records_with({0: 0.0, 1: 1.0}), records_with({0: 3.0, 1: 53.0}, history=a_history(7.0))
    renamed = [{("tuned", seed): record for (_, seed), record in side.items()} for side in (good, bad)]
    pair = iter(renamed)
    monkeypatch.setattr(trained, "_records", lambda *_: next(pair))
    ((found,),) = trained.training(a_request(tmp_path), SUITE, [TUNED])
    assert (found.outcome, found.allowed) == ("breaks", pytest.approx(1.5))
    assert "1.5 times what two seeds" in found.note


def test_models_that_learned_nothing_are_said_to_be_such(monkeypatch, tmp_path):
    far = {0: 5.0, 1: 9.0}
    found = verdict(monkeypatch, tmp_path, "training", records_with(far), records_with(far))
    assert found.outcome == "passes"
    assert "no better than the mean" in found.note


def scores(mean, spread=0.004):
    """Errors that give such R²: the variance of the truth is 8/3."""
    return {seed: np.sqrt((1 - mean + spread * (seed % 2 - 0.5)) * 8 / 3) for seed in range(10)}


def test_trainings_that_differ_too_much_show_nothing(monkeypatch, tmp_path):
    """Clean code breaks nothing for that: some trainings of the baseline never leave the mean, in both frameworks."""
    ours, theirs = records_with(scores(0.7, spread=0.5)), records_with(scores(0.75, spread=0.5))
    found = verdict(monkeypatch, tmp_path, "statistics", ours, theirs)
    assert found.outcome == "skipped"
    assert "not decided, for trainings of one framework differ too much" in found.note
    worse = records_with(scores(0.1, spread=0.5))
    assert verdict(monkeypatch, tmp_path, "statistics", ours, worse).outcome == "differs"


@pytest.mark.parametrize(("other", "expected"), [(0.9, "passes"), (0.86, "differs")])
def test_equivalent_r2_over_ten_seeds(monkeypatch, tmp_path, other, expected):
    found = verdict(monkeypatch, tmp_path, "statistics", records_with(scores(0.9)), records_with(scores(other)))
    assert found.outcome == expected
    assert found.allowed == trained.MARGIN
    assert "90 % interval" in found.note
    assert "keras " in found.note


def test_one_of_each_kind_of_network_is_asked_how_it_begins():
    """The lecture's networks and the baseline are of the same layers, and a backbone takes too long."""
    for suite, expected in (
        ("elasticity", ["baseline", "augmented"]),
        ("polysilicon", ["few-originals", "hill-net"]),
    ):
        of_suite = subjects(registry.suite(suite))
        assert [variant.name for variant in trained.first_of_each_kind(of_suite)] == expected


def test_a_failed_cell_breaks_and_an_unavailable_one_skips(monkeypatch, tmp_path):
    good = records_with({0: 0.0, 1: 1.0})
    for status, expected in (("failed", "breaks"), ("unavailable", "skipped")):
        bad = records_with({0: 0.0, 1: 1.0}, status=status, reason="no memory")
        found = verdict(monkeypatch, tmp_path, "training", good, bad)
        assert found.outcome == expected
        assert "no memory" in found.note


def test_a_backend_that_does_not_train_is_skipped(tmp_path):
    request = a_request(tmp_path, between=frameworks("keras,onnx"))
    ((found,),) = trained.training(request, SUITE, [BASELINE])
    assert (found.outcome, found.note) == ("skipped", "onnx does not train")


def test_cells_are_those_of_a_run_with_one_network_each(tmp_path):
    request, chosen = a_request(tmp_path), subjects(SUITE)
    cells = trained._cells(request, request.between[1], chosen, trained.Trainings((0, 1), "shared"))
    assert {(c.variant, c.seed) for c in cells} == {(v.name, seed) for v in chosen for seed in (0, 1)}
    assert len({cell.key for cell in cells}) == 2 * len(chosen)
    named = {cell.variant: cell for cell in cells}
    assert named["tuned"].architecture == TUNED.architecture
    assert named["tuned"].recipes[0].epochs == trained.EPOCHS
    assert [recipe.epochs for recipe in named["augmented"].recipes] == [10, 10, 10]
    assert [recipe.trains for recipe in named["resnet50-fine-tuned-frozen-norms"].recipes] == ["head", "all-but-norms"]
    assert [recipe.epochs for recipe in named["resnet50-fine-tuned"].recipes] == [15, trained.TUNING_EPOCHS]
    native = trained._cells(request, request.between[1], [TUNED], trained.Trainings((0,), "native"))
    assert [cell.settings.init for cell in native] == ["native"]


def test_cells_are_trained_where_the_framework_computes(monkeypatch, tmp_path):
    request = a_request(tmp_path, between=frameworks("pytorch,pytorch@cuda"))
    asked = []
    monkeypatch.setattr(trained, "launch", lambda jobs, workers, post: asked.append(post.device) or [])
    monkeypatch.setattr(trained, "recorded", lambda jobs, *_: (a_record(job.cell) for job in jobs))
    for framework in request.between:
        found = trained._records(request, framework, [BASELINE], trained.Trainings((0,), "shared"))
        assert [record.cell.settings.device for record in found.values()] == [framework.device]
    assert asked == ["cpu", "cuda"]


def test_records_are_kept_for_the_very_code_that_made_them(monkeypatch, tmp_path):
    request = a_request(tmp_path, profile="smoke", workers=1)
    two = trained.Trainings((0, 1), "shared")
    made = []

    def launch(jobs, workers, post):
        made.append(len(jobs))
        for job in jobs:
            source = provenance.source(job.cell.backend, job.cell.suite)
            yield job, Done(a_record(job.cell, environment=observe(), source=source))

    monkeypatch.setattr(trained, "launch", launch)
    for _ in range(2):
        found = trained._records(request, request.between[1], [BASELINE], two)
        assert list(found) == [("baseline", 0), ("baseline", 1)]
    monkeypatch.setattr(provenance, "source", lambda *_: "other")
    trained._records(request, request.between[1], [BASELINE], two)
    assert made == [2, 0, 2]
