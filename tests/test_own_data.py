"""The page about one's own data does what it says, on a smaller job."""

import csv
import shlex
from pathlib import Path

import pytest

from harness.command.cli import main
from tests.pages import blocks

PAGE = Path(__file__).parents[1] / "docs" / "own-data.md"
SMALLER = {
    "run": ["profile=smoke", "variant=mean,gray-levels,s2-ridge", "backend=classical"],
    "report": ["profile=smoke"],
}


@pytest.mark.slow
def test_the_page_from_a_folder_to_predictions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    makes, predicts, alone = blocks(PAGE, "python")
    exec(makes, {})
    commands = [shlex.split(line) for block in blocks(PAGE, "sh") for line in block.splitlines()]
    assert [words[1] for words in commands] == ["data", "run", "report", "predict"]
    for bench, command, *words in commands:
        assert bench == "bench"
        smaller = SMALLER.get(command, [])
        keys = {word.partition("=")[0] for word in smaller}
        kept = [word for word in words if word.partition("=")[0] not in keys]
        assert main([command, *kept, *smaller]) == 0, command
    with Path("predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 300
    assert all(float(row["size_px_low_90"]) < float(row["size_px"]) < float(row["size_px_high_90"]) for row in rows)
    assert (tmp_path / "mine" / "report" / "own" / "report.md").exists()
    exec(predicts, {})
    assert Path("again.csv").read_text() == Path("predictions.csv").read_text()
    told = {}
    exec(alone, told)
    first = next(row for row in rows if row["image"] == "0.png")
    assert told["names"] == ["size", "share"]
    for place, head in enumerate(("size_px", "share")):
        value, width = told["answer"][place], told["half"][place]
        assert [float(first[f"{head}{end}"]) for end in ("_low_90", "", "_high_90")] == pytest.approx(
            [value - width, value, value + width], rel=1e-5
        )
