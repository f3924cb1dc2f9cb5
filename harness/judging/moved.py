"""What moved in the leaderboards between a git commit and the files on disk: rows, values, ranks, columns."""

from __future__ import annotations

import csv
import io
import math
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.environment import git
from harness.errors import BenchError
from harness.judging.columns import COSTS, ORIGIN, RUN
from harness.judging.leaderboard import leaderboard_file
from harness.text import escaped

Line = Mapping[str, str]
Key = tuple[str, ...]

# What makes a row another one, as far as both tables have it.
_ROW = ("variant", "backend", "profile", "data_hash", "split_hash", "settings", "definition", "computed_by", "weights")
_RANKED = ("profile", "data_hash", "split_hash", "target_scaling", "device")  # rows of one ranking

# What is another thing each time that a row is made.
_OF_A_RUN = frozenset(column.name for column in (*COSTS, *RUN, *ORIGIN))

_SHOWN = 20  # lines of each kind that are told


class Moved(NamedTuple):
    """What moved in one leaderboard, in words: `columns` that came or went, rows `gone` and `new`, those made `again`
    by other code, versions or machine, `values` that changed beyond their last printed digit, and `ranks`, by skill, of
    rows that both have. Of a row made again, what it costs and where it comes from is no change.
    """

    suite: str
    columns: list[str]
    gone: list[str]
    new: list[str]
    values: list[str]
    ranks: list[str]
    again: list[str]

    @property
    def anything(self) -> bool:
        """Whether something moved."""
        return any(self[1:])


def since(results: Path, suite: str, reference: str) -> Moved:
    """What moved in a suite's leaderboard since the commit that `reference` names.

    Raises BenchError where git does not know it, or the results folder is in no repository.
    """
    path = leaderboard_file(results, suite)
    then = _committed(path, _commit(results, reference))
    return between(suite, then, path.read_text("utf-8", "replace") if path.is_file() else "")


def between(suite: str, then: str, now: str) -> Moved:
    """What moved between two leaderboards of a suite, as CSV; "" for one that was not there."""
    tables = _read(suite, then), _read(suite, now)
    columns = [header for header, _ in tables]
    identity = [name for name in _ROW if all(name in header for header in columns if header)]
    before, after = (_rows(suite, lines, identity) for _, lines in tables)
    came = [f"{name} is new" for name in columns[1] if name not in columns[0]] if then else []
    went = [f"{name} is gone" for name in columns[0] if name not in columns[1]] if now else []
    both = [key for key in after if key in before]
    again, ranked = _made_again(before, after, identity), _ranked(after)
    return Moved(
        suite,
        came + went,
        [_told(before[key]) for key in before if key not in after and key not in again],
        [
            f"{_told(line)}{ranked.get(key, '')}"
            for key, line in after.items()
            if key not in before and key not in again.values()
        ],
        [change for key in both for change in _changes(before[key], after[key])],
        _ranks(before, after),
        [_told_again(before[old], after[new]) for old, new in again.items()],
    )


def in_markdown(moved: Iterable[Moved], reference: str) -> str:
    """As a page for a pull request."""
    told = [item for item in moved if item.anything]
    lines = [f"### Leaderboards since {escaped(reference)}", ""]
    if not told:
        return "\n".join([*lines, "Nothing moved.", ""])
    for item in told:
        kinds = (
            ("rows gone", "gone", item.gone),
            ("new", "new", item.new),
            ("made again", "made again", item.again),
            ("values changed", "changed", item.values),
            ("ranks changed", "rank", item.ranks),
            ("columns came or went", "column", item.columns),
        )
        lines += [f"**{item.suite}**: {', '.join(f'{len(found)} {whole}' for whole, _, found in kinds if found)}", ""]
        for _, each, found in kinds:
            lines += [f"- {each}: {escaped(line)}" for line in found[:_SHOWN]]
            lines += [f"- {each}: and {len(found) - _SHOWN} more"] * (len(found) > _SHOWN)
        lines.append("")
    return "\n".join(lines)


# --- git ----------------------------------------------------------------------------------------------------------


def _git(results: Path, *words: str) -> subprocess.CompletedProcess[str]:
    try:
        return git(results, *words)
    except OSError as error:
        raise BenchError(f"diff= asks git, which cannot be run: {error.strerror or error}") from None


def _commit(results: Path, reference: str) -> str:
    if not results.is_dir() or _git(results, "rev-parse", "--git-dir").returncode:
        raise BenchError(f"{results}: is in no git repository, so there is no commit to compare with")
    found = _git(results, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}")
    if found.returncode:
        raise BenchError(f"diff={reference}: git knows no such commit here; in a shallow clone `git fetch` it first")
    return found.stdout.strip()


def _committed(path: Path, commit: str) -> str:
    """A file as it was at a commit; "" where it was not there."""
    shown = _git(path.parents[1], "show", f"{commit}:./leaderboards/{path.name}")
    return "" if shown.returncode else shown.stdout


# --- tables -------------------------------------------------------------------------------------------------------


def _read(suite: str, text: str) -> tuple[Sequence[str], list[dict[str, str]]]:
    """The columns of a table, and its lines. Raises BenchError for what is none."""
    reader = csv.DictReader(io.StringIO(text))
    try:
        return reader.fieldnames or (), list(reader)
    except csv.Error as error:
        raise BenchError(f"leaderboards/{suite}.csv: is no CSV: {error}") from None


