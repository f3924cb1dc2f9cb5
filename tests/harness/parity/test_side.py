"""What a side says of what it failed at, and the weights that it nudges."""

import json

import numpy as np
import pytest

from harness.parity import side
from harness.parity.side import Climbed, _neighbours, plain


def failing(message):
    def arrays():
        yield "first", np.zeros(3)
        raise ValueError(message)

    return arrays()


def test_a_rung_that_fails_leaves_none_of_its_arrays_and_says_what_failed_and_where(capsys):
    climbed = Climbed()
    climbed.take("forward", "v", failing("shapes do not fit\n\nArguments received:\n  inputs=(3, 4)"))
    climbed.take("state", "v", iter([("mean", np.ones(2))]))
    assert list(climbed.arrays) == ["state/v/mean"]
    told = climbed.broken["forward"]
    assert told.startswith("ValueError: shapes do not fit Arguments received: inputs=(3, 4) (in arrays, test_side.py:")
    assert "Traceback" in capsys.readouterr().err


def test_a_rung_that_a_backend_lacks_is_not_broken():
    climbed = Climbed()

    def arrays():
        raise NotImplementedError("inference only")
        yield

    climbed.take("gradients", "v", arrays())
    assert (climbed.lacks, climbed.broken) == ({"gradients": "inference only"}, {})


def test_the_last_line_of_a_crash_is_what_failed_not_the_end_of_its_message(tmp_path, monkeypatch, capsys):
    """Keras ends its messages with the arguments that it was given."""
    monkeypatch.setattr(side.registry, "backend", failing_backend)
    orders = {
        "backend": "x",
        "device": "cpu",
        "precision": "float32",
        "rungs": ["forward"],
        "steps": [1],
        "stepping": [],
        "variants": [],
    }
    scaling = {"type": "Scaling", "offset": [], "scale": []}
    orders |= {"task": {"input_shape": [1, 1, 1], "targets": [], "units": [], "scaling": scaling}}
    orders |= {"network": {"type": "network", "layers": []}, "given": "", "out": "", "told": ""}
    path = tmp_path / "orders.json"
    path.write_text(json.dumps(orders))
    with pytest.raises(SystemExit) as ended:
        side.carry_out(str(path))
    told = str(ended.value.code)
    assert told.startswith("TypeError: no such layer Arguments received: 3 (in configure, test_side.py:")
    assert "Traceback" in capsys.readouterr().err


def failing_backend(_):
    class Failing:
        @staticmethod
        def configure(*_):
            raise TypeError("no such layer\nArguments received: 3")

    return Failing


def test_a_frameworks_message_is_told_without_colours_and_the_pages_that_follow():
    keras = "When calling Pool.call().\n\n\x1b[1m{{node Pool}} No double\n\t; NodeDef: {{node Pool}}\x1b[0m\n"
    assert plain(keras).split() == ["When", "calling", "Pool.call().", "No", "double"]
    assert plain("It failed.\nNext steps:\n- Read.") == "It failed."
    assert plain("Bad shape\n\nArguments received by Pool.call():\n  x") == "Bad shape"


def test_nudged_weights_are_neighbours_of_the_weights_and_others_each_time():
    weights = {"kernel": np.linspace(-2, 2, 50, dtype=np.float32).reshape(5, 10), "bias": np.zeros(50, np.float32)}
    first, again, second = _neighbours(weights, 0), _neighbours(weights, 0), _neighbours(weights, 1)
    for name, array in weights.items():
        assert first[name].dtype == np.float32
        lower, upper = np.nextafter(array, np.float32(-np.inf)), np.nextafter(array, np.float32(np.inf))
        assert ((first[name] == lower) | (first[name] == upper)).all()
        assert (first[name] == lower).any()
        assert (first[name] == upper).any()
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first[name], second[name])
