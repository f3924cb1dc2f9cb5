"""`bench submit`: what somebody sent as records, read by code that was here before. Nothing in the file is run.

What can be computed again is, from the predictions and from the suite's own data; what cannot is said. A record that
passes is no proof of its model: `bench reproduce` runs one again.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from harness import registry
from harness.disk import is_file
from harness.environment import git
from harness.errors import BenchError, Finding
from harness.judging import leaderboard
from harness.judging.blocks import Row, newest
from harness.judging.columns import definition, digest
from harness.judging.faults import Data, faults
from harness.judging.records import Record, Truth
from harness.judging.reproductions import ROUNDING, by_this_code, compare, distance_of, spread_of_seeds
from harness.judging.rivals import Rivals
from harness.judging.shortened import shortened
from harness.judging.standing import comparable, standing
from harness.judging.store import RecordsError, Store, read, with_truth
from harness.judging.verify import contradicts, verify_together
from harness.model.variants import Search, Variant
from harness.protocol import Suite

MOST_BYTES = 64 * 2**20
LONGEST_LINE = 4 * 2**20
MOST_LINES = 2000

NOT_VERIFIED = (
    "that the predictions came from the model that a record names",
    "validation scores, by which rivals are chosen, and the model that a report names first",
    "parameters, histories, trial losses, seconds, facts about the exported file, how intervals and flags performed",
    "by how much predictions change under symmetries",
    "that the commit, the processor and the versions are those that a record names",
    "that seeds were not chosen among more that were run",
    "what a submitter's own code does: records hold only its hash",
)
"""What no file of records can show."""


class RankedRow(NamedTuple):
    """A row that the records would make, or join: its `rank` by skill of `among` rows that it may be ranked with."""

    title: str
    seeds: str
    skill: float | None
    rank: int | None
    among: int
    verdict: str


class Submission(NamedTuple):
    """The records that could be read, by line; what is wrong or strange, by line; the rows that they would make."""

    records: dict[int, Record]
    findings: list[Finding]
    rows: list[RankedRow]

    @property
    def acceptable(self) -> bool:
        """Whether there is something, and nothing is wrong with it; warnings are the reviewer's to weigh."""
        return bool(self.records) and not any(finding.severity == "error" for finding in self.findings)


def examine(path: Path, results: Path, suite_name: str) -> Submission:
    """Everything that a reviewer needs to know of a file of training records of a suite, against those in `results`.

    Raises BenchError where the file is too large to be read, or none, and where what is published cannot be believed.
    """
    suite = registry.suite(suite_name)
    published = leaderboard.believed(results, suite_name)
    dataset = suite.load(None, {})
    split = suite.split(dataset)
    truths = Store(results, suite_name).truths()
    records, findings = _read(path, suite_name)
    of_cells = {(record.row, record.seed): (record, "is published") for record in published if record.status == "ok"}
    own = Data(dataset, split, dataset.fingerprint())
    for number, sent in records.items():
        record, wrong = _completed(sent, truths)
        records[number] = record
        wrong = wrong or faults(record, suite, own) or _among(record, of_cells)
        findings += [Finding("error", f"line {number}", what) for what in wrong]
        if not wrong:
            strange = _strange(record, suite, published)
            strange += _copied(record, of_cells.values(), len(split.train))
            strange += _disagreeing(record, published)
            findings += [Finding("warning", f"line {number}", what) for what in strange]
            of_cells[record.row, record.seed] = (record, "stands in an earlier line")
    bad = {finding.where for finding in findings if finding.severity == "error"}
    good = [record for number, record in records.items() if f"line {number}" not in bad]
    rows: list[RankedRow] = []
    if good and not (lies := verify_together([*published, *good])):
        try:
            rows = _ranked_rows(results, suite_name, published, good)
        except BenchError as error:
            findings.append(Finding("error", "the leaderboard", str(error)))
        findings += _of_the_board(suite, published, good)
    elif good:
        findings += [Finding("error", "among the others", lie) for lie in lies]
    return Submission(records, findings, rows)


