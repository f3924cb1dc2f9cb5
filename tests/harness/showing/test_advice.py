from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.judging.blocks import rows
from harness.judging.records import Calibrated, Settings
from harness.showing.advice import advice
from tests.harness.examples import a_cell, a_record, in_unlike_units, of_classes, with_images

RESULTS = Path("mine")


def table(**errors):
    """A row for each variant, whose predictions miss by so much; two seeds each."""
    records = [
        a_record(a_cell(suite="own", variant=variant, seed=seed), error)
        for variant, error in errors.items()
        for seed in (0, 1)
    ]
    return rows(records)


def test_the_best_by_the_validation_images_is_to_be_used_with_who_is_as_good():
    told = advice("own", table(gp=1.0, trees=1.01, ridge=3.0), {}, {("gp", "classical"): "0.05"}, RESULTS)
    assert told.startswith("**Use gp · classical**, the best on the validation images: its skill is 0.99")
    assert ", of 20 test images)" in told
    assert "Cannot be told apart from it on the test images: trees · classical." in told
    assert "The only one that is worse is ridge · classical, by +0." in told
    assert told.endswith(
        "Training took 0.25 s on one core per seed, including any search; an image takes 0.05 ms (ONNX Runtime, one "
        "thread); the file is 1 kB."
    )


def test_names_and_their_order_say_nothing():
    told = advice("own", table(aaa=9.0, bbb=3.0, zzz=1.0), {}, {}, RESULTS)
    assert told.startswith("**Use zzz · classical**")
    assert "bench predict" not in told  # which can use them all
    assert "Of the 2 that are worse, the nearest is bbb · classical, by +" in told


def test_the_fastest_of_those_that_are_as_good_is_named():
    found = table(gp=1.0, trees=1.01)
    slow = [
        msgspec.structs.replace(r, history=(msgspec.structs.replace(r.history[0], seconds=9.0),))
        for r in found[0].records
    ]
    assert found[0].name == "gp"
    told = advice("own", [found[0]._replace(records=tuple(slow)), found[1]], {}, {}, RESULTS)
    assert "Of all these, trees · classical is the fastest to train." in told


def test_who_is_better_on_the_test_images_is_told_as_such_and_not_as_good():
    gp, *others = table(gp=3.0, ridge=9.0, trees=1.0)
    chosen = tuple(msgspec.structs.replace(r, validation=a_record(error=0.1).validation) for r in gp.records)
    told = advice("own", [gp._replace(records=chosen), *others], {}, {}, RESULTS)
    assert told.startswith("**Use gp · classical**")
    assert (
        "**Better on the test images**: trees · classical. The validation images chose another model: do they show "
        "the same as the test images? The only one that is worse is ridge · classical, by +" in told
    )
    assert "Cannot be told apart" not in told


def test_what_is_no_better_than_the_mean_is_not_to_be_used():
    told = advice("own", table(gp=12.0, trees=13.0), {}, {}, RESULTS)
    assert told.startswith("**The best model on the validation images is not shown to be better than always")
    assert "**Use" not in told
    gp, trees = table(gp=12.0, trees=1.0)
    chosen = tuple(msgspec.structs.replace(r, validation=a_record(error=0.1).validation) for r in gp.records)
    told = advice("own", [gp._replace(records=chosen), trees], {}, {}, RESULTS)
    assert "is not shown to be better" in told
    assert "**Better on the test images**: trees" in told


def test_what_predict_cannot_use_is_not_recommended():
    found = table(gp=1.0, trees=2.0)
    encoded = tuple(msgspec.structs.replace(record, encoding_ms=1.0) for record in found[0].records)
    assert advice("own", [found[0]._replace(records=encoded), found[1]], {}, {}, RESULTS).startswith("**Use trees")
    no_file = tuple(msgspec.structs.replace(record, onnx=None) for record in found[0].records)
    assert advice("own", [found[0]._replace(records=no_file), found[1]], {}, {}, RESULTS).startswith("**Use trees")


def test_what_predict_cannot_use_and_is_better_is_told_with_the_reason():
    gp, ridge, trees = table(gp=1.0, ridge=2.0, trees=5.0)
    for change, why in (({"onnx": None}, "it was not exported"), ({"encoding_ms": 1.0}, "Python encodes its images")):
        unusable = gp._replace(records=(msgspec.structs.replace(gp.records[0], **change), *gp.records[1:]))
        told = advice("own", [unusable, trees], {}, {}, RESULTS)
        assert "only models that `bench predict` can use: gp · classical is better on the validation images" in told
        assert f"images, but {why}." in told
        assert "gp · classical is also better on the test images." in told
        assert "The validation images chose another" not in told  # for they did not
        unlucky = tuple(msgspec.structs.replace(r, validation=a_record(error=9.0).validation) for r in ridge.records)
        told = advice("own", [unusable, trees, ridge._replace(records=unlucky)], {}, {}, RESULTS)
        assert "**Better on the test images**: ridge · classical." in told
        assert "gp · classical is also better on the test images." in told


