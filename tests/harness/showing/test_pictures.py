import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from harness.errors import BenchError
from harness.judging import leaderboard
from harness.judging.blocks import Row
from harness.judging.records import HeldOut
from harness.judging.store import Store
from harness.model.variants import Recipe
from harness.protocol import History
from harness.showing import pictures
from harness.showing.pictures import _stems, draw, draw_all, pareto_front
from tests.harness.a_benchmark import benchmark, fill
from tests.harness.examples import a_cell, a_failure, a_latency, a_record, in_unlike_units


def is_a_picture(path):
    with Image.open(path) as image:
        return min(image.size) > 200 and len(image.getcolors(2**24)) > 10


def test_the_leaderboard_shows_every_row_that_has_a_score(tmp_path):
    store = Store(tmp_path, "elasticity")
    for name, error in (("good", 0.5), ("poor", 50.0)):
        record = a_record(a_cell(variant=name), error=error)
        store.append(record)
        store.append(a_latency(record))
    store.append(a_failure(a_cell(variant="fails")))
    assert is_a_picture(draw(leaderboard.compute(tmp_path, "elasticity").table, tmp_path / "board.png", "elasticity"))


def test_a_leaderboard_without_scores_is_said(tmp_path):
    Store(tmp_path, "elasticity").append(a_failure())
    with pytest.raises(BenchError, match="no row of the leaderboard has a score"):
        draw(leaderboard.compute(tmp_path, "elasticity").table, tmp_path / "x.png", "elasticity")


def test_targets_of_unlike_units_have_theirs_in_their_titles_and_others_on_the_axes():
    record = a_record()
    for one, told in ((record, ["C11", "C22"]), (in_unlike_units(record), ["C11 (GPa)", "C22 (kg/m3)"])):
        panels = Figure().subplots(1, 2)
        for index, axes in enumerate(panels):
            pictures._draw_target(axes, [Row("ridge", "classical", (one,))], index)
        assert [axes.get_title("left") for axes in panels] == told


def test_a_title_is_no_wider_than_its_picture(tmp_path):
    """Over the single panel of a single target it was cut."""
    figure = Figure(figsize=(2.9, 3.4), layout="constrained")
    figure.subplots()
    assert is_a_picture(pictures._saved(figure, tmp_path / "one.png", "s2-ridge: test images, seed 0 " * 3))
    (title,) = figure.texts
    assert title.get_window_extent().x1 <= figure.bbox.x1


def test_no_two_models_have_files_of_one_name():
    assert list(_stems(["wide.2", "wide-2", "Wide 2", "all", "wide-2-2"]).values()) == [
        "wide-2",
        "wide-2-2",
        "Wide-2-3",
        "all-2",
        "wide-2-2-2",
    ]


def test_every_picture_of_a_suite_in_the_suites_order(tmp_path):
    fill(Store(tmp_path, "elasticity"), benchmark({"tuned": 1.0, "vgg16-fine-tuned": 3.0, "baseline": 2.0}))
    files = draw_all(tmp_path, "elasticity", tmp_path / "pictures")
    assert [path.stem for path in files] == [
        "leaderboard",
        "parity-mean",
        "loss-baseline",
        "parity-baseline",
        "loss-tuned",
        "parity-tuned",
        "loss-vgg16-fine-tuned",
        "parity-vgg16-fine-tuned",
        "loss-all",
        "latency",
        "parameters",
        "ranks",
    ]
    assert all(map(is_a_picture, files))


def test_what_one_variant_was_made_from_in_two_ways_has_pictures_of_its_own(tmp_path):
    """One overwrote the other's."""
    random = [r for r in benchmark({"vgg16-head-only": 1.0}, ("keras",), (0,)) if r.cell.weights]
    imagenet = [a_record(msgspec.structs.replace(r.cell, weights="imagenet"), history=r.history) for r in random]
    fill(Store(tmp_path, "elasticity"), [*random, *imagenet])
    files = [path.stem for path in draw_all(tmp_path, "elasticity", tmp_path / "pictures")]
    assert {"loss-vgg16-head-only-ImageNet", "loss-vgg16-head-only-random-weights"} < set(files)
    assert len(files) == len(set(files))


def staged(*recipes, epochs=2):
    cell = msgspec.structs.replace(a_cell(), recipes=recipes)
    return Row("x", "keras", (a_record(cell, history=(History((1.0,) * epochs, (1.0,) * epochs),) * len(recipes)),))


@pytest.mark.parametrize(
    ("recipes", "told", "start"),
    [
        ((Recipe(trains="head"), Recipe(learning_rate=1e-4)), ["fine-tuning \N{RIGHTWARDS ARROW} "], 1),
        ((Recipe(), Recipe(learning_rate=5e-4)), ["rate 0.0005 \N{RIGHTWARDS ARROW} "], 0),
        ((Recipe(),), [], 0),
        ((Recipe(trains="head"),), [], 0),
    ],
)
def test_a_recipe_is_told_by_what_it_changes_and_a_head_s_is_another_model_s(recipes, told, start):
    """Every stage was called fine-tuning, and all but the last one left out."""
    axes, row = Figure().subplots(), staged(*recipes)
    pictures._mark_recipes(axes, row)
    assert [text.get_text() for text in axes.texts] == told
    assert pictures._after_head(row) == start