def _read(path: Path, suite: str) -> tuple[dict[int, Record], list[Finding]]:
    if not is_file(path):
        raise BenchError(f"check={path}: there is no such file")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise BenchError(f"check={path}: has {size:,} bytes, and a submission has at most {MOST_BYTES:,}")
    *lines, rest = path.read_bytes().split(b"\n")
    if len(lines) > MOST_LINES:
        raise BenchError(f"check={path}: has {len(lines):,} lines, and a submission has at most {MOST_LINES:,}")
    records: dict[int, Record] = {}
    findings = [Finding("error", "the last line", "does not end in a newline: it may be torn")] if rest else []
    for number, line in enumerate(lines, 1):
        where = f"line {number}"
        if len(line) > LONGEST_LINE:
            findings.append(Finding("error", where, f"has {len(line):,} bytes, more than {LONGEST_LINE:,}"))
            continue
        try:
            record = read(line, Record, where)
        except RecordsError as error:
            findings.append(Finding("error", where, str(error).removeprefix(f"{where}: ")))
            continue
        if record.cell.suite != suite:
            findings.append(Finding("error", where, f"is of suite {record.cell.suite}, not of {suite}"))
        else:
            records[number] = record
    return records, findings


def _completed(record: Record, truths: Mapping[tuple[str, str, str], Truth]) -> tuple[Record, list[str]]:
    """A record with what is known here of its tests; and what is wrong, for whatever it says of them itself must be
    the same.
    """
    claimed = [record.held_out, *(tested.held_out for tested in record.others.values())]
    for held_out in claimed:
        if held_out is None:
            continue
        of = (record.cell.data_hash, record.cell.split_hash, held_out.test)
        if of not in truths:
            return record, [
                f"was tested on data {of[0][:12]}, split {of[1][:12]}, test '{of[2]}', of which nothing is published: "
                "there is nothing to check it against"
            ]
        if held_out.ids not in ((), truths[of].ids):  # other images may have the same constants, as classes in turns
            return record, [f"names other images of test '{held_out.test}' than are published"]
    try:
        return with_truth(record, truths), []
    except ValueError as error:
        return record, [str(error)]


def _among(record: Record, of_cells: Mapping[tuple[str, int], tuple[Record, str]]) -> list[str]:
    """What of it is there already; `of_cells` are records by row and seed, and where each is."""
    if (record.row, record.seed) not in of_cells:
        return []
    other, where = of_cells[record.row, record.seed]
    if other.held_out and contradicts(record, other):
        return [f"predicts differently than the record of the same cell, computed by the same, that {where}"]
    return [f"{record.cell.title}: {where} already, computed by the same"]


def _strange(record: Record, suite: Suite, published: Sequence[Record]) -> list[str]:
    """What is no fault, and a reviewer should know."""
    cell, told = record.cell, []
    known = {variant.name: variant for variant in suite.VARIANTS}
    of_name = [
        other for other in published if other.cell.variant == cell.variant and other.cell.profile == cell.profile
    ]
    if cell.imported:
        told.append(f"{cell.variant} is somebody's own code, of which records have the hash alone: ask for the code")
    elif cell.variant not in known:
        told.append(f"{cell.variant} is no variant of the suite: its definition must come with it to be run again")
    elif of_name and definition(record) not in map(definition, of_name):
        told.append(f"{cell.variant} is defined otherwise than in the published records of profile {cell.profile}")
    elif not of_name and not _is_of(known[cell.variant], record, suite):
        told.append(f"{cell.variant} is defined otherwise than here, and profile {cell.profile} has nothing published")
    if cell.profile not in suite.PROFILES:
        told.append(f"profile {cell.profile} is not known here")
    if cell.backend not in registry.names("backends"):
        told.append(f"{cell.backend} is no backend that is here")
    elif not by_this_code([record]):
        told.append("made by other code than is here: it cannot be run again to the bit")
    if not record.environment.commit or record.environment.commit.endswith("+dirty"):
        told.append("made by no commit, or by one with changes: nobody else has that code")
    elif _is_unknown(record.environment.commit):
        told.append(
            f"made by commit {record.environment.short_commit}, which git does not know here: fetch it, for nobody can "
            "see code that was not pushed"
        )
    skills = [scores.skill for scores in (record.validation, record.test) if scores and scores.skill is not None]
    if len(skills) == 2 and skills[0] - skills[1] > _APART:
        on_each = f"{skills[0]:.3g} on validation images, which cannot be verified, and {skills[1]:.3g} on the test"
        told.append(f"its skill is {on_each}")
    if record.test and record.test.skill is not None and record.test.skill > 1 - 1e-9:
        told.append("its predictions are the truth to nine digits")
    return told


