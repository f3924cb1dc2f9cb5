"""docs/export.py, as users copy it: what it exports is what it trained, and what was exported before is not."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.foreign import Source
from harness.parity.pairs.climb import PairRequest
from harness.parity.pairs.graphs import Graphs
from harness.running.guard import Limits

DOCS = Path(__file__).parents[4] / "docs"


@pytest.mark.slow
@pytest.mark.parity
def test_the_export_of_the_documentation_passes_and_an_earlier_one_does_not(tmp_path):
    for name in ("pair.py", "export.py"):
        (tmp_path / name).write_text((DOCS / name).read_text())
    text = (tmp_path / "export.py").read_text()
    early = 'model(images[:1])\nmodel.export("early.onnx", format="onnx", verbose=False)\nmodel.fit('
    assert text.count("model.fit(") == 1
    (tmp_path / "export.py").write_text(text.replace("model.fit(", early))
    subprocess.run([sys.executable, "export.py"], cwd=tmp_path, check=True, capture_output=True)
    ours = Source("keras", str(tmp_path / "net.keras"))
    found = {}
    with Graphs(ours, Source("onnx", ""), Limits()) as graphs:
        for name in ("net", "early"):
            theirs = Source("onnx", str(tmp_path / f"{name}.onnx"))
            found[name] = [verdict for each in graphs.climb(PairRequest(name, ours, theirs)) for verdict in each]
    assert [verdict.outcome for verdict in found["net"]] == ["passes", "passes"]
    assert found["net"][0].note.endswith("in onnx are 4 equal, 2 transposed, 4 folded")
    assert [verdict.outcome for verdict in found["early"]] == ["breaks", "breaks"]
    assert "conv2/kernel is" in found["early"][0].note
    assert "transposed (3, 2, 0, 1), apart by" in found["early"][0].note
