"""What is wrong with a record that somebody sent: why no run of this version can have left it.

Each question is asked where those before it were answered well: what is not written as it should be, what `bench run`
cannot be asked for, what no training leaves, what contradicts itself, the suite's own data set, or other scores.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import numpy as np

from harness.judging.audit import untrue
from harness.judging.metrics import unlike, varies
from harness.judging.records import SCHEMA, Cell, Record, close
from harness.judging.verify import verify
from harness.model.architecture import Network, backbone_of
from harness.model.variants import Search
from harness.protocol import Dataset, Split, Suite


class Data(NamedTuple):
    """A suite's own data set, its split, and what it is known by."""

    dataset: Dataset
    split: Split
    data_hash: str


def faults(record: Record, suite: Suite, own: Data) -> list[str]:
    """What contradicts itself, or the suite's own data set."""
    if record.status != "ok":
        return [f"is a record of a cell that is {record.status}: there is nothing in it to publish; take the line out"]
    return (
        _otherwise_written(record)
        or _otherwise_run(record.cell, suite, own.split)
        or _otherwise_trained(record)
        or verify(record)
        or _not_of_data(record, suite, own)
        or _otherwise_validated(record, own)
    )


def _otherwise_written(record: Record) -> list[str]:
    """What is not as this version writes it, by which a record could stand where it should not."""
    if record.schema != SCHEMA or record.key != record.cell.key:
        return ["is not as this version writes records of its cell: send what `bench run` wrote"]
    if absurd := next(_absurd(msgspec.to_builtins(record), "record"), ""):
        return [f"{absurd} is beyond {_MOST:g} in size, which no run leaves"]
    return _untimely(record.started)


_MOST = 1e100  # squares and sums of which a float still holds