def _is_of(variant: Variant, record: Record, suite: Suite) -> bool:
    """Whether a record is of a variant as its profile makes it, where that is known."""
    assert record.held_out is not None
    cell, profile = record.cell, suite.PROFILES.get(record.cell.profile)
    if profile is None:
        return True
    method = cell.architecture.method if isinstance(cell.architecture, Search) else profile.search
    architecture, recipes = shortened(variant, profile, method, len(record.held_out.targets))
    made = msgspec.structs.replace(variant, architecture=architecture, recipes=recipes)
    return msgspec.structs.replace(cell.as_variant(), summary=variant.summary) == made


@cache
def _is_unknown(commit: str) -> bool:
    """Whether git does not know a commit, where this code is in a checkout."""
    if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", commit):
        return True
    checkout = Path(registry.__file__).resolve().parent.parent
    if not (checkout / ".git").exists():
        return False
    try:
        return git(checkout, "cat-file", "-e", f"{commit}^{{commit}}", timeout=10).returncode != 0
    except (OSError, subprocess.SubprocessError):
        return False


_APART = 0.3  # in skill; what is told of these data by the few images of validation differs by less


def _copied(record: Record, others: Iterable[tuple[Record, str]], images: int) -> list[str]:
    """Whose predictions it has, of other records and where each is, though what was trained is another."""
    for other, where in others:
        apart = _apart(record, other)
        if not apart <= ROUNDING:  # nor where it is not known
            continue
        another = _trained(record, images) != _trained(other, images)
        if apart == 0 and (another or other.cell.backend != record.cell.backend):
            return [f"its predictions are to the digit those of {other.cell.title}, which {where}"]
        if another:  # of one variant and seed two frameworks may come as near
            return [f"its predictions are {apart:.1g} of their error from those of {other.cell.title}, which {where}"]
    return []


def _trained(record: Record, images: int) -> object:
    """Equal where predictions may be the same: for the same variant and as many of the training `images`; and of a
    network for the same definition, weights, scaling and seed.
    """
    cell, settings = record.cell, record.cell.settings
    originals = images if settings.originals is msgspec.UNSET else settings.originals
    if not cell.has_network:
        return cell.variant, originals
    started = cell.weights, settings.init, settings.target_scaling, settings.unit, cell.seed
    return cell.variant, originals, definition(record), *started


def _disagreeing(record: Record, published: Iterable[Record]) -> list[str]:
    """Whether it predicts otherwise than every published record of its cell, made elsewhere or by other code, by more
    than seeds do; or where there is none, than every other seed of it, by far more than these do.
    """
    of_variant = [one for one in published if one.status == "ok" and one.cell.variant == record.cell.variant]
    good = [one for one in of_variant if one.of_cell == record.of_cell]
    of_same_seed = [one for one in good if one.key == record.key]
    than, most = ("those published of the same cell", 1.0) if of_same_seed else ("every published seed", _SEEDS_APART)
    found = []
    for other in of_same_seed or good:
        spread = spread_of_seeds([one for one in good if one.row == other.row])
        if of_same_seed or None not in spread.values():
            found.append(compare(other, record, {test: by and most * by for test, by in spread.items()}))
    if not found or any(again.agrees != "no" for again in found):
        return []
    nearest = min(found, key=lambda again: again.distance)
    where = "" if nearest.spread is None else f", where seeds differ by {nearest.spread / most:.3g}"
    return [
        f"its predictions of test '{nearest.test}' are {nearest.distance:.3g} from {than}{where}: run it again with "
        "`bench reproduce`"
    ]


_SEEDS_APART = 3.0  # times their median distance; what was trained alike differs by less


def _apart(one: Record, other: Record) -> float:
    """How far predictions of the test are from each other, as a share of the first's error; NaN of other tests."""
    assert one.held_out is not None
    assert one.test is not None
    return distance_of(one, other, one.held_out.test) / max(one.test.rmse, np.finfo(float).tiny)


