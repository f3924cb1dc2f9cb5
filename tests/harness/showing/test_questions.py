import re

import msgspec
import numpy as np
import pytest

from harness.judging.blocks import Difference, difference, differences, p_values, rows
from harness.judging.records import Examined, Settings
from harness.protocol import Comparison
from harness.showing.digits import decimals, in_words
from harness.showing.questions import _in_runs, answers, family, few, seconds, settles
from harness.showing.tables import markdown
from tests.harness.a_benchmark import benchmark
from tests.harness.examples import a_record, as_rows, with_held_out, with_images

CLEAR = {
    "baseline": 4.0,
    "tuned": 1.0,
    "vgg16-head-only": 9.0,
    "vgg16-fine-tuned": 2.0,
    "resnet50-head-only": 3.0,
    "resnet50-fine-tuned": 9.0,
}


def told(errors, **options):
    return answers(rows(benchmark(errors, **options), list(errors)), {})


def test_clear_differences_are_told_as_such():
    tuning, fastest, fine_tuning, transfer, worth, best = told(CLEAR)
    assert "Yes, in every backend." in tuning
    assert "by epoch" in fastest
    better, worse = re.search(r"Fine-tuned is better: ([^;]*); worse: ([^;]*)\.", fine_tuning).groups()
    assert "vgg16 (keras)" in better
    assert "resnet50 (pytorch)" in worse
    assert "Tuning, in every backend." in transfer
    assert "Yes: tuned" in worth
    assert "**tuned" in best


def test_what_has_no_network_may_be_worth_more():
    *_, worth, _ = told({"baseline": 20.0, "tuned": 30.0})
    assert "No: mean · classical, without a network, is better than baseline" in worth


def test_a_network_that_is_as_good_leaves_the_answer_open():
    records = benchmark({"baseline": 30.0, "tuned": 10.0}, backends=("keras",))
    chosen = {"mean": a_record(error=0.01).validation, "baseline": a_record(error=0.1).validation}
    table = rows([msgspec.structs.replace(r, validation=chosen.get(r.cell.variant, r.validation)) for r in records])
    *_, worth, _ = answers(table, {})
    assert (
        "Inconclusive: mean · classical, without a network, is better than baseline · keras, the best network "
        "on the validation images, but not than tuned · keras." in worth
    )


def test_networks_are_one_family_of_comparisons_as_for_the_verdicts_and_models_without_one_another():
    records = benchmark({"baseline": 4.0, "tuned": 8.0}, backends=("keras",))
    mean = [record for record in records if record.cell.variant == "mean"]
    lines = [
        a_record(msgspec.structs.replace(record.cell, variant=f"line-{gpa}"), gpa)
        for record in mean
        for gpa in (0.5, 2.0, 3.0)
    ]
    among = family(rows([*records, *lines]))
    assert among.chosen.name == "line-0.5"
    least = min(p_values([(row, among.chosen) for row, _ in among.others[:1]]))
    assert {row.name: round(found.p_value / least) for row, found in among.others} == {
        **dict.fromkeys(("baseline", "tuned"), 2),
        **dict.fromkeys(("line-2.0", "line-3.0", "mean"), 3),
    }


def made_over(records, of, error, **changes):
    """The records `of` a variant as another cell's, with another error and the same losses."""
    chosen = [record for record in records if record.cell.variant == of]
    return [a_record(msgspec.structs.replace(one.cell, **changes), error, history=one.history) for one in chosen]


def test_many_models_are_counted():
    assert few(["a", "b", "c"]) == ["a", "b", "c"]
    assert few(["a", "b", "c", "d"]) == ["4 others"]


def test_the_baseline_is_trained_on_all_images():
    tuning, *_ = told({"few": 9.0, "baseline": 4.0, "tuned": 1.0})
    assert "| keras | tuned: 0." in tuning
    assert "| baseline: 0." in tuning


def test_the_baseline_is_the_network_of_that_name_whichever_comes_first():
    records = benchmark({"baseline": 4.0, "tuned": 1.0}, ("keras",))
    other = made_over(records, "baseline", 0.1, variant="another")
    for order in (["another", "baseline"], ["baseline", "another"]):
        tuning, *_ = answers(rows([*records, *other], order), {})
        assert "| baseline: 0." in tuning


def test_a_head_whose_skill_is_not_shown_to_be_above_the_means_learned_nothing():
    records = benchmark({"vgg16-head-only": 9.0}, ("keras",))
    head = next(row for row in rows(records) if row.name.startswith("vgg16"))
    assert head.skill_interval()[0] < 0.01 < head.skill()
    assert "None: no frozen backbone gave a head anything to learn from" in answers(rows(records), {})[0]
    few = [with_images(record, 4) for record in benchmark({"vgg16-head-only": 3.0}, ("keras",))]
    assert "vgg16, by epoch" in answers(rows(few), {})[0]  # without an interval its skill alone says so


