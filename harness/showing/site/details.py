"""What the page of one row says of it: how to make it again, how it errs and where, and how its training went."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from harness.environment import switches
from harness.model.variants import Search
from harness.protocol import Suite
from harness.provenance import computing_versions, differences
from harness.showing.site.examples import Examples
from harness.showing.site.packed import Packed, packed
from harness.showing.site.rows import BoardRow
from harness.showing.site.shown import decimals_of, digits, told


def command(row: BoardRow, suite: Suite, own_data: bool) -> list[str]:
    """The lines of a shell that make it again."""
    cell, settings = row.first.cell, row.first.cell.settings
    of_suite = any(variant.name == cell.variant for variant in suite.VARIANTS)
    variant = cell.variant if of_suite else f"<your file of {cell.variant}>"
    words = [f"suite={cell.suite}", f"profile={cell.profile}", f"variant={variant}", f"backend={cell.backend}"]
    words.append("seeds=" + ",".join(str(record.cell.seed) for record in row.group.records))
    if cell.weights:
        words.append(f"weights={cell.weights.partition(' ')[0]}")
    if own_data:
        words.append(f"data=<your folder {cell.data}{', and the data options that you gave it' * bool(suite.OPTIONS)}>")
    if settings.init != "shared":
        words.append(f"init={settings.init}")
    if settings.target_scaling != "standard":
        words += [f"target_scaling={settings.target_scaling}", f"unit={settings.unit}"]
    if settings.device != "cpu":
        words.append(f"device={settings.device}")
    if settings.averaged:
        words.append(f"averaged={settings.averaged}")
    if settings.originals is not msgspec.UNSET:
        words.append(f"originals={settings.originals}")
    profile = suite.PROFILES.get(cell.profile)
    if isinstance(cell.architecture, Search) and profile and cell.architecture.method != profile.search:
        words.append(f"search={cell.architecture.method}")
    commits = {record.environment.commit for record in row.group.records} - {""}
    known = len(commits) == 1 and re.fullmatch(r"[0-9a-f]{40}(\+dirty)?", min(commits))  # it may be a stranger's text
    checkout = [f"git checkout {shlex.quote(min(commits)[:12])}"] if known else []
    variables = [f"{name}={shlex.quote(value)}" for name, value in switches(row.first.environment).items()]
    return [*checkout, " ".join([*variables, "bench run", *map(shlex.quote, words)])]


def tests(row: BoardRow) -> list[dict[str, Any]]:
    """Each named test: its images, and its scores as text with their 95 % intervals, by heading."""
    found = []
    for name, examined in row.group.examined.items():
        lines = [line for line in row.tests if line["test"] == name]
        known = {line["metric"]: (line["low"], line["high"]) for line in lines}
        decimals = decimals_of(known, row.group.unit)
        scores = {}
        for line in lines:
            score = line["metric"]
            if score in ("mse", "mse_of_mean") or (score.startswith("r2_") and score != "r2_mean"):
                continue
            places = decimals.get({"r2_mean": "r2", "rmse": f"rmse_{row.group.unit}".strip("_")}.get(score, score))
            if score == "nmae" and "nmae_percent" in decimals:
                places = decimals["nmae_percent"] + 2
            value, low, high = (told(line[end], places) for end in ("value", "low", "high"))
            unit = f" {line['unit']}" if value and line["unit"] else ""
            scores[_SCORES.get(score, score)] = f"{value}{unit}" + (f" ({low} to {high})" if low else "")
        found.append({"name": name, "images": len(examined[0].held_out.truth), "scores": scores})
    return found


_SCORES = {"r2_mean": "R²", "rmse": "RMSE", "mae": "MAE", "nmae": "NMAE", "mape": "MAPE"}


def errors_of_targets(row: BoardRow) -> list[dict[str, str]]:
    """RMSE and R² of each target on the test that models are ranked by, means over seeds."""
    scored = row.group.scored
    if scored is None:
        return []
    held_out = [record.held_out for record in scored.records if record.held_out]
    truth = np.array(held_out[0].truth)
    rmse = np.sqrt([((np.array(item.predictions) - truth) ** 2).mean(axis=0) for item in held_out]).mean(axis=0)
    return [
        {
            "target": target,
            "unit": held_out[0].units[place],
            "rmse": told(float(rmse[place])),
            "spread": told(float(truth[:, place].std())),
            "r2": told(row.values.get(f"r2_{target}"), row.decimals.get(f"r2_{target}", 3)),
        }
        for place, target in enumerate(held_out[0].targets)
    ]


def errors_of_kinds(row: BoardRow, examples: Examples | None) -> list[dict[str, str]]:
    """RMSE and skill on the test images of each kind or group, as the data set names them; none of a few images."""
    scored = row.group.scored
    if scored is None or examples is None or not examples.fits(row.first):
        return []
    of = examples.kinds(scored.tests[0])
    errors, of_mean = scored.image_errors().mean(axis=0), scored.image_errors_of_mean()
    found = []
    for kind in sorted(set(of)):
        mine = np.array([one == kind for one in of])
        skill = 1 - errors[mine].mean() / of_mean[mine].mean() if of_mean[mine].any() else None
        rmse = float(np.sqrt(errors[mine].mean() / scored.targets))
        found.append(
            {
                "kind": kind,
                "images": str(mine.sum()),
                "rmse": told(rmse) if row.group.adds_up else "",
                "skill": "" if skill is None else told(float(skill), 3),
            }
        )
    return found if 1 < len(found) <= 40 else []


def worst(row: BoardRow, examples: Examples | None) -> list[dict[str, Any]]:
    """The test images on which it errs most, mean over seeds: their place in the test, their file, their share of all
    squared error. What was predicted of them is among `predictions`.
    """
    scored = row.group.scored
    if scored is None or examples is None or not examples.fits(row.first):
        return []
    errors = scored.image_errors().mean(axis=0)
    total = float(errors.sum()) or 1.0
    return [
        {
            "place": place,
            "picture": examples.picture(scored.tests[0], place),
            "share": told(float(errors[place] / total * 100), 1),
        }
        for place in np.argsort(-errors, kind="stable")[:_WORST].tolist()
    ]


_WORST = 4  # images that are shown


def losses(row: BoardRow) -> dict[str, Any]:
    """Training and validation loss of each seed and epoch, all recipes one after the other; where each of them ends."""
    good = [record for record in row.group.good if record.by_gradient]
    if not good:
        return {}
    found = {which: [record.losses(which) for record in good] for which in ("loss", "validation_loss")}
    epochs = min(len(values) for both in found.values() for values in both)
    ends = np.cumsum([len(history.loss) for history in good[0].history])[:-1].tolist()
    logs: dict[str, Packed] = {}
    for which, values in found.items():
        with np.errstate(all="ignore"):
            logs[which] = packed(np.log10([one[:epochs] for one in values]))
    return {"epochs": epochs, "seeds": [record.cell.seed for record in good], "ends": ends, **logs}


_MOST_POINTS = 300  # more images of a test than about these would lie on each other


def predictions(row: BoardRow, worst_places: Sequence[int]) -> dict[str, Any]:
    """Of the first seed what it predicted on each test, target after target, of every so many-th image and, on the test
    that models are ranked by, the worst: these `points` say of which.
    """
    if row.group.scored is None:
        return {}
    found = {}
    for name, examined in row.group.examined.items():
        of = np.array(examined[0].held_out.predictions)
        every, also = -(-len(of) // _MOST_POINTS), list(worst_places) if name == row.group.scored.tests[0] else []
        places = sorted({*range(0, len(of), every), *also})
        found[name] = {"points": [every, also], "columns": [packed(column) for column in of[places].T]}
    return found


def truths(rows: Sequence[BoardRow]) -> dict[str, Any]:
    """What rows were tested on, once for all: by `truth_of`, each test's targets, units and truth."""
    found: dict[str, Any] = {}
    for row in rows:
        tests = found.setdefault(truth_of(row), {})
        for name, examined in row.group.examined.items():
            held_out = examined[0].held_out
            if name not in tests:
                of = {"targets": held_out.targets, "units": held_out.units, "images": len(held_out.truth)}
                tests[name] = {**of, "truth": [packed(column) for column in np.array(held_out.truth).T]}
    return found


