"""Read two-phase microstructures from PNG files: white is the stiff phase, and nothing in between is let through."""

from __future__ import annotations

import os
import re
import struct
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from harness.errors import BenchError, Finding
from harness.protocol import Images
from suites.microstructure.findings import Spot, Unusable, gather, of_images

SIZE = (64, 64)

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {0: "gray", 2: "RGB", 3: "palette", 4: "gray with alpha", 6: "RGB with alpha"}
_LARGEST = 2**20  # bytes; 64 x 64 pixels of 16-bit RGBA take 32 KiB uncompressed
_HEADER = 33  # bytes of the signature and the first chunk
_RESAMPLE = "resample the whole image to nearest neighbours, or render it anew; do not crop it"
_RENDER = "render a square cell anew; neither crop nor stretch it"
SAVE_AS = "save it as 8-bit gray with black 0 (soft phase) and white 255 (stiff phase)"


def find_images(folder: Path) -> list[Path]:
    """All `*.png` of a folder in natural order (2 before 10), hidden files left out.

    Raises
    ------
    BenchError
        If the folder cannot be listed or holds no PNG.
    """
    try:
        found = [path for path in folder.iterdir() if is_image(path)]
    except OSError as error:
        raise BenchError(f"{folder}: cannot be listed ({error.strerror}); give a folder of PNG images") from None
    if not found:
        raise BenchError(f"{folder}: no *.png in this folder")
    return sorted(found, key=natural)


def is_image(path: Path) -> bool:
    """Whether the name is a PNG's; hidden files (macOS leaves `._*.png` behind) are not meant."""
    return path.suffix.lower() == ".png" and not path.name.startswith(".")


class Read(NamedTuple):
    """`images` (m, height, width, 1) float32, 0 for black and 1 for white, of the paths at `places` (m,): those without
    an error; `spots` says of the others what is wrong. `findings` has an error for each kind of problem, with the files
    that have it.
    """

    images: Images
    places: list[int]
    findings: list[Finding]
    spots: list[Spot]


def read_images(paths: Sequence[Path], size: tuple[int, int] = SIZE) -> Read:
    """Read PNG files of (height, width) `size` that show two phases. Never raises for what they hold.

    All headers are judged before there is memory for any image: `size` may be what a stranger's model asks for.
    """
    spots = []
    fitting = []
    for place, path in enumerate(paths):
        try:
            _judge(header_of(path), size)
            fitting.append(place)
        except Unusable as problem:
            spots.append(Spot(place, str(problem)))
    images = np.empty((len(fitting), *size, 1), np.float32)
    places: list[int] = []
    for place in fitting:
        try:
            images[len(places), :, :, 0] = _phases(pixels(paths[place], size), place)
            places.append(place)
        except _NotTwoPhases as problem:
            spots.append(problem.spot)
        except Unusable as problem:
            spots.append(Spot(place, str(problem)))
    names = [text(path.name) for path in paths]
    return Read(images[: len(places)], places, gather(spots, of_images(names)), spots)


def text(name: str) -> str:
    """A file's name, bytes of which that are no UTF-8 are spelled out."""
    return name.encode("utf-8", "backslashreplace").decode()


class _NotTwoPhases(Exception):
    def __init__(self, spot: Spot) -> None:
        self.spot = spot


class Header(NamedTuple):
    """The IHDR chunk (W3C, PNG specification, section 11.2.1), which comes first in every PNG."""

    width: int
    height: int
    depth: int
    colour: str


def header_of(path: Path) -> Header:
    """What a PNG says of itself. Raises Unusable for what is none."""
    return _header(_bytes(path, _HEADER))


def _header(data: bytes) -> Header:
    if not data:
        raise Unusable("zero bytes: write it anew")
    if not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR" or len(data) < _HEADER:
        raise Unusable("not a PNG, whatever its name says: convert it, or write it anew if it is damaged")
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    return Header(width, height, depth, _COLOUR_TYPES.get(colour, "unknown"))


