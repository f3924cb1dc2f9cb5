"""The questions that a benchmark of networks is asked, answered by paired differences between rows of records.

They are asked of roles: the baseline is the network of that name, or the first that is trained from scratch on all
images, a search is what was tuned, networks with a backbone are transfer learning, head-only or fine-tuned by their
last recipe. Every answer rests on differences in skill with a bootstrap interval over seeds and test images
(`stats.paired_difference`), and says no more than the intervals do. The comparisons of one question are a family: a
verdict in it holds after Holm's correction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from harness.judging.blocks import Difference, Row, difference, differences
from harness.judging.metrics import NOTHING_LEARNED
from harness.judging.stats import FEWEST_IMAGES
from harness.model.architecture import Network, backbone_of
from harness.model.variants import Search
from harness.protocol import Comparison
from harness.showing.digits import decimals, in_words
from harness.showing.tables import markdown


class _Roles(NamedTuple):
    """The rows of one backend by what they are: of a backbone the first that is head-only and the first fine-tuned one,
    the source's own, by family and, where backbones started from several weights, these; all of them in `transfer`.
    """

    backend: str
    baseline: Row | None
    tuned: Row | None
    head_only: dict[str, Row]
    fine_tuned: dict[str, Row]
    transfer: list[Row]


def _roles(table: Sequence[Row]) -> list[_Roles]:
    found: dict[str, _Roles] = {}
    started = {row.first.cell.weights for row in table} - {""}
    for row in table:
        cell = row.first.cell
        if cell.settings.averaged:  # another model, which no role is about
            continue
        roles = found.get(row.backend, _Roles(row.backend, None, None, {}, {}, []))
        if isinstance(cell.architecture, Search) and cell.architecture.of_networks:
            roles = roles._replace(tuned=roles.tuned or row)
        elif isinstance(cell.architecture, Network) and (backbone := backbone_of(cell.architecture)):
            part = roles.head_only if cell.recipes[-1].trains == "head" else roles.fine_tuned
            part.setdefault(backbone[1] if len(started) == 1 else f"{backbone[1]}, {cell.weights}", row)
            roles.transfer.append(row)
        elif isinstance(cell.architecture, Network) and cell.originals is msgspec.UNSET:
            named = cell.variant == "baseline"
            roles = roles._replace(baseline=row if named or not roles.baseline else roles.baseline)
        found[row.backend] = roles
    return [roles for roles in found.values() if roles.baseline or roles.tuned or roles.transfer]


def answers(
    table: Sequence[Row], latency: dict[tuple[str, str], str], comparisons: Sequence[Comparison] = ()
) -> list[str]:
    """A Markdown section for each question that these rows can answer, the suite's own `comparisons` among them;
    `latency` is in ms, by model and backend.
    """
    roles, among = _roles(table), family(table)
    told = [
        *filter(None, (_is_better(comparison, table) for comparison in comparisons)),
        _did_tuning_help(roles),
        _who_converges_first(roles),
        _did_fine_tuning_help(roles),
        _tuning_or_transfer(roles),
        _is_a_network_worth_it(table),
        _which_is_best(table, among, latency),
    ]
    return [f"## {answer[0].upper()}{answer[1:]}" for answer in told if answer]


_TOO_FEW = f"Inconclusive: intervals need {FEWEST_IMAGES} test images of different things."


def _said(comparisons: Sequence[tuple[str, Difference]], what: str, yes: str, no: str, undecided: str) -> str:
    """One sentence over several comparisons of `what` with something: it is yes or no only where all agree."""
    verdicts = {comparison.verdict for _, comparison in comparisons}
    if verdicts == {"better"}:
        return yes
    if verdicts == {"worse"}:
        return no
    if verdicts == {"not told apart"}:
        return undecided
    if verdicts == {"too few test images"}:
        return _TOO_FEW
    names: dict[str, list[str]] = {}
    for name, comparison in comparisons:
        names.setdefault(comparison.verdict, []).append(name)
    certain = sorted(names, key=lambda verdict: verdict not in _CERTAIN)
    told = "; ".join(f"{verdict}: {', '.join(_in_runs(names[verdict]))}" for verdict in certain)
    if certain[0] in _CERTAIN:
        told = f"{what} is {told}"
    return f"It depends. {told[0].upper()}{told[1:]}."


_CERTAIN = ("better", "worse")


def _in_runs(names: Iterable[str]) -> list[str]:
    """Steps of one thing that follow each other in one word: `blur-1`, `blur-2`, `blur-3` are `blur-1 to 3`."""
    runs: list[list[str]] = []
    for name in names:
        if runs and name == _step_after(runs[-1][-1]):
            runs[-1].append(name)
        else:
            runs.append([name])
    return [run[0] + f" to {run[-1].rpartition('-')[2]}" * (len(run) > 1) for run in runs]


def _step_after(name: str) -> str:
    """`blur-2` after `blur-1`; "" after what is no step."""
    stem, dash, number = name.rpartition("-")
    return f"{stem}-{int(number) + 1}" if dash and number.isdecimal() else ""


def _is_better(comparison: Comparison, table: Sequence[Row]) -> str:
    """A suite's own question, on each of its tests."""
    pairs = [
        (test, row.on(test), other.on(test))
        for row in table
        for other in table
        if row.backend == other.backend and _are(comparison, row, other)
        for test in row.tests
        if test in other.tests
    ]
    if not pairs:
        return ""
    verdicts_of = differences((row, other) for _, row, other in pairs)
    found = [(row, other, test, d) for (test, row, other), d in zip(pairs, verdicts_of, strict=True)]
    verdicts: dict[str, set[str]] = {}
    for *_, test, d in found:
        verdicts.setdefault(test, set()).add(d.verdict)
    # Backends are told apart where they differ.
    named = {f"on {test}" if len(verdicts[test]) == 1 else f"{row.backend} on {test}": d for row, _, test, d in found}
    answer = _said(
        list(named.items()),
        f"`{comparison.variant}`",
        "Yes, in every backend and test.",
        "No: it is worse in every one.",
        "Inconclusive.",
    )
    lines = [
        [test, row.backend, decimals(row.skill()), decimals(other.skill()), in_words(d), d.verdict]
        for row, other, test, d in found
    ]
    heading = ["test", "backend", f"{comparison.variant}: skill", f"{comparison.other}: skill"]
    heading += ["difference (95 %)", f"{comparison.variant} is"]
    return f"{comparison.question}\n\n{answer} {comparison.reported}".rstrip() + "\n\n" + markdown(heading, lines)


