"""A user's own variants on the ladder."""

import pytest

from harness.errors import BenchError
from harness.parity.climb import climb
from harness.parity.subjects import ClimbRequest, frameworks, standing_for, subjects
from harness.registry import suite
from harness.running.chosen import chosen

NETWORK = '[architecture]\ntype = "network"\nlayers = [{type = "Flatten"}, {type = "Dense", units = 0}]\n'


def climbing(tmp_path, variants, suite_name="elasticity"):
    between = frameworks("keras,pytorch")
    request = ClimbRequest(
        suite_name, between, variants, ("structure",), "smoke", (0,), tmp_path / "results", workers=1
    )
    return list(climb(request))


def test_it_climbs_for_itself(tmp_path):
    (tmp_path / "mine.toml").write_text(NETWORK.replace("units = 0", "units = 9"))
    (item,) = chosen("elasticity", str(tmp_path / "mine.toml"))
    elasticity = suite("elasticity")
    assert subjects(elasticity, [item.variant])[-1] == item.variant
    assert standing_for(elasticity, [item.variant])["mine"] == "mine"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'architecture = {type = "imported", path = "a.b:Net"}',
            "is code of one framework. Two models of your own",
        ),
        ('architecture = {type = "estimator", method = "ridge"}', "climbs only as a network that is given the image"),
        ('encoding = {name = "cubic"}\n' + NETWORK, "climbs only as a network that is given the image itself"),
        (NETWORK.replace("units = 0", "units = 3"), r"gives \(3,\) numbers for an image, and 9 are asked for"),
    ],
)
def test_what_cannot_climb_says_why(tmp_path, text, told):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(BenchError, match=told):
        climbing(tmp_path, str(tmp_path / "mine.toml"))


def test_every_subject_can_be_asked_for_by_its_name(tmp_path, monkeypatch):
    """As tables call it: with its norms frozen a variant has a name of its own."""
    monkeypatch.setattr("harness.registry.missing", lambda name, engine="": ("torch",) if name == "pytorch" else ())
    names = [subject.name for subject in subjects(suite("elasticity"))]
    assert "resnet50-fine-tuned-frozen-norms" in names
    for name in names:
        assert [verdict.variant for (verdict,) in climbing(tmp_path, name)] == [name]


def test_a_suite_without_data_names_those_that_have_some(tmp_path):
    with pytest.raises(BenchError, match=r"suite=own: has no data to climb with: choose contrast100, .*elasticity"):
        climbing(tmp_path, "baseline", "own")
