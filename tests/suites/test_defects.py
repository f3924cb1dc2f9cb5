"""How rare defects are, in which part, and that weights and draws are of the training alone."""

import csv

import msgspec
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from harness import registry
from harness.command.cli import main
from harness.protocol import Predicted
from harness.running.data import split_of
from suites import defects
from suites.constituents import flaws

SUITE = registry.suite("defects")
DATA = SUITE.load(None, {})
SPLIT = split_of(SUITE, DATA)


def test_two_in_a_hundred_are_defects_in_every_part_and_specimens_stay_together():
    assert DATA.images.shape == (8000, 32, 32, 1)
    assert {part: len(rows) for part, rows in SPLIT.parts.items()} == {
        "train": 3000, "validation": 1000, "test": 2000, "relabelled": 2000
    }  # fmt: skip
    for part in ("train", "validation", "test"):
        assert DATA.targets[SPLIT.parts[part], 1].mean() == pytest.approx(0.02)
    groups = np.array(DATA.groups)
    sides = [set(groups[rows]) for rows in SPLIT.parts.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 200
    assert len(set(DATA.ids)) == 8000


def test_the_labels_of_the_last_part_are_the_second_versions():
    made = flaws.make(150, 50)
    rows = SPLIT.tests["relabelled"]
    np.testing.assert_array_equal(DATA.images[rows, :, :, 0], made.images.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(DATA.targets[rows, 1], made.defects[:, 1])
    assert (made.defects[:, 0] != made.defects[:, 1]).any()


def test_the_ceiling_is_what_labels_of_one_version_score_against_the_other():
    first, second = flaws.make(150, 50).defects.T
    precision, recall, f1, _ = precision_recall_fscore_support(second, first, average="binary")
    found = defects.ceiling()
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx((precision, recall, f1))
    assert 0.6 < f1 < 0.95


def test_figures_are_scikit_learns():
    draw = np.random.default_rng(0)
    truth = np.eye(2)[(draw.random(400) < 0.1).astype(int)]
    sure = np.clip(0.3 + 0.3 * truth[:, 1] + draw.normal(0, 0.2, 400), 0, 1)
    found = SUITE.measure(np.column_stack([1 - sure, sure]), truth, np.empty(0), {})
    assert found.keys() == {metric.key for metric in SUITE.METRICS}
    precision, recall, f1, _ = precision_recall_fscore_support(truth[:, 1], sure > 0.5, average="binary")
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx((precision, recall, f1))
    assert found["average_precision"] == pytest.approx(average_precision_score(truth[:, 1], sure))


def test_what_is_weighted_is_trained_with_and_nothing_else():
    variants = {variant.name: variant for variant in SUITE.VARIANTS}
    plain = variants["cnn"].recipes
    for name, field in (("cnn-weighted", "class_weights"), ("cnn-resampled", "resampled")):
        recipes = variants[name].recipes
        assert {getattr(recipe, field) for recipe in recipes} == {(1.0, 49.0)}
        assert tuple(msgspec.structs.replace(recipe, **{field: msgspec.UNSET}) for recipe in recipes) == plain
        assert variants[name].architecture == variants["cnn"].architecture
    for name in ("logistic", "trees"):
        weighted = variants[f"{name}-weighted"].architecture
        assert weighted.class_weights == (1.0, 49.0)
        assert msgspec.structs.replace(weighted, class_weights=msgspec.UNSET) == variants[name].architecture


def test_who_always_says_good_is_right_of_98_and_finds_none(tmp_path):
    """From the command to the leaderboard: and a weighted line finds more, at the price of its probabilities."""
    words = ["run", "suite=defects", "backend=classical", "variant=frequencies,logistic,logistic-weighted"]
    assert main([*words, "seeds=0", "profile=smoke", f"results={tmp_path}"]) == 0
    with (tmp_path / "leaderboards" / "defects.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    figures = {name: {key: float(row[key]) for key in FIGURES} for name, row in rows.items()}
    assert figures["frequencies"]["accuracy"] == pytest.approx(0.98)
    assert figures["frequencies"]["recall"] == 0
    assert figures["frequencies"]["average_precision"] == pytest.approx(0.02)
    assert figures["logistic-weighted"]["recall"] > figures["logistic"]["recall"] > 0.3
    assert figures["logistic-weighted"]["accuracy"] < 0.98 < figures["logistic"]["accuracy"]
    assert figures["logistic-weighted"]["skill"] < 0 < figures["logistic"]["skill"]
    assert main(["leaderboard", "check=true", "suite=defects", f"results={tmp_path}"]) == 0


FIGURES = ("accuracy", "recall", "average_precision", "skill")


def test_the_picture_has_the_curve_of_every_test(tmp_path):
    draw = np.random.default_rng(0)
    found = []
    for test, rows in SPLIT.tests.items():
        noisy = np.clip(DATA.targets[rows] + draw.normal(0, 0.3, (len(rows), 2)), 0, 1)
        found.append(Predicted("cnn", "keras", test, DATA.targets[rows], noisy[None]))
    assert [path.name for path in SUITE.draw(found, tmp_path)] == ["precision-recall.png"]
