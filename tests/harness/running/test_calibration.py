"""Intervals against the theory of conformal prediction, flags against images of another kind."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from harness.errors import BenchError
from harness.running import calibration
from harness.running.calibration import (
    FLAGGED,
    KEY,
    LEVELS,
    descriptors,
    number_of_descriptors,
    of_file,
)
from suites import elasticity


def textures(count, smooth, seed=0, size=32):
    draw = np.random.default_rng(seed)
    fields = gaussian_filter(draw.normal(size=(count, size, size)), (0, smooth, smooth), mode="wrap")
    return (fields > 0).astype(np.float32)[..., None]


def calibrated(predictions, truth, validation_images, training_images, classes):
    described = descriptors(validation_images), descriptors(training_images)
    return calibration.calibrated(predictions, truth, *described, classes)


def known(predictions, truth, classes=False, images=None):
    images = textures(len(predictions), 1.5) if images is None else images
    return calibrated(predictions, truth, images, textures(60, 1.5, seed=1), classes)


@pytest.mark.parametrize("level", LEVELS)
def test_intervals_cover_what_they_promise_of_new_images(level):
    """Over many draws, between the level and one over n + 1 above it (Lei et al. 2018, theorem 2)."""
    draw, count = np.random.default_rng(0), 49
    images, covered = textures(count, 1.5), []
    for _ in range(200):
        errors = draw.standard_t(3, size=(count + 1, 1))
        found = known(np.zeros((count, 1)), errors[:-1], images=images)
        covered.append(found.covers(level, np.zeros((1, 1)), errors[-1:]))
    expected = np.ceil(level * (count + 1)) / (count + 1)
    assert np.mean(covered) == pytest.approx(expected, abs=3 * np.sqrt(expected * (1 - expected) / 200))


def test_each_target_has_a_width_of_its_own():
    truth = np.random.default_rng(0).normal(size=(99, 2)) * [1, 100]
    widths = known(np.zeros((99, 2)), truth).widths["0.9"]
    np.testing.assert_allclose(widths, np.sort(np.abs(truth), axis=0)[89])


def test_a_level_that_so_few_images_cannot_tell_is_lacking():
    found = known(np.zeros((12, 1)), np.ones((12, 1)))
    assert set(found.widths) == {"0.8", "0.9"}
    assert np.isnan(found.covers(0.95, np.zeros((1, 1)), np.zeros((1, 1))))


def test_sets_of_classes_hold_the_truth_as_often_as_they_promise():
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet([0.5, 0.5, 0.5], 2000)
    truth = np.array([draw.multinomial(1, row / row.sum()) for row in probabilities * (1 - 1e-9)], float)
    images = textures(200, 1.5)
    found = known(probabilities[:200], truth[:200], True, images)
    members = found.members(0.9, probabilities[200:])
    assert members.any(axis=1).all()
    inside = members[np.arange(1800), truth[200:].argmax(axis=1)].mean()
    assert inside == pytest.approx(0.9, abs=0.05)
    assert found.covers(0.9, probabilities[200:], truth[200:]) == pytest.approx(inside, abs=0.01)


def test_the_share_that_a_set_covers_is_of_the_set_that_the_model_gives():
    """Of a classifier that is nearly always sure: the set holds the most probable class however little that is."""
    draw = np.random.default_rng(1)
    truth = np.eye(2)[draw.integers(2, size=1000)]
    unsure = draw.random(1000) < 0.07
    probabilities = np.where(unsure[:, None], 0.45 + 0.1 * truth, 0.02 + 0.96 * truth)
    found = known(probabilities[:200], truth[:200], True, textures(200, 1.5))
    assert found.widths["0.9"][0] < 0.1
    assert found.covers(0.9, probabilities[200:], truth[200:]) == 1.0


@pytest.mark.parametrize("classes", [True, False])
def test_a_truth_as_far_off_as_the_interval_is_wide_is_inside_however_it_was_rounded(classes):
    """One answer for all, of three equal classes or grades, as `frequencies` and `mean` give it, in float32 and as a
    record has it.
    """
    truth = np.eye(3)[np.arange(300) % 3] if classes else (np.arange(300) % 3 / 10)[:, None]
    answer = np.full(truth.shape, 1 / 3 if classes else 0.1, np.float32)
    found = known(answer, truth, classes)
    recorded = np.vectorize(lambda value: float(f"{value:.10g}"))(answer)
    for rounded in (answer, recorded, recorded + 1e-9, recorded - 1e-9):
        assert found.covers(0.9, rounded, truth) == 1.0


def test_images_like_those_are_flagged_as_often_as_they_should_and_others_are():
    images = textures(150, 1.5, seed=3)
    found = known(np.zeros((150, 1)), np.zeros((150, 1)), images=images)
    like = found.distances(textures(600, 1.5, seed=4)) > 1
    assert like.mean() == pytest.approx(FLAGGED, abs=0.05)
    for other in (textures(40, 4), textures(40, 0.6), 0.3 * textures(40, 1.5) + 0.2, textures(40, 1.5) * 0):
        assert (found.distances(other) > 1).mean() > 0.9


def test_an_image_is_as_far_apart_as_from_its_three_nearest_over_what_these_have_to_theirs():
    """By brute force, of numbers in the place of descriptors; of 39 validation images the 38th sets the threshold."""
    draw = np.random.default_rng(0)
    train, validation, new = (3 + draw.normal(size=(count, 4)) * [1, 10, 0.1, 5] for count in (60, 39, 20))
    found = calibration.calibrated(np.zeros((39, 1)), np.zeros((39, 1)), validation, train, False)
    points = ((train - train.mean(axis=0)) / train.std(axis=0)).astype(np.float16).astype(float)

    def nearest(point, others):
        return sorted((np.linalg.norm(point - points[other]), other) for other in others)[:3]

    def apart(image):
        near = nearest((image - train.mean(axis=0)) / train.std(axis=0), range(60))
        theirs = [nearest(points[place], set(range(60)) - {place}) for _, place in near]
        return np.mean([distance for distance, _ in near]) / np.mean([distance for of in theirs for distance, _ in of])

    assert found.threshold == pytest.approx(sorted(map(apart, validation))[37])
    np.testing.assert_allclose(found.distances_of(new), [apart(image) / found.threshold for image in new])
    many = calibration.calibrated(np.zeros((39, 1)), np.zeros((39, 1)), validation, np.tile(train, (10, 1)), False)
    assert len(many.points) == 200 * 4 * 2  # each third of 600, for 256 are the most


@pytest.mark.parametrize(("family", "least"), [("lamellae", 0.95), ("disks", 0.3)])
def test_a_family_of_microstructures_that_was_left_out_is_flagged(family, least):
    """Of suite elasticity's own. Ellipses, Voronoi cells and level sets look like what is left of the others."""
    dataset = elasticity.load(None, {})
    kinds = np.array(dataset.kinds)
    others = np.random.default_rng(0).permutation(np.flatnonzero(kinds != family))
    train, validation, test = np.split(others, [250, 335])
    nothing = np.zeros((len(validation), 1))
    found = calibrated(nothing, nothing, dataset.images[validation], dataset.images[train], False)
    assert (found.distances(dataset.images[test]) > 1).mean() < 0.12
    assert (found.distances(dataset.images[kinds == family]) > 1).mean() > least


