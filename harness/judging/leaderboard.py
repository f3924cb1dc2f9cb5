"""Records -> tables. A leaderboard is a pure function of records, the same to the byte whenever it is recomputed.

One row per variant, backend and everything else that must be equal for scores to be comparable: data, split, profile,
settings and environment. Records that differ in any of these are never averaged; they get rows of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from harness.disk import write_whole
from harness.environment import fingerprint, switches
from harness.errors import BenchError
from harness.judging.metrics import Accuracy
from harness.judging.records import Cell, LatencyRecord, Record, Store, standing, verify, verify_together
from harness.judging.stats import FEWEST_IMAGES, skill_interval, spread
from harness.judging.timing import Timing
from harness.protocol import Search
from harness.text import harmless

NO_BETTER = "no better than the mean"
BETTER = "better than the mean"
TOO_FEW = "too few test images"
_NOTHING = 1e-6  # a skill below this is float32 rounding, not skill


def write(results: Path, suite: str) -> Path:
    """Compute the tables of `suite` from its records and write them below `results/leaderboards`.

    Returns the leaderboard's file, `<suite>.csv`; a search among the variants adds `<suite>-<variant>-top-ten.csv`.
    """
    for path, text in _texts(results, suite).items():
        write_whole(path, text)
    return leaderboard_file(results, suite)


def differs(results: Path, suite: str) -> str:
    """Why the tables on disk do not follow from the records; empty where they do."""
    return next(filter(None, (_difference(path, text) for path, text in _texts(results, suite).items())), "")


def _difference(path: Path, text: str) -> str:
    if not path.exists():
        return f"{path} does not exist: `bench leaderboard` writes it"
    if path.read_bytes() == text.encode():
        return ""
    expected = text.splitlines()
    found = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, (ours, theirs) in enumerate(zip(expected, found, strict=False), 1):
        if ours != theirs:
            return f"{path}:{number} does not follow from the records\n  records: {ours}\n  file:    {theirs}"
    if len(expected) != len(found):
        return f"{path} has {len(found)} lines, the records give {len(expected)}"
    return f"{path} has other line ends or characters than the records give"


def _texts(results: Path, suite: str) -> dict[Path, str]:
    """Every table that follows from the records of a suite, as the CSV that it is written to."""
    records = believed(results, suite)
    tables = {leaderboard_file(results, suite): of_block(results, suite, standing(records))}
    for variant, table in top_tens(records).items():
        tables[results / "leaderboards" / f"{suite}-{variant}-top-ten.csv"] = table
    return {path: table.to_csv(index=False, lineterminator="\n") for path, table in tables.items()}


def leaderboard_file(results: Path, suite: str) -> Path:
    """Where the leaderboard of a suite is kept."""
    return results / "leaderboards" / f"{suite}.csv"


def compute(results: Path, suite: str) -> pd.DataFrame:
    """The leaderboard as a table of text, best first. Raises BenchError where a record contradicts itself."""
    return of_block(results, suite, standing(believed(results, suite)))


def of_block(results: Path, suite: str, records: Sequence[Record]) -> pd.DataFrame:
    """The leaderboard of some records of a suite alone, all of them `believed`; see `compute`."""
    store = Store(results, suite)
    timings = {(item.key, item.sha256, fingerprint(item.environment)): item for item in store.latencies()}
    rows = [_row(group, timings) for group in comparable(records)]
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    order = ["data", "profile", "skill", "variant", "backend", "environment", "settings"]
    table = table.sort_values(order, ascending=[name != "skill" for name in order], na_position="last", kind="stable")
    return table.map(_text)


def believed(results: Path, suite: str) -> list[Record]:
    """Every training record, those that others stand in for too.

    Raises BenchError where one contradicts itself or another.
    """
    store = Store(results, suite)
    records = store.trainings()
    if lies := [line for record in records for line in verify(record)] + verify_together(records):
        raise BenchError(f"{store.trainings_file} holds records that contradict themselves:\n  " + "\n  ".join(lies))
    return records


def comparable(records: Iterable[Record]) -> list[list[Record]]:
    """Records that differ in nothing but their seed, together, by ascending seed."""
    groups: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda item: item.cell.seed):
        cell = msgspec.structs.replace(record.cell, seed=0)
        groups.setdefault(f"{cell.key} {fingerprint(record.environment)}", []).append(record)
    return list(groups.values())


def _row(records: list[Record], timings: dict[tuple[str, str, str], LatencyRecord]) -> dict[str, object]:
    good = [record for record in records if record.status == "ok"]
    cell = records[0].cell
    return _merged(
        {"variant": cell.row, "backend": cell.backend, "status": _status(records)},
        _scores(good),
        _size(good),
        _training(good),
        _exported(good),
        _latency(good, timings),
        {
            "seeds": " ".join(str(record.cell.seed) for record in good),
            "weights": cell.weights,
            "init": cell.settings.init,
            "target_scaling": cell.settings.target_scaling,
            "network_unit": cell.settings.unit,
            "device": cell.settings.device,
            "data_warnings": len(records[0].data_warnings),
        },
        _origin(records),
    )


def _merged(*parts: dict[str, object]) -> dict[str, object]:
    """One row of them all. Raises BenchError where a name that a record brings along is another column's."""
    row: dict[str, object] = {}
    for part in parts:
        if twice := row.keys() & part.keys():
            raise BenchError(f"a record names something {min(twice)!r}, which is another column of the leaderboard")
        row |= part
    return row