def _compared(
    question: str,
    pairs: Sequence[tuple[tuple[str, ...], Row, Row]],
    said: tuple[str, str, str, str],
    heading: Sequence[str],
    cells: Callable[[Row, Row, Difference], list[str]],
) -> str:
    """What a family of comparisons answers, as is `said` of it (`_said`), above a table in which each pair's labels
    come before its `cells`; empty where there are no pairs.
    """
    if not pairs:
        return ""
    found = differences((row, other) for _, row, other in pairs)
    names = [f"{labels[0]} ({labels[1]})" if labels[1:] else labels[0] for labels, _, _ in pairs]
    answer = _said(list(zip(names, found, strict=True)), *said)
    lines = [[*labels, *cells(row, other, d)] for (labels, row, other), d in zip(pairs, found, strict=True)]
    return f"{question}\n\n{answer}\n\n" + markdown(heading, lines)


def _are(comparison: Comparison, row: Row, other: Row) -> bool:
    """Whether these are the two that are compared, which began with the same weights and predict in the same way."""
    one, two = row.first.cell, other.first.cell
    alike = (one.weights, one.settings.averaged) == (two.weights, two.settings.averaged)
    return alike and (one.variant, two.variant) == (comparison.variant, comparison.other)


def _named_skill(row: Row) -> str:
    return f"{row.name}: {decimals(row.skill())}"


def _did_tuning_help(roles: Sequence[_Roles]) -> str:
    return _compared(
        "did tuning help over the baseline?",
        [((r.backend,), r.tuned, r.baseline) for r in roles if r.tuned and r.baseline],
        (
            "what was tuned",
            "Yes, in every backend.",
            "No: what was tuned is worse in every backend.",
            "Inconclusive: the intervals include zero.",
        ),
        ["backend", "tuned: skill", "baseline: skill", "difference (95 %)"],
        lambda tuned, other, d: [_named_skill(tuned), _named_skill(other), in_words(d)],
    )


def settles(losses: Sequence[float]) -> int:
    """The first epoch whose loss has made nine tenths of the way from the first epoch's to the lowest."""
    best = min(losses)
    return next(epoch for epoch, loss in enumerate(losses, 1) if loss <= best + 0.1 * (losses[0] - best))


