"""Whether images and targets make a data set from which something can be learnt, and whose scores mean something.

What is wrong is an error; what would mislead is a warning: copies of an image, a group on two sides of a given split, a
target that follows the order of the rows, classes that are rare, grey levels that tell who took a picture.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from harness.errors import BenchError, Finding
from harness.protocol import TEST, Dataset, Images
from harness.text import counted
from suites.microstructure.findings import Spot, few, gather, of_rows
from suites.pictures.splits import split, tests_of
from suites.pictures.table import TRAIN, VALIDATION, Table

FEWEST = 10
FEWEST_TESTED = 10
"""Things in a test set, of fewer of which the harness gives no interval."""

_ENOUGH = 70  # in all that so many are tested: 61 where there are numbers, more where each class is rounded
_FEW_PER_TARGET, _FEW_OF_A_CLASS = 10, 10
_IMBALANCE = 10
_LIKE = 0.999  # correlation of two images of 16x16 pixels from which they are told to be nearly the same
_EDGE, _EXAMPLES = 16, 3
_FOLLOWS = 0.9  # rank correlation of a target with the number of its row
_TELLS = 0.8  # share of the variance of mean grey levels that lies between groups
_DARK = 0.25
_FAR = 50  # times the range of half of all values
_DECADES = 50  # times the 5th percentile, from which the 95th is told to be far above it
_LITTLE = 0.01  # share of another target's variance
_MOST_NUMBERS = 5  # that may be names of classes: whole ones, or grades from 0 to 1 such as thirds


class Labelled(NamedTuple):
    """Images (n, h, w, c), their file `names`, the `rows` of the table (from 0), these rows alone of `table`, and
    `which` image each is (`equal_images`).
    """

    images: Images
    names: Sequence[str]
    rows: Sequence[int]
    table: Table
    which: NDArray[np.intp]

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each image, as they are split by (`of_one_thing`)."""
        return of_one_thing(self.which, self.table.groups)

    def dataset(self, name: str) -> Dataset:
        """What is to be learnt from them, each group of one thing."""
        return Dataset(
            name=name,
            images=self.images,
            targets=self.table.targets,
            target_names=self.table.names,
            units=self.table.units,
            ids=tuple(self.names),
            groups=self.groups,
            parts=self.table.parts,
            classes=self.table.classes,
        )


def check(labelled: Labelled, table: str, lost: int = 0) -> list[Finding]:
    """Everything wrong or misleading about images and targets that belong together; `table` is the table's name. So
    many more are `lost`, for what is told elsewhere: what these may mend is not told.
    """
    found = _count(labelled, lost) + _parts(labelled.table, table)
    if len(labelled.images) < 2:
        return found
    if labelled.table.classes:
        found += [one for one in _classes(labelled, table) if one.severity == "warning" or not lost]
    else:
        found += _numbers(labelled, table) + _outweighed(labelled.table, table)
    found += _copies(labelled) + _look_alike(labelled) + _grey(labelled)
    whole = not lost and not any(finding.severity == "error" for finding in found)
    return _tested(labelled) + found if whole else found


def _count(labelled: Labelled, lost: int) -> list[Finding]:
    count, targets = len(labelled.images) + lost, len(labelled.table.names)
    things, what = _things(labelled)
    things += lost
    if things < FEWEST and not labelled.table.parts:
        text = f"{counted(things, what)} {'is' if things == 1 else 'are'} too few to split; {FEWEST} is the least"
        remedy = ", unless a column `split` says of each image whether it is to train, for validation or for the test"
        return [Finding("error", "images", text + remedy * (count >= FEWEST))]
    if not labelled.table.classes and count < _FEW_PER_TARGET * targets:
        return [Finding("warning", "images", f"only {count} for {targets} targets: name fewer with targets=")]
    return []


def _things(labelled: Labelled) -> tuple[int, str]:
    """How many unlike things there are, and what to call one."""
    groups = labelled.groups
    things = len(set(groups)) if groups else len(labelled.images)
    if things == len(labelled.images):
        return things, "image"
    return things, "group" if any(labelled.table.groups) else "unlike image"


