"""What `results/` publishes: that it follows from its records, and that it shows what the README says of it."""

import itertools
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from harness.judging import leaderboard
from harness.judging.audit import audit, untrue
from harness.judging.blocks import Row, difference, newest, rows
from harness.judging.store import Store
from harness.parity.ladder import RUNGS
from harness.parity.subjects import subjects
from suites import contrast100, defects, elasticity, leakage, phases, polysilicon, representations, shift
from suites.micrographs.pictures import inflation
from tests.history import edited, git, knows

RESULTS = Path(__file__).parent.parent / "results"


def published(variant, target_scaling="standard"):
    """The standard records of a variant that were published first, by (backend, seed), of the processor; others may
    follow.
    """
    first = {}
    for record in Store(RESULTS, "elasticity").trainings():
        cell = record.cell
        asked = cell.variant, cell.settings.target_scaling, cell.settings.device, cell.profile, record.status
        if asked == (variant, target_scaling, "cpu", "standard", "ok"):
            first.setdefault((cell.backend, cell.seed), record)
    return first


def families():
    """The family of each test image."""
    dataset = elasticity.load(None, {})
    return np.array(dataset.kinds)[elasticity.split(dataset).test]


def error(records, family):
    """Mean squared error on one family, relative to the variance of each target, over records."""
    of_family = families() == family
    found = []
    for record in records:
        truth, predicted = np.array(record.held_out.truth), np.array(record.held_out.predictions)
        found.append(np.mean((((predicted - truth) / truth.std(axis=0)) ** 2)[of_family]))
    return np.mean(found)


@pytest.fixture(scope="module")
def baselines():
    first = published("baseline")
    assert set(first) == set(itertools.product(("keras", "pytorch"), (0, 1, 2)))
    return first


SUITES = ["elasticity", "contrast100", "polysilicon", "representations", "leakage", "shift", "phases", "defects"]


@pytest.mark.parametrize("suite", SUITES)
def test_the_leaderboard_follows_from_its_records(suite):
    assert leaderboard.differs(RESULTS, suite) == ""


FORMER = {"shift": 78}
"""Records of a suite's data of before more was shown."""


@pytest.mark.parametrize("suite", SUITES)
def test_the_records_say_what_is_true_of_the_data(suite):
    assert audit(RESULTS, suite) == ([], FORMER.get(suite, 0))


RUN_AGAIN = sorted(path.name for path in (RESULTS / "reproduced" / "records").iterdir())


@pytest.mark.parametrize("suite", RUN_AGAIN)
def test_what_was_run_again_says_what_is_true_of_the_data_too(suite):
    assert audit(RESULTS / "reproduced", suite) == ([], 0)


@pytest.mark.parametrize("suite", RUN_AGAIN)
def test_what_was_run_again_of_what_counts_now_agrees_to_the_bit(suite):
    groups = leaderboard.groups(RESULTS, suite, newest(leaderboard.believed(RESULTS, suite), "standard"))
    assert {group.reproduced.agrees for group in groups if group.reproduced} == {"to the bit"}


def test_what_shift_had_shown_before_is_what_it_shows_now():
    dataset = shift.load(None, {})
    truth, shown = dict(zip(dataset.ids, dataset.targets.tolist(), strict=True)), dataset.fingerprint()
    former = [record for record in Store(RESULTS, "shift").trainings() if record.cell.data_hash != shown]
    assert len(former) == FORMER["shift"]
    for record in former:
        for held_out in (record.held_out, *(tested.held_out for tested in record.others.values())):
            assert [truth[name] for name in held_out.ids] == [list(numbers) for numbers in held_out.truth]


PUBLISHED = "794c5a8e7b29fe52631c8e71c5993187caf259a7"
"""The commit with the first of the records that stand; those of before gave way to them, to results/archive."""

BEFORE = "364e1908ed025876e3765a4f8e9d27662fa11201"
"""The last commit with those of before in their place."""


def test_records_that_were_committed_were_never_edited():
    house = RESULTS.parent
    if not (house / ".git").exists():
        pytest.skip("not a checkout, so there is no history to ask")
    assert knows(house, PUBLISHED), "this clone is too shallow to be asked: `git fetch --unshallow`"
    assert edited(house, "results/records", PUBLISHED) == []


