import pytest
from PIL import Image

from harness import leaderboard
from harness.errors import BenchError
from harness.picture import draw
from harness.records import Store
from tests.harness.examples import a_cell, a_failure, a_latency, a_record


def test_draws_every_row_that_has_a_score(tmp_path):
    store = Store(tmp_path, "elasticity")
    for name, error in (("good", 0.5), ("poor", 50.0)):
        record = a_record(a_cell(variant=name), error=error)
        store.append(record)
        store.append(a_latency(record))
    store.append(a_failure(a_cell(variant="fails")))
    picture = draw(leaderboard.write(tmp_path, "elasticity"), tmp_path / "docs" / "elasticity.png", "elasticity")
    with Image.open(picture) as image:
        assert min(image.size) > 300
        assert len(image.getcolors(2**24)) > 10


def test_nothing_to_draw_is_said(tmp_path):
    Store(tmp_path, "elasticity").append(a_failure())
    with pytest.raises(BenchError, match="no row has a score"):
        draw(leaderboard.write(tmp_path, "elasticity"), tmp_path / "x.png", "elasticity")