def _judge(header: Header, size: tuple[int, int]) -> None:
    if (header.height, header.width) != size:
        remedy = _RESAMPLE if header.width * size[0] == header.height * size[1] else _RENDER
        what = f"{header.width}x{header.height} pixels instead of {size[1]}x{size[0]}"
        raise Unusable(f"{what}: {remedy}, for constants are those of the whole cell")
    if header.depth == 16 and header.colour != "gray":
        raise Unusable(f"16-bit {header.colour}: {SAVE_AS}")


def pixels(path: Path, size: tuple[int, int]) -> NDArray[np.float32]:
    """Gray values (height, width), 0 black and 1 white. The size is judged before anything is decompressed.

    Raises Unusable for what is no gray PNG of this size, with the remedy `SAVE_AS` where it is to be saved otherwise.
    """
    data = _bytes(path)
    header = _header(data)
    _judge(header, size)
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):  # judged here
            picture = Image.open(BytesIO(data), formats=["PNG"])
        if picture.size == (header.width, header.height):  # a second header would go before the first
            picture.verify()  # the checksums, which decoding alone passes over
            picture = Image.open(BytesIO(data), formats=["PNG"])
            picture.load()
    except Exception as error:  # what a damaged file raises depends on which of its bytes are damaged
        raise Unusable("truncated or damaged PNG: write it anew") from error
    if picture.size != (header.width, header.height):
        raise Unusable("a PNG with two headers: write it anew")
    if _orientation(picture) != 1:
        raise Unusable("says that it is to be shown rotated or mirrored (EXIF): apply that and save it anew")
    if header.depth == 16:
        return np.asarray(picture, np.float32) / np.float32(65535)
    channels = np.asarray(picture.convert("RGBA"))
    if (channels[:, :, 3] != 255).any():
        raise Unusable(f"{header.colour}, partly transparent: {SAVE_AS}")
    if (channels[:, :, :3] != channels[:, :, :1]).any():
        raise Unusable(f"{header.colour}, with pixels that are not gray: {SAVE_AS}")
    return channels[:, :, 0].astype(np.float32) / np.float32(255)


def _orientation(picture: Image.Image) -> int:
    """How a viewer turns the picture (Exif 2.32, tag 0x0112), 1 for not at all; turning swaps C11 and C22."""
    try:
        with warnings.catch_warnings(action="ignore"):  # "Corrupt EXIF data"
            said = int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged, which viewers pass over too
        return 1
    return said if said in range(2, 9) else 1


def _phases(pixels: NDArray[np.float32], index: int) -> NDArray[np.float32]:
    """The pixels unchanged if each is 0 or 1."""
    other = float(((pixels != 0) & (pixels != 1)).mean())
    if not other:
        return pixels
    if len(values := np.unique(pixels)) <= 2:
        what = "two-valued, but not black 0 and white 255"
        detail = f"values {' and '.join(f'{255 * value:.4g}' for value in values)} of 255"
    else:
        what, detail = "not two-valued", f"{other:.1%} of the pixels are neither black nor white"
    raise _NotTwoPhases(Spot(index, what, f"threshold it, then {SAVE_AS}", detail, other))


def _bytes(path: Path, most: int = -1) -> bytes:
    return file_bytes(path, _LARGEST, f", too large for so small an image: {SAVE_AS}", most)


def file_bytes(path: Path, largest: int, remedy: str, most: int = -1) -> bytes:
    """The first so many bytes of an image file, or all. Raises Unusable for what is none or cannot be read, and with a
    `remedy` for one of more bytes than the `largest`.
    """
    try:
        if not os.path.lexists(path):
            raise Unusable("is not there any more")
        if not path.is_file():  # also a symbolic link that leads nowhere or in circles, or a pipe that would block
            raise Unusable("a directory or something else that is not a file: move it out of the folder")
        if path.stat().st_size > largest:
            raise Unusable(f"larger than {largest // 2**20} MiB{remedy}")
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise Unusable(f"cannot be read ({error.strerror})") from None


def natural(path: Path) -> list[tuple[int, str]]:
    """Sort key that compares digits as numbers."""
    parts = re.split(r"([0-9]+)", path.name.casefold())
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in parts]