@pytest.mark.parametrize("name", ["trainings", "latencies"])
def test_archived_records_are_as_they_were_published(name):
    house = RESULTS.parent
    if not (house / ".git").exists():
        pytest.skip("not a checkout, so there is no history to ask")
    archived = (RESULTS / "archive" / "schema-3" / "records" / "elasticity" / f"{name}.jsonl").read_text()
    assert archived == git(house, "show", f"{BEFORE}:results/records/elasticity/{name}.jsonl")


def test_archived_records_are_read_and_their_leaderboard_follows():
    assert leaderboard.differs(RESULTS / "archive" / "schema-3", "elasticity") == ""


def test_the_baseline_explains_more_than_nine_tenths_in_both_frameworks(baselines):
    for backend in ("keras", "pytorch"):
        assert np.mean([baselines[backend, seed].test.r2_mean for seed in range(3)]) > 0.9


def test_frameworks_are_closer_than_seeds(baselines):
    predictions = {place: np.array(record.held_out.predictions) for place, record in baselines.items()}

    def distance(one, other):
        return np.sqrt(np.mean((predictions[one] - predictions[other]) ** 2))

    between_frameworks = [distance(("keras", seed), ("pytorch", seed)) for seed in range(3)]
    between_seeds = [
        distance((backend, one), (backend, other))
        for backend in ("keras", "pytorch")
        for one, other in itertools.combinations(range(3), 2)
    ]
    assert max(between_frameworks) < min(between_seeds)


def of(records, backend):
    return [record for (name, _), record in records.items() if name == backend]


@pytest.mark.parametrize("backend", ["keras", "pytorch"])
def test_the_baseline_beats_the_line_where_direction_matters_and_only_there(baselines, backend):
    line = published("ridge").values()
    for family in set(families()):
        assert (error(of(baselines, backend), family) < error(line, family)) == (family == "lamellae"), family


@pytest.mark.parametrize("backend", ["keras", "pytorch"])
def test_the_tuned_cnn_beats_the_line_and_the_baseline_everywhere(baselines, backend):
    tuned, line = of(published("tuned"), backend), published("ridge").values()
    assert len(tuned) == 3
    for family in set(families()):
        assert error(tuned, family) < min(error(line, family), error(of(baselines, backend), family)), family


def test_every_variant_is_published_with_all_its_seeds():
    for variant in elasticity.VARIANTS:
        assert {seed for _, seed in published(variant.name)} == {0, 1, 2}, variant.name


def test_heads_learn_the_same_in_both_frameworks():
    """They see the same features of the same random backbones."""
    for name in ("vgg16-head-only", "densenet121-head-only"):
        records = published(name)
        for seed in range(3):
            ours, theirs = (np.array(records[b, seed].held_out.predictions) for b in ("keras", "pytorch"))
            assert np.sqrt(np.mean((ours - theirs) ** 2)) < 0.05, name  # GPa


def skill(name, backend):
    return np.mean([record.test.skill for record in of(published(name), backend)])


@pytest.mark.parametrize("backend", ["keras", "pytorch"])
def test_random_features_of_densenet_beat_the_baseline_until_they_are_fine_tuned(backend):
    assert skill("densenet121-head-only", backend) > skill("baseline", backend)
    assert skill("densenet121-fine-tuned", backend) < 0
    for family in ("vgg16", "resnet50"):
        assert skill(f"{family}-fine-tuned", backend) < skill(f"{family}-head-only", backend) + 0.01


def of_variant(name):
    """All seeds and backends of a published variant as one row, for paired differences."""
    return Row(name, "", tuple(published(name).values()))


def test_a_process_on_two_point_statistics_beats_every_network_of_the_report():
    for name in elasticity.SOURCE.reported:
        assert difference(of_variant("gp"), of_variant(name)).verdict == "better", name


@pytest.mark.parametrize("rival", ["gp", "physics-gp", "s2-ridge", "trees", "cubic"])
def test_physics_net_is_better_than_the_best_that_has_no_network(rival):
    assert difference(of_variant("physics-net"), of_variant(rival)).verdict == "better"


def test_physics_net_explains_more_than_995_thousandths_in_both_frameworks():
    assert all(record.test.r2_mean > 0.995 for record in published("physics-net").values())


@pytest.mark.parametrize("name", ["physics-net", "physics-gp"])
def test_what_knows_the_physics_keeps_it(name):
    for record in published(name).values():
        assert record.metrics["inside_bounds"] == 1.0
        assert record.metrics["hill_residual"] < 1e-6