@pytest.mark.parametrize(
    ("truth", "expected"),
    [
        (((1.0, 0.0), (0.0, 1.0)), "mean cross-entropy"),
        (((1.0, 1.0), (0.0, 1.0)), "mean squared error, "),
        (((1.0, 0.0), (0.5, 0.5)), "mean squared error, "),
    ],
)
def test_a_loss_of_classes_is_told_as_what_it_is(truth, expected):
    """Suites phases and defects were drawn as mean squared errors."""
    held_out = HeldOut(truth, targets=("good", "defect"), truth=truth)
    row = Row("x", "keras", (msgspec.structs.replace(a_record(), held_out=held_out),))
    assert pictures._loss([row]).startswith(expected)


def test_more_models_than_looks_are_drawn(tmp_path):
    table = [staged(Recipe())._replace(name=f"model {number}") for number in range(30)]
    assert is_a_picture(pictures._draw_all_losses(table, tmp_path / "all.png", "x"))


def test_names_that_would_overlap_are_apart_and_each_is_led_to_its_line():
    axes = Figure().subplots()
    axes.plot((1, 50, 100), (1.0, 0.1, 0.01))
    axes.set_yscale("log")
    ends = [pictures.End(100, 0.01, "one", "#000000"), pictures.End(90, 0.0101, "other", "#E69F00", "--")]
    pictures._label_ends(axes, ends)
    heights = [np.log10(text.get_position()[1]) for text in axes.texts]
    low, high = np.log10(axes.get_ylim())
    assert heights[1] - heights[0] > 0.035 * (high - low)
    led = axes.lines[1:]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in led] == [(100, 0.01), (90, 0.0101)]
    assert [line.get_ydata()[1] for line in led] == [text.get_position()[1] for text in axes.texts]


def test_a_single_backend_seed_and_model_is_drawn(tmp_path):
    fill(Store(tmp_path, "elasticity"), benchmark({"baseline": 2.0}, backends=("keras",), seeds=(0,)))
    assert all(map(is_a_picture, draw_all(tmp_path, "elasticity", tmp_path / "pictures")))


def test_predictors_alone_are_drawn(tmp_path):
    fill(Store(tmp_path, "elasticity"), [a_record(), a_record(a_cell(variant="mean"), error=10.0)])
    files = draw_all(tmp_path, "elasticity", tmp_path / "pictures")
    assert not [path for path in files if path.stem.startswith("loss")]
    assert all(map(is_a_picture, files))


def test_nothing_to_draw_is_said(tmp_path):
    Store(tmp_path, "elasticity").append(a_failure())
    with pytest.raises(BenchError, match="no finished records of elasticity of profile paper"):
        draw_all(tmp_path, "elasticity", tmp_path / "pictures", "paper")


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=30))
def test_the_pareto_front_is_what_nothing_beats_in_both(points):
    cost, skill = np.array(points, float).T
    front = pareto_front(cost, skill)
    beaten = [
        any((c <= cost[i] and s >= skill[i]) and (c < cost[i] or s > skill[i]) for c, s in points)
        for i in range(len(points))
    ]
    assert {(cost[i], skill[i]) for i in front} == {points[i] for i in range(len(points)) if not beaten[i]}
    assert list(cost[front]) == sorted(cost[front])


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.9979, "0.998"), (-7.7e-5, "0.000"), (-3.41, "-3.410"), (-37083.2, "-37083"), (-245796.0, "-245796")],
)
def test_a_score_fits_its_column_and_is_never_a_negative_zero(value, told):
    assert pictures._score(value) == told


@pytest.mark.parametrize(
    ("skill", "ends", "told"),
    [
        (0.99855, (0.9978, 0.9991), "0.9986"),
        (0.99992, (0.999894, 0.999939), "0.999920"),
        (0.947, (0.92, 0.96), "0.947"),
        (-4e-5, (-2.6e-4, 1.9e-4), "0.000"),
        (0.99855, (None, None), "0.999"),
    ],
)
def test_skills_near_one_are_told_apart(skill, ends, told):
    """Three models of polysilicon, one of them worse by test, stood at 1.000."""
    row = pd.Series({"skill": skill, "skill_low": ends[0], "skill_high": ends[1]}, dtype=object)
    assert pictures._known(row) == told


@pytest.mark.parametrize("which", ["x", "y"])
def test_on_the_scale_0_99_is_as_far_from_0_9_as_0_9_from_0(which):
    axes = Figure().subplots()
    scale = pictures._Scale(0.9991)
    scale.put_on(axes, which)
    to_axes = axes.transScale + axes.transLimits

    def place(skill):
        return to_axes.transform((skill, 0) if which == "x" else (0.5, skill))["xy".index(which)]

    assert place(0.99) - place(0.9) == pytest.approx(place(0.9) - place(0.0))
    assert 0 < place(scale.floor) < place(0.0) < place(0.9991) < 1
    ticks = axes.get_xticks() if which == "x" else axes.get_yticks()
    assert list(ticks) == [0.0, 0.5, 0.9, 0.99, 0.999]


@pytest.mark.parametrize("best", [-3.0, 0.0, 0.6, 1.0])
def test_any_best_skill_has_a_scale(best):
    axes = Figure().subplots()
    pictures._Scale(best).put_on(axes, "x")
    low, high = axes.get_xlim()
    assert low < 0 < high
    assert np.isfinite([low, high]).all()
    assert 0.0 in axes.get_xticks()
