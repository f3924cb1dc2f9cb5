"""How the verdicts of `bench parity` are told: on the terminal, as CSV, as JUnit XML and as Markdown."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from harness.disk import write_whole
from harness.environment import observe
from harness.parity.ladder import RUNGS, Outcome, Verdict
from harness.text import counted, escaped, harmless, one_line

COLUMNS = (
    "between",
    "variant",
    "rung",
    "seed",
    "outcome",
    "precision",
    "difference",
    "allowed",
    "worst",
    "note",
    "versions",
    "processor",
    "commit",
)
_MARKS: dict[Outcome, str] = {"passes": "✓", "breaks": "**✗**", "differs": "≠", "skipped": "–"}
_ORDER: tuple[Outcome, ...] = ("breaks", "differs", "skipped", "passes")


def outcome(verdicts: Iterable[Verdict]) -> Outcome:
    """What several verdicts come to: one that breaks breaks them all, one that is skipped leaves them unproven."""
    return min((verdict.outcome for verdict in verdicts), key=_ORDER.index)


def is_bad(verdicts: Iterable[Verdict], strict: bool) -> bool:
    """Whether one breaks, or, where that counts (`strict`), was skipped."""
    bad = ("breaks", "skipped") if strict else ("breaks",)
    return any(verdict.outcome in bad for verdict in verdicts)


def line(verdicts: Sequence[Verdict]) -> str:
    """A rung of a variant on the terminal; what both precisions say of a break is said once."""
    first, last = verdicts[0], verdicts[-1]
    both = first is not last and (first.worst, first.note) == (last.worst, last.note)
    shown = [_measured(first), _told(last)] if both and last.outcome == "breaks" else map(_told, verdicts)
    return f"{first.variant:<38} {first.rung:<11} {outcome(verdicts):<8} {'; '.join(shown)}"


def _told(verdict: Verdict) -> str:
    if not _measured(verdict):
        return f"{verdict.worst} {verdict.note}".strip()
    named = verdict.precision == "float32" or verdict.outcome == "breaks"
    # The note of a rung that passes says more than its worst array; of one that breaks, which array it is comes first.
    told = [verdict.worst, verdict.note] if verdict.outcome == "breaks" else [verdict.note or verdict.worst]
    return _measured(verdict) + f" ({'; '.join(filter(None, told))})" * named


def _measured(verdict: Verdict) -> str:
    if verdict.difference is None or verdict.allowed is None:
        return ""
    return f"{verdict.precision} {verdict.difference:.2g} of {verdict.allowed:.2g}"


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many rungs came to what, in a sentence."""
    rungs = [outcome(group) for group in by_rung(verdicts)]
    counts = {kind: rungs.count(kind) for kind in _MARKS}
    told = (
        f"{counted(len(rungs), 'rung')}: {counts['passes']} pass, {counts['breaks']} break, {counts['skipped']} skipped"
    )
    differs = f", {counts['differs']} differ as the frameworks do, which does not affect the exit code"
    return told + differs * bool(counts["differs"])


def by_rung(verdicts: Iterable[Verdict]) -> list[list[Verdict]]:
    """The verdicts of each variant, rung and seed together, in the order of their first."""
    groups: dict[tuple[str, str, int], list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault((verdict.variant, verdict.rung, verdict.seed), []).append(verdict)
    return list(groups.values())


def write_csv(path: Path, verdicts: Iterable[Verdict], between: str) -> None:
    """One row per verdict, with what it was found with; the file comes to its place whole."""
    environment = observe()
    versions = " ".join(f"{name}={version}" for name, version in sorted(environment.versions.items()))
    rows = [
        {
            "between": between,
            "variant": verdict.variant,
            "rung": verdict.rung,
            "seed": verdict.seed,
            "outcome": verdict.outcome,
            "precision": verdict.precision,
            "difference": "" if verdict.difference is None else f"{verdict.difference:.3g}",
            "allowed": "" if verdict.allowed is None else f"{verdict.allowed:.3g}",
            "worst": harmless(verdict.worst),
            "note": harmless(verdict.note),
            "versions": versions,
            "processor": environment.processor,
            "commit": environment.commit,
        }
        for verdict in verdicts
    ]
    write_whole(path, pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False, lineterminator="\n"))


def write_junit(path: Path, verdicts: Iterable[Verdict]) -> None:
    """JUnit XML, as CI systems read it: a test case per variant and rung."""
    groups = by_rung(verdicts)
    counts = {kind: sum(outcome(group) == kind for group in groups) for kind in _MARKS}
    suite = ET.Element(
        "testsuite",
        name="bench parity",
        tests=str(len(groups)),
        failures=str(counts["breaks"]),
        skipped=str(counts["skipped"]),
    )
    for group in groups:
        first = group[0]
        case = ET.SubElement(suite, "testcase", classname=f"parity.{first.variant}", name=_rung(first))
        told = "; ".join(_told(verdict) for verdict in group)
        match outcome(group):
            case "breaks":
                ET.SubElement(case, "failure", message=one_line(told))
            case "skipped":
                ET.SubElement(case, "skipped", message=one_line(told))
            case _:
                ET.SubElement(case, "system-out").text = one_line(told)
    ET.indent(suite)
    write_whole(path, ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n")


def markdown(verdicts: Sequence[Verdict], between: str) -> str:
    """For a pull request: variants by rungs, what breaks, and every measured difference folded away."""
    groups = by_rung(verdicts)
    rungs = [rung for rung in RUNGS if any(group[0].rung == rung for group in groups)]
    variants = list(dict.fromkeys(group[0].variant for group in groups))
    lines = [f"### Parity of {between}", "", summary(verdicts) + ".", "", f"| variant | {' | '.join(rungs)} |"]
    lines.append("| --- |" + " :-: |" * len(rungs))
    for variant in variants:
        marks = []
        for rung in rungs:
            found = [v for group in groups for v in group if (v.variant, v.rung) == (variant, rung)]
            marks.append(_MARKS[outcome(found)] if found else "")
        lines.append(f"| {variant} | {' | '.join(marks)} |")
    for kind, title in (("breaks", "Breaks"), ("differs", "Differs"), ("skipped", "Skipped")):
        if told := [group for group in groups if outcome(group) == kind]:
            lines += ["", f"**{title}**", ""]
            lines += [f"- `{group[0].variant}`, {_rung(group[0])}: {escaped(_reason(group, kind))}" for group in told]
    lines += ["", "<details><summary>Measured and allowed</summary>", ""]
    lines += ["| variant | rung | precision | difference | allowed | worst |", "| --- | --- | --- | --: | --: | --- |"]
    for verdict in verdicts:
        if verdict.difference is not None and verdict.allowed is not None:
            measured = f"{verdict.difference:.2g} | {verdict.allowed:.2g}"
            names = f"{verdict.variant} | {_rung(verdict)} | {verdict.precision}"
            lines.append(f"| {names} | {measured} | {escaped(verdict.worst)} |")
    return "\n".join([*lines, "", "</details>", ""])


def _rung(verdict: Verdict) -> str:
    """The rung, and the seed where it is not the first."""
    return f"{verdict.rung}, seed {verdict.seed}" if verdict.seed else verdict.rung


def _reason(group: Sequence[Verdict], kind: str) -> str:
    return "; ".join(_told(verdict) for verdict in group if verdict.outcome == kind)


def write_markdown(path: Path, verdicts: Sequence[Verdict], between: str) -> None:
    """`markdown` in a file."""
    write_whole(path, markdown(verdicts, between))
