"""`bench report`: a suite's source, answered from records. A Markdown page of tables, questions and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness import registry
from harness.disk import is_file, write_whole
from harness.errors import BenchError
from harness.judging import leaderboard
from harness.judging.blocks import Row, curves, newest, of_fewer_seeds, rows
from harness.judging.cells import text
from harness.judging.metrics import NOTHING_LEARNED
from harness.judging.records import Record
from harness.judging.reproductions import Reproductions, by_this_code
from harness.judging.searches import last_trials, losses_of, top_tens
from harness.judging.standing import comparable
from harness.model.variants import Search
from harness.protocol import Source, Suite
from harness.showing import certainty, pictures
from harness.showing.advice import advice
from harness.showing.answer import answer
from harness.showing.digits import decimals, known_skill, skill_in_words
from harness.showing.profiles import most_epochs
from harness.showing.questions import answers, r2_of_targets
from harness.showing.tables import cell, markdown
from harness.text import counted


def write(results: Path, suite_name: str, out: Path, profile: str = "", device: str = "") -> Path:
    """Write `report.md` and its pictures to the folder `out`; returns the page.

    Of the newest comparable records of profile and device, as `newest` finds them, and the raw-label ones of the same.
    Raises BenchError where there are none.
    """
    suite = registry.suite(suite_name)
    records = leaderboard.believed(results, suite_name)
    block = newest(records, profile, device=device)
    if not block:
        raise _nothing(results, suite_name, profile, newest(records, device=device))
    page = out / "report.md"
    if is_file(page) and not page.read_bytes().startswith(_title(suite_name).encode()):
        raise BenchError(f"{page}: exists and is not a report of {suite_name}: choose another out=")
    order = [variant.name for variant in suite.VARIANTS]
    table = rows(block, order)
    searched = [r for r in block if isinstance(r.cell.architecture, Search) and r.cell.architecture.of_networks]
    of = block[0].cell.profile, block[0].cell.settings.device
    drawn = pictures.draw_all(results, suite_name, out, *of)
    raw = rows(newest(records, of[0], "none", of[1]), order)
    latencies, curve = _latencies(results, suite_name, block), curves(records, block)
    # Of data that a suite ships nobody asks which model to use.
    ships = suite_name in registry.with_data()
    first = answer(table, suite.METRICS).whole if ships else advice(suite_name, table, curve, latencies, results)
    sections = [
        _title(suite_name) + ("the report, answered" if suite.SOURCE else "report"),
        first,
        _head(suite_name, suite, block, _code(table, Reproductions(results, suite_name))),
        _every_model(table, suite),
        "" if ships else _every_target(table),
        _every_test(table, suite),
        *answers(table, latencies, suite.COMPARISONS),
        _learning_curves(curve, table),
        certainty.sources_of_variance(table),
        certainty.epochs_to_a_loss(table),
        _ten_best(searched),
        _best_three(searched),
        _raw_labels(raw, suite),
        _gallery(drawn),
    ]
    write_whole(page, "\n\n".join(section for section in sections if section) + "\n")
    return page


def _nothing(results: Path, suite: str, profile: str, other: Sequence[Record]) -> BenchError:
    """What is wrong where there are no records to report on; `other` are those of any profile."""
    remedy = f"there are some of profile={other[0].cell.profile}" if other else "`bench run` makes them"
    asked = f" of profile {profile}" if other else ""
    return BenchError(f"{results}: no finished records of {suite}{asked} on all training images: {remedy}")


def _title(suite: str) -> str:
    """How the first line of its page begins."""
    return f"# {suite}: "


def _code(table: Sequence[Row], again: Reproductions) -> str:
    """Whether it is today's code that these rows are of, and which of them were run again."""
    found = [again.of(row.records) for row in table]
    told = ""
    if not all(by_this_code(row.records, made) for row, made in zip(table, found, strict=True)):
        told += (
            "\n\n**The code that can change these numbers has changed since, or is not known**: these come from the "
            "code named above, and `bench run` would recompute them."
        )
    for words, count in Counter(made.told for made in found if made).most_common():
        told += f"\n\n{counted(count, 'model')} of {len(table)}: every seed was {words}."
    return told


