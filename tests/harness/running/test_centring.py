import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.architecture import Backbone, Conv2D, Dense, GlobalAveragePool2D, Network
from harness.running.centring import Centring

HEAD = Network((Backbone("resnet50"), GlobalAveragePool2D(), Dense(3), Dense(2, "linear")))


def features_of(seed, far=100.0):
    """Far from zero, and of unlike scatter; one of them does not vary."""
    draw = np.random.default_rng(seed)
    spread = draw.uniform(0.01, 10, 7) * (np.arange(7) > 0)
    return (far * draw.random(7) + spread * draw.normal(size=(40, 7))).astype(np.float32)


def answers(weights, features):
    hidden = np.maximum(features.astype(np.float64) @ weights["dense_1/kernel"] + weights["dense_1/bias"], 0)
    return hidden @ weights["dense_2/kernel"] + weights["dense_2/bias"]


@given(st.integers(0, 10**6))
def test_what_is_shown_has_no_mean_and_variances_that_add_up_to_one(seed):
    features = features_of(seed)
    shown = Centring.of(features).shown(features).astype(np.float64)
    np.testing.assert_allclose(shown.mean(axis=0), 0, atol=1e-5)
    assert shown.var(axis=0).sum() == pytest.approx(1, rel=1e-5)


def test_no_feature_is_blown_up_beyond_the_others():
    """As standardising each by itself does with those that hardly vary: of a test image they are anything."""
    features = features_of(0)
    far = np.concatenate([features, features[:1] + 0.5])
    assert np.abs(Centring.of(features).shown(far)[-1]).max() < 10


def test_features_that_do_not_vary_are_centred():
    features = np.full((5, 7), 3.0, np.float32)
    np.testing.assert_array_equal(Centring.of(features).shown(features), 0)


@given(st.integers(0, 10**6))
def test_a_folded_head_answers_for_features_what_the_other_does_for_centred_ones(seed):
    draw = np.random.default_rng(seed)
    shapes = {"dense_1/kernel": (7, 3), "dense_1/bias": (3,), "dense_2/kernel": (3, 2), "dense_2/bias": (2,)}
    weights = {name: draw.normal(size=shape) for name, shape in shapes.items()}
    features = features_of(seed)
    centring = Centring.of(features)
    centred = (features - centring.mean) / centring.deviation
    folded = centring.folded(weights, HEAD)
    np.testing.assert_allclose(answers(folded, features), answers(weights, centred), atol=1e-9)
    assert folded.keys() == weights.keys()


def test_weights_keep_their_precision():
    weights = {"dense_1/kernel": np.ones((7, 3), np.float32), "dense_1/bias": np.ones(3, np.float32)}
    folded = Centring.of(features_of(0)).folded(weights, HEAD)
    assert {array.dtype for array in folded.values()} == {np.dtype(np.float32)}


def test_a_head_that_does_not_begin_with_a_dense_layer_is_refused():
    network = Network((Backbone("resnet50"), Conv2D(3, 1), GlobalAveragePool2D(), Dense(2, "linear")))
    with pytest.raises(ValueError, match="conv2d_1 is the first of the head"):
        Centring.of(features_of(0)).folded({}, network)
