"""ImageNet weights of the backbones: where they come from, how they are checked, and how they are read.

One source: the files that keras.applications publishes, for the report used them, and ResNet50's first version has no
other. Every backend starts from the same numbers, read here into the common layout. Files lie where Keras itself keeps
them (`$KERAS_HOME/models`, else `~/.keras/models`), so that neither downloads what the other has.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import BenchError, WeightsError
from harness.model import backbones, cards
from harness.model.backbones import Family
from harness.model.weights import check_fit, load_weights
from harness.text import label

_SITE = "https://storage.googleapis.com/tensorflow/keras-applications/"


class Source(msgspec.Struct, frozen=True):
    """A published file: its name, address, MD5 (what keras.applications checks) and size in MB."""

    file: str
    url: str
    md5: str
    megabytes: int


def _source(family: Family, folder: str, md5: str, megabytes: int) -> Source:
    file = f"{family}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    return Source(file, f"{_SITE}{folder}/{file}", md5, megabytes)


SOURCES: dict[Family, Source] = {
    "vgg16": _source("vgg16", "vgg16", "6d6bbae143d832006294945121d1f1fc", 59),
    "resnet50": _source("resnet50", "resnet", "4d473c1dd8becc155b73f8504c6f6626", 95),
    "densenet121": _source("densenet121", "densenet", "30ee3e1110167f948a6b9946edeeb738", 29),
}

CHOICES = ("auto", "imagenet", "random")

State = Literal["ready", "missing", "damaged"]


def cache_folder() -> Path:
    """Where Keras keeps downloaded weights."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def state(family: Family) -> State:
    """Whether the official file is at hand, is not there, or is there with other contents than were published."""
    path = cache_folder() / SOURCES[family].file
    if not path.is_file():
        return "missing"
    return "ready" if _md5(path) == SOURCES[family].md5 else "damaged"


def official_file(family: Family) -> Path:
    """The official file on this machine. Raises WeightsError where it is missing or damaged, saying what to do."""
    path, found = cache_folder() / SOURCES[family].file, state(family)
    if found == "ready":
        return path
    what = "is not here" if found == "missing" else f"is damaged: its MD5 is {_md5(path)}, not {SOURCES[family].md5}"
    raise WeightsError(
        f"the ImageNet file {path.name} {what}; `bench weights fetch` downloads it, or copy it to "
        f"{_public(path.parent)}, or choose weights=random"
    )


def _public(folder: Path) -> str:
    """A folder as the user would write it, without their name: what is said here ends up in published records."""
    return "$KERAS_HOME/models" if os.environ.get("KERAS_HOME") else str(folder).replace(str(Path.home()), "~")


def fetch(family: Family, timeout: float = 10.0, progress: bool = False) -> Path:
    """The official file, downloaded if it is missing or damaged; a file comes to its place whole and checked, or not.

    Raises WeightsError where it cannot be had: no network, an interrupted download, another checksum.
    """
    import pooch  # noqa: PLC0415  it imports the network's libraries, and is seldom needed

    source, before = SOURCES[family], state(family)
    if before == "ready":
        return cache_folder() / source.file
    damaged = f"{source.file} here is damaged, and " if before == "damaged" else ""
    download = pooch.HTTPDownloader(progressbar=progress, timeout=timeout)
    pooch.get_logger().setLevel("ERROR")
    try:
        path = pooch.retrieve(
            source.url, f"md5:{source.md5}", fname=source.file, path=cache_folder(), downloader=download
        )
    except ValueError as error:  # pooch's word for another checksum
        raise WeightsError(f"{damaged}{source.url}: what came is not what was published: {error}") from None
    except OSError as error:  # requests' errors are OSErrors, too
        raise WeightsError(f"{damaged}{source.url} cannot be downloaded: {type(error).__name__}") from None
    return Path(path)


class Origin(NamedTuple):
    """What a backbone starts from: how `Cell.weights` tells it, and the file where it is one of the user's own."""

    told: str
    file: Path | None = None


Origins = Callable[[Family], Origin]
RANDOM = Origin("random")


def chosen(choice: str, results: Path, tell: Callable[[str], None]) -> Origins:
    """What each backbone starts from with `weights=choice`: `auto`, `imagenet`, `random`, a set of weights by its name
    below the results or its folder, or a file.

    ImageNet files that are not here are fetched. Where that fails, `auto` makes do with random weights and tells so in
    one line; with `imagenet` the cell will be unavailable. Raises BenchError for what does not exist.
    """
    if choice == "random":
        return lambda _: RANDOM
    if choice in CHOICES:
        return _official(choice, tell)
    named = os.path.basename(choice) == choice  # and not a path, as `./name` is
    for folder in ([results / cards.FOLDER / choice] if named else []) + [Path(choice)]:
        if folder.is_dir():
            return _set(folder)
    path = Path(choice)
    if not path.is_file():
        raise BenchError(
            f"weights={choice}: must be auto, imagenet, random, a set of weights in {results / cards.FOLDER} (`bench "
            "weights make` makes one), or a file, and there is no such file"
        )
    _refuse_other_formats(path, choice)
    origin = Origin(_told(path.name, cards.sha256(path)), path)
    return lambda _: origin