def _who_converges_first(roles: Sequence[_Roles]) -> str:
    lines, fastest = [], []
    for r in roles:
        for family, row in r.head_only.items():
            heads = [settles(record.history[0].validation_loss) for record in row.records]
            fine = r.fine_tuned.get(family)
            tunings = [settles(record.history[-1].validation_loss) for record in fine.records] if fine else []
            lines.append([family, r.backend, _epochs(heads), _epochs(tunings), decimals(row.skill())])
            if _learned(row):
                fastest.append((float(np.median(heads)), family))
    if not lines:
        return ""
    answer = f"None: no frozen backbone gave a head anything to learn from (skill not above {NOTHING_LEARNED:g})."
    if fastest:
        epoch, family = min(fastest)
        answer = f"{family}, by epoch {epoch:g}, of the heads that learned anything (skill above {NOTHING_LEARNED:g})."
    scratch = [
        f"{row.name} on {r.backend} by epoch {_epochs([settles(x.history[-1].validation_loss) for x in row.records])}"
        for r in roles
        for row in (r.baseline, r.tuned)
        if row
    ]
    answer += f" From scratch: {'; '.join(scratch)}." * bool(scratch)
    return (
        f"which backbone converges fastest, and by which epoch?\n\n{answer}\n\n"
        "Training counts as converged once its validation loss has covered nine tenths of the way from that of the "
        "first epoch to the lowest; median over seeds, and range. For fine-tuning, epochs of the second recipe.\n\n"
        + markdown(["backbone", "backend", "head-only", "fine-tuning", "head-only: skill"], lines)
    )


def _learned(row: Row) -> bool:
    """Whether its skill is shown to be more than that of the mean; whether it is more, where there is no interval."""
    low, _ = row.skill_interval()
    return (row.skill() if np.isnan(low) else low) > NOTHING_LEARNED


def _epochs(values: Sequence[int]) -> str:
    if not values:
        return "–"
    return f"{np.median(values):g} ({min(values)}–{max(values)})"


def _did_fine_tuning_help(roles: Sequence[_Roles]) -> str:
    return _compared(
        "did fine-tuning help or harm?",
        [
            ((family, r.backend), r.fine_tuned[family], row)
            for r in roles
            for family, row in r.head_only.items()
            if family in r.fine_tuned
        ],
        (
            "fine-tuned",
            "It helped every backbone.",
            "It harmed every backbone.",
            "Inconclusive for every backbone: the intervals include zero.",
        ),
        ["backbone", "backend", "head-only: skill", "fine-tuned: skill", "difference (95 %)", "fine-tuned is"],
        lambda fine, head, d: [decimals(head.skill()), decimals(fine.skill()), in_words(d), d.verdict],
    )


def _tuning_or_transfer(roles: Sequence[_Roles]) -> str:
    return _compared(
        "what helped, tuning or transfer learning?",
        [((r.backend,), r.tuned, min(r.transfer, key=Row.validation_error)) for r in roles if r.tuned and r.transfer],
        (
            "what was tuned",
            "Tuning, in every backend.",
            "Transfer learning, in every backend.",
            "Inconclusive: the intervals include zero.",
        ),
        ["backend", "tuned: skill", "transfer, best on the validation images: skill", "difference (95 %)"],
        lambda tuned, other, d: [decimals(tuned.skill()), _named_skill(other), in_words(d)],
    )


def _is_network(row: Row) -> bool:
    return row.first.cell.has_network


def _with_and_without(table: Sequence[Row]) -> tuple[Row | None, Row | None]:
    """The best network by the validation images, and the best without one."""
    networks, others = ([row for row in table if _is_network(row) == wanted] for wanted in (True, False))
    best, rival = (min(some, key=Row.validation_error, default=None) for some in (networks, others))
    return best, rival


class Family(NamedTuple):
    """What the validation images choose, and by how much the skill of each other row is higher, in its own one of the
    `families`.
    """

    chosen: Row
    others: list[tuple[Row, Difference]]


def family(table: Sequence[Row]) -> Family:
    """All rows of a table, held against the one that the validation images choose."""
    chosen = min(table, key=Row.validation_error)
    return Family(chosen, [pair for some in families(chosen, table) for pair in _against(chosen, some)])