def test_networks_alone_and_none_at_all_are_not_asked_whether_one_is_worth_it():
    records = benchmark({"baseline": 3.0})
    for kept in (True, False):
        table = rows([record for record in records if record.cell.has_network == kept])
        (best,) = answers(table, {})
        assert best.startswith("## Which model is best?")


def test_tables_stand_from_the_best_down_and_say_who_is_higher():
    records = benchmark({"baseline": 4.0, "tuned": 1.0}, backends=("keras",))
    line = [a_record(msgspec.structs.replace(r.cell, variant="line"), 2.0) for r in records if r.cell.variant == "mean"]
    *_, worth, best = answers(rows([*records, *line]), {("tuned", "keras"): "0.123"})
    assert re.search(r"\| line \| 0\.9\d+ \| \+0\.0.*\n\| mean \| .*? \| \+0\.7", worth)
    told = [text.split(" | ") for text in best.splitlines() if text.startswith("| ")][2:]
    assert [text[0] for text in told] == ["| tuned", "| line", "| baseline", "| mean"]
    assert [text[-1] for text in told] == ["0.123 |", *["– |"] * 3]
    assert [text[3][0] for text in told] == ["c", "-", "-", "-"]


def test_seconds_are_the_mean_over_seeds_of_all_recipes_and_of_the_search():
    (row,) = (row for row in rows(benchmark({"tuned": 1.0}, ("keras",))) if row.name == "tuned")
    first, *others = row.records  # 2 s of training each, and 12 trials of one
    slow = msgspec.structs.replace(
        first, history=(*first.history, msgspec.structs.replace(first.history[0], seconds=9.0))
    )
    assert seconds(row) == 14
    assert seconds(row._replace(records=(slow, *others))) == 17


def test_of_transfer_the_best_of_all_rows_is_held_against_tuning():
    errors = {"tuned": 2.0, "vgg16-head-only": 4.0, "vgg16-head-only-centred": 1.0}
    transfer = next(answer for answer in told(errors) if "tuning or transfer" in answer)
    assert "Transfer learning, in every backend." in transfer
    assert "vgg16-head-only-centred (random weights): 0." in transfer


def test_the_opposite_is_told_where_it_holds():
    tuning, _, fine_tuning, transfer, _, best = told(
        CLEAR | {"baseline": 1.0, "tuned": 5.0, "vgg16-fine-tuned": 2.0, "resnet50-fine-tuned": 0.5}
    )
    assert "No: what was tuned is worse" in tuning
    assert "It helped every backbone." in fine_tuning
    assert "Transfer learning, in every backend." in transfer
    assert "**resnet50-fine-tuned" in best


def test_what_cannot_be_told_apart_is_not():
    tuning, *_, best = told({"baseline": 3.0, "tuned": 3.0})
    assert "Inconclusive" in tuning or "It depends" in tuning
    assert "Cannot be told apart from it" in best


def chosen(records, variant):
    """The same records, of which the validation images choose this variant."""
    by_validation = a_record(error=0.01).validation
    return [msgspec.structs.replace(r, validation=by_validation) if r.cell.variant == variant else r for r in records]


def test_who_is_better_than_the_chosen_is_neither_as_good_nor_worse():
    records = benchmark({"baseline": 4.0, "tuned": 1.0}, backends=("keras",))
    *_, best = answers(rows(chosen(records, "baseline")), {})
    assert best.split("\n\n")[1] == (
        "**baseline · keras**, chosen by the validation images. **Better on the test images**: tuned · keras. The "
        "validation images chose another model: do they show the same as the test images?"
    )
    *_, best = answers(rows(chosen(records, "tuned")), {})
    assert "chosen by the validation images. All others are worse.\n" in best


def test_of_too_few_test_images_none_is_told_apart_or_worse():
    few = [with_images(record, 4) for record in benchmark({"baseline": 4.0, "tuned": 1.0}, backends=("keras",))]
    *_, best = answers(rows(few), {})
    assert "chosen by the validation images. Inconclusive: intervals need 10 test images" in best


def test_where_heads_alone_were_trained_nothing_is_said_of_training_from_scratch():
    fastest, *_ = told({"vgg16-head-only": 3.0})
    assert "by epoch" in fastest
    assert "From scratch" not in fastest
    fastest = next(answer for answer in told({"vgg16-head-only": 3.0, "baseline": 2.0}) if "converges" in answer)
    assert "From scratch: baseline on keras by epoch" in fastest


