"""What models may be shown of a film, against the crystal's own formulas, and in ONNX."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import registry
from harness.errors import Unavailable
from harness.protocol import Operators
from suites.films.crystal import COPPER, SILICON, estimates
from suites.films.decodings import FromHill
from suites.films.encodings import Bounds, Coarse, Estimate, Waves
from suites.films.rendering import LEVELS, angles_of, as_images, as_levels
from suites.films.statistics import WeakContrast
from suites.films.symmetries import SYMMETRIES
from suites.films.tessellation import draw_film, grains

NAMED = {symmetry.key: symmetry for symmetry in SYMMETRIES}


def films(count=6, size=32, seed=0, ratio=4.0):
    """Films without a filter: gray levels of their grains (count, size, size, 1)."""
    drawn = [draw_film(ratio, seed, index) for index in range(count)]
    levels = [np.rint(film.degrees[grains(film, size)] * (LEVELS - 1) / 90) for film in drawn]
    return as_images(np.array(levels, np.uint8))


IMAGES = films()


def in_onnx(operators: Operators, images, **others):
    """What ONNX Runtime makes of an encoding's or a decoding's operators."""
    out = operators.nodes[-1][2]
    nodes = [onnx.helper.make_node(kind, given, [name], **told) for kind, given, name, told in operators.nodes]
    inputs = {"images": images, **others}
    graph = onnx.helper.make_graph(
        nodes,
        "piece",
        [onnx.helper.make_tensor_value_info(name, 1, [None, *value.shape[1:]]) for name, value in inputs.items()],
        [onnx.helper.make_tensor_value_info(out, 1, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in operators.arrays.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, inputs)[0]


@pytest.mark.parametrize("crystal", [SILICON, COPPER])
def test_bounds_are_the_crystals_at_the_shares_of_its_angles(crystal):
    counts = np.stack([np.bincount(levels.ravel(), minlength=LEVELS) for levels in as_levels(IMAGES)])
    expected = estimates(crystal, angles_of(np.arange(LEVELS)), counts / counts.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(
        Bounds(crystal).moduli(IMAGES), np.column_stack([expected.voigt, expected.reuss]), rtol=1e-7
    )
    np.testing.assert_allclose(Estimate(crystal, "hill").moduli(IMAGES)[:, 0], expected.hill, rtol=1e-7)


@pytest.mark.parametrize(
    "encoder",
    [
        Bounds(SILICON),
        Estimate(COPPER, "voigt"),
        Estimate(SILICON, "reuss"),
        Coarse(2),
        Waves(2),
        Waves(4),
        WeakContrast(),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_onnx_operators_encode_alike(encoder):
    encoder.fit(IMAGES)
    expected = encoder.encode(IMAGES)
    found = in_onnx(encoder.operators(), IMAGES)
    assert expected.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_coarse_levels_are_levels_that_are_there():
    small = Coarse(4).encode(IMAGES)
    assert small.shape == (6, 8, 8, 1)
    assert all(set(np.unique(coarse)) <= set(np.unique(image)) for coarse, image in zip(small, IMAGES, strict=True))


def test_waves_have_no_seam_and_average_to_what_the_estimates_hang_on():
    black, white = np.zeros((1, 8, 8, 1), np.float32), np.ones((1, 8, 8, 1), np.float32)
    np.testing.assert_allclose(Waves(2).encode(black), Waves(2).encode(white), atol=1e-6)
    found = Waves(4).encode(IMAGES).mean(axis=(1, 2))
    phase = 2 * np.pi * IMAGES[..., 0]
    np.testing.assert_allclose(
        found, np.stack([np.cos(phase).mean((1, 2)), np.sin(phase).mean((1, 2))], axis=1), atol=1e-6
    )


# --- weak contrast --------------------------------------------------------------------------------------------------


def numbers(images):
    encoder = WeakContrast()
    encoder.fit(images)
    return encoder._numbers(images)


def test_sums_over_waves_are_those_of_brute_force():
    image = films(1, 6)
    c, s = (function(2 * np.pi * image[0, ..., 0].astype(float)) for function in (np.cos, np.sin))
    n, sums = 6, np.zeros((3, 2))
    for row in range(-3, 3):
        for column in range(-3, 3):
            if (row, column) == (0, 0):
                continue
            wave = np.exp(-2j * np.pi * (row * np.arange(n)[:, None] + column * np.arange(n)) / n)
            of_c, of_s = (c * wave).mean(), (s * wave).mean()
            angle = np.arctan2(row, column)
            for place, order in enumerate((0, 4)):
                sided = np.sin(order * angle) * (row != -3 and column != -3)  # whose mirror image is themselves
                sums[0, place] += abs(of_c) ** 2 * np.cos(order * angle)
                sums[1, place] += abs(of_s) ** 2 * np.cos(order * angle)
                sums[2, place] += (of_c * of_s.conjugate()).real * sided
    found = numbers(image)[0]
    mean = c.mean()
    np.testing.assert_allclose(found[:4], [mean, mean**2, mean**3, s.mean() ** 2])
    np.testing.assert_allclose(found[4:8], sums[:2].ravel(), atol=1e-12)
    np.testing.assert_allclose(found[8:], sums[2, 1:], atol=1e-12)
    assert sums[0, 0] + sums[1, 0] + mean**2 + s.mean() ** 2 == pytest.approx(1)  # Parseval: c² + s² = 1


@given(st.integers(0, 1023), st.integers(0, 3), st.integers(0, 1))
def test_weak_contrast_does_not_change_under_a_symmetry(shift, turn, mirror):
    moved = IMAGES
    for key, element in (("shift", shift), ("turn", turn), ("mirror", mirror)):
        moved, _ = NAMED[key].move(moved, np.zeros((6, 1)), np.full(6, element))
    np.testing.assert_allclose(numbers(moved), numbers(IMAGES), atol=1e-6)


def test_but_under_a_mirror_of_the_picture_alone_it_does():
    moved, _ = NAMED["picture"].move(IMAGES, np.zeros((6, 1)), np.full(6, 4))
    assert np.abs(numbers(moved) - numbers(IMAGES)).max() > 1e-3


# --- decoding -------------------------------------------------------------------------------------------------------


def test_what_a_model_answers_beyond_hill_is_added_to_it():
    decoder, targets = FromHill(SILICON), np.linspace(140, 150, 6)[:, None]
    answers = decoder.encode(targets, IMAGES)
    np.testing.assert_allclose(decoder.decode(answers, IMAGES), targets)
    np.testing.assert_allclose(decoder.decode(np.zeros((6, 1)), IMAGES), Estimate(SILICON, "hill").moduli(IMAGES))
    found = in_onnx(decoder.operators(), IMAGES, answers=answers.astype(np.float32))
    np.testing.assert_allclose(found, targets, rtol=1e-6)


@pytest.mark.parametrize("make", [Bounds, FromHill, lambda crystal: Estimate(crystal, "hill")])
def test_without_a_crystal_there_is_no_estimate(make):
    with pytest.raises(Unavailable, match="crystal=silicon"):
        make(None)
    assert registry.suite("polysilicon").OPTIONS["crystal"]
