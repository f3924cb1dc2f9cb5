"""Images of films as the lecture makes them: gray levels of the angle, smoothed by a median, reduced to 128x128 pixels.

Gray runs from 0 at 0 degrees to 255 at 90, where a cubic crystal is itself again: black and white are the same crystal.
So gray levels must never be averaged, for between 2 and 88 degrees lies not 45 but 0. Everything here picks one of the
levels that are there: the median of nine does, and a block of 4x4 pixels becomes the eighth of its sixteen in order,
which is the level of the grain that has most of it, where two share it (of halves, the darker).
"""

from __future__ import annotations

import hashlib
import os
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.disk import make_folder, replacing
from harness.protocol import Images
from suites.films.crystal import PERIOD
from suites.films.tessellation import SIZE, Film, grains

VERSION = 1
"""To be raised with any change of what is rendered: images that an earlier version kept are then made anew."""

LEVELS = 256
FINE = 512
"""Pixels along an edge before the reduction."""

_PASSES = 5  # of the median filter
_AT_A_TIME = 20  # films between two calls of `on_progress`
_DIGEST = 32  # bytes of a SHA-256

Gray = NDArray[np.uint8]


def gray_levels(degrees: ArrayLike) -> Gray:
    """The gray level of angles (...) in 0..90 degrees."""
    levels: Gray = np.rint(np.asarray(degrees, float) * ((LEVELS - 1) / PERIOD)).astype(np.uint8)
    return levels


def angles_of(levels: ArrayLike) -> NDArray[np.float64]:
    """The angles (...) in degrees that gray levels (...) mean, to 0.18 degrees: 0 and 90 are one."""
    return np.asarray(levels, float) * (PERIOD / (LEVELS - 1))


def render(film: Film) -> Gray:
    """(128, 128) gray levels of one film."""
    fine = gray_levels(film.degrees)[grains(film, FINE)]
    for _ in range(_PASSES):
        fine = median(fine)
    share = FINE // SIZE
    blocks = fine.reshape(SIZE, share, SIZE, share).transpose(0, 2, 1, 3).reshape(SIZE, SIZE, share**2)
    middle = share**2 // 2 - 1
    reduced: Gray = np.partition(blocks, middle, axis=-1)[..., middle]
    return reduced


# Devillard's network (Smith 1996, "Implementing median filters in XC4000E FPGAs"): after these exchanges, the lower to
# the front, the fifth of nine is their median.
_EXCHANGES = (
    *((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3)),
    *((5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)),
)


def median(image: Gray) -> Gray:
    """The median of each pixel of a periodic image (h, w) and its eight neighbours."""
    height, width = image.shape
    padded = np.pad(image, 1, mode="wrap")
    nine = [padded[row : row + height, column : column + width] for row in range(3) for column in range(3)]
    for low, high in _EXCHANGES:
        nine[low], nine[high] = np.minimum(nine[low], nine[high]), np.maximum(nine[low], nine[high])
    return nine[4]


def as_images(levels: Gray) -> Images:
    """Gray levels (n, h, w) as images (n, h, w, 1) float32 in 0..1."""
    images: Images = levels[..., None].astype(np.float32) / np.float32(LEVELS - 1)
    return images


def as_levels(images: Images) -> Gray:
    """The gray levels (n, h, w) of images (n, h, w, 1) in 0..1."""
    levels: Gray = np.rint(images[..., 0] * (LEVELS - 1)).astype(np.uint8)
    return levels


def render_all(films: Sequence[Film], on_progress: Callable[[int, int], None] | None = None) -> Gray:
    """(n, 128, 128) gray levels; `on_progress` is called with (films done, films in all)."""
    levels = np.empty((len(films), SIZE, SIZE), np.uint8)
    for index, film in enumerate(films):
        levels[index] = render(film)
        if on_progress and ((index + 1) % _AT_A_TIME == 0 or index + 1 == len(films)):
            on_progress(index + 1, len(films))
    return levels


def rendered(films: Sequence[Film], on_progress: Callable[[int, int], None] | None = None) -> Gray:
    """`render_all`, kept in the user's cache from one time to the next, under a name that depends on all that it shows.

    What is kept there is believed only where its checksum fits; else it is made anew, with a warning. Where nothing can
    be kept, it is rendered each time.
    """
    key, folder = _key(films), cache_folder()
    if folder is None:
        return render_all(films, on_progress)
    path = folder / f"films-{key.hex()[:32]}.bin"
    kept = _kept(path, key, (len(films), SIZE, SIZE))
    if kept is not None:
        return kept
    levels = render_all(films, on_progress)
    content = _checksum(key, levels.tobytes()) + zlib.compress(levels.tobytes(), level=1)
    try:
        make_folder(path.parent)
        with replacing(path) as fresh:
            fresh.write_bytes(content)
    except OSError:  # a home that cannot be written, a full disk: it only saves time
        pass
    return levels


def cache_folder() -> Path | None:
    """`$XDG_CACHE_HOME/cijbench`, else `~/.cache/cijbench`; relative ones are ignored. None without a home."""
    chosen = [os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~/.cache")]
    absolute = [Path(folder) for folder in chosen if os.path.isabs(folder)]
    return absolute[0] / "cijbench" if absolute else None


def _key(films: Sequence[Film]) -> bytes:
    digest = hashlib.sha256(f"cijbench films, rendering {VERSION}, {SIZE} of {FINE}".encode())
    for film in films:
        digest.update(f"{len(film.seeds)}".encode())
        digest.update(film.seeds.astype("<u2").tobytes() + film.angles.astype("<u2").tobytes())
    return digest.digest()


def _checksum(key: bytes, pixels: bytes) -> bytes:
    return hashlib.sha256(key + pixels).digest()


def _kept(path: Path, key: bytes, shape: tuple[int, ...]) -> Gray | None:
    """What the cache has, None where it has nothing, or something else."""
    size = int(np.prod(shape))
    try:
        if not os.path.lexists(path):
            return None
        if not path.is_file() or path.stat().st_size > 2 * size + 1024:
            raise ValueError("no file, or too large a one")
        content = path.read_bytes()
        pixels = zlib.decompressobj().decompress(content[_DIGEST:], max_length=size + 1)
        if _checksum(key, pixels) != content[:_DIGEST] or len(pixels) != size:
            raise ValueError("another checksum")
    except (OSError, ValueError, zlib.error):
        told = f"{path.name} in the cache is damaged or none of ours: the films are rendered anew"
        warnings.warn(told, stacklevel=3)
        return None
    return np.frombuffer(pixels, np.uint8).reshape(shape).copy()
