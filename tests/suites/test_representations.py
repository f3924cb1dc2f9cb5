"""The images are the shipped ones, split as said, and every encoding is there."""

from collections import Counter

import msgspec
import numpy as np
import pytest

from harness import registry
from harness.errors import BenchError
from harness.running.data import split_of
from suites import representations
from suites.microstructure import dataset, generators

SUITE = registry.suite("representations")
DATA = SUITE.load(None, {})
SPLIT = SUITE.split(DATA)


def test_the_first_images_made_again_are_the_shipped_ones():
    made = dataset.make(msgspec.structs.replace(representations.PARAMETERS, count=5))
    np.testing.assert_array_equal(made.images, DATA.images[:5])
    np.testing.assert_allclose(made.targets, DATA.targets[:5], rtol=1e-6)
    assert DATA.facts == made.facts


def test_each_part_has_as_many_of_each_family():
    assert [len(rows) for rows in SPLIT.parts.values()] == [2000, 300, 300]
    for rows in SPLIT.parts.values():
        assert set(Counter(np.array(DATA.kinds)[rows].tolist()).values()) == {len(rows) // 5}
    assert SPLIT.leaks(DATA) == []


@pytest.mark.parametrize("family", generators.FAMILIES)
def test_a_family_may_be_left_to_a_test_of_its_own(family):
    dataset = SUITE.load(None, {"without": family})
    split = split_of(SUITE, dataset)
    assert {name: len(rows) for name, rows in split.parts.items()} == {
        "train": 1600, "validation": 240, "test": 240, "unseen": 520
    }  # fmt: skip
    for name, rows in split.parts.items():
        assert (family in np.array(dataset.kinds)[rows]) == (name == "unseen")
    assert set(np.array(dataset.kinds)[split.tests["unseen"]]) == {family}
    # The other families stay where they are without it, each image with its own constants.
    place = {name: row for row, name in enumerate(DATA.ids)}
    rows = [place[name] for name in dataset.ids]
    assert set(rows) == set(range(len(DATA.ids)))
    np.testing.assert_array_equal(dataset.targets, DATA.targets[rows])
    np.testing.assert_array_equal(dataset.images[::97], DATA.images[rows[::97]])
    for name, part in SPLIT.parts.items():
        assert {place[dataset.ids[row]] for row in split.parts[name]} <= set(part.tolist())
    assert dataset.fingerprint() != DATA.fingerprint()  # so that no row is mixed with one of all families


def test_a_family_that_is_none_is_refused():
    with pytest.raises(BenchError, match=r"without=voronoy: unknown family.*voronoi.*known are disks, "):
        SUITE.load(None, {"without": "voronoy"})


def test_no_image_is_in_another_suites_data():
    seen = {image.tobytes() for image in DATA.images}
    assert not seen & {image.tobytes() for name in ("elasticity", "contrast100") for image in dataset.load(name).images}


@pytest.mark.parametrize("variant", SUITE.VARIANTS, ids=lambda variant: variant.name)
def test_encodings_make_of_an_image_what_hangs_on_it_alone(variant):
    if variant.encoding is None:
        return
    encoder = SUITE.encoder(variant.encoding, DATA)
    encoder.fit(DATA.images[:60])
    together = encoder.encode(DATA.images[:6])
    alone = np.concatenate([encoder.encode(DATA.images[number : number + 1]) for number in range(6)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.isfinite(together).all()


def test_both_cnns_have_as_many_parameters_and_see_different_things():
    named = {variant.name: variant for variant in SUITE.VARIANTS}
    assert named["cnn-s2"].architecture == named["cnn-pixels"].architecture
    assert named["cnn-s2"].encoding != named["cnn-pixels"].encoding
