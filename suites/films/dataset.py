"""Data sets of polycrystalline films and their Young's modulus along x1: made here, and the one that is shipped.

Shipped are whole numbers, of which images are rendered on first use, and labels. Labels and bounds are those of the
tessellation on 128x128 pixels, not of the smoothed image; moduli are rounded to 1e-4 GPa and Poisson's ratio to 1e-6,
which is far above what machines differ by and far below what pixels cost.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.disk import replacing
from harness.errors import BenchError
from harness.protocol import Dataset
from suites.films.apparent import CONSTANTS, bounds, engineering, periodic
from suites.films.crystal import SILICON, Crystal, as_facts, plane_stress
from suites.films.rendering import Gray, as_images, render_all, rendered
from suites.films.tessellation import SIZE, Film, draw_film, grain_count, grains

Floats = NDArray[np.float64]
OnProgress = Callable[[int, int], None]

TARGET = "E1"
DIGITS = (4, 4, 4, 6)
"""Decimals of each of `CONSTANTS`, moduli in GPa."""

_AT_A_TIME = 20  # films between two calls of `on_progress`


class Parameters(msgspec.Struct, frozen=True):
    """All that films and labels are made from: `ratio` is L/s_g, the first `bounded` films have bounds as well."""

    count: int = 1200
    seed: int = 0
    ratio: float = 4.0
    crystal: Crystal = SILICON
    bounded: int = 0


SHIPPED = (
    Parameters(1200, ratio=4.0, bounded=200),
    Parameters(300, ratio=6.0, bounded=200),
    Parameters(300, ratio=10.0, bounded=200),
)


class FilmSet(NamedTuple):
    """Films of one crystal, each of its own L/s_g in `ratios` (n,), and all that is known of them.

    `constants` (n, 4) are `apparent.CONSTANTS`, moduli in GPa, of the periodic film. `lower` and `upper` (n,) are E1 in
    GPa under uniform stress and uniform strain, NaN where they were not computed.
    """

    films: tuple[Film, ...]
    ratios: Floats
    constants: Floats
    lower: Floats
    upper: Floats
    crystal: Crystal


def load(on_progress: OnProgress | None = None) -> Dataset:
    """The shipped films; images are rendered if the cache has none, of which `on_progress` is told (done, in all)."""
    stored = load_films()
    return _dataset("polysilicon", stored, rendered(stored.films, on_progress))


def load_films() -> FilmSet:
    """The shipped films and labels, without images."""
    return read(_file())


def make(parameters: Parameters, on_progress: OnProgress | None = None) -> Dataset:
    """Draw films, label and render them; `on_progress` is called with (films done, films in all).

    Raises BenchError for parameters that make no films, and NotConverged.
    """
    made = make_films([parameters], on_progress)
    return _dataset("polysilicon", made, render_all(made.films))


def make_films(parameters: Sequence[Parameters], on_progress: OnProgress | None = None, processes: int = 1) -> FilmSet:
    """Films and labels of parameters that share a crystal, in their order. Raises BenchError as `make` does."""
    for each in parameters:
        _check(each)
    jobs = [(each, index) for each in parameters for index in range(each.count)]
    films, rows = [], []
    for film, row in _mapped(jobs, processes):
        films.append(film)
        rows.append(row)
        if on_progress and (len(rows) % _AT_A_TIME == 0 or len(rows) == len(jobs)):
            on_progress(len(rows), len(jobs))
    ratios = np.array([each.ratio for each, _ in jobs])
    labels = np.array(rows)
    return FilmSet(tuple(films), ratios, labels[:, :4], labels[:, 4], labels[:, 5], parameters[0].crystal)


def _check(parameters: Parameters) -> None:
    if parameters.count < 1:
        raise BenchError(f"n={parameters.count}: at least one film is to be made")
    if parameters.seed < 0:
        raise BenchError(f"seed={parameters.seed}: must not be negative")
    if wrong := parameters.crystal.wrong():
        raise BenchError(f"crystal: {wrong}")
    grain_count(parameters.ratio)


_Job = tuple[Parameters, int]


def _mapped(jobs: Sequence[_Job], processes: int) -> Iterator[tuple[Film, Floats]]:
    if processes == 1:
        yield from map(_labelled, jobs)
        return
    with get_context("spawn").Pool(processes, os.nice, (19,)) as pool:  # whoever works here meanwhile goes first
        yield from pool.imap(_labelled, jobs, chunksize=4)


def _labelled(job: _Job) -> tuple[Film, Floats]:
    """A film and its constants, then E1 under uniform stress and uniform strain (6,)."""
    parameters, index = job
    film = draw_film(parameters.ratio, parameters.seed, index)
    return film, label(film, parameters.crystal, index < parameters.bounded)


def label(film: Film, crystal: Crystal, bounded: bool = False) -> Floats:
    """(6,) a film's constants, then E1 under uniform stress and uniform strain in GPa, NaN unless `bounded`."""
    pixels, stiffnesses = grains(film, SIZE), plane_stress(crystal, film.degrees)
    row = np.full(len(CONSTANTS) + 2, np.nan)
    row[:4] = engineering(periodic(pixels, stiffnesses))
    if bounded:
        row[4:] = [engineering(stiffness)[0] for stiffness in bounds(pixels, stiffnesses)]
    return np.array([np.round(value, digits) for value, digits in zip(row, (*DIGITS, 4, 4), strict=True)])


def _file() -> Path:
    return Path(str(files("suites.films"))) / "data" / "polysilicon.npz"


def save(path: Path, made: FilmSet) -> None:
    """Write films and labels as `read` reads them, without pickles; all of it or nothing."""
    with replacing(path) as fresh:
        np.savez_compressed(
            fresh,
            grains=np.array([len(film.seeds) for film in made.films], np.uint16),
            seeds=np.concatenate([film.seeds for film in made.films]),
            angles=np.concatenate([film.angles for film in made.films]),
            ratios=made.ratios,
            constants=made.constants,
            bounds=np.stack([made.lower, made.upper], axis=1),
            crystal=np.frombuffer(msgspec.json.encode(made.crystal), np.uint8),
        )


def read(path: Path) -> FilmSet:
    """What `save` wrote."""
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
        cuts = np.cumsum(stored["grains"].astype(np.int64))[:-1]
        pairs = zip(np.split(stored["seeds"], cuts), np.split(stored["angles"], cuts), strict=True)
        films = tuple(Film(seeds, angles) for seeds, angles in pairs)
        lower, upper = stored["bounds"].T
        crystal = msgspec.json.decode(stored["crystal"].tobytes(), type=Crystal)
        return FilmSet(films, stored["ratios"], stored["constants"], lower, upper, crystal)


def _dataset(name: str, made: FilmSet, levels: Gray) -> Dataset:
    return Dataset(
        name=name,
        images=as_images(levels),
        targets=made.constants[:, :1].copy(),
        target_names=(TARGET,),
        units=("GPa",),
        kinds=tuple(f"L/s_g {ratio:g}" for ratio in made.ratios),
        ids=tuple(str(index) for index in range(len(made.films))),
        facts=as_facts(made.crystal),
    )


if __name__ == "__main__":  # python -m suites.films.dataset: makes the file again
    save(_file(), make_films(SHIPPED, lambda done, of: print(f"{done} of {of}", flush=True), processes=2))