def _head(name: str, suite: Suite, block: Sequence[Record], code: str) -> str:
    cell, environment = block[0].cell, block[0].environment
    seeds = sorted({record.cell.seed for record in block})
    profile, paper = suite.PROFILES.get(cell.profile), suite.PROFILES.get("paper")
    of, shortened = "the source's" if suite.SOURCE else "profile `paper`'s", ""
    if paper and profile and paper != profile:
        shortened = f" This profile shortens {of} {paper.epochs} epochs: {most_epochs(suite, profile)}."
    random = {record.cell.weights for record in block} - {""} == {"random"}
    note = (
        "\n\n**The backbones of this run start from random weights**: what this report says about transfer learning "
        "holds for random features only."
        if random
        else ""
    )
    note += code
    commits = " and ".join(sorted({record.environment.short_commit for record in block}))
    where = f"{counted(len(seeds), 'seed')}, {environment.processor}, commit {commits}"
    if lacking := of_fewer_seeds(block):
        note = f"\n\n**{lacking}** Their intervals say less than those of others{note}"
    return (
        f"{suite.SUMMARY[0].upper()}{suite.SUMMARY[1:]}. Data set '{cell.data}', profile `{cell.profile}`, "
        f"{where}.{shortened}{note}\n\n"
        "Skill is 1 - MSE / MSE of the training mean on the same test images: 0 is no better than the mean, 1 is "
        "perfect. Intervals are 95 % bootstrap intervals over seeds and test images, each for a single comparison; "
        "where a question compares several pairs, its verdicts hold after Holm's correction for all of them; where "
        "it compares one model with all others, for networks and for models without one separately. Generated "
        f"by `bench report suite={name}` from the records; nothing here is typed in by hand."
    )


# --- tables -------------------------------------------------------------------------------------------------------


def _ten_best(block: Sequence[Record]) -> str:
    """The report's table 1: the ten best configurations by validation loss."""
    parts = []
    for searched in sorted({record.cell.row for record in block}):
        of_one = [record for record in block if record.cell.row == searched]
        (table,) = top_tens(comparable(of_one)).values()
        search = of_one[0].cell.architecture
        assert isinstance(search, Search)
        axes = list(search.configurations[0].choices)
        lines = [
            [
                row["backend"],
                *(text(row[name]) for name in ("rank", "configuration", *axes, "parameters")),
                f"{row['validation_mse']:.4f}",
                f"{row['validation_mse_sd']:.4f}" if row["validation_mse_sd"] else "–",
                row["selected_by"] or "–",
            ]
            for _, row in table.iterrows()
        ]
        loss, scale = _loss(of_one)
        heading = ["backend", "rank", "no.", *axes, "parameters", f"best {loss}", "± seeds", "selected by seed"]
        parts.append(
            f"## The ten best of {len(search.configurations)} configurations of `{searched}`\n\n"
            f"{_order(search)} {loss} {_how_long(search)}{scale}. Only the selected "
            "configuration was ever evaluated on the test images.\n\n" + markdown(heading, lines)
        )
    return "\n\n".join(parts)


def _loss(block: Sequence[Record]) -> tuple[str, str]:
    """What tries of a search are told apart by, and on which scale that is."""
    if any(record.held_out and record.held_out.of_classes for record in block):
        return "validation cross-entropy", ""
    return "validation MSE", ", on standardised targets (1 is the mean of the training labels)"


def _order(search: Search) -> str:
    """How configurations are ordered, up to the word for the loss."""
    return "Ordered by the lowest" if len(search.rounds()) == 1 else "Those tried longest first, then by the lowest"


def _how_long(search: Search) -> str:
    """Of how many epochs a configuration has the lowest loss."""
    *earlier, (_, last) = search.rounds()
    if not earlier:
        return f"of {counted(last, 'epoch')}"
    if search.method == "optuna":
        lengths = ", ".join(str(epochs) for _, epochs in search.rounds())
        return f"in the last round it reached (epochs of the rounds: {lengths}; tried as Optuna proposed)"
    rounds = ", ".join(f"{count} for {epochs}" for count, epochs in search.rounds())
    return f"in the last round it reached (epochs by successive halving: {rounds})"


def _best_three(block: Sequence[Record]) -> str:
    """The report's table 2: the best few over all; here also whether the backends agree on them. Of several searches,
    as one by Optuna beside the usual one, of the first by name.
    """
    if not block:
        return ""
    name = min(record.cell.row for record in block)
    found = [record for record in block if record.cell.row == name]
    search = found[0].cell.architecture
    assert isinstance(search, Search)
    last = last_trials(found)
    best = {number: losses_of(last[number]) for number in list(last)[:3]}
    axes = list(search.configurations[0].choices)
    lines = [
        [
            str(number),
            *(f"{search.configurations[number].choices[axis]:g}" for axis in axes),
            f"{np.mean(losses):.4f}",
            f"{min(losses):.4f} to {max(losses):.4f}",
        ]
        for number, losses in best.items()
    ]
    found.sort(key=lambda record: (record.cell.backend, record.cell.seed))
    told = [f"{r.cell.backend} seed {r.cell.seed}: {r.searched.selected}" for r in found if r.searched]
    return (
        "## The best three over all seeds and backends\n\n"
        + f"{_order(search)} mean.\n\n"
        + markdown(["no.", *axes, f"mean {_loss(found)[0]}", "range"], lines)
        + f"\n\nSelected: {'; '.join(told)}."
    )


