"""Sides that are not computed again, because nothing that their numbers depend on has changed."""

import os
import shutil
import sys

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.parity import kept, side
from harness.parity.kept import Kept
from harness.parity.sides import Sides
from tests.harness.parity.test_sides import BETWEEN, a_group, begin

KEY, OTHER, THIRD = "a" * 64, "b" * 64, "c" * 64

COMPUTING = """
import json, pathlib, sys
import numpy as np
from safetensors.numpy import save_file
orders = json.loads(pathlib.Path(sys.argv[1]).read_text())
save_file({"forward//x": np.zeros(3)}, orders["out"])
pathlib.Path(orders["told"]).write_text(sys.argv[2])
with open(sys.argv[3], "a") as log:
    log.write(orders["backend"] + " " + orders["precision"] + "\\n")
print('{"peak_gib": 0.1}')
"""


class Counting(Sides):
    """Sides that write down that they were computed."""

    told, log = "{}", ""

    def command(self, orders):
        return [sys.executable, "-c", COMPUTING, str(orders), self.told, str(self.log)]


def computed(tmp_path, gib=1.0, told="{}", seed=0):
    """Which sides were computed, of a climb with whatever earlier ones have left in `tmp_path`."""
    log = tmp_path / "log"
    log.write_text("")
    home = tmp_path / "home"
    home.mkdir()
    with Counting(home, BETWEEN, 2, Kept(tmp_path / "kept", gib) if gib else None) as sides:
        sides.told, sides.log = told, log
        climb = sides.start(a_group(tmp_path), seed, begin("baseline", seed))
        for framework in BETWEEN:
            np.testing.assert_array_equal(climb.side(framework).single("forward//")["x"], np.zeros(3))
        climb.delete()
    assert not any(any(path.iterdir()) for path in home.iterdir() if path.is_dir())
    shutil.rmtree(home)
    return sorted(log.read_text().split("\n")[:-1])


ALL = ["keras float32", "keras float64", "pytorch float32", "pytorch float64"]


def test_what_has_not_changed_is_not_computed_again(tmp_path):
    assert computed(tmp_path) == ALL
    assert computed(tmp_path) == []


def test_a_side_whose_code_changed_is_computed_again_alone(tmp_path, monkeypatch):
    computed(tmp_path)
    source = kept.source_of_side
    monkeypatch.setattr(kept, "source_of_side", lambda name: source(name) + "!" * (name == "pytorch"))
    assert computed(tmp_path) == ["pytorch float32", "pytorch float64"]


def test_other_weights_and_images_are_computed(tmp_path):
    computed(tmp_path)
    assert computed(tmp_path, seed=1) == ALL


def test_what_another_command_computed_is_another_side(tmp_path):
    """As a planted fault is, whose code is not the house's."""
    computed(tmp_path)
    assert computed(tmp_path, told='{"layers": []}') == ALL


def test_a_side_that_failed_at_a_rung_is_tried_again(tmp_path):
    broken = '{"broken": {"forward": "no memory, perhaps"}}'
    assert computed(tmp_path, told=broken) == ALL
    assert computed(tmp_path, told=broken) == ALL


def test_with_keep_0_nothing_is_kept(tmp_path):
    assert computed(tmp_path, gib=0) == ALL
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("suffix", kept.SUFFIXES)
def test_half_a_file_is_computed_again(tmp_path, suffix):
    computed(tmp_path)
    for path in (tmp_path / "kept").glob(f"*{suffix}"):
        path.write_bytes(path.read_bytes()[:-3])
    assert computed(tmp_path) == ALL
    assert computed(tmp_path) == []


def a_side(folder, size):
    """Files of a side with `size` bytes of arrays; where they are."""
    folder.mkdir(exist_ok=True)
    save_file({"x": np.zeros(size, np.uint8)}, folder / "side.safetensors")
    (folder / "side.json").write_bytes(msgspec.json.encode(side.Told()))
    return folder / "side"


def test_the_oldest_that_this_climb_has_not_used_makes_room(tmp_path):
    room = 2500 / 2**30
    mine = a_side(tmp_path / "mine", 800)
    before = Kept(tmp_path / "kept", room)
    for age, key in ((200, KEY), (100, OTHER)):
        before.keep(key, mine)
        for path in (tmp_path / "kept").glob(f"{key}*"):
            os.utime(path, (1e9 - age, 1e9 - age))
    now = Kept(tmp_path / "kept", room)
    assert now.find(KEY)
    now.keep(THIRD, mine)
    assert [bool(Kept(tmp_path / "kept", room).find(key)) for key in (KEY, OTHER, THIRD)] == [True, False, True]
    now.keep(OTHER, mine)  # for which there is no room, because all that is there was used
    assert [bool(Kept(tmp_path / "kept", room).find(key)) for key in (KEY, OTHER, THIRD)] == [True, False, True]