def test_networks_of_the_report_change_with_the_image_s_place_as_much_as_they_err():
    for record in published("tuned").values():
        assert record.moved["shift"] > 0.5 * record.test.rmse
    for record in published("physics-net").values():
        assert record.moved["shift"] < 0.5 * record.test.rmse


def test_at_contrast_100_pictures_matter():
    """The line in the volume fraction tells a third of what it does at contrast 6; physics-net beats the process."""
    block = rows(newest(Store(RESULTS, "contrast100").trainings(), "standard"))
    table = {(row.name, row.backend): row for row in block}
    r2 = {place: np.mean([record.test.r2_mean for record in row.records]) for place, row in table.items()}
    assert r2["ridge", "classical"] < 0.35
    assert r2["gp", "classical"] > 0.96
    for backend in ("keras", "pytorch"):
        assert r2["physics-net", backend] > 0.975
        assert difference(table["physics-net", backend], table["gp", "classical"]).verdict == "better"
        assert r2["tuned", backend] < 0.9
    assert {row.records[0].cell.variant for row in block} == {variant.name for variant in contrast100.VARIANTS}


@pytest.fixture(scope="module")
def films():
    """Published rows of suite polysilicon by model and backend."""
    block = rows(newest(Store(RESULTS, "polysilicon").trainings(), "standard"))
    assert {row.records[0].cell.variant for row in block} == {variant.name for variant in polysilicon.VARIANTS}
    assert all(len(row.records) == 3 for row in block)
    return {(row.name, row.backend): row for row in block}


def figure(row, test, key):
    return np.mean([record.metrics[key] for record in row.on(test).records])


def test_of_films_nearly_all_follows_without_a_network(films):
    line, theory = films["line", "classical"], films["weak-contrast", "classical"]
    assert line.records[0].test.r2_mean > 0.995
    for test in line.tests:
        rmse = [np.sqrt(row.on(test).squared_errors().mean()) for row in (theory, line)]
        assert rmse[0] < 0.04
        assert rmse[0] < 0.4 * rmse[1]
        for row in films.values():
            if "classical" not in row.title:
                assert difference(theory.on(test), row.on(test)).verdict == "better"


def test_what_starts_from_hill_knows_the_size_effect(films):
    for backend in ("keras", "pytorch"):
        row = films["hill-net", backend]
        assert figure(row, "ratio-4", "sd_error") < 0.3  # the lecture's best has 2.4
        assert figure(row, "ratio-10", "sd_error") < 0.7  # and 5.7
        assert figure(row, "ratio-4", "skill_over_line") > 0.85
        assert figure(row, "ratio-6", "skill_over_line") > 0.6
        assert figure(row, "ratio-10", "skill_over_line") < 0


def test_the_lectures_network_does_not(films):
    for backend in ("keras", "pytorch"):
        many, waves = films["many-originals", backend], films["many-waves", backend]
        assert many.on("ratio-10").skill() < -0.8
        assert figure(many, "ratio-10", "sd_error") < 9
        assert figure(many, "ratio-4", "sd_error") < 15
        assert figure(waves, "ratio-10", "sd_error") > 15
        assert waves.squared_errors().mean() < 0.12 * many.squared_errors().mean()
        few = [films[name, backend] for name in ("few-originals", "few-copied", "few-moved")]
        # in PyTorch as many few films that are moved have the same error within its interval
        worse = few if backend == "keras" else few[:2]
        assert all(difference(many, row).verdict == "better" for row in worse)
        assert difference(few[2], few[0]).verdict == "better"


def of_suite(module):
    """Published rows of a suite by model and backend: all of its variants, three seeds each."""
    name = module.__name__.removeprefix("suites.")
    block = rows(newest(Store(RESULTS, name).trainings(), "standard"))
    assert {row.records[0].cell.variant for row in block} == {variant.name for variant in module.VARIANTS}
    assert all(len(row.records) == 3 for row in block)
    return {(row.name, row.backend): row for row in block}


def r2_on(row, test):
    return np.mean([record.test.r2_mean for record in row.on(test).records])


def on_the_gpu(variant, weights, originals=msgspec.UNSET):
    """The mean skill of three seeds that were trained on the GPU."""
    found = [
        record.test.skill
        for record in Store(RESULTS, "elasticity").trainings()
        if record.cell.settings.device == "cuda"
        and (record.cell.variant, record.cell.settings.originals) == (variant, originals)
        and record.cell.weights.startswith(weights)
    ]
    assert len(found) == 3
    return np.mean(found)