def _tested(labelled: Labelled) -> list[Finding]:
    """Whether the test that models are ranked by has as many things as an interval takes; an error where what is there
    cannot be split.
    """
    dataset = labelled.dataset("")
    try:
        test = split(dataset).test
    except BenchError as error:
        return [Finding("error", "images", str(error).partition(": ")[2])]
    tested = len({dataset.groups[row] for row in test}) if dataset.groups else len(test)
    if tested >= FEWEST_TESTED:
        return []
    things, what = _things(labelled)
    told = f"only {tested} of {counted(things, what)} are in the test set: scores say little, and have no interval, "
    more = "name more in its column `split`" if labelled.table.parts else f"some {_ENOUGH} {what}s in all give one"
    return [Finding("warning", "images", f"{told}which takes {FEWEST_TESTED}; {more}")]


def _parts(table: Table, name: str) -> list[Finding]:
    """What is wrong with a split that the table gives."""
    if not table.parts:
        return []
    counts = Counter(table.parts)
    findings = []
    if not counts[TRAIN]:
        findings.append(Finding("error", name, f"its split has no row 'train', only {few(sorted(counts))}"))
    if not set(counts) - {TRAIN, VALIDATION, ""}:
        findings.append(Finding("error", name, "its split has no row 'test': take the column out, or name some"))
    if counts[""]:
        findings.append(Finding("error", name, f"its split is empty in {counts['']} rows: fill them in"))
    findings += [] if findings else _misread(table.parts, name)
    sides: dict[str, set[str]] = {}
    for group, part in zip(table.groups, table.parts, strict=False):
        sides.setdefault(group, set()).add(part)
    if both := [group for group, parts in sides.items() if group and len(parts) > 1]:
        what = "groups on two sides of its split, which would leak from one to the other: keep each on one"
        findings.append(Finding("error", name, f"{len(both)} {what}; {few(both)}"))
    return findings


def _misread(parts: Sequence[str], name: str) -> list[Finding]:
    """What a side of the split that is called otherwise than it is meant would show."""
    tests, told = tests_of(parts), list[str]()
    if len(tests) > 1:
        told.append(f"its split's tests are {few(tests)}; models are ranked by {tests[0]}")
    elif tests != [TEST]:
        told.append(f"its split's test is called {tests[0]}")
    if VALIDATION not in parts:
        told.append("its split has no row 'val': a sixth of what is to train, drawn, is the validation")
    return [Finding("warning", name, text) for text in told]


def _numbers(labelled: Labelled, table: str) -> list[Finding]:
    findings = []
    for name, column in zip(labelled.table.names, labelled.table.targets.T, strict=True):
        known = np.isfinite(column)
        if known.sum() < 2:
            continue
        if np.ptp(column[known]) <= 1e-12 * np.abs(column[known]).max():
            what = f"column {name} is the same in every row, {column[known][0]:g}: nothing to predict"
            findings.append(Finding("error", table, f"{what}; name the others with targets="))
            continue
        if abs(follows := _rank_correlation(np.array(labelled.rows)[known], column[known])) > _FOLLOWS:
            what = (
                f"column {name} follows the order of the rows (rank correlation {follows:.2f}): if pictures were taken "
                "in that order, whatever drifted meanwhile, light or wear, tells it as well"
            )
            findings.append(Finding("warning", table, what))
        findings += _far_off(name, column, labelled.rows, table) or _over_decades(name, column[known], table)
        findings += _maybe_classes(name, column[known], table)
    return findings


def _far_off(name: str, column: NDArray[np.float64], rows: Sequence[int], table: str) -> list[Finding]:
    """A warning of the few values that are so far outside of the others that they alone would decide scores."""
    low, middle, high = np.nanpercentile(column, (25, 50, 75))
    off = np.flatnonzero(np.abs(column - middle) > _FAR * (high - low))
    if low == high or len(off) > max(1, 0.02 * len(column)):
        return []
    what = f"{name} is far outside of the others, half of which lie from {low:g} to {high:g}"
    spots = [Spot(row, what, "correct it, or it decides all scores", f"{column[row]:g}") for row in off.tolist()]
    return gather(spots, of_rows(table, rows), "warning")


def _over_decades(name: str, values: NDArray[np.float64], table: str) -> list[Finding]:
    """A warning of positive values over decades, most of them small, as permeabilities are."""
    low, middle, high = np.percentile(values, (5, 50, 95))
    if values.min() <= 0 or high < _DECADES * low or middle > high / 4:
        return []
    what = f"column {name} reaches from {values.min():.4g} to {values.max():.4g}: the largest decide all scores, and"
    what += " intervals, as wide for the small as for the large, reach below zero; predict its logarithm, in a column "
    return [Finding("warning", table, what + "of its own that targets= names, unless such errors are what counts")]