def _every_model(table: Sequence[Row], suite: Suite) -> str:
    """The report's table 3: the test MSE of every model, with what it is to be compared with. Targets in unlike units
    have none: the skill alone.
    """
    unit, unlike = table[0].unit, table[0].of_unlike_units
    source = None if unlike else suite.SOURCE
    mean_mse = float(table[0].squared_errors_of_mean().mean() / table[0].targets)
    told = f"The MSE of the training mean is {mean_mse:.4g}{f' {unit}²' * bool(unit)}."
    if unlike:
        told = "Targets have different units, so each target's error is relative to the training mean's."
    if source:
        raw, factor = source.unit.replace("^2", "²"), suite.unit_factor(source.unit)
        told = (
            f"The MSE of the training mean is {mean_mse:.4g} {unit}², which is {mean_mse / factor**2:.3g} ({raw})². "
            f"The last column is what {source.name} reports, on its own data and in ({raw})²: figures that mean "
            "nothing without the mean's for comparison, which it does not give."
        )
    lines = []
    for row in sorted(table, key=Row.skill, reverse=True):
        skill, ends = known_skill(row)
        mse = float(row.squared_errors().mean() / row.targets)
        line = {"model": row.name, "backend": row.backend}
        if not unlike:
            line[f"MSE ({unit}²)" if unit else "MSE"] = f"{mse:.4g}"
        if source:
            line[f"MSE (({raw})²)"] = f"{mse / factor**2:.3g}"
        line |= {"skill": skill, "95 %": ends or "–", "R²": _mean_r2(row)}
        if source:
            line["source's MSE"] = _reported(row, source)
        lines.append(line)
    title = f"## Test {'skill' if unlike else 'MSE'} of every model{table[0].ranked_by}"
    return f"{title}\n\n{told}\n\n{_in_markdown(lines)}"


def _in_markdown(lines: Sequence[dict[str, str]]) -> str:
    """A table of one line or more, each with its cells by heading."""
    return markdown(list(lines[0]), [list(line.values()) for line in lines])


def _every_target(table: Sequence[Row]) -> str:
    """R² of each target by every model, where there are several."""
    if table[0].of_classes or table[0].targets < 2:
        return ""
    in_order = sorted(table, key=Row.skill, reverse=True)
    found = [r2_of_targets(row) for row in in_order]
    targets = list(dict.fromkeys(name for r2 in found for name in r2))
    cells = [[decimals(r2.get(name, np.nan)) for name in targets] for r2 in found]
    told = "Means over seeds. A skill of all targets hides one that is not learnt."
    return f"## R² of each target\n\n{told}\n\n" + _against("target", targets, cells, in_order)


def _every_test(table: Sequence[Row], suite: Suite) -> str:
    """Where a suite has several tests: its figures of every model on each, R² where it has none; means over seeds. Of
    one test those of a suite whose figures say how good an answer is.
    """
    tests = table[0].tests
    known = {key for row in table for test in row.tests for record in row.on(test).records for key in record.metrics}
    shown = [metric for metric in suite.METRICS if metric.heading]
    if not any(metric.key in known for metric in shown):  # those of classes, and these are numbers
        shown = []
    if len(tests) < 2 and not any(metric.needs_truth for metric in shown):
        return ""
    if not shown:
        r2 = [[_mean_r2(row.on(test)) if test in row.tests else "–" for test in tests] for row in table]
        return "## R² on every test\n\nMeans over seeds.\n\n" + _against("test", tests, r2, table)
    lines = []
    for test in tests:
        for row in sorted((row.on(test) for row in table if test in row.tests), key=Row.skill, reverse=True):
            figures = [[r.metrics[metric.key] for r in row.records if metric.key in r.metrics] for metric in shown]
            told = [
                f"{np.mean(values):{metric.form}}" if values else "–"
                for metric, values in zip(shown, figures, strict=True)
            ]
            lines.append([test, row.name, row.backend, decimals(row.skill()), *told])
    sentences = "; ".join(f"{metric.heading}: {metric.sentence}" for metric in shown)
    return f"## Every test\n\nMeans over seeds. {sentences[0].upper()}{sentences[1:]}.\n\n" + markdown(
        ["test", "model", "backend", "skill", *(metric.heading for metric in shown)], lines
    )


def _mean_r2(row: Row) -> str:
    values = [record.test.r2_mean for record in row.records if record.test]
    known = [value for value in values if value is not None]  # none where the truth does not vary
    return decimals(float(np.mean(known))) if known else "–"


