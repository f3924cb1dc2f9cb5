"""Whether records can be believed: each against its own predictions, and against the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from harness.errors import BenchError
from harness.judging.metrics import Accuracy, accuracies
from harness.judging.records import HeldOut, Record, close, same_constants, size
from harness.model.variants import Search


def verify(record: Record) -> list[str]:
    """What in a record contradicts itself; empty where nothing does. Scores are recomputed from its predictions."""
    return verify_each([record])


def verify_each(records: Iterable[Record]) -> list[str]:
    """The same of several, those that were tested on the same together, which takes a fraction of the time."""
    lies, alike = list[str](), dict[tuple[int, int, tuple[str, ...], tuple[str, ...]], list[_Claim]]()
    for record in records:
        if record.status != "ok":
            continue
        title = f"{record.cell.title} ({record.key})"
        if record.test is None or record.held_out is None:
            lies.append(f"{title}: is ok, but has no scores or no predictions")
            continue
        lies += _verify_search(record, title) + _verify_names(record, title)
        claims = [_Claim(title, record.held_out, record.test)]
        claims += [
            _Claim(f"{title}, test '{name}'", tested.held_out, tested.accuracy)
            for name, tested in record.others.items()
        ]
        for claim in claims:
            of = claim.held_out
            alike.setdefault((id(of.truth), id(of.train_mean), of.targets, of.units), []).append(claim)
    return lies + [line for claims in alike.values() for line in _verify_scores(claims)]


def _verify_names(record: Record, title: str) -> list[str]:
    """A test that stands twice would have the predictions of one, and the suite's figures of the other."""
    assert record.held_out is not None
    of = [record.held_out.test, *(tested.held_out.test for tested in record.others.values())]
    called = [record.held_out.test, *record.others]
    if of == called and len(set(of)) == len(of):
        return []
    return [f"{title}: calls its tests {', '.join(called)}, and its predictions are of {', '.join(of)}"]


class _Claim(NamedTuple):
    """What a record says of itself, and what it follows from."""

    title: str
    held_out: HeldOut
    accuracy: Accuracy


def _verify_scores(claims: Sequence[_Claim]) -> list[str]:
    """All of which have the same constants."""
    title, first, _ = claims[0]
    try:
        predictions = np.array([claim.held_out.predicted for claim in claims])
        recomputed = accuracies(predictions, first.true, np.array(first.train_mean), first.targets, first.units)
    except ValueError as error:
        if len(claims) > 1:  # whose fault it is shows by itself
            return [line for claim in claims for line in _verify_scores([claim])]
        return [f"{title}: its predictions give no scores: {error}"]
    return [line for claim, ours in zip(claims, recomputed, strict=True) for line in _verify_claim(claim, ours)]


def _verify_claim(claim: _Claim, recomputed: Accuracy) -> list[str]:
    title, held_out, claims = claim
    if held_out.clusters and len(held_out.clusters) != len(held_out.truth):
        return [f"{title}: it numbers what {len(held_out.clusters)} images show, and has {len(held_out.truth)}"]
    if claims == recomputed:
        return []
    ours, of_truth = msgspec.to_builtins(recomputed), size(held_out.truth)
    sizes = {"rmse": of_truth, "mae": of_truth, "mse": of_truth**2, "mse_of_mean": of_truth**2}
    return [
        f"{title}: {name} is {claimed} but its predictions give {ours[name]}"
        for name, claimed in msgspec.to_builtins(claims).items()
        if not close(claimed, ours[name], sizes.get(name, 1.0))
    ]


def refuse(file: Path, lies: Sequence[str]) -> None:
    """Raise BenchError where records of a file were found to lie, naming both."""
    if lies:
        raise BenchError(f"{file} holds records that contradict themselves:\n  " + "\n  ".join(lies))


