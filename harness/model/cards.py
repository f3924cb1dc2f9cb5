"""Sets of weights that are no one's publication but a project's own: a file per backbone, and a card that says how each
was made.

A set lies in a folder, `<family>.safetensors` beside `<family>.json`. Files are large and stay out of version control;
cards have their hashes, so that whoever is handed a file can tell whether it is the one that results were made with.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Literal

import msgspec

from harness import disk
from harness.environment import Environment
from harness.errors import WeightsError
from harness.model import backbones
from harness.model.backbones import Family
from harness.model.variants import Recipe
from harness.text import Device, Hash, Label, Name

FOLDER = "weights"
"""Where sets lie below the results, by their names."""


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a backbone's weights were made: `recipes` on `count` images of `seed`, by `backend`.

    `sha256` is the file's, `data_hash` that of images and targets; `framework` holds its settings in force, as in a
    record. `skill` is of images that it was not trained on, `validation_loss` that of each epoch.
    """

    weights: Name
    family: Family
    sha256: Hash
    suite: Name
    data: Label
    count: int
    seed: int
    data_hash: Hash
    recipes: tuple[Recipe, ...]
    backend: Name
    device: Device
    skill: float | None
    validation_loss: tuple[float, ...]
    seconds: float
    made: Label
    framework: dict[Label, Label]
    environment: Environment

    @property
    def scored(self) -> str:
        """Its skill in words."""
        return "no skill" if self.skill is None else f"skill {self.skill:.4f}"


def weights_file(folder: Path, family: Family) -> Path:
    """A backbone's weights in a set."""
    return folder / f"{family}.safetensors"


def card_file(folder: Path, family: Family) -> Path:
    """The card beside it."""
    return folder / f"{family}.json"


def read(folder: Path, family: Family) -> Card | None:
    """The card of a backbone; None where there is none. Raises WeightsError for one that cannot be read."""
    path = card_file(folder, family)
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Card)
    except msgspec.DecodeError as error:
        raise WeightsError(f"{path}: is no card of weights: {error}") from None


def of(folder: Path) -> list[Card]:
    """All cards of a set."""
    return [card for family in backbones.FAMILIES if (card := read(folder, family))]


def sha256(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state(folder: Path, card: Card) -> Literal["ready", "missing", "damaged"]:
    """Whether the file that a card is about is beside it, is not, or is another."""
    path = weights_file(folder, card.family)
    if not path.is_file():
        return "missing"
    return "ready" if sha256(path) == card.sha256 else "damaged"


def checked(folder: Path, family: Family) -> str:
    """SHA-256 of a backbone's file. Raises WeightsError where it is not there, and where its card is of another."""
    path, card = weights_file(folder, family), read(folder, family)
    if not path.is_file():
        there = f"a card of {card.sha256[:12]}, but not the file" if card else "neither a file nor a card of it"
        raise WeightsError(
            f"weights '{folder.name}' have no {family}: there is {there}; `bench weights make` makes them"
        )
    found = sha256(path)
    if card and found != card.sha256:
        raise WeightsError(f"{path} is {found[:12]}, but the card beside it is of {card.sha256[:12]}")
    return found


def attach(files: Path, sets: Path) -> list[Path]:
    """Copy the files of a folder that some card in one of the `sets` names to their place beside it; where they are
    now. Raises WeightsError where there are no cards or no such folder, and where none of the files is named by one.
    """
    places: dict[str, list[Path]] = {}
    for folder in sorted(sets.glob("*/")):
        for card in of(folder):
            places.setdefault(card.sha256, []).append(weights_file(folder, card.family))
    if not places:
        raise WeightsError(f"{sets}: there are no cards of weights to attach files to")
    if not files.is_dir():
        raise WeightsError(f"{files}: there is no such folder")
    found = {digest: path for path in sorted(files.glob("*.safetensors")) if (digest := sha256(path)) in places}
    if not found:
        raise WeightsError(f"{files}: none of its .safetensors files is named by a card in {sets}")
    for digest, path in found.items():
        for place in places[digest]:
            with disk.replacing(place) as fresh:
                shutil.copyfile(path, fresh)
    return [place for digest in found for place in places[digest]]
