import re

import msgspec
import pytest

from harness.errors import BenchError
from harness.judging.blocks import rows
from harness.judging.records import Examined, Searched, Settings, Trial
from harness.judging.store import Store
from harness.model.architecture import Estimator
from harness.provenance import source
from harness.showing import certainty, report
from harness.showing.answer import answer
from suites import defects, elasticity, own, shift
from tests.harness.a_benchmark import GRID, RAW, benchmark, fill, history
from tests.harness.a_command import told_apart
from tests.harness.examples import a_cell, a_record, in_unlike_units, moved, of_classes, with_images

ERRORS = {
    "baseline": 4.0,
    "tuned": 1.0,
    "vgg16-head-only": 9.0,
    "vgg16-fine-tuned": 2.0,
    "resnet50-head-only": 3.0,
    "resnet50-fine-tuned": 9.0,
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    store = Store(results, "elasticity")
    fill(store, benchmark(ERRORS))
    # Raw labels: predictions that hardly vary, about the training mean.
    fill(store, benchmark({"baseline": 10.0, "tuned": 10.0}, seeds=(0,), settings=RAW))
    path = report.write(results, "elasticity", results / "page", "standard")
    return path, path.read_text(encoding="utf-8")


def test_every_table_and_question_is_there(page):
    _, text = page
    assert re.findall(r"^## (.*)", text, re.M) == [
        "Test MSE of every model",
        "Did tuning help over the baseline?",
        "Which backbone converges fastest, and by which epoch?",
        "Did fine-tuning help or harm?",
        "What helped, tuning or transfer learning?",
        "Is a network worth it?",
        "Which model is best?",
        "Where does the uncertainty come from?",
        "Do the frameworks need as many epochs?",
        "The ten best of 12 configurations of `tuned`",
        "The best three over all seeds and backends",
        "What an MSE in N/nm² means",
        "Pictures",
    ]


def test_it_opens_with_its_answer(page):
    _, text = page
    title, answer, summary, *_ = text.split("\n\n")
    assert title == "# elasticity: the report, answered"
    assert re.match(
        r"\*\*tuned · (keras|pytorch), the best on the validation images, has a skill of 0\.\d{3} \(", answer
    )
    assert "Is a network worth it? Yes: tuned" in answer
    assert summary.startswith("Nine homogenized")


def test_skills_have_the_digits_that_their_intervals_allow(page):
    _, text = page
    of = re.findall(r"^\| (tuned|baseline) \| keras \| [^|]*\| [^|]*\| (0\.\d+) \| (0\.\d+) to (0\.\d+) \|", text, re.M)
    assert [name for name, *_ in of] == ["tuned", "baseline"]
    assert len(of[0][1]) > len(of[1][1])
    for _, skill, low, high in of:
        assert len(skill) == len(low) == len(high)
        assert 10 ** (2 - len(skill)) < (float(high) - float(low)) / 2 < 40 * 10 ** (2 - len(skill))


def test_of_classes_the_answer_and_a_table_have_what_who_learns_nothing_has():
    always = a_cell(variant="frequencies", architecture=Estimator("mean"))
    table = rows(
        [
            a_record(always, error=10.0, metrics={"accuracy": 0.98, "recall": 0.0}),
            a_record(a_cell(variant="cnn", backend="keras"), metrics={"accuracy": 0.99, "recall": 0.5}),
        ]
    )
    told = answer(table, defects.METRICS).whole
    assert "cnn · keras, the best on the validation images" in told
    assert "accuracy 99.0%, recall 0.50; frequencies · classical, which learns nothing, has accuracy 98.0%" in told
    assert "Is a network" not in told  # for both are estimators
    lines = report._every_test(table, defects).splitlines()
    assert lines[4].startswith("| test | model | backend | skill | accuracy | precision | recall |")
    assert lines[6].split(" | ")[4:7] == ["99.0%", "–", "0.50"]


def test_losses_of_classes_are_told_as_what_they_are():
    records = [of_classes(record) for record in benchmark({"baseline": 2.0, "tuned": 1.0})]
    searched = [record for record in records if record.searched]
    one, two, seven = (
        report._ten_best(searched),
        report._best_three(searched),
        certainty.epochs_to_a_loss(rows(records)),
    )
    assert "Ordered by the lowest validation cross-entropy of 2 epochs. Only the selected" in one
    assert "| best validation cross-entropy | ± seeds |" in one
    assert "| mean validation cross-entropy | range |" in two
    assert (
        "learned anything (cross-entropy as weighted in training; below 0.9 times the lowest of one answer to" in seven
    )
    assert not re.search("MSE|standardised|mean of the training", one + two + seven)


def test_losses_of_numbers_are_told_on_their_scale(page):
    _, text = page
    of_one = (
        "Ordered by the lowest validation MSE of 2 epochs, on standardised targets (1 is the mean of the training "
        "labels). Only the "
    )
    assert of_one in text
    assert "| best validation MSE | ± seeds |" in text
    assert "| mean validation MSE | range |" in text
    assert "learned anything (on the network's own scale; 1 is the mean). The ratio is the geometric mean over" in text


def test_it_says_where_uncertainty_comes_from_and_how_soon_frameworks_learn(page):
    _, text = page
    shares = [
        line for line in text.split("## Where does")[1].split("## ")[0].splitlines() if line.startswith("| tuned")
    ]
    assert len(shares) == 2
    for line in shares:
        assert sum(int(cell.strip(" %|")) for cell in line.split(" | ")[-3:]) in (99, 100, 101)
    epochs = [
        line for line in text.split("## Do the frameworks")[1].split("## ")[0].splitlines() if "keras, pytorch" in line
    ]
    assert len(epochs) == 6
    assert all("the same at every seed" in line for line in epochs)


def test_the_deviation_of_a_skill_is_that_of_its_interval():
    """One thing, estimated in two ways; of the mean itself, whose error is that of the images drawn, there is none."""
    table = rows(benchmark({"baseline": 4.0, "tuned": 1.0}, backends=("keras",)))
    for line in certainty.sources_of_variance(table).splitlines():
        if line.startswith(("| baseline", "| tuned")):
            name, _, _, deviation = line.strip("| ").split(" | ")[:4]
            low, high = next(row for row in table if row.name == name).skill_interval()
            assert 4 * float(deviation) == pytest.approx(high - low, rel=0.35)


def test_the_first_table_holds_ten_of_each_backend_the_selected_first(page):
    _, text = page
    first = text.split("## The ten best")[1].split("## ")[0]
    lines = [line.split(" | ") for line in first.splitlines() if line.startswith("| keras")]
    assert len(lines) == 10
    assert lines[0][1:3] == ["1", "5"]
    assert lines[0][-1].startswith("10 11 12")
    assert all("–" in line[-1] for line in lines[1:])


def test_the_third_table_has_no_negative_zero():
    record = a_record()
    nothing = msgspec.structs.replace(record, test=msgspec.structs.replace(record.test, r2_mean=-1e-9))
    *_, line = report._every_model(rows([nothing]), own).splitlines()
    assert line.endswith("| 0.000 |")


def test_the_third_table_has_the_trivial_predictor_and_the_sources_figure(page):
    _, text = page
    third = text.split("## Test MSE")[1].split("## ")[0]
    (tuned, _) = [line for line in third.splitlines() if line.startswith("| tuned")]
    assert "8.41e-15" in tuned
    assert [line for line in third.splitlines() if line.startswith("| mean")]
    gpa2, raw = (float(cell) for cell in tuned.split(" | ")[2:4])
    assert raw == pytest.approx(gpa2 * 1e-18, rel=1e-2)


def test_raw_labels_stand_beside_the_mean(page):
    _, text = page
    raw = text.split("## What an MSE in N/nm² means")[1].split("## ")[0]
    assert "4 of 4 networks are no better than the mean" in raw
    lines = [line.split(" | ") for line in raw.splitlines() if line.startswith("| baseline")]
    assert len(lines) == 2
    assert all(float(line[3]) == pytest.approx(1e-16, rel=0.5) for line in lines)  # (10 GPa)²


def test_it_says_what_was_shortened_and_that_weights_are_random(page):
    _, text = page
    assert "This profile shortens the source's 300 epochs" in text
    assert "random weights" in text.split("## ")[0]


def test_every_picture_it_shows_exists(page):
    path, text = page
    shown = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(shown) > 8
    assert all((path.parent / name).is_file() for name in shown)
    assert {file.name for file in path.parent.iterdir()} == {*shown, "report.md"}


def test_without_raw_records_it_says_so(tmp_path):
    fill(Store(tmp_path, "elasticity"), benchmark({"baseline": 1.0}))
    text = report.write(tmp_path, "elasticity", tmp_path / "page").read_text()
    assert "Not measured: there are no records of models trained on raw labels" in text


def test_no_records_is_said(tmp_path):
    with pytest.raises(BenchError, match=r"no finished records of elasticity on all training images: .*bench run"):
        report.write(tmp_path, "elasticity", tmp_path)
    Store(tmp_path, "elasticity").append(a_record(a_cell(profile="smoke")))
    with pytest.raises(BenchError, match=r"standard on all training images: there are some of profile=smoke"):
        report.write(tmp_path, "elasticity", tmp_path, "standard")


def test_a_profile_that_only_records_name_is_reported_on(tmp_path):
    fill(Store(tmp_path, "elasticity"), [a_record(a_cell(variant="mean", profile="of-others"))])
    text = report.write(tmp_path, "elasticity", tmp_path / "page", "of-others").read_text()
    assert "profile `of-others`" in text
    assert "This profile shortens" not in text


def test_every_commit_that_made_a_row_is_named(tmp_path):
    records = [a_record(a_cell(variant=name)) for name in ("mean", "ridge")]
    later = msgspec.structs.replace(records[0].environment, commit="f" * 40)
    fill(Store(tmp_path, "elasticity"), [records[0], msgspec.structs.replace(records[1], environment=later)])
    text = report.write(tmp_path, "elasticity", tmp_path / "page").read_text()
    assert f"commit {records[0].environment.short_commit} and {'f' * 12}." in text


def test_what_was_run_again_is_told_and_counts_as_of_todays_code(tmp_path):
    changed = "The code that can change these numbers has changed since"
    records = [a_record(a_cell(variant="mean", seed=seed), source="0" * 64) for seed in (0, 1)]
    again = {"started": "2026-03-01T00:00:00+00:00", "source": source("classical", "elasticity")}
    fill(Store(tmp_path, "elasticity"), records)
    assert changed in report.write(tmp_path, "elasticity", tmp_path / "page").read_text()
    (tmp_path / "reproduced").mkdir()
    fill(Store(tmp_path / "reproduced", "elasticity"), [moved(record, 0.0, **again) for record in records])
    text = report.write(tmp_path, "elasticity", tmp_path / "page").read_text()
    assert changed not in text
    told = "1 model of 1: every seed was run again by commit 0123456789ab on Abacus, and agrees to the bit."
    assert told in text


def test_a_page_that_is_not_its_own_and_the_pictures_beside_it_are_left_alone(tmp_path):
    fill(Store(tmp_path, "elasticity"), [a_record(a_cell(variant="mean"))])
    out = tmp_path / "page"
    out.mkdir()
    (out / "report.md").write_text("# contrast100: the report, answered\n")
    (out / "leaderboard.png").write_bytes(b"another suite's")
    with pytest.raises(BenchError, match="is not a report of elasticity"):
        report.write(tmp_path, "elasticity", out)
    assert {path.name: path.read_bytes() for path in out.iterdir()}["leaderboard.png"] == b"another suite's"
    assert len(list(out.iterdir())) == 2


def on_another_test(record):
    """The same, with a test on which the truth of no target varies."""
    held_out = msgspec.structs.replace(record.held_out, test="flat", truth=(record.held_out.truth[0],) * 20)
    return msgspec.structs.replace(record, others={"flat": Examined(held_out, held_out.accuracy(), {})}, metrics={})


def test_of_numbers_a_suite_s_figures_of_classes_are_not_shown():
    table = rows(on_another_test(a_record(a_cell(suite="own", variant=name))) for name in ("mean", "ridge"))
    told = report._every_test(table, own)
    assert "R² on every test" in told
    assert "| – |" in told  # of what does not vary
    assert "accuracy" not in told
    assert "learns nothing" not in answer(table, own.METRICS).whole


def test_too_few_test_images_are_said_to_tell_nothing(tmp_path):
    records = [with_images(record, 4) for record in benchmark({"baseline": 2.0, "tuned": 0.1})]
    fill(Store(tmp_path, "elasticity"), records)
    text = report.write(tmp_path, "elasticity", tmp_path / "page").read_text()
    assert "nan" not in text
    assert "Inconclusive: intervals need 10 test images of different things." in text
    assert "All others are worse" not in text


def test_a_run_that_was_stopped_before_its_models_were_timed_is_reported_on(tmp_path):
    """Of a user's own data it ended in a traceback: the dash for no time was read as a number."""
    store = Store(tmp_path, "own")
    for name, error in (("mean", 10.0), ("gp", 1.0)):
        store.append(a_record(a_cell(suite="own", variant=name), error))
    text = report.write(tmp_path, "own", tmp_path / "page").read_text(encoding="utf-8")
    assert "Training took 0.25 s on one core per seed, including any search; the file is 1 kB." in text


@pytest.mark.slow
def test_jupyters_way_of_drawing_is_not_asked_for(tmp_path):
    fill(Store(tmp_path, "elasticity"), [a_record(a_cell(variant="mean"))])
    words = ("leaderboard", f"results={tmp_path}", f"pictures={tmp_path / 'p'}")
    told_apart(*words, MPLBACKEND="module://matplotlib_inline.backend_inline")
    assert (tmp_path / "p" / "elasticity" / "leaderboard.png").exists()


def test_learning_curves_stand_beside_what_saw_all_images(tmp_path):
    store = Store(tmp_path, "elasticity")
    fill(store, benchmark({"baseline": 2.0, "tuned": 1.0}))
    few = [Settings(originals=originals) for originals in (25, 50)]
    for settings, error in zip(few, (8.0, 4.0), strict=True):
        fill(store, benchmark({"baseline": error}, backends=("pytorch",), settings=settings))
    text = report.write(tmp_path, "elasticity", tmp_path / "page").read_text(encoding="utf-8")
    table = text.split("## How many labelled")[1].split("## ")[0]
    heading, _, first, second = [line for line in table.splitlines() if line.startswith("|")]
    assert heading == "| model | backend | 25 images | 50 images | all |"
    skills = [float(cell.split(" (")[0]) for cell in first.split(" | ")[2:]]
    assert first.startswith("| baseline | pytorch |")
    assert skills == sorted(skills)
    assert second.startswith("| mean | classical | ")
    assert "25 originals" not in text.replace(table, "")


def on_two_tests(variant, near, far):
    """Rows of two seeds, whose predictions miss both tests by so much."""
    cells = [a_cell(variant=variant, seed=seed) for seed in (0, 1)]
    missed = [a_record(cell, error=far).held_out for cell in cells]
    others = [{"far": Examined(found, found.accuracy(), {})} for found in missed]
    return [a_record(cell, error=near, others=other) for cell, other in zip(cells, others, strict=True)]


def r2(records):
    return f"{sum(record.test.r2_mean for record in records) / len(records):.3f}"


def test_a_suite_without_figures_of_its_own_shows_r2_on_every_test():
    table = rows(on_two_tests("baseline", 1.0, 5.0))
    near, far = (r2([a_record(a_cell(seed=seed), error=error) for seed in (0, 1)]) for error in (1.0, 5.0))
    assert float(far) < float(near)
    # More tests than models: a line for each test.
    assert report._every_test(table, shift).splitlines()[4:] == [
        "| test | baseline, classical |",
        "| --- | --- |",
        f"| test | {near} |",
        f"| far | {far} |",
    ]
    several = rows([*on_two_tests("baseline", 1.0, 5.0), *on_two_tests("tuned", 1.0, 5.0)])
    assert report._every_test(several, shift).splitlines()[4:] == [
        "| model | backend | test | far |",
        "| --- | --- | --- | --- |",
        f"| baseline | classical | {near} | {far} |",
        f"| tuned | classical | {near} | {far} |",
    ]


def test_r2_of_each_of_several_targets_is_told():
    table = rows([a_record(a_cell(variant=name), error) for name, error in (("ridge", 5.0), ("gp", 1.0))])
    line = {row.name: " | ".join(f"{row.records[0].test.r2[name]:.3f}" for name in ("C11", "C22")) for row in table}
    assert report._every_target(table).splitlines()[4:] == [
        "| model | backend | C11 | C22 |",
        "| --- | --- | --- | --- |",
        f"| gp | classical | {line['gp']} |",
        f"| ridge | classical | {line['ridge']} |",
    ]
    assert not report._every_target(rows([of_classes(a_record())]))


def test_a_search_by_optuna_has_a_table_of_what_it_tried(tmp_path):
    by_optuna = msgspec.structs.replace(GRID, method="optuna")
    trials = tuple(Trial(number, loss, 1, loss, 100, 1.0) for number, loss in ((7, 0.9), (7, 0.5), (2, 0.8)))
    cell = a_cell(variant="tuned", backend="keras", architecture=by_optuna)
    store = Store(tmp_path, "elasticity")
    fill(store, [*benchmark(ERRORS), a_record(cell, history=history(4), searched=Searched(trials, 7))])
    text = report.write(tmp_path, "elasticity", tmp_path / "page", "standard").read_text(encoding="utf-8")
    usual, other = (part.split("## ")[0] for part in text.split("## The ten best")[1:])
    assert "of 12 configurations of `tuned`" in usual
    assert len([line for line in usual.splitlines() if line.startswith(("| keras", "| pytorch"))]) == 20
    assert "of 12 configurations of `tuned (by Optuna)`" in other
    assert "(epochs of the rounds: 1, 3; tried as Optuna proposed)" in other
    lines = [line.split(" | ") for line in other.splitlines() if line.startswith("| keras")]
    assert [(line[1], line[2], line[-1][0]) for line in lines] == [("1", "7", "0"), ("2", "2", "–")]
    second = text.split("## The best three")[1].split("## ")[0]
    assert "keras seed 10: 5" in second
    assert "keras seed 0: 7" not in second


def test_targets_in_unlike_units_have_a_skill_and_no_error_in_the_unit_of_a_source():
    told = report._every_model(rows([in_unlike_units(a_record())]), elasticity)
    heading, _, line = told.splitlines()[-3:]
    assert heading == "| model | backend | skill | 95 % | R² |"
    assert re.fullmatch(r"\| ridge \| classical \| 0.9\d+ \| 0.9\d+ to 0.9\d+ \| 0.9\d+ \|", line)
    assert "GPa" not in told
