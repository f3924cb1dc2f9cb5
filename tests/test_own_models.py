"""The pages about one's own models and suites, and the Python of the README, do what they say, on smaller jobs."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.command.cli import main
from tests.pages import blocks

DOCS = Path(__file__).parents[1] / "docs"
SMALLER = {
    "run": ["profile=smoke", "backend=classical,pytorch"],
    "parity": ["profile=smoke", "rung=structure", "keep=0"],
}


@pytest.fixture
def islands(tmp_path, monkeypatch):
    """The folder of the page about one's own data, of fewer images."""
    monkeypatch.chdir(tmp_path)
    makes = blocks(DOCS / "own-data.md", "python")[0]
    assert makes.count("range(300)") == 1
    exec(makes.replace("range(300)", "range(90)"), {})
    return tmp_path


@pytest.mark.slow
def test_the_page_about_models(islands):
    page = DOCS / "own-models.md"
    for name, text in zip(("wide.toml", "forest.toml"), blocks(page, "toml"), strict=True):
        assert f"`{name}`" in page.read_text(encoding="utf-8")
        (islands / name).write_text(text)
    (code,) = blocks(page, "python")
    (islands / "models.py").write_text(code)
    commands = [shlex.split(line) for block in blocks(page, "sh") for line in block.splitlines()]
    assert [words[1] for words in commands] == ["run", "parity", "run", "run"]
    for _, command, *words in commands:
        assert main([command, *words, *SMALLER[command]]) == 0, words
    lines = (islands / "mine" / "records" / "own" / "trainings.jsonl").read_text().splitlines()
    records = {record["cell"]["variant"]: record for record in map(json.loads, lines)}
    assert records.keys() == {"wide", "s2-ridge", "models.forest", "models.net", "forest"}
    assert all(record["status"] == "ok" and "onnx" in record for record in records.values())


@pytest.mark.slow
def test_the_page_about_a_suite(tmp_path):
    """As an installed package, whose workers find it as they find any other."""
    page = DOCS / "own-suite.md"
    (code,) = blocks(page, "python")
    (tmp_path / "stripes.py").write_text(code)
    about = tmp_path / "stripes-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stripes\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[cijbench.suites]\nstripes = stripes\n")
    (line,) = (line for block in blocks(page, "sh") for line in block.splitlines())
    command = [sys.executable, "-P", "-m", "cijbench", *shlex.split(line)[1:]]
    installed = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run(command, cwd=tmp_path, env=installed, check=True)
    refused = subprocess.run([*command, "data=."], cwd=tmp_path, env=installed, check=False, stderr=subprocess.PIPE)
    assert b"stripes has data of its own alone" in refused.stderr
    board = (tmp_path / "mine" / "leaderboards" / "stripes.csv").read_text()
    assert board.splitlines()[1].startswith("line,")
    assert "too_wide" in board


@pytest.mark.slow
def test_the_python_of_the_readme(islands, capsys):
    readme = DOCS.parent / "README.md"
    runs, predicts = blocks(readme, "python")
    assert [len(list(filter(None, text.splitlines()))) for text in (runs, predicts)] == [6, 3]
    said = {}
    exec(runs, said)
    assert said["done"] is True
    assert list(said["table"]["variant"])[-1] == "mean"
    exec(predicts, said)
    predicted = said["predicted"]
    assert len(predicted.rows) == 90
    assert predicted.low[0][0] < predicted.rows[0][0] < predicted.high[0][0]
    assert Path("predictions.csv").exists()
