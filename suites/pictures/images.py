"""Read anybody's images: PNG, TIFF, JPEG and BMP, grey or coloured, of 8 or 16 bits, all of one size in the end."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin

from harness.errors import BenchError, Finding
from harness.protocol import Images
from suites.microstructure.findings import Spot, Unusable, few, gather, of_images
from suites.microstructure.images import file_bytes, natural, text

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
TABLES = (".csv", ".parquet")
_OTHERS = (
    ".gif",
    ".webp",
    ".jp2",
    ".heic",
    ".dm3",
    ".dm4",
    ".czi",
    ".lif",
    ".nd2",
    ".npy",
    ".npz",
    ".mat",
    ".h5",
)
SMALLEST, LARGEST = 16, 8192  # pixels along an edge
MOST = 128
"""Pixels along the longer edge that models are shown, unless more are asked for."""

_CUT = "cut it to that size, at the same magnification"
_SIGNATURES = (
    b"\x89PNG",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"\xff\xd8\xff",
    b"BM",
)  # TIFF has two, either way round
_LARGEST_FILE = 2**28  # bytes
_WHITE = {"I;16": 65535.0, "I;16B": 65535.0, "I;16L": 65535.0, "I": 65535.0}  # what Pillow reads 16 bits as; else 255
Size = tuple[int, int]  # height, width


def find_images(folder: Path) -> list[Path]:
    """All images of a folder by their suffixes, in natural order (2 before 10), hidden files left out.

    Raises BenchError for a folder that cannot be listed or holds none.
    """
    if found := _of(SUFFIXES, _listed(folder)):
        return found
    folders = [path for path in _listed(folder) if path.is_dir()]
    told = f", but in its folders {few(list(inside))}: give one of these" if (inside := _folders(folder)) else ""
    if not inside and (deep := [text(f"{one.name}/{name}") for one in folders for name in _folders(one)]):
        told = f", but in {few(deep)}: move them up, for images are read in a folder and in those of its classes"
    if others := [text(_inside(path, folder)) for place in (folder, *folders) for path in other_images(place)]:
        told += f"; convert {few(others)}"
    raise BenchError(f"{folder}: no image in this folder{told}; {', '.join(SUFFIXES)} are read")


def other_images(folder: Path) -> list[Path]:
    """What seems to be images of a folder, of kinds that are not read. Raises BenchError where it cannot be listed."""
    return _of(_OTHERS, _listed(folder))


def _of(suffixes: Sequence[str], paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if path.suffix.lower() in suffixes]


def _listed(folder: Path) -> list[Path]:
    """What is in a folder, in natural order, without what is hidden."""
    try:
        return sorted((path for path in folder.iterdir() if path.name[0] != "."), key=natural)
    except OSError as error:
        raise BenchError(f"{folder}: cannot be listed ({error.strerror}); give a folder of images") from None


def _folders(folder: Path) -> dict[str, list[Path]]:
    """The images of each folder in a folder that has any, by that folder's name."""
    folders = [path for path in _listed(folder) if path.is_dir()]
    return {path.name: images for path in folders if (images := _of(SUFFIXES, _listed(path)))}


def class_folders(folder: Path) -> dict[str, list[Path]]:
    """The images of each folder in a folder that has no image of its own, by that folder's name, in natural order;
    hidden ones and those without an image are left out. Empty where it is no such folder.

    Raises BenchError for a folder that cannot be listed, and where a table beside such folders says otherwise.
    """
    files = [path for path in _listed(folder) if path.is_file()]
    if _of(SUFFIXES, files) or not (found := _folders(folder)):
        return {}
    if tables := [path.name for path in _of(TABLES, files)]:
        what = f"a table, {few(tables)}, beside folders of images, {few(list(found))}"
        remedy = "put the images beside it, or take it out where each folder is a class"
        raise BenchError(f"{folder}: {what}: {remedy}")
    return found