def contradicts(record: Record, other: Record) -> bool:
    """Whether two `ok` records of one cell, computed by the same, predict otherwise, though bits are promised.

    They are on a processor, of frameworks that say that they are deterministic; of others nothing is promised.
    """
    told = (record.framework.get("deterministic", "True"), other.framework.get("deterministic", "True"))
    promised = record.cell.settings.device == "cpu" and told == ("True", "True")
    assert record.held_out is not None
    assert other.held_out is not None
    one, two = record.held_out.predictions, other.held_out.predictions
    return promised and not close(one, two, size(two))


Tested = dict[tuple[str, str], Record]
"""The first record of each data and split, which tells what those after it must have been tested on."""


def verify_together(records: Iterable[Record], tested: Tested | None = None) -> list[str]:
    """Which records contradict another one; empty where none do.

    Those of one cell and environment must predict the same (`contradicts`), and those that name the same data and split
    must have been tested on the same constants, those of `tested` among them, to which these records are added.
    """
    records = [record for record in records if record.status == "ok" and record.held_out]
    return _otherwise_predicted(records) + _otherwise_tested(records, {} if tested is None else tested)


def _otherwise_predicted(records: Sequence[Record]) -> list[str]:
    first: dict[tuple[str, int], Record] = {}
    lies = []
    for record in records:
        other = first.setdefault((record.row, record.seed), record)
        if other is not record and contradicts(record, other):
            made = " and ".join(
                f"at {item.started} by commit {item.environment.short_commit}" for item in (other, record)
            )
            lies.append(
                f"{record.cell.title} ({record.key}): was run twice in one environment, {made}, with other predictions:"
                " one of them was edited, or the code was changed under one version; take one of the two lines out"
            )
    return lies


def _otherwise_tested(records: Sequence[Record], first: Tested) -> list[str]:
    lies = []
    for record in records:
        assert record.held_out is not None
        other = first.setdefault(record.cell.question, record)
        assert other.held_out is not None
        if not same_constants(record.held_out, other.held_out):
            lies.append(
                f"{record.cell.title} ({record.key}): names the same data and split as {other.cell.title} "
                f"({other.key}), but not the same constants: one of them was edited"
            )
    return lies


def _verify_search(record: Record, title: str) -> list[str]:
    """A search must have tried what its method asks for, and selected by the validation loss alone."""
    search, searched = record.cell.architecture, record.searched
    if not isinstance(search, Search):
        return [f"{title}: has a search, and its cell none"] if searched else []
    if searched is None:
        return [f"{title}: is a search without trials"]
    tried = [trial.configuration for trial in searched.trials]
    losses = [trial.loss for trial in searched.trials]
    if lie := _verify_tries(search, tried, losses):
        return [f"{title}: {search.method} among {len(search.configurations)} configurations {lie}"]
    best = search.selected(tried, losses)
    if best != searched.selected:
        return [
            f"{title}: selected configuration {searched.selected}, but {best} has the lowest loss of the last round"
        ]
    return []


def _verify_tries(search: Search, tried: Sequence[int], losses: Sequence[float]) -> str:
    """What is wrong with these tries, "" where nothing is. What Optuna would have proposed is not asked: it is not
    installed everywhere, and its newer versions propose otherwise. `bench reproduce` asks it.
    """
    if search.method != "optuna":
        asked = [number for number, _ in search.tries(losses)]
        return "" if tried == asked else f"tries {asked}, not {tried}"
    rounds, runs = len(search.rounds()), [(number, len(list(run))) for number, run in groupby(tried)]
    if len({number for number, _ in runs}) < len(runs) or any(count > rounds for _, count in runs):
        return f"tries each in up to {rounds} rounds, one round after the other, and then another one, not {tried}"
    if not {number for number, _ in runs} <= set(range(len(search.configurations))):
        return f"has none but 0 to {len(search.configurations) - 1}, and tried {tried}"
    spent = sum(map(search.cost, tried, search.epochs_of(tried)))
    if not tried or spent > search.budget:
        return f"takes some epochs, at most {search.budget} in all, not {spent}"
    return ""