def _maybe_classes(name: str, values: NDArray[np.float64], table: str) -> list[Finding]:
    unlike = np.unique(values)
    grades = unlike[0] == 0 and unlike[-1] == 1
    if len(unlike) > _MOST_NUMBERS or 4 * len(unlike) > len(values) or ((unlike % 1).any() and not grades):
        return []
    what = f"column {name} holds {few([f'{value:g}' for value in unlike])} alone: if these are names of classes, say"
    return [Finding("warning", table, f"{what} classes=true, with the column's header as targets=")]


def _outweighed(table: Table, name: str) -> list[Finding]:
    """A warning of targets that add next to nothing to the squares of those of the same unit."""
    findings = []
    known = np.isfinite(table.targets).any(axis=0)
    varies = np.nanvar(np.where(known, table.targets, 0), axis=0)
    for unit in dict.fromkeys(table.units):
        same = [place for place, other in enumerate(table.units) if other == unit]
        largest = max(same, key=lambda place: varies[place])
        if small := [table.names[place] for place in same if varies[place] < _LITTLE * varies[largest]]:
            what = f"skill hardly counts {few(small)} beside {table.names[largest]}, because squared "
            what += f"errors of one unit ({unit or 'none'}) are added up: put units into brackets in the headers, or "
            what += "ask for one target at a time with targets="
            findings.append(Finding("warning", name, what))
    return findings


def _rank_correlation(one: NDArray[np.intp], other: NDArray[np.float64]) -> float:
    """Spearman's; of at least ten, for fewer follow one another by chance."""
    if len(one) < FEWEST:
        return 0.0
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def _classes(labelled: Labelled, name: str) -> list[Finding]:
    table = labelled.table
    counts = dict(zip(table.names, np.nansum(table.targets, axis=0).astype(int).tolist(), strict=True))
    findings = []
    of_part = {part: table.targets[np.array(table.parts) == part] for part in sorted(set(table.parts))}
    for part, rows in of_part.items():
        if lacking := [one for one, count in zip(table.names, np.nansum(rows, axis=0), strict=True) if not count]:
            findings.append(Finding("warning", name, f"no image of its split's part '{part}' is of {few(lacking)}"))
    if lone := [f"{one} ({count})" for one, count in counts.items() if count < 3]:
        what = "classes with fewer than three images, too few for training, validation and test: "
        findings.append(Finding("error", name, f"{what}add some, or take them out; {few(lone)}"))
    elif rare := [f"{one} ({count})" for one, count in counts.items() if count < _FEW_OF_A_CLASS]:
        findings.append(Finding("warning", name, f"classes with few images, whose scores will say little: {few(rare)}"))
    findings += _few_groups(labelled, name)
    most = max(counts, key=lambda one: counts[one])
    least = min(counts, key=lambda one: counts[one])
    if counts[most] > _IMBALANCE * max(counts[least], 1):
        what = f"{most} has {counts[most]} images and {least} {counts[least]}: always answering {most} is right in "
        share = counts[most] / sum(counts.values())
        findings.append(Finding("warning", name, f"{what}{share:.0%}; read balanced_accuracy and skill, not accuracy"))
    return findings


def _few_groups(labelled: Labelled, name: str) -> list[Finding]:
    """Groups stay together: a class in fewer than three is lacking somewhere, unless the table has the split."""
    table, groups = labelled.table, np.array(labelled.groups)
    if table.parts or not any(table.groups):
        return []
    counts = {one: len(np.unique(groups[of == 1])) for one, of in zip(table.names, table.targets.T, strict=True)}
    lone = [f"{one} ({count})" for one, count in counts.items() if count < 3]
    what = "classes in fewer than three groups, which training, validation and test cannot all have: "
    return [Finding("warning", name, f"{what}{few(lone)}")] if lone else []


def of_one_thing(which: NDArray[np.intp], groups: Sequence[str]) -> tuple[str, ...]:
    """A group for each image, so that none is on two sides of a split: those given, and equal images together; an image
    whose group is blank is alone. Empty where there is nothing to keep together.
    """
    if not any(groups) and len(set(which.tolist())) == len(which):
        return ()
    found = [group or f"(image {index})" for index, group in enumerate(groups or [""] * len(which))]
    of: dict[str, str] = {}

    def root(group: str) -> str:
        while (above := of.get(group, group)) != group:
            group = above
        return group

    first: dict[int, str] = {}
    for one, group in zip(which.tolist(), found, strict=True):  # copies in two groups make these one
        same = sorted((root(first.setdefault(one, group)), root(group)))
        of[same[1]] = same[0]
    return tuple(root(group) for group in found)