def _against(kind: str, names: Sequence[str], cells: Sequence[Sequence[str]], table: Sequence[Row]) -> str:
    """The `cells` of each model, one for each of these names: a line for each name where there are more of them than
    models, else one for each model.
    """
    if len(names) <= len(table):
        return markdown(
            ["model", "backend", *names],
            [[row.name, row.backend, *line] for row, line in zip(table, cells, strict=True)],
        )
    models = [f"{row.name}, {row.backend}" for row in table]
    return markdown([kind, *models], [[name, *line] for name, *line in zip(names, *cells, strict=True)])


def _learning_curves(found: dict[tuple[str, str], dict[int, Row]], table: Sequence[Row]) -> str:
    """Where models were also trained on fewer images: what they have learnt from how many."""
    if not found:
        return ""
    sizes = sorted({size for curve in found.values() for size in curve})
    whole = {(row.name, row.backend): row for row in table}
    lines = []
    for place, curve in sorted(found.items(), key=lambda item: -item[1][max(item[1])].skill()):
        of_all = [*(curve.get(size) for size in sizes), whole.get(place)]
        lines.append([*place, *(skill_in_words(row) if row else "–" for row in of_all)])
    return (
        "## How many labelled images does it take?\n\nSkill, with its 95 % interval, of models trained only on "
        "the first N training images, on the same test images. Models trained by gradient take as many steps as "
        "with all images, unless patience ends training earlier. All use the same validation images.\n\n"
        + markdown(["model", "backend", *(f"{size} images" for size in sizes), "all"], lines)
    )


def _reported(row: Row, source: Source) -> str:
    """What the source says of this model; of one whose predictions are averaged it says nothing."""
    cell = row.first.cell
    return "–" if cell.settings.averaged else source.reported.get(cell.variant, "–")


def _latencies(results: Path, suite: str, block: Sequence[Record]) -> dict[tuple[str, str], str]:
    """Milliseconds of those that were timed: a run that was stopped has timed nothing yet."""
    scores = leaderboard.of_block(results, suite, block)
    timed = scores[scores["p50_ms_b1"].notna()]
    return {(row["variant"], row["backend"]): cell(row, "p50_ms_b1") for _, row in timed.iterrows()}


# --- raw labels ---------------------------------------------------------------------------------------------------


def _raw_labels(raw: Sequence[Row], suite: Suite) -> str:
    source = suite.SOURCE
    if source is None:
        return ""
    heading = f"## What an MSE in {source.unit.replace('^2', '²')} means\n\n"
    networks = [row for row in raw if row.first.by_gradient]
    if not networks:
        return (
            heading + "Not measured: there are no records of models trained on raw labels (`target_scaling=none`); "
            "`bench report raw=true` trains them."
        )
    unit = networks[0].first.cell.settings.unit
    factor = suite.unit_factor(unit)
    lowest = [row.skill_interval()[0] for row in networks]
    useless = sum(not low > NOTHING_LEARNED for low in lowest)
    worst = max(1 - row.skill() for row in networks)
    raw_unit = unit.replace("^2", "²")
    return (
        heading + f"{source.name[0].upper()}{source.name[1:]} trains on labels in {raw_unit}. Here models are trained "
        f"on such labels (`target_scaling=none unit={unit}`), next to models that are not trained by gradient. "
        f"{useless} of {len(networks)} networks are no better than the mean (skill interval reaching "
        f"{NOTHING_LEARNED:g} or below); the worst has {worst:.3g} times the mean's MSE. {source.lesson}\n\n"
        + _in_markdown([_raw_line(row, factor) for row in raw])
        + f"\n\nErrors are in the square of {raw_unit}, spreads (standard deviations) in {raw_unit}."
    )


def _raw_line(row: Row, factor: float) -> dict[str, str]:
    """Errors and spreads in the unit that the labels were raw in, of which `factor` makes the data set's."""
    test, held_out = row.first.test, row.first.held_out
    assert test is not None
    assert held_out is not None
    predictions, truth = (np.array(part) / factor for part in (held_out.predictions, held_out.truth))
    skill, ends = known_skill(row)
    return {
        "model": row.name,
        "backend": row.backend,
        "test MSE": f"{test.mse / factor**2:.3e}",
        "the mean's MSE": f"{test.mse_of_mean / factor**2:.3e}",
        "spread of predictions": f"{predictions.std(axis=0).mean():.2e}",
        "spread of labels": f"{truth.std(axis=0).mean():.2e}",
        "skill": skill,
        "95 %": ends or "–",
    }


def _gallery(drawn: Sequence[Path]) -> str:
    return "## Pictures\n\n" + "\n\n".join(f"![{path.stem.replace('-', ' ')}]({path.name})" for path in drawn)
