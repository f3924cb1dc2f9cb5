"""Which patches stand where, and that neither the split nor how a micrograph was taken gives a class away."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score

from harness import registry
from harness.errors import BenchError
from harness.model.architecture import Network, parameter_shapes
from harness.model.variants import Encoding
from harness.protocol import Predicted
from harness.running.data import split_of
from suites.constituents.families import FAMILIES

SUITE = registry.suite("phases")
DATA = SUITE.load(None, {})
SPLIT = split_of(SUITE, DATA)


def test_patches_of_a_specimen_stand_on_one_side_and_families_are_shared_out_alike():
    assert DATA.images.shape == (960, 64, 64, 1)
    assert (DATA.target_names, DATA.classes) == (tuple(FAMILIES), True)
    groups = np.array(DATA.groups)
    sides = [set(groups[rows]) for rows in SPLIT.parts.values()]
    assert [len(side) for side in sides] == [140, 40, 60]
    assert len(set.union(*sides)) == 240
    for rows in SPLIT.parts.values():
        np.testing.assert_allclose(DATA.targets[rows].mean(axis=0), 1 / len(FAMILIES))


def test_a_few_patches_show_another_constituent_than_their_specimens():
    other = np.mean([kind == "mostly another" for kind in DATA.kinds])
    assert 0.02 < other < 0.2


def score(encoding):
    encoder = SUITE.encoder(encoding, DATA)
    encoder.fit(DATA.images[SPLIT.train])
    which = DATA.targets.argmax(axis=1)
    model = LogisticRegression(max_iter=2000).fit(encoder.encode(DATA.images[SPLIT.train]), which[SPLIT.train])
    return model.score(encoder.encode(DATA.images[SPLIT.test]), which[SPLIT.test])


def test_what_is_asked_is_in_the_shapes_and_hardly_in_the_gray_levels():
    by_shape, by_session = score(Encoding("two-point", {"components": 20.0, "reach": 14.0})), score(GRAY)
    assert by_session < 0.4
    assert by_session + 0.1 < by_shape < 0.8


GRAY = Encoding("gray-statistics")


def test_figures_are_of_probabilities():
    truth = np.eye(5)[[0, 1, 2, 3, 4, 0]]
    predictions = np.full((6, 5), 0.1) + 0.5 * np.eye(5)[[0, 1, 2, 3, 0, 1]]
    found = SUITE.measure(predictions, truth, DATA.images[:6], {})
    assert found.keys() == {metric.key for metric in SUITE.METRICS}
    assert found["accuracy"] == pytest.approx(accuracy_score(truth.argmax(axis=1), predictions.argmax(axis=1)))
    assert found["calibration_error"] == pytest.approx(abs(0.6 - 4 / 6))


def test_networks_answer_every_class():
    networks = [variant.architecture for variant in SUITE.VARIANTS if isinstance(variant.architecture, Network)]
    assert len(networks) == 3
    for network in networks:
        assert list(parameter_shapes(network, (64, 64, 1)).values())[-1] == (5,)


def test_the_picture_is_a_confusion_matrix(tmp_path):
    truth = DATA.targets[SPLIT.test]
    found = Predicted("cnn", "keras", "test", truth, np.stack([0.2 + 0.8 * truth, 0.2 + 0.8 * truth[::-1]]))
    assert [path.name for path in SUITE.draw([found], tmp_path)] == ["confusion.png"]


def test_classes_have_no_unit():
    assert SUITE.unit_factor("") == 1
    with pytest.raises(BenchError, match="unit=GPa: classes have none"):
        SUITE.unit_factor("GPa")
