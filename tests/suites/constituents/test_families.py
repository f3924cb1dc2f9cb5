"""Families differ by what they are named for, and by nothing else."""

import numpy as np
import pytest
from skimage.measure import label, regionprops_table

from suites.constituents import families
from suites.constituents.families import FAMILIES

SIZE = 96


def drawn(family, count=12):
    return np.stack([FAMILIES[family](np.random.default_rng(seed), SIZE) for seed in range(count)])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_share_that_is_etched_tells_nothing_of_the_family(family):
    masks = drawn(family)
    assert masks.shape == (12, SIZE, SIZE)
    assert set(np.unique(masks)) == {0, 1}
    shares = masks.mean(axis=(1, 2))
    low, high = families.FRACTIONS
    assert low <= shares.min() + 1e-3
    assert shares.max() - 1e-3 <= high
    assert np.ptp(shares) > 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mask_hangs_on_its_seed_alone(family):
    one, same, other = (FAMILIES[family](np.random.default_rng(seed), SIZE) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.1


def elongation(masks):
    """Of particles that touch no edge: the median length over width."""
    found = []
    for mask in masks:
        of = regionprops_table(label(mask), properties=("area", "axis_major_length", "axis_minor_length"))
        large = (of["area"] > 12) & (of["axis_minor_length"] > 0)
        found += list(of["axis_major_length"][large] / of["axis_minor_length"][large])
    return np.median(found)


def test_needles_are_longer_than_spheroids():
    assert elongation(drawn("needles")) > 1.15 * elongation(drawn("spheroids"))


def largest(masks):
    """Share of what is etched that hangs together."""
    return np.mean([np.bincount(label(mask, connectivity=2).ravel())[1:].max() / mask.sum() for mask in masks])


def test_a_network_hangs_together_more_than_particles_do():
    assert largest(drawn("network")) > 1.5 * largest(drawn("spheroids"))


def one_spacing(masks):
    """The largest share of the variance that waves of about one length have, in whatever direction."""
    power = np.abs(np.fft.fft2(masks - masks.mean(axis=(1, 2), keepdims=True))) ** 2
    waves = np.fft.fftfreq(SIZE, 1 / SIZE)
    ring = (np.hypot(waves[:, None], waves) / 3).astype(int).ravel()
    return np.mean([np.bincount(ring, of.ravel()).max() / of.sum() for of in power])


def test_lamellae_have_a_spacing_and_laths_have_widths_of_all_kinds():
    assert one_spacing(drawn("lamellae")) > 1.3 * one_spacing(drawn("laths"))


@pytest.mark.parametrize("family", ["laths", "needles"])
def test_a_second_constituent_has_less_than_half_and_leaves_the_rest_alone(family):
    shares = []
    for seed in range(6):
        found = families.mixed(np.random.default_rng(seed), family, SIZE)
        shares.append(found.second.mean())
        assert set(np.unique(found.mask)) == {0, 1}
    assert max(shares) <= families.LARGEST_SHARE
    assert max(shares) > 0.1