def test_what_pretraining_on_related_simulations_buys():
    for family in ("vgg16", "resnet50", "densenet121"):
        head = f"{family}-head-only-centred"
        for originals in (25, 50, 100, 200):
            assert on_the_gpu(head, "microstructures", originals) > on_the_gpu(head, "random", originals) + 0.01
        assert on_the_gpu(head, "microstructures") > 0.98
    assert on_the_gpu("resnet50-head-only-centred", "microstructures", 25) > 0.95
    assert on_the_gpu("resnet50-head-only-centred", "random", 200) < 0.86
    assert abs(on_the_gpu("resnet50-head-only", "microstructures")) < 0.001  # the head dies on trained features, too
    lost = on_the_gpu("densenet121-head-only", "microstructures") - on_the_gpu(
        "densenet121-fine-tuned", "microstructures"
    )
    assert lost > 0.02


@pytest.fixture(scope="module")
def shown():
    return of_suite(representations)


def test_what_a_model_is_shown_matters_more_than_the_model(shown):
    r2 = {place: r2_on(row, "test") for place, row in shown.items()}
    for backend in ("keras", "pytorch"):
        assert r2["mlp-s2", backend] > 0.95
        assert r2["mlp-pixels", backend] < r2["fraction", "classical"]
        assert difference(shown["cnn-s2", backend], shown["cnn-pixels", backend]).verdict == "better"
        assert difference(shown["stereology", "classical"], shown["cnn-pixels", backend]).verdict != "worse"
        assert abs(r2["cnn-s2", "keras"] - r2["cnn-s2", "pytorch"]) < 0.004
    assert r2["radial", "classical"] < 0.7
    assert r2["s2", "classical"] > 0.9
    assert r2["eigen", "classical"] < r2["fraction", "classical"]


def test_a_process_on_two_point_statistics_is_better_than_any_network(shown):
    process = shown["mks-gp", "classical"]
    assert r2_on(process, "test") > 0.97
    for (_, backend), row in shown.items():
        if backend != "classical":
            assert difference(process, row).verdict == "better", row.title


@pytest.fixture(scope="module")
def patches():
    return of_suite(leakage)


def test_a_random_split_of_patches_would_choose_who_never_looks_at_the_material(patches):
    seen, new = ({place: r2_on(row, test) for place, row in patches.items()} for test in ("seen", "new"))
    session = "session-gp", "classical"
    assert max(seen, key=seen.get) == session
    assert seen[session] > 0.9
    assert new[session] < 0.4
    better = {name for (name, _), figure in new.items() if figure > new[session] + 0.1}
    assert better == {"fraction", "stereology", "gp", "averaged", "averaged-segmented"}
    found = {one.test: one for one in patches[session].predicted()}
    _, low, high = inflation(found["new"], found["seen"])
    assert 0.4 < low < high < 0.75


def test_to_know_the_session_beside_the_material_harms_where_it_counts(patches):
    everything, material = patches["everything-gp", "classical"], patches["gp", "classical"]
    verdicts = {test: difference(everything.on(test), material.on(test)).verdict for test in everything.tests}
    assert verdicts == {"new": "worse", "seen": "better", "overlapping": "better", "again": "better"}


def test_nearly_identical_patches_are_remembered(patches):
    for backend in ("keras", "pytorch"):
        row = patches["baseline-segmented", backend]
        assert r2_on(row, "again") > 0.9
        assert r2_on(row, "new") < 0.35


@pytest.fixture(scope="module")
def laboratories():
    return of_suite(shift)


def test_what_looks_at_gray_levels_reads_the_microscope(laboratories):
    for backend in ("keras", "pytorch"):
        row = laboratories["baseline", backend]
        assert r2_on(row, "same") > 0.55
        assert r2_on(row, "elsewhere") < -1.5
        assert r2_on(row, "level-1") < -2
        normalised = laboratories["baseline-normalised", backend]
        assert difference(normalised, row).verdict == "not told apart"
        assert difference(normalised.on("elsewhere"), row.on("elsewhere")).verdict == "better"
        assert r2_on(normalised, "level-3") == pytest.approx(r2_on(normalised, "same"), abs=0.02)


def test_of_the_simple_models_more_numbers_break_sooner(laboratories):
    simple, many = (laboratories[name, "classical"] for name in ("stereology", "gp-segmented"))
    assert difference(simple, many).verdict == "not told apart"
    assert r2_on(simple, "elsewhere") > r2_on(many, "elsewhere") + 2
    for place, row in laboratories.items():
        assert r2_on(row, "richer") <= r2_on(laboratories["fraction", "classical"], "richer"), place


