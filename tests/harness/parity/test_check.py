"""`assert_same_model` on the pair of docs/parity.md, as it should be and as it was first ported."""

from pathlib import Path

import pytest

from harness.parity.check import assert_same_model

PAIR = Path(__file__).parents[3] / "docs" / "pair.py"


def keras_model():
    raise AssertionError("functions are not called here")


def torch_model():
    raise AssertionError("functions are not called here")


def my_jax_model():
    raise AssertionError("functions are not called here")


@pytest.mark.parametrize(
    ("first", "second", "kinds"),
    [
        (keras_model, torch_model, ("keras", "torch")),
        (torch_model, keras_model, ("keras", "torch")),
        (torch_model, my_jax_model, ("jax", "torch")),
        (my_jax_model, keras_model, ("keras", "jax")),
    ],
)
def test_functions_come_in_any_order(monkeypatch, first, second, kinds):
    """What is known of the frameworks, as of torch's second bias of an LSTM, is looked for on one side."""
    asked = []
    monkeypatch.setattr("harness.parity.pairs.climb.climb", lambda request: asked.append(request) or ())
    assert assert_same_model(first, second) == []
    assert [(request.ours.kind, request.theirs.kind) for request in asked] == [kinds]


def test_one_function_without_the_other_is_refused_in_words():
    with pytest.raises(TypeError, match=r"assert_same_model\(keras_model\): and the other model\?"):
        assert_same_model(keras_model)


@pytest.mark.slow
@pytest.mark.parity
def test_the_right_port_of_the_documentation_passes():
    verdicts = assert_same_model(PAIR, strict=True)
    assert {verdict.rung: verdict.outcome for verdict in verdicts} == {
        "structure": "passes",
        "forward": "passes",
        "gradients": "passes",
        "state": "differs",
        "optimizer": "differs",
        "export": "passes",
    }


@pytest.mark.slow
@pytest.mark.parity
def test_the_first_port_of_the_documentation_is_told_where_it_is_wrong(tmp_path):
    text = PAIR.read_text()
    wrong = text.replace("        nn.ZeroPad2d((0, 1, 0, 1)),\n", "").replace("stride=2),", "stride=2, padding=1),")
    assert wrong != text
    (tmp_path / "pair.py").write_text(wrong)
    with pytest.raises(AssertionError, match=r"forward +breaks .*conv1 \(0\); it is given the same: padding is same"):
        assert_same_model(tmp_path / "pair.py", rungs="structure,forward")
