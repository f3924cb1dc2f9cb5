import pandas as pd
import pytest

from harness import registry
from harness.command.cli import main
from harness.parity.sides import Sides


def bench(tmp_path, *words):
    return main(["parity", "variant=baseline", "profile=smoke", f"results={tmp_path}", *words])


@pytest.mark.slow
@pytest.mark.parity
def test_a_clean_climb_exits_0_and_leaves_its_files(tmp_path, capsys):
    words = ["rung=structure,forward", f"junit={tmp_path / 'j.xml'}", f"markdown={tmp_path / 'p.md'}", "strict=true"]
    assert bench(tmp_path, *words) == 0
    told = capsys.readouterr().out
    assert "2 rungs: 2 pass, 0 break, 0 skipped" in told
    table = pd.read_csv(tmp_path / "parity.csv")
    assert table.outcome.tolist() == ["passes"] * 3
    assert (tmp_path / "j.xml").exists()
    assert (tmp_path / "p.md").read_text().startswith("### Parity of keras,pytorch")


@pytest.mark.slow
@pytest.mark.parity
def test_any_two_backends(tmp_path, capsys):
    """Keras on torch against torch itself: the same kernels, reached in two ways."""
    assert (
        bench(tmp_path, "between=keras/torch,pytorch", "rung=structure,forward,gradients,optimizer", "strict=true") == 0
    )
    assert "4 rungs: 4 pass" in capsys.readouterr().out


def test_a_missing_framework_is_skipped_and_with_strict_a_failure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(registry, "missing", lambda name, engine="": ("torch",) if name == "pytorch" else ())
    assert bench(tmp_path, "rung=forward") == 0
    assert "pytorch: torch not installed" in capsys.readouterr().out
    assert bench(tmp_path, "rung=forward", "strict=true") == 1
    assert pd.read_csv(tmp_path / "parity.csv").outcome.tolist() == ["skipped"]


def test_a_side_that_crashes_breaks_every_rung(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Sides, "command", lambda self, orders: ["false"])
    assert bench(tmp_path, "rung=structure,forward") == 1
    assert "2 rungs: 0 pass, 2 break" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("rung=gradient", "did you mean 'gradients'"),
        ("variant=basline", "did you mean 'baseline'"),
        ("between=keras,torch", "unknown backend 'torch'"),
        ("rung=training", "none of these variants has this rung in profile=smoke"),
        ("suite=elastisity", "did you mean 'elasticity'"),
        ("seeds=one", "whole numbers"),
    ],
)
def test_what_cannot_be_climbed_is_refused(tmp_path, capsys, word, told):
    words = [word] if not word.startswith("variant") else []
    arguments = ["parity", "profile=smoke", f"results={tmp_path}", *(words or [word])]
    assert main(arguments) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "parity.csv").exists()
