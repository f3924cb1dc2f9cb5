"""The suite's question: its split, figures and models, and what it refuses."""

import msgspec
import numpy as np
import pytest

from harness import registry
from harness.command.cli import main
from harness.errors import BenchError, Unavailable
from harness.model.variants import Encoding
from harness.protocol import Dataset
from harness.running.plan import Request, plan
from harness.running.view import view
from suites.films.crystal import SILICON, as_facts, parse_crystal
from suites.films.encodings import Bounds
from tests.suites.films.test_encodings import films

COPPER = parse_crystal("copper")
SUITE = registry.suite("polysilicon")
NAMED = {variant.name: variant for variant in SUITE.VARIANTS}


def a_dataset(counts=(40, 10), size=16, noise=0.1):
    """Films whose modulus is Hill's estimate and a little noise, of as many kinds as there are counts."""
    count = sum(counts)
    images = films(count, size)
    moduli = Bounds(SILICON).moduli(images).mean(axis=1, keepdims=True)
    moduli += noise * np.random.default_rng(1).normal(size=(count, 1))
    kinds = tuple(f"L/s_g {4 + 2 * kind}" for kind, times in enumerate(counts) for _ in range(times))
    names = tuple(map(str, range(count)))
    return Dataset("made", images, moduli, ("E1",), ("GPa",), names, kinds, facts=as_facts(SILICON))


DATA = a_dataset()


def test_the_first_kind_is_split_and_the_others_are_tests():
    split = SUITE.split(DATA)
    assert list(split.tests) == ["ratio-4", "ratio-6"]
    assert [len(part) for part in split.parts.values()] == [28, 6, 6, 10]
    assert split.tests["ratio-6"].tolist() == list(range(40, 50))
    assert sorted(np.concatenate([split.train, split.validation, split.test]).tolist()) == list(range(40))
    assert split.leaks(DATA) == []


def test_a_data_set_without_kinds_has_one_test():
    assert list(SUITE.split(msgspec.structs.replace(DATA, kinds=())).tests) == ["test"]


def test_too_few_films_are_refused():
    with pytest.raises(BenchError, match="too few"):
        SUITE.split(a_dataset((3, 10)))


# --- figures --------------------------------------------------------------------------------------------------------


def figures(predictions, data=DATA):
    return SUITE.measure(predictions, data.targets, data.images, data.facts)


def test_a_perfect_prediction_and_the_mean():
    found = figures(DATA.targets)
    assert (found["mape"], found["sd_error"], found["skill_over_line"]) == (0, 0, 1)
    mean = figures(np.full_like(DATA.targets, DATA.targets.mean()))
    assert mean["sd_error"] == mean["sd_error_low"] == mean["sd_error_high"] == 100
    assert mean["skill_over_line"] < -1


def test_the_best_line_has_no_skill_over_itself_and_no_line_has_more():
    estimates = np.column_stack([Bounds(SILICON).moduli(DATA.images), np.ones(len(DATA.images))])
    best = np.linalg.lstsq(estimates, DATA.targets)[0]
    assert figures(estimates @ best)["skill_over_line"] == pytest.approx(0, abs=1e-9)
    assert figures(estimates @ (best + np.array([[0.1], [-0.1], [0.0]])))["skill_over_line"] < 0


def test_the_line_is_that_of_the_films_and_crystal_at_hand_whatever_was_measured_before():
    of_copper = msgspec.structs.replace(DATA, facts=as_facts(COPPER))
    for shift in range(10):  # more films than are kept
        images = (DATA.images + shift / 20) % 1
        for data, crystal in ((DATA, SILICON), (of_copper, COPPER)):
            line = np.column_stack([Bounds(crystal).moduli(images), np.ones(len(images))])
            best = line @ np.linalg.lstsq(line, data.targets)[0]
            found = SUITE.measure(best, data.targets, images, data.facts)
            assert found["skill_over_line"] == pytest.approx(0, abs=1e-9)


def test_twice_the_scatter_is_an_error_of_100_percent_within_its_interval():
    mean = DATA.targets.mean()
    found = figures(mean + 2 * (DATA.targets - mean))
    assert found["sd_error"] == pytest.approx(100)
    noisy = figures(DATA.targets + np.random.default_rng(0).normal(size=DATA.targets.shape))
    assert noisy["sd_error_low"] < noisy["sd_error"] < noisy["sd_error_high"]


def test_without_a_crystal_there_is_no_line():
    assert "skill_over_line" not in figures(DATA.targets, msgspec.structs.replace(DATA, facts={}))


@pytest.mark.parametrize("count", [1, 3, 9])
def test_a_few_films_have_no_scatter_and_no_line(count):
    """Three parameters of a line go through three films whatever they are."""
    rows = slice(count)
    found = SUITE.measure(DATA.targets[rows] + 1, DATA.targets[rows], DATA.images[rows], DATA.facts)
    assert set(found) == {"mape"}