def test_rounding_is_no_reason_to_use_a_model():
    """The mean itself, whose skill a computer makes 1e-9."""
    (mean,) = table(mean=1.0)
    held_out = mean.records[0].held_out
    predictions = tuple(tuple(100 + 1e-8 * (value - 100) for value in row) for row in held_out.truth)
    held_out = msgspec.structs.replace(held_out, predictions=predictions)
    mean = mean._replace(records=tuple(msgspec.structs.replace(r, held_out=held_out) for r in mean.records))
    assert 0 < mean.skill_interval()[0] < 1e-6
    assert "is not shown to be better" in advice("own", [mean], {}, {}, RESULTS)


def test_few_test_images_give_no_interval():
    few = [row._replace(records=tuple(with_images(r, 9) for r in row.records)) for row in table(gp=1.0, trees=2.0)]
    told = advice("own", few, {}, {}, RESULTS)
    assert told.startswith("**Too few test images to recommend a model.** The best on the validation images is gp · cl")
    assert "on 9 test images, and an interval needs 10 images, or groups of them" in told
    assert "**Use" not in told
    assert "Cannot be told apart" not in told


def test_images_of_one_thing_count_once():
    def grouped(record, groups):
        clusters = tuple(number % groups for number in range(20))
        return msgspec.structs.replace(record, held_out=msgspec.structs.replace(record.held_out, clusters=clusters))

    def told(groups):
        found = [
            row._replace(records=tuple(grouped(r, groups) for r in row.records)) for row in table(gp=1.0, ridge=3.0)
        ]
        return advice("own", found, {}, {}, RESULTS)

    assert "of 20 test images in 12 groups)" in told(12)
    assert told(5).startswith("**Too few test images to recommend a model.**")
    assert "on 20 test images in 5 groups, and" in told(5)


def test_intervals_of_predictions_are_held_to_the_test_images():
    (row,) = table(gp=1.0)
    known = [{"test": Calibrated(covered, 0.0)} for covered in (0.8, 0.9)]
    records = [msgspec.structs.replace(r, calibrated=of) for r, of in zip(row.records, known, strict=True)]
    told = advice("own", [row._replace(records=tuple(records))], {}, {}, RESULTS)
    assert "90 % intervals, which hold 85% of the true values on the test images" in told

    classes = [of_classes(record) for record in records]
    told = advice("own", [row._replace(records=tuple(classes))], {}, {}, RESULTS)
    assert "sets of classes for 90 %, which hold 85% of the true classes on the test images" in told


def test_of_several_targets_the_worst_is_told():
    """Whose mean is 0.5 where one is known and the other is not."""
    (row,) = table(gp=1.0)
    records = []
    for record in map(in_unlike_units, row.records):
        held_out = record.held_out
        guessed = tuple((first, held_out.train_mean[1]) for first, _ in held_out.predictions)
        held_out = msgspec.structs.replace(held_out, predictions=guessed)
        records.append(msgspec.structs.replace(record, held_out=held_out, test=held_out.accuracy()))
    told = advice("own", [row._replace(records=tuple(records))], {}, {}, RESULTS)
    low, high = (np.mean([record.test.r2[name] for record in records]) for name in ("C22", "C11"))
    assert low < 0.1
    assert high > 0.9
    assert f"Of its 2 targets, R² is lowest for C22, {low:.2f}, and highest for C11, {high:.2f}." in told
    assert "R²" not in advice("own", [row._replace(records=tuple(map(of_classes, row.records)))], {}, {}, RESULTS)


@pytest.mark.parametrize(
    ("error", "does"),
    [
        (3.0, "so more images are likely to help"),
        (1.0, "so there is no evidence that more"),
        (0.1, "so more of the same will not"),
    ],
)
def test_whether_more_images_would_help_is_read_off_a_learning_curve(error, does):
    found = table(gp=1.0)
    fewer = {
        size: rows([a_record(a_cell(variant="gp", settings=Settings(originals=size)), of)])[0]
        for size, of in ((25, 9.0), (50, error))
    }
    told = advice("own", found, {("gp", "classical"): fewer}, {}, RESULTS)
    assert "Training images beyond the first 50 changed the skill of gp · classical by " in told
    assert does in told


def test_without_a_curve_the_command_that_answers_it_is_named():
    told = advice("own", table(gp=1.0), {}, {}, RESULTS)
    assert (
        "`bench run suite=own data=FOLDER variant=gp backend=classical profile=standard originals=N results=mine`"
        in told
    )
    assert not np.char.count(told, "likely to help")


def test_the_command_names_the_results_folder_as_a_shell_takes_it():
    told = advice("own", table(gp=1.0), {}, {}, Path("my results"))
    assert "originals=N 'results=my results'`" in told
