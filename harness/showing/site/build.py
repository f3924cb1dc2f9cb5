"""`bench site`: which pages there are, and what each is made of.

Pages are files that need nothing but each other: no server, no network, no build step. What a chart or a table needs
stands in its page as JSON. Text in records comes from strangers, so every template escapes what it is given.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import msgspec
import numpy as np

from harness import __version__
from harness.disk import is_file, refuse_no_folder, write_whole
from harness.errors import BenchError
from harness.judging import dictionary
from harness.judging.blocks import newest, rows
from harness.judging.stats import FEWEST_IMAGES
from harness.showing.site import details
from harness.showing.site.answers import answered, headlines
from harness.showing.site.bars import Scale
from harness.showing.site.examples import Examples, examples
from harness.showing.site.ladder import climbed
from harness.showing.site.packed import by_columns, to_three_digits
from harness.showing.site.rows import Board, BoardRow, read
from harness.showing.site.shown import FORMULAS, GROUPS, digits, told

_OURS = '<meta name="generator" content="bench site">'
_LISTED = "files.txt"
_NEWEST = 12  # runs on the front page
_PICTURES = "images"
_FIRST = {"variant": 0, "backend": 1, "skill": 2}

Progress = Callable[[str], None]


def write(results: Path, suites: Sequence[str], out: Path, tell: Progress) -> Path:
    """Write the site of these suites' records to the folder `out`; returns its front page.

    Pages of an earlier build that are no more are deleted; whatever else lies there stays. Raises BenchError where
    `out` holds files, and no front page of an earlier build among them, or records contradict themselves.
    """
    refuse_no_folder("out", out)
    front = out / "index.html"
    _refuse_others(out, front)
    before = set((out / _LISTED).read_text(encoding="utf-8").split("\n")) if is_file(out / _LISTED) else set()
    site = _Site(results, suites, out)
    for name in suites:
        tell(f"{name}: reading its records")
        site.add_suite(read(results, name), tell)
    site.finish()
    for name in sorted(before - site.written):
        stale = out / name
        if stale.is_file() and stale.resolve().is_relative_to(out.resolve()):
            stale.unlink()
    write_whole(out / _LISTED, "\n".join(sorted(site.written)))
    return front


def _refuse_others(out: Path, front: Path) -> None:
    """Raise BenchError where files lie in `out` that no earlier build can have left: they may be somebody's own."""
    if is_file(front):
        if _OURS not in front.read_text(encoding="utf-8", errors="replace"):
            raise BenchError(f"out={out}: holds an index.html that `bench site` did not write: choose another folder")
    elif out.is_dir() and (others := sorted(each.name for each in out.iterdir() if not each.name.startswith("."))):
        raise BenchError(
            f"out={out}: holds {others[0]!r}, and no index.html of `bench site`: choose an empty folder, or a new one"
        )