def test_twenty_specimens_seen_from_elsewhere_would_have_chosen_right_and_home_s_choose_wrongly(laboratories):
    at_home = min(laboratories, key=lambda place: laboratories[place].validation_error())
    there = max(laboratories, key=lambda place: r2_on(laboratories[place], "validation-elsewhere"))
    elsewhere = {place: r2_on(row, "elsewhere") for place, row in laboratories.items()}
    assert at_home == ("gp-segmented", "classical")
    assert there == ("stereology", "classical") == max(elsewhere, key=elsewhere.get)
    assert elsewhere[at_home] < -1.5
    assert elsewhere[there] > 0.4


def test_nobody_stands_a_segmentation_that_drifts_or_knows_of_a_stiffer_phase(laboratories):
    mean = laboratories["mean", "classical"]
    for place, row in laboratories.items():
        assert r2_on(row, "threshold-2") < 0.37, place
        assert row is mean or r2_on(row, "threshold-3") < r2_on(mean, "threshold-3"), place
        assert r2_on(row, "stiffer") < 0.39, place


UNSEEN = RESULTS / "unseen"
FAMILIES = ("disks", "ellipses", "gaussian_field", "voronoi", "lamellae")


@pytest.fixture(scope="module")
def left_out():
    """R² of each model, mean over seeds: (family, 2) on the known families, and on the one that was left out."""
    found = {}
    for record in Store(UNSEEN, "representations").trainings():
        family = record.cell.data.removeprefix("representations without ")
        both = record.test.r2_mean, record.others["unseen"].accuracy.r2_mean
        found.setdefault(record.cell.variant, {}).setdefault(family, []).append(both)
    return {model: np.array([np.mean(of[family], axis=0) for family in FAMILIES]) for model, of in found.items()}


def test_records_of_families_left_out_are_true_of_their_data_and_their_tables_follow():
    assert leaderboard.differs(UNSEEN, "representations") == ""
    records = Store(UNSEEN, "representations").trainings()
    for family in FAMILIES:
        dataset = representations.load(None, {"without": family})
        split, shown = representations.split(dataset), dataset.fingerprint()
        of = [record for record in records if record.cell.data_hash == shown]
        assert len({(record.cell.variant, record.seed) for record in of}) == 9 + 3 * 3
        assert [untrue(record, representations, dataset, split) for record in of] == [[]] * len(of)


def test_the_best_of_known_families_is_not_the_best_of_new_ones(left_out):
    known, new = ({model: table[:, side] for model, table in left_out.items()} for side in (0, 1))

    def best(of, family):
        return max(of, key=lambda model: of[model][FAMILIES.index(family)])

    assert {best(known, family) for family in FAMILIES} == {"mks-gp"}
    assert [best(new, family) for family in FAMILIES] == ["shapes", "mks-gp", "mks-gp", "mks-gp", "s2"]
    assert new["mks-gp"][-1] < 0.25
    assert sorted(new, key=lambda model: -new[model][0])[:2] == ["shapes", "s2"]
    assert new["stereology"][2] < new["mean"][2]
    for model in set(new) - {"mean", "stereology", "fraction", "eigen"}:
        assert new[model][1:4].min() > 0.74, model


def share_of(row, key, test=""):
    return figure(row, test or row.tests[0], key)


def test_constituents_are_told_apart_as_well_by_chosen_numbers_as_by_a_cnn_and_not_by_how_they_were_taken():
    rows = of_suite(phases)
    chosen = rows["descriptors", "classical"]
    assert share_of(chosen, "accuracy") == pytest.approx(0.65, abs=0.01)
    for name, backend in itertools.product(("cnn", "cnn-augmented"), ("keras", "pytorch")):
        assert 0.64 < share_of(rows[name, backend], "accuracy") < 0.70
        assert difference(rows[name, backend], chosen).verdict == "not told apart"
    assert difference(chosen, rows["two-point", "classical"]).verdict == "better"
    always = rows["frequencies", "classical"]
    assert difference(rows["gray-levels", "classical"], always).verdict == "not told apart"
    assert difference(rows["vgg16-head-only-centred (random weights)", "keras"], always).verdict == "not told apart"


