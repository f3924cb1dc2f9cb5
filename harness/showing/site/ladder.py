"""The page of parity: every rung that `bench parity` climbed, from its CSV."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from harness.disk import is_file
from harness.errors import BenchError

_WORST_FIRST = ("breaks", "differs", "skipped", "passes")
_COLUMNS = ("between", "variant", "rung", "seed", "outcome", "precision", "difference", "allowed", "worst", "note")


def climbed(results: Path) -> dict[str, Any]:
    """What the template shows of `parity.csv`: by pair the rungs, the outcome of each variant on each, and all lines.
    Empty where there is no such file. Raises BenchError for one that `bench parity` did not write.
    """
    path = results / "parity.csv"
    if not is_file(path):
        return {}
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise BenchError(f"{path}: cannot be read as a CSV: {error}") from None
    if lacking := set(_COLUMNS) - set(table.columns):
        raise BenchError(f"{path}: lacks the columns {', '.join(sorted(lacking))}: `bench parity` writes it anew")
    pairs: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for between, of_pair in table.groupby("between", sort=False):
        outcomes: dict[str, dict[str, str]] = {}
        lines: dict[str, list[dict[str, str]]] = {}
        for line in of_pair.to_dict("records"):
            verdict = {str(name): str(value) for name, value in line.items()}
            lines.setdefault(verdict["variant"], []).append(verdict)
            rungs = outcomes.setdefault(verdict["variant"], {})
            rungs[verdict["rung"]] = min(rungs.get(verdict["rung"], "passes"), verdict["outcome"], key=_place)
        for of_variant in outcomes.values():
            for outcome in of_variant.values():
                counts[outcome] = counts.get(outcome, 0) + 1
        pairs[str(between).replace(",", " and ")] = {
            "rungs": list(dict.fromkeys(of_pair["rung"])),
            "outcomes": outcomes,
            "lines": lines,
            "anchor": re.sub(r"\W+", "-", str(between)),
        }
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in sorted(counts, key=_place))
    return {"pairs": pairs, "told": f"Rungs by outcome: {told}.", "csv": path}


def _place(outcome: str) -> int:
    return _WORST_FIRST.index(outcome) if outcome in _WORST_FIRST else 0