class _Site:
    """The pages that were written so far, and what the last ones will tell of them."""

    def __init__(self, results: Path, suites: Sequence[str], out: Path) -> None:
        self.results, self.out = results, out
        self.written: set[str] = set()
        self._parity = climbed(results)
        self._boards: list[Board] = []
        self._headlines: dict[str, str] = {}
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("harness.showing.site"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
        )
        self._templates.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
        self._templates.globals |= {"suites": suites, "version": __version__, "parity": bool(self._parity)}

    def _page(self, template: str, path: str, here: str, **content: Any) -> None:
        root = "../" * path.count("/")
        self._file(path, self._templates.get_template(f"{template}.html.j2").render(root=root, here=here, **content))

    def _file(self, path: str, text: str) -> None:
        write_whole(self.out / path, text)
        self.written.add(path)

    def add_suite(self, board: Board, tell: Progress) -> None:
        """All pages of a suite, its CSVs and its pictures."""
        name, block = board.name, newest(board.records)
        side_by_side = rows(block, [variant.name for variant in board.suite.VARIANTS])
        self._boards.append(board)
        self._headlines[name], told = headlines(board, side_by_side)
        self._file(f"{name}/{name}.csv", board.csv)
        self._file(f"{name}/tests.csv", board.tests_csv)
        self._file(f"{name}/truth.js", f"const truths = {_json(details.truths(board.rows))};\n")
        first = block[0] if block else None
        shown = first and f"data set {first.cell.data}, profile {first.cell.profile}, {first.environment.processor}"
        self._page(
            "suite",
            f"{name}/index.html",
            name,
            board=board,
            headline=told,
            questions=answered(board, side_by_side),
            block=shown,
            records=self._link(self.results / "records" / name / "trainings.jsonl", name),
            **_table(board),
            **_tests(board),
        )
        tell(f"{name}: {len(board.rows)} rows, each a page")
        pictures = self.out / name / _PICTURES
        shipped = examples(board.suite, pictures)
        places = {id(record): number for number, record in enumerate(board.records, 1)}
        for number, row in enumerate(board.rows, 1):
            content = self._row(board, row, shipped, places)
            self._page("row", f"{name}/{row.id}.html", name, number=number, alone=True, **content)
        if shipped:
            self.written |= {f"{name}/{_PICTURES}/{picture}" for picture in shipped.written}

    def _row(self, board: Board, row: BoardRow, shipped: Examples | None, places: Mapping[int, int]) -> dict[str, Any]:
        cell = row.first.cell
        variant = next((variant for variant in board.suite.VARIANTS if variant.name == cell.variant), None)
        # The points of a learning curve are many: their pages have no pictures.
        drawn = cell.settings.originals is msgspec.UNSET
        worst = details.worst(row, shipped) if drawn else []
        predicted = details.predictions(row, [image["place"] for image in worst]) if drawn else {}
        losses = details.losses(row) if drawn else {}
        exported = [self.results / "models" / board.name / r.onnx.file for r in row.group.good if r.onnx]
        file = self.results / "records" / board.name / "trainings.jsonl"
        return {
            "board": board,
            "row": row,
            "summary": variant.summary if variant else "",
            "numbers": _numbers(board, row),
            "command": details.command(row, board.suite, shipped is None or cell.data != shipped.name),
            "exported": len(exported),
            "onnx": [(model.name, link) for model in exported if (link := self._link(model, board.name))],
            "lines": [places[id(record)] for record in row.group.records],
            "records": self._link(file, board.name),
            "file": str(file.relative_to(self.results.parent)) if self.results.name else str(file),
            "tests": details.tests(row),
            "targets": details.errors_of_targets(row),
            "kinds": details.errors_of_kinds(row, shipped),
            "worst": worst,
            "before": details.before(row, places),
            "predicted": predicted,
            "thinned": any(one["points"][0] > 1 for one in predicted.values()),
            "losses": losses,
            "of_classes": any(record.held_out.of_classes for record in row.group.good if record.held_out),
            "facts": details.facts(row),
            "data": {
                "id": row.id,
                "truth": details.truth_of(row) if predicted else "",
                "predictions": predicted,
                "losses": losses,
            },
        }

    def _link(self, file: Path, folder: str) -> str:
        """From a page in a folder of the site to a file of the results; empty where the site does not lie in them, and
        a link would lead nowhere once it is published.
        """
        inside = self.out.resolve().is_relative_to(self.results.resolve())
        return os.path.relpath(file.resolve(), (self.out / folder).resolve()) if inside and file.is_file() else ""

    def finish(self) -> None:
        """The pages about all suites, and what all pages use."""
        self._page(
            "index", "index.html", "", boards=self._boards, headlines=self._headlines, newest=_newest(self._boards)
        )
        explained = {board.name: _explained(board.name) for board in self._boards}
        self._page("columns", "columns.html", "columns", explained=_shared(explained), fewest=FEWEST_IMAGES)
        if self._parity:
            self._file("parity.csv", self._parity["csv"].read_text(encoding="utf-8"))
            self._page("parity", "parity.html", "parity", pairs=self._parity["pairs"], told=self._parity["told"])
        for file in files("harness.showing.site").joinpath("static").iterdir():
            if file.is_file():
                self._file(f"static/{file.name}", file.read_text(encoding="utf-8"))


def _json(content: object) -> str:
    """JSON that may stand in a script."""
    return msgspec.json.encode(content).decode().replace("<", "\\u003c")


# --- what templates are given -------------------------------------------------------------------------------------


