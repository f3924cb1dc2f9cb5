"""The pairs of keras.applications and torchvision that docs/parity-evidence.md names are the same models."""

from pathlib import Path

import pytest

from tests.parity.pairs.test_asked import climb

pytestmark = pytest.mark.parity

ZOO = Path(__file__).parents[3] / "docs" / "zoo"
QUICKEST = "mobilenet_v3_small"
MODELS = sorted(path.stem for path in ZOO.glob("*.py") if path.stem != "in_torch")


@pytest.mark.parametrize(
    "model", [pytest.param(name, marks=pytest.mark.slow if name == QUICKEST else pytest.mark.long) for name in MODELS]
)
def test_models_of_the_zoos_are_the_same_where_they_are_set_alike(pairs, model):
    verdicts = climb(pairs, ZOO / f"{model}.py", rungs=("structure", "forward"))
    assert {(verdict.rung, verdict.outcome) for verdict in verdicts} == {("structure", "passes"), ("forward", "passes")}


@pytest.mark.slow
def test_another_epsilon_in_a_model_of_a_zoo_is_found(pairs, tmp_path):
    for name in ("in_torch", QUICKEST):
        text = (ZOO / f"{name}.py").read_text(encoding="utf-8")
        (tmp_path / f"{name}.py").write_text(text.replace("num_classes=7), 1e-3", "num_classes=7), 1e-5"))
    verdicts = climb(pairs, tmp_path / f"{QUICKEST}.py", rungs=("forward",))
    assert any("epsilon is 0.001 in keras, 1e-05 in torch" in one.note for one in verdicts if one.outcome == "breaks")