def _told(name: str, sha256: str) -> str:
    return f"{label(name)[:100]} {sha256[:12]}"


def _set(folder: Path) -> Origins:
    """Files of a set. Raises WeightsError for one that is not there, or is not what its card says."""

    @cache
    def of(family: Family) -> Origin:
        return Origin(_told(folder.name, cards.checked(folder, family)), cards.weights_file(folder, family))

    return of


def _official(choice: str, tell: Callable[[str], None]) -> Origins:
    failures: list[str] = []

    @cache
    def at_hand(family: Family) -> Origin:
        try:
            if failures and state(family) != "ready":  # without a network one attempt is enough
                raise WeightsError(failures[0])
            fetch(family, progress=sys.stderr.isatty())
        except WeightsError as error:
            instead = "random weights instead" if choice == "auto" else "its cells cannot run"
            tell(f"{family}: no ImageNet weights here, {instead}" + ("" if failures else f" ({error})"))
            failures.append(str(error))
            return RANDOM if choice == "auto" else Origin("imagenet")
        return Origin("imagenet")

    return at_hand


def _refuse_other_formats(path: Path, choice: str) -> None:
    """Raise BenchError for a file that is neither HDF5 nor safetensors, by how it begins: pickles among them."""
    with path.open("rb") as file:
        begin = file.read(9)
    hdf5 = path.suffix != ".safetensors" and begin.startswith(b"\x89HDF\r\n\x1a\n")
    safetensors = path.suffix == ".safetensors" and begin[8:] == b"{"  # after the length of its JSON header
    if not (hdf5 or safetensors):
        raise BenchError(
            f"weights={choice}: must be an .h5 file as keras.applications publishes them, or a .safetensors file as "
            "`bench run` writes them; this is neither (pickles, such as .pt, .pkl or .npy may be, are never opened)"
        )


def read(path: Path, family: Family) -> dict[str, NDArray[np.float32]]:
    """The arrays of a backbone, by the names of `backbones.shapes`, from an official `.h5` file or one of its format,
    or from a `.safetensors` file of the harness's own: a backbone's, or a whole model's with such a backbone.

    Raises WeightsError, naming the file and everything missing, surplus or misshapen in it, and for what is no finite
    number.
    """
    if not path.is_file():
        raise WeightsError(f"{path.name}: there is no such file")
    arrays = _read_safetensors(path) if path.suffix == ".safetensors" else _read_h5(path)
    try:
        check_fit(arrays, backbones.shapes(family))
    except WeightsError as error:
        raise WeightsError(f"{path.name} is no {family} without top: {error}") from None
    found = {name: np.asarray(arrays[name], np.float32) for name in backbones.shapes(family)}
    if wrong := [name for name, array in found.items() if not np.isfinite(array).all()]:
        raise WeightsError(f"{path.name}: {wrong[0]} has numbers that are not finite")
    return found


def _read_safetensors(path: Path) -> Mapping[str, NDArray[np.float32]]:
    arrays, prefix = load_weights(path), "backbone_1/"
    whole = any(name.startswith(prefix) for name in arrays)
    return {n.removeprefix(prefix): array for n, array in arrays.items() if n.startswith(prefix)} if whole else arrays


def _read_h5(path: Path) -> Mapping[str, NDArray[np.float32]]:
    """Keras's first weights format: a group per layer, its arrays in the order that the layer lists them.

    Old files write `/` where today's layer names have `_`, and name arrays in their own ways; their order is the same.
    What leads out of the file, or is larger than it, is refused.
    """
    import h5py  # noqa: PLC0415

    arrays: dict[str, NDArray[np.float32]] = {}
    try:
        with h5py.File(path, "r") as file:
            group = _within(file, "model_weights", path) if "model_weights" in file else file
            for layer in map(_text, group.attrs["layer_names"]):
                of_layer = _within(group, layer, path)
                names = [_text(name) for name in of_layer.attrs["weight_names"]]
                parts = _BATCH_NORM if len(names) == 4 else _CONVOLUTION
                for part, name in zip(parts, names, strict=False):
                    dataset = _within(of_layer, name, path)
                    if dataset.nbytes > 2 * path.stat().st_size or dataset.dtype.kind != "f":
                        raise WeightsError(f"{path.name}: {layer}/{name} is no array that this file could hold")
                    arrays[f"{layer.replace('/', '_')}/{part}"] = dataset[()]
    except (OSError, KeyError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path.name}: not in the HDF5 format of keras.applications' files: {error}") from None
    return arrays


def _within(group: Any, name: str, path: Path) -> Any:
    """A member of an HDF5 group. Raises WeightsError where it leads into another file: by a link, or by its data."""
    import h5py  # noqa: PLC0415

    for part in name.strip("/").split("/"):
        if part not in group:
            raise KeyError(f"there is no {name}")
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise WeightsError(f"{path.name}: {name} is a link, which may lead into any file: copy what it leads to")
        group = group[part]
    if isinstance(group, h5py.Dataset) and (group.external or group.is_virtual):
        raise WeightsError(f"{path.name}: {name} lies in other files: save it as one file")
    return group


_CONVOLUTION = ("kernel", "bias")
_BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