def _table(board: Board) -> dict[str, Any]:
    """Of the leaderboard."""
    scale = Scale(board.rows)
    facets = {
        name: values
        for name in (board.rows[0].facets if board.rows else {})
        if len(values := sorted({row.facets[name] for row in board.rows})) > 1
    }
    numeric = {
        column.key
        for column in board.columns
        if all(isinstance(row.values.get(column.key), int | float | None) for row in board.rows)
    }
    groups = {group: [c for c in board.columns if c.group == group and c.key != "variant"] for group in GROUPS}
    unit = next((row.group.unit for row in board.rows if row.group.unit), "")
    data = {
        "suite": board.name,
        "columns": by_columns(board.csv),
        "unit": unit,
        "mse_of_mean": next((c.key for c in board.columns if c.key.startswith("mse_of_mean")), ""),
        "better": {column.key: column.better for column in board.columns if column.better},
        "facets": {name: [values.index(row.facets[name]) for row in board.rows] for name, values in facets.items()},
        "ends": _ends(board),
    }
    return {
        # What a telephone has room for comes first: the skill, and then what it allows to say.
        "shown": sorted(
            (column for column in board.columns if column.at_first), key=lambda column: _FIRST.get(column.key, 3)
        ),
        "text_columns": {column.key for column in board.columns} - numeric,
        "groups": {group: columns for group, columns in groups.items() if columns},
        "facets": facets,
        "axis": scale.axis(),
        "bars": {row.id: scale.bar(row) for row in board.rows},
        "tags": {row.id: _tags(row) for row in board.rows},
        "badges": Counter(badge for row in board.rows for badge in row.badges if badge.key != "failed"),
        "text": _text,
        "data": data,
    }


def _text(row: BoardRow, key: str) -> str:
    return told(row.values.get(key), row.decimals.get(key))


def _tags(row: BoardRow) -> list[str]:
    """What tells apart rows of one name."""
    facets = row.facets
    tags = [facets["labels"]] if facets["labels"] == "raw labels" else []
    return tags + [facets["device"]] * (facets["device"] != "cpu")


def _ends(board: Board) -> list[str]:
    """For each row low and high of its skill over each later one's, one after the other, to three digits; nan where
    they met other images.
    """
    both = np.stack([board.low, board.high], axis=2)
    return [to_three_digits(both[place, place + 1 :]) for place in range(len(board.rows))]


def _tests(board: Board) -> dict[str, Any]:
    """Skill of the ranked rows on each test."""
    rows = [row for row in board.rows if row.rank is not None]
    tests = list(dict.fromkeys(name for row in rows for name in row.group.examined))
    lines = []
    for row in rows:
        of = {line["test"]: line for line in row.tests if line["metric"] == "skill"}
        lines.append((row, [_skill(of[test]) if test in of else "–" for test in tests]))
    return {"tests": tests, "by_test": lines if len(tests) > 1 else []}


def _skill(line: Mapping[str, Any]) -> str:
    return told(line["value"], digits(line["low"], line["high"])) or "–"


def _numbers(board: Board, row: BoardRow) -> list[tuple[str, str]]:
    """What stands large on a row's page."""
    left_out = {"variant", "backend", "verdict"}
    found = []
    for column in board.columns:
        text = _text(row, column.key)
        if column.at_first and column.key not in left_out and text:
            if column.key == "skill" and row.values["skill_low"] is not None:
                text += f" ({_text(row, 'skill_low')} to {_text(row, 'skill_high')})"
            found.append((column.heading, text))
    return found


def _newest(boards: Sequence[Board]) -> list[dict[str, str]]:
    """The rows that ended last."""
    ended = [
        (max(record.started for record in row.group.records), board, row) for board in boards for row in board.rows
    ]
    ended.sort(key=lambda item: item[0], reverse=True)
    return [
        {
            "started": started[:16].replace("T", " "),
            "suite": board.name,
            "id": row.id,
            "model": row.first.cell.row,
            "backend": row.first.cell.backend,
            "skill": _text(row, "skill"),
            "verdict": row.group.verdict or row.values["status"],
        }
        for started, board, row in ended[:_NEWEST]
    ]


def _explained(suite: str) -> list[dict[str, str]]:
    return [
        {
            "name": m.name,
            "unit": m.unit,
            "better": m.better,
            "sentence": m.sentence,
            "formula": FORMULAS.get(m.name, ""),
        }
        for m in dictionary.of_leaderboard(suite)
    ]


def _shared(explained: Mapping[str, list[dict[str, str]]]) -> dict[str, list[dict[str, str]]]:
    """What all suites have once, and then of each what is its own; of a single one all is."""
    if len(explained) == 1:
        return dict(explained)
    shared = [column for column in next(iter(explained.values()), []) if all(column in of for of in explained.values())]
    own = {suite: [column for column in of if column not in shared] for suite, of in explained.items()}
    return {"all suites": shared, **{suite: of for suite, of in own.items() if of}}