def test_pretrained_backbones_speak_for_transfer_where_there_are_any():
    records = benchmark({"vgg16-head-only": 2.0, "tuned": 4.0})
    pretrained = [
        a_record(msgspec.structs.replace(record.cell, weights="imagenet"), 1.0, history=record.history)
        for record in records
        if record.cell.weights
    ]
    _, transfer, _, _ = answers(rows([*records, *pretrained]), {})
    assert "vgg16-head-only (ImageNet)" in transfer
    assert "random" not in transfer


def test_what_is_averaged_over_moves_is_no_baseline():
    records = benchmark({"baseline": 6.0, "tuned": 3.0}, ("keras",))
    averaged = benchmark({"baseline": 1.0}, ("keras",), settings=Settings(averaged=16))
    tuning, *_ = answers(rows([*records, *(one for one in averaged if one.cell.variant == "baseline")]), {})
    assert "Yes" in tuning
    assert "moves" not in tuning


def test_fine_tuning_is_held_against_the_head_that_began_with_the_same_weights():
    records = benchmark({"vgg16-head-only": 6.0, "vgg16-fine-tuned": 4.0}, ("keras",))
    ours = made_over(records, "vgg16-head-only", 0.5, weights="ours 0123")
    (asked,) = (one for one in answers(rows([*records, *ours]), {}) if "Did fine-tuning help" in one)
    assert "It helped every backbone." in asked
    assert "| vgg16, random | keras |" in asked
    assert "ours" not in asked


def test_a_question_without_its_models_is_not_asked():
    worth, best = told({"baseline": 3.0})
    assert worth.startswith("## Is a network worth it?")
    assert best.startswith("## Which model is best?")


def test_the_difference_is_between_skills():
    table = {row.name: row for row in rows(benchmark({"baseline": 4.0, "tuned": 1.0}, backends=("keras",)))}
    found = difference(table["tuned"], table["baseline"])
    assert found.value == pytest.approx(table["tuned"].skill() - table["baseline"].skill())
    assert found.low < found.value < found.high
    assert found.verdict == "better"
    assert difference(table["baseline"], table["tuned"]).verdict == "worse"
    assert difference(table["tuned"], table["tuned"]).value == 0


@pytest.mark.parametrize(
    ("losses", "epoch"), [([1.0, 0.5, 0.1, 0.0], 3), ([1.0, 0.0, 2.0], 2), ([3.0], 1), ([1.0, 1.0], 1), ([1, 2, 3], 1)]
)
def test_convergence_is_nine_tenths_of_the_way(losses, epoch):
    assert settles(losses) == epoch


def test_decimals_have_no_negative_zero():
    assert [decimals(-1e-5), decimals(-1e-5, "+"), decimals(0.5, "+")] == ["0.000", "+0.000", "+0.500"]


def test_a_markdown_table():
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def on_a_second_test(record, factor):
    """The record with a further test, on which its errors are so many times as large."""
    held_out, truth = record.held_out, np.array(record.held_out.truth)
    off = factor * (np.array(held_out.predictions) - truth)
    second = with_held_out(record, test="second", predictions=as_rows(truth + off))
    return msgspec.structs.replace(record, others={"second": Examined(second.held_out, second.test, {})})


def test_a_suites_own_question_is_answered_on_each_of_its_tests():
    comparison = Comparison("does it help?", "tuned", "baseline", "Others say so.")

    def asked(second):
        records = [
            on_a_second_test(record, second if record.cell.variant == "tuned" else 1.0)
            for record in benchmark({"baseline": 4.0, "tuned": 1.0})
        ]
        return answers(rows(records, ["baseline", "tuned"]), {}, [comparison])[0]

    assert "## Does it help?\n\nYes, in every backend and test. Others say so." in asked(1.0)
    heading = "| test | backend | tuned: skill | baseline: skill | difference (95 %) | tuned is |\n"
    assert heading in asked(1.0)
    mixed = asked(50.0)
    assert "It depends. `tuned` is better: on test; worse: on second. Others say so." in mixed
    assert mixed.count("| second |") == 2


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["on same", "on blur-1", "on blur-2", "on blur-3", "on noise-2"], ["on same", "on blur-1 to 3", "on noise-2"]),
        (["on blur-1", "on blur-3", "keras on blur-4"], ["on blur-1", "on blur-3", "keras on blur-4"]),
        (["on a-1", "on b-2", "on a-2"], ["on a-1", "on b-2", "on a-2"]),
        (["on validation-elsewhere", "7", "8", "a-01", "a-²"], ["on validation-elsewhere", "7", "8", "a-01", "a-²"]),
    ],
)
def test_steps_that_follow_each_other_are_told_in_one_word(names, told):
    assert _in_runs(names) == told


