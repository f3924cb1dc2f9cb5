"""The sentence that a report and a page open with."""

import re

import msgspec

from harness.judging.blocks import rows
from harness.judging.records import Examined
from harness.model.architecture import Dense, Estimator, Flatten, Network
from harness.protocol import Metric
from harness.showing.answer import answer
from suites import polysilicon
from tests.harness.examples import a_cell, a_record, with_images

NETWORK = Network((Flatten(), Dense(2)))


def table(*errors, **changes):
    """Rows of two without a network and, the last, one with it, each in three seeds that err alike in size."""
    cells = [
        a_cell(variant="line"),
        a_cell(variant="process"),
        a_cell(variant="net", backend="pytorch", architecture=NETWORK),
    ]
    return rows(
        [
            a_record(a_cell(**told(cell), seed=seed), error=e, **changes)
            for cell, e in zip(cells, errors, strict=True)
            for seed in (0, 1, 2)
        ]
    )


def told(cell):
    return {"variant": cell.variant, "backend": cell.backend, "architecture": cell.architecture}


def test_a_skill_near_to_perfect_has_the_digits_that_its_interval_allows():
    text = answer(table(0.01, 1.0, 2.0), ()).whole
    assert re.search(r"line · classical, .* skill of 0\.999999 \(0\.99999\d to [01]\.\d{6}\)", text)


def test_who_is_not_told_apart_and_whether_a_network_is_worth_it_do_not_contradict_each_other():
    clear = answer(table(1.0, 4.0, 0.1), ()).whole
    assert clear.startswith("**net · pytorch")
    assert "Cannot be told apart" not in clear
    assert "Yes: net · pytorch is better than line · classical" in clear
    near = answer(table(1.0, 4.0, 0.98), ()).whole
    assert "Cannot be told apart from it: line · classical." in near
    assert "Inconclusive: net · pytorch and line · classical" in near
    behind = answer(table(0.1, 4.0, 2.0), ()).whole
    assert "No: line · classical, without a network, is better than net · pytorch" in behind


def test_networks_alone_and_none_at_all_are_not_asked_whether_one_is_worth_it():
    line, net, process = table(1.0, 4.0, 2.0)
    for alone in ([net], [line, process]):
        assert "worth it" not in answer(alone, ()).whole


def test_of_several_tests_the_one_that_the_skill_is_of_is_named():
    assert "has a skill of 0.9" in answer(table(1.0, 4.0, 0.1), ()).whole
    others = {"elsewhere": Examined(a_record().held_out, a_record().test, {})}
    text = answer(table(1.0, 4.0, 0.1, others=others), ()).whole
    assert re.search(r"has a skill of 0\.9\d* \(0\.9\d* to [01]\.\d*\) on `test`\.\*\*", text)


def test_who_is_better_than_what_was_chosen_is_told():
    line, process, net = table(4.0, 1.0, 3.9)
    chosen = tuple(msgspec.structs.replace(r, validation=a_record(error=0.1).validation) for r in line.records)
    text = answer([line._replace(records=chosen), process, net], ()).whole
    assert text.startswith("**line · classical, the best on the validation images")
    assert (
        ".** **Better on the test images**: process · classical. The validation images chose another model: do" in text
    )
    assert "do they show the same as the test images? Cannot be told apart from it: net · pytorch." in text


def test_figures_of_the_suite_have_their_unit_behind_them():
    text = answer(table(1.0, 4.0, 2.0, metrics={"mape": 1.234, "sd_error": 5.0}), polysilicon.METRICS).whole
    assert "MAPE 1.23 %, SD error 5 %" in text


METRICS = (
    Metric("off", "", "lower", "How far off.", heading="off", form=".1f"),
    Metric("hidden", "", "lower", "Shown nowhere."),
    Metric("inside", "", "higher", "Inside of what.", heading="inside", needs_truth=False),
    Metric("later", "", "lower", "Not in all records.", heading="later"),
)


def test_figures_are_those_that_are_shown_and_need_the_truth_and_stand_beside_who_learns_nothing():
    found = table(1.0, 4.0, 2.0, metrics={"off": 2.0, "hidden": 3.0, "inside": 1.0})
    later = found[0].records[0]
    line = (msgspec.structs.replace(later, metrics=later.metrics | {"later": 1.0}), *found[0].records[1:])
    mean = a_record(a_cell(variant="mean", architecture=Estimator("mean")), 9.0, metrics={"off": 8.0})
    text = answer([found[0]._replace(records=line), *found[1:], *rows([mean])], METRICS).whole
    assert ", off 2.0; mean · classical, which learns nothing, has off 8.0.**" in text
    assert "learns nothing" not in answer(found, METRICS).whole
    assert "learns nothing" not in answer(rows([mean]), METRICS).whole
    assert "learns nothing" not in answer([*found, *rows([mean])], METRICS[1:]).whole


def test_a_skill_has_two_decimals_at_least():
    assert re.search(r"has a skill of \d\.\d\d \(-?\d\.\d\d to \d\.\d\d\)\.", answer(table(7.0, 8.0, 9.0), ()).whole)


def test_of_few_images_there_is_no_interval_and_nobody_is_better():
    few = rows([with_images(record, 4) for row in table(1.0, 4.0, 0.1) for record in row.records])
    text = answer(few, ()).whole
    assert re.search(r"has a skill of [01]\.\d{3}\.\*\*", text)
    assert "intervals need 10 test images" in text
