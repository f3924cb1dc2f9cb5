"""The ladder itself: clean sides pass, and each of the planted mistakes breaks it where it should."""

import numpy as np
import pytest

from harness.model.variants import Recipe
from harness.parity.side import BATCH
from harness.parity.sides import SideCrashed
from tests.parity.faults import FAULTS, OF_CLASSES
from tests.parity.planted import KERAS, ONNX, PYTORCH, Climbs, first_broken

pytestmark = pytest.mark.parity

BUILDS_NOTHING = "a layer without its bias"
ROUNDED = "Adam's corrections in double precision"


@pytest.fixture(scope="module")
def climbs(tmp_path_factory):
    with Climbs(tmp_path_factory.mktemp("climbs")) as found:
        yield found


@pytest.mark.parametrize("variant", ["baseline", "tuned"])
def test_keras_and_pytorch_are_the_same_model(climbs, variant):
    found = climbs.verdicts(variant)
    assert [verdict for verdict in found if verdict.outcome != "passes"] == []
    assert {(verdict.rung, verdict.precision) for verdict in found} == {
        ("structure", ""),
        ("export", "float32"),
        *(
            (rung, precision)
            for rung in ("forward", "gradients", "gradcam", "optimizer")
            for precision in ("float32", "float64")
        ),
    }


@pytest.mark.parametrize("variant", ["baseline", "tuned"])
def test_the_onnx_backend_is_the_same_model_as_far_as_it_goes(climbs, variant):
    found = {verdict.rung: verdict for verdict in climbs.verdicts(variant, ONNX)}
    assert {rung: verdict.outcome for rung, verdict in found.items()} == {
        "structure": "passes",
        "forward": "passes",
        "gradients": "skipped",
        "gradcam": "skipped",
        "optimizer": "skipped",
        "export": "passes",
    }
    assert "inference only" in found["gradients"].note


def test_what_is_compared_would_show_a_mistake(climbs):
    """No array is constant, values beyond 6 occur, and the batch of each step is another."""
    side = climbs.of(KERAS, "baseline").side(KERAS)
    layers = side.single("forward//")
    assert max(layers["conv2d_1"].max(), layers["conv2d_2"].max()) > 6
    assert all(array.std() > 0 for array in layers.values())
    assert all(array.std() > 0 for name, array in side.single("gradients/baseline/").items() if array.size > 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FAULTS if name not in (BUILDS_NOTHING, ROUNDED)])
def test_a_planted_fault_breaks_the_ladder_where_it_should(climbs, name):
    fault = FAULTS[name]
    broken = first_broken(climbs.verdicts(fault.variant, fault=name, highest=fault.rung))
    assert broken is not None, "not seen"
    assert broken.rung == fault.rung
    if fault.rung == "forward":
        assert broken.worst == fault.where
    else:
        assert fault.where in f"{broken.worst} {broken.note}"


@pytest.fixture(scope="module")
def climbs_of_classes(tmp_path_factory):
    with Climbs(tmp_path_factory.mktemp("classes"), suite="defects") as found:
        yield found


def test_weighted_classes_are_the_same_model(climbs_of_classes):
    """Of images that show both classes, however rare one of them is."""
    found = climbs_of_classes.verdicts("cnn-weighted")
    assert [verdict for verdict in found if verdict.outcome != "passes"] == []
    assert {verdict.rung for verdict in found} == {
        "structure",
        "forward",
        "gradients",
        "gradcam",
        "optimizer",
        "export",
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_CLASSES)
def test_a_fault_of_classes_breaks_the_ladder_where_it_should(climbs_of_classes, name):
    fault = OF_CLASSES[name]
    broken = first_broken(climbs_of_classes.verdicts(fault.variant, fault=name, highest=fault.rung))
    assert broken is not None, "not seen"
    assert (broken.rung, fault.where in f"{broken.worst} {broken.note}") == (fault.rung, True)


def test_a_side_that_does_not_come_up_breaks_with_its_last_words(climbs):
    with pytest.raises(SideCrashed, match=r"pytorch in float32: .*NoneType"):
        climbs.verdicts("baseline", fault=BUILDS_NOTHING)


def test_there_are_enough_faults():
    assert len(FAULTS) >= 20
    assert {fault.rung for fault in FAULTS.values()} == {
        "structure",
        "forward",
        "gradients",
        "gradcam",
        "state",
        "optimizer",
        "export",
    }


def apart(climbs, fault=""):
    """A bias after ten steps in float32 with the usual betas, 0.9 and 0.999, which are no float32 numbers."""
    usual = Recipe(epochs=100, batch_size=BATCH)
    sides = (
        climbs.of(KERAS, "baseline", recipe=usual, highest="optimizer").side(KERAS),
        climbs.of(PYTORCH, "baseline", fault, usual, "optimizer").side(PYTORCH),
    )
    ours, theirs = (side.single("optimizer/baseline/")["10/dense_2/bias"] for side in sides)
    return np.linalg.norm(ours - theirs) / np.linalg.norm(ours)


def test_adams_corrections_are_rounded_as_kerass_are(climbs):
    """Which the exact constants of the ladder cannot show."""
    assert apart(climbs) < 1e-7  # measured: 2.2e-8
    assert apart(climbs, ROUNDED) > 3e-7  # 5.6e-7