def truth_of(row: BoardRow) -> str:
    """The name of a row's data and split in `truths`."""
    return f"{row.first.cell.data_hash[:12]}-{row.first.cell.split_hash[:12]}"


def facts(row: BoardRow) -> list[tuple[str, str]]:
    """Where and by what it was made."""
    first = row.first
    environment = first.environment
    settings = ", ".join(f"{name} {value}" for name, value in first.framework.items())
    started = sorted(record.started for record in row.group.records)
    computed_with = computing_versions(first.cell.backend, environment, first.cell.packages)
    versions = ", ".join(f"{name} {version}" for name, version in computed_with.items())
    told_of = [
        (
            "run",
            started[0][:16].replace("T", " ")
            + (f" to {started[-1][:16].replace('T', ' ')}" if len(started) > 1 else ""),
        ),
        ("wall time", f"{told(float(sum(record.seconds for record in row.group.records)))} s, all seeds"),
        ("framework", settings),
        ("processor", f"{environment.processor}, {environment.cores} cores, {environment.memory_gib:g} GiB"),
        ("GPU", environment.gpu),
        ("system", f"{environment.platform}, Python {environment.python}"),
        ("computed with", versions),
        ("commit", ", ".join(sorted({record.environment.short_commit for record in row.group.records}))),
        ("data", f"{first.cell.data}, SHA-256 {first.cell.data_hash[:12]}…, split {first.cell.split_hash[:12]}…"),
        ("warnings of the data", "; ".join(first.data_warnings)),
    ]
    return [(name, re.sub(r"\s+", " ", text)) for name, text in told_of if text]


def before(row: BoardRow, lines: Mapping[int, int]) -> list[dict[str, str]]:
    """The rows that it took the place of, newest first: when, how good, what was other then, and the numbers of their
    records' lines, which `lines` has by `id`.
    """
    now, found = row.first, []
    for group, values in row.before:
        then = group.first
        other = differences(
            then.cell.backend, then.environment, then.source, now.environment, now.source, then.cell.packages
        )
        found.append(
            {
                "run": then.started[:10],
                "skill": told(values["skill"], digits(values["skill_low"], values["skill_high"])),
                "other": ", ".join([*["other data"] * (then.cell.data_hash != now.cell.data_hash), *other]),
                "lines": ", ".join(str(lines[id(record)]) for record in group.records),
            }
        )
    return found
