import os
from pathlib import Path

import pytest

from harness.running.load import Load, observe


def test_others_are_who_was_busy_and_is_not_this_process() -> None:
    before = Load(cores=100, busy=40, stolen=1, own=5)
    after = Load(cores=120, busy=55, stolen=2, own=13)
    assert after.since(before) == pytest.approx((7 / 20, 1 / 20))
    assert before.since(before) is None  # less than a tick has passed


def test_ticks_that_are_counted_late_are_no_negative_share() -> None:
    shares = Load(cores=10, busy=1, stolen=0, own=1.004).since(Load(0, 0, 0, 0))
    assert shares is not None
    assert shares.others == 0


def test_the_load_as_linux_writes_it(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 20 30 800 7 3 5 35 60 2\ncpu0 1 2 3 4 5 6 7 8 9 10\n")  # guests are in user and nice
    second = os.sysconf("SC_CLK_TCK")
    load = observe(stat)
    assert load is not None
    assert load[:3] == pytest.approx((1000 / second, 158 / second, 35 / second))


@pytest.mark.parametrize("text", ["", "\n", "cpu\n", "cpu 1 2 3 4 5 6 7 x\n", "gpu 1 2 3 4 5 6 7 8\n"])
def test_a_system_that_does_not_tell(tmp_path: Path, text: str) -> None:
    assert observe(tmp_path / "no such file") is None
    (tmp_path / "stat").write_text(text)
    assert observe(tmp_path / "stat") is None
