import msgspec
import numpy as np
import pytest

from harness.errors import BenchError, Unavailable
from harness.model.variants import Encoding
from harness.protocol import Dataset, Split, Symmetry
from harness.running.view import changes, deviation, view

DRAW = np.random.default_rng(0)
IMAGES = DRAW.random((20, 4, 6, 1)).astype(np.float32)
DATA = Dataset("made", IMAGES, DRAW.normal(size=(20, 2)), ("a", "b"), ("GPa", ""), tuple(map(str, range(20))))
SPLIT = Split(np.arange(12), np.arange(12, 15), {"test": np.arange(15, 20)})


class Sums:
    def fit(self, images):
        self.seen = images

    def encode(self, images):
        return images.sum(axis=(2, 3))

    def operators(self):
        return None


class Leaking(Sums):
    def encode(self, images):
        return images.sum(axis=(2, 3)) - images.mean()


class Ratio:
    """The model answers the first target's ratio to the sum of the image, and the second stays what it is."""

    answers = ("ratio", "b")

    def encode(self, targets, images):
        return np.stack([targets[:, 0] / images.sum(axis=(1, 2, 3)), targets[:, 1]], axis=1)

    def decode(self, answers, images):
        return np.stack([answers[:, 0] * images.sum(axis=(1, 2, 3)), answers[:, 1]], axis=1)


def rolled(images, targets, elements):
    return np.stack([np.roll(image, by, axis=1) for image, by in zip(images, elements, strict=True)]), targets


def flipped(images, targets, elements):
    """Whose first target changes its sign."""
    signs = 1 - 2 * elements[:, None]
    return np.where(signs[:, :, None, None] < 0, images[:, ::-1], images), targets * np.concatenate(
        [signs, np.ones_like(signs)], axis=1
    )


ROLL = Symmetry("roll", "when it is rolled", lambda shape: shape[1], rolled, lambda shape, element: None)
FLIP = Symmetry("flip", "when it is flipped", lambda shape: 2, flipped)


class Suite:
    SYMMETRIES = (FLIP, ROLL)

    def encoder(self, encoding, dataset):
        return {"sums": Sums, "leaking": Leaking}[encoding.name]()

    def decoder(self, decoding, dataset):
        return Ratio()


class Model:
    """Linear in what it is shown."""

    def predict(self, images):
        return images.reshape(len(images), -1)[:, :2].astype(float) * [1.0, 2.0]


def test_a_model_meets_what_is_encoded_and_answers_what_is_decoded():
    met = view(Suite(), DATA, SPLIT, Encoding("sums"), Encoding("ratio"))
    np.testing.assert_allclose(met.met.images, IMAGES.sum(axis=(2, 3)))
    assert (met.met.target_names, met.met.units) == (("ratio", "b"), ("", ""))
    np.testing.assert_array_equal(met.encoder.seen, IMAGES[:12])  # the training images alone
    answers = Model().predict(IMAGES.sum(axis=(2, 3)))
    np.testing.assert_allclose(met.predict(Model(), IMAGES), Ratio().decode(answers, IMAGES))
    np.testing.assert_allclose(Ratio().decode(met.met.targets, IMAGES), DATA.targets)


def test_an_encoding_that_leaks_is_refused():
    """Planted: what it makes of an image depends on all that are encoded with it, test images among them."""
    with pytest.raises(BenchError, match="'leaking': what it makes of an image hangs on the others"):
        view(Suite(), DATA, SPLIT, Encoding("leaking"))


def test_rows_are_moved_by_every_symmetry_and_their_targets_with_them():
    met, rows = view(Suite(), DATA, SPLIT, None, Encoding("ratio")), np.arange(12)
    images, answers = met.moved(rows, np.random.default_rng(3))
    again, _ = met.moved(rows, np.random.default_rng(3))
    np.testing.assert_array_equal(images, again)
    draw = np.random.default_rng(3)
    expected = flipped(IMAGES[:12], DATA.targets[:12], draw.integers(2, size=12))
    expected = rolled(*expected, draw.integers(6, size=12))
    np.testing.assert_array_equal(images, expected[0])
    np.testing.assert_allclose(answers, Ratio().encode(expected[1], expected[0]))
    assert (answers[:, 0] * DATA.targets[:12, 0] < 0).any()