def _origin(records: list[Record]) -> dict[str, object]:
    """What must be equal for figures to be comparable, and where they were made."""
    cell, environment = records[0].cell, records[0].environment
    return {
        "profile": cell.profile,
        "data": cell.data,
        "data_hash": cell.data_hash[:12],
        "split_hash": cell.split_hash[:12],
        "settings": _hash(cell.settings),
        "definition": _hash((cell.architecture, cell.recipes)),
        "framework": _framework(records),
        "processor": environment.processor,
        "switches": " ".join(f"{name}={value}" for name, value in switches(environment).items()),
        "environment": fingerprint(environment)[:12],
        "commit": " ".join(sorted({_short_commit(record.environment.commit) for record in records})),
    }


def _hash(content: object) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:12]


def _framework(records: list[Record]) -> str:
    """Names and versions of what trained the row, as the backend told them."""
    told = next((record.framework for record in records if record.framework), {})
    return ", ".join(
        f"{name} {told[name]}" for name in ("keras", "tensorflow", "torch", "scikit-learn") if name in told
    )


def _short_commit(commit: str) -> str:
    digits, dirty, _ = commit.partition("+dirty")
    return digits[:12] + dirty


def _status(records: list[Record]) -> str:
    bad = [record for record in records if record.status != "ok"]
    if not bad:
        return "ok"
    counts = f"{len(bad)} of {len(records)} {bad[0].status}"
    return f"{counts}: {bad[0].reason}".splitlines()[0][:200]


def _scores(good: list[Record]) -> dict[str, object]:
    """Accuracy on the test set: means over seeds, spreads where a figure is quoted, and the verdict."""
    tests = [record.test for record in good if record.test is not None]
    held_out = [record.held_out for record in good if record.held_out is not None]
    if not tests:
        return {"verdict": "", "skill": None}
    truth = np.array(held_out[0].truth)
    errors = np.array([((np.array(item.predictions) - truth) ** 2).sum(axis=1) for item in held_out])
    errors_of_mean = ((truth - np.array(held_out[0].train_mean)) ** 2).sum(axis=1)
    low, high = skill_interval(errors, errors_of_mean)

    def mean(name: str) -> float | None:
        return _mean([getattr(test, name) for test in tests])

    def deviation(name: str) -> float | None:
        return spread([getattr(test, name) for test in tests])

    scores: dict[str, object] = {
        "verdict": _verdict(low, len(truth)),
        "skill": mean("skill"),
        "skill_low": low,
        "skill_high": high,
        "skill_sd": deviation("skill"),
        "r2": mean("r2_mean"),
        "r2_sd": deviation("r2_mean"),
        "nmae_percent": _times(100, mean("nmae")),
        "mape_percent": mean("mape"),
        "rmse_GPa": mean("rmse"),
        "rmse_GPa_sd": deviation("rmse"),
        "mae_GPa": mean("mae"),
        "mse_GPa2": mean("mse"),
        "mse_of_mean_GPa2": mean("mse_of_mean"),
    }
    by_target: dict[str, object] = {f"r2_{name}": _mean_of(tests, name) for name in tests[0].r2}
    physics: dict[str, object] = {
        name: float(np.mean([record.physics.get(name, np.nan) for record in good])) for name in good[0].physics
    }
    return _merged(scores, by_target, physics)