def equal_images(images: Images) -> NDArray[np.intp]:
    """(n,) a number for each image, equal for equal ones."""
    known: dict[bytes, int] = {}
    digests = [hashlib.sha256(image).digest() for image in images]
    return np.array([known.setdefault(digest, len(known)) for digest in digests], np.intp)


def _copies(labelled: Labelled) -> list[Finding]:
    first: dict[int, int] = {}
    pairs = [(first.setdefault(one, index), index) for index, one in enumerate(labelled.which.tolist())]
    pairs = [(one, other) for one, other in pairs if one != other]
    if not pairs:
        return []
    told = few([f"{labelled.names[one]} = {labelled.names[other]}" for one, other in pairs])
    targets = labelled.table.targets
    unlike = sum(not np.array_equal(targets[one], targets[other], equal_nan=True) for one, other in pairs)
    what = f"{len(pairs)} copies of images; copies are kept on one side of the split"
    what += f"; {unlike} have other targets than the image they copy" * bool(unlike)
    parts = labelled.table.parts
    if parts and any(parts[one] != parts[other] for one, other in pairs):
        return [Finding("error", "images", f"the same image on two sides of the split: {told}")]
    return [Finding("warning", "images", f"{what}: {told}")]


def _look_alike(labelled: Labelled) -> list[Finding]:
    """Images that are nearly copies: compressed anew, or cut a little beside each other."""
    small, count, which = _thumbnails(labelled.images), len(labelled.images), labelled.which
    _, of = np.unique(labelled.groups or which, return_inverse=True)
    pairs, examples = 0, list[tuple[int, int]]()
    for start in range(0, count, 512):
        rows = np.arange(start, min(start + 512, count))
        like = small[rows] @ small.T > _LIKE
        like &= (which[rows, None] != which) & (of[rows, None] != of) & (np.arange(count) > rows[:, None])
        pairs += int(like.sum())
        if len(examples) < _EXAMPLES:
            examples += [(start + one, other) for one, other in np.argwhere(like)[:_EXAMPLES].tolist()]
    if not pairs:
        return []
    names = [f"{labelled.names[one]} and {labelled.names[other]}" for one, other in examples[:_EXAMPLES]]
    told = ", ".join(names) + f" and {pairs - len(names)} more" * (pairs > len(names))
    if pairs > count * (count - 1) / 4:
        what = (
            "more than half of all pairs of images are nearly the same at 16x16 pixels: a frame, a round aperture or a"
        )
        return [Finding("warning", "images", f"{what} scale bar that all share hides what differs; crop it; {told}")]
    what = "pairs of images are nearly the same: if they show one specimen, a column `group` keeps them on one side of"
    return [Finding("warning", "images", f"{pairs} {what} the split, or scores are too good; {told}")]


def _thumbnails(images: Images) -> NDArray[np.float32]:
    """(n, 256) means of blocks of each image, of mean zero and length one; zeros where nothing varies."""
    rows, columns = (np.linspace(0, edge, _EDGE + 1).astype(int)[:-1] for edge in images.shape[1:3])
    grey = images.mean(axis=3)
    small = np.add.reduceat(np.add.reduceat(grey, rows, axis=1), columns, axis=2).reshape(len(images), -1)
    small = small - small.mean(axis=1, keepdims=True)
    length = np.linalg.norm(small, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.where(length > 1e-3, small / np.maximum(length, 1e-3), 0).astype(np.float32)
    return unit


def _grey(labelled: Labelled) -> list[Finding]:
    findings = []
    brightest = float(labelled.images.max())
    if brightest < _DARK:
        what = f"the brightest pixel of all is at {brightest:.1%} of white: scale grey levels, networks expect 0 to 1"
        findings.append(Finding("warning", "images", what))
    names, of = np.unique(labelled.groups, return_inverse=True)
    if not any(labelled.table.groups) or not 2 <= len(names) <= len(of) / 3:
        return findings
    level = labelled.images.mean(axis=(1, 2, 3), dtype=np.float64)
    means = np.bincount(of, level) / np.bincount(of)
    between = float(np.var(means[of]) / max(np.var(level), 1e-12))
    if between > _TELLS:
        what = f"the mean grey level tells the group of an image ({between:.0%} of its variance lies between groups): "
        what += "if groups are laboratories or sessions, a model may learn these; test on groups that it has not seen"
        findings.append(Finding("warning", "images", what))
    return findings