@given(st.integers(16, 70), st.integers(16, 70), st.sampled_from([1, 3]))
def test_descriptors_are_finite_and_as_many_as_is_said(height, width, channels):
    images = np.stack([np.zeros((height, width, channels)), np.ones((height, width, channels))]).astype(np.float32)
    found = descriptors(images)
    assert found.shape == (2, number_of_descriptors(height, width))
    assert np.isfinite(found).all()
    assert descriptors(images[:0]).shape == (0, number_of_descriptors(height, width))


@pytest.mark.parametrize("count", [2, 3])
def test_few_training_images_flag_what_is_unlike_them(count):
    nothing, images = np.zeros((30, 1)), textures(30, 1.5, seed=2)
    found = calibrated(nothing, nothing, images, textures(count, 1.5, seed=1), False)
    assert (found.distances(images) > 1).mean() < 0.2
    assert (found.distances(textures(20, 6)) > 1).mean() > 0.5


def test_of_each_octave_waves_down_the_image_come_before_those_across():
    """Files hold them in this order. Half the spectrum has both waves of the one, and one of the other."""
    down = np.tile(np.sin(2 * np.pi * 12 / 32 * np.arange(32))[:, None], (1, 32))
    found = descriptors(np.stack([down, down.T])[..., None])
    np.testing.assert_allclose(found[:, 2:4], [[np.log10(1 / 2), -8], [-8, np.log10(1 / 4)]], atol=1e-6)
    assert number_of_descriptors(16, 64) == number_of_descriptors(64, 16) == number_of_descriptors(16, 16) == 14


def test_blocks_of_images_make_no_difference():
    images = textures(150, 1.5)
    np.testing.assert_allclose(descriptors(images)[130:], descriptors(images[130:]), rtol=1e-12)


def test_the_spectrum_is_all_there():
    """Parseval: the powers of all bands add up to the variance, of whole octaves."""
    images = textures(5, 0.8, size=64)
    half = descriptors(images)[:, 2:].reshape(5, -1, 4)[:, :, :2].reshape(5, -1)
    variance = images.var(axis=(1, 2, 3))
    total = (10**half).sum(axis=1)
    assert np.all(total > 0.4 * variance)  # half the spectrum, whose columns but two have a twin
    assert np.all(total < 0.7 * variance)


def test_what_travels_in_a_file_comes_back():
    found = known(np.zeros((30, 2)), np.ones((30, 2)))
    metadata = {KEY: msgspec.json.encode(found).decode()}
    assert of_file(metadata, len(found.center), 2) == found
    assert of_file({}, 12, 2) is None


@pytest.mark.parametrize(
    "change",
    [
        {"center": [0.0]},
        {"spread": [0.0] * 18},
        {"threshold": 0.0},
        {"points": b""},
        {"points": b"odd"},
        {"points": np.full(36, np.nan, np.float16).tobytes()},
        {"widths": {"0.9": [1.0]}},
        {"more": 1},
    ],
)
def test_what_a_stranger_wrote_there_is_not_believed(change):
    found = msgspec.to_builtins(known(np.zeros((30, 2)), np.ones((30, 2))))
    assert len(found["center"]) == 18
    metadata = {KEY: msgspec.json.encode(found | change).decode()}
    with pytest.raises(BenchError, match="make no sense"):
        of_file(metadata, 18, 2)
    with pytest.raises(BenchError, match="make no sense"):
        of_file({KEY: "no JSON"}, 18, 2)
