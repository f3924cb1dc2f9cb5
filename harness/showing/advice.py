"""The first paragraph of a report on a user's own data: which model to use, how sure that is, whether more images would
help, and what it costs.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.judging.blocks import Difference, Row, difference, differences
from harness.judging.metrics import NO_SKILL
from harness.judging.stats import FEWEST_IMAGES
from harness.showing.digits import decimals, in_words, known_skill
from harness.showing.questions import better, families, r2_of_targets, seconds
from harness.text import one_line


def advice(
    suite: str,
    table: Sequence[Row],
    curves: Mapping[tuple[str, str], Mapping[int, Row]],
    latency: Mapping[tuple[str, str], str],
    results: Path,
) -> str:
    """By the validation images, as `bench predict` chooses, of those that it can use; `latency` is in ms, `results` the
    folder of the records.
    """
    chosen = min(table, key=Row.validation_error)
    usable = [row for row in table if all(r.onnx and r.encoding_ms is None for r in row.records)] or table
    best = min(usable, key=Row.validation_error)
    told = [
        _which(best),
        _of_each_target(best),
        _unusable(chosen) if chosen is not best else "",
        _how_sure(best, chosen, [row for row in table if row is not best]),
        _more_images(suite, best, curves.get((best.name, best.backend), {}), results),
        _what_it_costs(best, latency.get((best.name, best.backend), "")),
    ]
    return " ".join(filter(None, told))


def _which(best: Row) -> str:
    skill, ends = known_skill(best)
    if not ends:
        return (
            f"**Too few test images to recommend a model.** The best on the validation images is {best.title}: its "
            f"skill is {skill} on {best.tested_on}, and an interval needs {FEWEST_IMAGES} images, or groups of them, "
            "of different things."
        )
    told = f"its skill is {skill} (95 %: {ends}, of {best.tested_on})"
    if best.skill_interval()[0] > NO_SKILL:
        return f"**Use {best.title}**, the best on the validation images: {told}."
    return (
        "**The best model on the validation images is not shown to be better than always answering the mean.** It is "
        f"{best.title}, and {told}."
    )


def _of_each_target(best: Row) -> str:
    """R² of the target that is predicted worst and of that which is predicted best, where there are several: their mean
    hides one that is not learnt.
    """
    r2 = r2_of_targets(best)
    if best.of_classes or len(r2) < 2:
        return ""
    in_order = sorted(r2, key=lambda name: r2[name])
    worst, ablest = (f"{name}, {decimals(r2[name], digits=2)}" for name in (in_order[0], in_order[-1]))
    return f"Of its {best.targets} targets, R² is lowest for {worst}, and highest for {ablest}."


def _unusable(chosen: Row) -> str:
    """That another is better on the validation images, and why it is not recommended."""
    why = "Python encodes its images" if all(r.onnx for r in chosen.records) else "it was not exported"
    return (
        "This considers only models that `bench predict` can use: "
        f"{chosen.title} is better on the validation images, but {why}."
    )


def _how_sure(best: Row, chosen: Row, others: Sequence[Row]) -> str:
    """Who is better or as good, as far as the test images can tell, and how well intervals hold; `chosen` is the best
    on the validation images of all, usable or not.
    """
    compared = list[tuple[Row, Difference]]()
    if not np.isnan(best.skill_interval()[0]):
        for some in families(best, others):
            compared += zip(some, differences((best, other) for other in some), strict=True)
        compared.sort(key=lambda item: item[0].skill(), reverse=True)
    ahead, equal, behind = (
        [item for item in compared if item[1].verdict == verdict]
        for verdict in ("worse", "not told apart", "better")  # which the best on the validation images is
    )
    told = []
    if otherwise := [other.title for other, _ in ahead if other is not chosen]:
        told.append(better(otherwise))
    if any(other is chosen for other, _ in ahead):
        told.append(f"{chosen.title} is also better on the test images.")
    if equal:
        fastest = min([best, *(other for other, _ in equal)], key=seconds)
        told.append(f"Cannot be told apart from it on the test images: {', '.join(other.title for other, _ in equal)}.")
        if fastest is not best:
            told.append(f"Of all these, {fastest.title} is the fastest to train.")
    if behind:
        nearest, of = behind[0]
        which = f"Of the {len(behind)} that are worse, the nearest" if len(behind) > 1 else "The only one that is worse"
        told.append(f"{which} is {nearest.title}, by {in_words(of)}.")
    test = best.tests[0]
    covered = [known.covered for r in best.records if (known := r.calibrated.get(test)) and known.covered is not None]
    if covered:
        what = "sets of classes for 90 %" if best.of_classes else "90 % intervals"
        held = "true classes" if best.of_classes else "true values"
        told.append(
            f"Predictions of {best.title} come with {what}, which hold {np.mean(covered):.0%} of the {held} on the "
            "test images."
        )
    return " ".join(told)


def _more_images(suite: str, best: Row, curve: Mapping[int, Row], results: Path) -> str:
    """By what fewer images gave; that there is no such training, and how to come by one."""
    if not curve:
        cell, folder = best.first.cell, one_line(shlex.quote(f"results={results}"))
        variant = "FILE:NAME" if cell.imported else cell.variant
        weights = f" weights={cell.weights}" if cell.weights in ("imagenet", "random") else ""
        return (
            "Whether more images would help is not known. Train on half of them, and this report will say how much the "
            f"other half helped: `bench run suite={suite} data=FOLDER variant={variant} "
            f"backend={cell.backend} profile={cell.profile}{weights} originals=N {folder}`, where N is half of the "
            "training images, with the other options of your run."
        )
    size = max(curve)
    found = difference(best, curve[size])
    does = {
        "better": "so more images are likely to help",
        "worse": "so more of the same will not help",
        "not told apart": "so there is no evidence that more of the same would help",
    }.get(found.verdict, "but there are too few test images to say whether more would help")
    return f"Training images beyond the first {size} changed the skill of {best.title} by {in_words(found)}, {does}."


def _what_it_costs(best: Row, milliseconds: str) -> str:
    kilobytes = [record.onnx.bytes / 1000 for record in best.records if record.onnx]
    told = [f"Training took {seconds(best):.3g} s on one core per seed, including any search"]
    told += [f"an image takes {float(milliseconds):.2g} ms (ONNX Runtime, one thread)"] if milliseconds else []
    told += [f"the file is {np.mean(kilobytes):,.0f} kB"] if kilobytes else []
    return "; ".join(told) + "."
