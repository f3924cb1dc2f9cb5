"""Whether records can be believed: each against its own predictions, and against the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec

from harness.judging.metrics import Accuracy
from harness.judging.records import HeldOut, Record, close, same_constants
from harness.model.variants import Search


def verify(record: Record) -> list[str]:
    """What in a record contradicts itself; empty where nothing does. Scores are recomputed from its predictions."""
    if record.status != "ok":
        return []
    title = f"{record.cell.title} ({record.key})"
    if record.test is None or record.held_out is None:
        return [f"{title}: is ok, but has no scores or no predictions"]
    lies = _verify_search(record, title) + _verify_scores(title, record.held_out, record.test)
    for name, tested in record.others.items():
        lies += _verify_scores(f"{title}, test '{name}'", tested.held_out, tested.accuracy)
    return lies


def _verify_scores(title: str, held_out: HeldOut, claims: Accuracy) -> list[str]:
    try:
        recomputed = msgspec.to_builtins(held_out.accuracy())
    except ValueError as error:
        return [f"{title}: its predictions give no scores: {error}"]
    if held_out.clusters and len(held_out.clusters) != len(held_out.truth):
        return [f"{title}: it numbers what {len(held_out.clusters)} images show, and has {len(held_out.truth)}"]
    return [
        f"{title}: {name} is {claimed} but its predictions give {recomputed[name]}"
        for name, claimed in msgspec.to_builtins(claims).items()
        if not close(claimed, recomputed[name])
    ]


def contradicts(record: Record, other: Record) -> bool:
    """Whether two `ok` records of one cell, computed by the same, predict otherwise, though bits are promised.

    They are on a processor, of frameworks that say that they are deterministic; of others nothing is promised.
    """
    told = (record.framework.get("deterministic", "True"), other.framework.get("deterministic", "True"))
    promised = record.cell.settings.device == "cpu" and told == ("True", "True")
    assert record.held_out is not None
    assert other.held_out is not None
    return promised and not close(record.held_out.predictions, other.held_out.predictions)


def verify_together(records: Iterable[Record]) -> list[str]:
    """Which records contradict another one; empty where none do.

    Those of one cell and environment must predict the same (`contradicts`), and those that name the same data and split
    must have been tested on the same constants.
    """
    records = [record for record in records if record.status == "ok" and record.held_out]
    return _otherwise_predicted(records) + _otherwise_tested(records)


def _otherwise_predicted(records: Sequence[Record]) -> list[str]:
    first: dict[tuple[str, str], Record] = {}
    lies = []
    for record in records:
        other = first.setdefault((record.key, record.computed_by), record)
        if contradicts(record, other):
            made = " and ".join(
                f"at {item.started} by commit {item.environment.short_commit}" for item in (other, record)
            )
            lies.append(
                f"{record.cell.title} ({record.key}): was run twice in one environment, {made}, with other predictions:"
                " one of them was edited, or the code was changed under one version; take one of the two lines out"
            )
    return lies


def _otherwise_tested(records: Sequence[Record]) -> list[str]:
    first: dict[tuple[str, str], Record] = {}
    lies = []
    for record in records:
        assert record.held_out is not None
        other = first.setdefault((record.cell.data_hash, record.cell.split_hash), record)
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
    if not search.configurations:
        return [f"{title}: is a search among nothing"]
    if searched is None:
        return [f"{title}: is a search without trials"]
    tried = [trial.configuration for trial in searched.trials]
    losses = [trial.validation_loss for trial in searched.trials]
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
