"""The shipped specimens are what is said of them."""

import numpy as np

from suites.constituents import specimens
from suites.constituents.families import FAMILIES, LARGEST_SHARE

SHIPPED = specimens.load()


def test_the_first_specimens_made_again_are_the_shipped_ones():
    made = specimens.make(1)
    np.testing.assert_array_equal(made.masks, SHIPPED.masks[: len(FAMILIES)])
    np.testing.assert_array_equal(made.second, SHIPPED.second[: len(FAMILIES)])


def test_there_are_as_many_of_each_family_which_take_turns():
    assert len(SHIPPED.masks) == specimens.OF_EACH * len(FAMILIES)
    np.testing.assert_array_equal(SHIPPED.family[:7], [0, 1, 2, 3, 4, 0, 1])
    assert set(np.bincount(SHIPPED.family)) == {specimens.OF_EACH}
    assert SHIPPED.second.mean(axis=(1, 2)).max() <= LARGEST_SHARE + 1e-4


def test_what_is_saved_is_read(tmp_path, monkeypatch):
    few = specimens.Specimens(*(part[:10] for part in SHIPPED))
    specimens.save(tmp_path / "few.npz", few)
    monkeypatch.setattr(specimens, "_file", lambda: tmp_path / "few.npz")
    for read, saved in zip(specimens.load(), few, strict=True):
        np.testing.assert_array_equal(read, saved)


def test_a_micrograph_shows_its_mask_in_a_session_of_its_own():
    contrasts = []
    for number in range(8):
        mask = SHIPPED.masks[number]
        gray = specimens.photographed(mask, number).astype(float)
        np.testing.assert_array_equal(gray, specimens.photographed(mask, number))
        contrasts.append(gray[mask == 1].mean() - gray[mask == 0].mean())
    assert min(contrasts) > 5
    assert max(contrasts) > 2 * min(contrasts)