def _absurd(value: object, place: str) -> Iterator[str]:
    """Where in a record numbers are that tables could not add up."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _absurd(part, f"{place}.{name}")
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _absurd(part, f"{place}.{number}")
    elif isinstance(value, int | float) and abs(value) > _MOST:
        yield place


def _untimely(started: str) -> list[str]:
    """What is wrong with a time: of one cell the record that started last stands."""
    try:
        time = datetime.fromisoformat(started)
    except ValueError:
        time = None
    # As text, for text is what is compared: the newest record stands.
    if time is None or time.utcoffset() is None or time.astimezone(UTC).isoformat(timespec="seconds") != started:
        return [f"started at {started!r}, which is no time as records have it, in UTC: 2026-03-01T12:00:00+00:00"]
    return [f"started at {started}, which is yet to come"] if time > datetime.now(UTC) else []


def _otherwise_run(cell: Cell, suite: Suite, split: Split) -> list[str]:
    """What `bench run` cannot be asked for, by which a row could stand apart from those that it competes with."""
    settings, told = cell.settings, list[str]()
    if not 0 <= cell.seed < 2**32:
        told.append(f"has seed {cell.seed}, and seeds lie between 0 and 2^32 - 1")
    if settings.unit and settings.target_scaling == "standard":
        told.append(f"names unit {settings.unit} for labels that its model sees without one")
    if settings.averaged and not any(symmetry.operators for symmetry in suite.SYMMETRIES):
        told.append("has averaged predictions, and the suite has no symmetry to average over")
    if settings.originals is not msgspec.UNSET and not 2 <= settings.originals <= len(split.train):
        told.append(f"is trained on {settings.originals} originals, and the suite has 2 to {len(split.train)}")
    return told + _longer(cell, suite)


def _longer(cell: Cell, suite: Suite) -> list[str]:
    """What is trained for more epochs than its profile allows, for `bench run` shortens what is longer."""
    profile, model = suite.PROFILES.get(cell.profile), cell.architecture
    if not profile:
        return []
    tuned = profile.fine_tuning_epochs if isinstance(model, Network) and backbone_of(model) else profile.epochs
    trained = [(recipe.epochs, profile.epochs if recipe.trains == "head" else tuned) for recipe in cell.recipes]
    if isinstance(model, Search):
        trained += [(item.recipe.epochs, profile.epochs) for item in model.configurations if item.recipe]
        trained.append((model.epochs, profile.search_epochs))
    return [
        f"trains for {epochs} epochs, and profile {cell.profile} for {most} at most"
        for epochs, most in trained
        if epochs > most
    ]


def _otherwise_trained(record: Record) -> list[str]:
    """What is not as any run would have left it: losses of a network, weights of what has a backbone."""
    cell = record.cell
    told = []
    if cell.has_network and not (
        record.history and all(part.loss and len(part.loss) == len(part.validation_loss) for part in record.history)
    ):
        told.append("is a network's, and has not the losses of each epoch")
    if any(len(part.loss) > recipe.epochs for part, recipe in zip(record.history, cell.recipes, strict=False)):
        told.append("has losses of more epochs than its recipe")
    if any(loss < 0 for part in record.history for loss in (*part.loss, *part.validation_loss)):
        told.append("has losses below 0")
    has_backbone = isinstance(cell.architecture, Network) and backbone_of(cell.architecture)
    if cell.weights and not has_backbone:
        told.append(f"starts from weights '{cell.weights}', and has no backbone")
    elif has_backbone and not _WEIGHTS.fullmatch(cell.weights):
        told.append(f"starts from weights '{cell.weights}', which are not told as runs do: random, imagenet, or a hash")
    return told


_WEIGHTS = re.compile("random|imagenet|.+ [0-9a-f]{12}")  # see `pretrained.Origin`


def _not_of_data(record: Record, suite: Suite, own: Data) -> list[str]:
    if (record.cell.data_hash, record.cell.data) != (own.data_hash, own.dataset.name):
        return ["is of other data than the suite's own"]
    if unknown := sorted(record.moved.keys() - {symmetry.key for symmetry in suite.SYMMETRIES}):
        return [f"says how predictions change under {', '.join(unknown)}, which is no symmetry of the suite"]
    try:
        with np.errstate(all="ignore"):
            return [f"{what} not what its data set gives" for what in untrue(record, suite, own.dataset, own.split)]
    except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
        return [f"the suite's figures cannot be computed of its predictions: {error}"]


def _otherwise_validated(record: Record, own: Data) -> list[str]:
    """What contradicts itself of the scores on the validation images, by which models are chosen: predictions of these
    are not recorded, but the labels are here, and scores of one model follow from each other.
    """
    told, dataset, split = record.validation, own.dataset, own.split
    if told is None:
        return ["has no scores on the validation images, and every run leaves them"]
    truth, mean = dataset.targets[split.validation], dataset.targets[split.train].mean(axis=0)
    if tuple(told.r2) != dataset.target_names:
        return ["its R² on the validation images are not of the suite's targets"]
    r2 = np.array([np.nan if value is None else value for value in told.r2.values()])
    known = varies(truth)
    if (np.isfinite(r2) != known).any():  # one left out would leave the squared error free
        return ["its R² on the validation images are not of those targets that vary there"]
    of_mean = float(np.mean((truth - mean) ** 2))
    follow: dict[str, tuple[float | None, float | None]] = {
        "rmse": (told.rmse, max(told.mse, 0.0) ** 0.5),
        "mse_of_mean": (told.mse_of_mean, of_mean),
    }
    if known.all():  # each says how large the squared error of its target is
        follow |= {
            "mse": (told.mse, float(np.mean((1 - r2) * truth.var(axis=0)))),
            "r2_mean": (told.r2_mean, r2.mean()),
        }
    if not unlike(dataset.units):
        follow["skill"] = (told.skill, 1 - told.mse / of_mean if of_mean else None)
    sizes = {"rmse": of_mean**0.5, "mse": of_mean, "mse_of_mean": of_mean}
    return [
        f"its {name} on the validation images is {claimed}, and by its other scores and their labels {ours}"
        for name, (claimed, ours) in follow.items()
        if not close(claimed, ours, sizes.get(name, 1.0))
    ]