def _verdict(low: float, images: int) -> str:
    if images < FEWEST_IMAGES:
        return TOO_FEW
    return BETTER if low > _NOTHING else NO_BETTER  # also where skill is undefined


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value


def _mean_of(tests: list[Accuracy], target: str) -> float | None:
    return _mean([test.r2[target] for test in tests])


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _sized_alike(good: list[Record]) -> list[Record]:
    """Those whose models are as large as the first seed's, whose size and latency the row states: a search may select
    another model for each seed.
    """
    return [record for record in good if record.counts == good[0].counts]


def _size(good: list[Record]) -> dict[str, object]:
    counts = good[0].counts if good else None
    return {
        "parameters": counts and counts.total,
        "trainable": counts and counts.trainable,
        "non_trainable": counts and counts.non_trainable,
        "size_of_seeds": " ".join(str(record.cell.seed) for record in _sized_alike(good)),
    }


def _training(good: list[Record]) -> dict[str, object]:
    """Epochs of each recipe, seconds of all of them, and what was selected, and in how many seconds, by each seed."""
    if not good:
        return {"epochs": None, "train_seconds": None}
    columns: dict[str, object] = {
        "epochs": "+".join(str(len(history.loss)) for history in good[0].history),
        "train_seconds": float(np.mean([sum(history.seconds for history in record.history) for record in good])),
    }
    if searches := [record.searched for record in good if record.searched]:
        columns["search_seconds"] = float(np.mean([sum(t.seconds for t in item.trials) for item in searches]))
        columns["configuration"] = " ".join(str(item.selected) for item in searches)
    return columns


def _exported(good: list[Record]) -> dict[str, object]:
    files = [record.onnx for record in good if record.onnx is not None]
    if not files:
        return {"onnx_kB": None, "opset": None, "onnx_difference": None}
    return {
        "onnx_kB": files[0].bytes / 1000,
        "opset": files[0].opset,
        "onnx_difference": max(file.difference for file in files),
    }


def _latency(good: list[Record], timings: dict[tuple[str, str, str], LatencyRecord]) -> dict[str, object]:
    """The newest timing of any of the row's models: latency hangs on the graph, not on the weights in it."""
    places = [(r.key, r.onnx.sha256, fingerprint(r.environment)) for r in _sized_alike(good) if r.onnx]
    found = [timings[place] for place in places if place in timings]
    by_batch: dict[int, Timing] = {}
    for record in sorted(found, key=lambda item: item.started):
        by_batch.update({timing.batch: timing for timing in record.latency.timings})
    columns: dict[str, object] = {}
    for batch in (1, 32):
        timing = by_batch.get(batch)
        columns |= {
            f"p50_ms_b{batch}": timing and timing.p50_ms,
            f"p90_ms_b{batch}": timing and timing.p90_ms,
            f"p99_ms_b{batch}": timing and timing.p99_ms,
            f"images_per_s_b{batch}": timing and timing.throughput,
            f"ratio_b{batch}": timing and timing.ratio,
            f"ratio_low_b{batch}": timing and timing.ratio_low,
            f"ratio_high_b{batch}": timing and timing.ratio_high,
            f"ratio_spread_b{batch}": timing and timing.ratio_spread,
        }
    reason = found[-1].latency.reason if found else ""
    columns["latency_note"] = reason or _unsteady(by_batch)
    columns["latency_threads"] = by_batch[1].threads if 1 in by_batch else None
    return columns


def _unsteady(by_batch: dict[int, Timing]) -> str:
    """At which batch sizes the ratio is not known well enough, and why where that was found out."""
    told = [
        f"{batch} ({timing.unsteady})" if timing.unsteady else str(batch)
        for batch, timing in sorted(by_batch.items())
        if not timing.steady
    ]
    return f"unsteady at batch {' and '.join(told)}" if told else ""


