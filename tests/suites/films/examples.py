"""Films moved in whole steps, so that pixels and angles move exactly; a folder of films for tests that break it."""

import functools

import numpy as np
from PIL import Image

from suites.films import dataset
from suites.films.crystal import plane_stress
from suites.films.rendering import render
from suites.films.tessellation import Film, draw_film, grains


def _steps(values):
    return (values % 65536).astype(np.uint16)


def shifted(film, x1, x2):
    return Film(_steps(film.seeds.astype(int) + np.array([x1, x2])), film.angles)


def turned(film):
    """By 90 degrees from x1 to x2, crystals and all: these are themselves again."""
    x1, x2 = film.seeds.astype(int).T
    return Film(_steps(np.stack([-x2, x1], axis=1)), film.angles)


def turned_image(image):
    return image.T[:, ::-1]


def mirrored(film):
    """Across x2, crystals and all."""
    x1, x2 = film.seeds.astype(int).T
    return Film(_steps(np.stack([-x1, x2], axis=1)), _steps(-film.angles.astype(int)))


def mirrored_image(image):
    return image[:, ::-1]


def pixels_and_stiffnesses(film, crystal, size):
    return grains(film, size), plane_stress(crystal, film.degrees)


@functools.cache
def shipped():
    return dataset.load_films()


@functools.cache
def a_few(count=24):
    """Shipped films of L/s_g 4, their pictures and moduli."""
    films = shipped().films[:count]
    return films, np.stack([render(film) for film in films]), shipped().constants[:count, 0]


def write(folder, count=24, header="file,E1", factor=1.0):
    """Films and `labels.csv`; returns the lines of the CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    _, pictures, moduli = a_few()
    for index, picture in enumerate(pictures[:count]):
        Image.fromarray(picture).save(folder / f"{index}.png")
    lines = [header, *(f"{index}.png,{modulus / factor!r}" for index, modulus in enumerate(moduli[:count].tolist()))]
    rewrite(folder, lines)
    return lines


def rewrite(folder, lines):
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def drawn(ratio=4, index=0, seed=7):
    return draw_film(ratio, seed, index)
