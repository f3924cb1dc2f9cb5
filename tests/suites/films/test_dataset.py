import msgspec
import numpy as np
import pytest

from harness.errors import BenchError
from suites.films import dataset
from suites.films.crystal import COPPER, SILICON, Crystal, crystal_of, estimates
from suites.films.dataset import SHIPPED, Parameters
from suites.films.tessellation import draw_film, grains
from tests.suites.films.examples import shipped

RATIOS = (4, 6, 10)


def of_ratio(ratio):
    return shipped().ratios == ratio


def estimated(rows):
    films = [shipped().films[row] for row in rows]
    found = [
        estimates(SILICON, film.degrees, np.bincount(grains(film, 128).ravel(), minlength=len(film.angles)) / 128**2)
        for film in films
    ]
    return np.array(found)


def test_the_shipped_films_are_what_is_promised():
    stored = shipped()
    assert len(stored.films) == 1800
    assert [int(of_ratio(ratio).sum()) for ratio in RATIOS] == [1200, 300, 300]
    assert stored.crystal == SILICON
    assert [len(film.seeds) for film in stored.films[::300]] == [16, 16, 16, 16, 36, 100]
    assert np.isfinite(stored.constants).all()
    for ratio in RATIOS:
        bounded = np.isfinite(stored.upper[of_ratio(ratio)])
        assert bounded[:200].all()
        assert not bounded[200:].any()
    np.testing.assert_array_equal(np.isfinite(stored.lower), np.isfinite(stored.upper))
    assert dataset._file().stat().st_size < 2_000_000


def test_the_shipped_file_holds_no_pickle():
    with np.load(dataset._file(), allow_pickle=False) as stored:
        assert {name: stored[name].dtype.kind for name in stored} == {
            **dict.fromkeys(("grains", "seeds", "angles", "crystal"), "u"),
            **dict.fromkeys(("ratios", "constants", "bounds"), "f"),
        }


@pytest.mark.parametrize("step", [300, pytest.param(20, marks=pytest.mark.slow)])
def test_shipped_labels_are_those_of_the_shipped_films(step):
    stored = shipped()
    for row in range(0, 1800, step):
        bounded = bool(np.isfinite(stored.upper[row]))
        expected = [*stored.constants[row], stored.lower[row], stored.upper[row]]
        np.testing.assert_allclose(dataset.label(stored.films[row], SILICON, bounded), expected, rtol=2e-6)


def test_shipped_films_are_drawn_again_bit_for_bit():
    first = 0
    for parameters in SHIPPED:
        for index in range(0, parameters.count, 25):
            drawn, stored = draw_film(parameters.ratio, parameters.seed, index), shipped().films[first + index]
            np.testing.assert_array_equal(drawn.seeds, stored.seeds)
            np.testing.assert_array_equal(drawn.angles, stored.angles)
        first += parameters.count


def test_labels_are_rounded():
    np.testing.assert_array_equal(np.round(shipped().constants[:, :3], 4), shipped().constants[:, :3])
    np.testing.assert_array_equal(np.round(shipped().constants[:, 3], 6), shipped().constants[:, 3])


def test_every_modulus_lies_within_its_bounds():
    stored = shipped()
    known = np.isfinite(stored.upper)
    e1 = stored.constants[known, 0]
    assert (stored.lower[known] < e1).all()
    assert (e1 < stored.upper[known]).all()
    rows = np.flatnonzero(known)[::10]
    voigt, reuss, _, _ = estimated(rows).T
    assert (reuss < stored.lower[rows]).all()
    assert (stored.upper[rows] < voigt).all()


def test_e2_is_e1_in_every_film():
    """Cubic crystals with one axis along x3 share the plane bulk modulus: C11 = C22, whatever the grains."""
    np.testing.assert_allclose(shipped().constants[:, 1], shipped().constants[:, 0], atol=1.01e-4)