def _text(value: object) -> str:
    """Six significant digits for a float, no more than nine decimals: enough to rank by, and stable to recompute."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{round(value, 9) + 0.0:.6g}" if isinstance(value, float) else harmless(str(value))


def top_tens(records: Iterable[Record]) -> dict[str, pd.DataFrame]:
    """For each variant that is a search, the ten configurations with the lowest validation loss, as a table of text.

    One ranking for each backend and whatever else must be equal. Losses are means over seeds of the lowest of any
    epoch, on the network's scale; nothing in a search comes from the test images.
    """
    rows: dict[str, list[dict[str, object]]] = {}
    for group in comparable(record for record in standing(records) if record.status == "ok" and record.searched):
        rows.setdefault(group[0].cell.variant, []).extend(_ranked(group)[:10])
    order = ["data", "profile", "settings", "environment", "backend", "rank"]
    return {name: pd.DataFrame(ranked).sort_values(order).map(_text) for name, ranked in rows.items()}


def _ranked(records: list[Record]) -> list[dict[str, object]]:
    """Every configuration of one search, best first."""
    cell = records[0].cell
    assert isinstance(cell.architecture, Search)
    searches = [record.searched for record in records if record.searched]
    trials = [[item.trials[number] for item in searches] for number in range(len(cell.architecture.configurations))]
    losses = [[trial.validation_loss for trial in of_one] for of_one in trials]
    best_first = sorted(range(len(trials)), key=lambda number: float(np.mean(losses[number])))
    return [
        _merged(
            {"variant": cell.row, "backend": cell.backend, "rank": rank, "configuration": number},
            dict(cell.architecture.configurations[number].choices),
            {
                "parameters": trials[number][0].parameters,
                "validation_mse": float(np.mean(losses[number])),
                "validation_mse_sd": spread(losses[number]),
                "epochs": cell.architecture.epochs,
                "best_epochs": " ".join(str(trial.epoch) for trial in trials[number]),
                "seconds": float(np.mean([trial.seconds for trial in trials[number]])),
                "seeds": " ".join(str(record.cell.seed) for record in records),
                "selected_by": " ".join(
                    str(record.cell.seed)
                    for record in records
                    if record.searched and record.searched.selected == number
                ),
                "target_scaling": cell.settings.target_scaling,
            },
            _origin(records),
        )
        for rank, number in enumerate(best_first, 1)
    ]


# The columns shown on a terminal: heading and format.
_SHOWN = {
    "variant": ("variant", ""),
    "backend": ("backend", ""),
    "skill": ("skill", ".3f"),
    "skill_low": ("95 % from", ".3f"),
    "skill_high": ("to", ".3f"),
    "r2": ("R²", ".3f"),
    "r2_sd": ("± seeds", ".3f"),
    "nmae_percent": ("NMAE %", ".2f"),
    "rmse_GPa": ("RMSE GPa", ".2f"),
    "inside_bounds": ("in bounds", ".0%"),
    "parameters": ("parameters", ",.0f"),
    "train_seconds": ("train s", ".1f"),
    "p50_ms_b1": ("ms/image", ".3f"),
    "verdict": ("verdict", ""),
}


def terminal_table(path: Path, cell: Cell) -> str:
    """The rows of data, profile and settings like the cell's, with the columns that fit a terminal."""
    with path.open(encoding="utf-8") as file:  # pandas would take a ~ in the name for a home
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
    alike = {"data_hash": cell.data_hash[:12], "profile": cell.profile, "settings": _hash(cell.settings)}
    for column, value in alike.items():
        table = table[table[column] == value]
    # Why a cell has no result was told when it ended.
    table["verdict"] = table["verdict"].where(table["status"] == "ok", table["status"].str.split(":").str[0])
    columns = {
        heading: [format(float(value), form) if form and value else value for value in table[name]]
        for name, (heading, form) in _SHOWN.items()
        if name in table
    }
    text = str(pd.DataFrame(columns).to_string(index=False))
    for _, row in table.iterrows():
        if told := of_some_seeds(row):
            text += f"\n{row['variant']} on {row['backend']}: {told}"
    return text


def of_some_seeds(row: pd.Series[str]) -> str:
    """Whose parameters and milliseconds a row states where a search selected models of several sizes; else empty."""
    if row["seeds"] == row["size_of_seeds"]:
        return ""
    return f"parameters and ms/image are of seed {row['size_of_seeds']}, other seeds selected models of other sizes"
