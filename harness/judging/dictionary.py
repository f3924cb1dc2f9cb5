"""What every column of the published tables is: a dictionary, made from the columns' own entries.

It is written beside the tables as `columns.csv`. `{unit}` stands for the unit of the suite's targets, `<target>` for
each target's name, `<choice>` for each choice of a search.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import NamedTuple

from harness import registry
from harness.judging.columns import LAST, ORIGIN, RUN, SCORES, Column, change_under, named, titled

SCHEMA = 7
"""Of the tables: raised where a column of all suites comes, and where any is gone, is renamed or means something else.
`results/archive/columns/<schema>.csv` has what was published under each, and a test holds this one to it.
"""


class Meaning(NamedTuple):
    """A column: its name, its unit, which way is better ("" where neither is), what it says, and what stands over it
    where people read.
    """

    name: str
    unit: str
    better: str
    sentence: str
    title: str


def of_leaderboard(suite: str) -> list[Meaning]:
    """Every column of a suite's leaderboard, in order."""
    return [*_meanings(SCORES), _R2, *of_suite(suite), *_meanings(LAST)]


def of_suite(suite: str) -> list[Meaning]:
    """The columns that a suite's leaderboard has besides those that all have: its own figures and symmetries."""
    asked = registry.suite(suite)
    own = [Meaning(m.key, m.unit, m.better, m.sentence, m.heading or m.key) for m in asked.METRICS]
    return own + [
        Meaning(name, "{unit}", "lower", f"by how much predictions change {symmetry.sentence}", name)
        for symmetry in asked.SYMMETRIES
        if symmetry.exact
        for name in [change_under(symmetry.key)]
    ]


def _meanings(columns: Iterable[Column]) -> list[Meaning]:
    return [Meaning(c.name, c.unit, c.better, c.sentence, c.title) for c in columns]


def written() -> str:
    """The dictionary of all tables as CSV: those of all suites, then what each suite has besides."""
    lines = [("leaderboard", "", meaning) for meaning in (*_meanings(SCORES), _R2, *_meanings(LAST))]
    for table, of in (("tests", OF_TESTS), ("top-ten", OF_SEARCHES), ("deployment", OF_DEPLOYMENTS)):
        lines += [(table, "", meaning) for meaning in of]
    for suite in registry.names("suites"):
        lines += [("leaderboard", suite, meaning) for meaning in of_suite(suite)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("schema", "table", "suite", "column", "unit", "better", "says"))
    writer.writerows((SCHEMA, table, suite, m.name, m.unit, m.better, m.sentence) for table, suite, m in lines)
    return text.getvalue()


def titles(suite: str, names: Iterable[str], unit: str) -> list[str]:
    """What stands over columns of a suite's leaderboard whose targets are in `unit`, with the columns' units."""
    known = {named(meaning.name, unit): meaning for meaning in of_leaderboard(suite)}
    told = []
    for name in names:
        found = known.get(name) or Meaning(name, "", "", "", f"R² of {name.removeprefix('r2_')}")  # of one target
        told.append(titled(named(found.title, unit), found.unit, unit))
    return told


_R2 = Meaning("r2_<target>", "", "higher", "R² of each target", "R²")


def _told(name: str, sentence: str, unit: str = "", better: str = "") -> Meaning:
    return Meaning(name, unit, better, sentence, name)


_ROW = (_told("variant", "the model, and what its backbone started from"), _told("backend", "what trained it"))
_ORIGIN = {meaning.name: meaning for meaning in _meanings(RUN + ORIGIN)}

OF_TESTS = (
    *_ROW,
    _told("test", "the named test"),
    _told("metric", "a score, R² of a target (r2_<target>), or a figure of the suite's own"),
    _told("value", "its mean over seeds"),
    _told("sd", "its standard deviation over seeds"),
    _told("low", "lower end of its 95 % interval over test images and seeds; a suite's own figures have none"),
    _told("high", "upper end of it"),
    _told("unit", "the unit of value, sd, low and high"),
    *(_ORIGIN[name] for name in ("seeds", "profile", "data", "settings", "definition", "computed_by")),
)
"""Of `<suite>-tests.csv`: every score on every named test."""

OF_SEARCHES = (
    *_ROW,
    _told("rank", "among the configurations of its search, by validation_mse, those tried longest first"),
    _told("configuration", "its number"),
    _told("<choice>", "what it is, a column for each choice of the search"),
    _told("parameters", "numbers that its model has", better="lower"),
    _told("validation_mse", "lowest of any epoch, mean over seeds; standardised targets", better="lower"),
    _told("validation_mse_sd", "its standard deviation over seeds", better="lower"),
    _told("epochs", "for how many it was tried last; by seed where they differ"),
    _told("best_epochs", "the epoch with the lowest loss, by seed"),
    _told("seconds", "of one core for that, mean over seeds", "s", "lower"),
    _told("seeds", "seeds of the search"),
    _told("selected_by", "seeds whose search selected it"),
    _ORIGIN["target_scaling"],
    *_meanings(ORIGIN),
)
"""Of `<suite>-<variant>-top-ten.csv`: the ten best configurations of a search, by the validation images alone."""


def _of_batch(batch: int) -> tuple[Meaning, ...]:
    return (
        _told(
            f"p50_ms_b{batch}", f"median time of {batch} image{'s' * (batch > 1)} at once, one thread", "ms", "lower"
        ),
        _told(f"ratio_b{batch}", "time over the reference model's", better="lower"),
        _told(f"ratio_low_b{batch}", "lower end of its 95 % interval"),
        _told(f"ratio_high_b{batch}", "upper end of it"),
        _told(f"faster_b{batch}", "by what factor it is faster than float32 in ONNX Runtime", better="higher"),
    )


OF_DEPLOYMENTS = (
    *_ROW,
    _told("seed", "whose model it is"),
    _told("weights", "what the backbone started from"),
    _told("runtime", "float32 is what was exported, in ONNX Runtime; int8 and float16 are made of it"),
    _told("file_kB", "size of the file", "kB", "lower"),
    _told("skill", "of what it predicts in this runtime", better="higher"),
    _told("skill_float32", "of the native model's predictions", better="higher"),
    _told("change", "largest deviation from the native model's predictions, relative", better="lower"),
    *_of_batch(1),
    *_of_batch(32),
    _told("note", "why something is lacking, or may not be quoted"),
    _told("runtime_version", "of ONNX Runtime or OpenVINO"),
    _told("processor", "the machine's"),
    _told("vnni", "whether it multiplies eight-bit integers without overflow"),
    _told("features", "its vector instructions"),
    _ORIGIN["data"],
    _ORIGIN["profile"],
)
"""Of `<suite>-deployment.csv`: exported models in cheaper runtimes."""