def test_scatter_falls_as_one_over_the_size():
    e1 = shipped().constants[:, 0]
    scatter = {ratio: e1[of_ratio(ratio)].std() / e1[of_ratio(ratio)].mean() for ratio in RATIOS}
    assert 0.02 < scatter[4] < 0.028
    for ratio in (6, 10):
        assert scatter[ratio] * ratio == pytest.approx(scatter[4] * 4, rel=0.15)


def test_the_gap_between_the_bounds_shrinks_with_the_size():
    stored = shipped()
    gap = (stored.upper - stored.lower) / stored.constants[:, 0]
    means = [np.nanmean(gap[of_ratio(ratio)]) for ratio in RATIOS]
    assert means[0] > means[1] > means[2] > 0


def test_a_line_in_voigts_and_reusss_estimates_explains_nearly_all():
    rows = np.arange(0, 1800, 6)
    voigt, reuss, _, mean = estimated(rows).T
    e1 = shipped().constants[rows, 0]
    for stiff in (voigt, mean):
        line = np.stack([stiff, reuss, np.ones(len(rows))], axis=1)
        residual = e1 - line @ np.linalg.lstsq(line, e1, rcond=None)[0]
        assert 1 - residual.var() / e1.var() > 0.99


@pytest.mark.slow
def test_the_shipped_data_set_is_ready_for_a_suite(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told = []
    loaded = dataset.load(lambda done, of: told.append((done, of)))
    assert told[-1] == (1800, 1800)
    assert loaded.images.shape == (1800, 128, 128, 1)
    assert loaded.targets.shape == (1800, 1)
    assert (loaded.target_names, loaded.units, len(loaded.ids)) == (("E1",), ("GPa",), 1800)
    assert {kind: loaded.kinds.count(kind) for kind in set(loaded.kinds)} == {
        "L/s_g 4": 1200,
        "L/s_g 6": 300,
        "L/s_g 10": 300,
    }
    assert crystal_of(loaded.facts) == SILICON
    assert len(np.unique(loaded.images, axis=0)) == 1800
    assert dataset.load().fingerprint() == loaded.fingerprint()


# --- made here -------------------------------------------------------------------------------------------------------


def test_a_larger_set_begins_with_the_smaller_one():
    small, large = (dataset.make(Parameters(count=count, seed=3, ratio=2)) for count in (2, 4))
    np.testing.assert_array_equal(large.images[:2], small.images)
    np.testing.assert_array_equal(large.targets[:2], small.targets)
    assert small.kinds == ("L/s_g 2",) * 2


@pytest.mark.parametrize("other", [{"seed": 1}, {"ratio": 3.0}, {"crystal": COPPER}])
def test_parameters_change_the_data(other):
    base = Parameters(count=2, ratio=2)
    changed = dataset.make(msgspec.structs.replace(base, **other))
    assert changed.fingerprint() != dataset.make(base).fingerprint()


def test_two_processes_make_what_one_makes_and_it_is_read_back(tmp_path):
    parameters = [Parameters(3, ratio=2, bounded=1), Parameters(2, ratio=3)]
    told = []
    one, two = (dataset.make_films(parameters, lambda *at: told.append(at), processes) for processes in (1, 2))
    assert told == [(5, 5), (5, 5)]
    dataset.save(tmp_path / "one.npz", one)
    dataset.save(tmp_path / "two.npz", two)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    read = dataset.read(tmp_path / "one.npz")
    np.testing.assert_array_equal(read.constants, one.constants)
    np.testing.assert_array_equal(read.upper, one.upper)
    assert [film.angles.tolist() for film in read.films] == [film.angles.tolist() for film in one.films]
    assert read.crystal == one.crystal


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        (Parameters(count=0), "n=0"),
        (Parameters(seed=-1), "seed=-1"),
        (Parameters(ratio=0.5), "ratio=0.5"),
        (Parameters(ratio=1.1), "one grain"),
        (Parameters(crystal=Crystal(1, 2, 3)), "larger than c12"),
    ],
)
def test_what_makes_no_films_is_refused(parameters, told):
    with pytest.raises(BenchError, match=told):
        dataset.make(parameters)