def _of_the_board(suite: Suite, published: Sequence[Record], good: Sequence[Record]) -> list[Finding]:
    """What of the board changes with these records besides their own rows, and which of these lack seeds."""
    before, after = standing(published), standing([*published, *good])
    old, new = Rivals(comparable(before), tuple), Rivals(comparable(after), tuple)
    changed: Counter[tuple[str, str, str]] = Counter()
    for first, *_ in comparable(before):
        was, now = old.of(first), new.of(first)
        if now and (was is None or _answers(was) != _answers(now)):
            before_it = "none" if was is None else was.title + " as published" * (was.title == now.title)
            changed[first.cell.profile, before_it, now.title] += 1
    told = [
        f"{count} networks of profile {profile} would be compared with {now} instead of {was}: their verdicts would "
        "change, because of validation scores that cannot be verified"
        for (profile, was, now), count in changed.items()
    ]
    told += _out_of_sight(published, good)
    stand = {record.row for record in after}
    told += [
        f"the published row of {first.cell.row} on {first.cell.backend} would be replaced by these, which predict the "
        "same, with seconds, sizes and validation scores that cannot be verified"
        for first, *_ in comparable(before)
        if first.row not in stand
    ]
    made = {record.row for record in good}
    for first, *others in (group for group in comparable(after) if group[0].row in made):
        profile = suite.PROFILES.get(first.cell.profile)
        lacking = set(profile.seeds if profile else ()) - {first.seed, *(other.seed for other in others)}
        if lacking:
            seeds = " ".join(map(str, sorted(lacking)))
            told.append(f"{first.cell.row} on {first.cell.backend} lacks seeds {seeds} of its profile")
    return [Finding("warning", "the leaderboard", what) for what in told]


def _answers(rival: Row) -> list[int]:
    """What it is made of, by which networks are compared with it."""
    return [record.answers for record in rival.records]


def _out_of_sight(published: Sequence[Record], good: Sequence[Record]) -> list[str]:
    """Which published rows would be shown no more, where the newest comparable ones are: those of the newest record's
    profile, settings and processor, and of a model the newest.
    """
    told = []
    for profile in ("", *sorted({record.cell.profile for record in good})):
        shown, still = ({record.row for record in newest(of, profile)} for of in (published, [*published, *good]))
        if gone := len(shown - still):
            where = f"reports of profile {profile}" if profile else "printed tables and pages' answers"
            told.append(f"{where} would show {gone} of {len(shown)} published rows no more, but these in their place")
    return told


def _ranked_rows(results: Path, suite: str, published: Sequence[Record], good: Sequence[Record]) -> list[RankedRow]:
    """The rows of the leaderboard with these records that have one of them."""
    together = standing([*published, *good])
    table, groups = leaderboard.of_block(results, suite, together), comparable(together)
    made = {id(record) for record in good}
    ranked = []
    fewer = {digest(g[0].cell.settings) for g in groups if g[0].cell.settings.originals is not msgspec.UNSET}
    for group in groups:
        if not any(id(record) in made for record in group):
            continue
        first = group[0]
        mine = _of(table, first) & (table["variant"] == first.cell.row) & (table["backend"] == first.cell.backend)
        mine &= table["computed_by"] == first.computed_by[:12]
        mine &= table["settings"] == digest(first.cell.settings)
        row = table[mine & (table["definition"] == definition(first))].iloc[0]
        skills = _skills_beside(table[_of(table, first) & table["skill"].notna()], row, fewer)
        rank = None if row["skill"] is None else 1 + int((skills > row["skill"]).sum())
        ranked.append(
            RankedRow(
                f"{row['variant']} on {row['backend']}",
                row["seeds"],
                row["skill"],
                rank,
                1 + len(skills),
                row["verdict"],
            )
        )
    return ranked


def _skills_beside(alike: pd.DataFrame, row: pd.Series[Any], fewer: set[str]) -> pd.Series[float]:
    """Of the other models among rows that are alike, the best of those of one model: to train it again, by other code
    or on another machine, makes no other one. Those trained on `fewer` images, by their settings, are none.
    """
    model = ["variant", "backend", "settings", "definition"]
    others = alike[(alike[model] != row[model]).any(axis=1) & ~alike["settings"].isin(fewer - {row["settings"]})]
    return others.drop_duplicates(model)["skill"].astype(float)  # the table has the best first


def _of(table: pd.DataFrame, record: Record) -> Any:
    """Which rows may be ranked with a record: of its data, split, profile and settings."""
    cell = record.cell
    return (
        (table["data_hash"] == cell.data_hash[:12])
        & (table["split_hash"] == cell.split_hash[:12])
        & (table["profile"] == cell.profile)
        & (table["target_scaling"] == cell.settings.target_scaling)
        & (table["device"] == cell.settings.device)
    )