def families(one: Row, table: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Whom else of a table to hold one against, as families of comparisons: networks, as for the verdicts of the
    leaderboard, and models without a network.
    """
    others = [row for row in table if row is not one]
    return [row for row in others if _is_network(row)], [row for row in others if not _is_network(row)]


def _against(one: Row, others: Sequence[Row]) -> list[tuple[Row, Difference]]:
    """By how much the skill of each of the others is higher than that of the one, as one family of comparisons."""
    return list(zip(others, differences((row, one) for row in others), strict=True))


def worth(table: Sequence[Row]) -> str:
    """Whether a network is worth it, in a sentence; empty where there is none, or nothing else.

    All networks are held against the best row without one, as for the verdicts of the leaderboard.
    """
    best, rival = _with_and_without(table)
    if not best or not rival:
        return ""
    networks = [row for row in table if _is_network(row)]
    verdicts = {id(row): found.verdict for row, found in _against(rival, networks)}
    if verdicts[id(best)] == "worse":
        told = (
            f"{rival.title}, without a network, is better than {best.title}, the best network on the validation images"
        )
        equal = [row.title for row in networks if verdicts[id(row)] != "worse"]
        return f"Inconclusive: {told}, but not than {' or '.join(few(equal))}." if equal else f"No: {told}."
    return {
        "better": f"Yes: {best.title} is better than {rival.title}, the best without one.",
        "not told apart": f"Inconclusive: {best.title} and {rival.title}, the best without one, cannot be told apart.",
    }.get(verdicts[id(best)], _TOO_FEW)


def _is_a_network_worth_it(table: Sequence[Row]) -> str:
    best, rival = _with_and_without(table)
    if not best or not rival:
        return ""
    lines = [
        [
            row.name,
            decimals(row.skill(), digits=_FINELY),
            in_words(difference(best, row), _FINELY),
            _parameters(row),
            f"{seconds(row):.3g}",
        ]
        for row in sorted(table, key=Row.skill, reverse=True)
        if not _is_network(row)
    ]
    heading = ["without a network", "skill", f"{best.title} is higher by (95 %)", "numbers fitted", "training s"]
    return (
        f"is a network worth it?\n\n{worth(table)}\n\nBoth are chosen by the validation images. The answer "
        "is corrected for comparing all networks with the best model without one; each interval is of a single "
        "comparison.\n\n" + markdown(heading, lines)
    )


_FINELY = 4  # decimals, where all are near to perfect


def _which_is_best(table: Sequence[Row], among: Family, latency: dict[tuple[str, str], str]) -> str:
    chosen, behind = among.chosen, {id(row): found for row, found in among.others}
    ranked = sorted(table, key=Row.skill, reverse=True)
    lines = [
        [
            row.name,
            row.backend,
            decimals(row.skill()),
            "chosen" if row is chosen else in_words(behind[id(row)]),
            _parameters(row),
            f"{seconds(row):.3g}",
            latency.get((row.name, row.backend)) or "–",
        ]
        for row in ranked
    ]
    heading = ["model", "backend", "skill", "difference from the chosen (95 %)", "parameters", "training s", "ms/image"]
    told = f"**{chosen.title}**, chosen by the validation images. {_told_apart(ranked, behind)}".rstrip()
    if chosen.ranked_by:
        told += f" All of this{chosen.ranked_by}."
    return (
        f"which model is best?\n\n{told}\n\n"
        "Seconds are on one core and include any search; milliseconds are ONNX Runtime's for one image on one thread, "
        "and Python's where it encodes the image for the exported model. Where a search selected models of several "
        "sizes (*), parameters and milliseconds are those of the first seed.\n\n" + markdown(heading, lines)
    )


def _told_apart(ranked: Sequence[Row], behind: Mapping[int, Difference]) -> str:
    """Who is better on the test images than the chosen, who as good; `behind` has the differences by `id`.
    Empty where there is nothing to say.
    """
    named: dict[str, list[str]] = {}
    for row in ranked:
        if id(row) in behind:
            named.setdefault(behind[id(row)].verdict, []).append(row.title)
    if named.keys() == {"worse"}:
        return "All others are worse."
    told = []
    if "better" in named:
        told.append(better(named["better"]))
    if equals := named.get("not told apart"):
        told.append(f"Cannot be told apart from it on the test images: {', '.join(equals)}.")
    if "too few test images" in named:
        told.append(_TOO_FEW)
    return " ".join(told)


_NAMED = 3  # models, before they are only counted


def few(titles: Sequence[str]) -> Sequence[str]:
    """These models' names, or how many they are."""
    return titles if len(titles) <= _NAMED else [f"{len(titles)} others"]


def better(titles: Iterable[str]) -> str:
    """What is said of models that are better on the test images than the one that the validation images chose."""
    asked = "The validation images chose another model: do they show the same as the test images?"
    return f"**Better on the test images**: {', '.join(titles)}. {asked}"


def _parameters(row: Row) -> str:
    sizes = [record.counts.total for record in row.records if record.counts]
    return f"{sizes[0]:,}" + "*" * (len(set(sizes)) > 1) if sizes else "–"


def seconds(row: Row) -> float:
    """What its training took of a core, a search included: the mean over seeds."""
    of_records = [
        sum(history.seconds for history in record.history)
        + (sum(trial.seconds for trial in record.searched.trials) if record.searched else 0)
        for record in row.records
    ]
    return float(np.mean(of_records))


def r2_of_targets(row: Row) -> dict[str, float]:
    """R² of each target whose truth varies, by its name; means over seeds."""
    found: dict[str, list[float]] = {}
    for record in row.records:
        for name, value in (record.test.r2 if record.test else {}).items():
            if value is not None:
                found.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}