def test_of_rare_defects_accuracy_tells_nothing_and_no_cnn_comes_up_to_a_line():
    rows = of_suite(defects)
    always, line = rows["frequencies", "classical"], rows["logistic", "classical"]
    assert share_of(always, "accuracy") == pytest.approx(0.98)
    assert share_of(line, "accuracy") < 0.987
    assert (share_of(always, "recall"), share_of(line, "recall")) == (0, 0.525)
    for name, backend in itertools.product(("cnn", "cnn-weighted", "cnn-resampled"), ("keras", "pytorch")):
        assert difference(rows[name, backend], line).verdict == "worse"
        assert share_of(rows[name, backend], "average_precision") < share_of(line, "average_precision")
        assert difference(rows[name, backend], rows["cnn", backend]).verdict == "not told apart"
    weighted = rows["logistic-weighted", "classical"]
    assert difference(weighted, line).verdict == "worse"
    assert share_of(weighted, "recall") > share_of(line, "recall") + 0.2
    for row in rows.values():
        assert share_of(row, "f1", "relabelled") < defects.ceiling()["f1"] - 0.2


def test_the_skills_of_baseline_and_line_overlap():
    table = pd.read_csv(RESULTS / "leaderboards" / "elasticity.csv")
    table = table[(table.profile == "standard") & (table.target_scaling == "standard")]
    lines, baselines = (list(table[table.variant == name].itertuples()) for name in ("ridge", "baseline"))
    for line, baseline in itertools.product(lines, baselines):
        assert baseline.skill_low < line.skill_high
        assert line.skill_low < baseline.skill_high


def of_elasticity(*variants):
    """The newest rows of elasticity by model and backend, of these variants."""
    table = rows(newest(Store(RESULTS, "elasticity").trainings(), "standard"))
    return {(row.name, row.backend): row for row in table if row.records[0].cell.variant in variants}


@pytest.mark.parametrize("backend", ["keras", "pytorch"])
def test_ways_of_searching_end_in_models_that_are_not_told_apart(backend):
    table = of_elasticity("tuned")
    halving, others = table["tuned", backend], [f"tuned (by {method})" for method in ("grid", "Optuna")]
    for other in others:
        assert difference(halving, table[other, backend]).verdict == "not told apart"
    seconds = {
        name: np.mean(
            [sum(trial.seconds for trial in record.searched.trials) for record in table[name, backend].records]
        )
        for name in ("tuned", *others)
    }
    assert max(seconds["tuned"], seconds["tuned (by Optuna)"]) < 0.65 * seconds["tuned (by grid)"]


@pytest.mark.parametrize("backend", ["keras", "pytorch"])
def test_centred_and_gently_random_backbones_learn_and_stay_behind_the_process(backend):
    families = ("vgg16", "resnet50", "densenet121")
    remedied = [f"{family}-{how}" for family in families for how in ("head-only-centred", "fine-tuned-gently")]
    table = of_elasticity("gp", *remedied)
    for name in remedied:
        row = table[f"{name} (random weights)", backend]
        assert row.skill() > 0.85
        assert difference(row, table["gp", "classical"]).verdict == "worse"


def test_on_raw_labels_neither_cnn_beats_the_mean():
    for name in ("baseline", "tuned"):
        records = published(name, "none")
        assert {backend for backend, _ in records} == {"keras", "pytorch"}
        assert all(record.test.skill < 0.01 for record in records.values())
        squared = elasticity.unit_factor("N/nm^2") ** 2
        assert all(record.test.mse_of_mean / squared == pytest.approx(6e-16, abs=5e-17) for record in records.values())


def test_published_records_come_from_a_commit(baselines):
    for record in baselines.values():
        assert len(record.environment.commit) == 40, record.environment.commit


def test_the_published_climb_is_whole_and_passes_but_for_initial_weights():
    table = pd.read_csv(RESULTS / "parity.csv")
    climbed = {(variant, rung) for variant, rung in zip(table.variant, table.rung, strict=True)}
    names = {variant.name for variant in subjects(elasticity)}
    always = set(RUNGS) - {"state", "statistics"}
    assert {(name, rung) for name in names for rung in always} <= climbed
    assert {name for name, rung in climbed if rung == "statistics"} == {"baseline", "augmented"}
    others = table[table.outcome != "passes"]
    assert [(row.variant, row.rung, row.outcome) for row in others.itertuples()] == [
        ("baseline", "statistics", "skipped"),
        ("augmented", "statistics", "differs"),
    ]
    assert table.commit.nunique() == 1
    assert not table.commit.str.contains("dirty").any()