def test_rows_are_moved_by_the_symmetries_that_are_named():
    met, rows = view(Suite(), DATA, SPLIT, None), np.arange(12)
    images, targets = met.moved(rows, np.random.default_rng(3), ("roll",))
    expected = rolled(IMAGES[:12], DATA.targets[:12], np.random.default_rng(3).integers(6, size=12))
    np.testing.assert_array_equal(images, expected[0])
    np.testing.assert_array_equal(targets, DATA.targets[:12])
    with pytest.raises(BenchError, match=r"unknown symmetry 'rol'.*did you mean 'roll'"):
        met.moved(rows, np.random.default_rng(3), ("rol",))


def test_what_is_no_symmetry_moves_nothing_unless_it_is_named_and_is_no_figure():
    suite = Suite()
    suite.SYMMETRIES = (msgspec.structs.replace(FLIP, exact=False), ROLL)
    met, rows = view(suite, DATA, SPLIT, None), np.arange(12)
    np.testing.assert_array_equal(met.moved(rows, np.random.default_rng(3))[1], DATA.targets[:12])
    assert not np.array_equal(met.moved(rows, np.random.default_rng(3), ("flip",))[1], DATA.targets[:12])
    assert list(changes(met, Model(), SPLIT.test)) == ["roll"]


def test_rows_are_doubled_by_one_symmetry():
    images, targets = view(Suite(), DATA, SPLIT, None).doubled(np.arange(3), "flip")
    np.testing.assert_array_equal(images, np.concatenate([IMAGES[:3], IMAGES[:3, ::-1]]))
    np.testing.assert_array_equal(targets[3:], DATA.targets[:3] * [-1, 1])


class Still:
    """Answers what no symmetry of its own changes."""

    def predict(self, images):
        return np.stack([np.zeros(len(images)), images.mean(axis=(1, 2, 3))], axis=1)


def test_changes_are_what_predictions_change_beyond_what_they_should():
    met = view(Suite(), DATA, SPLIT, None)
    assert changes(met, Still(), SPLIT.test) == {"flip": pytest.approx(0, abs=1e-7), "roll": pytest.approx(0, abs=1e-7)}
    found = changes(met, Model(), SPLIT.test)
    images = IMAGES[SPLIT.test]
    expected = Model().predict(images[:, ::-1]) - Model().predict(images) * [-1, 1]
    assert found["flip"] == pytest.approx(np.sqrt(np.mean(expected**2)), rel=1e-6)
    assert found["roll"] > 0.01


def test_predictions_are_averaged_over_moves_that_change_no_target():
    met = view(Suite(), DATA, SPLIT, None, averaged=3)
    assert met.averaged_over is ROLL
    assert len(met.moves) == 3
    expected = np.mean([Model().predict(np.roll(IMAGES, by, axis=2)) for by in met.moves], axis=0)
    np.testing.assert_allclose(met.predict(Model(), IMAGES), expected)


def test_a_suite_without_such_a_symmetry_averages_nothing():
    suite = Suite()
    suite.SYMMETRIES = (FLIP,)
    with pytest.raises(Unavailable, match="no symmetry to average over"):
        view(suite, DATA, SPLIT, None, averaged=2)
    assert view(suite, msgspec.structs.replace(DATA, kinds=("",) * 20), SPLIT, None).averaging(2) is None


def test_a_deviation_is_a_share_of_the_largest_of_its_unit():
    expected = np.array([[100.0, 0.5, 0.0], [200.0, 0.25, 0.0]])
    found = expected + np.array([[0.2, 0.0, 0.0], [0.0, 0.05, 0.0]])
    assert deviation(found, expected, ("GPa", "", "")) == pytest.approx(0.1)
    assert deviation(found, expected, ("GPa", "GPa", "GPa")) == pytest.approx(0.001)
    assert deviation(np.array([[1e-9]]), np.zeros((1, 1)), ("GPa",)) == 1e-9


@pytest.mark.parametrize("units", [("GPa", "mm"), ("mm", "GPa"), ("a", "b"), ("b", "a")])
def test_a_deviation_hides_no_answer_that_is_no_number(units):
    assert np.isnan(deviation(np.array([[np.nan, 1.0]]), np.ones((1, 2)), units))