def left_out(folder: Path, classes: Collection[str]) -> list[Finding]:
    """Warnings of what may have been meant to be read and is not: images of other kinds and, where folders are
    `classes`, folders without images, and images in folders of these.
    """
    inside = [path for path in _listed(folder) if path.is_dir()] if classes else []
    others = [path for place in (folder, *inside) for path in other_images(place)]
    deep = [path for place in inside for one in _listed(place) if one.is_dir() for path in sorted(one.rglob("*"))]
    told = {
        f"images of kinds that are not read: save them as {', '.join(SUFFIXES)}": others,
        "images in folders of a class's folder are not read: move them up": _of(SUFFIXES, deep),
        "folders without an image are no classes": [path for path in inside if path.name not in classes],
    }
    return [
        Finding("warning", "images", f"{what}; {len(paths)}: {few([text(_inside(path, folder)) for path in paths])}")
        for what, paths in told.items()
        if paths
    ]


def _inside(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


class Read(NamedTuple):
    """`images` (m, height, width, 1 or 3) float32, black 0 and white 1, of the paths at `places` (m,): those without
    an error; `spots` says of the others what is wrong, and `findings` the same, gathered. `size` (height, width) is
    what all of them had before, None where these differed or there was none.
    """

    images: Images
    places: list[int]
    size: Size | None
    findings: list[Finding]
    spots: list[Spot]


def read_images(
    paths: Sequence[Path],
    resize: Size | None = None,
    channels: int | None = None,
    pixels: str | None = None,
    names: Sequence[str] | None = None,
) -> Read:
    """Read image files; of `resize` (height, width) where that is said, else reduced as `reduced` says. Coloured where
    any is, or as `channels` says. Findings call them by `names`, else by those of the files. Never raises for what a
    file holds.

    Where `channels` are said, images are for a model, whose size is fixed, and none to bring them to is told.

    Images of unlike sizes are an error without `resize`, as are those of unlike shape (width over height) with it, and
    those of other `pixels` (as in 640x480) where that is said.
    """
    spots: list[Spot] = []
    sizes: dict[int, Size] = {}
    for place, path in enumerate(paths):
        try:
            sizes[place] = _size_of(path)
        except Unusable as problem:
            spots.append(Spot(place, str(problem)))
    common = _usual(list(sizes.values()))
    for place, size in sizes.items():
        if not resize and min(reduced(size)) < SMALLEST:
            what = f"so long that fewer than {SMALLEST} pixels are left across where {MOST} are along it"
            spots.append(Spot(place, what, "crop it, or say resize=", _told(size)))
    if pixels:
        what = f"not {pixels} pixels, as those that the model was trained on"
        spots += [Spot(place, what, _CUT, _told(size)) for place, size in sizes.items() if _told(size) != pixels]
    if common is not None:
        spots += _of_other_size(sizes, common, resize, fixed=channels is not None)
    wrong = {spot.place for spot in spots}
    found: list[NDArray[np.float32]] = []
    places: list[int] = []
    for place in [place for place in sizes if place not in wrong]:
        try:
            found.append(_pixels(paths[place], resize or reduced(sizes[place])))
            places.append(place)
        except Unusable as problem:
            spots.append(Spot(place, str(problem)))
    coloured = any(picture.shape[2] == 3 for picture in found) if channels is None else channels == 3
    images = [_of_channels(picture, 3 if coloured else 1) for picture in found]
    empty = np.empty((0, *(resize or (SMALLEST, SMALLEST)), 3 if coloured else 1), np.float32)
    same = len({sizes[place] for place in places}) == 1
    findings = gather(spots, of_images([text(path.name) for path in paths] if names is None else names))
    return Read(np.stack(images) if images else empty, places, common if same else None, findings, spots)


def _told(size: Size) -> str:
    return f"{size[1]}x{size[0]}"


def reduced(size: Size) -> Size:
    """The size (height, width) that models are shown: each pixel the mean of so many times as many, a whole number each
    way, that the longer edge has at most `MOST`.
    """
    factor = -(-max(size) // MOST)
    return size[0] // factor, size[1] // factor


def _usual(sizes: Sequence[Size]) -> Size | None:
    """The most frequent of them."""
    return Counter(sizes).most_common(1)[0][0] if sizes else None


def _of_other_size(sizes: dict[int, Size], common: Size, resize: Size | None, fixed: bool) -> list[Spot]:
    """What is wrong with sizes; where it is not `fixed` what all are brought to, with one to which they can be."""
    works = None if fixed else _one_size(list(sizes.values()))
    other = f"say resize={_told(works)}, which is width x height" if works else ""
    if resize is None:
        most = "most" if 2 * list(sizes.values()).count(common) > len(sizes) else "some"
        remedy = f"give all in one size, or {other}" if other else "their shapes differ: crop or pad all to one"
        others = {place: size for place, size in sizes.items() if size != common}
        return [Spot(place, f"not {_told(common)} pixels as {most}", remedy, _told(s)) for place, s in others.items()]
    asked = f"{_told(resize)}, which is asked for"
    small = [place for place, size in sizes.items() if _is_smaller(size, resize)]
    stretched = [place for place, size in sizes.items() if place not in small and _is_stretched(size, resize)]
    other = f"; {other}" * bool(other)
    enlarged, shape = "nothing is enlarged" + other, "crop or pad it, so that nothing is stretched" + other
    told = [Spot(place, f"smaller than {asked}", enlarged, _told(sizes[place])) for place in small]
    return told + [Spot(place, f"of another shape than {asked}", shape, _told(sizes[place])) for place in stretched]


def _one_size(sizes: Sequence[Size]) -> Size | None:
    """What all can be brought to: the smallest, reduced; None where they differ too much in shape."""
    size = reduced(min(sizes, key=lambda size: size[0] * size[1]))
    works = min(size) >= SMALLEST and not any(_is_smaller(one, size) or _is_stretched(one, size) for one in sizes)
    return size if works else None


def _is_smaller(size: Size, asked: Size) -> bool:
    return size[0] < asked[0] or size[1] < asked[1]


def _is_stretched(size: Size, asked: Size) -> bool:
    """By more than what rounding to whole pixels makes of a shape."""
    return abs(size[1] * asked[0] - size[0] * asked[1]) > max(size)


def _open(path: Path) -> Image.Image:
    data = file_bytes(path, _LARGEST_FILE, ": save it smaller")
    if not data:
        raise Unusable("zero bytes: write it anew")
    try:
        with warnings.catch_warnings(action="ignore"):  # about large pictures, and damaged EXIF data: judged here
            return Image.open(BytesIO(data), formats=["PNG", "TIFF", "JPEG", "BMP"])
    except Image.DecompressionBombError as error:
        raise Unusable(f"more pixels than any picture of {LARGEST} along an edge: cut or save it smaller") from error
    except Exception as error:  # what a damaged file raises depends on which of its bytes are damaged
        if data.startswith(_SIGNATURES):
            what = (
                "damaged, or of a kind of PNG, TIFF, JPEG or BMP that is not read, as with decimal numbers of 64 bits"
            )
            raise Unusable(f"{what}: save it as grey of 8 or 16 bits, or as RGB") from error
        raise Unusable("not a PNG, TIFF, JPEG or BMP, whatever its name says: convert it, or write it anew") from error


def _size_of(path: Path) -> Size:
    """Height and width by the header. Raises Unusable for what is no single picture of a size that is read."""
    picture = _open(path)
    width, height = picture.size
    if not min(width, height) >= SMALLEST or max(width, height) > LARGEST:
        raise Unusable(f"{width}x{height} pixels: each edge must have {SMALLEST} to {LARGEST}")
    try:
        with warnings.catch_warnings(action="ignore"):
            frames = getattr(picture, "n_frames", 1)
    except Exception as error:
        raise Unusable("truncated or damaged: write it anew") from error
    if frames != 1:
        raise Unusable("a stack of pictures: save each in a file of its own")
    return height, width


def _pixels(path: Path, size: Size) -> NDArray[np.float32]:
    """One picture, (height, width, 1 or 3) in 0..1, of `size` (height, width) by averaging. Raises Unusable."""
    picture = _open(path)
    try:
        with warnings.catch_warnings(action="ignore"):
            picture.load()
            said = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception as error:
        raise Unusable("truncated or damaged: write it anew") from error
    if said in range(2, 9):
        raise Unusable("says that it is to be shown rotated or mirrored (EXIF): apply that and save it anew")
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        _refuse_other_scales(picture)
    if picture.mode in _WHITE and "transparency" in picture.info:
        raise Unusable("16 bits with a transparent value: save it without transparency")
    if picture.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        if np.asarray(picture)[:, :, 3].min() < 255:
            raise Unusable("partly transparent: save it without transparency")
    if picture.mode == "F" or picture.mode not in (*_WHITE, "1", "L", "P", "RGB", "RGBA"):
        what = "save it as grey of 8 or 16 bits, or as RGB"
        raise Unusable(f"pixels of kind {picture.mode}, whose black and white are not known: {what}")
    if picture.mode == "I" and not ((values := np.asarray(picture)).min() >= 0 and values.max() <= _WHITE["I"]):
        raise Unusable("whole numbers beyond 16 bits, whose black and white are not known: save it with 8 or 16 bits")
    white = _WHITE.get(picture.mode, 255.0)
    bands = [picture.convert("F")] if picture.mode in _WHITE else _bands(picture)
    resized = [np.asarray(_averaged(band, size), np.float32) / np.float32(white) for band in bands]
    return np.clip(np.stack(resized, axis=2), 0, 1)


def _refuse_other_scales(picture: TiffImagePlugin.TiffImageFile) -> None:
    """Raise Unusable for a TIFF whose black and white are not where its numbers end (TIFF 6.0, section 8), or of whose
    channels one alone would be read.
    """
    tags, remedy = picture.tag_v2, "save it as grey of 8 or 16 bits whose white is the largest"
    bits = np.atleast_1d(tags.get(_BITS, 1)).max()
    if bits not in (1, 2, 4, 8, 16, 32):
        raise Unusable(f"{bits} bits, whose white is not that of 16: {remedy}")
    if bits == 8 and 2 in np.atleast_1d(tags.get(_SAMPLE_FORMAT, 1)):
        raise Unusable(f"signed numbers of 8 bits, whose black and white are not known: {remedy}")
    if (samples := tags.get(_SAMPLES, 1)) > len(picture.getbands()) == 1:
        raise Unusable(f"{samples} channels, of which one alone would be read: save that one as grey, or three as RGB")
    if picture.mode in _WHITE and tags.get(_PHOTOMETRIC) == 0:
        raise Unusable(f"{bits} bits that count from white to black: invert it, and {remedy}")


_BITS, _PHOTOMETRIC, _SAMPLES, _SAMPLE_FORMAT = 258, 262, 277, 339


def _bands(picture: Image.Image) -> list[Image.Image]:
    """One where all three are equal."""
    red, green, blue = picture.convert("RGB").split()
    grey = red.tobytes() == green.tobytes() == blue.tobytes()
    return [band.convert("F") for band in ((red,) if grey else (red, green, blue))]


def _averaged(band: Image.Image, size: Size) -> Image.Image:
    if band.size == (size[1], size[0]):
        return band
    whole = band.size[0] // size[1], band.size[1] // size[0]
    if size == reduced((band.size[1], band.size[0])):  # what is left over at the far edges is not shown
        return band.crop((0, 0, whole[0] * size[1], whole[1] * size[0])).reduce(whole)
    return band.resize((size[1], size[0]), Image.Resampling.BOX)


# Rec. 709 (ITU-R BT.709-6, item 3.2), of values as they are stored.
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


def _of_channels(picture: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    if picture.shape[2] == channels:
        return picture
    return picture.repeat(3, axis=2) if channels == 3 else (picture @ LUMINANCE)[:, :, None]