def test_backends_are_told_apart_where_they_differ():
    records = benchmark({"baseline": 4.0, "tuned": 1.0})
    keras_alone = [r for r in records if (r.cell.variant, r.cell.backend) != ("tuned", "pytorch")]
    worse = [r for r in benchmark({"tuned": 40.0}) if (r.cell.variant, r.cell.backend) == ("tuned", "pytorch")]
    comparison = Comparison("does it help?", "tuned", "baseline")
    told = answers(rows([*keras_alone, *worse], ["baseline", "tuned"]), {}, [comparison])[0]
    assert "It depends. `tuned` is better: keras on test; worse: pytorch on test." in told


def test_a_question_about_models_that_are_not_there_is_not_asked():
    comparison = Comparison("does it help?", "gp", "baseline")
    assert not [told for told in answers(rows(benchmark({"baseline": 4.0})), {}, [comparison]) if "Does it" in told]


def test_rows_meet_every_test_by_its_name():
    (row,) = rows([on_a_second_test(a_record(), 3.0)])
    assert row.tests == ("test", "second")
    assert row.on("test") is row
    np.testing.assert_allclose(row.on("second").squared_errors(), 9 * row.squared_errors())
    assert [(one.model, one.backend, one.test) for one in row.predicted()] == [
        ("ridge", "classical", test) for test in row.tests
    ]
    off, further = (one.predictions - one.truth for one in row.predicted())
    np.testing.assert_allclose(further, 3 * off)
    with pytest.raises(KeyError):
        row.on("third")


def test_a_suites_own_question_of_backbones_is_answered_whatever_they_began_with():
    asked = Comparison("does tuning help?", "vgg16-fine-tuned", "vgg16-head-only")
    found = rows(benchmark(CLEAR))
    assert {row.name for row in found} >= {"vgg16-fine-tuned (random weights)", "vgg16-head-only (random weights)"}
    first, *_ = answers(found, {}, [asked])
    assert first.startswith("## Does tuning help?\n\nYes, in every backend and test.")


def test_it_compares_only_what_began_alike():
    asked = Comparison("does tuning help?", "vgg16-fine-tuned", "vgg16-head-only")
    records = benchmark(CLEAR)
    other = [
        msgspec.structs.replace(record, cell=msgspec.structs.replace(record.cell, weights="imagenet"))
        if record.cell.variant == "vgg16-head-only"
        else record
        for record in records
    ]
    assert any("Does tuning help?" in answer for answer in answers(rows(records), {}, [asked]))
    assert not any("Does tuning help?" in answer for answer in answers(rows(other), {}, [asked]))


def test_a_question_of_several_pairs_corrects_for_all_of_them():
    """A difference whose interval just leaves out zero is one alone, and none of four that are equal to it."""
    backends = ("keras", "pytorch", "jax", "onnx")
    table = rows(benchmark({"baseline": 1.52, "tuned": 1.0}, backends=backends, seeds=(0,)))
    found = {(row.name, row.backend): row for row in table}
    pairs = [(found["tuned", backend], found["baseline", backend]) for backend in backends]
    (alone,) = differences(pairs[:1])
    assert alone.verdict == difference(*pairs[0]).verdict == "better"
    for one in differences(pairs):
        assert one[:3] == alone[:3]
        assert one.p_value == pytest.approx(min(1, 4 * alone.p_value))
        assert one.verdict == "not told apart"


def test_a_verdict_needs_the_interval_and_in_a_family_the_p_value():
    assert Difference(0.1, 0.01, 0.2, 0.04).verdict == "better"
    assert Difference(0.1, 0.01, 0.2, 0.06).verdict == "not told apart"
    assert Difference(-0.1, -0.2, -0.01, 0.04).verdict == "worse"
    assert Difference(-0.1, -0.2, -0.01).verdict == "worse"
    assert Difference(-0.1, -0.2, 0.0).verdict == Difference(0.1, 0.0, 0.2).verdict == "not told apart"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Difference(-0.00084, -0.00133, -0.00038), "-0.0008 (-0.0013 to -0.0004)"),
        (Difference(0.00023, 0.00004, 0.0003), "+0.00023 (+0.00004 to +0.00030)"),
        (Difference(0.12, -0.00001, 0.24), "+0.120 (+0.000 to +0.240)"),
        (Difference(0.12, 1e-9, 0.24), "+0.120000 (+0.000000 to +0.240000)"),
        (Difference(-0.12, -0.24, 0.0), "-0.120 (-0.240 to +0.000)"),
        (Difference(0.1, np.nan, np.nan), "+0.100 (–)"),
    ],
)
def test_an_interval_without_zero_is_told_as_one(found, told):
    assert in_words(found) == told