def _rows(suite: str, lines: Iterable[dict[str, str]], identity: Sequence[str]) -> dict[Key, Line]:
    """Lines by the columns that make them rows of their own; where even these are the same, by their number. Raises
    BenchError for a skill that is no number.
    """
    counted: Counter[Key] = Counter()
    rows: dict[Key, Line] = {}
    for line in lines:
        _refuse_no_number(suite, line.get("skill") or "0")
        key = tuple(line[name] or "" for name in identity)
        rows[*key, str(counted[key])] = {name: value or "" for name, value in line.items() if name is not None}
        counted[key] += 1
    return rows


def _made_again(before: Mapping[Key, Line], after: Mapping[Key, Line], identity: Sequence[str]) -> dict[Key, Key]:
    """Of rows that are gone the new ones that differ in what computed them alone, where there is one of each."""

    def by_cells(keys: Iterable[Key]) -> dict[Key, Key]:
        found: dict[Key, list[Key]] = {}
        for key in keys:
            named = zip(identity, key, strict=False)
            found.setdefault(tuple(part for name, part in named if name != "computed_by"), []).append(key)
        return {cells: keys[0] for cells, keys in found.items() if len(keys) == 1}

    gone, new = by_cells(key for key in before if key not in after), by_cells(key for key in after if key not in before)
    return {key: new[cells] for cells, key in gone.items() if cells in new}


def _refuse_no_number(suite: str, skill: str) -> None:
    try:
        float(skill)
    except ValueError:
        raise BenchError(
            f"leaderboards/{suite}.csv: skill {skill!r} is no number: `bench leaderboard` writes it anew"
        ) from None


def _told(line: Line) -> str:
    status = line.get("status", "ok")
    skill = f"skill {line.get('skill')}" if line.get("skill") else "no skill"
    return f"{_name(line)}, {skill if status == 'ok' else status.partition(':')[0]}, {_place(line)}"


def _told_again(before: Line, after: Line) -> str:
    changes = _changes(before, {name: value for name, value in after.items() if name not in _OF_A_RUN})
    told = [change.removeprefix(f"{_name(after)}: ") for change in changes]
    return f"{_told(after)}, {', '.join(told) or 'as it was'}"


def _ranked(rows: Mapping[Key, Line]) -> dict[Key, str]:
    """Where each row that has a rank stands among all that it may be ranked with."""
    alike: dict[Key, list[Key]] = {}
    for key, line in rows.items():
        alike.setdefault(_ranking(line), []).append(key)
    ranks = [_by_skill(keys, rows) for keys in alike.values()]
    return {key: f", ranks {rank} of {len(of)}" for of in ranks for key, rank in of.items()}


def _name(line: Line) -> str:
    return f"{line.get('variant')} on {line.get('backend')}"


def _place(line: Line) -> str:
    """What tells rows of one name apart."""
    return f"profile {line.get('profile')}, seeds {line.get('seeds')}, commit {line.get('commit')}"


def _changes(before: Line, after: Line) -> list[str]:
    return [
        f"{_name(after)}: {name} {before[name] or '–'} → {after[name] or '–'}"
        for name in after
        if name in before and differ(before[name], after[name])
    ]


def differ(one: str, other: str) -> bool:
    """Whether two cells differ by more than the last of the six digits that are printed: another machine sums in
    another order.
    """
    if one == other:
        return False
    try:
        a, b = float(one), float(other)
    except ValueError:
        return True
    if not (math.isfinite(a) and math.isfinite(b)):
        return True
    if a == b:  # 0 is written as 0.0 and -0, too
        return False
    last = 10.0 ** (math.floor(math.log10(max(abs(a), abs(b)))) - 5)
    if max(abs(a), abs(b)) >= 1e-9:  # nor has any more than nine decimals, but errors of targets that are small numbers
        last = max(last, 1e-9)
    return abs(a - b) > 1.5 * last


def _ranks(before: Mapping[Key, Line], after: Mapping[Key, Line]) -> list[str]:
    """Of rows that both tables have, those whose rank among these changed."""
    both = [key for key in after if key in before]
    found = []
    for ranking in dict.fromkeys(_ranking(after[key]) for key in both):
        keys = [key for key in both if _ranking(after[key]) == ranking]
        then, now = _by_skill(keys, before), _by_skill(keys, after)
        found += [
            f"{_name(after[key])}: {then[key]} → {now[key]} of {len(now)} that both have"
            for key in now
            if key in then and then[key] != now[key]
        ]
    return found


def _ranking(line: Line) -> Key:
    return tuple(line.get(name) or "" for name in _RANKED)


def _by_skill(keys: Sequence[Key], rows: Mapping[Key, Line]) -> dict[Key, int]:
    """Rank by skill, the best first; rows of one skill share the better rank."""
    skills = {key: float(rows[key]["skill"]) for key in keys if rows[key].get("skill")}
    first = {skill: place for place, skill in reversed(list(enumerate(sorted(skills.values(), reverse=True), 1)))}
    return {key: first[skill] for key, skill in skills.items()}