def test_films_that_are_all_alike_do_not_scatter_and_those_on_a_line_leave_nothing():
    for value in (160.0, 158.3):  # whose standard deviation is 0, and not 0 but rounding
        alike = np.full_like(DATA.targets, value)
        assert set(SUITE.measure(alike + 1, alike, DATA.images, DATA.facts)) == {"mape"}
    alike[0] = 159.0  # so that many resamples are all alike
    assert SUITE.measure(alike + 1, alike, DATA.images, DATA.facts)["sd_error_high"] <= 100
    on_line = Bounds(SILICON).moduli(DATA.images)[:, :1]
    found = SUITE.measure(on_line + 1, on_line, DATA.images, DATA.facts)
    assert set(found) == {"mape", "sd_error", "sd_error_low", "sd_error_high"}


def test_every_figure_is_described():
    assert set(figures(DATA.targets)) == {metric.key for metric in SUITE.METRICS}


# --- models ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED)
def test_every_variant_can_see_a_film(name):
    variant = NAMED[name]
    data = a_dataset((40,), size=16)
    met = view(SUITE, data, SUITE.split(data), variant.encoding, variant.decoding)
    assert len(met.met.images) == len(met.met.targets) == 40
    assert np.isfinite(met.met.images).all()


def test_without_a_crystal_what_needs_none_can_see_films_all_the_same():
    data, blind = msgspec.structs.replace(a_dataset((40,)), facts={}), set()
    for name, variant in NAMED.items():
        try:
            view(SUITE, data, SUITE.split(data), variant.encoding, variant.decoding)
        except Unavailable:
            blind.add(name)
    assert blind == {"voigt", "reuss", "hill", "line", "hill-net"}


def test_few_originals_are_an_eighth_with_as_many_steps():
    few, many = NAMED["few-originals"], NAMED["many-originals"]
    assert few.architecture == many.architecture
    assert few.originals * 8 == 840
    steps = [-(-count // variant.recipes[0].batch_size) for count, variant in ((105, few), (840, many))]
    assert steps == [27, 27]


def test_the_three_ways_to_train_on_few_differ_in_how_they_are_moved_alone():
    ways = [NAMED[name] for name in ("few-originals", "few-copied", "few-moved")]
    assert [way.recipes[0].augmented for way in ways] == [False, ("picture",), True]
    assert len({msgspec.structs.replace(way.recipes[0], augmented=False) for way in ways}) == 1


def test_what_is_asked_is_about_variants_that_there_are():
    assert {name for item in SUITE.COMPARISONS for name in (item.variant, item.other)} <= set(NAMED)
    assert all(comparison.question.endswith("?") for comparison in SUITE.COMPARISONS)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_unknown_encodings_are_refused(kind):
    with pytest.raises(BenchError, match="did you mean"):
        getattr(SUITE, kind)(Encoding("wave" if kind == "encoder" else "from-hil"), DATA)


# --- a user's own films ---------------------------------------------------------------------------------------------


def test_films_are_made_checked_and_planned(tmp_path, capsys):
    folder = tmp_path / "films"
    assert main(["data", "make", "suite=polysilicon", "n=24", "ratio=2", "crystal=copper", f"out={folder}"]) == 0
    assert "24 films" in capsys.readouterr().out
    assert main(["data", "check", "suite=polysilicon", f"data={folder}"]) == 0
    assert SUITE.load(folder, {}).facts == {"crystal": "copper"}
    capsys.readouterr()
    assert main(["run", f"data={folder}", "dry=true", "variant=mean", f"results={tmp_path / 'r'}"]) == 0
    told = f"data={folder}: used for suite polysilicon, whose question it fits; suite=own takes it, too"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ratio=0.5"], "ratio"),
        (["ratio=1"], "grain"),
        (["ratio=1.5"], "ratio=1.5: a film has 4 grains at least: choose 2 or more"),  # check refused what make made
        (["ratio=four"], "must be a number"),
        (["crystal=silcon"], "did you mean 'silicon'"),
        (["crystal=1,2,3"], "unstable"),
        (["unit=GPq"], "GPq"),
    ],
)
def test_films_that_cannot_be_made_are_refused_before_the_work(tmp_path, capsys, words, told):
    assert main(["data", "make", "suite=polysilicon", "n=3", *words, f"out={tmp_path / 'films'}"]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "films").exists()


def test_no_films_are_no_data_set(tmp_path, capsys):
    assert main(["data", "make", "suite=polysilicon", "n=0", f"out={tmp_path / 'films'}"]) == 2
    assert "n=0" in capsys.readouterr().err


def test_a_crystal_describes_a_users_own_films():
    with pytest.raises(BenchError, match="give data= too"):
        SUITE.load(None, {"crystal": "silicon"})


def test_the_standard_profile_has_every_variant():
    cells = plan("polysilicon", Request(("polysilicon",), profile="standard")).cells
    assert {cell.variant for cell in cells} == set(NAMED)
